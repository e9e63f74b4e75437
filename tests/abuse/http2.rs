//! HTTP/2 as no client may speak it: each case of RFC 9113 gets the error the RFC names, and costs nobody else anything.

use beneath_tests::h2::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, Frames, GOAWAY, HEADERS, PADDED, PING, PRIORITY,
    PUSH_PROMISE, RST_STREAM, SETTINGS, WINDOW_UPDATE, block, frame, get,
};

use crate::Shop;

const NO_ERROR: u32 = 0;
const PROTOCOL: u32 = 1;
const FLOW_CONTROL: u32 = 3;
const STREAM_CLOSED: u32 = 5;
const FRAME_SIZE: u32 = 6;
const COMPRESSION: u32 = 9;

/// `:status: 200` and `:status: 400` in the static table of HPACK.
const OK: u8 = 0x88;
const BAD_REQUEST: u8 = 0x8c;

/// What the RFC demands.
#[derive(Clone, Copy, Debug)]
enum Demand {
    /// The connection ends: with one of these codes, with PROTOCOL_ERROR for want of a more specific one (§7; the h2
    /// crate has few others), or without a word (§5.4.1).
    Connection(&'static [u32]),
    /// The stream is reset with one of these codes; or the request answered 400 (§8.1.1); or, as §5.4.2 allows, the
    /// connection ends with it.
    Stream(&'static [u32]),
    /// Nothing is wrong: the request that follows is answered 200.
    Answer,
    /// It is wrong, and the h2 crate takes no notice. What is wrong is used by nobody.
    Forgiven,
}

use Demand::{Answer, Connection, Forgiven, Stream};

/// The section, what is wrong, what is sent after preface and SETTINGS, what must come of it.
type Case = (&'static str, &'static str, Vec<u8>, Demand);

/// A GET that ends its stream, as a whole frame.
fn ask(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_STREAM | END_HEADERS, stream, &get("/healthz", &[]))
}

/// A request whose body is still to come.
fn begin(stream: u32, more: &[(&str, &str)]) -> Vec<u8> {
    let post = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/api/v1/tokens"),
        (":authority", "localhost"),
    ];
    frame(HEADERS, END_HEADERS, stream, &block(&[&post[..], more].concat()))
}

/// A request of these fields alone.
fn fields(fields: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, END_STREAM | END_HEADERS, 1, &block(fields))
}

/// A good request with one thing more.
fn with(more: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, END_STREAM | END_HEADERS, 1, &get("/healthz", more))
}

fn set(id: u16, value: u32) -> Vec<u8> {
    let payload = [&id.to_be_bytes()[..], &value.to_be_bytes()].concat();
    frame(SETTINGS, 0, 0, &payload)
}

