//! Zero copy: slices of files leave a body by sendfile(2), past hyper.
//!
//! hyper queues buffers and writes them. Of a body that has slices it is given a single [`Buffer`] of as many bytes, a
//! *stand-in*, and the body itself goes to the [`Outbox`]. Where the [`Socket`](crate::socket::Socket) is asked to write bytes that lie in
//! [`STAND_IN`] it says that they are written, and from then on *owes* the client as many bytes of the body. What is owed is sent
//! before anything else is written, and before the next request is answered. So hyper is done with an answer while its
//! file is still on its way, and is not needed for that: a slow download costs a descriptor, a socket and no buffers.
//!
//! That no stand-in reaches a client as data does not depend on hyper doing what it does today:
//!
//! * Only the body between the application and hyper makes stand-ins, and only on an HTTP/1 connection without TLS. Applications
//!   and middleware have no type for them.
//! * hyper tells a buffer how many of its bytes were written, and the outbox knows of how many it was said. When the two
//!   differ (a buffer was copied, or dropped with bytes in it) the outbox is spoilt and the wire writes nothing more.
//! * A stand-in for which no body is due is an error, and so is one on any other transport.
//!
//! A slice that the kernel has taken whole is held until the client has acknowledged it, for the right to read it may fall before.

use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use beneath_http::{FileSlice, Segment, SegmentBody};
use bytes::{Buf, Bytes};
use rustix::io::Errno;
use rustix::net::{self, SendFlags};

use crate::exchange::Piece;

/// Never read. A stand-in that is larger has several in a row.
static STAND_IN: [u8; 1024 * 1024] = [0; 1024 * 1024];

/// How many bytes of a body one call sends at most while no more than these have left: most answers leave in one.
const AT_ONCE: u64 = 1024 * 1024;

/// How many bytes one call sends at most of what is longer: so often the right to send is asked for. A client that keeps up
/// reads one piece while the kernel prepares the next; after larger ones it sleeps until it is woken, at the cost of whoever sends.
const PIECE: u64 = 64 * 1024;

/// How many bytes are copied at once where a file system has no sendfile.
const COPIED_AT_ONCE: usize = 64 * 1024;

/// A client that has gone is an error, not a signal.
const NOSIGNAL: SendFlags = SendFlags::NOSIGNAL;

/// The bodies that hyper holds stand-ins of or takes for written. One for each connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outbox(Arc<Mutex<Bodies>>);

#[derive(Debug, Default)]
struct Bodies {
    /// In the order in which they are sent. There is one at a time, as long as hyper does what it does today.
    due: VecDeque<Due>,
    /// Bytes of these, from the first on, that hyper was told are written.
    owed: u64,
    /// Bytes of which hyper was told, and has not told its buffer yet.
    untold: u64,
    spoilt: bool,
    /// What the kernel has taken whole, with where in the stream of bytes it ends.
    taken: VecDeque<(FileSlice, u64)>,
    /// Who waits until nothing is owed.
    waits: Option<Waker>,
}

/// A body, as far as it has not left.
struct Due {
    body: Pin<Box<dyn Body + Send>>,
    next: Next,
    sent: u64,
    left: u64,
    slice_from: u64,
}

/// What of a body leaves next.
enum Next {
    /// The body has to be asked.
    Unknown,
    Bytes(Bytes),
    Slice(FileSlice),
}

/// [`SegmentBody`], whatever its error is.
pub(crate) trait Body {
    fn poll_segment(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slice_from: u64,
    ) -> Poll<Option<io::Result<Segment>>>;
}

/// Slices whose right to be sent has fallen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fallen {
    /// Not all of it is with the kernel.
    Due,
    /// Perhaps the client has not got all of it.
    Taken,
}

/// How bodies are sent from files on a connection that can.
#[derive(Clone, Debug)]
pub(crate) struct Sendfile {
    pub(crate) outbox: Outbox,
    /// From how many bytes in a row.
    pub(crate) from: u64,
}

/// What hyper queues.
#[derive(Debug)]
pub(crate) enum Buffer {
    Bytes(Bytes),
    Piece(Piece),
    StandIn(StandIn),
}

/// As many bytes as a slice has.
#[derive(Debug)]
pub(crate) struct StandIn {
    remaining: u64,
    outbox: Outbox,
}

impl<B: SegmentBody> Body for B
where
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    fn poll_segment(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slice_from: u64,
    ) -> Poll<Option<io::Result<Segment>>> {
        let segment = SegmentBody::poll_segment(self, cx, slice_from);
        segment.map_err(io::Error::other)
    }
}

impl Sendfile {
    /// Takes a body of so many bytes that begins with a slice. What is returned has to be written in its turn.
    pub(crate) fn put(&self, first: FileSlice, body: Pin<Box<dyn Body + Send>>, len: u64) -> Buffer {
        self.outbox.lock().due.push_back(Due {
            body,
            next: Next::Slice(first),
            sent: 0,
            left: len,
            slice_from: self.from,
        });
        Buffer::StandIn(StandIn {
            remaining: len,
            outbox: self.outbox.clone(),
        })
    }
}

