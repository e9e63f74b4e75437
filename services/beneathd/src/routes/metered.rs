//! [`Metered`]: a file on its way, counted for whoever keeps account of it.

use std::pin::Pin;
use std::task::{Context, Poll};

use beneath_catalog::Meter;
use beneath_http::{BodyError, FileBody};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// Tells the meter of a lease what is handed to the transport, and when that was all.
pub(super) struct Metered {
    body: FileBody,
    meter: Meter,
}

impl Metered {
    pub(super) const fn new(body: FileBody, meter: Meter) -> Self {
        Self { body, meter }
    }
}

impl Body for Metered {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            if let Some(data) = frame.data_ref() {
                self.meter.sent(data.len() as u64);
            }
            // A transport need not ask again once it knows that this was the last.
            if self.body.is_end_stream() {
                self.meter.complete();
            }
        }
        if let Poll::Ready(Some(Err(error))) = &polled {
            tracing::info!(%error, "a transfer was cut");
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
