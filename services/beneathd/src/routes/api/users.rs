//! `/users`: who there is.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use beneath_catalog::{Account, Credentials, Principal};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::answer::{self, Changed, Page};
use super::body::{Json, NoBody, present};
use super::caller::{Editor, Reader, Writer};
use super::conditions::{IfNoneMatch, Tag};
use super::parameters::{At, PageOf, Parameters};
use super::vocabulary::{GroupName, Password, Role, Time, UserName};
use crate::notation::segment;
use crate::rejection::{Problem, Rejection};
use crate::service::Service;

/// A user.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct User {
    name: UserName,
    role: Role,
    /// Whether they may log in.
    enabled: bool,
    /// When they were added.
    #[schema(value_type = Time)]
    created: String,
    /// Which groups they are in, by name.
    groups: Vec<GroupName>,
}

/// Who is to be added.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewUser {
    name: UserName,
    password: Password,
    /// By default `reader`.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, value_type = Option<Role>)]
    role: Option<Role>,
}

/// Another password.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewPassword {
    password: Password,
    /// The present one: for one's own, which a token alone does not change.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    current_password: Option<Password>,
}

/// Another role.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewRole {
    role: Role,
}

/// Whether a user may log in.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Enabled {
    enabled: bool,
}

/// List users
///
/// Newest first. For administrators.
#[utoipa::path(
    get, path = "/users", tag = "users", params(PageOf),
    responses((status = 200, description = "A page of them", body = Page<User>))
)]
pub(super) async fn list(
    State(service): State<Arc<Service>>,
    Reader(principal): Reader,
    Parameters(page): Parameters<PageOf>,
) -> Result<Response, Problem> {
    let listing = service.administer(principal, move |administration| administration.users(page.page()));
    let page = Page::of(listing.await?, |account| User::of(&account));
    Ok(answer::json(StatusCode::OK, &page))
}

/// Add a user
///
/// They may log in at once. For administrators.
#[utoipa::path(
    post, path = "/users", tag = "users",
    request_body(content = NewUser, example = json!({"name": "alice", "password": "correct horse battery staple"})),
    responses(
        (status = 201, description = "They are added", body = Changed,
            headers(("Location" = String, description = "Where they are shown"))),
        (status = 409, description = "There is one of this name, but for letter case", body = Problem,
            content_type = "application/problem+json"),
    )
)]
pub(super) async fn add(
    State(service): State<Arc<Service>>,
    Writer(principal): Writer,
    Json(new): Json<NewUser>,
) -> Result<Response, Problem> {
    let location = format!(
        "{}/users/{}",
        super::BASE,
        segment(new.name.0.as_str().as_bytes())
    );
    let change = service.administer(principal, move |administration| {
        let role = new.role.map_or(beneath_catalog::Role::Reader, |Role(role)| role);
        administration.add_user(&new.name.0, &new.password.0, role)
    });
    Ok(answer::created(&location, &Changed::of(&change.await?)))
}

/// Show a user
///
/// Anyone to an administrator, to others themselves.
#[utoipa::path(
    get, path = "/users/{user}", tag = "users",
    params(
        ("user" = UserName, Path, description = "Whom"),
        ("If-None-Match" = Option<String>, Header, description = "The `ETag` of the state the client has"),
    ),
    responses(
        (status = 200, description = "The user", body = User,
            headers(("ETag" = String, description = "Which state they are in, for If-Match"))),
        (status = 304, description = "The client has this state of it"),
    )
)]
pub(super) async fn show(
    State(service): State<Arc<Service>>,
    Reader(principal): Reader,
    At(UserName(user)): At<UserName>,
    condition: IfNoneMatch,
) -> Result<Response, Problem> {
    let account = service.administer(principal, move |administration| administration.user(&user));
    let account = account.await?;
    let tag = Tag::of_version(account.version());
    Ok(answer::resource(&condition, Some(tag), &User::of(&account)))
}

/// Remove a user
///
/// With their grants, memberships, tokens and links. Whoever owns files is disabled instead. For administrators.
#[utoipa::path(
    delete, path = "/users/{user}", tag = "users",
    params(
        ("user" = UserName, Path, description = "Whom"),
        ("If-Match" = Option<String>, Header, description = "The `ETag` of the user in the state they have to be in"),
    ),
    responses(
        (status = 200, description = "They get nothing any more", body = Changed),
        (status = 412, description = "They were changed since", body = Problem,
            content_type = "application/problem+json"),
        (status = 409, description = "They own published files", body = Problem,
            content_type = "application/problem+json"),
    )
)]
pub(super) async fn remove(
    State(service): State<Arc<Service>>,
    editor: Editor,
    At(UserName(user)): At<UserName>,
    _: NoBody,
) -> Result<Response, Problem> {
    let change = editor.change(&service, move |administration| administration.remove_user(&user));
    Ok(answer::changed(&change.await?))
}

