//! [`serve`]: one connection from accept to close, in one task with one timer.

use std::error::Error;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Semaphore;
use tokio::time::{sleep_until, timeout};
use tower_service::Service;

use crate::guarded::{Guarded, Latest};
use crate::limits::Limits;
use crate::peer::Peer;
use crate::request_body::RequestBody;
use crate::streams::{Begun, Streams};
use crate::tls::Tls;
use crate::watchdog::{Order, Overdue, Rules, Watchdog};
use crate::wire::{Socket, Stream, Version, Wire};

/// How long a client that has been told goodbye may take to go.
const GOODBYE: Duration = Duration::from_secs(5);
/// How long, and how much, is read of what a client goes on sending after its request was refused: if the socket were
/// closed at once the kernel would answer with a reset, and the client might never see why.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: u64 = 256 * 1024;

const TIMED_OUT: &[u8] = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// What all connections of a server share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) limits: Limits,
    pub(crate) rules: Arc<Rules>,
    pub(crate) tls: Option<Tls>,
    pub(crate) handshakes: Semaphore,
    pub(crate) http1: http1::Builder,
}

/// One of the two protocols, as far as [`drive`] needs to know it.
trait Protocol {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<hyper::Result<()>>;
    fn graceful_shutdown(&mut self);
    /// Ends the exchanges that must be ended by `now`; says when the next must be, or that the connection must end.
    fn cut(&mut self, now: u64) -> Result<Option<u64>, End>;
}

/// How a connection ended.
#[derive(Debug)]
enum End {
    /// By itself.
    Finished(hyper::Result<()>),
    /// The client was too slow with its request.
    Head,
    /// Nobody needs it any more.
    Idle,
    /// It was cut: told to, or the client took or sent too little.
    Cut,
}

impl Shared {
    pub(crate) fn new(limits: Limits, tls: Option<Tls>) -> Self {
        Self {
            rules: Arc::new(Rules::new(&limits)),
            handshakes: Semaphore::new(limits.handshakes.clamp(1, Semaphore::MAX_PERMITS)),
            http1: http1_builder(&limits),
            limits,
            tls,
        }
    }
}

/// Serves one connection to its end.
pub(crate) async fn serve<S, B>(
    shared: Arc<Shared>,
    watchdog: Arc<Watchdog>,
    stream: Stream,
    peer: Peer,
    service: S,
) where
    S: Service<Request<RequestBody>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let begun = until_aborted(
        &watchdog,
        begin(&shared, Socket::new(stream, Arc::clone(&watchdog))),
    );
    let Some(Ok((wire, version))) = Box::pin(begun).await else {
        return;
    };
    let latest = Latest::default();
    let guarded = Guarded {
        service,
        peer,
        version,
        request_body: shared.limits.request_body,
        watchdog: Arc::clone(&watchdog),
        latest: latest.clone(),
    };
    let io = TokioIo::new(wire);
    match version {
        Version::Http1 => {
            let connection = shared.http1.serve_connection(io, guarded);
            let mut http1 = Http1 { connection, latest };
            let end = drive(&mut http1, &watchdog).await;
            close(end, http1.connection.into_parts().io.into_inner(), &watchdog).await;
        }
        Version::Http2 => {
            let streams = Streams::new(latest);
            let connection = http2_builder(&shared.limits, streams.executor()).serve_connection(io, guarded);
            let mut http2 = Box::new(Http2 { connection, streams });
            if matches!(drive(http2.as_mut(), &watchdog).await, End::Cut) {
                watchdog.reset_on_close();
            }
        }
    }
}

/// Everything before the first request: the TLS handshake, and which protocol is spoken.
async fn begin(shared: &Shared, socket: Socket) -> io::Result<(Wire, Version)> {
    let mut wire = match &shared.tls {
        None => Wire::plain(socket),
        Some(tls) => timeout(shared.limits.handshake_timeout, handshake(shared, tls, socket)).await??,
    };
    let version = timeout(
        shared.limits.header_timeout,
        wire.version(shared.limits.header_bytes),
    )
    .await??;
    Ok((wire, version))
}

async fn handshake(shared: &Shared, tls: &Tls, socket: Socket) -> io::Result<Wire> {
    let _permit = shared.handshakes.acquire().await.map_err(io::Error::other)?;
    let stream = tls.acceptor().accept(socket).await?;
    Ok(Wire::tls(Box::new(stream)))
}

/// A connection that has asked nothing yet is not waited for in a drain.
async fn until_aborted<F: Future>(watchdog: &Watchdog, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|cx| {
        watchdog.register(cx.waker());
        match watchdog.ordered() {
            Order::GoOn => future.as_mut().poll(cx).map(Some),
            Order::Drain | Order::Abort => Poll::Ready(None),
        }
    })
    .await
}

