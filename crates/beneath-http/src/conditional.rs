//! Preconditions: RFC 9110 §13.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use beneath::Timestamp;
use http::header::{IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, ValueIter};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::etag::{EntityTag, EntityTagRef, GRAIN};
use crate::plan::Representation;

/// What the preconditions of a GET or HEAD come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Proceed,
    NotModified,
    Failed,
}

/// Evaluates them in the order of §13.2.2. If-Range, step 5, is [`range_applies`].
pub(crate) fn evaluate(headers: &HeaderMap, now: &Representation) -> Outcome {
    // Steps 1 and 2: If-Unmodified-Since only counts where there is no If-Match.
    let lost = match TagCondition::of(headers, &IF_MATCH) {
        Some(tags) => !tags.any(|tag| now.etag.matches_strongly(tag)),
        None => matches!(
            (date(headers, &IF_UNMODIFIED_SINCE), now.modified),
            (Some(date), Some(modified)) if modified.seconds > date
        ),
    };
    if lost {
        return Outcome::Failed;
    }
    // Steps 3 and 4: If-Modified-Since only counts where there is no If-None-Match.
    let known = match TagCondition::of(headers, &IF_NONE_MATCH) {
        Some(tags) => tags.any(|tag| now.etag.matches_weakly(tag)),
        None => matches!(
            (date(headers, &IF_MODIFIED_SINCE), now.modified),
            (Some(date), Some(modified)) if modified.seconds <= date
        ),
    };
    if known {
        Outcome::NotModified
    } else {
        Outcome::Proceed
    }
}

/// Whether a Range field is to be looked at: §13.1.5, §13.2.2 step 5. Anything but the current validator, alone and
/// strong, means the client has another representation, and must get this one whole.
pub(crate) fn range_applies(headers: &HeaderMap, now: &Representation) -> bool {
    if !headers.contains_key(IF_RANGE) {
        return true;
    }
    let Some(value) = single(headers, &IF_RANGE) else {
        return false;
    };
    match EntityTagRef::parse(value.as_bytes()) {
        Some((tag, rest)) => rest.is_empty() && now.etag.matches_strongly(tag),
        None => matches!(
            (parse_date(value), now.modified),
            (Some(date), Some(modified)) if modified.strong && modified.seconds == date
        ),
    }
}

/// The Last-Modified of a representation, in whole seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LastModified {
    seconds: u64,
    /// No second change can have had the same date: it is old enough.
    strong: bool,
}

impl LastModified {
    /// `None` before 1970, which an HTTP date cannot say; never later than `now` (§8.8.2.1).
    pub(crate) fn new(modified: SystemTime, now: SystemTime) -> Option<Self> {
        let now = now.duration_since(UNIX_EPOCH).ok()?;
        let modified = modified.duration_since(UNIX_EPOCH).ok()?.min(now);
        Some(Self {
            seconds: modified.as_secs(),
            strong: now.as_secs() - modified.as_secs() >= GRAIN.as_secs(),
        })
    }

    pub(crate) fn of_timestamp(modified: Timestamp, now: SystemTime) -> Option<Self> {
        Self::new(modified.to_system_time()?, now)
    }

    pub(crate) const fn is_strong(self) -> bool {
        self.strong
    }

    pub(crate) fn to_header_value(self) -> Option<HeaderValue> {
        // httpdate panics from the year 10000 on; a clock that says so is no clock.
        const YEAR_10000: u64 = 253_402_300_800;
        if self.seconds >= YEAR_10000 {
            return None;
        }
        let date = UNIX_EPOCH + Duration::from_secs(self.seconds);
        HeaderValue::try_from(httpdate::fmt_http_date(date)).ok()
    }
}

/// What If-Match or If-None-Match names (RFC 9110 §13.1.1, §13.1.2).
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "there is no third")]
pub enum TagCondition<'a> {
    /// `*`: any state there is.
    Any,
    /// One of these.
    OneOf(EntityTags<'a>),
}

impl<'a> TagCondition<'a> {
    /// `None` where there is no such field. `*` counts where it is the whole field.
    pub fn of(headers: &'a HeaderMap, name: &HeaderName) -> Option<Self> {
        if !headers.contains_key(name) {
            return None;
        }
        if single(headers, name).is_some_and(|value| value.as_bytes().trim_ascii() == b"*") {
            return Some(Self::Any);
        }
        Some(Self::OneOf(EntityTags {
            line: b"",
            lines: headers.get_all(name).iter(),
        }))
    }

