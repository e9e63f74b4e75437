//! [`Exchange`]: one request and its response, as the watchdog and [`Abort`](crate::Abort) know it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll};

use bytes::{Buf as _, Bytes};
use futures_util::task::AtomicWaker;

use crate::watchdog::{Meter, Watchdog};

/// One request and its response.
#[derive(Debug)]
pub(crate) struct Exchange {
    watchdog: Arc<Watchdog>,
    /// The request body that is awaited from the client.
    upload: Meter,
    /// The response body that an HTTP/2 stream does not take. (Of HTTP/1 the socket's meter knows.)
    download: Meter,
    /// How many pieces of it were handed over and have not left.
    handed: AtomicUsize,
    /// Whoever has the next piece, or the end.
    waits: AtomicWaker,
    aborted: AtomicBool,
}

/// A piece of a response body that HTTP/2 sends when it may.
///
/// The answer is under way as long as there is one: so the client is judged by what leaves, and what must not leave any more is
/// reset with its stream.
#[derive(Debug)]
pub(crate) struct Piece {
    bytes: Bytes,
    exchange: Arc<Exchange>,
}

impl Exchange {
    pub(crate) fn new(watchdog: Arc<Watchdog>) -> Self {
        Self {
            upload: watchdog.meter(),
            download: watchdog.meter(),
            handed: AtomicUsize::new(0),
            waits: AtomicWaker::new(),
            aborted: AtomicBool::new(false),
            watchdog,
        }
    }

    pub(crate) fn upload_waits(&self) {
        self.watchdog.waits(&self.upload);
    }

    pub(crate) fn upload_moved(&self, bytes: usize) {
        self.watchdog.moved(&self.upload, bytes);
    }

    /// The request body was read to its end.
    pub(crate) fn upload_read(&self) {
        self.watchdog.inside_body(false);
    }

    pub(crate) fn upload_ended(&self) {
        self.upload.end();
    }

    /// Until no more than so many pieces that were handed over have still to leave.
    pub(crate) fn poll_left(&self, but: usize, cx: &Context<'_>) -> Poll<()> {
        self.waits.register(cx.waker());
        match self.handed.load(SeqCst) {
            handed if handed > but => Poll::Pending,
            _ => Poll::Ready(()),
        }
    }

    /// Ends what serves this exchange, and nothing that comes after it.
    pub(crate) fn abort(&self) {
        self.aborted.store(true, SeqCst);
        self.watchdog.look_now();
    }

    /// When it must be ended: at once, or when the client has used up its time.
    pub(crate) fn deadline(&self) -> Option<u64> {
        if self.aborted.load(SeqCst) {
            return Some(0);
        }
        let meters = [&self.upload, &self.download].into_iter();
        meters.filter_map(|meter| self.watchdog.deadline_of(meter)).min()
    }
}

impl Piece {
    pub(crate) fn hand_over(bytes: Bytes, exchange: &Arc<Exchange>) -> Self {
        exchange.handed.fetch_add(1, SeqCst);
        exchange.watchdog.waits(&exchange.download);
        Self {
            bytes,
            exchange: Arc::clone(exchange),
        }
    }

    pub(crate) const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    pub(crate) fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
        let Exchange {
            watchdog, download, ..
        } = &*self.exchange;
        watchdog.moved(download, count);
        if !self.bytes.is_empty() {
            watchdog.waits(download);
        }
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        let Exchange {
            watchdog, download, ..
        } = &*self.exchange;
        match self.exchange.handed.fetch_sub(1, SeqCst) {
            1 => drop(download.end()),
            _ => watchdog.waits(download),
        }
        self.exchange.waits.wake();
    }
}
