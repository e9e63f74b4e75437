//! Users: added, changed, disabled, removed, listed.

use std::collections::HashSet;
use std::time::SystemTime;

use rusqlite::Connection;

use super::{Acting, Administration, Change, Listing, Page, Takes};
use crate::credential::Password;
use crate::credential::record::Stored;
use crate::error::{AdminError, AdminErrorKind};
use crate::store::{Millis, audit, decide, users};
use crate::subject::{GroupName, Principal, Role, UserId, UserName};

/// A user, for whoever administers users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    name: UserName,
    role: Role,
    enabled: bool,
    created: Millis,
    groups: Vec<GroupName>,
    version: u64,
}

impl Administration<'_> {
    /// Adds a user, who may at once log in.
    ///
    /// # Errors
    ///
    /// [`AdminErrorKind::AlreadyExists`], also for a name that differs from another one's in letter case only.
    pub fn add_user(
        &self,
        name: &UserName,
        password: &Password,
        role: Role,
    ) -> Result<Change<()>, AdminError> {
        let object = format!("user:{name} {role}");
        // First of all: to hash a password is work.
        self.permitted(Role::Admin, "user.add", &object, |_, _| Ok(()))?;
        let record = self.record(password)?;
        self.act(Role::Admin, "user.add", &object, Takes::Nothing, |writing, _| {
            users::add(writing, name, &record, role)
        })
    }

    /// Gives a user another password. What rests on the old one falls: leases, tokens.
    ///
    /// For administrators; for oneself there is [`set_own_password`](Self::set_own_password).
    ///
    /// # Errors
    ///
    /// [`AdminErrorKind::NotFound`], also for anyone but an administrator; [`AdminErrorKind::Refused`] for oneself.
    pub fn set_password(&self, name: &UserName, password: &Password) -> Result<Change<()>, AdminError> {
        self.replace_password(name, password, |writing, acting| {
            let user = users::find(writing, name)?;
            if acting.user == Some(user) {
                return Err(AdminError::refused("one's own password is changed by showing it"));
            }
            match acting.role {
                Role::Admin => self.expected_user(writing, name),
                _ => Err(AdminError::not_found(format_args!("user:{name}"))),
            }
        })
    }

    /// Gives the actor another password; `shown` is what [`authenticate`](crate::Catalog::authenticate) made of the present one.
    ///
    /// # Security
    ///
    /// A token is not enough: whoever stole it would have the user for ever, and not until it ends.
    ///
    /// # Errors
    ///
    /// [`AdminErrorKind::Refused`] if `shown` is somebody else, or came with a token, or the password was changed since.
    pub fn set_own_password(&self, shown: &Principal, password: &Password) -> Result<Change<()>, AdminError> {
        self.replace_password(&shown.name, password, |writing, acting| {
            let user = decide::authenticated(writing, shown)?.map(|user| user.id);
            match user {
                Some(user) if shown.token.is_none() && acting.user == Some(user) => {
                    self.expected_user(writing, &shown.name)
                }
                _ => Err(AdminError::refused(
                    "the password that was shown is not the actor's",
                )),
            }
        })
    }

    /// `whose` allows it, too.
    fn replace_password(
        &self,
        name: &UserName,
        password: &Password,
        whose: impl Fn(&Connection, &Acting) -> Result<UserId, AdminError>,
    ) -> Result<Change<()>, AdminError> {
        let object = format!("user:{name}");
        self.permitted(Role::Reader, "user.password", &object, |snapshot, acting| {
            whose(snapshot, acting).map(drop)
        })?;
        let record = self.record(password)?;
        self.act(
            Role::Reader,
            "user.password",
            &object,
            Takes::Rights,
            |writing, acting| users::set_password(writing, whose(writing, acting)?, &record),
        )
    }

    /// Gives a user another role.
    ///
    /// # Errors
    ///
    /// [`AdminErrorKind::NotFound`].
    pub fn set_role(&self, name: &UserName, role: Role) -> Result<Change<()>, AdminError> {
        self.act(
            Role::Admin,
            "user.role",
            &format!("user:{name} {role}"),
            Takes::Rights,
            |writing, _| users::set_role(writing, self.expected_user(writing, name)?, role),
        )
    }

    /// Takes all of a user's rights away, until they are enabled again.
    ///
    /// # Errors
    ///
    /// [`AdminErrorKind::NotFound`].
    pub fn disable_user(&self, name: &UserName) -> Result<Change<()>, AdminError> {
        self.act(
            Role::Admin,
            "user.disable",
            &format!("user:{name}"),
            Takes::Rights,
            |writing, _| users::set_enabled(writing, self.expected_user(writing, name)?, false),
        )
    }

    /// Gives a disabled user their rights back.
    ///
    /// # Errors
    ///
    /// [`AdminErrorKind::NotFound`].
    pub fn enable_user(&self, name: &UserName) -> Result<Change<()>, AdminError> {
        self.act(
            Role::Admin,
            "user.enable",
            &format!("user:{name}"),
            Takes::Nothing,
            |writing, _| users::set_enabled(writing, self.expected_user(writing, name)?, true),
        )
    }

    /// Removes a user with their grants, memberships, tokens and links.
    ///
    /// # Errors
    ///
    /// [`AdminErrorKind::NotFound`]; [`AdminErrorKind::InUse`] while they own published files.
    pub fn remove_user(&self, name: &UserName) -> Result<Change<()>, AdminError> {
        self.act(
            Role::Admin,
            "user.remove",
            &format!("user:{name}"),
            Takes::Rights,
            |writing, _| {
                let user = self.expected_user(writing, name)?;
                match users::owned_files(writing, user)? {
                    0 => users::remove(writing, user),
                    owned => Err(AdminError::new(
                        AdminErrorKind::InUse,
                        format!(
                            "user:{name} owns {owned} published files: unpublish them, or disable the user"
                        ),
                    )),
                }
            },
        )
    }

    /// Adds the users of an htpasswd(5) file, all or none: bcrypt, SHA-crypt, apr1 and {SHA} records, replaced by argon2id
    /// ones at the first login. Empty lines and lines that begin with `#` are skipped. Returns the names.
    ///
    /// Until that login, how long a wrong password takes to be refused tells the kind of the record.
    ///
    /// # Errors
    ///
    /// [`AdminErrorKind::Invalid`] with the field `htpasswd` for a line that cannot be taken, which is named by its
    /// number; [`AdminErrorKind::AlreadyExists`].
    pub fn import_htpasswd(&self, text: &str, role: Role) -> Result<Change<Vec<UserName>>, AdminError> {
        let users = parse_htpasswd(text)?;
        let object = format!("{} users as {role}", users.len());
        self.act(
            Role::Admin,
            "user.import",
            &object,
            Takes::Nothing,
            |writing, acting| {
                for (name, record) in &users {
                    users::add(writing, name, record, role)?;
                    audit::act(writing, acting, "user.add", &format!("user:{name} {role}"))?;
                }
                Ok(users.into_iter().map(|(name, _)| name).collect())
            },
        )
    }

    /// The users, newest first.
    ///
    /// # Errors
    ///
    /// [`AdminErrorKind::Refused`] for anyone but an administrator.
    pub fn users(&self, page: Page) -> Result<Listing<Account>, AdminError> {
        self.ask(Role::Admin, |snapshot, _| {
            let listing = Listing::of(users::list(snapshot, page)?, page, |user| user.id.0);
            let accounts = listing.items.into_iter().map(|user| account(snapshot, user));
            Ok(Listing {
                items: accounts.collect::<Result<_, _>>()?,
                next: listing.next,
            })
        })
    }

    /// One user: anyone for an administrator, otherwise the actor.
    ///
    /// # Errors
    ///
    /// [`AdminErrorKind::NotFound`].
    pub fn user(&self, name: &UserName) -> Result<Account, AdminError> {
        self.ask(Role::Reader, |snapshot, acting| {
            let user = decide::user(snapshot, name.as_str())?
                .filter(|user| acting.role == Role::Admin || acting.user == Some(user.id))
                .ok_or_else(|| AdminError::not_found(format_args!("user:{name}")))?;
            account(snapshot, user)
        })
    }

    /// The user, at the version that was named.
    fn expected_user(&self, snapshot: &Connection, name: &UserName) -> Result<UserId, AdminError> {
        let user = decide::user(snapshot, name.as_str())?
            .ok_or_else(|| AdminError::not_found(format_args!("user:{name}")))?;
        self.expect(format_args!("user:{name}"), || {
            Ok(users::version(&user, &users::groups_of(snapshot, user.id)?))
        })?;
        Ok(user.id)
    }

    pub(super) fn record(&self, password: &Password) -> Result<String, AdminError> {
        let busy = |_| AdminError::new(AdminErrorKind::Busy, "too many passwords are being hashed");
        let failed = |error: crate::credential::record::RecordError| {
            AdminError::new(AdminErrorKind::Unavailable, error.0)
        };
        let record = self
            .catalog
            .authenticator
            .hashing
            .record(password.reveal().as_bytes())
            .map_err(busy)?;
        Ok(record.map_err(failed)?.to_string())
    }
}

