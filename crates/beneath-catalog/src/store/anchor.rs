//! [`Anchor`]: the files that a store was opened as, which somebody may replace under it.

use std::ffi::OsString;
use std::io;
use std::ops::Deref;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use super::StoreError;
use super::sqlite::metadata;

/// The database, its log and the index of that, by identity. A backup that is restored, a state directory that is cleaned up: SQLite
/// goes on with the files it has open, whatever lies in their place, and everybody else with what lies there.
///
/// Source: <https://www.sqlite.org/howtocorrupt.html>, §2.2 and §1.4.
pub(crate) struct Anchor {
    files: [(PathBuf, Identity); 3],
    lost: AtomicBool,
}

/// Device and inode.
pub(super) type Identity = (u64, u64);

/// A connection that changes nothing once the files are others, not even when it is closed.
pub(crate) struct Attached {
    connection: Connection,
    anchor: Arc<Anchor>,
}

impl Anchor {
    /// Of a database that was `opened` and read from, so that its log is there.
    ///
    /// # Errors
    ///
    /// If it is another by now, or cannot be looked at.
    pub(super) fn new(database: &Path, opened: Identity) -> Result<Self, StoreError> {
        // SQLite follows links, and keeps its other files beside what they lead to.
        let behind = canonical(database).map_err(StoreError::unreachable)?;
        let beside = |suffix: &str| {
            let mut name = OsString::from(&behind);
            name.push(suffix);
            let name = PathBuf::from(name);
            let identity = identity(&name).map_err(StoreError::unreachable)?;
            Ok::<_, StoreError>((name, identity))
        };
        let (log, index) = (beside("-wal")?, beside("-shm")?);
        let this = Self {
            // By the name that everybody opens it by: a link in it may come to lead elsewhere.
            files: [(database.to_owned(), opened), log, index],
            lost: AtomicBool::new(false),
        };
        this.look()?;
        Ok(this)
    }

    /// Looks whether they are still there: some 2 µs.
    ///
    /// # Errors
    ///
    /// If they cannot be looked at; and for ever once they were not: what others did meanwhile SQLite would not see.
    pub(crate) fn look(&self) -> Result<(), StoreError> {
        self.held()?;
        let looked = self
            .files
            .iter()
            .try_for_each(|(name, was)| match identity(name) {
                Ok(is) if is == *was => Ok(()),
                Ok(_) => Err(StoreError::Lost),
                Err(error) if is_gone(&error) => Err(StoreError::Lost),
                Err(error) => Err(StoreError::unreachable(error)),
            });
        if matches!(looked, Err(StoreError::Lost)) {
            self.lost.store(true, Ordering::Relaxed);
        }
        looked
    }

    /// Whether they were, when somebody looked last.
    pub(crate) fn held(&self) -> Result<(), StoreError> {
        match self.lost.load(Ordering::Relaxed) {
            true => Err(StoreError::Lost),
            false => Ok(()),
        }
    }
}

fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

impl Attached {
    /// To the files of the `anchor`, whatever lay there when the connection was opened.
    pub(super) fn new(mut connection: Connection, anchor: &Arc<Anchor>) -> Result<Self, StoreError> {
        let hook = Arc::clone(anchor);
        connection.commit_hook(Some(move || hook.look().is_err()))?;
        let this = Self {
            connection,
            anchor: Arc::clone(anchor),
        };
        anchor.look()?;
        Ok(this)
    }

    /// Why something failed: a commit that the hook refused says only that it was refused.
    pub(crate) fn explain(&self, error: StoreError) -> StoreError {
        self.anchor.look().err().unwrap_or(error)
    }
}

impl Drop for Attached {
    /// The last one to be closed would write its log into the database.
    fn drop(&mut self) {
        if self.anchor.look().is_err() {
            let _ = self
                .connection
                .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
        }
    }
}

impl Deref for Attached {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

pub(super) fn identity(file: &Path) -> io::Result<Identity> {
    let metadata = metadata(file)?;
    Ok((metadata.dev(), metadata.ino()))
}

#[expect(clippy::disallowed_methods, reason = "the operator's own database")]
fn canonical(file: &Path) -> io::Result<PathBuf> {
    file.canonicalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A database with a log, its anchor, and one more connection to it.
    fn attached(directory: &Path) -> (PathBuf, Connection, Arc<Anchor>, Attached) {
        let database = directory.join("catalog.db");
        let first = Connection::open(&database).unwrap();
        first
            .execute_batch("PRAGMA journal_mode = wal; CREATE TABLE t (x)")
            .unwrap();
        let anchor = Arc::new(Anchor::new(&database, identity(&database).unwrap()).unwrap());
        let attached = Attached::new(Connection::open(&database).unwrap(), &anchor).unwrap();
        (database, first, anchor, attached)
    }

    #[test]
    fn nothing_is_committed_once_any_of_the_files_is_gone_or_another() {
        for suffix in ["", "-wal", "-shm"] {
            for replaced in [false, true] {
                let directory = tempfile::tempdir().unwrap();
                let (database, _first, _, attached) = attached(directory.path());
                attached.execute("INSERT INTO t VALUES (1)", []).unwrap();
                let file = PathBuf::from(format!("{}{suffix}", database.display()));
                std::fs::remove_file(&file).unwrap();
                if replaced {
                    std::fs::write(&file, "").unwrap();
                }
                let refused = attached.execute("INSERT INTO t VALUES (2)", []).unwrap_err();
                assert!(
                    matches!(attached.explain(refused.into()), StoreError::Lost),
                    "{suffix}"
                );
                let rows = attached.query_row("SELECT count(*) FROM t", [], |row| row.get(0));
                assert_eq!(rows, Ok(1), "{suffix}");
            }
        }
    }

    #[test]
    fn what_lies_there_now_is_not_taken_for_what_was_opened() {
        let directory = tempfile::tempdir().unwrap();
        let (database, _first, anchor, _attached) = attached(directory.path());
        let was = identity(&database).unwrap();
        std::fs::rename(&database, directory.path().join("old")).unwrap();
        std::fs::write(&database, "").unwrap();
        assert!(Attached::new(Connection::open_in_memory().unwrap(), &anchor).is_err());
        assert!(Anchor::new(&database, was).is_err());
    }

    #[test]
    fn a_link_that_comes_to_lead_elsewhere_is_seen_and_that_it_leads_back_mends_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let (database, _first, ..) = attached(directory.path());
        let link = directory.path().join("link.db");
        std::os::unix::fs::symlink(&database, &link).unwrap();
        let anchor = Anchor::new(&link, identity(&database).unwrap()).unwrap();
        std::fs::remove_file(&link).unwrap();
        std::fs::write(&link, "").unwrap();
        assert!(matches!(anchor.look(), Err(StoreError::Lost)));
        assert!(matches!(anchor.held(), Err(StoreError::Lost)));
        std::fs::remove_file(&link).unwrap();
        std::os::unix::fs::symlink(&database, &link).unwrap();
        assert!(matches!(anchor.look(), Err(StoreError::Lost)));
    }
}
