//! [`Bell`]: whether anything was mounted, or a watched directory moved or changed its attributes, asked in one cheap call.
//!
//! The one place where procfs is asked, and only for roots that keep files open: for a descriptor that becomes ready when the
//! table of mounts changes (proc_pid_mountinfo(5)), and for a name of an open directory that inotify(7) takes. Where that is not to
//! be had nothing is kept; nothing is ever looked up by it.

use std::collections::HashMap;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::fs::{CWD, Mode, OFlags, inotify};
use rustix::io::Errno;

/// Rings for the mounts of the namespace that a root lies in, and for the directories that are watched.
pub(crate) struct Bell(Mutex<Inner>);

struct Inner {
    epoll: OwnedFd,
    /// Kept open, for epoll to watch.
    _table: OwnedFd,
    inotify: OwnedFd,
    /// How often each is watched: of one directory the kernel gives the same number each time.
    watched: HashMap<Watch, usize>,
    rung: Rung,
}

/// How often it rang, for what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rung {
    pub(crate) mounts: u64,
    pub(crate) directories: u64,
}

/// A directory that is watched, until [`Bell::forget`].
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Watch(i32);

impl Bell {
    /// `ENODEV` if `mount` is not in the table that this thread sees: it belongs to another namespace, whose table would have to
    /// be watched.
    pub(crate) fn of_mount(mount: u64) -> Result<Self, Errno> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let table = rustix::fs::openat(CWD, TABLE, flags, Mode::empty())?;
        if rustix::fs::fstatfs(&table)?.f_type != PROC_SUPER_MAGIC {
            return Err(Errno::NODEV);
        }
        let inotify = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
        // Watched before it is read, so that no change is missed.
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        for (source, data, flags) in [
            (&table, MOUNTS, epoll::EventFlags::PRI),
            (&inotify, DIRECTORIES, epoll::EventFlags::IN),
        ] {
            epoll::add(&epoll, source, epoll::EventData::new_u64(data), flags)?;
        }
        if !lists(&table, mount)? {
            return Err(Errno::NODEV);
        }
        Ok(Self(Mutex::new(Inner {
            epoll,
            _table: table,
            inotify,
            watched: HashMap::new(),
            rung: Rung::default(),
        })))
    }

    /// How often it rang until now. Whatever a call did that has returned by now is counted; what the kernel does not say counts
    /// as all of it.
    pub(crate) fn rung(&self) -> Rung {
        let mut inner = self.inner();
        let mut events = [const { std::mem::MaybeUninit::uninit() }; 2];
        match epoll::wait(inner.epoll.as_fd(), &mut events, Some(&AT_ONCE)) {
            Ok((events, _)) => {
                for event in events {
                    match event.data.u64() {
                        MOUNTS => inner.rung.mounts += 1,
                        _ => inner.drain(),
                    }
                }
            }
            Err(_) => {
                inner.rung.mounts += 1;
                inner.rung.directories += 1;
            }
        }
        inner.rung
    }

    /// Rings when this directory is moved, when it or something in it changes its attributes, and when something is renamed into
    /// or out of it. That it is removed need not ring: it was empty then. Needs the right to read it.
    pub(crate) fn watch(&self, directory: BorrowedFd<'_>) -> Result<Watch, Errno> {
        let name = format!("/proc/thread-self/fd/{}", directory.as_raw_fd());
        let what = inotify::WatchFlags::ATTRIB
            | inotify::WatchFlags::MOVE_SELF
            | inotify::WatchFlags::MOVED_FROM
            | inotify::WatchFlags::MOVED_TO
            | inotify::WatchFlags::ONLYDIR;
        let mut inner = self.inner();
        let watch = Watch(inotify::add_watch(&inner.inotify, name, what)?);
        *inner.watched.entry(watch).or_insert(0) += 1;
        Ok(watch)
    }

    /// That rings, too: nobody is told apart.
    pub(crate) fn forget(&self, watch: Watch) {
        let mut inner = self.inner();
        if let Some(times) = inner.watched.get_mut(&watch) {
            *times -= 1;
            if *times == 0 {
                inner.watched.remove(&watch);
                // It may be gone by itself, with its directory.
                let _ = inotify::remove_watch(&inner.inotify, watch.0);
            }
        }
    }

    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// What rang matters not: whoever relies on a directory looks at it again. Once: what is left rings again, and nobody who
    /// makes events without end keeps others waiting.
    fn drain(&mut self) {
        self.rung.directories += 1;
        let _ = rustix::io::read(&self.inotify, &mut [0_u8; 4096]);
    }
}

/// Whether a line of the table begins with this mount's number.
fn lists(table: &OwnedFd, mount: u64) -> Result<bool, Errno> {
    let mut text = Vec::with_capacity(64 * 1024);
    loop {
        text.reserve(4096);
        match rustix::io::read(table, spare_capacity(&mut text)) {
            Ok(0) => break,
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    let number = mount.to_string();
    Ok(text.split(|&byte| byte == b'\n').any(|line| {
        line.strip_prefix(number.as_bytes())
            .is_some_and(|rest| rest.starts_with(b" "))
    }))
}

/// This thread's: the namespace belongs to the thread.
const TABLE: &str = "/proc/thread-self/mountinfo";
const PROC_SUPER_MAGIC: rustix::fs::FsWord = 0x9fa0;
const AT_ONCE: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 0,
};
const MOUNTS: u64 = 0;
const DIRECTORIES: u64 = 1;
