//! Pins: what a file was when it was published, to tell whether it still is.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::ops::ControlFlow;
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

use beneath::{Error, File, Identity, Metadata, RelPath, Root, Version};
use sha2::{Digest as _, Sha256};

use crate::entry::{Entry, Pin};
use crate::refusal::{Reason, Refusal};
use crate::revocation::memory::make_room;
use crate::store::lock;

/// Judges opened files by the pin of their entry, and remembers which state of which file has which digest.
#[derive(Default)]
pub(crate) struct Pins {
    digests: Mutex<Digests>,
    /// Somebody has read a file.
    read: Condvar,
}

#[derive(Default)]
struct Digests {
    known: HashMap<State, [u8; 32]>,
    being_read: HashSet<State>,
    /// The file system that each of those who wait waits for.
    waiting: Vec<u64>,
}

impl Digests {
    /// How many wait for the file system that it is on.
    fn waiting_for(&self, state: &State) -> usize {
        self.waiting
            .iter()
            .filter(|&&device| device == state.0.device())
            .count()
    }

    /// Nobody reads it, and few what else is there.
    fn has_turn(&self, state: &State) -> bool {
        let same = |other: &&State| other.0.device() == state.0.device();
        !self.being_read.contains(state) && self.being_read.iter().filter(same).count() < READ_AT_ONCE
    }
}

/// Which state of which file.
type State = (Identity, Version);

/// The reading of one file.
struct Reading<'a>(&'a Pins, State);

/// How many files of one file system are read at once. Each may be large, and whoever asks may be gone.
const READ_AT_ONCE: usize = 4;

/// How many wait for what is being read of one file system, and for how long (twice, where memory had decided): each takes a thread.
const WAITING: usize = 16;
const PATIENCE: Duration = Duration::from_millis(500);

/// Of the clock that file systems go by, at least.
const TICK: Duration = Duration::from_millis(20);

/// Whether whoever asks may wait for the disk.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    MayRead,
    None,
}

impl Patience {
    pub(crate) fn open(self, root: &Root, path: &RelPath) -> Result<File, Error> {
        match self {
            Self::MayRead => root.open(path),
            Self::None => root.try_open(path),
        }
    }
}

impl Pins {
    /// Refuses a file that is not what the entry is bound to.
    ///
    /// A file pinned by content is read again only if its descriptor says that it is in another state than when it was
    /// published, and then once per state.
    pub(crate) fn judge(&self, entry: &Entry, file: &File, patience: Patience) -> Result<(), Refusal> {
        let published = entry.fingerprint.as_deref();
        let holds = match entry.pin {
            Pin::Path => true,
            Pin::Identity => published.is_some() && fingerprint(file)?.as_deref() == published,
            Pin::Content if file.metadata().len() != entry.size => false,
            // What asks the kernel nothing comes first.
            Pin::Content if Some(&*state(file.metadata())) == published => true,
            Pin::Content if is_sealed(entry, file) => true,
            Pin::Content => Some(self.digest(file, patience)?) == entry.digest,
        };
        if holds {
            return Ok(());
        }
        Err(Refusal::not_found(Reason::Replaced))
    }

    fn digest(&self, file: &File, patience: Patience) -> Result<[u8; 32], Refusal> {
        let state = (*file.metadata().identity(), *file.metadata().version());
        let reading = match self.known_or_mine(state, patience)? {
            Ok(digest) => return Ok(digest),
            Err(reading) => reading,
        };
        // Worth a tick, so that it need not be read again; not whole seconds.
        let settles_in = settles_in(file);
        std::thread::sleep(settles_in.min(TICK));
        let read = digest(file, |_, _| ControlFlow::<Infallible>::Continue(()))?;
        let ControlFlow::Continue(digest) = read;
        if file.was_changed()? {
            return Err(Refusal::not_found(Reason::Replaced));
        }
        if settles_in <= TICK {
            let mut digests = lock(&self.digests);
            make_room(&mut digests.known);
            digests.known.insert(state, digest);
        }
        drop(reading);
        Ok(digest)
    }

    /// The digest of that state, or the task to find it out: one reads, others wait a little for their turn.
    fn known_or_mine(
        &self,
        state: State,
        patience: Patience,
    ) -> Result<Result<[u8; 32], Reading<'_>>, Refusal> {
        let mut digests = lock(&self.digests);
        let since = Instant::now();
        loop {
            if let Some(digest) = digests.known.get(&state) {
                return Ok(Ok(*digest));
            }
            if patience == Patience::None {
                return Err(Refusal::NOT_IN_MEMORY);
            }
            if digests.has_turn(&state) {
                break;
            }
            let left = PATIENCE.saturating_sub(since.elapsed());
            if left.is_zero() || digests.waiting_for(&state) >= WAITING {
                return Err(Refusal::busy(Reason::BeingRead));
            }
            digests.waiting.push(state.0.device());
            digests = match self.read.wait_timeout(digests, left) {
                Ok((digests, _)) => digests,
                Err(poisoned) => poisoned.into_inner().0,
            };
            let mut waiting = digests.waiting.iter();
            if let Some(place) = waiting.position(|&device| device == state.0.device()) {
                digests.waiting.swap_remove(place);
            }
        }
        digests.being_read.insert(state);
        Ok(Err(Reading(self, state)))
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        let Self(pins, state) = self;
        lock(&pins.digests).being_read.remove(state);
        pins.read.notify_all();
    }
}

