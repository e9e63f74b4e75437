//! [`Handles`]: files that stay open, because they are asked for again and again.
//!
//! Nothing is decided here, nor is anything opened that was not decided: this saves the opening, and only where
//! [`Root::open_kept`] says that it would open the same file. What is asked for often is kept, and let go, by a thread of its
//! own, twice a second. Where descriptors run short, all of it is let go at once.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
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
    held: RwLock<Map<Arc<Held>>>,
    /// What had to be opened since the last look.
    opened: Mutex<Map<Opened>>,
    /// Descriptors ran short: nothing is kept for a while.
    short: AtomicBool,
    stopping: Mutex<bool>,
    stop: Condvar,
}

type Map<V> = HashMap<EntrySeq, V, RandomState>;

struct Held {
    root: Arc<Root>,
    kept: Kept,
    used: AtomicBool,
    /// Looks since it was used last.
    idle: AtomicU32,
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
            short: AtomicBool::new(false),
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

    /// Closes some of it at once, and all of it soon, because descriptors ran short.
    pub(crate) fn let_go(&self) {
        self.short.store(true, Ordering::Relaxed);
        let mut held = sync::write(&self.held);
        let mut count = 0..LET_GO_AT_ONCE;
        let some: Vec<_> = held.extract_if(|_, _| count.next().is_some()).collect();
        drop(held);
        drop(some);
    }

    pub(crate) fn stop(&self) {
        *lock(&self.stopping) = true;
        self.stop.notify_all();
    }

    fn keep(&self) {
        let (mut rest, mut turn) = (0, 0);
        let mut stopping = lock(&self.stopping);
        while !*stopping {
            drop(stopping);
            if self.short.swap(false, Ordering::Relaxed) {
                rest = REST;
            }
            let mut often = self.take_often();
            if rest > 0 {
                rest -= 1;
                often.clear();
                let held = std::mem::take(&mut *sync::write(&self.held));
                drop(held);
            }
            self.review(&mut turn);
            let room = self.make_room(often.len());
            self.keep_open(often, room);
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

    /// What was opened often since it was asked last, the most often first.
    fn take_often(&self) -> Vec<Opened> {
        let opened = std::mem::take(&mut *lock(&self.opened));
        let often = opened.into_values().filter(|opened| opened.times >= OFTEN);
        let mut often: Vec<Opened> = often.collect();
        often.sort_unstable_by_key(|opened| std::cmp::Reverse(opened.times));
        often
    }

    /// Lets go of what leads nowhere any more, looking at some of them each time, in turn.
    fn review(&self, turn: &mut usize) {
        let mut some: Vec<(EntrySeq, Arc<Held>)> = {
            let held = sync::read(&self.held);
            if *turn >= held.len() {
                *turn = 0;
            }
            let some = held.iter().skip(*turn).take(REVIEWED_AT_ONCE);
            some.map(|(seq, held)| (*seq, Arc::clone(held))).collect()
        };
        *turn += some.len();
        for (at, (_, held)) in some.iter().enumerate() {
            give_way(at);
            held.root.review(&held.kept);
        }
        some.retain(|(_, held)| held.root.open_kept(&held.kept).is_none());
        let mut held = sync::write(&self.held);
        let gone: Vec<_> = some.iter().filter_map(|(seq, _)| held.remove(seq)).collect();
        drop(held);
        drop(gone);
    }

    /// Lets go of what nobody uses, sooner if there is no room for `wanted` more. What room is left then.
    fn make_room(&self, wanted: usize) -> Room {
        let mut held = sync::write(&self.held);
        let mut gone: Vec<_> = held.extract_if(|_, held| held.look() >= MAX_IDLE).collect();
        let mut room = Room {
            descriptors: self.room,
            bytes: MAX_BYTES,
        };
        for held in held.values() {
            room.take(&held.kept);
        }
        let mut missing = wanted.saturating_sub(room.descriptors);
        if missing > 0 {
            gone.extend(held.extract_if(|_, held| {
                let goes = missing > 0 && held.idle.load(Ordering::Relaxed) >= SOME_IDLE;
                if goes {
                    missing = missing.saturating_sub(held.kept.descriptors());
                    room.give_back(&held.kept);
                }
                goes
            }));
        }
        drop(held);
        drop(gone);
        room
    }

    fn keep_open(&self, often: Vec<Opened>, mut room: Room) {
        for (at, Opened { root, entry, .. }) in often.into_iter().enumerate() {
            give_way(at);
            let Ok(mut kept) = root.keep(entry.path()) else {
                continue;
            };
            if kept.remembers() > room.bytes {
                kept = kept.without_content();
            }
            if room.take(&kept).is_none() || self.short.load(Ordering::Relaxed) {
                return;
            }
            let held = Held {
                root,
                kept,
                used: AtomicBool::new(true),
                idle: AtomicU32::new(0),
            };
            let before = sync::write(&self.held).insert(entry.seq, Arc::new(held));
            drop(before);
        }
    }
}

impl Held {
    /// For how many looks nobody has used it.
    fn look(&self) -> u32 {
        let idle = match self.used.swap(false, Ordering::Relaxed) {
            true => 0,
            false => self.idle.load(Ordering::Relaxed) + 1,
        };
        self.idle.store(idle, Ordering::Relaxed);
        idle
    }
}

/// Lets downloads go first, every few files: some hundred microseconds.
fn give_way(at: usize) {
    if at.is_multiple_of(16) {
        std::thread::yield_now();
    }
}

/// For how much more there is room.
struct Room {
    descriptors: usize,
    bytes: usize,
}

impl Room {
    fn take(&mut self, kept: &Kept) -> Option<()> {
        self.bytes = self.bytes.saturating_sub(kept.remembers());
        self.descriptors = self.descriptors.checked_sub(kept.descriptors())?;
        Some(())
    }

    fn give_back(&mut self, kept: &Kept) {
        self.bytes += kept.remembers();
        self.descriptors += kept.descriptors();
    }
}

const PAUSE: Duration = Duration::from_millis(500);
/// As many opens between two looks are often.
const OFTEN: u32 = 3;
/// How many files are counted between two looks.
const MAX_OPENED: usize = 1 << 14;
/// How much content is remembered.
const MAX_BYTES: usize = 64 * 1024 * 1024;
/// A minute of looks.
const MAX_IDLE: u32 = 120;
/// After so many looks without use it makes room for others.
const SOME_IDLE: u32 = 4;
/// Some three milliseconds.
const REVIEWED_AT_ONCE: usize = 2048;
/// Some hundred microseconds.
const LET_GO_AT_ONCE: u32 = 256;
/// For how many looks nothing is kept after descriptors ran short.
const REST: u32 = 20;
