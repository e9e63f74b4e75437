//! [`BareRanges`]: ranges of nobody knows which version.

use http::header::{IF_MATCH, IF_RANGE, RANGE};
use http::{HeaderMap, HeaderValue};

/// What to do with a Range that comes without If-Range, so that nobody can tell whether the client holds
/// the beginning of this version or of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there is no third")]
pub enum BareRanges {
    /// Serve it, as RFC 9110 has it.
    Serve,
    /// Serve what begins at the first byte, the last bytes and several ranges, with which nobody resumes; answer any other
    /// 428 (RFC 6585 §3): "say which version". For a server that knows
    /// that clients were given an earlier version: `wget -c`, `curl -C -` and aria2 send no If-Range, and would
    /// splice the two. Sending the whole instead is no help: `wget` skips what it thinks it has. Nor is a 416, which it
    /// takes for "complete".
    ///
    /// What a browser's media element asks for (`Sec-Fetch-Dest: video` or `audio`) is served all the same: it seeks without
    /// If-Range, and compares the entity tags of what it gets.
    FromTheStart,
}

impl BareRanges {
    /// Whether the range of this request may not be served from the middle of the file.
    pub(crate) fn doubts(self, headers: &HeaderMap) -> bool {
        self == Self::FromTheStart && may_splice(headers) && !is_for_a_player(headers)
    }
}

/// Whether the range may be the rest of another version: it is not of the last bytes (`bytes=-N`), which nobody resumes with, and
/// no condition that has been evaluated says which version it is of.
fn may_splice(headers: &HeaderMap) -> bool {
    let of_the_end = |value: &HeaderValue| value.as_bytes().windows(2).any(|pair| pair == b"=-");
    !names_a_version(headers) && !headers.get(RANGE).is_some_and(of_the_end)
}

/// Players check for themselves that all they get is of one version.
fn is_for_a_player(headers: &HeaderMap) -> bool {
    let destination = headers.get("sec-fetch-dest").map(HeaderValue::as_bytes);
    matches!(destination, Some(b"video" | b"audio"))
}

fn names_a_version(headers: &HeaderMap) -> bool {
    let names_one = |value: &HeaderValue| value.as_bytes().trim_ascii() != b"*";
    headers.contains_key(IF_RANGE) || headers.get(IF_MATCH).is_some_and(names_one)
}
