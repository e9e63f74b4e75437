//! What somebody shows to prove who they are: [`Credentials`] from a request, [`Password`] from whoever sets one.

pub(crate) mod flights;
pub(crate) mod hashing;
pub(crate) mod imported;
pub(crate) mod record;
pub(crate) mod verified;

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use zeroize::Zeroizing;

use crate::error::ParseError;
use crate::subject::{MAX_NAME, Principal, compose};
use crate::trail::Actor;

/// What a request shows to prove who it is from. Made from a header field, judged only by the
/// [`Catalog`](crate::Catalog). `Debug` shows no secret.
#[derive(Clone)]
pub struct Credentials {
    pub(crate) shown: Shown,
    pub(crate) address: Option<IpAddr>,
}

#[derive(Clone)]
pub(crate) enum Shown {
    Basic {
        user: Box<str>,
        /// In NFC.
        password: Zeroizing<Box<[u8]>>,
        /// As it was typed, where that is another: programs whose records were imported hashed that.
        typed: Option<Zeroizing<Box<[u8]>>>,
    },
    Bearer(Zeroizing<Box<[u8]>>),
    /// Something that can be nobody's. Refused like a wrong password.
    Malformed,
}

/// A password somebody wants to have: 1 to 1024 bytes of UTF-8, in NFC (RFC 8265 §4, the profile RFC 7617 names).
///
/// Not shown by `Debug`, and wiped from memory when dropped.
#[derive(Clone)]
pub struct Password(Zeroizing<String>);

impl Credentials {
    /// Whether it is a token, of which to find out whose it is takes no time to speak of.
    pub const fn is_token(&self) -> bool {
        matches!(self.shown, Shown::Bearer(_))
    }

    /// The Basic scheme's two parts, as bytes (RFC 7617 §2: split at the first colon).
    ///
    /// Any bytes are taken: what can be no user's is refused later, like a wrong password. Text is brought to NFC.
    pub fn basic(user: &[u8], password: &[u8]) -> Self {
        let shown = match std::str::from_utf8(user) {
            Ok(user) if user.len() <= MAX_SHOWN && (1..=MAX_SHOWN).contains(&password.len()) => {
                let composed = Zeroizing::new(compose_password(password));
                Shown::Basic {
                    user: compose(user).into(),
                    typed: (**composed != *password).then(|| Zeroizing::new(password.into())),
                    password: composed,
                }
            }
            _ => Shown::Malformed,
        };
        Self { shown, address: None }
    }

    /// Whom a token has shown, showing a password too, from where they are: see
    /// [`set_own_password`](crate::Administration::set_own_password).
    pub fn of(principal: &Principal, password: &Password) -> Self {
        let basic = Self::basic(principal.name.as_str().as_bytes(), password.0.as_bytes());
        Self {
            address: principal.address,
            ..basic
        }
    }

    /// A bearer token (RFC 6750 §2.1).
    pub fn bearer(token: &[u8]) -> Self {
        let shown = match token.len() {
            1..=MAX_SHOWN => Shown::Bearer(Zeroizing::new(token.into())),
            _ => Shown::Malformed,
        };
        Self { shown, address: None }
    }

    /// Who they say they are, for the audit trail.
    pub(crate) fn claims(&self) -> Actor {
        match &self.shown {
            Shown::Basic { user, .. } if user.len() <= MAX_NAME => Actor::Claimed(user.clone()),
            // No user has so long a name.
            Shown::Basic { .. } | Shown::Bearer(_) | Shown::Malformed => Actor::Unknown,
        }
    }

    /// Where the request came from, so that guessing from one address can be slowed down without locking
    /// anybody's account.
    #[must_use]
    pub fn from_address(mut self, address: impl Into<Option<IpAddr>>) -> Self {
        self.address = address.into();
        self
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match &self.shown {
            Shown::Basic { .. } => "Basic",
            Shown::Bearer(_) => "Bearer",
            Shown::Malformed => "malformed",
        };
        f.debug_struct("Credentials")
            .field("scheme", &scheme)
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl Password {
    /// The longest password, in bytes.
    pub const MAX_LEN: usize = 1024;

    /// 128 random bits as 22 characters of base64url: for a user who did not choose one.
    ///
    /// # Errors
    ///
    /// If the operating system has no randomness to give.
    pub fn random() -> Result<Self, crate::AdminError> {
        Ok(Self(Zeroizing::new(crate::FileId::random()?.to_string())))
    }

    /// To show it to the one whose it is, once.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl FromStr for Password {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let invalid = |reason| Err(ParseError::new("password", reason));
        if text.len() > Self::MAX_LEN {
            return invalid("is longer than 1024 bytes");
        }
        let composed = Zeroizing::new(compose(text).into_owned());
        match composed.as_str() {
            "" => invalid("is empty"),
            long if long.len() > Self::MAX_LEN => invalid("is longer than 1024 bytes"),
            // RFC 7617 §2: no control characters in either part.
            text if text.contains(char::is_control) => invalid("holds a control character"),
            _ => Ok(Self(composed)),
        }
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

fn compose_password(password: &[u8]) -> Box<[u8]> {
    match std::str::from_utf8(password) {
        Ok(text) => compose(text).as_bytes().into(),
        Err(_) => password.into(),
    }
}

/// The longest part that is looked at. Whoever shows more is refused at once, whoever they say they are.
const MAX_SHOWN: usize = Password::MAX_LEN;
