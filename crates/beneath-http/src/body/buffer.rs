//! [`Buffer`]: memory to read into, bounded and used again.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

/// How much is read at once at most, in bytes. Larger chunks cost more memory per slow client and gain little: 64 KiB read in
/// 3 µs, of which a tenth is the system call.
pub(super) const CHUNK: usize = 64 * 1024;

/// How many whole buffers are kept for the next transfer: 4 MiB in the process.
const KEPT: usize = 64;

static POOL: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

/// Memory for one read.
pub(super) struct Buffer {
    /// All of it initialised. Either as long as what is left of a range, or [`CHUNK`] and from the pool.
    memory: Vec<u8>,
}

/// A filled whole buffer on its way to the transport, which gives it back by dropping it.
struct Lent {
    memory: Vec<u8>,
    filled: usize,
}

impl Buffer {
    /// For `left` bytes or [`CHUNK`], whichever is less: a small file does not pin a large buffer.
    pub(super) fn for_remaining(left: u64) -> Self {
        let memory = match usize::try_from(left) {
            Ok(left) if left < CHUNK => vec![0; left],
            _ => take().unwrap_or_else(|| vec![0; CHUNK]),
        };
        Self { memory }
    }

    pub(super) fn as_mut(&mut self) -> &mut [u8] {
        &mut self.memory
    }

    pub(super) fn filled(&self, filled: usize) -> &[u8] {
        self.memory.get(..filled).unwrap_or(&self.memory)
    }

    /// The first `filled` bytes, without copying them.
    pub(super) fn freeze(mut self, filled: usize) -> Bytes {
        let mut memory = std::mem::take(&mut self.memory);
        if memory.len() == CHUNK {
            return Bytes::from_owner(Lent {
                filled: filled.min(CHUNK),
                memory,
            });
        }
        memory.truncate(filled);
        Bytes::from(memory)
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        give_back(std::mem::take(&mut self.memory));
    }
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.memory[..self.filled]
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        give_back(std::mem::take(&mut self.memory));
    }
}

fn take() -> Option<Vec<u8>> {
    POOL.lock().unwrap_or_else(PoisonError::into_inner).pop()
}

fn give_back(memory: Vec<u8>) {
    if memory.len() != CHUNK {
        return;
    }
    let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
    if pool.len() < KEPT {
        pool.push(memory);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_file_gets_a_small_buffer() {
        assert_eq!(Buffer::for_remaining(5).as_mut().len(), 5);
        assert_eq!(Buffer::for_remaining(u64::MAX).as_mut().len(), CHUNK);
    }

    #[test]
    fn the_pool_is_bounded() {
        let lent: Vec<Bytes> = (0..KEPT * 2)
            .map(|_| Buffer::for_remaining(u64::MAX).freeze(10))
            .collect();
        assert!(lent.iter().all(|bytes| bytes.len() == 10));
        drop(lent);
        assert!(POOL.lock().unwrap().len() <= KEPT);
    }
}
