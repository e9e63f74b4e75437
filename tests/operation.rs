//! Commands take effect in a running service, and what they said stays said.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests build their own trees by name, and stop at the first surprise"
)]

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::FileExt as _;
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant, SystemTime};
use std::{fs, thread};

use beneath_tests::{Beneathd, House, Published, beneathd, http, run, trees};
use rustix::process::Signal;

#[test]
fn a_file_goes_from_publish_to_download_to_revoke_while_the_service_runs() {
    let house = House::build();
    house.add_user("alice");
    house.add_user("bob");
    let file = house
        .run(&["publish", "files:report.txt", "--to", "user:alice", "--json"])
        .published();

    let mut serve = beneathd();
    serve
        .args(["serve", "--json", "--config"])
        .arg(house.path("beneathd.toml"));
    let service = Beneathd::start(serve);
    let path = format!("/f/{}", file.id);
    let status = |user: &str, password: &str| {
        use base64::Engine as _;
        let pair = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
        let answer = http::get(service.address(), &path, &format!("Basic {pair}"), "");
        assert!(answer.status != 200 || answer.body == b"up");
        answer.status
    };

    assert_eq!(status("alice", "secret"), 200);
    assert_eq!(status("alice", "wrong"), 401);
    assert_eq!(status("bob", "secret"), 404, "not granted looks like not there");
    house.run(&["grant", &file.id, "user:bob"]).succeeds();
    assert_eq!(status("bob", "secret"), 200);

    house.run(&["revoke", &file.id, "user:alice"]).succeeds();
    assert_eq!(
        status("alice", "secret"),
        404,
        "a revocation that has returned is not overtaken"
    );
    house
        .run_with(&["user", "passwd", "bob", "--password-stdin"], "changed\n")
        .succeeds();
    assert_eq!(status("bob", "secret"), 401, "a changed password is a revocation");
    assert_eq!(status("bob", "changed"), 200);
    house.run(&["unpublish", &file.id]).succeeds();
    assert_eq!(status("bob", "changed"), 404);
    house.run(&["user", "remove", "bob"]).succeeds();
    assert_eq!(status("bob", "changed"), 401);
}

#[test]
fn a_service_manager_is_told_when_files_can_be_had_and_when_no_more() {
    let house = House::build();
    let manager = UnixDatagram::bind(house.path("manager")).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let told = || {
        let mut message = [0; 100];
        let length = manager.recv(&mut message).unwrap();
        String::from_utf8_lossy(&message[..length]).into_owned()
    };
    let mut serve = beneathd();
    serve.env("NOTIFY_SOCKET", house.path("manager"));
    let mut service = house.serve_by(serve);
    assert_eq!(told(), "READY=1\n");
    assert_eq!(service.terminate(Duration::from_secs(20)), Some(0));
    assert_eq!(told(), "STOPPING=1\n");
}

#[test]
fn without_descriptors_it_does_not_pretend_to_serve() {
    let house = House::build();
    let mut few = std::process::Command::new("sh");
    few.args(["-c", "ulimit -n 24; exec \"$@\"", "sh"]);
    few.arg(beneathd().get_program()).args(["serve", "--config"]);
    few.arg(house.path("beneathd.toml"));
    run(few, "").fails(1, &["24 files", "ulimit -n"]);
}

#[test]
fn quickstart_with_a_state_folder_keeps_ids_and_can_be_served_afterwards() {
    let house = House::build();
    let state = house.path("state");
    let more = [std::ffi::OsStr::new("--state"), state.as_os_str()];
    let first = Beneathd::quickstart_with(&house.path("files"), more)
        .started
        .files[0]
        .id
        .clone();
    let again = Beneathd::quickstart_with(&house.path("files"), more);
    assert_eq!(again.started.files[0].id, first);
    let answer = http::get(
        again.address(),
        &format!("/f/{first}"),
        &again.authorization(),
        "",
    );
    assert_eq!((answer.status, answer.body.as_slice()), (200, b"up".as_slice()));
    drop(again);

    let mut list = beneathd();
    list.args(["list", "--json", "--config"])
        .arg(state.join("beneathd.toml"));
    assert_eq!(run(list, "").published().id, first);
}

