//! What a decision costs: `cargo bench -p beneath-catalog`. With more files: `catalog_scale` of `tests/bench`.
#![allow(clippy::disallowed_methods, reason = "builds its own tree by name")]
#![allow(clippy::unwrap_used, reason = "all of this is a measurement")]

#[path = "../tests/common/mod.rs"]
mod common;

use beneath::{RelPath, Root, Source as _, ambient_authority};
use beneath_catalog::{Credentials, FileId, Options};
use common::{PASSWORD, Place, basic};
use divan::{Bencher, black_box};

fn main() {
    divan::main();
}

fn place(options: Options) -> (Place, Vec<FileId>) {
    let place = Place::with(options);
    place.add_user("ann");
    let ids: Vec<_> = (0..100)
        .map(|number| place.publish(&format!("file{number}"), &["user:ann"]))
        .collect();
    drop(place.catalog.open(&basic("ann"), &ids[0]).unwrap());
    (place, ids)
}

/// What of the rest is the system's.
#[divan::bench]
fn the_open_alone(bencher: Bencher<'_, '_>) {
    let (place, _) = place(Options::default());
    let root = Root::open_ambient(place.files(), ambient_authority()).unwrap();
    let path = RelPath::parse("file0").unwrap();
    bencher.bench(|| root.open(black_box(&path)).unwrap());
}

#[divan::bench]
fn credentials_from_a_header(bencher: Bencher<'_, '_>) {
    bencher.bench(|| Credentials::basic(black_box(b"ann"), black_box(PASSWORD.as_bytes())));
}

/// Who is this, may they, open it, and the record in the trail.
#[divan::bench]
fn decision_from_memory_and_open(bencher: Bencher<'_, '_>) {
    let (place, ids) = place(Options::default());
    let ann = basic("ann");
    bencher.bench(|| place.catalog.try_open(&ann, black_box(&ids[0])).unwrap());
}

#[divan::bench]
fn a_lease_asked_whether_it_holds(bencher: Bencher<'_, '_>) {
    let (place, ids) = place(Options::default());
    let lease = place.catalog.open(&basic("ann"), &ids[0]).unwrap();
    bencher.bench(|| lease.still_held());
}

/// Whoever logs in is remembered, files are not.
#[divan::bench]
fn decision_by_the_store_and_open(bencher: Bencher<'_, '_>) {
    let (place, ids) = place(Options::default().remembered(64));
    let ann = basic("ann");
    let mut next = ids.iter().cycle();
    bencher.bench_local(|| place.catalog.open(&ann, next.next().unwrap()).unwrap());
}

/// Nothing is remembered but that the password was right.
#[divan::bench]
fn decision_by_the_store_who_it_is_included(bencher: Bencher<'_, '_>) {
    let (place, ids) = place(Options::default().remembered(0));
    let ann = basic("ann");
    bencher.bench(|| place.catalog.open(&ann, black_box(&ids[0])).unwrap());
}
