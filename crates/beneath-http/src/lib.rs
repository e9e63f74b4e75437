//! The complete HTTP answer from a file that is already open.
//!
//! A handler of any server built on [`http`]'s types (axum, hyper, tonic, …) in five lines, with no window between the check
//! and the use and no rule of RFC 9110 left to remember:
//!
//! ```
//! use beneath::{Error, RelPath, Root};
//! use beneath_http::{FileBody, FileResponse};
//! use http::{Request, Response};
//!
//! fn download<B>(root: &Root, request: &Request<B>) -> Result<Response<FileBody>, Error> {
//!     let path = RelPath::parse(request.uri().path().strip_prefix('/').unwrap_or_default())?; // only downwards
//!     let file = root.open(&path)?; // check and use are one openat2
//!     Ok(FileResponse::new(file).named("report.pdf").respond(request))
//! }
//! # let dir = tempfile::tempdir()?;
//! # std::fs::write(dir.path().join("a.pdf"), "%PDF")?;
//! # let root = Root::open_ambient(dir.path(), beneath::ambient_authority())?;
//! # let request = Request::head("/a.pdf").body(())?;
//! # assert_eq!(download(&root, &request)?.headers()["content-length"], "4");
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! A handler that must not wait for a disk opens with [`open()`].
//!
//! # Promise
//!
//! * **Nothing is asked of a name.** Length, validators and bytes come from one descriptor.
//! * **Validators tell the truth.** The entity tag covers identity and ctime, and is weak while the clock could be wrong.
//! * **Consistent or fail.** The promised length exactly, and never the beginning of one state of a file with the end of
//!   another: the body fails instead, so that the client sees it. See [`FileBody`].
//! * **Nothing leaves after the right to read fell**: [`beneath::Source`] is asked after each read, before the bytes
//!   leave.
//! * **A name cannot become a header, a file cannot become your site.** Attachment unless said otherwise, `nosniff`
//!   always.
//! * **Bounded work.** At most one buffer of 64 KiB per transfer, at most 16 ranges per request, never more bytes of the file than
//!   it has.
//!
//! # Not promised
//!
//! A Range that comes without If-Range is served, as the RFC has it: a client that resumes so (`wget -c`, `curl -C -`) can
//! splice two versions, and only a server that knows what it gave out before can prevent it. `ServeRoot` does; from a
//! handler use [`BareRanges::FromTheStart`]. A client that sends an If-Range with a date that is not strong for it
//! (RFC 9110 §13.1.5 forbids that) may be wrong by one second, and whoever goes by a date cannot tell two versions whose mtime
//! was set to the same (`rsync -t`); their entity tags differ. Writes through a shared mapping are dated late by the
//! kernel. A layer that changes bodies (that compresses, above all) makes the entity tag, ranges and digests untrue of what leaves:
//! keep it from files, as `ServeRoot::precompressed` makes easy. The framing of the message, Date and everything else of RFC 9112 and
//! 9113 are the server's.
//!
//! # Features
//!
//! `serve-root`: `ServeRoot`, a tower service for a whole directory, and `Coding`.
//!
//! # Where each requirement is met
//!
//! | requirement | where | what |
//! |---|---|---|
//! | RFC 9110 §8.3 Content-Type | [`MediaType`] | by published name or from who knows; never by looking at the bytes |
//! | §8.4 Content-Encoding, §12.5.5 Vary | [`FileResponse::content_encoding`], [`FileResponse::vary`] | on 200 and 206; Vary also on 304, 412, 416 |
//! | §8.6 Content-Length | `response.rs`, [`FileBody`] | exact, also for HEAD; the body keeps it or fails |
//! | §8.8.1 weak and strong, §8.8.3 ETag | [`EntityTag::of_file`] | strong once no other state can share the times |
//! | §8.8.2.1 Last-Modified | [`plan::Representation::new`] | never later than Date; left out before 1970 |
//! | §8.8.3.2 comparison | `etag.rs` | strong and weak, by the table of the RFC |
//! | §9.3.1 GET, §9.3.2 HEAD | [`FileResponse::respond`] | one code path; HEAD sends the same fields and no content |
//! | §13.1.1 If-Match, §13.1.2 If-None-Match | [`TagCondition`] | lists, commas within quotes, `*`, several lines |
//! | §13.1.3 If-Modified-Since, §13.1.4 If-Unmodified-Since | `conditional.rs` | ignored beside their tag form, if no date, or repeated |
//! | §13.1.5 If-Range | `conditional.rs` | the current strong tag, or the exact date if strong; all else gets the whole |
//! | §13.2.2 precedence | [`plan::plan()`] | 412, then 304, then 206 and 416 |
//! | §14.1.2 byte ranges | [`range::parse`] | clamped, suffixes, numbers of any length |
//! | §14.2 Range | [`plan::plan()`], [`range::parse`] | GET only; unknown unit, wrong grammar, too many or repeated: ignored |
//! | §14.3 Accept-Ranges, §14.4 Content-Range | `response.rs` | on 200 and 206; on 206 and 416 |
//! | §14.6 multipart/byteranges, §15.3.7.2 | `multipart.rs` | in the order of the request, merged where they touch |
//! | §15.4.5 304 | `response.rs` | ETag, Last-Modified, Cache-Control, Vary; over HTTP/2 Content-Length, as of the 200 (§8.6) |
//! | §15.5.6 405 | `response.rs` | with Allow |
//! | §15.5.13 412, §15.5.17 416 | `response.rs` | with the current validators; 416 with the current length |
//! | RFC 6585 §3 428 | [`BareRanges::FromTheStart`] | a range of no stated version, after the version changed |
//! | RFC 9110 §17.15 denial of service by ranges | [`range::parse`] | linear, bounded, their sum never exceeds the file |
//! | RFC 9530 §3 Repr-Digest | [`FileResponse::sha256`], `ServeRoot::digests_up_to` | where the digest is known or computed once for the version, on 200 and 206 |
//! | RFC 9530 §2 Content-Digest | [`FileResponse::respond`] | where asked for: a field if known, else a trailer |
//! | RFC 9530 §4 Want-Repr-Digest, Want-Content-Digest | `digest.rs` | preferences; 0 is none |
//! | RFC 6266 §4 Content-Disposition | [`Disposition`], [`FileResponse::named`] | attachment unless chosen; `filename` in ASCII |
//! | RFC 8187 `filename*` | `disposition.rs` | UTF-8, where ASCII does not do |
//! | WHATWG Fetch `nosniff`, CSP `sandbox` | `response.rs` | always; on all that is not a web root |
//!
//! One "should" is not followed: a 206 to a request with If-Range repeats fields that the client has (§15.3.7). It costs a few bytes, and
//! a client that lost them stays safe.

#![forbid(unsafe_code)]

pub mod plan;
pub mod range;

mod bare_ranges;
mod body;
mod conditional;
mod digest;
mod direct;
mod disposition;
mod etag;
mod media_type;
mod multipart;
mod name;
mod open;
mod request;
mod response;
#[cfg(feature = "serve-root")]
mod serve_root;
mod validators;

pub use bare_ranges::BareRanges;
pub use body::{BLOCKING_READS, BodyError, BodyErrorKind, FileBody, FileSlice, Next, Segment, SegmentBody};
pub use conditional::{EntityTags, TagCondition};
pub use direct::{DirectBody, direct};
pub use disposition::Disposition;
pub use etag::{EntityTag, EntityTagRef};
pub use media_type::{InvalidMediaType, MediaType};
pub use name::Name;
pub use open::open;
pub use request::RequestHead;
pub use response::FileResponse;
#[cfg(feature = "serve-root")]
pub use serve_root::{Coding, ServeRoot};
pub use validators::Validators;
