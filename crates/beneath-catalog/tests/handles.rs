//! What is asked for again and again stays open, and nobody can tell but by the time it takes.
#![allow(
    clippy::disallowed_methods,
    reason = "tests build and inspect their own trees by name"
)]
#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests too")]

mod common;

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use beneath::{Root, Source as _, ambient_authority};
use beneath_catalog::{FileId, Options, Pin, RefusalKind};
use common::{Place, basic, eventually, publication, root_name, subject};

/// A file `deep/a` that is held open, with this pin.
fn held(pin: Pin) -> (Place, FileId) {
    let place = Place::new();
    place.add_user("ann");
    std::fs::create_dir(place.files().join("deep")).unwrap();
    place.write("deep/a", "content");
    let publication = publication("deep/a").pinned(pin).to(subject("user:ann"), None);
    let id = *place.operator().publish(&publication).unwrap().value().id();
    eventually("it is held", || is_held(&place, &id));
    (place, id)
}

/// Only of what is held the content is known.
fn is_held(place: &Place, id: &FileId) -> bool {
    let open = || place.catalog.open(&basic("ann"), id).unwrap();
    open();
    open().file().content().is_some()
}

/// What a request is given now, or why not.
fn given(place: &Place, id: &FileId) -> Result<String, RefusalKind> {
    let lease = place
        .catalog
        .open(&basic("ann"), id)
        .map_err(|refusal| refusal.kind())?;
    let bytes = lease.file().content().map_or_else(
        || {
            let mut bytes = vec![0; usize::try_from(lease.file().metadata().len()).unwrap()];
            let read = lease.file().read_at(&mut bytes, 0).unwrap();
            bytes.truncate(read);
            bytes
        },
        |content| content.to_vec(),
    );
    Ok(String::from_utf8(bytes).unwrap())
}

#[test]
fn the_next_request_is_given_what_opening_the_name_gives() {
    type Deed = fn(&Place, &FileId);
    let replace: Deed = |place, _| {
        place.write("new", "another");
        std::fs::rename(place.files().join("new"), place.files().join("deep/a")).unwrap();
    };
    let deeds: [(&str, Deed, Result<&str, RefusalKind>); 9] = [
        ("nothing", |_, _| (), Ok("content")),
        ("it is replaced", replace, Ok("another")),
        (
            "it is written over",
            |place, _| place.write("deep/a", "other"),
            Ok("other"),
        ),
        (
            "it is removed",
            |place, _| std::fs::remove_file(place.files().join("deep/a")).unwrap(),
            Err(RefusalKind::NotFound),
        ),
        (
            "its directory is moved away",
            |place, _| std::fs::rename(place.files().join("deep"), place.files().join("gone")).unwrap(),
            Err(RefusalKind::NotFound),
        ),
        (
            "its directory becomes a link to itself",
            |place, _| {
                std::fs::rename(place.files().join("deep"), place.files().join("real")).unwrap();
                std::os::unix::fs::symlink("real", place.files().join("deep")).unwrap();
            },
            Err(RefusalKind::NotFound),
        ),
        (
            "the grant is revoked",
            |place, id| {
                let _ = place.operator().revoke(id, &subject("user:ann")).unwrap();
            },
            Err(RefusalKind::NotFound),
        ),
        (
            "it is unpublished",
            |place, id| {
                let _ = place.operator().unpublish(id).unwrap();
            },
            Err(RefusalKind::NotFound),
        ),
        (
            "another directory takes the place of the root",
            |place, _| {
                let other = place.directory.path().join("other");
                std::fs::create_dir_all(other.join("deep")).unwrap();
                std::fs::write(other.join("deep/a"), "elsewhere").unwrap();
                let root = Root::open_ambient(other, ambient_authority()).unwrap();
                place
                    .catalog
                    .set_root(root_name("files"), Arc::new(root))
                    .unwrap();
            },
            Ok("elsewhere"),
        ),
    ];
    std::thread::scope(|scope| {
        for (what, deed, expected) in &deeds {
            scope.spawn(move || {
                let (place, id) = held(Pin::Path);
                deed(&place, &id);
                let given = given(&place, &id);
                assert_eq!(given.as_deref().map_err(|kind| *kind), *expected, "{what}");
            });
        }
    });
}

#[test]
fn pins_hold_for_what_is_held() {
    for (pin, served) in [(Pin::Path, true), (Pin::Identity, false), (Pin::Content, false)] {
        let (place, id) = held(pin);
        place.write("new", "another");
        std::fs::rename(place.files().join("new"), place.files().join("deep/a")).unwrap();
        assert_eq!(given(&place, &id).is_ok(), served, "{pin}");
    }
}