#[test]
fn a_closed_terminal_ends_a_quickstart_without_a_trace() {
    let house = House::build();
    let temporary = house.path("temporary");
    fs::create_dir(&temporary).unwrap();
    let mut command = beneathd();
    command.arg("quickstart").arg(house.path("files"));
    command
        .args(["--listen", "127.0.0.1:0", "--json"])
        .env("TMPDIR", &temporary);
    let mut service = Beneathd::start(command);
    assert!(fs::read_dir(&temporary).unwrap().next().is_some());
    assert_eq!(service.stop(Signal::HUP, Duration::from_secs(5)), Some(0));
    assert!(fs::read_dir(&temporary).unwrap().next().is_none());
}

#[test]
fn sigterm_ends_the_service_with_code_zero() {
    let house = House::build();
    let mut service = Beneathd::quickstart(&house.path("files"));
    assert_eq!(service.terminate(Duration::from_secs(5)), Some(0));
}

#[test]
fn a_transfer_that_is_cut_is_logged_once_whoever_notices() {
    // What goes to a client is not read before it has been slow for a second. From then on a file may grow, and only at its
    // end it turns out that it was written over, too.
    for slow_for in [Duration::ZERO, Duration::from_millis(1500)] {
        let house = House::build();
        let path = house.path("files/large.bin");
        trees::sparse(&path, 256 << 20);
        let file = trees::open(&path);
        file.set_modified(SystemTime::now() - Duration::from_secs(3600))
            .unwrap();
        let service = Beneathd::quickstart(&house.path("files"));
        let mut stream = TcpStream::connect(service.address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let (target, authorization) = (&service.file("large.bin").id, service.authorization());
        let request =
            format!("GET /f/{target} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {authorization}\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        for before in [Duration::ZERO, slow_for] {
            thread::sleep(before);
            io::copy(&mut (&stream).take(8 << 20), &mut io::sink()).unwrap();
        }
        let writable = fs::File::options().write(true).open(&path).unwrap();
        writable.write_all_at(b"x", 0).unwrap();
        writable.write_all_at(b"x", 256 << 20).unwrap();
        let end = io::copy(&mut stream, &mut io::sink());
        assert_eq!(end.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        let log = service.log();
        assert_eq!(
            log.matches("a transfer was cut").count(),
            1,
            "{slow_for:?}: {log}"
        );
    }
}

/// A running service with `report.txt` granted to alice, whose password is `secret`.
fn shared(house: &House) -> (Beneathd, Published) {
    house.add_user("alice");
    let file = house
        .run(&["publish", "files:report.txt", "--to", "user:alice", "--json"])
        .published();
    let mut serve = beneathd();
    serve
        .args(["serve", "--json", "--config"])
        .arg(house.path("beneathd.toml"));
    (Beneathd::start(serve), file)
}

#[test]
fn a_token_is_worth_what_its_user_may_until_it_is_revoked() {
    let house = House::build();
    let (service, file) = shared(&house);
    let token = house
        .run(&["token", "create", "alice"])
        .succeeds()
        .stdout
        .trim()
        .to_owned();
    let status = |token: &str| {
        http::get(
            service.address(),
            &format!("/f/{}", file.id),
            &format!("Bearer {token}"),
            "",
        )
        .status
    };
    assert_eq!(status(&token), 200);
    assert_eq!(status("AAAA"), 401);
    assert_eq!(status("not a token"), 401);
    house.run(&["token", "revoke", "alice"]).succeeds();
    assert_eq!(status(&token), 401);
}

#[test]
fn a_link_for_one_download_is_not_taken_by_looking_and_gives_one() {
    let house = House::build();
    let (service, file) = shared(&house);
    let made = house.run(&["link", "create", &file.id, "--json"]);
    let made: serde_json::Value = serde_json::from_str(&made.succeeds().stdout).unwrap();
    let path = made["url"].as_str().unwrap().split_once("/l/").unwrap().1;
    let ask = |method: &str, more: &str| http::ask(service.address(), method, &format!("/l/{path}"), more);

    assert_eq!(ask("HEAD", "").status, 200);
    let tag = ask("HEAD", "").field("etag").unwrap().to_owned();
    assert_eq!(ask("GET", &format!("If-None-Match: {tag}\r\n")).status, 304);
    assert_eq!(ask("GET", "Sec-Purpose: prefetch\r\n").status, 503);
    let answer = ask("GET", "");
    assert_eq!((answer.status, answer.body.as_slice()), (200, b"up".as_slice()));
    assert_eq!(answer.field("referrer-policy"), Some("no-referrer"));
    assert_eq!(ask("POST", "Content-Length: 0\r\n").status, 405);

    assert_eq!(ask("GET", "").status, 404, "the one use was taken");
    // Also for another client.
    let url = format!("http://{}/l/{path}", service.address());
    let elsewhere = || {
        let mut curl = std::process::Command::new("curl");
        curl.args([
            "--silent",
            "--interface",
            "127.0.0.2",
            "--output",
            "/dev/null",
            "--write-out",
        ]);
        let output = curl.args(["%{http_code}", &url]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(elsewhere(), "404", "the one use was taken");
    let trail = house.run(&["audit", "--json"]);
    assert!(trail.succeeds().stdout.contains("link.create"), "{trail:?}");
    assert!(
        !trail.stdout.contains(path),
        "the secret of a link is in the trail"
    );
}

#[test]
fn users_of_another_server_log_in_with_the_passwords_they_have() {
    let house = House::build();
    let (service, file) = shared(&house);
    // `htpasswd -s`: {SHA} of `password`.
    fs::write(
        house.path("htpasswd"),
        "\u{feff}carol:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\r\n",
    )
    .unwrap();
    let passwords = house.path("htpasswd");
    house
        .run(&["import-htpasswd", passwords.to_str().unwrap()])
        .succeeds();
    house.run(&["grant", &file.id, "user:carol"]).succeeds();
    let status = |pair: &str| {
        http::get(
            service.address(),
            &format!("/f/{}", file.id),
            &format!("Basic {pair}"),
            "",
        )
        .status
    };
    assert_eq!(status("Y2Fyb2w6cGFzc3dvcmQ="), 200);
    assert_eq!(status("Y2Fyb2w6d3Jvbmc="), 401);
}

#[test]
fn whatever_is_not_for_a_user_answers_with_the_same_bytes() {
    let house = House::build();
    for name in ["forbidden", "vanished", "linked", "folder", "fifo", "unpublished"] {
        fs::write(house.path("files").join(name), name).unwrap();
    }
    let (service, _) = shared(&house);
    let publish = |name: &str, to: &[&str]| {
        let place = format!("files:{name}");
        house
            .run(&[&["publish", &place, "--json"], to].concat())
            .published()
            .id
    };
    let to_alice = ["--to", "user:alice"];
    let forbidden = publish("forbidden", &[]);
    let [vanished, linked, folder, fifo, unpublished] =
        ["vanished", "linked", "folder", "fifo", "unpublished"].map(|name| publish(name, &to_alice));
    house.run(&["unpublish", &unpublished]).succeeds();
    for name in ["vanished", "linked", "folder", "fifo"] {
        fs::remove_file(house.path("files").join(name)).unwrap();
    }
    std::os::unix::fs::symlink("/etc/passwd", house.path("files/linked")).unwrap();
    fs::create_dir(house.path("files/folder")).unwrap();
    let fifo_at = house.path("files/fifo");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &fifo_at,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();

    let ask = |id: &str| {
        // `alice:secret`
        let answer = http::get(
            service.address(),
            &format!("/f/{id}"),
            "Basic YWxpY2U6c2VjcmV0",
            "",
        );
        answer.without_date()
    };
    let unknown = ask("AAAAAAAAAAAAAAAAAAAAAA");
    assert_eq!(unknown.status, 404);
    for (id, what) in [
        (&forbidden, "forbidden"),
        (&vanished, "vanished"),
        (&linked, "a link"),
        (&folder, "a folder"),
        (&fifo, "a FIFO"),
        (&unpublished, "unpublished"),
    ] {
        assert_eq!(ask(id), unknown, "{what}");
    }
    assert_eq!(ask("not-an-id"), unknown, "no ID at all");
}

#[test]
fn a_wrong_password_and_an_unknown_user_answer_with_the_same_bytes_for_any_file() {
    let house = House::build();
    let (service, file) = shared(&house);
    let ask = |pair: &str, id: &str| {
        let answer = http::get(service.address(), &format!("/f/{id}"), pair, "");
        answer.without_date()
    };
    let (wrong, unknown) = ("Basic YWxpY2U6d3Jvbmc=", "Basic bm9ib2R5Ondyb25n");
    let first = ask(wrong, &file.id);
    assert_eq!(first.status, 401);
    assert!(
        first.head.contains(r#"Basic realm="beneath", charset="UTF-8""#),
        "{}",
        first.head
    );
    for (pair, id) in [
        (wrong, "AAAAAAAAAAAAAAAAAAAAAA"),
        (unknown, file.id.as_str()),
        ("Basic %%%", file.id.as_str()),
        ("Digest x", file.id.as_str()),
    ] {
        assert_eq!(ask(pair, id), first, "{pair} {id}");
    }
}

/// The log of a service whose standard error is there, once it has refused somebody three times: how many lines are lost.
fn lost_lines(stderr: &str) -> String {
    let house = House::build();
    // Otherwise it would be logged that there is no catalog yet.
    house.add_user("alice");
    // An address that no other test has, whose ports nobody takes in between.
    let [.., high, low] = std::process::id().to_be_bytes();
    let free = TcpListener::bind((Ipv4Addr::new(127, 77, high, low), 0)).unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    house.configure(&format!(
        "listen = \"127.0.0.1:0\"\n[metrics]\nlisten = \"{address}\"\n[roots.files]\npath = \"files\"\n"
    ));
    let mut command = std::process::Command::new("sh");
    command.args(["-c", &format!("exec \"$@\" 2>{stderr}"), "sh"]);
    command.arg(beneathd().get_program());
    let service = house.serve_by(command);
    for _ in 0..3 {
        let answer = http::get(service.address(), "/f/AAAAAAAAAAAAAAAAAAAAAA", "Bearer AAAA", "");
        assert_eq!(answer.status, 401, "who is not let in is answered, and logged");
    }
    let lost = || {
        let answer = http::get(address, "/metrics", "", "");
        let text = String::from_utf8(answer.body).unwrap();
        let mut lines = text.lines();
        let found = lines.find_map(|line| line.strip_prefix("beneathd_log_lines_dropped_total "));
        found.unwrap_or_else(|| panic!("not counted: {text}")).to_owned()
    };
    // They are written by a thread of their own: until that has counted, or for long enough that it would have.
    let until = Instant::now() + Duration::from_secs(if stderr == "/dev/full" { 20 } else { 1 });
    while lost() != "3" && Instant::now() < until {
        thread::sleep(Duration::from_millis(20));
    }
    lost()
}

#[test]
fn lines_of_the_log_that_a_full_disk_swallowed_are_counted_and_others_are_not() {
    assert_eq!(lost_lines("/dev/full"), "3");
    assert_eq!(lost_lines("/dev/null"), "0");
}
