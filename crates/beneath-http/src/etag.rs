//! [`EntityTag`]: a validator that tells the truth about the file it was made from.

use std::fmt;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use beneath::{Metadata, Timestamp};
use http::HeaderValue;
use sha2::{Digest as _, Sha256};

/// The longest text: `W/`, two quotes, and 32 bytes in base64url.
const MAX_LEN: usize = 47;

/// How old a file must be for its times to tell every two of its states apart.
///
/// The coarsest clock of a file system in use is that of FAT, two seconds; those of ext4, XFS, Btrfs and tmpfs tick every 1 to
/// 10 ms. RFC 9110 §8.8.2.2 wants one second at least for a date to be strong.
pub(crate) const GRAIN: Duration = Duration::from_secs(2);

/// An entity tag: which state of a representation this is.
///
/// Made [from a file](Self::of_file) it covers identity, length, mtime and ctime to the nanosecond. A tag of length and
/// mtime alone, which is what most servers send, stays the same when a file is rewritten and its mtime put back
/// (`cp -p`, `rsync -t`).
///
/// Source: RFC 9110 §8.8.3.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct EntityTag {
    text: [u8; MAX_LEN],
    len: u8,
}

impl EntityTag {
    /// The tag of a file that was opened, as of `now`: weak while the file is younger than two seconds or changed in the
    /// future, because then two contents may share one time; strong after.
    ///
    /// The opaque part does not change with the weakness, so a tag that was given out weak still matches weakly.
    ///
    /// # Security
    ///
    /// The opaque part is a hash: inode and device numbers and exact times do not leave the server.
    pub fn of_file(metadata: &Metadata, now: SystemTime) -> Self {
        let identity = metadata.identity();
        let mut hash = Sha256::new();
        hash.update(identity.device().to_be_bytes());
        hash.update(identity.inode().to_be_bytes());
        hash.update(metadata.len().to_be_bytes());
        let birth = identity.birth();
        for time in [Some(metadata.modified()), Some(metadata.changed()), birth]
            .into_iter()
            .flatten()
        {
            hash.update(time.seconds().to_be_bytes());
            hash.update(time.nanoseconds().to_be_bytes());
        }
        let hash: [u8; 32] = hash.finalize().into();
        Self::encode(is_young(metadata, now), &hash[..16])
    }

    /// The strong tag of content whose SHA-256 is known: the same on every server that has this content.
    pub fn of_sha256(digest: &[u8; 32]) -> Self {
        Self::encode(false, digest)
    }

    /// Reads a tag as it stands in a header field, `"…"` or `W/"…"`; `None` if it is not one, or longer than 47 bytes.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let (_, rest) = EntityTagRef::parse(text)?;
        if !rest.is_empty() {
            return None;
        }
        Self::from_text(text)
    }

    /// Whether this tag does not promise that bytes are equal, only meaning.
    pub const fn is_weak(&self) -> bool {
        self.text[0] == b'W'
    }

    /// The tag as it stands in a header field.
    pub fn as_bytes(&self) -> &[u8] {
        &self.text[..usize::from(self.len)]
    }

    pub(crate) fn to_header_value(self) -> Option<HeaderValue> {
        HeaderValue::from_bytes(self.as_bytes()).ok()
    }

    /// The strong comparison: both strong, and the same.
    pub(crate) fn matches_strongly(&self, other: EntityTagRef<'_>) -> bool {
        !self.is_weak() && !other.weak && self.opaque() == other.opaque
    }

    /// The weak comparison: the same, be they weak or strong.
    pub(crate) fn matches_weakly(&self, other: EntityTagRef<'_>) -> bool {
        self.opaque() == other.opaque
    }

    /// With its quotes.
    fn opaque(&self) -> &[u8] {
        let text = self.as_bytes();
        text.strip_prefix(b"W/").unwrap_or(text)
    }

    fn encode(weak: bool, hash: &[u8]) -> Self {
        let mut text = [0; MAX_LEN];
        let start = if weak {
            text[..2].copy_from_slice(b"W/");
            2
        } else {
            0
        };
        text[start] = b'"';
        // 32 bytes are 43 characters, for which there is room; a longer hash would give an empty tag, never a panic.
        let written = URL_SAFE_NO_PAD
            .encode_slice(hash, &mut text[start + 1..MAX_LEN - 1])
            .unwrap_or(0);
        text[start + 1 + written] = b'"';
        Self {
            text,
            len: u8::try_from(start + written + 2).unwrap_or(0),
        }
    }

    fn from_text(bytes: &[u8]) -> Option<Self> {
        let mut text = [0; MAX_LEN];
        text.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(Self {
            text,
            len: u8::try_from(bytes.len()).ok()?,
        })
    }
}

impl fmt::Debug for EntityTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EntityTag({})", String::from_utf8_lossy(self.as_bytes()))
    }
}

