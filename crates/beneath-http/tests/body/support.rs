//! A file in a directory of its own, and what may happen to it.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use beneath::{File, RelPath, Root, ambient_authority};
use tempfile::TempDir;

/// The byte every file holds at first.
pub(crate) const OLD: u8 = b'o';
/// The byte that is written over it.
pub(crate) const NEW: u8 = b'n';

pub(crate) struct Fixture {
    directory: TempDir,
    pub(crate) len: usize,
}

/// How long ago a file was modified when it is opened.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Age {
    /// Long ago: what leaves is not hashed.
    Settled,
    /// A second ago, as one that is being written.
    Fresh,
}

impl Fixture {
    pub(crate) fn new(len: usize, age: Age) -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("file"), vec![OLD; len]).unwrap();
        let fixture = Self { directory, len };
        fixture.modified(match age {
            Age::Settled => Duration::from_secs(3600),
            Age::Fresh => Duration::from_secs(1),
        });
        // So that what happens next has another time, on any clock.
        std::thread::sleep(Duration::from_millis(25));
        fixture
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("file")
    }

    pub(crate) fn open(&self) -> File {
        let root = Root::open_ambient(self.directory.path(), ambient_authority()).unwrap();
        root.open(&RelPath::parse("file").unwrap()).unwrap()
    }

    fn writer(&self) -> fs::File {
        fs::File::options().write(true).open(self.path()).unwrap()
    }

    fn modified(&self, ago: Duration) {
        self.writer().set_modified(SystemTime::now() - ago).unwrap();
    }

    /// Writes [`NEW`] over everything, without changing the length.
    pub(crate) fn overwrite(&self) {
        self.writer().write_all_at(&vec![NEW; self.len], 0).unwrap();
    }

    /// The same, and the mtime put back, as `cp -p` and `rsync --inplace --times` do.
    pub(crate) fn overwrite_and_put_mtime_back(&self) {
        let modified = fs::metadata(self.path()).unwrap().modified().unwrap();
        self.overwrite();
        self.writer().set_modified(modified).unwrap();
    }

    /// Truncates, and writes something else that is longer.
    pub(crate) fn rewrite_longer(&self) {
        fs::write(self.path(), vec![NEW; self.len + 1000]).unwrap();
    }

    /// Writes [`NEW`] over the second half only, and on behind the end.
    pub(crate) fn overwrite_the_end_and_append(&self) {
        let half = self.len / 2;
        self.writer()
            .write_all_at(&vec![NEW; self.len - half + 1000], half as u64)
            .unwrap();
    }

    /// Writes [`NEW`] over the second half only, and puts the mtime back.
    pub(crate) fn overwrite_the_end_and_put_mtime_back(&self) {
        let modified = fs::metadata(self.path()).unwrap().modified().unwrap();
        let half = self.len / 2;
        let file = self.writer();
        file.write_all_at(&vec![NEW; self.len - half], half as u64)
            .unwrap();
        file.set_modified(modified).unwrap();
    }

    /// Writes [`OLD`] anew, so that the clock has not moved on since.
    pub(crate) fn write_again(&self) {
        fs::write(self.path(), vec![OLD; self.len]).unwrap();
    }

    pub(crate) fn truncate(&self) {
        self.writer().set_len(10).unwrap();
    }

    pub(crate) fn append(&self) {
        let mut file = fs::File::options().append(true).open(self.path()).unwrap();
        file.write_all(&[NEW; 1000]).unwrap();
    }

    pub(crate) fn replace_by_rename(&self) {
        let other = self.directory.path().join("other");
        fs::write(&other, vec![NEW; self.len]).unwrap();
        fs::rename(other, self.path()).unwrap();
    }

    pub(crate) fn unlink(&self) {
        fs::remove_file(self.path()).unwrap();
    }

    pub(crate) fn swap_for_a_fifo(&self) {
        let fifo = self.directory.path().join("fifo");
        let status = std::process::Command::new("mkfifo").arg(&fifo).status().unwrap();
        assert!(status.success());
        fs::rename(fifo, self.path()).unwrap();
    }

    pub(crate) fn rename_away(&self) {
        fs::rename(self.path(), self.directory.path().join("away")).unwrap();
    }

    pub(crate) fn chmod(&self) {
        fs::set_permissions(self.path(), fs::Permissions::from_mode(0o600)).unwrap();
    }

    pub(crate) fn overwrite_and_chmod(&self) {
        self.overwrite_and_put_mtime_back();
        self.chmod();
    }

    pub(crate) fn overwrite_and_link(&self) {
        self.overwrite_and_put_mtime_back();
        self.link();
    }

    pub(crate) fn link(&self) {
        fs::hard_link(self.path(), self.other_name()).unwrap();
        // As in `new`.
        std::thread::sleep(Duration::from_millis(25));
    }

    pub(crate) fn unlink_other_name(&self) {
        fs::remove_file(self.other_name()).unwrap();
    }

    fn other_name(&self) -> PathBuf {
        self.directory.path().join("other name")
    }

    pub(crate) fn nothing(&self) {}
}
