//! How times and names are written for the world, by commands and by the API alike.

use std::fmt::Write as _;
use std::time::SystemTime;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

/// A time as RFC 3339 writes it; what it cannot write, from the year 10000 on, as the last second it can.
pub(crate) fn rfc3339(time: SystemTime) -> String {
    written(&humantime::format_rfc3339_seconds(time))
}

/// The same with milliseconds.
pub(crate) fn rfc3339_millis(time: SystemTime) -> String {
    written(&humantime::format_rfc3339_millis(time))
}

fn written(time: &humantime::Rfc3339Timestamp) -> String {
    let mut text = String::new();
    match write!(text, "{time}") {
        Ok(()) => text,
        Err(_) => "9999-12-31T23:59:59Z".to_owned(),
    }
}

/// Any bytes as one segment of a path.
pub(crate) fn segment(bytes: &[u8]) -> impl std::fmt::Display + '_ {
    percent_encode(bytes, SEGMENT)
}

/// What stands unencoded in a path segment: the unreserved characters (RFC 3986 §2.3).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
