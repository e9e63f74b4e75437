//! [`direct`]: an answer whose file may leave past the layers around its handler.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, TRANSFER_ENCODING};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};

use crate::body::{BodyError, BodyErrorKind, FileBody};

/// Lets the file of an answer leave as it is, though an axum `Router` or a layer will put the body into a type of its own.
///
/// The transport that knows of this (`beneath_serve::Server`) then sends the file without a copy. With any other, and
/// to every layer that reads it, the body is what it was: the bytes of the file.
///
/// ```
/// use axum::{Router, extract::Request, response::IntoResponse, routing::get};
/// use beneath::{RelPath, Root};
/// use beneath_http::{FileResponse, direct};
/// use http::StatusCode;
///
/// async fn report(root: &Root, request: Request) -> Result<impl IntoResponse, StatusCode> {
///     let path = RelPath::parse("q3.pdf").map_err(|_| StatusCode::NOT_FOUND)?;
///     let file = root.open(&path).map_err(|_| StatusCode::NOT_FOUND)?;
///     Ok(direct(FileResponse::new(file).named("q3.pdf").respond(&request)))
/// }
/// # let dir = tempfile::tempdir()?;
/// # let root: &'static Root = Box::leak(Box::new(Root::open_ambient(dir.path(), beneath::ambient_authority())?));
/// # let app: Router =
/// Router::new().route("/report", get(|request| report(root, request)))
/// # ;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
///
/// For a whole service, such as `ServeRoot`, it goes to tower's `map_response`.
///
/// # Layers
///
/// As with the `X-Sendfile` of other servers, a layer sees and changes the head. Where it changed what the head says of the bytes (status,
/// length, range, type or coding), or read of the body, the file goes the usual way, through it. **One that wraps the body, says nothing of
/// it in the head, and has not been asked for a byte yet is passed by**: what counts, paces or encrypts bytes with their length kept
/// does not belong around what is direct. What it wrapped is dropped when the answer is over.
pub fn direct(response: Response<FileBody>) -> Response<DirectBody> {
    let (mut parts, body) = response.into_parts();
    if body.is_end_stream() {
        let body = DirectBody(Place::Here(body));
        return Response::from_parts(parts, body);
    }
    let offered = Arc::new(Mutex::new(Some(body)));
    parts.extensions.insert(Offer {
        offered: Arc::clone(&offered),
        status: parts.status,
        fields: OF_THE_BYTES
            .each_ref()
            .map(|name| parts.headers.get(name).cloned()),
    });
    Response::from_parts(parts, DirectBody(Place::Offered(offered)))
}

const FIELDS: usize = 5;

/// What the head says of the bytes that follow.
static OF_THE_BYTES: [HeaderName; FIELDS] = [
    CONTENT_LENGTH,
    CONTENT_RANGE,
    CONTENT_TYPE,
    CONTENT_ENCODING,
    TRANSFER_ENCODING,
];

/// The body of a [`direct`] answer: that of the file, unless a transport has taken it.
pub struct DirectBody(Place);

enum Place {
    Offered(Offered),
    Here(FileBody),
    /// Somebody has what was offered.
    Gone,
}

/// There until it is taken.
type Offered = Arc<Mutex<Option<FileBody>>>;

/// Among the extensions of an answer: its file, and the head it had.
#[derive(Clone)]
struct Offer {
    offered: Offered,
    status: StatusCode,
    fields: [Option<HeaderValue>; FIELDS],
}

impl DirectBody {
    /// The file of an answer to a request that was not HEAD, for a transport to send in the place of the body, which it keeps until then;
    /// none if the answer was not [`direct`], a layer changed it, or its body was read or dropped. To be asked once, when the
    /// answer has passed all layers.
    pub fn take<B>(response: &mut Response<B>) -> Option<FileBody> {
        let offer: Offer = response.extensions_mut().remove()?;
        let mut now = OF_THE_BYTES.iter().map(|name| response.headers().get_all(name));
        let mut were = offer.fields.iter();
        let same = now.all(|now| were.next().is_some_and(|was| now.iter().eq(was)));
        match same && response.status() == offer.status {
            true => lock(&offer.offered).take(),
            false => None,
        }
    }
}

impl Body for DirectBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Place::Offered(offered) = &self.0 {
            let body = lock(offered).take();
            self.0 = body.map_or(Place::Gone, Place::Here);
        }
        match &mut self.0 {
            Place::Here(body) => Pin::new(body).poll_frame(cx),
            // Never an end: it would look like that of a file.
            Place::Offered(_) | Place::Gone => Poll::Ready(Some(Err(BodyError::of(BodyErrorKind::Taken)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Place::Here(body) => body.is_end_stream(),
            Place::Offered(_) | Place::Gone => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Place::Here(body) => body.size_hint(),
            Place::Offered(offered) => lock(offered).as_ref().map_or_else(SizeHint::new, Body::size_hint),
            Place::Gone => SizeHint::new(),
        }
    }
}

/// What was dropped unread is withheld: a layer has put another body in its place, and nobody may have the file any more.
impl Drop for DirectBody {
    fn drop(&mut self) {
        if let Place::Offered(offered) = &self.0 {
            let withheld = lock(offered).take();
            drop(withheld);
        }
    }
}

impl fmt::Debug for DirectBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DirectBody")
            .field("remaining", &self.size_hint().exact())
            .finish_non_exhaustive()
    }
}

fn lock(offered: &Offered) -> MutexGuard<'_, Option<FileBody>> {
    offered.lock().unwrap_or_else(PoisonError::into_inner)
}
