//! [`Administration`]: acts that change who may have what. Each is one transaction in which the actor's role is looked
//! up, the change is made, and the audit trail is written.

mod draft;
mod files;
mod groups;
mod links;
mod records;
mod tokens;
mod users;

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use beneath::AmbientAuthority;

pub use files::{Amendment, Grant, Publication, Published};
pub use groups::Group;
pub use links::{Link, LinkId, NewLink};
pub use records::AuditRecord;
pub use tokens::NewToken;
pub use users::Account;

use crate::catalog::Catalog;
use crate::error::{AdminError, AdminErrorKind, ParseError};
use crate::store::{Millis, Revision, Store, StoreError, Writing, audit, decide, servers};
use crate::subject::{Principal, Role, UserId};
use crate::trail::{self, Event, Object, Sent, Why};

/// The right to try to change the catalog, as somebody.
///
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let store = beneath_catalog::StoreUrl::sqlite(dir.path().join("catalog.db"));
/// # let catalog = beneath_catalog::Catalog::create(&store, [], Default::default())?;
/// use beneath_catalog::Role;
///
/// let operator = catalog.operator(beneath::ambient_authority());
/// operator.add_user(&"ann".parse()?, &"correct horse".parse()?, Role::Reader)?;
/// let change = operator.disable_user(&"ann".parse()?)?;
/// assert_eq!(change.unanswered(), 0); // it is effective wherever the catalog is served
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Administration<'a> {
    catalog: &'a Catalog,
    actor: Actor,
    versions: Option<Box<[u64]>>,
    absent_is_done: bool,
}

#[derive(Clone, Debug)]
enum Actor {
    /// Whoever may write the store anyway.
    Operator,
    User(Principal),
}

/// An administrative change: on the disk, and effective.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a change that some server did not acknowledge in time took effect by its losing the right to decide"]
pub struct Change<T> {
    value: T,
    revision: Revision,
    unanswered: usize,
}

/// Where a page of a list begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    pub(crate) before: Cursor,
    pub(crate) limit: usize,
}

/// A place in a list, as text: to be given back, not to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor(pub(crate) i64);

/// A page of a list, newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Listing<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// Where the next one begins, if there is one.
    pub next: Option<Cursor>,
}

/// Who acts, as of the transaction that acts.
pub(crate) struct Acting {
    pub(crate) user: Option<UserId>,
    pub(crate) role: Role,
    pub(crate) name: String,
    pub(crate) address: Option<IpAddr>,
}

/// Whether a change can take a right away from somebody; then it returns when it is effective everywhere.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Takes {
    Nothing,
    Rights,
}

impl Catalog {
    /// Administration by whoever may write the store: the command line.
    ///
    /// # Ambient authority
    ///
    /// The operating system's permissions on the store are the check. Never hand this to a request.
    pub const fn operator(&self, _: AmbientAuthority) -> Administration<'_> {
        Administration {
            catalog: self,
            actor: Actor::Operator,
            versions: None,
            absent_is_done: false,
        }
    }

    /// Administration by a user. What they may is looked up in each act, in the transaction that acts.
    pub fn administration(&self, principal: &Principal) -> Administration<'_> {
        Administration {
            catalog: self,
            actor: Actor::User(principal.clone()),
            versions: None,
            absent_is_done: false,
        }
    }
}

