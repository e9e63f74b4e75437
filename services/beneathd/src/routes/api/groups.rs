//! `/groups`: users who are granted something together. For administrators.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::answer::{self, Changed, Page};
use super::body::{Json, NoBody};
use super::caller::{Editor, Reader, Writer};
use super::conditions::{IfNoneMatch, Tag};
use super::parameters::{At, At2, PageOf, Parameters};
use super::vocabulary::{GroupName, Time, UserName};
use crate::notation::segment;
use crate::rejection::Problem;
use crate::service::Service;

/// A group.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Group {
    name: GroupName,
    /// When it was added.
    #[schema(value_type = Time)]
    created: String,
}

/// Somebody in a group.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Member {
    user: UserName,
}

/// Which group is to be added.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewGroup {
    name: GroupName,
}

/// List groups
///
/// Newest first. For administrators.
#[utoipa::path(
    get, path = "/groups", tag = "groups", params(PageOf),
    responses((status = 200, description = "A page of them", body = Page<Group>))
)]
pub(super) async fn list(
    State(service): State<Arc<Service>>,
    Reader(principal): Reader,
    Parameters(page): Parameters<PageOf>,
) -> Result<Response, Problem> {
    let listing = service.administer(principal, move |administration| {
        administration.groups(page.page())
    });
    Ok(answer::json(StatusCode::OK, &Page::of(listing.await?, Group::of)))
}

/// Add a group
///
/// For administrators.
#[utoipa::path(
    post, path = "/groups", tag = "groups",
    request_body(content = NewGroup),
    responses(
        (status = 201, description = "It is added, with nobody in it", body = Changed,
            headers(("Location" = String, description = "Where it is shown"))),
        (status = 409, description = "There is one of this name, but for letter case", body = Problem,
            content_type = "application/problem+json"),
    )
)]
pub(super) async fn add(
    State(service): State<Arc<Service>>,
    Writer(principal): Writer,
    Json(NewGroup {
        name: GroupName(name),
    }): Json<NewGroup>,
) -> Result<Response, Problem> {
    let location = format!("{}/groups/{}", super::BASE, segment(name.as_str().as_bytes()));
    let change = service.administer(principal, move |administration| administration.add_group(&name));
    Ok(answer::created(&location, &Changed::of(&change.await?)))
}

/// Show a group
///
/// For administrators.
#[utoipa::path(
    get, path = "/groups/{group}", tag = "groups",
    params(
        ("group" = GroupName, Path, description = "Which"),
        ("If-None-Match" = Option<String>, Header, description = "The `ETag` of the state the client has"),
    ),
    responses(
        (status = 200, description = "The group", body = Group,
            headers(("ETag" = String, description = "Which state it and its members are in, for If-Match"))),
        (status = 304, description = "The client has this state of it"),
    )
)]
pub(super) async fn show(
    State(service): State<Arc<Service>>,
    Reader(principal): Reader,
    At(GroupName(name)): At<GroupName>,
    condition: IfNoneMatch,
) -> Result<Response, Problem> {
    let group = service.administer(principal, move |administration| {
        // The version first: if it changes in between, the tag is older than what is shown, never newer.
        let version = administration.group_version(&name)?;
        Ok((version, administration.group(&name)?))
    });
    let (version, group) = group.await?;
    let tag = Tag::of_version(version);
    Ok(answer::resource(&condition, Some(tag), &Group::of(group)))
}

/// Remove a group
///
/// With all that was granted to it. For administrators.
#[utoipa::path(
    delete, path = "/groups/{group}", tag = "groups",
    params(
        ("group" = GroupName, Path, description = "Which"),
        ("If-Match" = Option<String>, Header, description = "The `ETag` of the group in the state it has to be in"),
    ),
    responses(
        (status = 200, description = "Nobody gets anything by it any more", body = Changed),
        (status = 412, description = "It was changed since", body = Problem,
            content_type = "application/problem+json"),
    )
)]
pub(super) async fn remove(
    State(service): State<Arc<Service>>,
    editor: Editor,
    At(GroupName(name)): At<GroupName>,
    _: NoBody,
) -> Result<Response, Problem> {
    let change = editor.change(&service, move |administration| administration.remove_group(&name));
    Ok(answer::changed(&change.await?))
}

/// List who is in a group
///
/// For administrators.
#[utoipa::path(
    get, path = "/groups/{group}/members", tag = "groups",
    params(("group" = GroupName, Path, description = "Which"), PageOf),
    responses((status = 200, description = "A page of them", body = Page<Member>))
)]
pub(super) async fn members(
    State(service): State<Arc<Service>>,
    Reader(principal): Reader,
    At(GroupName(name)): At<GroupName>,
    Parameters(page): Parameters<PageOf>,
) -> Result<Response, Problem> {
    let listing = service.administer(principal, move |administration| {
        administration.members(&name, page.page())
    });
    let page = Page::of(listing.await?, |user| Member { user: UserName(user) });
    Ok(answer::json(StatusCode::OK, &page))
}

/// Put a user into a group
///
/// Asked for again it changes nothing. For administrators.
#[utoipa::path(
    put, path = "/groups/{group}/members/{user}", tag = "groups",
    params(
        ("group" = GroupName, Path, description = "Which"),
        ("user" = UserName, Path, description = "Whom"),
        ("If-Match" = Option<String>, Header, description = "The `ETag` of the group in the state it has to be in"),
    ),
    responses(
        (status = 200, description = "They are in it", body = Changed),
        (status = 412, description = "The group was changed since", body = Problem,
            content_type = "application/problem+json"),
    )
)]
pub(super) async fn join(
    State(service): State<Arc<Service>>,
    editor: Editor,
    At2(GroupName(group), UserName(user)): At2<GroupName, UserName>,
    _: NoBody,
) -> Result<Response, Problem> {
    let change = editor.change(&service, move |administration| {
        administration.join_group(&group, &user)
    });
    Ok(answer::changed(&change.await?))
}

/// Take a user out of a group
///
/// When this is answered, they get nothing by it any more. Asked for again it is answered the same. For administrators.
#[utoipa::path(
    delete, path = "/groups/{group}/members/{user}", tag = "groups",
    params(
        ("group" = GroupName, Path, description = "Which"),
        ("user" = UserName, Path, description = "Whom"),
        ("If-Match" = Option<String>, Header, description = "The `ETag` of the group in the state it has to be in"),
    ),
    responses(
        (status = 200, description = "They are not in it", body = Changed),
        (status = 412, description = "The group was changed since", body = Problem,
            content_type = "application/problem+json"),
    )
)]
pub(super) async fn leave(
    State(service): State<Arc<Service>>,
    editor: Editor,
    At2(GroupName(group), UserName(user)): At2<GroupName, UserName>,
    _: NoBody,
) -> Result<Response, Problem> {
    let change = editor.change(&service, move |administration| {
        administration.absent_is_done().leave_group(&group, &user)
    });
    Ok(answer::changed(&change.await?))
}

impl Group {
    fn of(group: beneath_catalog::Group) -> Self {
        Self {
            name: GroupName(group.name),
            created: Time::text(group.created),
        }
    }
}
