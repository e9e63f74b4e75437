//! [`Serving`]: what a process has that gives leases, and one that only administers has not: the feed, the trail, the files that
//! stay open.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::handles::Handles;
use crate::revocation::Feed;
use crate::store::retention::Retention;
use crate::store::{Store, StoreError, lock};
use crate::trail::Trail;

pub(crate) struct Serving {
    pub(crate) feed: Arc<Feed>,
    pub(crate) trail: Arc<Trail>,
    pub(crate) handles: Arc<Handles>,
    threads: std::sync::Mutex<Vec<JoinHandle<()>>>,
}

impl Serving {
    pub(crate) fn start(
        store: &Arc<Store>,
        bound: Duration,
        remembered: usize,
        kept_open: usize,
        retention: Retention,
    ) -> Result<Self, StoreError> {
        let (feed, watching) = Feed::start(store, bound, remembered)?;
        let (trail, writing) = Trail::start(store, retention)?;
        let (handles, keeping) = Handles::start(kept_open)?;
        Ok(Self {
            feed,
            trail,
            handles,
            threads: std::sync::Mutex::new(vec![watching, writing, keeping]),
        })
    }
}

impl Drop for Serving {
    /// Leases that are still out there fall; what was written down reaches the trail.
    fn drop(&mut self) {
        self.feed.stop();
        self.trail.stop();
        self.handles.stop();
        for thread in lock(&self.threads).drain(..) {
            let _ = thread.join();
        }
    }
}
