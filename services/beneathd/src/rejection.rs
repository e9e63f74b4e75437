//! Every way a request is turned down → HTTP, here and nowhere else.
//!
//! A client learns a constant: unknown, forbidden, expired, vanished and escaping files are the same `404`, byte for
//! byte. Why it really was goes to the log, once, from whoever knew. Whoever administers is told more: [`Problem`].

mod problem;

use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use beneath_catalog::RefusalKind;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, VARY, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderValue, StatusCode};

pub(crate) use problem::{Offer, Problem};

use crate::auth::{Unauthenticated, basic, bearer};

/// Why a request gets no file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rejection {
    /// The request contradicts itself.
    BadRequest,
    /// Too many are asking at once; come back after this long.
    Busy(Duration),
    /// Neither GET nor HEAD.
    MethodNotAllowed,
    /// There is no such file, or none for this user. Which, only the log knows.
    NotFound,
    /// Too many logins failed from there, or for that name; come back after this long.
    TooManyAttempts(Duration),
    /// Nobody, or not who they say they are.
    Unauthorized,
    /// The catalog cannot be asked, so nothing is served.
    Unavailable,
}

impl Rejection {
    const fn status(self) -> StatusCode {
        match self {
            Self::BadRequest => StatusCode::BAD_REQUEST,
            Self::Busy(_) | Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::TooManyAttempts(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
        }
    }

    /// Problem details (RFC 9457) that say the status and nothing else.
    const fn body(self) -> &'static str {
        match self {
            Self::BadRequest => r#"{"title":"Bad Request","status":400}"#,
            Self::Busy(_) | Self::Unavailable => r#"{"title":"Service Unavailable","status":503}"#,
            Self::MethodNotAllowed => r#"{"title":"Method Not Allowed","status":405}"#,
            Self::NotFound => r#"{"title":"Not Found","status":404}"#,
            Self::TooManyAttempts(_) => r#"{"title":"Too Many Requests","status":429}"#,
            Self::Unauthorized => r#"{"title":"Unauthorized","status":401}"#,
        }
    }
}

impl From<RefusalKind> for Rejection {
    fn from(kind: RefusalKind) -> Self {
        match kind {
            RefusalKind::Unauthenticated => Self::Unauthorized,
            RefusalKind::NotFound => Self::NotFound,
            RefusalKind::Busy { retry_after } => Self::Busy(retry_after),
            RefusalKind::TooManyAttempts { retry_after } => Self::TooManyAttempts(retry_after),
            RefusalKind::Unavailable => Self::Unavailable,
        }
    }
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.body()));
        *response.status_mut() = self.status();
        let fields = response.headers_mut();
        fields.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        fields.insert(VARY, HeaderValue::from_static("authorization"));
        fields.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        match self {
            Self::Unauthorized => {
                fields.insert(WWW_AUTHENTICATE, HeaderValue::from_static(basic::CHALLENGE));
                fields.append(WWW_AUTHENTICATE, HeaderValue::from_static(bearer::CHALLENGE));
            }
            Self::MethodNotAllowed => {
                fields.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            }
            Self::Busy(wait) | Self::TooManyAttempts(wait) => {
                fields.insert(RETRY_AFTER, HeaderValue::from(whole_seconds(wait)));
            }
            Self::Unavailable => {
                fields.insert(RETRY_AFTER, HeaderValue::from_static("1"));
            }
            Self::BadRequest | Self::NotFound => {}
        }
        response
    }
}

/// Rounded up, and never none: who comes back too early has to wait again.
fn whole_seconds(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

impl From<Unauthenticated> for Rejection {
    fn from(why: Unauthenticated) -> Self {
        match why {
            Unauthenticated::Absent | Unauthenticated::Malformed => Self::Unauthorized,
            Unauthenticated::Repeated => Self::BadRequest,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_refusal_is_stored_or_sniffed_and_each_says_what_would_do() {
        let wait = Duration::from_millis(1500);
        for (rejection, status, says) in [
            (Rejection::BadRequest, 400, None),
            (Rejection::Busy(wait), 503, Some((RETRY_AFTER, "2"))),
            (Rejection::MethodNotAllowed, 405, Some((ALLOW, "GET, HEAD"))),
            (Rejection::NotFound, 404, None),
            (Rejection::TooManyAttempts(wait), 429, Some((RETRY_AFTER, "2"))),
            (
                Rejection::Unauthorized,
                401,
                Some((WWW_AUTHENTICATE, basic::CHALLENGE)),
            ),
            (
                Rejection::Unauthorized,
                401,
                Some((WWW_AUTHENTICATE, bearer::CHALLENGE)),
            ),
            (Rejection::Unavailable, 503, Some((RETRY_AFTER, "1"))),
        ] {
            let response = rejection.into_response();
            let fields = response.headers();
            assert_eq!(response.status(), status, "{rejection:?}");
            assert_eq!(fields[CACHE_CONTROL], "no-store", "{rejection:?}");
            assert_eq!(fields[VARY], "authorization", "{rejection:?}");
            assert_eq!(fields[X_CONTENT_TYPE_OPTIONS], "nosniff", "{rejection:?}");
            if let Some((name, value)) = says {
                assert!(fields.get_all(name).iter().any(|it| it == value), "{rejection:?}");
            }
        }
        assert_eq!(Rejection::from(Unauthenticated::Repeated), Rejection::BadRequest);
    }
}
