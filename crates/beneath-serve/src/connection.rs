//! [`serve`]: one connection from accept to close, in one task with one timer.

use std::error::Error;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use beneath_http::SegmentBody;
use http::{Request, Response};
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Semaphore;
use tokio::time::{sleep_until, timeout, timeout_at};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::rustls::server::Acceptor;
use tower_service::Service;

use crate::guarded::{Guarded, Latest};
use crate::limits::Limits;
use crate::peer::Peer;
use crate::protocol::{End, Http1, Http2, Protocol, Sending, http1_builder, http2_builder};
use crate::request_body::RequestBody;
use crate::sendfile::Sendfile;
use crate::socket::{Socket, Stream};
use crate::streams::Streams;
use crate::tls::Tls;
use crate::watchdog::{Order, Overdue, Rules, Watchdog};
use crate::wire::{Version, Wire};

/// How long a client that has been told goodbye may take to go.
const GOODBYE: u64 = 5_000_000; // microseconds
/// How long, and how much, is read of what a client goes on sending after its last answer: if the socket were closed at once
/// the kernel would answer with a reset, and the client might never see that answer (RFC 9112 §9.6).
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: u64 = 256 * 1024;

/// When to ask for the first time whether the client has what the kernel has taken.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// And how often then.
const LOOK_AGAIN_AT_MOST: Duration = Duration::from_secs(1);

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

impl Shared {
    pub(crate) fn new(mut limits: Limits, tls: Option<Tls>) -> Self {
        // hyper's buffer cannot be smaller, and the check of heads must have the same limit as hyper.
        limits.header_bytes = limits.header_bytes.max(8192);
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
    B: SegmentBody + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let socket = Socket::new(stream, Arc::clone(&watchdog));
    let begun = until_ordered(&watchdog, begin(&shared, socket));
    // In boxes, so that what is needed for a while only takes no room afterwards.
    let Some(Ok((wire, version))) = Box::pin(begun).await else {
        return;
    };
    let guarded = Guarded {
        service,
        peer,
        version,
        request_body: shared.limits.request_body,
        watchdog,
        latest: Latest::default(),
        sendfile: wire
            .outbox()
            .filter(|_| version == Version::Http1)
            .map(|outbox| Sendfile {
                outbox,
                from: shared.limits.sendfile_from,
            }),
    };
    match version {
        Version::Http1 => serve_http1(&shared, guarded, wire).await,
        Version::Http2 => Box::pin(serve_http2(&shared, guarded, wire)).await,
    }
}

/// Serves, does without hyper while files are sent and while nothing is asked, and serves again.
async fn serve_http1<S, B>(shared: &Shared, guarded: Guarded<S>, mut wire: Wire)
where
    S: Service<Request<RequestBody>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: SegmentBody + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let watchdog = Arc::clone(&guarded.watchdog);
    let end = loop {
        let http1 = Http1 {
            connection: shared.http1.serve_connection(TokioIo::new(wire), guarded.clone()),
            latest: guarded.latest.clone(),
            outbox: guarded.sendfile.as_ref().map(|sendfile| sendfile.outbox.clone()),
            watchdog: Arc::clone(&watchdog),
        };
        let end;
        (wire, end) = Box::pin(requests(http1, &watchdog)).await;
        if !matches!(end, End::Resting) {
            break end;
        }
        let mut sending = Sending {
            wire: &mut wire,
            latest: guarded.latest.clone(),
            last: watchdog.only_owes_the_last(),
        };
        let end = Box::pin(drive(&mut sending, &watchdog)).await;
        let last = sending.last;
        if !matches!(end, End::Finished(Ok(()))) {
            break end;
        }
        if last {
            break End::Finished(wire.shutdown().await.map_err(Into::into));
        }
        if let Err(end) = rest(&mut wire, &watchdog).await {
            break end;
        }
        let socket = wire.socket();
        socket.release();
        if !socket.holds() {
            // The client has all of it: whoever ends that exchange now ends nothing.
            guarded.latest.take();
        }
    };
    close(end, wire, &watchdog).await;
}

