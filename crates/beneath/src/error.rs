//! [`Error`] and [`ErrorKind`], and the one table that turns an errno into a kind.

use std::fmt;
use std::io;

use rustix::io::Errno;

/// Why nothing was opened, or why an open file could not be read.
///
/// Small and without heap: it is made on the hot path. It does not repeat the path, which the caller has and
/// which may not be fit for a log.
///
/// [`kind`](Error::kind) is what to decide by; [`raw_os_error`](Error::raw_os_error) is what the kernel said,
/// for the log. The text must not be shown to a client on the network: it tells existence from permission.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    reason: &'static str,
    errno: Option<Errno>,
}

/// What an [`Error`] means, closed on purpose: a server decides on every one of them.
///
/// One errno has several meanings, and one kind is what can honestly be said of it:
///
/// | errno | may mean | kind |
/// |---|---|---|
/// | `ELOOP` | a link that the policy refuses; more than 40 links; a magic link; `O_NOFOLLOW` on a link | [`Symlink`](Self::Symlink) |
/// | `EXDEV` | the path leaves the root; a mount crossing that [`Mounts::Refuse`](crate::Mounts::Refuse) forbids; **an innocent path whose ancestor was renamed meanwhile** | [`Escape`](Self::Escape) |
/// | `EAGAIN` | a rename somewhere raced with `..` in a link target; a write lease is being broken | [`Busy`](Self::Busy) |
/// | `EAGAIN` | asked not to block: the answer is not in memory | [`WouldBlock`](Self::WouldBlock) |
/// | `EPERM` | a seccomp filter, fanotify, or a file-system seal said no | [`NotPermitted`](Self::NotPermitted) |
///
/// Source: openat2(2), open(2), path_resolution(7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a server must decide on each kind; a new one is a breaking change"
)]
pub enum ErrorKind {
    /// Still not to be had after the bounded retries: a lease is held, or renames do not stop. Try again later.
    Busy,
    /// The file system's own permissions refuse this process (`EACCES`).
    Denied,
    /// The path would leave the root, or cross a mount that may not be crossed (`EXDEV`). Not proof of an attack:
    /// an innocent path answers it while an ancestor is being renamed.
    Escape,
    /// No descriptors or memory left (`EMFILE`, `ENFILE`, `ENOMEM`). Says nothing about the file.
    Exhausted,
    /// The bytes are not a [`RelPath`](crate::RelPath), or are longer than the file system allows
    /// (`ENAMETOOLONG`).
    InvalidPath,
    /// The device or file system failed (`EIO`, `ESTALE`, …).
    Io,
    /// A component in the middle is not a directory, or a directory was wanted (`ENOTDIR`).
    NotADirectory,
    /// There is nothing of this name (`ENOENT`).
    NotFound,
    /// Something other than permission bits forbids it: seccomp, fanotify, a seal (`EPERM`).
    NotPermitted,
    /// There is something, but it is a directory, FIFO, socket or device.
    NotRegular,
    /// The file is there and was opened, but the owner, mode or link-count rule of the
    /// [`Policy`](crate::Policy) refuses it.
    Refused,
    /// A link where the policy allows none, too many links, or a magic link (`ELOOP`).
    Symlink,
    /// This system cannot keep the promise that was asked for. Nothing is opened instead.
    Unsupported,
    /// Only from the `try_` calls: the answer needs the disk. Ask again on a thread that may block.
    WouldBlock,
}

impl Error {
    /// What this means.
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What the kernel said, or `None` if it was not asked.
    pub fn raw_os_error(&self) -> Option<i32> {
        self.errno.map(Errno::raw_os_error)
    }

    /// A sentence without the path, for a log.
    pub const fn reason(&self) -> &'static str {
        self.reason
    }

    pub(crate) const fn new(kind: ErrorKind, reason: &'static str) -> Self {
        Self {
            kind,
            reason,
            errno: None,
        }
    }

    pub(crate) const fn with_errno(mut self, errno: Errno) -> Self {
        self.errno = Some(errno);
        self
    }

    /// The one errno → kind table.
    pub(crate) const fn from_errno(errno: Errno) -> Self {
        let (kind, reason) = match errno {
            Errno::NOENT => (ErrorKind::NotFound, "no such file or directory"),
            Errno::NOTDIR => (ErrorKind::NotADirectory, "a component is not a directory"),
            Errno::LOOP => (
                ErrorKind::Symlink,
                "a symbolic link that the policy does not follow",
            ),
            Errno::XDEV => (ErrorKind::Escape, "the path leaves the root or crosses a mount"),
            Errno::NAMETOOLONG => (
                ErrorKind::InvalidPath,
                "the name is longer than the file system allows",
            ),
            Errno::ACCESS => (
                ErrorKind::Denied,
                "the file system's permissions refuse this process",
            ),
            Errno::PERM => (ErrorKind::NotPermitted, "the system forbids this operation"),
            Errno::AGAIN => (ErrorKind::Busy, "a lease or a rename is in the way"),
            // A socket, or a device nobody serves: open(2) answers before there is anything to ask.
            Errno::NXIO | Errno::NODEV => (ErrorKind::NotRegular, "not a regular file"),
            Errno::MFILE | Errno::NFILE => (ErrorKind::Exhausted, "no file descriptors left"),
            Errno::NOMEM => (ErrorKind::Exhausted, "no memory left"),
            Errno::NOSYS => (ErrorKind::Unsupported, "the kernel does not know this call"),
            _ => (ErrorKind::Io, "the file system failed"),
        };
        Self {
            kind,
            reason,
            errno: Some(errno),
        }
    }

    /// For the calls that were told not to block, `EAGAIN` has one meaning.
    pub(crate) const fn from_errno_without_blocking(errno: Errno) -> Self {
        match errno {
            Errno::AGAIN => {
                Self::new(ErrorKind::WouldBlock, "the answer is not in memory").with_errno(Errno::AGAIN)
            }
            other => Self::from_errno(other),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.errno {
            // Which is said by the errno only.
            Some(errno) if matches!(self.kind, ErrorKind::Io | ErrorKind::Unsupported) => {
                write!(f, "{} ({errno})", self.reason)
            }
            Some(errno) => write!(f, "{} (os error {})", self.reason, errno.raw_os_error()),
            None => f.write_str(self.reason),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Error({:?}: {self})", self.kind)
    }
}

impl std::error::Error for Error {}

impl From<Error> for io::Error {
    /// Keeps the errno where there is one; otherwise the kind and the sentence.
    fn from(error: Error) -> Self {
        // Not EAGAIN, after which a reader would wait to be woken.
        if error.kind == ErrorKind::Busy {
            return Self::new(io::ErrorKind::ResourceBusy, error);
        }
        if let Some(errno) = error.raw_os_error() {
            return Self::from_raw_os_error(errno);
        }
        let kind = match error.kind {
            ErrorKind::Unsupported => io::ErrorKind::Unsupported,
            ErrorKind::Refused => io::ErrorKind::PermissionDenied,
            ErrorKind::WouldBlock => io::ErrorKind::WouldBlock,
            ErrorKind::InvalidPath | ErrorKind::NotRegular => io::ErrorKind::InvalidInput,
            _ => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}
