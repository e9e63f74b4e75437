//! SQLite: connections, what is asked of every one of them, migrations, and the two kinds of transaction.

use std::fmt;
use std::io;
use std::ops::Deref;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{CachedStatement, Connection, ErrorCode, OpenFlags};
use rustix::fs::{Access, AtFlags, CWD, RenameFlags, linkat, renameat_with};
use rustix::io::Errno;

use super::anchor::{Anchor, Attached, identity};
use super::readers::{Reader, Readers};
use crate::error::{AdminError, AdminErrorKind, ConnectError, ConnectErrorKind};

/// One SQLite file: several readers, each with its own snapshot, and one writer.
pub(crate) struct Store {
    path: PathBuf,
    anchor: Arc<Anchor>,
    readers: Readers<Attached>,
    writer: Mutex<Attached>,
}

/// The one writing transaction. Rolled back unless [`Store::write`] commits it.
pub(crate) struct Writing<'a>(MutexGuard<'a, Attached>);

/// The store did not do what it was asked. Never means "no".
#[derive(Debug)]
pub(crate) enum StoreError {
    Sqlite(rusqlite::Error),
    /// It could not be asked at all.
    Unreachable(String),
    /// What this process has open is not the catalog any more.
    Lost,
}

/// Grows with every change; what a decision is dated with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(pub(crate) u64);

/// Whether a file may be made where there is none.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    Create,
    Fail,
}

impl Store {
    pub(crate) fn open(path: &Path, missing: Missing) -> Result<Self, ConnectError> {
        let path = &std::path::absolute(path)
            .map_err(|error| ConnectError::new(path, ConnectErrorKind::Failed, error))?;
        if missing == Missing::Create {
            make(path)?;
        }
        let opened = identity(path).map_err(|error| ConnectError::new(path, kind_of_io(&error), error))?;
        let mut writer = connect(path)?;
        recognise(path, &writer)?;
        set_up_file(&writer)
            .and_then(|()| migrate(&mut writer))
            // So that the log is there.
            .and_then(|()| writer.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(())))
            .map_err(|error| connect_error(path, &error))?;
        let failed = |error: &dyn fmt::Display| ConnectError::new(path, ConnectErrorKind::Failed, error);
        let anchor = Arc::new(Anchor::new(path, opened).map_err(|error| failed(&error))?);
        let writer = Attached::new(writer, &anchor).map_err(|error| failed(&error))?;
        Ok(Self {
            path: path.to_owned(),
            anchor,
            readers: Readers::new(),
            writer: Mutex::new(writer),
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the catalog is still what this process has open.
    pub(crate) fn look(&self) -> Result<(), StoreError> {
        self.anchor.look()
    }

    /// Asks everything in `questions` of one snapshot: one revision, whoever writes meanwhile.
    pub(crate) fn read<T, E: From<StoreError>>(
        &self,
        questions: impl FnOnce(&Connection) -> Result<T, E>,
    ) -> Result<T, E> {
        let reader = self.reader()?;
        run(&reader, "BEGIN DEFERRED")?;
        let answer = questions(&reader);
        // A connection that cannot end its transaction is not used again.
        if run(&reader, "COMMIT").is_ok() {
            reader.put_back();
        }
        answer
    }

    /// As [`read`](Self::read), for `question` of a single statement: that is one snapshot by itself, without the two
    /// statements around it.
    pub(crate) fn ask<T, E: From<StoreError>>(
        &self,
        question: impl FnOnce(&Connection) -> Result<T, E>,
    ) -> Result<T, E> {
        let reader = self.reader()?;
        let answer = question(&reader)?;
        reader.put_back();
        Ok(answer)
    }

    fn reader(&self) -> Result<Reader<'_, Attached>, StoreError> {
        self.anchor.held()?;
        self.readers.take(|| self.connection())
    }

    /// One more connection.
    pub(crate) fn connection(&self) -> Result<Attached, StoreError> {
        let connection = connect(&self.path).map_err(StoreError::unreachable)?;
        set_up_connection(&connection)?;
        Attached::new(connection, &self.anchor)
    }

    /// Does everything in `act` or nothing of it. Committed, and on the disk, when this returns `Ok`.
    pub(crate) fn write<T>(
        &self,
        act: impl FnOnce(&Writing<'_>) -> Result<T, AdminError>,
    ) -> Result<(T, Revision), AdminError> {
        let writing = Writing::begin(lock(&self.writer))?;
        let done = act(&writing)?;
        let revision = writing.commit();
        // Committed, perhaps, to what is no catalog by now.
        match self.look() {
            Err(StoreError::Lost) => Err(StoreError::Lost.into()),
            _ => Ok((done, revision?)),
        }
    }
}

impl<'a> Writing<'a> {
    fn begin(connection: MutexGuard<'a, Attached>) -> Result<Self, StoreError> {
        run(&connection, "BEGIN IMMEDIATE")?;
        Ok(Self(connection))
    }

    fn commit(self) -> Result<Revision, StoreError> {
        // Whoever missed more changes than are kept re-decides everything.
        self.prepare_cached(
            "DELETE FROM changes WHERE revision < (SELECT max(revision) FROM changes) - 65536",
        )?
        .execute([])?;
        let revision = revision(&self)?;
        run(&self, "COMMIT")?;
        Ok(revision)
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        if !self.is_autocommit() {
            // If this fails the connection is broken, and the next BEGIN says so.
            let _ = self.execute_batch("ROLLBACK");
        }
    }
}

fn run(connection: &Connection, sql: &str) -> Result<(), StoreError> {
    connection.prepare_cached(sql)?.execute([])?;
    Ok(())
}

/// The revision that this transaction sees.
pub(crate) fn revision(connection: &Connection) -> Result<Revision, StoreError> {
    let newest = connection
        .prepare_cached("SELECT max(revision) FROM changes")?
        .query_row([], |row| row.get::<_, i64>(0))?;
    Ok(Revision(newest.unsigned_abs()))
}

/// A statement that is compiled once per connection.
pub(crate) fn statement<'c>(
    connection: &'c Connection,
    sql: &str,
) -> Result<CachedStatement<'c>, StoreError> {
    Ok(connection.prepare_cached(sql)?)
}

