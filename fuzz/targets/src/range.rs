//! The Range field, against a slow reading of RFC 9110 §14.1.2; and the plan for whole requests.
//!
//! ```text
//! 100                                   length of the representation
//! bytes=0-4, -7                         the Range field
//! If-None-Match: "v1"                   any other fields
//! ```

use std::time::{Duration, UNIX_EPOCH};

use beneath_http::EntityTag;
use beneath_http::plan::{Plan, Representation, plan};
use beneath_http::range::{ByteRange, Ranges, parse};
use http::header::RANGE;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

const MAX_RANGES: usize = 8;
/// The modification time of the representation, 2001-09-09T01:46:40Z, and what the clock says.
const MODIFIED: Duration = Duration::from_secs(1_000_000_000);
const NOW: Duration = Duration::from_secs(1_800_000_000);

/// Every range lies within the representation, the ranges are those the standard means, and a plan keeps to them.
pub fn range(text: &[u8]) {
    let mut lines = text.split(|&byte| byte == b'\n');
    let len = lines
        .next()
        .and_then(|line| std::str::from_utf8(line).ok()?.parse().ok())
        .unwrap_or(0);
    let Some(Ok(field)) = lines.next().map(HeaderValue::from_bytes) else {
        return;
    };
    let ranges = parse(&field, len, MAX_RANGES);
    lies_within(&ranges, len);
    if let Some(meaning) = Meaning::of(field.as_bytes(), len) {
        assert_eq!(Meaning::told(&ranges), meaning, "{field:?} of {len}");
    }

    let mut headers = HeaderMap::new();
    headers.insert(RANGE, field);
    for line in lines.take(16) {
        insert(&mut headers, line);
    }
    plans(&headers, len, &ranges);
}

fn lies_within(ranges: &Ranges, len: u64) {
    let ranges: &[ByteRange] = match ranges {
        Ranges::Ignored | Ranges::Unsatisfiable => &[],
        Ranges::One(range) => std::slice::from_ref(range),
        Ranges::Several(ranges) => {
            assert!((2..=MAX_RANGES).contains(&ranges.len()));
            ranges
        }
    };
    let mut sorted = ranges.to_vec();
    sorted.sort_by_key(|range| range.first());
    for range in &sorted {
        assert!(range.first() <= range.last() && range.last() < len);
        assert_eq!(range.len(), range.last() - range.first() + 1);
    }
    for pair in sorted.windows(2) {
        assert!(pair[0].last() + 1 < pair[1].first(), "they overlap or touch");
    }
}

/// The same, computed in the simplest way there is.
#[derive(Debug, PartialEq, Eq)]
enum Meaning {
    Ignored,
    Unsatisfiable,
    /// Sorted and merged.
    Bytes(Vec<(u64, u64)>),
}

impl Meaning {
    /// `None` where there is nothing to say: whether a range of which both ends are past any file is one.
    fn of(field: &[u8], len: u64) -> Option<Self> {
        let text = String::from_utf8_lossy(field);
        let Some((unit, set)) = text.split_once('=') else {
            return Some(Self::Ignored);
        };
        if !unit.eq_ignore_ascii_case("bytes") {
            return Some(Self::Ignored);
        }
        let white = |letter| letter == ' ' || letter == '\t';
        let specs: Vec<&str> = set
            .split(',')
            .map(|spec| spec.trim_matches(white))
            .filter(|spec| !spec.is_empty())
            .collect();
        let mut found = Vec::new();
        for spec in &specs {
            let Some((first, last)) = spec.split_once('-') else {
                return Some(Self::Ignored);
            };
            let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
            if !is_number(first) || !is_number(last) || (first.is_empty() && last.is_empty()) {
                return Some(Self::Ignored);
            }
            let number = |text: &str| text.parse::<u128>().ok();
            // Satisfiable by the standard, but no Content-Range can tell of it.
            if len == 0 && first.is_empty() && number(last)? > 0 {
                return Some(Self::Ignored);
            }
            let whole = u128::from(len);
            let (first, last) = match (first, last) {
                ("", suffix) => match number(suffix)? {
                    0 => continue,
                    suffix => (whole - suffix.min(whole), whole - 1),
                },
                (first, "") => (number(first)?, u128::MAX),
                (first, last) => (number(first)?, number(last)?),
            };
            if first > u128::from(u64::MAX) {
                return None;
            }
            if first > last {
                return Some(Self::Ignored);
            }
            if first < whole {
                found.push((
                    u64::try_from(first).ok()?,
                    u64::try_from(last.min(whole - 1)).ok()?,
                ));
            }
        }
        if specs.is_empty() || specs.len() > MAX_RANGES {
            return Some(Self::Ignored);
        }
        Some(if found.is_empty() {
            Self::Unsatisfiable
        } else {
            Self::Bytes(merged(found))
        })
    }

    fn told(ranges: &Ranges) -> Self {
        match ranges {
            Ranges::Ignored => Self::Ignored,
            Ranges::Unsatisfiable => Self::Unsatisfiable,
            Ranges::One(range) => Self::Bytes(vec![(range.first(), range.last())]),
            Ranges::Several(ranges) => Self::Bytes(merged(
                ranges.iter().map(|range| (range.first(), range.last())).collect(),
            )),
        }
    }
}

fn merged(mut ranges: Vec<(u64, u64)>) -> Vec<(u64, u64)> {
    ranges.sort_unstable();
    let mut merged: Vec<(u64, u64)> = Vec::new();
    for (first, last) in ranges {
        match merged.last_mut() {
            Some((_, before)) if first <= before.saturating_add(1) => *before = last.max(*before),
            _ => merged.push((first, last)),
        }
    }
    merged
}

fn insert(headers: &mut HeaderMap, line: &[u8]) -> Option<()> {
    let colon = line.iter().position(|&byte| byte == b':')?;
    let name = HeaderName::from_bytes(&line[..colon]).ok()?;
    let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?;
    headers.append(name, value);
    Some(())
}

fn plans(headers: &HeaderMap, len: u64, ranges: &Ranges) {
    let etag = EntityTag::parse(br#""v1""#).unwrap();
    let current = Representation::new(len, etag, Some(UNIX_EPOCH + MODIFIED), UNIX_EPOCH + NOW);
    assert_eq!(
        plan(&Method::POST, headers, &current, MAX_RANGES),
        Plan::MethodNotAllowed
    );

    let get = plan(&Method::GET, headers, &current, MAX_RANGES);
    assert_eq!(
        get,
        plan(&Method::GET, headers, &current, MAX_RANGES),
        "the same arguments, another plan"
    );
    let as_asked = match ranges {
        Ranges::Ignored => Plan::Whole,
        Ranges::Unsatisfiable => Plan::RangeNotSatisfiable,
        Ranges::One(range) => Plan::Part(*range),
        Ranges::Several(ranges) => Plan::Parts(ranges.clone()),
    };
    // Conditions can only take the range away, or answer in its place.
    let alternatives = [Plan::Whole, Plan::NotModified, Plan::PreconditionFailed];
    assert!(get == as_asked || alternatives.contains(&get), "{get:?}");
    if headers.len() == 1 {
        assert_eq!(get, as_asked);
    }
    let head = plan(&Method::HEAD, headers, &current, MAX_RANGES);
    assert!(alternatives.contains(&head), "{head:?}");
}