impl Outbox {
    /// Says that so many bytes of stand-ins are written.
    ///
    /// # Errors
    ///
    /// When there are not as many due.
    pub(crate) fn owe(&self, bytes: usize) -> io::Result<usize> {
        let mut bodies = self.lock();
        let due = bodies.due.iter().map(|due| due.left).sum::<u64>();
        if bodies.spoilt || bodies.owed + bytes as u64 > due {
            bodies.spoilt = true;
            return Err(io::Error::other("no body is due"));
        }
        bodies.owed += bytes as u64;
        bodies.untold += bytes as u64;
        Ok(bytes)
    }

    /// How many bytes hyper takes for written that are not.
    ///
    /// # Errors
    ///
    /// When hyper and the outbox do not agree on what was written.
    pub(crate) fn owed(&self) -> io::Result<u64> {
        let bodies = self.lock();
        match bodies.spoilt {
            true => Err(io::Error::other("a body was not written in its turn")),
            false => Ok(bodies.owed),
        }
    }

    /// Until nothing is owed.
    pub(crate) fn poll_paid(&self, cx: &Context<'_>) -> Poll<()> {
        let mut bodies = self.lock();
        if bodies.owed == 0 {
            return Poll::Ready(());
        }
        bodies.waits = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Sends of what is owed: how many bytes. `call` makes a system call on the socket when that is writable, and `written` is
    /// how many bytes were written to it so far.
    ///
    /// # Errors
    ///
    /// When the body may not leave any more, or the socket fails.
    pub(crate) fn poll_send(
        &self,
        cx: &mut Context<'_>,
        written: u64,
        call: impl FnOnce(
            &mut Context<'_>,
            &dyn Fn(BorrowedFd<'_>) -> io::Result<usize>,
        ) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let bodies = &mut *self.lock();
        let Some(due) = bodies.due.front_mut() else {
            return Poll::Ready(Err(io::Error::other("no body is due")));
        };
        ready!(due.poll_next(cx))?;
        let most = usize::try_from(bodies.owed.min(due.at_once())).unwrap_or(usize::MAX);
        let sent = match &mut due.next {
            Next::Unknown => return Poll::Ready(Err(io::Error::other("a body ended early"))),
            Next::Bytes(bytes) => {
                let part = &bytes[..bytes.len().min(most)];
                ready!(call(cx, &|socket| Ok(net::send(socket, part, NOSIGNAL)?)))?
            }
            Next::Slice(slice) => {
                let next = ready!(slice.poll_next(cx, most)).map_err(cut)?;
                match ready!(call(cx, &|socket| send_file(socket, &next)))? {
                    0 => return Poll::Ready(Err(cut("the file was cut while it was sent"))),
                    sent => sent,
                }
            }
        };
        if let Some(slice) = due.advance(sent) {
            bodies.taken.push_back((slice, written + sent as u64));
        }
        if due.left == 0 {
            bodies.due.pop_front();
        }
        bodies.owed -= sent as u64;
        if bodies.owed == 0
            && let Some(waiting) = bodies.waits.take()
        {
            waiting.wake();
        }
        Poll::Ready(Ok(sent))
    }

    /// Whether the client may lack some of a slice that the kernel has taken.
    pub(crate) fn holds(&self) -> bool {
        !self.lock().taken.is_empty()
    }

    /// Whether it is more than the last one.
    pub(crate) fn holds_several(&self) -> bool {
        self.lock().taken.len() > 1
    }

    /// The client has so many bytes of all that was written.
    pub(crate) fn acknowledged(&self, bytes: u64) {
        let mut bodies = self.lock();
        let still = bodies.taken.iter().position(|(_, end)| *end > bytes);
        let done = still.unwrap_or(bodies.taken.len());
        bodies.taken.drain(..done);
    }

    /// Whether something must not be sent any more of which the client may lack bytes.
    pub(crate) fn fallen(&self) -> Option<Fallen> {
        let bodies = self.lock();
        if bodies.due.iter().any(Due::has_fallen) {
            return Some(Fallen::Due);
        }
        let mut taken = bodies.taken.iter();
        taken
            .any(|(slice, _)| slice.still_held().is_err())
            .then_some(Fallen::Taken)
    }

    fn lock(&self) -> MutexGuard<'_, Bodies> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Due {
    /// Asks the body, if nothing of it is left here.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while matches!(self.next, Next::Unknown) {
            let segment = ready!(self.body.as_mut().poll_segment(cx, self.slice_from)).transpose()?;
            let (next, len) = match segment {
                Some(Segment::Slice(slice)) => {
                    let len = slice.len();
                    (Next::Slice(slice), len)
                }
                Some(Segment::Frame(frame)) => match frame.into_data() {
                    Ok(bytes) if bytes.is_empty() => continue,
                    Ok(bytes) => {
                        let len = bytes.len() as u64;
                        (Next::Bytes(bytes), len)
                    }
                    // There is no place for trailers beside a length.
                    Err(_) => continue,
                },
                None => (Next::Unknown, u64::MAX),
            };
            if len > self.left {
                return Poll::Ready(Err(io::Error::other("a body has not the length it said")));
            }
            self.next = next;
        }
        Poll::Ready(Ok(()))
    }

