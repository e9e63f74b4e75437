//! What the service answers: one file per noun, and the list of them all.

mod answer;
mod api;
mod download;
mod health;
mod links;

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use beneath_serve::RequestBody;
use http::{Method, Request};

pub(crate) use answer::Answering;

use crate::rejection::Rejection;
use crate::service::Service;

/// Every route there is. Those of files come first and by themselves: nothing stands between them and the connection, which can
/// send a file without reading it.
#[derive(Clone)]
pub(crate) struct App {
    service: Arc<Service>,
    router: Router,
}

impl App {
    pub(crate) fn new(service: Arc<Service>) -> Self {
        let router = Router::new()
            .route("/healthz", get(health::live))
            .route("/readyz", get(health::ready))
            .merge(api::router())
            .fallback(nothing_here)
            .method_not_allowed_fallback(async || Rejection::MethodNotAllowed)
            .with_state(Arc::clone(&service));
        Self { service, router }
    }
}

impl tower_service::Service<Request<RequestBody>> for App {
    type Response = answer::Answer;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> Answering {
        let path = request.uri().path();
        if let Some(id) = segments_after("/f/", path) {
            return download::by_id(&self.service, id, &request);
        }
        if segments_after("/l/", path).is_some_and(|link| !link.contains('/')) {
            return links::by_secret(&self.service, request);
        }
        Answering::routed(self.router.call(RequestBody::extend(request)))
    }
}

/// One segment after the prefix, or two, none of them empty.
fn segments_after<'a>(prefix: &str, path: &'a str) -> Option<&'a str> {
    let segments = path.strip_prefix(prefix)?;
    let mut each = segments.split('/');
    let few = each.by_ref().take(2).all(|segment| !segment.is_empty());
    (few && each.next().is_none()).then_some(segments)
}

/// What the metrics listener answers, and nothing else does.
pub(crate) fn metrics(service: Arc<Service>) -> Router {
    Router::new()
        .route("/metrics", get(health::metrics))
        .with_state(service)
}

async fn nothing_here(request: axum::extract::Request) -> Response {
    match *request.method() {
        Method::GET | Method::HEAD => Rejection::NotFound.into_response(),
        _ => Rejection::MethodNotAllowed.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_an_id_and_perhaps_a_name() {
        for (path, segments) in [
            ("/f/id", Some("id")),
            ("/f/id/name.pdf", Some("id/name.pdf")),
            ("/f/%2e%2e/x", Some("%2e%2e/x")),
            ("/f/", None),
            ("/f//name", None),
            ("/f/id/", None),
            ("/f/id/name/more", None),
            ("/f", None),
            ("/g/id", None),
            ("//f/id", None),
        ] {
            assert_eq!(segments_after("/f/", path), segments, "{path}");
        }
    }
}
