//! [`Streams`]: the requests of one HTTP/2 connection, inside the connection's own task.
//!
//! hyper wants to spawn a task for each. Here they are polled by the connection's task instead: no spawn per request,
//! no connection that takes more than its turn, nothing left over when the connection ends; and a single
//! stream can be dropped, which resets it.

use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use futures_util::stream::{FuturesUnordered, StreamExt};
use hyper::rt::Executor;

use crate::exchange::Exchange;
use crate::guarded::Latest;

/// The streams that are under way.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    begun: Begun,
    under_way: FuturesUnordered<Stream>,
}

/// Where hyper puts a stream that begins.
#[derive(Clone, Debug, Default)]
pub(crate) struct Begun {
    streams: Arc<Mutex<Vec<Stream>>>,
    latest: Latest,
}

struct Stream {
    /// `None` once it has been cut.
    future: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    exchange: Option<Arc<Exchange>>,
    waker: Option<Waker>,
}

impl Streams {
    pub(crate) fn new(latest: Latest) -> Self {
        Self {
            begun: Begun {
                streams: Arc::default(),
                latest,
            },
            under_way: FuturesUnordered::new(),
        }
    }

    pub(crate) fn executor(&self) -> Begun {
        self.begun.clone()
    }

    /// Lets every stream go on that can.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) {
        loop {
            self.under_way.extend(self.begun.drain());
            match self.under_way.poll_next_unpin(cx) {
                Poll::Ready(Some(())) => {}
                // What a stream began is in the queue now.
                Poll::Ready(None) | Poll::Pending if self.begun.is_empty() => return,
                Poll::Ready(None) | Poll::Pending => {}
            }
        }
    }

    /// Resets the streams that must be ended by `now`, and returns when the next must be.
    pub(crate) fn cut(&mut self, now: u64) -> Option<u64> {
        let mut next = None;
        for stream in self.under_way.iter_mut() {
            match stream.deadline() {
                Some(deadline) if deadline <= now => stream.cut(),
                Some(deadline) => next = Some(next.map_or(deadline, |next: u64| next.min(deadline))),
                None => {}
            }
        }
        next
    }
}

impl Drop for Streams {
    /// A stream holds the executor and the executor may hold the stream.
    fn drop(&mut self) {
        drop(self.begun.drain());
    }
}

impl Begun {
    fn drain(&self) -> Vec<Stream> {
        std::mem::take(&mut self.streams.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn is_empty(&self) -> bool {
        self.streams
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_empty()
    }
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Begun {
    fn execute(&self, future: F) {
        let stream = Stream {
            future: Some(Box::pin(future)),
            exchange: self.latest.take(),
            waker: None,
        };
        self.streams
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(stream);
    }
}

impl Stream {
    fn deadline(&self) -> Option<u64> {
        self.exchange.as_ref()?.deadline()
    }

    fn cut(&mut self) {
        self.future = None;
        self.exchange = None;
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl Future for Stream {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(future) = &mut self.future else {
            return Poll::Ready(());
        };
        // hyper takes this for a task of its own, and a panic ends that task and nothing else: so it does here.
        let Ok(polled) = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) else {
            tracing::error!("a request panicked; its stream is reset");
            self.cut();
            return Poll::Ready(());
        };
        if polled.is_pending()
            && !self
                .waker
                .as_ref()
                .is_some_and(|waker| waker.will_wake(cx.waker()))
        {
            self.waker = Some(cx.waker().clone());
        }
        polled
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream")
            .field("exchange", &self.exchange)
            .finish_non_exhaustive()
    }
}
