//! The words of the catalog as they stand in JSON, in paths and in queries: each is parsed, written and described in
//! one place.

use std::fmt;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use beneath_catalog::{Page, ParseError};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::ToSchema;

use crate::notation::{YEAR_10000, rfc3339, rfc3339_millis};

/// Declares what is text in JSON and a type of the catalog here.
macro_rules! text {
    ($($(#[$attribute:meta])* $name:ident($inner:ty);)*) => {$(
        #[derive(Clone, Debug, ToSchema)]
        $(#[$attribute])*
        pub(super) struct $name(pub(super) $inner);

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
            }
        }
    )*};
}

/// The same, where the catalog's type is parsed and written by itself.
macro_rules! parsed_and_written {
    ($($name:ident)*) => {$(
        impl FromStr for $name {
            type Err = ParseError;

            fn from_str(text: &str) -> Result<Self, ParseError> {
                text.parse().map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(&self.0)
            }
        }
    )*};
}

text! {
    /// What caches may do with a published file: `no-store`, nothing; `revalidate`, the client's own may keep it and asks before
    /// each use, so that it can be revoked (what is the same is not sent again, nor is a new name or type of it). An answer that
    /// a cache gives without asking could not be revoked, so there is no such kind. Downloads by links are never kept.
    #[schema(value_type = String, pattern = "^(no-store|revalidate)$", example = "no-store")]
    Caching(beneath_catalog::Caching);

    /// What a browser does with a published file: `attachment`, it is saved; `inline`, it is shown, in a sandbox, if its type can
    /// run no script, and saved otherwise.
    #[schema(value_type = String, pattern = "^(attachment|inline)$", example = "attachment")]
    Disposition(beneath_catalog::Disposition);

    /// The name of a published file: 128 random bits in base64url. It opens nothing by itself.
    #[schema(value_type = String, min_length = 22, max_length = 22, pattern = "^[A-Za-z0-9_-]{21}[AQgw]$",
        example = "8kRXzGkFyVE0Y1u3rEJ2Vg")]
    FileId(beneath_catalog::FileId);

    /// The name of a group: at most 128 bytes of UTF-8, brought to NFC; no control or invisible characters.
    #[schema(value_type = String, min_length = 1, max_length = 128, example = "finance")]
    GroupName(beneath_catalog::GroupName);

    /// The number of a link. It opens nothing.
    #[schema(value_type = String, min_length = 1, max_length = 19, pattern = "^[1-9][0-9]{0,18}$", example = "7")]
    LinkId(beneath_catalog::LinkId);

    /// A media type (RFC 9110 §8.3.1).
    #[schema(value_type = String, min_length = 3, max_length = 255, pattern = "^[!#$%&'*+.^_`|~0-9A-Za-z-]+/[!#$%&'*+.^_`|~0-9A-Za-z-]+( *; *[!#$%&'*+.^_`|~0-9A-Za-z-]+=([!#$%&'*+.^_`|~0-9A-Za-z-]+|\"[ !#-\\[\\]-~]*\"))*$",
        example = "application/pdf")]
    MediaType(String);

    /// A password: at most 1024 bytes of UTF-8, brought to NFC; no control characters.
    #[schema(value_type = String, format = Password, min_length = 1, max_length = 1024,
        pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]+$", example = "correct horse battery staple")]
    Password(beneath_catalog::Password);

    /// What a published file is bound to: `path`, a new file renamed into its place is served next time; `identity`,
    /// another file in its place is refused; `content`, other content is refused.
    #[schema(value_type = String, pattern = "^(path|identity|content)$", example = "path")]
    Pin(beneath_catalog::Pin);

    /// Where a file lies beneath its root: components that are neither empty nor `.` nor `..`, with `/` between them.
    #[schema(value_type = String, min_length = 1, max_length = 4095, example = "2026/q3.pdf")]
    RelPath(beneath::RelPath);

    /// What a user may do besides reading what was granted: a `publisher` publishes, and manages what they own; an
    /// `admin` manages everything.
    #[schema(value_type = String, pattern = "^(reader|publisher|admin)$", example = "reader")]
    Role(beneath_catalog::Role);

    /// The name the configuration gives a root.
    #[schema(value_type = String, min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9][A-Za-z0-9_.-]*$",
        example = "reports")]
    RootName(beneath_catalog::RootName);

    /// Who is given a right: `user:NAME` or `group:NAME`.
    #[schema(value_type = String, min_length = 6, max_length = 134, example = "user:alice")]
    Subject(beneath_catalog::Subject);

    /// A time in UTC (RFC 3339).
    #[schema(value_type = String, format = DateTime, example = "2026-12-31T23:59:59Z",
        pattern = "^(19[7-9][0-9]|[2-9][0-9]{3})-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{1,9})?Z$")]
    Time(SystemTime);

    /// The name of a user: at most 128 bytes of UTF-8, brought to NFC; no control or invisible characters.
    #[schema(value_type = String, min_length = 1, max_length = 128, example = "alice")]
    UserName(beneath_catalog::UserName);

    /// A place in a list: to be given back, not to be read.
    #[schema(value_type = String, min_length = 1, max_length = 19, pattern = "^[1-9][0-9]{0,18}$")]
    Cursor(beneath_catalog::Cursor);

    /// How many things there may be on a page.
    #[schema(value_type = u16, minimum = 1, maximum = 1000)]
    Limit(usize);
}