#[rustfmt::skip]
fn frames_and_streams() -> Vec<Case> {
    let word = |number: u32| number.to_be_bytes();
    let whole = get("/healthz", &[]);
    vec![
        ("4.1", "an unknown type and unknown flags", [frame(0xbe, 0xff, 0, b"?"), ask(1)].concat(), Answer),
        ("4.2", "DATA above the frame size", [begin(1, &[]), frame(DATA, END_STREAM, 1, &[0; 16_385])].concat(), Stream(&[FRAME_SIZE])),
        ("4.2", "HEADERS above the frame size", frame(HEADERS, END_STREAM | END_HEADERS, 1, &[0; 16_385]), Connection(&[FRAME_SIZE])),
        ("4.3", "a block that is no HPACK", frame(HEADERS, END_STREAM | END_HEADERS, 1, &[0xff; 64]), Connection(&[COMPRESSION])),
        ("4.3", "an index beyond the tables", frame(HEADERS, END_STREAM | END_HEADERS, 1, &[0xff, 0x20]), Connection(&[COMPRESSION])),
        ("4.3", "another frame inside a block", [frame(HEADERS, END_STREAM, 1, &whole), frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 9])].concat(), Connection(&[PROTOCOL])),
        ("4.3", "another stream inside a block", [frame(HEADERS, END_STREAM, 1, &whole), ask(3)].concat(), Connection(&[PROTOCOL])),
        ("5.1", "DATA on an idle stream", frame(DATA, END_STREAM, 1, b"x"), Connection(&[PROTOCOL])),
        ("5.1", "RST_STREAM on an idle stream", frame(RST_STREAM, 0, 1, &word(8)), Connection(&[PROTOCOL])),
        ("5.1", "WINDOW_UPDATE on an idle stream", frame(WINDOW_UPDATE, 0, 1, &word(1)), Connection(&[PROTOCOL])),
        ("5.1", "DATA after the end of the request", [begin(1, &[]), frame(DATA, END_STREAM, 1, b"x"), frame(DATA, END_STREAM, 1, b"x")].concat(), Stream(&[STREAM_CLOSED])),
        ("5.1", "HEADERS after the end of the request", [ask(1), ask(1)].concat(), Stream(&[STREAM_CLOSED])),
        ("5.1.1", "a stream of even number", ask(2), Connection(&[PROTOCOL])),
        ("5.1.1", "a stream below an earlier one", [ask(5), ask(3)].concat(), Connection(&[PROTOCOL, STREAM_CLOSED])),
        ("5.5", "an unknown frame inside a block", [frame(HEADERS, END_STREAM, 1, &whole), frame(0xbe, 0, 1, &[])].concat(), Connection(&[PROTOCOL])),
        ("6.1", "DATA on the connection", frame(DATA, 0, 0, b"x"), Connection(&[PROTOCOL])),
        ("6.1", "padding longer than DATA", [begin(1, &[]), frame(DATA, END_STREAM | PADDED, 1, &[9, 0])].concat(), Connection(&[PROTOCOL])),
        ("6.2", "HEADERS on the connection", frame(HEADERS, END_STREAM | END_HEADERS, 0, &whole), Connection(&[PROTOCOL])),
        ("6.2", "padding longer than HEADERS", frame(HEADERS, END_STREAM | END_HEADERS | PADDED, 1, &[&[200][..], &whole[..20]].concat()), Connection(&[PROTOCOL])),
        ("6.3", "PRIORITY on the connection", frame(PRIORITY, 0, 0, &[0; 5]), Connection(&[PROTOCOL])),
        ("6.3", "PRIORITY of four bytes", [begin(1, &[]), frame(PRIORITY, 0, 1, &[0; 4])].concat(), Stream(&[FRAME_SIZE])),
        ("6.4", "RST_STREAM on the connection", frame(RST_STREAM, 0, 0, &word(8)), Connection(&[PROTOCOL])),
        ("6.4", "RST_STREAM of three bytes", [begin(1, &[]), frame(RST_STREAM, 0, 1, &[0; 3])].concat(), Connection(&[FRAME_SIZE])),
        ("6.5", "an acknowledgement with settings", frame(SETTINGS, 1, 0, &[0, 4, 0, 0, 0, 1]), Connection(&[FRAME_SIZE])),
        ("6.5", "SETTINGS on a stream", frame(SETTINGS, 0, 1, &[]), Connection(&[PROTOCOL])),
        ("6.5", "SETTINGS of five bytes", frame(SETTINGS, 0, 0, &[0; 5]), Connection(&[FRAME_SIZE])),
        ("6.5.2", "ENABLE_PUSH of two", set(2, 2), Connection(&[PROTOCOL])),
        ("6.5.2", "a window above 2^31-1", set(4, 1 << 31), Connection(&[FLOW_CONTROL])),
        ("6.5.2", "a frame size below the least", set(5, 16_383), Connection(&[PROTOCOL])),
        ("6.5.2", "a frame size above the most", set(5, 1 << 24), Connection(&[PROTOCOL])),
        ("6.5.2", "a setting nobody knows", [set(0x99, 7), ask(1)].concat(), Answer),
        ("6.6", "PUSH_PROMISE from a client", frame(PUSH_PROMISE, END_HEADERS, 1, &[&word(2)[..], &whole].concat()), Connection(&[PROTOCOL])),
        ("6.7", "PING on a stream", frame(PING, 0, 1, &[0; 8]), Connection(&[PROTOCOL])),
        ("6.7", "PING of six bytes", frame(PING, 0, 0, &[0; 6]), Connection(&[FRAME_SIZE])),
        ("6.8", "GOAWAY on a stream", frame(GOAWAY, 0, 1, &[0; 8]), Connection(&[PROTOCOL])),
        ("6.9", "WINDOW_UPDATE by nothing", frame(WINDOW_UPDATE, 0, 0, &word(0)), Connection(&[PROTOCOL])),
        ("6.9", "WINDOW_UPDATE of a stream by nothing", [begin(1, &[]), frame(WINDOW_UPDATE, 0, 1, &word(0))].concat(), Stream(&[PROTOCOL])),
        ("6.9", "WINDOW_UPDATE of three bytes", frame(WINDOW_UPDATE, 0, 0, &[0; 3]), Connection(&[FRAME_SIZE])),
        ("6.9.1", "a window of the connection above 2^31-1", frame(WINDOW_UPDATE, 0, 0, &word(0x7fff_ffff)).repeat(2), Connection(&[FLOW_CONTROL])),
        ("6.9.1", "a window of a stream above 2^31-1", [begin(1, &[]), frame(WINDOW_UPDATE, 0, 1, &word(0x7fff_ffff)).repeat(2)].concat(), Stream(&[FLOW_CONTROL])),
        ("6.10", "CONTINUATION on the connection", [frame(HEADERS, END_STREAM, 1, &whole), frame(CONTINUATION, END_HEADERS, 0, &[])].concat(), Connection(&[PROTOCOL])),
        ("6.10", "CONTINUATION of nothing", frame(CONTINUATION, END_HEADERS, 1, &whole), Connection(&[PROTOCOL])),
        ("6.10", "CONTINUATION after the end of the block", [begin(1, &[]), frame(CONTINUATION, END_HEADERS, 1, &[])].concat(), Connection(&[PROTOCOL])),
    ]
}

