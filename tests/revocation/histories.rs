//! Histories of one right that is taken and given while others download, recorded at the clients and checked.
//! `BENEATH_HTTP_HISTORIES` sets how many (30 by default).

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use beneath_tests::http::Connection;

use crate::checker::{Held, History, Operation, Violation, What};
use crate::download::Download;
use crate::scene::{By, Kind, Scene, request};
use crate::times;

const KINDS: [Kind; 4] = [Kind::Grant, Kind::Group, Kind::User, Kind::Publication];
const BY: [By; 3] = [By::Api, By::CommandLine, By::Library];
const READERS: usize = 3;
const BOUND: Duration = Duration::from_millis(200);

/// When a change is said to have been made.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Said {
    /// When it had returned.
    AfterIt,
    /// A fault, to be caught.
    BeforeIt,
}

#[test]
fn no_download_is_overtaken_whoever_makes_the_change() {
    let scene = Scene::new(BOUND);
    let (mut operations, mut pieces) = (0, 0);
    let count = times("BENEATH_HTTP_HISTORIES", 30);
    for number in 0..count {
        let by = BY[number / KINDS.len() % BY.len()];
        let kind = if number % 25 == 24 {
            Kind::Password
        } else {
            KINDS[number % KINDS.len()]
        };
        let history = record(&scene, kind, by, Said::AfterIt);
        operations += history.threads.iter().map(Vec::len).sum::<usize>();
        pieces += history.held.len();
        if let Err(violation) = history.check(BOUND) {
            panic!("history {number} ({kind:?} by {by:?}): {violation:?}\n{history:#?}");
        }
    }
    println!("{count} histories, {operations} operations checked, {pieces} pieces of downloads under way");
}

#[test]
fn a_change_that_is_said_to_be_made_before_it_is_is_caught() {
    let scene = Scene::new(BOUND);
    for number in 0..50 {
        let history = record(&scene, Kind::Grant, BY[number % BY.len()], Said::BeforeIt);
        if history.check(BOUND) == Err(Violation::NotLinearizable) {
            return println!("caught in history {number}");
        }
    }
    panic!("50 histories of a service that says too early what is done went through");
}

/// Readers ask for one byte again and again, another downloads all there is, and the right is taken and given.
fn record(scene: &Scene, kind: Kind, by: By, said: Said) -> History {
    let id = scene.file(kind);
    let stop = AtomicBool::new(false);
    let asked = AtomicUsize::new(0);
    let acts: &[What] = match kind {
        Kind::Publication => &[What::Take],
        _ => &[What::Take, What::Give],
    };
    let mut history = History::new();
    thread::scope(|scope| {
        let readers: Vec<_> = (0..READERS)
            .map(|_| scope.spawn(|| read(scene, &id, &stop, &asked)))
            .collect();
        let download = Download::start(scene.service.address(), &id);
        let opened = Instant::now();
        let long = scope.spawn(move || follow(download, opened));
        let wait = |more: usize| {
            let before = asked.load(Ordering::SeqCst);
            while asked.load(Ordering::SeqCst) < before + more {
                thread::sleep(Duration::from_micros(100));
            }
        };
        wait(READERS);
        let mut changes = Vec::new();
        for what in acts {
            let invoked = Instant::now();
            let act = || scene.act(kind, by, &id, *what == What::Take);
            let returned = match said {
                Said::AfterIt => {
                    act();
                    Instant::now()
                }
                Said::BeforeIt => {
                    let returned = Instant::now();
                    wait(2 * READERS);
                    act();
                    returned
                }
            };
            changes.push(Operation {
                invoked,
                returned,
                what: *what,
            });
            // Something has to be asked after it.
            wait(2 * READERS);
        }
        stop.store(true, Ordering::SeqCst);
        history.threads.push(changes);
        for reader in readers {
            history.threads.push(reader.join().unwrap());
        }
        history.held = long.join().unwrap();
    });
    history
}

fn read(scene: &Scene, id: &str, stop: &AtomicBool, asked: &AtomicUsize) -> Vec<Operation> {
    let mut connection = Connection::open(scene.service.address());
    let request = request(id, "Range: bytes=0-0\r\n");
    let mut operations = Vec::new();
    while !stop.load(Ordering::SeqCst) {
        let invoked = Instant::now();
        asked.fetch_add(1, Ordering::SeqCst);
        // Cut between the head and the byte: no byte came, and no "no" either.
        let Some(answer) = connection.ask_unless_cut(&request) else {
            continue;
        };
        let given = match answer.status {
            206 => true,
            401 | 404 => false,
            other => panic!("{other} is no answer about the right"),
        };
        assert!(!given || answer.body.len() == 1);
        operations.push(Operation {
            invoked,
            returned: Instant::now(),
            what: What::Open(given),
        });
        thread::sleep(Duration::from_micros(200));
    }
    operations
}

/// Whenever something came of a download that had begun before.
fn follow(mut download: Download, opened: Instant) -> Vec<Held> {
    let mut held = Vec::new();
    while let Some(asked) = download.more() {
        held.push(Held { opened, asked });
    }
    download.received();
    held
}
