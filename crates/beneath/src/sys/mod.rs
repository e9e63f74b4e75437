//! The seam to the operating system: how a name becomes a descriptor, and what a descriptor says of itself.
//!
//! A new operating system is one more file here, with the same case table and race run on it. What goes through
//! the seam is an errno: both backends answer what the kernel's openat2(2) answers, and `error.rs` alone gives it
//! a meaning.

#[cfg(not(target_os = "linux"))]
compile_error!("beneath keeps its promise on Linux only, so far: another system is one file in src/sys");

pub(crate) mod bell;
pub(crate) mod openat2;
pub(crate) mod walk;

use std::ffi::CStr;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, FsWord, OFlags, StatxFlags};
use rustix::io::Errno;

use crate::error::{Error, ErrorKind};
use crate::file::{Identity, Metadata, Timestamp, Version};
use crate::policy::{Mounts, Policy, Symlinks};

/// How a name beneath a root becomes a descriptor. Chosen per [`Root`](crate::Root), never changed by an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Backend {
    /// One openat2(2) call: the kernel decides "beneath, through no link" while it opens.
    Openat2,
    /// Name by name with `O_PATH | O_NOFOLLOW`, for systems without it. Cannot follow links.
    Walk,
}

/// What is wanted of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Want {
    /// Bytes to read. A FIFO, device, socket or lease must not make the caller wait for it.
    File,
    /// A directory to open things in: search permission is enough.
    Directory,
    /// A directory to list.
    Listing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Regular,
    Directory,
    Other,
}

impl Backend {
    /// Tries openat2 once, on this very directory and with this very policy.
    pub(crate) fn choose(root: BorrowedFd<'_>, policy: &Policy) -> Result<Self, Error> {
        match openat2::open(root, c".", Want::Directory, policy) {
            Ok(_) => Ok(Self::Openat2),
            // Missing (ENOSYS), filtered (EPERM), or too old for one of the flags (EINVAL, E2BIG). Only here do
            // these mean "unsupported": of a file they never do.
            Err(errno @ (Errno::NOSYS | Errno::PERM | Errno::INVAL | Errno::TOOBIG)) => {
                Self::Walk
                    .supports(root, policy)
                    .map_err(|error| error.with_errno(errno))?;
                Ok(Self::Walk)
            }
            Err(errno) => Err(Error::from_errno(errno)),
        }
    }

    /// Whether the policy can be kept, for a backend that was not tried.
    pub(crate) fn supports(self, root: BorrowedFd<'_>, policy: &Policy) -> Result<(), Error> {
        if self == Self::Openat2 {
            return Ok(());
        }
        if policy.symlinks == Symlinks::Beneath {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "following links beneath a root needs openat2, which this system does not offer",
            ));
        }
        if policy.mounts == Mounts::Refuse && stat(root)?.0.identity.mount.is_none() {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "refusing mount crossings needs openat2 or statx mount IDs, and this system offers neither",
            ));
        }
        Ok(())
    }

    pub(crate) fn open(
        self,
        root: BorrowedFd<'_>,
        path: &CStr,
        want: Want,
        policy: &Policy,
    ) -> Result<OwnedFd, Errno> {
        match self {
            Self::Openat2 => openat2::open(root, path, want, policy),
            Self::Walk => walk::open(root, path, want, policy),
        }
    }

    /// As [`open`](Self::open) for a file, but `EAGAIN` instead of waiting for the disk.
    pub(crate) fn try_open(
        self,
        root: BorrowedFd<'_>,
        path: &CStr,
        policy: &Policy,
    ) -> Result<OwnedFd, Errno> {
        match self {
            Self::Openat2 => openat2::try_open(root, path, policy),
            // Nothing but openat2 can promise not to wait.
            Self::Walk => Err(Errno::AGAIN),
        }
    }
}

impl Want {
    /// The `open(2)` flags for this wish; links are the backend's affair.
    const fn flags(self) -> OFlags {
        match self {
            Self::File => OFlags::RDONLY
                .union(OFlags::NONBLOCK)
                .union(OFlags::NOCTTY)
                .union(OFlags::CLOEXEC),
            Self::Directory => OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC),
            Self::Listing => OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC),
        }
    }
}

