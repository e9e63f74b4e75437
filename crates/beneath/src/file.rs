//! [`File`]: what was opened, and what it then was.

use std::fmt;
use std::io::IoSliceMut;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::io::{Errno, ReadWriteFlags};

use crate::error::{Error, ErrorKind};
use crate::policy::Policy;
use crate::sys;

/// A regular file that was opened beneath a [`Root`](crate::Root), and what it was at that moment.
///
/// There is no other way to get one. Reading takes an offset, so there is no cursor to share and one `File` may be
/// read from several threads at once.
///
/// ```
/// # let dir = tempfile::tempdir()?;
/// # std::fs::write(dir.path().join("hello.txt"), "hello, world")?;
/// use beneath::{RelPath, Root, ambient_authority};
///
/// let root = Root::open_ambient(dir.path(), ambient_authority())?;
/// let file = root.open(&RelPath::parse("hello.txt")?)?;
///
/// let mut start = [0; 5];
/// assert_eq!(file.read_at(&mut start, 0)?, 5);
/// assert_eq!(&start, b"hello");
/// assert_eq!(file.metadata().len(), 12);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
pub struct File {
    fd: Descriptor,
    metadata: Metadata,
}

enum Descriptor {
    Own(OwnedFd),
    Kept(Arc<OwnedFd>, Option<Arc<[u8]>>),
}

/// What a [`File`] was when it was asked, in one statx(2) of its descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metadata {
    pub(crate) identity: Identity,
    pub(crate) version: Version,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) links: u64,
}

/// Which file this is: equal for two opens when they opened the same file through the same mount, and only then.
///
/// # Security
///
/// `(device, inode)` alone is never an identity: ext4 gives the number of a removed file to the next one at once
/// (measured: 1,999 of 2,000). The time of birth tells them apart, as finely as the kernel's clock for files (before
/// Linux 6.13 a few milliseconds, now nanoseconds when they matter). A file system that
/// reports no birth time (see [`birth`](Self::birth)) cannot give this promise; use
/// [`File::handle`](crate::File) (feature `file-handle`) or the content there.
///
/// Valid while the file system stays mounted; to remember a file across reboots keep the parts that your file
/// system keeps (inode, birth, handle) and the root it was found in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    pub(crate) device: u64,
    pub(crate) inode: u64,
    pub(crate) birth: Option<Timestamp>,
    pub(crate) mount: Option<u64>,
}

/// Which state of its content a file is in: length, and times of last modification and change.
///
/// Two equal versions of one [`Identity`] mean "not changed, as far as the clock of the file system can tell". Its
/// grain is a few milliseconds, so a version younger than that may yet stand for two contents. The
/// time of change (ctime) is part of it because the time of modification can be set to any value by the owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Version {
    pub(crate) len: u64,
    pub(crate) modified: Timestamp,
    pub(crate) changed: Timestamp,
}

/// A point in time as file systems keep it: seconds since 1970 (negative before), and nanoseconds after that second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp {
    pub(crate) seconds: i64,
    pub(crate) nanoseconds: u32,
}

impl File {
    /// Judges a descriptor that the seam has just opened: a regular file, and one that the policy allows.
    pub(crate) fn judge(fd: OwnedFd, policy: &Policy) -> Result<Self, Error> {
        let (metadata, kind) = sys::stat(fd.as_fd())?;
        if kind != sys::Kind::Regular {
            return Err(Error::new(ErrorKind::NotRegular, "not a regular file"));
        }
        policy.judge(&metadata)?;
        Ok(Self {
            fd: Descriptor::Own(fd),
            metadata,
        })
    }

    /// One that is kept open; judged already.
    pub(crate) const fn kept(fd: Arc<OwnedFd>, metadata: Metadata, content: Option<Arc<[u8]>>) -> Self {
        Self {
            fd: Descriptor::Kept(fd, content),
            metadata,
        }
    }

    pub(crate) fn into_shared(self) -> Arc<OwnedFd> {
        match self.fd {
            Descriptor::Own(fd) => Arc::new(fd),
            Descriptor::Kept(fd, _) => fd,
        }
    }

    /// What the file was when it was opened. Never asked again.
    pub const fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// Whether it has a length of 0 and nothing in it. Most files of procfs, cgroupfs or tracefs have that length whatever is in
    /// them, and so none that could be promised to anybody.
    ///
    /// Never waits: one fstatfs(2) where the length is 0. Of a file system without blocks that cannot tell without waiting, nothing
    /// is said to be empty.
    pub fn is_empty(&self) -> bool {
        self.metadata.len() == 0
            && (sys::keeps_files(self.as_fd()) || matches!(self.try_read_at(&mut [0], 0), Ok(0)))
    }

