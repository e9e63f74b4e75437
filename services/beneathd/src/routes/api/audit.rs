//! `/audit`: what happened, in the order it was written.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use beneath_catalog::AuditRecord;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::answer::{self, Page};
use super::caller::Reader;
use super::parameters::Parameters;
use super::vocabulary::{Cursor, Limit, Time};
use crate::rejection::Problem;
use crate::service::Service;

/// One thing that happened. Written once, never changed.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Record {
    /// Its place in the trail: as `cursor` it gives what came after.
    #[schema(pattern = "^[1-9][0-9]{0,18}$")]
    place: String,
    #[schema(value_type = Time)]
    at: String,
    /// Who: `operator`, `user:NAME`, `link:NUMBER`, `unproven:"…"` for whoever gave a name they did not prove, or
    /// `unknown`.
    actor: String,
    /// What: `open`, `transfer`, or an administrative act such as `user.add`.
    event: String,
    /// To what: a file ID, a subject, or both.
    object: String,
    /// As of which revision.
    revision: u64,
    /// What came of it: `done`, `failed`, `allowed`, `refused`; of a transfer `complete`, `cut` or `aborted`.
    outcome: String,
    /// The true reason why it was refused or cut.
    reason: Option<String>,
    /// Bytes that were sent. A transfer that was complete within half a second has no other record than its `open`; one
    /// that takes longer has a `transfer` of its own at its end.
    bytes: Option<u64>,
    /// Where the request came from.
    address: Option<String>,
    /// How often it happened, all bytes counted: 1 unless there was too much within half a second to be written down one by one.
    #[schema(minimum = 1)]
    times: u64,
}

/// Which part of the trail.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Span {
    /// How many records at most; 100 by default.
    #[serde(default)]
    #[param(inline)]
    limit: Limit,
    /// Go on after this one: `next` of the page before, or any record's `place`.
    #[param(inline)]
    cursor: Option<Cursor>,
    /// What happened since then only.
    #[param(inline)]
    since: Option<Time>,
}

/// Read the audit trail
///
/// In the order it was written: decisions, administrative acts, transfers and how they ended. For administrators.
#[utoipa::path(
    get, path = "/audit", tag = "audit", params(Span),
    responses((status = 200, description = "A page of it", body = Page<Record>))
)]
pub(super) async fn list(
    State(service): State<Arc<Service>>,
    Reader(principal): Reader,
    Parameters(Span { limit, cursor, since }): Parameters<Span>,
) -> Result<Response, Problem> {
    let Limit(limit) = limit;
    let records = service.administer(principal, move |administration| {
        let since = since.map(|Time(since)| since);
        let after = cursor.map(|Cursor(cursor)| cursor);
        administration.audit(since, after, limit + 1)
    });
    let mut items: Vec<_> = records.await?.into_iter().map(Record::of).collect();
    let more = items.len() > limit;
    items.truncate(limit);
    let next = items.last().filter(|_| more).map(|last| last.place.clone());
    Ok(answer::json(StatusCode::OK, &Page { items, next }))
}

impl Record {
    fn of(record: AuditRecord) -> Self {
        Self {
            place: record.place.to_string(),
            at: Time::text_millis(record.at),
            actor: record.actor,
            event: record.event,
            object: record.object,
            revision: record.revision.as_u64(),
            outcome: record.outcome,
            reason: record.reason,
            bytes: record.bytes,
            address: record.address,
            times: record.times,
        }
    }
}
