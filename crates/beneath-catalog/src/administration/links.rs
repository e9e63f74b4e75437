//! Links: short-lived, use-counted, kept as digests only.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use zeroize::Zeroizing;

use super::draft::Draft;
use super::files::managed;
use super::{Administration, Change, Listing, Page, Takes};
use crate::authentication::token_digest;
use crate::error::{AdminError, ParseError};
use crate::file_id::FileId;
use crate::store::{Millis, audit, links};
use crate::subject::{Role, UserName};

/// A link that was just made: the only time its secret is known. Not shown by `Debug`.
pub struct NewLink {
    id: LinkId,
    secret: Zeroizing<String>,
    expires: Millis,
}

/// A link, for whoever manages its file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Link {
    /// Its number, to revoke it by. Opens nothing.
    pub id: LinkId,
    /// What it gives.
    pub file: FileId,
    /// Who made it; `None` is the operator. It is worth what they may.
    pub creator: Option<UserName>,
    /// When it was made.
    pub created: SystemTime,
    /// When it ends.
    pub expires: SystemTime,
    /// How many downloads it is good for.
    pub uses: u64,
    /// How many of them were completed. What was sent to clients that broke off and did not come back takes uses, too, as often as it is
    /// the file, and is not among these.
    pub completed: u64,
}

/// The number of a link. Opens nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LinkId(pub(crate) i64);

impl Administration<'_> {
    /// Makes a link to a file, good for `uses` downloads within `ttl`, 30 days at most: 256 random bits, kept as a
    /// digest only. It is worth what its creator may: when they lose the file, it falls.
    ///
    /// # Errors
    ///
    /// [`NotFound`](crate::AdminErrorKind::NotFound), also for a file the actor does not manage;
    /// [`Invalid`](crate::AdminErrorKind::Invalid) with the field `ttl` or `uses`.
    pub fn create_link(&self, id: &FileId, ttl: Duration, uses: u32) -> Result<Change<NewLink>, AdminError> {
        let draft = Draft::new(
            ttl,
            NewLink::MAX_TTL,
            "must be more than nothing and at most 30 days",
        )
        .and_then(|draft| match uses {
            0 => Err(AdminError::invalid("uses", "must be at least one")),
            _ => Ok(draft),
        });
        let Draft { secret, expires } =
            draft.inspect_err(|error| self.record_failure("link.create", id, error))?;
        self.act_on(
            Role::Publisher,
            "link.create",
            id,
            Takes::Nothing,
            |writing, acting| {
                let entry = managed(writing, acting, id)?;
                let digest = token_digest(secret.as_bytes());
                let link = links::add(writing, &digest, entry.seq, acting.user, expires, uses)?;
                // The number that its uses and its revocation are recorded by.
                audit::act(
                    writing,
                    acting,
                    "link.create",
                    &format!("{id} link:{link} {uses} uses until {expires}"),
                )?;
                Ok(NewLink {
                    id: link,
                    secret,
                    expires,
                })
            },
        )
    }

    /// Revokes a link; downloads over it that are under way are cut.
    ///
    /// # Errors
    ///
    /// [`NotFound`](crate::AdminErrorKind::NotFound), also for a link to a file the actor does not manage.
    pub fn revoke_link(&self, link: LinkId) -> Result<Change<()>, AdminError> {
        self.act(
            Role::Publisher,
            "link.revoke",
            &format!("link:{link}"),
            Takes::Rights,
            |writing, acting| {
                let not_found = || AdminError::not_found(format_args!("link {link}"));
                let (file, creator) = links::owner(writing, link)?.ok_or_else(not_found)?;
                // Whoever made it may revoke it, also after they lost the file.
                if creator.is_none() || creator != acting.user {
                    managed(writing, acting, &file).map_err(|_| not_found())?;
                }
                Ok(links::remove(writing, link)?)
            },
        )
    }

    /// The links to one file, or to all: an administrator sees everybody's, others their own.
    ///
    /// # Errors
    ///
    /// [`NotFound`](crate::AdminErrorKind::NotFound) for a file the actor does not manage.
    pub fn links(&self, file: Option<&FileId>, page: Page) -> Result<Listing<Link>, AdminError> {
        self.ask(Role::Publisher, |snapshot, acting| {
            let entry = file.map(|id| managed(snapshot, acting, id)).transpose()?;
            let creator = acting
                .user
                .filter(|_| acting.role != Role::Admin && entry.is_none());
            let links = links::list(snapshot, entry.map(|entry| entry.seq), creator, page)?;
            Ok(Listing::of(links, page, |link| link.id.0))
        })
    }
}

impl NewLink {
    /// How long a link may last.
    pub const MAX_TTL: Duration = Duration::from_secs(30 * 24 * 60 * 60);

    /// Its number, to revoke it by.
    pub const fn id(&self) -> LinkId {
        self.id
    }

    /// The secret, 43 characters of base64url: to be shown once.
    pub fn reveal(&self) -> &str {
        &self.secret
    }

    /// When it ends.
    pub fn expires(&self) -> SystemTime {
        self.expires.to_system_time()
    }
}

impl fmt::Debug for NewLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewLink")
            .field("id", &self.id)
            .field("expires", &self.expires())
            .finish_non_exhaustive()
    }
}

impl fmt::Display for LinkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl FromStr for LinkId {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        match text.parse() {
            Ok(number @ 1..) if text.bytes().all(|byte| byte.is_ascii_digit()) => Ok(Self(number)),
            _ => Err(ParseError::new("link number", "is not a positive number")),
        }
    }
}