/// Makes an empty catalog that only its owner may read, unless there is something already: whole, under another name, so that
/// nobody ever sees half of one.
fn make(path: &Path) -> Result<(), ConnectError> {
    let failed = |error: io::Error| ConnectError::new(path, kind_of_io(&error), error);
    match identity(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
        Ok(_) => return Ok(()),
    }
    let draft = Draft::new(path).map_err(failed)?;
    let mut connection = connect(&draft.0)?;
    migrate(&mut connection).map_err(|error| connect_error(path, &error))?;
    drop(connection);
    draft.publish(path).map_err(failed)
}

/// A catalog under a name that nobody opens; removed when this is dropped. Who is killed before leaves it.
struct Draft(PathBuf);

#[expect(
    clippy::disallowed_methods,
    reason = "the operator's own database, made exclusively: not a served file"
)]
impl Draft {
    fn new(path: &Path) -> io::Result<Self> {
        let mut random = [0; 8];
        getrandom::fill(&mut random)?;
        let mut name = path.as_os_str().to_owned();
        name.push(format!("-new-{:016x}", u64::from_ne_bytes(random)));
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        options.open(&name)?;
        Ok(Self(name.into()))
    }

    /// Under its own name, and so that it is there after a power failure. Somebody else's stays, if it was made meanwhile.
    fn publish(self, path: &Path) -> io::Result<()> {
        let renamed = renameat_with(CWD, &self.0, CWD, path, RenameFlags::NOREPLACE);
        // Not every file system has that.
        let named = renamed.or_else(|errno| match errno {
            Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP => {
                linkat(CWD, &self.0, CWD, path, AtFlags::empty())
            }
            errno => Err(errno),
        });
        match named {
            Err(Errno::EXIST) if identity(path).is_err() => {
                return Err(io::Error::new(
                    io::ErrorKind::AlreadyExists,
                    "it is a link to what is not there",
                ));
            }
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno.into()),
        }
        let directory = path.parent().unwrap_or(path);
        // One that may be written and not read cannot be asked to.
        std::fs::File::open(directory).map_or(Ok(()), |directory| directory.sync_all())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn connect(path: &Path) -> Result<Connection, ConnectError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(path, flags)
        .and_then(|connection| {
            connection.busy_timeout(BUSY_TIMEOUT)?;
            connection.set_prepared_statement_cache_capacity(128);
            Ok(connection)
        })
        .map_err(|error| connect_error(path, &error))
}

