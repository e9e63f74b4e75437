//! A file is bound to its place, to itself, or to its content.
#![allow(
    clippy::disallowed_methods,
    reason = "tests build and inspect their own trees by name"
)]
#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests too")]

mod common;

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use beneath::Source as _;
use beneath_catalog::{AdminErrorKind, FileId, Pin, Reason, RefusalKind};
use common::{Place, basic, bound, eventually, publication, subject};

fn pinned(pin: Pin) -> (Place, FileId) {
    let place = Place::with(bound(200));
    place.add_user("ann");
    place.write("a", "content");
    let publication = publication("a").pinned(pin).to(subject("user:ann"), None);
    let id = *place.operator().publish(&publication).unwrap().value().id();
    assert!(place.catalog.open(&basic("ann"), &id).is_ok());
    (place, id)
}

fn replace(place: &Place, content: &str) {
    place.write("new", content);
    std::fs::rename(place.files().join("new"), place.files().join("a")).unwrap();
}

#[test]
fn what_a_replaced_file_means_depends_on_the_pin() {
    for (pin, content, served) in [
        (Pin::Path, "another", true),
        (Pin::Path, "content", true),
        (Pin::Identity, "another", false),
        (Pin::Identity, "content", false),
        (Pin::Content, "another", false),
        (Pin::Content, "longer than before", false),
        (Pin::Content, "content", true),
    ] {
        let (place, id) = pinned(pin);
        replace(&place, content);
        let opened = place.catalog.open(&basic("ann"), &id);
        assert_eq!(opened.is_ok(), served, "{pin} {content}");
        if let Err(refusal) = opened {
            assert_eq!(
                (refusal.kind(), refusal.reason()),
                (RefusalKind::NotFound, Reason::Replaced)
            );
        }
    }
}

#[test]
fn what_a_file_that_was_written_over_means_depends_on_the_pin() {
    for (pin, served) in [(Pin::Path, true), (Pin::Identity, true), (Pin::Content, false)] {
        let (place, id) = pinned(pin);
        std::thread::sleep(Duration::from_millis(20)); // the clock of the file system has a grain
        place.write("a", "CONTENT");
        assert_eq!(place.catalog.open(&basic("ann"), &id).is_ok(), served, "{pin}");
    }
}

/// Each of them takes a thread of whoever serves.
#[test]
fn however_many_ask_for_content_that_has_to_be_read_it_is_read_once_and_few_wait_for_that() {
    const MANY: usize = 64;
    let place = Place::new();
    place.add_user("ann");
    let large = std::fs::File::create(place.files().join("large")).unwrap();
    large.set_len(512 << 20).unwrap();
    let publication = publication("large").pinned(Pin::Content);
    let published = place
        .operator()
        .publish(&publication.to(subject("user:ann"), None));
    let id = *published.unwrap().value().id();
    drop(place.catalog.open(&basic("ann"), &id).unwrap());
    large.set_modified(std::time::UNIX_EPOCH).unwrap();
    let busy = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..MANY {
            scope.spawn(|| match place.catalog.open(&basic("ann"), &id) {
                Ok(_) => {}
                Err(refusal) => {
                    assert_eq!(refusal.reason(), Reason::BeingRead);
                    busy.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                }
            });
        }
    });
    assert!(busy.into_inner() >= MANY - 1 - 16, "the others did not wait");
    assert!(place.recall(&basic("ann"), &id).is_some(), "it is known now");
}

#[test]
fn a_transfer_of_pinned_content_is_cut_when_that_is_written_over() {
    let (place, id) = pinned(Pin::Content);
    let lease = place.catalog.open(&basic("ann"), &id).unwrap();
    std::thread::sleep(Duration::from_millis(20));
    place.write("a", "CONTENT");
    let since = Instant::now();
    eventually("it is cut", || lease.still_held().is_err());
    assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
}

#[test]
fn a_file_replaced_by_rename_goes_on_for_whoever_has_it_open() {
    let (place, id) = pinned(Pin::Path);
    let lease = place.catalog.open(&basic("ann"), &id).unwrap();
    replace(&place, "another");
    std::thread::sleep(Duration::from_millis(200));
    assert!(lease.still_held().is_ok());
}

#[test]
fn the_digest_is_that_of_the_content_and_progress_is_told() {
    let place = Place::new();
    place.write("a", &"x".repeat(600 * 1024));
    let mut progress = Vec::new();
    let publication = publication("a").pinned(Pin::Content);
    let change = place
        .operator()
        .publish_with_progress(&publication, |bytes, of| {
            progress.push((bytes, of));
            ControlFlow::Continue(())
        })
        .unwrap();
    let all = 614_400;
    assert_eq!(progress, [(262_144, all), (524_288, all), (all, all)]);
    let sha256sum = std::process::Command::new("sha256sum")
        .arg(place.files().join("a"))
        .output()
        .unwrap();
    let expected = String::from_utf8(sha256sum.stdout).unwrap();
    let digest = change.value().digest().unwrap();
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(expected.starts_with(&digest));
}

#[test]
fn a_file_that_is_written_while_it_is_hashed_is_not_published() {
    let place = Place::new();
    place.write("a", "content");
    let publication = publication("a").pinned(Pin::Content);
    let published = place.operator().publish_with_progress(&publication, |_, _| {
        place.write("a", "CONTENT");
        ControlFlow::Continue(())
    });
    let refused = published.unwrap_err();
    assert_eq!(
        (refused.kind(), refused.field()),
        (AdminErrorKind::Invalid, Some("path"))
    );
    assert!(
        refused.to_string().contains("changed while it was read"),
        "{refused}"
    );
    let files = place.operator().files(beneath_catalog::Page::first(1)).unwrap();
    assert_eq!(files.items.len(), 0);
}

/// The clocks of file systems tick some hundred times a second.
#[test]
fn what_was_written_right_before_and_right_after_it_was_hashed_is_not_the_same() {
    let place = Place::new();
    place.add_user("ann");
    for round in 0..20 {
        let name = format!("file {round}");
        let id = {
            place.write(&name, "content");
            let publication = publication(&name).pinned(Pin::Content);
            let publication = publication.to(subject("user:ann"), None);
            let published = place
                .operator()
                .publish_with_progress(&publication, |_, _| ControlFlow::Continue(()));
            *published.unwrap().value().id()
        };
        place.write(&name, "CONTENT");
        let opened = place.catalog.open(&basic("ann"), &id);
        assert_eq!(opened.unwrap_err().reason(), Reason::Replaced);
    }
}
