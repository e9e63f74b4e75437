//! What stands in a path or a query: parsed, or a problem that names it.

use std::error::Error;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequestParts, Query, RawPathParams};
use http::StatusCode;
use http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::IntoParams;

use super::vocabulary::{Cursor, Limit};
use crate::rejection::Problem;
use crate::service::Service;

/// The one variable segment of a path. What cannot be the name of anything names nothing: 404.
pub(super) struct At<T>(pub(super) T);

/// Its two variable segments.
pub(super) struct At2<T, U>(pub(super) T, pub(super) U);

/// Which page of a list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PageOf {
    /// How many things at most; 100 by default.
    #[serde(default)]
    #[param(inline)]
    limit: Limit,
    /// Where the page begins: `next` of the page before. Stays good when things are added or removed meanwhile.
    #[param(inline)]
    cursor: Option<Cursor>,
}

impl PageOf {
    pub(super) fn page(&self) -> beneath_catalog::Page {
        let page = beneath_catalog::Page::first(self.limit.0);
        match &self.cursor {
            Some(Cursor(cursor)) => page.at(*cursor),
            None => page,
        }
    }
}

/// A query of exactly these parameters, each at most once.
pub(super) struct Parameters<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequestParts<Arc<Service>> for Parameters<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Service>) -> Result<Self, Problem> {
        match Query::try_from_uri(&parts.uri) {
            Ok(Query(parameters)) => Ok(Self(parameters)),
            Err(rejection) => Err(misread(&rejection)),
        }
    }
}

/// Which parameter it was, and what is wrong with it: deep inside what the extractor says.
fn misread(rejection: &QueryRejection) -> Problem {
    let mut cause: Option<&(dyn Error + 'static)> = Some(rejection);
    let found = loop {
        let Some(error) = cause else { break None };
        match error.downcast_ref::<serde_path_to_error::Error<serde::de::value::Error>>() {
            None => cause = error.source(),
            found => break found,
        }
    };
    match found {
        Some(error) if error.path().iter().next().is_none() => {
            Problem::new(StatusCode::BAD_REQUEST, error.inner().to_string())
        }
        Some(error) => Problem::parameter(error.path().to_string(), error.inner().to_string()),
        None => Problem::new(StatusCode::BAD_REQUEST, rejection.body_text()),
    }
}

impl<T: FromStr<Err: fmt::Display>> FromRequestParts<Arc<Service>> for At<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, service: &Arc<Service>) -> Result<Self, Problem> {
        let segments = segments(parts, service).await?;
        segment(&segments, 0).map(Self)
    }
}

impl<T: FromStr<Err: fmt::Display>, U: FromStr<Err: fmt::Display>> FromRequestParts<Arc<Service>>
    for At2<T, U>
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, service: &Arc<Service>) -> Result<Self, Problem> {
        let segments = segments(parts, service).await?;
        Ok(Self(segment(&segments, 0)?, segment(&segments, 1)?))
    }
}

async fn segments(parts: &mut Parts, service: &Arc<Service>) -> Result<RawPathParams, Problem> {
    let segments = RawPathParams::from_request_parts(parts, service).await;
    segments.map_err(|_| Problem::not_found("the path is not UTF-8"))
}

fn segment<T: FromStr<Err: fmt::Display>>(segments: &RawPathParams, index: usize) -> Result<T, Problem> {
    let text = segments.iter().nth(index).map_or("", |(_, text)| text);
    text.parse()
        .map_err(|error| Problem::not_found(format!("{text:?} names nothing: {error}")))
}
