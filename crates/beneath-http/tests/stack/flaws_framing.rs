//! Section D of the flaws to survive: framing and exhaustion, as far as a file server shows them. Each test is named for
//! its row and sends the bytes of its probe over a socket to the stack of `examples/axum.rs`.
//!
//! | row | where |
//! |---|---|
//! | D1–D3, D8–D12, D14, D19 | here, against files; in depth in `beneath-serve` |
//! | D4–D7 (floods of HTTP/2), D13 (descriptors), D15 (drain) | `beneath-serve`: the listener's alone |
//! | D16 (log injection), D17 (metrics) | `beneathd`: nothing here logs or counts |
//! | D18 (TLS) | `beneath-serve` and the dependency audit |

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::support::{Reply, Stack, Tree, app, connect, exchange, get, raw, serve_with, until_closed};
use beneath_serve::Limits;

/// Larger than all buffers between a server and a client that does not read.
const LARGE: usize = 24 << 20;

fn tree() -> &'static Tree {
    static TREE: OnceLock<Tree> = OnceLock::new();
    TREE.get_or_init(|| {
        let tree = Tree::new();
        tree.file("x", "content").file("[x]*", "literal");
        fs::File::create(tree.root().join("large"))
            .unwrap()
            .set_len(LARGE as u64)
            .unwrap();
        tree
    })
}

fn addr() -> SocketAddr {
    static ADDR: OnceLock<SocketAddr> = OnceLock::new();
    *ADDR.get_or_init(|| Stack::Axum.serve(&tree().root()))
}

/// The same listener with patience for a test.
fn impatient() -> SocketAddr {
    static ADDR: OnceLock<SocketAddr> = OnceLock::new();
    *ADDR.get_or_init(|| {
        let mut limits = Limits::default();
        limits.header_timeout = Duration::from_secs(1);
        limits.idle_timeout = Duration::from_secs(1);
        limits.stall_timeout = Duration::from_secs(1);
        serve_with(app(&tree().root()), limits)
    })
}

