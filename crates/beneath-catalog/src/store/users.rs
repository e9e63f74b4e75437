//! Users, groups, memberships and tokens.

use rusqlite::{Connection, OptionalExtension as _, Row};

use super::decide::{User, read_user, user_columns};
use super::{Millis, StoreError, keeps_in_urls, statement};
use crate::administration::{Group, Page};
use crate::error::AdminError;
use crate::subject::{GroupName, Role, Subject, UserId, UserName, uniqueness_key};

pub(crate) fn add(writing: &Connection, name: &UserName, record: &str, role: Role) -> Result<(), AdminError> {
    let uniqueness = uniqueness_key(name.as_str());
    let taken = "SELECT name FROM users WHERE uniqueness = ?1";
    if let Some(other) = name_of(writing, taken, &uniqueness)? {
        return Err(AdminError::exists(format_args!("user:{other}")));
    }
    let id = add_subject(writing, "user", name.as_str())?;
    let sql = "INSERT INTO users (id, name, uniqueness, role, enabled, password, epoch, created) \
               VALUES (?1, ?2, ?3, ?4, 1, ?5, 1, ?6)";
    let row = (
        id,
        name.as_str(),
        uniqueness,
        role.as_str(),
        record,
        Millis::now().0,
    );
    statement(writing, sql)?.execute(row)?;
    Ok(())
}

pub(crate) fn set_password(writing: &Connection, user: UserId, record: &str) -> Result<(), AdminError> {
    let sql = "UPDATE users SET password = ?2, epoch = epoch + 1 WHERE id = ?1";
    statement(writing, sql)?.execute((user.0, record))?;
    // Whoever learnt the old password may have made tokens with it.
    remove_tokens(writing, user)?;
    Ok(())
}

/// The same password in another record, if that is still `old`.
pub(crate) fn rehash(writing: &Connection, user: UserId, old: &str, new: &str) -> Result<(), StoreError> {
    let sql = "UPDATE users SET password = ?3 WHERE id = ?1 AND password = ?2";
    statement(writing, sql)?.execute((user.0, old, new))?;
    Ok(())
}

pub(crate) fn set_role(writing: &Connection, user: UserId, role: Role) -> Result<(), AdminError> {
    statement(writing, "UPDATE users SET role = ?2 WHERE id = ?1")?.execute((user.0, role.as_str()))?;
    Ok(())
}

pub(crate) fn set_enabled(writing: &Connection, user: UserId, enabled: bool) -> Result<(), AdminError> {
    statement(writing, "UPDATE users SET enabled = ?2 WHERE id = ?1")?.execute((user.0, enabled))?;
    if !enabled {
        remove_tokens(writing, user)?;
    }
    Ok(())
}

pub(crate) fn owned_files(snapshot: &Connection, user: UserId) -> Result<u64, StoreError> {
    let sql = "SELECT count(*) FROM entries WHERE owner = ?1";
    Ok(statement(snapshot, sql)?.query_row([user.0], |row| row.get(0))?)
}

/// A user or a group, with everything that hangs on it.
pub(crate) fn remove(writing: &Connection, subject: UserId) -> Result<(), AdminError> {
    let sql =
        "UPDATE entries SET version = version + 1 WHERE seq IN (SELECT entry FROM grants WHERE subject = ?1)";
    statement(writing, sql)?.execute([subject.0])?;
    statement(writing, "DELETE FROM subjects WHERE id = ?1")?.execute([subject.0])?;
    Ok(())
}

pub(crate) fn list(snapshot: &Connection, page: Page) -> Result<Vec<User>, StoreError> {
    let sql = concat!(user_columns!(), " WHERE id < ?1 ORDER BY id DESC LIMIT ?2");
    let mut statement = statement(snapshot, sql)?;
    let users = statement.query_map((page.before.0, page.limit + 1), read_user)?;
    Ok(users.collect::<Result<_, _>>()?)
}

pub(crate) fn find(snapshot: &Connection, name: &UserName) -> Result<UserId, AdminError> {
    id_of(snapshot, "SELECT id FROM users WHERE name = ?1", name.as_str())?
        .ok_or_else(|| AdminError::not_found(format_args!("user:{name}")))
}

pub(crate) fn find_group(snapshot: &Connection, name: &GroupName) -> Result<UserId, AdminError> {
    id_of(snapshot, "SELECT id FROM groups WHERE name = ?1", name.as_str())?
        .ok_or_else(|| AdminError::not_found(format_args!("group:{name}")))
}

