//! Publishing: what of it is written down, and whom it keeps waiting.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::*;

/// The acts of one kind in the audit trail, once there are so many: failures are written there in batches.
fn acts(world: &World, event: &str, outcome: &str, at_least: usize) -> Vec<(String, String)> {
    let admin = world.api("admin");
    for _ in 0..100 {
        let trail = admin.get("/api/v1/audit?limit=1000");
        let records = trail["items"].as_array().unwrap().iter();
        let acts = records.filter(|record| record["event"] == event && record["outcome"] == outcome);
        let acts: Vec<_> = acts.map(|it| (text(&it["actor"]), text(&it["object"]))).collect();
        if acts.len() >= at_least {
            return acts;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("no {at_least} {event} {outcome} in the trail");
}

#[test]
fn what_is_granted_while_publishing_is_written_down_like_any_grant() {
    let world = World::new();
    let owner = world.api("owner");
    let id = publish(&owner);
    let _ = owner.grant(&id, "user:stranger");
    let granted = ["granted", "stranger"].map(|name| ("user:owner".to_owned(), format!("{id} user:{name}")));
    assert_eq!(acts(&world, "grant", "done", 2), granted);
}

#[test]
fn what_was_not_to_be_published_is_written_down() {
    let world = World::new();
    std::os::unix::fs::symlink("/etc/passwd", world.house.path("files/evil")).unwrap();
    let owner = world.api("owner");
    for (root, path) in [("files", "evil"), ("files", "nope"), ("other", "report.txt")] {
        let file = json!({"root": root, "path": path});
        let _ = problem(&owner.call("POST", "/api/v1/files", Some(&file)), 422);
    }
    let failed = acts(&world, "publish", "failed", 3);
    let objects: Vec<_> = failed.iter().map(|(_, object)| object.as_str()).collect();
    assert_eq!(
        objects,
        ["files:\"evil\"", "files:\"nope\"", "other:\"report.txt\""]
    );
}

#[test]
fn a_change_that_is_not_theirs_is_written_down_whatever_versions_it_names() {
    let world = World::new();
    let id = publish(&world.api("owner"));
    let path = format!("/api/v1/files/{id}");
    for tags in ["\"1\"", "\"1\", \"2\""] {
        let other = world.api("publisher");
        let answer = other.send("DELETE", &path, &format!("If-Match: {tags}\r\n"), String::new());
        let _ = problem(&answer, 404);
    }
    let expected = ("user:publisher".to_owned(), id.clone());
    assert_eq!(
        acts(&world, "unpublish", "failed", 2),
        [expected.clone(), expected]
    );
    let stale = world
        .api("owner")
        .send("DELETE", &path, "If-Match: \"7\", \"8\"\r\n", String::new());
    let _ = problem(&stale, 412);
    let found = world
        .api("owner")
        .send("DELETE", &path, "If-Match: \"7\", \"1\"\r\n", String::new());
    assert_eq!(found.status, 200);
}

/// More of them than there are threads to hash them, each of which would take a minute.
#[test]
fn nobody_waits_for_files_that_are_hashed_to_revoke_or_publish_something() {
    const MANY: usize = 16;
    let world = World::new();
    let large = fs::File::create(world.house.path("files/large")).unwrap();
    large.set_len(64 << 30).unwrap();
    let (owner, admin) = (world.api("owner"), world.api("admin"));
    let id = publish(&owner);
    let file = json!({"root": "files", "path": "large", "pin": "content"}).to_string();
    let request = format!(
        "POST /api/v1/files HTTP/1.1\r\nHost: localhost\r\nAuthorization: {}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{file}",
        owner.authorization().unwrap(),
        file.len()
    );
    let hashing: Vec<TcpStream> = (0..MANY)
        .map(|_| {
            let mut client = TcpStream::connect(world.service.address()).unwrap();
            client.write_all(request.as_bytes()).unwrap();
            client
        })
        .collect();
    std::thread::sleep(Duration::from_millis(300));
    let begin = Instant::now();
    let _ = owner.revoke(&id, "user:granted");
    let _ = publish(&world.api("publisher"));
    let _ = admin.disable("owner");
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
    // Nor is anything hashed on for somebody who is disabled: all are refused, one after another.
    for mut client in hashing {
        client.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let mut answer = [0; 12];
        client.read_exact(&mut answer).unwrap();
        assert!(
            matches!(&answer, b"HTTP/1.1 403" | b"HTTP/1.1 401"),
            "{}",
            answer.escape_ascii()
        );
    }
}

#[test]
fn what_the_command_line_shows_of_a_file_names_who_published_it() {
    let world = World::new();
    let id = publish(&world.api("owner"));
    let shown = world.house.run(&["show", &id]);
    assert!(shown.succeeds().stdout.contains(" by owner\n"), "{shown:?}");
    assert_eq!(world.house.json(&["show", &id])["owner"], "owner");
}
