//! The audit trail: append-only, by triggers of the store itself.

use std::fmt;

use rusqlite::{Connection, Row, Statement};

use super::{Millis, StoreError, revision, statement};
use crate::administration::{Acting, AuditRecord, Cursor};
use crate::error::AdminError;
use crate::trail::Happened;

/// An administrative act, written down in the transaction that acts.
pub(crate) fn act(
    writing: &Connection,
    acting: &Acting,
    event: &str,
    object: &dyn fmt::Display,
) -> Result<(), AdminError> {
    let revision = revision(writing)?.as_u64();
    let address = acting.address.map(|address| address.to_string());
    let row = (
        Millis::now().0,
        &acting.name,
        event,
        object.to_string(),
        revision,
        address,
    );
    let sql = "INSERT INTO audit (at, actor, event, object, revision, outcome, address) \
               VALUES (?1, ?2, ?3, ?4, ?5, 'done', ?6)";
    statement(writing, sql)?.execute(row)?;
    Ok(())
}

/// Decisions and transfers, many to a statement: most of what a row costs is the statement around it.
pub(crate) fn happened(writing: &Connection, records: &[Happened]) -> Result<(), StoreError> {
    let (full, rest) = records.as_chunks::<AT_ONCE>();
    if !full.is_empty() {
        let mut insert = statement(writing, &insert_events(AT_ONCE))?;
        full.iter()
            .try_for_each(|records| insert_all(&mut insert, records))?;
    }
    if !rest.is_empty() {
        let mut insert = statement(writing, &insert_events(1))?;
        rest.iter()
            .try_for_each(|record| insert_all(&mut insert, std::slice::from_ref(record)))?;
    }
    Ok(())
}

const AT_ONCE: usize = 16;

fn insert_events(rows: usize) -> String {
    let values = vec!["(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"; rows].join(", ");
    format!(
        "INSERT INTO audit (at, actor, event, object, revision, outcome, reason, bytes, address, times) VALUES {values}"
    )
}

fn insert_all(insert: &mut Statement<'_>, records: &[Happened]) -> Result<(), StoreError> {
    for (Happened { event, bytes, times }, first) in records.iter().zip((1..).step_by(10)) {
        insert.raw_bind_parameter(first, event.at.0)?;
        insert.raw_bind_parameter(first + 1, event.actor.to_string())?;
        insert.raw_bind_parameter(first + 2, event.event)?;
        insert.raw_bind_parameter(first + 3, event.object.to_string())?;
        insert.raw_bind_parameter(first + 4, event.revision)?;
        insert.raw_bind_parameter(first + 5, event.outcome)?;
        insert.raw_bind_parameter(first + 6, event.reason.map(|why| why.to_string()))?;
        insert.raw_bind_parameter(first + 7, bytes)?;
        insert.raw_bind_parameter(first + 8, event.address.map(|address| address.to_string()))?;
        insert.raw_bind_parameter(first + 9, times)?;
    }
    insert.raw_execute()?;
    Ok(())
}

/// How many events a flood kept out of the trail.
pub(crate) fn dropped(writing: &Connection, events: u64) -> Result<(), StoreError> {
    let sql = "INSERT INTO audit (at, actor, event, object, revision, outcome) \
               VALUES (?1, 'catalog', 'audit', '', ?2, ?3)";
    let outcome = format!("{events} events dropped");
    statement(writing, sql)?.execute((Millis::now().0, revision(writing)?.as_u64(), outcome))?;
    Ok(())
}

/// In the order they were written, at most `limit`.
pub(crate) fn list(
    snapshot: &Connection,
    since: Option<Millis>,
    after: Cursor,
    limit: usize,
) -> Result<Vec<AuditRecord>, StoreError> {
    let since = since.map_or(i64::MIN, |since| since.0);
    let sql = "SELECT id, at, actor, event, object, revision, outcome, reason, bytes, address, times FROM audit \
               WHERE id > ?1 AND at >= ?2 ORDER BY id LIMIT ?3";
    let mut statement = statement(snapshot, sql)?;
    let records = statement.query_map((after.0, since, limit), read)?;
    Ok(records.collect::<Result<_, _>>()?)
}

fn read(row: &Row<'_>) -> Result<AuditRecord, rusqlite::Error> {
    Ok(AuditRecord {
        place: Cursor(row.get(0)?),
        at: Millis(row.get(1)?).to_system_time(),
        actor: row.get(2)?,
        event: row.get(3)?,
        object: row.get(4)?,
        revision: super::Revision(row.get(5)?),
        outcome: row.get(6)?,
        reason: row.get(7)?,
        bytes: row.get(8)?,
        address: row.get(9)?,
        times: row.get(10)?,
    })
}
