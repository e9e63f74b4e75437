//! A crowd that logs in at once: hashing passwords is the most that a stranger can ask for, and downloads of those who are
//! known do not wait for it.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests build their own trees by name, and stop at the first surprise"
)]

use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use beneath_tests::{House, http};

/// How many log in at once.
const CROWD: usize = 256;
/// How long one in a hundred downloads may take at most meanwhile: less than two passwords, on a machine with other work.
const P99: Duration = Duration::from_millis(250);

#[test]
fn downloads_of_known_users_do_not_wait_for_256_logins_at_once() {
    let house = House::build();
    // {SHA} of `password`: cheap to import, and hashed with argon2id at the first login.
    let crowd = (0..CROWD).fold(String::new(), |mut file, number| {
        writeln!(file, "crowd{number}:{{SHA}}W6ph5Mm5Pz8GgiULbPgzG37mj9g=").unwrap();
        file
    });
    fs::write(house.path("htpasswd"), crowd).unwrap();
    let passwords = house.path("htpasswd");
    house
        .run(&["import-htpasswd", passwords.to_str().unwrap()])
        .succeeds();
    house.add_user("alice");
    let file = house
        .run(&["publish", "files:report.txt", "--to", "user:alice", "--json"])
        .published();
    let service = house.serve();
    let (address, path) = (service.address(), format!("/f/{}", file.id));
    assert_eq!(
        http::get(address, &path, &basic("alice", "secret"), "").status,
        200
    );

    let before = watch(address, &path, thread::sleep);
    let mut outcomes = Vec::new();
    let mut took = Duration::ZERO;
    let during = watch(address, &path, |_| {
        let begin = Instant::now();
        let logins: Vec<_> = (0..CROWD)
            .map(|number| {
                let path = path.clone();
                thread::spawn(move || login(address, &path, number))
            })
            .collect();
        outcomes = logins.into_iter().map(|login| login.join().unwrap()).collect();
        took = begin.elapsed();
    });
    let known = outcomes.iter().filter(|(status, _)| *status == 404).count();
    let later = outcomes
        .iter()
        .filter(|(status, retry)| *status == 503 && *retry)
        .count();
    println!(
        "{CROWD} logins took {took:?}: {known} were known, {later} told to come again; downloads meanwhile: {} of them, \
         p50 {:?}, p99 {:?}, worst {:?}; alone p50 {:?}, p99 {:?}",
        during.len(),
        at(&during, 50),
        at(&during, 99),
        at(&during, 100),
        at(&before, 50),
        at(&before, 99),
    );
    assert_eq!(known + later, CROWD, "{outcomes:?}");
    assert!(known > 0, "nobody logged in");
    assert!(during.len() > 20, "only {} downloads", during.len());
    assert!(at(&during, 99) < P99, "p99 {:?}", at(&during, 99));
}

/// How long downloads took, sorted, while something was done. They ask over one connection, every few milliseconds.
fn watch(server: SocketAddr, path: &str, meanwhile: impl FnOnce(Duration)) -> Vec<Duration> {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let downloads = scope.spawn(|| {
            let mut stream = TcpStream::connect(server).unwrap();
            stream.set_nodelay(true).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            let authorization = basic("alice", "secret");
            let request =
                format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {authorization}\r\n\r\n");
            let mut times = Vec::new();
            while !stop.load(Relaxed) {
                let begin = Instant::now();
                stream.write_all(request.as_bytes()).unwrap();
                let mut answer = Vec::new();
                while !answer.ends_with(b"\r\n\r\nup") {
                    let mut part = [0; 4096];
                    let count = stream.read(&mut part).unwrap();
                    assert!(count > 0, "closed");
                    answer.extend_from_slice(&part[..count]);
                }
                assert!(answer.starts_with(b"HTTP/1.1 200 "));
                times.push(begin.elapsed());
                thread::sleep(Duration::from_millis(2));
            }
            times.sort_unstable();
            times
        });
        meanwhile(Duration::from_millis(500));
        stop.store(true, Relaxed);
        downloads.join().unwrap()
    })
}

/// The status, 404 for who is known and may not have the file; and whether it says when to come again.
fn login(server: SocketAddr, path: &str, number: usize) -> (u16, bool) {
    let answer = http::get(server, path, &basic(&format!("crowd{number}"), "password"), "");
    (answer.status, answer.field("retry-after").is_some())
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

fn at(sorted: &[Duration], percent: usize) -> Duration {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted[rank.max(1) - 1]
}
