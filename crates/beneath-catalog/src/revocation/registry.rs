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

use slab::Slab;

use super::sync::{Arc, AtomicU64, Mutex, Ordering, RwLock, lock, read, write};

/// `M` remembers decisions, `R` is a live right that can fall.
pub(crate) struct Registry<M, R> {
    begun: AtomicU64,
    finished: AtomicU64,
    memory: RwLock<M>,
    live: Mutex<Slab<Arc<R>>>,
}

/// Where a live right is kept.
#[derive(Debug)]
pub(crate) struct Place(usize);

/// A change was passed since the decision: decide again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Overtaken;

impl<M, R> Registry<M, R> {
    pub(crate) fn new(revision: u64, memory: M) -> Self {
        Self {
            begun: AtomicU64::new(revision),
            finished: AtomicU64::new(revision),
            memory: RwLock::new(memory),
            live: Mutex::new(Slab::new()),
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

    /// Remembers what was decided at revision `decided`, unless that was overtaken. What is forgotten instead is
    /// returned: it may take long to drop.
    pub(crate) fn remember<T>(&self, decided: u64, insert: impl FnOnce(&mut M) -> Option<T>) -> Option<T> {
        let mut memory = write(&self.memory);
        if self.begun.load(Ordering::SeqCst) > decided {
            return None;
        }
        insert(&mut memory)
    }

    /// From now on `right` is judged at each change, until [`forget`](Self::forget) is called with the answer.
    pub(crate) fn register(&self, right: &Arc<R>, decided: u64) -> Result<Place, Overtaken> {
        let mut live = lock(&self.live);
        if self.begun.load(Ordering::SeqCst) > decided {
            return Err(Overtaken);
        }
        Ok(Place(live.insert(Arc::clone(right))))
    }

    /// Takes the place, so that nobody gives it up twice.
    pub(crate) fn forget(&self, Place(key): Place) {
        let right = lock(&self.live).try_remove(key);
        drop(right);
    }

    /// The rights that live now and are wanted.
    pub(crate) fn live(&self, wanted: impl Fn(&R) -> bool) -> Vec<Arc<R>> {
        let live = lock(&self.live);
        let wanted = live.iter().filter(|(_, right)| wanted(right));
        wanted.map(|(_, right)| Arc::clone(right)).collect()
    }

    pub(crate) fn has_live(&self) -> bool {
        !lock(&self.live).is_empty()
    }

    /// Passes a change. One at a time: the caller holds a lock of its own. If judging fails the change is not
    /// finished, memory answers nothing that could be registered, and the caller passes it again.
    pub(crate) fn pass<F, E>(
        &self,
        revision: u64,
        forget: impl FnOnce(&mut M) -> F,
        mut judge: impl FnMut(&R) -> Result<(), E>,
    ) -> Result<(), E> {
        self.begun.store(revision, Ordering::SeqCst);
        let forgotten = forget(&mut write(&self.memory));
        drop(forgotten);
        for right in self.live(|_| true) {
            judge(&right)?;
        }
        self.finished.store(revision, Ordering::SeqCst);
        Ok(())
    }
}
