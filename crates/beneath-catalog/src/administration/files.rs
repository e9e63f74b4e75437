//! Published files and the grants to them.

use std::ops::ControlFlow;
use std::time::{Duration, Instant, SystemTime};

use beneath::{File, RelPath};

use super::{Acting, Administration, Change, Listing, Page, Takes};
use crate::entry::{Caching, Disposition, Entry, Pin};
use crate::error::{AdminError, AdminErrorKind};
use crate::file_id::FileId;
use crate::store::files::Granted;
use crate::store::{Millis, Writing, audit, files, users};
use crate::subject::{Role, RootName, Subject, UserName};

/// What is to be published, and how.
#[derive(Clone, Debug)]
pub struct Publication {
    pub(crate) root: RootName,
    pub(crate) path: RelPath,
    pub(crate) name: Option<Vec<u8>>,
    pub(crate) media_type: Option<String>,
    pub(crate) pin: Pin,
    pub(crate) disposition: Disposition,
    pub(crate) caching: Caching,
    pub(crate) owner: Option<UserName>,
    pub(crate) grants: Vec<(Subject, Option<SystemTime>)>,
}

/// What is to be another of a published file; what is not named stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Amendment {
    pub(crate) name: Option<Vec<u8>>,
    pub(crate) media_type: Option<String>,
    pub(crate) disposition: Option<Disposition>,
    pub(crate) caching: Option<Caching>,
}

/// A published file with its grants, for whoever manages it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Published {
    /// What was published.
    pub entry: Entry,
    /// To whom it was granted.
    pub grants: Vec<Grant>,
}

/// That a subject may read a file, until when.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Grant {
    /// Who.
    pub subject: Subject,
    /// Until when; `None` is until revoked.
    pub expires: Option<SystemTime>,
    /// Since when.
    pub created: SystemTime,
}

impl Publication {
    /// Publishes the file at `path` beneath the root called `root`, to nobody yet, under its own name, bound to its
    /// path.
    pub const fn new(root: RootName, path: RelPath) -> Self {
        Self {
            root,
            path,
            name: None,
            media_type: None,
            pin: Pin::Path,
            disposition: Disposition::Attachment,
            caching: Caching::NoStore,
            owner: None,
            grants: Vec::new(),
        }
    }

    /// What a person should save it as: 1 to 255 bytes without `/` and NUL. By default the last component of the path.
    #[must_use]
    pub fn named(mut self, name: impl Into<Vec<u8>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Its media type (RFC 9110 §8.3.1), such as `application/pdf`.
    #[must_use]
    pub fn media_type(mut self, media_type: impl Into<String>) -> Self {
        self.media_type = Some(media_type.into());
        self
    }

    /// What it is bound to; by default its path.
    #[must_use]
    pub const fn pinned(mut self, pin: Pin) -> Self {
        self.pin = pin;
        self
    }

    /// Whether it is shown or saved; by default it is saved.
    #[must_use]
    pub const fn disposition(mut self, disposition: Disposition) -> Self {
        self.disposition = disposition;
        self
    }

    /// What caches may do with it; by default nothing.
    #[must_use]
    pub const fn caching(mut self, caching: Caching) -> Self {
        self.caching = caching;
        self
    }

    /// Grants it to a subject, until then if given. May be called more than once.
    #[must_use]
    pub fn to(mut self, subject: Subject, expires: Option<SystemTime>) -> Self {
        self.grants.push((subject, expires));
        self
    }

    /// What it is to be bound to.
    pub const fn pin(&self) -> Pin {
        self.pin
    }

    /// In whose name the operator publishes. A user always owns what they publish.
    #[must_use]
    pub fn owned_by(mut self, owner: UserName) -> Self {
        self.owner = Some(owner);
        self
    }
}

impl Amendment {
    /// Its name, as in [`Publication::named`].
    #[must_use]
    pub fn named(mut self, name: impl Into<Vec<u8>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Its media type, as in [`Publication::media_type`].
    #[must_use]
    pub fn media_type(mut self, media_type: impl Into<String>) -> Self {
        self.media_type = Some(media_type.into());
        self
    }

    /// Whether it is shown or saved.
    #[must_use]
    pub const fn disposition(mut self, disposition: Disposition) -> Self {
        self.disposition = Some(disposition);
        self
    }

    /// What caches may do with it.
    #[must_use]
    pub const fn caching(mut self, caching: Caching) -> Self {
        self.caching = Some(caching);
        self
    }
}

/// How often it is asked whether whoever has a file hashed still may publish it.
const STILL_MAY: Duration = Duration::from_secs(1);

impl Administration<'_> {
    /// Publishes a file: opens it beneath its root, so that what is published can be opened, and gives it an ID.
    ///
    /// # Errors
    ///
    /// [`AdminErrorKind::Invalid`] with the field `root` (no such root here), `path` (missing, escaping, a FIFO, …),
    /// `name`, `media_type`, `grants` (one that has ended, or two of one subject with different ends);
    /// [`AdminErrorKind::NotFound`] for a subject or owner who does not exist; [`AdminErrorKind::Refused`] for readers.
    /// [`AdminError::grant`] says which grant it was.
    pub fn publish(&self, publication: &Publication) -> Result<Change<Entry>, AdminError> {
        self.publish_with_progress(publication, |_, _| ControlFlow::Continue(()))
    }