/// What the names of users and groups are made of, as a pattern: more than fits into an attribute.
pub(super) fn patterns() -> [(&'static str, String); 3] {
    // What may stand nowhere in a name, and (`space`) what may not stand at either end. Tag characters are beyond what `\u` can write.
    let never = r":\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb";
    let never = format!("{never}\u{e0000}-\u{e007f}");
    let space = r" \u00a0\u1680\u2000-\u200a\u202f\u205f\u3000";
    let name = format!("[^{never}{space}]([^{never}]*[^{never}{space}])?$");
    [
        ("GroupName", format!("^{name}")),
        ("Subject", format!("^(user|group):{name}")),
        ("UserName", format!("^{name}")),
    ]
}

parsed_and_written!(Caching Disposition FileId GroupName LinkId Pin Role RootName Subject UserName);

impl FromStr for MediaType {
    type Err = beneath_http::InvalidMediaType;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        beneath_http::MediaType::parse(text).map(|_| Self(text.to_owned()))
    }
}

impl FromStr for Password {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        text.parse().map(Self)
    }
}

impl FromStr for RelPath {
    type Err = beneath::Error;

    fn from_str(text: &str) -> Result<Self, beneath::Error> {
        beneath::RelPath::parse(text).map(Self)
    }
}

/// Text that is not what it must be, and what it must be.
#[derive(Debug)]
pub(super) struct MustBe(&'static str);

impl fmt::Display for MustBe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "must be {}", self.0)
    }
}

impl FromStr for Cursor {
    type Err = MustBe;

    fn from_str(text: &str) -> Result<Self, MustBe> {
        let cursor = text.parse().map_err(|_| MustBe("the `next` of a page"))?;
        let cursor = Self(cursor);
        if cursor.0.to_string() == text {
            return Ok(cursor);
        }
        Err(MustBe("the `next` of a page"))
    }
}

impl FromStr for Limit {
    type Err = MustBe;

    fn from_str(text: &str) -> Result<Self, MustBe> {
        match text.parse() {
            Ok(limit @ 1..=Page::MAX) if text.bytes().all(|byte| byte.is_ascii_digit()) => Ok(Self(limit)),
            _ => Err(MustBe("1 to 1000")),
        }
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self(100)
    }
}

impl FromStr for Time {
    type Err = MustBe;

    fn from_str(text: &str) -> Result<Self, MustBe> {
        let time = humantime::parse_rfc3339(text).ok();
        time.filter(|time| *time < UNIX_EPOCH + YEAR_10000)
            .map(Self)
            .ok_or(MustBe(
                "a time in UTC such as 2026-12-31T23:59:59Z, from 1970 to 9999",
            ))
    }
}

impl Time {
    pub(super) fn text(time: SystemTime) -> String {
        rfc3339(time)
    }

    pub(super) fn text_millis(time: SystemTime) -> String {
        rfc3339_millis(time)
    }
}
