//! [`Answering`]: an answer that is here already, or still to come.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::routing::future::RouteFuture;
use beneath_http::{FileBody, Segment, SegmentBody};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// An answer with a file, or with something else.
pub(crate) type Answer = http::Response<AnswerBody>;

/// The body of an answer.
pub(crate) enum AnswerBody {
    File(FileBody),
    Other(axum::body::Body),
}

/// An answer, for as long as it is not there.
pub(crate) struct Answering(State);

enum State {
    /// Nothing had to be waited for.
    Here(Option<Answer>),
    Waiting(Pin<Box<dyn Future<Output = Answer> + Send>>),
    Routed(RouteFuture<Infallible>),
}

impl Answering {
    pub(super) const fn here(answer: Answer) -> Self {
        Self(State::Here(Some(answer)))
    }

    pub(super) fn later(answer: impl Future<Output = Answer> + Send + 'static) -> Self {
        Self(State::Waiting(Box::pin(answer)))
    }

    pub(super) const fn routed(answer: RouteFuture<Infallible>) -> Self {
        Self(State::Routed(answer))
    }
}

impl Future for Answering {
    type Output = Result<Answer, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            State::Here(answer) => answer
                .take()
                .map_or(Poll::Pending, |answer| Poll::Ready(Ok(answer))),
            State::Waiting(answer) => answer.as_mut().poll(cx).map(Ok),
            State::Routed(answer) => {
                let response = ready!(Pin::new(answer).poll(cx))?;
                Poll::Ready(Ok(response.map(AnswerBody::Other)))
            }
        }
    }
}

/// As `Err` of a body of either kind.
type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.get_mut() {
            Self::File(body) => noted(Pin::new(body).poll_frame(cx)),
            Self::Other(body) => Pin::new(body).poll_frame(cx).map_err(BoxError::from),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::File(body) => body.is_end_stream(),
            Self::Other(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::File(body) => body.size_hint(),
            Self::Other(body) => body.size_hint(),
        }
    }
}

impl SegmentBody for AnswerBody {
    fn poll_segment(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slice_from: u64,
    ) -> Poll<Option<Result<Segment, BoxError>>> {
        match self.get_mut() {
            Self::File(body) => noted(Pin::new(body).poll_segment(cx, slice_from)),
            Self::Other(body) => Pin::new(body)
                .poll_frame(cx)
                .map_ok(Segment::Frame)
                .map_err(BoxError::from),
        }
    }
}

/// Why a file was not sent to its end is said once, here; what the client sees is that it was not.
fn noted<T>(polled: Poll<Option<Result<T, beneath_http::BodyError>>>) -> Poll<Option<Result<T, BoxError>>> {
    polled.map_err(|error| {
        tracing::info!(%error, "a transfer was cut");
        BoxError::from(error)
    })
}