fn parse_htpasswd(text: &str) -> Result<Vec<(UserName, &str)>, AdminError> {
    // As editors of other systems begin a file.
    let text = text.trim_start_matches('\u{feff}');
    let lines = text.lines().map(str::trim_end).enumerate();
    let mut names = HashSet::new();
    lines
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(index, line)| {
            let invalid = |reason: &dyn std::fmt::Display| {
                AdminError::invalid("htpasswd", format_args!("line {}: {reason}", index + 1))
            };
            let (name, record) = line.split_once(':').ok_or_else(|| invalid(&"has no colon"))?;
            let name: UserName = name.parse().map_err(|error: crate::ParseError| invalid(&error))?;
            if !names.insert(name.clone()) {
                return Err(invalid(&format_args!("user:{name} is there twice")));
            }
            Stored::parse(record)
                .map_err(|error| invalid(&format_args!("the record of {name} {}", error.0)))?;
            Ok((name, record))
        })
        .collect()
}

fn account(snapshot: &Connection, user: decide::User) -> Result<Account, AdminError> {
    let groups = users::groups_of(snapshot, user.id)?;
    Ok(Account {
        version: users::version(&user, &groups),
        groups,
        name: user.name,
        role: user.role,
        enabled: user.enabled,
        created: user.created,
    })
}

impl Account {
    /// The name.
    pub const fn name(&self) -> &UserName {
        &self.name
    }

    /// The role.
    pub const fn role(&self) -> Role {
        self.role
    }

    /// Whether they may log in; for display, not for decisions.
    pub const fn enabled(&self) -> bool {
        self.enabled
    }

    /// When they were added.
    pub fn created(&self) -> SystemTime {
        self.created.to_system_time()
    }

    /// The groups they are in, by name.
    pub fn groups(&self) -> &[GroupName] {
        &self.groups
    }

    /// Names the state they are in, for [`Administration::at_version`]: another one for another password, role or group, and
    /// for whoever is added later under the same name. It does not grow.
    pub const fn version(&self) -> u64 {
        self.version
    }
}
