//! What can go wrong besides a refusal: text that is not what it should be, a store that cannot be had, an
//! administrative act that was not done.

use std::fmt;
use std::path::{Path, PathBuf};

/// Text that is not what it was meant to be: which thing, and what is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseError {
    what: &'static str,
    reason: &'static str,
}

/// Why the catalog's store cannot be had. The text names the file.
#[derive(Debug)]
pub struct ConnectError {
    path: PathBuf,
    kind: ConnectErrorKind,
    detail: String,
}

/// What a [`ConnectError`] means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectErrorKind {
    /// There is no such file, and it was not asked for one to be made.
    Missing,
    /// Nor is there the directory that it would lie in.
    NoDirectory,
    /// The file system or the system refuses access.
    Denied,
    /// There is a file, but it is not a catalog: not a database, or another program's. It was not touched.
    NotACatalog,
    /// A newer version of this program wrote it.
    Newer,
    /// Somebody else holds it locked.
    Locked,
    /// It lies in the directory of a root, from which files are served.
    Served,
    /// It is damaged, full, or its device failed.
    Failed,
}

/// Why an administrative act was not done. Nothing was changed.
///
/// [`kind`](Self::kind) is what to decide by; the text is for whoever asked, who may administer.
#[derive(Debug)]
pub struct AdminError {
    kind: AdminErrorKind,
    field: Option<&'static str>,
    grant: Option<(usize, &'static str)>,
    message: String,
}

/// What an [`AdminError`] means, closed on purpose: a service answers each of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "a service must decide on each kind")]
pub enum AdminErrorKind {
    /// There is one of this name already.
    AlreadyExists,
    /// There is no such thing, or the actor may not know of it.
    NotFound,
    /// The actor may not do this.
    Refused,
    /// The actor came with a password; changes need a bearer token (so that no replayed or browser-attached password
    /// changes anything).
    TokenRequired,
    /// A field is not what it must be; [`AdminError::field`] names it.
    Invalid,
    /// Something else still depends on it.
    InUse,
    /// It was changed since the version that was named (`If-Match`).
    Stale,
    /// Too much is going on; ask again in a second.
    Busy,
    /// The store, or the system's randomness, failed.
    Unavailable,
}

impl ParseError {
    pub(crate) const fn new(what: &'static str, reason: &'static str) -> Self {
        Self { what, reason }
    }

    /// What the text was meant to be, such as "user name".
    pub const fn what(&self) -> &'static str {
        self.what
    }

    /// What is wrong with it, such as "holds a colon".
    pub const fn reason(&self) -> &'static str {
        self.reason
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the {} {}", self.what, self.reason)
    }
}

impl std::error::Error for ParseError {}

impl ConnectError {
    pub(crate) fn new(path: &Path, kind: ConnectErrorKind, detail: impl fmt::Display) -> Self {
        Self {
            path: path.to_owned(),
            kind,
            detail: detail.to_string(),
        }
    }

    /// What this means.
    pub const fn kind(&self) -> ConnectErrorKind {
        self.kind
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            // There is no more to say of it.
            ConnectErrorKind::Missing => {
                return write!(f, "the catalog {} does not exist", self.path.display());
            }
            ConnectErrorKind::NoDirectory => "cannot be made",
            ConnectErrorKind::Denied => "cannot be accessed",
            ConnectErrorKind::NotACatalog => "is not a catalog",
            ConnectErrorKind::Newer => "was written by a newer version",
            ConnectErrorKind::Locked => "is locked by another program",
            ConnectErrorKind::Served => "could be served itself",
            ConnectErrorKind::Failed => "failed",
        };
        write!(f, "the catalog {} {what}: {}", self.path.display(), self.detail)
    }
}

impl std::error::Error for ConnectError {}

impl AdminError {
    pub(crate) fn new(kind: AdminErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            field: None,
            grant: None,
            message: message.into(),
        }
    }

    pub(crate) fn invalid(field: &'static str, reason: impl fmt::Display) -> Self {
        Self {
            field: Some(field),
            ..Self::new(AdminErrorKind::Invalid, format!("{field}: {reason}"))
        }
    }

    /// That it is this part of this grant of a publication, if it is for what was asked and not for who had to answer.
    pub(crate) fn of_grant(self, at: usize, part: &'static str) -> Self {
        let is_asked = matches!(self.kind, AdminErrorKind::Invalid | AdminErrorKind::NotFound);
        Self {
            grant: is_asked.then_some((at, part)),
            ..self
        }
    }

    pub(crate) fn exists(thing: impl fmt::Display) -> Self {
        Self::new(AdminErrorKind::AlreadyExists, format!("{thing} exists already"))
    }

    pub(crate) fn not_found(thing: impl fmt::Display) -> Self {
        Self::new(AdminErrorKind::NotFound, format!("there is no {thing}"))
    }

    pub(crate) fn refused(why: impl Into<String>) -> Self {
        Self::new(AdminErrorKind::Refused, why)
    }

    /// What this means.
    pub const fn kind(&self) -> AdminErrorKind {
        self.kind
    }

    /// Which argument is at fault, for [`AdminErrorKind::Invalid`].
    pub const fn field(&self) -> Option<&'static str> {
        self.field
    }

    /// Which grant of a [`Publication`](crate::Publication) is at fault, counted from 0, and what of it: `subject` or `expires`.
    pub const fn grant(&self) -> Option<(usize, &'static str)> {
        self.grant
    }
}

impl fmt::Display for AdminError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for AdminError {}

impl From<getrandom::Error> for AdminError {
    fn from(error: getrandom::Error) -> Self {
        Self::new(AdminErrorKind::Unavailable, format!("no randomness: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_is_at_fault_for_what_it_says_and_not_for_a_store_that_fails() {
        let grant = |kind| AdminError::new(kind, "").of_grant(1, "subject").grant();
        for kind in [AdminErrorKind::Invalid, AdminErrorKind::NotFound] {
            assert_eq!(grant(kind), Some((1, "subject")));
        }
        for kind in [AdminErrorKind::Busy, AdminErrorKind::Unavailable] {
            assert_eq!(grant(kind), None, "{kind:?}");
        }
    }
}
