//! Who is this, may they, open it: one step, and to a client all refusals look alike.
#![allow(
    clippy::disallowed_methods,
    reason = "tests build and inspect their own trees by name"
)]
#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests too")]

mod common;

use std::time::Duration;

use beneath::{Source as _, ambient_authority};
use beneath_catalog::{AdminErrorKind, Credentials, FileId, Reason, RefusalKind, Role};
use common::{PASSWORD, Place, basic, group, password, publication, subject, user};

#[test]
fn whoever_was_granted_a_file_reads_it() {
    let place = Place::new();
    place.add_user("ann");
    let id = place.publish("q3.txt", &["user:ann"]);

    let lease = place.catalog.open(&basic("ann"), &id).unwrap();

    let mut content = [0; 7];
    lease.file().read_at(&mut content, 0).unwrap();
    assert_eq!(&content, b"content");
    assert_eq!(lease.entry().name(), b"q3.txt");
    assert_eq!(lease.entry().size(), 7);
    assert_eq!(lease.user(), Some(&user("ann")));
    assert!(lease.still_held().is_ok());
}

#[test]
fn every_refusal_of_a_file_is_not_found_and_only_the_log_knows_why() {
    let place = Place::new();
    place.add_user("ann");
    let published = place.publish("a", &[]);
    let expired = place.publish("b", &[]);
    place.grant_that_ended(&expired, "user:ann");
    let vanished = place.publish("c", &["user:ann"]);
    std::fs::remove_file(place.files().join("c")).unwrap();
    let swapped = place.publish("d", &["user:ann"]);
    std::fs::remove_file(place.files().join("d")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", place.files().join("d")).unwrap();

    let unknown: FileId = "AAECAwQFBgcICQoLDA0ODw".parse().unwrap();
    for (id, reason) in [
        (unknown, Reason::UnknownFile),
        (published, Reason::Forbidden),
        (expired, Reason::Expired),
        (vanished, Reason::NotOpened(beneath::ErrorKind::NotFound)),
        (swapped, Reason::NotOpened(beneath::ErrorKind::Symlink)),
    ] {
        let refusal = place.catalog.open(&basic("ann"), &id).unwrap_err();
        assert_eq!(refusal.kind(), RefusalKind::NotFound);
        assert_eq!(refusal.reason(), reason);
        assert_eq!(refusal.to_string(), "not found");
    }
}

#[test]
fn whoever_is_not_who_they_say_is_not_told_what_was_wrong() {
    let place = Place::new();
    place.add_user("ann");
    place.add_user("bob");
    let id = place.publish("a", &["user:ann", "user:bob"]);
    assert!(place.catalog.open(&basic("bob"), &id).is_ok());
    let _ = place.operator().disable_user(&user("bob")).unwrap();

    let long = "x".repeat(1025);
    for (name, shown, reason) in [
        ("nobody", PASSWORD, Reason::UnknownUser),
        ("ann", "wrong", Reason::WrongPassword),
        ("ann", "correct horse\0", Reason::WrongPassword),
        ("ANN", PASSWORD, Reason::UnknownUser),
        ("bob", PASSWORD, Reason::DisabledUser),
        ("bob", "wrong", Reason::DisabledUser),
        ("ann", "", Reason::MalformedCredentials),
        ("ann", long.as_str(), Reason::MalformedCredentials),
        ("nobody", long.as_str(), Reason::MalformedCredentials),
    ] {
        let shown = Credentials::basic(name.as_bytes(), shown.as_bytes());
        let refusal = place.catalog.open(&shown, &id).unwrap_err();
        assert_eq!(refusal.kind(), RefusalKind::Unauthenticated, "{name}");
        assert_eq!(refusal.reason(), reason, "{name}");
    }
    let latin1 = Credentials::basic(b"ren\xe9", PASSWORD.as_bytes());
    let refusal = place.catalog.open(&latin1, &id).unwrap_err();
    assert_eq!(refusal.kind(), RefusalKind::Unauthenticated);
}

#[test]
fn a_password_typed_decomposed_is_the_same_password() {
    let place = Place::new();
    let composed = password("caf\u{e9}");
    let _ = place
        .operator()
        .add_user(&user("ren\u{e9}"), &composed, Role::Reader)
        .unwrap();
    let id = place.publish("a", &["user:ren\u{e9}"]);
    let decomposed = Credentials::basic("rene\u{301}".as_bytes(), "cafe\u{301}".as_bytes());
    assert!(place.catalog.open(&decomposed, &id).is_ok());
}

#[test]
fn an_unknown_user_takes_as_long_as_a_wrong_password_and_a_disabled_user() {
    let place = Place::new();
    place.add_user("ann");
    place.add_user("bob");
    let _ = place.operator().disable_user(&user("bob")).unwrap();
    let id = place.publish("a", &["user:ann"]);
    let mut times = [const { Vec::new() }; 3];
    for _ in 0..25 {
        for (name, times) in ["nobody", "ann", "bob"].iter().zip(&mut times) {
            let shown = Credentials::basic(name.as_bytes(), b"wrong");
            let since = work();
            place.catalog.open(&shown, &id).unwrap_err();
            times.push(work() - since);
        }
    }
    let medians = times.map(|mut times| {
        times.sort();
        times[times.len() / 2].as_secs_f64()
    });
    println!("medians in seconds: unknown, wrong, disabled: {medians:?}");
    for other in &medians[1..] {
        let ratio = other / medians[0];
        // A skipped hash would be a ratio of hundreds.
        assert!((0.5..2.0).contains(&ratio), "{medians:?}");
    }
}

#[test]
fn administrators_read_everything_and_publishers_what_they_own() {
    let place = Place::new();
    for (name, role) in [
        ("root", Role::Admin),
        ("pub", Role::Publisher),
        ("ann", Role::Reader),
    ] {
        place.add_user_as(name, role);
    }
    place.write("owned", "x");
    let owned = publication("owned").owned_by(user("pub"));
    let owned = *place.operator().publish(&owned).unwrap().value().id();
    let foreign = place.publish("foreign", &[]);
    for (name, id, may) in [
        ("root", owned, true),
        ("root", foreign, true),
        ("pub", owned, true),
        ("pub", foreign, false),
        ("ann", owned, false),
    ] {
        assert_eq!(place.catalog.open(&basic(name), &id).is_ok(), may, "{name}");
    }
    let _ = place.operator().set_role(&user("pub"), Role::Reader).unwrap();
    assert!(
        place.catalog.open(&basic("pub"), &owned).is_err(),
        "a reader owns nothing"
    );
}

#[test]
fn a_group_carries_its_grants_to_its_members() {
    let place = Place::new();
    place.add_user("ann");
    let _ = place.operator().add_group(&group("finance")).unwrap();
    let id = place.publish("a", &["group:finance"]);
    assert!(place.catalog.open(&basic("ann"), &id).is_err());
    let _ = place
        .operator()
        .join_group(&group("finance"), &user("ann"))
        .unwrap();
    assert!(place.catalog.open(&basic("ann"), &id).is_ok());
    let _ = place
        .operator()
        .leave_group(&group("finance"), &user("ann"))
        .unwrap();
    assert!(place.catalog.open(&basic("ann"), &id).is_err());
}

#[test]
fn of_several_grants_the_longest_counts() {
    let place = Place::new();
    place.add_user("ann");
    let _ = place.operator().add_group(&group("all")).unwrap();
    let _ = place.operator().join_group(&group("all"), &user("ann")).unwrap();
    let id = place.publish("a", &["group:all"]);
    place.grant_that_ended(&id, "user:ann");
    assert!(place.catalog.open(&basic("ann"), &id).is_ok());
    let _ = place.operator().revoke(&id, &subject("group:all")).unwrap();
    let refusal = place.catalog.open(&basic("ann"), &id).unwrap_err();
    assert_eq!(refusal.reason(), Reason::Expired);
}

#[test]
fn the_sibling_that_does_not_block_answers_from_memory_only() {
    let place = Place::new();
    place.add_user("ann");
    let id = place.publish("a", &["user:ann"]);
    let would_block = || {
        assert!(place.catalog.try_open(&basic("ann"), &id).is_none());
    };
    would_block();
    drop(place.catalog.open(&basic("ann"), &id).unwrap());
    assert!(place.recall(&basic("ann"), &id).is_some());

    let wrong = Credentials::basic(b"ann", b"wrong");
    assert!(
        place.catalog.try_open(&wrong, &id).is_none(),
        "memory never says no"
    );

    let _ = place
        .operator()
        .set_password(&user("ann"), &password("another"))
        .unwrap();
    would_block();
    let refusal = place.catalog.open(&basic("ann"), &id).unwrap_err();
    assert_eq!(
        refusal.reason(),
        Reason::WrongPassword,
        "the memory of the old password is gone"
    );
}

#[test]
fn a_token_is_its_bearers_until_it_is_revoked() {
    let place = Place::new();
    place.add_user("ann");
    let id = place.publish("a", &["user:ann"]);
    let ann = place.catalog.authenticate(&basic("ann")).unwrap();
    let ttl = Duration::from_secs(60);
    let token = place
        .catalog
        .administration(&ann)
        .create_token(&user("ann"), ttl)
        .unwrap()
        .into_value();
    let bearer = Credentials::bearer(token.reveal().as_bytes());
    assert!(!format!("{token:?}").contains(token.reveal()));

    let lease = place.catalog.open(&bearer, &id).unwrap();
    assert!(place.recall(&bearer, &id).is_some());
    let _ = place.operator().revoke_token(token.reveal()).unwrap();
    assert!(lease.still_held().is_err());
    assert_eq!(
        place.catalog.open(&bearer, &id).unwrap_err().kind(),
        RefusalKind::Unauthenticated
    );

    let forged = Credentials::bearer(b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    assert_eq!(
        place.catalog.open(&forged, &id).unwrap_err().reason(),
        Reason::UnknownToken
    );
}

#[test]
fn a_token_begets_no_token_and_nobody_makes_one_for_another() {
    let place = Place::new();
    place.add_user("ann");
    place.add_user("bob");
    let ttl = Duration::from_secs(60);
    let ann = place.catalog.authenticate(&basic("ann")).unwrap();
    let refused = place
        .catalog
        .administration(&ann)
        .create_token(&user("bob"), ttl)
        .unwrap_err();
    assert_eq!(refused.kind(), AdminErrorKind::Refused);
    let operator = place.catalog.operator(ambient_authority());
    let token = operator.create_token(&user("ann"), ttl).unwrap().into_value();
    let bearer = Credentials::bearer(token.reveal().as_bytes());
    let ann = place.catalog.authenticate(&bearer).unwrap();
    let refused = place
        .catalog
        .administration(&ann)
        .create_token(&user("ann"), ttl)
        .unwrap_err();
    assert_eq!(refused.kind(), AdminErrorKind::Refused);
}

#[test]
fn what_is_not_for_somebody_takes_as_long_as_what_does_not_exist() {
    const ROUNDS: usize = 1000;
    let place = Place::new();
    place.add_user("ann");
    let granted = place.publish("granted", &["user:ann"]);
    let forbidden = place.publish("forbidden", &[]);
    let expired = place.publish("expired", &[]);
    place.grant_that_ended(&expired, "user:ann");
    let vanished = place.publish("vanished", &["user:ann"]);
    std::fs::remove_file(place.files().join("vanished")).unwrap();
    let unknown: FileId = "AAECAwQFBgcICQoLDA0ODw".parse().unwrap();
    drop(place.catalog.open(&basic("ann"), &granted).unwrap()); // no password is hashed from now on

    let ids = [unknown, forbidden, expired, vanished];
    let mut times = ids.map(|_| Vec::with_capacity(ROUNDS));
    for _ in 0..ROUNDS {
        for (id, times) in ids.iter().zip(&mut times) {
            let since = work();
            place.catalog.open(&basic("ann"), id).unwrap_err();
            times.push(work() - since);
        }
    }
    let medians = times.map(|mut times| {
        times.sort();
        times[ROUNDS / 2].as_secs_f64() * 1e6
    });
    println!("medians in microseconds: unknown, forbidden, expired, vanished: {medians:.1?}");
    for other in &medians[1..] {
        let ratio = other / medians[0];
        assert!((0.5..2.0).contains(&ratio), "{medians:?}");
    }
}

/// Processor time of this thread, so that other tests at the same time do not count.
fn work() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap(), time.tv_nsec.try_into().unwrap())
}