    /// As [`publish`](Self::publish); `progress` hears how many bytes of how many have been hashed, for
    /// [`Pin::Content`], and may give it up. Once a second it is asked whether the actor still may.
    ///
    /// # Errors
    ///
    /// As [`publish`](Self::publish); [`AdminErrorKind::Busy`] if it was given up.
    pub fn publish_with_progress(
        &self,
        publication: &Publication,
        progress: impl FnMut(u64, u64) -> ControlFlow<()>,
    ) -> Result<Change<Entry>, AdminError> {
        // First of all, or whoever may not publish learns from the answer which files there are.
        let place = format!("{}:{:?}", publication.root, publication.path);
        self.permitted(Role::Publisher, "publish", &place, |_, _| Ok(()))?;
        let new = self
            .prepare(publication, progress)
            .inspect_err(|error| self.record_failure("publish", &place, error))?;
        let object = format!("{} {place}", new.id);
        self.act(
            Role::Publisher,
            "publish",
            &object,
            Takes::Nothing,
            |writing, acting| {
                let owner = match (&publication.owner, acting.user) {
                    (None, owner) => owner,
                    (Some(owner), None) => Some(users::find(writing, owner)?),
                    (Some(_), Some(_)) => return Err(AdminError::refused("the owner is whoever publishes")),
                };
                let entry = files::add(writing, publication, &new, owner)?;
                for (at, (subject, expires)) in publication.grants.iter().enumerate() {
                    let object = granted(&new.id, subject, *expires);
                    audit::act(writing, acting, "grant", &object)?;
                    let subject = users::find_subject(writing, subject)
                        .map_err(|error| error.of_grant(at, "subject"))?;
                    files::grant(writing, entry.seq, subject, *expires)?;
                }
                Ok(entry)
            },
        )
    }

    /// Takes a file out of the catalog, with its grants and links. The file itself stays.
    ///
    /// # Errors
    ///
    /// [`AdminErrorKind::NotFound`], also for what the actor does not manage.
    pub fn unpublish(&self, id: &FileId) -> Result<Change<()>, AdminError> {
        self.act(
            Role::Publisher,
            "unpublish",
            id,
            Takes::Rights,
            |writing, acting| files::remove(writing, self.expected(writing, acting, id)?.seq),
        )
    }

