//! `GET /l/{link}`: a short-lived link that is good for so many downloads. Its secret is the only credential, so it is
//! never logged and never sent on as a Referer.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use beneath_catalog::{Lease, LinkUse};
use beneath_serve::Peer;
use http::header::{IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE, REFERRER_POLICY};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method};

use super::download;
use crate::rejection::Rejection;
use crate::service::Service;

/// Fields on which an answer without content may depend.
const CONDITIONS: [HeaderName; 4] = [IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE];

pub(super) async fn by_secret(State(service): State<Arc<Service>>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let answer = follow(&service, &parts).await;
    let mut response = answer.unwrap_or_else(|rejection| rejection.into_response());
    response
        .headers_mut()
        .insert(REFERRER_POLICY, const { HeaderValue::from_static("no-referrer") });
    service.metrics.answered(response.status());
    response
}

/// Only what sends content takes a use: not HEAD, not a condition that is not met, not a browser that looks ahead.
async fn follow(service: &Service, parts: &Parts) -> Result<Response, Rejection> {
    match parts.method {
        Method::GET => {}
        Method::HEAD => {
            return Ok(download::answer(
                open(service, parts, LinkUse::Look).await?,
                parts,
            ));
        }
        _ => return Err(Rejection::MethodNotAllowed),
    }
    if looks_ahead(parts) {
        return Err(Rejection::Unavailable);
    }
    if CONDITIONS.iter().any(|field| parts.headers.contains_key(field)) {
        let look = download::answer(open(service, parts, LinkUse::Look).await?, parts);
        if !look.status().is_success() {
            return Ok(look);
        }
    }
    Ok(download::answer(
        open(service, parts, LinkUse::Download).await?,
        parts,
    ))
}

async fn open(service: &Service, parts: &Parts, wants: LinkUse) -> Result<Lease, Rejection> {
    let secret = parts.uri.path().strip_prefix("/l/").ok_or(Rejection::NotFound)?;
    let address = parts
        .extensions
        .get::<Peer>()
        .and_then(Peer::address)
        .map(|address| address.ip());
    service
        .open_link(secret.as_bytes().to_vec(), client(address), address, wants)
        .await
}

/// What tells this client from others, so that it may resume what it began.
fn client(address: Option<IpAddr>) -> Vec<u8> {
    address
        .map(|address| address.to_string().into_bytes())
        .unwrap_or_default()
}

/// A browser that fetches what nobody asked for yet says so; 503 tells it to ask when somebody does.
fn looks_ahead(parts: &Parts) -> bool {
    ["sec-purpose", "purpose", "x-moz", "x-purpose"]
        .into_iter()
        .any(|field| {
            let value = parts
                .headers
                .get(field)
                .map(|value| value.as_bytes().to_ascii_lowercase());
            value.is_some_and(|value| {
                [&b"prefetch"[..], b"preview"]
                    .iter()
                    .any(|it| value.starts_with(it))
            })
        })
}
