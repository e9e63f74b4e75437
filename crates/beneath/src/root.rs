//! [`Root`]: the right to open what lies beneath one directory.

use std::fmt;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use cap_std::AmbientAuthority;
use rustix::fs::{FileType, RawDir};

use crate::error::{Error, ErrorKind};
use crate::file::{File, Metadata};
use crate::kept::{Kept, SETTLED};
use crate::policy::{Policy, Symlinks};
use crate::rel_path::RelPath;
use crate::sys::bell::Bell;
use crate::sys::{self, Backend, Kind, Want};

/// The right to open what lies beneath one directory, and nothing else.
///
/// Holds an open descriptor, not a path: it goes on meaning the same directory when that is renamed, replaced or
/// unmounted elsewhere. After construction no name is ever resolved but beneath this descriptor. `Send + Sync`;
/// share it by reference or in an `Arc`.
///
/// # What is promised
///
/// A [`File`] that [`open`](Self::open) returns was, in the one system call that opened it, found by walking down
/// from this directory through names only, as the [`Policy`] says: no `..`, no absolute path, no link (unless
/// [`Symlinks::Beneath`](crate::Symlinks::Beneath), and then none that leads out), no magic link. It is a regular
/// file. Everything the `File` says of itself was asked of that same descriptor.
///
/// # What is not promised
///
/// That the file is *still* beneath the root a moment later: whoever may rename in the tree may move it out, and an
/// open descriptor does not notice. That hard links and, unless [`Mounts::Refuse`](crate::Mounts::Refuse), bind
/// mounts do not bring foreign files in. That the content holds still: see
/// [`File::metadata_now`]. More in [`manual::threat_model`](crate::manual::threat_model).
///
/// ```
/// # let dir = tempfile::tempdir()?;
/// # std::fs::create_dir(dir.path().join("reports"))?;
/// # std::fs::write(dir.path().join("reports/q3.txt"), "up")?;
/// # std::os::unix::fs::symlink("/etc/passwd", dir.path().join("link"))?;
/// use beneath::{ErrorKind, RelPath, Root, ambient_authority};
///
/// let root = Root::open_ambient(dir.path(), ambient_authority())?;
///
/// let file = root.open(&RelPath::parse("reports/q3.txt")?)?;
/// assert_eq!(file.metadata().len(), 2);
///
/// let refused = root.open(&RelPath::parse("link")?).unwrap_err();
/// assert_eq!(refused.kind(), ErrorKind::Symlink);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
pub struct Root {
    directory: OwnedFd,
    policy: Policy,
    backend: Backend,
    bell: OnceLock<Arc<Bell>>,
}

/// Whether the directory of a [`Root`] still has a place in the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there is no third case")]
pub enum Attachment {
    /// It has a name somewhere, maybe another than when it was opened.
    Attached,
    /// It was removed: nothing will ever be found beneath it again. Time to [`reopen`](Root::reopen).
    Removed,
}

/// What [`Root::entries`] found: names, never paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entries {
    entries: Vec<Entry>,
    complete: bool,
}

/// One name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    name: RelPath,
    kind: EntryKind,
}

/// What the directory says an entry is: a hint for display, stale at once. Only opening decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A FIFO, socket or device.
    Other,
    /// The file system does not say.
    Unknown,
}

impl Root {
    /// Opens a directory by any path, with the default [`Policy`]: **the one door for absolute paths**.
    ///
    /// # Ambient authority
    ///
    /// The path is resolved as the process may, links included: it must come from the operator, never from a
    /// request. The second argument makes each such place easy to find.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`], [`ErrorKind::NotADirectory`], [`ErrorKind::Denied`]; as
    /// [`open_ambient_with`](Self::open_ambient_with).
    pub fn open_ambient(path: impl AsRef<Path>, authority: AmbientAuthority) -> Result<Self, Error> {
        Self::open_ambient_with(path, Policy::default(), authority)
    }

