//! [`Authenticator`]: who somebody is, of one snapshot; and the password hashing that must not happen inside one.

use std::sync::Arc;

use rusqlite::Connection;

use crate::credential::flights::{Flights, Verdict};
use crate::credential::hashing::{Hashing, QueueFull};
use crate::credential::record::{Match, Record, Stored};
use crate::credential::verified::{Digest, LoginDigest, Verified};
use crate::credential::{Credentials, Shown};
use crate::options::Options;
use crate::refusal::{Reason, Refusal};
use crate::revocation::Feed;
use crate::revocation::memory::{Login, Memory};
use crate::store::decide;
use crate::store::{Millis, Revision};
use crate::subject::UserId;
use crate::throttle::Throttle;

/// Tells who somebody is by what they show.
pub(crate) struct Authenticator {
    pub(crate) hashing: Hashing,
    flights: Flights,
    throttle: Throttle,
    verified: Verified,
    /// Whoever is nobody is checked against this, so that it takes as long.
    nobody: Arc<str>,
}

/// Who somebody is, or what has to be done to know.
pub(crate) enum Identified {
    As(Login),
    Unverified(Unverified),
}

/// A record that was imported, and the one that is to take its place.
pub(crate) struct Rehashed {
    pub(crate) user: UserId,
    pub(crate) old: Arc<str>,
    pub(crate) new: String,
    /// Of the new one.
    digest: Digest,
    matched: Match,
}

/// A password that has to be hashed before its user is known.
pub(crate) struct Unverified {
    record: Arc<str>,
    /// `None` where no password would do.
    user: Option<UserId>,
    /// Why they are refused if the password is not the record's.
    reason: Reason,
}

impl Authenticator {
    pub(crate) fn new(options: &Options) -> Result<Self, getrandom::Error> {
        Ok(Self {
            hashing: Hashing::new(options.hashing_at_once, options.hashing_queue),
            flights: Flights::new(2 * options.hashing_queue),
            throttle: Throttle::new(options.failed_logins),
            verified: Verified::new()?,
            nobody: Record::of_nobody().to_string().into(),
        })
    }

    /// By which memory knows who shows this.
    pub(crate) fn digest(&self, credentials: &Credentials) -> Option<LoginDigest> {
        match &credentials.shown {
            Shown::Basic { user, password, .. } => Some(self.verified.login(user, password)),
            Shown::Bearer(token) => Some(LoginDigest::of_token(token_digest(token))),
            Shown::Malformed => None,
        }
    }

    /// From the store; what is found is remembered with `feed`, as of this snapshot.
    pub(crate) fn identify(
        &self,
        snapshot: &Connection,
        credentials: &Credentials,
        revision: Revision,
        feed: Option<&Feed>,
    ) -> Result<Identified, Refusal> {
        match &credentials.shown {
            Shown::Basic { user, password, .. } => {
                self.identify_user(snapshot, user, password, (revision, feed))
            }
            Shown::Bearer(token) => identify_token(snapshot, token, (revision, feed)),
            Shown::Malformed => Err(Refusal::unauthenticated(Reason::MalformedCredentials)),
        }
    }

    fn identify_user(
        &self,
        snapshot: &Connection,
        name: &str,
        password: &[u8],
        (revision, feed): (Revision, Option<&Feed>),
    ) -> Result<Identified, Refusal> {
        let unverified = |record: &Arc<str>, user, reason| {
            let record = Arc::clone(record);
            Ok(Identified::Unverified(Unverified { record, user, reason }))
        };
        let Some(user) = decide::user(snapshot, name)? else {
            return unverified(&self.nobody, None, Reason::UnknownUser);
        };
        if !user.enabled {
            return unverified(&user.record, None, Reason::DisabledUser);
        }
        let digest = self.verified.digest(name, password, &user.record);
        if self.verified.recall(user.id, &digest).is_none() {
            return unverified(&user.record, Some(user.id), Reason::WrongPassword);
        }
        let login = Login {
            user: user.id,
            epoch: user.epoch,
            token: None,
            name: user.name,
            until: None,
        };
        if let Some(feed) = feed {
            remember(feed, self.verified.login(name, password), &login, revision);
        }
        Ok(Identified::As(login))
    }

