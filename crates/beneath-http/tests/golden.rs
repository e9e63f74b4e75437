//! Whole request text → whole response text, over a real socket with hyper: `golden.txt` is the specification.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on must fail"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "tests build and inspect their own trees by name"
)]

use std::convert::Infallible;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use beneath::{RelPath, Root, ambient_authority};
use beneath_http::{BareRanges, FileBody, FileResponse, MediaType};
use http::{HeaderValue, Request, Response};
use hyper_util::rt::TokioIo;
use tempfile::TempDir;
use tokio::net::TcpListener;

/// SHA-256 of `0123456789`.
const DIGITS: [u8; 32] = [
    0x84, 0xd8, 0x98, 0x77, 0xf0, 0xd4, 0x04, 0x1e, 0xfb, 0x6b, 0xf9, 0x1a, 0x16, 0xf0, 0x24, 0x8f, 0x2f,
    0xd5, 0x73, 0xe6, 0xaf, 0x05, 0xc1, 0x9f, 0x96, 0xbe, 0xdb, 0x9f, 0x88, 0x2f, 0x78, 0x82,
];

#[test]
fn each_request_gets_exactly_its_answer() {
    let server = Server::start();
    let mut wrong = Vec::new();
    let cases = include_str!("golden.txt").split("\n=== ").skip(1);
    for case in cases {
        let (title, exchange) = case.split_once('\n').unwrap();
        let (request, expected) = exchange
            .split_once("\n---\n")
            .unwrap_or_else(|| panic!("{title}"));
        let actual = server.exchange(request);
        if actual.trim_end() != expected.trim_end() {
            wrong.push(format!("=== {title}\n{request}\n---\n{actual}\n"));
        }
    }
    assert!(wrong.is_empty(), "answered otherwise:\n{}", wrong.concat());
}

#[test]
fn a_tag_of_a_file_is_weak_at_first_and_strong_when_the_clock_has_moved_on() {
    let tree = Tree::new();
    let etag = || {
        let response = FileResponse::new(tree.open("digits.txt")).respond(&Request::new(()));
        response.headers()["etag"].to_str().unwrap().to_owned()
    };
    let young = etag();
    assert!(young.starts_with("W/\""), "{young}");
    std::thread::sleep(Duration::from_millis(2100));
    assert_eq!(etag(), young.trim_start_matches("W/"), "the opaque part stays");
    // No part of it tells the inode.
    let inode = tree.open("digits.txt").metadata().identity().inode().to_string();
    assert!(!young.contains(&inode));
}

#[test]
fn every_way_to_another_content_gives_another_tag() {
    let tree = Tree::new();
    let opaque = || {
        let response = FileResponse::new(tree.open("digits.txt")).respond(&Request::new(()));
        let etag = response.headers()["etag"].to_str().unwrap();
        etag.trim_start_matches("W/").to_owned()
    };
    let path = tree.0.path().join("digits.txt");
    let mtime = fs::metadata(&path).unwrap().modified().unwrap();
    let put_back = || {
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(mtime).unwrap();
    };
    let mut seen = vec![opaque()];
    // In place, with its mtime put back: length and mtime say nothing.
    std::thread::sleep(Duration::from_millis(25));
    fs::write(&path, "9876543210").unwrap();
    put_back();
    seen.push(opaque());
    // Replaced by rename, the same length and mtime.
    std::thread::sleep(Duration::from_millis(25));
    let other = tree.0.path().join("other");
    fs::write(&other, "0000000000").unwrap();
    fs::rename(&other, &path).unwrap();
    put_back();
    seen.push(opaque());
    let before = seen.len();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), before);
    let metadata = fs::metadata(&path).unwrap();
    assert_eq!(
        (metadata.len(), metadata.modified().unwrap()),
        (10, mtime),
        "the control: a tag of these two would not change"
    );
}

struct Tree(TempDir);

impl Tree {
    fn new() -> Self {
        let tree = Self(tempfile::tempdir().unwrap());
        tree.write("digits.txt", "0123456789", Some(1_700_000_000));
        tree.write("empty.bin", "", Some(1_700_000_000));
        tree.write("future.bin", "x", Some(4_000_000_000));
        tree.write("ancient.bin", "x", None);
        tree
    }

    fn write(&self, name: &str, content: &str, modified: Option<u64>) {
        let path = self.0.path().join(name);
        fs::write(&path, content).unwrap();
        let modified = match modified {
            Some(seconds) => UNIX_EPOCH + Duration::from_secs(seconds),
            None => UNIX_EPOCH - Duration::from_secs(86_400),
        };
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(modified).unwrap();
    }

