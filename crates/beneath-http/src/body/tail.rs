//! [`Tail`]: the last bytes of what was promised, as they were before the first had left.

use std::sync::Arc;

use beneath::Source;

use super::BodyErrorKind;
use super::buffer::Buffer;
use super::fingerprint::Fingerprint;

/// How much is looked at, in bytes: one page.
const LEN: u64 = 4096;

/// A sample of what has not left yet.
///
/// A second reading of what left says nothing of the rest. What is appended to leaves this as it was; a file that was written
/// anew and became longer, or a database with pages of its own, seldom does.
#[derive(Clone)]
pub(super) struct Tail {
    offset: u64,
    fingerprint: Fingerprint,
}

impl Tail {
    /// Looks at the last bytes before `end`, if that takes no waiting for a disk and `len` of them are enough to be worth it.
    pub(super) fn look(source: &Arc<dyn Source>, end: u64, len: u64) -> Option<Self> {
        let offset = end.checked_sub(LEN).filter(|_| len > LEN)?;
        let mut buffer = Buffer::for_remaining(LEN);
        let filled = source.file().try_read_at(buffer.as_mut(), offset).ok()?;
        (filled as u64 == LEN).then(|| Self {
            offset,
            fingerprint: Fingerprint::new().chain_update(buffer.filled(filled)),
        })
    }

    /// Looks again, waiting if need be.
    pub(super) fn confirm(&self, source: &Arc<dyn Source>) -> Result<(), BodyErrorKind> {
        let again = super::read::hash(source, self.offset, LEN)?;
        if again == self.fingerprint {
            Ok(())
        } else {
            Err(BodyErrorKind::Changed)
        }
    }
}
