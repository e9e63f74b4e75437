//! What an open, its metadata and the close cost, beside what other servers do instead. `cargo bench -p beneath`

#![allow(
    clippy::disallowed_methods,
    reason = "the by-name checks are here to be measured against"
)]
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot run should say so")]
#![allow(missing_docs, reason = "the functions are told by their names")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use beneath::testing::{self, Forced};
use beneath::{Policy, RelPath, Root, Symlinks, ambient_authority};
use divan::{Bencher, black_box};

const FILE: &str = "a/b/c/d/file.txt";

fn main() {
    divan::main();
}

#[divan::bench]
fn openat2_strict(bencher: Bencher<'_, '_>) {
    bench_root(bencher, Policy::default(), Forced::Openat2);
}

#[divan::bench]
fn openat2_links_beneath(bencher: Bencher<'_, '_>) {
    bench_root(
        bencher,
        Policy::default().symlinks(Symlinks::Beneath),
        Forced::Openat2,
    );
}

#[divan::bench]
fn walk_strict(bencher: Bencher<'_, '_>) {
    bench_root(bencher, Policy::default(), Forced::Walk);
}

#[divan::bench]
fn try_open_warm(bencher: Bencher<'_, '_>) {
    let tree = tree();
    let root = Root::open_ambient(tree.path(), ambient_authority()).unwrap();
    let path = RelPath::parse(FILE).unwrap();
    bencher.bench_local(|| drop(root.try_open(black_box(&path)).unwrap()));
}

#[divan::bench]
fn open_kept(bencher: Bencher<'_, '_>) {
    let tree = tree();
    let root = Root::open_ambient(tree.path(), ambient_authority()).unwrap();
    let path = RelPath::parse(FILE).unwrap();
    std::thread::sleep(Duration::from_millis(50));
    let kept = testing::keep(&root, &path, Duration::from_millis(20)).unwrap();
    bencher.bench_local(|| drop(black_box(&root).open_kept(&kept).unwrap()));
}

#[divan::bench]
fn std_open_unguarded(bencher: Bencher<'_, '_>) {
    bench_by_name(bencher, |root| std::fs::File::open(root.join(FILE)).unwrap());
}

#[divan::bench]
fn std_stat_then_open(bencher: Bencher<'_, '_>) {
    bench_by_name(bencher, |root| {
        let path = root.join(FILE);
        assert!(std::fs::metadata(&path).unwrap().is_file());
        std::fs::File::open(path).unwrap()
    });
}

#[divan::bench]
fn std_lstat_each_then_open(bencher: Bencher<'_, '_>) {
    bench_by_name(bencher, |root| {
        let mut path = root.to_path_buf();
        for component in Path::new(FILE) {
            path.push(component);
            assert!(!std::fs::symlink_metadata(&path).unwrap().is_symlink());
        }
        std::fs::File::open(path).unwrap()
    });
}

#[divan::bench]
fn std_realpath_check_open(bencher: Bencher<'_, '_>) {
    bench_by_name(bencher, |root| {
        let path = std::fs::canonicalize(root.join(FILE)).unwrap();
        assert!(path.starts_with(root));
        std::fs::File::open(path).unwrap()
    });
}

fn bench_root(bencher: Bencher<'_, '_>, policy: Policy, backend: Forced) {
    let tree = tree();
    let root = testing::open_ambient(tree.path(), policy, backend, ambient_authority()).unwrap();
    let path = RelPath::parse(FILE).unwrap();
    bencher.bench_local(|| drop(root.open(black_box(&path)).unwrap()));
}

/// With the metadata of the opened file, which a `beneath::File` has in hand as well.
fn bench_by_name(bencher: Bencher<'_, '_>, open: impl Fn(&Path) -> std::fs::File) {
    let tree = tree();
    let root: PathBuf = std::fs::canonicalize(tree.path()).unwrap();
    bencher.bench_local(|| {
        let file = open(black_box(&root));
        let metadata = file.metadata().unwrap();
        black_box(metadata);
        drop(file);
    });
}

fn tree() -> tempfile::TempDir {
    let tree = tempfile::tempdir().unwrap();
    let file = tree.path().join(FILE);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(file, "content").unwrap();
    tree
}