    /// As [`open_ambient`](Self::open_ambient), with a policy.
    ///
    /// # Errors
    ///
    /// Also [`ErrorKind::Unsupported`] where this system cannot keep the policy: links can be followed only by
    /// openat2(2) (Linux 5.6), and there is no weaker substitute.
    pub fn open_ambient_with(
        path: impl AsRef<Path>,
        policy: Policy,
        _: AmbientAuthority,
    ) -> Result<Self, Error> {
        let path = path.as_ref();
        if path.as_os_str().as_bytes().contains(&0) {
            return Err(Error::new(ErrorKind::InvalidPath, "the path holds a NUL"));
        }
        Self::new(sys::open_ambient(path).map_err(Error::from_errno)?, policy)
    }

    /// Makes a root of a directory that is already held as a capability.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unsupported`] where this system cannot keep the policy.
    pub fn from_dir(directory: cap_std::fs::Dir, policy: Policy) -> Result<Self, Error> {
        Self::new(OwnedFd::from(directory.into_std_file()), policy)
    }

    fn new(directory: OwnedFd, policy: Policy) -> Result<Self, Error> {
        let (_, kind) = sys::stat(directory.as_fd())?;
        if kind != Kind::Directory {
            return Err(Error::new(ErrorKind::NotADirectory, "a root must be a directory"));
        }
        let backend = Backend::choose(directory.as_fd(), &policy)?;
        Ok(Self::on(directory, policy, backend))
    }

    const fn on(directory: OwnedFd, policy: Policy, backend: Backend) -> Self {
        Self {
            directory,
            policy,
            backend,
            bell: OnceLock::new(),
        }
    }

    /// Opens a regular file for reading: **check and use are one openat2(2)**.
    ///
    /// Never waits for a FIFO, socket, device or lease, and 10 ms (32 tries at least) for renames that race with a
    /// link it follows. May wait for the disk; an async server asks [`try_open`](Self::try_open) first.
    ///
    /// # Errors
    ///
    /// Each [`ErrorKind`] but `InvalidPath` for what a [`RelPath`] rules out, `Unsupported` and `WouldBlock`. To a
    /// client on the network all that concern the file should look the same.
    ///
    /// # Security
    ///
    /// Until Linux 7.2's `OPENAT2_REGULAR`, refusing a FIFO or device means opening it first without waiting: a
    /// process that waits to write into that FIFO sees a reader come and go. Do not serve directories of devices.
    pub fn open(&self, path: &RelPath) -> Result<File, Error> {
        let opened = self
            .backend
            .open(self.as_fd(), path.as_c_str(), Want::File, &self.policy);
        File::judge(opened.map_err(Error::from_errno)?, &self.policy)
    }

    /// As [`open`](Self::open), but answers from memory or not at all (`RESOLVE_CACHED`): for an async thread.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::WouldBlock`] where the disk would have to be asked, a lease or rename is in the way, or this
    /// system cannot tell: call [`open`](Self::open) on a thread that may block. Otherwise as [`open`](Self::open).
    pub fn try_open(&self, path: &RelPath) -> Result<File, Error> {
        let opened = self.backend.try_open(self.as_fd(), path.as_c_str(), &self.policy);
        File::judge(opened.map_err(Error::from_errno_without_blocking)?, &self.policy)
    }

    /// Less authority, never more: a root further down, with the same policy and backend.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open), with [`ErrorKind::NotADirectory`] for what is none.
    pub fn open_root(&self, path: &RelPath) -> Result<Self, Error> {
        Ok(Self::on(self.open_directory(path)?, self.policy, self.backend))
    }

    pub(crate) fn open_directory(&self, path: &RelPath) -> Result<OwnedFd, Error> {
        self.backend
            .open(self.as_fd(), path.as_c_str(), Want::Directory, &self.policy)
            .map_err(Error::from_errno)
    }

    /// Opens a regular file to stay open between requests, each of which then asks [`open_kept`](Self::open_kept). May wait for
    /// the disk.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open). [`ErrorKind::Busy`] if it, or a directory on the way, changed within the last two seconds: ask
    /// again later. [`ErrorKind::Unsupported`] where nothing is kept; [`Kept`] says where that is.
    pub fn keep(&self, path: &RelPath) -> Result<Kept, Error> {
        Kept::new(self, path, SETTLED)
    }

