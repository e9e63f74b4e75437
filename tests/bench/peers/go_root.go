// Go's os.Root (1.24) behind Basic authentication: the race-free way in Go.
package main

import (
	"crypto/subtle"
	"log"
	"net/http"
	"os"
	"strings"
)

func main() {
	root, err := os.OpenRoot(os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	expected := []byte(os.Args[3])
	serve := func(w http.ResponseWriter, r *http.Request) {
		if subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), expected) != 1 {
			w.Header().Set("WWW-Authenticate", `Basic realm="files"`)
			http.Error(w, "", http.StatusUnauthorized)
			return
		}
		file, err := root.Open(strings.TrimPrefix(r.URL.Path, "/"))
		if err != nil {
			http.NotFound(w, r)
			return
		}
		defer file.Close()
		metadata, err := file.Stat()
		if err != nil || !metadata.Mode().IsRegular() {
			http.NotFound(w, r)
			return
		}
		http.ServeContent(w, r, metadata.Name(), metadata.ModTime(), file)
	}
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Args[1], http.HandlerFunc(serve)))
}
