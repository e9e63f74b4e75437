//! Whether the process lives, and whether it can serve. Without credentials, and without saying why not.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};

use crate::service::Service;

/// The process answers.
pub(super) async fn live() -> Response {
    ([(CACHE_CONTROL, "no-store")], "ok\n").into_response()
}

/// The catalog answers, so downloads can be decided.
pub(super) async fn ready(State(service): State<Arc<Service>>) -> Response {
    match service.is_ready().await {
        Ok(()) => ([(CACHE_CONTROL, "no-store")], "ready\n").into_response(),
        Err(rejection) => rejection.into_response(),
    }
}

/// Counters, for Prometheus. On a listener of their own: they tell what is asked for.
pub(super) async fn metrics(State(service): State<Arc<Service>>) -> Response {
    const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(CONTENT_TYPE, OPENMETRICS)], service.metrics.text()).into_response()
}
