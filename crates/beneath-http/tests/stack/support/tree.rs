//! [`Tree`]: a directory to serve, and a secret beside it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// What must never leave the server, wherever it stands in an answer.
pub(crate) const SECRET: &str = "S3CRET-outside-the-root";

/// `root/`, which is served, and `outside/`, which is not. Both are on one file system, as an attacker would wish.
pub(crate) struct Tree {
    directory: TempDir,
    written: Instant,
}

impl Tree {
    pub(crate) fn new() -> Self {
        let tree = Self {
            directory: tempfile::tempdir().unwrap(),
            written: Instant::now(),
        };
        fs::create_dir(tree.root()).unwrap();
        fs::create_dir(tree.outside()).unwrap();
        fs::write(tree.outside().join("secret.txt"), SECRET).unwrap();
        fs::write(tree.outside().join("index.html"), SECRET).unwrap();
        tree
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.directory.path().join("root")
    }

    pub(crate) fn outside(&self) -> PathBuf {
        self.directory.path().join("outside")
    }

    pub(crate) fn secret(&self) -> PathBuf {
        self.outside().join("secret.txt")
    }

    /// Writes a file beneath the root, with the directories it needs.
    pub(crate) fn file(&self, name: impl AsRef<Path>, content: impl AsRef<[u8]>) -> &Self {
        let path = self.root().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        self
    }

    /// Makes a symbolic link beneath the root.
    pub(crate) fn link(&self, name: &str, target: impl AsRef<Path>) -> &Self {
        let path = self.root().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(target, path).unwrap();
        self
    }

    /// Makes a FIFO beneath the root.
    pub(crate) fn fifo(&self, name: &str) -> &Self {
        use rustix::fs::{CWD, FileType, Mode, mknodat};
        mknodat(
            CWD,
            self.root().join(name),
            FileType::Fifo,
            Mode::from_raw_mode(0o644),
            0,
        )
        .unwrap();
        self
    }

    /// Waits until everything written so far is older than the grain of the clock, so that its tags are strong.
    pub(crate) fn settle(self) -> Self {
        let grain = Duration::from_millis(2200);
        std::thread::sleep(grain.saturating_sub(self.written.elapsed()).max(grain));
        self
    }
}
