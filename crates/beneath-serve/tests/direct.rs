//! Files out of an axum application leave without a copy, past its layers, where these left them alone; and through them
//! everywhere else.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on must fail"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "tests build and inspect their own trees by name"
)]

mod support;

use std::net::SocketAddr;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::middleware::map_response;
use axum::response::Response;
use axum::routing::get;
use beneath::{File, RelPath, Root, Source, Stopped, ambient_authority};
use beneath_http::{FileResponse, direct};
use beneath_serve::Server;
use http_body_util::BodyExt as _;
use support::Client;
use tempfile::TempDir;

/// More than is copied, and less than a socket holds.
const LEN: usize = 64 * 1024;

/// One file, and who serves it.
struct Site {
    directory: TempDir,
    content: Vec<u8>,
    root: Arc<Root>,
    /// How many answers have left the process whole.
    left: Arc<AtomicUsize>,
    runtime: Option<tokio::runtime::Runtime>,
}

struct Counted(File, Arc<AtomicUsize>);

impl Source for Counted {
    fn file(&self) -> &File {
        &self.0
    }

    fn still_held(&self) -> Result<(), Stopped> {
        Ok(())
    }

    fn completed(&self) {
        self.1.fetch_add(1, Ordering::SeqCst);
    }
}

impl Site {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let content: Vec<u8> = (0..LEN).map(|at| u8::try_from(at % 251).unwrap()).collect();
        let path = directory.path().join("file.bin");
        std::fs::write(&path, &content).unwrap();
        let file = std::fs::File::options().write(true).open(path).unwrap();
        rest(&file);
        Self {
            root: Arc::new(Root::open_ambient(directory.path(), ambient_authority()).unwrap()),
            directory,
            content,
            left: Arc::default(),
            runtime: Some(tokio::runtime::Runtime::new().unwrap()),
        }
    }

    /// `/direct` and `/usual`.
    fn app(&self) -> Router {
        let answer = |root: &Root, left: &Arc<AtomicUsize>, request: &Request| {
            let file = root.open(&RelPath::parse("file.bin").unwrap()).unwrap();
            FileResponse::new(Counted(file, Arc::clone(left))).respond(request)
        };
        let (root, left) = (Arc::clone(&self.root), Arc::clone(&self.left));
        let directly = async move |request: Request| direct(answer(&root, &left, &request));
        let (root, left) = (Arc::clone(&self.root), Arc::clone(&self.left));
        let usually = async move |request: Request| answer(&root, &left, &request).map(Body::new);
        Router::new()
            .route("/direct", get(directly))
            .route("/usual", get(usually))
    }

    fn serve(&self, app: Router) -> SocketAddr {
        let runtime = self.runtime.as_ref().unwrap();
        let server = runtime.block_on(Server::bind("127.0.0.1:0")).unwrap();
        let address = server.local_addr();
        runtime.spawn(server.serve(app, std::future::pending()));
        address
    }

    fn await_left(&self, count: usize) {
        let begin = Instant::now();
        while self.left.load(Ordering::SeqCst) < count {
            assert!(begin.elapsed() < support::PATIENCE, "it never left");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// What the client reads of an answer, the first byte of whose file was written over after it had left the process, and whether it
    /// is that byte it reads: what was sent were pages of the file.
    fn read_after_overwriting(&self, address: SocketAddr, path: &str) -> (String, Vec<u8>, bool) {
        let before = self.left.load(Ordering::SeqCst);
        let mut client = Client::connect(address);
        client.send(get_of(path));
        self.await_left(before + 1);
        let file = std::fs::File::options()
            .write(true)
            .open(self.directory.path().join("file.bin"))
            .unwrap();
        file.write_all_at(b"!", 0).unwrap();
        let (head, mut body) = answer(&mut client);
        let shared = body.first() == Some(&b'!');
        if shared {
            body[0] = self.content[0];
        }
        (head, body, shared)
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// As if it had not been written to for an hour.
fn rest(file: &std::fs::File) {
    file.set_modified(SystemTime::now() - Duration::from_secs(3600))
        .unwrap();
    // What was changed in this very tick of the clock is read when that is over.
    std::thread::sleep(Duration::from_millis(25));
}

fn get_of(path: &str) -> String {
    format!("GET /{path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
}

/// Head and body of the only answer of a connection.
fn answer(client: &mut Client) -> (String, Vec<u8>) {
    let mut all = Vec::new();
    // A reset is an end, too: what came is looked at.
    let _ = std::io::Read::read_to_end(&mut client.0, &mut all);
    let head = all.windows(4).position(|bytes| bytes == b"\r\n\r\n");
    let body = all.split_off(head.map_or(all.len(), |at| at + 4));
    (String::from_utf8_lossy(&all).to_ascii_lowercase(), body)
}

#[test]
fn a_direct_answer_of_a_router_leaves_without_a_copy_and_any_other_is_copied() {
    for (path, without_a_copy) in [("direct", true), ("usual", false)] {
        let site = Site::new();
        let address = site.serve(site.app());
        let (head, body, shared) = site.read_after_overwriting(address, path);
        assert!(head.contains("content-length: 65536\r\n"), "{path}: {head}");
        assert_eq!(body, site.content, "{path}");
        assert_eq!(shared, without_a_copy, "{path}");
    }
}

#[test]
fn what_a_layer_says_in_the_head_leaves_with_the_file() {
    let site = Site::new();
    let greet = async |mut response: Response| {
        let headers = response.headers_mut();
        headers.insert("x-layer", "was here".parse().unwrap());
        response
    };
    let address = site.serve(site.app().layer(map_response(greet)));
    let (head, body, shared) = site.read_after_overwriting(address, "direct");
    assert!(head.contains("x-layer: was here\r\n"), "{head}");
    assert_eq!(body, site.content);
    assert!(shared, "nothing was said of the bytes");
}

#[test]
fn a_layer_that_changes_the_bytes_and_says_so_gets_them() {
    let site = Site::new();
    // As one that compresses does: the head now, the bytes when they are asked for.
    let encode =
        async |response: Response| {
            response.map(|body| {
                Body::new(body.map_frame(|frame| {
                    frame.map_data(|bytes| bytes.iter().map(|byte| !byte).collect::<Bytes>())
                }))
            })
        };
    let say = async |mut response: Response| {
        let headers = response.headers_mut();
        headers.insert("content-encoding", "inverted".parse().unwrap());
        response
    };
    let app = site.app().layer(map_response(encode)).layer(map_response(say));
    let mut client = Client::connect(site.serve(app));
    client.send(get_of("direct"));
    let (head, body) = answer(&mut client);
    assert!(head.contains("content-encoding: inverted\r\n"), "{head}");
    let inverted: Vec<u8> = site.content.iter().map(|byte| !byte).collect();
    assert_eq!(body, inverted);
}

#[test]
fn a_layer_that_answers_otherwise_is_not_overruled() {
    let site = Site::new();
    let refuse = async |mut response: Response| {
        *response.status_mut() = http::StatusCode::FORBIDDEN;
        response.map(|_| Body::empty())
    };
    let mut client = Client::connect(site.serve(site.app().layer(map_response(refuse))));
    client.send(get_of("direct"));
    let (head, body) = answer(&mut client);
    assert!(head.starts_with("http/1.1 403 "), "{head}");
    assert!(body.is_empty(), "a file left under 403: {} bytes", body.len());
}

#[test]
fn a_layer_that_puts_another_body_in_its_place_is_not_overruled() {
    let site = Site::new();
    // The head may be as it was: what is withheld, or comes out of a cache, can be as long as the file.
    let replace = async |response: Response| response.map(|_| Body::from(vec![b'?'; LEN]));
    let mut client = Client::connect(site.serve(site.app().layer(map_response(replace))));
    client.send(get_of("direct"));
    let (head, body) = answer(&mut client);
    assert!(head.contains("content-length: 65536\r\n"), "{head}");
    assert!(body == [b'?'; LEN], "the file left: {:?}", &body[..10]);
}

#[test]
fn a_layer_that_reads_the_body_reads_the_file() {
    let site = Site::new();
    let read = async |response: Response| {
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        Response::from_parts(parts, Body::from(bytes.slice(..10)))
    };
    let app = site.app().layer(map_response(read));
    let shorten = async |mut response: Response| {
        response.headers_mut().remove("content-length");
        response
    };
    let mut client = Client::connect(site.serve(app.layer(map_response(shorten))));
    client.send(get_of("direct"));
    let (_, body) = answer(&mut client);
    assert_eq!(body, site.content[..10]);
}

#[test]
fn an_answer_that_a_layer_made_of_another_never_looks_whole() {
    let site = Site::new();
    // The offer goes with the extensions to an answer of its own; the body that is left has nothing to say any more.
    let twice = async |response: Response| {
        let (parts, body) = response.into_parts();
        let mut copy = Response::new(());
        *copy.extensions_mut() = parts.extensions.clone();
        *copy.headers_mut() = parts.headers.clone();
        drop(beneath_http::DirectBody::take(&mut copy).unwrap());
        let mut response = Response::from_parts(parts, body);
        response.headers_mut().remove("content-length");
        response
    };
    let mut client = Client::connect(site.serve(site.app().layer(map_response(twice))));
    client.send(get_of("direct"));
    let (head, body) = answer(&mut client);
    assert!(!body.ends_with(b"0\r\n\r\n"), "an end of nothing: {head}");
}

#[test]
fn head_has_the_fields_and_no_file() {
    // A handler that answers as if it had been asked to GET, as one that makes its own request does.
    let site = Site::new();
    let (root, left) = (Arc::clone(&site.root), Arc::clone(&site.left));
    let forgetful = async move |mut request: Request| {
        *request.method_mut() = http::Method::GET;
        let file = root.open(&RelPath::parse("file.bin").unwrap()).unwrap();
        direct(FileResponse::new(Counted(file, left)).respond(&request))
    };
    let address = site.serve(Router::new().route("/direct", get(forgetful)));
    let mut client = Client::connect(address);
    client.send("HEAD /direct HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let (head, body) = answer(&mut client);
    assert!(head.contains("content-length: 65536\r\n"), "{head}");
    assert_eq!(body, b"");

    // Over HTTP/2 (RFC 9113), where hyper does not see to it: SETTINGS, and HEADERS that end stream 1.
    let mut client = Client::connect(address);
    client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    client.send(frame(4, 0, 0, b""));
    client.send(frame(1, 5, 1, b"\x02\x04HEAD\x86\x04\x07/direct\x01\x01a"));
    let mut ended = false;
    while !ended {
        let mut header = [0; 9];
        std::io::Read::read_exact(&mut client.0, &mut header).unwrap();
        let length = usize::from(header[1]) << 8 | usize::from(header[2]);
        std::io::Read::read_exact(&mut client.0, &mut vec![0; length]).unwrap();
        assert!(header[3] != 0 || length == 0, "{length} bytes of DATA");
        ended = header[8] == 1 && header[4] & 1 == 1;
    }
}

fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).unwrap();
    [&[0, 0, length, kind, flags, 0, 0, 0, stream], payload].concat()
}

#[test]
fn a_server_that_knows_nothing_of_it_sends_the_same_bytes() {
    let site = Site::new();
    let runtime = site.runtime.as_ref().unwrap();
    let listener = runtime
        .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
        .unwrap();
    let address = listener.local_addr().unwrap();
    let app = site.app();
    runtime.spawn(async { axum::serve(listener, app).await });
    let mut client = Client::connect(address);
    client.send(get_of("direct"));
    let (head, body) = answer(&mut client);
    assert!(head.starts_with("http/1.1 200 "), "{head}");
    assert_eq!(body, site.content);
}

#[test]
fn what_a_layer_wrapped_lives_as_long_as_the_answer() {
    struct Permit(Arc<AtomicUsize>);
    impl Drop for Permit {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let site = Site::new();
    let released = Arc::new(AtomicUsize::new(0));
    let permit = {
        let released = Arc::clone(&released);
        move |response: Response| {
            let permit = Permit(Arc::clone(&released));
            std::future::ready(response.map(|body| {
                Body::new(body.map_frame(move |frame| {
                    let _held = &permit;
                    frame
                }))
            }))
        }
    };
    let address = site.serve(site.app().layer(map_response(permit)));
    let path = site.directory.path().join("file.bin");
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.set_len(64 << 20).unwrap();
    rest(&file);
    let mut client = Client::connect(address);
    client.send(get_of("direct"));
    let mut first = [0; 1024];
    std::io::Read::read_exact(&mut client.0, &mut first).unwrap();
    assert_eq!(released.load(Ordering::SeqCst), 0, "while it is on its way");
    std::io::copy(&mut client.0, &mut std::io::sink()).unwrap();
    let begin = Instant::now();
    while released.load(Ordering::SeqCst) == 0 {
        assert!(begin.elapsed() < support::PATIENCE, "held for ever");
        std::thread::sleep(Duration::from_millis(1));
    }
}
