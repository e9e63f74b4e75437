//! Section C of the flaws to survive: header fields and content. Each test is named for its row and sends the bytes of its
//! probe over a socket, to the stack of `examples/axum.rs` or, where a download is meant, of `examples/handler.rs`.
//!
//! | row | where |
//! |---|---|
//! | C1–C7, C10, C11, C13–C17 | here |
//! | C8 (names in a listing) | there is no listing; as a name: `c8_…` here, and the page of `beneathd` |
//! | C9 (cached authorized answers), C12 (tokens in links) | `beneathd`: whoever authorizes says `private, no-store` |

use std::fmt::Write as _;
use std::net::SocketAddr;

use crate::support::{Reply, SECRET, Stack, Tree, get, handler, raw, request, serve};

/// Publishes one file of this name as a download, and downloads it.
fn download(name: &str) -> Reply {
    let tree = Tree::new();
    tree.file(name, "content");
    get(downloads(&tree), format!("/reports/{}", escaped(name)), &[])
}

fn downloads(tree: &Tree) -> SocketAddr {
    serve(handler(&tree.root()))
}

fn axum(tree: &Tree) -> SocketAddr {
    Stack::Axum.serve(&tree.root())
}

fn escaped(name: &str) -> String {
    name.bytes().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "%{byte:02X}");
        text
    })
}

