//! [`FileBody`]: exactly the promised bytes, or an error; never a short body that looks whole.

mod buffer;
mod fingerprint;
mod memory;
mod read;
mod segment;
mod tail;
mod transfer;
mod witness;

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

pub use read::BLOCKING_READS;
pub use segment::{FileSlice, Next, Segment, SegmentBody};
pub(crate) use transfer::{Checks, Collect, Piece, Trailers, Transfer};

/// The body of an answer: bytes of a file, of a few ranges of it, or bytes that were there already.
///
/// # Consistent or fail
///
/// The length is promised before the first byte and kept: a file that grows is not sent further, one that was cut fails
/// at once. Before the last bytes of a range leave (and every MiB before) the descriptor is asked whether the file is
/// still the one that was opened; if not, the body ends in a [`BodyError`], by which a server resets the
/// connection or the stream, so that the client knows.
///
/// | what happens meanwhile | what the client gets |
/// |---|---|
/// | overwritten in place, also if the mtime is put back | failure |
/// | cut | failure |
/// | replaced by rename, unlinked | the old file, whole |
/// | any of these before the first byte, under a strong entity tag, but for replaced and unlinked | failure |
/// | grown, or its ctime changed (renamed, linked, chmod) | the old length if a second reading shows the same bytes, else failure |
///
/// A second reading is possible while nothing has left yet of what has a weak entity tag, and as long as what left was hashed. That is
/// done for single ranges of at most 1 GiB: of files modified within ten seconds before (a log that is being written) to the end; of
/// older ones, from 1 MiB up and for growth only, for the first 64 MiB and then while the client takes less than 64 MiB a second. The
/// first doubt is settled at once, all later ones together before the last bytes leave. What a second reading
/// confirms is a state that the file had: of what had not left yet, only the last 4 KiB are known to be the old ones.
///
/// Otherwise doubt is failure: who renames an old file that is being sent, or sets an attribute of it, ends the transfer; who
/// appends to one ends the small and the fast transfers of it. The next attempt is one of a young file.
///
/// What cannot be seen: what is written in place to a file that is unlinked, or replaced, before it is looked at again, when the
/// mtime is put back; a write that the file system gives the time of an earlier one. The clock of most ticks every 1
/// to 10 ms, so the reading of a file younger than 20 ms waits until it is not. Writes through a shared memory
/// mapping are dated late, some only when it is unmapped or synchronised.
///
/// # Without a copy
///
/// A transport that can send from a file asks for [segments](SegmentBody) and gets slices of it: of single ranges of a file that was
/// not modified within ten seconds before, where nothing has to be hashed (no pinned content, no digest to follow). Then
/// the descriptor, and the right to read, are asked before each call that sends. What is different:
///
/// * Nothing is hashed until the client has been slow for a second, and then what left is read again while the file is still as it was.
///   Before that, growth is failure.
/// * sendfile(2) puts pages of the file into the socket, not copies. What is written over them in place after the last
///   question, and before the client's kernel has taken them (on the same host: before the client has read them),
///   can reach the client within an answer that looks whole. Truncating and writing anew, renaming, and unlinking leave these
///   pages alone. For files that are written to in place while they are served: `Limits::sendfile_from` of the transport, or pin
///   the content, which is never sent so.
///
/// # Cost
///
/// One buffer of at most 64 KiB at a time, which the transport owns once it was handed over and gives back by dropping it;
/// 64 of them are kept for the next transfer. Nothing is read before the transport asks. Reads happen in
/// place where the bytes are in memory (`RWF_NOWAIT`) and otherwise on a blocking thread of tokio, at most one per body and
/// 64 in the process, half of them for one file system. Outside a tokio runtime they happen in place.
#[derive(Default)]
pub struct FileBody(Inner);

#[derive(Default)]
enum Inner {
    #[default]
    Empty,
    /// Nothing, and nothing is said of its length.
    OfUnknownLength,
    Bytes(Bytes),
    Transfer(Box<Transfer>),
}

/// Why a body ended before its end. The client must not be told more than that it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyError(BodyErrorKind);

