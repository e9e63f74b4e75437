//! `/files/{id}/grants`: who may have a file.

use std::sync::Arc;
use std::time::SystemTime;

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::answer::{self, Changed};
use super::body::{Json, NoBody, present};
use super::caller::{Editor, Reader};
use super::conditions::{IfNoneMatch, Tag};
use super::parameters::{At, At2};
use super::vocabulary::{FileId, Subject, Time};
use crate::rejection::Problem;
use crate::service::Service;

/// That somebody may read a file.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Grant {
    subject: Subject,
    /// Until when; null is until revoked.
    #[schema(value_type = Option<Time>)]
    expires: Option<String>,
    /// Since when.
    #[schema(value_type = Time)]
    created: String,
}

/// All grants of a file.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Grants {
    items: Vec<Grant>,
}

/// To whom a new file is granted.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewGrant {
    subject: Subject,
    /// Until when; by default until revoked.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, value_type = Option<Time>)]
    expires: Option<Time>,
}

/// How long a grant lasts.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct GrantTerms {
    /// Until when; by default until revoked.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, value_type = Option<Time>)]
    expires: Option<Time>,
}

impl NewGrant {
    pub(super) fn into_parts(self) -> (beneath_catalog::Subject, Option<SystemTime>) {
        (self.subject.0, self.expires.map(|Time(expires)| expires))
    }
}

/// List the grants of a file
///
/// For whoever manages it.
#[utoipa::path(
    get, path = "/files/{id}/grants", tag = "grants",
    params(
        ("id" = FileId, Path, description = "Of which file"),
        ("If-None-Match" = Option<String>, Header, description = "The `ETag` of the state the client has"),
    ),
    responses(
        (status = 200, description = "All of them", body = Grants,
            headers(("ETag" = String, description = "Which version of the file this is of"))),
        (status = 304, description = "The client has this state of it"),
    )
)]
pub(super) async fn list(
    State(service): State<Arc<Service>>,
    Reader(principal): Reader,
    At(FileId(id)): At<FileId>,
    condition: IfNoneMatch,
) -> Result<Response, Problem> {
    let published = service
        .administer(principal, move |administration| administration.file(&id))
        .await?;
    let items = published.grants.iter().map(Grant::of).collect();
    let tag = Tag::of_version(published.entry.version());
    Ok(answer::resource(&condition, Some(tag), &Grants { items }))
}

/// Show a grant
///
/// For whoever manages the file.
#[utoipa::path(
    get, path = "/files/{id}/grants/{subject}", tag = "grants",
    params(
        ("id" = FileId, Path, description = "Of which file"), ("subject" = Subject, Path, description = "To whom"),
        ("If-None-Match" = Option<String>, Header, description = "The `ETag` of the state the client has"),
    ),
    responses(
        (status = 200, description = "The grant", body = Grant,
            headers(("ETag" = String, description = "Which version of the file this is of"))),
        (status = 304, description = "The client has this state of it"),
    )
)]
pub(super) async fn show(
    State(service): State<Arc<Service>>,
    Reader(principal): Reader,
    At2(FileId(id), Subject(subject)): At2<FileId, Subject>,
    condition: IfNoneMatch,
) -> Result<Response, Problem> {
    let published = service
        .administer(principal, move |administration| administration.file(&id))
        .await?;
    let grant = published.grants.iter().find(|grant| grant.subject == subject);
    let grant = grant.ok_or_else(|| Problem::not_found(format!("it is not granted to {subject}")))?;
    let tag = Tag::of_version(published.entry.version());
    Ok(answer::resource(&condition, Some(tag), &Grant::of(grant)))
}

/// Grant a file
///
/// Replaces what the same subject was granted before; asked for again it changes nothing more.
#[utoipa::path(
    put, path = "/files/{id}/grants/{subject}", tag = "grants",
    params(
        ("id" = FileId, Path, description = "Which file"),
        ("subject" = Subject, Path, description = "To whom"),
        ("If-Match" = Option<String>, Header, description = "The `ETag` of the version the file has to be",
            example = "\"1\""),
    ),
    request_body(content = GrantTerms),
    responses(
        (status = 200, description = "It is granted", body = Changed),
        (status = 412, description = "The file was changed since", body = Problem,
            content_type = "application/problem+json"),
    )
)]
pub(super) async fn grant(
    State(service): State<Arc<Service>>,
    editor: Editor,
    At2(FileId(id), Subject(subject)): At2<FileId, Subject>,
    Json(terms): Json<GrantTerms>,
) -> Result<Response, Problem> {
    let expires = terms.expires.map(|Time(expires)| expires);
    let change = editor.change(&service, move |administration| {
        administration.grant(&id, &subject, expires)
    });
    Ok(answer::changed(&change.await?))
}

/// Take a grant back
///
/// When this is answered, nobody who rested on it is sent another byte. Asked for again it is answered the same.
#[utoipa::path(
    delete, path = "/files/{id}/grants/{subject}", tag = "grants",
    params(
        ("id" = FileId, Path, description = "Which file"),
        ("subject" = Subject, Path, description = "From whom"),
        ("If-Match" = Option<String>, Header, description = "The `ETag` of the version the file has to be",
            example = "\"1\""),
    ),
    responses(
        (status = 200, description = "It is not granted to them any more", body = Changed),
        (status = 412, description = "The file was changed since", body = Problem,
            content_type = "application/problem+json"),
    )
)]
pub(super) async fn revoke(
    State(service): State<Arc<Service>>,
    editor: Editor,
    At2(FileId(id), Subject(subject)): At2<FileId, Subject>,
    _: NoBody,
) -> Result<Response, Problem> {
    let change = editor.change(&service, move |administration| {
        administration.absent_is_done().revoke(&id, &subject)
    });
    Ok(answer::changed(&change.await?))
}

impl Grant {
    fn of(grant: &beneath_catalog::Grant) -> Self {
        Self {
            subject: Subject(grant.subject.clone()),
            expires: grant.expires.map(Time::text),
            created: Time::text(grant.created),
        }
    }
}
