//! Preconditions: RFC 9110 §13.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use beneath::Timestamp;
use http::header::{IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::etag::{Candidate, EntityTag, GRAIN};
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
    let lost = if headers.contains_key(IF_MATCH) {
        !any_tag(headers, &IF_MATCH, |tag| now.etag.matches_strongly(tag))
    } else {
        matches!(
            (date(headers, &IF_UNMODIFIED_SINCE), now.modified),
            (Some(date), Some(modified)) if modified.seconds > date
        )
    };
    if lost {
        return Outcome::Failed;
    }
    // Steps 3 and 4: If-Modified-Since only counts where there is no If-None-Match.
    let known = if headers.contains_key(IF_NONE_MATCH) {
        any_tag(headers, &IF_NONE_MATCH, |tag| now.etag.matches_weakly(tag))
    } else {
        matches!(
            (date(headers, &IF_MODIFIED_SINCE), now.modified),
            (Some(date), Some(modified)) if modified.seconds <= date
        )
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
    match Candidate::parse(value.as_bytes()) {
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

/// Whether any tag of the list satisfies `matches`, over all lines of the field. `*` matches, where it is the whole
/// field: there always is a current representation. After the first thing that is not a tag, the rest of a line matches
/// nothing.
fn any_tag(headers: &HeaderMap, name: &HeaderName, matches: impl Fn(Candidate<'_>) -> bool) -> bool {
    if single(headers, name).is_some_and(|value| value.as_bytes().trim_ascii() == b"*") {
        return true;
    }
    headers
        .get_all(name)
        .iter()
        .any(|line| Tags(line.as_bytes()).any(&matches))
}

/// The tags of one line of a list (§5.6.1).
struct Tags<'a>(&'a [u8]);

impl<'a> Iterator for Tags<'a> {
    type Item = Candidate<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        while let [b' ' | b'\t' | b',', rest @ ..] = self.0 {
            self.0 = rest;
        }
        let (tag, rest) = Candidate::parse(self.0)?;
        // Only a comma may stand between two of them.
        let rest = rest.trim_ascii_start();
        self.0 = if matches!(rest, [] | [b',', ..]) {
            rest
        } else {
            b""
        };
        Some(tag)
    }
}

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
