//! Every kind of loss of right is a revocation, whoever made it, and no lease outlives it by more than the bound.
#![allow(
    clippy::disallowed_methods,
    reason = "tests build and inspect their own trees by name"
)]
#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests too")]

mod common;

use std::time::{Duration, Instant, SystemTime};

use beneath::{Source as _, ambient_authority};
use beneath_catalog::{Administration, Catalog, Credentials, FileId, Lease, RefusalKind, Role};
use common::{Place, basic, bound, eventually, grant_that_ended, group, password, subject, user};

struct Scene {
    place: Place,
    id: FileId,
    token: String,
}

/// What the lease of each case rests on.
#[derive(Clone, Copy, Debug)]
enum Holder {
    Granted,
    Grouped,
    Admin,
    Bearer,
}

type Loss = fn(&Administration<'_>, &Scene);

const LOSSES: [(&str, Holder, Loss); 14] = [
    ("grant revoked", Holder::Granted, |a, s| {
        drop(a.revoke(&s.id, &subject("user:granted")).unwrap());
    }),
    ("grant shortened", Holder::Granted, |a, s| {
        grant_that_ended(a, &s.id, "user:granted");
    }),
    ("left the group", Holder::Grouped, |a, _| {
        drop(a.leave_group(&group("g"), &user("grouped")).unwrap());
    }),
    ("group removed", Holder::Grouped, |a, _| {
        drop(a.remove_group(&group("g")).unwrap());
    }),
    ("group's grant revoked", Holder::Grouped, |a, s| {
        drop(a.revoke(&s.id, &subject("group:g")).unwrap());
    }),
    ("role changed", Holder::Admin, |a, _| {
        drop(a.set_role(&user("admin"), Role::Reader).unwrap());
    }),
    ("user disabled", Holder::Granted, |a, _| {
        drop(a.disable_user(&user("granted")).unwrap());
    }),
    ("user removed", Holder::Granted, |a, _| {
        drop(a.remove_user(&user("granted")).unwrap());
    }),
    ("password changed", Holder::Granted, |a, _| {
        drop(a.set_password(&user("granted"), &password("b")).unwrap());
    }),
    ("password changed (token)", Holder::Bearer, |a, _| {
        drop(a.set_password(&user("granted"), &password("b")).unwrap());
    }),
    ("token revoked", Holder::Bearer, |a, s| {
        drop(a.revoke_token(&s.token).unwrap());
    }),
    ("all tokens revoked", Holder::Bearer, |a, _| {
        drop(a.revoke_tokens(&user("granted")).unwrap());
    }),
    ("grant revoked (token)", Holder::Bearer, |a, s| {
        drop(a.revoke(&s.id, &subject("user:granted")).unwrap());
    }),
    ("unpublished", Holder::Granted, |a, s| {
        drop(a.unpublish(&s.id).unwrap());
    }),
];

impl Scene {
    fn new() -> Self {
        Self::with_bound(1000)
    }

    fn with_bound(milliseconds: u64) -> Self {
        let place = Place::with(bound(milliseconds));
        place.add_user("granted");
        place.add_user("grouped");
        place.add_user("bystander");
        place.add_user_as("admin", Role::Admin);
        drop(place.operator().add_group(&group("g")).unwrap());
        drop(
            place
                .operator()
                .join_group(&group("g"), &user("grouped"))
                .unwrap(),
        );
        let id = place.publish("a", &["user:granted", "group:g", "user:bystander"]);
        let ttl = Duration::from_secs(600);
        let token = place.operator().create_token(&user("granted"), ttl).unwrap();
        let token = token.value().reveal().to_owned();
        Self { place, id, token }
    }

    fn credentials(&self, holder: Holder) -> Credentials {
        match holder {
            Holder::Granted => basic("granted"),
            Holder::Grouped => basic("grouped"),
            Holder::Admin => basic("admin"),
            Holder::Bearer => Credentials::bearer(self.token.as_bytes()),
        }
    }

    /// By the store, and by memory.
    fn leases(&self, holder: Holder) -> [Lease; 2] {
        let credentials = self.credentials(holder);
        let by_store = self.place.catalog.open(&credentials, &self.id).unwrap();
        [by_store, self.place.recall(&credentials, &self.id).unwrap()]
    }

    fn assert_lost(&self, what: &str, holder: Holder, leases: &[Lease]) {
        for lease in leases {
            assert!(lease.still_held().is_err(), "{what}: a lease outlived it");
        }
        let credentials = self.credentials(holder);
        assert!(
            self.place.catalog.try_open(&credentials, &self.id).is_none(),
            "{what}: memory outlived it"
        );
        let refusal = self.place.catalog.open(&credentials, &self.id).unwrap_err();
        assert!(
            matches!(
                refusal.kind(),
                RefusalKind::NotFound | RefusalKind::Unauthenticated
            ),
            "{what}"
        );
    }
}

#[test]
fn whatever_is_lost_in_this_process_is_lost_when_the_act_returns() {
    for (what, holder, lose) in LOSSES {
        let scene = Scene::new();
        let leases = scene.leases(holder);
        let bystander = scene.place.catalog.open(&basic("bystander"), &scene.id).unwrap();
        lose(&scene.place.operator(), &scene);
        scene.assert_lost(what, holder, &leases);
        assert_eq!(
            bystander.still_held().is_ok(),
            what != "unpublished",
            "{what}: who is not meant goes on"
        );
    }
}

#[test]
fn whatever_is_lost_by_another_process_is_lost_when_its_act_returns() {
    // So long that an act which waits the bound out cannot be taken for one that was acknowledged.
    const BOUND: u64 = 60_000;
    for (what, holder, lose) in LOSSES {
        let scene = Scene::with_bound(BOUND);
        let leases = scene.leases(holder);
        let other: Catalog = scene.place.another(bound(BOUND));
        let since = Instant::now();
        lose(&other.operator(ambient_authority()), &scene);
        let took = since.elapsed();
        scene.assert_lost(what, holder, &leases);
        assert!(
            took < Duration::from_millis(BOUND / 6),
            "{what}: acknowledged, not waited out ({took:?})"
        );
    }
}

#[test]
fn a_program_that_writes_the_tables_itself_revokes_too() {
    let scene = Scene::new();
    let leases = scene.leases(Holder::Granted);
    let foreign = rusqlite::Connection::open(scene.place.database()).unwrap();
    foreign.busy_timeout(Duration::from_secs(5)).unwrap();
    foreign.execute("DELETE FROM grants", []).unwrap();
    std::thread::sleep(Duration::from_millis(1000));
    scene.assert_lost("DELETE FROM grants", Holder::Granted, &leases);
}

#[test]
fn a_right_ends_by_the_clock_without_any_write() {
    let place = Place::new();
    place.add_user("ann");
    let id = place.publish("a", &[]);
    // The password is hashed before the time runs.
    place.catalog.authenticate(&basic("ann")).unwrap();
    let until = SystemTime::now() + Duration::from_millis(1500);
    drop(
        place
            .operator()
            .grant(&id, &subject("user:ann"), Some(until))
            .unwrap(),
    );
    let lease = place.catalog.open(&basic("ann"), &id).unwrap();
    assert!(place.recall(&basic("ann"), &id).is_some());
    assert!(lease.still_held().is_ok());
    while SystemTime::now() < until + Duration::from_millis(5) {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(lease.still_held().is_err());
    assert!(place.catalog.try_open(&basic("ann"), &id).is_none());
    assert!(place.catalog.open(&basic("ann"), &id).is_err());
}

#[test]
fn a_token_ends_by_the_clock_and_with_it_what_was_given_for_it() {
    let ttl = Duration::from_millis(1500);
    let place = Place::new();
    place.add_user("ann");
    let id = place.publish("a", &[]);
    let later = SystemTime::now() + Duration::from_secs(3600);
    drop(
        place
            .operator()
            .grant(&id, &subject("user:ann"), Some(later))
            .unwrap(),
    );
    let bearer = place.bearer("ann", ttl);
    let lease = place.catalog.open(&bearer, &id).unwrap();
    let (call, called) = std::sync::mpsc::channel();
    lease.on_fall(move || call.send(()).unwrap());
    assert!(place.recall(&bearer, &id).is_some());
    assert!(lease.still_held().is_ok());
    called.recv_timeout(ttl + Duration::from_secs(1)).unwrap();
    assert!(lease.still_held().is_err());
    assert!(place.catalog.try_open(&bearer, &id).is_none());
    assert!(place.catalog.open(&bearer, &id).is_err());
}

#[test]
fn a_longer_grant_lets_a_lease_under_way_go_on() {
    let place = Place::new();
    place.add_user("ann");
    let id = place.publish("a", &[]);
    place.catalog.authenticate(&basic("ann")).unwrap();
    let until = SystemTime::now() + Duration::from_millis(1500);
    drop(
        place
            .operator()
            .grant(&id, &subject("user:ann"), Some(until))
            .unwrap(),
    );
    let lease = place.catalog.open(&basic("ann"), &id).unwrap();
    drop(place.operator().grant(&id, &subject("user:ann"), None).unwrap());
    while SystemTime::now() < until + Duration::from_millis(100) {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(lease.still_held().is_ok());
}

#[test]
fn when_the_store_is_silent_for_longer_than_the_bound_leases_fall() {
    let silence = Duration::from_millis(1100);
    let place = Place::with(bound(1000));
    place.add_user("ann");
    let id = place.publish("a", &["user:ann"]);
    let lease = place.catalog.open(&basic("ann"), &id).unwrap();
    std::thread::sleep(silence);
    assert!(lease.still_held().is_ok(), "while it answers, leases live");
    let (call, called) = std::sync::mpsc::channel();
    lease.on_fall(move || call.send(()).unwrap());

    // A table that cannot be asked is as good as a store that cannot.
    let foreign = rusqlite::Connection::open(place.database()).unwrap();
    foreign.busy_timeout(Duration::from_secs(5)).unwrap();
    foreign
        .execute_batch("PRAGMA foreign_keys = off; ALTER TABLE changes RENAME TO hidden")
        .unwrap();
    std::thread::sleep(silence);
    assert!(lease.still_held().is_err());
    called
        .recv_timeout(Duration::from_secs(5))
        .expect("whoever waits for a client is called");
    assert!(place.catalog.try_open(&basic("ann"), &id).is_none());
    assert_eq!(
        place.catalog.open(&basic("ann"), &id).unwrap_err().kind(),
        RefusalKind::Unavailable
    );

    foreign
        .execute_batch("ALTER TABLE hidden RENAME TO changes")
        .unwrap();
    assert!(
        lease.still_held().is_err(),
        "a right that has fallen does not come back"
    );
    eventually("a new one can be had", || {
        place.catalog.open(&basic("ann"), &id).is_ok()
    });
}

#[test]
fn a_server_that_does_not_answer_is_waited_for_no_longer_than_its_bound_and_then_no_more() {
    let place = Place::new();
    place.add_user("ann");
    let id = place.publish("a", &["user:ann"]);
    let foreign = rusqlite::Connection::open(place.database()).unwrap();
    let bound = Duration::from_secs(2);
    let dead = "INSERT INTO servers (id, acknowledged, bound) VALUES (zeroblob(16), 0, 2000)";
    foreign.execute(dead, []).unwrap();

    let since = Instant::now();
    let change = place.operator().revoke(&id, &subject("user:ann")).unwrap();
    let took = since.elapsed();
    assert_eq!(change.unanswered(), 1);
    assert!((bound..2 * bound).contains(&took), "{took:?}");

    let since = Instant::now();
    let change = place.operator().disable_user(&user("ann")).unwrap();
    assert_eq!(change.unanswered(), 0);
    assert!(since.elapsed() < bound, "{:?}", since.elapsed());
}

#[test]
fn a_server_that_was_given_up_registers_again_before_it_decides_from_memory() {
    let place = Place::new();
    place.add_user("ann");
    let id = place.publish("a", &["user:ann"]);
    drop(place.catalog.open(&basic("ann"), &id).unwrap());
    let foreign = rusqlite::Connection::open(place.database()).unwrap();
    foreign.busy_timeout(Duration::from_secs(5)).unwrap();
    let servers = || {
        foreign
            .query_row("SELECT count(*) FROM servers", [], |row| row.get::<_, i64>(0))
            .unwrap()
    };
    assert_eq!(servers(), 1);
    foreign.execute("DELETE FROM servers", []).unwrap();
    eventually("it registers again", || servers() == 1);
    assert!(place.recall(&basic("ann"), &id).is_some());
    drop(place.catalog);
    assert_eq!(servers(), 0, "whoever stops takes its leave");
}

#[test]
fn leases_fall_when_their_catalog_goes() {
    let place = Place::new();
    place.add_user("ann");
    let id = place.publish("a", &["user:ann"]);
    let lease = place.catalog.open(&basic("ann"), &id).unwrap();
    let (call, called) = std::sync::mpsc::channel();
    lease.on_fall(move || call.send(()).unwrap());
    drop(place.catalog);
    assert!(called.try_recv().is_ok(), "whoever waits is called");
    assert!(lease.still_held().is_err());
}

#[test]
fn a_hundred_leases_fall_at_once_and_how_fast_is_said() {
    const LEASES: usize = 100;
    let place = Place::with(bound(1000));
    place.add_user("ann");
    let id = place.publish("a", &["user:ann"]);
    let leases: Vec<Lease> = (0..LEASES)
        .map(|_| place.catalog.open(&basic("ann"), &id).unwrap())
        .collect();
    let other = place.another(bound(1000));
    let mut late = std::thread::scope(|scope| {
        let revoked = scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(50));
            let since = Instant::now();
            let operator = other.operator(ambient_authority());
            let change = operator.revoke(&id, &subject("user:ann")).unwrap();
            assert_eq!(change.unanswered(), 0, "acknowledged");
            (since, Instant::now())
        });
        // When each was asked for the last time and still held.
        let mut held = vec![Instant::now(); LEASES];
        let mut fallen = [false; LEASES];
        while fallen.contains(&false) {
            for ((lease, held), fallen) in leases.iter().zip(&mut held).zip(&mut fallen) {
                let asked = Instant::now();
                match lease.still_held() {
                    Ok(()) => *held = asked,
                    Err(_) => *fallen = true,
                }
            }
        }
        let (since, returned) = revoked.join().unwrap();
        println!(
            "the revocation by another process returned after {:?}",
            returned - since
        );
        assert!(
            held.iter().all(|held| *held < returned),
            "a lease was held when the revocation had returned"
        );
        held.into_iter()
            .map(|held| held.saturating_duration_since(since))
            .collect::<Vec<_>>()
    });
    late.sort();
    println!(
        "leases were held for so long after it began: median {:?}, maximum {:?}",
        late[LEASES / 2],
        late[LEASES - 1]
    );
}

