//! What strangers try, who have all the time there is: they fill neither the audit trail nor the memory.
#![allow(
    clippy::disallowed_methods,
    reason = "tests build and inspect their own trees by name"
)]
#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests too")]

mod common;

use std::net::IpAddr;
use std::time::Duration;

use beneath_catalog::{AuditRecord, Credentials, FileId, Options, Reason, RefusalKind};
use common::{Place, eventually};

#[test]
fn logins_that_are_not_even_heard_are_one_record_whatever_name_and_file_they_claim() {
    const GUESSES: u64 = 5000;
    let address: IpAddr = [198, 51, 100, 7].into();
    let place = Place::with(
        Options::default()
            .failed_logins(1)
            .failed_logins_refill(Duration::from_secs(3600)),
    );
    let guess = |number: u64| {
        let name = format!("somebody{number}");
        let id: FileId = format!("{number:0>21}A").parse().unwrap();
        let shown = Credentials::basic(name.as_bytes(), b"guess").from_address(address);
        place.catalog.open(&shown, &id).unwrap_err()
    };
    assert_eq!(
        guess(0).kind(),
        RefusalKind::Unauthenticated,
        "the first is heard"
    );
    // Nothing is written meanwhile, so that what can be one record is.
    let foreign = rusqlite::Connection::open(place.database()).unwrap();
    foreign.busy_timeout(Duration::from_secs(5)).unwrap();
    foreign.execute_batch("BEGIN IMMEDIATE").unwrap();
    for number in 1..=GUESSES {
        assert_eq!(guess(number).reason(), Reason::Throttled);
    }
    foreign.execute_batch("ROLLBACK").unwrap();

    let records = |reason: &str| -> Vec<AuditRecord> {
        let trail = place.operator().audit(None, None, 10_000).unwrap();
        let of = |record: &AuditRecord| record.reason.as_deref() == Some(reason);
        trail.into_iter().filter(of).collect()
    };
    let times = || {
        records("Throttled")
            .iter()
            .map(|record| record.times)
            .sum::<u64>()
    };
    eventually("all of them are written down", || times() == GUESSES);
    let throttled = records("Throttled");
    for record in &throttled {
        let about = (&*record.actor, &*record.object, record.address.as_deref());
        assert_eq!(about, ("unknown", "", Some("198.51.100.7")));
    }
    // What came before there were many is not put together; all others are.
    assert!(throttled.len() <= 1025, "{} records", throttled.len());
    // Whoever is heard is written down with what they claim.
    let [heard] = &records("UnknownUser")[..] else {
        panic!("one was heard");
    };
    assert_eq!(
        (&*heard.actor, &*heard.object),
        ("unproven:\"somebody0\"", "000000000000000000000A")
    );
}
