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

#[cfg(test)]
mod tests {
    use super::super::{Missing, Store};
    use super::*;

    const DAY: i64 = 24 * 60 * 60 * 1000;

    /// A trail of records that were written at these times, and in this order.
    struct Trail {
        connection: Connection,
        _directory: tempfile::TempDir,
    }

    impl Trail {
        fn of(times: impl IntoIterator<Item = i64>) -> Self {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("catalog.db");
            drop(Store::open(&path, Missing::Create).unwrap());
            let connection = Connection::open(path).unwrap();
            let sql = "INSERT INTO audit (at, actor, event, object, revision, outcome) VALUES (?1, '', 'test', '', 1, '')";
            connection.execute_batch("BEGIN").unwrap();
            for at in times {
                connection.execute(sql, [at]).unwrap();
            }
            connection.execute_batch("COMMIT").unwrap();
            Self {
                connection,
                _directory: directory,
            }
        }

        /// Prunes until there is nothing to remove any more: which of the records are left then, from 1, and what is
        /// said of the others.
        fn prune(&self, retention: Retention) -> (Vec<i64>, Vec<String>) {
            let ends = (0..10).any(|_| prune(&self.connection, retention).unwrap() == Pruned::Nothing);
            assert!(ends, "each step is a record, for which there has to be room");
            let left = "SELECT id FROM audit WHERE event = 'test' ORDER BY id";
            let said = "SELECT object FROM audit WHERE event = 'audit.prune' ORDER BY id";
            (self.ask(left), self.ask(said))
        }

        fn ask<T: rusqlite::types::FromSql>(&self, sql: &str) -> Vec<T> {
            let mut statement = self.connection.prepare(sql).unwrap();
            let rows = statement.query_map([], |row| row.get(0)).unwrap();
            rows.collect::<Result<_, _>>().unwrap()
        }
    }

    #[test]
    fn the_oldest_go_when_there_are_more_by_a_hundredth_than_are_kept_and_not_before() {
        for (kept, written, left, said) in [
            (200, 199, 1..=199, None),
            (200, 200, 1..=200, None),
            (200, 202, 1..=202, None),
            (200, 203, 4..=203, Some("records 1 to 3")),
            // More than a batch.
            (200, 2500, 2301..=2500, Some("records 1 to 2300")),
            (100, 101, 1..=101, None),
            (100, 102, 3..=102, Some("records 1 to 2")),
            (u64::MAX, 300, 1..=300, None),
        ] {
            let retention = Retention {
                age: Duration::MAX,
                records: kept,
            };
            let trail = Trail::of((0..written).map(|_| Millis::now().0));
            let expected = (left.collect(), said.map(str::to_owned).into_iter().collect());
            assert_eq!(trail.prune(retention), expected, "{kept} of {written}");
        }
    }

    #[test]
    fn what_is_older_goes_once_the_oldest_is_older_by_a_hundredth_and_not_before() {
        let hundred_days = Retention {
            age: Duration::from_secs(100 * 24 * 60 * 60),
            records: 1_000_000,
        };
        // Half days are far from any limit, however slow this machine is.
        for (half_days_old, left) in [
            (&[199_i64, 1] as &[_], &[1_i64, 2] as &[_]),
            (&[201, 1], &[1, 2]),
            (&[203, 1], &[2]),
            (&[203, 201, 199, 1], &[3, 4]),
            // A wrong clock keeps what came after it, and brings nothing to an end.
            (&[400, -400, 400, 1], &[2, 3, 4]),
            (&[1, 400, 1], &[1, 2, 3]),
            // The newest is not removed.
            (&[400], &[1]),
        ] {
            let now = Millis::now().0;
            let trail = Trail::of(half_days_old.iter().map(|age| now - age * DAY / 2));
            assert_eq!(trail.prune(hundred_days).0, left, "{half_days_old:?}");
        }
    }

    #[test]
    fn a_record_that_is_exactly_as_old_as_records_become_is_kept_and_one_a_millisecond_older_is_not() {
        for (times, last) in [
            (&[999_i64, 1000, 1001] as &[_], 1),
            (&[999, 999, 1000], 2),
            (&[1000, 999], 0),
        ] {
            let trail = Trail::of(times.iter().copied());
            assert_eq!(older_than(&trail.connection, 1, 1000).unwrap(), last, "{times:?}");
        }
    }

    #[test]
    fn what_is_kept_for_ever_is_kept_whatever_the_clock_said() {
        let for_ever = Retention {
            age: Duration::MAX,
            records: u64::MAX,
        };
        let trail = Trail::of([i64::MIN, 0, i64::MAX, Millis::now().0]);
        assert_eq!(trail.prune(for_ever).0, [1, 2, 3, 4]);
    }
}
