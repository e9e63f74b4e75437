//! What the service answers: one file per noun, and the list of them all.

mod api;
mod download;
mod health;
mod links;
mod metered;

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, get};
use http::Method;

use crate::rejection::Rejection;
use crate::service::Service;

/// Every route there is.
pub(crate) fn app(service: Arc<Service>) -> Router {
    Router::new()
        .route("/f/{id}", any(download::by_id))
        .route("/f/{id}/{name}", any(download::by_id))
        .route("/l/{link}", any(links::by_secret))
        .route("/healthz", get(health::live))
        .route("/readyz", get(health::ready))
        .merge(api::router())
        .fallback(nothing_here)
        .method_not_allowed_fallback(async || Rejection::MethodNotAllowed)
        .with_state(service)
}

/// What the metrics listener answers, and nothing else does.
pub(crate) fn metrics(service: Arc<Service>) -> Router {
    Router::new()
        .route("/metrics", get(health::metrics))
        .with_state(service)
}

async fn nothing_here(request: Request) -> Response {
    match *request.method() {
        Method::GET | Method::HEAD => Rejection::NotFound.into_response(),
        _ => Rejection::MethodNotAllowed.into_response(),
    }
}
