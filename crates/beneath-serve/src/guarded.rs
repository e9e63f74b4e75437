//! [`Guarded`]: the application as hyper calls it, with each request checked and each exchange known to the watchdog.

use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use beneath_http::{Segment, SegmentBody};
use http::header::{CONNECTION, HeaderValue, TRANSFER_ENCODING};
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::exchange::{Exchange, Piece};
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
        // Before the request's turn has come.
        queued: Option<Box<Queued<S>>>,
        close: bool,
        under_way: Option<UnderWay>,
        metered: Option<Arc<Exchange>>,
        sendfile: Option<Sendfile>,
    }
}

pin_project! {
    #[project = StateProjected]
    enum State<S, F> {
        Queued,
        Readying { service: S, request: Option<Request<RequestBody>> },
        Called { #[pin] future: F },
        Refused { status: StatusCode },
    }
}

pin_project! {
    /// The body of a response, or none where the request was refused.
    pub(crate) struct Answer<B> {
        #[pin]
        body: AnswerBody<B>,
        under_way: Option<UnderWay>,
        metered: Option<Arc<Exchange>>,
        // Some of it was handed over: its end is said when that has left.
        begun: bool,
        // Its trailers, or that it has none, until then.
        end: Option<Option<Frame<Buffer>>>,
        sendfile: Option<Sendfile>,
    }
}

pin_project! {
    #[project = AnswerBodyProjected]
    enum AnswerBody<B> {
        Nothing,
        Here { #[pin] body: B },
        // If it turns out to begin with a slice of a file it goes elsewhere.
        Movable { body: Option<Pin<Box<B>>> },
    }
}

/// How many pieces may wait beside the one that is sent: with none, HTTP/2 would wait for each.
const AHEAD: usize = 1;

/// A request that has to wait until the answer before it has been sent: there is one exchange at a time.
struct Queued<S> {
    application: Guarded<S>,
    request: Request<Incoming>,
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
        let under_way = UnderWay::begin(&self.watchdog);
        let owes = |sendfile: &Sendfile| sendfile.outbox.owed().is_ok_and(|owed| owed > 0);
        if self.sendfile.as_ref().is_some_and(owes) {
            let application = self.clone();
            return Answering::queued(Queued { application, request }, under_way);
        }
        self.answer(request, under_way)
    }
}

impl<S> Guarded<S> {
    fn answer<B>(&self, request: Request<Incoming>, under_way: UnderWay) -> Answering<S, S::Future>
    where
        S: Service<Request<RequestBody>, Response = Response<B>> + Clone,
    {
        let exchange = self.latest.renew(&self.watchdog);
        self.watchdog.inside_body(!request.body().is_end_stream());
        let chunked = request.headers().contains_key(TRANSFER_ENCODING);
        let refused = self.refusal(&request);
        if refused.is_some() {
            self.watchdog.linger_on_close();
        }
        Answering {
            queued: None,
            // After a chunked body nothing is looked at (see `head_check`), so nothing may be asked.
            close: self.version == Version::Http1 && (chunked || refused.is_some()),
            under_way: Some(under_way),
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

    fn refusal(&self, request: &Request<Incoming>) -> Option<StatusCode> {
        if host::check(request).is_err() {
            return Some(StatusCode::BAD_REQUEST);
        }
        (request.body().size_hint().lower() > self.request_body).then_some(StatusCode::PAYLOAD_TOO_LARGE)
    }

    fn equip(&self, mut request: Request<Incoming>, exchange: Arc<Exchange>) -> Request<RequestBody> {
        host::replace(&mut request);
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

impl<S, F> Answering<S, F> {
    fn queued(queued: Queued<S>, under_way: UnderWay) -> Self {
        Self {
            queued: Some(Box::new(queued)),
            close: false,
            under_way: Some(under_way),
            metered: None,
            sendfile: None,
            state: State::Queued,
        }
    }
}

impl<S, B> Future for Answering<S, S::Future>
where
    S: Service<Request<RequestBody>, Response = Response<B>> + Clone,
    B: SegmentBody,
{
    type Output = Result<Response<Answer<B>>, S::Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.as_mut().project();
        if let Some(queued) = this.queued {
            if let Some(sendfile) = &queued.application.sendfile {
                ready!(sendfile.outbox.poll_paid(cx));
            }
            if let (Some(queued), Some(under_way)) = (this.queued.take(), this.under_way.take()) {
                let turn = queued.application.answer(queued.request, under_way);
                self.set(turn);
            }
            this = self.project();
        }
        let response = loop {
            match this.state.as_mut().project() {
                StateProjected::Queued => return Poll::Pending,
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
            body: AnswerBody::of(body, this.sendfile.as_ref()),
            under_way: this.under_way.take(),
            metered: this.metered.take(),
            begun: false,
            end: None,
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

impl<B: SegmentBody + Send + 'static> Body for Answer<B>
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
        if let Some(exchange) = &*this.metered {
            if let Some(end) = this.end {
                ready!(exchange.poll_left(0, cx));
                return Poll::Ready(end.take().map(Ok));
            }
            ready!(exchange.poll_left(AHEAD, cx));
        }
        let frame = match this.body.project() {
            AnswerBodyProjected::Nothing => None,
            AnswerBodyProjected::Here { body } => ready!(body.poll_frame(cx)),
            AnswerBodyProjected::Movable { body: place } => match (place.as_mut(), this.sendfile) {
                (Some(body), Some(sendfile)) => {
                    let left = body.size_hint().exact();
                    match ready!(body.as_mut().poll_segment(cx, sendfile.from)).transpose()? {
                        Some(Segment::Slice(slice)) => {
                            let stand_in = match (place.take(), left) {
                                (Some(body), Some(left)) => sendfile.put(slice, body, left),
                                _ => return Poll::Ready(None),
                            };
                            return Poll::Ready(Some(Ok(Frame::data(stand_in))));
                        }
                        Some(Segment::Frame(frame)) => Some(Ok(frame)),
                        None => None,
                    }
                }
                _ => None,
            },
        };
        let frame = frame.transpose()?;
        let Some(exchange) = &*this.metered else {
            return Poll::Ready(frame.map(|frame| Ok(frame.map_data(Buffer::Bytes))));
        };
        match frame.map(Frame::into_data) {
            Some(Ok(bytes)) if bytes.is_empty() => Poll::Ready(Some(Ok(Frame::data(Buffer::Bytes(bytes))))),
            Some(Ok(bytes)) => {
                *this.begun = true;
                let piece = Piece::hand_over(bytes, exchange);
                Poll::Ready(Some(Ok(Frame::data(Buffer::Piece(piece)))))
            }
            end => {
                let trailers = end.and_then(Result::err);
                let end = this
                    .end
                    .insert(trailers.map(|trailers| trailers.map_data(Buffer::Bytes)));
                ready!(exchange.poll_left(0, cx));
                Poll::Ready(end.take().map(Ok))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        if self.begun {
            return false;
        }
        match &self.body {
            AnswerBody::Nothing => true,
            AnswerBody::Here { body } => body.is_end_stream(),
            AnswerBody::Movable { body } => body.as_ref().is_none_or(|body| body.is_end_stream()),
        }
    }

    fn size_hint(&self) -> SizeHint {
        let nothing = SizeHint::with_exact(0);
        match &self.body {
            AnswerBody::Nothing => nothing,
            AnswerBody::Here { body } => body.size_hint(),
            AnswerBody::Movable { body } => body.as_ref().map_or(nothing, |body| body.size_hint()),
        }
    }
}

impl<B: SegmentBody> AnswerBody<B> {
    fn of(body: Option<B>, sendfile: Option<&Sendfile>) -> Self {
        let Some(body) = body else { return Self::Nothing };
        let is_long = |from: u64| body.size_hint().exact().is_some_and(|len| len >= from.max(1));
        match sendfile.is_some_and(|sendfile| is_long(sendfile.from)) {
            true => Self::Movable {
                body: Some(Box::pin(body)),
            },
            false => Self::Here { body },
        }
    }
}
