//! Each decision, act and transfer is written down: who, what, as of when, and the true reason. Secrets never.
#![allow(
    clippy::disallowed_methods,
    reason = "tests build and inspect their own trees by name"
)]
#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests too")]

mod common;

use std::net::IpAddr;
use std::time::{Duration, Instant};

use beneath::Source as _;
use beneath_catalog::{AuditRecord, Credentials, Options, Reason, RefusalKind, Role};
use common::{PASSWORD, Place, basic, subject, user};

/// The trail, once it holds a record of this event and outcome.
fn trail_with(place: &Place, event: &str, outcome: &str) -> Vec<AuditRecord> {
    let since = Instant::now();
    loop {
        let trail = place.operator().audit(None, None, 10_000).unwrap();
        if trail
            .iter()
            .any(|record| record.event == event && record.outcome == outcome)
        {
            return trail;
        }
        assert!(
            since.elapsed() < Duration::from_secs(5),
            "no {event} {outcome} in {trail:#?}"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn acts_decisions_and_transfers_are_in_the_trail_in_order() {
    let place = Place::new();
    place.add_user("ann");
    let id = place.publish("a", &["user:ann"]);
    let address: IpAddr = [192, 0, 2, 7].into();
    let lease = place
        .catalog
        .open(&basic("ann").from_address(address), &id)
        .unwrap();
    lease.sent(3);
    drop(place.operator().revoke(&id, &subject("user:ann")).unwrap());
    drop(lease);
    place.catalog.open(&basic("ann"), &id).unwrap_err();

    let trail = trail_with(&place, "open", "refused");
    let told: Vec<_> = trail
        .iter()
        .map(|r| (r.actor.as_str(), r.event.as_str(), r.outcome.as_str()))
        .collect();
    for expected in [
        ("operator", "user.add", "done"),
        ("operator", "publish", "done"),
        ("user:ann", "open", "allowed"),
        ("operator", "revoke", "done"),
        ("user:ann", "transfer", "cut"),
        ("user:ann", "open", "refused"),
    ] {
        assert!(told.contains(&expected), "{expected:?} is not in {told:#?}");
    }
    let find = |event: &str, outcome: &str| {
        trail
            .iter()
            .find(|record| record.event == event && record.outcome == outcome)
            .unwrap()
    };
    assert_eq!(find("transfer", "cut").bytes, Some(3));
    assert_eq!(find("open", "allowed").address.as_deref(), Some("192.0.2.7"));
    assert_eq!(find("open", "refused").reason.as_deref(), Some("Forbidden"));
    assert!(find("revoke", "done").revision > find("open", "allowed").revision);
    assert!(find("publish", "done").object.contains(&id.to_string()));
}

#[test]
fn whoever_showed_who_they_are_is_named_when_they_are_refused_and_nobody_else() {
    let place = Place::new();
    place.add_user("ann");
    let id = place.publish("a", &[]);
    let bearer = place.bearer("ann", Duration::from_secs(60));
    let unknown: beneath_catalog::FileId = "AAAAAAAAAAAAAAAAAAAAAA".parse().unwrap();
    let vanished = place.publish("b", &["user:ann"]);
    std::fs::remove_file(place.files().join("b")).unwrap();
    for (credentials, id, actor, reason) in [
        (&basic("ann"), &id, "user:ann", "Forbidden"),
        // By memory now.
        (&basic("ann"), &id, "user:ann", "Forbidden"),
        (&basic("ann"), &unknown, "user:ann", "UnknownFile"),
        (&basic("ann"), &vanished, "user:ann", "NotOpened(NotFound)"),
        (&bearer, &id, "user:ann", "Forbidden"),
        (
            &Credentials::basic(b"ann", b"wrong"),
            &id,
            "unproven:\"ann\"",
            "WrongPassword",
        ),
        (&Credentials::bearer(b"wrong"), &id, "unknown", "UnknownToken"),
    ] {
        place.catalog.open(credentials, id).unwrap_err();
        let trail = trail_until(&place, |trail| {
            trail
                .last()
                .is_some_and(|last| last.outcome == "refused" && last.reason.as_deref() == Some(reason))
        });
        let last = trail.last().unwrap();
        assert_eq!(
            (&*last.actor, &*last.object),
            (actor, &*id.to_string()),
            "{reason}"
        );
    }
}

#[test]
fn an_act_is_in_the_trail_with_the_address_it_came_from() {
    let place = Place::new();
    place.add_user_as("root", Role::Admin);
    let token = place
        .operator()
        .create_token(&user("root"), Duration::from_secs(60))
        .unwrap()
        .into_value();
    let address: IpAddr = [192, 0, 2, 9].into();
    let shown = Credentials::bearer(token.reveal().as_bytes()).from_address(address);
    let principal = place.catalog.authenticate(&shown).unwrap();
    let administration = place.catalog.administration(&principal);
    drop(administration.disable_user(&user("nobody")).unwrap_err());
    drop(
        administration
            .add_user(&user("bob"), &common::password("b"), Role::Reader)
            .unwrap(),
    );
    let trail = trail_with(&place, "user.disable", "failed");
    for (event, outcome) in [("user.disable", "failed"), ("user.add", "done")] {
        let of = |record: &&AuditRecord| {
            record.event == event && record.outcome == outcome && record.actor == "user:root"
        };
        let record = trail.iter().find(of).unwrap();
        assert_eq!(record.address.as_deref(), Some("192.0.2.9"), "{event}");
    }
}

#[test]
fn of_a_link_what_was_given_is_said_and_not_what_was_only_looked_at_before_it_was_refused() {
    let place = Place::new();
    let id = place.publish("a", &[]);
    let link = place
        .operator()
        .create_link(&id, Duration::from_secs(60), 1)
        .unwrap()
        .into_value();
    let secret = link.reveal().as_bytes();
    let look = |client: &str| {
        place
            .catalog
            .open_link(&beneath_catalog::LinkRequest::new(secret, client.as_bytes()))
            .unwrap()
    };
    drop(look("a")); // HEAD
    let (lease, claim) = look("a");
    let bytes = lease.file().metadata().len();
    let whole = 0..bytes;
    let (late, late_claim) = look("b");
    place.catalog.take_use(&claim, whole.clone()).unwrap();
    lease.sent(bytes);
    lease.completed();
    drop(lease);
    place.catalog.take_use(&late_claim, whole).unwrap_err();
    assert!(late.still_held().is_err());
    drop(late);
    let trail = trail_with(&place, "open", "refused");
    let expected = [
        ("open", "allowed", Some(0), None),
        ("open", "allowed", Some(bytes), None),
        ("open", "refused", None, Some("LinkUsedUp")),
    ];
    assert_eq!(transfers(&trail), expected);
    let opens = trail.iter().filter(|record| record.event == "open");
    let about: Vec<_> = opens.map(|record| (&*record.actor, &*record.object)).collect();
    assert_eq!(about, [("link:1", &*id.to_string()); 3]);
}

/// The records about transfers of one catalog: event, outcome, bytes, reason.
fn transfers(trail: &[AuditRecord]) -> Vec<(&str, &str, Option<u64>, Option<&str>)> {
    let about = trail.iter().filter(|r| ["open", "transfer"].contains(&&*r.event));
    about
        .map(|r| (&*r.event, &*r.outcome, r.bytes, r.reason.as_deref()))
        .collect()
}

#[test]
fn a_transfer_that_is_soon_complete_is_one_record_with_the_bytes_that_were_sent() {
    let place = Place::new();
    place.add_user("ann");
    let id = place.publish("a", &["user:ann"]);
    let lease = place.catalog.open(&basic("ann"), &id).unwrap();
    lease.sent(7);
    lease.completed();
    drop(lease);
    let looked = place.catalog.open(&basic("ann"), &id).unwrap(); // HEAD
    drop(looked);
    place.catalog.open(&basic("nobody"), &id).unwrap_err();
    let trail = trail_with(&place, "open", "refused");
    let expected = [
        ("open", "allowed", Some(7), None),
        ("open", "allowed", Some(0), None),
        ("open", "refused", None, Some("UnknownUser")),
    ];
    assert_eq!(transfers(&trail), expected);
}

#[test]
fn a_longer_transfer_is_in_the_trail_before_it_ends_and_again_with_the_bytes_that_were_sent() {
    let place = Place::new();
    place.add_user("ann");
    let id = place.publish("a", &["user:ann"]);
    let open = || place.catalog.open(&basic("ann"), &id).unwrap();
    let (whole, broken, untouched) = (open(), open(), open());
    whole.sent(3);
    broken.sent(2);
    // Whoever reads the trail now sees who is reading, also if this process dies.
    let trail = trail_until(&place, |trail| transfers(trail).len() == 3);
    assert_eq!(transfers(&trail), [("open", "allowed", None, None); 3]);
    whole.sent(4);
    whole.completed();
    drop((whole, broken, untouched));
    let trail = trail_until(&place, |trail| transfers(trail).len() > 4);
    let ended = &transfers(&trail)[3..];
    let expected = [
        ("transfer", "complete", Some(7), None),
        ("transfer", "aborted", Some(2), None),
    ];
    assert_eq!(ended, expected, "nothing is said of what was not sent");
}

#[test]
fn what_ends_by_itself_is_recorded_with_its_end() {
    let place = Place::new();
    place.add_user("ann");
    place.write("a", "content");
    let operator = place.operator();
    let end = std::time::UNIX_EPOCH + Duration::from_secs(4_070_908_800);
    let publication = common::publication("a").to(subject("user:ann"), Some(end));
    let id = *operator.publish(&publication).unwrap().value().id();
    drop(operator.grant(&id, &subject("user:ann"), None).unwrap());
    let far = std::time::UNIX_EPOCH + Duration::from_secs(1 << 40);
    drop(operator.grant(&id, &subject("user:ann"), Some(far)).unwrap());
    let ttl = Duration::from_secs(60);
    let link = operator.create_link(&id, ttl, 2).unwrap().into_value();
    let token = operator.create_token(&user("ann"), ttl).unwrap().into_value();
    let at = |time| humantime::format_rfc3339_millis(time);
    let trail = operator.audit(None, None, 100).unwrap();
    for (event, object) in [
        ("grant", format!("{id} user:ann until 2099-01-01T00:00:00.000Z")),
        ("grant", format!("{id} user:ann")),
        ("grant", format!("{id} user:ann until 1099511627776000 ms")),
        (
            "link.create",
            format!("{id} link:{} 2 uses until {}", link.id(), at(link.expires())),
        ),
        ("token.create", format!("user:ann until {}", at(token.expires()))),
    ] {
        let found = trail
            .iter()
            .any(|record| record.event == event && record.object == object);
        assert!(found, "{event} {object} is not in {trail:#?}");
    }
}

#[test]
fn the_trail_says_why_a_transfer_was_cut() {
    // A machine that has much else to do is not what they are cut for.
    let place = Place::with(common::bound(30_000));
    for name in ["ann", "bob", "eve", "dan"] {
        place.add_user(name);
    }
    let to = ["user:ann", "user:bob", "user:eve", "user:dan"];
    let (one, two) = (place.publish("a", &to), place.publish("b", &to));
    place.write("c", "content");
    let pinned = common::publication("c").pinned(beneath_catalog::Pin::Content);
    let pinned = place.operator().publish(&pinned.to(subject("user:dan"), None));
    let pinned = *pinned.unwrap().value().id();
    let operator = place.operator();
    let open = |who: &str, id| place.catalog.open(&basic(who), id).unwrap();
    // No password is hashed while the grant runs out.
    for who in ["ann", "bob", "eve", "dan"] {
        drop(open(who, &one));
    }
    let soon = std::time::SystemTime::now() + Duration::from_secs(3);
    drop(operator.grant(&two, &subject("user:dan"), Some(soon)).unwrap());
    let leases = [
        open("ann", &one),
        open("bob", &one),
        open("eve", &one),
        open("dan", &one),
        open("dan", &two),
        open("dan", &pinned),
        open("eve", &two),
    ];
    leases.iter().for_each(|lease| lease.sent(1));
    drop(operator.revoke(&one, &subject("user:ann")).unwrap());
    drop(
        operator
            .set_password(&user("bob"), &common::password("b"))
            .unwrap(),
    );
    drop(operator.disable_user(&user("eve")).unwrap());
    drop(operator.unpublish(&one).unwrap());
    place.write("c", "changed");
    while leases.iter().any(|lease| lease.still_held().is_ok()) {
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(leases);
    let cut = |r: &AuditRecord| r.outcome == "cut";
    let trail = trail_until(&place, |trail| trail.iter().filter(|r| cut(r)).count() == 7);
    let mut told: Vec<_> = trail
        .iter()
        .filter(|r| cut(r))
        .map(|r| (&*r.actor, r.reason.as_deref().unwrap_or("no reason")))
        .collect();
    told.sort_unstable();
    let expected = [
        ("user:ann", "Forbidden"),
        ("user:bob", "PasswordChanged"),
        ("user:dan", "Expired"),
        ("user:dan", "Replaced"),
        ("user:dan", "UnknownFile"),
        ("user:eve", "DisabledUser"),
        ("user:eve", "DisabledUser"),
    ];
    assert_eq!(told, expected);
}

#[test]
fn what_somebody_tried_and_may_not_is_written_down() {
    let place = Place::new();
    place.add_user("ann");
    let ann = place.catalog.authenticate(&basic("ann")).unwrap();
    let tried = place
        .catalog
        .administration(&ann)
        .set_role(&user("ann"), Role::Admin);
    tried.unwrap_err();
    place.add_user("bob");
    let tried = place
        .catalog
        .administration(&ann)
        .create_token(&user("bob"), Duration::from_secs(9));
    tried.unwrap_err();
    for (event, object, why) in [
        ("user.role", "user:ann admin", "TokenRequired"),
        ("token.create", "user:bob", "Refused"),
    ] {
        let trail = trail_with(&place, event, "refused");
        let record = trail.iter().find(|record| record.event == event).unwrap();
        assert_eq!(
            (
                record.actor.as_str(),
                record.object.as_str(),
                record.reason.as_deref()
            ),
            ("user:ann", object, Some(why))
        );
    }
}

#[test]
fn the_trail_holds_no_secret() {
    let place = Place::new();
    place.add_user("ann");
    let id = place.publish("a", &["user:ann"]);
    let token = place
        .operator()
        .create_token(&user("ann"), Duration::from_secs(9))
        .unwrap()
        .into_value();
    let link = place
        .operator()
        .create_link(&id, Duration::from_secs(9), 1)
        .unwrap()
        .into_value();
    drop(place.catalog.open(&basic("ann"), &id).unwrap());
    drop(
        place
            .catalog
            .open(&Credentials::bearer(token.reveal().as_bytes()), &id)
            .unwrap(),
    );
    place
        .catalog
        .open(&Credentials::basic(b"ann", b"nearly right"), &id)
        .unwrap_err();
    trail_with(&place, "open", "refused");
    let database = place.database();
    drop(place.catalog);
    let bytes = std::fs::read(&database).unwrap();
    let holds = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(holds("unproven:"), "what is in the trail would be found");
    for secret in [PASSWORD, "nearly right", token.reveal(), link.reveal()] {
        assert!(!holds(secret), "the database holds {secret:?}");
    }
}

#[test]
fn nothing_in_the_trail_is_changed_or_removed() {
    let place = Place::new();
    place.add_user("ann");
    let foreign = rusqlite::Connection::open(place.database()).unwrap();
    for (sql, why) in [
        ("DELETE FROM audit", "append-only"),
        ("UPDATE audit SET actor = 'somebody else'", "append-only"),
        (
            "REPLACE INTO audit (id, at, actor, event, object, revision, outcome) VALUES (1, 0, '', '', '', 0, '')",
            "append-only",
        ),
        ("UPDATE audit_horizon SET id = 999", "not over its newest record"),
        ("UPDATE audit_horizon SET id = -1", "only advances"),
        ("DELETE FROM audit_horizon", "has a horizon"),
        ("REPLACE INTO audit_horizon VALUES (1, 0)", "only advances"),
    ] {
        let error = foreign.execute(sql, []).unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
    }
}

/// Waits until the trail is as it should be.
fn trail_until(place: &Place, settled: impl Fn(&[AuditRecord]) -> bool) -> Vec<AuditRecord> {
    let since = Instant::now();
    loop {
        let trail = place.operator().audit(None, None, 100_000).unwrap();
        if settled(&trail) {
            return trail;
        }
        let last = trail.last();
        assert!(
            since.elapsed() < Duration::from_secs(10),
            "{} records, {last:?}",
            trail.len()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn the_oldest_records_beyond_the_number_that_is_kept_are_removed_and_that_is_a_record() {
    let place = Place::with(
        Options::default()
            .audit_retention(Duration::from_secs(9999))
            .audit_records(200),
    );
    place.add_user("ann");
    let id = place.publish("a", &["user:ann"]);
    for number in 0..5_000_u16 {
        let [high, low] = number.to_be_bytes();
        let ann = basic("ann").from_address(IpAddr::from([10, 0, high, low]));
        drop(place.catalog.open(&ann, &id).unwrap());
    }
    let pruned = |record: &AuditRecord| record.event == "audit.prune" && record.actor == "catalog";
    let trail = trail_until(&place, |trail| {
        trail.len() <= 204 && trail.last().is_some_and(pruned) && !trail.iter().any(|r| r.event == "publish")
    });
    assert!(trail.len() >= 200, "{} records", trail.len());
    assert!(trail.last().unwrap().object.starts_with("records "), "{trail:#?}");
}

#[test]
fn records_are_removed_when_they_are_old_also_where_nothing_happens() {
    let place = Place::with(
        Options::default()
            .audit_retention(Duration::from_secs(3600))
            .audit_records(1_000_000),
    );
    let foreign = rusqlite::Connection::open(place.database()).unwrap();
    let old = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)
               INSERT INTO audit (at, actor, event, object, revision, outcome)
               SELECT i, 'somebody', 'past', '', 1, 'done' FROM n";
    foreign.execute(old, []).unwrap();
    place.add_user("ann");
    let id = place.publish("a", &["user:ann"]);
    // From now on this process serves, and nothing else happens.
    drop(place.catalog.open(&basic("ann"), &id).unwrap());
    let trail = trail_until(&place, |trail| trail.iter().all(|record| record.event != "past"));
    let told = |event: &str| {
        trail
            .iter()
            .filter(|record| record.event == event)
            .collect::<Vec<_>>()
    };
    let [pruned] = told("audit.prune")[..] else {
        panic!("{trail:#?}");
    };
    assert_eq!(pruned.object, "records 1 to 3000");
    assert_eq!((told("user.add").len(), told("publish").len()), (1, 1));
}

#[test]
fn an_act_that_fails_leaves_no_trace_of_success() {
    let place = Place::new();
    place.operator().disable_user(&user("nobody")).unwrap_err();
    assert!(place.operator().audit(None, None, 10).unwrap().is_empty());
}

#[test]
fn guessing_is_slowed_down_but_whoever_was_here_before_is_not() {
    let place = Place::with(
        Options::default()
            .failed_logins(5)
            .failed_logins_refill(Duration::from_secs(30)),
    );
    place.add_user("ann");
    let id = place.publish("a", &["user:ann"]);
    let home: IpAddr = [192, 0, 2, 1].into();
    drop(place.catalog.open(&basic("ann").from_address(home), &id).unwrap());

    let guess = |last: u8, guess: &str| {
        let shown =
            Credentials::basic(b"ann", guess.as_bytes()).from_address(IpAddr::from([198, 51, 100, last]));
        place.catalog.open(&shown, &id).unwrap_err()
    };
    for last in 0..5 {
        assert_eq!(guess(last, "wrong").kind(), RefusalKind::Unauthenticated);
    }
    assert_eq!(
        guess(6, "wrong").kind(),
        RefusalKind::Unauthenticated,
        "each address is heard once"
    );
    let refusal = guess(6, "wrong");
    assert_eq!(refusal.reason(), Reason::Throttled);
    let RefusalKind::TooManyAttempts { retry_after } = refusal.kind() else {
        panic!("{refusal:?}");
    };
    assert!((1..=31).contains(&retry_after.as_secs()), "{retry_after:?}");

    assert!(
        place.catalog.open(&basic("ann"), &id).is_ok(),
        "what was verified before needs no hashing"
    );
    let other = place
        .operator()
        .add_user(&user("bob"), &common::password("b"), Role::Admin);
    drop(other.unwrap());
    let bob = Credentials::basic(b"bob", b"b").from_address(home);
    assert!(place.catalog.open(&bob, &id).is_ok(), "nobody else is held back");
}

#[test]
fn what_happens_again_and_again_is_one_record_that_says_how_often() {
    const OPENS: u64 = 20_000;
    let place = Place::new();
    place.add_user("ann");
    place.add_user("bob");
    let id = place.publish("a", &["user:ann", "user:bob"]);
    for who in ["ann", "bob"] {
        let who = basic(who);
        for _ in 0..OPENS / 2 {
            let lease = place.catalog.open(&who, &id).unwrap();
            lease.sent(7);
            lease.completed();
        }
    }
    let opens = |trail: &[AuditRecord], actor: &str| -> (u64, u64) {
        let of = |record: &&AuditRecord| record.event == "open" && record.actor == actor;
        let records: Vec<_> = trail.iter().filter(of).collect();
        let (times, bytes) = records.iter().fold((0, 0), |(times, bytes), record| {
            (times + record.times, bytes + record.bytes.unwrap_or(0))
        });
        let ended: u64 = trail
            .iter()
            .filter(|record| record.event == "transfer" && record.actor == actor)
            .map(|record| record.bytes.unwrap_or(0))
            .sum();
        (times, bytes + ended)
    };
    let trail = trail_until(&place, |trail| {
        opens(trail, "user:ann").0 + opens(trail, "user:bob").0 == OPENS
    });
    for actor in ["user:ann", "user:bob"] {
        assert_eq!(opens(&trail, actor), (OPENS / 2, OPENS / 2 * 7), "{actor}");
    }
    assert!(
        trail.iter().all(|record| record.event != "audit"),
        "nothing was dropped"
    );
    assert!(trail.iter().any(|record| record.times > 500));
    assert!(trail.len() < 5_000, "{} records", trail.len());
}

#[test]
fn what_a_flood_keeps_out_of_the_trail_is_counted_there() {
    const FLOOD: u64 = 50_000;
    let place = Place::new();
    place.add_user("ann");
    let id = place.publish("a", &["user:ann"]);
    drop(place.catalog.open(&basic("ann"), &id).unwrap());
    let forged = Credentials::bearer(b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    // While somebody else writes, nothing can be written down.
    let foreign = rusqlite::Connection::open(place.database()).unwrap();
    foreign.busy_timeout(Duration::from_secs(5)).unwrap();
    foreign.execute_batch("BEGIN IMMEDIATE").unwrap();
    for number in 0..FLOOD {
        // The same again and again would be one record.
        let id = format!("{number:0>21}A").parse().unwrap();
        place.catalog.open(&forged, &id).unwrap_err();
    }
    // So long that writing has failed twice.
    std::thread::sleep(Duration::from_secs(11));
    foreign.execute_batch("ROLLBACK").unwrap();

    let count = |sql: &str| foreign.query_row(sql, [], |row| row.get::<_, u64>(0)).unwrap();
    let since = Instant::now();
    loop {
        let written = count("SELECT coalesce(sum(times), 0) FROM audit WHERE reason = 'UnknownToken'");
        let dropped =
            count("SELECT coalesce(sum(CAST(outcome AS INTEGER)), 0) FROM audit WHERE event = 'audit'");
        if written + dropped == FLOOD && dropped > 0 {
            return println!("{written} written, {dropped} dropped and counted");
        }
        assert!(
            since.elapsed() < Duration::from_secs(20),
            "{written} written, {dropped} dropped"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}
