//! [`Entry`]: what is known of a published file. It stays sealed until somebody was allowed to see it.

use std::any::Any;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use beneath::RelPath;

use crate::error::ParseError;
use crate::file_id::FileId;
use crate::store::Millis;
use crate::store::decide::Permit;
use crate::subject::{RootName, UserId, UserName};

/// What the catalog knows of a published file.
///
/// A client sees one only through a [`Lease`](crate::Lease), whoever administers through
/// [`Administration`](crate::Administration). Root, path, owner and ID never change.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    pub(crate) seq: EntrySeq,
    pub(crate) id: FileId,
    pub(crate) root: RootName,
    pub(crate) path: RelPath,
    pub(crate) owner: Option<(UserId, UserName)>,
    pub(crate) name: Box<[u8]>,
    pub(crate) media_type: Option<Box<str>>,
    pub(crate) size: u64,
    pub(crate) pin: Pin,
    pub(crate) disposition: Disposition,
    pub(crate) caching: Caching,
    pub(crate) fingerprint: Option<Box<[u8]>>,
    pub(crate) digest: Option<[u8; 32]>,
    /// What fs-verity said of the content when it was published, for [`Pin::Content`].
    pub(crate) verity: Option<Box<[u8]>>,
    pub(crate) created: Millis,
    pub(crate) version: u64,
    pub(crate) derived: Derived,
}

/// What whoever serves an entry made of it. Of no importance to what the entry is.
#[derive(Default)]
pub(crate) struct Derived(OnceLock<Arc<dyn Any + Send + Sync>>);

/// What a published file is bound to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "whoever serves must decide on each kind")]
pub enum Pin {
    /// Its place: a new file renamed into it is served next time.
    #[default]
    Path,
    /// The file itself: another one in its place is refused.
    Identity,
    /// Its content: another is refused.
    Content,
}

/// Whether a browser shows a published file or saves it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "whoever serves must decide on each kind")]
pub enum Disposition {
    /// It is saved.
    #[default]
    Attachment,
    /// It is shown, as far as whoever serves it holds that safe for its type.
    Inline,
}

/// What caches may do with a published file.
///
/// # Security
///
/// There is deliberately no kind by which a cache answers without asking: such an answer cannot be revoked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "whoever serves must decide on each kind")]
pub enum Caching {
    /// Nothing is kept.
    #[default]
    NoStore,
    /// The client's own cache may keep it, and asks before each use, which is decided like any request. A file that is the same
    /// is not sent again, nor is its name or type: until its content changes it may be shown with those it had.
    Revalidate,
}

/// An entry nobody has been allowed to see yet.
pub(crate) struct Sealed(Entry);

/// The store's own number for an entry; never used again for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct EntrySeq(pub(crate) i64);

impl Sealed {
    pub(crate) const fn new(entry: Entry) -> Self {
        Self(entry)
    }

    /// What a decision needs to know: which entry, and whose.
    pub(crate) fn subject_of_decision(&self) -> (EntrySeq, Option<UserId>) {
        (self.0.seq, self.0.owner.as_ref().map(|(id, _)| *id))
    }

    pub(crate) fn unseal(self, _: &Permit) -> Entry {
        self.0
    }
}

impl Entry {
    /// Its name to the world.
    pub const fn id(&self) -> &FileId {
        &self.id
    }

    /// The root it lies beneath.
    pub const fn root(&self) -> &RootName {
        &self.root
    }

    /// Where it lies beneath its root. Not for readers.
    pub const fn path(&self) -> &RelPath {
        &self.path
    }

    /// Who published it, or `None` for the operator.
    pub fn owner(&self) -> Option<&UserName> {
        self.owner.as_ref().map(|(_, name)| name)
    }

    /// What a person would save it as: 1 to 255 bytes, not always UTF-8, without `/` and NUL.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// The media type its publisher gave it.
    pub fn media_type(&self) -> Option<&str> {
        self.media_type.as_deref()
    }

    /// Its length in bytes when it was published. What it is now, an open file tells.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// What it is bound to.
    pub const fn pin(&self) -> Pin {
        self.pin
    }

    /// Whether it is shown or saved.
    pub const fn disposition(&self) -> Disposition {
        self.disposition
    }

    /// What caches may do with it.
    pub const fn caching(&self) -> Caching {
        self.caching
    }

    /// SHA-256 of its content when it was published, for [`Pin::Content`].
    pub const fn digest(&self) -> Option<&[u8; 32]> {
        self.digest.as_ref()
    }

    /// When it was published, to the millisecond.
    pub fn created(&self) -> SystemTime {
        self.created.to_system_time()
    }

    /// Grows with every change of this entry or its grants: an `ETag` for `If-Match`.
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// What `derive` makes of this entry: once for as long as the entry is remembered and stays what it is, so that it need not
    /// be made for every request. There is room for values of one type.
    ///
    /// ```
    /// # use beneath_catalog::Entry;
    /// fn name_to_show(entry: &Entry) -> std::sync::Arc<String> {
    ///     entry.derived(|entry| String::from_utf8_lossy(entry.name()).into_owned())
    /// }
    /// ```
    pub fn derived<T: Any + Send + Sync>(&self, derive: impl Fn(&Self) -> T) -> Arc<T> {
        let derived = self.derived.0.get_or_init(|| Arc::new(derive(self)));
        Arc::clone(derived)
            .downcast()
            .unwrap_or_else(|_| Arc::new(derive(self)))
    }
}

impl Clone for Derived {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for Derived {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Derived {}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("id", &self.id)
            .field("root", &self.root)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl Pin {
    /// As it is written in a command or the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Identity => "identity",
            Self::Content => "content",
        }
    }
}

impl FromStr for Pin {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        match text {
            "path" => Ok(Self::Path),
            "identity" => Ok(Self::Identity),
            "content" => Ok(Self::Content),
            _ => Err(ParseError::new("pin", "is none of path, identity, content")),
        }
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Disposition {
    /// As it is written in a command or the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Attachment => "attachment",
            Self::Inline => "inline",
        }
    }
}

impl FromStr for Disposition {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        match text {
            "attachment" => Ok(Self::Attachment),
            "inline" => Ok(Self::Inline),
            _ => Err(ParseError::new("disposition", "is none of attachment, inline")),
        }
    }
}

impl fmt::Display for Disposition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Caching {
    /// As it is written in a command or the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoStore => "no-store",
            Self::Revalidate => "revalidate",
        }
    }
}

impl FromStr for Caching {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        match text {
            "no-store" => Ok(Self::NoStore),
            "revalidate" => Ok(Self::Revalidate),
            _ => Err(ParseError::new("caching", "is none of no-store, revalidate")),
        }
    }
}

impl fmt::Display for Caching {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
