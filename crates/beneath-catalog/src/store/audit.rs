//! The audit trail: append-only, by triggers of the store itself.

use std::collections::HashMap;
use std::fmt;

use foldhash::fast::RandomState;
use rusqlite::{Connection, Row, Statement};

use super::{Millis, StoreError, revision, statement};
use crate::administration::{AuditRecord, Cursor};
use crate::error::AdminError;
use crate::trail::{Actor, Event, Object};

/// An administrative act, written down in the transaction that acts.
pub(crate) fn act(
    writing: &Connection,
    actor: &str,
    event: &str,
    object: &dyn fmt::Display,
) -> Result<(), AdminError> {
    let revision = revision(writing)?.as_u64();
    let row = (Millis::now().0, actor, event, object.to_string(), revision);
    let sql =
        "INSERT INTO audit (at, actor, event, object, revision, outcome) VALUES (?1, ?2, ?3, ?4, ?5, 'done')";
    statement(writing, sql)?.execute(row)?;
    Ok(())
}

/// Decisions and transfers, many to a statement: most of what a row costs is the statement around it. Between two statements
/// whoever waits for this processor goes first: a long batch would else keep downloads waiting for milliseconds.
pub(crate) fn events(writing: &Connection, events: &[Event]) -> Result<(), StoreError> {
    let rows = if events.len() > MANY {
        together(events)
    } else {
        events.iter().map(Happened::once).collect()
    };
    let (full, rest) = rows.as_chunks::<AT_ONCE>();
    if !full.is_empty() {
        let mut insert = statement(writing, &insert_events(AT_ONCE))?;
        for (at, rows) in full.iter().enumerate() {
            insert_all(&mut insert, rows)?;
            if at % 4 == 3 {
                std::thread::yield_now();
            }
        }
    }
    if !rest.is_empty() {
        let mut insert = statement(writing, &insert_events(1))?;
        rest.iter()
            .try_for_each(|row| insert_all(&mut insert, std::slice::from_ref(row)))?;
    }
    Ok(())
}

/// Above so many in one batch, the same thing again and again is one record.
const MANY: usize = 1024;

/// What happened, how often, and how many bytes that were in all.
struct Happened<'a> {
    event: &'a Event,
    bytes: Option<u64>,
    times: u64,
}

impl<'a> Happened<'a> {
    fn once(event: &'a Event) -> Self {
        Self {
            event,
            bytes: event.sent.when_written(),
            times: 1,
        }
    }

    fn add(&mut self, bytes: Option<u64>) {
        self.bytes = self.bytes.zip(bytes).map(|(all, more)| all.saturating_add(more));
        self.times += 1;
    }
}

/// The same to the same by the same, in the order in which each happened first.
fn together(events: &[Event]) -> Vec<Happened<'_>> {
    let mut rows: Vec<Happened<'_>> = Vec::new();
    let mut places: HashMap<_, usize, RandomState> = HashMap::default();
    for events in events.chunks(A_FEW) {
        for event in events {
            let one = Happened::once(event);
            // What is still under way is told from what has ended.
            let place = places.entry((event.what(), one.bytes.is_some()));
            let place = *place.or_insert(rows.len());
            match rows.get_mut(place) {
                None => rows.push(one),
                Some(same) => same.add(one.bytes),
            }
        }
        std::thread::yield_now();
    }
    rows
}

/// As many as take some hundred microseconds to be grouped, or dropped.
pub(crate) const A_FEW: usize = 1024;

const AT_ONCE: usize = 16;

fn insert_events(rows: usize) -> String {
    let values = vec!["(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"; rows].join(", ");
    format!(
        "INSERT INTO audit (at, actor, event, object, revision, outcome, reason, bytes, address, times) VALUES {values}"
    )
}

fn insert_all(insert: &mut Statement<'_>, rows: &[Happened<'_>]) -> Result<(), StoreError> {
    for (Happened { event, bytes, times }, first) in rows.iter().zip((1..).step_by(10)) {
        insert.raw_bind_parameter(first, event.at.0)?;
        insert.raw_bind_parameter(first + 1, event.actor.to_string())?;
        insert.raw_bind_parameter(first + 2, event.event)?;
        insert.raw_bind_parameter(first + 3, event.object.to_string())?;
        insert.raw_bind_parameter(first + 4, event.revision)?;
        insert.raw_bind_parameter(first + 5, event.outcome)?;
        insert.raw_bind_parameter(first + 6, event.reason.map(|reason| format!("{reason:?}")))?;
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

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(id) => id.fmt(f),
            Self::Text(text) => f.write_str(text),
            Self::Nothing => Ok(()),
        }
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(name) => write!(f, "user:{name}"),
            // What somebody typed must not break a line of a log.
            Self::Claimed(name) => write!(f, "unproven:{:?}", &**name),
            Self::Link(link) => write!(f, "link:{link}"),
            Self::Unknown => f.write_str("unknown"),
        }
    }
}
