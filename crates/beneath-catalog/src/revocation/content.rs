//! [`Pinned`]: whether files that are pinned by content still are what they were, while they are sent.
//!
//! That is asked of their file systems, and one that hangs keeps whoever asks it for as long as it likes. So each is asked by a thread
//! of its own, while something on it is sent; and what could not be asked within the bound falls.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::thread::{Builder, sleep};
use std::time::Duration;

use beneath::File;

use super::{Feed, IN_USE, Right};
use crate::refusal::Reason;
use crate::store::lock;

/// A file of which it is looked whether it changes.
pub(crate) struct Pinned {
    file: Weak<File>,
    device: u64,
    /// Until when it counts that it did not, in nanoseconds after the feed started.
    until: AtomicU64,
}

/// The file systems that have a thread.
#[derive(Default)]
pub(super) struct Watched(Arc<Mutex<HashSet<u64>>>);

impl Pinned {
    pub(crate) fn new(file: &Arc<File>, feed: &Feed) -> Self {
        Self {
            file: Arc::downgrade(file),
            device: file.metadata().identity().device(),
            until: AtomicU64::new(feed.until()),
        }
    }

    /// Whether what was seen still counts at `now`.
    pub(super) fn is_seen(&self, now: u64) -> bool {
        now < self.until.load(Ordering::Relaxed)
    }

    /// May wait for the file system, for as long as that takes.
    fn look(&self, right: &Right, feed: &Feed) {
        let until = feed.until();
        match self.file.upgrade() {
            // What cannot be asked is not what it was.
            Some(file) if file.was_changed().unwrap_or(true) => right.fall(Reason::Replaced),
            _ => self.until.store(until, Ordering::Relaxed),
        }
    }
}

impl Watched {
    /// Sees that each file is looked at, without waiting for any.
    pub(super) fn watch(&self, feed: &Arc<Feed>) {
        for right in feed.registry.live(|right| right.pinned.is_some()) {
            let Some(pinned) = &right.pinned else { continue };
            if !pinned.is_seen(feed.now()) {
                right.fall(Reason::NotSeen);
            } else if lock(&self.0).insert(pinned.device) {
                let (watched, feed, device) = (Arc::clone(&self.0), Arc::downgrade(feed), pinned.device);
                let look = move || {
                    look_at_all(&feed, device);
                    lock(&watched).remove(&device);
                };
                if Builder::new()
                    .name("beneath-content".to_owned())
                    .spawn(look)
                    .is_err()
                {
                    lock(&self.0).remove(&device);
                }
            }
        }
    }
}

/// Until there has been nothing there for a while.
fn look_at_all(feed: &Weak<Feed>, device: u64) {
    let mut idle = Duration::ZERO;
    while idle < LINGER {
        let Some(feed) = feed.upgrade() else { return };
        let is_there = |right: &Right| {
            right
                .pinned
                .as_ref()
                .is_some_and(|pinned| pinned.device == device)
        };
        let there = feed.registry.live(is_there);
        let pause = feed.pause(IN_USE);
        idle = if there.is_empty() {
            idle + pause
        } else {
            Duration::ZERO
        };
        for right in there {
            if let Some(pinned) = &right.pinned {
                pinned.look(&right, &feed);
            }
        }
        drop(feed);
        sleep(pause);
    }
}

const LINGER: Duration = Duration::from_secs(1);
