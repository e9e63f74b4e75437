//! [`Problem`]: what whoever administers is told when something was not done (RFC 9457).

use std::borrow::Cow;
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use beneath_catalog::{AdminError, AdminErrorKind};
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Rejection, whole_seconds};
use crate::auth::{Unauthenticated, basic, bearer};

/// Why something was not done, and what to do (RFC 9457). Nothing was changed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "title": "Unprocessable Content", "status": 422,
    "detail": "unknown field `owner`, expected one of `name`, `media_type`, `disposition`, `caching`",
    "pointer": "/owner",
}))]
pub(crate) struct Problem {
    /// The name of the status.
    #[schema(value_type = String)]
    title: &'static str,
    /// The status code again.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// What was wrong, for a person.
    #[serde(skip_serializing_if = "String::is_empty")]
    detail: String,
    /// Which part of the request body it was (RFC 6901).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pointer: Option<String>,
    /// Which parameter of the query, or which header field, it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<String>)]
    parameter: Option<Cow<'static, str>>,
    #[serde(skip)]
    code: StatusCode,
    #[serde(skip)]
    offer: Option<Offer>,
    #[serde(skip)]
    retry_after: Option<Duration>,
}

/// As RFC 9110 names them, of which the library knows two by what they were called before.
fn title(code: StatusCode) -> &'static str {
    match code {
        StatusCode::PAYLOAD_TOO_LARGE => "Content Too Large",
        StatusCode::UNPROCESSABLE_ENTITY => "Unprocessable Content",
        code => code.canonical_reason().unwrap_or_default(),
    }
}

/// What a `401` asks for: what would do there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offer {
    /// To get a token.
    Basic,
    /// To change something. A browser that is not asked for a password does not ask a person for one.
    Bearer,
    /// To read.
    Either,
}

impl Problem {
    pub(crate) fn new(code: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            title: title(code),
            status: code.as_u16(),
            detail: detail.into(),
            pointer: None,
            parameter: None,
            code,
            offer: None,
            retry_after: None,
        }
    }

    /// There is nothing there, or nothing for them.
    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// The request body is JSON, but not what it has to be.
    pub(crate) fn unprocessable(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            pointer: Some(pointer.into()),
            ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
        }
    }

    /// A parameter of the query, or a header field, is not what it has to be.
    pub(crate) fn parameter(parameter: impl Into<Cow<'static, str>>, detail: impl Into<String>) -> Self {
        Self {
            parameter: Some(parameter.into()),
            ..Self::new(StatusCode::BAD_REQUEST, detail)
        }
    }

    /// No usable credentials, or not the right kind of them.
    pub(crate) fn unauthenticated(why: Unauthenticated, offer: Offer) -> Self {
        match why {
            Unauthenticated::Repeated => Self::parameter("Authorization", "there are two of them"),
            Unauthenticated::Absent | Unauthenticated::Malformed => Self::unauthorized(offer),
        }
    }

    /// Credentials that the catalog does not know: the same answer as for none.
    pub(crate) fn unauthorized(offer: Offer) -> Self {
        let detail = match offer {
            Offer::Basic => "show name and password (Basic)",
            Offer::Bearer => "show a bearer token; POST /api/v1/tokens gives one for name and password",
            Offer::Either => "show name and password (Basic), or a bearer token",
        };
        Self {
            offer: Some(offer),
            ..Self::new(StatusCode::UNAUTHORIZED, detail)
        }
    }

    fn retry_after(self, wait: Duration) -> Self {
        Self {
            retry_after: Some(wait),
            ..self
        }
    }

    /// The name under which the API knows the argument of an act.
    fn of_argument(argument: &'static str, detail: String) -> Self {
        let pointer = match argument {
            "ttl" => "/ttl_seconds".to_owned(),
            other => format!("/{other}"),
        };
        Self::unprocessable(pointer, detail)
    }
}

