//! The protocol by which no decision is overtaken, in every interleaving of a revocation with two who open.
//!
//! The very file that the catalog is built from is compiled here with loom's locks and atomics in place of the standard
//! library's. Bounded by preemptions: two by
//! default.

#![allow(dead_code, reason = "not all of the registry is needed for the model")]
#![allow(clippy::unwrap_used, reason = "all of this is a test")]

#[path = "../src/revocation/registry.rs"]
mod registry;

use registry::Registry;
use sync::{Arc, AtomicBool, Mutex, Ordering, lock};

mod sync {
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU64, Ordering};
    pub(crate) use loom::sync::{Arc, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};

    pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().unwrap()
    }

    pub(crate) fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
        lock.read().unwrap()
    }

    pub(crate) fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
        lock.write().unwrap()
    }
}

/// One right to one file: the store, and what one process knows of it.
struct Model {
    store: Mutex<Stored>,
    registry: Registry<Remembered, Right>,
    revoked: AtomicBool,
}

#[derive(Clone, Copy)]
struct Stored {
    revision: u64,
    granted: bool,
}

/// Whether memory says that it is granted.
type Remembered = bool;

struct Right {
    fallen: AtomicBool,
}

impl Model {
    fn new() -> Arc<Self> {
        let granted = Stored {
            revision: 1,
            granted: true,
        };
        Arc::new(Self {
            store: Mutex::new(granted),
            registry: Registry::new(1, false),
            revoked: AtomicBool::new(false),
        })
    }

    /// `date`: the revision as of which a decision made at one is remembered.
    fn open(&self, date: fn(u64) -> u64) -> Option<Arc<Right>> {
        let right = Arc::new(Right {
            fallen: AtomicBool::new(false),
        });
        if let Some((as_of, ())) = self.registry.recall(|remembered| remembered.then_some(()))
            && self.registry.register(&right, as_of).is_ok()
        {
            return Some(right);
        }
        loop {
            let snapshot = *lock(&self.store);
            if !snapshot.granted {
                return None;
            }
            self.registry.remember(date(snapshot.revision), |remembered| {
                *remembered = true;
                None::<()>
            });
            if self.registry.register(&right, snapshot.revision).is_ok() {
                return Some(right);
            }
        }
    }

    fn revoke(&self) {
        let snapshot = {
            let mut store = lock(&self.store);
            store.revision += 1;
            store.granted = false;
            *store
        };
        let judge = |right: &Right| {
            right.fallen.store(true, Ordering::SeqCst);
            Ok::<_, ()>(())
        };
        self.registry
            .pass(snapshot.revision, |remembered| *remembered = false, judge)
            .unwrap();
        self.revoked.store(true, Ordering::SeqCst);
    }

    fn open_and_check(&self, date: fn(u64) -> u64) -> Option<Arc<Right>> {
        let revoked = self.revoked.load(Ordering::SeqCst);
        let right = self.open(date);
        assert!(
            !(revoked && right.is_some()),
            "opened after the revocation had returned"
        );
        right
    }
}

fn explore(date: fn(u64) -> u64) {
    let mut builder = loom::model::Builder::new();
    // LOOM_MAX_PREEMPTIONS=3 takes a minute, and finds no more.
    builder.preemption_bound = builder.preemption_bound.or(Some(2));
    builder.check(move || {
        let model = Model::new();
        let opener = {
            let model = Arc::clone(&model);
            loom::thread::spawn(move || [model.open_and_check(date), model.open_and_check(date)])
        };
        let revoker = {
            let model = Arc::clone(&model);
            loom::thread::spawn(move || model.revoke())
        };
        let own = model.open_and_check(date);
        let others = opener.join().unwrap();
        revoker.join().unwrap();
        for right in others.into_iter().chain([own]).flatten() {
            assert!(
                right.fallen.load(Ordering::SeqCst),
                "a right outlived its revocation"
            );
        }
        assert!(model.open(date).is_none(), "memory outlived the revocation");
    });
}

#[test]
fn no_right_outlives_its_revocation_and_none_begins_after_it() {
    explore(|decided| decided);
}

#[test]
#[should_panic(expected = "revocation")]
fn a_decision_that_is_remembered_without_its_date_is_caught() {
    explore(|_| u64::MAX);
}
