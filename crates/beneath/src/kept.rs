//! [`Kept`]: a file that stays open between requests, and what shows that its name still leads to it.

use std::fmt;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use crate::error::{Error, ErrorKind};
use crate::file::{File, Metadata};
use crate::rel_path::RelPath;
use crate::root::Root;
use crate::sys;
use crate::sys::bell::{Bell, Rung, Watch};

/// A file that stays open between requests, for [`Root::open_kept`].
///
/// Opening costs more than all else that a small file needs. Whoever serves the same file again and again keeps it: each use
/// then asks whether its name **still leads to it**, and gets it only if so.
///
/// Holds one descriptor for the file and one for each directory above it and beneath the root: see
/// [`descriptors`](Self::descriptors); a root that keeps files holds three more. A file that is removed keeps its place on the disk
/// until this is dropped. Of a file of up to 16 KiB also the content is remembered ([`File::content`]), and need not be read.
///
/// ```
/// # let dir = tempfile::tempdir()?;
/// # std::fs::write(dir.path().join("q3.pdf"), "%PDF")?;
/// use beneath::{RelPath, Root, ambient_authority};
///
/// let root = Root::open_ambient(dir.path(), ambient_authority())?;
/// let path = RelPath::parse("q3.pdf")?;
///
/// // It was written this very moment, and so is not kept yet.
/// let kept = root.keep(&path).ok();
/// let file = kept.and_then(|kept| root.open_kept(&kept));
/// let file = file.map_or_else(|| root.open(&path), Ok)?;
/// assert_eq!(file.metadata().len(), 4);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
///
/// # Security
///
/// Whatever is done to the tree, a kept file is opened exactly when opening it by its name would have opened the same one. What
/// shows that is the time of change (ctime) of the file and of each directory on the way, the root included: a rename, an
/// exchange, a removal, another link, and every change of mode, owner or access list sets it for what was changed or for its
/// directory, by the clock alone and before the change can be seen. What is kept had not been touched for two seconds, so a
/// change shows (unless the clock is set back to that very moment). Nothing new can be mounted without the table of mounts
/// showing it.
///
/// | what was done | what shows it |
/// |---|---|
/// | another file took its name; it was renamed, removed, linked | the file's own ctime; on XFS, when two files are exchanged, their directory's |
/// | a link took the place of the file | the same: the file was renamed or removed for it |
/// | a directory above it was renamed, removed, exchanged for a link or another directory | that directory's ctime, or that of the one above |
/// | mode, owner or access list changed, of it or of a directory on the way | the ctime of what was changed |
/// | it was written | its ctime; it is kept anew |
/// | something was mounted over it or on the way to it, or unmounted, or anywhere else | the mount table |
///
/// The file is asked each time. The directories are asked again when inotify(7) says that one of them may have changed, which it
/// has said when the call that changed it returns; so of a rename that is under way just now, by a call that has not returned,
/// the state before may be seen a moment longer. Directories that may not be read cannot be watched, and are asked each time.
///
/// What write(2) and its like do to the content sets the ctime, once, when the call begins. What comes later of a call that takes
/// long, and what somebody writes through a shared mapping before the kernel has written the page to the disk (on tmpfs
/// perhaps for ever), does not show: to see that, whoever keeps files has them [reviewed](Root::review) now and then, and may
/// until then be given what was there at the last time.
///
/// Fresh each time are the [`Metadata`], and the judgement of the [`Policy`](crate::Policy). Not asked again, as of any descriptor
/// that is open, is what only an open asks: security modules, fanotify, leases (a kept file admits none to writers), and whether
/// this process has lost rights since. Of two processes that share a root after fork(2) without exec, only one may keep files.
///
/// Only where all of that can be relied upon is a file kept: links refused, on the same mount and device as the root, on ext4,
/// XFS, Btrfs or tmpfs, with times that are finer than a second.
pub struct Kept {
    file: Arc<OwnedFd>,
    was: Metadata,
    root: Metadata,
    directories: Box<[(OwnedFd, Metadata)]>,
    watches: Watches,
    /// All of it, if it is little.
    content: Option<Arc<[u8]>>,
    /// The content was found to be another, though nothing showed it.
    outdated: AtomicBool,
    /// How often it had rung when everything was kept,
    kept_at: Rung,
    /// and when the directories were seen to be the same.
    seen_at: AtomicU64,
}

/// The directories on the way, root included, are watched; or not all of them can be.
struct Watches {
    bell: Arc<Bell>,
    watches: Vec<Watch>,
    all: bool,
}

impl Kept {
    /// How many descriptors this holds.
    pub fn descriptors(&self) -> usize {
        1 + self.directories.len()
    }

