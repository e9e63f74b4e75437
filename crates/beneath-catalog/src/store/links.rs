//! Links and their uses.

use std::ops::Range;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _};

use super::decide::parse;
use super::servers::{ServerId, wait_for_all};
use super::{Millis, Store, StoreError, statement};
use crate::administration::{Link, LinkId, Page};
use crate::coverage::Coverage;
use crate::entry::EntrySeq;
use crate::error::AdminError;
use crate::file_id::FileId;
use crate::refusal::{Reason, Refusal};
use crate::subject::UserId;

/// A link that was found by its secret.
pub(crate) struct Found {
    pub(crate) link: i64,
    pub(crate) creator: Option<UserId>,
    pub(crate) file: FileId,
    uses: u64,
    /// Of the file when it was published, in bytes.
    size: u64,
}

/// One transfer over a use of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Begun {
    of: i64,
    transfer: i64,
}

/// What one client wants to be sent over a link.
pub(crate) struct Wanted<'a> {
    pub(crate) found: &'a Found,
    pub(crate) client: &'a [u8; 32],
    pub(crate) server: &'a ServerId,
    /// Of the file, which has `size` of them.
    pub(crate) bytes: &'a Range<u64>,
    pub(crate) size: u64,
    pub(crate) grace: Duration,
}

/// How one transfer over a use ended.
pub(crate) struct Ended {
    pub(crate) begun: Begun,
    /// What was to be sent, and how much of it was.
    pub(crate) bytes: Range<u64>,
    pub(crate) sent: u64,
    /// Bytes that the file has.
    pub(crate) size: u64,
    /// Until when the client may resume, and nobody else take the use.
    pub(crate) until: Millis,
}

/// That the transfer `t` is under way; `?2` is now.
macro_rules! alive {
    () => {
        "(t.deadline > ?2 AND EXISTS (SELECT 1 FROM servers s WHERE s.id = t.server))"
    };
}

/// That a transfer over the use is.
const RUNNING: &str = concat!(
    "EXISTS (SELECT 1 FROM link_transfers t WHERE t.of = link_uses.id AND ",
    alive!(),
    ")"
);

pub(crate) fn add(
    writing: &Connection,
    digest: &[u8; 32],
    entry: EntrySeq,
    creator: Option<UserId>,
    expires: Millis,
    uses: u32,
) -> Result<LinkId, StoreError> {
    let sql = "INSERT INTO links (digest, entry, creator, created, expires, uses) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6) RETURNING id";
    let creator = creator.map(|user| user.0);
    let row = (digest, entry.0, creator, Millis::now().0, expires.0, uses);
    Ok(LinkId(statement(writing, sql)?.query_row(row, |row| row.get(0))?))
}

pub(crate) fn find(snapshot: &Connection, digest: &[u8; 32]) -> Result<Option<Found>, StoreError> {
    let sql = "SELECT l.id, l.creator, l.uses, e.id, e.size FROM links l JOIN entries e ON e.seq = l.entry \
               WHERE l.digest = ?1";
    let found = statement(snapshot, sql)?
        .query_row([digest], |row| {
            let creator: Option<i64> = row.get(1)?;
            Ok(Found {
                link: row.get(0)?,
                creator: creator.map(UserId),
                uses: row.get(2)?,
                file: FileId::from_bytes(row.get(3)?),
                size: row.get(4)?,
            })
        })
        .optional()?;
    Ok(found)
}

/// Allows this client to look at what a download would give: a use is left, or it has one.
pub(crate) fn look(
    snapshot: &Connection,
    found: &Found,
    client: &[u8; 32],
    now: Millis,
) -> Result<(), Refusal> {
    let sql = format!(
        "SELECT 1 FROM link_uses WHERE link = ?1 AND client = ?3 AND held AND (until > ?2 OR {RUNNING})"
    );
    let own = statement(snapshot, &sql)?
        .query_row((found.link, now.0, client), |_| Ok(()))
        .optional()
        .map_err(StoreError::from)?;
    if own.is_some() || taken(snapshot, found, (client, found.size), now)? < found.uses {
        return Ok(());
    }
    Err(Refusal::not_found(Reason::LinkUsedUp))
}

