//! [`FileResponse`]: the only writer of header fields.

mod answer;

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use beneath::Source;
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, LAST_MODIFIED, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Version};
use sha2::{Digest as _, Sha256};

use crate::bare_ranges::BareRanges;
use crate::body::{FileBody, Transfer};
use crate::digest::{self, Known, REPR_DIGEST};
use crate::disposition::{self, Disposition};
use crate::etag::EntityTag;
use crate::media_type::MediaType;
use crate::multipart;
use crate::name::Name;
use crate::plan::{Plan, plan};
use crate::range::ByteRange;
use crate::request::RequestHead;
use crate::validators::{Fields, Validators};
use answer::Answer;

/// How many ranges of one request are served unless [`FileResponse::max_ranges`] says otherwise.
pub(crate) const MAX_RANGES: usize = 16;

/// Nothing that is shown may run, load or post anything. The media and style sources are for what browsers wrap around a bare
/// picture, film or text.
const SANDBOX: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'; sandbox",
);

/// The answer to a request for an open file.
///
/// Built by adding what is known of the file, finished by [`respond`](Self::respond). A file sent without any of it is an
/// attachment of unknown type, which harms nobody.
///
/// ```
/// # let dir = tempfile::tempdir()?;
/// # std::fs::write(dir.path().join("q3.pdf"), "%PDF")?;
/// use beneath::{RelPath, Root, ambient_authority};
/// use beneath_http::FileResponse;
/// use http::{Request, header};
///
/// let root = Root::open_ambient(dir.path(), ambient_authority())?;
/// let file = root.open(&RelPath::parse("q3.pdf")?)?;
///
/// let request = Request::get("/f/1").header(header::RANGE, "bytes=1-").body(())?;
/// let response = FileResponse::new(file).named("q3.pdf").respond(&request);
///
/// assert_eq!(response.status(), 206);
/// assert_eq!(response.headers()[header::CONTENT_RANGE], "bytes 1-3/4");
/// assert_eq!(response.headers()[header::CONTENT_TYPE], "application/pdf");
/// assert_eq!(response.headers()[header::CONTENT_DISPOSITION], "attachment; filename=\"q3.pdf\"");
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[must_use = "nothing is sent until `respond`"]
pub struct FileResponse {
    source: Arc<dyn Source>,
    name: Option<Name>,
    disposition: Disposition,
    media_type: Option<MediaType>,
    text_is_utf8: bool,
    digest: Known,
    cache_control: Option<HeaderValue>,
    content_encoding: Option<HeaderValue>,
    vary: Option<HeaderValue>,
    validators: Option<Arc<Validators>>,
    bare_ranges: BareRanges,
    max_ranges: usize,
}

impl FileResponse {
    /// Answers with the bytes of this file, while the source holds.
    pub fn new(source: impl Source) -> Self {
        Self {
            source: Arc::new(source),
            name: None,
            disposition: Disposition::Attachment,
            media_type: None,
            text_is_utf8: false,
            digest: Known::Nothing,
            cache_control: None,
            content_encoding: None,
            vary: None,
            validators: None,
            bare_ranges: BareRanges::Serve,
            max_ranges: MAX_RANGES,
        }
    }