/// An entity tag of a request, of any length, borrowed from its field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntityTagRef<'a> {
    weak: bool,
    /// With its quotes.
    opaque: &'a [u8],
}

impl<'a> EntityTagRef<'a> {
    /// Whether it does not promise that bytes are equal, only meaning.
    pub const fn is_weak(&self) -> bool {
        self.weak
    }

    /// What stands between the quotes: all that the weak comparison goes by (RFC 9110 §8.8.3.2).
    pub fn opaque(&self) -> &'a [u8] {
        &self.opaque[1..self.opaque.len() - 1]
    }

    /// Reads one tag at the start of `text` and returns what follows. There is no escaping within the quotes, and
    /// commas are ordinary characters there.
    pub(crate) fn parse(text: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (weak, opaque) = match text.strip_prefix(b"W/") {
            Some(opaque) => (true, opaque),
            None => (false, text),
        };
        let inside = opaque.strip_prefix(b"\"")?;
        let len = inside.iter().position(|&byte| !is_etagc(byte))?;
        if inside[len] != b'"' {
            return None;
        }
        let (opaque, rest) = opaque.split_at(len + 2);
        Some((Self { weak, opaque }, rest))
    }
}

/// RFC 9110 §8.8.3: `%x21 / %x23-7E / obs-text`.
const fn is_etagc(byte: u8) -> bool {
    matches!(byte, 0x21 | 0x23..=0x7E | 0x80..)
}

/// Whether another write could still leave the same times behind.
fn is_young(metadata: &Metadata, now: SystemTime) -> bool {
    match age(metadata.changed(), now) {
        Some(age) if age >= GRAIN => {}
        _ => return true,
    }
    // A file system may keep no true ctime. An mtime in the future says nothing: its owner may set it to anything.
    matches!(age(metadata.modified(), now), Some(age) if age < GRAIN)
}

/// `None` in the future, or beyond what the clock holds.
fn age(time: Timestamp, now: SystemTime) -> Option<Duration> {
    now.duration_since(time.to_system_time()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_read_with_its_commas_and_what_follows_it() {
        let (tag, rest) = EntityTagRef::parse(br#"W/"a,b", "c""#).unwrap();
        assert_eq!(
            tag,
            EntityTagRef {
                weak: true,
                opaque: br#""a,b""#
            }
        );
        assert_eq!(rest, br#", "c""#);
    }

    #[test]
    fn what_is_not_a_tag_is_none() {
        for text in [
            &b"abc"[..],
            b"\"",
            b"\"a",
            b"w/\"a\"",
            b"W/",
            b"W/a",
            b"",
            b"\"a\x01\"",
            b"\"a b\"",
            b"'a'",
        ] {
            assert_eq!(
                EntityTagRef::parse(text),
                None,
                "{}",
                String::from_utf8_lossy(text)
            );
        }
    }

    #[test]
    fn a_digest_makes_a_strong_tag_of_43_characters() {
        let tag = EntityTag::of_sha256(&[0xff; 32]);
        assert!(!tag.is_weak());
        assert_eq!(tag.as_bytes().len(), 45);
        assert_eq!(EntityTag::parse(tag.as_bytes()), Some(tag));
    }

    #[test]
    fn of_files_made_in_the_same_instant_each_has_its_own_tag_of_128_bits() {
        let directory = tempfile::tempdir().unwrap();
        let root = beneath::Root::open_ambient(directory.path(), beneath::ambient_authority()).unwrap();
        let names: Vec<String> = (0..200).map(|number| number.to_string()).collect();
        for name in &names {
            std::fs::write(directory.path().join(name), "").unwrap();
        }
        let tag = |name: &String| {
            let file = root.open(&name.parse().unwrap()).unwrap();
            EntityTag::of_file(file.metadata(), SystemTime::UNIX_EPOCH)
        };
        let tags: std::collections::HashSet<EntityTag> = names.iter().map(tag).collect();
        assert_eq!(tags.len(), names.len());
        assert!(tags.iter().all(|tag| tag.opaque().len() == 22 + 2));
    }

    #[test]
    fn the_comparisons_follow_the_table_of_the_rfc() {
        // RFC 9110 §8.8.3.2, table 3.
        for (one, other, strong, weak) in [
            (r#"W/"1""#, r#"W/"1""#, false, true),
            (r#"W/"1""#, r#"W/"2""#, false, false),
            (r#"W/"1""#, r#""1""#, false, true),
            (r#""1""#, r#"W/"1""#, false, true),
            (r#""1""#, r#""1""#, true, true),
        ] {
            let tag = EntityTag::parse(one.as_bytes()).unwrap();
            let (candidate, _) = EntityTagRef::parse(other.as_bytes()).unwrap();
            assert_eq!(tag.matches_strongly(candidate), strong, "{one} {other}");
            assert_eq!(tag.matches_weakly(candidate), weak, "{one} {other}");
        }
    }
}
