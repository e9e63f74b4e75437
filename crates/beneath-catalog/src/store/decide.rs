//! Who somebody is and what they may: every question of one decision, asked of one snapshot.

use std::sync::Arc;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension as _, Row};

use super::{Millis, Revision, StoreError, statement};
use crate::entry::{Caching, Derived, Disposition, Entry, EntrySeq, Pin, Sealed};
use crate::file_id::FileId;
use crate::refusal::{Reason, Refusal};
use crate::subject::{Principal, Role, TokenId, UserId, UserName};

macro_rules! entry_fields {
    () => {
        "e.seq, e.id, e.root, e.path, e.owner, u.name, e.name, e.media_type, e.size, e.pin, e.fingerprint, e.digest, \
         e.created, e.version, e.verity, e.disposition, e.caching"
    };
}
pub(crate) use entry_fields;

const ENTRY_COLUMNS: usize = 17;
const OWNER: usize = 4;

/// What a decision rests on. It falls when any of this changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Ground {
    /// A user, by a password (of that epoch) or a token.
    User {
        user: UserId,
        epoch: i64,
        token: Option<TokenId>,
    },
    /// A link, and the user who made it.
    Link { link: i64, creator: Option<UserId> },
}

/// Proof that a decision was made for one ground and one entry. Only [`decide`] and [`link_allows`] make one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Permit {
    until: Option<Millis>,
}

/// A user as the store has them.
pub(crate) struct User {
    pub(crate) id: UserId,
    pub(crate) name: UserName,
    pub(crate) role: Role,
    pub(crate) enabled: bool,
    pub(crate) epoch: i64,
    pub(crate) record: Arc<str>,
    pub(crate) created: Millis,
}

/// A bearer token as the store has it.
pub(crate) struct Token {
    pub(crate) id: TokenId,
    pub(crate) user: UserId,
    pub(crate) expires: Millis,
}

impl Permit {
    /// Until when it holds if nothing changes, or for ever.
    pub(crate) const fn until(&self) -> Option<Millis> {
        self.until
    }
}

/// A link is worth what its creator may do now: make links to this file.
pub(crate) fn link_allows(
    snapshot: &Connection,
    (link, creator): (i64, Option<UserId>),
    (entry, owner): (EntrySeq, Option<UserId>),
    now: Millis,
) -> Result<Result<Permit, Refusal>, StoreError> {
    const REFUSED: Result<Permit, Refusal> = Err(Refusal::not_found(Reason::UnknownLink));
    let sql = "SELECT expires FROM links WHERE id = ?1 AND entry = ?2";
    let expires: Option<i64> = statement(snapshot, sql)?
        .query_row((link, entry.0), |row| row.get(0))
        .optional()?;
    let Some(expires) = expires.map(Millis).filter(|expires| *expires > now) else {
        return Ok(REFUSED);
    };
    if let Some(creator) = creator {
        let Some(creator) = user_by_id(snapshot, creator)?.filter(|user| user.enabled) else {
            return Ok(REFUSED);
        };
        let owns = owner == Some(creator.id) && creator.role >= Role::Publisher;
        if !owns && creator.role != Role::Admin {
            return Ok(REFUSED);
        }
    }
    Ok(Ok(Permit { until: Some(expires) }))
}

/// Whether what was decided before would be again; the entry may be gone by now.
pub(crate) fn still(
    snapshot: &Connection,
    ground: &Ground,
    (id, entry): (&FileId, EntrySeq),
    now: Millis,
) -> Result<Result<Permit, Refusal>, StoreError> {
    let (link, creator) = match *ground {
        Ground::User { user, epoch, token } => {
            let (_, decided) = decide(snapshot, (user, epoch, token), id, now, |_| Ok(()))?;
            return Ok(decided.map(|((), permit)| permit));
        }
        Ground::Link { link, creator } => (link, creator),
    };
    let owner: Option<Option<i64>> = statement(snapshot, "SELECT owner FROM entries WHERE seq = ?1")?
        .query_row([entry.0], |row| row.get(0))
        .optional()?;
    match owner {
        Some(owner) => link_allows(snapshot, (link, creator), (entry, owner.map(UserId)), now),
        None => Ok(Err(Refusal::not_found(Reason::UnknownFile))),
    }
}

fn token_expiry(snapshot: &Connection, token: TokenId) -> Result<Option<Millis>, StoreError> {
    let expires = statement(snapshot, "SELECT expires FROM tokens WHERE id = ?1")?
        .query_row([token.0], |row| row.get(0))
        .optional()?;
    Ok(expires.map(Millis))
}

