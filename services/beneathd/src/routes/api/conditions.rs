//! Conditional requests on resources of the API (RFC 9110 §13.1.1, §13.1.2).

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use beneath_catalog::Administration;
use beneath_http::{EntityTagRef, TagCondition};
use http::header::{IF_MATCH, IF_NONE_MATCH};
use http::request::Parts;
use http::{HeaderMap, HeaderValue};

use crate::rejection::Problem;
use crate::service::Service;

/// The entity tag (§8.8.3) of a resource, always a strong one: what stands between its quotes.
#[derive(Debug)]
pub(super) struct Tag(String);

/// In which state something has to be for a change to be made.
#[derive(Debug)]
pub(super) enum IfMatch {
    Any,
    Versions(Vec<u64>),
}

/// Which states of a resource the client has. What cannot be read is not there: then the client gets what there is.
#[derive(Debug)]
pub(super) enum IfNoneMatch {
    None,
    Any,
    /// What stands between the quotes of each tag.
    OneOf(Vec<Vec<u8>>),
}

impl Tag {
    /// `opaque` must be characters of a tag; those that are made here are numbers and base64url.
    pub(super) const fn strong(opaque: String) -> Self {
        Self(opaque)
    }

    /// The tag of a published file as it is shown to whoever manages it, of a user, or of a group.
    pub(super) fn of_version(version: u64) -> Self {
        Self::strong(version.to_string())
    }

    pub(super) fn to_header_value(&self) -> HeaderValue {
        HeaderValue::try_from(format!("\"{}\"", self.0)).unwrap_or(HeaderValue::from_static("\"\""))
    }
}

impl IfMatch {
    /// `None` where there is no such field.
    pub(super) fn parse(headers: &HeaderMap) -> Result<Option<Self>, Problem> {
        let tags = match TagCondition::of(headers, &IF_MATCH) {
            None => return Ok(None),
            Some(TagCondition::Any) => return Ok(Some(Self::Any)),
            Some(TagCondition::OneOf(tags)) => tags,
        };
        match tags.map(|tag| tag.map(version)).collect::<Option<Vec<_>>>() {
            // A list without tags matches nothing, and nobody sends one on purpose.
            Some(versions) if !versions.is_empty() => Ok(Some(Self::Versions(versions))),
            _ => Err(Problem::parameter(
                "If-Match",
                "neither * nor entity tags in quotes",
            )),
        }
    }

    /// Lets changes be made only in the states that were named.
    pub(super) fn require(self, administration: Administration<'_>) -> Administration<'_> {
        match self {
            Self::Any => administration,
            Self::Versions(versions) => administration.at_version(versions),
        }
    }
}

/// The version that a strong tag names. Nothing has the version 0.
fn version(tag: EntityTagRef<'_>) -> u64 {
    let opaque = str::from_utf8(tag.opaque()).unwrap_or_default();
    match opaque.parse::<u64>() {
        // One spelling only.
        Ok(version) if !tag.is_weak() && version.to_string() == opaque => version,
        _ => 0,
    }
}

impl IfNoneMatch {
    /// The weak comparison (§13.1.2).
    pub(super) fn is_met_by(&self, tag: &Tag) -> bool {
        match self {
            Self::None => false,
            Self::Any => true,
            Self::OneOf(tags) => tags.iter().any(|opaque| *opaque == tag.0.as_bytes()),
        }
    }
}

impl FromRequestParts<Arc<Service>> for IfNoneMatch {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Service>) -> Result<Self, Infallible> {
        Ok(match TagCondition::of(&parts.headers, &IF_NONE_MATCH) {
            None => Self::None,
            Some(TagCondition::Any) => Self::Any,
            Some(TagCondition::OneOf(tags)) => tags
                .map(|tag| tag.map(|tag| tag.opaque().to_vec()))
                .collect::<Option<_>>()
                .map_or(Self::None, Self::OneOf),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_one_spelling_of_a_version_names_it() {
        for (text, named) in [
            ("\"7\"", 7),
            ("W/\"7\"", 0),
            ("\"07\"", 0),
            ("\"+7\"", 0),
            ("\"x\"", 0),
        ] {
            let headers = HeaderMap::from_iter([(IF_MATCH, HeaderValue::from_static(text))]);
            match IfMatch::parse(&headers) {
                Ok(Some(IfMatch::Versions(versions))) => assert_eq!(versions, [named], "{text}"),
                other => panic!("{text}: {}", other.is_ok()),
            }
        }
    }

    #[test]
    fn an_if_match_of_no_tags_or_of_something_else_is_malformed() {
        for text in ["", ",", "7", "\"7\" \"8\"", "*, \"7\"", "\"7\", 8"] {
            let headers = HeaderMap::from_iter([(IF_MATCH, HeaderValue::from_static(text))]);
            assert!(IfMatch::parse(&headers).is_err(), "{text}");
        }
    }
}
