//! `GET /f/{id}`, `GET /f/{id}/{name}`: credentials, then a lease, then bytes while it holds.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use beneath_catalog::{FileId, Lease};
use beneath_http::{FileResponse, MediaType};
use beneath_serve::Peer;
use http::request::Parts;
use http::{HeaderValue, Method};

use super::metered::Metered;
use crate::auth;
use crate::rejection::Rejection;
use crate::service::Service;

/// The name in the URL is decoration, for clients that save under the last segment; only the ID counts.
pub(super) async fn by_id(State(service): State<Arc<Service>>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let answer = download(&service, &parts).await;
    let response = answer.unwrap_or_else(|rejection| rejection.into_response());
    service.metrics.answered(response.status());
    response
}

async fn download(service: &Service, parts: &Parts) -> Result<Response, Rejection> {
    if !matches!(parts.method, Method::GET | Method::HEAD) {
        return Err(Rejection::MethodNotAllowed);
    }
    let credentials = auth::credentials(&parts.headers)?;
    let credentials = match parts.extensions.get::<Peer>().and_then(Peer::address) {
        Some(address) => credentials.from_address(address.ip()),
        None => credentials,
    };
    let id = file_id(parts.uri.path()).ok_or(Rejection::NotFound)?;
    let lease = service.open(credentials, id).await?;
    Ok(answer(lease, parts))
}

/// What the catalog knows of the file, said in HTTP. Answers to one user are not for another, nor for a cache.
pub(super) fn answer(lease: Lease, parts: &Parts) -> Response {
    let meter = lease.meter();
    let entry = lease.entry();
    let name = entry.name().to_vec();
    // A type that does not parse was never published; without one the name tells.
    let media_type = entry.media_type().and_then(|text| MediaType::parse(text).ok());
    let digest = entry.digest().copied();
    let mut response = FileResponse::new(lease)
        .named(name)
        .cache_control(const { HeaderValue::from_static("private, no-store") })
        .vary(const { HeaderValue::from_static("authorization") });
    if let Some(media_type) = media_type {
        response = response.media_type(media_type);
    }
    if let Some(digest) = digest {
        response = response.verified_sha256(digest);
    }
    response
        .respond(parts)
        .map(|body| Body::new(Metered::new(body, meter)))
}

/// The second segment. IDs are plain ASCII, so an encoded one is not one.
fn file_id(path: &str) -> Option<FileId> {
    path.strip_prefix("/f/")?.split('/').next()?.parse().ok()
}
