//! Links and their uses.

use rusqlite::{Connection, OptionalExtension as _};

use super::decide::{Ground, parse};
use super::{Millis, StoreError, statement};
use crate::administration::{Link, LinkId, Page};
use crate::entry::EntrySeq;
use crate::error::AdminError;
use crate::file_id::FileId;
use crate::subject::UserId;

/// A link that was found by its secret.
pub(crate) struct Found {
    pub(crate) ground: Ground,
    pub(crate) link: i64,
    pub(crate) file: FileId,
    uses: u64,
}

/// A use that was taken by one client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Use(i64);

/// How one download over a use ended.
pub(crate) struct Ended {
    pub(crate) of: Use,
    /// Bytes that were sent.
    pub(crate) sent: u64,
    /// Bytes that the file has.
    pub(crate) size: u64,
    /// When somebody else may take the use, if it does not count.
    pub(crate) until: Millis,
}

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
    let sql = "SELECT l.id, l.creator, l.uses, e.id FROM links l JOIN entries e ON e.seq = l.entry \
               WHERE l.digest = ?1";
    let found = statement(snapshot, sql)?
        .query_row([digest], |row| {
            let link = row.get(0)?;
            let creator: Option<i64> = row.get(1)?;
            Ok(Found {
                ground: Ground::Link {
                    link,
                    creator: creator.map(UserId),
                },
                link,
                uses: row.get(2)?,
                file: FileId::from_bytes(row.get(3)?),
            })
        })
        .optional()?;
    Ok(found)
}

/// Whether this client may look at what a download would give: a use is left, or it has one.
pub(crate) fn may_look(
    snapshot: &Connection,
    found: &Found,
    client: &[u8; 32],
    now: Millis,
) -> Result<bool, StoreError> {
    Ok(own(snapshot, found, client, now)?.is_some() || taken(snapshot, found, now)? < found.uses)
}

/// Takes a use for this client, or goes on with the one it has. In a writing transaction, so that of two who want the
/// last one, one gets it.
pub(crate) fn take(
    writing: &Connection,
    found: &Found,
    client: &[u8; 32],
    now: Millis,
) -> Result<Option<Use>, StoreError> {
    if let Some(own) = own(writing, found, client, now)? {
        statement(
            writing,
            "UPDATE link_uses SET running = running + 1 WHERE id = ?1",
        )?
        .execute([own.0])?;
        return Ok(Some(own));
    }
    if taken(writing, found, now)? >= found.uses {
        return Ok(None);
    }
    let sql = "INSERT INTO link_uses (link, client, running, until) VALUES (?1, ?2, 1, ?3) RETURNING id";
    let row = (found.link, client, now.0);
    Ok(Some(Use(
        statement(writing, sql)?.query_row(row, |row| row.get(0))?
    )))
}

pub(crate) fn end(writing: &Connection, ended: &Ended) -> Result<(), StoreError> {
    let sql = "UPDATE link_uses SET running = max(running - 1, 0), sent = sent + ?2, \
               completed = completed OR sent + ?2 >= ?3, until = ?4 WHERE id = ?1";
    statement(writing, sql)?.execute((ended.of.0, ended.sent, ended.size, ended.until.0))?;
    Ok(())
}

fn own(
    snapshot: &Connection,
    found: &Found,
    client: &[u8; 32],
    now: Millis,
) -> Result<Option<Use>, StoreError> {
    let sql =
        "SELECT id FROM link_uses WHERE link = ?1 AND client = ?2 AND (running > 0 OR until > ?3) LIMIT 1";
    let own = statement(snapshot, sql)?
        .query_row((found.link, client, now.0), |row| row.get(0))
        .optional()?;
    Ok(own.map(Use))
}

fn taken(snapshot: &Connection, found: &Found, now: Millis) -> Result<u64, StoreError> {
    let sql = "SELECT count(*) FROM link_uses WHERE link = ?1 AND (completed OR running > 0 OR until > ?2)";
    Ok(statement(snapshot, sql)?.query_row((found.link, now.0), |row| row.get(0))?)
}

/// Of one file, or all that `creator` made, or all; newest first.
pub(crate) fn list(
    snapshot: &Connection,
    entry: Option<EntrySeq>,
    creator: Option<UserId>,
    page: Page,
) -> Result<Vec<Link>, StoreError> {
    let sql = "SELECT l.id, e.id, u.name, l.created, l.expires, l.uses, \
               (SELECT count(*) FROM link_uses x WHERE x.link = l.id AND x.completed) \
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
