//! Histories of one right that is taken and given while others open, recorded and checked.

use std::cell::RefCell;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use beneath::{Source as _, ambient_authority};
use beneath_catalog::{Catalog, FileId, Lease, Options, RefusalKind};

use crate::checker::{Held, History, Operation, Violation, What};
use crate::child::Administrator;
use crate::common::{PASSWORD, Place, basic, bound, group, password, publication, subject, user};
use crate::times;

/// What takes a right away, and gives it again.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Grant,
    Group,
    User,
    /// Slow, since passwords are hashed: one history in fifty.
    Password,
    /// Given once, by publishing; taken for good.
    Publication,
}

/// Who makes the change.
#[derive(Clone, Copy, Debug)]
enum By {
    /// The process that serves.
    Server,
    /// Another that uses the library.
    Library,
    /// The command line, so to speak.
    Process,
}

/// The catalog as readers see it. The faulty ones are made by seeding a fault here.
trait Readers: Sync {
    fn open(&self, server: &Catalog, id: &FileId, reader: usize) -> Option<Lease>;

    fn is_held(&self, lease: &Lease) -> bool {
        lease.still_held().is_ok()
    }

    /// Between the act and its return.
    fn settle(&self, act: &mut dyn FnMut()) {
        act();
    }
}

struct Sound;

impl Readers for Sound {
    fn open(&self, server: &Catalog, id: &FileId, _: usize) -> Option<Lease> {
        let credentials = basic("ann");
        let opened = server
            .try_open(&credentials, id)
            .map_or_else(|| server.open(&credentials, id), Ok);
        let refused = |kind| matches!(kind, RefusalKind::NotFound | RefusalKind::Unauthenticated);
        // Anything else would be no answer about the right.
        opened
            .inspect_err(|refusal| assert!(refused(refusal.kind()), "{refusal:?}"))
            .ok()
    }
}

/// Decides anew only where it has nothing to go by.
#[derive(Default)]
struct StaleCache(Mutex<Vec<(FileId, Lease)>>);

impl Readers for StaleCache {
    fn open(&self, server: &Catalog, id: &FileId, reader: usize) -> Option<Lease> {
        let opened = Sound.open(server, id, reader);
        let mut cache = self.0.lock().unwrap();
        match opened {
            Some(lease) if cache.len() < 100 => {
                cache.push((*id, lease));
                Sound.open(server, id, reader)
            }
            Some(lease) => Some(lease),
            None => cache.pop().map(|(_, lease)| lease),
        }
    }
}

/// Makes the change later than it says.
struct EarlyReturn;

impl Readers for EarlyReturn {
    fn open(&self, server: &Catalog, id: &FileId, reader: usize) -> Option<Lease> {
        Sound.open(server, id, reader)
    }

    fn settle(&self, _: &mut dyn FnMut()) {}
}

/// Asks once, and never again.
struct UncutLeases;

impl Readers for UncutLeases {
    fn open(&self, server: &Catalog, id: &FileId, reader: usize) -> Option<Lease> {
        Sound.open(server, id, reader)
    }

    fn is_held(&self, _: &Lease) -> bool {
        true
    }
}

struct Scene {
    place: Place,
    second: Catalog,
    library: Catalog,
    process: RefCell<Administrator>,
    granted: FileId,
    grouped: FileId,
    by_user: FileId,
}

impl Scene {
    fn new() -> Self {
        let place = Place::with(options());
        place.add_user("ann");
        drop(place.operator().add_group(&group("g")).unwrap());
        drop(place.operator().join_group(&group("g"), &user("ann")).unwrap());
        let granted = place.publish("a", &["user:ann"]);
        let grouped = place.publish("b", &["group:g"]);
        let by_user = place.publish("c", &["user:ann"]);
        let (second, library) = (place.another(options()), place.another(options()));
        // From now on both serve, and no password is hashed any more.
        drop(place.catalog.open(&basic("ann"), &granted).unwrap());
        drop(second.open(&basic("ann"), &granted).unwrap());
        let process = RefCell::new(Administrator::start(place.directory.path()));
        Self {
            place,
            second,
            library,
            process,
            granted,
            grouped,
            by_user,
        }
    }

