//! [`Wire`]: the connection as hyper sees it. Above TLS, it lets no doubtful HTTP/1 head through to hyper.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::server::TlsStream;

use crate::head_check::{HeadCheck, POISON, Refused};
use crate::sendfile::Outbox;
use crate::socket::Socket;

/// The first bytes of an HTTP/2 connection (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

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

/// Which protocol is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    Http1,
    Http2,
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
        // A copy: a part of hyper's buffer, even an empty one, would keep the whole of it. It goes before what hyper was not handed
        // yet.
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
