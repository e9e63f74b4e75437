//! A link is good for so many completed downloads, and nothing that is less takes one away.
#![allow(
    clippy::disallowed_methods,
    reason = "tests build and inspect their own trees by name"
)]
#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests too")]

mod common;

use std::time::Duration;

use beneath::Source as _;
use beneath_catalog::{Catalog, FileId, Lease, LinkRequest, LinkUse, Options, Refusal, RefusalKind, Role};
use common::{Place, bound, publication, user};

const GRACE: Duration = Duration::from_millis(700);
const TTL: Duration = Duration::from_secs(60);

fn place() -> (Place, FileId) {
    let place = Place::with(Options::default().link_grace(GRACE));
    let id = place.publish("a", &[]);
    (place, id)
}

fn link(place: &Place, id: &FileId, uses: u32) -> String {
    let link = place.operator().create_link(id, TTL, uses).unwrap().into_value();
    assert!(!format!("{link:?}").contains(link.reveal()));
    link.reveal().to_owned()
}

fn open(catalog: &Catalog, secret: &str, client: &str, wants: LinkUse) -> Result<Lease, Refusal> {
    catalog.open_link(&LinkRequest::new(secret.as_bytes(), client.as_bytes(), wants))
}

fn download(place: &Place, secret: &str, client: &str) -> Result<Lease, Refusal> {
    open(&place.catalog, secret, client, LinkUse::Download)
}

/// Sends so many of the seven bytes, and ends.
fn send(lease: Lease, bytes: u64) {
    lease.meter().sent(bytes);
    if bytes == 7 {
        lease.meter().complete();
    }
    drop(lease);
    std::thread::sleep(Duration::from_millis(150)); // until it is counted
}

#[test]
fn a_link_is_used_up_by_completed_downloads() {
    let (place, id) = place();
    let secret = link(&place, &id, 2);
    for client in ["one", "two"] {
        send(download(&place, &secret, client).unwrap(), 7);
    }
    for wants in [LinkUse::Download, LinkUse::Look] {
        let refusal = open(&place.catalog, &secret, "three", wants).unwrap_err();
        assert_eq!(refusal.kind(), RefusalKind::NotFound);
    }
    let links = place
        .operator()
        .links(Some(&id), Default::default())
        .unwrap()
        .items;
    assert_eq!((links[0].uses, links[0].completed), (2, 2));
}

#[test]
fn looking_takes_nothing() {
    let (place, id) = place();
    let secret = link(&place, &id, 1);
    for client in 0..20 {
        drop(open(&place.catalog, &secret, &client.to_string(), LinkUse::Look).unwrap());
    }
    send(download(&place, &secret, "one").unwrap(), 7);
}

#[test]
fn whoever_broke_off_resumes_and_that_is_one_use() {
    let (place, id) = place();
    let secret = link(&place, &id, 1);
    send(download(&place, &secret, "one").unwrap(), 3);
    assert!(
        download(&place, &secret, "two").is_err(),
        "the use is kept for whoever began"
    );
    send(download(&place, &secret, "one").unwrap(), 4);
    let links = place
        .operator()
        .links(Some(&id), Default::default())
        .unwrap()
        .items;
    assert_eq!(links[0].completed, 1);
    std::thread::sleep(GRACE);
    assert!(
        download(&place, &secret, "one").is_err(),
        "after the grace it is used up for them too"
    );
}

#[test]
fn a_use_that_was_not_completed_is_given_back_after_the_grace() {
    let (place, id) = place();
    let secret = link(&place, &id, 1);
    send(download(&place, &secret, "one").unwrap(), 3);
    std::thread::sleep(GRACE);
    send(download(&place, &secret, "two").unwrap(), 7);
}

#[test]
fn a_download_under_way_keeps_its_use_for_as_long_as_it_takes() {
    let (place, id) = place();
    let secret = link(&place, &id, 1);
    let lease = download(&place, &secret, "one").unwrap();
    std::thread::sleep(2 * GRACE);
    assert!(download(&place, &secret, "two").is_err());
    send(lease, 7);
}

#[test]
fn of_fifty_who_want_the_last_use_at_once_one_gets_it() {
    let (place, id) = place();
    let secret = link(&place, &id, 1);
    let other = place.another(Options::default());
    let start = std::sync::Barrier::new(50);
    let got: Vec<Lease> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..50)
            .map(|client: usize| {
                let (place, other, secret, start) = (&place, &other, &secret, &start);
                scope.spawn(move || {
                    start.wait();
                    let catalog = if client.is_multiple_of(2) {
                        &place.catalog
                    } else {
                        other
                    };
                    open(catalog, secret, &client.to_string(), LinkUse::Download).ok()
                })
            })
            .collect();
        threads
            .into_iter()
            .filter_map(|thread| thread.join().unwrap())
            .collect()
    });
    assert_eq!(got.len(), 1);
}

#[test]
fn a_link_is_worth_what_its_creator_may() {
    for lose in 0..4 {
        let place = Place::with(bound(500));
        place.add_user_as("pub", Role::Publisher);
        place.write("a", "content");
        let entry = place
            .operator()
            .publish(&publication("a").owned_by(user("pub")))
            .unwrap()
            .into_value();
        let token = place
            .operator()
            .create_token(&user("pub"), TTL)
            .unwrap()
            .into_value();
        let shown = beneath_catalog::Credentials::bearer(token.reveal().as_bytes());
        let principal = place.catalog.authenticate(&shown).unwrap();
        let link = place
            .catalog
            .administration(&principal)
            .create_link(entry.id(), TTL, 9)
            .unwrap()
            .into_value();
        let lease = download(&place, link.reveal(), "one").unwrap();
        assert_eq!(lease.user(), None);
        let operator = place.operator();
        match lose {
            0 => drop(operator.disable_user(&user("pub")).unwrap()),
            1 => drop(operator.set_role(&user("pub"), Role::Reader).unwrap()),
            2 => drop(operator.revoke_link(link.id()).unwrap()),
            _ => drop(operator.unpublish(entry.id()).unwrap()),
        }
        assert!(lease.still_held().is_err(), "{lose}");
        assert!(download(&place, link.reveal(), "one").is_err(), "{lose}");
    }
}

#[test]
fn a_link_ends_by_the_clock() {
    let place = Place::with(bound(100));
    let id = place.publish("a", &[]);
    let link = place
        .operator()
        .create_link(&id, Duration::from_millis(300), 9)
        .unwrap()
        .into_value();
    let lease = download(&place, link.reveal(), "one").unwrap();
    std::thread::sleep(Duration::from_millis(310));
    assert!(lease.still_held().is_err());
    assert!(download(&place, link.reveal(), "one").is_err());
}

#[test]
fn nobody_makes_links_to_what_they_do_not_manage() {
    let (place, id) = place();
    place.add_user_as("pub", Role::Publisher);
    let token = place
        .operator()
        .create_token(&user("pub"), TTL)
        .unwrap()
        .into_value();
    let shown = beneath_catalog::Credentials::bearer(token.reveal().as_bytes());
    let principal = place.catalog.authenticate(&shown).unwrap();
    assert!(
        place
            .catalog
            .administration(&principal)
            .create_link(&id, TTL, 1)
            .is_err()
    );
    for (ttl, uses) in [(Duration::ZERO, 1), (Duration::from_secs(1 << 40), 1), (TTL, 0)] {
        assert!(place.operator().create_link(&id, ttl, uses).is_err());
    }
}
