//! How a published file is to be answered: whether it is shown, and what caches may do with it.
#![allow(
    clippy::disallowed_methods,
    reason = "tests build and inspect their own trees by name"
)]
#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests too")]

mod common;

use beneath_catalog::{Amendment, Caching, Disposition, Entry, Page};
use common::{Place, basic, publication, subject};

const KINDS: [(Disposition, Caching); 4] = [
    (Disposition::Attachment, Caching::NoStore),
    (Disposition::Attachment, Caching::Revalidate),
    (Disposition::Inline, Caching::NoStore),
    (Disposition::Inline, Caching::Revalidate),
];

fn of(entry: &Entry) -> (Disposition, Caching) {
    (entry.disposition(), entry.caching())
}

#[test]
fn a_file_is_saved_and_not_kept_unless_its_publisher_says_otherwise() {
    let place = Place::new();
    place.add_user("ann");
    let id = place.publish("a", &["user:ann"]);
    let lease = place.catalog.open(&basic("ann"), &id).unwrap();
    assert_eq!(of(lease.entry()), KINDS[0]);
    assert_eq!((Disposition::default(), Caching::default()), KINDS[0]);
}

#[test]
fn what_its_publisher_chose_is_what_everybody_sees() {
    let place = Place::new();
    place.add_user("ann");
    place.write("a", "x");
    for kind in KINDS {
        let publication = publication("a")
            .disposition(kind.0)
            .caching(kind.1)
            .to(subject("user:ann"), None);
        let published = place.operator().publish(&publication).unwrap().into_value();
        assert_eq!(of(&published), kind);
        assert_eq!(of(&place.operator().file(published.id()).unwrap().entry), kind);
        let listed = place.operator().files(Page::first(1)).unwrap();
        assert_eq!(of(&listed.items[0]), kind);
        let lease = place.catalog.open(&basic("ann"), published.id()).unwrap();
        assert_eq!(of(lease.entry()), kind);
    }
}

#[test]
fn what_is_changed_is_answered_at_once_and_what_is_not_named_stays() {
    let place = Place::new();
    place.add_user("ann");
    let id = place.publish("a", &["user:ann"]);
    let is = || of(place.catalog.open(&basic("ann"), &id).unwrap().entry());
    let mut version = place.operator().file(&id).unwrap().entry.version();
    let (inline, revalidate) = (Disposition::Inline, Caching::Revalidate);
    for (amendment, expected) in [
        (Amendment::default().disposition(inline), KINDS[2]),
        (Amendment::default().named("b"), KINDS[2]),
        (Amendment::default().caching(revalidate), KINDS[3]),
        (Amendment::default().media_type("text/plain"), KINDS[3]),
        (
            Amendment::default().disposition(Disposition::Attachment),
            KINDS[1],
        ),
        (Amendment::default().caching(Caching::NoStore), KINDS[0]),
    ] {
        // What is remembered is of before.
        let _ = is();
        let change = place.operator().change(&id, &amendment).unwrap();
        assert_eq!(of(change.value()), expected, "{amendment:?}");
        assert!(change.value().version() > version, "{amendment:?}");
        version = change.value().version();
        assert_eq!(is(), expected, "{amendment:?}");
    }
    let written = place.operator().audit(None, None, 100).unwrap();
    let changes = written
        .iter()
        .filter(|record| record.event == "change" && record.object == id.to_string());
    assert_eq!(changes.count(), 6);
    let entry = place.operator().file(&id).unwrap().entry;
    assert_eq!(
        (entry.name(), entry.media_type()),
        (&b"b"[..], Some("text/plain"))
    );
}

#[test]
fn what_is_written_is_parsed_and_nothing_else() {
    for (disposition, caching) in KINDS {
        assert_eq!(disposition.as_str().parse(), Ok(disposition));
        assert_eq!(caching.to_string().parse(), Ok(caching));
    }
    for text in ["", "Inline", "INLINE", " inline", "inline;", "none"] {
        let error = text.parse::<Disposition>().unwrap_err().to_string();
        assert_eq!(error, "the disposition is none of attachment, inline", "{text:?}");
    }
    for text in ["", "public", "no-cache", "max-age=60", "revalidate ", "No-Store"] {
        let error = text.parse::<Caching>().unwrap_err().to_string();
        assert_eq!(error, "the caching is none of no-store, revalidate", "{text:?}");
    }
}

/// Whatever program wrote it: a kind that is not known here is not served as another.
#[test]
fn the_store_takes_no_other_kind() {
    let place = Place::new();
    let _ = place.publish("a", &[]);
    let foreign = rusqlite::Connection::open(place.database()).unwrap();
    for set in [
        "disposition = 'none'",
        "disposition = NULL",
        "caching = 'public'",
        "caching = NULL",
    ] {
        let error = foreign
            .execute(&format!("UPDATE entries SET {set}"), [])
            .unwrap_err();
        assert!(error.to_string().contains("constraint failed"), "{set}: {error}");
    }
}
