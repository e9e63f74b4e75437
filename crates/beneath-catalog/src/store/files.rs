//! Published files and grants.

use std::ops::ControlFlow;
use std::time::SystemTime;

use beneath::{File, RelPath};
use rusqlite::{Connection, OptionalExtension as _};

use super::decide::{entry_columns, parse, read_entry};
use super::{Millis, StoreError, keeps_in_urls, statement};
use crate::administration::{Amendment, Grant, Page, Publication};
use crate::entry::{Entry, EntrySeq, Pin};
use crate::error::AdminError;
use crate::file_id::FileId;
use crate::pin;
use crate::subject::{Role, RootName, Subject, UserId};

/// What is known of a file before it is published.
pub(crate) struct New {
    pub(crate) id: FileId,
    name: Vec<u8>,
    media_type: Option<String>,
    size: u64,
    fingerprint: Option<Vec<u8>>,
    digest: Option<[u8; 32]>,
    verity: Option<Vec<u8>>,
}

impl New {
    /// Asks the open file; `progress` hears how much of it was hashed, if it has to be, and may end it.
    pub(crate) fn prepare(
        publication: &Publication,
        file: &File,
        progress: impl FnMut(u64, u64) -> ControlFlow<AdminError>,
    ) -> Result<Self, AdminError> {
        let name = publication
            .name
            .clone()
            .unwrap_or_else(|| publication.path.file_name().to_vec());
        check_name(&name)?;
        publication
            .media_type
            .as_deref()
            .map_or(Ok(()), check_media_type)?;
        let unreadable = |error| AdminError::invalid("path", format_args!("{:?}: {error}", publication.path));
        let (fingerprint, digest, verity) = match publication.pin {
            Pin::Path => (None, None, None),
            Pin::Identity => {
                let fingerprint = pin::fingerprint(file).map_err(unreadable)?;
                let fingerprint = fingerprint.ok_or_else(|| AdminError::invalid("pin", NO_IDENTITY))?;
                (Some(fingerprint), None, None)
            }
            Pin::Content => {
                // First: from then on the content cannot be another than the one that is hashed.
                let verity = pin::measure(file);
                std::thread::sleep(pin::settles_in(file));
                let digest = match pin::digest(file, progress).map_err(unreadable)? {
                    ControlFlow::Continue(digest) => digest,
                    ControlFlow::Break(why) => return Err(why),
                };
                if file.was_changed().map_err(unreadable)? {
                    let path = &publication.path;
                    return Err(AdminError::invalid("path", format_args!("{path:?} {CHANGING}")));
                }
                (Some(pin::state(file.metadata())), Some(digest), verity)
            }
        };
        Ok(Self {
            id: FileId::random()?,
            name,
            media_type: publication.media_type.clone(),
            size: file.metadata().len(),
            fingerprint,
            digest,
            verity,
        })
    }
}

pub(crate) fn add(
    writing: &Connection,
    publication: &Publication,
    new: &New,
    owner: Option<UserId>,
) -> Result<Entry, AdminError> {
    let sql = "INSERT INTO entries (id, root, path, owner, name, media_type, size, pin, fingerprint, digest, verity, \
               created, disposition, caching) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)";
    statement(writing, sql)?.execute((
        new.id.as_bytes(),
        publication.root.as_str(),
        publication.path.as_bytes(),
        owner.map(|owner| owner.0),
        &new.name,
        &new.media_type,
        new.size,
        publication.pin.as_str(),
        &new.fingerprint,
        new.digest,
        &new.verity,
        Millis::now().0,
        publication.disposition.as_str(),
        publication.caching.as_str(),
    ))?;
    find(writing, &new.id)?
        .ok_or_else(|| StoreError::unreachable("it does not have what was just written").into())
}

pub(crate) fn remove(writing: &Connection, entry: EntrySeq) -> Result<(), AdminError> {
    statement(writing, "DELETE FROM entries WHERE seq = ?1")?.execute([entry.0])?;
    Ok(())
}

