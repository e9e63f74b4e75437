//! [`Plain`]: an application whose bodies are bytes, but for what it answered [`direct`](beneath_http::direct)ly.

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll};

use beneath_http::{DirectBody, FileBody, Segment, SegmentBody};
use bytes::Bytes;
use futures_util::future::{MapOk, TryFutureExt as _};
use http::{Method, Request, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::request_body::RequestBody;

/// An application that knows of no slices.
#[derive(Clone, Debug)]
pub(crate) struct Plain<S>(pub(crate) S);

pin_project! {
    /// A body that knows of no slices, or the file that leaves in its place.
    pub(crate) struct PlainBody<B> {
        #[pin]
        body: B,
        file: Option<FileBody>,
    }
}

/// As `Err` of either.
type BoxError = Box<dyn Error + Send + Sync>;

impl<S, B> Service<Request<RequestBody>> for Plain<S>
where
    S: Service<Request<RequestBody>, Response = Response<B>>,
{
    type Response = Response<PlainBody<B>>;
    type Error = S::Error;
    type Future = MapOk<S::Future, fn(Response<B>) -> Response<PlainBody<B>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        let answer: fn(_) -> _ = match *request.method() {
            Method::HEAD => PlainBody::of,
            _ => PlainBody::or_file,
        };
        self.0.call(RequestBody::extend(request)).map_ok(answer)
    }
}

impl<B> PlainBody<B> {
    fn of(response: Response<B>) -> Response<Self> {
        response.map(|body| Self { body, file: None })
    }

    fn or_file(mut response: Response<B>) -> Response<Self> {
        let file = DirectBody::take(&mut response);
        response.map(|body| Self { body, file })
    }
}

impl<B> Body for PlainBody<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.project();
        match this.file {
            Some(file) => Pin::new(file).poll_frame(cx).map_err(BoxError::from),
            None => this.body.poll_frame(cx).map_err(Into::into),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.file {
            Some(file) => file.is_end_stream(),
            None => self.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.file {
            Some(file) => file.size_hint(),
            None => self.body.size_hint(),
        }
    }
}

impl<B> SegmentBody for PlainBody<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    fn poll_segment(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slice_from: u64,
    ) -> Poll<Option<Result<Segment, BoxError>>> {
        let this = self.project();
        match this.file {
            Some(file) => Pin::new(file)
                .poll_segment(cx, slice_from)
                .map_err(BoxError::from),
            None => this
                .body
                .poll_frame(cx)
                .map_ok(Segment::Frame)
                .map_err(Into::into),
        }
    }
}