/// Administrators read everything, publishers what they own, everybody what was granted to them or to a group of
/// theirs; of several grants the longest counts.
fn weigh(longest: Option<i64>, role: Role, owns: bool, now: Millis) -> Result<Permit, Refusal> {
    match longest {
        _ if role == Role::Admin || owns && role >= Role::Publisher => Ok(Permit { until: None }),
        Some(i64::MAX) => Ok(Permit { until: None }),
        Some(until) if until > now.0 => Ok(Permit {
            until: Some(Millis(until)),
        }),
        Some(_) => Err(Refusal::not_found(Reason::Expired)),
        None => Err(Refusal::not_found(Reason::Forbidden)),
    }
}

/// Whether somebody who was shown to be this user, by a password of that epoch or a token, may read the file, as of which revision;
/// "not authenticated" if they are no longer who they were. The whole decision is one statement, which is one snapshot.
pub(crate) fn user_may(
    connection: &Connection,
    who: (UserId, i64, Option<TokenId>),
    id: &FileId,
    now: Millis,
) -> Result<(Revision, Decided<Sealed>), StoreError> {
    decide(connection, who, id, now, |row| read_entry(row).map(Sealed::new))
}

/// Until when, and of what, if it was allowed.
pub(crate) type Decided<T> = Result<(T, Permit), Refusal>;

