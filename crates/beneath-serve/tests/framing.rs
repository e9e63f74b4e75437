//! Where one request ends and the next begins is beyond doubt, or the answer is 400 and the end of the connection
//! (CWE-444; RFC 9112 §2.2, §3.2, §5, §6).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says so by failing"
)]

mod support;

use beneath_serve::Limits;
use support::{GET, Running, count, only, status};

/// Whatever comes after a refused head is not looked at: a second request in there is not answered.
#[test]
fn a_doubtful_head_is_answered_400_and_ends_the_connection() {
    let server = Running::start(Limits::default());
    let smuggled = "GET /path/smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    for head in [
        // No host, two, and none that is one.
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: user@a\r\n\r\n",
        "GET http://user@a/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost:\r\n\r\n",
        // Two lengths, or none that is one.
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\nhello",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\nhello",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551621\r\n\r\nhello",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\nhello",
        // Transfer codings.
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
        "POST /echo HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        // Lines.
        "GET / HTTP/1.1\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\n",
        "GET / HTTP/1.1\nHost: a\n\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n\tb\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length : 5\r\n\r\nhello",
        "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\rY: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n: empty\r\n\r\n",
        "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.2\r\nHost: a\r\n\r\n",
        "GET /\r\n\r\n",
    ] {
        let whole = server.client().send([head, smuggled].concat()).rest();
        assert_eq!(
            (status(&whole), count(&whole)),
            (400, 1),
            "{}: {whole}",
            head.escape_debug()
        );
        // And when it comes in pieces, with the doubt in a later one.
        let mut client = server.client();
        for piece in head.as_bytes().chunks(7) {
            // It may have been refused before it was all there.
            if std::io::Write::write_all(&mut client.0, piece).is_err() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_micros(300));
        }
        let pieces = client.rest();
        assert_eq!(
            (status(&pieces), count(&pieces)),
            (400, 1),
            "{}: {pieces}",
            head.escape_debug()
        );
    }
}

#[test]
fn the_control_is_that_hyper_alone_serves_heads_which_are_refused_here() {
    for head in [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET / HTTP/1.1\nHost: a\n\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    ] {
        let answer = support::Client::connect(bare_hyper()).send(head).response();
        assert_eq!(status(&answer), 200, "{}", head.escape_debug());
    }
}

/// `axum::serve` would do; it is hyper with nothing around it either way.
fn bare_hyper() -> std::net::SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let (stream, _) = listener.accept().unwrap();
        runtime.block_on(async {
            stream.set_nonblocking(true).unwrap();
            let stream = hyper_util::rt::TokioIo::new(tokio::net::TcpStream::from_std(stream).unwrap());
            let service = hyper_util::service::TowerToHyperService::new(support::app());
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(stream, service)
                .await;
        });
    });
    address
}

#[test]
fn requests_follow_each_other_however_they_are_cut_into_packets() {
    let server = Running::start(Limits::default());
    let stream = [
        "\r\nGET /path/one HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n\n\r\ntwo\n\n\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
        "GET /path/three HTTP/1.1\r\nhost: a:80\r\ncontent-length: 0\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: [::1]\r\nTransfer-Encoding: CHUNKED\r\n\r\n4\r\nfour\r\n0\r\n\r\n",
    ]
    .concat();
    for size in [1, 2, 3, 7, 24, 25, 100, 1000] {
        let mut client = server.client();
        for piece in stream.as_bytes().chunks(size) {
            client.send(piece);
            if size < 4 {
                std::thread::sleep(std::time::Duration::from_micros(100));
            }
        }
        let answers = client.rest();
        assert_eq!(count(&answers), 5, "{answers}");
        for part in ["one", "\n\r\ntwo\n\n\n", "three", "four"] {
            assert!(answers.contains(part), "{part} in {answers}");
        }
    }
}

#[test]
fn a_request_with_a_chunked_body_is_the_last_of_its_connection() {
    let server = Running::start(Limits::default());
    let chunked =
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    let answers = server.client().send([chunked, GET].concat()).rest();
    assert_eq!((status(&answers), count(&answers)), (200, 1), "{answers}");
    assert!(answers.contains("connection: close\r\n"), "{answers}");
}

