//! [`Feed`]: carries revocations to the leases that live, and the right to decide from memory to this process.
//!
//! One thread asks the store a hundred times a second, and ten times while nobody downloads and nothing is changed (more often if the
//! bound is very short); whoever changes something in this process asks at once. What changed is judged again, and cut where its
//! ground has fallen. While the store answers, the process may decide from memory until the bound after the last question; when it
//! does not answer, that right lapses by itself, and with it every lease (Gray and Cheriton, SOSP 1989).

pub(crate) mod content;
pub(crate) mod memory;
pub(crate) mod registry;

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU64, AtomicUsize};
use std::sync::{Arc, MutexGuard, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::complaint::Complaint;
use crate::entry::EntrySeq;
use crate::lease::Decision;
use crate::refusal::{Reason, Refusal};
use crate::stop::Stop;
use crate::store::decide::{self, Ground};
use crate::store::{Attached, Millis, Revision, Store, StoreError, links, lock, servers};
use crate::trail::{Event, Object, Sent, Why};
use content::{Pinned, Watched};
use memory::Memory;
use registry::Registry;
use sync::{Mutex, Ordering};

/// What keeps the leases of one process true.
pub(crate) struct Feed {
    pub(crate) registry: Registry<Memory, Right>,
    server: servers::ServerId,
    /// Its own, so that it never waits for whoever else asks.
    connection: Mutex<Attached>,
    store: Arc<Store>,
    bound: Duration,
    started: Instant,
    /// How many transfers over links this process has under way.
    pub(crate) link_transfers: AtomicUsize,
    /// Nanoseconds after `started` until which this process may rely on what it knows.
    valid_until: AtomicU64,
    passed: Mutex<Passed>,
    /// Whether anybody asked for a decision since it was looked.
    used: AtomicBool,
    stop: Stop,
}

struct Passed {
    revision: Revision,
    acknowledged: Revision,
}

/// The right of one lease to go on: what it rests on, and whether that has fallen. And what was sent over it, which is
/// counted in the same place.
pub(crate) struct Right {
    pub(crate) decision: Decision,
    pub(crate) revision: Revision,
    /// Where it was asked for from.
    pub(crate) address: Option<IpAddr>,
    pub(crate) sent: AtomicU64,
    pub(crate) complete: AtomicBool,
    /// Whether its record in the trail is written, or its transfer has ended: which came first.
    recorded: AtomicU8,
    fallen: AtomicBool,
    why_fallen: OnceLock<Reason>,
    on_fall: Mutex<Option<OnFall>>,
    /// In milliseconds since 1970.
    until: AtomicI64,
    /// `until` on the clock that nobody sets, in nanoseconds after the feed started.
    deadline: AtomicU64,
    /// If the content is pinned.
    pinned: Option<Pinned>,
}

/// What whoever sends wants to be told.
pub(crate) type OnFall = Box<dyn FnOnce() + Send>;

/// What a number of changes touched.
#[derive(Default)]
pub(crate) struct Touched {
    everything: bool,
    users: HashSet<i64>,
    entries: HashSet<i64>,
    tokens: HashSet<i64>,
    links: HashSet<i64>,
}

impl Feed {
    /// Registers this process among those that serve, and starts to watch.
    pub(crate) fn start(
        store: &Arc<Store>,
        bound: Duration,
        remembered: usize,
    ) -> Result<(Arc<Self>, JoinHandle<()>), StoreError> {
        let server = servers::ServerId::random()?;
        let connection = store.connection()?;
        // An acknowledgement need not survive a power failure, so it does not wait for the disk.
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.busy_timeout(bound / 8)?;
        let revision = servers::register(&connection, &server, bound)?;
        let feed = Arc::new(Self {
            registry: Registry::new(revision.as_u64(), Memory::new(remembered)),
            server,
            connection: Mutex::new(connection),
            store: Arc::clone(store),
            bound,
            started: Instant::now(),
            link_transfers: AtomicUsize::new(0),
            valid_until: AtomicU64::new(0),
            passed: Mutex::new(Passed {
                revision,
                acknowledged: revision,
            }),
            used: AtomicBool::new(false),
            stop: Stop::default(),
        });
        feed.poll()?;
        let (store, server) = (Arc::clone(store), feed.server);
        // Waits for others, so it has a thread of its own; if it fails, what the dead sent lapses in a minute.
        let recover = move || drop(links::recover(&store, &server));
        let _ = std::thread::Builder::new()
            .name("beneath-links".to_owned())
            .spawn(recover);
        let watching = Arc::clone(&feed);
        let thread = std::thread::Builder::new()
            .name("beneath-feed".to_owned())
            .spawn(move || watching.watch())
            .map_err(StoreError::unreachable)?;
        Ok((feed, thread))
    }

    /// Asks the store what changed, and passes it. When this returns `Ok`, every lease of this process rests on the
    /// revision returned or a newer one.
    pub(crate) fn poll(&self) -> Result<Revision, StoreError> {
        self.ask(lock(&self.passed))
    }

    fn ask(&self, mut passed: MutexGuard<'_, Passed>) -> Result<Revision, StoreError> {
        self.store.look().inspect_err(|_| self.end(Reason::Store))?;
        // Counted from before the question, so that it is over before whoever changes something gives up waiting for this process.
        let until = self.until();
        let registered = {
            let connection = lock(&self.connection);
            match servers::look(&connection, &self.server)? {
                (revision, registered) if revision == passed.revision => {
                    self.lapse();
                    registered
                }
                _ => {
                    let snapshot = connection.unchecked_transaction()?;
                    self.pass(&snapshot, &mut passed.revision)?;
                    servers::look(&snapshot, &self.server)?.1
                }
            }
        };
        if registered {
            self.valid_until.fetch_max(until, Ordering::SeqCst);
        }
        self.acknowledge(&mut passed, registered);
        Ok(passed.revision)
    }

    /// Whoever was answered by the store at `revision` is not contradicted by this process's memory afterwards.
    pub(crate) fn catch_up(&self, revision: Revision) -> Result<(), StoreError> {
        if self.registry.finished() < revision.as_u64() {
            let passed = lock(&self.passed);
            // Of many who wait one asks.
            if passed.revision < revision {
                self.ask(passed)?;
            }
        }
        Ok(())
    }

    fn pass(&self, snapshot: &Connection, passed: &mut Revision) -> Result<(), StoreError> {
        let (revision, now) = (crate::store::revision(snapshot)?, Millis::now());
        let touched = Touched::since(snapshot, *passed)?;
        self.registry.pass(
            revision.as_u64(),
            |memory| memory.forget(&touched),
            |right| self.judge(snapshot, right, &touched, now),
        )?;
        *passed = revision;
        Ok(())
    }

    /// What ends by itself, without a change.
    fn lapse(&self) {
        let now = Millis::now();
        let lapsing = self.registry.live(Right::expires);
        lapsing.iter().for_each(|right| right.lapse(now));
    }

    fn judge(
        &self,
        snapshot: &Connection,
        right: &Right,
        touched: &Touched,
        now: Millis,
    ) -> Result<(), StoreError> {
        right.lapse(now);
        let decision = &right.decision;
        if !touched.ground(&decision.ground) && !touched.entry(decision.entry.seq) {
            return Ok(());
        }
        let entry = (&decision.entry.id, decision.entry.seq);
        match decide::still(snapshot, &decision.ground, entry, now)? {
            Ok(permit) => right.prolong(permit.until(), self.deadline(permit.until(), now)),
            Err(refusal) => right.fall(refusal.reason()),
        }
        Ok(())
    }

    /// Tells whoever waits for it that this process has taken note. If the store is busy, the next time.
    fn acknowledge(&self, passed: &mut Passed, registered: bool) {
        if registered && passed.acknowledged == passed.revision {
            return;
        }
        let told = servers::acknowledge(&lock(&self.connection), &self.server, passed.revision, self.bound);
        if told.is_ok() {
            passed.acknowledged = passed.revision;
        }
    }

    /// Somebody asks for a decision.
    pub(crate) fn note_use(&self) {
        // Read first: what many threads write to, all of them wait for.
        if !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
        }
    }

    /// Whoever changes something elsewhere waits for it.
    fn pause(&self, longest: Duration) -> Duration {
        (self.bound / 8).clamp(Duration::from_millis(2), longest)
    }

    fn watch(self: &Arc<Self>) {
        let watched = Watched::default();
        let mut renewed = Instant::now();
        let mut complaint = Complaint::new("the catalog cannot be asked, and nothing is served without it");
        let (mut revision, mut used) = (self.revision(), Instant::now());
        self.stop.repeat(|| {
            let asked = self.poll();
            complaint.note(&asked, "the catalog can be asked again");
            // What is valid lapses by itself; that wakes nobody who waits for a client.
            if asked.is_err() && !self.is_current() {
                self.end(Reason::Store);
            }
            watched.watch(self);
            if renewed.elapsed() > RENEW_LINKS && self.link_transfers.load(Ordering::Relaxed) > 0 {
                renewed = Instant::now();
                // If the store is busy, the next time: there is time for three.
                let _ = links::renew(&lock(&self.connection), &self.server);
            }
            let was = std::mem::replace(&mut revision, self.revision());
            if self.used.swap(false, Ordering::Relaxed) || self.registry.has_live() || revision != was {
                used = Instant::now();
            }
            self.pause(match used.elapsed() < IDLE_AFTER {
                true => IN_USE,
                false => IDLE,
            })
        });
    }

    /// No more leases, and no change need wait for this process any more.
    pub(crate) fn stop(&self) {
        self.stop.ask();
        self.end(Reason::Stopped);
        // If this fails, the next change that waits for it in vain removes it.
        let _ = servers::remove(&lock(&self.connection), &self.server);
    }

    /// Every lease there is falls, and nothing is decided from memory.
    fn end(&self, why: Reason) {
        self.valid_until.store(0, Ordering::SeqCst);
        for right in self.registry.live(|_| true) {
            right.fall(why);
        }
    }

    /// Whether this process may rely on what it knows, or the store was silent for too long.
    pub(crate) fn is_current(&self) -> bool {
        self.now() < self.valid_until.load(Ordering::SeqCst)
    }

    /// Whether `right` still holds, by everything that can be known without asking.
    pub(crate) fn holds(&self, right: &Right) -> bool {
        let now = self.now();
        !right.fallen.load(Ordering::SeqCst)
            && now < right.deadline.load(Ordering::Relaxed)
            && right.is_seen(now)
            && now < self.valid_until.load(Ordering::SeqCst)
    }

    /// Why `right` does not hold.
    pub(crate) fn why_not(&self, right: &Right) -> Reason {
        if self.now() >= right.deadline.load(Ordering::Relaxed) {
            Reason::Expired
        } else if !right.is_seen(self.now()) {
            Reason::NotSeen
        } else {
            Reason::Store
        }
    }

    /// When `until` comes by a clock that nobody sets, in nanoseconds after the feed started.
    pub(crate) fn deadline(&self, until: Option<Millis>, now: Millis) -> u64 {
        match until {
            None => u64::MAX,
            Some(until) => self.now().saturating_add(nanoseconds(until.since(now))),
        }
    }

    /// Until when counts what is seen now, by the same clock.
    fn until(&self) -> u64 {
        self.now().saturating_add(nanoseconds(self.bound))
    }

    pub(crate) fn now(&self) -> u64 {
        nanoseconds(self.started.elapsed())
    }

    /// The revision that was passed last.
    pub(crate) fn revision(&self) -> u64 {
        self.registry.finished()
    }

    pub(crate) const fn server(&self) -> &servers::ServerId {
        &self.server
    }
}

