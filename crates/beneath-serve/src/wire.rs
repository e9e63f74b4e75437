//! [`Wire`]: the connection as hyper sees it; [`Socket`]: as the kernel does.
//!
//! The socket notes for the watchdog when the client takes nothing; the wire, above TLS, lets no doubtful HTTP/1 head
//! through to hyper.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::server::TlsStream;

use crate::head_check::{HeadCheck, POISON, Refused};
use crate::queue::unacknowledged;
use crate::sendfile::{Fallen, Outbox, is_stand_in, send_more};
use crate::watchdog::{Owes, Watchdog};

/// The first bytes of an HTTP/2 connection (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A socket whose progress the watchdog knows.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: Stream,
    watchdog: Arc<Watchdog>,
    outbox: Outbox,
    /// Bytes that left files in this turn.
    turn: usize,
    /// Bytes that were written since the connection began.
    written: u64,
    /// How much of it may wait unsent.
    unsent: u32,
}

/// What a listener yields.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// What hyper reads from and writes to.
#[derive(Debug)]
pub(crate) struct Wire {
    transport: Transport,
    /// What was read to tell HTTP/2 from HTTP/1, and not yet handed to hyper.
    sniffed: Sniffed,
    /// What an earlier hyper connection had read, and not looked at.
    unread: Bytes,
    check: Check,
}

#[derive(Debug)]
enum Transport {
    Plain(Socket),
    Tls(Box<TlsStream<Socket>>),
}

#[derive(Debug, Default)]
struct Sniffed {
    bytes: [u8; PREFACE.len()],
    from: u8,
    to: u8,
}

#[derive(Debug)]
enum Check {
    Heads(HeadCheck),
    /// HTTP/2 has frames, and its own parser.
    Nothing,
    /// A head was refused; so much of [`POISON`] has been handed to hyper, and nothing else will be.
    Refused(usize),
}

/// How much may wait unsent in the kernel for one client (`TCP_NOTSENT_LOWAT`, tcp(7)): what a slow one costs, and what is
/// still delivered when the right to send it falls.
const UNSENT: u32 = 128 * 1024;

/// As above, of files: they cost the kernel no memory, and what it has taken of them can be taken back. The more of it there
/// is, the seldomer this process has to be woken, and the better the kernel can judge how fast the client is.
const UNSENT_OF_FILES: u32 = 1024 * 1024;

/// How many bytes of files one connection sends before it is the turn of others: at 10 GB/s, a tenth of a millisecond.
const TURN: usize = 1024 * 1024;

/// Which protocol is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    Http1,
    Http2,
}

macro_rules! on {
    ($stream:expr, $name:ident => $call:expr) => {
        match $stream {
            Stream::Tcp($name) => $call,
            Stream::Unix($name) => $call,
        }
    };
}

macro_rules! through {
    ($transport:expr, $name:ident => $call:expr) => {
        match $transport {
            Transport::Plain($name) => $call,
            Transport::Tls($name) => $call,
        }
    };
}

impl Wire {
    pub(crate) fn plain(socket: Socket) -> Self {
        Self::over(Transport::Plain(socket))
    }

    pub(crate) fn tls(stream: Box<TlsStream<Socket>>) -> Self {
        Self::over(Transport::Tls(stream))
    }

    fn over(transport: Transport) -> Self {
        Self {
            transport,
            sniffed: Sniffed::default(),
            unread: Bytes::new(),
            check: Check::Nothing,
        }
    }

    /// Which protocol the client speaks: what TLS agreed upon, or else what its first bytes say.
    pub(crate) async fn version(&mut self, header_bytes: usize) -> io::Result<Version> {
        let version = match self.agreed() {
            Some(version) => version,
            None => std::future::poll_fn(|cx| self.poll_sniff(cx)).await?,
        };
        if version == Version::Http1 {
            self.check = Check::Heads(HeadCheck::new(header_bytes));
        }
        Ok(version)
    }

    fn agreed(&self) -> Option<Version> {
        match &self.transport {
            Transport::Tls(stream) => match stream.get_ref().1.alpn_protocol() {
                Some(b"h2") => Some(Version::Http2),
                _ => Some(Version::Http1),
            },
            Transport::Plain(_) => None,
        }
    }