/// Whether the kernel checks each read of the file against the content that was published, also below the file system.
pub(crate) fn is_sealed(entry: &Entry, file: &File) -> bool {
    entry.verity.is_some() && measure(file).as_deref() == entry.verity.as_deref()
}

/// Which file this is, as bytes: inode, time of birth, and the file handle where it can be had (feature
/// `file-handle`). `None` where the file system cannot tell a file from its successor.
pub(crate) fn fingerprint(file: &File) -> Result<Option<Vec<u8>>, Error> {
    let identity = file.metadata().identity();
    let mut bytes = identity_bytes(identity);
    #[cfg(feature = "file-handle")]
    let handle = file.handle()?.unwrap_or_default();
    #[cfg(not(feature = "file-handle"))]
    let handle: Vec<u8> = Vec::new();
    if identity.birth().is_none() && handle.is_empty() {
        return Ok(None);
    }
    bytes.extend(handle);
    Ok(Some(bytes))
}

/// What fs-verity says of the content: the root of a hash tree. `None` where the file has none, or the file system, or this
/// build (feature `fs-verity`).
pub(crate) fn measure(file: &File) -> Option<Vec<u8>> {
    #[cfg(feature = "fs-verity")]
    {
        use composefs_ioctls::fsverity::fs_ioc_measure_verity as measure;
        // The numbers of the algorithms: FS_VERITY_HASH_ALG_SHA256, FS_VERITY_HASH_ALG_SHA512.
        let sha256 = measure::<32>(file, 1).map(Vec::from);
        sha256.or_else(|_| measure::<64>(file, 2).map(Vec::from)).ok()
    }
    #[cfg(not(feature = "fs-verity"))]
    {
        let _ = file;
        None
    }
}

/// Which state of which file this is, as bytes.
pub(crate) fn state(metadata: &Metadata) -> Vec<u8> {
    let mut bytes = identity_bytes(metadata.identity());
    bytes.extend(metadata.len().to_le_bytes());
    for time in [metadata.modified(), metadata.changed()] {
        bytes.extend(time.seconds().to_le_bytes());
        bytes.extend(time.nanoseconds().to_le_bytes());
    }
    bytes
}

/// How long it is until whoever writes to the file gives it another time than it has: clocks of file systems tick.
pub(crate) fn settles_in(file: &File) -> Duration {
    let changed = file.metadata().changed();
    let tick = match changed.nanoseconds() {
        // Perhaps it counts whole seconds, or two.
        0 => Duration::from_secs(2),
        _ => TICK,
    };
    let age = changed.to_system_time().map(|changed| changed.elapsed());
    match age {
        Some(Ok(age)) => tick.saturating_sub(age),
        _ => tick,
    }
}

/// SHA-256 of the content; `progress` hears how many bytes of how many have been read, and may end it.
pub(crate) fn digest<B>(
    file: &File,
    mut progress: impl FnMut(u64, u64) -> ControlFlow<B>,
) -> Result<ControlFlow<B, [u8; 32]>, Error> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 256 * 1024];
    let mut offset = 0;
    loop {
        match file.read_at(&mut buffer, offset)? {
            0 => return Ok(ControlFlow::Continue(hasher.finalize().into())),
            read => {
                hasher.update(&buffer[..read]);
                offset += read as u64;
                if let ControlFlow::Break(why) = progress(offset, file.metadata().len()) {
                    return Ok(ControlFlow::Break(why));
                }
            }
        }
    }
}

fn identity_bytes(identity: &Identity) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(64);
    // Not the device: its number may be another after a reboot. The root says which file system it is.
    bytes.extend(identity.inode().to_le_bytes());
    if let Some(birth) = identity.birth() {
        bytes.extend(birth.seconds().to_le_bytes());
        bytes.extend(birth.nanoseconds().to_le_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use beneath::ambient_authority;

    use super::*;

    fn state_of(directory: &str, name: &str) -> State {
        let root = Root::open_ambient(directory, ambient_authority()).unwrap();
        let file = root.open(&RelPath::parse(name).unwrap()).unwrap();
        (*file.metadata().identity(), *file.metadata().version())
    }

    #[test]
    fn who_waits_for_one_file_system_takes_nobodys_place_on_another() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("file"), "x").unwrap();
        let hangs = state_of(directory.path().to_str().unwrap(), "file");
        let other = state_of("/proc", "version");
        let pins = Pins::default();
        let ask = |state| pins.known_or_mine(state, Patience::MayRead);
        let [_hanging, reading] = [hangs, other].map(|state| ask(state).unwrap().unwrap_err());
        lock(&pins.digests).waiting = vec![hangs.0.device(); WAITING];
        assert!(ask(hangs).is_err(), "there is no place left");
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| ask(other).is_ok());
            while waits_for(&pins, &other) == 0 && !waits.is_finished() {
                std::thread::yield_now();
            }
            drop(reading);
            assert!(waits.join().unwrap(), "it waits for what is read elsewhere");
        });
        assert_eq!(waits_for(&pins, &other), 0);
        assert_eq!(waits_for(&pins, &hangs), WAITING);
    }

    fn waits_for(pins: &Pins, state: &State) -> usize {
        lock(&pins.digests).waiting_for(state)
    }
}