/// Serves requests until the connection ends, or until there is nothing to do that hyper is needed for.
async fn requests<S, B>(mut http1: Http1<Guarded<S>>, watchdog: &Watchdog) -> (Wire, End)
where
    S: Service<Request<RequestBody>, Response = Response<B>> + Clone,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: SegmentBody + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let end = drive(&mut http1, watchdog).await;
    let parts = http1.connection.into_parts();
    let mut wire = parts.io.into_inner();
    wire.put_back(&parts.read_buf);
    (wire, end)
}

async fn serve_http2<S, B>(shared: &Shared, guarded: Guarded<S>, wire: Wire)
where
    S: Service<Request<RequestBody>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: SegmentBody + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let watchdog = Arc::clone(&guarded.watchdog);
    let streams = Streams::new(guarded.latest.clone());
    let builder = http2_builder(&shared.limits, streams.executor());
    let mut http2 = Http2 {
        connection: builder.serve_connection(TokioIo::new(wire), guarded),
        streams,
        watchdog: Arc::clone(&watchdog),
    };
    if matches!(drive(&mut http2, &watchdog).await, End::Cut) {
        watchdog.reset_on_close();
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

/// Waiting for the client takes no permit: whoever says nothing must not keep others from shaking hands. What takes
/// one is the server's part, the signature, which is done in the first poll after the client's hello.
async fn handshake(shared: &Shared, tls: &Tls, socket: Socket) -> io::Result<Wire> {
    let hello = LazyConfigAcceptor::new(Acceptor::default(), socket).await?;
    let permit = shared.handshakes.acquire().await.map_err(io::Error::other)?;
    let mut handshake = pin!(hello.into_stream(tls.config()));
    let first = poll_fn(|cx| Poll::Ready(handshake.as_mut().poll(cx))).await;
    drop(permit);
    let stream = match first {
        Poll::Ready(stream) => stream?,
        Poll::Pending => handshake.await?,
    };
    Ok(Wire::tls(Box::new(stream)))
}

/// Between two requests a connection needs none of hyper's buffers, only a socket and a deadline.
///
/// # Errors
///
/// The end of the connection, if there is not something to read first.
async fn rest(wire: &mut Wire, watchdog: &Watchdog) -> Result<(), End> {
    if wire.has_unread() {
        return Ok(());
    }
    let mut again = LOOK_AGAIN;
    while still_held(wire, watchdog)? {
        watchdog.idle_from_now(); // It is not idle who still takes something.
        match timeout(again, until_told(wire, watchdog)).await {
            Ok(Told::Readable) => {
                watchdog.socket_moved();
                return Ok(());
            }
            Ok(Told::Ordered) if watchdog.ordered() == Order::Drain => return Err(End::Idle),
            Ok(Told::Ordered) => return Err(End::Cut),
            Ok(Told::Look) | Err(_) => {}
        }
        again = (2 * again).min(LOOK_AGAIN_AT_MOST);
    }
    loop {
        match timeout_at(watchdog.idle_until(), until_told(wire, watchdog)).await {
            Ok(Told::Readable) => return Ok(()),
            Ok(Told::Look) => {}
            Ok(Told::Ordered) | Err(_) => return Err(End::Idle),
        }
    }
}

/// What a connection at rest is woken by.
enum Told {
    /// There is something to read, or an end, or an error.
    Readable,
    Ordered,
    Look,
}

async fn until_told(wire: &mut Wire, watchdog: &Watchdog) -> Told {
    poll_fn(|cx| {
        watchdog.register(cx.waker());
        match watchdog.ordered() {
            Order::Drain | Order::Abort => return Poll::Ready(Told::Ordered),
            Order::GoOn if watchdog.asked_to_look() => return Poll::Ready(Told::Look),
            Order::GoOn => {}
        }
        wire.socket().poll_read_ready(cx).map(|_| Told::Readable)
    })
    .await
}

/// Whether the client may lack some of what the kernel has taken of a file.
///
/// # Errors
///
/// If it may not be delivered any more, or the client does not take it.
fn still_held(wire: &mut Wire, watchdog: &Watchdog) -> Result<bool, End> {
    let socket = wire.socket();
    socket.release();
    let holds = socket.holds();
    socket.note_waiting(holds);
    let overdue = watchdog.overdue(watchdog.now()) == Err(Overdue::Socket);
    match holds && (overdue || socket.fallen().is_some()) {
        true => Err(End::Cut),
        false => Ok(holds),
    }
}

/// Waits until the client has what the kernel has taken, for as long as it may have it.
async fn settle(wire: &mut Wire, watchdog: &Watchdog) -> Result<(), End> {
    let mut again = LOOK_AGAIN;
    while still_held(wire, watchdog)? {
        let told = poll_fn(|cx| {
            watchdog.register(cx.waker());
            match watchdog.ordered() == Order::Abort || watchdog.asked_to_look() {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        });
        let _ = timeout(again, told).await;
        if watchdog.ordered() == Order::Abort {
            return Err(End::Cut);
        }
        again = (2 * again).min(LOOK_AGAIN_AT_MOST);
    }
    Ok(())
}

/// A connection that has asked nothing is not waited for in a drain.
async fn until_ordered<F: Future>(watchdog: &Watchdog, future: F) -> Option<F::Output> {
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
async fn drive<P: Protocol>(connection: &mut P, watchdog: &Watchdog) -> End {
    let mut timer = pin!(sleep_until(watchdog.instant(u64::MAX)));
    let mut armed = u64::MAX;
    let mut goodbye = None;
    // What was noted before there was this timer is not going to be noted again.
    let mut unarmed = true;
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
        if P::RESTS && goodbye.is_none() && watchdog.only_owes() {
            return Poll::Ready(End::Resting);
        }
        // One glance, in the usual case that nothing has become urgent.
        while std::mem::take(&mut unarmed)
            || watchdog.asked_to_look()
            || watchdog.nearest() < armed
            || timer.as_mut().poll(cx).is_ready()
        {
            match look(connection, watchdog, &mut goodbye, cx) {
                Ok(next) => armed = next,
                Err(end) => return Poll::Ready(end),
            }
            timer.as_mut().reset(watchdog.instant(armed));
        }
        Poll::Pending
    })
    .await
}

/// Looks at all deadlines: when to look again, or how the connection must end.
fn look<P: Protocol>(
    connection: &mut P,
    watchdog: &Watchdog,
    goodbye: &mut Option<u64>,
    cx: &Context<'_>,
) -> Result<u64, End> {
    let now = watchdog.now();
    let own = match watchdog.overdue(now) {
        Ok(next) => next,
        Err(Overdue::Socket) => return Err(End::Cut),
        Err(Overdue::Head) => return Err(End::Head),
        Err(Overdue::Idle) => match *goodbye {
            Some(until) if until <= now => return Err(End::Idle),
            Some(until) => until,
            None => {
                connection.graceful_shutdown();
                cx.waker().wake_by_ref();
                *goodbye.insert(now + GOODBYE)
            }
        },
    };
    let exchange = connection.cut(now)?;
    let rest = match watchdog.rests_from() {
        Some(from) if P::RESTS && goodbye.is_none() && from <= now => return Err(End::Resting),
        from => from.filter(|_| P::RESTS && goodbye.is_none()),
    };
    Ok([exchange, rest].into_iter().flatten().fold(own, u64::min))
}

/// Closes an HTTP/1 connection so that the client learns what it should.
async fn close(end: End, mut wire: Wire, watchdog: &Watchdog) {
    match end {
        End::Cut => watchdog.reset_on_close(),
        End::Idle | End::Resting => {
            if settle(&mut wire, watchdog).await.is_err() {
                watchdog.reset_on_close();
            } else {
                // Over TLS, that nothing was cut off (RFC 8446 §6.1).
                let _ = timeout(LINGER, wire.shutdown()).await;
            }
        }
        End::Head => {
            let goodbye = async {
                wire.write_all(TIMED_OUT).await?;
                wire.shutdown().await
            };
            let _ = timeout(LINGER, goodbye).await;
            if settle(&mut wire, watchdog).await.is_err() {
                watchdog.reset_on_close();
            }
        }
        End::Finished(result) => {
            if let Err(error) = result {
                tracing::debug!(%error, "a connection ended with an error");
            }
            if watchdog.must_reset() {
                return;
            }
            if settle(&mut wire, watchdog).await.is_err() {
                watchdog.reset_on_close();
                return;
            }
            if watchdog.must_linger() || watchdog.is_inside_body() || wire.socket().has_unread() {
                let mut nowhere = tokio::io::sink();
                let mut rest = wire.socket().take(LINGER_BYTES);
                let _ = timeout(LINGER, tokio::io::copy(&mut rest, &mut nowhere)).await;
            }
        }
    }
}
