//! What a stranger could learn with a stopwatch: nothing. Unknown, forbidden, expired and vanished files take the same time,
//! and so do an unknown user, a wrong password and a disabled user.
//!
//! Timings of all kinds take turns, so that a busy moment falls on each; one kind is there twice, and how far these two
//! differ is how far anything differs by chance: twice that, or an eighth, is what another kind may differ.
//! `BENEATH_TIMINGS` and `BENEATH_LOGIN_TIMINGS` set how many there are of each kind (1,000 and 100 by default).

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests build their own trees by name, and stop at the first surprise"
)]

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use beneath_tests::http::Connection;
use beneath_tests::{Beneathd, House, Published};

#[test]
fn unknown_forbidden_expired_and_vanished_files_take_the_same_time() {
    let house = house();
    for name in ["granted", "forbidden", "expired", "vanished"] {
        fs::write(house.path(&format!("files/{name}")), "content").unwrap();
    }
    let publish = |name: &str, to: &[&str]| {
        let place = format!("files:{name}");
        let published = house.run(&[&["publish", &place, "--json"], to].concat());
        let Published { id, .. } = published.published();
        id
    };
    let granted = publish("granted", &["--to", "user:alice"]);
    let forbidden = publish("forbidden", &[]);
    let expired = publish("expired", &["--to", "user:alice", "--expires", "2s"]);
    let expires = Instant::now() + Duration::from_secs(2);
    let vanished = publish("vanished", &["--to", "user:alice"]);
    fs::remove_file(house.path("files/vanished")).unwrap();
    let service = house.serve();
    let kinds = [
        ("unknown", "AAECAwQFBgcICQoLDA0ODw"),
        ("unknown, too", "DwAOAQ0CDAMLBAoFCQYIBw"),
        ("forbidden", &forbidden),
        ("expired", &expired),
        ("vanished", &vanished),
    ];
    let ask = |id: &str| request(&format!("/f/{id}"), "alice", "secret");
    thread::sleep(expires.saturating_duration_since(Instant::now()));
    assert_eq!(
        Connection::open(service.address()).ask(&ask(&granted)).status,
        200
    );
    let kinds = kinds.map(|(name, id)| (name, ask(id)));
    compare(&service, &kinds, 404, times("BENEATH_TIMINGS", 1000));
}

#[test]
fn an_unknown_user_a_wrong_password_and_a_disabled_user_take_the_same_time() {
    let house = house();
    house.add_user("bob");
    house.run(&["user", "disable", "bob"]).succeeds();
    let service = house.serve();
    let path = "/f/AAECAwQFBgcICQoLDA0ODw";
    let kinds = [
        ("unknown user", request(path, "nobody", "wrong")),
        ("unknown user, too", request(path, "noone", "wrong")),
        ("wrong password", request(path, "alice", "wrong")),
        ("disabled user", request(path, "bob", "secret")),
    ];
    compare(&service, &kinds, 401, times("BENEATH_LOGIN_TIMINGS", 100));
}

/// With alice, and nobody is held back however many logins fail.
fn house() -> House {
    let house = House::build();
    house.configure(
        "listen = \"127.0.0.1:0\"\n[limits]\nfailed_logins = 1000000\n[roots.files]\npath = \"files\"\n",
    );
    house.add_user("alice");
    house
}

/// The same bytes, and medians that differ by no more than chance in one of three tries: what can be told apart differs each time,
/// and what others do on the machine meanwhile does not.
fn compare(service: &Beneathd, kinds: &[(&str, String)], status: u16, rounds: usize) {
    let mut told_apart = Vec::new();
    for _ in 0..3 {
        match told_apart_by_time(service, kinds, status, rounds) {
            None => return,
            Some(who) => told_apart.push(who),
        }
    }
    panic!("{told_apart:?}");
}

/// Who, and by how much.
fn told_apart_by_time(
    service: &Beneathd,
    kinds: &[(&str, String)],
    status: u16,
    rounds: usize,
) -> Option<String> {
    let mut connection = Connection::open(service.address());
    let expected = connection.ask(&kinds[0].1).without_date();
    assert_eq!(expected.status, status);
    let mut took = vec![Vec::with_capacity(rounds); kinds.len()];
    for round in 0..rounds {
        // Not always in the same order: what was asked before may have left something behind.
        for step in 0..kinds.len() {
            let kind = (step * (1 + round % (kinds.len() - 1)) + round) % kinds.len();
            let since = Instant::now();
            let answer = connection.ask(&kinds[kind].1);
            took[kind].push(since.elapsed());
            assert_eq!(answer.without_date(), expected, "{}", kinds[kind].0);
        }
    }
    let quartiles: Vec<_> = took.iter_mut().map(|took| quartiles(took)).collect();
    for ((name, _), [low, median, high]) in kinds.iter().zip(&quartiles) {
        println!("{name}: {rounds} timings, quartiles {low:.1?}, {median:.1?}, {high:.1?}");
    }
    let [_, one, _] = quartiles[0];
    let chance = 2 * one.abs_diff(quartiles[1][1]);
    let mut apart = kinds
        .iter()
        .zip(&quartiles)
        .filter_map(|((name, _), [_, median, _])| {
            let apart = one.abs_diff(*median);
            (apart > chance.max(one / 8)).then(|| format!("{name} is told apart by {apart:.1?} of {one:.1?}"))
        });
    apart.next()
}

fn quartiles(took: &mut [Duration]) -> [Duration; 3] {
    took.sort_unstable();
    [1, 2, 3].map(|quarter| took[took.len() * quarter / 4])
}

fn request(path: &str, user: &str, password: &str) -> String {
    let pair = STANDARD.encode(format!("{user}:{password}"));
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic {pair}\r\n\r\n")
}

fn times(variable: &str, default: usize) -> usize {
    std::env::var(variable).map_or(default, |times| times.parse().expect("a number of timings"))
}
