//! Conditional requests on resources of the API (RFC 9110 §13.1.1, §13.1.2).

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use beneath_catalog::Administration;
use http::HeaderValue;
use http::header::{GetAll, IF_NONE_MATCH};
use http::request::Parts;

use crate::rejection::Problem;
use crate::service::Service;

/// An entity tag (§8.8.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tag {
    opaque: String,
    weak: bool,
}

/// Any state of the resource, or one of these.
#[derive(Debug)]
enum Tags {
    Any,
    These(Vec<Tag>),
}

/// In which state something has to be for a change to be made.
#[derive(Debug)]
pub(super) struct IfMatch(Tags);

/// Which states of a resource the client has. What cannot be read is not there: then the client gets what there is.
#[derive(Debug)]
pub(super) struct IfNoneMatch(Option<Tags>);

impl Tag {
    /// `opaque` must be characters of a tag; those that are made here are numbers and base64url.
    pub(super) const fn strong(opaque: String) -> Self {
        Self { opaque, weak: false }
    }

    /// The tag of a published file as it is shown to whoever manages it, of a user, or of a group.
    pub(super) fn of_version(version: u64) -> Self {
        Self::strong(version.to_string())
    }

    pub(super) fn to_header_value(&self) -> HeaderValue {
        HeaderValue::try_from(format!("\"{}\"", self.opaque)).unwrap_or(HeaderValue::from_static("\"\""))
    }

    /// The version that a strong tag names. Nothing has the version 0.
    fn version(&self) -> u64 {
        match self.opaque.parse() {
            Ok(version) if !self.weak && Self::strong(format!("{version}")) == *self => version,
            _ => 0,
        }
    }
}

impl IfMatch {
    /// `None` where there is no such field.
    pub(super) fn parse(fields: &GetAll<'_, HeaderValue>) -> Result<Option<Self>, Problem> {
        let malformed = || Problem::parameter("If-Match", "neither * nor entity tags in quotes");
        let parsed = Tags::parse(fields).transpose();
        match parsed {
            Ok(None) => Ok(None),
            // A list without tags matches nothing, and nobody sends one on purpose.
            Ok(Some(Tags::These(tags))) if tags.is_empty() => Err(malformed()),
            Ok(Some(tags)) => Ok(Some(Self(tags))),
            Err(Malformed) => Err(malformed()),
        }
    }

    /// Lets changes be made only in the states that were named.
    pub(super) fn require(self, administration: Administration<'_>) -> Administration<'_> {
        match self.0 {
            Tags::Any => administration,
            Tags::These(tags) => administration.at_version(tags.iter().map(Tag::version)),
        }
    }
}

impl IfNoneMatch {
    /// The weak comparison (§13.1.2).
    pub(super) fn is_met_by(&self, tag: &Tag) -> bool {
        match &self.0 {
            None => false,
            Some(Tags::Any) => true,
            Some(Tags::These(tags)) => tags.iter().any(|one| one.opaque == tag.opaque),
        }
    }
}

impl FromRequestParts<Arc<Service>> for IfNoneMatch {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Service>) -> Result<Self, Infallible> {
        let fields = parts.headers.get_all(IF_NONE_MATCH);
        Ok(Self(Tags::parse(&fields).and_then(Result::ok)))
    }
}

/// What is not of the grammar.
struct Malformed;

impl Tags {
    fn parse(fields: &GetAll<'_, HeaderValue>) -> Option<Result<Self, Malformed>> {
        let fields: Vec<_> = fields.iter().collect();
        match fields.as_slice() {
            [] => None,
            [field] if field.as_bytes().trim_ascii() == b"*" => Some(Ok(Self::Any)),
            fields => {
                let tags = fields.iter().map(|field| tags(field.as_bytes()));
                let tags = tags.collect::<Result<Vec<_>, _>>();
                Some(tags.map(|tags| Self::These(tags.concat())))
            }
        }
    }
}

/// `entity-tag *( OWS "," OWS entity-tag )`, with the empty elements that §5.6.1.2 lets a recipient skip.
fn tags(mut text: &[u8]) -> Result<Vec<Tag>, Malformed> {
    let mut tags = Vec::new();
    loop {
        text = text.trim_ascii_start();
        while let [b',', rest @ ..] = text {
            text = rest.trim_ascii_start();
        }
        if text.is_empty() {
            return Ok(tags);
        }
        let (weak, rest) = match text {
            [b'W', b'/', rest @ ..] => (true, rest),
            rest => (false, rest),
        };
        let [b'"', rest @ ..] = rest else {
            return Err(Malformed);
        };
        let end = rest.iter().position(|&byte| byte == b'"').ok_or(Malformed)?;
        let (opaque, rest) = rest.split_at(end);
        if !opaque
            .iter()
            .all(|byte| matches!(byte, 0x21 | 0x23..=0x7e | 0x80..))
        {
            return Err(Malformed);
        }
        let opaque = String::from_utf8_lossy(opaque).into_owned();
        tags.push(Tag { opaque, weak });
        text = rest[1..].trim_ascii_start();
        if !matches!(text, [] | [b',', ..]) {
            return Err(Malformed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_tags_are_read_and_nothing_else() {
        let opaque = |text: &[u8]| -> Option<Vec<(String, bool)>> {
            let tags = tags(text).ok()?;
            Some(tags.into_iter().map(|tag| (tag.opaque, tag.weak)).collect())
        };
        let tag = |text: &str, weak| (text.to_owned(), weak);
        assert_eq!(opaque(b"\"1\""), Some(vec![tag("1", false)]));
        assert_eq!(
            opaque(b"W/\"a,b\" , ,\"2\","),
            Some(vec![tag("a,b", true), tag("2", false)])
        );
        assert_eq!(opaque(b""), Some(vec![]));
        for text in [
            &b"1"[..],
            b"\"1",
            b"w/\"1\"",
            b"\"1\" \"2\"",
            b"\"a b\"",
            b"W/",
            b"*, \"1\"",
            b"\"\x7f\"",
        ] {
            assert_eq!(opaque(text), None, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn only_the_one_spelling_of_a_version_names_it() {
        for (opaque, weak, version) in [
            ("7", false, 7),
            ("7", true, 0),
            ("07", false, 0),
            ("+7", false, 0),
            ("x", false, 0),
        ] {
            let opaque = opaque.to_owned();
            assert_eq!(Tag { opaque, weak }.version(), version);
        }
    }
}