/// Begins a transfer over a use of the link, if there is one for it. In a writing transaction, so that of two who want
/// the last use, one gets it.
pub(crate) fn begin(
    writing: &Connection,
    wanted: &Wanted<'_>,
    now: Millis,
) -> Result<Option<Begun>, StoreError> {
    settle(writing, wanted, now)?;
    let of = match wanted.bytes.end - wanted.bytes.start >= wanted.size {
        true => whole(writing, wanted, now)?,
        false => part(writing, wanted, now)?,
    };
    let Some(of) = of else { return Ok(None) };
    let until = now.after(wanted.grace);
    let sql = "UPDATE link_uses SET until = max(until, ?2) WHERE id = ?1 AND held";
    statement(writing, sql)?.execute((of, until.0))?;
    let Range { start, end } = *wanted.bytes;
    let sql = "UPDATE link_transfers SET resumed = min(coalesce(resumed, ?2), ?2) \
               WHERE of = ?1 AND first <= ?2 AND last >= ?2";
    statement(writing, sql)?.execute((of, start))?;
    bury(writing, Some(of), now)?;
    let sql = "INSERT INTO link_transfers (of, server, first, last, size, deadline, grace) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) RETURNING id";
    let (deadline, grace) = (now.after(ALIVE).0, until.0 - now.0);
    let row = (
        of,
        wanted.server.as_bytes(),
        start,
        end,
        wanted.size,
        deadline,
        grace,
    );
    let transfer = statement(writing, sql)?.query_row(row, |row| row.get(0))?;
    Ok(Some(Begun { of, transfer }))
}

