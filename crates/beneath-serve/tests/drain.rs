//! After the shutdown signal: no new connection, what is under way finishes, and what does not is cut.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says so by failing"
)]

mod support;

use std::io::Read as _;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use support::{Client, GET, PATIENCE, Running, only, status};

/// A request that is under way, since its handler asks for the body, and stays so until that comes.
fn under_way(server: &Running) -> Client {
    let mut client = server.client();
    client.send("POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    let mut told = [0; 25];
    client.0.read_exact(&mut told).unwrap();
    assert_eq!(&told, b"HTTP/1.1 100 Continue\r\n\r\n");
    client
}

#[test]
fn a_request_under_way_is_finished_and_the_client_told_to_close() {
    let mut server = Running::start(only(|_| {}));
    let mut client = under_way(&server);
    server.close_the_door();
    let answer = client.send("hello").rest();
    assert_eq!(status(&answer), 200);
    assert!(answer.contains("connection: close\r\n"), "{answer}");
    assert!(answer.ends_with("hello"), "{answer}");
    let drained = server.stop();
    assert_eq!((drained.finished, drained.aborted), (1, 0));
}

#[test]
fn idle_and_silent_connections_do_not_hold_the_drain_up() {
    let server = Running::start(only(|_| {}));
    let mut silent = server.client();
    // Connections are accepted in their order: when this one is answered, both are there.
    let mut idle = server.client();
    idle.send(GET).response();
    let begin = Instant::now();
    let drained = server.stop();
    assert!(begin.elapsed() < PATIENCE, "{:?}", begin.elapsed());
    assert_eq!((drained.finished, drained.aborted), (2, 0));
    for client in [&mut idle, &mut silent] {
        client.closed();
    }
}

#[test]
fn an_unfinished_head_holds_the_drain_up_no_longer_than_a_head_may_take() {
    let server = Running::start(only(|limits| limits.header_timeout = Duration::from_secs(1)));
    let mut partial = server.client();
    partial.send("GET / HT");
    let mut idle = server.client();
    idle.send(GET).response();
    let begin = Instant::now();
    let drained = server.stop();
    assert!(begin.elapsed() < PATIENCE, "{:?}", begin.elapsed());
    assert_eq!((drained.finished, drained.aborted), (2, 0));
    partial.closed();
}

#[test]
fn nothing_is_accepted_after_the_signal() {
    let mut server = Running::start(only(|_| {}));
    let mut client = under_way(&server);
    server.close_the_door();
    assert!(TcpStream::connect(server.address).is_err());
    client.send("hello").response();
}

#[test]
fn a_download_that_is_not_done_by_the_deadline_is_aborted_and_counted() {
    let drain = Duration::from_millis(1500);
    let server = Running::start(only(|limits| limits.drain = drain));
    let mut client = server.client();
    client.send("GET /zeros/1000000000 HTTP/1.1\r\nHost: a\r\n\r\n");
    client.0.read_exact(&mut [0; 15]).unwrap();
    let begin = Instant::now();
    let drained = server.stop();
    assert_eq!((drained.finished, drained.aborted), (0, 1));
    assert!(
        (drain..PATIENCE).contains(&begin.elapsed()),
        "{:?}",
        begin.elapsed()
    );
    client.reset(); // An error, not an end.
}

#[test]
fn an_abort_ends_a_response_that_the_client_does_not_read() {
    let server = Running::start(only(|_| {}));
    let begin = Instant::now();
    let mut client = server.client();
    client.send("GET /abort/500 HTTP/1.1\r\nHost: a\r\n\r\n");
    client.reset();
    assert!(
        begin.elapsed() >= Duration::from_millis(500),
        "{:?}",
        begin.elapsed()
    );
}
