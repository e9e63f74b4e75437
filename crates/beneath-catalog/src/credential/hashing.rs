//! [`Hashing`]: only so many passwords are hashed at once, only so many wait, and the next hears "busy".

use std::sync::{Condvar, Mutex, PoisonError};

use super::record::{Match, Memory, Record, RecordError, Stored};
use crate::store::lock;

/// A bounded pool of the memory that hashing needs: whoever has a piece may hash.
pub(crate) struct Hashing {
    state: Mutex<State>,
    freed: Condvar,
    waiting_at_most: usize,
}

struct State {
    free: Vec<Memory>,
    waiting: usize,
}

/// Too many wait already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QueueFull;

impl Hashing {
    /// `at_once` hash at the same time (19 MiB each), `waiting_at_most` more wait for their turn.
    pub(crate) fn new(at_once: usize, waiting_at_most: usize) -> Self {
        let free = (0..at_once.max(1)).map(|_| Memory::new()).collect();
        Self {
            state: Mutex::new(State { free, waiting: 0 }),
            freed: Condvar::new(),
            waiting_at_most,
        }
    }

    pub(crate) fn verify(
        &self,
        record: &Stored,
        password: &[u8],
    ) -> Result<Result<Option<Match>, RecordError>, QueueFull> {
        self.with_memory(|memory| record.verify(password, memory))
    }

    pub(crate) fn record(&self, password: &[u8]) -> Result<Result<Record, RecordError>, QueueFull> {
        self.with_memory(|memory| Record::new(password, memory))
    }

    fn with_memory<T>(&self, hash: impl FnOnce(&mut Memory) -> T) -> Result<T, QueueFull> {
        let mut memory = self.take()?;
        let result = hash(&mut memory);
        lock(&self.state).free.push(memory);
        self.freed.notify_one();
        Ok(result)
    }

    fn take(&self) -> Result<Memory, QueueFull> {
        let mut state = lock(&self.state);
        if state.free.is_empty() && state.waiting >= self.waiting_at_most {
            return Err(QueueFull);
        }
        state.waiting += 1;
        loop {
            if let Some(memory) = state.free.pop() {
                state.waiting -= 1;
                return Ok(memory);
            }
            state = self.freed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_comes_when_the_queue_is_full_is_told_so_at_once() {
        let hashing = Hashing::new(1, 1);
        std::thread::scope(|scope| {
            let memory = hashing.take().unwrap();
            let second = scope.spawn(|| hashing.with_memory(|_| ()));
            while lock(&hashing.state).waiting == 0 {
                std::thread::yield_now();
            }
            assert_eq!(hashing.with_memory(|_| ()), Err(QueueFull));
            lock(&hashing.state).free.push(memory);
            hashing.freed.notify_one();
            assert_eq!(second.join().unwrap(), Ok(()));
        });
        assert_eq!(hashing.with_memory(|_| ()), Ok(()));
    }
}
