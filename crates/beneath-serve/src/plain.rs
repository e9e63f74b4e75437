//! [`Plain`]: an application whose bodies are bytes, as one whose bodies may be slices of files and never are.

use std::pin::Pin;
use std::task::{Context, Poll};

use beneath_http::{Segment, SegmentBody};
use bytes::Bytes;
use futures_util::future::{MapOk, TryFutureExt as _};
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::request_body::RequestBody;

/// An application that knows of no slices.
#[derive(Clone, Debug)]
pub(crate) struct Plain<S>(pub(crate) S);

pin_project! {
    /// A body that knows of no slices.
    pub(crate) struct PlainBody<B> {
        #[pin]
        body: B,
    }
}

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
        self.0
            .call(RequestBody::extend(request))
            .map_ok(|response| response.map(|body| PlainBody { body }))
    }
}

impl<B: Body<Data = Bytes>> Body for PlainBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        self.project().body.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B: Body<Data = Bytes>> SegmentBody for PlainBody<B> {
    fn poll_segment(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        _: u64,
    ) -> Poll<Option<Result<Segment, B::Error>>> {
        let frame = self.project().body.poll_frame(cx);
        frame.map(|frame| frame.map(|frame| frame.map(Segment::Frame)))
    }
}