#[rustfmt::skip]
fn requests() -> Vec<Case> {
    let (method, scheme, path, authority) = ((":method", "GET"), (":scheme", "http"), (":path", "/healthz"), (":authority", "localhost"));
    let trailers = |of: &[(&str, &str)], flags| [begin(1, &[]), frame(DATA, 0, 1, b"x"), frame(HEADERS, flags, 1, &block(of))].concat();
    vec![
        ("8.1", "trailers that do not end the stream", trailers(&[("x", "y")], END_HEADERS), Stream(&[PROTOCOL])),
        ("8.1", "a pseudo field in trailers", trailers(&[(":method", "GET")], END_HEADERS | END_STREAM), Forgiven),
        ("8.1.1", "a body shorter than its length", [begin(1, &[("content-length", "9")]), frame(DATA, END_STREAM, 1, b"x")].concat(), Stream(&[PROTOCOL])),
        ("8.1.1", "a body longer than its length", [begin(1, &[("content-length", "1")]), frame(DATA, END_STREAM, 1, b"xyz")].concat(), Stream(&[PROTOCOL])),
        ("8.2.1", "a name in capitals", with(&[("X-Capital", "y")]), Stream(&[PROTOCOL])),
        ("8.2.1", "a line break in a value", with(&[("x", "y\r\nz: w")]), Stream(&[PROTOCOL])),
        ("8.2.1", "a NUL in a value", with(&[("x", "y\0z")]), Stream(&[PROTOCOL])),
        ("8.2.1", "a space in a name", with(&[("x y", "z")]), Stream(&[PROTOCOL])),
        ("8.2.2", "Connection", with(&[("connection", "close")]), Stream(&[PROTOCOL])),
        ("8.2.2", "Transfer-Encoding", with(&[("transfer-encoding", "chunked")]), Stream(&[PROTOCOL])),
        ("8.2.2", "TE of anything but trailers", with(&[("te", "gzip")]), Stream(&[PROTOCOL])),
        ("8.3", "an unknown pseudo field", with(&[(":test", "x")]), Stream(&[PROTOCOL])),
        ("8.3", "a pseudo field of answers", with(&[(":status", "200")]), Stream(&[PROTOCOL])),
        ("8.3", "a pseudo field after others", fields(&[method, scheme, ("x", "y"), path, authority]), Stream(&[PROTOCOL])),
        ("8.3.1", "no method", fields(&[scheme, path, authority]), Stream(&[PROTOCOL])),
        ("8.3.1", "no scheme", fields(&[method, path, authority]), Stream(&[PROTOCOL])),
        ("8.3.1", "no path", fields(&[method, scheme, authority]), Stream(&[PROTOCOL])),
        ("8.3.1", "an empty path", fields(&[method, scheme, (":path", ""), authority]), Stream(&[PROTOCOL])),
        ("8.3.1", "two methods", fields(&[method, method, scheme, path, authority]), Stream(&[PROTOCOL])),
        ("8.3.1", "two schemes", fields(&[method, scheme, scheme, path, authority]), Stream(&[PROTOCOL])),
        ("8.3.1", "two paths", fields(&[method, scheme, path, path, authority]), Stream(&[PROTOCOL])),
        ("8.3.1", "two authorities", fields(&[method, scheme, path, authority, authority]), Stream(&[PROTOCOL])),
        ("8.3.1", "nothing wrong: the control", fields(&[method, scheme, path, authority]), Answer),
    ]
}

