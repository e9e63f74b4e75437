//! `/links`: downloads without a name or password, so many and for so long.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::answer::{self, Changed, Page};
use super::body::{Json, NoBody, present_number};
use super::caller::{Reader, Writer};
use super::parameters::{At, PageOf, Parameters};
use super::vocabulary::{FileId, LinkId, Time, UserName};
use crate::notation::Effect;
use crate::rejection::Problem;
use crate::service::Service;

/// A link, for whoever manages its file. Its secret was shown once, when it was made.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Link {
    id: LinkId,
    /// What it gives.
    file: FileId,
    /// Who made it, and it is worth what they may; null is the operator.
    creator: Option<UserName>,
    #[schema(value_type = Time)]
    created: String,
    /// When it ends.
    #[schema(value_type = Time)]
    expires: String,
    /// How many downloads it is good for.
    uses: u64,
    /// How many of them were completed.
    completed: u64,
}

/// What a link is to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewLink {
    /// How long it lasts, in seconds: 30 days at most.
    #[serde(default, deserialize_with = "present_number")]
    #[schema(nullable = false, minimum = 1, maximum = 2_592_000, default = 3600)]
    ttl_seconds: Option<u32>,
    /// How many completed downloads it is good for.
    #[serde(default, deserialize_with = "present_number")]
    #[schema(nullable = false, minimum = 1, maximum = 2_147_483_647, default = 1)]
    uses: Option<u32>,
}

/// A link that was just made: the only time that it is shown.
#[derive(Serialize, ToSchema)]
pub(super) struct MadeLink {
    /// To revoke it by.
    id: LinkId,
    /// Where the file is downloaded, relative to this service. Whoever knows it has the file.
    #[schema(pattern = "^/l/[A-Za-z0-9_-]{43}$")]
    href: String,
    /// When it ends.
    #[schema(value_type = Time)]
    expires: String,
    change: Effect,
}

const DEFAULT_TTL: u32 = 60 * 60;

/// List the links to a file
///
/// Newest first, for whoever manages it.
#[utoipa::path(
    get, path = "/files/{id}/links", tag = "links",
    params(("id" = FileId, Path, description = "To which file"), PageOf),
    responses((status = 200, description = "A page of them", body = Page<Link>))
)]
pub(super) async fn list_of_file(
    State(service): State<Arc<Service>>,
    Reader(principal): Reader,
    At(FileId(id)): At<FileId>,
    Parameters(page): Parameters<PageOf>,
) -> Result<Response, Problem> {
    let listing = service.administer(principal, move |administration| {
        administration.links(Some(&id), page.page())
    });
    Ok(answer::json(StatusCode::OK, &Page::of(listing.await?, Link::of)))
}

/// List links
///
/// Newest first: an administrator sees everybody's, a publisher their own.
#[utoipa::path(
    get, path = "/links", tag = "links", params(PageOf),
    responses((status = 200, description = "A page of them", body = Page<Link>))
)]
pub(super) async fn list(
    State(service): State<Arc<Service>>,
    Reader(principal): Reader,
    Parameters(page): Parameters<PageOf>,
) -> Result<Response, Problem> {
    let listing = service.administer(principal, move |administration| {
        administration.links(None, page.page())
    });
    Ok(answer::json(StatusCode::OK, &Page::of(listing.await?, Link::of)))
}

/// Make a link
///
/// It is worth what its creator may: when they lose the file, it falls.
#[utoipa::path(
    post, path = "/files/{id}/links", tag = "links",
    params(("id" = FileId, Path, description = "To which file")),
    request_body(content = NewLink),
    responses((status = 201, description = "The link, this once", body = MadeLink))
)]
pub(super) async fn create(
    State(service): State<Arc<Service>>,
    Writer(principal): Writer,
    At(FileId(id)): At<FileId>,
    Json(new): Json<NewLink>,
) -> Result<Response, Problem> {
    let ttl = Duration::from_secs(new.ttl_seconds.unwrap_or(DEFAULT_TTL).into());
    let uses = new.uses.unwrap_or(1);
    let made = service.administer(principal, move |administration| {
        administration.create_link(&id, ttl, uses)
    });
    let change = made.await?;
    let body = MadeLink {
        id: LinkId(change.value().id()),
        href: format!("/l/{}", change.value().reveal()),
        expires: Time::text(change.value().expires()),
        change: Effect::of(&change),
    };
    Ok(answer::json(StatusCode::CREATED, &body))
}

/// Revoke a link
///
/// Downloads over it that are under way are cut.
#[utoipa::path(
    delete, path = "/links/{link}", tag = "links",
    params(("link" = LinkId, Path, description = "Which")),
    responses((status = 200, description = "It is good for nothing any more", body = Changed))
)]
pub(super) async fn revoke(
    State(service): State<Arc<Service>>,
    Writer(principal): Writer,
    At(LinkId(link)): At<LinkId>,
    _: NoBody,
) -> Result<Response, Problem> {
    let change = service.administer(principal, move |administration| administration.revoke_link(link));
    Ok(answer::changed(&change.await?))
}

impl Link {
    fn of(link: beneath_catalog::Link) -> Self {
        Self {
            id: LinkId(link.id),
            file: FileId(link.file),
            creator: link.creator.map(UserName),
            created: Time::text(link.created),
            expires: Time::text(link.expires),
            uses: link.uses,
            completed: link.completed,
        }
    }
}