#[test]
fn what_was_remembered_of_somebody_does_not_come_back_with_them() {
    let place = Place::new();
    place.add_user("ann");
    let id = place.publish("a", &["user:ann"]);
    let (old, new) = (basic("ann"), Credentials::basic(b"ann", b"another"));
    drop(place.catalog.open(&old, &id).unwrap());
    drop(place.recall(&old, &id).unwrap());
    drop(
        place
            .operator()
            .set_password(&user("ann"), &password("another"))
            .unwrap(),
    );
    drop(place.catalog.open(&new, &id).unwrap());
    drop(place.recall(&new, &id).unwrap());
    // The memory knows ann and this file again, but not by that password.
    assert!(place.catalog.try_open(&old, &id).is_none());
    assert_eq!(
        place.catalog.open(&old, &id).unwrap_err().kind(),
        RefusalKind::Unauthenticated
    );
}

#[test]
fn a_change_is_forgotten_where_it_touches_and_nowhere_else() {
    let place = Place::new();
    for name in ["ann", "bob"] {
        place.add_user(name);
    }
    let (kept, other) = (
        place.publish("kept", &["user:ann"]),
        place.publish("other", &["user:bob"]),
    );
    drop(place.catalog.open(&basic("ann"), &kept).unwrap());
    drop(place.catalog.open(&basic("bob"), &other).unwrap());
    let operator = place.operator();
    let remembers = |who: &str, id: &FileId| place.recall(&basic(who), id).is_some();
    let later = Some(SystemTime::now() + Duration::from_secs(600));
    type Act<'a> = (&'a str, &'a dyn Fn());
    let acts: [Act<'_>; 6] = [
        ("a grant on another file", &|| {
            drop(operator.grant(&other, &subject("user:ann"), None).unwrap());
        }),
        ("that grant, to another time", &|| {
            drop(operator.grant(&other, &subject("user:ann"), later).unwrap());
        }),
        ("another file", &|| _ = place.publish("third", &["user:ann"])),
        ("a new group", &|| {
            drop(operator.add_group(&group("g")).unwrap());
        }),
        ("somebody else in it", &|| {
            drop(operator.join_group(&group("g"), &user("bob")).unwrap());
        }),
        ("the group is gone", &|| {
            drop(operator.remove_group(&group("g")).unwrap());
        }),
    ];
    for (what, act) in acts {
        act();
        assert!(remembers("ann", &kept), "{what}");
    }
    assert!(!remembers("bob", &other), "bob left a group");
    drop(operator.grant(&kept, &subject("user:bob"), None).unwrap());
    assert!(!remembers("ann", &kept), "that file changed");
}