impl From<AdminError> for Problem {
    /// The text is for whoever administers, and says the same of what is not there and of what is not theirs.
    fn from(error: AdminError) -> Self {
        let detail = error.to_string();
        if let Some((at, part)) = error.grant() {
            return Self::unprocessable(format!("/grants/{at}/{part}"), detail);
        }
        match error.kind() {
            AdminErrorKind::AlreadyExists | AdminErrorKind::InUse => Self::new(StatusCode::CONFLICT, detail),
            AdminErrorKind::NotFound => Self::not_found(detail),
            AdminErrorKind::Refused => Self::new(StatusCode::FORBIDDEN, detail),
            AdminErrorKind::TokenRequired => Self::unauthorized(Offer::Bearer),
            AdminErrorKind::Invalid => Self::of_argument(error.field().unwrap_or_default(), detail),
            AdminErrorKind::Stale => Self {
                parameter: Some("If-Match".into()),
                ..Self::new(StatusCode::PRECONDITION_FAILED, detail)
            },
            AdminErrorKind::Busy => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, detail).retry_after(Duration::from_secs(1))
            }
            AdminErrorKind::Unavailable => {
                // What failed is the operator's business.
                tracing::error!(%error, "the catalog failed");
                Rejection::Unavailable.into()
            }
        }
    }
}

impl From<Rejection> for Problem {
    fn from(rejection: Rejection) -> Self {
        let problem = Self::new(rejection.status(), "");
        match rejection {
            Rejection::Busy(wait) | Rejection::TooManyAttempts(wait) => problem.retry_after(wait),
            Rejection::Unavailable => problem.retry_after(Duration::from_secs(1)),
            Rejection::Unauthorized => Self::unauthorized(Offer::Either),
            Rejection::BadRequest | Rejection::MethodNotAllowed | Rejection::NotFound => problem,
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        // Text and numbers: writing them does not fail.
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.code;
        let fields = response.headers_mut();
        fields.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if matches!(self.offer, Some(Offer::Basic | Offer::Either)) {
            fields.append(WWW_AUTHENTICATE, HeaderValue::from_static(basic::CHALLENGE));
        }
        if matches!(self.offer, Some(Offer::Bearer | Offer::Either)) {
            fields.append(WWW_AUTHENTICATE, HeaderValue::from_static(bearer::CHALLENGE));
        }
        if let Some(wait) = self.retry_after {
            fields.insert(RETRY_AFTER, HeaderValue::from(whole_seconds(wait)));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use beneath_catalog::{Catalog, Credentials, Options, Role, StoreUrl};

    use super::*;

    fn challenges(problem: Problem) -> Vec<HeaderValue> {
        let response = problem.into_response();
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        let offered = response.headers().get_all(WWW_AUTHENTICATE);
        offered.iter().cloned().collect()
    }

    #[test]
    fn a_401_asks_for_what_would_do_there_and_for_nothing_else() {
        for (offer, expected) in [
            (Offer::Basic, &[basic::CHALLENGE] as &[_]),
            (Offer::Bearer, &[bearer::CHALLENGE]),
            (Offer::Either, &[basic::CHALLENGE, bearer::CHALLENGE]),
        ] {
            let asked = [
                Problem::unauthorized(offer),
                Problem::unauthenticated(Unauthenticated::Absent, offer),
                Problem::unauthenticated(Unauthenticated::Malformed, offer),
            ];
            for problem in asked {
                assert_eq!(challenges(problem), expected, "{offer:?}");
            }
        }
    }

    /// A browser would ask a person for the password, send it, and ask again: it changes nothing, however right it is.
    #[test]
    fn whoever_came_with_a_password_to_change_something_is_asked_for_a_token_and_not_for_a_password() {
        let directory = tempfile::tempdir().unwrap();
        let store = StoreUrl::sqlite(directory.path().join("catalog.db"));
        let catalog = Catalog::create(&store, [], Options::default()).unwrap();
        let (ann, password) = ("ann".parse().unwrap(), "secret".parse().unwrap());
        let added = catalog
            .operator(beneath::ambient_authority())
            .add_user(&ann, &password, Role::Admin);
        drop(added.unwrap());
        let shown = catalog
            .authenticate(&Credentials::basic(b"ann", b"secret"))
            .unwrap();
        let error = catalog.administration(&shown).disable_user(&ann).unwrap_err();
        assert_eq!(error.kind(), AdminErrorKind::TokenRequired);
        assert_eq!(challenges(error.into()), [bearer::CHALLENGE]);
    }
}
