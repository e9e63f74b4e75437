//! [`Transfer`]: the pieces of one body, in order.

mod slicing;

use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use beneath::Source;
use bytes::Bytes;
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use sha2::{Digest as _, Sha256};

use super::BodyErrorKind;
use super::fingerprint::Fingerprint;
use super::read::{self, Chunk, Doubt, Pending, Reading, Request};
use super::tail::Tail;
use super::witness::{Judgement, Witness};
use crate::digest;
use crate::range::ByteRange;

/// How often the descriptor is asked on the way, in bytes: a change is noticed long before the end of a large file, for
/// half a microsecond each time.
const ASK_EVERY: u64 = 1024 * 1024;

/// How much is hashed of [`Collect::WhileSlow`] before the pace is judged, in bytes: more than the buffers on both
/// sides take in, at any pace, before a client that reads slowly is noticed.
const BEFORE_PACE: u64 = 64 * 1024 * 1024;

/// A client is slow below this, in bytes per second. Hashing for such a one costs about a hundredth of a core.
const SLOW: u64 = 64 * 1024 * 1024;

/// Bytes of a file on their way, with what stands between them.
pub(crate) struct Transfer {
    source: Arc<dyn Source>,
    witness: Witness,
    span: Span,
    rest: std::vec::IntoIter<Piece>,
    /// Of the whole body, framing included.
    remaining: u64,
    /// Of the file, that have left.
    sent: u64,
    /// Of these, since the descriptor was last asked.
    unasked: u64,
    pending: Option<Pending>,
    settle: Duration,
    first: u64,
    strong: bool,
    collected: Option<Fingerprint>,
    tail: Option<Tail>,
    /// A doubt was settled by a second reading.
    doubted: bool,
    pace: Option<Pace>,
    /// Slices of the file were handed out, of which nothing was hashed.
    sliced: bool,
    /// Hashing what left before.
    hashing: Option<Pending<slicing::Hashed>>,
    verified: Option<(Sha256, [u8; 32])>,
    trailers: Option<(Trailers, Sha256)>,
}

/// What a body consists of.
pub(crate) enum Piece {
    Bytes(Bytes),
    Range(ByteRange),
}

/// How a trailer section is to be announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trailers {
    /// Beside a known length: HTTP/2 and later.
    Beside,
    /// Instead of a known length: HTTP/1.1 has trailers only with chunked coding.
    Instead,
}

/// For how long to hash what leaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Collect {
    /// It is not worth it: doubt is failure.
    #[default]
    Never,
    /// At the beginning, and on as long as the client is slow: the longer a transfer takes, the likelier it is that the file
    /// grows meanwhile, and the less hashing costs beside it.
    WhileSlow,
    /// All of it: the file is likely to grow.
    Always,
}

/// What is to be watched while the bytes leave.
pub(crate) struct Checks {
    /// How long to wait before the first read.
    pub(crate) settle: Duration,
    /// How many bytes to read at most before it is known whether the client takes any.
    pub(crate) first: u64,
    /// The entity tag promises the very bytes that were there when the file was opened. What is read first shall be of those; of
    /// what follows see [`FileBody`](super::FileBody).
    pub(crate) strong: bool,
    /// Whether to hash what leaves, so that doubt can be settled by a second reading.
    pub(crate) collect: Collect,
    /// The last bytes stay until what was sent has this SHA-256.
    pub(crate) expected: Option<[u8; 32]>,
    /// Send the digest of the content after it.
    pub(crate) trailers: Option<Trailers>,
}

/// How fast a client takes what it is sent.
struct Pace {
    since: Instant,
}

/// Where in the file the current range is.
struct Span {
    first: u64,
    next: u64,
    left: u64,
}

impl Transfer {
    /// Several pieces; `remaining` is the sum of their lengths. What leaves is not hashed for a second reading, which would have to
    /// know the pieces.
    pub(crate) fn of_pieces(
        source: Arc<dyn Source>,
        pieces: Vec<Piece>,
        remaining: u64,
        checks: &Checks,
    ) -> Self {
        Self {
            rest: pieces.into_iter(),
            collected: None,
            pace: None,
            verified: None,
            ..Self::bare(source, Span::EMPTY, remaining, checks)
        }
    }

    /// A body of one range: needs no list.
    pub(crate) fn of_range(source: Arc<dyn Source>, range: ByteRange, checks: &Checks) -> Self {
        Self::bare(source, Span::new(range), range.len(), checks)
    }