/// The one door for absolute paths. Links in the way to a root are the operator's own and are followed.
pub(crate) fn open_ambient(path: &std::path::Path) -> Result<OwnedFd, Errno> {
    let flags = Want::Directory.flags();
    rustix::fs::openat(rustix::fs::CWD, path, flags, rustix::fs::Mode::empty())
}

/// Whether this file system stores what is in it: those that the kernel makes up have no blocks.
pub(crate) fn keeps_files(fd: BorrowedFd<'_>) -> bool {
    rustix::fs::fstatfs(fd).is_ok_and(|system| system.f_blocks > 0)
}

/// Everything there is to know about a descriptor, in one statx(2) of it.
pub(crate) fn stat(fd: BorrowedFd<'_>) -> Result<(Metadata, Kind), Error> {
    let wanted = StatxFlags::BASIC_STATS | StatxFlags::BTIME | StatxFlags::MNT_ID;
    let answer = rustix::fs::statx(fd, c"", AtFlags::EMPTY_PATH, wanted).map_err(Error::from_errno)?;
    let given = StatxFlags::from_bits_retain(answer.stx_mask);
    // `None` for what the file system did not fill in, where that is a legal answer.
    let time = |stamp: rustix::fs::StatxTimestamp| Timestamp {
        seconds: stamp.tv_sec,
        nanoseconds: stamp.tv_nsec,
    };
    let kind = match FileType::from_raw_mode(answer.stx_mode.into()) {
        FileType::RegularFile => Kind::Regular,
        FileType::Directory => Kind::Directory,
        _ => Kind::Other,
    };
    let metadata = Metadata {
        identity: Identity {
            device: rustix::fs::makedev(answer.stx_dev_major, answer.stx_dev_minor),
            inode: answer.stx_ino,
            birth: given.contains(StatxFlags::BTIME).then(|| time(answer.stx_btime)),
            mount: given.contains(StatxFlags::MNT_ID).then_some(answer.stx_mnt_id),
        },
        version: Version {
            len: answer.stx_size,
            modified: time(answer.stx_mtime),
            changed: time(answer.stx_ctime),
        },
        mode: u32::from(answer.stx_mode) & 0o7777,
        uid: answer.stx_uid,
        gid: answer.stx_gid,
        links: answer.stx_nlink.into(),
    };
    Ok((metadata, kind))
}

/// Fails where the file system is not one whose renames, links and changes of permission are known to set the time of change
/// (ctime) of the file or of its directory, or may be changed by another machine. F2FS is not: nobody has tried it.
pub(crate) fn shows_every_change(fd: BorrowedFd<'_>) -> Result<(), Error> {
    const EXT4: FsWord = 0xEF53;
    const XFS: FsWord = 0x5846_5342;
    const BTRFS: FsWord = 0x9123_683E;
    const TMPFS: FsWord = 0x0102_1994;
    match rustix::fs::fstatfs(fd).map_err(Error::from_errno)?.f_type {
        EXT4 | XFS | BTRFS | TMPFS => Ok(()),
        _ => Err(Error::new(
            ErrorKind::Unsupported,
            "this file system is not known to show every change, so nothing on it is kept open",
        )),
    }
}

#[cfg(feature = "file-handle")]
pub(crate) fn handle(fd: BorrowedFd<'_>) -> Result<Option<Vec<u8>>, Error> {
    use name_to_handle_at::{AT_EMPTY_PATH, AT_HANDLE_FID, name_to_handle_at};

    // AT_HANDLE_FID: to recognise the file, not to open it by handle; more file systems can. Kernels before 6.5
    // do not know the flag.
    let ask = |flags| name_to_handle_at(&fd, std::path::Path::new(""), flags);
    let answer = match ask(AT_EMPTY_PATH | AT_HANDLE_FID) {
        Err(error) if error.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => ask(AT_EMPTY_PATH),
        answer => answer,
    };
    match answer {
        Ok((handle, _mount)) => {
            let mut bytes = handle.handle_type.to_be_bytes().to_vec();
            bytes.extend_from_slice(&handle.handle);
            Ok(Some(bytes))
        }
        Err(error) => match error.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::OPNOTSUPP | Errno::NOSYS | Errno::PERM | Errno::OVERFLOW) => Ok(None),
            Some(errno) => Err(Error::from_errno(errno)),
            None => Err(Error::new(ErrorKind::Io, "the file system failed")),
        },
    }
}