    /// Grants a file, until then if given. Replaces what the same subject was granted before.
    ///
    /// # Errors
    ///
    /// [`AdminErrorKind::NotFound`] for the file, or for the subject; [`AdminErrorKind::Invalid`] for a time that has passed.
    pub fn grant(
        &self,
        id: &FileId,
        subject: &Subject,
        expires: Option<SystemTime>,
    ) -> Result<Change<()>, AdminError> {
        // It may replace a longer grant by a shorter one.
        self.act(
            Role::Publisher,
            "grant",
            &granted(id, subject, expires),
            Takes::Rights,
            |writing, acting| {
                let entry = self.expected(writing, acting, id)?;
                lies_ahead("expires", expires)?;
                let subject = users::find_subject(writing, subject)?;
                match files::grant(writing, entry.seq, subject, expires)? {
                    Granted::Anew => files::touch(writing, entry.seq),
                    Granted::Already => Ok(()),
                }
            },
        )
    }

    /// Takes a grant back; see also [`absent_is_done`](Self::absent_is_done).
    ///
    /// # Errors
    ///
    /// [`AdminErrorKind::NotFound`] for the file, the subject, or if it was not granted to them.
    pub fn revoke(&self, id: &FileId, subject: &Subject) -> Result<Change<()>, AdminError> {
        self.act(
            Role::Publisher,
            "revoke",
            &format!("{id} {subject}"),
            Takes::Rights,
            |writing, acting| {
                let entry = self.expected(writing, acting, id)?;
                match files::revoke(writing, entry.seq, users::find_subject(writing, subject)?)? {
                    0 if self.absent_is_done => Ok(()),
                    0 => Err(AdminError::not_found(format_args!("grant of {id} to {subject}"))),
                    _ => files::touch(writing, entry.seq),
                }
            },
        )
    }

    /// Changes how a published file is called and answered; see also [`at_version`](Self::at_version).
    ///
    /// # Errors
    ///
    /// [`AdminErrorKind::NotFound`]; [`AdminErrorKind::Invalid`] with the field `name` or `media_type`.
    pub fn change(&self, id: &FileId, amendment: &Amendment) -> Result<Change<Entry>, AdminError> {
        self.act(
            Role::Publisher,
            "change",
            id,
            // What it was is in the memory of whoever serves it.
            Takes::Rights,
            |writing, acting| {
                let entry = self.expected(writing, acting, id)?;
                files::change(writing, &entry, amendment)?;
                managed(writing, acting, id)
            },
        )
    }

    /// What the actor may see, newest first: an administrator everything, others what they own or were granted.
    ///
    /// # Errors
    ///
    /// [`AdminErrorKind::Unavailable`].
    pub fn files(&self, page: Page) -> Result<Listing<Entry>, AdminError> {
        self.ask(Role::Reader, |snapshot, acting| {
            let entries = match acting.user {
                Some(user) if acting.role != Role::Admin => {
                    files::visible(snapshot, user, acting.role, page)?
                }
                _ => files::all(snapshot, page)?,
            };
            Ok(Listing::of(entries, page, |entry| entry.seq.0))
        })
    }

    /// A published file with its grants, for whoever manages it.
    ///
    /// # Errors
    ///
    /// [`AdminErrorKind::NotFound`], also for what the actor does not manage.
    pub fn file(&self, id: &FileId) -> Result<Published, AdminError> {
        self.ask(Role::Publisher, |snapshot, acting| {
            let entry = managed(snapshot, acting, id)?;
            Ok(Published {
                grants: files::grants(snapshot, entry.seq)?,
                entry,
            })
        })
    }

    /// A published file that was granted to the actor, directly or by a group, and not how: for whoever does not manage
    /// it.
    ///
    /// # Errors
    ///
    /// [`AdminErrorKind::NotFound`], also for what was not granted to them.
    pub fn granted_file(&self, id: &FileId) -> Result<Entry, AdminError> {
        self.ask(Role::Reader, |snapshot, acting| {
            let granted = match acting.user {
                Some(user) => files::find_granted(snapshot, id, user, Millis::now())?,
                None => None,
            };
            granted.ok_or_else(|| AdminError::not_found(format_args!("file {id}")))
        })
    }