    fn open(&self, name: &str) -> beneath::File {
        let root = Root::open_ambient(self.0.path(), ambient_authority()).unwrap();
        root.open(&RelPath::parse(name).unwrap()).unwrap()
    }

    /// One resource for each way to build an answer.
    fn answer(&self, request: &Request<hyper::body::Incoming>) -> Response<FileBody> {
        let digits = || FileResponse::new(self.open("digits.txt"));
        let response = match request.uri().path() {
            "/digits" => digits()
                .named("digits.txt")
                .sha256(DIGITS)
                .cache_control(HeaderValue::from_static("private, no-cache"))
                .vary(HeaderValue::from_static("Authorization")),
            "/bare" => digits().sha256(DIGITS),
            "/inline" => digits()
                .named("digits.txt")
                .text_is_utf8()
                .sha256(DIGITS)
                .inline(),
            "/inline-html" => digits().named("page.html").sha256(DIGITS).inline(),
            "/told-html" => digits()
                .sha256(DIGITS)
                .media_type(MediaType::parse("text/html").unwrap())
                .inline(),
            "/site" => digits()
                .named("page.html")
                .sha256(DIGITS)
                .disposition(beneath_http::Disposition::None),
            "/coded" => digits()
                .named("a.css")
                .sha256(DIGITS)
                .content_encoding(HeaderValue::from_static("br"))
                .vary(HeaderValue::from_static("accept-encoding"))
                .disposition(beneath_http::Disposition::None),
            "/unranged" => digits().sha256(DIGITS).max_ranges(0),
            "/resumed" => digits().sha256(DIGITS).bare_ranges(BareRanges::FromTheStart),
            "/named" => digits().sha256(DIGITS).named(b"caf\xc3\xa9 \"1\".txt\r\nX: y"),
            "/empty" => FileResponse::new(self.open("empty.bin")).sha256([0; 32]),
            "/ancient" => FileResponse::new(self.open("ancient.bin")).sha256([0; 32]),
            "/future" => FileResponse::new(self.open("future.bin")).sha256([0; 32]),
            _ => {
                return Response::builder()
                    .status(404)
                    .body(FileBody::from("no such case\n"))
                    .unwrap();
            }
        };
        response.respond(request)
    }
}

struct Server {
    address: SocketAddr,
    _runtime: tokio::runtime::Runtime,
}

impl Server {
    fn start() -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let tree = std::sync::Arc::new(Tree::new());
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let tree = tree.clone();
                let service = hyper::service::service_fn(move |request| {
                    let response = tree.answer(&request);
                    async move { Ok::<_, Infallible>(response) }
                });
                let connection = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service);
                tokio::spawn(connection);
            }
        });
        Self {
            address,
            _runtime: runtime,
        }
    }

    /// Sends the request, with Host and Connection added, and returns what comes until the connection closes. Only what
    /// differs from one run to the next is taken out.
    fn exchange(&self, request: &str) -> String {
        let (line, fields) = request.split_once('\n').unwrap_or((request, ""));
        let request = format!(
            "{line} HTTP/1.1\nhost: a\nconnection: close\n{}\n",
            with_line_end(fields)
        );
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream
            .write_all(request.replace('\n', "\r\n").as_bytes())
            .unwrap();
        let mut response = Vec::new();
        stream.read_to_end(&mut response).unwrap();
        let response = String::from_utf8(response).unwrap().replace("\r\n", "\n");
        without_what_varies(&response)
    }
}

fn with_line_end(fields: &str) -> String {
    if fields.is_empty() {
        String::new()
    } else {
        format!("{fields}\n")
    }
}

/// Takes out `Date`, the boundary of multiparts, and a Last-Modified that is now.
fn without_what_varies(response: &str) -> String {
    let boundary = response
        .split_once("boundary=")
        .map(|(_, rest)| rest.split('\n').next().unwrap().to_owned());
    let mut text: String = response
        .split_inclusive('\n')
        .filter(|line| !line.starts_with("date: ") && *line != "connection: close\n")
        .map(|line| match line.strip_prefix("last-modified: ") {
            Some(date) if is_now(date.trim_end()) => "last-modified: NOW\n",
            _ => line,
        })
        .collect();
    if let Some(boundary) = boundary {
        assert_eq!(boundary.len(), 32);
        text = text.replace(&boundary, "BOUNDARY");
    }
    text
}

fn is_now(date: &str) -> bool {
    let date = httpdate::parse_http_date(date).unwrap();
    SystemTime::now()
        .duration_since(date)
        .is_ok_and(|age| age < Duration::from_secs(20))
}
