//! Groups: added, removed, joined, left, listed.

use std::time::SystemTime;

use rusqlite::Connection;

use super::{Administration, Change, Listing, Page, Takes};
use crate::error::AdminError;
use crate::store::users;
use crate::subject::{GroupName, Role, UserId, UserName};

/// A group, for whoever administers groups.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Group {
    /// Its name.
    pub name: GroupName,
    /// When it was added.
    pub created: SystemTime,
}

impl Administration<'_> {
    /// Adds an empty group.
    ///
    /// # Errors
    ///
    /// [`AlreadyExists`](crate::AdminErrorKind::AlreadyExists), also for a name that differs in letter case only.
    pub fn add_group(&self, name: &GroupName) -> Result<Change<()>, AdminError> {
        self.act(
            Role::Admin,
            "group.add",
            &format!("group:{name}"),
            Takes::Nothing,
            |writing, _| users::add_group(writing, name),
        )
    }

    /// Removes a group with all grants to it.
    ///
    /// # Errors
    ///
    /// [`NotFound`](crate::AdminErrorKind::NotFound).
    pub fn remove_group(&self, name: &GroupName) -> Result<Change<()>, AdminError> {
        self.act(
            Role::Admin,
            "group.remove",
            &format!("group:{name}"),
            Takes::Rights,
            |writing, _| users::remove(writing, self.expected_group(writing, name)?),
        )
    }

    /// Puts a user into a group; if they are in it, nothing changes.
    ///
    /// # Errors
    ///
    /// [`NotFound`](crate::AdminErrorKind::NotFound), which names the missing one.
    pub fn join_group(&self, group: &GroupName, user: &UserName) -> Result<Change<()>, AdminError> {
        let object = format!("group:{group} user:{user}");
        self.act(
            Role::Admin,
            "group.join",
            &object,
            Takes::Nothing,
            |writing, _| {
                users::join(
                    writing,
                    users::find(writing, user)?,
                    self.expected_group(writing, group)?,
                )
            },
        )
    }

    /// Takes a user out of a group; see also [`absent_is_done`](Self::absent_is_done).
    ///
    /// # Errors
    ///
    /// [`NotFound`](crate::AdminErrorKind::NotFound), also if they are not in it.
    pub fn leave_group(&self, group: &GroupName, user: &UserName) -> Result<Change<()>, AdminError> {
        let object = format!("group:{group} user:{user}");
        self.act(
            Role::Admin,
            "group.leave",
            &object,
            Takes::Rights,
            |writing, _| match users::leave(
                writing,
                users::find(writing, user)?,
                self.expected_group(writing, group)?,
            )? {
                0 if self.absent_is_done => Ok(()),
                0 => Err(AdminError::not_found(format_args!(
                    "user:{user} in group:{group}"
                ))),
                _ => Ok(()),
            },
        )
    }

    /// The groups, newest first.
    ///
    /// # Errors
    ///
    /// [`Refused`](crate::AdminErrorKind::Refused) for anyone but an administrator.
    pub fn groups(&self, page: Page) -> Result<Listing<Group>, AdminError> {
        self.ask(Role::Admin, |snapshot, _| {
            let groups = Listing::of(users::groups(snapshot, page)?, page, |(id, _)| id.0);
            Ok(Listing {
                items: groups.items.into_iter().map(|(_, group)| group).collect(),
                next: groups.next,
            })
        })
    }

    /// One group.
    ///
    /// # Errors
    ///
    /// [`NotFound`](crate::AdminErrorKind::NotFound); [`Refused`](crate::AdminErrorKind::Refused) for anyone but an
    /// administrator.
    pub fn group(&self, name: &GroupName) -> Result<Group, AdminError> {
        self.ask(Role::Admin, |snapshot, _| {
            let group = users::group(snapshot, users::find_group(snapshot, name)?)?;
            group.ok_or_else(|| AdminError::not_found(format_args!("group:{name}")))
        })
    }

    /// Names the state a group is in, for [`at_version`](Self::at_version): another one for other members, and for what is added
    /// later under the same name. It does not grow.
    ///
    /// # Errors
    ///
    /// As [`group`](Self::group).
    pub fn group_version(&self, name: &GroupName) -> Result<u64, AdminError> {
        self.ask(Role::Admin, |snapshot, _| {
            Ok(users::group_version(
                snapshot,
                users::find_group(snapshot, name)?,
            )?)
        })
    }

    /// Who is in a group, those added to the catalog last first.
    ///
    /// # Errors
    ///
    /// As [`group`](Self::group).
    pub fn members(&self, name: &GroupName, page: Page) -> Result<Listing<UserName>, AdminError> {
        self.ask(Role::Admin, |snapshot, _| {
            let group = users::find_group(snapshot, name)?;
            let members = Listing::of(users::members(snapshot, group, page)?, page, |(id, _)| id.0);
            Ok(Listing {
                items: members.items.into_iter().map(|(_, user)| user).collect(),
                next: members.next,
            })
        })
    }

    /// The group, at the version that was named.
    fn expected_group(&self, snapshot: &Connection, name: &GroupName) -> Result<UserId, AdminError> {
        let group = users::find_group(snapshot, name)?;
        self.expect(format_args!("group:{name}"), || {
            users::group_version(snapshot, group)
        })?;
        Ok(group)
    }
}
