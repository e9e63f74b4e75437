//! [`Digests`]: the SHA-256 of files, read once for each version that somebody wants it of.

use std::collections::HashMap;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use beneath::{Error, File, Identity, Version};
use sha2::{Digest as _, Sha256};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use super::lookup::Found;
use super::refusal::Refusal;

/// How many digests are remembered, in some 150 bytes each. When there are more, all are forgotten.
const KNOWN: usize = 4096;

/// How many files are hashed at once: what one client may ask for must not take the processors from the others.
const AT_ONCE: usize = 2;

/// A younger file may change again without a new time, so its digest holds for this answer only.
const SETTLED: Duration = Duration::from_secs(2);

const CHUNK: usize = 256 * 1024;

/// What was computed, by which file and which version of its content it is of.
pub(super) struct Digests {
    known: Mutex<HashMap<(Identity, Version), [u8; 32]>>,
    turns: Arc<Semaphore>,
}

/// A file on its way through [`Digests::of`].
pub(super) type Hashing = Pin<Box<dyn Future<Output = Result<Digested, Refusal>> + Send>>;

/// A file, and its digest if it has one.
type Digested = (Found, Option<[u8; 32]>);

impl Digests {
    pub(super) fn new() -> Self {
        Self {
            known: Mutex::default(),
            turns: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    /// The digest of a file: remembered, or read on a thread that may wait. None if the file changed meanwhile.
    pub(super) async fn of(self: Arc<Self>, found: Found) -> Result<Digested, Refusal> {
        if let Some(digest) = self.recall(&found.file) {
            return Ok((found, Some(digest)));
        }
        // The turn ends with the work, also if nobody waits for it any more. Turns are never closed.
        let turn = Arc::clone(&self.turns).acquire_owned().await.ok();
        let work = move || {
            let _turn = turn;
            let digest = self.recall(&found.file).or_else(|| self.compute(&found.file));
            (found, digest)
        };
        match Handle::try_current() {
            Ok(runtime) => runtime.spawn_blocking(work).await.map_err(|_| Refusal::Failed),
            Err(_) => Ok(work()),
        }
    }

    fn recall(&self, file: &File) -> Option<[u8; 32]> {
        self.known().get(&key(file)).copied()
    }

    /// Reads the whole file. `None` if it is not, from beginning to end, the version that was opened.
    fn compute(&self, file: &File) -> Option<[u8; 32]> {
        // Reading takes a while, in which a young file grows old.
        let begun = SystemTime::now();
        let digest = read(file).ok().flatten()?;
        let changed = file.metadata().changed().to_system_time()?;
        if begun.duration_since(changed).is_ok_and(|age| age > SETTLED) {
            let mut known = self.known();
            if known.len() >= KNOWN {
                known.clear();
            }
            known.insert(key(file), digest);
        }
        Some(digest)
    }

    fn known(&self) -> MutexGuard<'_, HashMap<(Identity, Version), [u8; 32]>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Digests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digests")
    }
}

fn key(file: &File) -> (Identity, Version) {
    (*file.metadata().identity(), *file.metadata().version())
}

fn read(file: &File) -> Result<Option<[u8; 32]>, Error> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; CHUNK];
    let (mut offset, len) = (0, file.metadata().len());
    while offset < len {
        match file.read_at(&mut buffer, offset)? {
            0 => return Ok(None),
            read => {
                hash.update(&buffer[..read]);
                offset += read as u64;
            }
        }
    }
    let same = offset == len && !file.was_changed()?;
    Ok(same.then(|| hash.finalize().into()))
}
