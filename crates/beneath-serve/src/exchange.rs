//! [`Exchange`]: one request and its response, as the watchdog and [`Abort`](crate::Abort) know it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};

use crate::watchdog::{Meter, Watchdog};

/// One request and its response.
#[derive(Debug)]
pub(crate) struct Exchange {
    watchdog: Arc<Watchdog>,
    /// The request body that is awaited from the client.
    upload: Meter,
    /// The response body that an HTTP/2 stream does not take. (Of HTTP/1 the socket's meter knows.)
    download: Meter,
    /// Bytes of the response body that were handed over last.
    handed: AtomicUsize,
    aborted: AtomicBool,
}

impl Exchange {
    pub(crate) fn new(watchdog: Arc<Watchdog>) -> Self {
        Self {
            upload: watchdog.meter(),
            download: watchdog.meter(),
            handed: AtomicUsize::new(0),
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

    /// The stream asks for more: it has taken what it was handed last.
    pub(crate) fn download_asked(&self) {
        self.watchdog.moved(&self.download, self.handed.swap(0, Relaxed));
    }

    pub(crate) fn download_handed(&self, bytes: usize) {
        self.handed.store(bytes, Relaxed);
        self.watchdog.waits(&self.download);
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
        match (self.upload.deadline(), self.download.deadline()) {
            (Some(upload), Some(download)) => Some(upload.min(download)),
            (upload, download) => upload.or(download),
        }
    }
}
