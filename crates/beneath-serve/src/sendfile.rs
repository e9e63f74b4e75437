//! Zero copy: slices of files leave a body by sendfile(2), through hyper.
//!
//! hyper queues buffers and writes them, so for each slice it is given a [`Buffer`] of as many bytes, a *stand-in*. Where the
//! [`Wire`](crate::wire::Wire) is asked to write bytes that lie in [`STAND_IN`] it sends the slice instead. That no stand-in reaches a
//! client as data does not depend on hyper doing what it does today:
//!
//! * Only the body between the application and hyper makes stand-ins, and only on an HTTP/1 connection without TLS. Applications
//!   and middleware have no type for them.
//! * hyper tells a buffer how many of its bytes were written, and the [`Outbox`] knows how many of them left a file. When the two
//!   differ (a buffer was copied, or dropped with bytes in it) the outbox is spoilt and the wire writes nothing more.
//! * A stand-in that is not what is due is an error, and so is one on any other transport.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use beneath_http::{FileSlice, Segment, SegmentBody};
use bytes::{Buf, Bytes};
use http_body::Frame;
use rustix::io::Errno;

/// Never read. No larger than a slice is, and a slice that is larger has several in a row.
static STAND_IN: [u8; 1024 * 1024] = [0; 1024 * 1024];

/// How many bytes one call sends at most: so often the right to send is asked for.
const AT_ONCE: usize = 1024 * 1024;

/// How many bytes are copied at once where a file system has no sendfile.
const COPIED_AT_ONCE: usize = 64 * 1024;

/// The slices that hyper holds stand-ins of, in the order in which they will be written. One for each connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outbox(Arc<Mutex<Slices>>);

#[derive(Debug, Default)]
struct Slices {
    due: VecDeque<FileSlice>,
    /// Bytes that left their file, and of which hyper has not told its buffer yet.
    left: u64,
    spoilt: bool,
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
    StandIn(StandIn),
}

/// As many bytes as a slice has.
#[derive(Debug)]
pub(crate) struct StandIn {
    remaining: u64,
    outbox: Outbox,
}

impl Sendfile {
    /// The next frame of a body, a stand-in where it has a slice.
    pub(crate) fn poll_frame<B: SegmentBody>(
        &self,
        body: Pin<&mut B>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Buffer>, B::Error>>> {
        let segment = body.poll_segment(cx, self.from);
        segment.map_ok(|segment| match segment {
            Segment::Frame(frame) => frame.map_data(Buffer::Bytes),
            Segment::Slice(slice) => Frame::data(self.outbox.put(slice)),
        })
    }
}

impl Outbox {
    /// Queues a slice. What is returned has to be written in its turn.
    fn put(&self, slice: FileSlice) -> Buffer {
        let remaining = slice.len();
        self.lock().due.push_back(slice);
        Buffer::StandIn(StandIn {
            remaining,
            outbox: self.clone(),
        })
    }

    /// # Errors
    ///
    /// When hyper and the outbox do not agree on what was written.
    pub(crate) fn check(&self) -> io::Result<()> {
        match self.lock().spoilt {
            true => Err(io::Error::other("a file slice was not written in its turn")),
            false => Ok(()),
        }
    }

    /// Sends from the slice that is due, `wanted` bytes at most, which is what its stand-in has left. `call` makes a system call on
    /// the socket when that is writable.
    ///
    /// # Errors
    ///
    /// When the slice may not leave any more, or the socket fails.
    pub(crate) fn poll_send(
        &self,
        cx: &mut Context<'_>,
        wanted: usize,
        call: impl FnOnce(
            &mut Context<'_>,
            &dyn Fn(BorrowedFd<'_>) -> io::Result<usize>,
        ) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let mut slices = self.lock();
        let Some(slice) = slices
            .due
            .front_mut()
            .filter(|slice| slice.len() >= wanted as u64)
        else {
            slices.spoilt = true;
            return Poll::Ready(Err(io::Error::other("no file slice is due")));
        };
        let next = ready!(slice.poll_next(cx, wanted.min(AT_ONCE))).map_err(io::Error::other)?;
        let sent = ready!(call(cx, &|socket| send(socket, &next)))?;
        if sent == 0 {
            return Poll::Ready(Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the file was cut while it was sent",
            )));
        }
        slice.advance(sent as u64);
        if slice.len() == 0 {
            slices.due.pop_front();
        }
        slices.left += sent as u64;
        Poll::Ready(Ok(sent))
    }

    fn lock(&self) -> MutexGuard<'_, Slices> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether these are bytes that stand for others.
pub(crate) fn is_stand_in(bytes: &[u8]) -> bool {
    STAND_IN.as_ptr_range().contains(&bytes.as_ptr())
}

fn send(socket: BorrowedFd<'_>, next: &beneath_http::Next<'_>) -> io::Result<usize> {
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
            Ok(rustix::net::send(
                socket,
                &buffer,
                rustix::net::SendFlags::NOSIGNAL,
            )?)
        }
        sent => Ok(sent?),
    }
}

/// Writes what more will follow.
pub(crate) fn send_more(socket: BorrowedFd<'_>, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
    let flags = rustix::net::SendFlags::MORE | rustix::net::SendFlags::NOSIGNAL;
    let mut control = rustix::net::SendAncillaryBuffer::default();
    Ok(rustix::net::sendmsg(socket, bufs, &mut control, flags)?)
}

impl Buf for Buffer {
    fn remaining(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.remaining(),
            Self::StandIn(stand_in) => usize::try_from(stand_in.remaining).unwrap_or(usize::MAX),
        }
    }

    fn chunk(&self) -> &[u8] {
        match self {
            Self::Bytes(bytes) => bytes.chunk(),
            Self::StandIn(_) => &STAND_IN[..self.remaining().min(STAND_IN.len())],
        }
    }

    fn advance(&mut self, count: usize) {
        match self {
            Self::Bytes(bytes) => bytes.advance(count),
            Self::StandIn(stand_in) => stand_in.advance(count as u64),
        }
    }
}

impl StandIn {
    fn advance(&mut self, count: u64) {
        let mut slices = self.outbox.lock();
        match slices.left.checked_sub(count) {
            Some(left) => slices.left = left,
            None => slices.spoilt = true,
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
