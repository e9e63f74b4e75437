//! What a catalog costs that nobody uses. Alone in its process, for the threads of that are counted.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test, of what the kernel says of its process"
)]

mod common;

use std::time::{Duration, Instant};

use common::{Place, basic, bound, user};

/// How often the threads that watch the store have slept so far.
fn sleeps() -> u64 {
    let mut sleeps = 0;
    for task in std::fs::read_dir("/proc/self/task").unwrap() {
        let task = task.unwrap().path();
        if std::fs::read_to_string(task.join("comm")).unwrap() == "beneath-feed\n" {
            let status = std::fs::read_to_string(task.join("status")).unwrap();
            let line = status
                .lines()
                .find_map(|it| it.strip_prefix("voluntary_ctxt_switches:"));
            sleeps += line.unwrap().trim().parse::<u64>().unwrap();
        }
    }
    sleeps
}

/// In a second in which `act` is done again and again.
fn sleeps_while(act: impl Fn()) -> u64 {
    let (before, begin) = (sleeps(), Instant::now());
    while begin.elapsed() < Duration::from_secs(1) {
        act();
        std::thread::sleep(Duration::from_millis(5));
    }
    sleeps() - before
}

#[test]
fn while_nobody_downloads_the_store_is_asked_seldom_and_changes_elsewhere_wait_little_longer() {
    let place = Place::with(bound(2_000));
    place.add_user("bob");
    let id = place.publish("f", &["user:bob"]);
    place.catalog.start().unwrap();
    std::thread::sleep(Duration::from_millis(1_500));
    let idle = sleeps_while(|| ());
    assert!((1..=30).contains(&idle), "{idle} times in an idle second");

    let elsewhere = place.another(bound(2_000));
    std::thread::sleep(Duration::from_millis(1_500));
    let begin = Instant::now();
    let change = elsewhere
        .operator(beneath::ambient_authority())
        .disable_user(&user("bob"));
    assert_eq!(change.unwrap().unanswered(), 0, "somebody took no note of it");
    let taken = begin.elapsed();
    assert!(taken < Duration::from_millis(500), "{taken:?} for a change");
    drop(elsewhere);
    drop(place.operator().enable_user(&user("bob")).unwrap());

    let downloading = sleeps_while(|| drop(place.catalog.open(&basic("bob"), &id).unwrap()));
    assert!(
        downloading > 2 * idle,
        "{downloading} times while it is used, {idle} while it is not"
    );
    let lease = place.catalog.open(&basic("bob"), &id).unwrap();
    std::thread::sleep(Duration::from_millis(1_500));
    let under_way = sleeps_while(|| ());
    assert!(
        under_way > 2 * idle,
        "{under_way} times during a transfer, {idle} without"
    );
    drop(lease);
}
