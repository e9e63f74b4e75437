//! One openat2(2) call: the check and the use cannot come apart, because they are the same call.

use std::ffi::CStr;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::Want;
use crate::policy::{Mounts, Policy, Symlinks};

/// `EAGAIN` is asked again this often and this long at most. A rename anywhere on the machine can cause it while a
/// link target with `..` is resolved (measured: 2 to 4 % of such opens); a write lease causes it until the
/// holder lets go, which nobody should wait for.
const MAX_TRIES: u32 = 1024;
const MAX_TIME: Duration = Duration::from_millis(10);
/// The time alone does not end it: on a busy machine it may pass within one try, while others ran.
const MIN_TRIES: u32 = 32;

pub(crate) fn open(root: BorrowedFd<'_>, path: &CStr, want: Want, policy: &Policy) -> Result<OwnedFd, Errno> {
    let mut started = None;
    for tries in 1..=MAX_TRIES {
        match openat2(root, path, want, policy, ResolveFlags::empty()) {
            Err(Errno::AGAIN) => {
                let waited = started.get_or_insert_with(Instant::now).elapsed();
                if waited > MAX_TIME && tries >= MIN_TRIES {
                    break;
                }
            }
            Err(Errno::INTR) => {}
            answer => return answer,
        }
    }
    Err(Errno::AGAIN)
}

/// Answers from memory or not at all: `EAGAIN` where the disk would have to be asked.
pub(crate) fn try_open(root: BorrowedFd<'_>, path: &CStr, policy: &Policy) -> Result<OwnedFd, Errno> {
    match openat2(root, path, Want::File, policy, ResolveFlags::CACHED) {
        // The flag is younger (Linux 5.12) than the call: such a kernel cannot tell. Nor does an interrupted call.
        Err(Errno::INVAL | Errno::INTR) => Err(Errno::AGAIN),
        answer => answer,
    }
}

fn openat2(
    root: BorrowedFd<'_>,
    path: &CStr,
    want: Want,
    policy: &Policy,
    extra: ResolveFlags,
) -> Result<OwnedFd, Errno> {
    let mut flags = want.flags();
    let mut resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS | extra;
    if policy.symlinks == Symlinks::Refuse {
        resolve |= ResolveFlags::NO_SYMLINKS;
        // Not for a directory: with O_PATH it asks for the link itself, which the kernel then calls "not a directory".
        if want == Want::File {
            flags |= OFlags::NOFOLLOW;
        }
    }
    if policy.mounts == Mounts::Refuse {
        resolve |= ResolveFlags::NO_XDEV;
    }
    // Here OPENAT2_REGULAR (Linux 7.2) joins `flags` for `Want::File`: a device or FIFO is then refused before its
    // driver is called. Unknown bits are EINVAL, so `Backend::choose` can probe for it. An `O_PATH` pin mode (open,
    // judge, reopen by O_EMPTYPATH) would be another `Want`.
    rustix::fs::openat2(root, path, flags, Mode::empty(), resolve)
}
