//! Who calls: [`Reader`], [`Writer`], [`Login`], told apart by what they may show. To have one is to be authenticated.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use beneath_catalog::{AdminError, Administration, Change, Credentials, Principal};
use beneath_serve::Peer;
use http::header::{HOST, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE, ORIGIN};
use http::request::Parts;
use http::{HeaderValue, StatusCode};

use super::conditions::IfMatch;
use crate::auth::{self, Scheme, Unauthenticated};
use crate::rejection::{Offer, Problem, Rejection};
use crate::service::Service;

/// Came with a password or a token: may ask.
pub(super) struct Reader(pub(super) Principal);

/// Came with a token: may change.
pub(super) struct Writer(pub(super) Principal);

/// Came with a token, and says in which state it has to be what is changed.
pub(super) struct Editor {
    pub(super) principal: Principal,
    pub(super) if_match: Option<IfMatch>,
}

/// Came with a password, and not from a page from elsewhere: may get a token.
pub(super) struct Login(pub(super) Principal);

impl FromRequestParts<Arc<Service>> for Reader {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, service: &Arc<Service>) -> Result<Self, Problem> {
        let shown = auth::credentials(&parts.headers);
        authenticate(parts, service, shown, Offer::Either).await.map(Self)
    }
}

impl FromRequestParts<Arc<Service>> for Writer {
    type Rejection = Problem;

    /// A condition that nothing here can decide in the transaction that acts is refused: whoever asked for it must not
    /// believe that it was met.
    async fn from_request_parts(parts: &mut Parts, service: &Arc<Service>) -> Result<Self, Problem> {
        let Editor { principal, if_match } = Editor::from_request_parts(parts, service).await?;
        match if_match {
            None => Ok(Self(principal)),
            Some(_) => Err(Problem::parameter(
                "If-Match",
                "only files, users and groups have versions to go by",
            )),
        }
    }
}

impl FromRequestParts<Arc<Service>> for Editor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, service: &Arc<Service>) -> Result<Self, Problem> {
        let shown = auth::credentials_by(Scheme::Bearer, &parts.headers);
        let principal = authenticate(parts, service, shown, Offer::Bearer).await?;
        for (field, name) in [
            (IF_NONE_MATCH, "If-None-Match"),
            (IF_MODIFIED_SINCE, "If-Modified-Since"),
            (IF_UNMODIFIED_SINCE, "If-Unmodified-Since"),
        ] {
            if parts.headers.contains_key(field) {
                return Err(Problem::parameter(name, "a change goes by If-Match only"));
            }
        }
        let if_match = IfMatch::parse(&parts.headers)?;
        Ok(Self { principal, if_match })
    }
}

impl Editor {
    /// One change, in the state that was named.
    pub(super) async fn change<T: Send + 'static>(
        self,
        service: &Service,
        act: impl FnOnce(Administration<'_>) -> Result<Change<T>, AdminError> + Send + 'static,
    ) -> Result<Change<T>, Problem> {
        let Self { principal, if_match } = self;
        let act = move |administration: Administration<'_>| match if_match {
            Some(if_match) => act(if_match.require(administration)),
            None => act(administration),
        };
        service.administer(principal, act).await
    }
}

impl FromRequestParts<Arc<Service>> for Login {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, service: &Arc<Service>) -> Result<Self, Problem> {
        // A browser attaches a password that it knows to whatever asks (Fetch Metadata Request Headers, W3C).
        let elsewhere = match (parts.headers.get("sec-fetch-site"), parts.headers.get(ORIGIN)) {
            (Some(site), _) => site != "same-origin" && site != "none",
            // Older ones, and where there is no TLS.
            (None, Some(origin)) => !is_own(origin, parts),
            (None, None) => false,
        };
        if elsewhere {
            let detail = "a page from elsewhere may not log in";
            return Err(Problem::new(StatusCode::FORBIDDEN, detail));
        }
        let shown = auth::credentials_by(Scheme::Basic, &parts.headers);
        authenticate(parts, service, shown, Offer::Basic).await.map(Self)
    }
}

/// Whether the host of the origin (`scheme://host`, RFC 6454 §7) is the one that was asked.
fn is_own(origin: &HeaderValue, parts: &Parts) -> bool {
    let mut origin = origin.as_bytes().splitn(3, |&byte| byte == b'/');
    let host = match parts.uri.authority() {
        Some(authority) => Some(authority.as_str().as_bytes()),
        None => parts.headers.get(HOST).map(HeaderValue::as_bytes),
    };
    host.is_some_and(|host| origin.nth(2).is_some_and(|own| own.eq_ignore_ascii_case(host)))
}

async fn authenticate(
    parts: &Parts,
    service: &Service,
    shown: Result<Credentials, Unauthenticated>,
    offer: Offer,
) -> Result<Principal, Problem> {
    let credentials = shown.map_err(|why| Problem::unauthenticated(why, offer))?;
    let peer = parts.extensions.get::<Peer>();
    let address = peer.and_then(|peer| service.address(*peer, &parts.headers));
    let credentials = credentials.from_address(address);
    let principal = service.authenticate(credentials).await;
    principal.map_err(|rejection| match rejection {
        Rejection::Unauthorized => Problem::unauthorized(offer),
        other => other.into(),
    })
}