/// Looks before writing anything: another program's file stays as it is.
fn recognise(path: &Path, connection: &Connection) -> Result<(), ConnectError> {
    let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let tables = "SELECT count(*) FROM sqlite_schema";
    // Of one snapshot: somebody else may be migrating the catalog at this moment.
    let found = connection.unchecked_transaction().and_then(|_snapshot| {
        let application = pragma("application_id")?;
        let version = pragma("user_version")?;
        let tables: i64 = connection.query_row(tables, [], |row| row.get(0))?;
        // Opening a file of another owner read-only is what SQLite does quietly; a catalog is written.
        Ok((application, version, tables, connection.is_readonly("main")?))
    });
    let (application, version, tables, read_only) = found.map_err(|error| connect_error(path, &error))?;
    let newest = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    let (kind, detail) = match (application, version, tables) {
        _ if read_only => (
            ConnectErrorKind::Denied,
            "this process may only read it".to_owned(),
        ),
        (APPLICATION, version, _) if version > newest => (
            ConnectErrorKind::Newer,
            format!("its schema is {version}, and this program knows {newest}"),
        ),
        (APPLICATION, 1.., 1..) => return Ok(()),
        (0, 0, 0) if (1..SQLITE_HEADER).contains(&length(path)?) => {
            (ConnectErrorKind::NotACatalog, "it is no database".to_owned())
        }
        (0, 0, 0) => (
            ConnectErrorKind::NotACatalog,
            "it is empty; remove it for a new one to be made".to_owned(),
        ),
        _ => (
            ConnectErrorKind::NotACatalog,
            "it is a database of another program".to_owned(),
        ),
    };
    Err(ConnectError::new(path, kind, detail))
}

/// SQLite takes anything shorter than its smallest page for an empty database, and would write over it.
fn length(path: &Path) -> Result<u64, ConnectError> {
    let length = metadata(path).map(|metadata| metadata.len());
    length.map_err(|error| ConnectError::new(path, kind_of_io(&error), error))
}

const SQLITE_HEADER: u64 = 512;

fn set_up_file(connection: &Connection) -> Result<(), rusqlite::Error> {
    // SQLite does not wait where two want to change the mode of a new file; then the other one does it.
    let since = Instant::now();
    let mode: String = loop {
        let set = connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0));
        match set {
            Err(error) if is_busy(&error) && since.elapsed() < BUSY_TIMEOUT => {
                std::thread::sleep(Duration::from_millis(5));
            }
            set => break set?,
        }
    };
    if !mode.eq_ignore_ascii_case("wal") {
        return Err(rusqlite::Error::InvalidParameterName(format!(
            "its file system does not support WAL (journal mode stays {mode})"
        )));
    }
    set_up_connection(connection)
}

