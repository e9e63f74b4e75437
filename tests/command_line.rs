//! The command line: bad input gets a clear error that names it, and a non-zero exit.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests build their own trees by name, and stop at the first surprise"
)]

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;

use beneath_tests::{Beneathd, House, Outcome, beneathd, http, run};
use rustix::fs::{CWD, FileType, Mode, mknodat};

/// Tests run at once.
const ANY_PORT: [&str; 2] = ["--listen", "127.0.0.1:0"];

fn quickstart(directory: &Path, more: &[&str]) -> Outcome {
    let mut command = beneathd();
    command.arg("quickstart").arg(directory).args(more);
    run(command, "")
}

#[test]
fn quickstart_of_a_missing_directory_names_it() {
    let house = House::build();
    quickstart(&house.path("missing"), &ANY_PORT).fails(1, &["missing", "no such file"]);
}

#[test]
fn quickstart_of_a_file_says_that_a_directory_is_needed() {
    let house = House::build();
    quickstart(&house.path("files/report.txt"), &ANY_PORT).fails(1, &["report.txt", "directory"]);
}

#[test]
fn quickstart_on_a_taken_port_names_the_address() {
    let house = House::build();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    quickstart(&house.path("files"), &["--listen", &address]).fails(1, &[&address, "in use"]);
}

#[test]
fn quickstart_refuses_to_send_passwords_over_a_network_in_plain_text() {
    let house = House::build();
    quickstart(&house.path("files"), &["--listen", "0.0.0.0:0"]).fails(2, &["0.0.0.0", "TLS"]);
}

#[test]
fn quickstart_never_publishes_its_own_catalog() {
    let house = House::build();
    let files = house.path("files");
    let it = files.to_str().unwrap();
    let state = files.join("state");
    for state in [it, state.to_str().unwrap()] {
        quickstart(&files, &["--listen", "127.0.0.1:0", "--state", state])
            .fails(1, &[state, "another", "--state"]);
        assert!(!Path::new(state).join("beneathd.toml").exists());
    }
}

#[test]
fn a_catalog_in_a_root_is_found_before_anything_is_served() {
    let house = House::build();
    house.configure(
        "listen = \"127.0.0.1:0\"\ncatalog = \"sqlite:files/catalog.db\"\n[roots.files]\npath = \"files\"\n",
    );
    for command in [&["check"] as &[_], &["serve"], &["publish", "files:report.txt"]] {
        house
            .run(command)
            .fails(2, &["catalog.db", "root files", "another"]);
    }
}

/// The user of a state folder may have been removed, or disabled, between two starts.
#[test]
fn what_quickstart_prints_can_be_downloaded_or_it_says_why_not() {
    let house = House::build();
    let (files, state) = (house.path("files"), house.path("state"));
    let start = || Beneathd::quickstart_with(&files, ["--state", state.to_str().unwrap()]);
    let command = |arguments: &[&str]| {
        let mut command = beneathd();
        command
            .args(arguments)
            .arg("--config")
            .arg(state.join("beneathd.toml"));
        run(command, "").succeeds();
    };
    let downloads = |service: &Beneathd| {
        let path = format!("/f/{}", service.file("report.txt").id);
        http::get(service.address(), &path, &service.authorization(), "").status
    };
    let service = start();
    assert_eq!(downloads(&service), 200);
    let user = service.started.user.clone();
    drop(service);
    command(&["user", "remove", &user, "--yes"]);
    assert_eq!(downloads(&start()), 200);
    command(&["user", "disable", &user]);
    quickstart(
        &files,
        &["--listen", "127.0.0.1:0", "--state", state.to_str().unwrap()],
    )
    .fails(1, &[&user, "disabled"]);
}

#[test]
fn quickstart_overwrites_no_configuration() {
    let house = House::build();
    let text = "[roots.other]\npath = \"elsewhere\"\n";
    fs::create_dir(house.path("state")).unwrap();
    fs::write(house.path("state/beneathd.toml"), text).unwrap();
    let state = house.path("state");
    let more = ["--listen", "127.0.0.1:0", "--state", state.to_str().unwrap()];
    quickstart(&house.path("files"), &more).fails(1, &["beneathd.toml", "is not for"]);
    assert_eq!(fs::read_to_string(state.join("beneathd.toml")).unwrap(), text);
}