    fn bare(source: Arc<dyn Source>, span: Span, remaining: u64, checks: &Checks) -> Self {
        let witness = Witness::new(*source.file().metadata());
        // A digest that is known settles all doubt at the end.
        let collects = checks.collect != Collect::Never && checks.expected.is_none();
        let may_stop = collects && checks.collect == Collect::WhileSlow;
        Self {
            source,
            witness,
            span,
            rest: Vec::new().into_iter(),
            remaining,
            sent: 0,
            unasked: 0,
            pending: None,
            settle: checks.settle,
            first: checks.first,
            strong: checks.strong,
            collected: collects.then(Fingerprint::new),
            tail: None,
            doubted: false,
            pace: may_stop.then(|| Pace {
                since: Instant::now(),
            }),
            sliced: false,
            hashing: None,
            verified: checks.expected.map(|expected| (Sha256::new(), expected)),
            trailers: checks.trailers.map(|trailers| (trailers, Sha256::new())),
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.remaining == 0 && self.trailers.is_none()
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        match &self.trailers {
            Some((Trailers::Instead, _)) => SizeHint::new(),
            _ => SizeHint::with_exact(self.remaining),
        }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyErrorKind>>> {
        // Lets other tasks run when a fast client reads from memory and nothing would ever wait.
        let coop = ready!(tokio::task::coop::poll_proceed(cx));
        let result = ready!(self.poll_data(cx));
        coop.made_progress();
        match result {
            Ok(Some(bytes)) => {
                self.handed_over(&bytes);
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Ok(None) => Poll::Ready(self.take_trailers().map(|trailers| Ok(Frame::trailers(trailers)))),
            Err(error) => {
                self.give_up();
                Poll::Ready(Some(Err(error)))
            }
        }
    }

    fn handed_over(&mut self, bytes: &Bytes) {
        self.remaining = self.remaining.saturating_sub(bytes.len() as u64);
        if let Some((_, hash)) = &mut self.trailers {
            hash.update(bytes);
        } else if self.remaining == 0 {
            self.source.completed();
        }
    }

    /// The next bytes that may leave, or `None` after the last.
    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, BodyErrorKind>> {
        while self.span.left == 0 {
            match self.rest.next() {
                None => return Poll::Ready(Ok(None)),
                Some(Piece::Range(range)) => self.span = Span::new(range),
                Some(Piece::Bytes(bytes)) => {
                    self.source.still_held()?;
                    return Poll::Ready(Ok(Some(bytes)));
                }
            }
        }
        let chunk = ready!(self.poll_judged(cx))?;
        self.release(chunk).map(Some).into()
    }

    fn poll_judged(&mut self, cx: &mut Context<'_>) -> Poll<Result<Chunk, BodyErrorKind>> {
        let mut chunk = ready!(self.poll_read(cx))?;
        while let Some(doubt) = self.judge(&chunk)? {
            self.pending = Some(read::confirm(&self.source, doubt, chunk));
            chunk = ready!(self.poll_read(cx))?;
        }
        Poll::Ready(Ok(chunk))
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<Chunk, BodyErrorKind>> {
        loop {
            if let Some(pending) = &mut self.pending {
                let read = ready!(pending.as_mut().poll(cx));
                self.pending = None;
                return Poll::Ready(read);
            }
            self.look_ahead();
            let request = self.request();
            match read::start(&self.source, request)? {
                Reading::Done(chunk) => return Poll::Ready(Ok(chunk)),
                Reading::Pending(pending) => self.pending = Some(pending),
            }
        }
    }

    /// Before the first bytes leave that are hashed.
    fn look_ahead(&mut self) {
        if self.sent == 0 && self.collected.is_some() && self.tail.is_none() {
            self.tail = Tail::look(&self.source, self.span.next + self.span.left, self.span.left);
        }
    }

    fn request(&mut self) -> Request {
        let until_asked = ASK_EVERY.saturating_sub(self.unasked);
        Request {
            offset: self.span.next,
            left: self.span.left,
            most: if self.sent == 0 { self.first } else { u64::MAX },
            // At once, where that decides whether anything may leave.
            ask_from: match self.must_be_as_opened() {
                true => 0,
                false => self.span.left.min(until_asked),
            },
            settle: std::mem::take(&mut self.settle),
        }
    }

    /// Whether the chunk may leave: `None` if so, or what a second reading must show first.
    fn judge(&mut self, chunk: &Chunk) -> Result<Option<Doubt>, BodyErrorKind> {
        let Some(now) = chunk.metadata else {
            return Ok(None);
        };
        let judgement = self.witness.judge(&now);
        if judgement == Judgement::Same {
            self.spare_the_fast();
            return Ok(None);
        }
        if judgement == Judgement::Changed {
            return Err(if now.len() < self.source.file().metadata().len() {
                BodyErrorKind::Truncated
            } else {
                BodyErrorKind::Changed
            });
        }
        if chunk.confirmed {
            self.doubted = true;
            self.witness.accept(now);
            return Ok(None);
        }
        if self.verified.is_some() {
            return Ok(None);
        }
        match (judgement, self.evidence(chunk)) {
            // It was renamed, has a new attribute, or was rewritten and its mtime put back: to read again what has left says nothing
            // of what has not.
            (Judgement::Unexplained, Some(_)) if self.is_of_old_file() => Err(BodyErrorKind::Changed),
            // No second reading of a large file for each transfer under way whenever it is replaced.
            (Judgement::Unlinked, Some(_)) if self.is_of_old_file() => {
                self.witness.accept(now);
                Ok(None)
            }
            // The first at once, so that nothing of a file that was rewritten follows; all others together at the end, or reading
            // again would take quadratic time.
            (_, Some(_)) if self.doubted && self.collected.is_some() && !self.is_last(chunk) => Ok(None),
            (_, Some(doubt)) => Ok(Some(doubt)),
            (Judgement::Unlinked, None) => {
                self.witness.accept(now);
                Ok(None)
            }
            (_, None) => Err(BodyErrorKind::Changed),
        }
    }

    /// Nothing has left yet of what a strong tag promises.
    const fn must_be_as_opened(&self) -> bool {
        self.strong && self.sent == 0
    }

    /// Something left of a file that nobody was expected to write to.
    const fn is_of_old_file(&self) -> bool {
        self.pace.is_some() && self.sent > 0
    }

    fn is_last(&self, chunk: &Chunk) -> bool {
        chunk.len() >= self.span.left
    }

    /// Stops hashing for a client that is fast, while there is no doubt to be settled.
    fn spare_the_fast(&mut self) {
        if self.sent >= BEFORE_PACE && self.pace.as_ref().is_some_and(|pace| pace.is_fast(self.sent)) {
            self.pace = None;
            self.collected = None;
        }
    }

    /// What was read so far, if that is known: the chunk alone if nothing left before it, or what was hashed on the way. The chunk
    /// alone may be of what came after the open, which a strong tag would deny.
    fn evidence(&self, chunk: &Chunk) -> Option<Doubt> {
        if self.must_be_as_opened() {
            return None;
        }
        let before = match &self.collected {
            Some(hash) => hash.clone(),
            None if self.sent == 0 => Fingerprint::new(),
            None => return None,
        };
        Some(Doubt {
            first: self.span.first,
            tail: self.tail.clone(),
            total: self.sent + chunk.len(),
            hash: before.chain_update(chunk.bytes()),
        })
    }

    /// The last question before bytes leave: may they still.
    fn release(&mut self, chunk: Chunk) -> Result<Bytes, BodyErrorKind> {
        let filled = chunk.len();
        self.looked_at(&chunk);
        self.advance(filled);
        let bytes = chunk.bytes();
        if let Some((hash, expected)) = &mut self.verified {
            hash.update(bytes);
            if self.span.left == 0 && hash.clone().finalize()[..] != *expected {
                return Err(BodyErrorKind::Changed);
            }
        }
        self.source.still_held()?;
        self.source.sent(filled);
        Ok(chunk.into_bytes())
    }

    /// A chunk that was read leaves, or is about to leave the file by itself.
    fn looked_at(&mut self, chunk: &Chunk) {
        self.unasked = match chunk.metadata {
            Some(_) => 0,
            None => self.unasked + chunk.len(),
        };
        if let Some(hash) = &mut self.collected {
            hash.update(chunk.bytes());
        }
    }

    const fn advance(&mut self, bytes: u64) {
        self.sent += bytes;
        self.span.next += bytes;
        self.span.left = self.span.left.saturating_sub(bytes);
    }

    fn take_trailers(&mut self) -> Option<HeaderMap> {
        let (_, hash) = self.trailers.take()?;
        let mut trailers = HeaderMap::with_capacity(1);
        trailers.insert(
            digest::CONTENT_DIGEST,
            digest::header_value(&hash.finalize().into())?,
        );
        self.source.completed();
        Some(trailers)
    }

    /// After an error there is nothing more to send.
    fn give_up(&mut self) {
        self.span = Span::EMPTY;
        self.rest = Vec::new().into_iter();
        self.pending = None;
        self.hashing = None;
        self.trailers = None;
    }
}

impl Pace {
    fn is_fast(&self, sent: u64) -> bool {
        u128::from(sent) * 1000 > u128::from(SLOW) * self.since.elapsed().as_millis()
    }
}

impl Span {
    const EMPTY: Self = Self {
        first: 0,
        next: 0,
        left: 0,
    };

    const fn new(range: ByteRange) -> Self {
        Self {
            first: range.first(),
            next: range.first(),
            left: range.len(),
        }
    }
}