/// Change a password
///
/// One's own, which has to be shown, or anyone else's as an administrator. What rests on the old one falls: downloads and all
/// tokens, also the one that this request comes with if it is one's own.
#[utoipa::path(
    put, path = "/users/{user}/password", tag = "users",
    params(
        ("user" = UserName, Path, description = "Whose"),
        ("If-Match" = Option<String>, Header, description = "The `ETag` of the user in the state they have to be in"),
    ),
    request_body(content = NewPassword),
    responses(
        (status = 200, description = "The old one is good for nothing any more", body = Changed),
        (status = 412, description = "They were changed since", body = Problem,
            content_type = "application/problem+json"),
    )
)]
pub(super) async fn set_password(
    State(service): State<Arc<Service>>,
    editor: Editor,
    At(UserName(user)): At<UserName>,
    Json(new): Json<NewPassword>,
) -> Result<Response, Problem> {
    let password = new.password.0;
    let shown = match user == *editor.principal.name() {
        true => Some(show_password(&service, &editor.principal, new.current_password).await?),
        false => None,
    };
    let change = editor.change(&service, move |administration| match shown {
        Some(shown) => administration.set_own_password(&shown, &password),
        None => administration.set_password(&user, &password),
    });
    Ok(answer::changed(&change.await?))
}

/// Who came with a token shows their password, too.
async fn show_password(
    service: &Service,
    principal: &Principal,
    current: Option<Password>,
) -> Result<Principal, Problem> {
    let wrong = |why| Problem::unprocessable("/current_password", why);
    let current = current.ok_or_else(|| wrong("a token alone does not change one's own password"))?;
    let shown = service.authenticate(Credentials::of(principal, &current.0)).await;
    shown.map_err(|rejection| match rejection {
        Rejection::Unauthorized => wrong("it is another"),
        other => other.into(),
    })
}

/// Change a role
///
/// For administrators.
#[utoipa::path(
    put, path = "/users/{user}/role", tag = "users",
    params(
        ("user" = UserName, Path, description = "Whose"),
        ("If-Match" = Option<String>, Header, description = "The `ETag` of the user in the state they have to be in"),
    ),
    request_body(content = NewRole),
    responses(
        (status = 200, description = "They may what the role may", body = Changed),
        (status = 412, description = "They were changed since", body = Problem,
            content_type = "application/problem+json"),
    )
)]
pub(super) async fn set_role(
    State(service): State<Arc<Service>>,
    editor: Editor,
    At(UserName(user)): At<UserName>,
    Json(NewRole { role: Role(role) }): Json<NewRole>,
) -> Result<Response, Problem> {
    let change = editor.change(&service, move |administration| {
        administration.set_role(&user, role)
    });
    Ok(answer::changed(&change.await?))
}

/// Disable or enable a user
///
/// Whoever is disabled has no rights at all, until they are enabled again. For administrators.
#[utoipa::path(
    put, path = "/users/{user}/enabled", tag = "users",
    params(
        ("user" = UserName, Path, description = "Whom"),
        ("If-Match" = Option<String>, Header, description = "The `ETag` of the user in the state they have to be in"),
    ),
    request_body(content = Enabled),
    responses(
        (status = 200, description = "So they are", body = Changed),
        (status = 412, description = "They were changed since", body = Problem,
            content_type = "application/problem+json"),
    )
)]
pub(super) async fn set_enabled(
    State(service): State<Arc<Service>>,
    editor: Editor,
    At(UserName(user)): At<UserName>,
    Json(Enabled { enabled }): Json<Enabled>,
) -> Result<Response, Problem> {
    let change = editor.change(&service, move |administration| match enabled {
        true => administration.enable_user(&user),
        false => administration.disable_user(&user),
    });
    Ok(answer::changed(&change.await?))
}

impl User {
    fn of(account: &Account) -> Self {
        Self {
            name: UserName(account.name().clone()),
            role: Role(account.role()),
            enabled: account.enabled(),
            created: Time::text(account.created()),
            groups: account.groups().iter().cloned().map(GroupName).collect(),
        }
    }
}
