//! The Range field: which bytes of a representation were asked for.

use std::ops::RangeInclusive;

use http::HeaderValue;

/// At least one byte of a representation: from [`first`](Self::first) to [`last`](Self::last), both included.
///
/// Can only be made where it lies within the representation, so nobody computes `len - 1` of nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ByteRange {
    first: u64,
    last: u64,
}

/// What a Range field asks for, judged against a length.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "each of them is another answer")]
pub enum Ranges {
    /// To be treated as if there were no Range field: an unknown unit, not the grammar, or more than will be served.
    Ignored,
    /// Understood, but no byte of the representation is in it.
    Unsatisfiable,
    /// One run of bytes, maybe after merging.
    One(ByteRange),
    /// At least two that neither overlap nor touch, in the order they were asked for.
    Several(Vec<ByteRange>),
}

/// Reads the value of a Range field for a representation of `len` bytes.
///
/// Ranges that overlap or touch are merged, so their sum never exceeds the representation. More than `max` of them are
/// ignored altogether, as RFC 9110 §14.2 allows; nothing is read beyond the first too many, so the work is linear
/// and small however long the field is.
///
/// | asked of 10 bytes | answer | source |
/// |---|---|---|
/// | `bytes=2-5`, `BYTES=2-5` | bytes 2 to 5 | §14.1, unit names are case-insensitive |
/// | `bytes=2-99` | bytes 2 to 9 | §14.1.2, last is clamped |
/// | `bytes=-3`, `bytes=-99` | the last 3; all | §14.1.2, a suffix longer than the representation is all of it |
/// | `bytes=10-`, `bytes=-0` | none: unsatisfiable | §14.1.2 |
/// | `lines=1-2`, `bytes=5-4`, `bytes=x` | ignored | §14.2 |
///
/// A suffix of an empty representation is satisfiable by the same section, but no Content-Range can say so: it is
/// ignored, and the whole (empty) representation sent.
///
/// ```
/// use beneath_http::range::{Ranges, parse};
/// use http::HeaderValue;
///
/// let Ranges::One(range) = parse(&HeaderValue::from_static("bytes=0-4,3-"), 10, 16) else {
///     panic!("these two are one");
/// };
/// assert_eq!((range.first(), range.last(), range.len()), (0, 9, 10));
/// ```
pub fn parse(field: &HeaderValue, len: u64, max: usize) -> Ranges {
    let Some(set) = strip_unit(field.as_bytes()) else {
        return Ranges::Ignored;
    };
    let mut specs = 0_usize;
    let mut found = Found::None;
    for element in set.split(|&byte| byte == b',').map(trim) {
        if element.is_empty() {
            continue; // §5.6.1: a recipient ignores empty list elements.
        }
        specs += 1;
        let Some(spec) = Spec::parse(element) else {
            return Ranges::Ignored;
        };
        if specs > max || (len == 0 && spec.is_suffix()) {
            return Ranges::Ignored;
        }
        if let Some(range) = spec.of(len) {
            found.push(range);
        }
    }
    if specs == 0 {
        Ranges::Ignored
    } else {
        found.into_ranges()
    }
}

impl ByteRange {
    /// From `first` to `last`, both included and within a representation of `len` bytes; otherwise `None`.
    pub const fn new(first: u64, last: u64, len: u64) -> Option<Self> {
        if first <= last && last < len {
            Some(Self { first, last })
        } else {
            None
        }
    }

    /// All of a representation of `len` bytes, unless it is empty.
    pub const fn whole(len: u64) -> Option<Self> {
        match len.checked_sub(1) {
            Some(last) => Some(Self { first: 0, last }),
            None => None,
        }
    }

    /// Position of the first byte, counted from 0.
    pub const fn first(self) -> u64 {
        self.first
    }

    /// Position of the last byte, which is part of the range.
    pub const fn last(self) -> u64 {
        self.last
    }

