//! The seam to whatever keeps the catalog. Embedded SQLite, so far: another store is one more file here.
//!
//! `sqlite` knows connections and transactions, `readers` how many there may be, `anchor` of which files; the others hold the
//! questions, each in the words of the catalog.

mod anchor;
mod readers;
mod sqlite;

pub(crate) mod audit;
pub(crate) mod decide;
pub(crate) mod files;
pub(crate) mod links;
pub(crate) mod place;
pub(crate) mod retention;
pub(crate) mod servers;
pub(crate) mod users;

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub(crate) use anchor::Attached;
use beneath::Root;
pub use sqlite::Revision;
pub(crate) use sqlite::{Missing, Store, StoreError, Writing, lock, revision, statement};

use crate::error::{AdminError, ConnectError, ParseError};
use crate::subject::RootName;

/// Clients take these for steps in a URL, so that nobody could ask for what is called so.
fn keeps_in_urls(name: &[u8]) -> Result<(), AdminError> {
    match name {
        b"." | b".." => Err(AdminError::invalid(
            "name",
            "is the name of a folder in every folder",
        )),
        _ => Ok(()),
    }
}

/// Where the catalog is kept: `sqlite:PATH`.
///
/// ```
/// use beneath_catalog::StoreUrl;
///
/// let url: StoreUrl = "sqlite:catalog.db".parse()?;
/// let url = url.relative_to("/etc/beneath"); // beside the configuration that names it
/// assert_eq!(url.to_string(), "sqlite:/etc/beneath/catalog.db");
/// # Ok::<_, beneath_catalog::ParseError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreUrl(PathBuf);

impl StoreUrl {
    /// A SQLite file.
    pub fn sqlite(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The same, with a relative path taken from `directory`.
    #[must_use]
    pub fn relative_to(&self, directory: impl AsRef<Path>) -> Self {
        Self(directory.as_ref().join(&self.0))
    }

    /// Refuses a root in which the catalog lies, however deep; connecting does, too.
    ///
    /// # Errors
    ///
    /// [`Served`](crate::ConnectErrorKind::Served), or [`Failed`](crate::ConnectErrorKind::Failed) if that cannot be known.
    ///
    /// # Security
    ///
    /// Whoever may publish could publish the catalog, and with it the password records. And to serve it once would end all
    /// locks that SQLite has on it: a process loses those of a file when it closes any descriptor of that file
    /// (fcntl_locking(2)).
    pub fn keep_apart(&self, name: &RootName, root: &Root) -> Result<(), ConnectError> {
        place::keep_apart(&self.0, name, root)
    }

    /// Whether a catalog that is not there could be made by this process.
    ///
    /// # Errors
    ///
    /// [`Denied`](crate::ConnectErrorKind::Denied), if nothing can be written to its directory.
    pub fn may_be_made(&self) -> Result<(), ConnectError> {
        place::may_be_made(&self.0)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl FromStr for StoreUrl {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        match text.split_once(':') {
            Some(("sqlite", "")) => Err(ParseError::new("catalog URL", "names no file")),
            Some(("sqlite", path)) => Ok(Self::sqlite(path)),
            Some(("postgres" | "postgresql", _)) => Err(ParseError::new(
                "catalog URL",
                "names PostgreSQL, which this build does not have; use sqlite:PATH",
            )),
            _ => Err(ParseError::new("catalog URL", "is not sqlite:PATH")),
        }
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sqlite:{}", self.0.display())
    }
}

/// A time as the store keeps it: milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Millis(pub(crate) i64);

impl Millis {
    pub(crate) fn now() -> Self {
        Self::from(SystemTime::now())
    }

    pub(crate) fn to_system_time(self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.0.max(0).unsigned_abs())
    }

    /// So long after this.
    pub(crate) fn after(self, time: Duration) -> Self {
        Self(
            self.0
                .saturating_add(i64::try_from(time.as_millis()).unwrap_or(i64::MAX)),
        )
    }

    /// How long until this, from `now`; nothing if it is past.
    pub(crate) fn since(self, now: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(now.0)).unwrap_or(0))
    }
}

/// As RFC 3339 writes it; what it cannot write, from the year 10000 on, as it is kept.
impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const YEAR_10000: i64 = 253_402_300_800_000;
        if self.0 < YEAR_10000 {
            humantime::format_rfc3339_millis(self.to_system_time()).fmt(f)
        } else {
            write!(f, "{} ms", self.0)
        }
    }
}

impl From<SystemTime> for Millis {
    fn from(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}
