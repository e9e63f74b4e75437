//! The files of the catalog are restored, replaced or removed under a process that has it open: from then on it gives nothing,
//! changes nothing, and harms nothing that is there now.
#![allow(
    clippy::disallowed_methods,
    reason = "tests build and inspect their own trees by name"
)]
#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests too")]

mod common;

use std::fs;
use std::process::Command;

use beneath::Source as _;
use beneath_catalog::{AdminErrorKind, FileId, RefusalKind, Role};
use common::{PASSWORD, Place, basic, eventually, password, subject, user};
use rusqlite::Connection;

/// One file for one reader, who has been given it once.
fn serving() -> (Place, FileId) {
    let place = Place::new();
    place.add_user("ann");
    let id = place.publish("a", &["user:ann"]);
    drop(place.catalog.open(&basic("ann"), &id).unwrap());
    (place, id)
}

fn remove(place: &Place, suffixes: &[&str]) {
    for suffix in suffixes {
        let name = format!("{}{suffix}", place.database().display());
        fs::remove_file(name).unwrap();
    }
}

const ALL: [&str; 3] = ["", "-wal", "-shm"];

/// As an operator would restore a backup.
fn restore(place: &Place) {
    let backup = place.directory.path().join("backup.db");
    let copied = Connection::open(place.database())
        .unwrap()
        .execute("VACUUM INTO ?1", [backup.to_str().unwrap()]);
    copied.unwrap();
    remove(place, &ALL);
    fs::rename(backup, place.database()).unwrap();
}

#[track_caller]
fn assert_gives_and_changes_nothing(place: &Place, id: &FileId) {
    eventually("it may not serve any more", || {
        place.catalog.try_open(&basic("ann"), id).is_none()
    });
    let refusal = place.catalog.open(&basic("ann"), id).unwrap_err();
    assert_eq!(refusal.kind(), RefusalKind::Unavailable);
    assert!(place.catalog.ready().is_err(), "it would be called ready");
    let refused = place.operator().revoke(id, &subject("user:ann")).unwrap_err();
    assert_eq!(refused.kind(), AdminErrorKind::Unavailable);
    assert!(refused.to_string().contains("replaced or removed"), "{refused}");
}

#[test]
fn a_process_whose_catalog_was_restored_serves_nothing_of_the_old_one() {
    let (place, id) = serving();
    let lease = place.catalog.open(&basic("ann"), &id).unwrap();
    restore(&place);
    let another = place.another(beneath_catalog::Options::default());
    let operator = another.operator(beneath::ambient_authority());
    eventually("the lease falls", || lease.still_held().is_err());
    drop(operator.revoke(&id, &subject("user:ann")).unwrap());
    assert_gives_and_changes_nothing(&place, &id);
}

#[test]
fn what_would_be_written_to_a_catalog_that_was_removed_is_refused() {
    let (place, id) = serving();
    remove(&place, &ALL);
    // At once, not only when it was noticed.
    let refused = place
        .operator()
        .add_user(&user("bob"), &password(PASSWORD), Role::Reader);
    assert_eq!(refused.unwrap_err().kind(), AdminErrorKind::Unavailable);
    assert_gives_and_changes_nothing(&place, &id);
    assert!(!place.database().exists(), "nothing is made in its place");
}

/// Not a test of its own: what another process does, which shares no lock and no memory of the log with this one.
#[test]
#[ignore = "run by the test below, as its child"]
fn child_that_writes() {
    let store = Connection::open(std::env::var_os(DATABASE).unwrap()).unwrap();
    store
        .execute_batch("CREATE TABLE since (x); INSERT INTO since VALUES (1)")
        .unwrap();
}

const DATABASE: &str = "BENEATH_TEST_DATABASE";

#[test]
fn a_process_that_lost_its_log_does_not_write_over_what_others_did_since() {
    let (place, id) = serving();
    let database = place.database();
    remove(&place, &["-wal", "-shm"]);
    eventually("it may not serve any more", || {
        place.catalog.try_open(&basic("ann"), &id).is_none()
    });
    // What had not reached the database itself is gone with the log; what comes now stays.
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "child_that_writes", "--ignored"]);
    assert!(child.env(DATABASE, &database).status().unwrap().success());
    let Place { directory, catalog } = place;
    drop(catalog);
    let store = Connection::open(&database).unwrap();
    let rows: i64 = store
        .query_row("SELECT count(*) FROM since", [], |row| row.get(0))
        .unwrap();
    let whole: String = store
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!((rows, whole.as_str()), (1, "ok"));
    drop(directory);
}
