//! How times, names and what came of a change are written for the world, by commands and by the API alike.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use beneath_catalog::Change;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use serde::Serialize;
use utoipa::ToSchema;

/// Since 1970: RFC 3339 has no way to write what comes from then on.
pub(crate) const YEAR_10000: Duration = Duration::from_secs(253_402_300_800);

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

/// A digest, in lower case.
pub(crate) fn hex(digest: &[u8; 32]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
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

/// That a change is made: it is on the disk, and no decision that is made from now on goes by what was before.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Effect {
    /// The revision of the catalog that has it. Only ever grows.
    revision: u64,
    effective: Effective,
}

/// How it is known that a change is effective.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Effective {
    /// Every process that serves this catalog goes by it.
    Acknowledged,
    /// Some process did not say so within the revocation bound, and so lost its right to decide from memory: it serves
    /// nothing on older ground either, but the operator should look after it.
    BoundPassed,
}

impl Effect {
    pub(crate) const fn of<T>(change: &Change<T>) -> Self {
        Self {
            revision: change.revision().as_u64(),
            effective: match change.unanswered() {
                0 => Effective::Acknowledged,
                _ => Effective::BoundPassed,
            },
        }
    }
}
