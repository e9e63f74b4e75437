//! Name by name with `O_PATH | O_NOFOLLOW`, for systems without openat2(2): old kernels, seccomp filters, gVisor.
//!
//! Keeps the strict policy only. Each name is opened beneath the descriptor of the one before, through no link, and
//! is judged on what was opened. `..` is never asked of the kernel, since a directory that was moved meanwhile has
//! another parent: the walk starts again from the root with one name less.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

use super::Want;
use crate::policy::{Mounts, Policy};

/// The kernel's `PATH_MAX`, with the NUL.
const PATH_MAX: usize = 4096;

pub(crate) fn open(root: BorrowedFd<'_>, path: &CStr, want: Want, policy: &Policy) -> Result<OwnedFd, Errno> {
    let walk = Walk::new(root, policy)?;
    let bytes = path.to_bytes();
    match bytes {
        b"" => return Err(Errno::NOENT),
        long if long.len() >= PATH_MAX => return Err(Errno::NAMETOOLONG),
        [b'/', ..] => return Err(Errno::XDEV),
        _ => {}
    }

    let mut names: Vec<&[u8]> = bytes.split(|&byte| byte == b'/').collect();
    let last = match names.pop() {
        Some(name) if !matches!(name, b"" | b"." | b"..") => Some(name),
        // A path that ends in a slash or in dots names a directory, and leads all the way into it.
        Some(name) => {
            names.push(name);
            None
        }
        None => None,
    };

    let mut trail: Vec<&[u8]> = Vec::new();
    let mut here = walk.start()?;
    for name in names {
        match name {
            b"" | b"." => {}
            b".." => {
                trail.pop().ok_or(Errno::XDEV)?;
                here = walk.start()?;
                for name in &trail {
                    here = walk.enter(here.as_fd(), name)?;
                }
            }
            name => {
                here = walk.enter(here.as_fd(), name)?;
                trail.push(name);
            }
        }
    }
    walk.finish(here.as_fd(), last.unwrap_or(b"."), want)
}

struct Walk<'a> {
    root: BorrowedFd<'a>,
    /// The mount that must not be left.
    mount: Option<u64>,
}

impl<'a> Walk<'a> {
    fn new(root: BorrowedFd<'a>, policy: &Policy) -> Result<Self, Errno> {
        let mount = match policy.mounts {
            Mounts::Allow => None,
            // A root whose mount cannot be told was refused when it was opened.
            Mounts::Refuse => Some(mount_of(root)?),
        };
        Ok(Self { root, mount })
    }

    fn start(&self) -> Result<OwnedFd, Errno> {
        open_name(self.root, b".", OFlags::PATH | OFlags::DIRECTORY)
    }

    /// One directory further down. `O_PATH` without `O_DIRECTORY`: with it the kernel calls a link "not a directory".
    fn enter(&self, parent: BorrowedFd<'_>, name: &[u8]) -> Result<OwnedFd, Errno> {
        let fd = open_name(parent, name, OFlags::PATH | OFlags::NOFOLLOW)?;
        match FileType::from_raw_mode(rustix::fs::fstat(&fd)?.st_mode) {
            FileType::Directory => {}
            FileType::Symlink => return Err(Errno::LOOP),
            _ => return Err(Errno::NOTDIR),
        }
        self.stay(fd)
    }

    /// The last name, opened for what is wanted of it.
    fn finish(&self, parent: BorrowedFd<'_>, name: &[u8], want: Want) -> Result<OwnedFd, Errno> {
        match want {
            Want::File => {
                let fd = open_name(parent, name, want.flags() | OFlags::NOFOLLOW)?;
                self.stay(fd)
            }
            Want::Directory | Want::Listing => {
                let directory = self.enter(parent, name)?;
                open_name(directory.as_fd(), b".", want.flags())
            }
        }
    }

    fn stay(&self, fd: OwnedFd) -> Result<OwnedFd, Errno> {
        match self.mount {
            Some(mount) if mount_of(fd.as_fd())? != mount => Err(Errno::XDEV),
            _ => Ok(fd),
        }
    }
}

fn mount_of(fd: BorrowedFd<'_>) -> Result<u64, Errno> {
    use rustix::fs::{AtFlags, StatxFlags};

    let answer = rustix::fs::statx(fd, c"", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID)?;
    let given = StatxFlags::from_bits_retain(answer.stx_mask).contains(StatxFlags::MNT_ID);
    given.then_some(answer.stx_mnt_id).ok_or(Errno::XDEV)
}

/// One openat(2) with a single name, so no component can be a link but the last, which `O_NOFOLLOW` guards.
fn open_name(parent: BorrowedFd<'_>, name: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    let name = CString::new(name).map_err(|_| Errno::INVAL)?;
    loop {
        match rustix::fs::openat(parent, name.as_c_str(), flags | OFlags::CLOEXEC, Mode::empty()) {
            Err(Errno::INTR) => {}
            answer => return answer,
        }
    }
}
