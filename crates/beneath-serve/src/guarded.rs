//! [`Guarded`]: the application as hyper calls it, with each request checked and each exchange known to the watchdog.

use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use beneath_http::SegmentBody;
use bytes::Bytes;
use http::header::{CONNECTION, HeaderValue, TRANSFER_ENCODING};
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::exchange::Exchange;
use crate::host;
use crate::peer::Peer;
use crate::request_body::RequestBody;
use crate::sendfile::{Buffer, Sendfile};
use crate::watchdog::Watchdog;
use crate::wire::Version;

/// The application on one connection.
#[derive(Clone, Debug)]
pub(crate) struct Guarded<S> {
    pub(crate) service: S,
    pub(crate) peer: Peer,
    pub(crate) version: Version,
    pub(crate) request_body: u64,
    pub(crate) watchdog: Arc<Watchdog>,
    pub(crate) latest: Latest,
    /// If the connection can.
    pub(crate) sendfile: Option<Sendfile>,
}

/// The exchange of the request that was called last.
///
/// Of an HTTP/1 connection it is the only one there is. Of HTTP/2, the stream that hyper makes next belongs to
/// it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Latest(Arc<Mutex<Option<Arc<Exchange>>>>);

pin_project! {
    /// The answer to come.
    pub(crate) struct Answering<S, F> {
        #[pin]
        state: State<S, F>,
        close: bool,
        under_way: Option<UnderWay>,
        metered: Option<Arc<Exchange>>,
        sendfile: Option<Sendfile>,
    }
}

pin_project! {
    #[project = StateProjected]
    enum State<S, F> {
        Readying { service: S, request: Option<Request<RequestBody>> },
        Called { #[pin] future: F },
        Refused { status: StatusCode },
    }
}

pin_project! {
    /// The body of a response, or none where the request was refused.
    pub(crate) struct Answer<B> {
        #[pin]
        body: Option<B>,
        under_way: Option<UnderWay>,
        metered: Option<Arc<Exchange>>,
        sendfile: Option<Sendfile>,
    }
}

/// A request is under way for as long as this is there.
#[derive(Debug)]
struct UnderWay(Arc<Watchdog>);

impl<S, B> hyper::service::Service<Request<Incoming>> for Guarded<S>
where
    S: Service<Request<RequestBody>, Response = Response<B>> + Clone,
    B: SegmentBody,
{
    type Response = Response<Answer<B>>;
    type Error = S::Error;
    type Future = Answering<S, S::Future>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let exchange = self.latest.renew(&self.watchdog);
        let chunked = request.headers().contains_key(TRANSFER_ENCODING);
        let refused = self.refusal(&request);
        if refused.is_some() {
            self.watchdog.linger_on_close();
        }
        Answering {
            // After a chunked body nothing is looked at (see `head_check`), so nothing may be asked.
            close: self.version == Version::Http1 && (chunked || refused.is_some()),
            under_way: Some(UnderWay::begin(&self.watchdog)),
            metered: (self.version == Version::Http2).then(|| Arc::clone(&exchange)),
            sendfile: self.sendfile.clone(),
            state: match refused {
                Some(status) => State::Refused { status },
                None => State::Readying {
                    service: self.service.clone(),
                    request: Some(self.equip(request, exchange)),
                },
            },
        }
    }
}

impl<S> Guarded<S> {
    fn refusal(&self, request: &Request<Incoming>) -> Option<StatusCode> {
        if host::check(request).is_err() {
            return Some(StatusCode::BAD_REQUEST);
        }
        (request.body().size_hint().lower() > self.request_body).then_some(StatusCode::PAYLOAD_TOO_LARGE)
    }

    fn equip(&self, request: Request<Incoming>, exchange: Arc<Exchange>) -> Request<RequestBody> {
        request.map(|body| RequestBody::new(body, self.request_body, exchange, self.peer))
    }
}

impl Latest {
    pub(crate) fn take(&self) -> Option<Arc<Exchange>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// When the exchange must be ended, if there is one.
    pub(crate) fn deadline(&self) -> Option<u64> {
        let latest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        latest.as_ref().and_then(|exchange| exchange.deadline())
    }

    fn renew(&self, watchdog: &Arc<Watchdog>) -> Arc<Exchange> {
        let mut latest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody else knows the last one any more: it can serve again.
        if let Some(exchange) = latest.as_mut()
            && let Some(alone) = Arc::get_mut(exchange)
        {
            *alone = Exchange::new(Arc::clone(watchdog));
            return Arc::clone(exchange);
        }
        let exchange = Arc::new(Exchange::new(Arc::clone(watchdog)));
        *latest = Some(Arc::clone(&exchange));
        exchange
    }
}

impl UnderWay {
    fn begin(watchdog: &Arc<Watchdog>) -> Self {
        watchdog.request_began();
        Self(Arc::clone(watchdog))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.request_ended();
    }
}

impl<S, B> Future for Answering<S, S::Future>
where
    S: Service<Request<RequestBody>, Response = Response<B>>,
    B: SegmentBody,
{
    type Output = Result<Response<Answer<B>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let response = loop {
            match this.state.as_mut().project() {
                StateProjected::Readying { service, request } => {
                    ready!(service.poll_ready(cx))?;
                    let Some(request) = request.take() else {
                        return Poll::Pending;
                    };
                    let future = service.call(request);
                    this.state.set(State::Called { future });
                }
                StateProjected::Called { future } => break ready!(future.poll(cx))?.map(Some),
                StateProjected::Refused { status } => break refuse(*status),
            }
        };
        let mut response = response.map(|body| Answer {
            body,
            under_way: this.under_way.take(),
            metered: this.metered.take(),
            sendfile: this.sendfile.take(),
        });
        if *this.close {
            response
                .headers_mut()
                .insert(CONNECTION, HeaderValue::from_static("close"));
        }
        Poll::Ready(Ok(response))
    }
}

fn refuse<B>(status: StatusCode) -> Response<Option<B>> {
    let mut response = Response::new(None);
    *response.status_mut() = status;
    response
}

impl<B: SegmentBody> Body for Answer<B>
where
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Data = Buffer;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Buffer>, B::Error>>> {
        let this = self.project();
        let Some(body) = this.body.as_pin_mut() else {
            return Poll::Ready(None);
        };
        if let Some(exchange) = this.metered {
            exchange.download_asked();
        }
        if let Some(sendfile) = this.sendfile {
            return sendfile.poll_frame(body, cx);
        }
        let frame = ready!(body.poll_frame(cx));
        if let (Some(Ok(frame)), Some(exchange)) = (&frame, this.metered) {
            exchange.download_handed(frame.data_ref().map_or(0, Bytes::len));
        }
        Poll::Ready(frame.map(|frame| frame.map(|frame| frame.map_data(Buffer::Bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}