fn is_busy(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error_code();
    matches!(code, Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

fn set_up_connection(connection: &Connection) -> Result<(), rusqlite::Error> {
    // Acknowledged means on the disk, also when the power fails.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    // At most 16 MB for each connection: all inner pages of the indexes of a million files, which is what is read again
    // and again. Not mapped into memory: a file that is cut would kill the process.
    connection.pragma_update(None, "cache_size", -16_384)?;
    // One plan per statement: otherwise a new value may be planned for anew (12 µs instead of 4 for a decision).
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    Ok(())
}

fn migrate(connection: &mut Connection) -> Result<(), rusqlite::Error> {
    let version: usize = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version == MIGRATIONS.len() {
        return Ok(());
    }
    // Asked again where nobody else can migrate.
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let version: usize = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    for (done, migration) in MIGRATIONS.iter().enumerate().skip(version) {
        transaction.execute_batch(migration)?;
        transaction.pragma_update(None, "user_version", done + 1)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    transaction.commit()
}

fn connect_error(path: &Path, error: &rusqlite::Error) -> ConnectError {
    use ConnectErrorKind::{Denied, Failed, Locked, Missing, NotACatalog};
    let kind = match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => NotACatalog,
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Locked,
        Some(
            ErrorCode::PermissionDenied | ErrorCode::ReadOnly | ErrorCode::AuthorizationForStatementDenied,
        ) => Denied,
        Some(ErrorCode::CannotOpen) => match why_not(path) {
            Err(io) => return ConnectError::new(path, kind_of_io(&io), io),
            Ok(()) => Failed,
        },
        _ => Failed,
    };
    debug_assert!(
        kind != Missing,
        "SQLite reports a missing file as one it cannot open"
    );
    ConnectError::new(path, kind, error)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the operator's own database: SQLite's locks on it would end when an opened one is closed"
)]
pub(super) fn metadata(path: &Path) -> io::Result<std::fs::Metadata> {
    std::fs::metadata(path)
}

/// Why SQLite, which does not say so, could not open it.
fn why_not(path: &Path) -> io::Result<()> {
    if metadata(path)?.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    let (access, flags) = (Access::READ_OK | Access::WRITE_OK, AtFlags::EACCESS);
    Ok(rustix::fs::accessat(CWD, path, access, flags)?)
}

fn kind_of_io(error: &io::Error) -> ConnectErrorKind {
    match error.kind() {
        io::ErrorKind::NotFound => ConnectErrorKind::Missing,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => ConnectErrorKind::Denied,
        io::ErrorKind::IsADirectory => ConnectErrorKind::NotACatalog,
        _ => ConnectErrorKind::Failed,
    }
}

/// A lock that a panicking thread held is taken over: what these guard is consistent between statements.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Deref for Writing<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.0
    }
}

impl Revision {
    /// As a number, for a log. Only ever grows.
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

impl StoreError {
    /// It could not be asked at all.
    pub(crate) fn unreachable(why: impl fmt::Display) -> Self {
        Self::Unreachable(why.to_string())
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(error) => error.fmt(f),
            Self::Unreachable(why) => f.write_str(why),
            Self::Lost => f.write_str(
                "its files were replaced or removed under this process, which has to be started again",
            ),
        }
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<StoreError> for AdminError {
    fn from(error: StoreError) -> Self {
        let kind = match &error {
            StoreError::Sqlite(error) if is_busy(error) => AdminErrorKind::Busy,
            _ => AdminErrorKind::Unavailable,
        };
        Self::new(kind, format!("the catalog failed: {error}"))
    }
}

impl From<rusqlite::Error> for AdminError {
    fn from(error: rusqlite::Error) -> Self {
        StoreError::from(error).into()
    }
}

/// How long a write waits for another process's write. Readers never wait for writers.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// "bnth": by this SQLite's application ID says whose file it is.
const APPLICATION: i64 = 0x626e_7468;

/// In order; the schema's version is how many have been done.
const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001.sql"),
    include_str!("migrations/0002.sql"),
    include_str!("migrations/0003.sql"),
    include_str!("migrations/0004.sql"),
    include_str!("migrations/0005.sql"),
    include_str!("migrations/0006.sql"),
    include_str!("migrations/0007.sql"),
    include_str!("migrations/0008.sql"),
];