#[test]
fn a_second_quickstart_does_not_change_the_password_of_the_first() {
    let house = House::build();
    let state = house.path("state");
    let more = [std::ffi::OsStr::new("--state"), state.as_os_str()];
    let _first = Beneathd::quickstart_with(&house.path("files"), more);
    let more = ["--listen", "127.0.0.1:0", "--state", state.to_str().unwrap()];
    quickstart(&house.path("files"), &more).fails(1, &["another quickstart"]);
}

#[test]
fn a_grant_that_no_calendar_can_write_is_refused() {
    let house = House::build();
    house
        .run(&[
            "grant",
            "AAECAwQFBgcICQoLDA0ODw",
            "user:alice",
            "--expires",
            "8000y",
        ])
        .fails(2, &["--expires", "9999"]);
}

#[test]
fn durations_beyond_reason_are_named() {
    let house = House::build();
    house.configure("revocation_bound = \"30d\"\n[limits]\nidle_timeout = \"500000000000years\"\n");
    house.run(&["check"]).fails(
        2,
        &[
            "revocation_bound",
            "20 ms",
            "10 minutes",
            "limits.idle_timeout",
            "a year",
        ],
    );
}

#[test]
fn a_public_url_is_a_scheme_a_host_and_a_port_that_is_one() {
    let house = House::build();
    for (url, code) in [
        ("https://files.example.org", 0),
        ("https://files.example.org:8443/files/", 0),
        ("http://[::1]:8080", 0),
        ("https://x:99999", 2),
        ("https://x:", 2),
        ("https://x@x:443", 2),
        ("ftp://x", 2),
    ] {
        house.configure(&format!(
            "public_url = {url:?}\n[roots.files]\npath = \"files\"\n"
        ));
        assert_eq!(house.run(&["check"]).code, code, "{url}");
    }
}

#[test]
fn an_unknown_key_in_the_configuration_is_named_with_its_line() {
    let house = House::build();
    house.configure("[roots.files]\npath = \"files\"\n\n[limits]\nconections = 5\n");
    house
        .run(&["check"])
        .fails(2, &["beneathd.toml", "line 5", "conections"]);
}

#[test]
fn a_taken_address_is_named_also_if_it_is_that_of_the_metrics() {
    let house = House::build();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    for text in [
        format!("listen = \"{taken}\"\n"),
        format!("listen = \"127.0.0.1:0\"\n[metrics]\nlisten = \"{taken}\"\n"),
    ] {
        house.configure(&format!("{text}[roots.files]\npath = \"files\"\n"));
        house.run(&["serve"]).fails(1, &[&taken, "in use"]);
    }
}

#[test]
fn every_change_says_in_json_as_of_when_and_how_it_is_effective() {
    let house = House::build();
    house.add_user("alice");
    let file = house
        .run(&["publish", "files:report.txt", "--json"])
        .published()
        .id;
    for command in [
        &["publish", "files:report.txt"] as &[_],
        &["link", "create", &file],
        &["token", "create", "alice"],
        &["grant", &file, "user:alice"],
        &["unpublish", &file, "--yes"],
    ] {
        let change = &house.json(command)["change"];
        assert_eq!(change["effective"], "acknowledged", "{command:?}");
        assert!(change["revision"].as_u64() > Some(1), "{command:?}: {change}");
    }
}

#[test]
fn what_is_gone_does_not_keep_unpublish_from_the_rest() {
    let house = House::build();
    let publish = || {
        house
            .run(&["publish", "files:report.txt", "--json"])
            .published()
            .id
    };
    let [gone, live] = [publish(), publish()];
    house.run(&["unpublish", &gone, "--yes"]).succeeds();
    house
        .run(&["unpublish", &gone, &live, "--yes"])
        .fails(1, &[&format!("there is no file {gone}")]);
    house.run(&["show", &live]).fails(1, &[&live]);
}

#[test]
fn a_number_or_a_time_that_cannot_be_is_wrong_usage_and_named() {
    let house = House::build();
    let id = house
        .run(&["publish", "files:report.txt", "--json"])
        .published()
        .id;
    house.add_user("ann");
    for (command, option, value) in [
        (&["link", "create", &id] as &[_], "--uses", "0"),
        (&["link", "create", &id], "--ttl", "0s"),
        (&["link", "create", &id], "--ttl", "31d"),
        (&["token", "create", "ann"], "--ttl", "2d"),
        (&["token", "create", "ann"], "--ttl", "soon"),
        (&["grant", &id, "user:ann"], "--expires", "0s"),
    ] {
        house
            .run(&[command, &[option, value]].concat())
            .fails(2, &[option, value]);
    }
}

