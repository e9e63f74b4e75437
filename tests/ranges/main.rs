//! Random ranges of files that are replaced meanwhile, over connections whose certificate is: no byte is lost, and no answer
//! has bytes of two versions. `BENEATH_RANGES=100000 cargo test --release -p beneath-tests --test ranges -- --nocapture` asks
//! that many times; without it, it is some fifteen seconds.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests build their own trees by name, and stop at the first surprise"
)]

mod clients;
mod versions;
mod visitor;

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use beneath_tests::{Beneathd, House, beneathd};
use clients::{Client, Trust};
use versions::Versions;
use visitor::Visitor;

/// `alice:secret`.
const ALICE: &str = "Basic YWxpY2U6c2VjcmV0";
const PATIENCE: Duration = Duration::from_secs(15);
/// A machine that has much else to do goes on until it has seen enough, and no longer than this.
const AT_MOST: Duration = Duration::from_secs(150);
/// After so many requests a client connects anew, and is shown whatever certificate there is by then.
const REQUESTS_PER_CONNECTION: u32 = 200;

/// Length, and how long each version stays: below two seconds entity tags are weak, above they become strong.
const FILES: [(u64, u64); 5] = [
    (900, 7),
    (20_000, 60),
    (300_000, 200),
    (5_000_000, 900),
    (200_000, 3500),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Transport {
    Plain,
    Tls,
    Http2,
}

/// How many certificates have to be shown, and what else has to be seen over each transport.
const CERTIFICATES: usize = 3;
const KINDS: [&str; 4] = ["200", "206", "206 of several parts", "416"];

/// What all clients share.
struct Scene {
    plain: SocketAddr,
    tls: SocketAddr,
    files: Vec<Versions>,
    trust: Trust,
    /// Requests that may still be made.
    left: AtomicU64,
    until: Instant,
    at_most: Instant,
    stop: AtomicBool,
    wrong: Mutex<Vec<String>>,
    shown: Mutex<HashSet<Vec<u8>>>,
    seen: Mutex<BTreeMap<(Transport, String), u64>>,
}

#[test]
fn ranges_of_files_that_are_replaced_over_certificates_that_are_reloaded_lose_and_mix_no_byte() {
    let (wanted, patience) = match std::env::var("BENEATH_RANGES") {
        Ok(count) => (
            count.parse().expect("BENEATH_RANGES is a number"),
            Duration::from_secs(3600),
        ),
        Err(_) => (u64::MAX, PATIENCE),
    };
    let house = House::build();
    let trust = Trust::default();
    certify(&house, &trust);
    let mut files: Vec<Versions> = FILES
        .iter()
        .enumerate()
        .map(|(number, (length, rest))| {
            Versions::create(
                house.path(&format!("files/{number}.bin")),
                *length,
                Duration::from_millis(*rest),
            )
        })
        .collect();
    let (plain, tls) = serve(&house, &mut files);
    let scene = Scene {
        plain: plain.address(),
        tls: tls.address(),
        files,
        trust,
        left: AtomicU64::new(wanted),
        until: Instant::now() + patience,
        at_most: Instant::now() + patience.max(AT_MOST),
        stop: AtomicBool::new(false),
        wrong: Mutex::default(),
        shown: Mutex::default(),
        seen: Mutex::default(),
    };
    let begin = Instant::now();
    thread::scope(|scope| {
        for file in &scene.files {
            scope.spawn(|| while_running(&scene, file.rest, || file.replace()));
        }
        scope.spawn(|| {
            while_running(&scene, Duration::from_millis(500), || {
                certify(&house, &scene.trust);
            });
        });
        let clients: Vec<_> = [
            Transport::Plain,
            Transport::Plain,
            Transport::Tls,
            Transport::Http2,
        ]
        .into_iter()
        .enumerate()
        .map(|(number, transport)| {
            scope.spawn({
                let scene = &scene;
                move || roam(scene, transport, number as u64)
            })
        })
        .collect();
        for client in clients {
            if client.join().is_err() {
                scene.wrong.lock().unwrap().push("a client panicked".to_owned());
            }
        }
        scene.stop.store(true, Relaxed);
    });
    let seen = scene.seen.into_inner().unwrap();
    let total: u64 = seen.values().sum();
    let shown = scene.shown.into_inner().unwrap().len();
    println!(
        "{total} answers in {:?}, {shown} certificates: {seen:?}",
        begin.elapsed()
    );
    let wrong = scene.wrong.into_inner().unwrap();
    assert!(
        wrong.is_empty(),
        "{} wrong, the first of them:\n{}",
        wrong.len(),
        wrong[..wrong.len().min(10)].join("\n")
    );
    assert!(total > 1000, "only {total} answers");
    assert!(shown >= CERTIFICATES, "only {shown} certificates were shown");
    for transport in [Transport::Plain, Transport::Tls, Transport::Http2] {
        for kind in KINDS {
            assert!(
                seen.contains_key(&(transport, kind.to_owned())),
                "no {kind} over {transport:?}"
            );
        }
    }
}

/// A plain and a TLS service over one catalog.
fn serve(house: &House, files: &mut [Versions]) -> (Beneathd, Beneathd) {
    house.add_user("alice");
    for (number, file) in files.iter_mut().enumerate() {
        let place = format!("files:{number}.bin");
        let published = house
            .run(&["publish", &place, "--to", "user:alice", "--json"])
            .published();
        file.path = format!("/f/{}", published.id);
    }
    let plain = house.serve();
    let text = fs::read_to_string(house.path("beneathd.toml")).unwrap();
    let tls = format!("{text}[tls]\ncertificate = \"cert.pem\"\nkey = \"key.pem\"\n");
    fs::write(house.path("tls.toml"), tls).unwrap();
    let mut command = beneathd();
    command
        .args(["serve", "--json", "--config"])
        .arg(house.path("tls.toml"));
    (plain, Beneathd::start(command))
}

/// Replaces certificate and key, one after the other as every tool does.
fn certify(house: &House, trust: &Trust) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    trust.add(made.cert.der().clone());
    fs::write(house.path("key.pem"), made.signing_key.serialize_pem()).unwrap();
    fs::write(house.path("cert.pem"), made.cert.pem()).unwrap();
}