#[test]
fn what_no_client_may_send_gets_the_error_that_the_rfc_names() {
    let shop = Shop::build("idle_timeout = \"2s\"");
    let service = shop.house.serve();
    let mut wrong = Vec::new();
    for (section, what, bytes, demand) in [frames_and_streams(), requests()].concat() {
        let mut client = Frames::open(service.address(), &[]);
        client.send(&bytes);
        let outcome = Outcome::of(&mut client, demand);
        if !outcome.meets(demand) {
            wrong.push(format!("§{section} {what}: {demand:?}, but {outcome:?}"));
        }
    }
    // The preface, and then SETTINGS (§3.4).
    for (bytes, demand) in [
        (
            [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &ask(1)].concat(),
            Forgiven,
        ),
        (
            b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n".to_vec(),
            Connection(&[PROTOCOL]),
        ),
    ] {
        let mut client = Frames::open_without_preface(service.address());
        client.send(&bytes);
        let outcome = Outcome::of(&mut client, demand);
        if !outcome.meets(demand) {
            wrong.push(format!("§3.4 {}: {outcome:?}", String::from_utf8_lossy(&bytes)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What came first of all that ends something.
#[derive(Debug)]
enum Outcome {
    Closed,
    Goaway(u32),
    Reset(u32),
    /// The first byte of a header block, which is `:status` by the static table (RFC 7541 appendix A).
    Head(u8),
}

impl Outcome {
    fn of(client: &mut Frames, demand: Demand) -> Self {
        while let Some(frame) = client.receive() {
            match frame.kind {
                GOAWAY => return Self::Goaway(frame.code()),
                // §8.1: a whole answer may come before the end of the request, and then this.
                RST_STREAM if frame.code() != NO_ERROR => return Self::Reset(frame.code()),
                // The good part of a request may be answered before the bad one is read.
                HEADERS if matches!(demand, Answer | Forgiven) || frame.payload[0] == BAD_REQUEST => {
                    return Self::Head(frame.payload[0]);
                }
                _ => {}
            }
        }
        Self::Closed
    }

    fn meets(&self, demand: Demand) -> bool {
        match (self, demand) {
            (Self::Closed | Self::Goaway(PROTOCOL), Connection(_)) => true,
            (Self::Goaway(PROTOCOL), Stream(_)) => true,
            (Self::Goaway(code), Connection(codes) | Stream(codes)) => codes.contains(code),
            (Self::Reset(code), Stream(codes)) => codes.contains(code),
            (Self::Head(status), Stream(_)) => *status == BAD_REQUEST,
            (Self::Head(status), Answer) => *status == OK,
            (Self::Head(_), Forgiven) => true,
            _ => false,
        }
    }
}
