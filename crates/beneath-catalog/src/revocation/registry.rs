//! [`Registry`]: the protocol by which no decision is overtaken. Only locks and numbers; knows no store.
//!
//! A change of revision *r* is **passed** in this order: announce *r* as begun, forget what it touches, judge the
//! live rights again, announce *r* as finished. Against that order stand three rules:
//!
//! * what was decided before a revision that has begun is neither remembered nor registered;
//! * what is recalled from memory counts as decided at the revision that had finished *before* it was looked up;
//! * whoever changed something returns when *r* has finished.
//!
//! So a right is either registered in time to be judged again, or refused as overtaken. `tests/loom.rs` includes
//! this very file and checks every interleaving.

use std::collections::BTreeMap;

use super::sync::{Arc, AtomicU64, Mutex, Ordering, RwLock, lock, read, write};

/// `M` remembers decisions, `R` is a live right that can fall.
pub(crate) struct Registry<M, R> {
    begun: AtomicU64,
    finished: AtomicU64,
    memory: RwLock<M>,
    live: Mutex<Live<R>>,
}

struct Live<R> {
    next: u64,
    rights: BTreeMap<u64, Arc<R>>,
}

/// A change was passed since the decision: decide again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Overtaken;

impl<M, R> Registry<M, R> {
    pub(crate) fn new(revision: u64, memory: M) -> Self {
        Self {
            begun: AtomicU64::new(revision),
            finished: AtomicU64::new(revision),
            memory: RwLock::new(memory),
            live: Mutex::new(Live {
                next: 0,
                rights: BTreeMap::new(),
            }),
        }
    }

    pub(crate) fn finished(&self) -> u64 {
        self.finished.load(Ordering::SeqCst)
    }

    /// What memory says, and the revision as of which it says so.
    pub(crate) fn recall<T>(&self, look: impl FnOnce(&M) -> Option<T>) -> Option<(u64, T)> {
        let as_of = self.finished.load(Ordering::SeqCst);
        look(&read(&self.memory)).map(|found| (as_of, found))
    }

    /// Remembers what was decided at revision `decided`, unless that was overtaken.
    pub(crate) fn remember(&self, decided: u64, insert: impl FnOnce(&mut M)) {
        let mut memory = write(&self.memory);
        if self.begun.load(Ordering::SeqCst) <= decided {
            insert(&mut memory);
        }
    }

    /// From now on `right` is judged at each change, until [`forget`](Self::forget) is called with the answer.
    pub(crate) fn register(&self, right: &Arc<R>, decided: u64) -> Result<u64, Overtaken> {
        let mut live = lock(&self.live);
        if self.begun.load(Ordering::SeqCst) > decided {
            return Err(Overtaken);
        }
        let key = live.next;
        live.next += 1;
        live.rights.insert(key, Arc::clone(right));
        Ok(key)
    }

    pub(crate) fn forget(&self, key: u64) {
        lock(&self.live).rights.remove(&key);
    }

    /// The rights that live now.
    pub(crate) fn live(&self) -> Vec<Arc<R>> {
        lock(&self.live).rights.values().map(Arc::clone).collect()
    }

    /// Passes a change. One at a time: the caller holds a lock of its own. If judging fails the change is not
    /// finished, memory answers nothing that could be registered, and the caller passes it again.
    pub(crate) fn pass<E>(
        &self,
        revision: u64,
        forget: impl FnOnce(&mut M),
        mut judge: impl FnMut(&R) -> Result<(), E>,
    ) -> Result<(), E> {
        self.begun.store(revision, Ordering::SeqCst);
        forget(&mut write(&self.memory));
        for right in self.live() {
            judge(&right)?;
        }
        self.finished.store(revision, Ordering::SeqCst);
        Ok(())
    }
}
