//! [`Handles`]: files that stay open, because they are asked for again and again.
//!
//! Nothing is decided here, nor is anything opened that was not decided: this saves the opening, and only where
//! [`Root::open_kept`] says that it would open the same file. What is asked for often is kept, and let go, by a thread of its
//! own, twice a second. Where descriptors run short, all of it is let go.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use beneath::{File, Kept, Root};
use foldhash::fast::RandomState;

use crate::entry::{Entry, EntrySeq};
use crate::revocation::sync;
use crate::stop::Stop;
use crate::store::{StoreError, lock};

pub(crate) struct Handles {
    /// How many descriptors may be held.
    room: usize,
    held: RwLock<Map<Arc<Held>>>,
    /// What had to be opened since the last look.
    opened: Mutex<Map<Opened>>,
    /// Descriptors ran short: nothing is kept for a while.
    short: AtomicBool,
    stop: Stop,
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
            stop: Stop::default(),
        });
        let keeping = Arc::clone(&handles);
        let thread = std::thread::Builder::new()
            .name("beneath-handles".to_owned())
            .spawn(move || keeping.keep())
            .map_err(StoreError::unreachable)?;
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
        self.stop.ask();
    }

    /// Forgets what a root held that is a root no more.
    pub(crate) fn forget(&self, root: &Arc<Root>) {
        let mut held = sync::write(&self.held);
        let of_it: Vec<_> = held.extract_if(|_, held| Arc::ptr_eq(&held.root, root)).collect();
        drop(held);
        drop(of_it);
    }

    fn keep(&self) {
        let (mut rest, mut to_review) = (0, Vec::new());
        self.stop.repeat(|| {
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
            self.review(&mut to_review);
            let room = self.make_room(often.iter().map(Opened::descriptors).sum());
            self.keep_open(often, room);
            PAUSE
        });
    }

    /// What was opened often since it was asked last, the most often first.
    fn take_often(&self) -> Vec<Opened> {
        let opened = std::mem::take(&mut *lock(&self.opened));
        let often = opened.into_values().filter(|opened| opened.times >= OFTEN);
        let mut often: Vec<Opened> = often.collect();
        often.sort_unstable_by_key(|opened| std::cmp::Reverse(opened.times));
        often
    }

    /// Lets go of what leads nowhere any more, looking at some of them each time, all in turn.
    fn review(&self, turn: &mut Vec<EntrySeq>) {
        if turn.is_empty() {
            turn.extend(sync::read(&self.held).keys());
        }
        let some = turn.split_off(turn.len().saturating_sub(REVIEWED_AT_ONCE));
        for few in some.chunks(A_FEW) {
            if self.is_to_stop() {
                return;
            }
            std::thread::yield_now();
            let few: Vec<_> = {
                let held = sync::read(&self.held);
                let few = few
                    .iter()
                    .filter_map(|seq| Some((*seq, Arc::clone(held.get(seq)?))));
                few.collect()
            };
            for (seq, held) in few {
                held.root.review(&held.kept);
                if held.root.open_kept(&held.kept).is_none() {
                    let gone = sync::write(&self.held).remove(&seq);
                    drop(gone);
                }
            }
        }
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
        for (at, opened) in often.into_iter().enumerate() {
            if at.is_multiple_of(A_FEW) {
                std::thread::yield_now();
            }
            if self.is_to_stop() {
                return;
            }
            if opened.descriptors() > room.descriptors {
                continue;
            }
            let Opened { root, entry, .. } = opened;
            let Ok(mut kept) = root.keep(entry.path()) else {
                continue;
            };
            if kept.remembers() > room.bytes {
                kept = kept.without_content();
            }
            room.take(&kept);
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

    /// Somebody waits for this thread, or for descriptors.
    fn is_to_stop(&self) -> bool {
        self.stop.is_asked() || self.short.load(Ordering::Relaxed)
    }
}

impl Opened {
    /// How many it would take to keep it open.
    fn descriptors(&self) -> usize {
        self.entry.path().components().count()
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

/// For how much more there is room.
struct Room {
    descriptors: usize,
    bytes: usize,
}

impl Room {
    fn take(&mut self, kept: &Kept) {
        self.bytes = self.bytes.saturating_sub(kept.remembers());
        self.descriptors = self.descriptors.saturating_sub(kept.descriptors());
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
/// So many files take some ten to a hundred microseconds; then downloads go first.
const A_FEW: usize = 16;
/// Some three milliseconds.
const REVIEWED_AT_ONCE: usize = 2048;
/// Some hundred microseconds.
const LET_GO_AT_ONCE: u32 = 256;
/// For how many looks nothing is kept after descriptors ran short.
const REST: u32 = 20;