/// Refused with 400, the connection closed, and what follows never read as a request.
#[track_caller]
fn assert_rejected(message: &str) {
    let answer = exchange(
        addr(),
        format!("{message}GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
    );
    let reply = Reply::parse(&answer);
    assert!(matches!(reply.status, 400 | 501), "{message:?}: {}", reply.head);
    assert!(!reply.contains("HTTP/1.1 200"), "{message:?}: {reply:?}");
}

#[test]
fn d1_a_client_that_drips_its_head_is_cut() {
    let addr = impatient();
    let silent = |head: &[u8]| {
        let mut stream = connect(addr);
        stream.write_all(head).unwrap();
        let started = Instant::now();
        until_closed(&mut stream);
        started.elapsed()
    };
    assert!(silent(b"").as_secs() < 4);
    assert!(silent(b"GET /x HT").as_secs() < 4);
    assert!(silent(b"GET /x HTTP/1.1\r\nHost: a\r\n").as_secs() < 4);
    let mut stream = connect(addr);
    stream.write_all(b"GET /x HTTP/1.1\r\nHost: a\r\n").unwrap();
    let started = Instant::now();
    while stream.write_all(b"X-Drip: 1\r\n").is_ok() {
        assert!(
            started.elapsed() < Duration::from_secs(5),
            "each line buys more time"
        );
        std::thread::sleep(Duration::from_millis(200));
    }
    assert!(Limits::default().header_timeout <= Duration::from_secs(15));
}

#[test]
fn d2_a_client_that_does_not_read_is_cut() {
    let mut stream = connect(impatient());
    stream
        .write_all(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    std::thread::sleep(Duration::from_secs(5));
    let bytes = until_closed(&mut stream);
    assert!(bytes.len() < LARGE, "it waited");
    // The control: whoever reads gets all of it.
    let mut stream = connect(impatient());
    stream
        .write_all(b"GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .unwrap();
    assert_eq!(Reply::parse(&until_closed(&mut stream)).body.len(), LARGE);
}

#[test]
fn d3_the_body_of_a_post_is_not_waited_for() {
    let mut stream = connect(addr());
    let started = Instant::now();
    stream
        .write_all(b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\na")
        .unwrap();
    let mut start = [0; 12];
    stream.read_exact(&mut start).unwrap();
    assert!(
        matches!(&start, b"HTTP/1.1 405" | b"HTTP/1.1 413"),
        "{}",
        String::from_utf8_lossy(&start)
    );
    assert!(started.elapsed() < Duration::from_secs(2));
    // A GET with content is answered without it, too.
    let mut stream = connect(addr());
    stream
        .write_all(b"GET /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\na")
        .unwrap();
    stream.read_exact(&mut start).unwrap();
    assert!(
        matches!(&start, b"HTTP/1.1 200" | b"HTTP/1.1 413"),
        "{}",
        String::from_utf8_lossy(&start)
    );
    assert!(started.elapsed() < Duration::from_secs(4));
}

#[test]
fn d9_ambiguous_framing_is_rejected() {
    let head = "POST /x HTTP/1.1\r\nHost: a\r\n";
    for framing in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        "Content-Length: 5, 6\r\n\r\nhello",
        "Content-Length: +5\r\n\r\nhello",
        "Content-Length: -1\r\n\r\n",
        "Content-Length: 0x5\r\n\r\nhello",
        "Content-Length: 5 5\r\n\r\nhello",
        "Content-Length: 99999999999999999999\r\n\r\n",
        "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: identity\r\n\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        "Content-Length : 5\r\n\r\nhello",
        "X-A: b\r\n folded\r\n\r\n",
        " X-A: b\r\n\r\n",
        "X A: b\r\n\r\n",
        ": b\r\n\r\n",
        "X-A: b\0c\r\n\r\n",
    ] {
        assert_rejected(&format!("{head}{framing}"));
        assert_rejected(&format!("GET /x HTTP/1.1\r\nHost: a\r\n{framing}"));
    }
}

#[test]
fn d9_a_bare_line_feed_ends_no_line() {
    for message in [
        "GET /x HTTP/1.1\nHost: a\n\n",
        "GET /x HTTP/1.1\r\nHost: a\n\n",
        "GET /x HTTP/1.1\r\nHost: a\nX: b\r\n\r\n",
        "GET /x HTTP/1.1\r\nHost: a\rX: b\r\n\r\n",
    ] {
        let reply = raw(addr(), message);
        assert_eq!(reply.status, 400, "{message:?}: {}", reply.head);
    }
}

#[test]
fn d10_a_malformed_request_line_is_400() {
    for line in [
        "GET  /x HTTP/1.1",
        "GET /x HTTP/1.1 ",
        "GET /x  HTTP/1.1",
        "GET /x HTTP/2.0",
        "GET /x HTTP/1.2x",
        "GET /x http/1.1",
        "GET /x",
        "GET",
        " GET /x HTTP/1.1",
        "G\u{e9}T /x HTTP/1.1",
        "GET /x\ty HTTP/1.1",
        "GET\t/x\tHTTP/1.1",
    ] {
        let reply = raw(addr(), format!("{line}\r\nHost: a\r\nConnection: close\r\n\r\n"));
        assert!(matches!(reply.status, 400 | 505), "{line:?}: {}", reply.head);
    }
}

#[test]
fn d11_a_request_names_exactly_one_host() {
    for fields in [
        "",
        "Host: a\r\nHost: b\r\n",
        "Host: a\r\nHost: a\r\n",
        "Host: a b\r\n",
        "Host: a/b\r\n",
        "Host: a@b\r\n",
        "Host: a, b\r\n",
        "Host : a\r\n",
        "Host: a\r\nhost: a\r\n",
    ] {
        let reply = raw(
            addr(),
            format!("GET /x HTTP/1.1\r\n{fields}Connection: close\r\n\r\n"),
        );
        assert_eq!(reply.status, 400, "{fields:?}: {}", reply.head);
    }
    // RFC 9112 §3.2: this is about HTTP/1.1.
    assert_eq!(raw(addr(), "GET /x HTTP/1.0\r\n\r\n").status, 200);
    for host in ["a", "a:80", "[::1]:80", "127.0.0.1"] {
        let reply = raw(
            addr(),
            format!("GET /x HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"),
        );
        assert_eq!(reply.status, 200, "{host}: {}", reply.head);
    }
}

#[test]
fn d12_a_head_bomb_is_431() {
    let long = format!("X: {}", "a".repeat(100_000));
    assert_eq!(get(addr(), "/x", &[&long]).status, 431);
    let many: Vec<_> = (0..1000).map(|index| format!("X-{index}: a")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    assert_eq!(get(addr(), "/x", &many).status, 431);
    let reply = get(addr(), format!("/{}", "a".repeat(100_000)), &[]);
    assert!(matches!(reply.status, 414 | 431), "{}", reply.head);
    assert_eq!(
        get(addr(), "/x", &["X-A: a\r\n".repeat(50).trim_end()]).status,
        200,
        "the control"
    );
}

#[test]
fn d14_a_truncated_file_does_not_kill_the_server() {
    let tree = Tree::new();
    tree.file("y", vec![b'y'; LARGE]).file("x", "content");
    let addr = Stack::Axum.serve(&tree.root());
    let mut stream = connect(addr);
    stream
        .write_all(b"GET /y HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .unwrap();
    stream.read_exact(&mut [0; 1000]).unwrap();
    fs::OpenOptions::new()
        .write(true)
        .open(tree.root().join("y"))
        .unwrap()
        .set_len(0)
        .unwrap();
    assert!(until_closed(&mut stream).len() < LARGE);
    assert_eq!(get(addr, "/x", &[]).body, b"content");
}

#[test]
fn d19_metacharacters_are_letters() {
    assert_eq!(get(addr(), "/%5Bx%5D*", &[]).body, b"literal");
    assert_eq!(get(addr(), "/[x]*", &[]).body, b"literal");
    for target in [
        "/*", "/?", "/{x,y}", "/[a-z]", "/x*", "/%3F", "/~", "/$HOME", "/x%7c",
    ] {
        let reply = get(addr(), target, &[]);
        assert!(matches!(reply.status, 400 | 404), "{target}: {}", reply.head);
    }
}

#[test]
fn requests_on_one_connection_are_answered_in_order() {
    let answer = exchange(
        addr(),
        "GET /x HTTP/1.1\r\nHost: a\r\n\r\nGET /missing HTTP/1.1\r\nHost: a\r\n\r\nHEAD /x HTTP/1.1\r\nHost: a\r\n\r\nGET /%5Bx%5D* HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    );
    let text = String::from_utf8(answer).unwrap();
    let statuses: Vec<_> = text
        .match_indices("HTTP/1.1 ")
        .map(|(at, _)| &text[at + 9..at + 12])
        .collect();
    assert_eq!(statuses, ["200", "404", "200", "200"], "{text}");
    assert!(text.ends_with("literal"));
}

#[test]
fn a_client_that_closes_its_half_still_gets_its_answer() {
    for _ in 0..100 {
        let mut stream = connect(addr());
        stream.write_all(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(Reply::parse(&until_closed(&mut stream)).body, b"content");
    }
}
