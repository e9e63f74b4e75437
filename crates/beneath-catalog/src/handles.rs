//! [`Handles`]: files that stay open, because they are asked for again and again.
//!
//! Nothing is decided here, nor is anything opened that was not decided: this saves the opening, and only where
//! [`Root::open_kept`] says that it would open the same file. What is asked for often is kept, and let go, by a thread of its
//! own, twice a second.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use beneath::{File, Kept, Root};
use foldhash::fast::RandomState;

use crate::entry::{Entry, EntrySeq};
use crate::revocation::sync;
use crate::store::{StoreError, lock};

pub(crate) struct Handles {
    /// How many descriptors may be held.
    room: usize,
    held: RwLock<Map<Held>>,
    /// What had to be opened since the last look.
    opened: Mutex<Map<Opened>>,
    stopping: Mutex<bool>,
    stop: Condvar,
}

type Map<V> = HashMap<EntrySeq, V, RandomState>;

struct Held {
    root: Arc<Root>,
    kept: Kept,
    used: AtomicBool,
    /// Looks since it was used last.
    idle: u32,
}

struct Opened {
    root: Arc<Root>,
    entry: Arc<Entry>,
    times: u32,
}

impl Handles {
    pub(crate) fn start(room: usize) -> Result<(Arc<Self>, JoinHandle<()>), StoreError> {
        let handles = Arc::new(Self {
            room,
            held: RwLock::default(),
            opened: Mutex::default(),
            stopping: Mutex::new(false),
            stop: Condvar::new(),
        });
        let keeping = Arc::clone(&handles);
        let thread = std::thread::Builder::new()
            .name("beneath-handles".to_owned())
            .spawn(move || keeping.keep())
            .map_err(|_| StoreError::unreachable())?;
        Ok((handles, thread))
    }

    /// The entry's file, if it is held and its name still leads to it.
    pub(crate) fn open(&self, root: &Root, entry: &Entry) -> Option<File> {
        let held = sync::read(&self.held);
        let held = held.get(&entry.seq)?;
        let file = root.open_kept(&held.kept)?;
        if !held.used.load(Ordering::Relaxed) {
            held.used.store(true, Ordering::Relaxed);
        }
        Some(file)
    }

    /// The entry's file had to be opened.
    pub(crate) fn opened(&self, root: &Arc<Root>, entry: &Arc<Entry>) {
        if self.room == 0 {
            return;
        }
        let mut opened = lock(&self.opened);
        if let Some(opened) = opened.get_mut(&entry.seq) {
            opened.times += 1;
        } else if opened.len() < MAX_OPENED {
            let (root, entry) = (Arc::clone(root), Arc::clone(entry));
            opened.insert(
                entry.seq,
                Opened {
                    root,
                    entry,
                    times: 1,
                },
            );
        }
    }

    pub(crate) fn stop(&self) {
        *lock(&self.stopping) = true;
        self.stop.notify_all();
    }

    fn keep(&self) {
        let mut stopping = lock(&self.stopping);
        while !*stopping {
            drop(stopping);
            self.look();
            stopping = lock(&self.stopping);
            if *stopping {
                return;
            }
            stopping = match self.stop.wait_timeout(stopping, PAUSE) {
                Ok((guard, _)) => guard,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }

    /// Lets go of what leads nowhere any more, and of what nobody uses; keeps what was opened often.
    fn look(&self) {
        let opened = std::mem::take(&mut *lock(&self.opened));
        let mut often: Vec<Opened> = opened
            .into_values()
            .filter(|opened| opened.times >= OFTEN)
            .collect();
        often.sort_unstable_by_key(|opened| std::cmp::Reverse(opened.times));
        let gone: Vec<EntrySeq> = {
            let held = sync::read(&self.held);
            let leads_nowhere = |held: &Held| {
                held.root.review(&held.kept);
                held.root.open_kept(&held.kept).is_none()
            };
            let gone = held.iter().filter(|(_, held)| leads_nowhere(held));
            gone.map(|(seq, _)| *seq).collect()
        };
        // Closed without the lock.
        let mut dropped = Vec::new();
        let (mut descriptors, mut bytes) = {
            let mut held = sync::write(&self.held);
            dropped.extend(gone.iter().filter_map(|seq| held.remove(seq)));
            for held in held.values_mut() {
                held.idle = if *held.used.get_mut() { 0 } else { held.idle + 1 };
                *held.used.get_mut() = false;
            }
            // Whoever waits for room takes it from those that were not used since the last look.
            let idle = if often.is_empty() { MAX_IDLE } else { 1 };
            dropped.extend(held.extract_if(|_, held| held.idle >= idle).map(|(_, held)| held));
            let each = held.values().map(|held| &held.kept);
            each.fold((0, 0), |(descriptors, bytes), kept| {
                (descriptors + kept.descriptors(), bytes + kept.remembers())
            })
        };
        drop(dropped);
        for Opened { root, entry, .. } in often {
            let Ok(mut kept) = root.keep(entry.path()) else {
                continue;
            };
            if bytes + kept.remembers() > MAX_BYTES {
                kept = kept.without_content();
            }
            descriptors += kept.descriptors();
            bytes += kept.remembers();
            if descriptors > self.room {
                break;
            }
            let held = Held {
                root,
                kept,
                used: AtomicBool::new(true),
                idle: 0,
            };
            let before = sync::write(&self.held).insert(entry.seq, held);
            drop(before);
        }
    }
}

const PAUSE: Duration = Duration::from_millis(500);
/// As many opens between two looks are often.
const OFTEN: u32 = 3;
/// How many files are counted between two looks.
const MAX_OPENED: usize = 1 << 14;
/// How much content is remembered.
const MAX_BYTES: usize = 32 * 1024 * 1024;
/// A minute of looks.
const MAX_IDLE: u32 = 120;