#[test]
fn earlier_requests_are_answered_before_the_doubtful_one_is_refused() {
    let server = Running::start(Limits::default());
    let answers = server
        .client()
        .send([GET, GET, "GET / HTTP/1.1\nHost: a\n\n"].concat())
        .rest();
    assert_eq!(count(&answers), 3, "{answers}");
    assert_eq!(status(&answers), 200);
    assert!(answers.contains("HTTP/1.1 400 Bad Request"), "{answers}");
}

#[test]
fn a_body_that_nobody_reads_is_not_taken_for_a_request() {
    let server = Running::start(Limits::default());
    let hidden = GET.repeat(4000);
    let head = format!(
        "POST /unread HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
        hidden.len()
    );
    let mut client = server.client();
    client.send(&head);
    // The server may close before it is all sent.
    let _ = std::io::Write::write_all(&mut client.0, hidden.as_bytes());
    let answers = client.rest();
    assert_eq!((status(&answers), count(&answers)), (200, 1), "{answers}");
}

#[test]
fn a_body_of_a_get_is_not_waited_for() {
    let server = Running::start(only(|_| {}));
    let mut client = server.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nsome of it");
    assert_eq!(status(&client.rest()), 200);
}

#[test]
fn a_head_that_is_too_large_is_answered_431() {
    let server = Running::start(Limits::default());
    let large = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(100_000));
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "x: y\r\n".repeat(1000));
    let fits = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(15_000));
    for (head, expected) in [(large, 431), (many, 431), (fits, 200)] {
        let mut client = server.client();
        let _ = std::io::Write::write_all(&mut client.0, head.as_bytes());
        assert_eq!(status(&client.response()), expected);
    }
}

#[test]
fn a_body_that_is_too_large_is_answered_413_before_it_is_read() {
    let mut limits = Limits::default();
    limits.request_body = 1000;
    let server = Running::start(limits);
    let answer = server
        .client()
        .send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n")
        .rest();
    assert_eq!(status(&answer), 413);
    let fits = format!(
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n{}",
        "x".repeat(1000)
    );
    assert_eq!(status(&server.client().send(fits).response()), 200);
    // Not announced: the body itself fails, and the handler is told.
    let chunk = format!("3e9\r\n{}\r\n0\r\n\r\n", "x".repeat(1001));
    let head = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let answer = server.client().send([head, &chunk].concat()).rest();
    assert_ne!(status(&answer), 200, "{answer}");
}

#[test]
fn a_limit_that_hyper_cannot_keep_is_raised_for_both_of_them() {
    let mut limits = Limits::default();
    limits.header_bytes = 1;
    let server = Running::start(limits);
    let large = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(5000));
    let doubtful = "GET / HTTP/1.1\nHost: a\n\n";
    let answers = server.client().send([&large, doubtful].concat()).rest();
    assert_eq!((status(&answers), count(&answers)), (200, 2), "{answers}");
    assert!(answers.contains("HTTP/1.1 400"), "{answers}");
}

/// The check and hyper agree where each head begins: of any sequence of requests, cut anywhere, as many are
/// answered as were sent, and none that stands in a body.
#[test]
fn whatever_is_sent_in_whatever_pieces_the_answers_are_those_to_the_requests() {
    let server = Running::start(Limits::default());
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for _ in 0..300 {
        let mut bytes = String::new();
        let mut expected = Vec::new();
        for n in 0..=random.below(6) {
            if random.below(2) == 0 {
                bytes += &format!(
                    "GET /path/get-{n} HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n",
                    "x".repeat(random.below(60))
                );
                expected.push(format!("get-{n}"));
            } else {
                let body = format!(
                    "post-{n}\r\n\r\nGET /path/smuggled HTTP/1.1\r\n\n{}",
                    "y".repeat(random.below(3000))
                );
                bytes += &format!(
                    "POST /echo HTTP/1.1\r\nhost:a\r\nContent-Length: {}\r\n\r\n{body}",
                    body.len()
                );
                expected.push(body);
            }
        }
        let mut client = server.client();
        let mut rest = bytes.as_bytes();
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(rest.len().min(1 + random.below(400)));
            client.send(piece);
            rest = after;
        }
        for expected in expected {
            let answer = client.response();
            assert!(
                answer.starts_with("http/1.1 200") && answer.ends_with(&expected),
                "{answer:?}, not {expected:?}"
            );
        }
        client.0.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(client.rest(), "", "more answers than requests");
    }
}

/// xorshift64: the same sequence in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).unwrap()
    }
}
