//! How long the audit trail is kept, and the removal of what is older: in small batches, written down itself.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _};

use super::{Millis, StoreError, revision, statement};

/// Records are removed once they are older than `age`, and the oldest when there are more than `records`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Retention {
    pub(crate) age: Duration,
    pub(crate) records: u64,
}

/// Whether there is more to remove at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pruned {
    Some,
    Nothing,
}

struct Oldest {
    id: i64,
    at: Millis,
}

/// Removes one batch, if there is something to remove. What may go is decided in steps of a hundredth of what is kept,
/// and each step is a record of the trail: otherwise these would soon be most of it.
pub(crate) fn prune(writing: &Connection, retention: Retention) -> Result<Pruned, StoreError> {
    let Some(oldest) = oldest(writing)? else {
        return Ok(Pruned::Nothing);
    };
    let horizon = horizon(writing)?;
    if oldest.id <= horizon {
        let sql = "DELETE FROM audit WHERE id <= min(?1, ?2)";
        statement(writing, sql)?.execute((horizon, oldest.id + BATCH - 1))?;
        return Ok(Pruned::Some);
    }
    let newest: i64 = statement(writing, "SELECT max(id) FROM audit")?.query_row([], |row| row.get(0))?;
    let due = due(writing, retention, &oldest, newest)?.min(newest - 1);
    if due < oldest.id {
        return Ok(Pruned::Nothing);
    }
    advance(writing, oldest.id, due)?;
    Ok(Pruned::Some)
}

/// The last record that is not to be kept.
///
/// A record that a wrong clock dated in the future keeps what came after it until then, or until there are too many: a clock
/// must be able to delay the end of a trail, never to bring it about.
fn due(snapshot: &Connection, retention: Retention, oldest: &Oldest, newest: i64) -> Result<i64, StoreError> {
    let records = i64::try_from(retention.records).unwrap_or(i64::MAX);
    let beyond = newest.saturating_sub(records);
    let by_number = if newest - oldest.id >= records.saturating_add(records / 100) {
        beyond
    } else {
        0
    };
    let age = i64::try_from(retention.age.as_millis()).unwrap_or(i64::MAX);
    let now = Millis::now().0;
    let by_age = if now.saturating_sub(oldest.at.0) > age.saturating_add(age / 100) {
        older_than(snapshot, oldest.id, now.saturating_sub(age))?
    } else {
        0
    };
    Ok(by_number.max(by_age))
}

/// The last of the records, from the oldest on, before the first that is to be kept; of a step at most.
fn older_than(snapshot: &Connection, oldest: i64, cutoff: i64) -> Result<i64, StoreError> {
    let last = oldest.saturating_add(STEP);
    let sql = "SELECT id FROM audit WHERE id BETWEEN ?1 AND ?2 AND at >= ?3 ORDER BY id LIMIT 1";
    let first_kept: Option<i64> = statement(snapshot, sql)?
        .query_row([oldest, last, cutoff], |row| row.get(0))
        .optional()?;
    Ok(first_kept.map_or(last, |id| id - 1))
}

fn advance(writing: &Connection, oldest: i64, horizon: i64) -> Result<(), StoreError> {
    statement(writing, "UPDATE audit_horizon SET id = ?1")?.execute([horizon])?;
    let sql = "INSERT INTO audit (at, actor, event, object, revision, outcome) \
               VALUES (?1, 'catalog', 'audit.prune', ?2, ?3, 'done')";
    let object = format!("records {oldest} to {horizon}");
    statement(writing, sql)?.execute((Millis::now().0, object, revision(writing)?.as_u64()))?;
    Ok(())
}

fn oldest(snapshot: &Connection) -> Result<Option<Oldest>, StoreError> {
    let found = statement(snapshot, "SELECT id, at FROM audit ORDER BY id LIMIT 1")?
        .query_row([], |row| {
            Ok(Oldest {
                id: row.get(0)?,
                at: Millis(row.get(1)?),
            })
        })
        .optional()?;
    Ok(found)
}

fn horizon(snapshot: &Connection) -> Result<i64, StoreError> {
    Ok(statement(snapshot, "SELECT id FROM audit_horizon")?.query_row([], |row| row.get(0))?)
}

/// Some milliseconds of the writing lock.
const BATCH: i64 = 1000;

/// So many records are looked through at once for what is too old.
const STEP: i64 = 100_000;