/// A use of its own; or the one that this client began and broke off, from the start.
fn whole(writing: &Connection, wanted: &Wanted<'_>, now: Millis) -> Result<Option<i64>, StoreError> {
    let key = (wanted.found.link, now.0, wanted.client, wanted.size);
    let sql = format!(
        "SELECT id, until > ?2 FROM link_uses WHERE link = ?1 AND client = ?3 AND held AND NOT completed \
         AND NOT {RUNNING} AND budget >= ?4 ORDER BY until DESC LIMIT 1"
    );
    let broken_off: Option<(i64, bool)> = statement(writing, &sql)?
        .query_row(key, |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    if let Some((of, true)) = broken_off {
        return spend(writing, of, wanted).map(Some);
    }
    if taken(writing, wanted.found, (wanted.client, wanted.size), now)? >= wanted.found.uses {
        return Ok(None);
    }
    match broken_off {
        Some((of, _)) => spend(writing, of, wanted).map(Some),
        None => insert(writing, wanted, true, budget(wanted.size) - wanted.size).map(Some),
    }
}

/// Goes on with the use that this client has. Whoever has none is shown a little of the file, and takes a use with more.
fn part(writing: &Connection, wanted: &Wanted<'_>, now: Millis) -> Result<Option<i64>, StoreError> {
    let length = wanted.bytes.end - wanted.bytes.start;
    let key = (wanted.found.link, now.0, wanted.client, length);
    let sql = format!(
        "SELECT id, until > ?2 OR {RUNNING} AS reserved FROM link_uses WHERE link = ?1 AND client = ?3 AND held \
         AND budget >= ?4 AND (reserved OR NOT completed) ORDER BY reserved DESC, completed, id DESC LIMIT 1"
    );
    let own: Option<(i64, bool)> = statement(writing, &sql)?
        .query_row(key, |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    if let Some((of, true)) = own {
        return spend(writing, of, wanted).map(Some);
    }
    if taken(writing, wanted.found, (wanted.client, wanted.size), now)? >= wanted.found.uses {
        return Ok(None);
    }
    if let Some((of, _)) = own {
        return spend(writing, of, wanted).map(Some);
    }
    let sql = "SELECT id, budget FROM link_uses WHERE link = ?1 AND client = ?2 AND NOT held";
    let probed: Option<(i64, u64)> = statement(writing, sql)?
        .query_row((wanted.found.link, wanted.client), |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    let probe = PROBE.min(wanted.size.saturating_sub(1));
    let left = probed.map_or(probe, |(_, left)| left);
    let is_a_look = length <= left.min(unprobed(writing, wanted, probe)?);
    match (probed, is_a_look) {
        (Some((of, _)), true) => spend(writing, of, wanted).map(Some),
        (None, true) => insert(writing, wanted, false, probe - length).map(Some),
        (Some((of, _)), false) => {
            let sql = "UPDATE link_uses SET held = 1, budget = ?2 WHERE id = ?1";
            statement(writing, sql)?.execute((of, budget(wanted.size) - length))?;
            Ok(Some(of))
        }
        (None, false) => insert(writing, wanted, true, budget(wanted.size) - length).map(Some),
    }
}

/// How much may still be looked at over this link by all together, who each were allowed `probe`.
fn unprobed(writing: &Connection, wanted: &Wanted<'_>, probe: u64) -> Result<u64, StoreError> {
    let sql = "SELECT coalesce(sum(max(?2 - budget, 0)), 0) FROM link_uses WHERE link = ?1 AND NOT held";
    let probed: u64 = statement(writing, sql)?.query_row((wanted.found.link, probe), |row| row.get(0))?;
    Ok(PROBED.min(wanted.size.saturating_sub(1)).saturating_sub(probed))
}

fn spend(writing: &Connection, of: i64, wanted: &Wanted<'_>) -> Result<i64, StoreError> {
    let sql = "UPDATE link_uses SET budget = budget - ?2 WHERE id = ?1";
    statement(writing, sql)?.execute((of, wanted.bytes.end - wanted.bytes.start))?;
    Ok(of)
}

fn insert(writing: &Connection, wanted: &Wanted<'_>, held: bool, budget: u64) -> Result<i64, StoreError> {
    let sql =
        "INSERT INTO link_uses (link, client, held, budget, until) VALUES (?1, ?2, ?3, ?4, 0) RETURNING id";
    let row = (wanted.found.link, wanted.client, held, budget);
    Ok(statement(writing, sql)?.query_row(row, |row| row.get(0))?)
}

/// What one use may carry altogether, in bytes: what clients lose and ask for again must fit, what would be download
/// after download must not.
fn budget(size: u64) -> u64 {
    size.saturating_mul(8).min(i64::MAX.unsigned_abs())
}

pub(crate) fn end(writing: &Connection, ended: &Ended) -> Result<(), StoreError> {
    let Begun { of, transfer } = ended.begun;
    statement(writing, "DELETE FROM link_transfers WHERE id = ?1")?.execute([transfer])?;
    let Range { start, end } = ended.bytes;
    let sent = start..end.min(start.saturating_add(ended.sent));
    let unsent = end - sent.end;
    account(writing, of, sent, unsent, ended.size, Some(ended.until))
}

/// Adds what was sent to what the use covers, and sees whether it counts now.
fn account(
    writing: &Connection,
    of: i64,
    sent: Range<u64>,
    unsent: u64,
    size: u64,
    until: Option<Millis>,
) -> Result<(), StoreError> {
    let sql = "SELECT held, completed, budget, covered FROM link_uses WHERE id = ?1";
    let found = statement(writing, sql)?
        .query_row([of], |row| {
            let covered = Coverage::from_bytes(row.get_ref(3)?.as_blob()?);
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, covered))
        })
        .optional()?;
    // The link may have been revoked.
    let Some((held, completed, left, mut covered)): Option<(bool, bool, u64, Coverage)> = found else {
        return Ok(());
    };
    covered.add(sent);
    let mut left = if held {
        left.saturating_add(unsent).min(budget(size))
    } else {
        left
    };
    let completed = completed || (held && (covered.is_whole(size) || left < size));
    if completed {
        // Enough to fetch what was lost on the way, once.
        left = left.min(size);
    }
    // Whoever was sent nothing has nothing to resume.
    let until = match until {
        Some(_) if covered.is_empty() && !completed => Some(0),
        until => until.map(|until| until.0),
    };
    let sql = "UPDATE link_uses SET completed = ?2, budget = ?3, covered = ?4, until = coalesce(?5, until) WHERE id = ?1";
    statement(writing, sql)?.execute((of, completed, left, covered.to_bytes(), until))?;
    Ok(())
}

/// Nobody knows how much a server sent that died: as much as its client says by where it goes on. After a day nothing, if it did not.
fn bury(writing: &Connection, of: Option<i64>, now: Millis) -> Result<(), StoreError> {
    let sql = concat!(
        "DELETE FROM link_transfers AS t WHERE (resumed IS NOT NULL OR deadline <= ?3) AND (?1 IS NULL OR of = ?1) AND NOT ",
        alive!(),
        " RETURNING of, first, coalesce(resumed, first), size"
    );
    let dead = statement(writing, sql)?
        .query_map((of, now.0, now.0 - DAY), |row| {
            Ok((row.get(0)?, row.get(1)?..row.get(2)?, row.get(3)?))
        })?
        .collect::<Result<Vec<(i64, Range<u64>, u64)>, _>>()?;
    dead.into_iter()
        .try_for_each(|(of, sent, size)| account(writing, of, sent, 0, size, None))
}

/// Says that the transfers of this server are still under way.
pub(crate) fn renew(connection: &Connection, server: &ServerId) -> Result<(), StoreError> {
    let now = Millis::now();
    let transaction = connection.unchecked_transaction()?;
    let sql = "UPDATE link_transfers SET deadline = ?2 WHERE server = ?1";
    statement(&transaction, sql)?.execute((server.as_bytes(), now.after(ALIVE).0))?;
    let sql = "UPDATE link_uses SET until = max(until, ?2 + t.grace) FROM link_transfers t \
               WHERE t.of = link_uses.id AND held AND t.server = ?1";
    statement(&transaction, sql)?.execute((server.as_bytes(), now.0))?;
    Ok(transaction.commit()?)
}

/// Whoever died in the midst of a transfer is found out, and what it sent counts as broken off: a change that touches
/// nothing, which every server that lives acknowledges.
pub(crate) fn recover(store: &Store, own: &ServerId) -> Result<(), AdminError> {
    let others = store.read(|snapshot| {
        let sql = "SELECT 1 FROM link_transfers WHERE server <> ?1 LIMIT 1";
        let found = statement(snapshot, sql)?.query_row([own.as_bytes()], |_| Ok(()));
        Ok::<_, StoreError>(found.optional()?)
    })?;
    if others.is_some() {
        let touch = "INSERT INTO changes (scope, object) VALUES ('link', 0)";
        let ((), changed) = store.write(|writing| {
            statement(writing, touch)?.execute([])?;
            Ok(())
        })?;
        wait_for_all(store, Some(own), changed)?;
        store.write(|writing| Ok(bury(writing, None, Millis::now())?))?;
    }
    Ok(())
}

/// How many uses are taken. Those that were broken off are given back when their clients have not gone on in time; but who a client
/// is, it says itself. So as often as what was sent over them to other clients is the file, one more is taken.
fn taken(
    snapshot: &Connection,
    found: &Found,
    (client, size): (&[u8; 32], u64),
    now: Millis,
) -> Result<u64, StoreError> {
    let sql = "SELECT completed, lapsed FROM links WHERE id = ?1";
    let (mut taken, mut lapsed): (u64, u64) =
        statement(snapshot, sql)?.query_row([found.link], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let sql = format!(
        "SELECT until > ?2 OR {RUNNING}, client <> ?3, covered FROM link_uses \
         WHERE link = ?1 AND held AND NOT completed"
    );
    let mut statement = statement(snapshot, &sql)?;
    let mut uses = statement.query((found.link, now.0, client))?;
    while let Some(row) = uses.next()? {
        if row.get(0)? {
            taken += 1;
        } else if row.get(1)? {
            let covered = row.get_ref(2)?.as_blob().map_err(rusqlite::Error::from)?;
            let covered = Coverage::from_bytes(covered);
            lapsed = lapsed.saturating_add(covered.len());
        }
    }
    Ok(taken + lapsed / size.max(1))
}

/// Leaves of uses that nobody can go on with what counts of them. Of those that were given back only after a day: until then
/// their clients, if they come again, are not held to account for what they had already.
fn settle(writing: &Connection, wanted: &Wanted<'_>, now: Millis) -> Result<(), StoreError> {
    const IS_OVER: &str = "NOT EXISTS (SELECT 1 FROM link_transfers t WHERE t.of = link_uses.id)";
    let link = wanted.found.link;
    let sql = format!(
        "DELETE FROM link_uses WHERE id IN (SELECT id FROM link_uses \
         WHERE link = ?1 AND completed AND until <= ?2 AND {IS_OVER} LIMIT ?3)"
    );
    statement(writing, &sql)?.execute((link, now.0, SETTLED_AT_ONCE))?;
    let sql = format!(
        "DELETE FROM link_uses WHERE id IN (SELECT id FROM link_uses \
         WHERE link = ?1 AND held AND NOT completed AND until <= ?2 AND {IS_OVER} AND client <> ?4 \
         LIMIT ?3) RETURNING covered"
    );
    let given_back = statement(writing, &sql)?
        .query_map((link, now.0 - DAY, SETTLED_AT_ONCE, wanted.client), |row| {
            Ok(Coverage::from_bytes(row.get_ref(0)?.as_blob()?).len())
        })?
        .collect::<Result<Vec<u64>, _>>()?;
    if !given_back.is_empty() {
        let sql = "UPDATE links SET lapsed = lapsed + ?2 WHERE id = ?1";
        statement(writing, sql)?.execute((link, given_back.into_iter().fold(0, u64::saturating_add)))?;
    }
    Ok(())
}

/// In milliseconds.
const DAY: i64 = 24 * 60 * 60 * 1000;

/// More than one download adds.
const SETTLED_AT_ONCE: u32 = 8;

/// How much of a file a client may look at by ranges without taking a use, in bytes; never all of it.
const PROBE: u64 = 64 * 1024;

/// And how much all clients together may: who a client is, it says itself.
const PROBED: u64 = 8 * PROBE;

/// For how long a server's word counts that a transfer is under way. It repeats it in time.
const ALIVE: Duration = Duration::from_secs(60);

/// Of one file, or all that `creator` made, or all; newest first.
pub(crate) fn list(
    snapshot: &Connection,
    entry: Option<EntrySeq>,
    creator: Option<UserId>,
    page: Page,
) -> Result<Vec<Link>, StoreError> {
    let sql = "SELECT l.id, e.id, u.name, l.created, l.expires, l.uses, l.completed \
               FROM links l JOIN entries e ON e.seq = l.entry LEFT JOIN users u ON u.id = l.creator \
               WHERE l.id < ?1 AND (?2 IS NULL OR l.entry = ?2) AND (?3 IS NULL OR l.creator = ?3) \
               ORDER BY l.id DESC LIMIT ?4";
    let mut statement = statement(snapshot, sql)?;
    let filter = (
        page.before.0,
        entry.map(|entry| entry.0),
        creator.map(|user| user.0),
        page.limit + 1,
    );
    let links = statement.query_map(filter, |row| {
        let creator = match row.get_ref(2)? {
            rusqlite::types::ValueRef::Null => None,
            _ => Some(parse(row, 2)?),
        };
        Ok(Link {
            id: LinkId(row.get(0)?),
            file: FileId::from_bytes(row.get(1)?),
            creator,
            created: Millis(row.get(3)?).to_system_time(),
            expires: Millis(row.get(4)?).to_system_time(),
            uses: row.get(5)?,
            completed: row.get(6)?,
        })
    })?;
    Ok(links.collect::<Result<_, _>>()?)
}

/// The file of a link, and who made it.
pub(crate) fn owner(
    snapshot: &Connection,
    link: LinkId,
) -> Result<Option<(FileId, Option<UserId>)>, AdminError> {
    let sql = "SELECT e.id, l.creator FROM links l JOIN entries e ON e.seq = l.entry WHERE l.id = ?1";
    let found = statement(snapshot, sql)?
        .query_row([link.0], |row| {
            let creator: Option<i64> = row.get(1)?;
            Ok((FileId::from_bytes(row.get(0)?), creator.map(UserId)))
        })
        .optional()?;
    Ok(found)
}

pub(crate) fn remove(writing: &Connection, link: LinkId) -> Result<(), StoreError> {
    statement(writing, "DELETE FROM links WHERE id = ?1")?.execute([link.0])?;
    Ok(())
}