#[test]
fn check_of_a_sound_configuration_succeeds() {
    House::build().run(&["check"]).succeeds();
}

#[test]
fn a_missing_configuration_is_named() {
    let mut command = beneathd();
    command.args(["list", "--config", "/nonexistent/beneathd.toml"]);
    run(command, "").fails(2, &["/nonexistent/beneathd.toml"]);
}

#[test]
fn a_catalog_that_is_not_a_database_is_named_and_left_as_it_is() {
    let house = House::build();
    let text = "this is my diary, not a database. ".repeat(100);
    fs::write(house.path("catalog.db"), &text).unwrap();
    house.run(&["list"]).fails(1, &["catalog.db", "database"]);
    assert_eq!(fs::read_to_string(house.path("catalog.db")).unwrap(), text);
}

#[test]
fn a_catalog_that_is_missing_is_named_and_not_made_by_looking() {
    let house = House::build();
    house.run(&["list"]).fails(1, &["catalog.db", "does not exist"]);
    assert!(!house.path("catalog.db").exists());
}

#[test]
fn a_catalog_that_cannot_be_opened_is_named() {
    let house = House::build();
    fs::create_dir(house.path("catalog.db")).unwrap();
    house.run(&["list"]).fails(1, &["catalog.db"]);
}

#[test]
fn a_duplicate_user_is_named() {
    let house = House::build();
    house.add_user("alice");
    house
        .run_with(&["user", "add", "alice", "--password-stdin"], "other\n")
        .fails(1, &["alice", "already"]);
}

#[test]
fn an_empty_password_is_refused() {
    let house = House::build();
    house
        .run_with(&["user", "add", "alice", "--password-stdin"], "\n")
        .fails(1, &["password", "empty"]);
    house
        .run_with(&["user", "add", "alice", "--password-stdin"], "")
        .fails(1, &["password", "empty"]);
}

#[test]
fn a_user_name_that_basic_cannot_carry_is_refused() {
    let house = House::build();
    for name in ["a:b", "", "a\nb"] {
        house
            .run_with(&["user", "add", name, "--password-stdin"], "secret\n")
            .fails(2, &["name"]);
    }
}

#[test]
fn a_password_is_not_asked_of_a_pipe() {
    let house = House::build();
    house
        .run_with(&["user", "add", "alice"], "secret\n")
        .fails(2, &["--password-stdin"]);
}

#[test]
fn paths_that_leave_the_root_are_refused_by_name() {
    let house = House::build();
    for path in [
        "files:../catalog.db",
        "files:/etc/passwd",
        "files:a/../../x",
        "files:",
        "files:report.txt/",
    ] {
        house
            .run(&["publish", path])
            .fails(1, &[path.split_once(':').unwrap().1]);
    }
    std::os::unix::fs::symlink("/etc/passwd", house.path("files/link")).unwrap();
    house
        .run(&["publish", "files:link"])
        .fails(1, &["link", "symbolic link"]);
}

#[test]
fn publishing_a_fifo_is_refused_at_once() {
    let house = House::build();
    mknodat(
        CWD,
        house.path("files/pipe"),
        FileType::Fifo,
        Mode::RUSR | Mode::WUSR,
        0,
    )
    .unwrap();
    house
        .run(&["publish", "files:pipe"])
        .fails(1, &["pipe", "not a regular file"]);
}

#[test]
fn publishing_what_is_missing_or_in_an_unknown_root_names_it() {
    let house = House::build();
    house
        .run(&["publish", "files:gone.txt"])
        .fails(1, &["gone.txt", "no such file"]);
    house
        .run(&["publish", "nowhere:report.txt"])
        .fails(1, &["nowhere"]);
    house
        .run(&["publish", "report.txt"])
        .fails(2, &["report.txt", "ROOT:PATH"]);
}

#[test]
fn an_id_that_is_none_is_named() {
    let house = House::build();
    for arguments in [["show", "nonsense"], ["unpublish", "nonsense"]] {
        house.run(&arguments).fails(2, &["nonsense"]);
    }
    house
        .run(&["grant", "nonsense", "user:alice"])
        .fails(2, &["nonsense"]);
}

