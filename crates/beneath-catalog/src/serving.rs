//! [`Serving`]: what a process has that gives leases, and one that only administers has not: the feed, the trail.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::revocation::Feed;
use crate::store::retention::Retention;
use crate::store::{Store, StoreError, lock};
use crate::trail::Trail;

pub(crate) struct Serving {
    pub(crate) feed: Arc<Feed>,
    pub(crate) trail: Arc<Trail>,
    threads: std::sync::Mutex<Vec<JoinHandle<()>>>,
}

impl Serving {
    pub(crate) fn start(
        store: &Arc<Store>,
        bound: Duration,
        remembered: usize,
        retention: Retention,
    ) -> Result<Self, StoreError> {
        let (feed, watching) = Feed::start(Arc::clone(store), bound, remembered)?;
        let (trail, writing) = Trail::start(store, retention)?;
        Ok(Self {
            feed,
            trail,
            threads: std::sync::Mutex::new(vec![watching, writing]),
        })
    }
}

impl Drop for Serving {
    /// Leases that are still out there fall; what was written down reaches the trail.
    fn drop(&mut self) {
        self.feed.stop();
        self.trail.stop();
        for thread in lock(&self.threads).drain(..) {
            let _ = thread.join();
        }
    }
}
