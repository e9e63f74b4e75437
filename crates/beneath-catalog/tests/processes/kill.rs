//! A process that writes is killed at a random moment, again and again.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use beneath::ambient_authority;
use beneath_catalog::{FileId, Options, StoreUrl};

use crate::child::spawn;
use crate::common::Place;
use crate::times;

pub fn nothing_acknowledged_is_lost() {
    let place = Place::new();
    place.add_user("ann");
    place.write("a", "content");
    let (mut published, mut revoked) = (Vec::new(), Vec::new());
    let rounds = times("BENEATH_KILLS", 100);
    let mut longest = Duration::ZERO;
    for round in 0..rounds {
        // Now and then anew, since others may be using the machine.
        if round % 20 == 0 {
            longest = time_of_ten_acts(&place);
        }
        let mut child = spawn("child:writer", place.directory.path(), Stdio::null());
        let output = BufReader::new(child.stdout.take().unwrap());
        // Some die before they have connected, some in their tenth act.
        std::thread::sleep(longest * (random() % 1000) / 1000);
        child.kill().unwrap();
        child.wait().unwrap();
        let (mut new, mut taken) = acknowledged(output);
        check(&place, &new, &taken, round);
        published.append(&mut new);
        revoked.append(&mut taken);
    }
    check(&place, &published, &revoked, rounds);
    println!(
        "{rounds} kills, {} acknowledged changes",
        published.len() + revoked.len()
    );
    assert!(
        published.len() > rounds / 4,
        "they were killed before they did anything"
    );
}

/// From the start of a process on.
fn time_of_ten_acts(place: &Place) -> Duration {
    let since = Instant::now();
    let mut child = spawn("child:writer", place.directory.path(), Stdio::null());
    let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(output.by_ref().map_while(Result::ok).take(10).count(), 10);
    let took = since.elapsed();
    child.kill().unwrap();
    child.wait().unwrap();
    took
}

fn acknowledged(output: impl BufRead) -> (Vec<FileId>, Vec<FileId>) {
    let (mut published, mut revoked) = (Vec::new(), Vec::new());
    // A last line may be torn; whole lines were written after the act had returned.
    for line in output.split(b'\n').map(Result::unwrap) {
        let line = String::from_utf8(line).unwrap();
        match line
            .split_once(' ')
            .map(|(what, id)| (what, id.parse::<FileId>()))
        {
            Some(("published", Ok(id))) => published.push(id),
            Some(("revoked", Ok(id))) => revoked.push(id),
            _ => {}
        }
    }
    (published, revoked)
}

/// What a process that starts now finds.
fn check(place: &Place, published: &[FileId], revoked: &[FileId], round: usize) {
    let store = StoreUrl::sqlite(place.database());
    let catalog = beneath_catalog::Catalog::connect(&store, [], Options::default()).unwrap();
    let operator = catalog.operator(ambient_authority());
    for id in published {
        let found = operator.file(id);
        assert!(found.is_ok(), "round {round}: {id} was published and is gone");
    }
    for id in revoked {
        let grants = operator.file(id).unwrap().grants;
        assert!(
            grants.is_empty(),
            "round {round}: {id} was revoked and is granted"
        );
    }
    let connection = rusqlite::Connection::open(place.database()).unwrap();
    let sound: String = connection
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(sound, "ok", "round {round}");
    let orphans: i64 = connection
        .query_row("SELECT count(*) FROM pragma_foreign_key_check", [], |row| {
            row.get(0)
        })
        .unwrap();
    assert_eq!(orphans, 0, "round {round}");
}

fn random() -> u32 {
    let mut bytes = [0; 4];
    getrandom::fill(&mut bytes).unwrap();
    u32::from_ne_bytes(bytes)
}
