//! [`Protocol`]: HTTP/1 and HTTP/2, as far as a connection's task has to tell them apart.

use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http_body::Body;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};

use crate::guarded::Latest;
use crate::limits::Limits;
use crate::sendfile::{Fallen, Outbox};
use crate::streams::{Begun, Streams};
use crate::watchdog::Watchdog;
use crate::wire::Wire;

/// One of the two protocols, as the task of a connection drives it.
pub(crate) trait Protocol {
    /// Whether it can be taken apart between two requests.
    const RESTS: bool;

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Box<dyn Error + Send + Sync>>>;
    fn graceful_shutdown(&mut self);
    /// Ends the exchanges that must be ended by `now`; says when the next must be, or that the connection must end.
    fn cut(&mut self, now: u64) -> Result<Option<u64>, End>;
}

/// How a connection ended.
#[derive(Debug)]
pub(crate) enum End {
    /// By itself.
    Finished(Result<(), Box<dyn Error + Send + Sync>>),
    /// The client was too slow with its request.
    Head,
    /// Nobody needs it any more.
    Idle,
    /// Not at all, but it can do with less until the next request.
    Resting,
    /// It was cut: told to, or the client took or sent too little.
    Cut,
}

/// HTTP/1: one exchange at a time.
pub(crate) struct Http1<S: hyper::service::HttpService<hyper::body::Incoming>> {
    pub(crate) connection: http1::Connection<TokioIo<Wire>, S>,
    pub(crate) latest: Latest,
    pub(crate) outbox: Option<Outbox>,
    pub(crate) watchdog: Arc<Watchdog>,
}

/// HTTP/1 while files are sent of an answer that hyper takes for sent: it needs no hyper.
pub(crate) struct Sending<'a> {
    pub(crate) wire: &'a mut Wire,
    pub(crate) latest: Latest,
    /// Nothing is to be answered after it.
    pub(crate) last: bool,
}

impl Protocol for Sending<'_> {
    const RESTS: bool = false;

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Box<dyn Error + Send + Sync>>> {
        self.wire.socket().poll_pay(cx).map_err(Into::into)
    }

    fn graceful_shutdown(&mut self) {
        self.last = true;
    }

    fn cut(&mut self, now: u64) -> Result<Option<u64>, End> {
        match (self.latest.deadline(), self.wire.socket().fallen()) {
            (_, Some(_)) => Err(End::Cut),
            (Some(deadline), None) if deadline <= now => Err(End::Cut),
            (next, None) => Ok(next),
        }
    }
}

impl<S, B> Protocol for Http1<S>
where
    S: hyper::service::HttpService<hyper::body::Incoming, ResBody = B>,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    const RESTS: bool = true;

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Box<dyn Error + Send + Sync>>> {
        Future::poll(Pin::new(&mut self.connection), cx).map_err(Into::into)
    }

    fn graceful_shutdown(&mut self) {
        Pin::new(&mut self.connection).graceful_shutdown();
    }

    fn cut(&mut self, now: u64) -> Result<Option<u64>, End> {
        let fallen = self.outbox.as_ref().and_then(Outbox::fallen);
        match (self.latest.deadline(), fallen) {
            // Whether the client has it all is for the socket to say, and that is hyper's.
            (_, Some(Fallen::Taken)) if self.watchdog.rests_from().is_some() => Err(End::Resting),
            (_, Some(_)) => Err(End::Cut),
            (Some(deadline), None) if deadline <= now => Err(End::Cut),
            (next, None) => Ok(next),
        }
    }
}

/// HTTP/2: the connection, and its streams.
pub(crate) struct Http2<S: hyper::service::HttpService<hyper::body::Incoming>> {
    pub(crate) connection: http2::Connection<TokioIo<Wire>, S, Begun>,
    pub(crate) streams: Streams,
    pub(crate) watchdog: Arc<Watchdog>,
}

impl<S, B> Protocol for Http2<S>
where
    S: hyper::service::HttpService<hyper::body::Incoming, ResBody = B>,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
    Begun: hyper::rt::bounds::Http2ServerConnExec<S::Future, B>,
{
    const RESTS: bool = false;

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Box<dyn Error + Send + Sync>>> {
        // What was aborted must not leave through a window that has been opened since: reset before that is heard of.
        if self.watchdog.is_to_look() {
            self.streams.cut(0);
        }
        let polled = Future::poll(Pin::new(&mut self.connection), cx);
        if polled.is_pending() {
            self.streams.poll(cx);
        }
        polled.map_err(Into::into)
    }

    fn graceful_shutdown(&mut self) {
        Pin::new(&mut self.connection).graceful_shutdown();
    }

    fn cut(&mut self, now: u64) -> Result<Option<u64>, End> {
        Ok(self.streams.cut(now))
    }
}

pub(crate) fn http1_builder(limits: &Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        // The watchdog has one timer for this and for everything else; hyper's is made anew for each request.
        .header_read_timeout(None)
        // A client that has said all it has to say and closes its half (`printf … | nc -N`) still gets its answer.
        .half_close(true)
        .max_header_size(limits.header_bytes)
        // Also how much of a response may wait in user space.
        .max_buf_size(limits.header_bytes)
        // Buffers are queued, not copied: stand-ins must not be.
        .writev(true);
    builder
}

/// Each bound names the flaw that it bounds; h2 itself bounds CONTINUATION frames (VU#421644) by the size of the
/// header list, empty DATA frames, and the number of SETTINGS and PING frames it has yet to answer (CVE-2019-9512,
/// -9515, -9518).
pub(crate) fn http2_builder(limits: &Limits, executor: Begun) -> http2::Builder<Begun> {
    let mut builder = http2::Builder::new(executor);
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams)
        .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
        // Rapid reset (CVE-2023-44487): streams reset by the client before they were begun.
        .max_pending_accept_reset_streams(20)
        // MadeYouReset (CVE-2025-8671): streams that the server had to reset.
        .max_local_error_reset_streams(64)
        // What a client may send ahead, all streams together; one stream gets a quarter of it.
        .initial_connection_window_size(1024 * 1024)
        .initial_stream_window_size(256 * 1024)
        // What of a response may wait in user space, for each stream.
        .max_send_buf_size(128 * 1024)
        .keep_alive_interval(limits.idle_timeout.min(limits.stall_timeout).min(A_DAY))
        .keep_alive_timeout(limits.stall_timeout.min(A_DAY));
    builder
}

/// hyper adds what it is told to the clock, and panics where that overflows; `Duration::MAX` is a legal limit.
const A_DAY: std::time::Duration = std::time::Duration::from_secs(24 * 60 * 60);
