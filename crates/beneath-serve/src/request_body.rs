//! [`RequestBody`]: what a client sends, and no more and no slower than the limits say.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::Request;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use crate::exchange::Exchange;
use crate::peer::{Abort, Peer};

/// The body of a request: [`hyper::body::Incoming`] within [`Limits::request_body`](crate::Limits::request_body) and
/// [`Limits::stall_timeout`](crate::Limits::stall_timeout).
#[derive(Debug)]
pub struct RequestBody {
    incoming: Incoming,
    left: u64,
    /// There is something to be awaited.
    waited_for: bool,
    exchange: Arc<Exchange>,
    peer: Peer,
}

/// Why a request body cannot be read to its end.
#[derive(Debug)]
#[non_exhaustive]
pub enum RequestBodyError {
    /// It is larger than [`Limits::request_body`](crate::Limits::request_body): 413.
    TooLarge,
    /// The connection failed, or what was sent is no body.
    Transport(hyper::Error),
}

impl RequestBody {
    pub(crate) fn new(incoming: Incoming, limit: u64, exchange: Arc<Exchange>, peer: Peer) -> Self {
        Self {
            waited_for: !incoming.is_end_stream(),
            incoming,
            left: limit,
            exchange,
            peer,
        }
    }

    /// Who is at the other end of the connection.
    pub const fn peer(&self) -> Peer {
        self.peer
    }

    /// Ends what serves this request.
    pub fn abort(&self) -> Abort {
        Abort(Arc::clone(&self.exchange))
    }

    /// Puts the [`Peer`] and an [`Abort`] into the extensions of the request, where handlers of a framework find them.
    /// [`Server::serve`](crate::Server::serve) has done so.
    #[must_use]
    pub fn extend(mut request: Request<Self>) -> Request<Self> {
        let (peer, abort) = (request.body().peer(), request.body().abort());
        request.extensions_mut().insert(peer);
        request.extensions_mut().insert(abort);
        request
    }

    fn upload_ended(&mut self) {
        if std::mem::take(&mut self.waited_for) {
            self.exchange.upload_ended();
        }
    }

    fn admit(&mut self, bytes: u64) -> Result<(), RequestBodyError> {
        self.left = self.left.checked_sub(bytes).ok_or(RequestBodyError::TooLarge)?;
        Ok(())
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = RequestBodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RequestBodyError>>> {
        let polled = Pin::new(&mut self.incoming).poll_frame(cx);
        if polled.is_pending() && self.waited_for {
            self.exchange.upload_waits();
        }
        let Some(frame) = ready!(polled).transpose().map_err(RequestBodyError::Transport)? else {
            self.exchange.upload_read();
            self.upload_ended();
            return Poll::Ready(None);
        };
        if self.incoming.is_end_stream() {
            self.exchange.upload_read();
        }
        let bytes = frame.data_ref().map_or(0, Bytes::len);
        if self.waited_for {
            self.exchange.upload_moved(bytes);
        }
        Poll::Ready(Some(self.admit(bytes as u64).map(|()| frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        self.upload_ended();
    }
}

impl fmt::Display for RequestBodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLarge => "the request body is larger than the limit",
            Self::Transport(_) => "the request body could not be read",
        })
    }
}

impl Error for RequestBodyError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::TooLarge => None,
            Self::Transport(error) => Some(error),
        }
    }
}