/// The parameters of a Content-Disposition, split where no quoted-string stands (RFC 6266 §4.1).
fn parameters(value: &str) -> Vec<(String, String)> {
    let (mut parts, mut quoted, mut escaping) = (vec![String::new()], false, false);
    for letter in value.chars() {
        match letter {
            _ if escaping => escaping = false,
            '\\' if quoted => escaping = true,
            '"' => quoted = !quoted,
            ';' if !quoted => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        parts.last_mut().unwrap().push(letter);
    }
    assert!(!quoted, "an open quotation mark in {value}");
    let named = parts
        .iter()
        .skip(1)
        .map(|part| part.trim().split_once('=').unwrap());
    named
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// A download, under one name in each of the two forms at most, and nothing that looks like another field.
#[track_caller]
fn assert_one_name(reply: &Reply, original: &str) -> String {
    assert_eq!(
        (reply.status, &*reply.body),
        (200, &b"content"[..]),
        "{original:?}: {}",
        reply.head
    );
    let value = reply.field("content-disposition");
    assert!(value.starts_with("attachment"), "{value}");
    assert!(
        value.bytes().all(|byte| (0x20..0x7f).contains(&byte)),
        "{value:?}"
    );
    let parameters = parameters(value);
    for form in ["filename", "filename*"] {
        assert!(
            parameters.iter().filter(|(name, _)| name == form).count() <= 1,
            "{value}"
        );
    }
    assert!(
        parameters
            .iter()
            .all(|(name, _)| name == "filename" || name == "filename*"),
        "{value}"
    );
    value.to_owned()
}

#[test]
fn c1_a_quotation_mark_does_not_end_the_name() {
    for name in [
        "x.txt\"; filename*=UTF-8''evil.bat; a=\"",
        "a\".txt",
        "a\\\".txt",
        "\"",
        "a;b=c.txt",
        "a%22.txt",
        "x.bat\"\"\"",
    ] {
        let value = assert_one_name(&download(name), name);
        assert!(
            parameters(&value)
                .iter()
                .all(|(_, value)| !value.ends_with("''evil.bat")),
            "{value}"
        );
    }
}

#[test]
fn c2_a_name_beyond_ascii_has_both_forms() {
    for name in ["café €.txt", "q\"uote;x.txt", "日本語.pdf", "naïve file.txt"] {
        let reply = download(name);
        let value = assert_one_name(&reply, name);
        let parameters = parameters(&value);
        assert!(parameters.iter().any(|(form, _)| form == "filename"), "{value}");
        if !name.is_ascii() {
            let extended = parameters
                .iter()
                .find(|(form, _)| form == "filename*")
                .map(|(_, value)| value)
                .unwrap();
            // RFC 8187 §3.2.1
            assert!(extended.starts_with("UTF-8''"), "{value}");
            assert!(
                !extended.contains([' ', '"', ';', '\'']) || extended.matches('\'').count() == 2,
                "{value}"
            );
        }
    }
}

#[test]
fn c3_a_plain_name_stays_as_it_is() {
    let value = assert_one_name(&download("q3 report.pdf"), "q3 report.pdf");
    assert!(value.contains("filename=\"q3 report.pdf\""), "{value}");
}

#[test]
fn c4_line_ends_in_names_make_no_header_field() {
    for name in [
        "a\nb",
        "a\rSet-Cookie: x",
        "a\r\nSet-Cookie: crlf=injection\r\n\r\n<html>",
        "a\u{85}b",
        "a\u{2028}b",
        "\u{0b}",
        "a\u{7f}b",
        "a\tb",
    ] {
        let reply = download(name);
        assert_one_name(&reply, name);
        assert!(reply.fields("set-cookie").is_empty(), "{}", reply.head);
    }
    // Neither when the file is served by its path, nor when there is no such file.
    let tree = Tree::new();
    tree.file("a\r\nSet-Cookie: x", "content")
        .file("d\r\nSet-Cookie: x/index.html", "page");
    let addr = axum(&tree);
    for (target, status) in [
        ("/a%0D%0ASet-Cookie:%20x", 200),
        ("/d%0D%0ASet-Cookie:%20x", 307),
        ("/e%0D%0ASet-Cookie:%20x", 404),
        ("/%0d%0aSet-Cookie:crlf=injection?%0d%0aSet-Cookie:x", 404),
    ] {
        let reply = get(addr, target, &[]);
        assert_eq!(reply.status, status, "{target}: {}", reply.head);
        assert!(!reply.head.contains("\r\nSet-Cookie"), "{}", reply.head);
    }
}

#[test]
fn c5_names_that_deceive_are_neutralised() {
    for name in [
        "exe.gpj\u{202e}",
        "\u{202e}fdp.exe",
        "..\\..\\x",
        "con",
        "x.",
        "x .",
        "\u{2066}a\u{2069}.txt",
        "a\u{200e}b",
    ] {
        let value = assert_one_name(&download(name), name);
        for gone in ["%E2%80%AE", "%E2%81%A6", "%E2%81%A9", "%E2%80%8E", "\\", "%5C"] {
            assert!(!value.contains(gone), "{name:?}: {value}");
        }
    }
}

#[test]
fn c6_active_content_is_a_download_and_inert() {
    for (name, content) in [
        ("evil.svg", "<svg onload=alert(1)>"),
        ("page.html", "<script>alert(1)</script>"),
        ("noext", "<html><script>"),
        ("x.xhtml", "<html/>"),
        ("x.xml", "<x/>"),
        ("x.pdf", "%PDF"),
    ] {
        let tree = Tree::new();
        tree.file(name, content);
        let reply = get(downloads(&tree), format!("/reports/{name}"), &[]);
        assert!(
            reply.field("content-disposition").starts_with("attachment"),
            "{}",
            reply.head
        );
        assert_eq!(reply.field("x-content-type-options"), "nosniff");
        assert!(
            reply.field("content-security-policy").contains("sandbox"),
            "{}",
            reply.head
        );
    }
}

#[test]
fn c7_content_is_never_sniffed() {
    let tree = Tree::new();
    tree.file("noext", "<html><script>alert(1)</script>")
        .file("x.unknown-type", "%PDF-1.4")
        .file("empty", "");
    let addr = axum(&tree);
    for target in ["/noext", "/x.unknown-type", "/empty"] {
        let reply = get(addr, target, &[]);
        assert_eq!(
            reply.field("content-type"),
            "application/octet-stream",
            "{target}"
        );
        assert_eq!(reply.field("x-content-type-options"), "nosniff", "{target}");
    }
}

#[test]
fn c8_a_name_that_is_markup_is_shown_nowhere() {
    let tree = Tree::new();
    tree.file("d/<img src=x onerror=1>", "content")
        .file("<script>/index.html", "page");
    let addr = axum(&tree);
    for target in [
        "/d/",
        "/d",
        "/",
        "/%3Cscript%3E",
        "/%3Cscript%3Ealert(1)%3C/script%3E",
        "/<script>",
    ] {
        let reply = get(addr, target, &[]);
        assert!(
            !reply.contains("<script>") && !reply.contains("<img"),
            "{target}: {reply:?}"
        );
    }
}

#[test]
fn c10_nothing_is_said_to_be_public_unasked() {
    let tree = Tree::new();
    tree.file("x.css", "x");
    assert_eq!(get(axum(&tree), "/x.css", &[]).field("cache-control"), "");
}

#[test]
fn c11_what_is_not_served_has_one_face() {
    use std::os::unix::fs::PermissionsExt as _;
    let tree = Tree::new();
    tree.link("link", tree.secret())
        .link("loop", "loop")
        .fifo("fifo")
        .file("file", "x")
        .file("d/x", "x")
        .file("closed/x", "x");
    std::fs::set_permissions(tree.root().join("closed/x"), std::fs::Permissions::from_mode(0o0)).unwrap();
    let addr = axum(&tree);
    let undated = |reply: Reply| {
        let head = reply
            .head
            .split("\r\n")
            .filter(|line| !line.starts_with("date:"))
            .collect::<Vec<_>>()
            .join("\n");
        (head, reply.body)
    };
    let missing = undated(get(addr, "/missing", &[]));
    for target in [
        "/link",
        "/loop",
        "/fifo",
        "/file/x",
        "/d",
        "/d/",
        "/file/",
        "//",
        "/..",
        "/a%2fb",
        "/%00",
        "/missing/x",
    ] {
        assert_eq!(undated(get(addr, target, &[])), missing, "{target}");
    }
    assert_eq!(get(addr, "/missing", &[]).field("cache-control"), "no-store");
    // Root reads everything; anybody else gets the same 404 here.
    let closed = get(addr, "/closed/x", &[]);
    match rustix::process::geteuid().is_root() {
        true => assert_eq!(closed.status, 200),
        false => assert_eq!(undated(closed), missing),
    }
}

#[test]
fn c13_c14_no_field_of_a_client_maps_a_path_or_an_identity() {
    let tree = Tree::new();
    tree.file("x", "x");
    let addr = axum(&tree);
    let plain = get(addr, "/x", &[]);
    let secret = tree.secret();
    for field in [
        "X-Sendfile-Type: x-accel-redirect".to_owned(),
        format!("X-Accel-Mapping: /x={}", secret.display()),
        format!("X-Sendfile: {}", secret.display()),
        "X-Accel-Redirect: /etc/passwd".to_owned(),
        "X-Original-URL: /../outside/secret.txt".to_owned(),
        "X-Rewrite-URL: /../outside/secret.txt".to_owned(),
        "X-Forwarded-For: 127.0.0.1".to_owned(),
        "X_Forwarded_For: 127.0.0.1".to_owned(),
        "Forwarded: for=127.0.0.1".to_owned(),
        "X-Forwarded-Prefix: //evil.com".to_owned(),
        "X-Forwarded-Host: evil.com".to_owned(),
        "X-HTTP-Method-Override: DELETE".to_owned(),
        "X-Method-Override: PUT".to_owned(),
    ] {
        let reply = get(addr, "/x", &[&field]);
        assert_eq!((reply.status, &reply.body), (200, &plain.body), "{field}");
        assert_eq!(
            reply.head.split("\r\n").count(),
            plain.head.split("\r\n").count(),
            "{field}: {}",
            reply.head
        );
    }
}

#[test]
fn c15_a_redirect_leads_to_its_own_directory_or_nowhere() {
    let tree = Tree::new();
    tree.file("d/index.html", "page")
        .file("javascript:alert(1)/index.html", "page")
        .file("evil.com/index.html", "page")
        .file("a b/ü/index.html", "page")
        .file("no-index/x", "x");
    let addr = axum(&tree);
    for (target, location) in [
        ("/d", "./d/"),
        ("/d?next=//evil.com", "./d/"),
        ("/javascript:alert(1)", "./javascript%3Aalert%281%29/"),
        ("/evil.com", "./evil.com/"),
        ("/a%20b/%C3%BC", "./%C3%BC/"),
        ("http://evil.com/d", "./d/"),
    ] {
        let reply = get(addr, target, &["X-Forwarded-Host: evil.com"]);
        assert_eq!(
            (reply.status, reply.field("location")),
            (307, location),
            "{target}: {}",
            reply.head
        );
    }
    for target in [
        "//evil.com",
        "//evil.com/",
        "//evil.com/%2e%2e",
        "//evil.com/..",
        "/\\evil.com",
        "/%5cevil.com",
        "/%2fevil.com",
        "/%2f%2fevil.com/",
        "/.//evil.com",
        "///d",
        "/d//",
        "/no-index",
        "//d",
        "/%0d%0aLocation:%20//evil.com",
    ] {
        get(addr, target, &[]).assert_refused(target);
    }
    assert_eq!(get(addr, "/d/", &[]).body, b"page");
}

#[test]
fn c16_nothing_is_compressed_on_the_way() {
    let tree = Tree::new();
    tree.file("x.html", vec![b'a'; 100_000]);
    let reply = get(
        axum(&tree),
        "/x.html",
        &["Accept-Encoding: gzip, br, zstd, deflate"],
    );
    assert_eq!((reply.field("content-encoding"), reply.body.len()), ("", 100_000));
}

#[test]
fn c17_every_other_method_is_405_with_allow() {
    let tree = Tree::new();
    tree.file("x", "x");
    let addr = axum(&tree);
    for method in [
        "TRACE", "BREW", "POST", "PUT", "DELETE", "PATCH", "PROPFIND", "OPTIONS", "get", "GETX",
    ] {
        for target in ["/", "/x", "/missing", "/%zz"] {
            let reply = request(
                addr,
                method,
                target,
                &["X-HTTP-Method-Override: GET", "X-Secret: S3CRET-outside-the-root"],
            );
            assert_eq!(
                (reply.status, reply.field("allow")),
                (405, "GET, HEAD"),
                "{method} {target}: {}",
                reply.head
            );
            assert!(!reply.contains(SECRET), "TRACE echoes");
        }
    }
    // CONNECT and the asterisk form name no file either.
    for line in ["CONNECT files.example.org:443 HTTP/1.1", "OPTIONS * HTTP/1.1"] {
        let reply = raw(
            addr,
            format!("{line}\r\nHost: files.example.org\r\nConnection: close\r\n\r\n"),
        );
        assert!(matches!(reply.status, 400 | 405), "{line}: {}", reply.head);
    }
}
