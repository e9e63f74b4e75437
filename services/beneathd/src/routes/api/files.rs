//! `/files`: what is published.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use beneath_catalog::{AdminErrorKind, Amendment, Entry, Publication};
use http::StatusCode;
use http::header::ETAG;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use super::answer::{self, Changed, Page};
use super::body::{Json, NoBody, Object, present};
use super::caller::{Editor, Reader, Writer};
use super::conditions::{IfNoneMatch, Tag};
use super::grants::NewGrant;
use super::parameters::{At, PageOf, Parameters};
use super::vocabulary::{Caching, Disposition, FileId, MediaType, Pin, RelPath, RootName, Time, UserName};
use crate::notation::{Effect, hex, segment};
use crate::rejection::Problem;
use crate::service::Service;

/// A published file, as whoever may download it sees it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct File {
    id: FileId,
    /// What a person should save it as. What is not UTF-8 in it is replaced; `href` holds the very bytes.
    name: String,
    /// What its publisher says it is; null where its name tells.
    media_type: Option<String>,
    /// Length in bytes when it was published.
    size: u64,
    pin: Pin,
    disposition: Disposition,
    caching: Caching,
    /// SHA-256 of its content in hexadecimal, for a pin by content.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    sha256: Option<String>,
    /// When it was published.
    #[schema(value_type = Time)]
    created: String,
    /// Where it is downloaded, relative to this service.
    #[schema(example = "/f/8kRXzGkFyVE0Y1u3rEJ2Vg/q3.pdf")]
    href: String,
    /// For whoever manages it only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    managed: Option<Managed>,
}

/// What only whoever manages a file sees of it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Managed {
    root: RootName,
    /// Where it lies beneath its root. What is not UTF-8 in it is replaced.
    path: String,
    /// Who published it; null is the operator.
    owner: Option<UserName>,
    /// Grows with each change of the file or its grants; in quotes it is the `ETag`.
    version: u64,
}

/// A published file, and how far the change came.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ChangedFile {
    change: Effect,
    file: File,
}

/// What is to be published. ID, owner and time are the server's.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewFile {
    root: RootName,
    path: RelPath,
    /// What a person should save it as, at most 255 bytes; by default the last component of the path.
    #[serde(default, deserialize_with = "present")]
    #[schema(
        nullable = false,
        min_length = 1,
        max_length = 255,
        pattern = "^([^/\\u0000.]|\\.[^/\\u0000.]|\\.\\.[^/\\u0000])[^/\\u0000]*$"
    )]
    name: Option<String>,
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, value_type = Option<MediaType>)]
    media_type: Option<MediaType>,
    /// What it is bound to; by default its path.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, value_type = Option<Pin>)]
    pin: Option<Pin>,
    /// Whether it is shown or saved; by default it is saved.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, value_type = Option<Disposition>)]
    disposition: Option<Disposition>,
    /// What caches may do with it; by default nothing.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, value_type = Option<Caching>)]
    caching: Option<Caching>,
    /// To whom it is granted; by default to nobody yet.
    #[serde(default, deserialize_with = "few")]
    #[schema(value_type = Vec<NewGrant>, max_items = 100)]
    grants: Vec<Object<NewGrant>>,
}

/// What is to be changed; what is not named stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FileChange {
    /// What a person should save it as, at most 255 bytes.
    #[serde(default, deserialize_with = "present")]
    #[schema(
        nullable = false,
        min_length = 1,
        max_length = 255,
        pattern = "^([^/\\u0000.]|\\.[^/\\u0000.]|\\.\\.[^/\\u0000])[^/\\u0000]*$"
    )]
    name: Option<String>,
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, value_type = Option<MediaType>)]
    media_type: Option<MediaType>,
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, value_type = Option<Disposition>)]
    disposition: Option<Disposition>,
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, value_type = Option<Caching>)]
    caching: Option<Caching>,
}

const MAX_GRANTS: usize = 100;

fn few<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Object<NewGrant>>, D::Error> {
    let grants = Vec::deserialize(deserializer)?;
    match grants.len() {
        ..=MAX_GRANTS => Ok(grants),
        _ => Err(serde::de::Error::custom(
            "more than 100: grant the rest afterwards",
        )),
    }
}

