//! Reading a piece of a file: in place if it is in memory, otherwise where waiting harms nobody.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};
use std::time::Duration;

use beneath::{ErrorKind, File, Metadata, Source};
use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use super::BodyErrorKind;
use super::buffer::Buffer;
use super::fingerprint::Fingerprint;
use super::tail::Tail;

/// How many reads of this process may wait for the disk at once, each on a blocking thread of the runtime, and half of them for one
/// file system; more wait their turn. A runtime should be allowed so many more than everything else needs, so that a slow disk does not
/// take all of them.
pub const BLOCKING_READS: usize = 64;

static TURNS: Semaphore = Semaphore::const_new(BLOCKING_READS);

/// Of each file system that is read from now: one that hangs keeps nobody from another.
static TURNS_OF_EACH: LazyLock<Mutex<HashMap<FileSystem, Weak<Semaphore>>>> = LazyLock::new(Mutex::default);

/// Which one a file is on.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct FileSystem(u64);

impl FileSystem {
    pub(super) fn of(file: &File) -> Self {
        Self(file.metadata().identity().device())
    }

    /// Known only while somebody reads from it.
    fn turns(self) -> Arc<Semaphore> {
        let mut of_each = TURNS_OF_EACH.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(turns) = of_each.get(&self).and_then(Weak::upgrade) {
            return turns;
        }
        of_each.retain(|_, turns| turns.strong_count() > 0);
        let turns = Arc::new(Semaphore::new(BLOCKING_READS / 2));
        of_each.insert(self, Arc::downgrade(&turns));
        turns
    }
}

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
    Ok(Reading::Pending(wait(FileSystem::of(source.file()), move || {
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
    wait(FileSystem::of(source.file()), move || {
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

/// Runs `work` on a blocking thread when one of the file system's turns is free, and one of [`BLOCKING_READS`]; these end with
/// the work, also if nobody waits for it any more. Without a runtime there is only this thread.
pub(super) fn wait<T: Send + Sync + 'static>(
    file_system: FileSystem,
    work: impl FnOnce() -> Result<T, BodyErrorKind> + Send + Sync + 'static,
) -> Pending<T> {
    let Ok(runtime) = Handle::try_current() else {
        return Box::pin(std::future::ready(work()));
    };
    Box::pin(async move {
        // Never closed, so this cannot fail.
        let interrupted = |_| BodyErrorKind::Interrupted;
        let own = file_system.turns().acquire_owned().await.map_err(interrupted)?;
        let turns = (TURNS.acquire().await.map_err(interrupted)?, own);
        let reading = runtime.spawn_blocking(move || {
            let _turns = turns;
            work()
        });
        reading.await.map_err(|_| BodyErrorKind::Interrupted)?
    })
}

#[cfg(test)]
mod tests {
    use std::sync::RwLock;
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_file_system_that_hangs_keeps_nobody_from_another_and_is_forgotten() {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_time()
            .build()
            .unwrap();
        // No device has these numbers.
        let (hanging, other) = (FileSystem(u64::MAX), FileSystem(u64::MAX - 1));
        let gate = Arc::new(RwLock::new(0));
        let hangs = gate.write().unwrap();
        let waiting: Vec<_> = (0..BLOCKING_READS + 10)
            .map(|_| {
                let gate = Arc::clone(&gate);
                runtime.spawn(async move { wait(hanging, move || Ok(*gate.read().unwrap())).await })
            })
            .collect();
        let begin = Instant::now();
        while hanging.turns().available_permits() > 0 {
            assert!(begin.elapsed() < Duration::from_secs(20), "nobody waits for it");
            std::thread::sleep(Duration::from_millis(1));
        }
        let read = runtime.block_on(async {
            let reading = wait(other, || Ok(7));
            tokio::time::timeout(Duration::from_secs(20), reading).await
        });
        assert_eq!(read, Ok(Ok(7)), "it has turns of its own");
        drop(hangs);
        for waiting in waiting {
            assert_eq!(runtime.block_on(waiting).unwrap(), Ok(0));
        }
        let of_each = TURNS_OF_EACH.lock().unwrap();
        assert!(
            of_each
                .get(&hanging)
                .is_none_or(|turns| turns.strong_count() == 0)
        );
    }
}
