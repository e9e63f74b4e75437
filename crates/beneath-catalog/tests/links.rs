//! A link is good for so many completed downloads, and nothing that is less takes one away.
#![allow(
    clippy::disallowed_methods,
    reason = "tests build and inspect their own trees by name"
)]
#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests too")]

mod common;

use std::ops::Range;
use std::time::Duration;

use beneath::Source as _;
use beneath_catalog::{Catalog, Claim, FileId, Lease, LinkRequest, Options, Refusal, RefusalKind, Role};
use common::{Place, bound, eventually, publication, user};

/// So short that a test can wait for it.
const GRACE: Duration = Duration::from_millis(1500);
const TTL: Duration = Duration::from_secs(60);

fn place() -> (Place, FileId) {
    place_with(Options::default())
}

fn place_with(options: Options) -> (Place, FileId) {
    let place = Place::with(options);
    place.write("a", &"x".repeat(usize::try_from(SIZE).unwrap()));
    let id = *place.operator().publish(&publication("a")).unwrap().value().id();
    (place, id)
}

fn link(place: &Place, id: &FileId, uses: u32) -> String {
    let link = place.operator().create_link(id, TTL, uses).unwrap().into_value();
    assert!(!format!("{link:?}").contains(link.reveal()));
    link.reveal().to_owned()
}

const SIZE: u64 = 100_000;

/// What was looked at, and not taken.
fn look(catalog: &Catalog, secret: &str, client: &str) -> Result<(Lease, Claim), Refusal> {
    catalog.open_link(&LinkRequest::new(secret.as_bytes(), client.as_bytes()))
}

fn ask(catalog: &Catalog, secret: &str, client: &str, bytes: Range<u64>) -> Result<Lease, Refusal> {
    let (lease, claim) = look(catalog, secret, client)?;
    catalog.take_use(&claim, bytes)?;
    Ok(lease)
}

fn download(place: &Place, secret: &str, client: &str) -> Result<Lease, Refusal> {
    ask(&place.catalog, secret, client, 0..SIZE)
}

/// Sends so many bytes, ends, and is counted.
fn send(place: &Place, lease: Lease, bytes: u64) {
    let database = rusqlite::Connection::open(place.database()).unwrap();
    let under_way = || {
        let sql = "SELECT count(*) FROM link_transfers";
        database.query_row(sql, [], |row| row.get::<_, u64>(0)).unwrap()
    };
    let before = under_way();
    lease.sent(bytes);
    drop(lease);
    eventually("it is counted", || under_way() < before);
}