/// Polls a connection until it ends, or until it must.
async fn drive(connection: &mut impl Protocol, watchdog: &Watchdog) -> End {
    let mut timer = pin!(sleep_until(watchdog.instant(u64::MAX)));
    let mut armed = u64::MAX;
    let mut goodbye = None;
    poll_fn(|cx| {
        watchdog.register(cx.waker());
        match watchdog.ordered() {
            Order::Abort => return Poll::Ready(End::Cut),
            Order::Drain if goodbye.is_none() => {
                goodbye = Some(u64::MAX); // The server's drain has its own deadline.
                connection.graceful_shutdown();
            }
            Order::Drain | Order::GoOn => {}
        }
        if let Poll::Ready(result) = connection.poll(cx) {
            return Poll::Ready(End::Finished(result));
        }
        while watchdog.asked_to_look() || watchdog.nearest() < armed || timer.as_mut().poll(cx).is_ready() {
            let now = watchdog.now();
            let own = match watchdog.overdue(now) {
                Ok(next) => next,
                Err(Overdue::Socket) => return Poll::Ready(End::Cut),
                Err(Overdue::Head) => return Poll::Ready(End::Head),
                Err(Overdue::Idle) => match goodbye {
                    Some(until) if until <= now => return Poll::Ready(End::Idle),
                    Some(until) => until,
                    None => {
                        connection.graceful_shutdown();
                        cx.waker().wake_by_ref();
                        *goodbye.insert(now + GOODBYE.as_micros() as u64)
                    }
                },
            };
            armed = match connection.cut(now) {
                Ok(next) => next.map_or(own, |next| next.min(own)),
                Err(end) => return Poll::Ready(end),
            };
            timer.as_mut().reset(watchdog.instant(armed));
        }
        Poll::Pending
    })
    .await
}

/// Closes an HTTP/1 connection so that the client learns what it should.
async fn close(end: End, mut wire: Wire, watchdog: &Watchdog) {
    match end {
        End::Cut => watchdog.reset_on_close(),
        End::Idle => {}
        End::Head => {
            let goodbye = async {
                wire.write_all(TIMED_OUT).await?;
                wire.shutdown().await
            };
            let _ = timeout(LINGER, goodbye).await;
        }
        End::Finished(result) => {
            if let Err(error) = result {
                tracing::debug!(%error, "a connection ended with an error");
            }
            if watchdog.must_linger() {
                let mut nowhere = tokio::io::sink();
                let mut rest = wire.socket().take(LINGER_BYTES);
                let _ = timeout(LINGER, tokio::io::copy(&mut rest, &mut nowhere)).await;
            }
        }
    }
}

struct Http1<S: hyper::service::HttpService<hyper::body::Incoming>> {
    connection: http1::Connection<TokioIo<Wire>, S>,
    latest: Latest,
}

impl<S, B> Protocol for Http1<S>
where
    S: hyper::service::HttpService<hyper::body::Incoming, ResBody = B>,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<hyper::Result<()>> {
        Future::poll(Pin::new(&mut self.connection), cx)
    }

    fn graceful_shutdown(&mut self) {
        Pin::new(&mut self.connection).graceful_shutdown();
    }

    fn cut(&mut self, now: u64) -> Result<Option<u64>, End> {
        match self.latest.deadline() {
            Some(deadline) if deadline <= now => Err(End::Cut),
            next => Ok(next),
        }
    }
}

struct Http2<S: hyper::service::HttpService<hyper::body::Incoming>> {
    connection: http2::Connection<TokioIo<Wire>, S, Begun>,
    streams: Streams,
}

impl<S, B> Protocol for Http2<S>
where
    S: hyper::service::HttpService<hyper::body::Incoming, ResBody = B>,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
    Begun: hyper::rt::bounds::Http2ServerConnExec<S::Future, B>,
{
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<hyper::Result<()>> {
        let polled = Future::poll(Pin::new(&mut self.connection), cx);
        if polled.is_pending() {
            self.streams.poll(cx);
        }
        polled
    }

    fn graceful_shutdown(&mut self) {
        Pin::new(&mut self.connection).graceful_shutdown();
    }

    fn cut(&mut self, now: u64) -> Result<Option<u64>, End> {
        Ok(self.streams.cut(now))
    }
}

fn http1_builder(limits: &Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        // The watchdog has one timer for this and for everything else; hyper's is made anew for each request.
        .header_read_timeout(None)
        .max_header_size(limits.header_bytes.max(8192))
        // Also how much of a response may wait in user space.
        .max_buf_size(limits.header_bytes.max(8192));
    builder
}

/// Each bound names the flaw that it bounds; h2 itself bounds CONTINUATION frames (VU#421644) by the size of the
/// header list, empty DATA frames, and the number of SETTINGS and PING frames it has yet to answer (CVE-2019-9512,
/// -9515, -9518).
fn http2_builder(limits: &Limits, executor: Begun) -> http2::Builder<Begun> {
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
        .keep_alive_interval(limits.idle_timeout.min(limits.stall_timeout))
        .keep_alive_timeout(limits.stall_timeout);
    builder
}
