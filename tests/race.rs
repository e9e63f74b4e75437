//! A path that is swapped for a symbolic link under load never yields a byte from outside the root.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests build their own trees by name, and stop at the first surprise"
)]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use beneath_tests::{Beneathd, http};
use rustix::fs::{CWD, RenameFlags, renameat_with};

const PUBLIC: &[u8] = b"P: for everyone who was granted it";
const SECRET: &[u8] = b"S: outside the root, for nobody";
/// How long the attack lasts at least, and at most: on a machine that has much else to do it goes on until it has been one.
const RUN: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(90);

/// What was seen while the attacker swapped.
#[derive(Debug, Default)]
struct Seen {
    public: AtomicU64,
    secret: AtomicU64,
    refused: AtomicU64,
}

#[test]
fn a_file_swapped_for_a_link_under_load_never_yields_a_byte_from_outside() {
    let sandbox = tempfile::tempdir().unwrap();
    let root = sandbox.path().join("root");
    let outside = sandbox.path().join("outside");
    fs::create_dir(&root).unwrap();
    fs::create_dir(&outside).unwrap();
    fs::write(root.join("report.txt"), PUBLIC).unwrap();
    fs::write(outside.join("secret.txt"), SECRET).unwrap();
    symlink(outside.join("secret.txt"), sandbox.path().join("link")).unwrap();

    let service = Beneathd::quickstart(&root);
    attack(
        &service,
        "report.txt",
        &root.join("report.txt"),
        &sandbox.path().join("link"),
    );
}

#[test]
fn a_folder_swapped_for_a_link_under_load_never_yields_a_byte_from_outside() {
    let sandbox = tempfile::tempdir().unwrap();
    let root = sandbox.path().join("root");
    let outside = sandbox.path().join("outside");
    fs::create_dir_all(root.join("folder")).unwrap();
    fs::create_dir(&outside).unwrap();
    fs::write(root.join("folder/report.txt"), PUBLIC).unwrap();
    fs::write(outside.join("report.txt"), SECRET).unwrap();
    symlink(&outside, sandbox.path().join("link")).unwrap();

    let service = Beneathd::quickstart_with(&root, ["--recursive"]);
    attack(
        &service,
        "report.txt",
        &root.join("folder"),
        &sandbox.path().join("link"),
    );
}

/// Swaps `place` and `link` for a while, under requests for the published file and under a control that checks and
/// then opens the same path. Only the control may leak, and it must: otherwise nothing was tested.
fn attack(service: &Beneathd, name: &str, place: &Path, link: &Path) {
    let root = place.ancestors().find(|path| path.ends_with("root")).unwrap();
    let target = if place.is_dir() {
        place.join("report.txt")
    } else {
        place.to_path_buf()
    };
    let (served, control) = (Seen::default(), Seen::default());
    let swaps = AtomicU64::new(0);
    let stop = AtomicBool::new(false);
    // The password is hashed before, and not during the attack.
    download(service, name, &Seen::default());
    thread::scope(|scope| {
        scope.spawn(|| swap(place, link, &stop, &swaps));
        scope.spawn(|| while_running(&stop, || check_then_open(root, &target, &control)));
        scope.spawn(|| while_running(&stop, || download(service, name, &served)));
        let many = |count: &AtomicU64| count.load(Relaxed) >= 20;
        let seen_enough = || {
            swaps.load(Relaxed) >= 1000
                && many(&served.public)
                && many(&served.refused)
                && control.secret.load(Relaxed) > 0
        };
        let begin = Instant::now();
        while begin.elapsed() < RUN || !seen_enough() && begin.elapsed() < PATIENCE {
            thread::sleep(Duration::from_millis(50));
        }
        stop.store(true, Relaxed);
    });
    println!("swaps {swaps:?}\nserved {served:?}\ncheck-then-open {control:?}");
    assert_eq!(
        served.secret.load(Relaxed),
        0,
        "a byte from outside the root was served"
    );
    assert!(swaps.load(Relaxed) >= 1000, "the attack did not happen");
    assert!(
        served.public.load(Relaxed) >= 20 && served.refused.load(Relaxed) >= 20,
        "one side of the window was not seen"
    );
    assert!(
        control.secret.load(Relaxed) > 0,
        "the control did not leak, so this run proves nothing"
    );
}

fn swap(place: &Path, link: &Path, stop: &AtomicBool, swaps: &AtomicU64) {
    while_running(stop, || {
        renameat_with(CWD, place, CWD, link, RenameFlags::EXCHANGE).unwrap();
        swaps.fetch_add(1, Relaxed);
    });
    if swaps.load(Relaxed) % 2 == 1 {
        renameat_with(CWD, place, CWD, link, RenameFlags::EXCHANGE).unwrap();
        swaps.fetch_add(1, Relaxed);
    }
}

/// What web frameworks do: resolve, compare the prefix, then open by name.
fn check_then_open(root: &Path, target: &Path, seen: &Seen) {
    let inside = target.canonicalize().is_ok_and(|path| path.starts_with(root));
    let content = if inside { fs::read(target).ok() } else { None };
    note(content.as_deref(), seen);
}

fn download(service: &Beneathd, name: &str, seen: &Seen) {
    let path = format!("/f/{}", service.file(name).id);
    let answer = http::get(service.address(), &path, &service.authorization(), "");
    match answer.status {
        200 => note(Some(&answer.body), seen),
        404 => note(None, seen),
        other => panic!("{other}: {}", answer.head),
    }
}

fn note(content: Option<&[u8]>, seen: &Seen) {
    let count = match content {
        None => &seen.refused,
        Some(PUBLIC) => &seen.public,
        Some(SECRET) => &seen.secret,
        Some(other) => panic!("neither file: {:?}", String::from_utf8_lossy(other)),
    };
    count.fetch_add(1, Relaxed);
}

fn while_running(stop: &AtomicBool, mut step: impl FnMut()) {
    let started = Instant::now();
    while !stop.load(Relaxed) && started.elapsed() < PATIENCE * 2 {
        step();
    }
}