    /// `settled` is for how long nothing on the way may have changed.
    pub(crate) fn new(root: &Root, path: &RelPath, settled: Duration) -> Result<Self, Error> {
        let mut watches = Watches::on(root.bell()?);
        let rung = watches.bell.rung();
        let now = SystemTime::now();
        watches.add(root.as_fd());
        let own = root.metadata()?;
        let settled = |metadata: Metadata| {
            let place = |of: &Metadata| (of.identity().mount(), of.identity().device());
            if place(&metadata) != place(&own) || metadata.changed().nanoseconds() == 0 {
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    "only what lies on the same mount as the root, with fine times, is kept open",
                ));
            }
            let changed = metadata.changed().to_system_time().unwrap_or(now);
            match now.duration_since(changed) {
                Ok(age) if age >= settled => Ok(metadata),
                _ => Err(Error::new(
                    ErrorKind::Busy,
                    "what was changed a moment ago is not kept open yet",
                )),
            }
        };
        // The directories first, and looked at again when the file is open: so they were the way to it.
        let directories = above(path).map(|path| {
            let directory = root.open_directory(&path?)?;
            watches.add(directory.as_fd());
            let (metadata, _) = sys::stat(directory.as_fd())?;
            Ok((directory, settled(metadata)?))
        });
        let directories = directories.collect::<Result<_, Error>>()?;
        let file = root.open(path)?;
        let was = settled(*file.metadata())?;
        let content = (was.len() <= MAX_CONTENT).then(|| read(&file)).transpose()?;
        let file = file.into_shared();
        let kept = Self {
            was,
            content,
            outdated: AtomicBool::new(false),
            root: settled(own)?,
            file,
            directories,
            watches,
            kept_at: rung,
            seen_at: AtomicU64::new(NEVER),
        };
        match kept.still_led_to(root) {
            Some(_) => Ok(kept),
            None => Err(Error::new(
                ErrorKind::Busy,
                "the way to the file changed while it was opened",
            )),
        }
    }

    /// The file, if opening it by its name would open it. The bell is asked first: what is asked afterwards, and is as it was, was so
    /// at that moment.
    pub(crate) fn still_led_to(&self, root: &Root) -> Option<File> {
        let rung = self.watches.bell.rung();
        let nothing_mounted = rung.mounts == self.kept_at.mounts;
        if !nothing_mounted || self.outdated.load(Ordering::Relaxed) || !self.led_to_by(root, rung) {
            return None;
        }
        let (now, _) = sys::stat(self.file.as_fd()).ok()?;
        if now != self.was {
            return None;
        }
        root.policy().judge(&now).ok()?;
        Some(File::kept(Arc::clone(&self.file), now, self.content.clone()))
    }

    /// Not opened any more if the content is another than what is remembered of it.
    pub(crate) fn look_at_content(&self, root: &Root) {
        let (Some(content), Some(file)) = (&self.content, self.still_led_to(root)) else {
            return;
        };
        if !read(&file).is_ok_and(|now| now == *content) {
            self.outdated.store(true, Ordering::Relaxed);
        }
    }

    /// How many bytes of content this remembers.
    pub fn remembers(&self) -> usize {
        self.content.as_ref().map_or(0, |content| content.len())
    }

    /// The same, remembering nothing of the content.
    #[must_use]
    pub fn without_content(mut self) -> Self {
        self.content = None;
        self
    }

    /// Whether the directories are as they were. That the root is this one is seen without asking only if it is the same `Root`.
    fn led_to_by(&self, root: &Root, rung: Rung) -> bool {
        let own = root.has_bell(&self.watches.bell);
        if own && self.watches.all && self.seen_at.load(Ordering::Relaxed) == rung.directories {
            return true;
        }
        let is = |fd: &OwnedFd, was: &Metadata| sys::stat(fd.as_fd()).is_ok_and(|(now, _)| now == *was);
        let same = root.metadata().is_ok_and(|now| now == self.root)
            && self.directories.iter().all(|(directory, was)| is(directory, was));
        if same {
            self.seen_at.store(rung.directories, Ordering::Relaxed);
        }
        same
    }
}

/// The whole of a small file.
fn read(file: &File) -> Result<Arc<[u8]>, Error> {
    let len = usize::try_from(file.metadata().len()).unwrap_or(0);
    // One more than there should be, to notice that there is more.
    let mut bytes = vec![0; len + 1];
    let mut filled = 0;
    while filled <= len {
        match file.read_at(&mut bytes[filled..], filled as u64)? {
            0 => break,
            count => filled += count,
        }
    }
    if filled != len {
        return Err(Error::new(ErrorKind::Busy, "the file changed while it was read"));
    }
    bytes.truncate(len);
    Ok(bytes.into())
}

impl Watches {
    const fn on(bell: Arc<Bell>) -> Self {
        Self {
            bell,
            watches: Vec::new(),
            all: true,
        }
    }

    fn add(&mut self, directory: BorrowedFd<'_>) {
        match self.bell.watch(directory) {
            Ok(watch) => self.watches.push(watch),
            Err(_) => self.all = false,
        }
    }
}

impl Drop for Watches {
    fn drop(&mut self) {
        self.watches.drain(..).for_each(|watch| self.bell.forget(watch));
    }
}

/// It has not rung so often.
const NEVER: u64 = u64::MAX;

/// For how long nothing may have changed: far more than the grain of any clock that file systems read.
pub(crate) const SETTLED: Duration = Duration::from_secs(2);

/// Up to this length, in bytes, the content is remembered.
const MAX_CONTENT: u64 = 16 * 1024;

/// The directories that lead to it, from the root downwards.
fn above(path: &RelPath) -> impl Iterator<Item = Result<RelPath, Error>> {
    let bytes = path.as_bytes();
    let slashes = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'/');
    slashes.map(|(at, _)| RelPath::parse(&bytes[..at]))
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept")
            .field("metadata", &self.was)
            .finish_non_exhaustive()
    }
}
