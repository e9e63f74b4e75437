//! What the test files share: trees from a table, system calls answered by seccomp, processes that end with the test.

#![allow(dead_code, reason = "each test file uses its own part of this")]

pub(crate) mod child;
pub(crate) mod seccomp;
pub(crate) mod table;

use std::io::Write as _;
use std::path::Path;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use beneath::{Policy, RelPath, Root, ambient_authority};

/// To the terminal, past the test harness: what was counted or could not be run must be seen when all is green, too.
pub(crate) fn say(text: &str) {
    writeln!(std::io::stderr().lock(), "    {text}").unwrap();
}

pub(crate) fn root(path: &Path) -> Root {
    Root::open_ambient(path, ambient_authority()).unwrap()
}

pub(crate) fn root_with(path: &Path, policy: Policy) -> Root {
    Root::open_ambient_with(path, policy, ambient_authority()).unwrap()
}

pub(crate) fn path(text: &str) -> RelPath {
    RelPath::parse(text).unwrap()
}

/// Ends the test program loudly if dropped too late: an open that hangs would otherwise hang the tests.
pub(crate) struct Watchdog(Option<(mpsc::Sender<()>, JoinHandle<()>)>);

impl Watchdog {
    pub(crate) fn over(what: &str) -> Self {
        const LIMIT: Duration = Duration::from_secs(20);
        let (sender, receiver) = mpsc::channel();
        let what = what.to_owned();
        let thread = std::thread::spawn(move || {
            if receiver.recv_timeout(LIMIT) == Err(mpsc::RecvTimeoutError::Timeout) {
                say(&format!("HUNG: {what} took more than {LIMIT:?}"));
                std::process::abort();
            }
        });
        Self(Some((sender, thread)))
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        if let Some((sender, thread)) = self.0.take() {
            drop(sender);
            let _ = thread.join();
        }
    }
}

/// The whole file, by `read_at` alone.
pub(crate) fn read(file: &beneath::File) -> Result<Vec<u8>, beneath::Error> {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    loop {
        match file.read_at(&mut piece, bytes.len() as u64)? {
            0 => return Ok(bytes),
            count => bytes.extend_from_slice(&piece[..count]),
        }
    }
}

/// How many descriptors this process holds.
pub(crate) fn descriptors() -> usize {
    // The listing itself holds one.
    std::fs::read_dir("/proc/self/fd").unwrap().count() - 1
}