    /// The kept file, if opening it by its name would open that very file now; `None` if not, and for one that a root of another
    /// directory keeps: [`open`](Self::open) it, and keep it anew. Never waits for the disk.
    ///
    /// # Security
    ///
    /// No rule of the [`Policy`] and no property of [`open`](Self::open) is weaker for it: see [`Kept`].
    pub fn open_kept(&self, kept: &Kept) -> Option<File> {
        kept.still_led_to(self)
    }

    /// Reads the remembered content of a kept file again: if it is another, the file is opened no more. For every kept file, as
    /// often as content may be out of date that somebody writes through a shared mapping. May wait for the disk.
    pub fn review(&self, kept: &Kept) {
        kept.look_at_content(self);
    }

    /// What rings when the way to a file may have changed, where the files themselves show every change.
    pub(crate) fn bell(&self) -> Result<Arc<Bell>, Error> {
        if let Some(bell) = self.bell.get() {
            return Ok(Arc::clone(bell));
        }
        if self.policy.symlinks != Symlinks::Refuse {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "where links are followed no file is kept open",
            ));
        }
        sys::shows_every_change(self.as_fd())?;
        let mount = self.metadata()?.identity().mount();
        let bell = mount.ok_or(rustix::io::Errno::NODEV).and_then(Bell::of_mount);
        let bell = bell.map_err(|errno| {
            Error::new(
                ErrorKind::Unsupported,
                "the table of mounts cannot be watched, so nothing is kept open",
            )
            .with_errno(errno)
        })?;
        Ok(Arc::clone(self.bell.get_or_init(|| Arc::new(bell))))
    }

    pub(crate) fn has_bell(&self, bell: &Arc<Bell>) -> bool {
        self.bell.get().is_some_and(|own| Arc::ptr_eq(own, bell))
    }

    /// Lists the directory itself: at most `max` names, without `.` and `..`, in no order. May wait for the disk.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Denied`] for a directory that may be searched but not read.
    pub fn entries(&self, max: usize) -> Result<Entries, Error> {
        let listing = self.backend.open(self.as_fd(), c".", Want::Listing, &self.policy);
        let listing = listing.map_err(Error::from_errno)?;
        let mut buffer = [MaybeUninit::uninit(); 8192];
        let mut directory = RawDir::new(listing, &mut buffer);
        let mut found = Entries {
            entries: Vec::new(),
            complete: true,
        };
        while let Some(entry) = directory.next() {
            let entry = entry.map_err(Error::from_errno)?;
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") {
                continue;
            }
            if found.entries.len() == max {
                found.complete = false;
                break;
            }
            match RelPath::parse(name) {
                Ok(name) => found.entries.push(Entry {
                    name,
                    kind: EntryKind::from(entry.file_type()),
                }),
                // Longer than 255 bytes, as NTFS and vfat allow: there, but not to be opened.
                Err(_) => found.complete = false,
            }
        }
        Ok(found)
    }

    /// The same policy on the directory that the path leads to *now*: for trees that are replaced by rename, such as
    /// a Kubernetes `..data` or a git-sync link. This root is left as it is, so that requests under way finish in
    /// the old tree.
    ///
    /// Where the parent is held as a root that follows links beneath it, `parent.open_root(&link)` does the
    /// same without ambient authority.
    ///
    /// # Errors
    ///
    /// As [`open_ambient_with`](Self::open_ambient_with).
    pub fn reopen(&self, path: impl AsRef<Path>, authority: AmbientAuthority) -> Result<Self, Error> {
        Self::open_ambient_with(path, self.policy, authority)
    }

    /// Whether this directory was removed meanwhile, asked of the descriptor. Beneath a removed one everything is
    /// [`ErrorKind::NotFound`] for ever.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`] if the file system fails.
    pub fn attachment(&self) -> Result<Attachment, Error> {
        Ok(match self.metadata()?.links() {
            0 => Attachment::Removed,
            _ => Attachment::Attached,
        })
    }

    /// The directory's own metadata, asked of the descriptor now: its [identity](Metadata::identity) tells
    /// whether a [reopened](Self::reopen) root is another directory.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`] if the file system fails.
    pub fn metadata(&self) -> Result<Metadata, Error> {
        sys::stat(self.as_fd()).map(|(metadata, _)| metadata)
    }

    /// What this root opens and refuses.
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }
}

