//! What is answered: JSON, how far a change came, and the fields that every answer has.

use axum::body::Body;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use beneath_catalog::{Change, Listing};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, LOCATION, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderValue, StatusCode};
use http_body_util::StreamBody;
use serde::Serialize;
use utoipa::ToSchema;

use super::conditions::{IfNoneMatch, Tag};
use crate::notation::Effect;

/// The answer to a change that has no more to say.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Changed {
    change: Effect,
}

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Page<T: ToSchema> {
    /// What is on it.
    pub(super) items: Vec<T>,
    /// The `cursor` of the next page; null if this is the last.
    #[schema(pattern = "^[1-9][0-9]{0,18}$")]
    pub(super) next: Option<String>,
}

impl Changed {
    pub(super) const fn of(change: &Change<()>) -> Self {
        Self {
            change: Effect::of(change),
        }
    }
}

impl<T: ToSchema> Page<T> {
    pub(super) fn of<U>(listing: Listing<U>, item: impl FnMut(U) -> T) -> Self {
        Self {
            items: listing.items.into_iter().map(item).collect(),
            next: listing.next.map(|cursor| cursor.to_string()),
        }
    }
}

/// `200`, and how far the change came.
pub(super) fn changed(change: &Change<()>) -> Response {
    json(StatusCode::OK, &Changed::of(change))
}

/// `201`, and where what was made can be found.
pub(super) fn created(location: &str, body: &impl Serialize) -> Response {
    let mut response = json(StatusCode::CREATED, body);
    // Made of encoded segments, so always a field value.
    if let Ok(location) = HeaderValue::try_from(location) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

/// One resource under a tag of its own, or `304`. Without a tag of its own it gets one of what is said of it.
pub(super) fn resource(condition: &IfNoneMatch, tag: Option<Tag>, body: &impl Serialize) -> Response {
    let body = written(body);
    let tag = tag.unwrap_or_else(|| {
        let digest = blake3::hash(&body);
        Tag::strong(URL_SAFE_NO_PAD.encode(&digest.as_bytes()[..16]))
    });
    let mut response = if condition.is_met_by(&tag) {
        // A body of no known length: axum would say that it is 0, and in a 304 that is said of the 200 (RFC 9110 §8.6).
        let nothing =
            futures_util::stream::empty::<Result<http_body::Frame<bytes::Bytes>, std::convert::Infallible>>();
        let mut response = Response::new(Body::new(StreamBody::new(nothing)));
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        json_of(StatusCode::OK, body)
    };
    response.headers_mut().insert(ETAG, tag.to_header_value());
    response
}

pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    json_of(status, written(body))
}

fn json_of(status: StatusCode, body: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let json = const { HeaderValue::from_static("application/json") };
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

/// Text, numbers and lists of them: writing them does not fail.
fn written(body: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(body).unwrap_or_default()
}

/// What every answer says: for one user only, kept by nobody, and no page whatever it looks like.
pub(super) async fn guarded(mut response: Response) -> Response {
    let fields = response.headers_mut();
    fields.insert(
        CACHE_CONTROL,
        const { HeaderValue::from_static("private, no-store") },
    );
    fields.insert(VARY, const { HeaderValue::from_static("authorization") });
    fields.insert(
        X_CONTENT_TYPE_OPTIONS,
        const { HeaderValue::from_static("nosniff") },
    );
    let policy = const { HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'; sandbox") };
    fields.insert(CONTENT_SECURITY_POLICY, policy);
    response
}
