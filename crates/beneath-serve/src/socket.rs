//! [`Socket`]: the connection as the kernel sees it. It notes for the watchdog when the client takes nothing.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use crate::queue::unacknowledged;
use crate::sendfile::{Fallen, Outbox, is_stand_in, send_more};
use crate::watchdog::{Owes, Watchdog};

/// A socket whose progress the watchdog knows.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: Stream,
    pub(crate) watchdog: Arc<Watchdog>,
    /// Where slices of files are put for it to send.
    pub(crate) outbox: Outbox,
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

/// How much may wait unsent in the kernel for one client (`TCP_NOTSENT_LOWAT`, tcp(7)): what a slow one costs, and what is
/// still delivered when the right to send it falls.
const UNSENT: u32 = 128 * 1024;

/// As above, of files: they cost the kernel no memory, and what it has taken of them can be taken back. The more of it there
/// is, the seldomer this process has to be woken, and the better the kernel can judge how fast the client is.
const UNSENT_OF_FILES: u32 = 1024 * 1024;

/// How many bytes of files one connection sends before it is the turn of others: at 10 GB/s, a tenth of a millisecond.
const TURN: usize = 1024 * 1024;

macro_rules! on {
    ($stream:expr, $name:ident => $call:expr) => {
        match $stream {
            Stream::Tcp($name) => $call,
            Stream::Unix($name) => $call,
        }
    };
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
        // However long there is nothing to read.
        if sent.is_pending() || self.outbox.holds_several() {
            self.release();
        }
        sent
    }

    /// How many bytes the other side has, of all that were written.
    fn acknowledged(&self) -> u64 {
        let queued = on!(&self.stream, io => unacknowledged(io.as_fd()));
        self.written.saturating_sub(queued)
    }

    /// Lets go of the files of which the client has everything.
    pub(crate) fn release(&self) {
        if self.outbox.holds() {
            self.outbox.acknowledged(self.acknowledged());
        }
    }

    /// Whether the client may lack some of a file whose last bytes the kernel has taken.
    pub(crate) fn holds(&self) -> bool {
        self.outbox.holds() && !self.is_gone()
    }

    /// Counts the time from now on as waiting for the client, or not.
    pub(crate) fn note_waiting(&self, waiting: bool) {
        match waiting {
            true => self.watchdog.socket_waits(self.acknowledged()),
            false => self.watchdog.socket_moved(),
        }
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
            self.release();
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
