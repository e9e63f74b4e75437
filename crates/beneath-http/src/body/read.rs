//! Reading a piece of a file: in place if it is in memory, otherwise where waiting harms nobody.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use beneath::{ErrorKind, Metadata, Source};
use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use super::BodyErrorKind;
use super::buffer::Buffer;
use super::fingerprint::Fingerprint;
use super::tail::Tail;

/// How many reads of this process may wait for the disk at once, each on a blocking thread of the runtime; more wait their turn. A
/// runtime should be allowed so many more than everything else needs, so that a slow disk does not take all of them.
pub const BLOCKING_READS: usize = 32;

static PERMITS: Semaphore = Semaphore::const_new(BLOCKING_READS);

/// Work under way on another thread, or waiting for its turn. Dropped with its body, it ends unseen.
pub(super) type Pending<T = Chunk> = Pin<Box<dyn Future<Output = Result<T, BodyErrorKind>> + Send + Sync>>;

/// Bytes that were read but may not leave yet.
pub(super) struct Chunk {
    content: Content,
    /// What the file was after these were read, if that was to be asked.
    pub(super) metadata: Option<Metadata>,
    /// The bytes so far were read a second time and are the same.
    pub(super) confirmed: bool,
}

enum Content {
    Read(Buffer, usize),
    /// Was known.
    Kept(Bytes),
}

impl Chunk {
    pub(super) fn bytes(&self) -> &[u8] {
        match &self.content {
            Content::Read(buffer, filled) => buffer.filled(*filled),
            Content::Kept(bytes) => bytes,
        }
    }

    pub(super) fn len(&self) -> u64 {
        self.bytes().len() as u64
    }

    /// Without copying them.
    pub(super) fn into_bytes(self) -> Bytes {
        match self.content {
            Content::Read(buffer, filled) => buffer.freeze(filled),
            Content::Kept(bytes) => bytes,
        }
    }
}

/// What to read, and what to ask afterwards.
#[derive(Clone, Copy)]
pub(super) struct Request {
    /// Offset in the file.
    pub(super) offset: u64,
    /// How much is left of the range, at least 1.
    pub(super) left: u64,
    /// How much to read at most.
    pub(super) most: u64,
    /// Ask the descriptor again if at least this many bytes come, or fewer than there was room for.
    pub(super) ask_from: u64,
    /// How long to wait first, for the clock of the file system.
    pub(super) settle: Duration,
}

/// A read that was begun.
pub(super) enum Reading {
    Done(Chunk),
    Pending(Pending),
}

/// Reads if that needs no waiting; otherwise says how to go on.
pub(super) fn start(source: &Arc<dyn Source>, request: Request) -> Result<Reading, BodyErrorKind> {
    if let Some(kept) = kept(source, request) {
        return Ok(Reading::Done(kept));
    }
    let mut buffer = Buffer::for_remaining(request.left.min(request.most));
    if request.settle.is_zero() {
        match source.file().try_read_at(buffer.as_mut(), request.offset) {
            // No bytes is what the end of the file looks like; whether it is that, a plain read can say.
            Ok(0) => {}
            Ok(filled) => return finish(source, request, buffer, filled).map(Reading::Done),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
    }
    let source = Arc::clone(source);
    Ok(Reading::Pending(wait(move || {
        std::thread::sleep(request.settle);
        let filled = source.file().read_at(buffer.as_mut(), request.offset)?;
        finish(&source, request, buffer, filled)
    })))
}

/// What need not be read, because the file came with its content. That is of the very state that the answer describes, so there
/// is nothing to be asked afterwards.
fn kept(source: &Arc<dyn Source>, request: Request) -> Option<Chunk> {
    let content = source.file().content()?;
    let first = usize::try_from(request.offset).ok()?;
    let end = first.checked_add(usize::try_from(request.left).ok()?)?;
    if end > content.len() || first == end {
        return None;
    }
    Some(Chunk {
        content: Content::Kept(Bytes::from_owner(Arc::clone(content)).slice(first..end)),
        metadata: None,
        confirmed: false,
    })
}

/// What a second reading must show.
pub(super) struct Doubt {
    /// Where what was sent begins in the file.
    pub(super) first: u64,
    /// How much of it was read, the chunk that waits included.
    pub(super) total: u64,
    pub(super) hash: Fingerprint,
    pub(super) tail: Option<Tail>,
}

/// Reads everything up to and with the chunk again, and compares: two readings, the second begun when the first was
/// done, that show the same bytes show a state that the file had between them.
pub(super) fn confirm(source: &Arc<dyn Source>, doubt: Doubt, chunk: Chunk) -> Pending {
    let source = Arc::clone(source);
    wait(move || {
        if let Some(tail) = &doubt.tail {
            tail.confirm(&source)?;
        }
        if hash(&source, doubt.first, doubt.total)? != doubt.hash {
            return Err(BodyErrorKind::Changed);
        }
        Ok(Chunk {
            confirmed: true,
            ..chunk
        })
    })
}

fn finish(
    source: &Arc<dyn Source>,
    request: Request,
    mut buffer: Buffer,
    filled: usize,
) -> Result<Chunk, BodyErrorKind> {
    if filled == 0 {
        return Err(BodyErrorKind::Truncated);
    }
    // Fewer than there was room for: not all in memory, or the end of a file that was cut.
    let short = filled < buffer.as_mut().len();
    let metadata = if short || filled as u64 >= request.ask_from {
        Some(source.file().metadata_now()?)
    } else {
        None
    };
    Ok(Chunk {
        content: Content::Read(buffer, filled),
        metadata,
        confirmed: false,
    })
}

/// Hashes `total` bytes from `first` on, while the source holds.
pub(super) fn hash(source: &Arc<dyn Source>, first: u64, total: u64) -> Result<Fingerprint, BodyErrorKind> {
    let mut hash = Fingerprint::new();
    let mut buffer = Buffer::for_remaining(total);
    let mut done = 0;
    while done < total {
        source.still_held()?;
        let want = usize::try_from(total - done)
            .unwrap_or(usize::MAX)
            .min(buffer.as_mut().len());
        let memory = &mut buffer.as_mut()[..want];
        match source.file().read_at(memory, first + done)? {
            0 => return Err(BodyErrorKind::Truncated),
            filled => {
                hash.update(&memory[..filled]);
                done += filled as u64;
            }
        }
    }
    Ok(hash)
}

/// Runs `work` on a blocking thread when one of [`BLOCKING_READS`] turns is free; the turn ends with the work, also if
/// nobody waits for it any more. Without a runtime there is only this thread.
pub(super) fn wait<T: Send + Sync + 'static>(
    work: impl FnOnce() -> Result<T, BodyErrorKind> + Send + Sync + 'static,
) -> Pending<T> {
    let Ok(runtime) = Handle::try_current() else {
        return Box::pin(std::future::ready(work()));
    };
    Box::pin(async move {
        // Never closed, so this cannot fail.
        let turn = PERMITS.acquire().await.map_err(|_| BodyErrorKind::Interrupted)?;
        let reading = runtime.spawn_blocking(move || {
            let _turn = turn;
            work()
        });
        reading.await.map_err(|_| BodyErrorKind::Interrupted)?
    })
}