pub(crate) fn change(writing: &Connection, entry: &Entry, amendment: &Amendment) -> Result<(), AdminError> {
    let name = amendment.name.as_deref();
    let media_type = amendment.media_type.as_deref();
    name.map_or(Ok(()), check_name)?;
    media_type.map_or(Ok(()), check_media_type)?;
    let sql = "UPDATE entries SET name = ?2, media_type = ?3, disposition = ?4, caching = ?5, \
               version = version + 1 WHERE seq = ?1";
    statement(writing, sql)?.execute((
        entry.seq.0,
        name.unwrap_or(&entry.name),
        media_type.or(entry.media_type.as_deref()),
        amendment.disposition.unwrap_or(entry.disposition).as_str(),
        amendment.caching.unwrap_or(entry.caching).as_str(),
    ))?;
    Ok(())
}

/// Its grants are part of what a version stands for.
pub(crate) fn touch(writing: &Connection, entry: EntrySeq) -> Result<(), AdminError> {
    statement(writing, "UPDATE entries SET version = version + 1 WHERE seq = ?1")?.execute([entry.0])?;
    Ok(())
}

/// Whether anything is another than it was.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Granted {
    Anew,
    Already,
}

/// Since when it is granted stands until it has ended.
pub(crate) fn grant(
    writing: &Connection,
    entry: EntrySeq,
    subject: UserId,
    expires: Option<SystemTime>,
) -> Result<Granted, StoreError> {
    let sql = "INSERT INTO grants (entry, subject, expires, created) VALUES (?1, ?2, ?3, ?4) \
               ON CONFLICT (entry, subject) DO UPDATE SET expires = excluded.expires, \
               created = CASE WHEN grants.expires <= ?4 THEN ?4 ELSE grants.created END \
               WHERE grants.expires IS NOT excluded.expires";
    let expires = expires.map(|time| Millis::from(time).0);
    match statement(writing, sql)?.execute((entry.0, subject.0, expires, Millis::now().0))? {
        0 => Ok(Granted::Already),
        _ => Ok(Granted::Anew),
    }
}

pub(crate) fn revoke(writing: &Connection, entry: EntrySeq, subject: UserId) -> Result<usize, StoreError> {
    let sql = "DELETE FROM grants WHERE entry = ?1 AND subject = ?2";
    Ok(statement(writing, sql)?.execute((entry.0, subject.0))?)
}

/// For whoever administers: not sealed.
pub(crate) fn find(snapshot: &Connection, id: &FileId) -> Result<Option<Entry>, StoreError> {
    let found = statement(snapshot, concat!(entry_columns!(), " WHERE e.id = ?1"))?
        .query_row([id.as_bytes()], read_entry)
        .optional()?;
    Ok(found)
}

/// If it is granted to this user, directly or by a group.
pub(crate) fn find_granted(
    snapshot: &Connection,
    id: &FileId,
    user: UserId,
    now: Millis,
) -> Result<Option<Entry>, StoreError> {
    let sql = concat!(
        entry_columns!(),
        " WHERE e.id = ?1 AND EXISTS (SELECT 1 FROM grants r WHERE r.entry = e.seq \
          AND coalesce(r.expires, 9223372036854775807) > ?3 \
          AND (r.subject = ?2 OR r.subject IN (SELECT \"group\" FROM members WHERE user = ?2)))"
    );
    let found = statement(snapshot, sql)?
        .query_row((id.as_bytes(), user.0, now.0), read_entry)
        .optional()?;
    Ok(found)
}

pub(crate) fn at(snapshot: &Connection, root: &RootName, path: &RelPath) -> Result<Vec<Entry>, StoreError> {
    let sql = concat!(
        entry_columns!(),
        " WHERE e.root = ?1 AND e.path = ?2 ORDER BY e.seq DESC"
    );
    let mut statement = statement(snapshot, sql)?;
    let entries = statement.query_map((root.as_str(), path.as_bytes()), read_entry)?;
    Ok(entries.collect::<Result<_, _>>()?)
}

pub(crate) fn all(snapshot: &Connection, page: Page) -> Result<Vec<Entry>, StoreError> {
    let sql = concat!(entry_columns!(), " WHERE e.seq < ?1 ORDER BY e.seq DESC LIMIT ?2");
    let mut statement = statement(snapshot, sql)?;
    let entries = statement.query_map((page.before.0, page.limit + 1), read_entry)?;
    Ok(entries.collect::<Result<_, _>>()?)
}