/// `read` is asked only of what is allowed.
fn decide<T>(
    connection: &Connection,
    (user, epoch, token): (UserId, i64, Option<TokenId>),
    id: &FileId,
    now: Millis,
    read: impl FnOnce(&Row<'_>) -> Result<T, rusqlite::Error>,
) -> Result<(Revision, Decided<T>), StoreError> {
    let asked = (user.0, id.as_bytes(), token.map(|token| token.0));
    let answer = statement(connection, DECIDE)?.query_row(asked, |row| {
        let revision = Revision(row.get::<_, i64>(ENTRY_COLUMNS)?.unsigned_abs());
        let no = |refusal| Ok((revision, Err(refusal)));
        let enabled: Option<bool> = row.get(ENTRY_COLUMNS + 1)?;
        let Some(enabled) = enabled else {
            return no(Refusal::unauthenticated(Reason::UnknownUser));
        };
        if row.get::<_, i64>(ENTRY_COLUMNS + 2)? != epoch {
            return no(Refusal::unauthenticated(Reason::PasswordChanged));
        }
        if !enabled {
            return no(Refusal::unauthenticated(Reason::DisabledUser));
        }
        let expires: Option<i64> = row.get(ENTRY_COLUMNS + 4)?;
        if token.is_some() && expires.is_none_or(|expires| expires <= now.0) {
            return no(Refusal::unauthenticated(Reason::UnknownToken));
        }
        let role: Role = parse(row, ENTRY_COLUMNS + 3)?;
        let longest: Option<i64> = row.get(ENTRY_COLUMNS + 5)?;
        if row.get_ref(0)? == ValueRef::Null {
            return no(Refusal::not_found(Reason::UnknownFile));
        }
        // What is not for them takes no longer than what there is not.
        let owns = row.get::<_, Option<i64>>(OWNER)? == Some(user.0);
        let permit = match weigh(longest, role, owns, now) {
            Ok(permit) => permit,
            Err(refusal) => return no(refusal),
        };
        let until = earlier(permit.until, expires.map(Millis));
        Ok((revision, Ok((read(row)?, Permit { until }))))
    })?;
    Ok(answer)
}

/// A file that does not exist is looked for among the grants, too, so that it takes the same time. By the user's groups, not by the
/// file's grants: a user is in few groups, a file may be granted to thousands.
const DECIDE: &str = concat!(
    "SELECT ",
    entry_fields!(),
    ", (SELECT max(revision) FROM changes), who.enabled, who.epoch, who.role, \
     (SELECT expires FROM tokens WHERE id = ?3), \
     (SELECT max(coalesce(expires, 9223372036854775807)) FROM (\
        SELECT expires FROM grants WHERE entry = coalesce(e.seq, -1) AND subject = ?1 \
        UNION ALL \
        SELECT g.expires FROM members m CROSS JOIN grants g \
          ON g.entry = coalesce(e.seq, -1) AND g.subject = m.\"group\" WHERE m.user = ?1)) \
     FROM (SELECT 1) LEFT JOIN users who ON who.id = ?1 LEFT JOIN entries e ON e.id = ?2 \
     LEFT JOIN users u ON u.id = e.owner"
);

/// The published file of this ID, sealed.
pub(crate) fn entry(snapshot: &Connection, id: &FileId) -> Result<Option<Sealed>, StoreError> {
    let found = statement(snapshot, concat!(entry_columns!(), " WHERE e.id = ?1"))?
        .query_row([id.as_bytes()], read_entry)
        .optional()?;
    Ok(found.map(Sealed::new))
}

/// The user of exactly this name.
pub(crate) fn user(snapshot: &Connection, name: &str) -> Result<Option<User>, StoreError> {
    let found = statement(snapshot, concat!(user_columns!(), " WHERE name = ?1"))?
        .query_row([name], read_user)
        .optional()?;
    Ok(found)
}

pub(crate) fn user_by_id(snapshot: &Connection, id: UserId) -> Result<Option<User>, StoreError> {
    let found = statement(snapshot, concat!(user_columns!(), " WHERE id = ?1"))?
        .query_row([id.0], read_user)
        .optional()?;
    Ok(found)
}

/// The user whom a principal was, if that is still them: enabled, same password, token alive.
pub(crate) fn authenticated(
    snapshot: &Connection,
    principal: &Principal,
) -> Result<Option<User>, StoreError> {
    let user = user_by_id(snapshot, principal.user)?;
    let user = user.filter(|user| user.enabled && user.epoch == principal.epoch);
    let alive = match principal.token {
        None => true,
        Some(token) => token_expiry(snapshot, token)?.is_some_and(|expires| expires > Millis::now()),
    };
    Ok(user.filter(|_| alive))
}

/// The token of this digest, also when it has expired.
pub(crate) fn token(snapshot: &Connection, digest: &[u8; 32]) -> Result<Option<Token>, StoreError> {
    let found = statement(snapshot, "SELECT id, user, expires FROM tokens WHERE digest = ?1")?
        .query_row([digest], |row| {
            Ok(Token {
                id: TokenId(row.get(0)?),
                user: UserId(row.get(1)?),
                expires: Millis(row.get(2)?),
            })
        })
        .optional()?;
    Ok(found)
}

macro_rules! user_columns {
    () => {
        "SELECT id, name, role, enabled, epoch, password, created FROM users"
    };
}
pub(crate) use user_columns;

pub(crate) fn read_user(row: &Row<'_>) -> Result<User, rusqlite::Error> {
    Ok(User {
        id: UserId(row.get(0)?),
        name: parse(row, 1)?,
        role: parse(row, 2)?,
        enabled: row.get(3)?,
        epoch: row.get(4)?,
        record: row.get(5)?,
        created: Millis(row.get(6)?),
    })
}

macro_rules! entry_columns {
    () => {
        concat!(
            "SELECT ",
            $crate::store::decide::entry_fields!(),
            " FROM entries e LEFT JOIN users u ON u.id = e.owner"
        )
    };
}
pub(crate) use entry_columns;

pub(crate) fn read_entry(row: &Row<'_>) -> Result<Entry, rusqlite::Error> {
    let owner: Option<i64> = row.get(OWNER)?;
    let path = row.get_ref(3)?.as_blob()?;
    Ok(Entry {
        seq: EntrySeq(row.get(0)?),
        id: FileId::from_bytes(row.get(1)?),
        root: parse(row, 2)?,
        path: beneath::RelPath::parse(path).map_err(|error| unreadable(3, error))?,
        owner: owner
            .map(|id| parse(row, 5).map(|name| (UserId(id), name)))
            .transpose()?,
        name: row.get_ref(6)?.as_blob()?.into(),
        media_type: row.get(7)?,
        size: row.get(8)?,
        pin: parse::<Pin>(row, 9)?,
        fingerprint: row.get_ref(10)?.as_blob_or_null()?.map(Into::into),
        digest: row.get(11)?,
        created: Millis(row.get(12)?),
        version: row.get(13)?,
        verity: row.get_ref(14)?.as_blob_or_null()?.map(Into::into),
        disposition: parse::<Disposition>(row, 15)?,
        caching: parse::<Caching>(row, 16)?,
        derived: Derived::default(),
    })
}

/// What was parsed on its way in is parsed on its way out: another program may have written it.
pub(crate) fn parse<T>(row: &Row<'_>, column: usize) -> Result<T, rusqlite::Error>
where
    T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    let text = row.get_ref(column)?.as_str()?;
    text.parse().map_err(|error| unreadable(column, error))
}

fn unreadable(column: usize, error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Null, Box::new(error))
}

fn earlier(one: Option<Millis>, other: Option<Millis>) -> Option<Millis> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
