//! `/tokens`: a short-lived bearer token for name and password, and its end.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::answer::{self, Changed};
use super::body::{Json, NoBody, present_number};
use super::caller::{Login, Writer};
use super::parameters::At;
use super::vocabulary::{Time, UserName};
use crate::auth;
use crate::notation::Effect;
use crate::rejection::{Offer, Problem};
use crate::service::Service;

/// What a token is to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewToken {
    /// How long it lasts, in seconds: one day at most.
    #[serde(default, deserialize_with = "present_number")]
    #[schema(nullable = false, minimum = 1, maximum = 86_400, default = 900)]
    ttl_seconds: Option<u32>,
}

/// A token that was just made: the only time that it is shown.
#[derive(Serialize, ToSchema)]
pub(super) struct Token {
    /// For `Authorization: Bearer …`.
    #[schema(min_length = 43, max_length = 43)]
    token: String,
    /// As whom its bearer acts.
    user: UserName,
    /// When it ends.
    #[schema(value_type = Time)]
    expires: String,
    change: Effect,
}

/// The answer to the revocation of tokens.
#[derive(Serialize, ToSchema)]
pub(super) struct Revoked {
    /// How many there were.
    revoked: usize,
    change: Effect,
}

const DEFAULT_TTL: u32 = 15 * 60;

/// Get a bearer token
///
/// For name and password, and the only change they are good for: a token does not beget another. The token ends with
/// its time, with a new password, when it is revoked, and when its user is disabled or removed.
#[utoipa::path(
    post, path = "/tokens", tag = "tokens", security(("basic" = [])),
    request_body(content = NewToken),
    responses((status = 201, description = "The token, this once", body = Token))
)]
pub(super) async fn create(
    State(service): State<Arc<Service>>,
    Login(principal): Login,
    Json(new): Json<NewToken>,
) -> Result<Response, Problem> {
    let user = principal.name().clone();
    let ttl = Duration::from_secs(new.ttl_seconds.unwrap_or(DEFAULT_TTL).into());
    let made = service.administer(principal, move |administration| {
        administration.create_token(&user, ttl).map(|it| (it, user))
    });
    let (change, user) = made.await?;
    let body = Token {
        token: change.value().reveal().to_owned(),
        user: UserName(user),
        expires: Time::text(change.value().expires()),
        change: Effect::of(&change),
    };
    Ok(answer::json(StatusCode::CREATED, &body))
}

/// Revoke the token that this request comes with
///
/// Downloads that rest on it are cut.
#[utoipa::path(
    delete, path = "/tokens/current", tag = "tokens",
    responses((status = 200, description = "It is good for nothing any more", body = Changed))
)]
pub(super) async fn revoke_current(
    State(service): State<Arc<Service>>,
    Writer(principal): Writer,
    headers: HeaderMap,
    _: NoBody,
) -> Result<Response, Problem> {
    let token = auth::bearer_token(&headers).map_err(|why| Problem::unauthenticated(why, Offer::Bearer))?;
    let token = token.to_owned();
    let change = service.administer(principal, move |administration| {
        administration.revoke_token(&token)
    });
    Ok(answer::changed(&change.await?))
}

/// Revoke all tokens of a user
///
/// One's own, or anyone's as an administrator. Downloads that rest on them are cut.
#[utoipa::path(
    delete, path = "/users/{user}/tokens", tag = "tokens",
    params(("user" = UserName, Path, description = "Whose")),
    responses((status = 200, description = "They are good for nothing any more", body = Revoked))
)]
pub(super) async fn revoke_all(
    State(service): State<Arc<Service>>,
    Writer(principal): Writer,
    At(UserName(user)): At<UserName>,
    _: NoBody,
) -> Result<Response, Problem> {
    let change = service.administer(principal, move |administration| {
        administration.revoke_tokens(&user)
    });
    let change = change.await?;
    let body = Revoked {
        revoked: *change.value(),
        change: Effect::of(&change),
    };
    Ok(answer::json(StatusCode::OK, &body))
}
