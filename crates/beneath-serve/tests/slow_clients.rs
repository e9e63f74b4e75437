//! Slow, silent and stalled clients are cut within their time, and nobody else notices (slowhttptest -H, -B, -R, -X;
//! CVE-2007-6750).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says so by failing"
)]

mod support;

use std::io::Write;
use std::net::TcpStream;
use std::thread::sleep;
use std::time::{Duration, Instant};

use socket2::SockRef;
use support::{Client, GET, PATIENCE, Running, at_once, not_before, only, status};

const SECOND: Duration = Duration::from_secs(1);

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A client with a small receive buffer, so that what it does not read soon waits at the server.
fn narrow(server: &Running) -> Client {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&server.address.into()).unwrap();
    Client::new(TcpStream::from(socket))
}

#[test]
fn a_client_that_says_nothing_is_closed_after_the_header_timeout() {
    let server = Running::start(only(|limits| limits.header_timeout = SECOND));
    let begin = Instant::now();
    assert_eq!(server.client().closed(), 0);
    not_before(SECOND, begin);
}

#[test]
fn half_a_head_is_answered_408_after_the_header_timeout() {
    let server = Running::start(only(|limits| limits.header_timeout = SECOND));
    let begin = Instant::now();
    let answer = server.client().send("GET / HTTP/1.1\r\nHost: a\r\n").rest();
    assert_eq!(status(&answer), 408);
    not_before(SECOND, begin);
}

/// slowhttptest -H.
#[test]
fn a_head_that_drips_is_cut_at_the_same_time_as_one_that_stops() {
    let server = Running::start(only(|limits| limits.header_timeout = SECOND));
    let begin = Instant::now();
    let mut client = server.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n");
    // For each line to buy more time, this would never end.
    while client.0.write_all(b"X-a: b\r\n").is_ok() {
        assert!(begin.elapsed() < PATIENCE, "still open");
        sleep(millis(50));
    }
    not_before(SECOND, begin);
}

#[test]
fn a_later_head_that_drips_is_cut_by_the_header_timeout_not_the_idle_one() {
    let server = Running::start(only(|limits| limits.header_timeout = SECOND));
    let mut client = server.client();
    client.send(GET).response();
    sleep(millis(1200)); // Idle for longer than a head may take: that is allowed.
    let begin = Instant::now();
    client.send("GET / HT");
    assert_eq!(status(&client.rest()), 408);
    not_before(SECOND, begin);
}

#[test]
fn a_connection_that_asks_nothing_more_is_closed_after_the_idle_timeout() {
    let server = Running::start(only(|limits| limits.idle_timeout = SECOND));
    let begin = Instant::now();
    let mut client = server.client();
    client.send(GET).response();
    assert_eq!(client.closed(), 0);
    not_before(SECOND, begin);
}

#[test]
fn a_handler_that_takes_long_is_waited_for() {
    let server = Running::start(only(|limits| {
        limits.header_timeout = SECOND;
        limits.idle_timeout = SECOND;
        limits.stall_timeout = SECOND;
    }));
    let answer = server
        .client()
        .send("GET /slow/2500 HTTP/1.1\r\nHost: a\r\n\r\n")
        .response();
    assert_eq!(status(&answer), 200);
}

/// slowhttptest -B.
#[test]
fn a_body_that_stops_or_drips_is_cut_by_the_stall_timeout() {
    let server = Running::start(only(|limits| limits.stall_timeout = SECOND));
    let begin = Instant::now();
    let mut silent = server.client();
    silent.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nsome");
    silent.closed();
    not_before(SECOND, begin);

    let begin = Instant::now();
    let mut dripping = server.client();
    dripping.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n");
    while dripping.0.write_all(b"x").is_ok() {
        assert!(begin.elapsed() < PATIENCE, "still open");
        sleep(millis(50));
    }
    not_before(SECOND, begin);
}

#[test]
fn a_body_above_the_minimum_rate_takes_as_long_as_it_takes() {
    let server = Running::start(only(|limits| limits.stall_timeout = 2 * SECOND));
    let begin = Instant::now();
    let mut client = server.client();
    client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 8000\r\n\r\n");
    for _ in 0..20 {
        client.send([b'x'; 400]);
        sleep(millis(120)); // 3.3 kB/s, for 2.4 seconds.
    }
    assert_eq!(status(&client.response()), 200);
    not_before(2 * SECOND, begin);
}

/// slowhttptest -X with a window that never opens again.
#[test]
fn a_client_that_takes_nothing_is_reset_after_the_stall_timeout() {
    let server = Running::start(only(|limits| limits.stall_timeout = SECOND));
    let begin = Instant::now();
    let mut client = narrow(&server);
    client.send("GET /zeros/1000000000 HTTP/1.1\r\nHost: a\r\n\r\n");
    client.reset();
    not_before(SECOND, begin);
}

