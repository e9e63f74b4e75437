//! `GET /f/{id}`, `GET /f/{id}/{name}`: credentials, then a lease, then bytes while it holds.

use std::borrow::Borrow;
use std::sync::Arc;

use axum::response::IntoResponse as _;
use beneath::Source;
use beneath_catalog::{Caching, Credentials, Disposition, FileId, Lease};
use beneath_http::{FileResponse, MediaType, Name, RequestHead, Validators};
use beneath_serve::{Abort, RequestBody};
use http::{HeaderValue, Method, Request, Version};

use super::answer::{Answer, AnswerBody, Answering};
use crate::auth;
use crate::rejection::Rejection;
use crate::service::Service;

/// Up to this length, in bytes, no client of HTTP/1 is waited for: the sockets take it all in.
const TAKEN_AT_ONCE: u64 = 64 * 1024;

/// In place where nothing has to be waited for, which is almost always.
///
/// The name in the URL is decoration, for clients that save under the last segment; only the ID counts.
pub(super) fn by_id(service: &Arc<Service>, segments: &str, request: &Request<RequestBody>) -> Answering {
    let here = |answer| Answering::here(count(service, answer));
    let (credentials, id) = match wanted(service, segments, request) {
        Ok(wanted) => wanted,
        Err(rejection) => return here(refused(rejection)),
    };
    let abort = || request.body().abort();
    match service.try_open(&credentials, &id) {
        Some(lease) => here(as_published(lease, request, abort)),
        None => {
            let (service, head, abort) = (Arc::clone(service), head_of(request), abort());
            Answering::later(async move {
                let opened = service.open(credentials, id).await;
                let answered = opened.map_or_else(refused, |lease| as_published(lease, &head, || abort));
                count(&service, answered)
            })
        }
    }
}

/// Who wants which file. IDs are plain ASCII, so an encoded one is not one.
fn wanted(
    service: &Service,
    segments: &str,
    request: &Request<RequestBody>,
) -> Result<(Credentials, FileId), Rejection> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Err(Rejection::MethodNotAllowed);
    }
    let credentials = auth::credentials(request.headers())?;
    let credentials = credentials.from_address(service.address(request.body().peer(), request.headers()));
    let id = segments.split('/').next().and_then(|id| id.parse().ok());
    Ok((credentials, id.ok_or(Rejection::NotFound)?))
}

fn as_published(lease: Lease, request: &impl RequestHead, abort: impl FnOnce() -> Abort) -> Answer {
    let caching = lease.entry().caching();
    answer(lease, caching, request, abort)
}

/// What the catalog knows of the file, said in HTTP. Answers to one user are not for another. When the right falls while the
/// client takes nothing, what waits for it is thrown away.
pub(super) fn answer(
    lease: impl Source + Borrow<Lease> + 'static,
    caching: Caching,
    request: &impl RequestHead,
    abort: impl FnOnce() -> Abort,
) -> Answer {
    let of: &Lease = lease.borrow();
    if request.version() == Version::HTTP_2 || of.file().metadata().len() > TAKEN_AT_ONCE {
        let abort = abort();
        of.on_fall(move || abort.abort());
    }
    let entry = of.entry();
    let known = entry.derived(|entry| Known {
        validators: Arc::default(),
        name: Name::from(entry.name()),
        // A type that does not parse was never published; without one the name tells.
        media_type: entry.media_type().and_then(|text| MediaType::parse(text).ok()),
        disposition: match entry.disposition() {
            Disposition::Attachment => beneath_http::Disposition::Attachment,
            Disposition::Inline => beneath_http::Disposition::Inline,
        },
    });
    let digest = entry.digest().copied();
    let is_sealed = of.is_sealed();
    let mut response = FileResponse::new(lease)
        .named(known.name.clone())
        .validators(Arc::clone(&known.validators))
        .disposition(known.disposition)
        .cache_control(cache_control(caching))
        .vary(const { HeaderValue::from_static("authorization") });
    if let Some(media_type) = &known.media_type {
        response = response.media_type(media_type.clone());
    }
    match digest {
        Some(digest) if is_sealed => response = response.sha256(digest),
        Some(digest) => response = response.verified_sha256(digest),
        None => {}
    }
    response.respond(request).map(AnswerBody::File)
}

/// No `max-age`, and nothing for caches that are shared: what is answered without a question cannot be revoked.
const fn cache_control(caching: Caching) -> HeaderValue {
    match caching {
        Caching::NoStore => HeaderValue::from_static("private, no-store"),
        Caching::Revalidate => HeaderValue::from_static("private, no-cache"),
    }
}

/// What is said of a file in every answer.
struct Known {
    name: Name,
    media_type: Option<MediaType>,
    disposition: beneath_http::Disposition,
    validators: Arc<Validators>,
}

pub(super) fn refused(rejection: Rejection) -> Answer {
    rejection.into_response().map(AnswerBody::Other)
}

pub(super) fn count(service: &Service, answer: Answer) -> Answer {
    service.metrics.answered(answer.status());
    answer
}

/// The head, for after the request is gone.
fn head_of(request: &Request<RequestBody>) -> Request<()> {
    let mut head = Request::new(());
    *head.method_mut() = request.method().clone();
    *head.version_mut() = request.version();
    *head.headers_mut() = request.headers().clone();
    head
}
