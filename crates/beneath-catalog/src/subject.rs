//! Who a right can belong to: [`Subject`], its names, [`Role`], and [`Principal`], which only authentication makes.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use unicode_normalization::{IsNormalized, UnicodeNormalization as _, is_nfc_quick};

use crate::error::ParseError;

/// The name of a user: 1 to 128 bytes of UTF-8 in NFC, without colon (RFC 7617 §2), control or invisible
/// format characters, or white space at either end.
///
/// Parsing brings text to Unicode Normalization Form C, so that the same letters typed on two keyboards are one name
/// (RFC 8265 §3). Letter case is kept and matters at login, but no two users differ in case only.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserName(Arc<str>);

/// The name of a group: the rules of [`UserName`].
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupName(Arc<str>);

/// The name an operator gives a root: 1 to 64 of `A–Z a–z 0–9 _ - .`, the first a letter or digit.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RootName(Arc<str>);

/// Who may be given a right: `user:NAME` or `group:NAME`.
///
/// ```
/// use beneath_catalog::Subject;
///
/// let subject: Subject = "group:finance".parse()?;
/// assert_eq!(subject.to_string(), "group:finance");
/// # Ok::<_, beneath_catalog::ParseError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "whoever grants must decide on each kind")]
pub enum Subject {
    /// Everybody in a group.
    Group(GroupName),
    /// One user.
    User(UserName),
}

/// What a user may do besides reading what was granted to them. Each role may do what the ones before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a role that is not understood must not compile"
)]
pub enum Role {
    /// Reads what was granted.
    Reader,
    /// Publishes, and manages and reads what they own.
    Publisher,
    /// Manages users, groups and all files, and reads all files.
    Admin,
}

/// A user who has shown who they are. Only [`Catalog::authenticate`](crate::Catalog::authenticate) makes one.
///
/// It is who somebody *is*, not what they may do: each act looks that up again, in the transaction that acts.
#[derive(Clone, Debug)]
pub struct Principal {
    pub(crate) user: UserId,
    pub(crate) name: UserName,
    pub(crate) epoch: i64,
    pub(crate) token: Option<TokenId>,
    pub(crate) address: Option<IpAddr>,
}

/// The store's own number for a user; never used again for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct UserId(pub(crate) i64);

/// The store's own number for a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TokenId(pub(crate) i64);

impl Principal {
    /// The user's name.
    pub const fn name(&self) -> &UserName {
        &self.name
    }
}

impl Role {
    /// As it is written in a configuration, a command or the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Publisher => "publisher",
            Self::Admin => "admin",
        }
    }
}

impl FromStr for Role {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        match text {
            "reader" => Ok(Self::Reader),
            "publisher" => Ok(Self::Publisher),
            "admin" => Ok(Self::Admin),
            _ => Err(ParseError::new("role", "is none of reader, publisher, admin")),
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Subject {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        match text.split_once(':') {
            Some(("user", name)) => name.parse().map(Self::User),
            Some(("group", name)) => name.parse().map(Self::Group),
            _ => Err(ParseError::new("subject", "is neither user:NAME nor group:NAME")),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Group(name) => write!(f, "group:{name}"),
            Self::User(name) => write!(f, "user:{name}"),
        }
    }
}

impl FromStr for UserName {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        parse_name("user name", text).map(Self)
    }
}

impl FromStr for GroupName {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        parse_name("group name", text).map(Self)
    }
}

impl FromStr for RootName {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let invalid = |reason| Err(ParseError::new("root name", reason));
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
        match text.as_bytes() {
            [] => invalid("is empty"),
            long if long.len() > 64 => invalid("is longer than 64 characters"),
            [first, ..] if !first.is_ascii_alphanumeric() => invalid("does not begin with a letter or digit"),
            bytes if !bytes.iter().copied().all(legal) => {
                invalid("holds something else than letters, digits, `_`, `-`, `.`")
            }
            _ => Ok(Self(text.into())),
        }
    }
}

/// What makes two names one: letters of different case, once composed, are the same name.
pub(crate) fn uniqueness_key(name: &str) -> String {
    compose(&name.to_lowercase()).into_owned()
}

/// Unicode Normalization Form C.
pub(crate) fn compose(text: &str) -> std::borrow::Cow<'_, str> {
    match is_nfc_quick(text.chars()) {
        IsNormalized::Yes => text.into(),
        IsNormalized::No | IsNormalized::Maybe => text.nfc().collect::<String>().into(),
    }
}

fn parse_name(what: &'static str, text: &str) -> Result<Arc<str>, ParseError> {
    // Composing never makes text longer than three times its length, so bound it before spending time on it.
    if text.len() > 3 * MAX_NAME {
        return Err(ParseError::new(what, "is longer than 128 bytes"));
    }
    let name = compose(text);
    let reason = match &*name {
        "" => "is empty",
        long if long.len() > MAX_NAME => "is longer than 128 bytes",
        name if name.contains(':') => "holds a colon",
        name if name.contains(char::is_control) => "holds a control character",
        name if name.contains(is_invisible) => {
            "holds a character that draws nothing or turns the text around"
        }
        name if name.trim() != name => "begins or ends with white space",
        _ => return Ok(name.into()),
    };
    Err(ParseError::new(what, reason))
}

/// Format characters by which two names that look alike differ, or a line on a terminal or in an audit trail reads
/// otherwise than it is (RFC 8264 §9.13; CVE-2021-42574): zero-width ones, bidirectional controls, tags.
const fn is_invisible(letter: char) -> bool {
    matches!(
        letter,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
    )
}

pub(crate) const MAX_NAME: usize = 128;

macro_rules! text {
    ($($name:ident)*) => {$(
        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({:?})"), self.0)
            }
        }
    )*};
}

text!(UserName GroupName RootName);
