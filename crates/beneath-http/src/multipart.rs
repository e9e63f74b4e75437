//! multipart/byteranges (RFC 9110 §14.6): several ranges in one body.

use std::collections::hash_map::RandomState;
use std::fmt::Write as _;
use std::hash::BuildHasher as _;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::HeaderValue;

use crate::body::Piece;
use crate::range::ByteRange;

/// The body of an answer with several parts, laid out before anything is read.
pub(crate) struct Layout {
    pub(crate) content_type: HeaderValue,
    pub(crate) pieces: Vec<Piece>,
    /// Of the whole body, in bytes.
    pub(crate) len: u64,
}

/// Lays out one part for each range of a representation of `complete` bytes; `None` if a header field could not be written.
pub(crate) fn lay_out(ranges: &[ByteRange], complete: u64, part_type: &HeaderValue) -> Option<Layout> {
    let boundary = boundary();
    let part_type = part_type.to_str().ok()?;
    let mut layout = Layout {
        content_type: HeaderValue::try_from(format!("multipart/byteranges; boundary={boundary}")).ok()?,
        pieces: Vec::with_capacity(ranges.len() * 2 + 1),
        len: 0,
    };
    let mut head = String::new();
    for range in ranges {
        let (first, last) = (range.first(), range.last());
        write!(
            head,
            "--{boundary}\r\nContent-Type: {part_type}\r\nContent-Range: bytes {first}-{last}/{complete}\r\n\r\n"
        )
        .ok()?;
        layout.push_text(std::mem::replace(&mut head, String::from("\r\n")));
        layout.len = layout.len.checked_add(range.len())?;
        layout.pieces.push(Piece::Range(*range));
    }
    layout.push_text(format!("\r\n--{boundary}--\r\n"));
    Some(layout)
}

impl Layout {
    fn push_text(&mut self, text: String) {
        self.len += text.len() as u64;
        self.pieces.push(Piece::Bytes(Bytes::from(text)));
    }
}

/// A boundary that nobody can have put into a file: keyed hashes of a counter, with a key from the system.
fn boundary() -> String {
    static KEY: OnceLock<(RandomState, RandomState)> = OnceLock::new();
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let (one, other) = KEY.get_or_init(|| (RandomState::new(), RandomState::new()));
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{:016x}{:016x}", one.hash_one(count), other.hash_one(!count))
}