#[test]
fn an_id_that_is_unknown_and_a_user_that_is_unknown_are_named() {
    let house = House::build();
    let unknown = "AAAAAAAAAAAAAAAAAAAAAA";
    let file = house.run(&["publish", "files:report.txt", "--json"]).published();
    house.run(&["show", unknown]).fails(1, &[unknown]);
    house.run(&["unpublish", unknown]).fails(1, &[unknown]);
    house
        .run(&["grant", &file.id, "user:nobody"])
        .fails(1, &["nobody"]);
    house
        .run(&["grant", &file.id, "nobody"])
        .fails(2, &["nobody", "user:"]);
    house.run(&["user", "remove", "nobody"]).fails(1, &["nobody"]);
    house
        .run_with(&["user", "passwd", "nobody", "--password-stdin"], "x\n")
        .fails(1, &["nobody"]);
}

#[test]
fn every_command_has_help_with_an_example() {
    let commands = [
        "group",
        "link",
        "token",
        "import-htpasswd",
        "audit",
        "completions",
        "quickstart",
        "serve",
        "check",
        "user",
        "publish",
        "unpublish",
        "grant",
        "revoke",
        "list",
        "show",
    ];
    for name in commands {
        let mut command = beneathd();
        command.args([name, "--help"]);
        let help = run(command, "");
        assert!(
            help.succeeds().stdout.contains(&format!("beneathd {name}")),
            "{name}: {help:?}"
        );
        assert!(
            help.stdout.contains("Example"),
            "{name} --help shows no example: {}",
            help.stdout
        );
    }
}

#[test]
fn what_could_not_be_printed_is_an_error_and_a_reader_who_goes_is_none() {
    let house = House::build();
    house.run(&["publish", "files:report.txt"]).succeeds();
    for command in [
        &["list"] as &[_],
        &["audit"],
        &["completions", "bash"],
        &["check"],
    ] {
        let run = |stdout: Stdio| {
            let mut child = beneathd();
            child
                .args(command)
                .env("BENEATHD_CONFIG", house.path("beneathd.toml"));
            child.stdout(stdout).stderr(Stdio::piped()).output().unwrap()
        };
        let full = run(fs::File::options().write(true).open("/dev/full").unwrap().into());
        let complaint = String::from_utf8(full.stderr).unwrap();
        assert_eq!(full.status.code(), Some(1), "{command:?}: {complaint}");
        assert!(complaint.contains("No space left"), "{command:?}: {complaint}");
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let closed = run(writer.into());
        assert_eq!(closed.status.code(), Some(0), "{command:?}");
        assert_eq!(closed.stderr, b"", "{command:?}");
    }
}

#[test]
fn what_is_not_published_is_named_beside_the_json_too() {
    let house = House::build();
    std::os::unix::fs::symlink("report.txt", house.path("files/link")).unwrap();
    let outcome = house.run(&["publish", "files:", "--recursive", "--json", "--yes"]);
    let outcome = outcome.succeeds();
    assert!(outcome.stdout.contains("report.txt"), "{outcome:?}");
    assert!(outcome.stderr.contains("link"), "{outcome:?}");
}

#[test]
fn no_file_is_published_under_a_name_that_urls_do_not_keep() {
    let house = House::build();
    for name in [".", ".."] {
        house
            .run(&["publish", "files:report.txt", "--name", name])
            .fails(1, &["name", "folder"]);
    }
    house
        .run(&["publish", "files:report.txt", "--name", "..."])
        .succeeds();
}

#[test]
fn publishing_a_folder_goes_on_where_it_was_interrupted() {
    let house = House::build();
    fs::write(house.path("files/more.txt"), "more").unwrap();
    let _ = house.run(&["publish", "files:report.txt", "--json"]).published();
    let all = ["publish", "files:", "--recursive", "--yes", "--json"];
    let rest = house.run(&[&all[..], &["--skip-published"]].concat());
    rest.succeeds();
    assert_eq!(rest.stdout.lines().count(), 1, "{}", rest.stdout);
    assert!(rest.stdout.contains("more.txt"), "{}", rest.stdout);
    assert!(
        rest.stderr.contains("1 files are published already"),
        "{}",
        rest.stderr
    );
    let other_pin = house.run(&[&all[..], &["--skip-published", "--pin", "content"]].concat());
    assert_eq!(other_pin.stdout.lines().count(), 2, "{}", other_pin.stdout);
}
