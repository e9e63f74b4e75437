//! Hashing passwords is slow on purpose. It is bounded, done once for those who show the same, and holds up nobody who is
//! known already.
#![allow(
    clippy::disallowed_methods,
    reason = "tests build and inspect their own trees by name"
)]
#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests too")]

mod common;

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use beneath_catalog::{Credentials, Options, Reason, RefusalKind, Role};
use common::{PASSWORD, Place, basic, password, user};

#[test]
fn sixty_four_first_logins_with_the_same_credentials_are_one_and_none_is_sent_away() {
    let place = Place::with(Options::default().hashing(1, 32));
    place.add_user("ann");
    let together = Barrier::new(64);
    std::thread::scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|| {
                together.wait();
                // Were each of them hashed, all but 33 would find the queue full.
                place.catalog.authenticate(&basic("ann")).unwrap();
            });
        }
    });
}

#[test]
fn the_same_wrong_guess_many_times_at_once_is_as_many_failures() {
    let place = Place::with(
        Options::default()
            .failed_logins(16)
            .failed_logins_refill(Duration::from_secs(3000)),
    );
    place.add_user("ann");
    let together = Barrier::new(16);
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                together.wait();
                let refusal = place.catalog.authenticate(&Credentials::basic(b"ann", b"guess"));
                assert_eq!(refusal.unwrap_err().kind(), RefusalKind::Unauthenticated);
            });
        }
    });
    let refusal = place.catalog.authenticate(&basic("ann")).unwrap_err();
    assert_eq!(refusal.reason(), Reason::Throttled);
}

#[test]
fn two_hundred_and_fifty_six_first_logins_at_once_do_not_starve_downloads() {
    let place = Place::with(
        Options::default()
            .failed_logins(1000)
            .failed_logins_refill(Duration::from_secs(1)),
    );
    place.add_user("ann");
    let id = place.publish("a", &["user:ann"]);
    for number in 0..8 {
        let name = user(&format!("user{number}"));
        let added = place
            .operator()
            .add_user(&name, &password(PASSWORD), Role::Reader);
        drop(added.unwrap());
    }
    drop(place.catalog.open(&basic("ann"), &id).unwrap());
    let over = AtomicBool::new(false);
    let together = Barrier::new(257);
    let (mut times, told) = std::thread::scope(|scope| {
        let downloads = scope.spawn(|| {
            let mut times = Vec::new();
            together.wait();
            while !over.load(Ordering::Relaxed) {
                let since = Instant::now();
                drop(place.catalog.open(&basic("ann"), &id).unwrap());
                times.push(since.elapsed());
                std::thread::sleep(Duration::from_micros(200));
            }
            times
        });
        let logins: Vec<_> = (0..256)
            .map(|number| {
                let shown = match number % 2 {
                    0 => basic(&format!("user{}", number / 2 % 8)),
                    _ => Credentials::basic(format!("nobody{number}").as_bytes(), b"x"),
                };
                let (place, together) = (&place, &together);
                scope.spawn(move || {
                    together.wait();
                    place
                        .catalog
                        .authenticate(&shown)
                        .map_or_else(|refusal| refusal.kind(), |_| RefusalKind::NotFound)
                })
            })
            .collect();
        let told: Vec<_> = logins.into_iter().map(|login| login.join().unwrap()).collect();
        over.store(true, Ordering::Relaxed);
        (downloads.join().unwrap(), told)
    });
    times.sort_unstable();
    let late = times[times.len() * 99 / 100];
    let busy = told
        .iter()
        .filter(|kind| matches!(kind, RefusalKind::Busy { .. }))
        .count();
    println!(
        "{} downloads, p99 {late:?}; {busy} of 256 logins were told to come back",
        times.len()
    );
    // Some 20 ms each, one after the other on half of the cores: whoever waited for them would wait for a second.
    assert!(late < Duration::from_millis(100), "p99 {late:?}");
    assert!(
        busy > 0 && times.len() > 20,
        "{busy} busy, {} downloads",
        times.len()
    );
}

#[test]
fn who_was_imported_comes_in_while_the_new_record_cannot_be_written() {
    let place = Place::new();
    let imported = place
        .operator()
        .import_htpasswd("ann:{SHA}VBPuJHI7uixaa6LQGWx4s+5GKNE=", Role::Reader);
    drop(imported.unwrap());
    place.catalog.authenticate(&basic("nobody")).unwrap_err(); // Serving has begun.
    let other = rusqlite::Connection::open(place.database()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let ann = Credentials::basic(b"ann", b"myPassword");
    place.catalog.authenticate(&ann).unwrap();
    other.execute_batch("ROLLBACK").unwrap();
    place.catalog.authenticate(&ann).unwrap();
    // And whoever serves next writes it.
    let next = place.another(Options::default());
    next.authenticate(&ann).unwrap();
    let record: String = other
        .query_row("SELECT password FROM users", [], |row| row.get(0))
        .unwrap();
    assert!(record.starts_with("$argon2id$"), "{record}");
    next.authenticate(&ann).unwrap();
}

#[test]
fn an_imported_record_is_of_the_very_bytes_that_are_typed() {
    let decomposed = "pa\u{308}ssword";
    let place = Place::new();
    let sha1 = {
        use base64::Engine as _;
        use sha1::Digest as _;
        base64::engine::general_purpose::STANDARD.encode(sha1::Sha1::digest(decomposed))
    };
    let imported = place
        .operator()
        .import_htpasswd(&format!("ann:{{SHA}}{sha1}"), Role::Reader);
    drop(imported.unwrap());
    let composed = Credentials::basic(b"ann", "p\u{e4}ssword".as_bytes());
    place.catalog.authenticate(&composed).unwrap_err();
    let typed = Credentials::basic(b"ann", decomposed.as_bytes());
    place.catalog.authenticate(&typed).unwrap();
    // From now on the record is our own, and both are the same password (RFC 8265).
    place.catalog.authenticate(&composed).unwrap();
}
