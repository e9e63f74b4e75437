//! [`Validators`]: what tells one state of a file from another, made once for each state.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use beneath::{Identity, Metadata, Version};
use http::HeaderValue;

use crate::conditional::LastModified;
use crate::etag::EntityTag;
use crate::plan::Representation;

/// Remembers the entity tag and the date of the state of a file that was asked for last, for who answers with the same file again
/// and again: keep one for each file, in an `Arc`, and give it to
/// [`FileResponse::validators`](crate::FileResponse::validators).
///
/// Nothing depends on it but the time it takes: what it says of another state, or of one so young that the next may look the same,
/// is made anew.
#[derive(Default)]
pub struct Validators(Mutex<Option<Settled>>);

/// The validators of a state that is old enough for them to stay what they are.
struct Settled {
    state: (Identity, Version),
    since: SystemTime,
    of: Fields,
}

/// As they are compared, and as they are sent.
#[derive(Clone)]
pub(crate) struct Fields {
    pub(crate) etag: EntityTag,
    pub(crate) modified: Option<LastModified>,
    pub(crate) etag_field: Option<HeaderValue>,
    pub(crate) modified_field: Option<HeaderValue>,
}

impl Fields {
    pub(crate) fn of(metadata: &Metadata, now: SystemTime) -> Self {
        let etag = EntityTag::of_file(metadata, now);
        let modified = LastModified::of_timestamp(metadata.modified(), now);
        Self {
            etag,
            modified,
            etag_field: etag.to_header_value(),
            modified_field: modified.and_then(LastModified::to_header_value),
        }
    }

    /// What preconditions and ranges are weighed against.
    pub(crate) const fn representation(&self, metadata: &Metadata) -> Representation {
        Representation {
            len: metadata.len(),
            etag: self.etag,
            modified: self.modified,
        }
    }

    /// Whether they will be the same at any later time.
    fn are_settled(&self) -> bool {
        !self.etag.is_weak() && self.modified.is_some_and(LastModified::is_strong)
    }
}

impl Validators {
    pub(crate) fn of(&self, metadata: &Metadata, now: SystemTime) -> Fields {
        let state = (*metadata.identity(), *metadata.version());
        let mut settled = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(settled) = &*settled
            && settled.state == state
            && settled.since <= now
        {
            return settled.of.clone();
        }
        let of = Fields::of(metadata, now);
        *settled = of.are_settled().then(|| Settled {
            state,
            since: now,
            of: of.clone(),
        });
        of
    }
}

impl fmt::Debug for Validators {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Validators")
    }
}