impl Administration<'_> {
    /// The same, but changes are made only while what they change is at one of these versions (`If-Match`, RFC 9110 §13.1.1):
    /// [of a published file](crate::Entry::version) to unpublish, change, grant and revoke it, [of a user](Account::version) to
    /// remove them and to change their password, their role and whether they are enabled, [of a
    /// group](Administration::group_version) to remove, join and leave it. Otherwise they are
    /// [`Stale`](AdminErrorKind::Stale), and nothing is lost that somebody else changed meanwhile.
    #[must_use]
    pub fn at_version(mut self, versions: impl IntoIterator<Item = u64>) -> Self {
        self.versions = Some(versions.into_iter().collect());
        self
    }

    /// The same, but to revoke what is not granted, and to take out of a group who is not in it, is done already: then
    /// it only returns when that is effective everywhere. So whoever never got the answer may ask again.
    #[must_use]
    pub const fn absent_is_done(mut self) -> Self {
        self.absent_is_done = true;
        self
    }

    /// Whether the act may be tried, as far as that is a matter of role and of what `ask` says, before anything is done for it
    /// that costs or tells something. [`act`](Self::act) decides.
    fn permitted(
        &self,
        needs: Role,
        event: &'static str,
        object: &dyn fmt::Display,
        ask: impl FnOnce(&rusqlite::Connection, &Acting) -> Result<(), AdminError>,
    ) -> Result<(), AdminError> {
        let permitted = self.actor.may_write().and_then(|()| self.ask(needs, ask));
        permitted.inspect_err(|error| self.record_failure(event, object, error))
    }

    /// One act: may they, do it, write it down; all or nothing.
    fn act<T>(
        &self,
        needs: Role,
        event: &'static str,
        object: &dyn fmt::Display,
        takes: Takes,
        act: impl FnOnce(&Writing<'_>, &Acting) -> Result<T, AdminError>,
    ) -> Result<Change<T>, AdminError> {
        self.act_on(needs, event, object, takes, |writing, acting| {
            let value = act(writing, acting)?;
            audit::act(writing, acting, event, object)?;
            Ok(value)
        })
    }

    /// An act that writes itself down, when it knows on what.
    fn act_on<T>(
        &self,
        needs: Role,
        event: &'static str,
        object: &dyn fmt::Display,
        takes: Takes,
        act: impl FnOnce(&Writing<'_>, &Acting) -> Result<T, AdminError>,
    ) -> Result<Change<T>, AdminError> {
        let done = self.actor.may_write().and_then(|()| {
            self.catalog.store.write(|writing| {
                let acting = self.actor.acting(writing, needs)?;
                act(writing, &acting)
            })
        });
        let (value, revision) = done.inspect_err(|error| self.record_failure(event, object, error))?;
        let unanswered = match takes {
            Takes::Nothing => 0,
            Takes::Rights => self.settle(revision),
        };
        Ok(Change {
            value,
            revision,
            unanswered,
        })
    }

    /// What a user tried and was not done. The operator is told by the command that failed.
    fn record_failure(&self, event: &'static str, object: &dyn fmt::Display, error: &AdminError) {
        let (Actor::User(principal), Some(serving)) = (&self.actor, self.catalog.running()) else {
            return;
        };
        serving.trail.add(Event {
            at: Millis::now(),
            actor: trail::Actor::User(principal.name.clone()),
            event,
            object: Object::Text(object.to_string()),
            revision: serving.feed.revision(),
            outcome: match error.kind() {
                AdminErrorKind::Refused | AdminErrorKind::TokenRequired => "refused",
                _ => "failed",
            },
            reason: Some(Why::Failed(error.kind())),
            sent: Sent::None,
            address: principal.address,
        });
    }

    /// Goes on only at a version that was named, if any was. Asked in the transaction that acts.
    fn expect(
        &self,
        object: fmt::Arguments<'_>,
        version: impl FnOnce() -> Result<u64, StoreError>,
    ) -> Result<(), AdminError> {
        let Some(named) = &self.versions else {
            return Ok(());
        };
        let version = version()?;
        match named.contains(&version) {
            true => Ok(()),
            false => Err(AdminError::new(
                AdminErrorKind::Stale,
                format!("{object} was changed since: it is at version {version}"),
            )),
        }
    }

    /// A question, asked of one snapshot.
    fn ask<T>(
        &self,
        needs: Role,
        ask: impl FnOnce(&rusqlite::Connection, &Acting) -> Result<T, AdminError>,
    ) -> Result<T, AdminError> {
        self.catalog.store.read(|snapshot| {
            let acting = self.actor.acting(snapshot, needs)?;
            ask(snapshot, &acting)
        })
    }

    /// Returns when the change is effective: in this process at once, elsewhere when acknowledged or when the bound
    /// has passed.
    ///
    /// Never an error: the change is made. If the store cannot say who has acknowledged it, that is waited out.
    fn settle(&self, revision: Revision) -> usize {
        let store: &Store = &self.catalog.store;
        let feed = self.catalog.running_feed();
        let passed = feed.is_none_or(|feed| feed.poll().is_ok());
        // If this process could not take note of its own change, it waits for itself like for any other.
        let own = feed.filter(|_| passed).map(|feed| feed.server());
        servers::wait_for_all(store, own, revision).unwrap_or_else(|_| {
            std::thread::sleep(self.catalog.bound);
            1
        })
    }
}

impl Actor {
    /// A password that was replayed, or attached by a browser, changes nothing.
    fn may_write(&self) -> Result<(), AdminError> {
        match self {
            Self::User(Principal { token: None, .. }) => Err(AdminError::new(
                AdminErrorKind::TokenRequired,
                "changes need a bearer token, not a password",
            )),
            _ => Ok(()),
        }
    }

    fn acting(&self, snapshot: &rusqlite::Connection, needs: Role) -> Result<Acting, AdminError> {
        let Self::User(principal) = self else {
            return Ok(Acting {
                user: None,
                role: Role::Admin,
                name: "operator".to_owned(),
                address: None,
            });
        };
        let user = decide::authenticated(snapshot, principal)?
            .ok_or_else(|| AdminError::refused("these credentials are not valid any more"))?;
        if user.role < needs {
            return Err(AdminError::refused(format!("this needs the role {needs}")));
        }
        Ok(Acting {
            user: Some(user.id),
            role: user.role,
            name: format!("user:{}", user.name),
            address: principal.address,
        })
    }
}

impl<T> Change<T> {
    /// What came of it.
    pub const fn value(&self) -> &T {
        &self.value
    }

    /// What came of it.
    pub fn into_value(self) -> T {
        self.value
    }

    /// The revision of the change.
    pub const fn revision(&self) -> Revision {
        self.revision
    }

    /// How many serving processes did not acknowledge the change within the revocation bound. None of them may decide
    /// from memory any more, so it is effective there too; but something is wrong with them.
    pub const fn unanswered(&self) -> usize {
        self.unanswered
    }
}

impl Page {
    /// The longest page.
    pub const MAX: usize = 1000;

    /// The first `limit` things, 1 to [`MAX`](Self::MAX).
    pub fn first(limit: usize) -> Self {
        Self {
            before: Cursor(i64::MAX),
            limit: limit.clamp(1, Self::MAX),
        }
    }

    /// The page that begins at `cursor`.
    #[must_use]
    pub const fn at(mut self, cursor: Cursor) -> Self {
        self.before = cursor;
        self
    }
}

impl Default for Page {
    fn default() -> Self {
        Self::first(100)
    }
}

impl<T> Listing<T> {
    /// Of one more thing than fits on the page, if there are that many.
    pub(crate) fn of(mut items: Vec<T>, page: Page, place: impl Fn(&T) -> i64) -> Self {
        let more = items.len() > page.limit;
        items.truncate(page.limit);
        let next = items.last().filter(|_| more).map(|last| Cursor(place(last)));
        Self { items, next }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl FromStr for Cursor {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        match text.parse() {
            Ok(place @ 1..) => Ok(Self(place)),
            _ => Err(ParseError::new("cursor", "is not one that was handed out")),
        }
    }
}
