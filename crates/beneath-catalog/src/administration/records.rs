//! The audit trail, read.

use std::time::SystemTime;

use super::{Administration, Cursor};
use crate::error::AdminError;
use crate::store::{Millis, Revision, audit};
use crate::subject::Role;

/// One thing that happened. Written once, never changed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuditRecord {
    /// Its place in the trail: [`Administration::audit`] goes on after it.
    pub place: Cursor,
    /// When.
    pub at: SystemTime,
    /// Who: `operator`, `user:NAME`, `link:NUMBER`, `unproven:"…"` for whoever gave a name they did not prove, or
    /// `unknown`.
    pub actor: String,
    /// What: `open`, `transfer`, or an administrative act such as `user.add`.
    pub event: String,
    /// To what: a file ID, a subject, or both.
    pub object: String,
    /// As of which revision.
    pub revision: Revision,
    /// What came of it: `done`, `failed`, `allowed`, `refused`; of a transfer `complete`, `cut` or `aborted`.
    pub outcome: String,
    /// The true reason why it was refused, failed, or was cut.
    pub reason: Option<String>,
    /// Bytes that were sent. A transfer that was complete before its `open` was written, which is half a second at most,
    /// has no other record; one that takes longer has a `transfer` of its own at its end.
    pub bytes: Option<u64>,
    /// Where the request came from.
    pub address: Option<String>,
    /// How often it happened, all bytes counted: 1 unless there was too much to be written down one by one, which is some thousand
    /// decisions in half a second (or in the time for which nothing could be written).
    pub times: u64,
}

impl Administration<'_> {
    /// What happened, in the order it was written: at most `limit` records after `after`, of those since `since`.
    ///
    /// # Errors
    ///
    /// [`Refused`](crate::AdminErrorKind::Refused) for anyone but an administrator.
    pub fn audit(
        &self,
        since: Option<SystemTime>,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<Vec<AuditRecord>, AdminError> {
        let after = after.unwrap_or(Cursor(0));
        self.ask(Role::Admin, |snapshot, _| {
            Ok(audit::list(snapshot, since.map(Millis::from), after, limit)?)
        })
    }
}