    const fn at_once(&self) -> u64 {
        match self.sent < AT_ONCE {
            true => AT_ONCE,
            false => PIECE,
        }
    }

    /// So many bytes have left. Returns a slice that has left whole.
    fn advance(&mut self, bytes: usize) -> Option<FileSlice> {
        self.sent += bytes as u64;
        self.left -= bytes as u64;
        let done = match &mut self.next {
            Next::Unknown => false,
            Next::Bytes(rest) => {
                rest.advance(bytes);
                rest.is_empty()
            }
            Next::Slice(slice) => {
                slice.advance(bytes as u64);
                slice.len() == 0
            }
        };
        match done.then(|| std::mem::replace(&mut self.next, Next::Unknown)) {
            Some(Next::Slice(slice)) => Some(slice),
            _ => None,
        }
    }

    fn has_fallen(&self) -> bool {
        matches!(&self.next, Next::Slice(slice) if slice.still_held().is_err())
    }
}

impl fmt::Debug for Due {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Due")
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}

/// Whether these are bytes that stand for others.
pub(crate) fn is_stand_in(bytes: &[u8]) -> bool {
    STAND_IN.as_ptr_range().contains(&bytes.as_ptr())
}

/// A slice has left its body, whose owner cannot see why the rest of it does not arrive. What goes wrong in a body is the
/// owner's to tell.
fn cut(why: impl Into<Box<dyn Error + Send + Sync>>) -> io::Error {
    let error = io::Error::other(why);
    tracing::info!(%error, "a transfer was cut");
    error
}

fn send_file(socket: BorrowedFd<'_>, next: &beneath_http::Next<'_>) -> io::Result<usize> {
    let mut offset = next.offset;
    match rustix::fs::sendfile(socket, next.file, Some(&mut offset), next.count) {
        // Not every file system can.
        Err(Errno::INVAL | Errno::NOSYS) => {
            let mut buffer = vec![0; next.count.min(COPIED_AT_ONCE)];
            let read = next
                .file
                .read_at(&mut buffer, next.offset)
                .map_err(io::Error::other)?;
            buffer.truncate(read);
            Ok(net::send(socket, &buffer, NOSIGNAL)?)
        }
        sent => Ok(sent?),
    }
}

/// Writes what more will follow.
pub(crate) fn send_more(socket: BorrowedFd<'_>, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
    let flags = SendFlags::MORE | NOSIGNAL;
    let mut control = net::SendAncillaryBuffer::default();
    Ok(net::sendmsg(socket, bufs, &mut control, flags)?)
}

impl Buf for Buffer {
    fn remaining(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.remaining(),
            Self::Piece(piece) => piece.bytes().remaining(),
            Self::StandIn(stand_in) => usize::try_from(stand_in.remaining).unwrap_or(usize::MAX),
        }
    }

    fn chunk(&self) -> &[u8] {
        match self {
            Self::Bytes(bytes) => bytes.chunk(),
            Self::Piece(piece) => piece.bytes().chunk(),
            Self::StandIn(_) => &STAND_IN[..self.remaining().min(STAND_IN.len())],
        }
    }

    /// As much as there is room for: a file of terabytes is said to be written in few calls.
    fn chunks_vectored<'a>(&'a self, dst: &mut [IoSlice<'a>]) -> usize {
        let mut remaining = self.remaining();
        let mut used = 0;
        match self {
            Self::Bytes(bytes) => used = bytes.chunks_vectored(dst),
            Self::Piece(piece) => used = piece.bytes().chunks_vectored(dst),
            Self::StandIn(_) => {
                for dst in dst {
                    if remaining == 0 {
                        break;
                    }
                    let len = remaining.min(STAND_IN.len());
                    *dst = IoSlice::new(&STAND_IN[..len]);
                    remaining -= len;
                    used += 1;
                }
            }
        }
        used
    }

    fn advance(&mut self, count: usize) {
        match self {
            Self::Bytes(bytes) => bytes.advance(count),
            Self::Piece(piece) => piece.advance(count),
            Self::StandIn(stand_in) => stand_in.advance(count as u64),
        }
    }
}

impl StandIn {
    fn advance(&mut self, count: u64) {
        let mut bodies = self.outbox.lock();
        match bodies.untold.checked_sub(count) {
            Some(untold) => bodies.untold = untold,
            None => bodies.spoilt = true,
        }
        self.remaining = self.remaining.saturating_sub(count);
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        if self.remaining > 0 {
            self.outbox.lock().spoilt = true;
        }
    }
}
