//! Who serves from this catalog, and how far each has taken note.

use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::{Revision, Store, StoreError, revision, statement};

/// A process that serves, or one of several catalogs in it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct ServerId([u8; 16]);

impl ServerId {
    pub(crate) fn random() -> Result<Self, StoreError> {
        let mut id = [0; 16];
        getrandom::fill(&mut id).map_err(StoreError::unreachable)?;
        Ok(Self(id))
    }

    pub(crate) const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// Adds a server, and returns the revision from which on changes wait for it.
pub(crate) fn register(
    connection: &Connection,
    server: &ServerId,
    bound: Duration,
) -> Result<Revision, StoreError> {
    let revision = revision(connection)?;
    acknowledge(connection, server, revision, bound)?;
    Ok(revision)
}

pub(crate) fn acknowledge(
    connection: &Connection,
    server: &ServerId,
    revision: Revision,
    bound: Duration,
) -> Result<(), StoreError> {
    let bound = i64::try_from(bound.as_millis()).unwrap_or(i64::MAX);
    let sql = "INSERT INTO servers (id, acknowledged, bound) VALUES (?1, ?2, ?3) \
               ON CONFLICT (id) DO UPDATE SET acknowledged = ?2";
    statement(connection, sql)?.execute((server.0, revision.as_u64(), bound))?;
    Ok(())
}

/// The newest revision, and whether `server` is among those that changes wait for. One statement, which is one snapshot.
pub(crate) fn look(connection: &Connection, server: &ServerId) -> Result<(Revision, bool), StoreError> {
    let sql = "SELECT (SELECT max(revision) FROM changes), EXISTS (SELECT 1 FROM servers WHERE id = ?1)";
    let seen = statement(connection, sql)?.query_row([server.0], |row| {
        Ok((Revision(row.get::<_, i64>(0)?.unsigned_abs()), row.get(1)?))
    })?;
    Ok(seen)
}

pub(crate) fn remove(connection: &Connection, server: &ServerId) -> Result<(), StoreError> {
    statement(connection, "DELETE FROM servers WHERE id = ?1")?.execute([server.0])?;
    Ok(())
}

/// Waits until every server but `own` has acknowledged `changed`, or has been silent for so long that it may not
/// decide from memory any more; those are removed. Returns how many they were.
pub(crate) fn wait_for_all(
    store: &Store,
    own: Option<&ServerId>,
    changed: Revision,
) -> Result<usize, StoreError> {
    let since = Instant::now();
    let mut pause = Duration::from_millis(1);
    loop {
        let behind = store.read(|snapshot| behind(snapshot, own, changed))?;
        let Some(longest) = behind.iter().map(|(_, bound)| *bound).max() else {
            return Ok(0);
        };
        if since.elapsed() > longest {
            let connection = store.connection()?;
            for (server, _) in &behind {
                remove_silent(&connection, server, changed)?;
            }
            return Ok(behind.len());
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

fn behind(
    snapshot: &Connection,
    own: Option<&ServerId>,
    changed: Revision,
) -> Result<Vec<(ServerId, Duration)>, StoreError> {
    let sql = "SELECT id, bound FROM servers WHERE acknowledged < ?1";
    let mut statement = statement(snapshot, sql)?;
    let rows = statement.query_map([changed.as_u64()], |row| {
        Ok((
            ServerId(row.get(0)?),
            Duration::from_millis(row.get::<_, u64>(1)?),
        ))
    })?;
    let behind: Vec<_> = rows.collect::<Result<_, _>>()?;
    Ok(behind
        .into_iter()
        .filter(|(server, _)| Some(server) != own)
        .collect())
}

/// It may have acknowledged at the last moment; then it stays.
fn remove_silent(connection: &Connection, server: &ServerId, changed: Revision) -> Result<(), StoreError> {
    let sql = "DELETE FROM servers WHERE id = ?1 AND acknowledged < ?2";
    statement(connection, sql)?.execute((server.0, changed.as_u64()))?;
    Ok(())
}
