//! What a decision costs, with a thousand files and with a million: `cargo bench -p beneath-catalog`.
//!
//! 10,000 users and 1,000 groups (a tenth of that for the small catalog); every file is granted to one user and one group,
//! every user is in three groups. Files are picked at random. Times are medians and 99th percentiles.
#![allow(clippy::disallowed_methods, reason = "builds its own tree by name")]
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "all of this is a measurement"
)]

#[path = "../tests/common/mod.rs"]
mod common;

use std::time::{Duration, Instant};

use beneath_catalog::{Credentials, FileId, Options, Page};
use common::{PASSWORD, Place, basic, bound};

const SMALL: usize = 1000;
const SAMPLES: usize = 20_000;

struct Figures {
    /// Of the same number of files, in a small and in a large catalog.
    by_store: Duration,
    /// Of all files: then most of what is read is in no cache of the processor.
    by_store_all: Duration,
}

fn main() {
    // `cargo test --benches` must not take minutes.
    let measured = std::env::args().any(|argument| argument == "--bench");
    let large = std::env::var("BENEATH_FILES").map_or(1_000_000, |files| files.parse().unwrap());
    let small = measure(SMALL, if measured { SAMPLES } else { 100 });
    if measured {
        let large = measure(large, SAMPLES);
        let growth =
            |small: Duration, large: Duration| (large.as_secs_f64() / small.as_secs_f64() - 1.0) * 100.0;
        println!(
            "by the store a decision on one of 1,000 files takes {:+.1} %, on one of all {:+.1} %",
            growth(small.by_store, large.by_store),
            growth(small.by_store_all, large.by_store_all),
        );
    }
}

fn measure(files: usize, samples: usize) -> Figures {
    let place = Place::with(bound(1000));
    place.add_user("u0");
    place.write("a", "content");
    let ids = populate(&place, files);
    println!("{files} files");

    let since = Instant::now();
    let catalog = place.another(Options::default());
    println!("  start-up, to the first answer     {:>9.1} ms", {
        let _ = catalog.open(&basic("u0"), &ids[0]);
        since.elapsed().as_secs_f64() * 1e3
    });

    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let mut pick = || &ids[random.next() as usize % ids.len()];
    // u0 may read everything, so that every decision ends in an open file.
    let open = |id: &FileId| drop(catalog.open(&basic("u0"), id).unwrap());
    report("warm-up", samples, || open(pick()));
    let by_store_all = report("open, by the store, all files", samples, || open(pick()));
    let few: Vec<FileId> = (0..SMALL).map(|_| *pick()).collect();
    let mut random = Random(0xd134_2543_de82_ef95);
    let by_store = report("open, by the store, 1,000 of them", samples, || {
        open(&few[random.next() as usize % few.len()]);
    });
    let credentials = basic("u0");
    let known = ids[7];
    drop(catalog.open(&credentials, &known).unwrap());
    report("try_open, decided from memory", samples, || {
        drop(catalog.try_open(&credentials, &known).unwrap());
    });
    report("  and credentials from a header", samples, || {
        let credentials = Credentials::basic(b"u0", PASSWORD.as_bytes());
        drop(catalog.try_open(&credentials, &known).unwrap());
    });
    let operator = catalog.operator(beneath::ambient_authority());
    let mut cursor = None;
    for name in ["first page of 100", "second page", "third page"] {
        let page = cursor.map_or(Page::first(100), |cursor| Page::first(100).at(cursor));
        report(name, samples.min(200), || drop(operator.files(page).unwrap()));
        cursor = operator.files(page).unwrap().next;
    }
    let deep: beneath_catalog::Cursor = (files as u64 / 2).max(1).to_string().parse().unwrap();
    report("a page in the middle", samples.min(200), || {
        drop(operator.files(Page::first(100).at(deep)).unwrap());
    });
    Figures {
        by_store,
        by_store_all,
    }
}

fn report(what: &str, samples: usize, mut run: impl FnMut()) -> Duration {
    let mut times: Vec<Duration> = (0..samples)
        .map(|_| {
            let since = Instant::now();
            run();
            since.elapsed()
        })
        .collect();
    times.sort_unstable();
    let (median, late) = (times[times.len() / 2], times[times.len() * 99 / 100]);
    let micros = |time: Duration| time.as_secs_f64() * 1e6;
    println!("  {what:<33} {:>9.2} µs {:>9.2} µs", micros(median), micros(late));
    median
}

/// By the tables themselves: a million acknowledged acts would take an hour.
fn populate(place: &Place, files: usize) -> Vec<FileId> {
    let (users, groups) = (
        files.clamp(100, 1_000_000) / 100,
        files.clamp(100, 1_000_000) / 1000 + 1,
    );
    let mut connection = rusqlite::Connection::open(place.database()).unwrap();
    connection.pragma_update(None, "cache_size", -500_000).unwrap();
    let all = connection.transaction().unwrap();
    {
        let mut subject = all
            .prepare("INSERT INTO subjects (id, kind) VALUES (?1, ?2)")
            .unwrap();
        let mut user = all
            .prepare("INSERT INTO users VALUES (?1, ?2, ?2, 'reader', 1, 'x', 1, 0)")
            .unwrap();
        let mut group = all.prepare("INSERT INTO groups VALUES (?1, ?2, ?2, 0)").unwrap();
        let mut member = all
            .prepare("INSERT OR IGNORE INTO members VALUES (?1, ?2)")
            .unwrap();
        let mut entry = all
            .prepare("INSERT INTO entries (id, root, path, name, size, pin, created) VALUES (?1, 'files', x'61', x'61', 7, 'path', 0)")
            .unwrap();
        let mut grant = all
            .prepare("INSERT OR IGNORE INTO grants VALUES (?1, ?2, NULL, 0)")
            .unwrap();
        // Numbers from 1 on are taken by u0, who is there already.
        let (first_user, first_group) = (10_i64, 10 + users as i64);
        for number in 0..users as i64 {
            let id = first_user + number;
            subject.execute((id, "user")).unwrap();
            user.execute((id, format!("user {id}"))).unwrap();
        }
        for number in 0..groups as i64 {
            let id = first_group + number;
            subject.execute((id, "group")).unwrap();
            group.execute((id, format!("group {id}"))).unwrap();
        }
        for number in 0..users as i64 {
            for step in [0, 7, 13] {
                let group = first_group + (number + step) % groups as i64;
                member.execute((first_user + number, group)).unwrap();
            }
        }
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        for number in 0..files as i64 {
            let mut id = [0; 16];
            id[..8].copy_from_slice(&random.next().to_le_bytes());
            id[8..].copy_from_slice(&random.next().to_le_bytes());
            entry.execute([id]).unwrap();
            let seq = all.last_insert_rowid();
            grant.execute((seq, 1)).unwrap();
            grant.execute((seq, first_user + number % users as i64)).unwrap();
            grant
                .execute((seq, first_group + number % groups as i64))
                .unwrap();
        }
    }
    all.execute(
        "DELETE FROM changes WHERE revision < (SELECT max(revision) FROM changes)",
        [],
    )
    .unwrap();
    all.commit().unwrap();
    let mut page = Page::first(Page::MAX);
    let (mut ids, operator) = (Vec::new(), place.operator());
    while ids.len() < 100_000 {
        let listing = operator.files(page).unwrap();
        ids.extend(listing.items.iter().map(|entry| *entry.id()));
        match listing.next {
            Some(next) => page = page.at(next),
            None => break,
        }
    }
    ids
}

/// xorshift64*: a picking order that is the same each time.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}
