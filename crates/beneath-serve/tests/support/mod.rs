//! A server of real sockets on a thread of its own, and clients that say exactly what they are told.

#![allow(dead_code, unreachable_pub, reason = "each test program uses its part")]

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Extension, Path};
use axum::routing::{any, get, post};
use beneath_serve::{Abort, Drained, Limits, Peer, Server};
use tokio::sync::oneshot;

/// A server that is running.
pub struct Running {
    pub address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Drained>>,
}

impl Running {
    /// Serves [`app`] on a port of its own.
    pub fn start(limits: Limits) -> Self {
        Self::start_with(async move || Server::bind("127.0.0.1:0").await.unwrap().limits(limits))
    }

    pub fn start_with<F>(server: F) -> Self
    where
        F: AsyncFnOnce() -> Server + Send + 'static,
    {
        let (told, listens) = mpsc::channel();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let server = server().await;
                told.send(server.local_addr()).unwrap();
                let stopped = async { drop(stopped.await) };
                server.serve(app(), stopped).await.unwrap()
            })
        });
        Self {
            address: listens.recv().unwrap(),
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    pub fn client(&self) -> Client {
        Client::connect(self.address)
    }

    /// Sends the shutdown signal.
    pub fn signal(&mut self) {
        drop(self.stop.take());
    }

    /// Sends the shutdown signal, and waits until it is heard: nobody listens any more (proc_pid_net(5), state 0A). Trying to
    /// connect would be a connection more while somebody does.
    pub fn close_the_door(&mut self) {
        self.signal();
        let listener = format!(":{:04X} 00000000:0000 0A ", self.address.port());
        let begin = Instant::now();
        while std::fs::read_to_string("/proc/net/tcp")
            .unwrap()
            .contains(&listener)
        {
            assert!(begin.elapsed() < PATIENCE, "still listening after the signal");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Sends the shutdown signal and waits for the end of the drain.
    pub fn stop(mut self) -> Drained {
        self.signal();
        self.thread.take().unwrap().join().unwrap()
    }
}

/// A client that sends bytes, and reads with a bound in time.
pub struct Client(pub TcpStream);

impl Client {
    pub fn connect(address: impl ToSocketAddrs) -> Self {
        Self::new(TcpStream::connect(address).unwrap())
    }

    pub fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(stream)
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.0.write_all(bytes.as_ref()).unwrap();
        self
    }

    /// All that comes until the server closes. A reset is an end, too: see [`is_reset`](Self::is_reset).
    pub fn rest(&mut self) -> String {
        let mut all = Vec::new();
        let mut buf = [0; 4096];
        loop {
            match self.0.read(&mut buf) {
                Ok(0) => break,
                Ok(read) => all.extend_from_slice(&buf[..read]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
                Err(error) => panic!("still open after {} bytes: {error}", all.len()),
            }
        }
        String::from_utf8_lossy(&all).into_owned()
    }

    /// One response with a content-length, head and body.
    pub fn response(&mut self) -> String {
        let mut all = Vec::new();
        let mut byte = [0];
        while !all.ends_with(b"\r\n\r\n") {
            assert_eq!(
                self.0.read(&mut byte).unwrap(),
                1,
                "closed after {}",
                all.escape_ascii()
            );
            all.push(byte[0]);
        }
        let head = String::from_utf8(all).unwrap().to_ascii_lowercase();
        let length = head
            .split("content-length: ")
            .nth(1)
            .map_or(0, |rest| rest.split("\r\n").next().unwrap().parse().unwrap());
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).unwrap();
        head + &String::from_utf8_lossy(&body)
    }

    /// How many bytes came before the server closed.
    pub fn closed(&mut self) -> usize {
        let begin = Instant::now();
        let mut buf = vec![0; 1 << 16];
        let mut total = 0;
        while begin.elapsed() < PATIENCE {
            match self.0.read(&mut buf) {
                Ok(0) => return total,
                Ok(read) => total += read,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(_) => return total,
            }
        }
        panic!("still open after {PATIENCE:?} and {total} bytes");
    }

    /// Whether the server has neither closed nor said anything.
    pub fn is_held(&self) -> bool {
        self.0.set_nonblocking(true).unwrap();
        let peeked = self.0.peek(&mut [0]);
        self.0.set_nonblocking(false).unwrap();
        peeked.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    }

    /// Waits for the reset, without reading.
    pub fn reset(&mut self) {
        let begin = Instant::now();
        loop {
            match self.0.take_error().unwrap() {
                Some(error) => return assert_eq!(error.kind(), ErrorKind::ConnectionReset),
                None => assert!(begin.elapsed() < PATIENCE, "still open after {PATIENCE:?}"),
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// The status of a response, or of the first of several.
pub fn status(response: &str) -> u16 {
    response
        .get(9..12)
        .and_then(|code| code.parse().ok())
        .unwrap_or_else(|| panic!("no response: {response:?}"))
}

/// How many responses there are.
pub fn count(responses: &str) -> usize {
    responses.matches("HTTP/1.1 ").count() + responses.matches("HTTP/1.0 ").count()
}

/// Longer than any test takes.
pub const FAR: Duration = Duration::from_secs(600);

/// How long a test waits for what must happen, on a machine that has much else to do.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Limits that no test reaches, but for those it shortens itself: what cuts is then what the test is about and nothing else,
/// however busy the machine is. That deadlines are met exactly is shown in `watchdog.rs`, on a clock that stands still.
pub fn only(shorten: impl FnOnce(&mut Limits)) -> Limits {
    let mut limits = Limits::default();
    limits.header_timeout = FAR;
    limits.idle_timeout = FAR;
    limits.stall_timeout = FAR;
    limits.handshake_timeout = FAR;
    limits.drain = FAR;
    limits.connections = 4000;
    shorten(&mut limits);
    limits
}

/// Not before `timeout` has passed since `begin`; that nothing else can have cut is the work of [`only`].
#[track_caller]
pub fn not_before(timeout: Duration, begin: Instant) {
    assert!(begin.elapsed() >= timeout, "after {:?}", begin.elapsed());
}

/// Fails unless this is done at once in one of three tries: others may be using the machine.
#[track_caller]
pub fn at_once(bound: Duration, mut act: impl FnMut()) {
    let mut fastest = Duration::MAX;
    for _ in 0..3 {
        let begin = Instant::now();
        act();
        fastest = fastest.min(begin.elapsed());
        if fastest < bound {
            return;
        }
    }
    panic!("{fastest:?}");
}

pub const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// What the tests ask.
pub fn app() -> Router {
    Router::new()
        .route("/", any(|| async { "hello" }))
        .route(
            "/path/{name}",
            get(|Path(name): Path<String>| async move { name }),
        )
        .route("/echo", post(|body: Bytes| async move { body }))
        .route("/unread", post(|| async { "I do not care" }))
        .route("/slow/{millis}", get(slow))
        .route("/zeros/{length}", get(zeros))
        .route(
            "/peer",
            get(|Extension(peer): Extension<Peer>| async move { format!("{peer:?}") }),
        )
        .route("/trailers", get(trailers))
        .route("/abort/{millis}", get(abort))
        .route("/panic/{words}", get(panics))
}

async fn slow(Path(millis): Path<u64>) -> &'static str {
    tokio::time::sleep(Duration::from_millis(millis)).await;
    "late"
}

/// A body of `length` zeros, in pieces of 64 KiB.
async fn zeros(Path(length): Path<usize>) -> ([(&'static str, String); 1], Body) {
    ([("content-length", length.to_string())], Body::new(Zeros(length)))
}

/// As `zeros`, without end; aborted after a while, whether the client reads or not.
async fn abort(
    Path(millis): Path<u64>,
    Extension(abort): Extension<Abort>,
) -> ([(&'static str, String); 1], Body) {
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(millis)).await;
        abort.abort();
    });
    zeros(Path(1 << 40)).await
}

#[expect(clippy::panic, reason = "what the server makes of it is to be seen")]
async fn panics(Path(words): Path<String>) -> &'static str {
    panic!("{words}");
}

/// Three pieces of ten bytes, and a trailer.
async fn trailers() -> Body {
    let piece = || http_body::Frame::data(Bytes::from_static(b"0123456789"));
    let trailer = ("sum".parse().unwrap(), "30".parse().unwrap());
    let trailers = http_body::Frame::trailers([trailer].into_iter().collect());
    let frames = [piece(), piece(), piece(), trailers].map(Ok::<_, std::convert::Infallible>);
    Body::new(http_body_util::StreamBody::new(futures_util::stream::iter(
        frames,
    )))
}

struct Zeros(usize);

impl http_body::Body for Zeros {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
        static PIECE: [u8; 65536] = [0; 65536];
        let length = self.0.min(PIECE.len());
        self.0 -= length;
        std::task::Poll::Ready(
            (length > 0).then(|| Ok(http_body::Frame::data(Bytes::from_static(&PIECE[..length])))),
        )
    }

    fn is_end_stream(&self) -> bool {
        self.0 == 0
    }
}
