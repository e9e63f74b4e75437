//! [`FileSlice`]: bytes that leave a file without entering this process.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use beneath::{File, Source, Stopped};
use bytes::Bytes;
use http_body::{Body, Frame};

use super::buffer::Buffer;
use super::memory::is_in_memory;
use super::read::{self, FileSystem, Pending};
use super::witness::{Judgement, Witness};
use super::{BodyError, BodyErrorKind};

/// A body for a transport that can send from a file itself (sendfile(2)).
///
/// A type of its own on purpose: what stands between a handler and such a transport and wants to see or change the bytes has
/// [`Body`], by which it gets them. It cannot get a slice by accident.
///
/// For a body that wraps a [`FileBody`](super::FileBody) this is one line beside its `poll_frame`.
pub trait SegmentBody: Body<Data = Bytes> {
    /// As [`poll_frame`](Body::poll_frame), but `slice_from` or more bytes of a file in a row may come as a [`FileSlice`].
    /// One asks either this or `poll_frame`, not now one and now the other.
    fn poll_segment(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slice_from: u64,
    ) -> Poll<Option<Result<Segment, Self::Error>>>;
}

/// What leaves next.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "there is no third")]
pub enum Segment {
    /// Bytes that are here, or trailers.
    Frame(Frame<Bytes>),
    /// Bytes of a file.
    Slice(FileSlice),
}

/// Bytes of a file that may leave it, as long as the right to read it holds and the file is the one that was opened.
///
/// # Security
///
/// [`poll_next`](Self::poll_next) has to be asked before each system call that sends: it is where a right that has fallen and a file
/// that changed are noticed. What sendfile(2) has put into a socket are pages of the file and not copies: see
/// [`FileBody`](super::FileBody) for what that means.
pub struct FileSlice {
    source: Arc<dyn Source>,
    witness: Witness,
    offset: u64,
    len: u64,
    doubt: OnDoubt,
    is_last: bool,
    warming: Option<Pending<()>>,
    /// The next bytes were read on purpose just now.
    is_warm: bool,
}

/// What to do when the file is not as it was, and its bytes may still be the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OnDoubt {
    /// Nothing is known by which it could be settled.
    Fail,
    /// It will be settled before the last bytes leave.
    GoOn,
}

/// Where the next bytes of a slice are.
#[derive(Debug)]
#[non_exhaustive]
pub struct Next<'a> {
    /// The file.
    pub file: &'a File,
    /// Where in it, in bytes from the start.
    pub offset: u64,
    /// How many bytes, at least 1.
    pub count: usize,
}

impl FileSlice {
    pub(super) fn new(
        source: Arc<dyn Source>,
        witness: Witness,
        (offset, len): (u64, u64),
        doubt: OnDoubt,
        is_last: bool,
    ) -> Self {
        Self {
            source,
            witness,
            offset,
            len,
            doubt,
            is_last,
            warming: None,
            is_warm: false,
        }
    }

    /// How many bytes have yet to leave.
    #[expect(clippy::len_without_is_empty, reason = "an empty one is never handed out")]
    pub const fn len(&self) -> u64 {
        self.len
    }

    /// Waits until the bytes are in memory, then says where up to `most` of the next are, if they may leave.
    ///
    /// # Errors
    ///
    /// [`BodyError`]: the connection must be reset, for the client cannot be told otherwise.
    pub fn poll_next(&mut self, cx: &mut Context<'_>, most: usize) -> Poll<Result<Next<'_>, BodyError>> {
        ready!(self.poll_memory(cx)).map_err(BodyError)?;
        self.judge().map_err(BodyError)?;
        Poll::Ready(Ok(Next {
            file: self.source.file(),
            offset: self.offset,
            count: usize::try_from(self.len).unwrap_or(usize::MAX).min(most),
        }))
    }

    /// So many bytes have left.
    pub fn advance(&mut self, bytes: u64) {
        let bytes = bytes.min(self.len);
        self.offset += bytes;
        self.len -= bytes;
        self.is_warm = false;
        self.source.sent(bytes);
        if self.is_last && self.len == 0 {
            self.source.completed();
        }
    }

    /// Whether the bytes may still leave. Of those that the kernel has taken and not delivered this can be asked, too.
    ///
    /// # Errors
    ///
    /// [`Stopped`] when the right has fallen.
    pub fn still_held(&self) -> Result<(), Stopped> {
        self.source.still_held()
    }

    /// The last questions before bytes leave: may they still, and is it still the file that was opened.
    fn judge(&mut self) -> Result<(), BodyErrorKind> {
        self.source.still_held()?;
        let now = self.source.file().metadata_now()?;
        match self.witness.judge(&now) {
            Judgement::Same => Ok(()),
            Judgement::Unlinked => {
                self.witness.accept(now);
                Ok(())
            }
            Judgement::Grown | Judgement::Unexplained if self.doubt == OnDoubt::GoOn => Ok(()),
            _ if now.len() < self.offset + self.len => Err(BodyErrorKind::Truncated),
            _ => Err(BodyErrorKind::Changed),
        }
    }

    /// sendfile(2) cannot be told not to wait for the disk. All that is left is looked at, in however many pieces it leaves.
    fn poll_memory(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyErrorKind>> {
        loop {
            if let Some(warming) = &mut self.warming {
                let warmed = ready!(warming.as_mut().poll(cx));
                self.warming = None;
                warmed?;
                self.is_warm = true;
            }
            if self.is_warm || is_in_memory(self.source.file(), self.offset, self.len) {
                return Poll::Ready(Ok(()));
            }
            let (source, offset, count) = (Arc::clone(&self.source), self.offset, self.len);
            let on = FileSystem::of(source.file());
            self.warming = Some(read::wait(on, move || warm(&*source, offset, count)));
        }
    }
}

impl fmt::Debug for FileSlice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileSlice")
            .field("offset", &self.offset)
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

/// Reads, so that it is in memory.
fn warm(source: &dyn Source, offset: u64, count: u64) -> Result<(), BodyErrorKind> {
    let mut buffer = Buffer::for_remaining(count);
    let mut done = 0;
    while done < count {
        source.still_held()?;
        match source.file().read_at(buffer.as_mut(), offset + done)? {
            0 => return Err(BodyErrorKind::Truncated),
            read => done += read as u64,
        }
    }
    Ok(())
}