/// List files
///
/// Newest first: an administrator sees all, others what they own or were granted.
#[utoipa::path(
    get, path = "/files", tag = "files", params(PageOf),
    responses((status = 200, description = "A page of them", body = Page<File>))
)]
pub(super) async fn list(
    State(service): State<Arc<Service>>,
    Reader(principal): Reader,
    Parameters(page): Parameters<PageOf>,
) -> Result<Response, Problem> {
    let listing = service.administer(principal, move |administration| administration.files(page.page()));
    let page = Page::of(listing.await?, |entry| File::granted(&entry));
    Ok(answer::json(StatusCode::OK, &page))
}

/// Publish a file
///
/// It is opened beneath its root, so that what is published can be opened; for a pin by content it is read whole. For
/// publishers, who own what they publish.
#[utoipa::path(
    post, path = "/files", tag = "files",
    request_body(content = NewFile, example = json!({
        "root": "reports", "path": "2026/q3.pdf", "grants": [{"subject": "user:alice"}],
    })),
    responses((status = 201, description = "It has an ID", body = ChangedFile, headers(
        ("ETag" = String, description = "Its version, for If-Match"),
        ("Location" = String, description = "Where it is shown"),
    )))
)]
pub(super) async fn publish(
    State(service): State<Arc<Service>>,
    Writer(principal): Writer,
    Json(new): Json<NewFile>,
) -> Result<Response, Problem> {
    let change = service.publish(principal, new.into()).await??;
    let location = format!("{}/files/{}", super::BASE, change.value().id());
    Ok(tagged(
        answer::created(&location, &ChangedFile::of(&change)),
        change.value(),
    ))
}

/// Show a file
///
/// Whoever may download it sees it; whoever manages it sees where it lies, too, and gets its version as `ETag`.
#[utoipa::path(
    get, path = "/files/{id}", tag = "files",
    params(
        ("id" = FileId, Path, description = "Which"),
        ("If-None-Match" = Option<String>, Header, description = "The `ETag` of the state the client has"),
    ),
    responses(
        (status = 200, description = "The file", body = File,
            headers(("ETag" = String, description = "Which state of it this is"))),
        (status = 304, description = "The client has this state of it"),
    )
)]
pub(super) async fn show(
    State(service): State<Arc<Service>>,
    Reader(principal): Reader,
    At(FileId(id)): At<FileId>,
    condition: IfNoneMatch,
) -> Result<Response, Problem> {
    let shown = service.administer(principal, move |administration| match administration.file(&id) {
        Ok(published) => Ok((
            Some(Tag::of_version(published.entry.version())),
            File::managed(&published.entry),
        )),
        Err(error) if matches!(error.kind(), AdminErrorKind::NotFound | AdminErrorKind::Refused) => {
            Ok((None, File::granted(&administration.granted_file(&id)?)))
        }
        Err(error) => Err(error),
    });
    let (tag, file) = shown.await?;
    Ok(answer::resource(&condition, tag, &file))
}

/// Change a file
///
/// What it is called, its media type, whether it is shown and what caches may do; ID, owner and place never change.
#[utoipa::path(
    patch, path = "/files/{id}", tag = "files",
    params(
        ("id" = FileId, Path, description = "Which"),
        ("If-Match" = String, Header, description = "The `ETag` of the version to change, or `*` for whatever it is",
            example = "\"1\""),
    ),
    request_body(content = FileChange, example = json!({"name": "Third quarter.pdf"})),
    responses(
        (status = 200, description = "It is changed", body = ChangedFile,
            headers(("ETag" = String, description = "Its version, for If-Match"))),
        (status = 412, description = "It was changed since: nothing is lost", body = Problem,
            content_type = "application/problem+json"),
        (status = 428, description = "Without If-Match somebody else's change could be lost", body = Problem,
            content_type = "application/problem+json"),
    )
)]
pub(super) async fn change(
    State(service): State<Arc<Service>>,
    editor: Editor,
    At(FileId(id)): At<FileId>,
    Json(wanted): Json<FileChange>,
) -> Result<Response, Problem> {
    if editor.if_match.is_none() {
        let detail = "send If-Match with the ETag of the version you saw, or * to change whatever it is";
        return Err(Problem::new(StatusCode::PRECONDITION_REQUIRED, detail));
    }
    let amendment = Amendment::from(wanted);
    if amendment == Amendment::default() {
        return Err(Problem::unprocessable(
            "",
            "nothing to change: give name, media_type, disposition or caching",
        ));
    }
    let changed = editor.change(&service, move |administration| {
        administration.change(&id, &amendment)
    });
    let change = changed.await?;
    Ok(tagged(
        answer::json(StatusCode::OK, &ChangedFile::of(&change)),
        change.value(),
    ))
}

