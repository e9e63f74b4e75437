//! A [`Transfer`] as slices of its file, for a transport that can send from it.

use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http_body::Frame;

use super::{Span, Transfer};
use crate::body::BodyErrorKind;
use crate::body::fingerprint::Fingerprint;
use crate::body::read::{self, FileSystem};
use crate::body::segment::{FileSlice, OnDoubt, Segment};
use crate::body::tail::Tail;
use crate::body::witness::Judgement;

/// How long a client to whom slices are sent may look slow before what left is read again to be hashed: by then it has not just
/// been waiting for its turn.
const BEFORE_HASHING: Duration = Duration::from_secs(1);

/// The longest slice, in bytes: between two of them it is looked at how fast the client is.
const SLICE: u64 = 1024 * 1024;

/// What left, read again while the file was as it had been.
pub(super) struct Hashed {
    fingerprint: Fingerprint,
    tail: Option<Tail>,
}

impl Transfer {
    /// As [`poll`](Self::poll), but `slice_from` or more bytes in a row need not be read.
    pub(in crate::body) fn poll_segment(
        &mut self,
        cx: &mut Context<'_>,
        slice_from: u64,
    ) -> Poll<Option<Result<Segment, BodyErrorKind>>> {
        if !self.is_sliceable(slice_from) {
            return self
                .poll(cx)
                .map(|frame| frame.map(|frame| frame.map(Segment::Frame)));
        }
        let coop = ready!(tokio::task::coop::poll_proceed(cx));
        let slice = ready!(self.poll_slice(cx));
        coop.made_progress();
        if slice.is_err() {
            self.give_up();
        }
        Poll::Ready(Some(slice))
    }

    /// Whether it is not needed here: nothing is to be hashed that is asked for at the end, and nobody is expected to write to
    /// the file. Once begun, it goes on.
    fn is_sliceable(&self, slice_from: u64) -> bool {
        let begun = self.sliced && self.span.left > 0;
        begun
            || (self.rest.len() == 0
                && self.sent == 0
                && self.span.left >= slice_from.max(1)
                && self.settle.is_zero()
                && self.pending.is_none()
                && (self.collected.is_none() || self.pace.is_some())
                && self.verified.is_none()
                && self.trailers.is_none())
    }

    fn poll_slice(&mut self, cx: &mut Context<'_>) -> Poll<Result<Segment, BodyErrorKind>> {
        if !self.sliced {
            self.sliced = true;
            self.collected = None;
        }
        ready!(self.poll_hashing(cx))?;
        if self.collected.is_none() {
            let len = self.span.left.min(SLICE);
            return Poll::Ready(Ok(self.slice(len, OnDoubt::Fail)));
        }
        let chunk = ready!(self.poll_judged(cx))?;
        if self.is_last(&chunk) {
            let bytes = self.release(chunk)?;
            self.handed_over(&bytes);
            return Poll::Ready(Ok(Segment::Frame(Frame::data(bytes))));
        }
        self.looked_at(&chunk);
        Poll::Ready(Ok(self.slice(chunk.len(), OnDoubt::GoOn)))
    }

    fn slice(&mut self, len: u64, doubt: OnDoubt) -> Segment {
        let offset = self.span.next;
        self.advance(len);
        self.remaining = self.remaining.saturating_sub(len);
        Segment::Slice(FileSlice::new(
            Arc::clone(&self.source),
            self.witness.share(),
            (offset, len),
            doubt,
            self.span.left == 0,
        ))
    }

    /// Of a client that has become slow, what left is read again, in time for the file not to have changed yet.
    fn poll_hashing(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyErrorKind>> {
        if self.hashing.is_none() && self.sent > 0 && self.collected.is_none() && self.is_slow() {
            let source = Arc::clone(&self.source);
            let Span { first, next, left } = self.span;
            let on = FileSystem::of(source.file());
            self.hashing = Some(read::wait(on, move || {
                Ok(Hashed {
                    tail: Tail::look(&source, next + left, left),
                    fingerprint: read::hash(&source, first, next - first)?,
                })
            }));
        }
        let Some(hashing) = &mut self.hashing else {
            return Poll::Ready(Ok(()));
        };
        let hashed = ready!(hashing.as_mut().poll(cx));
        self.hashing = None;
        let Hashed { fingerprint, tail } = hashed?;
        let now = self.source.file().metadata_now()?;
        match self.witness.judge(&now) {
            Judgement::Same => {
                self.collected = Some(fingerprint);
                self.tail = tail;
            }
            // Too late: what left was perhaps something else. The next slice will say so.
            _ => self.pace = None,
        }
        Poll::Ready(Ok(()))
    }

    fn is_slow(&self) -> bool {
        self.pace
            .as_ref()
            .is_some_and(|pace| pace.since.elapsed() > BEFORE_HASHING && !pace.is_fast(self.sent))
    }
}