#[test]
fn what_is_written_through_a_mapping_is_seen_soon() {
    let place = Place::new();
    place.add_user("ann");
    let id = place.publish("a", &["user:ann"]);
    let mut writer = Writer::start(&place.files().join("a"));
    writer.write("content");
    eventually("it is held", || is_held(&place, &id));
    assert_eq!(given(&place, &id).as_deref(), Ok("content"));
    let before = std::fs::metadata(place.files().join("a")).unwrap();
    writer.write("CONTENT");
    let after = std::fs::metadata(place.files().join("a")).unwrap();
    assert_eq!(
        before.modified().unwrap(),
        after.modified().unwrap(),
        "no time shows it"
    );
    eventually("it is seen", || given(&place, &id).as_deref() == Ok("CONTENT"));
}

/// Another process that has mapped a file to write to it.
struct Writer(std::process::Child);

impl Writer {
    fn start(file: &Path) -> Self {
        const PROGRAM: &str = "
import mmap, sys
with open(sys.argv[1], 'r+b') as file:
    memory = mmap.mmap(file.fileno(), 0)
    for line in sys.stdin:
        memory[:] = line.strip().encode()
        print(flush=True)
";
        let program = std::process::Command::new("python3")
            .args(["-c", PROGRAM])
            .arg(file)
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn();
        Self(program.unwrap())
    }

    fn write(&mut self, text: &str) {
        writeln!(self.0.stdin.as_mut().unwrap(), "{text}").unwrap();
        let mut line = [0];
        self.0.stdout.as_mut().unwrap().read_exact(&mut line).unwrap();
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn no_more_descriptors_are_held_than_there_is_room_for() {
    for (room, most) in [(0, 0), (4, 4)] {
        let place = Place::with(Options::default().kept_open(room));
        place.add_user("ann");
        std::fs::create_dir(place.files().join("deep")).unwrap();
        let ids: Vec<FileId> = (0..8)
            .map(|number| place.publish(&format!("deep/{number}"), &["user:ann"]))
            .collect();
        let ask = || {
            for id in &ids {
                place.catalog.open(&basic("ann"), id).unwrap();
            }
        };
        let until = Instant::now() + Duration::from_millis(3500);
        while Instant::now() < until {
            ask();
            std::thread::sleep(Duration::from_millis(20));
        }
        // The root's own is one more; two for each file that is held, and while one is opened to be held, some more.
        eventually("as many as there is room for", || {
            ask(); // What nobody asks for is not held.
            descriptors_into(&place.files()) == 1 + most
        });
    }
}

#[test]
fn a_file_so_deep_that_there_is_no_room_for_the_way_to_it_keeps_no_other_from_being_held() {
    let place = Place::with(Options::default().kept_open(16));
    place.add_user("ann");
    let deep = "d/".repeat(40);
    std::fs::create_dir_all(place.files().join(&deep)).unwrap();
    let deep = place.publish(&format!("{deep}a"), &["user:ann"]);
    let flat = place.publish("a", &["user:ann"]);
    eventually("the other is held", || {
        (0..10).for_each(|_| drop(place.catalog.open(&basic("ann"), &deep).unwrap()));
        is_held(&place, &flat)
    });
    assert!(!is_held(&place, &deep));
}

#[test]
fn a_root_that_was_replaced_is_let_go() {
    let (place, _) = held(Pin::Path);
    let other = place.directory.path().join("other");
    std::fs::create_dir(&other).unwrap();
    let root = Root::open_ambient(other, ambient_authority()).unwrap();
    place
        .catalog
        .set_root(root_name("files"), Arc::new(root))
        .unwrap();
    eventually("it is let go", || descriptors_into(&place.files()) == 0);
}

#[test]
fn a_file_that_is_removed_is_let_go_although_nobody_asks_for_it() {
    let (place, id) = held(Pin::Path);
    assert!(descriptors_into(&place.files()) > 1);
    std::fs::remove_file(place.files().join("deep/a")).unwrap();
    eventually("it is let go", || descriptors_into(&place.files()) == 1);
    assert_eq!(given(&place, &id), Err(RefusalKind::NotFound));
}

#[test]
fn where_descriptors_run_short_all_of_it_is_let_go_and_everything_is_served_as_before() {
    let (place, id) = held(Pin::Path);
    place.catalog.let_go();
    eventually("it is let go", || descriptors_into(&place.files()) == 1);
    let until = Instant::now() + Duration::from_secs(3);
    while Instant::now() < until {
        assert!(!is_held(&place, &id), "too soon");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_catalog_that_is_closed_holds_nothing() {
    let (place, _) = held(Pin::Path);
    let Place { directory, catalog } = place;
    drop(catalog);
    assert_eq!(descriptors_into(&directory.path().join("files")), 0);
}

/// How many of this process's descriptors lead into the tree.
fn descriptors_into(tree: &Path) -> usize {
    let links = std::fs::read_dir("/proc/self/fd").unwrap();
    let targets = links.filter_map(|link| std::fs::read_link(link.unwrap().path()).ok());
    targets.filter(|target| target.starts_with(tree)).count()
}