    fn file(&self, kind: Kind) -> FileId {
        match kind {
            Kind::Grant => self.granted,
            Kind::Group => self.grouped,
            Kind::User | Kind::Password => self.by_user,
            Kind::Publication => {
                let publication = publication("a").to(subject("user:ann"), None);
                *self.place.operator().publish(&publication).unwrap().value().id()
            }
        }
    }

    fn act(&self, kind: Kind, by: By, id: &FileId, what: What) {
        let take = what == What::Take;
        let (ann, g) = (user("ann"), group("g"));
        let operator = match by {
            By::Server => self.place.operator(),
            By::Library => self.library.operator(ambient_authority()),
            By::Process => {
                let command = match (kind, take) {
                    (Kind::Grant, true) => format!("revoke {id} user:ann"),
                    (Kind::Grant, false) => format!("grant {id} user:ann"),
                    (Kind::Group, true) => "leave g ann".to_owned(),
                    (Kind::Group, false) => "join g ann".to_owned(),
                    (Kind::User, true) => "disable ann".to_owned(),
                    (Kind::User, false) => "enable ann".to_owned(),
                    (Kind::Password, true) => "password ann another".to_owned(),
                    (Kind::Password, false) => format!("password ann {PASSWORD}"),
                    (Kind::Publication, _) => format!("unpublish {id}"),
                };
                return self.process.borrow_mut().act(&command);
            }
        };
        let done = match (kind, take) {
            (Kind::Grant, true) => operator.revoke(id, &subject("user:ann")),
            (Kind::Grant, false) => operator.grant(id, &subject("user:ann"), None),
            (Kind::Group, true) => operator.leave_group(&g, &ann),
            (Kind::Group, false) => operator.join_group(&g, &ann),
            (Kind::User, true) => operator.disable_user(&ann),
            (Kind::User, false) => operator.enable_user(&ann),
            (Kind::Password, true) => operator.set_password(&ann, &password("another")),
            (Kind::Password, false) => operator.set_password(&ann, &password(PASSWORD)),
            (Kind::Publication, _) => operator.unpublish(id),
        };
        drop(done.unwrap());
    }

    /// Readers open all the time, on both servers, while the right is taken and given. One history for each server: while
    /// a change is on its way, one may refuse already what the other still gives.
    fn record(&self, readers: &dyn Readers, kind: Kind, by: By) -> [History; 2] {
        let id = self.file(kind);
        let stop = AtomicBool::new(false);
        let opened = AtomicUsize::new(0);
        let acts: &[What] = match kind {
            Kind::Publication => &[What::Take],
            _ => &[What::Take, What::Give],
        };
        let mut histories = [const { History::new() }; 2];
        let mut changes = Vec::new();
        std::thread::scope(|scope| {
            let servers = [&self.place.catalog, &self.second];
            let threads: Vec<_> = (0..READERS)
                .map(|number| {
                    let (stop, opened) = (&stop, &opened);
                    scope.spawn(move || read(readers, servers[number % 2], &id, number, stop, opened))
                })
                .collect();
            while opened.load(Ordering::SeqCst) < READERS {
                std::thread::yield_now();
            }
            let mut late = None;
            for what in acts {
                let invoked = Instant::now();
                let act = || self.act(kind, by, &id, *what);
                let mut deferred = true;
                readers.settle(&mut || {
                    act();
                    deferred = false;
                });
                changes.push(Operation {
                    invoked,
                    returned: Instant::now(),
                    what: *what,
                });
                if deferred {
                    late = Some(*what);
                }
                // Something has to be asked after it.
                let before = opened.load(Ordering::SeqCst);
                while opened.load(Ordering::SeqCst) < before + READERS {
                    std::thread::yield_now();
                }
                if let Some(what) = late.take() {
                    self.act(kind, by, &id, what);
                }
            }
            stop.store(true, Ordering::SeqCst);
            for (number, thread) in threads.into_iter().enumerate() {
                let (operations, held) = thread.join().unwrap();
                histories[number % 2].threads.push(operations);
                histories[number % 2].held.extend(held);
            }
        });
        for history in &mut histories {
            history.threads.push(changes.clone());
        }
        histories
    }
}