impl Right {
    pub(crate) fn new(
        decision: Decision,
        revision: Revision,
        address: Option<IpAddr>,
        pinned: Option<Pinned>,
    ) -> Self {
        Self {
            revision,
            address,
            sent: AtomicU64::new(0),
            complete: AtomicBool::new(false),
            recorded: AtomicU8::new(NEITHER),
            fallen: AtomicBool::new(false),
            why_fallen: OnceLock::new(),
            on_fall: Mutex::new(None),
            until: AtomicI64::new(decision.until.map_or(i64::MAX, |until| until.0)),
            deadline: AtomicU64::new(decision.deadline),
            pinned,
            decision,
        }
    }

    /// For the trail: that it was given, and what was sent over it if that is known when it is written.
    pub(crate) fn given(right: &Arc<Self>) -> Event {
        Event {
            reason: None,
            ..right.event("open", "allowed", Sent::SoFar(Arc::clone(right)))
        }
    }

    pub(crate) fn event(&self, event: &'static str, outcome: &'static str, sent: Sent) -> Event {
        Event {
            at: Millis::now(),
            actor: self.decision.actor(),
            event,
            object: Object::File(self.decision.entry.id),
            revision: self.revision.as_u64(),
            outcome,
            reason: self.why_fallen().map(Why::Refused),
            sent,
            address: self.address,
        }
    }