/// What one client does to a link of one use; `Ok` holds how much of what it asked for it is sent.
type Step = (&'static str, Range<u64>, Result<u64, RefusalKind>);

const NO: Result<u64, RefusalKind> = Err(RefusalKind::NotFound);

#[test]
fn what_is_more_than_a_look_takes_a_use_and_what_resumes_takes_no_second() {
    let whole = 0..SIZE;
    let piece = ("a", 0..90_000, Ok(90_000));
    let pieces = |first: Step, last: Step| {
        let between = std::iter::repeat_n(piece.clone(), 7);
        std::iter::once(first)
            .chain(between)
            .chain([last])
            .collect::<Vec<_>>()
    };
    let over = || ("a", 0..90_000, NO);
    let cases: [(&str, u64, &[Step]); 15] = [
        (
            "eight times as much as there is, in pieces",
            1,
            &pieces(piece.clone(), over()),
        ),
        (
            "as much after a look",
            1,
            &[vec![("a", 0..1, Ok(1))], pieces(piece.clone(), over())].concat(),
        ),
        (
            "as much after it was broken off",
            1,
            &pieces(("a", whole.clone(), Ok(90_000)), over()),
        ),
        (
            "more than one client may look at",
            0,
            &[("a", 0..65_537, Ok(65_537)), ("b", whole.clone(), NO)],
        ),
        (
            "completed",
            1,
            &[
                ("a", whole.clone(), Ok(SIZE)),
                ("a", whole.clone(), NO),
                ("b", whole.clone(), NO),
            ],
        ),
        (
            "broken off, resumed",
            1,
            &[
                ("a", whole.clone(), Ok(40_000)),
                ("b", whole.clone(), NO),
                ("a", 40_000..SIZE, Ok(60_000)),
                ("a", whole.clone(), NO),
            ],
        ),
        (
            "broken off twice, resumed where the client came to, not the server",
            1,
            &[
                ("a", whole.clone(), Ok(40_000)),
                ("a", 30_000..SIZE, Ok(30_000)),
                ("a", 50_000..SIZE, Ok(50_000)),
            ],
        ),
        (
            "broken off, begun anew",
            1,
            &[
                ("a", whole.clone(), Ok(40_000)),
                ("a", whole.clone(), Ok(SIZE)),
                ("a", whole.clone(), NO),
            ],
        ),
        (
            "nothing was sent",
            0,
            &[("a", whole.clone(), Ok(0)), ("b", whole.clone(), Ok(5))],
        ),
        (
            "what was lost on the way is fetched once more, and no more",
            1,
            &[
                ("a", whole.clone(), Ok(SIZE)),
                ("a", 10_000..SIZE, Ok(90_000)),
                ("a", 10_000..SIZE, NO),
                ("b", 10_000..SIZE, NO),
            ],
        ),
        (
            "a look at a few bytes",
            0,
            &[
                ("a", 0..65_536, Ok(65_536)),
                ("b", 99_999..SIZE, Ok(1)),
                ("c", whole.clone(), Ok(7)),
            ],
        ),
        (
            "looking at all of it, piece by piece",
            1,
            &[
                ("a", 0..60_000, Ok(60_000)),
                ("a", 60_000..SIZE, Ok(40_000)),
                ("b", 0..1, NO),
                ("b", whole.clone(), NO),
            ],
        ),
        (
            "nothing is left to look at",
            1,
            &[("a", whole.clone(), Ok(SIZE)), ("b", 0..1, NO)],
        ),
        (
            "in segments",
            1,
            &[
                ("a", whole.clone(), Ok(25_000)),
                ("a", 75_000..SIZE, Ok(25_000)),
                ("a", 25_000..50_000, Ok(25_000)),
                ("a", 50_000..75_000, Ok(25_000)),
            ],
        ),
        (
            "all but a byte",
            0,
            &[("a", whole.clone(), Ok(SIZE - 1)), ("b", whole.clone(), NO)],
        ),
    ];
    for (what, completed, steps) in cases {
        let (place, id) = place();
        let secret = link(&place, &id, 1);
        for (number, (client, bytes, expected)) in steps.iter().enumerate() {
            match (ask(&place.catalog, &secret, client, bytes.clone()), expected) {
                (Ok(lease), Ok(sent)) => send(&place, lease, *sent),
                (Err(refusal), Err(kind)) => assert_eq!(refusal.kind(), *kind, "{what}, {number}"),
                (got, _) => panic!("{what}, step {number}: {got:?}"),
            }
        }
        assert_eq!(counted(&place, &id), completed, "{what}");
    }
}

#[test]
fn nobody_downloads_over_the_use_that_another_broke_off() {
    for bytes in [0..SIZE, 0..SIZE - 1] {
        let (place, id) = place();
        let secret = link(&place, &id, 2);
        send(&place, download(&place, &secret, "a").unwrap(), 40_000);
        send(
            &place,
            ask(&place.catalog, &secret, "b", bytes.clone()).unwrap(),
            bytes.end,
        );
        assert!(download(&place, &secret, "c").is_err(), "{bytes:?}");
        assert!(
            ask(&place.catalog, &secret, "a", 40_000..SIZE).is_ok(),
            "{bytes:?}"
        );
    }
}

fn counted(place: &Place, id: &FileId) -> u64 {
    place
        .operator()
        .links(Some(id), Default::default())
        .unwrap()
        .items[0]
        .completed
}

#[test]
fn an_empty_file_is_downloaded_once_for_each_use() {
    let (place, _) = place();
    place.write("empty", "");
    let id = *place
        .operator()
        .publish(&publication("empty"))
        .unwrap()
        .value()
        .id();
    let secret = link(&place, &id, 1);
    send(&place, ask(&place.catalog, &secret, "a", 0..0).unwrap(), 0);
    ask(&place.catalog, &secret, "a", 0..0).unwrap_err();
}

#[test]
fn looking_takes_nothing_and_gives_no_byte() {
    let (place, id) = place();
    let secret = link(&place, &id, 1);
    for client in 0..20 {
        let (lease, _) = look(&place.catalog, &secret, &client.to_string()).unwrap();
        assert!(lease.still_held().is_err());
    }
    let lease = download(&place, &secret, "one").unwrap();
    assert!(lease.still_held().is_ok());
    send(&place, lease, SIZE);
    assert!(look(&place.catalog, &secret, "two").is_err());
}

#[test]
fn a_claim_is_good_for_one_transfer() {
    let (place, id) = place();
    let secret = link(&place, &id, 9);
    let (lease, claim) = look(&place.catalog, &secret, "one").unwrap();
    place.catalog.take_use(&claim, 0..SIZE).unwrap();
    place.catalog.take_use(&claim, 0..SIZE).unwrap_err();
    drop(lease);
    let (lease, claim) = look(&place.catalog, &secret, "two").unwrap();
    drop(lease);
    place.catalog.take_use(&claim, 0..SIZE).unwrap_err();
}

/// Who a client is, it says itself.
#[test]
fn what_left_to_clients_that_did_not_come_back_counts_as_often_as_it_is_the_file() {
    let (place, id) = place_with(Options::default().link_grace(GRACE));
    let secret = link(&place, &id, 1);
    for client in ["one", "two"] {
        let lease = ask(&place.catalog, &secret, client, 0..SIZE - 1).unwrap();
        send(&place, lease, SIZE - 1);
        std::thread::sleep(GRACE);
    }
    assert!(ask(&place.catalog, &secret, "three", SIZE - 1..SIZE).is_err());
    assert!(download(&place, &secret, "three").is_err());
    assert!(
        look(&place.catalog, &secret, "three").is_err(),
        "and nobody is told otherwise"
    );
    // Of more uses, too, no more than one file more than they are.
    let secret = link(&place, &id, 3);
    let sent = (0..6).filter(|client| {
        let lease = ask(&place.catalog, &secret, &client.to_string(), 0..SIZE - 1);
        let sent = lease.map(|lease| send(&place, lease, SIZE - 1)).is_ok();
        std::thread::sleep(GRACE);
        sent
    });
    assert_eq!(sent.count(), 4);
    // Less than the file does not count.
    let (place, id) = place_with(Options::default().link_grace(GRACE));
    let secret = link(&place, &id, 1);
    let lease = download(&place, &secret, "one").unwrap();
    send(&place, lease, SIZE / 2);
    std::thread::sleep(GRACE);
    assert!(download(&place, &secret, "two").is_ok());
}

#[test]
fn a_use_that_was_not_completed_is_given_back_after_the_grace() {
    let (place, id) = place_with(Options::default().link_grace(GRACE));
    let secret = link(&place, &id, 1);
    send(&place, download(&place, &secret, "one").unwrap(), 3);
    assert!(
        download(&place, &secret, "two").is_err(),
        "it is kept for whoever began"
    );
    std::thread::sleep(GRACE);
    send(&place, download(&place, &secret, "two").unwrap(), SIZE);
    std::thread::sleep(GRACE);
    assert!(
        ask(&place.catalog, &secret, "two", 5..SIZE).is_err(),
        "after the grace it is used up for them too"
    );
}

#[test]
fn a_download_under_way_keeps_its_use_for_as_long_as_it_takes() {
    let (place, id) = place_with(Options::default().link_grace(GRACE));
    let secret = link(&place, &id, 1);
    let lease = download(&place, &secret, "one").unwrap();
    std::thread::sleep(2 * GRACE);
    assert!(download(&place, &secret, "two").is_err());
    send(&place, lease, SIZE);
    assert_eq!(counted(&place, &id), 1);
}

#[test]
fn no_use_carries_more_than_eight_times_the_file() {
    let (place, id) = place();
    let secret = link(&place, &id, 1);
    let mut sent = 0;
    drop(download(&place, &secret, "one").unwrap());
    for _ in 0..50 {
        let Ok(lease) = ask(&place.catalog, &secret, "one", 0..SIZE - 1) else {
            break;
        };
        sent += SIZE - 1;
        send(&place, lease, SIZE - 1);
    }
    assert!((4 * SIZE..=9 * SIZE).contains(&sent), "{sent}");
    assert_eq!(counted(&place, &id), 1);
}

#[test]
fn of_fifty_who_want_the_last_use_at_once_one_gets_it() {
    for one_client in [false, true] {
        let (place, id) = place();
        let secret = link(&place, &id, 1);
        let other = place.another(Options::default());
        let start = std::sync::Barrier::new(50);
        let got: Vec<Lease> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..50)
                .map(|number: usize| {
                    let (place, other, secret, start) = (&place, &other, &secret, &start);
                    scope.spawn(move || {
                        start.wait();
                        let catalogs = [&place.catalog, other];
                        let client = if one_client { 0 } else { number };
                        ask(catalogs[number % 2], secret, &client.to_string(), 0..SIZE).ok()
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
}

#[test]
fn what_a_dead_process_was_sending_counts_as_broken_off_when_the_next_one_starts() {
    let (place, id) = place_with(Options::default().link_grace(GRACE));
    let secret = link(&place, &id, 1);
    let dead = place.another(bound(100).link_grace(GRACE));
    let lease = ask(&dead, &secret, "one", 0..SIZE).unwrap();
    // What kill -9 leaves: a server and a transfer that nobody ends.
    let database = rusqlite::Connection::open(place.database()).unwrap();
    let server: Vec<u8> = database
        .query_row("SELECT server FROM link_transfers", [], |row| row.get(0))
        .unwrap();
    database
        .execute_batch(
            "CREATE TABLE left_servers AS SELECT * FROM servers; \
             CREATE TABLE left_uses AS SELECT * FROM link_uses; \
             CREATE TABLE left_transfers AS SELECT * FROM link_transfers",
        )
        .unwrap();
    drop(lease);
    drop(dead);
    database.execute("DELETE FROM link_uses", []).unwrap();
    database
        .execute(
            "INSERT INTO servers SELECT * FROM left_servers WHERE id = ?1",
            [&server],
        )
        .unwrap();
    database
        .execute_batch("INSERT INTO link_uses SELECT * FROM left_uses; INSERT INTO link_transfers SELECT * FROM left_transfers")
        .unwrap();
    assert!(download(&place, &secret, "two").is_err());
    let next = place.another(bound(100).link_grace(GRACE));
    eventually("it is given back", || ask(&next, &secret, "two", 0..SIZE).is_ok());
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
        let shown = place.bearer("pub", TTL);
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
fn a_link_to_what_its_creator_does_not_own_ends_when_they_are_no_administrator() {
    let (place, id) = place();
    place.add_user_as("boss", Role::Admin);
    let shown = place.bearer("boss", TTL);
    let principal = place.catalog.authenticate(&shown).unwrap();
    let link = place
        .catalog
        .administration(&principal)
        .create_link(&id, TTL, 9)
        .unwrap()
        .into_value();
    let lease = download(&place, link.reveal(), "one").unwrap();
    let _ = place.operator().set_role(&user("boss"), Role::Publisher).unwrap();
    assert!(lease.still_held().is_err());
    assert!(download(&place, link.reveal(), "one").is_err());
}

#[test]
fn a_link_ends_by_the_clock() {
    let ttl = Duration::from_millis(1500);
    let place = Place::new();
    let id = place.publish("a", &[]);
    let link = place.operator().create_link(&id, ttl, 9).unwrap().into_value();
    let lease = download(&place, link.reveal(), "one").unwrap();
    assert!(lease.still_held().is_ok());
    std::thread::sleep(ttl + Duration::from_millis(10));
    assert!(lease.still_held().is_err());
    assert!(download(&place, link.reveal(), "one").is_err());
}

#[test]
fn nobody_makes_links_to_what_they_do_not_manage() {
    let (place, id) = place();
    place.add_user_as("pub", Role::Publisher);
    let shown = place.bearer("pub", TTL);
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

#[test]
fn whoever_resumes_what_a_dead_process_was_sending_completes_it() {
    let (place, id) = place();
    let secret = link(&place, &id, 1);
    let database = rusqlite::Connection::open(place.database()).unwrap();
    std::mem::forget(download(&place, &secret, "one").unwrap());
    database
        .execute("UPDATE link_transfers SET server = zeroblob(16)", [])
        .unwrap();
    send(
        &place,
        ask(&place.catalog, &secret, "one", 70_000..SIZE).unwrap(),
        30_000,
    );
    assert_eq!(counted(&place, &id), 1);
}

#[test]
fn what_has_ended_is_known_at_once() {
    let (place, id) = place();
    let secret = link(&place, &id, 1);
    for _ in 0..5 {
        let lease = download(&place, &secret, "one").unwrap();
        lease.sent(1);
        drop(lease);
    }
}

#[test]
fn what_many_clients_may_look_at_is_together_less_than_the_file() {
    let (place, id) = place();
    let secret = link(&place, &id, 1);
    let ranges = [0..SIZE / 2, SIZE / 2..SIZE];
    let [first, second] = ranges.map(|range| (range.clone(), range.end - range.start));
    let lease = ask(&place.catalog, &secret, "one", first.0).unwrap();
    send(&place, lease, first.1);
    // All of it would have been looked at: this takes the use.
    let lease = ask(&place.catalog, &secret, "another", second.0).unwrap();
    send(&place, lease, second.1);
    let third = ask(&place.catalog, &secret, "a third", 0..SIZE / 2).unwrap_err();
    assert_eq!(third.kind(), RefusalKind::NotFound);
}

#[test]
fn a_link_that_was_used_often_costs_no_more_than_a_fresh_one() {
    let (place, id) = place_with(Options::default().link_grace(Duration::from_millis(1)));
    let secret = link(&place, &id, 40);
    let database = rusqlite::Connection::open(place.database()).unwrap();
    let uses = || {
        let sql = "SELECT count(*) FROM link_uses";
        database.query_row(sql, [], |row| row.get::<_, u64>(0)).unwrap()
    };
    for client in 0..40 {
        let lease = download(&place, &secret, &client.to_string()).unwrap();
        send(&place, lease, SIZE);
        std::thread::sleep(Duration::from_millis(2));
        assert!(uses() <= 2, "{} are kept after {client}", uses());
    }
    assert!(download(&place, &secret, "one more").is_err());
    let listed = place
        .operator()
        .links(None, beneath_catalog::Page::first(1))
        .unwrap();
    assert_eq!(listed.items[0].completed, 40);
}

#[test]
fn uses_that_were_given_back_long_ago_count_as_much_without_their_clients() {
    let (place, id) = place_with(Options::default().link_grace(Duration::from_millis(1)));
    let secret = link(&place, &id, 2);
    for client in ["a", "b"] {
        let lease = download(&place, &secret, client).unwrap();
        send(&place, lease, 60_000);
        std::thread::sleep(Duration::from_millis(2));
    }
    let database = rusqlite::Connection::open(place.database()).unwrap();
    let day = "UPDATE link_uses SET until = until - 86400000";
    assert_eq!(database.execute(day, []).unwrap(), 2);
    let held = download(&place, &secret, "c").unwrap();
    let sql = "SELECT count(*) FROM link_uses";
    let left: u64 = database.query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(left, 1, "only what is under way");
    assert!(
        download(&place, &secret, "d").is_err(),
        "what a and b were sent is one download together, and c has the other"
    );
    drop(held);
}
