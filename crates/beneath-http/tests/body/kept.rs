//! A file that is kept open with its content is answered as one that is opened.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use beneath::{File, Kept, RelPath, Root, Source, Stopped, ambient_authority};
use beneath_http::{FileResponse, Validators};
use http::{Request, Response};
use http_body_util::BodyExt as _;

const LEN: usize = 10_000;

struct Shelf {
    directory: tempfile::TempDir,
    root: Root,
    kept: Kept,
}

impl Shelf {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("file.txt"), content()).unwrap();
        let root = Root::open_ambient(directory.path(), ambient_authority()).unwrap();
        // It is kept once it has been left alone for two seconds.
        std::thread::sleep(Duration::from_millis(2100));
        let kept = root.keep(&name()).unwrap();
        Self {
            directory,
            root,
            kept,
        }
    }

    fn kept(&self) -> File {
        let file = self.root.open_kept(&self.kept).unwrap();
        assert_eq!(file.content().unwrap().len(), LEN);
        file
    }
}

fn name() -> RelPath {
    RelPath::parse("file.txt").unwrap()
}

fn content() -> Vec<u8> {
    (0..LEN).map(|at| u8::try_from(at % 251).unwrap()).collect()
}

fn request(method: &str, fields: &[(&str, &str)]) -> Request<()> {
    let request = Request::builder().method(method);
    let request = fields
        .iter()
        .fold(request, |request, (name, value)| request.header(*name, *value));
    request.body(()).unwrap()
}

async fn whole(file: impl Source, digest: bool, request: &Request<()>) -> (Response<()>, Vec<u8>, String) {
    let mut response = FileResponse::new(file).named("file.txt");
    if digest {
        response = response.verified_sha256(sha256());
    }
    let (head, body) = response.respond(request).into_parts();
    let body = body.collect().await.unwrap();
    let trailers = format!("{:?}", body.trailers());
    (Response::from_parts(head, ()), body.to_bytes().to_vec(), trailers)
}

fn sha256() -> [u8; 32] {
    use std::io::Write as _;
    let mut sum = std::process::Command::new("sha256sum")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    sum.stdin.take().unwrap().write_all(&content()).unwrap();
    let hex = String::from_utf8(sum.wait_with_output().unwrap().stdout).unwrap();
    std::array::from_fn(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap())
}

fn with_a_plain_boundary(mut head: Response<()>, body: Vec<u8>) -> (Response<()>, Vec<u8>) {
    let content_type = head
        .headers()
        .get("content-type")
        .map(|value| value.to_str().unwrap().to_owned());
    let Some((kind, boundary)) = content_type
        .as_deref()
        .and_then(|text| text.split_once("boundary="))
    else {
        return (head, body);
    };
    head.headers_mut().insert("content-type", kind.parse().unwrap());
    let text: String = body.iter().map(|&byte| char::from(byte)).collect();
    let text = text.replace(boundary, "boundary");
    (
        head,
        text.chars()
            .map(|letter| u8::try_from(u32::from(letter)).unwrap())
            .collect(),
    )
}

#[tokio::test]
async fn a_kept_file_is_answered_as_an_opened_one() {
    let shelf = Shelf::new();
    let requests = [
        request("GET", &[]),
        request("HEAD", &[]),
        request("POST", &[]),
        request("GET", &[("range", "bytes=0-0")]),
        request("GET", &[("range", "bytes=9999-")]),
        request("GET", &[("range", "bytes=-3")]),
        request("GET", &[("range", "bytes=10000-")]),
        request("GET", &[("range", "bytes=5-9,7000-7999,-1")]),
        request("GET", &[("if-none-match", "*")]),
        request("GET", &[("if-match", "\"another\"")]),
        request("GET", &[("want-repr-digest", "sha-256=10")]),
        request(
            "GET",
            &[("want-content-digest", "sha-256=10"), ("te", "trailers")],
        ),
    ];
    for digest in [false, true] {
        for request in &requests {
            let opened = shelf.root.open(&name()).unwrap();
            let (head, body, trailers) = whole(opened, digest, request).await;
            let (kept_head, kept_body, kept_trailers) = whole(shelf.kept(), digest, request).await;
            // The boundary between parts is drawn anew each time.
            let (head, body) = with_a_plain_boundary(head, body);
            let (kept_head, kept_body) = with_a_plain_boundary(kept_head, kept_body);
            assert_eq!(kept_head.headers(), head.headers(), "{request:?}");
            assert_eq!(kept_body, body, "{request:?}");
            assert_eq!(kept_head.status(), head.status(), "{request:?}");
            assert_eq!(kept_trailers, trailers, "{request:?}");
        }
    }
}

#[tokio::test]
async fn what_is_sent_is_what_was_described_whatever_happens_meanwhile() {
    let shelf = Shelf::new();
    let answer = FileResponse::new(shelf.kept()).respond(&request("GET", &[]));
    fs::write(shelf.directory.path().join("file.txt"), "short").unwrap();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, content());
    assert!(shelf.root.open_kept(&shelf.kept).is_none());
}

#[tokio::test]
async fn remembered_validators_are_those_of_the_state_that_is_answered_with() {
    let shelf = Shelf::new();
    let validators = Arc::new(Validators::default());
    let heads = |file: &File| {
        let fresh = FileResponse::new(shelf.root.open(&name()).unwrap()).respond(&request("GET", &[]));
        let opened = shelf.root.open(&name()).unwrap();
        assert_eq!(opened.metadata(), file.metadata());
        let remembered = FileResponse::new(opened)
            .validators(Arc::clone(&validators))
            .respond(&request("GET", &[]));
        assert_eq!(remembered.headers(), fresh.headers());
        fresh.headers()["etag"].clone()
    };
    let path = shelf.directory.path().join("file.txt");
    let first = heads(&shelf.root.open(&name()).unwrap());
    assert_eq!(heads(&shelf.root.open(&name()).unwrap()), first);
    // Young again, and so weak; then the same state, strong.
    fs::write(&path, "another").unwrap();
    let young = heads(&shelf.root.open(&name()).unwrap());
    assert!(young.as_bytes().starts_with(b"W/"));
    std::thread::sleep(Duration::from_millis(2100));
    let settled = heads(&shelf.root.open(&name()).unwrap());
    assert_eq!(young.as_bytes(), [b"W/".as_slice(), settled.as_bytes()].concat());
    assert_ne!(settled, first);
}

/// A right that has fallen.
struct Fallen(File);

impl Source for Fallen {
    fn file(&self) -> &File {
        &self.0
    }

    fn still_held(&self) -> Result<(), Stopped> {
        Err(Stopped::new())
    }
}

#[tokio::test]
async fn also_what_need_not_be_read_is_sent_only_while_the_right_holds() {
    let shelf = Shelf::new();
    let answer = FileResponse::new(Fallen(shelf.kept())).respond(&request("GET", &[]));
    assert!(answer.into_body().collect().await.is_err());
}

#[tokio::test]
async fn content_of_another_digest_than_was_published_never_completes() {
    let shelf = Shelf::new();
    let answer = FileResponse::new(shelf.kept())
        .verified_sha256([7; 32])
        .respond(&request("GET", &[]));
    assert!(answer.into_body().collect().await.is_err());
}