    fn poll_sniff(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Version>> {
        loop {
            let sniffed = self.sniffed.peek();
            if sniffed == PREFACE {
                return Poll::Ready(Ok(Version::Http2));
            }
            if !PREFACE.starts_with(sniffed) {
                return Poll::Ready(Ok(Version::Http1));
            }
            let mut buf = ReadBuf::new(&mut self.sniffed.bytes[usize::from(self.sniffed.to)..]);
            ready!(through!(&mut self.transport, io => Pin::new(io).poll_read(cx, &mut buf)))?;
            match u8::try_from(buf.filled().len()) {
                Ok(0) | Err(_) => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                Ok(read) => self.sniffed.to += read,
            }
        }
    }

    /// Where slices of files are put for this connection to send, if it can.
    pub(crate) fn outbox(&self) -> Option<Outbox> {
        match &self.transport {
            Transport::Plain(socket) => Some(socket.outbox.clone()),
            Transport::Tls(_) => None,
        }
    }

    /// The socket, for the time after the last answer.
    pub(crate) fn socket(&mut self) -> &mut Socket {
        match &mut self.transport {
            Transport::Plain(socket) => socket,
            Transport::Tls(stream) => stream.get_mut().0,
        }
    }

    /// Takes back what hyper was handed and did not look at.
    pub(crate) fn put_back(&mut self, unread: &[u8]) {
        // A copy, for what hyper read it into is larger, and is kept whole by the least part of it, even by none. Before what it was
        // not handed yet.
        self.unread = [unread, &self.unread].concat().into();
    }

    /// Whether it was handed back some.
    pub(crate) fn has_unread(&self) -> bool {
        !self.unread.is_empty()
    }

    fn poll_read_unchecked(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.sniffed.take(buf) {
            return Poll::Ready(Ok(()));
        }
        through!(&mut self.transport, io => Pin::new(io).poll_read(cx, buf))
    }
}

impl Sniffed {
    fn peek(&self) -> &[u8] {
        &self.bytes[usize::from(self.from)..usize::from(self.to)]
    }