pub(crate) fn find_subject(snapshot: &Connection, subject: &Subject) -> Result<UserId, AdminError> {
    match subject {
        Subject::Group(name) => find_group(snapshot, name),
        Subject::User(name) => find(snapshot, name),
    }
}

pub(crate) fn add_group(writing: &Connection, name: &GroupName) -> Result<(), AdminError> {
    let uniqueness = uniqueness_key(name.as_str());
    let taken = "SELECT name FROM groups WHERE uniqueness = ?1";
    if let Some(other) = name_of(writing, taken, &uniqueness)? {
        return Err(AdminError::exists(format_args!("group:{other}")));
    }
    let id = add_subject(writing, "group", name.as_str())?;
    let sql = "INSERT INTO groups (id, name, uniqueness, created) VALUES (?1, ?2, ?3, ?4)";
    statement(writing, sql)?.execute((id, name.as_str(), uniqueness, Millis::now().0))?;
    Ok(())
}

pub(crate) fn join(writing: &Connection, user: UserId, group: UserId) -> Result<(), AdminError> {
    let sql = "INSERT INTO members (user, \"group\") VALUES (?1, ?2) ON CONFLICT DO NOTHING";
    statement(writing, sql)?.execute((user.0, group.0))?;
    Ok(())
}

pub(crate) fn leave(writing: &Connection, user: UserId, group: UserId) -> Result<usize, StoreError> {
    let sql = "DELETE FROM members WHERE user = ?1 AND \"group\" = ?2";
    Ok(statement(writing, sql)?.execute((user.0, group.0))?)
}

pub(crate) fn groups_of(snapshot: &Connection, user: UserId) -> Result<Vec<GroupName>, StoreError> {
    let sql =
        "SELECT name FROM groups WHERE id IN (SELECT \"group\" FROM members WHERE user = ?1) ORDER BY name";
    let mut statement = statement(snapshot, sql)?;
    let names = statement.query_map([user.0], |row| super::decide::parse(row, 0))?;
    Ok(names.collect::<Result<_, _>>()?)
}

/// A number for the state of a user and of their memberships: what was granted to them, and what they own, is not part of it.
pub(crate) fn version(user: &User, groups: &[GroupName]) -> u64 {
    let mut state = blake3::Hasher::new();
    state.update(&user.id.0.to_le_bytes());
    state.update(&user.epoch.to_le_bytes());
    state.update(&[user.role as u8, user.enabled.into()]);
    for group in groups {
        // No name has one in it.
        state.update(group.as_str().as_bytes()).update(b"\0");
    }
    number(&state)
}

/// The same for a group and who is in it.
pub(crate) fn group_version(snapshot: &Connection, group: UserId) -> Result<u64, StoreError> {
    let mut state = blake3::Hasher::new();
    state.update(&group.0.to_le_bytes());
    let sql = "SELECT user FROM members WHERE \"group\" = ?1 ORDER BY user";
    let mut statement = statement(snapshot, sql)?;
    let members = statement.query_map([group.0], |row| row.get(0))?;
    for member in members {
        let member: i64 = member?;
        state.update(&member.to_le_bytes());
    }
    Ok(number(&state))
}

/// Of those that the version of a file can be, too: never 0, and not above the largest that SQLite has.
fn number(state: &blake3::Hasher) -> u64 {
    let mut number = [0; 8];
    state.finalize_xof().fill(&mut number);
    (u64::from_le_bytes(number) >> 1).max(1)
}

pub(crate) fn groups(snapshot: &Connection, page: Page) -> Result<Vec<(UserId, Group)>, StoreError> {
    let sql = "SELECT id, name, created FROM groups WHERE id < ?1 ORDER BY id DESC LIMIT ?2";
    let mut statement = statement(snapshot, sql)?;
    let groups = statement.query_map((page.before.0, page.limit + 1), |row| {
        Ok((UserId(row.get(0)?), read_group(row)?))
    })?;
    Ok(groups.collect::<Result<_, _>>()?)
}

pub(crate) fn group(snapshot: &Connection, group: UserId) -> Result<Option<Group>, StoreError> {
    let sql = "SELECT id, name, created FROM groups WHERE id = ?1";
    Ok(statement(snapshot, sql)?
        .query_row([group.0], read_group)
        .optional()?)
}

