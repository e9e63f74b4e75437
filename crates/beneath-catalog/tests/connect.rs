//! What is at the catalog's path is used if it is a catalog, made if that was asked for, and otherwise left alone.
#![allow(
    clippy::disallowed_methods,
    reason = "tests build and inspect their own trees by name"
)]
#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests too")]

mod common;

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use beneath::{Root, ambient_authority};
use beneath_catalog::{Amendment, Caching, Catalog, ConnectErrorKind, Disposition, Options, StoreUrl};
use common::{Place, basic, root_name};

fn connect(path: &Path) -> Result<Catalog, beneath_catalog::ConnectError> {
    Catalog::connect(&StoreUrl::sqlite(path), [], Options::default())
}

fn create(path: &Path) -> Result<Catalog, beneath_catalog::ConnectError> {
    Catalog::create(&StoreUrl::sqlite(path), [], Options::default())
}

#[test]
fn a_new_catalog_is_readable_by_its_owner_only() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("catalog.db");
    let _catalog = create(&path).unwrap();
    for entry in std::fs::read_dir(directory.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{:?}", entry.file_name());
    }
}

#[test]
fn a_missing_catalog_is_made_only_when_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("catalog.db");
    assert_eq!(connect(&path).unwrap_err().kind(), ConnectErrorKind::Missing);
    assert!(!path.exists());
    drop(create(&path).unwrap());
    drop(connect(&path).unwrap());
    drop(create(&path).unwrap());
}

#[test]
fn what_is_not_a_catalog_is_named_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let foreign = rusqlite::Connection::open(directory.path().join("foreign.db")).unwrap();
    foreign
        .execute_batch("CREATE TABLE t (a); INSERT INTO t VALUES (1)")
        .unwrap();
    drop(foreign);
    std::fs::write(directory.path().join("text"), "dear diary, ".repeat(1000)).unwrap();
    std::fs::write(directory.path().join("short"), "x").unwrap();
    for name in ["foreign.db", "text", "short"] {
        let path = directory.path().join(name);
        let before = std::fs::read(&path).unwrap();
        for result in [connect(&path), create(&path)] {
            let error = result.unwrap_err();
            assert_eq!(error.kind(), ConnectErrorKind::NotACatalog, "{name}: {error}");
            assert!(error.to_string().contains(name), "{error}");
        }
        assert!(std::fs::read(&path).unwrap() == before, "{name} was written to");
    }
}

#[test]
fn a_directory_and_a_path_through_nothing_are_errors_that_say_so() {
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(
        create(directory.path()).unwrap_err().kind(),
        ConnectErrorKind::NotACatalog
    );
    let error = create(&directory.path().join("missing/catalog.db")).unwrap_err();
    assert_eq!(error.kind(), ConnectErrorKind::NoDirectory);
    assert!(error.to_string().contains("missing/catalog.db"), "{error}");
}

#[test]
fn a_catalog_of_a_newer_version_is_not_touched() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("catalog.db");
    drop(create(&path).unwrap());
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.pragma_update(None, "user_version", 999).unwrap();
    drop(connection);
    let error = connect(&path).unwrap_err();
    assert_eq!(error.kind(), ConnectErrorKind::Newer);
    assert!(error.to_string().contains("999"), "{error}");
}

/// What each version added to the schema, in order.
const MIGRATIONS: [&str; 8] = [
    include_str!("../src/store/migrations/0001.sql"),
    include_str!("../src/store/migrations/0002.sql"),
    include_str!("../src/store/migrations/0003.sql"),
    include_str!("../src/store/migrations/0004.sql"),
    include_str!("../src/store/migrations/0005.sql"),
    include_str!("../src/store/migrations/0006.sql"),
    include_str!("../src/store/migrations/0007.sql"),
    include_str!("../src/store/migrations/0008.sql"),
];