/// What a user owns (as a publisher) or was granted, directly or by a group: one page of each, and of these the newest,
/// so that the time it takes does not grow with the catalog.
pub(crate) fn visible(
    snapshot: &Connection,
    user: UserId,
    role: Role,
    page: Page,
) -> Result<Vec<Entry>, StoreError> {
    let mut numbers = Vec::new();
    if role >= Role::Publisher {
        let owned = "SELECT seq FROM entries WHERE owner = ?1 AND seq < ?2 ORDER BY seq DESC LIMIT ?3";
        append(
            snapshot,
            owned,
            (user.0, page.before.0, page.limit + 1),
            &mut numbers,
        )?;
    }
    let granted = "SELECT entry FROM grants WHERE subject = ?1 AND entry < ?2 \
                   AND coalesce(expires, 9223372036854775807) > ?4 ORDER BY entry DESC LIMIT ?3";
    let now = Millis::now().0;
    for subject in subjects_of(snapshot, user)? {
        append(
            snapshot,
            granted,
            (subject, page.before.0, page.limit + 1, now),
            &mut numbers,
        )?;
    }
    numbers.sort_unstable_by(|one, other| other.cmp(one));
    numbers.dedup();
    numbers.truncate(page.limit + 1);
    let mut statement = statement(snapshot, concat!(entry_columns!(), " WHERE e.seq = ?1"))?;
    let entries = numbers.iter().map(|seq| statement.query_row([seq], read_entry));
    Ok(entries.collect::<Result<_, _>>()?)
}

fn subjects_of(snapshot: &Connection, user: UserId) -> Result<Vec<i64>, StoreError> {
    let mut subjects = vec![user.0];
    let groups = "SELECT \"group\" FROM members WHERE user = ?1";
    append(snapshot, groups, [user.0], &mut subjects)?;
    Ok(subjects)
}

fn append(
    snapshot: &Connection,
    sql: &str,
    params: impl rusqlite::Params,
    numbers: &mut Vec<i64>,
) -> Result<(), StoreError> {
    let mut statement = statement(snapshot, sql)?;
    let mut rows = statement.query(params)?;
    while let Some(row) = rows.next()? {
        numbers.push(row.get(0)?);
    }
    Ok(())
}

pub(crate) fn grants(snapshot: &Connection, entry: EntrySeq) -> Result<Vec<Grant>, StoreError> {
    let sql = "SELECT u.name, g.name, r.expires, r.created FROM grants r \
               LEFT JOIN users u ON u.id = r.subject LEFT JOIN groups g ON g.id = r.subject \
               WHERE r.entry = ?1 ORDER BY r.subject";
    let mut statement = statement(snapshot, sql)?;
    let grants = statement.query_map([entry.0], |row| {
        let subject = match row.get_ref(0)? {
            rusqlite::types::ValueRef::Null => Subject::Group(parse(row, 1)?),
            _ => Subject::User(parse(row, 0)?),
        };
        let expires: Option<i64> = row.get(2)?;
        Ok(Grant::new(subject, expires.map(Millis), Millis(row.get(3)?)))
    })?;
    Ok(grants.collect::<Result<_, _>>()?)
}

const NO_IDENTITY: &str =
    "the file system reports no time of birth, so it cannot tell a file from its successor: pin the content";

const CHANGING: &str = "was changed while it was read: publish it when nobody writes to it";

fn check_name(name: &[u8]) -> Result<(), AdminError> {
    keeps_in_urls(name)?;
    let reason = match name {
        [] => "is empty",
        long if long.len() > 255 => "is longer than 255 bytes",
        name if name.contains(&b'/') || name.contains(&0) => "holds a slash or a NUL byte",
        _ => return Ok(()),
    };
    Err(AdminError::invalid("name", reason))
}

/// `type/subtype`, and what may follow it (RFC 9110 §8.3.1), loosely: nothing that could end a header field.
fn check_media_type(media_type: &str) -> Result<(), AdminError> {
    let token = |text: &str| {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        !text.is_empty() && text.bytes().all(legal)
    };
    let essence = media_type.split(';').next().unwrap_or_default().trim_end();
    let printable = media_type.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    match essence.split_once('/') {
        Some((kind, subtype)) if token(kind) && token(subtype) && printable && media_type.len() <= 255 => {
            Ok(())
        }
        _ => Err(AdminError::invalid(
            "media_type",
            "is not a media type such as text/plain",
        )),
    }
}