    /// What is published of this path beneath this root, newest first; for whoever may see everything.
    ///
    /// # Errors
    ///
    /// [`AdminErrorKind::Refused`] for anyone but an administrator.
    pub fn files_at(&self, root: &RootName, path: &RelPath) -> Result<Vec<Entry>, AdminError> {
        self.ask(Role::Admin, |snapshot, _| Ok(files::at(snapshot, root, path)?))
    }

    /// The file if the actor manages it, at the version that was named.
    fn expected(&self, writing: &Writing<'_>, acting: &Acting, id: &FileId) -> Result<Entry, AdminError> {
        let entry = managed(writing, acting, id)?;
        self.expect(format_args!("file {id}"), || Ok(entry.version))?;
        Ok(entry)
    }

    /// What is known of the file before the transaction, which may take long.
    fn prepare(
        &self,
        publication: &Publication,
        mut progress: impl FnMut(u64, u64) -> ControlFlow<()>,
    ) -> Result<files::New, AdminError> {
        let grants = &publication.grants;
        for (at, (subject, expires)) in grants.iter().enumerate() {
            lies_ahead("grants", *expires).map_err(|error| error.of_grant(at, "expires"))?;
            if grants[..at]
                .iter()
                .any(|(other, until)| other == subject && until != expires)
            {
                let message = format_args!("{subject} is named twice, with different ends");
                return Err(AdminError::invalid("grants", message).of_grant(at, "subject"));
            }
        }
        let mut asked = Instant::now();
        files::New::prepare(publication, &self.open(publication)?, |bytes, of| {
            if progress(bytes, of).is_break() {
                return ControlFlow::Break(AdminError::new(AdminErrorKind::Busy, "it was given up"));
            }
            if asked.elapsed() < STILL_MAY {
                return ControlFlow::Continue(());
            }
            asked = Instant::now();
            match self.ask(Role::Publisher, |_, _| Ok(())) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => ControlFlow::Break(error),
            }
        })
    }

    fn open(&self, publication: &Publication) -> Result<File, AdminError> {
        let Publication { root, path, .. } = publication;
        let served = self
            .catalog
            .roots
            .get(root)
            .ok_or_else(|| AdminError::invalid("root", format_args!("there is no root {root}")))?;
        served.root.open(path).map_err(|error| {
            AdminError::invalid("path", format_args!("{}:{path:?}: {error}", publication.root))
        })
    }
}

/// Only whoever owns a file, or administers all, learns here that it exists.
pub(super) fn managed(
    snapshot: &rusqlite::Connection,
    acting: &Acting,
    id: &FileId,
) -> Result<Entry, AdminError> {
    files::find(snapshot, id)?
        .filter(|entry| {
            acting.role == Role::Admin || acting.user == entry.owner.as_ref().map(|(user, _)| *user)
        })
        .ok_or_else(|| AdminError::not_found(format_args!("file {id}")))
}

impl Grant {
    pub(crate) fn new(subject: Subject, expires: Option<Millis>, created: Millis) -> Self {
        Self {
            subject,
            expires: expires.map(Millis::to_system_time),
            created: created.to_system_time(),
        }
    }
}

/// What a grant is called in the audit trail.
fn granted(id: &FileId, subject: &Subject, expires: Option<SystemTime>) -> String {
    match expires {
        Some(expires) => format!("{id} {subject} until {}", Millis::from(expires)),
        None => format!("{id} {subject}"),
    }
}

/// Whoever asks for a right that has ended would take the answer for a right.
fn lies_ahead(field: &'static str, expires: Option<SystemTime>) -> Result<(), AdminError> {
    match expires {
        Some(expires) if Millis::from(expires) <= Millis::now() => Err(AdminError::invalid(
            field,
            "the end of a grant is in the past; to take one back there is revoke",
        )),
        _ => Ok(()),
    }
}