/// Unpublish a file
///
/// With its grants and links; the file itself stays. When this is answered nobody is sent another byte of it.
#[utoipa::path(
    delete, path = "/files/{id}", tag = "files",
    params(
        ("id" = FileId, Path, description = "Which"),
        ("If-Match" = Option<String>, Header, description = "The `ETag` of the version it has to be",
            example = "\"1\""),
    ),
    responses(
        (status = 200, description = "Nobody is sent another byte of it", body = Changed),
        (status = 412, description = "It was changed since", body = Problem,
            content_type = "application/problem+json"),
    )
)]
pub(super) async fn unpublish(
    State(service): State<Arc<Service>>,
    editor: Editor,
    At(FileId(id)): At<FileId>,
    _: NoBody,
) -> Result<Response, Problem> {
    let change = editor.change(&service, move |administration| administration.unpublish(&id));
    Ok(answer::changed(&change.await?))
}

impl File {
    fn granted(entry: &Entry) -> Self {
        Self {
            id: FileId(*entry.id()),
            name: String::from_utf8_lossy(entry.name()).into_owned(),
            media_type: entry.media_type().map(ToOwned::to_owned),
            size: entry.size(),
            pin: Pin(entry.pin()),
            disposition: Disposition(entry.disposition()),
            caching: Caching(entry.caching()),
            sha256: entry.digest().map(hex),
            created: Time::text(entry.created()),
            href: format!("/f/{}/{}", entry.id(), segment(entry.name())),
            managed: None,
        }
    }

    fn managed(entry: &Entry) -> Self {
        let managed = Managed {
            root: RootName(entry.root().clone()),
            path: String::from_utf8_lossy(entry.path().as_bytes()).into_owned(),
            owner: entry.owner().cloned().map(UserName),
            version: entry.version(),
        };
        Self {
            managed: Some(managed),
            ..Self::granted(entry)
        }
    }
}

impl ChangedFile {
    fn of(change: &beneath_catalog::Change<Entry>) -> Self {
        Self {
            change: Effect::of(change),
            file: File::managed(change.value()),
        }
    }
}

impl From<FileChange> for Amendment {
    fn from(wanted: FileChange) -> Self {
        let mut amendment = Self::default();
        if let Some(name) = wanted.name {
            amendment = amendment.named(name);
        }
        if let Some(MediaType(media_type)) = wanted.media_type {
            amendment = amendment.media_type(media_type);
        }
        if let Some(Disposition(disposition)) = wanted.disposition {
            amendment = amendment.disposition(disposition);
        }
        if let Some(Caching(caching)) = wanted.caching {
            amendment = amendment.caching(caching);
        }
        amendment
    }
}

impl From<NewFile> for Publication {
    fn from(new: NewFile) -> Self {
        let mut publication = Self::new(new.root.0, new.path.0);
        if let Some(name) = new.name {
            publication = publication.named(name);
        }
        if let Some(MediaType(media_type)) = new.media_type {
            publication = publication.media_type(media_type);
        }
        if let Some(Pin(pin)) = new.pin {
            publication = publication.pinned(pin);
        }
        if let Some(Disposition(disposition)) = new.disposition {
            publication = publication.disposition(disposition);
        }
        if let Some(Caching(caching)) = new.caching {
            publication = publication.caching(caching);
        }
        for Object(grant) in new.grants {
            let (subject, expires) = grant.into_parts();
            publication = publication.to(subject, expires);
        }
        publication
    }
}

fn tagged(mut response: Response, entry: &Entry) -> Response {
    response
        .headers_mut()
        .insert(ETAG, Tag::of_version(entry.version()).to_header_value());
    response
}
