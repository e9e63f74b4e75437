//! [`Answer`]: an answer under construction, status and framing fields.

use std::fmt::{self, Write as _};
use std::time::{Duration, SystemTime};

use beneath::{Metadata, Timestamp};
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_LENGTH, TRAILER};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Version};

use crate::body::{Checks, Collect, FileBody, Trailers, Transfer};
use crate::digest;
use crate::plan::Representation;
use crate::range::ByteRange;
use crate::request::RequestHead;
use crate::validators::Fields;

/// The coarsest tick of a clock that dates writes as they happen (Linux, `HZ=100`: 10 ms), doubled. A file that was modified
/// less than this ago could be modified again without a new time.
const TICK: Duration = Duration::from_millis(20);

/// A file modified within this time may well be one that is being appended to. What leaves of it is hashed, so that growth need
/// not be failure.
const BEING_WRITTEN: Duration = Duration::from_secs(10);

/// Up to this length in bytes, the sockets take the body in before much can happen to an older file: it is not hashed.
const GONE_AT_ONCE: u64 = 1024 * 1024;

/// Of an HTTP/2 stream the first bytes are read before its window is known, and a connection has many streams.
const FIRST_OF_A_STREAM: u64 = 8 * 1024;

/// The longest body that is hashed for a second reading, in bytes: reading it again must not hold a thread for minutes.
const MAX_READ_AGAIN: u64 = 1024 * 1024 * 1024;

/// An answer under construction.
pub(super) struct Answer<'a, R> {
    pub(super) current: &'a Representation,
    pub(super) fields: Fields,
    pub(super) metadata: &'a Metadata,
    pub(super) request: &'a R,
    pub(super) now: SystemTime,
    pub(super) response: Response<FileBody>,
}

impl<R: RequestHead> Answer<'_, R> {
    pub(super) fn headers(&mut self) -> &mut HeaderMap {
        self.response.headers_mut()
    }

    pub(super) fn set(&mut self, name: http::HeaderName, value: HeaderValue) {
        self.headers().insert(name, value);
    }

    pub(super) fn set_text(&mut self, name: http::HeaderName, text: fmt::Arguments<'_>) {
        let mut value = String::with_capacity(48);
        if value.write_fmt(text).is_ok()
            && let Ok(value) = HeaderValue::try_from(value)
        {
            self.set(name, value);
        }
    }

    pub(super) fn status(&mut self, status: StatusCode) {
        *self.response.status_mut() = status;
    }

    pub(super) fn not_to_be_kept(&mut self) {
        self.set(CACHE_CONTROL, const { HeaderValue::from_static("no-store") });
    }

    /// Nothing is said of the file, and no cache may keep that.
    pub(super) fn refuse(&mut self, status: StatusCode) {
        self.status(status);
        self.not_to_be_kept();
        self.set(CONTENT_LENGTH, HeaderValue::from(0));
    }

    /// 405 (§15.5.6).
    pub(super) fn method_not_allowed(&mut self) {
        self.status(StatusCode::METHOD_NOT_ALLOWED);
        self.set(ALLOW, const { HeaderValue::from_static("GET, HEAD") });
        self.set(CONTENT_LENGTH, HeaderValue::from(0));
    }

    /// Announces `len` bytes and, unless it is for HEAD, sends them.
    pub(super) fn send(&mut self, len: u64, checks: &Checks, transfer: impl FnOnce(&Checks) -> Transfer) {
        if checks.trailers.is_some() {
            self.set(TRAILER, const { HeaderValue::from_static("content-digest") });
        }
        if checks.trailers != Some(Trailers::Instead) {
            self.set(CONTENT_LENGTH, HeaderValue::from(len));
        }
        if self.request.method() != Method::HEAD {
            *self.response.body_mut() = FileBody::transfer(transfer(checks));
        }
    }

    pub(super) fn checks(&self, range: Option<ByteRange>) -> Checks {
        let since = |then: Timestamp| {
            let then = then.to_system_time();
            then.and_then(|then| self.now.duration_since(then).ok())
        };
        // The time of modification may have been put back.
        let ages = [self.metadata.modified(), self.metadata.changed()].map(since);
        let youngest = ages.iter().flatten().min();
        Checks {
            settle: youngest.map_or(Duration::ZERO, |age| TICK.saturating_sub(*age)),
            collect: match range {
                Some(range) if range.len() > MAX_READ_AGAIN => Collect::Never,
                Some(_) if ages[0].is_some_and(|age| age < BEING_WRITTEN) => Collect::Always,
                Some(range) if range.len() > GONE_AT_ONCE => Collect::WhileSlow,
                _ => Collect::Never,
            },
            first: match self.request.version() {
                Version::HTTP_2 => FIRST_OF_A_STREAM,
                _ => u64::MAX,
            },
            strong: !self.fields.etag.is_weak(),
            expected: None,
            trailers: self.trailers(),
        }
    }

    /// Whether and how a digest of the content is to follow it (RFC 9530 §4). HEAD has no content.
    fn trailers(&self) -> Option<Trailers> {
        let (headers, version) = (self.request.headers(), self.request.version());
        if self.request.method() == Method::HEAD
            || !digest::wants_content(headers)
            || !digest::accepts_trailers(version, headers)
        {
            return None;
        }
        Some(match version {
            Version::HTTP_11 => Trailers::Instead,
            _ => Trailers::Beside,
        })
    }
}
