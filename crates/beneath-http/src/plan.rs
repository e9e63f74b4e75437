//! [`plan()`]: what to answer, decided without touching anything.

use http::header::RANGE;
use http::{HeaderMap, Method};

use crate::conditional::{self, LastModified, Outcome};
use crate::etag::EntityTag;
use crate::range::{self, ByteRange, Ranges};

/// What to answer to a request for a file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "each of them is another answer")]
pub enum Plan {
    /// 200: all of it.
    Whole,
    /// 206: one range of it.
    Part(ByteRange),
    /// 206, as multipart/byteranges: at least two ranges, which neither overlap nor touch.
    Parts(Vec<ByteRange>),
    /// 304: the client has it.
    NotModified,
    /// 405: neither GET nor HEAD.
    MethodNotAllowed,
    /// 412: the client asked for another state of it.
    PreconditionFailed,
    /// 416: no byte of it was asked for.
    RangeNotSatisfiable,
}

/// The selected representation (RFC 9110 §3.2), as far as the decision needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Representation {
    pub(crate) len: u64,
    pub(crate) etag: EntityTag,
    pub(crate) modified: Option<LastModified>,
}

/// Decides what to answer: RFC 9110 §13.2.2, then §14. Pure: the same arguments give the same plan.
///
/// `max_ranges` is how many ranges of one request are served at most; more are ignored.
///
/// ```
/// use std::time::SystemTime;
///
/// use beneath_http::EntityTag;
/// use beneath_http::plan::{Plan, Representation, plan};
/// use http::{HeaderMap, HeaderValue, Method, header};
///
/// let now = SystemTime::now();
/// let etag = EntityTag::parse(br#""v2""#).ok_or("not a tag")?;
/// let current = Representation::new(1000, etag, None, now);
///
/// let mut headers = HeaderMap::new();
/// headers.insert(header::RANGE, HeaderValue::from_static("bytes=500-"));
/// headers.insert(header::IF_RANGE, HeaderValue::from_static(r#""v1""#));
/// // The client holds 500 bytes of another version: it must not go on with this one.
/// assert_eq!(plan(&Method::GET, &headers, &current, 16), Plan::Whole);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
pub fn plan(method: &Method, headers: &HeaderMap, current: &Representation, max_ranges: usize) -> Plan {
    // §15.5.6. Before any condition: those are for methods that select a representation.
    if method != Method::GET && method != Method::HEAD {
        return Plan::MethodNotAllowed;
    }
    match conditional::evaluate(headers, current) {
        Outcome::Failed => return Plan::PreconditionFailed,
        Outcome::NotModified => return Plan::NotModified,
        Outcome::Proceed => {}
    }
    // §14.2: a Range is only for GET, and comes after all conditions.
    if method != Method::GET || !conditional::range_applies(headers, current) {
        return Plan::Whole;
    }
    // Not a list field: twice is not the grammar, so ignored.
    let Some(field) = conditional::single(headers, &RANGE) else {
        return Plan::Whole;
    };
    match range::parse(field, current.len, max_ranges) {
        Ranges::Ignored => Plan::Whole,
        Ranges::Unsatisfiable => Plan::RangeNotSatisfiable,
        Ranges::One(range) => Plan::Part(range),
        Ranges::Several(ranges) => Plan::Parts(ranges),
    }
}