    /// Hashes, which takes the same time whether there is such a user or not. An imported record that is right is
    /// hashed anew.
    pub(crate) fn verify(
        &self,
        credentials: &Credentials,
        unverified: &Unverified,
    ) -> Result<Option<Rehashed>, Refusal> {
        let refused = Refusal::unauthenticated(unverified.reason);
        let Shown::Basic {
            user: name,
            password,
            typed,
        } = &credentials.shown
        else {
            return Err(refused);
        };
        if let Some(wait) = self.throttle.wait(name, credentials.address) {
            return Err(Refusal::throttled(wait));
        }
        let digest = self.verified.digest(name, password, &unverified.record);
        let mut imported = None;
        let verdict = self.flights.join(digest, || {
            self.hash(
                digest,
                (password, typed.as_deref().map(|typed| &**typed)),
                unverified,
                &mut imported,
            )
        });
        match verdict {
            Ok(Verdict::Right) => {
                self.throttle.succeeded(name, credentials.address);
                Ok(imported.and_then(|(user, matched)| {
                    self.rehash(name, password, user, &unverified.record, matched)
                }))
            }
            // Each of those who guessed the same has failed.
            Ok(Verdict::Wrong) => {
                self.throttle.failed(name, credentials.address);
                Err(refused)
            }
            Err(QueueFull) => Err(Refusal::busy(Reason::HashingQueueFull)),
        }
    }

    /// What is right is remembered; `imported` is told if the record is to be replaced.
    fn hash(
        &self,
        digest: Digest,
        (password, typed): (&[u8], Option<&[u8]>),
        unverified: &Unverified,
        imported: &mut Option<(UserId, Match)>,
    ) -> Result<Verdict, QueueFull> {
        let record =
            Stored::parse(&unverified.record).unwrap_or_else(|_| Stored::Current(Record::of_nobody()));
        let mut found = self.hashing.verify(&record, password)?;
        if let (Stored::Imported(_), Ok(None), Some(typed)) = (&record, &found, typed) {
            found = self.hashing.verify(&record, typed)?;
        }
        let (Some(user), Ok(Some(matched))) = (unverified.user, found) else {
            return Ok(Verdict::Wrong);
        };
        self.verified.remember(user, digest, &matched);
        if matches!(record, Stored::Imported(_)) {
            *imported = Some((user, matched));
        }
        Ok(Verdict::Right)
    }

    fn rehash(
        &self,
        name: &str,
        password: &[u8],
        user: UserId,
        old: &Arc<str>,
        matched: Match,
    ) -> Option<Rehashed> {
        let new = self.hashing.record(password).ok()?.ok()?.to_string();
        Some(Rehashed {
            user,
            old: Arc::clone(old),
            digest: self.verified.digest(name, password, &new),
            new,
            matched,
        })
    }

    /// The new record is the user's now.
    pub(crate) fn replaced(&self, rehashed: &Rehashed) {
        self.verified
            .remember(rehashed.user, rehashed.digest, &rehashed.matched);
    }
}

fn identify_token(
    snapshot: &Connection,
    token: &[u8],
    (revision, feed): (Revision, Option<&Feed>),
) -> Result<Identified, Refusal> {
    const REFUSED: Refusal = Refusal::unauthenticated(Reason::UnknownToken);
    let digest = token_digest(token);
    let token = decide::token(snapshot, &digest)?.ok_or(REFUSED)?;
    let user = decide::user_by_id(snapshot, token.user)?.ok_or(REFUSED)?;
    if token.expires <= Millis::now() {
        return Err(REFUSED);
    }
    if !user.enabled {
        return Err(Refusal::unauthenticated(Reason::DisabledUser));
    }
    let login = Login {
        user: user.id,
        epoch: user.epoch,
        token: Some(token.id),
        name: user.name,
        until: Some(token.expires),
    };
    if let Some(feed) = feed {
        remember(feed, LoginDigest::of_token(digest), &login, revision);
    }
    Ok(Identified::As(login))
}

fn remember(feed: &Feed, digest: LoginDigest, login: &Login, revision: Revision) {
    let login = login.clone();
    let add = |memory: &mut Memory| memory.add_login(digest, login);
    drop(feed.registry.remember(revision.as_u64(), add));
}

/// 256 random bits need no salt and no slow hash: whoever reads the store cannot search for them.
pub(crate) fn token_digest(token: &[u8]) -> [u8; 32] {
    *blake3::hash(token).as_bytes()
}
