//! [`Tail`]: the last bytes of what was promised, as they were before the first had left.

use std::sync::Arc;

use beneath::Source;

use super::BodyErrorKind;
use super::buffer::Buffer;
use super::fingerprint::Fingerprint;

/// How much is looked at, in bytes: one page, or all there is.
const LEN: u64 = 4096;

/// A sample of what has not left yet.
///
/// A second reading of what left says nothing of the rest. What is appended to leaves this as it was; a file that was written
/// anew and became longer, or a database with pages of its own, seldom does.
#[derive(Clone)]
pub(super) struct Tail {
    offset: u64,
    len: u64,
    fingerprint: Fingerprint,
}

impl Tail {
    /// Looks at the last of the `promised` bytes before `end`, if that takes no waiting for a disk.
    pub(super) fn look(source: &Arc<dyn Source>, end: u64, promised: u64) -> Option<Self> {
        let len = promised.min(LEN);
        let offset = end.checked_sub(len)?;
        let mut buffer = Buffer::for_remaining(len);
        let filled = source.file().try_read_at(buffer.as_mut(), offset).ok()?;
        (filled as u64 == len).then(|| Self {
            offset,
            len,
            fingerprint: Fingerprint::new().chain_update(buffer.filled(filled)),
        })
    }

    /// Looks again, waiting if need be.
    pub(super) fn confirm(&self, source: &Arc<dyn Source>) -> Result<(), BodyErrorKind> {
        let again = super::read::hash(source, self.offset, self.len)?;
        if again == self.fingerprint {
            Ok(())
        } else {
            Err(BodyErrorKind::Changed)
        }
    }
}