    /// The published name: what the client saves under, and what tells the media type. Of a path its last component
    /// ([`RelPath::file_name`](beneath::RelPath::file_name)), for a slash in a name becomes `_`.
    pub fn named(mut self, name: impl Into<Name>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// [`disposition`](Self::disposition) of [`Disposition::Inline`].
    pub fn inline(self) -> Self {
        self.disposition(Disposition::Inline)
    }

    /// Whether a browser shows the file or saves it; [`Disposition::Attachment`] unless said otherwise.
    ///
    /// # Security
    ///
    /// [`Disposition::None`] lets a browser run HTML and SVG as your site: only for files that are your site.
    pub const fn disposition(mut self, disposition: Disposition) -> Self {
        self.disposition = disposition;
        self
    }

    /// The media type, where it is known better than by the name.
    pub fn media_type(mut self, media_type: MediaType) -> Self {
        self.media_type = Some(media_type);
        self
    }

    /// Says that text is UTF-8: a text type without a charset gets `charset=utf-8`.
    pub const fn text_is_utf8(mut self) -> Self {
        self.text_is_utf8 = true;
        self
    }

    /// The SHA-256 of the content *as it was opened*, where it is known: sent as Repr-Digest, and it makes the entity tag, which is
    /// strong then however young the file is.
    ///
    /// # Security
    ///
    /// Whoever says this must know that it belongs to this version: remember it together with
    /// [`Metadata::identity`](beneath::Metadata::identity) and [`Metadata::version`](beneath::Metadata::version), and compare.
    pub const fn sha256(mut self, digest: [u8; 32]) -> Self {
        self.digest = Known::Tag(digest);
        self
    }

    /// As [`sha256`](Self::sha256), but the entity tag stays what it is without: for who knows the digest for some answers only.
    #[cfg(feature = "serve-root")]
    pub(crate) const fn repr_digest(mut self, digest: [u8; 32]) -> Self {
        self.digest = Known::Digest(digest);
        self
    }

    /// As [`sha256`](Self::sha256), and the last bytes of the whole file are withheld until what was sent has this digest: a file
    /// that was tampered with never completes, and one that was emptied is answered 500. A range that is not the whole cannot be
    /// verified and is not.
    pub const fn verified_sha256(mut self, digest: [u8; 32]) -> Self {
        self.digest = Known::Promise(digest);
        self
    }

    /// Cache-Control, on 200, 206 and 304. What tells that a request could not be met (412, 416, 428) no cache may give
    /// to others.
    pub fn cache_control(mut self, value: HeaderValue) -> Self {
        self.cache_control = Some(value);
        self
    }

    /// Content-Encoding: the file *is* the encoded form (`report.txt.gz` for `report.txt`), with its own entity tag.
    pub fn content_encoding(mut self, coding: HeaderValue) -> Self {
        self.content_encoding = Some(coding);
        self
    }

    /// Vary, on every answer that tells something of the file: which request fields chose it.
    pub fn vary(mut self, fields: HeaderValue) -> Self {
        self.vary = Some(fields);
        self
    }

    /// Where the entity tag and the date of this file are remembered: whoever answers with it again and again need not have them made
    /// each time.
    pub fn validators(mut self, validators: Arc<Validators>) -> Self {
        self.validators = Some(validators);
        self
    }

    /// How many ranges of one request are served at most, 16 unless said otherwise. More are ignored, and the whole is sent;
    /// with 0 the answer says that there are none (`Accept-Ranges: none`).
    pub const fn max_ranges(mut self, max: usize) -> Self {
        self.max_ranges = max;
        self
    }

    /// What to do with ranges that come without If-Range; served unless said otherwise.
    pub const fn bare_ranges(mut self, bare_ranges: BareRanges) -> Self {
        self.bare_ranges = bare_ranges;
        self
    }

    /// The answer: 200, 206, 304, 405, 412, 416 or 428, complete but for Date and what frames the message, which are the server's.
    ///
    /// Does no I/O: everything was asked when the file was opened, and reading begins when the body is polled. Only of a file of
    /// length 0 it is asked whether it [is empty](beneath::File::is_empty); what is not (procfs) is answered 500.
    pub fn respond(self, request: &impl RequestHead) -> Response<FileBody> {
        self.respond_at(request, SystemTime::now())
    }

    fn respond_at(self, request: &impl RequestHead, now: SystemTime) -> Response<FileBody> {
        let metadata = *self.source.file().metadata();
        let mut fields = match &self.validators {
            Some(validators) => validators.of(&metadata, now),
            None => Fields::of(&metadata, now),
        };
        if let Some(digest) = self.digest.tag() {
            fields.etag = EntityTag::of_sha256(digest);
            fields.etag_field = fields.etag.to_header_value();
        }
        let current = fields.representation(&metadata);
        let mut answer = Answer {
            current: &current,
            fields,
            metadata: &metadata,
            request,
            now,
            response: Response::new(FileBody::empty()),
        };
        // Room for what an answer usually has at most: one field more would double the map, and each slow client keeps one.
        *answer.headers() = HeaderMap::with_capacity(12);
        answer.set(
            X_CONTENT_TYPE_OPTIONS,
            const { HeaderValue::from_static("nosniff") },
        );
        if current.len == 0 && !self.may_be_empty() {
            answer.refuse(StatusCode::INTERNAL_SERVER_ERROR);
            return answer.response;
        }
        // Asked for a validator (428, RFC 6585 §3), and told none: the client holds none.
        let doubtful = self.bare_ranges.doubts(request.headers());
        match plan(request.method(), request.headers(), &current, self.max_ranges) {
            Plan::Part(range) if doubtful && range.first() > 0 => {
                answer.refuse(StatusCode::PRECONDITION_REQUIRED);
            }
            Plan::RangeNotSatisfiable if doubtful => answer.refuse(StatusCode::PRECONDITION_REQUIRED),
            Plan::Whole => self.send_whole(&mut answer),
            Plan::Part(range) => self.send_part(&mut answer, range),
            // Clients decode what has a Content-Encoding, and the lines between the parts are not in it.
            Plan::Parts(_) if self.content_encoding.is_some() => self.send_whole(&mut answer),
            Plan::Parts(ranges) => self.send_parts(&mut answer, &ranges),
            Plan::NotModified => self.not_modified(&mut answer),
            Plan::MethodNotAllowed => answer.method_not_allowed(),
            Plan::PreconditionFailed => self.precondition_failed(&mut answer),
            Plan::RangeNotSatisfiable => self.range_not_satisfiable(&mut answer),
        }
        answer.response
    }

    /// What has no length, as on procfs, cannot be promised; and what should have a digest may have to have a content.
    fn may_be_empty(&self) -> bool {
        let of_nothing = |digest: [u8; 32]| Sha256::digest([]).as_slice() == digest;
        self.digest.promised().is_none_or(of_nothing) && self.source.file().is_empty()
    }

    /// 200 (RFC 9110 §15.3.1).
    fn send_whole(self, answer: &mut Answer<'_, impl RequestHead>) {
        let media_type = self.describe(answer);
        answer.set(CONTENT_TYPE, media_type.as_header_value().clone());
        let range = ByteRange::whole(answer.current.len);
        let mut checks = answer.checks(range);
        checks.expected = self.digest.promised();
        // The content is the representation, so its digest may be known without reading, and then needs no trailer.
        if digest::wants_content(answer.request.headers())
            && let Some(value) = self.digest.digest().and_then(digest::header_value)
        {
            answer.set(digest::CONTENT_DIGEST, value);
            checks.trailers = None;
        }
        match range {
            Some(range) => answer.send(range.len(), &checks, |checks| {
                Transfer::of_range(self.source, range, checks)
            }),
            None => answer.set(CONTENT_LENGTH, HeaderValue::from(0)),
        }
    }

    /// 206 with one part (§15.3.7.1).
    fn send_part(self, answer: &mut Answer<'_, impl RequestHead>, range: ByteRange) {
        answer.status(StatusCode::PARTIAL_CONTENT);
        let media_type = self.describe(answer);
        answer.set(CONTENT_TYPE, media_type.as_header_value().clone());
        let (first, last, len) = (range.first(), range.last(), answer.current.len);
        answer.set_text(CONTENT_RANGE, format_args!("bytes {first}-{last}/{len}"));
        let mut checks = answer.checks(Some(range));
        if range.len() == len {
            checks.expected = self.digest.promised();
        }
        answer.send(range.len(), &checks, |checks| {
            Transfer::of_range(self.source, range, checks)
        });
    }

    /// 206 with several parts (§15.3.7.2).
    fn send_parts(self, answer: &mut Answer<'_, impl RequestHead>, ranges: &[ByteRange]) {
        let media_type = self.type_to_send();
        let Some(layout) = multipart::lay_out(ranges, answer.current.len, media_type.as_header_value())
        else {
            return self.send_whole(answer);
        };
        answer.status(StatusCode::PARTIAL_CONTENT);
        self.describe(answer);
        answer.set(CONTENT_TYPE, layout.content_type);
        let checks = answer.checks(None);
        answer.send(layout.len, &checks, |checks| {
            Transfer::of_pieces(self.source, layout.pieces, layout.len, checks)
        });
    }

    /// 304 (§15.4.5): what a 200 would have said that a cache goes by.
    fn not_modified(&self, answer: &mut Answer<'_, impl RequestHead>) {
        answer.status(StatusCode::NOT_MODIFIED);
        self.say_validators(answer);
        // The length of the content that is not sent (§8.6), or axum says 0. Over HTTP/1 hyper leaves it out for GET, so that for HEAD
        // it must not be said either.
        if answer.request.method() == Method::HEAD && answer.request.version() < Version::HTTP_2 {
            *answer.response.body_mut() = FileBody::of_unknown_length();
        } else {
            answer.set(CONTENT_LENGTH, HeaderValue::from(answer.current.len));
        }
    }

    /// 412 (§15.5.13), with what the client needs to see what is there now.
    fn precondition_failed(&self, answer: &mut Answer<'_, impl RequestHead>) {
        answer.status(StatusCode::PRECONDITION_FAILED);
        self.say_what_is_there(answer);
        answer.set(CONTENT_LENGTH, HeaderValue::from(0));
    }

    /// 416 (§15.5.17), with the length that ranges must respect.
    fn range_not_satisfiable(&self, answer: &mut Answer<'_, impl RequestHead>) {
        answer.status(StatusCode::RANGE_NOT_SATISFIABLE);
        self.say_what_is_there(answer);
        let len = answer.current.len;
        answer.set_text(CONTENT_RANGE, format_args!("bytes */{len}"));
        answer.set(CONTENT_LENGTH, HeaderValue::from(0));
    }

    /// The fields of every answer with content, HEAD included. Returns the media type, for where it belongs.
    fn describe(&self, answer: &mut Answer<'_, impl RequestHead>) -> MediaType {
        self.say_validators(answer);
        let ranges = if self.max_ranges == 0 { "none" } else { "bytes" };
        answer.set(ACCEPT_RANGES, HeaderValue::from_static(ranges));
        if let Some(coding) = &self.content_encoding {
            answer.set(CONTENT_ENCODING, coding.clone());
        }
        let digest = self
            .digest
            .digest()
            .filter(|_| digest::wants_repr(answer.request.headers()));
        if let Some(value) = digest.and_then(digest::header_value) {
            answer.set(REPR_DIGEST, value);
        }
        if let Some(value) = self.content_disposition() {
            answer.set(CONTENT_DISPOSITION, value);
            answer.set(CONTENT_SECURITY_POLICY, SANDBOX);
        }
        self.type_to_send()
    }

    fn say_validators(&self, answer: &mut Answer<'_, impl RequestHead>) {
        if let Some(value) = answer.fields.etag_field.take() {
            answer.set(ETAG, value);
        }
        if let Some(value) = answer.fields.modified_field.take() {
            answer.set(LAST_MODIFIED, value);
        }
        for (name, value) in [(CACHE_CONTROL, &self.cache_control), (VARY, &self.vary)] {
            if let Some(value) = value {
                answer.set(name, value.clone());
            }
        }
    }

    /// The validators, where the request could not be met. What a cache may do with the file it may not do with that: it would be
    /// given to others, who asked for less.
    fn say_what_is_there(&self, answer: &mut Answer<'_, impl RequestHead>) {
        self.say_validators(answer);
        let asks_each_time = |value: &str| value.contains("no-store") || value.contains("no-cache");
        let value = self.cache_control.as_ref().map(HeaderValue::to_str);
        if value.is_some_and(|value| !value.is_ok_and(asks_each_time)) {
            answer.not_to_be_kept();
        }
    }

    fn content_disposition(&self) -> Option<HeaderValue> {
        let shown = match self.disposition {
            Disposition::None => return None,
            Disposition::Inline => self.known_type().is_inert(),
            Disposition::Attachment => false,
        };
        Some(match &self.name {
            Some(name) if shown => name.inline(),
            Some(name) => name.attachment(),
            None if shown => disposition::header_value("inline", None),
            None => disposition::header_value("attachment", None),
        })
    }

    /// The type that is known, as far as it is good to say it: of an attachment that could run script only what the caller
    /// said, not what an extension says.
    fn type_to_send(&self) -> MediaType {
        let media_type = self.known_type();
        let guessed = self.media_type.is_none();
        if guessed && self.disposition != Disposition::None && media_type.is_active() {
            return MediaType::OCTET_STREAM;
        }
        if self.text_is_utf8 {
            media_type.with_utf8()
        } else {
            media_type
        }
    }

    fn known_type(&self) -> MediaType {
        match (&self.media_type, &self.name) {
            (Some(media_type), _) => media_type.clone(),
            (None, Some(name)) => name.media_type().clone(),
            (None, None) => MediaType::OCTET_STREAM,
        }
    }
}

impl fmt::Debug for FileResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileResponse")
            .field("file", self.source.file())
            .field("disposition", &self.disposition)
            .finish_non_exhaustive()
    }
}
