//! Processes that a test starts: this same test program again, at another entry.

use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Names the role of a process that was started by a test.
const ROLE: &str = "BENEATH_TEST_ROLE";

/// This test program again, to run the one `#[ignore]`d test that is the entry of such processes.
pub(crate) fn again(entry: &str, role: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", entry, "--ignored", "--nocapture", "--test-threads=1"])
        .env(ROLE, role)
        .stdout(Stdio::null());
    command
}

/// The role of this process; `None` where nobody gave it one, as under `--include-ignored`.
pub(crate) fn role() -> Option<String> {
    std::env::var(ROLE).ok()
}

/// Ends with its owner: killed and reaped when dropped.
pub(crate) struct Bound(pub(crate) Child);

impl Bound {
    pub(crate) fn spawn(command: &mut Command) -> Self {
        Self(command.spawn().unwrap())
    }

    /// Its end, or `None` if it is still running after `limit`.
    pub(crate) fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        let started = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return Some(status);
            }
            if started.elapsed() > limit {
                return None;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// For a child: die when the parent dies, whatever happens.
pub(crate) fn die_with_parent() {
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL)).unwrap();
}
