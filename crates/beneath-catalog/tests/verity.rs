//! Content pins where the file system has fs-verity: `tests/verity/run` runs this on a kernel and a file system that have
//! it. Elsewhere it says that nothing was tested.
#![allow(
    clippy::disallowed_methods,
    reason = "tests build and inspect their own trees by name"
)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the helpers of tests are tests too"
)]

mod common;

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::SystemTime;

use beneath_catalog::{FileId, Pin, Reason};
use common::{Place, basic, publication, subject};
use composefs_ioctls::fsverity::{EnableVerityError, fs_ioc_enable_verity};

/// SHA-256 or SHA-512, as `<linux/fsverity.h>` numbers them.
const ALGORITHMS: [u8; 2] = [1, 2];

#[test]
fn what_fs_verity_measured_is_known_again_without_being_read() {
    for algorithm in ALGORITHMS {
        let place = Place::new();
        place.add_user("ann");
        let [sealed, plain] = ["sealed", "plain"].map(|name| {
            place.write(name, "content");
            if name == "sealed" && !seal(&place.files().join(name), algorithm) {
                return None;
            }
            let id = publish(&place, name);
            let lease = place.catalog.open(&basic("ann"), &id).unwrap();
            assert_eq!(lease.is_sealed(), name == "sealed");
            Some(id)
        });
        let (Some(sealed), Some(plain)) = (sealed, plain) else {
            return say(&format!(
                "NOT TESTED: the file system of {:?} has no fs-verity",
                place.files()
            ));
        };
        // Another state of the same file: who cannot tell has to read it all.
        for name in ["sealed", "plain"] {
            let file = File::open(place.files().join(name)).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        }
        let at_once = |id: &FileId| place.catalog.try_open(&basic("ann"), id).map(drop);
        assert!(at_once(&plain).is_none());
        assert!(at_once(&sealed).is_some(), "algorithm {algorithm}");

        replace(&place, "sealed", "CONTENT", Some(algorithm));
        let refusal = place.catalog.open(&basic("ann"), &sealed).unwrap_err();
        assert_eq!(refusal.reason(), Reason::Replaced);
        replace(&place, "sealed", "content", Some(algorithm));
        assert!(at_once(&sealed).is_some(), "the same content, sealed anew");
        replace(&place, "sealed", "content", None);
        assert!(at_once(&sealed).is_none());
        assert!(
            place.catalog.open(&basic("ann"), &sealed).is_ok(),
            "the same content, to be read"
        );
        say(&format!("tested with algorithm {algorithm}"));
    }
}

fn publish(place: &Place, name: &str) -> FileId {
    let publication = publication(name)
        .pinned(Pin::Content)
        .to(subject("user:ann"), None);
    *place.operator().publish(&publication).unwrap().value().id()
}

/// By another file of the same name.
fn replace(place: &Place, name: &str, content: &str, algorithm: Option<u8>) {
    place.write("new", content);
    if let Some(algorithm) = algorithm {
        assert!(seal(&place.files().join("new"), algorithm));
    }
    std::fs::rename(place.files().join("new"), place.files().join(name)).unwrap();
}

/// Whether the file system can.
fn seal(path: &Path, algorithm: u8) -> bool {
    match fs_ioc_enable_verity(File::open(path).unwrap(), algorithm, 4096) {
        Ok(()) => true,
        Err(EnableVerityError::FilesystemNotSupported) => false,
        Err(error) => panic!("{error}"),
    }
}

/// To the terminal, past the test harness: what could not be tested must be seen when all is green, too.
fn say(text: &str) {
    writeln!(std::io::stderr().lock(), "    {text}").unwrap();
}