impl TryFrom<cap_std::fs::Dir> for Root {
    type Error = Error;

    /// [`Root::from_dir`] with the default policy.
    fn try_from(directory: cap_std::fs::Dir) -> Result<Self, Error> {
        Self::from_dir(directory, Policy::default())
    }
}

impl From<Root> for cap_std::fs::Dir {
    /// Gives up the policy: a `Dir` follows links within the directory, and writes.
    fn from(root: Root) -> Self {
        Self::from_std_file(std::fs::File::from(root.directory))
    }
}

impl fmt::Debug for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Root")
            .field("policy", &self.policy)
            .field("backend", &self.backend)
            .finish_non_exhaustive()
    }
}

impl Entries {
    /// Whether these are all; `false` if the bound was reached first, or a name is longer than a [`RelPath`] can hold.
    pub const fn is_complete(&self) -> bool {
        self.complete
    }

    /// The entries, by reference.
    pub fn iter(&self) -> std::slice::Iter<'_, Entry> {
        self.entries.iter()
    }
}

impl IntoIterator for Entries {
    type Item = Entry;
    type IntoIter = std::vec::IntoIter<Entry>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.into_iter()
    }
}

impl<'a> IntoIterator for &'a Entries {
    type Item = &'a Entry;
    type IntoIter = std::slice::Iter<'a, Entry>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl Entry {
    /// The name, a single component, ready to be opened.
    pub const fn name(&self) -> &RelPath {
        &self.name
    }

    /// What the directory says it is.
    pub const fn kind(&self) -> EntryKind {
        self.kind
    }
}

impl From<FileType> for EntryKind {
    fn from(kind: FileType) -> Self {
        match kind {
            FileType::RegularFile => Self::File,
            FileType::Directory => Self::Directory,
            FileType::Symlink => Self::Symlink,
            FileType::Unknown => Self::Unknown,
            _ => Self::Other,
        }
    }
}

/// The seam, for this project's own harnesses: a forced backend, and paths that no [`RelPath`] can hold, since the
/// parser would mask what a backend does with them.
#[cfg(any(test, feature = "_testing"))]
#[doc(hidden)]
#[allow(missing_docs, clippy::missing_errors_doc, clippy::exhaustive_enums)]
pub mod testing {
    use std::ffi::CStr;
    use std::os::fd::AsFd as _;
    use std::time::Duration;

    use super::{AmbientAuthority, Backend, Error, File, Kept, Path, Policy, RelPath, Root, Want, sys};

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Forced {
        Openat2,
        Walk,
    }

    pub fn open_ambient(
        path: &Path,
        policy: Policy,
        forced: Forced,
        _: AmbientAuthority,
    ) -> Result<Root, Error> {
        let directory = sys::open_ambient(path).map_err(Error::from_errno)?;
        let backend = match forced {
            Forced::Openat2 => Backend::Openat2,
            Forced::Walk => Backend::Walk,
        };
        backend.supports(directory.as_fd(), &policy)?;
        Ok(Root::on(directory, policy, backend))
    }

    pub fn keep(root: &Root, path: &RelPath, settled: Duration) -> Result<Kept, Error> {
        Kept::new(root, path, settled)
    }

    pub fn open_raw(root: &Root, path: &CStr) -> Result<File, Error> {
        let opened = root.backend.open(root.as_fd(), path, Want::File, &root.policy);
        File::judge(opened.map_err(Error::from_errno)?, &root.policy)
    }

    pub fn backend(root: &Root) -> Forced {
        match root.backend {
            Backend::Openat2 => Forced::Openat2,
            Backend::Walk => Forced::Walk,
        }
    }
}
