//! After the shutdown signal: no new connection, what is under way finishes, and what does not is cut.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says so by failing"
)]

mod support;

use std::net::TcpStream;
use std::thread::sleep;
use std::time::{Duration, Instant};

use support::{GET, Running, quick, status};

#[test]
fn a_request_under_way_is_finished_and_the_client_told_to_close() {
    let mut server = Running::start(quick());
    let mut client = server.client();
    client.send("GET /slow/600 HTTP/1.1\r\nHost: a\r\n\r\n");
    sleep(Duration::from_millis(200));
    server.signal();
    let answer = client.rest();
    assert_eq!(status(&answer), 200);
    assert!(answer.contains("connection: close\r\n"), "{answer}");
    let drained = server.stop();
    assert_eq!((drained.finished, drained.aborted), (1, 0));
}

#[test]
fn idle_connections_and_unfinished_heads_do_not_hold_the_drain_up() {
    let server = Running::start(quick());
    let mut idle = server.client();
    idle.send(GET).response();
    let mut silent = server.client();
    let mut partial = server.client();
    partial.send("GET / HT");
    sleep(Duration::from_millis(100));
    let begin = Instant::now();
    let drained = server.stop();
    assert!(
        begin.elapsed() < Duration::from_millis(1200),
        "{:?}",
        begin.elapsed()
    );
    assert_eq!((drained.finished, drained.aborted), (3, 0));
    for client in [&mut idle, &mut silent, &mut partial] {
        client.closed_within(Duration::from_secs(1));
    }
}

#[test]
fn nothing_is_accepted_after_the_signal() {
    let mut server = Running::start(quick());
    let mut client = server.client();
    client.send("GET /slow/700 HTTP/1.1\r\nHost: a\r\n\r\n");
    sleep(Duration::from_millis(200));
    server.signal();
    sleep(Duration::from_millis(200));
    assert!(TcpStream::connect(server.address).is_err());
    client.response();
}

#[test]
fn a_download_that_is_not_done_by_the_deadline_is_aborted_and_counted() {
    let mut limits = quick();
    limits.stall_timeout = Duration::from_secs(60);
    let server = Running::start(limits);
    let mut client = server.client();
    client.send("GET /zeros/1000000000 HTTP/1.1\r\nHost: a\r\n\r\n");
    sleep(Duration::from_millis(300));
    let begin = Instant::now();
    let drained = server.stop();
    assert_eq!((drained.finished, drained.aborted), (0, 1));
    let took = begin.elapsed();
    assert!((1400..2600).contains(&took.as_millis()), "{took:?}");
    let error = client
        .0
        .take_error()
        .unwrap()
        .expect("the client must see an error, not an end");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[test]
fn an_abort_ends_a_response_that_the_client_does_not_read() {
    let mut limits = quick();
    limits.stall_timeout = Duration::from_secs(60);
    let server = Running::start(limits);
    let mut client = server.client();
    client.send("GET /abort/500 HTTP/1.1\r\nHost: a\r\n\r\n");
    sleep(Duration::from_millis(300));
    assert!(client.0.take_error().unwrap().is_none());
    sleep(Duration::from_millis(600));
    let error = client.0.take_error().unwrap().expect("still open");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}
