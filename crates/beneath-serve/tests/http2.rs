//! HTTP/2, frame by frame: what a hostile client may send costs a bounded amount and ends its connection, not the server.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says so by failing"
)]

mod support;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use beneath_serve::Limits;
use support::{Client, GET, PATIENCE, Running, at_once, not_before, only, status};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const ACK: u8 = 1;

#[derive(Debug)]
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

/// An HTTP/2 client that sends the frames it is told to.
struct Frames(Client);

impl Frames {
    /// Connects with prior knowledge; `settings` are (identifier, value).
    fn new(server: &Running, settings: &[(u16, u32)]) -> Self {
        let mut this = Self(server.client());
        this.0.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        let payload: Vec<u8> = settings
            .iter()
            .flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat())
            .collect();
        this.send(SETTINGS, 0, 0, &payload);
        this
    }

    fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        self.0.send(frame(kind, flags, stream, payload));
    }

    /// A POST whose handler waits for the body.
    fn post(&mut self, stream: u32) {
        let mut post = head("/echo", "a");
        post[0] = 0x83;
        self.send(HEADERS, END_HEADERS, stream, &post);
    }

    /// A GET that ends with its head.
    fn get(&mut self, stream: u32, path: &str) {
        self.send(HEADERS, END_STREAM | END_HEADERS, stream, &head(path, "a"));
    }

    /// `None` when the server has closed. A PING is answered, as every client does.
    fn next(&mut self) -> Option<Frame> {
        let mut header = [0; 9];
        self.0.0.read_exact(&mut header).ok()?;
        let length = u32::from_be_bytes([0, header[0], header[1], header[2]]);
        let mut payload = vec![0; length as usize];
        self.0.0.read_exact(&mut payload).ok()?;
        if header[3] == PING && header[4] & ACK == 0 {
            // The server may have closed meanwhile.
            let _ = self.0.0.write_all(&frame(PING, ACK, 0, &payload));
        }
        Some(Frame {
            kind: header[3],
            flags: header[4],
            stream: u32::from_be_bytes([header[5] & 0x7f, header[6], header[7], header[8]]),
            payload,
        })
    }

    /// The next frame of this kind.
    fn until(&mut self, kind: u8) -> Frame {
        self.find(|frame| frame.kind == kind)
    }

    /// The next frame of this stream.
    fn next_of(&mut self, stream: u32) -> Frame {
        self.find(|frame| frame.stream == stream)
    }

    fn find(&mut self, wanted: impl Fn(&Frame) -> bool) -> Frame {
        let begin = Instant::now();
        loop {
            assert!(begin.elapsed() < PATIENCE, "no such frame");
            let frame = self.next().expect("closed before such a frame");
            if wanted(&frame) {
                return frame;
            }
        }
    }

    /// All that is left of the body of the only stream that has one.
    fn body_of(&mut self, stream: u32) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let frame = self.until(DATA);
            assert_eq!(frame.stream, stream);
            body.extend(frame.payload);
            if frame.flags & END_STREAM != 0 {
                return body;
            }
        }
    }

    /// So many bytes of it, or more.
    fn some_of_the_body(&mut self, at_least: usize) -> Vec<u8> {
        let mut body = Vec::new();
        while body.len() < at_least {
            body.extend(self.until(DATA).payload);
        }
        body
    }

    /// The error code of the GOAWAY that ends the connection; `None` if it ends without.
    fn goaway(&mut self) -> Option<u32> {
        let mut code = None;
        while let Some(frame) = self.next() {
            if frame.kind == GOAWAY {
                code = Some(u32::from_be_bytes(frame.payload[4..8].try_into().unwrap()));
            }
        }
        code
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// HPACK: GET, http, `path`, `authority`, by the static table and literals without indexing (RFC 7541 §6).
fn head(path: &str, authority: &str) -> Vec<u8> {
    let mut head = vec![0x82, 0x86, 0x04, u8::try_from(path.len()).unwrap()];
    head.extend(path.as_bytes());
    head.extend([0x01, u8::try_from(authority.len()).unwrap()]);
    head.extend(authority.as_bytes());
    head
}

const SECOND: Duration = Duration::from_secs(1);

/// The server still answers others, at once.
fn others_are_served(server: &Running) {
    at_once(Duration::from_millis(300), || {
        assert_eq!(status(&server.client().send(GET).response()), 200);
    });
}

#[test]
fn many_streams_at_once_get_all_their_bytes() {
    let server = Running::start(Limits::default());
    let mut client = Frames::new(&server, &[(4, 1 << 24)]);
    client.send(WINDOW_UPDATE, 0, 0, &(1_u32 << 30).to_be_bytes());
    for n in 0..60 {
        client.get(2 * n + 1, "/zeros/150000");
    }
    let mut received = BTreeMap::<u32, usize>::new();
    let mut ended = 0;
    while ended < 60 {
        let frame = client.next().unwrap();
        assert_ne!(frame.kind, RST_STREAM);
        if frame.kind == DATA {
            *received.entry(frame.stream).or_default() += frame.payload.len();
            ended += usize::from(frame.flags & END_STREAM != 0);
        }
    }
    assert_eq!(received.len(), 60);
    assert!(received.values().all(|&bytes| bytes == 150_000), "{received:?}");
}

/// CVE-2023-44487.
#[test]
fn rapid_reset_ends_the_connection() {
    let server = Running::start(Limits::default());
    let mut client = Frames::new(&server, &[]);
    let mut flood = Vec::new();
    for n in 0..10_000_u32 {
        flood.extend(frame(
            HEADERS,
            END_STREAM | END_HEADERS,
            2 * n + 1,
            &head("/slow/5000", "a"),
        ));
        flood.extend(frame(RST_STREAM, 0, 2 * n + 1, &8_u32.to_be_bytes()));
    }
    let _ = client.0.0.write_all(&flood);
    others_are_served(&server);
    assert!(
        matches!(client.goaway(), Some(11) | None),
        "ENHANCE_YOUR_CALM, or no connection left to say it"
    );
}

/// CVE-2025-8671: the client makes the server reset the streams.
#[test]
fn made_you_reset_ends_the_connection() {
    let server = Running::start(Limits::default());
    let mut client = Frames::new(&server, &[]);
    let mut flood = Vec::new();
    for n in 0..5_000_u32 {
        flood.extend(frame(
            HEADERS,
            END_STREAM | END_HEADERS,
            2 * n + 1,
            &head("/slow/5000", "a"),
        ));
        flood.extend(frame(WINDOW_UPDATE, 0, 2 * n + 1, &0_u32.to_be_bytes()));
    }
    let _ = client.0.0.write_all(&flood);
    others_are_served(&server);
    let code = client.goaway();
    assert!(!matches!(code, Some(0)), "{code:?}");
}

/// VU#421644.
#[test]
fn a_flood_of_continuation_frames_ends_the_connection_early() {
    let server = Running::start(Limits::default());
    let mut client = Frames::new(&server, &[]);
    client.send(HEADERS, END_STREAM, 1, &head("/", "a"));
    let field = [&[0x00, 1, b'x', 100][..], &[b'y'; 100]].concat();
    let piece = frame(CONTINUATION, 0, 1, &field.repeat(10));
    let mut sent = 0;
    while sent < 50_000_000 && client.0.0.write_all(&piece).is_ok() {
        sent += piece.len();
    }
    assert!(sent < 20_000_000, "{sent} bytes were taken");
    others_are_served(&server);
}

#[test]
fn a_header_list_above_the_limit_is_refused_and_the_connection_goes_on() {
    let server = Running::start(Limits::default());
    let mut client = Frames::new(&server, &[]);
    let field = [&[0x00, 1, b'x', 100][..], &[b'y'; 100]].concat();
    client.send(HEADERS, END_STREAM, 1, &head("/", "a"));
    client.send(CONTINUATION, 0, 1, &field.repeat(150));
    client.send(CONTINUATION, END_HEADERS, 1, &field.repeat(50));
    client.get(3, "/");
    let mut served = BTreeMap::new();
    while !served.contains_key(&3) {
        let frame = client.next().expect("closed");
        if frame.kind == HEADERS {
            served.insert(frame.stream, frame.payload);
        }
    }
    assert_eq!(served[&3][0], 0x88, "200");
    assert!(
        served.get(&1).is_none_or(|head| head[0] != 0x88),
        "200 to a head above the limit"
    );
}

/// Streams whose window stays shut each pin a file. They are reset, and the connection goes on.
#[test]
fn streams_whose_window_stays_shut_are_reset_after_the_stall_timeout() {
    let server = Running::start(only(|limits| limits.stall_timeout = SECOND));
    let mut client = Frames::new(&server, &[(4, 0)]);
    let begin = Instant::now();
    for n in 0..50 {
        client.get(2 * n + 1, "/zeros/1000000");
    }
    let mut reset = 0;
    while reset < 50 {
        let frame = client.next().expect("closed");
        assert_ne!(frame.kind, DATA);
        reset += usize::from(frame.kind == RST_STREAM);
    }
    not_before(SECOND, begin);
    client.send(SETTINGS, 0, 0, &[0, 4, 0, 1, 0, 0]);
    client.get(201, "/");
    assert_eq!(client.until(DATA).payload, b"hello");
}

/// The last piece of an answer is in nobody's hands but the protocol's, and a window of one byte keeps it there.
#[test]
fn a_stream_is_under_way_until_its_last_byte_has_left() {
    let server = Running::start(only(|limits| limits.stall_timeout = SECOND));
    let mut client = Frames::new(&server, &[(4, 1)]);
    let begin = Instant::now();
    client.get(1, "/zeros/1000");
    assert_eq!(client.until(DATA).payload.len(), 1);
    assert_eq!(client.until(RST_STREAM).stream, 1);
    not_before(SECOND, begin);
    // And where the client takes it all, the end comes when it has.
    client.send(SETTINGS, 0, 0, &[0, 4, 0, 1, 0, 0]);
    client.get(3, "/zeros/1000");
    assert_eq!(client.body_of(3).len(), 1000);
}

/// A client that knows the length need not open the window any further.
#[test]
fn a_window_as_large_as_the_answer_is_large_enough() {
    let server = Running::start(only(|limits| limits.stall_timeout = SECOND));
    let mut client = Frames::new(&server, &[(4, 1000)]);
    client.get(1, "/zeros/1000");
    assert_eq!(client.body_of(1).len(), 1000);
}

/// Several pieces of it may wait for the window, and its trailers behind them.
#[test]
fn a_stream_is_under_way_until_its_trailers_have_left() {
    let server = Running::start(only(|limits| limits.stall_timeout = SECOND));
    let mut client = Frames::new(&server, &[(4, 25)]);
    let begin = Instant::now();
    client.get(1, "/trailers");
    assert_eq!(client.until(HEADERS).flags & END_STREAM, 0);
    assert_eq!(client.some_of_the_body(25), b"0123456789012345678901234");
    assert_eq!(client.next_of(1).kind, RST_STREAM);
    not_before(SECOND, begin);
    client.send(SETTINGS, 0, 0, &[0, 4, 0, 1, 0, 0]);
    client.get(3, "/trailers");
    assert_eq!(client.until(HEADERS).flags & END_STREAM, 0);
    assert_eq!(client.some_of_the_body(30), b"0123456789".repeat(3));
    let trailers = client.next_of(3);
    assert_eq!(
        (trailers.kind, trailers.flags & END_STREAM),
        (HEADERS, END_STREAM)
    );
}

/// Each of them takes less than the minimum rate, and waits for its turn longer than the stall timeout.
#[test]
fn streams_that_wait_for_each_other_are_not_cut_while_the_client_takes_enough() {
    const MANY: u32 = 40;
    let server = Running::start(only(|limits| {
        limits.stall_timeout = SECOND;
        limits.minimum_rate = 100_000;
    }));
    let mut client = Frames::new(&server, &[(4, 1 << 30)]);
    rustix::net::sockopt::set_socket_recv_buffer_size(&client.0.0, 32 * 1024).unwrap();
    client.send(WINDOW_UPDATE, 0, 0, &(1_u32 << 30).to_be_bytes());
    for n in 0..MANY {
        client.get(2 * n + 1, "/zeros/1000000");
    }
    let begin = Instant::now();
    let mut received = 0;
    while begin.elapsed() < 5 * SECOND {
        let frame = client.next().expect("closed");
        assert_ne!(
            frame.kind,
            RST_STREAM,
            "after {:?}, {received} bytes",
            begin.elapsed()
        );
        received += frame.payload.len();
        // A megabyte a second, a quarter of what would be enough for each.
        let due = Duration::from_micros(u64::try_from(received).unwrap());
        std::thread::sleep(due.saturating_sub(begin.elapsed()));
    }
}

/// A client that asks for answers to its PINGs and SETTINGS and reads none (CVE-2019-9512, -9515).
#[test]
fn floods_of_control_frames_that_are_never_read_end_the_connection() {
    for (kind, payload) in [(PING, &[0; 8][..]), (SETTINGS, &[])] {
        let server = Running::start(only(|limits| limits.stall_timeout = SECOND));
        let mut client = Frames::new(&server, &[]);
        let flood = frame(kind, 0, 0, payload).repeat(1000);
        let begin = Instant::now();
        let mut sent = 0_usize;
        while client.0.0.write_all(&flood).is_ok() {
            sent += flood.len();
            assert!(begin.elapsed() < PATIENCE, "{sent} bytes and still open");
        }
        others_are_served(&server);
    }
}

#[test]
fn an_upload_that_stops_is_reset_after_the_stall_timeout() {
    let server = Running::start(only(|limits| limits.stall_timeout = SECOND));
    let mut client = Frames::new(&server, &[]);
    let begin = Instant::now();
    client.post(1);
    client.send(DATA, 0, 1, b"some");
    assert_eq!(client.until(RST_STREAM).stream, 1);
    not_before(SECOND, begin);
}

#[test]
fn an_idle_connection_is_told_goodbye() {
    let server = Running::start(only(|limits| limits.idle_timeout = SECOND));
    let mut client = Frames::new(&server, &[]);
    let begin = Instant::now();
    client.get(1, "/");
    client.until(DATA);
    client.until(GOAWAY);
    not_before(SECOND, begin);
}

#[test]
fn a_host_that_is_not_the_authority_is_refused() {
    let server = Running::start(Limits::default());
    let mut client = Frames::new(&server, &[]);
    let with_host = |host: &str| {
        [
            &head("/", "a")[..],
            &[0x0f, 0x17, u8::try_from(host.len()).unwrap()],
            host.as_bytes(),
        ]
        .concat()
    };
    client.send(HEADERS, END_STREAM | END_HEADERS, 1, &with_host("b"));
    assert_eq!(client.until(HEADERS).payload[0], 0x8c, "400 by the static table");
    client.send(HEADERS, END_STREAM | END_HEADERS, 3, &with_host("a"));
    assert_eq!(client.until(HEADERS).payload[0], 0x88, "200");
    client.send(HEADERS, END_STREAM | END_HEADERS, 5, &head("/", "user@a"));
    assert_eq!(
        client.until(HEADERS).payload[0],
        0x8c,
        "400: a user is no part of a host"
    );
}

#[test]
fn an_abort_resets_the_stream_and_the_connection_goes_on() {
    let server = Running::start(Limits::default());
    let mut client = Frames::new(&server, &[(4, 0)]);
    let begin = Instant::now();
    client.get(1, "/abort/300");
    assert_eq!(client.until(RST_STREAM).stream, 1);
    not_before(Duration::from_millis(300), begin);
    client.send(SETTINGS, 0, 0, &[0, 4, 0, 1, 0, 0]);
    client.get(3, "/");
    assert_eq!(client.until(DATA).payload, b"hello");
}

#[test]
fn a_handler_that_panics_resets_its_stream_and_no_other() {
    let server = Running::start(Limits::default());
    let mut client = Frames::new(&server, &[]);
    client.get(1, "/slow/1000");
    client.get(3, "/panic/expected");
    assert_eq!(client.until(RST_STREAM).stream, 3);
    assert_eq!(client.body_of(1), b"late");
    client.get(5, "/");
    assert_eq!(client.body_of(5), b"hello");
}

#[test]
fn a_drain_says_goaway_and_finishes_what_is_under_way() {
    let mut server = Running::start(only(|_| {}));
    let mut client = Frames::new(&server, &[]);
    client.post(1);
    // Frames are taken in their order: when this one is answered, the request is under way.
    client.send(PING, 0, 0, b"are you?");
    while client.until(PING).flags & ACK == 0 {}
    server.signal();
    client.until(GOAWAY);
    client.send(DATA, END_STREAM, 1, b"late");
    let mut body = Vec::new();
    while let Some(frame) = client.next() {
        if frame.kind == DATA {
            body.extend(frame.payload);
        }
    }
    assert_eq!(body, b"late");
    assert_eq!(server.stop().aborted, 0);
}

#[test]
fn a_client_that_does_not_go_when_told_delays_the_drain_and_does_not_make_it_a_failure() {
    let server = Running::start(only(|limits| limits.drain = SECOND));
    let mut client = Frames::new(&server, &[]);
    client.get(1, "/");
    client.until(DATA);
    let begin = Instant::now();
    let drained = server.stop(); // It waits for the answer to a PING, which does not come.
    assert!(
        (SECOND..PATIENCE).contains(&begin.elapsed()),
        "{:?}",
        begin.elapsed()
    );
    assert_eq!((drained.finished, drained.aborted), (1, 0));
}

/// Not a test of its own: a server whose memory can be measured.
#[test]
#[ignore = "run by the test below, as its child"]
fn child_to_be_flooded() {
    let server = Running::start(Limits::default());
    println!("listening {}", server.address);
    std::io::stdin().read_line(&mut String::new()).unwrap();
    server.stop();
}

#[test]
fn floods_do_not_raise_memory() {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_to_be_flooded", "--ignored", "--nocapture"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok);
    let address = output
        .find_map(|line| Some(line.split("listening ").nth(1)?.to_owned()))
        .unwrap();
    let heads = |second: &dyn Fn(u32) -> Vec<u8>| -> Vec<u8> {
        (0..5000)
            .flat_map(|n| {
                [
                    frame(HEADERS, 5, 2 * n + 1, &head("/slow/60000", "a")),
                    second(2 * n + 1),
                ]
                .concat()
            })
            .collect()
    };
    let field = [&[0x00, 1, b'x', 100][..], &[b'y'; 100]].concat();
    let begun = frame(HEADERS, END_STREAM, 1, &head("/", "a"));
    let floods = [
        heads(&|stream| frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())),
        heads(&|stream| frame(WINDOW_UPDATE, 0, stream, &0_u32.to_be_bytes())),
        [begun, frame(CONTINUATION, 0, 1, &field.repeat(100)).repeat(2000)].concat(),
        frame(PING, 0, 0, &[0; 8]).repeat(100_000),
        frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100]).repeat(100_000),
    ];
    let before = resident(child.id());
    let held: Vec<_> = floods
        .iter()
        .cycle()
        .take(25)
        .map(|flood| {
            let mut stream = std::net::TcpStream::connect(&address).unwrap();
            stream
                .set_write_timeout(Some(Duration::from_millis(100)))
                .unwrap();
            let _ = stream.write_all(
                &[
                    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                    &frame(SETTINGS, 0, 0, &[])[..],
                    flood,
                ]
                .concat(),
            );
            stream
        })
        .collect();
    let grown = resident(child.id()).saturating_sub(before);
    assert!(grown < 8 * 1024, "{grown} KiB for {} floods", held.len());
    child.stdin.take().unwrap().write_all(b"\n").unwrap();
    drop(held);
    assert!(child.wait().unwrap().success());
}

/// KiB (proc_pid_status(5)).
fn resident(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