    /// Hands out what there is; false if there is nothing.
    fn take(&mut self, buf: &mut ReadBuf<'_>) -> bool {
        let part = self.peek();
        let part = &part[..part.len().min(buf.remaining())];
        buf.put_slice(part);
        let taken = part.len();
        self.from += u8::try_from(taken).unwrap_or_default();
        taken > 0
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.unread.is_empty() {
            let part = this.unread.split_to(this.unread.len().min(buf.remaining()));
            buf.put_slice(&part);
            return Poll::Ready(Ok(()));
        }
        if let Check::Refused(handed) = &mut this.check {
            *handed += poison(buf, *handed);
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        ready!(this.poll_read_unchecked(cx, buf))?;
        if let Check::Heads(check) = &mut this.check {
            match check.look(&buf.filled()[before..]) {
                Ok(()) => {
                    let inside = check.is_inside_head();
                    this.socket().watchdog.inside_head(inside);
                }
                Err(Refused { at }) => {
                    buf.set_filled(before + at);
                    this.check = Check::Refused(poison(buf, 0));
                    this.socket().watchdog.linger_on_close();
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// Puts as much of [`POISON`] as fits; none after its end, which is the end of the stream.
fn poison(buf: &mut ReadBuf<'_>, handed: usize) -> usize {
    let rest = &POISON[handed..];
    let part = &rest[..rest.len().min(buf.remaining())];
    buf.put_slice(part);
    part.len()
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        through!(&mut self.transport, io => Pin::new(io).poll_write(cx, buf))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        through!(&mut self.transport, io => Pin::new(io).poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        through!(&self.transport, io => io.is_write_vectored())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        through!(&mut self.transport, io => Pin::new(io).poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        through!(&mut self.transport, io => Pin::new(io).poll_shutdown(cx))
    }
}

impl Socket {
    pub(crate) fn new(stream: Stream, watchdog: Arc<Watchdog>) -> Self {
        let mut this = Self {
            stream,
            watchdog,
            outbox: Outbox::default(),
            turn: 0,
            written: 0,
            unsent: 0,
        };
        this.limit_unsent(UNSENT);
        this
    }

    fn limit_unsent(&mut self, bytes: u32) {
        if self.unsent != bytes {
            self.unsent = bytes;
            if let Stream::Tcp(stream) = &self.stream {
                // That it fails means that the client is gone, which will be seen.
                let _ = SockRef::from(stream).set_tcp_notsent_lowat(bytes);
            }
        }
    }

    /// Whether there is something to read, or an end, or an error.
    pub(crate) fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on!(&self.stream, io => io.poll_read_ready(cx))
    }

    /// Whether something has come that nobody has read.
    pub(crate) fn has_unread(&self) -> bool {
        on!(&self.stream, io => rustix::io::ioctl_fionread(io)).is_ok_and(|bytes| bytes > 0)
    }

    /// Calls when there is room for something to be written, again if there turns out to be none.
    fn poll_call(
        &self,
        cx: &mut Context<'_>,
        call: &dyn Fn(BorrowedFd<'_>) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(on!(&self.stream, io => io.poll_write_ready(cx)))?;
            let called = on!(&self.stream, io => io.try_io(Interest::WRITABLE, || call(io.as_fd())));
            match called {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                called => return Poll::Ready(called),
            }
        }
    }

    /// Sends what is owed.
    pub(crate) fn poll_pay(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.outbox.owed()? == 0 {
            return Poll::Ready(Ok(()));
        }
        self.watchdog.owes(Owes::More);
        while self.outbox.owed()? > 0 {
            if self.turn >= TURN {
                self.turn = 0;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            match self.poll_send_file(cx) {
                Poll::Ready(Ok(sent)) => self.turn += sent,
                Poll::Ready(Err(error)) => {
                    self.watchdog.reset_on_close();
                    return Poll::Ready(Err(error));
                }
                Poll::Pending => {
                    self.turn = 0;
                    return Poll::Pending;
                }
            }
        }
        self.watchdog.owes(Owes::Nothing);
        Poll::Ready(Ok(()))
    }

    fn poll_send_file(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut waits_for_client = false;
        let sent = self.outbox.poll_send(cx, self.written, |cx, call| {
            let called = self.poll_call(cx, call);
            waits_for_client = called.is_pending();
            called
        });
        match &sent {
            Poll::Ready(Ok(sent)) => self.moved(*sent),
            Poll::Ready(Err(_)) => {}
            Poll::Pending if waits_for_client => self.watchdog.socket_waits(self.acknowledged()),
            // For the disk: that is not the client's time.
            Poll::Pending => self.watchdog.socket_moved(),
        }
        // What the client has need not be held, however long there is nothing to read.
        if sent.is_pending() || self.outbox.holds_several() {
            self.holds();
        }
        sent
    }

    /// How many bytes the other side has, of all that were written.
    fn acknowledged(&self) -> u64 {
        let queued = on!(&self.stream, io => unacknowledged(io.as_fd()));
        self.written.saturating_sub(queued)
    }

    /// Whether the client may lack some of a file whose last bytes the kernel has taken. Asks.
    pub(crate) fn holds(&self) -> bool {
        self.outbox.holds() && {
            self.outbox.acknowledged(self.acknowledged());
            self.outbox.holds()
        }
    }

    /// Whether the client may lack some of a file whose last bytes the kernel has taken. The time in which it is so is
    /// counted as waiting for the client.
    pub(crate) fn waits_for_client(&self) -> bool {
        let holds = self.holds() && !self.is_gone();
        match holds {
            true => self.watchdog.socket_waits(self.acknowledged()),
            false => self.watchdog.socket_moved(),
        }
        holds
    }

    /// Whether the client has reset the connection: what the kernel held is forgotten, and will not be acknowledged.
    fn is_gone(&self) -> bool {
        match &self.stream {
            Stream::Tcp(stream) => stream.peer_addr().is_err(),
            Stream::Unix(_) => false,
        }
    }

    /// Whether something must not be sent any more of which the client may lack bytes.
    pub(crate) fn fallen(&self) -> Option<Fallen> {
        self.outbox.fallen()
    }

    fn note_write(&mut self, written: &Poll<io::Result<usize>>) {
        match written {
            Poll::Ready(Ok(bytes)) => self.moved(*bytes),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.watchdog.socket_waits(self.acknowledged()),
        }
    }

    fn moved(&mut self, bytes: usize) {
        self.written += bytes as u64;
        self.watchdog.socket_moved();
    }
}

impl Drop for Socket {
    /// Closing is a reset where the watchdog says so: the client cannot take that for the end of what it asked
    /// for, and the kernel forgets what it still holds for it.
    fn drop(&mut self) {
        if (self.watchdog.must_reset() || self.outbox.owed().map_or(true, |owed| owed > 0))
            && let Stream::Tcp(stream) = &self.stream
            && let Err(error) = stream.set_zero_linger()
        {
            tracing::debug!(%error, "a connection is closed without a reset");
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = on!(&mut self.stream, io => Pin::new(io).poll_read(cx, buf));
        // Who goes on to ask has what was sent before, as a rule.
        if read.is_ready() {
            self.holds();
        }
        read
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let stand_in = bufs.iter().position(|buf| is_stand_in(buf));
        if stand_in == Some(0) {
            let stand_ins = bufs.iter().take_while(|buf| is_stand_in(buf));
            let bytes = stand_ins.map(|buf| buf.len()).sum();
            self.watchdog.owes(Owes::More);
            if bytes > UNSENT as usize {
                self.limit_unsent(UNSENT_OF_FILES);
            }
            return Poll::Ready(self.outbox.owe(bytes));
        }
        ready!(self.poll_pay(cx))?;
        let written = match stand_in {
            Some(before) => self.poll_call(cx, &|socket| send_more(socket, &bufs[..before])),
            None => {
                self.limit_unsent(UNSENT);
                on!(&mut self.stream, io => Pin::new(io).poll_write_vectored(cx, bufs))
            }
        };
        self.note_write(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        on!(&self.stream, io => io.is_write_vectored())
    }

    /// hyper flushes when it has nothing more to write. It need not wait for what is owed: it has to decide whether the
    /// connection goes on.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.poll_pay(cx)?.is_pending() {
            self.watchdog.owes(Owes::Files);
        }
        on!(&mut self.stream, io => Pin::new(io).poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.poll_pay(cx)?.is_pending() {
            self.watchdog.owes(Owes::LastFiles);
            return Poll::Pending;
        }
        on!(&mut self.stream, io => Pin::new(io).poll_shutdown(cx))
    }
}