#[test]
fn a_catalog_of_an_older_version_is_brought_up_to_date_with_what_is_in_it() {
    for version in 1..MIGRATIONS.len() {
        let place = Place::new();
        place.add_user("ann");
        let id = place.publish("a", &[]);
        let new = rusqlite::Connection::open(place.database()).unwrap();
        let (record, id_bytes): (String, Vec<u8>) = new
            .query_row("SELECT password, entries.id FROM users, entries", [], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .unwrap();
        let application: i64 = new
            .pragma_query_value(None, "application_id", |row| row.get(0))
            .unwrap();
        drop(new);
        let Place { directory, catalog } = place;
        drop(catalog);
        std::fs::remove_file(directory.path().join("catalog.db")).unwrap();

        let old = rusqlite::Connection::open(directory.path().join("catalog.db")).unwrap();
        old.execute_batch(&MIGRATIONS[..version].concat()).unwrap();
        old.pragma_update(None, "user_version", version).unwrap();
        old.pragma_update(None, "application_id", application).unwrap();
        old.execute_batch("INSERT INTO subjects (id, kind) VALUES (7, 'user')")
            .unwrap();
        old.execute(
            "INSERT INTO users VALUES (7, 'ann', 'ann', 'reader', 1, ?1, 1, 0)",
            [record],
        )
        .unwrap();
        old.execute(
            "INSERT INTO entries (seq, id, root, path, owner, name, media_type, size, pin, created, version) \
             VALUES (3, ?1, 'files', x'61', NULL, x'62', 'text/plain', 7, 'path', 0, 5)",
            [id_bytes],
        )
        .unwrap();
        old.execute_batch("INSERT INTO grants VALUES (3, 7, NULL, 0)")
            .unwrap();
        drop(old);

        let catalog = common::connect(directory.path(), Options::default());
        let lease = catalog.open(&basic("ann"), &id).unwrap();
        let entry = lease.entry();
        assert_eq!(
            (entry.name(), entry.media_type(), entry.version()),
            (&b"b"[..], Some("text/plain"), 5),
            "of schema {version}"
        );
        // As it was answered before there was a choice.
        assert_eq!(
            (entry.disposition(), entry.caching()),
            (Disposition::Attachment, Caching::NoStore),
            "of schema {version}"
        );
        drop(lease);
        let amendment = Amendment::default().disposition(Disposition::Inline);
        let changed = catalog
            .operator(ambient_authority())
            .change(&id, &amendment)
            .unwrap()
            .into_value();
        assert_eq!(
            (changed.disposition(), changed.version()),
            (Disposition::Inline, 6)
        );
        drop(catalog);
        let now = rusqlite::Connection::open(directory.path().join("catalog.db")).unwrap();
        let schema: usize = now
            .pragma_query_value(None, "user_version", |row| row.get(0))
            .unwrap();
        assert_eq!(schema, MIGRATIONS.len());
    }
}

#[test]
fn a_damaged_catalog_allows_nothing() {
    let place = Place::new();
    place.add_user("ann");
    let id = place.publish("a", &["user:ann"]);
    drop(place.catalog.open(&basic("ann"), &id).unwrap());
    let path = place.database();
    drop(place.catalog);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[4096..].fill(0xff);
    std::fs::write(&path, bytes).unwrap();
    match connect(&path) {
        Err(error) => assert_eq!(error.kind(), ConnectErrorKind::Failed, "{error}"),
        Ok(catalog) => assert!(catalog.open(&basic("ann"), &id).is_err()),
    }
}

#[test]
fn of_many_who_make_the_same_catalog_at_once_all_get_it() {
    for _ in 0..10 {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("catalog.db");
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| create(&path))).collect();
            for thread in threads {
                drop(thread.join().unwrap().unwrap());
            }
        });
    }
}

#[test]
fn a_catalog_this_process_may_not_write_is_said_to_be_one() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("catalog.db");
    drop(create(&path).unwrap());
    let unwritable = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    unwritable(&path, 0o000);
    // The administrator of the system may do everything: then there is nothing to refuse, and that is shown.
    match std::fs::OpenOptions::new().write(true).open(&path) {
        Ok(_) => drop(connect(&path).unwrap()),
        Err(_) => assert_eq!(connect(&path).unwrap_err().kind(), ConnectErrorKind::Denied),
    }
}

#[test]
fn a_catalog_that_could_be_served_itself_is_refused_before_it_is_made() {
    let directory = tempfile::tempdir().unwrap();
    let inner = directory.path().join("files/deep");
    std::fs::create_dir_all(&inner).unwrap();
    std::os::unix::fs::symlink(&inner, directory.path().join("alias")).unwrap();
    std::os::unix::fs::symlink(inner.join("real.db"), directory.path().join("link.db")).unwrap();
    let root = || Root::open_ambient(directory.path().join("files"), ambient_authority()).unwrap();
    let create = |path: &Path| {
        let roots = [(root_name("files"), Arc::new(root()))];
        Catalog::create(&StoreUrl::sqlite(path), roots, Options::default())
    };
    std::fs::write(inner.join("real.db"), "").unwrap();
    for name in [
        "files/catalog.db",
        "files/deep/catalog.db",
        "alias/catalog.db",
        "link.db",
    ] {
        let path = directory.path().join(name);
        let error = create(&path).unwrap_err();
        assert_eq!(error.kind(), ConnectErrorKind::Served, "{name}");
        assert!(error.to_string().contains("root files"), "{error}");
        assert!(name == "link.db" || !path.exists(), "{name}");
    }
    let beside = create(&directory.path().join("catalog.db")).unwrap();
    let above = Root::open_ambient(directory.path(), ambient_authority()).unwrap();
    let error = beside.set_root(root_name("files"), Arc::new(above)).unwrap_err();
    assert_eq!(error.kind(), ConnectErrorKind::Served);
    beside.set_root(root_name("files"), Arc::new(root())).unwrap();
}

/// SQLite's locks are the process's, and end when any descriptor of the file is closed (fcntl_locking(2)).
#[test]
fn connecting_again_leaves_the_locks_of_a_catalog_alone() {
    let place = Place::new();
    place.add_user("ann");
    place.catalog.authenticate(&basic("ann")).unwrap();
    let locks = || {
        let pid = format!(" {} ", std::process::id());
        let held = std::fs::read_to_string("/proc/locks").unwrap();
        let inode = std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(place.database()).unwrap());
        let inode = format!(":{inode} ");
        held.lines()
            .filter(|lock| lock.contains(&pid) && lock.contains(&inode))
            .count()
    };
    let before = locks();
    assert!(before > 0, "there would be nothing to lose");
    drop(place.another(Options::default()));
    assert_eq!(locks(), before);
}