/// What a [`BodyError`] means: for the access log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BodyErrorKind {
    /// The file changed while it was sent: what follows does not belong to what was sent.
    Changed,
    /// The blocking thread went away: the runtime is shutting down.
    Interrupted,
    /// The file system failed.
    Io(beneath::Error),
    /// The right to read fell: [`beneath::Stopped`].
    Stopped,
    /// The file of a [`direct`](crate::direct) answer has left already, for another reader.
    Taken,
    /// The file is shorter than it was.
    Truncated,
}

impl FileBody {
    /// Nothing.
    pub const fn empty() -> Self {
        Self(Inner::Empty)
    }

    /// Nothing, and nothing is said of its length.
    pub(crate) const fn of_unknown_length() -> Self {
        Self(Inner::OfUnknownLength)
    }

    pub(crate) fn transfer(transfer: Transfer) -> Self {
        Self(Inner::Transfer(Box::new(transfer)))
    }
}

impl From<Bytes> for FileBody {
    /// For answers that are not files, with the same type of body.
    fn from(bytes: Bytes) -> Self {
        Self(if bytes.is_empty() {
            Inner::Empty
        } else {
            Inner::Bytes(bytes)
        })
    }
}

impl From<Vec<u8>> for FileBody {
    fn from(bytes: Vec<u8>) -> Self {
        Self::from(Bytes::from(bytes))
    }
}

impl From<String> for FileBody {
    fn from(text: String) -> Self {
        Self::from(Bytes::from(text))
    }
}

impl From<&'static str> for FileBody {
    fn from(text: &'static str) -> Self {
        Self::from(Bytes::from_static(text.as_bytes()))
    }
}

impl Body for FileBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Inner::Transfer(transfer) = &mut self.0 {
            return transfer.poll(cx).map_err(BodyError);
        }
        Poll::Ready(match std::mem::take(&mut self.0) {
            Inner::Bytes(bytes) => Some(Ok(Frame::data(bytes))),
            _ => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Inner::Empty | Inner::OfUnknownLength => true,
            Inner::Bytes(_) => false,
            Inner::Transfer(transfer) => transfer.is_done(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Inner::Empty => SizeHint::with_exact(0),
            Inner::OfUnknownLength => SizeHint::new(),
            Inner::Bytes(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Inner::Transfer(transfer) => transfer.size_hint(),
        }
    }
}

impl SegmentBody for FileBody {
    fn poll_segment(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slice_from: u64,
    ) -> Poll<Option<Result<Segment, BodyError>>> {
        if let Inner::Transfer(transfer) = &mut self.0 {
            return transfer.poll_segment(cx, slice_from).map_err(BodyError);
        }
        self.poll_frame(cx)
            .map(|frame| frame.map(|frame| frame.map(Segment::Frame)))
    }
}

impl fmt::Debug for FileBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileBody")
            .field("remaining", &self.size_hint().exact())
            .finish_non_exhaustive()
    }
}

impl BodyError {
    pub(crate) const fn of(kind: BodyErrorKind) -> Self {
        Self(kind)
    }

    /// What this means.
    pub const fn kind(&self) -> BodyErrorKind {
        self.0
    }
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            BodyErrorKind::Changed => "the file changed while it was sent",
            BodyErrorKind::Interrupted => "the reading thread was stopped",
            BodyErrorKind::Io(_) => "the file could not be read",
            BodyErrorKind::Stopped => "the right to read the file ended while it was sent",
            BodyErrorKind::Taken => "the file left for another reader",
            BodyErrorKind::Truncated => "the file was cut while it was sent",
        })
    }
}

impl std::error::Error for BodyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.0 {
            BodyErrorKind::Io(error) => Some(error),
            _ => None,
        }
    }
}

impl From<Infallible> for BodyError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

impl From<beneath::Error> for BodyErrorKind {
    fn from(error: beneath::Error) -> Self {
        Self::Io(error)
    }
}

impl From<beneath::Stopped> for BodyErrorKind {
    fn from(_: beneath::Stopped) -> Self {
        Self::Stopped
    }
}