    pub(crate) fn has_fallen(&self) -> bool {
        self.fallen.load(Ordering::SeqCst)
    }

    /// For ever: there is no way back. Of several reasons the first counts.
    pub(crate) fn fall(&self, why: Reason) {
        let _ = self.why_fallen.set(why);
        self.fallen.store(true, Ordering::SeqCst);
        // Taken before it is called, without the lock.
        let call = lock(&self.on_fall).take();
        if let Some(call) = call {
            call();
        }
    }

    pub(crate) fn on_fall(&self, call: OnFall) {
        *lock(&self.on_fall) = Some(call);
        if self.has_fallen() {
            let call = lock(&self.on_fall).take();
            call.into_iter().for_each(|call| call());
        }
    }

    pub(crate) fn forget_on_fall(&self) {
        *lock(&self.on_fall) = None;
    }

    pub(crate) fn why_fallen(&self) -> Option<Reason> {
        self.why_fallen.get().copied()
    }

    /// The transfer is over. Whether the record that it began was written before.
    pub(crate) fn end(&self) -> bool {
        self.recorded.swap(ENDED, Ordering::AcqRel) == WRITTEN
    }

    /// The record that the transfer began is being written. How many bytes it was, if it is over and no other record
    /// says so.
    pub(crate) fn written(&self) -> Option<u64> {
        let before = self
            .recorded
            .compare_exchange(NEITHER, WRITTEN, Ordering::AcqRel, Ordering::Acquire);
        let sent = self.sent.load(Ordering::Relaxed);
        let is_whole = sent == 0 || self.complete.load(Ordering::Relaxed);
        (before == Err(ENDED) && is_whole).then_some(sent)
    }