fn read_group(row: &Row<'_>) -> Result<Group, rusqlite::Error> {
    Ok(Group {
        name: super::decide::parse(row, 1)?,
        created: Millis(row.get(2)?).to_system_time(),
    })
}

pub(crate) fn members(
    snapshot: &Connection,
    group: UserId,
    page: Page,
) -> Result<Vec<(UserId, UserName)>, StoreError> {
    let sql = "SELECT u.id, u.name FROM members m JOIN users u ON u.id = m.user \
               WHERE m.\"group\" = ?1 AND m.user < ?2 ORDER BY m.user DESC LIMIT ?3";
    let mut statement = statement(snapshot, sql)?;
    let members = statement.query_map((group.0, page.before.0, page.limit + 1), |row| {
        Ok((UserId(row.get(0)?), super::decide::parse(row, 1)?))
    })?;
    Ok(members.collect::<Result<_, _>>()?)
}

/// How many tokens of one user may be alive.
const MAX_TOKENS: usize = 1000;

pub(crate) fn add_token(
    writing: &Connection,
    user: UserId,
    digest: &[u8; 32],
    created: Millis,
    expires: Millis,
) -> Result<(), AdminError> {
    // Those that have expired are nobody's any more.
    statement(writing, "DELETE FROM tokens WHERE user = ?1 AND expires <= ?2")?
        .execute((user.0, created.0))?;
    // Of too many, those go that would end first.
    let sql = "DELETE FROM tokens WHERE id IN \
               (SELECT id FROM tokens WHERE user = ?1 ORDER BY expires DESC, id DESC LIMIT -1 OFFSET ?2)";
    statement(writing, sql)?.execute((user.0, MAX_TOKENS - 1))?;
    let sql = "INSERT INTO tokens (digest, user, created, expires) VALUES (?1, ?2, ?3, ?4)";
    statement(writing, sql)?.execute((digest, user.0, created.0, expires.0))?;
    Ok(())
}

/// The token of this digest, if it is `of`'s, or anyone's if `of` is `None`.
pub(crate) fn remove_token(
    writing: &Connection,
    digest: &[u8; 32],
    of: Option<UserId>,
) -> Result<usize, StoreError> {
    let sql = "DELETE FROM tokens WHERE digest = ?1 AND (?2 IS NULL OR user = ?2)";
    Ok(statement(writing, sql)?.execute((digest, of.map(|user| user.0)))?)
}

pub(crate) fn remove_tokens(writing: &Connection, user: UserId) -> Result<usize, StoreError> {
    Ok(statement(writing, "DELETE FROM tokens WHERE user = ?1")?.execute([user.0])?)
}

fn add_subject(writing: &Connection, kind: &str, name: &str) -> Result<i64, AdminError> {
    keeps_in_urls(name.as_bytes())?;
    let sql = "INSERT INTO subjects (kind) VALUES (?1) RETURNING id";
    Ok(statement(writing, sql)?.query_row([kind], |row| row.get(0))?)
}

fn id_of(snapshot: &Connection, sql: &str, name: &str) -> Result<Option<UserId>, StoreError> {
    let found = statement(snapshot, sql)?
        .query_row([name], |row| row.get(0))
        .optional()?;
    Ok(found.map(UserId))
}

fn name_of(snapshot: &Connection, sql: &str, key: &str) -> Result<Option<String>, StoreError> {
    Ok(statement(snapshot, sql)?
        .query_row([key], |row| row.get(0))
        .optional()?)
}

#[cfg(test)]
mod tests {
    use super::super::{Missing, Store, decide};
    use super::*;

    #[test]
    fn a_password_that_was_changed_while_the_old_one_was_hashed_anew_stays() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("catalog.db"), Missing::Create).unwrap();
        let ann = "ann".parse().unwrap();
        let changed = store.write(|writing| {
            add(writing, &ann, "imported", Role::Reader)?;
            let user = find(writing, &ann)?;
            rehash(writing, user, "imported", "hashed anew")?;
            set_password(writing, user, "changed")?;
            Ok(rehash(writing, user, "imported", "hashed anew")?)
        });
        changed.unwrap();
        let found = store.read(|snapshot| decide::user(snapshot, "ann")).unwrap();
        assert_eq!(&*found.unwrap().record, "changed");
    }
}
