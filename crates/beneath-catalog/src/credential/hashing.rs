//! [`Hashing`]: only so many passwords are hashed at once, only so many wait, and the next hears "busy".

use std::sync::{Condvar, Mutex};

use super::record::{Match, Memory, Record, RecordError, Stored};
use crate::store::lock;

/// A bounded number of places to hash. The memory that takes is handed to whoever waits, and given back to the system
/// when nobody does.
pub(crate) struct Hashing {
    state: Mutex<State>,
    freed: Condvar,
    waiting_at_most: usize,
}

struct State {
    places: usize,
    waiting: usize,
    spare: Vec<Memory>,
}

/// Too many wait already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QueueFull;

impl Hashing {
    /// `at_once` hash at the same time (19 MiB each), `waiting_at_most` more wait for their turn.
    pub(crate) fn new(at_once: usize, waiting_at_most: usize) -> Self {
        Self {
            state: Mutex::new(State {
                places: at_once.max(1),
                waiting: 0,
                spare: Vec::new(),
            }),
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
        self.give_back(memory);
        Ok(result)
    }

    fn take(&self) -> Result<Memory, QueueFull> {
        let mut state = lock(&self.state);
        if state.places == 0 && state.waiting >= self.waiting_at_most {
            return Err(QueueFull);
        }
        state.waiting += 1;
        state = match self.freed.wait_while(state, |state| state.places == 0) {
            Ok(state) => state,
            Err(poisoned) => poisoned.into_inner(),
        };
        state.waiting -= 1;
        state.places -= 1;
        Ok(state.spare.pop().unwrap_or(Memory::new()))
    }

    fn give_back(&self, memory: Memory) {
        let mut state = lock(&self.state);
        state.places += 1;
        let unused = if state.waiting > 0 {
            // Asking the system anew would take a fifth of the time that hashing takes.
            state.spare.push(memory);
            Vec::new()
        } else {
            let mut unused = std::mem::take(&mut state.spare);
            unused.push(memory);
            unused
        };
        drop(state);
        self.freed.notify_one();
        drop(unused);
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
            hashing.give_back(memory);
            assert_eq!(second.join().unwrap(), Ok(()));
        });
        assert_eq!(hashing.with_memory(|_| ()), Ok(()));
    }

    #[test]
    fn memory_is_kept_only_while_somebody_waits_for_it() {
        let hashing = Hashing::new(2, 8);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| hashing.with_memory(|_| std::thread::yield_now()));
            }
        });
        let state = lock(&hashing.state);
        assert_eq!((state.places, state.waiting, state.spare.len()), (2, 0, 0));
    }
}