    /// How many bytes, at least one.
    #[expect(clippy::len_without_is_empty, reason = "it never is")]
    pub const fn len(self) -> u64 {
        // Both lie below a length that is a u64, so this cannot wrap.
        self.last - self.first + 1
    }
}

impl From<ByteRange> for RangeInclusive<u64> {
    fn from(range: ByteRange) -> Self {
        range.first..=range.last
    }
}

/// One element of a byte-range-set, not yet judged against a length.
#[derive(Clone, Copy)]
enum Spec {
    From { first: u64, last: u64 },
    Suffix(u64),
}

impl Spec {
    fn parse(element: &[u8]) -> Option<Self> {
        let dash = element.iter().position(|&byte| byte == b'-')?;
        let (first, last) = (&element[..dash], &element[dash + 1..]);
        match (first.is_empty(), last.is_empty()) {
            (true, true) => None,
            (true, false) => number(last).map(Self::Suffix),
            (false, true) => number(first).map(|first| Self::From {
                first,
                last: u64::MAX,
            }),
            (false, false) => {
                let (first, last) = (number(first)?, number(last)?);
                (first <= last).then_some(Self::From { first, last })
            }
        }
    }

    const fn is_suffix(self) -> bool {
        matches!(self, Self::Suffix(1..))
    }

    fn of(self, len: u64) -> Option<ByteRange> {
        let end = len.checked_sub(1)?;
        match self {
            Self::From { first, last } => ByteRange::new(first, last.min(end), len),
            Self::Suffix(0) => None,
            Self::Suffix(suffix) => ByteRange::new(len.saturating_sub(suffix), end, len),
        }
    }
}

/// What was found so far: almost always one range, which needs no heap.
enum Found {
    None,
    One(ByteRange),
    Several(Vec<ByteRange>),
}

impl Found {
    fn push(&mut self, range: ByteRange) {
        match self {
            Self::None => *self = Self::One(range),
            Self::One(one) => *self = Self::Several(vec![*one, range]),
            Self::Several(several) => several.push(range),
        }
    }

    fn into_ranges(self) -> Ranges {
        match self {
            Self::None => Ranges::Unsatisfiable,
            Self::One(range) => Ranges::One(range),
            Self::Several(several) => match merge(several).as_slice() {
                [range] => Ranges::One(*range),
                several => Ranges::Several(several.to_vec()),
            },
        }
    }
}

/// Merges what overlaps or touches. A merged range stands where the first of its parts stood: §15.3.7.2 wants the order
/// of the request.
fn merge(ranges: Vec<ByteRange>) -> Vec<ByteRange> {
    let mut ranked: Vec<(usize, ByteRange)> = ranges.into_iter().enumerate().collect();
    ranked.sort_unstable_by_key(|(_, range)| range.first);
    let mut merged: Vec<(usize, ByteRange)> = Vec::with_capacity(ranked.len());
    for (rank, range) in ranked {
        match merged.last_mut() {
            // Lies below a length, so adding one cannot wrap.
            Some((first_rank, last)) if range.first <= last.last + 1 => {
                last.last = last.last.max(range.last);
                *first_rank = rank.min(*first_rank);
            }
            _ => merged.push((rank, range)),
        }
    }
    merged.sort_unstable_by_key(|(rank, _)| *rank);
    merged.into_iter().map(|(_, range)| range).collect()
}

fn strip_unit(value: &[u8]) -> Option<&[u8]> {
    let (unit, set) = value.split_at_checked(b"bytes=".len())?;
    unit.eq_ignore_ascii_case(b"bytes=").then_some(set)
}

/// `1*DIGIT`. A number past [`u64::MAX`] counts as that: it lies beyond every file either way.
fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0_u64, |sum, byte| {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit < 10)?;
        Some(sum.saturating_mul(10).saturating_add(u64::from(digit)))
    })
}

/// Optional white space is blanks and tabs, nothing else.
fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}