/// Opens until told to stop, and goes on asking the first lease whether it is held.
fn read(
    readers: &dyn Readers,
    server: &Catalog,
    id: &FileId,
    number: usize,
    stop: &AtomicBool,
    opened: &AtomicUsize,
) -> (Vec<Operation>, Vec<Held>) {
    let (mut operations, mut held) = (Vec::new(), Vec::new());
    let mut first: Option<(Instant, Lease)> = None;
    while !stop.load(Ordering::SeqCst) {
        let invoked = Instant::now();
        let lease = readers.open(server, id, number);
        let returned = Instant::now();
        operations.push(Operation {
            invoked,
            returned,
            what: What::Open(lease.is_some()),
        });
        if let Some((opened, lease)) = &first {
            let asked = Instant::now();
            if readers.is_held(lease) {
                held.push(Held {
                    opened: *opened,
                    asked,
                });
            }
        }
        first = first.or(lease.map(|lease| (returned, lease)));
        opened.fetch_add(1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_micros(50));
    }
    (operations, held)
}

const KINDS: [Kind; 4] = [Kind::Grant, Kind::Group, Kind::User, Kind::Publication];
const BY: [By; 3] = [By::Server, By::Library, By::Process];

/// Whoever is disabled tries again and again here, and is not to be told to wait.
fn options() -> Options {
    bound(BOUND)
        .failed_logins(1_000_000)
        .failed_logins_refill(Duration::from_secs(1))
}

/// Milliseconds. So short that some servers are late, and lose the right to decide from memory.
const BOUND: u64 = 40;

/// Two on each server.
const READERS: usize = 4;

pub fn of_the_catalog_are_linearizable() {
    let scene = Scene::new();
    let count = times("BENEATH_HISTORIES", 400) / 2;
    let (mut operations, mut held) = (0, 0);
    for number in 0..count {
        let by = BY[number / 4 % 3];
        let kind = if number % 50 == 49 {
            Kind::Password
        } else {
            KINDS[number % 4]
        };
        for history in scene.record(&Sound, kind, by) {
            operations += history.threads.iter().map(Vec::len).sum::<usize>();
            held += history.held.len();
            // Not the bound: who does not acknowledge is waited for.
            if let Err(violation) = history.check(Duration::ZERO) {
                panic!("history {number} ({kind:?} by {by:?}): {violation:?}\n{history:#?}");
            }
        }
    }
    println!(
        "{} histories, {operations} operations checked, {held} times a lease was held",
        2 * count
    );
}

/// What is found wrong in the histories of a faulty catalog.
fn caught(readers: &dyn Readers) -> Violation {
    let scene = Scene::new();
    for number in 0..200 {
        for history in scene.record(readers, Kind::Grant, BY[number % 3]) {
            if let Err(violation) = history.check(Duration::ZERO) {
                println!("caught in history {number}");
                return violation;
            }
        }
    }
    panic!("200 histories of a faulty catalog went through");
}

pub fn stale_cache_is_caught() {
    assert!(matches!(
        caught(&StaleCache::default()),
        Violation::NotLinearizable
    ));
}

pub fn early_return_is_caught() {
    assert!(matches!(caught(&EarlyReturn), Violation::NotLinearizable));
}

pub fn uncut_leases_are_caught() {
    assert!(matches!(caught(&UncutLeases), Violation::Outlived(_)));
}
