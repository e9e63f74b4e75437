//! [`Listeners`]: where connections come from, and what happens when there is no descriptor left for one.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::io::Errno;
use socket2::SockRef;
use tokio::net::{TcpListener, UnixListener};

use crate::peer::Peer;
use crate::socket::Stream;

/// How long nothing is accepted when even the reserve does not help.
const BACK_OFF: Duration = Duration::from_millis(20);

const UNAVAILABLE: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n";

/// The sockets that are listened on.
#[derive(Debug)]
pub(crate) struct Listeners {
    listeners: Vec<Listener>,
    /// The one that is asked first, next time.
    turn: usize,
    /// A descriptor to give up when there is no other: with it, a connection can be taken out of the queue and told.
    reserve: Option<OwnedFd>,
    speaks_tls: bool,
    exhausted: bool,
    when_exhausted: WhenExhausted,
}

/// What the application does when there are no descriptors.
#[derive(Default)]
pub(crate) struct WhenExhausted(Option<Box<dyn Fn() + Send + Sync>>);

#[derive(Debug)]
pub(crate) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listeners {
    pub(crate) fn new(listeners: Vec<Listener>, speaks_tls: bool, when_exhausted: WhenExhausted) -> Self {
        let mut this = Self {
            listeners,
            turn: 0,
            reserve: None,
            speaks_tls,
            exhausted: false,
            when_exhausted,
        };
        this.refill();
        this
    }

    /// The next connection. Survives every failure that passes.
    ///
    /// # Errors
    ///
    /// If listening is no longer possible at all.
    pub(crate) async fn accept(&mut self) -> io::Result<(Stream, Peer)> {
        loop {
            match poll_fn(|cx| self.poll_accept(cx)).await {
                Ok((stream, peer)) => {
                    self.exhausted = false;
                    self.refill();
                    prepare(&stream);
                    return Ok((stream, peer));
                }
                Err(error) => match Trouble::of(&error) {
                    Trouble::Gone => {}
                    Trouble::Exhausted if !self.exhausted => self.begin_exhaustion(&error),
                    Trouble::Exhausted => self.turn_one_away().await,
                    Trouble::Fatal => return Err(error),
                },
            }
        }
    }

    /// Tells a client that there is no room for it.
    pub(crate) fn turn_away(&self, stream: &Stream) {
        if !self.speaks_tls {
            let _ = match stream {
                Stream::Tcp(stream) => SockRef::from(stream).send(UNAVAILABLE),
                Stream::Unix(stream) => SockRef::from(stream).send(UNAVAILABLE),
            };
        }
    }

    /// Perhaps the application has some to give back; otherwise the next attempt will show it.
    fn begin_exhaustion(&mut self, error: &io::Error) {
        self.exhausted = true;
        tracing::warn!(%error, "no descriptor is left for new connections; they are answered 503");
        if let Some(give_back) = &self.when_exhausted.0 {
            give_back();
        }
    }

    /// No descriptor is left (`EMFILE`, `ENFILE`). What waits in the queue would keep the listener readable for ever:
    /// give up the reserve for it, answer, and take the reserve back.
    async fn turn_one_away(&mut self) {
        if self.reserve.take().is_some()
            && let Poll::Ready(Ok((stream, _))) = poll_fn(|cx| Poll::Ready(self.poll_accept(cx))).await
        {
            self.turn_away(&stream);
            drop(stream);
            self.refill();
            tokio::task::yield_now().await;
        } else {
            self.refill();
            tokio::time::sleep(BACK_OFF).await;
        }
    }

    fn refill(&mut self) {
        if self.reserve.is_none() {
            self.reserve = self.listeners.first().and_then(Listener::duplicate);
        }
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(Stream, Peer)>> {
        for _ in 0..self.listeners.len() {
            let at = self.turn % self.listeners.len();
            self.turn = at + 1;
            if let Poll::Ready(accepted) = self.listeners[at].poll_accept(cx) {
                return Poll::Ready(accepted);
            }
        }
        Poll::Pending
    }
}

impl WhenExhausted {
    pub(crate) fn calls(give_back: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Some(Box::new(give_back)))
    }
}

impl std::fmt::Debug for WhenExhausted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WhenExhausted")
    }
}

impl Listener {
    pub(crate) fn local_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok(),
            Self::Unix(_) => None,
        }
    }

    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(Stream, Peer)>> {
        match self {
            Self::Tcp(listener) => listener
                .poll_accept(cx)
                .map_ok(|(stream, address)| (Stream::Tcp(stream), Peer::Tcp(address))),
            Self::Unix(listener) => listener
                .poll_accept(cx)
                .map_ok(|(stream, _)| (Stream::Unix(stream), Peer::Unix)),
        }
    }

    fn duplicate(&self) -> Option<OwnedFd> {
        let fd = match self {
            Self::Tcp(listener) => listener.as_fd(),
            Self::Unix(listener) => listener.as_fd(),
        };
        rustix::io::fcntl_dupfd_cloexec(fd, 0).ok()
    }
}

/// What a failed accept(2) means.
enum Trouble {
    /// That one connection failed before it was accepted.
    Gone,
    /// No descriptors or memory left, for now.
    Exhausted,
    /// The listener itself is of no use.
    Fatal,
}

impl Trouble {
    fn of(error: &io::Error) -> Self {
        match Errno::from_io_error(error) {
            Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => Self::Exhausted,
            Some(Errno::BADF | Errno::INVAL | Errno::NOTSOCK | Errno::OPNOTSUPP | Errno::FAULT) => {
                Self::Fatal
            }
            // accept(2): "already-pending network errors on the new socket"; and EPERM of a firewall.
            _ => Self::Gone,
        }
    }
}

/// Sets what every connection needs. That it fails means that the client is gone, which will be seen.
fn prepare(stream: &Stream) {
    if let Stream::Tcp(stream) = stream {
        let _ = stream.set_nodelay(true);
    }
}
