//! Request bodies: JSON of exactly the schema, or a problem that names the field.

use std::fmt;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{FromRequest, Request};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};
use http_body::Body as _;
use http_body_util::LengthLimitError;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::error::Category;
use serde_path_to_error::{Path, Segment};
use utoipa::{PartialSchema, ToSchema};

use crate::rejection::Problem;
use crate::service::Service;

/// The longest body that is read.
const MAX_BODY: usize = 64 * 1024;

/// A body of `application/json`. None at all is the object without fields.
pub(super) struct Json<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Arc<Service>> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &Arc<Service>) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let body = read(body).await?;
        if body.is_empty() && !parts.headers.contains_key(CONTENT_TYPE) {
            return parse(b"{}").map(Self);
        }
        is_json(&parts.headers)?;
        parse(&body).map(Self)
    }
}

/// No body, where none means anything: whoever sends one wanted something that would not be done.
pub(super) struct NoBody;

impl FromRequest<Arc<Service>> for NoBody {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &Arc<Service>) -> Result<Self, Problem> {
        let body = request.into_body();
        // What is announced is not asked for; what is not announced can still be nothing.
        let nothing = body.size_hint().lower() == 0 && to_bytes(body, 0).await.is_ok();
        match nothing {
            true => Ok(Self),
            false => Err(Problem::new(StatusCode::BAD_REQUEST, "this takes no body")),
        }
    }
}

async fn read(body: Body) -> Result<axum::body::Bytes, Problem> {
    to_bytes(body, MAX_BODY).await.map_err(|error| {
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            if cause.is::<LengthLimitError>() {
                let detail = format!("the body is longer than {MAX_BODY} bytes");
                return Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail);
            }
            source = cause.source();
        }
        Problem::new(StatusCode::BAD_REQUEST, "the body could not be read")
    })
}

fn is_json(headers: &HeaderMap) -> Result<(), Problem> {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let essence = types
        .next()
        .and_then(|value| value.as_bytes().split(|&byte| byte == b';').next());
    let json = essence.is_some_and(|it| it.trim_ascii().eq_ignore_ascii_case(b"application/json"));
    if json && types.next().is_none() && !headers.contains_key(CONTENT_ENCODING) {
        return Ok(());
    }
    let detail = "send JSON, with Content-Type: application/json and no Content-Encoding";
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail))
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let Object(value) = serde_path_to_error::deserialize(&mut deserializer)
        .map_err(|error| problem(error.path(), error.inner()))?;
    let end = deserializer.end();
    end.map_err(|error| Problem::new(StatusCode::BAD_REQUEST, format!("not JSON: {error}")))?;
    Ok(value)
}

fn problem(path: &Path, error: &serde_json::Error) -> Problem {
    let detail = error.to_string();
    if error.classify() != Category::Data {
        return Problem::new(StatusCode::BAD_REQUEST, format!("not JSON: {detail}"));
    }
    let mut pointer = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => pointer.push_str(&format!("/{index}")),
            Segment::Map { key } => push(&mut pointer, key),
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    // Where a field is missing or there twice, the path may be that of its object: then the text names the field.
    let field = |what: &str| Some(detail.strip_prefix(what)?.split_once('`')?.0);
    if let Some(missing) = field("missing field `") {
        push(&mut pointer, missing);
    } else if let Some(twice) = field("duplicate field `")
        && pointer.rsplit('/').next() != Some(&escaped(twice))
    {
        push(&mut pointer, twice);
    }
    Problem::unprocessable(pointer, detail)
}

fn push(pointer: &mut String, key: &str) {
    pointer.push('/');
    pointer.push_str(&escaped(key));
}

/// RFC 6901 §3.
fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// An object, where serde would take the list of its values, too.
#[derive(Clone, Debug)]
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields<T>(std::marker::PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(fields))
            }
        }

        deserializer
            .deserialize_map(Fields(std::marker::PhantomData))
            .map(Self)
    }
}

impl<T: ToSchema> PartialSchema for Object<T> {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        T::schema()
    }
}

impl<T: ToSchema> ToSchema for Object<T> {
    fn name() -> std::borrow::Cow<'static, str> {
        T::name()
    }
}

/// A field that may be missing but not null: what null would mean, nobody has to guess.
pub(super) fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// The same for a whole number. JSON has one kind of number, so 60.0 is one, too.
pub(super) fn present_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    let number = serde_json::Number::deserialize(deserializer)?;
    let whole = number.as_u64().or_else(|| {
        let whole = number
            .as_f64()
            .filter(|it| it.fract() == 0.0 && (0.0..=f64::from(MAX_NUMBER)).contains(it))?;
        // Whole and within the range, so nothing is lost.
        Some(whole as u64)
    });
    let number = whole.and_then(|whole| u32::try_from(whole).ok());
    let number = number.filter(|number| *number <= MAX_NUMBER);
    number
        .map(Some)
        .ok_or_else(|| Error::custom("must be a whole number, and not above 2147483647"))
}

/// What a 32-bit integer of any language holds.
const MAX_NUMBER: u32 = i32::MAX as u32;
