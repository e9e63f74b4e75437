//! [`Serving`]: what a process has that gives leases, and one that only administers has not: the feed, the trail, the files that
//! stay open.

use std::net::IpAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::file_id::FileId;
use crate::handles::Handles;
use crate::refusal::{Refusal, RefusalKind};
use crate::revocation::Feed;
use crate::store::retention::Retention;
use crate::store::{Millis, Store, StoreError, lock};
use crate::trail::{Actor, Denied, Event, Object, Sent, Trail, Why};

pub(crate) struct Serving {
    pub(crate) feed: Arc<Feed>,
    pub(crate) trail: Arc<Trail>,
    pub(crate) handles: Arc<Handles>,
    threads: std::sync::Mutex<Vec<JoinHandle<()>>>,
    /// Of the files that stay open: a file system may keep it waiting for ever.
    keeping: std::sync::Mutex<Option<JoinHandle<()>>>,
}

impl Serving {
    pub(crate) fn start(
        store: &Arc<Store>,
        bound: Duration,
        remembered: usize,
        kept_open: usize,
        retention: Retention,
    ) -> Result<Self, StoreError> {
        let (handles, keeping) = Handles::start(kept_open)?;
        let trail = Trail::start(store, retention).inspect_err(|_| handles.stop());
        let (trail, writing) = trail?;
        // Last of all: from then on changes wait for this process.
        let feed = Feed::start(store, bound, remembered).inspect_err(|_| {
            handles.stop();
            trail.stop();
        });
        let (feed, watching) = feed?;
        Ok(Self {
            feed,
            trail,
            handles,
            threads: std::sync::Mutex::new(vec![watching, writing]),
            keeping: std::sync::Mutex::new(Some(keeping)),
        })
    }

    /// Writes down why not. Success is written down by the lease. Who asked for what is what they said, unless they had shown
    /// it by then.
    pub(crate) fn refuse(
        &self,
        (claimed, address, file): (Actor, Option<IpAddr>, Option<FileId>),
        denied: Denied,
    ) -> Refusal {
        let Denied { shown, refusal } = denied;
        let (actor, file) = match refusal.kind() {
            // Nothing was looked at, and whoever is not heard goes on for as long as they like: that is one record.
            RefusalKind::TooManyAttempts { .. } => (Actor::Unknown, None),
            _ => shown.map_or((claimed, file), |(actor, file)| (actor, Some(file))),
        };
        self.trail.add(Event {
            at: Millis::now(),
            actor,
            event: "open",
            object: file.map_or(Object::Nothing, Object::File),
            revision: self.feed.revision(),
            outcome: "refused",
            reason: Some(Why::Refused(refusal.reason())),
            sent: Sent::None,
            address,
        });
        refusal
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
        let until = Instant::now() + A_MOMENT;
        let keeping = lock(&self.keeping).take();
        while keeping.as_ref().is_some_and(|thread| !thread.is_finished()) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// For how long it is waited for what may wait for a file system.
const A_MOMENT: Duration = Duration::from_secs(1);
