//! [`Anchor`]: the files that a store was opened as, which somebody may replace under it.

use std::ffi::OsString;
use std::io;
use std::ops::{Deref, DerefMut};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use super::StoreError;

/// The database, its log and the index of that, by identity. A backup that is restored, a state directory that is cleaned up: SQLite
/// goes on with the files it has open, whatever lies in their place, and everybody else with what lies there.
///
/// Source: <https://www.sqlite.org/howtocorrupt.html>, §2.2 and §1.4.
pub(crate) struct Anchor {
    files: [(PathBuf, Identity); 3],
    lost: AtomicBool,
}

/// Device and inode.
type Identity = (u64, u64);

/// A connection that changes nothing once the files are others, not even when it is closed.
pub(crate) struct Attached {
    connection: Connection,
    anchor: Option<Arc<Anchor>>,
}

impl Anchor {
    /// Of a database that this process has open and has read from, so that its log is there.
    pub(super) fn new(database: &Path) -> io::Result<Self> {
        // SQLite follows links, and keeps its other files beside what they lead to.
        let database = canonical(database)?;
        let beside = |suffix: &str| {
            let mut name = OsString::from(&database);
            name.push(suffix);
            let name = PathBuf::from(name);
            Ok::<_, io::Error>((name.clone(), identity(&name)?))
        };
        Ok(Self {
            files: [beside("")?, beside("-wal")?, beside("-shm")?],
            lost: AtomicBool::new(false),
        })
    }

    /// Looks whether they are still there: some 2 µs.
    ///
    /// # Errors
    ///
    /// Once they are not, for ever.
    pub(crate) fn look(&self) -> Result<(), StoreError> {
        let are_there = || {
            self.files
                .iter()
                .all(|(name, was)| identity(name).is_ok_and(|is| is == *was))
        };
        if !self.lost.load(Ordering::Relaxed) && !are_there() {
            self.lost.store(true, Ordering::Relaxed);
        }
        self.held()
    }

    /// Whether they were, when somebody looked last.
    pub(crate) fn held(&self) -> Result<(), StoreError> {
        if self.lost.load(Ordering::Relaxed) {
            return Err(StoreError::Lost);
        }
        Ok(())
    }
}

impl Attached {
    /// To the files of the `anchor`, whatever lay there when the connection was opened.
    pub(super) fn new(mut connection: Connection, anchor: &Arc<Anchor>) -> Result<Self, StoreError> {
        let hook = Arc::clone(anchor);
        connection.commit_hook(Some(move || hook.look().is_err()))?;
        let this = Self {
            connection,
            anchor: Some(Arc::clone(anchor)),
        };
        anchor.look()?;
        Ok(this)
    }

    #[cfg(test)]
    pub(super) fn in_memory() -> Result<Self, StoreError> {
        Ok(Self {
            connection: Connection::open_in_memory()?,
            anchor: None,
        })
    }
}

impl Drop for Attached {
    /// The last one to be closed would write its log into the database.
    fn drop(&mut self) {
        if self.anchor.as_ref().is_some_and(|anchor| anchor.look().is_err()) {
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

impl DerefMut for Attached {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.connection
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the operator's own database: SQLite's locks on it would end when an opened one is closed"
)]
fn identity(file: &Path) -> io::Result<Identity> {
    let metadata = std::fs::metadata(file)?;
    Ok((metadata.dev(), metadata.ino()))
}

#[expect(clippy::disallowed_methods, reason = "the operator's own database")]
fn canonical(file: &Path) -> io::Result<PathBuf> {
    file.canonicalize()
}