/// Asks until there is no more time, or enough was asked.
fn roam(scene: &Scene, transport: Transport, number: u64) {
    let mut visitor = Visitor::new(number);
    'connections: loop {
        let mut client: Box<dyn Client> = match transport {
            Transport::Plain => clients::plain(scene.plain),
            Transport::Tls => {
                let (client, shown) = clients::tls(scene.tls, &scene.trust);
                scene.shown.lock().unwrap().insert(shown);
                client
            }
            Transport::Http2 => clients::http2(scene.tls, &scene.trust),
        };
        for _ in 0..REQUESTS_PER_CONNECTION {
            let more = scene
                .left
                .fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1));
            if more.is_err() || scene.is_over(&visitor) {
                break 'connections;
            }
            // A large file costs as much as a hundred small ones.
            let file = if visitor.below(100) == 0 {
                3
            } else {
                [0, 1, 2, 4][visitor.below(4) as usize]
            };
            if let Err(wrong) = visitor.visit(client.as_mut(), &scene.files[file]) {
                scene
                    .wrong
                    .lock()
                    .unwrap()
                    .push(format!("{transport:?}: {wrong}"));
                continue 'connections;
            }
        }
    }
    let mut seen = scene.seen.lock().unwrap();
    for (kind, count) in visitor.seen {
        *seen.entry((transport, kind)).or_default() += count;
    }
}

impl Scene {
    fn is_over(&self, visitor: &Visitor) -> bool {
        let now = Instant::now();
        let enough = || {
            KINDS.iter().all(|kind| visitor.seen.contains_key(*kind))
                && visitor.seen.values().sum::<u64>() > 250
                && self.shown.lock().unwrap().len() >= CERTIFICATES
        };
        now > self.until && (enough() || now > self.at_most)
    }
}

fn while_running(scene: &Scene, rest: Duration, mut step: impl FnMut()) {
    while !scene.stop.load(Relaxed) {
        step();
        thread::sleep(rest);
    }
}