    fn expires(&self) -> bool {
        self.until.load(Ordering::Relaxed) < i64::MAX
    }

    /// What ends without any write to the store.
    fn lapse(&self, now: Millis) {
        if self.until.load(Ordering::Relaxed) <= now.0 {
            self.fall(Reason::Expired);
        }
    }

    /// Whether what was seen of its content still counts at `now`, if that is pinned.
    fn is_seen(&self, now: u64) -> bool {
        self.pinned.as_ref().is_none_or(|pinned| pinned.is_seen(now))
    }

    fn prolong(&self, until: Option<Millis>, deadline: u64) {
        self.until
            .store(until.map_or(i64::MAX, |until| until.0), Ordering::Relaxed);
        self.deadline.store(deadline, Ordering::Relaxed);
    }
}

impl Touched {
    fn since(snapshot: &Connection, passed: Revision) -> Result<Self, StoreError> {
        let mut touched = Self::default();
        let oldest: i64 = crate::store::statement(snapshot, "SELECT min(revision) FROM changes")?
            .query_row([], |row| row.get(0))?;
        let newest = crate::store::revision(snapshot)?;
        // Some were forgotten already; or the file is another one, restored from an older copy.
        touched.everything = oldest.unsigned_abs() > passed.as_u64() + 1 || newest < passed;
        let sql = "SELECT scope, object FROM changes WHERE revision > ?1";
        let mut changes = crate::store::statement(snapshot, sql)?;
        let mut changes = changes.query([passed.as_u64()])?;
        while let Some(change) = changes.next()? {
            let object: Option<i64> = change.get(1)?;
            match (change.get_ref(0)?.as_str().unwrap_or_default(), object) {
                ("user", Some(user)) => touched.users.insert(user),
                ("entry", Some(entry)) => touched.entries.insert(entry),
                ("token", Some(token)) => touched.tokens.insert(token),
                ("link", Some(link)) => touched.links.insert(link),
                _ => {
                    touched.everything = true;
                    continue;
                }
            };
        }
        Ok(touched)
    }

    fn ground(&self, ground: &Ground) -> bool {
        self.everything
            || match ground {
                Ground::User { user, token, .. } => {
                    self.users.contains(&user.0) || token.is_some_and(|token| self.tokens.contains(&token.0))
                }
                Ground::Link { link, creator } => {
                    self.links.contains(link) || creator.is_some_and(|user| self.users.contains(&user.0))
                }
            }
    }

    fn entry(&self, entry: EntrySeq) -> bool {
        self.everything || self.entries.contains(&entry.0)
    }
}

/// States of [`Right::recorded`].
const NEITHER: u8 = 0;
const WRITTEN: u8 = 1;
const ENDED: u8 = 2;

/// How often the store is asked: each time some tens of microseconds, and a wake-up of the machine.
const IN_USE: Duration = Duration::from_millis(10);
const IDLE: Duration = Duration::from_millis(100);
/// How long nothing is under way, asked for or changed before that.
const IDLE_AFTER: Duration = Duration::from_secs(1);

const RENEW_LINKS: Duration = Duration::from_secs(15);

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl From<registry::Overtaken> for Refusal {
    fn from(_: registry::Overtaken) -> Self {
        Self::busy(Reason::Overtaken)
    }
}

/// What [`registry`] synchronises with. `tests/loom.rs` has a module of the same name, with loom's types.
pub(crate) mod sync {
    pub(crate) use std::sync::atomic::{AtomicU64, Ordering};
    pub(crate) use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

    pub(crate) use crate::store::lock;

    pub(crate) fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
        lock.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
        lock.write().unwrap_or_else(PoisonError::into_inner)
    }
}
