//! Bearer tokens: short-lived, revocable at once, kept as digests only.

use std::fmt;
use std::time::{Duration, SystemTime};

use zeroize::Zeroizing;

use super::draft::Draft;
use super::{Actor, Administration, Change, Takes};
use crate::authentication::token_digest;
use crate::error::AdminError;
use crate::store::{Millis, audit, users};
use crate::subject::{Role, UserName};

/// A token that was just made: the only time its secret is known. Not shown by `Debug`.
pub struct NewToken {
    secret: Zeroizing<String>,
    expires: Millis,
}

impl Administration<'_> {
    /// Makes a token with which its bearer acts as `user` for `ttl`, one day at most: 256 random bits, kept as a digest
    /// only.
    ///
    /// Users make tokens for themselves, the operator for anyone. This is the one act for which a user may come with a
    /// password.
    ///
    /// # Errors
    ///
    /// [`Refused`](crate::AdminErrorKind::Refused) for another's token, [`NotFound`](crate::AdminErrorKind::NotFound),
    /// [`Invalid`](crate::AdminErrorKind::Invalid) for a `ttl` of nothing or more than a day.
    pub fn create_token(&self, user: &UserName, ttl: Duration) -> Result<Change<NewToken>, AdminError> {
        let (event, object) = ("token.create", format!("user:{user}"));
        let draft = Draft::new(
            ttl,
            NewToken::MAX_TTL,
            "must be more than nothing and at most one day",
        );
        let Draft { secret, expires } =
            draft.inspect_err(|error| self.record_failure(event, &object, error))?;
        let made = self.catalog.store.write(|writing| {
            let acting = self.actor.acting(writing, Role::Reader)?;
            let id = users::find(writing, user)?;
            if acting.user.is_some_and(|acting| acting != id) {
                return Err(AdminError::refused("users make tokens for themselves only"));
            }
            // A token does not beget a longer one: then expiry would mean nothing to whoever stole it.
            if let Actor::User(crate::Principal { token: Some(_), .. }) = &self.actor {
                return Err(AdminError::refused(
                    "a token is made with a password, not with a token",
                ));
            }
            users::add_token(
                writing,
                id,
                &token_digest(secret.as_bytes()),
                Millis::now(),
                expires,
            )?;
            audit::act(writing, &acting, event, &format!("{object} until {expires}"))
        });
        let ((), revision) = made.inspect_err(|error| self.record_failure(event, &object, error))?;
        Ok(Change {
            value: NewToken { secret, expires },
            revision,
            unanswered: 0,
        })
    }

    /// Revokes one token by its secret. Whoever bears it may do this, and so may the operator.
    ///
    /// # Errors
    ///
    /// [`NotFound`](crate::AdminErrorKind::NotFound).
    pub fn revoke_token(&self, secret: &str) -> Result<Change<()>, AdminError> {
        self.act(
            Role::Reader,
            "token.revoke",
            &"one token",
            Takes::Rights,
            |writing, acting| match users::remove_token(
                writing,
                &token_digest(secret.as_bytes()),
                acting.user,
            )? {
                0 => Err(AdminError::not_found("token")),
                _ => Ok(()),
            },
        )
    }

    /// Revokes all tokens of a user: one's own, or anyone's as an administrator. Returns how many there were.
    ///
    /// # Errors
    ///
    /// [`NotFound`](crate::AdminErrorKind::NotFound) if there is no such user.
    pub fn revoke_tokens(&self, user: &UserName) -> Result<Change<usize>, AdminError> {
        self.act(
            Role::Reader,
            "token.revoke",
            &format!("user:{user}"),
            Takes::Rights,
            |writing, acting| {
                let id = users::find(writing, user)?;
                if acting.role != Role::Admin && acting.user != Some(id) {
                    return Err(AdminError::not_found(format_args!("user:{user}")));
                }
                Ok(users::remove_tokens(writing, id)?)
            },
        )
    }
}

impl NewToken {
    /// How long a token may last.
    pub const MAX_TTL: Duration = Duration::from_secs(24 * 60 * 60);

    /// The secret, 43 characters of base64url: to be shown once.
    pub fn reveal(&self) -> &str {
        &self.secret
    }

    /// When it ends.
    pub fn expires(&self) -> SystemTime {
        self.expires.to_system_time()
    }
}

impl fmt::Debug for NewToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewToken")
            .field("expires", &self.expires())
            .finish_non_exhaustive()
    }
}