/// slowhttptest -X.
#[test]
fn a_client_that_takes_less_than_the_minimum_rate_is_reset_too() {
    let server = Running::start(only(|limits| {
        limits.stall_timeout = SECOND;
        limits.minimum_rate = 1_000_000;
    }));
    let begin = Instant::now();
    let mut client = narrow(&server);
    client.send("GET /zeros/1000000000 HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut buf = [0; 4096];
    while std::io::Read::read(&mut client.0, &mut buf).is_ok_and(|read| read > 0) {
        assert!(begin.elapsed() < PATIENCE, "still open");
        sleep(millis(20)); // At most 200 kB/s.
    }
    not_before(SECOND, begin);
}

#[test]
fn a_client_above_the_minimum_rate_gets_every_byte_however_long_that_takes() {
    let server = Running::start(only(|limits| limits.stall_timeout = SECOND));
    let begin = Instant::now();
    let mut client = narrow(&server);
    SockRef::from(&client.0).set_recv_buffer_size(16 * 1024).unwrap();
    let length = 2_000_000;
    client.send(format!(
        "GET /zeros/{length} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    ));
    let mut buf = vec![0; 8 * 1024];
    let mut total = 0;
    loop {
        match std::io::Read::read(&mut client.0, &mut buf).unwrap() {
            0 => break,
            read => total += read,
        }
        sleep(millis(10)); // At most 800 kB/s.
    }
    assert!(total > length, "{total}");
    not_before(2 * SECOND, begin); // Faster, it would prove nothing.
}

/// A socket that is closed with something unread resets the connection, and the kernel forgets what it had yet to send
/// (RFC 9112 §9.6).
#[test]
fn an_answer_is_not_lost_for_what_came_with_its_request_and_was_not_read() {
    let body = "x".repeat(60_000);
    let length = 16_000;
    let begin = format!("GET /zeros/{length} HTTP/1.1\r\nHost: a\r\n");
    for request in [
        format!("{begin}Content-Length: {}\r\n\r\n{body}", body.len()),
        format!(
            "{begin}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
            body.len()
        ),
        format!("{begin}Connection: close\r\n\r\n{}", GET.repeat(2000)),
    ] {
        let server = Running::start(only(|_| {}));
        let mut client = narrow(&server);
        client.send(&request);
        sleep(millis(300));
        let mut answer = Vec::new();
        std::io::Read::read_to_end(&mut client.0, &mut answer).unwrap();
        assert!(
            answer.len() > length,
            "{} bytes after {:.90}",
            answer.len(),
            request
        );
    }
}

/// slowhttptest -R: many ranges are the application's business; many requests that are never read are this.
#[test]
fn pipelined_requests_whose_answers_are_not_read_are_reset() {
    let server = Running::start(only(|limits| limits.stall_timeout = SECOND));
    let mut client = narrow(&server);
    let many = "GET /zeros/60000 HTTP/1.1\r\nHost: a\r\n\r\n".repeat(1000);
    client.0.set_write_timeout(Some(millis(200))).unwrap();
    let _ = client.0.write_all(many.as_bytes());
    client.reset();
}

#[test]
fn others_are_served_while_a_thousand_slow_clients_hold_on() {
    // More than it takes to open them all, on a machine that has something else to do.
    let server = Running::start(only(|limits| limits.header_timeout = 10 * SECOND));
    let slow: Vec<Client> = (0..1000)
        .map(|_| {
            let mut client = server.client();
            client.send("GET / HTTP/1.1\r\nX: ");
            client
        })
        .collect();
    for _ in 0..20 {
        at_once(millis(300), || {
            assert_eq!(status(&server.client().send(GET).response()), 200);
        });
    }
    assert!(slow.iter().all(Client::is_held), "they were not waited for");
    for mut client in slow {
        client.closed();
    }
}

/// Between requests a connection gives its buffers back; the client must not be able to tell.
#[test]
fn a_connection_that_rests_between_requests_serves_on_drips_on_and_ends_as_any_other() {
    let server = Running::start(only(|limits| limits.header_timeout = 2 * SECOND));
    let mut client = server.client();
    for _ in 0..3 {
        assert_eq!(status(&client.send(GET).response()), 200);
        sleep(millis(250));
    }
    // A head in pieces wakes it, and is under the header timeout.
    client.send("GET / HTTP/1.1\r\nHo");
    sleep(millis(250));
    assert_eq!(status(&client.send("st: a\r\n\r\n").response()), 200);
    sleep(millis(250));
    let begin = Instant::now();
    client.send("\r");
    assert_eq!(status(&client.rest()), 408);
    not_before(2 * SECOND, begin);
    // A client that leaves while it rests leaves nothing behind.
    let mut leaving = server.client();
    leaving.send(GET).response();
    sleep(millis(250));
    drop(leaving);
    let begin = Instant::now();
    assert_eq!(server.stop().aborted, 0);
    assert!(begin.elapsed() < PATIENCE, "{:?}", begin.elapsed());
}
