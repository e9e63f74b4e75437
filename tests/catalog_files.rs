//! The files of the catalog are not there, are others by now, or cannot be written: the service says so, and gives nothing.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests build their own trees by name, and stop at the first surprise"
)]

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;
use std::time::{Duration, Instant};

use beneath_tests::{Beneathd, House, http};

/// A house with a file for alice, and its path.
fn house() -> (House, String) {
    let house = House::build();
    house.add_user("alice");
    let publish = ["publish", "files:report.txt", "--to", "user:alice", "--json"];
    let file = house.run(&publish).published();
    (house, format!("/f/{}", file.id))
}

fn status(service: &Beneathd, path: &str) -> u16 {
    http::get(service.address(), path, "Basic YWxpY2U6c2VjcmV0", "").status
}

#[track_caller]
fn becomes_not_ready(service: &Beneathd) {
    let since = Instant::now();
    while status(service, "/readyz") != 503 {
        assert!(since.elapsed() < Duration::from_secs(10), "it is called ready");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_service_whose_catalog_was_removed_says_so_once_and_gives_nothing() {
    let (house, path) = house();
    let service = house.serve();
    assert_eq!((status(&service, "/readyz"), status(&service, &path)), (200, 200));
    for suffix in ["", "-wal", "-shm"] {
        fs::remove_file(house.path(&format!("catalog.db{suffix}"))).unwrap();
    }
    becomes_not_ready(&service);
    assert_eq!(status(&service, &path), 503);
    let log = service.log();
    let errors = log.lines().filter(|line| line.contains("\"ERROR\""));
    assert!(errors.clone().count() <= 4, "once by whoever notices: {log}");
    assert_eq!(
        errors.filter(|line| line.contains("cannot be asked")).count(),
        1,
        "{log}"
    );
    assert!(log.contains("replaced or removed"), "{log}");
    assert!(!house.path("catalog.db").exists(), "nothing is made in its place");
}

#[test]
fn a_catalog_of_nothing_is_not_taken_for_a_new_one() {
    let (house, _) = house();
    for suffix in ["-wal", "-shm"] {
        let _ = fs::remove_file(house.path(&format!("catalog.db{suffix}")));
    }
    fs::write(house.path("catalog.db"), "").unwrap();
    for command in [&["check"][..], &["serve"], &["list"]] {
        house.run(command).fails(1, &["catalog.db", "it is empty"]);
    }
}

#[test]
fn a_catalog_that_was_not_there_is_made_and_that_is_said() {
    let house = House::build();
    let service = house.serve();
    assert_eq!(status(&service, "/readyz"), 200);
    assert!(service.log().contains("a new, empty one is made"));
}

/// A file system of one megabyte, unmounted in the end.
struct Small(std::path::PathBuf);

impl Small {
    fn mount(at: std::path::PathBuf) -> Self {
        fs::create_dir(&at).unwrap();
        let mut mount = Command::new("mount");
        let mount = mount.args(["-t", "tmpfs", "-o", "size=1m", "none"]).arg(&at);
        assert!(mount.status().unwrap().success());
        Self(at)
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("--lazy").arg(&self.0).status());
    }
}

#[test]
fn where_the_disk_is_full_downloads_go_on_and_what_is_in_no_audit_trail_is_said() {
    let house = House::build();
    let small = Small::mount(house.path("state"));
    house.configure(
        "listen = \"127.0.0.1:0\"\ncatalog = \"sqlite:state/catalog.db\"\n[roots.files]\npath = \"files\"\n",
    );
    house.add_user("alice");
    let publish = ["publish", "files:report.txt", "--to", "user:alice", "--json"];
    let path = format!("/f/{}", house.run(&publish).published().id);
    let service = house.serve();
    assert_eq!(status(&service, &path), 200);
    // Until what happened so far is written.
    std::thread::sleep(Duration::from_secs(1));
    let full = fs::write(small.0.join("fill"), vec![0; 1 << 20]);
    assert!(full.is_err(), "the rest of it");
    for _ in 0..5 {
        assert_eq!((status(&service, "/readyz"), status(&service, &path)), (200, 200));
    }
    house
        .run(&["user", "disable", "alice"])
        .fails(1, &["the catalog", "full"]);
    let log = service.log();
    for said in ["the audit trail cannot be written", "in no audit trail"] {
        assert!(log.contains(said), "{log}");
    }
}

#[test]
fn a_catalog_for_which_there_was_no_room_is_made_when_there_is() {
    let house = House::build();
    let small = Small::mount(house.path("state"));
    house.configure("catalog = \"sqlite:state/catalog.db\"\n[roots.files]\npath = \"files\"\n");
    let full = fs::write(small.0.join("fill"), vec![0; 2 << 20]);
    assert!(full.is_err(), "all of it");
    let add = ["user", "add", "alice", "--password-stdin"];
    house.run_with(&add, "secret\n").fails(1, &["catalog.db", "full"]);
    fs::remove_file(small.0.join("fill")).unwrap();
    assert_eq!(
        fs::read_dir(&small.0).unwrap().count(),
        0,
        "nothing is left of it"
    );
    house.run_with(&add, "secret\n").succeeds();
}

#[test]
fn a_link_to_the_catalog_that_comes_to_lead_elsewhere_is_a_catalog_that_was_replaced() {
    let (house, path) = house();
    fs::rename(house.path("catalog.db"), house.path("real.db")).unwrap();
    let link = house.path("catalog.db");
    symlink("real.db", &link).unwrap();
    let service = house.serve();
    assert_eq!(status(&service, &path), 200);
    fs::copy(house.path("real.db"), house.path("copy.db")).unwrap();
    fs::remove_file(&link).unwrap();
    symlink("copy.db", &link).unwrap();
    becomes_not_ready(&service);
    assert_eq!(status(&service, &path), 503);
}