    /// Of what there is. What is not a tag matches nothing.
    fn any(self, matches: impl FnMut(EntityTagRef<'_>) -> bool) -> bool {
        match self {
            Self::Any => true,
            Self::OneOf(tags) => tags.flatten().any(matches),
        }
    }
}

/// The tags of a list (RFC 9110 §5.6.1), over all lines of its field. In place of the first thing on a line that is not a tag there is
/// `None`, and the rest of that line is passed over.
#[derive(Debug)]
pub struct EntityTags<'a> {
    line: &'a [u8],
    lines: ValueIter<'a, HeaderValue>,
}

impl<'a> Iterator for EntityTags<'a> {
    type Item = Option<EntityTagRef<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            // Of empty elements there may be any number (§5.6.1.2).
            while let [b' ' | b'\t' | b',', rest @ ..] = self.line {
                self.line = rest;
            }
            if !self.line.is_empty() {
                break;
            }
            self.line = self.lines.next()?.as_bytes();
        }
        let Some((tag, rest)) = EntityTagRef::parse(self.line) else {
            self.line = b"";
            return Some(None);
        };
        // Only a comma may stand between two of them.
        self.line = match rest.trim_ascii_start() {
            rest @ ([] | [b',', ..]) => rest,
            _ => NO_TAG,
        };
        Some(Some(tag))
    }
}

/// Stands for what follows a tag and is none.
const NO_TAG: &[u8] = b"?";

/// A date, if the field is there once and holds one; otherwise it is to be ignored (§13.1.3, §13.1.4).
fn date(headers: &HeaderMap, name: &HeaderName) -> Option<u64> {
    parse_date(single(headers, name)?)
}

fn parse_date(value: &HeaderValue) -> Option<u64> {
    let date = httpdate::parse_http_date(value.to_str().ok()?).ok()?;
    Some(date.duration_since(UNIX_EPOCH).ok()?.as_secs())
}

/// The value of a field that is there exactly once.
pub(crate) fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut lines = headers.get_all(name).iter();
    let first = lines.next()?;
    lines.next().is_none().then_some(first)
}

impl Representation {
    /// A representation of `len` bytes with this tag, last modified then (if known), as of `now`.
    pub fn new(len: u64, etag: EntityTag, modified: Option<SystemTime>, now: SystemTime) -> Self {
        Self {
            len,
            etag,
            modified: modified.and_then(|modified| LastModified::new(modified, now)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The opaque parts and whether they are weak, as far as all of it is of the grammar.
    fn listed(lines: &[&[u8]]) -> Option<Vec<(String, bool)>> {
        let headers: HeaderMap = lines
            .iter()
            .map(|line| (IF_MATCH, HeaderValue::from_bytes(line).unwrap()))
            .collect();
        let Some(TagCondition::OneOf(tags)) = TagCondition::of(&headers, &IF_MATCH) else {
            panic!("{lines:?} is a list");
        };
        let read = |tag: EntityTagRef<'_>| (String::from_utf8(tag.opaque().to_vec()).unwrap(), tag.is_weak());
        tags.map(|tag| tag.map(read)).collect()
    }

    #[test]
    fn lists_of_tags_are_read_and_nothing_else() {
        let tag = |text: &str, weak| (text.to_owned(), weak);
        assert_eq!(listed(&[b"\"1\""]), Some(vec![tag("1", false)]));
        let both = Some(vec![tag("a,b", true), tag("2", false)]);
        assert_eq!(listed(&[b"W/\"a,b\" , ,\"2\","]), both);
        assert_eq!(listed(&[b"W/\"a,b\"", b"", b",", b"\"2\""]), both);
        assert_eq!(listed(&[b""]), Some(vec![]));
        for text in [
            &b"1"[..],
            b"\"1",
            b"w/\"1\"",
            b"\"1\" \"2\"",
            b"\"a b\"",
            b"W/",
            b"*, \"1\"",
        ] {
            assert_eq!(listed(&[text]), None, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn after_what_is_not_a_tag_the_next_line_is_read_again() {
        let lines = ["\"1\" \"2\", \"3\"", "\"4\""];
        let headers: HeaderMap = lines
            .map(|line| (IF_MATCH, HeaderValue::from_static(line)))
            .into_iter()
            .collect();
        let mut read = Vec::new();
        let condition = TagCondition::of(&headers, &IF_MATCH).unwrap();
        assert!(!condition.any(|tag| {
            read.push(tag.opaque().to_vec());
            false
        }));
        assert_eq!(read, [b"1", b"4"]);
    }
}