    /// Asks the descriptor again, to notice that the content changed under a reader:
    /// compare [`Metadata::version`].
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`] if the file system fails.
    pub fn metadata_now(&self) -> Result<Metadata, Error> {
        sys::stat(self.as_fd()).map(|(metadata, _)| metadata)
    }

    /// Whether the file is in another [version](Version) than when it was opened. Asks the descriptor.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`] if the file system fails: then nobody knows.
    pub fn was_changed(&self) -> Result<bool, Error> {
        Ok(self.metadata_now()?.version() != self.metadata.version())
    }

    /// The whole content, where that is remembered: of small files that are [kept](crate::Kept), which says of when it is. Of the
    /// length that the metadata says, and it does not change.
    pub const fn content(&self) -> Option<&Arc<[u8]>> {
        match &self.fd {
            Descriptor::Kept(_, content) => content.as_ref(),
            Descriptor::Own(_) => None,
        }
    }

    /// Reads at `offset` (bytes from the start) into `buf`, and returns how many bytes that were: fewer than
    /// `buf.len()` only where the file ends or the kernel had no more at once, `0` at or past the end. May
    /// wait for the disk.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`] if the device or file system fails.
    pub fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize, Error> {
        let buf = fillable(buf, offset);
        if buf.is_empty() {
            return Ok(0);
        }
        loop {
            match rustix::io::pread(self, &mut *buf, offset) {
                Err(Errno::INTR) => {}
                result => return result.map_err(Error::from_errno),
            }
        }
    }

    /// As [`read_at`](Self::read_at), but never waits for the disk (`RWF_NOWAIT`): for an async thread. May return
    /// fewer bytes than there are, those that are in memory.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::WouldBlock`] if no byte is in memory, or if the file system cannot tell; use
    /// [`read_at`](Self::read_at) on a thread that may block. [`ErrorKind::Io`] if the file system fails.
    ///
    /// Source: preadv2(2).
    pub fn try_read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize, Error> {
        let buf = fillable(buf, offset);
        if buf.is_empty() {
            return Ok(0);
        }
        loop {
            let bufs = &mut [IoSliceMut::new(buf)];
            match rustix::io::preadv2(self, bufs, offset, ReadWriteFlags::NOWAIT) {
                Err(Errno::INTR) => {}
                // Not every file system can promise not to wait, and not every kernel or filter knows preadv2.
                Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::PERM) => {
                    return Err(Error::from_errno_without_blocking(Errno::AGAIN));
                }
                result => return result.map_err(Error::from_errno_without_blocking),
            }
        }
    }

    /// The file handle that name_to_handle_at(2) gives, as opaque bytes, or `None` where the file system has none
    /// (tmpfs, procfs). Never reused for another file, also not after the inode number was.
    ///
    /// One more system call, so it is not taken at open; meant for pinning a published file.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`] if the file system fails.
    #[cfg(feature = "file-handle")]
    pub fn handle(&self) -> Result<Option<Vec<u8>>, Error> {
        sys::handle(self.as_fd())
    }
}

impl AsFd for File {
    /// For sendfile(2) and the like, with an explicit offset: the descriptor's own cursor belongs to nobody.
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.fd {
            Descriptor::Own(fd) => fd.as_fd(),
            Descriptor::Kept(fd, _) => fd.as_fd(),
        }
    }
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("File")
            .field("metadata", &self.metadata)
            .finish_non_exhaustive()
    }
}

#[expect(
    clippy::len_without_is_empty,
    reason = "an empty file is not a special case of metadata"
)]
impl Metadata {
    /// Length in bytes.
    pub const fn len(&self) -> u64 {
        self.version.len
    }

    /// Time of last modification (mtime). The owner can set it to anything.
    pub const fn modified(&self) -> Timestamp {
        self.version.modified
    }

    /// Time of last change of content or attributes (ctime). Only the clock sets it.
    pub const fn changed(&self) -> Timestamp {
        self.version.changed
    }

    /// Which file this is.
    pub const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Which state of its content it is in.
    pub const fn version(&self) -> &Version {
        &self.version
    }

    /// Permission bits, `0o7777` at most.
    pub const fn mode(&self) -> u32 {
        self.mode
    }

    /// User ID of the owner.
    pub const fn uid(&self) -> u32 {
        self.uid
    }

    /// Group ID.
    pub const fn gid(&self) -> u32 {
        self.gid
    }

    /// How many names the file had; see [`HardLinks`](crate::HardLinks) for what that is worth.
    pub const fn links(&self) -> u64 {
        self.links
    }
}

impl Identity {
    /// Device number, as stat(2) gives it.
    pub const fn device(&self) -> u64 {
        self.device
    }

    /// Inode number.
    pub const fn inode(&self) -> u64 {
        self.inode
    }

    /// Time of birth, where the file system reports one.
    pub const fn birth(&self) -> Option<Timestamp> {
        self.birth
    }

    /// Mount ID (Linux 5.8 and later). May be used again after an unmount.
    pub const fn mount(&self) -> Option<u64> {
        self.mount
    }
}

impl Timestamp {
    /// Seconds since 1970-01-01T00:00:00Z, negative before.
    pub const fn seconds(self) -> i64 {
        self.seconds
    }

    /// Nanoseconds after [`seconds`](Self::seconds), below 1,000,000,000.
    pub const fn nanoseconds(self) -> u32 {
        self.nanoseconds
    }

    /// As the standard library's clock, or `None` where that cannot hold it.
    pub fn to_system_time(self) -> Option<SystemTime> {
        let whole = Duration::from_secs(self.seconds.unsigned_abs());
        let second = if self.seconds < 0 {
            UNIX_EPOCH.checked_sub(whole)
        } else {
            UNIX_EPOCH.checked_add(whole)
        };
        second?.checked_add(Duration::from_nanos(u64::from(self.nanoseconds)))
    }
}

/// What of a buffer a file can fill: none is longer than `i64::MAX`, and what the kernel is told beyond that means
/// something else. To preadv2(2) an offset of -1 is "where the cursor stands".
fn fillable(buf: &mut [u8], offset: u64) -> &mut [u8] {
    let room = i64::MAX.cast_unsigned().saturating_sub(offset);
    let len = usize::try_from(room).unwrap_or(usize::MAX).min(buf.len());
    &mut buf[..len]
}
