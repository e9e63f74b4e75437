//! The command line: bad input gets a clear error that names it, and a non-zero exit; commands take effect.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests build their own trees by name, and stop at the first surprise"
)]

use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use beneath_tests::{Beneathd, Published, beneathd, http};
use rustix::fs::{CWD, FileType, Mode, mknodat};

/// A folder with a configuration, one root called `files`, and whatever a test puts there.
struct House(tempfile::TempDir);

impl House {
    fn new() -> Self {
        let house = Self(tempfile::tempdir().unwrap());
        fs::create_dir(house.path("files")).unwrap();
        fs::write(house.path("files/report.txt"), "up").unwrap();
        house.configure("[roots.files]\npath = \"files\"\n");
        house
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn configure(&self, text: &str) {
        fs::write(self.path("beneathd.toml"), text).unwrap();
    }

    /// Runs a command with this house's configuration and `input` on standard input.
    fn run_with(&self, arguments: &[&str], input: &str) -> Outcome {
        let mut command = beneathd();
        command
            .args(arguments)
            .arg("--config")
            .arg(self.path("beneathd.toml"));
        run(command, input)
    }

    fn run(&self, arguments: &[&str]) -> Outcome {
        self.run_with(arguments, "")
    }
}

#[derive(Debug)]
struct Outcome {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Outcome {
    /// Exit code, and every word in the complaint.
    #[track_caller]
    fn fails(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, code, "{self:?}");
        for word in words {
            assert!(
                self.stderr.contains(word),
                "{word:?} is not in the complaint: {self:?}"
            );
        }
        assert!(!self.stderr.contains("panicked"), "{self:?}");
    }

    #[track_caller]
    fn succeeds(&self) -> &Self {
        assert_eq!(self.code, 0, "{self:?}");
        self
    }

    /// The one published file that was printed.
    fn published(&self) -> Published {
        serde_json::from_str(self.succeeds().stdout.trim()).unwrap()
    }
}

fn run(mut command: std::process::Command, input: &str) -> Outcome {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let Output {
        status,
        stdout,
        stderr,
    } = child.wait_with_output().unwrap();
    Outcome {
        code: status.code().expect("not killed by a signal"),
        stdout: String::from_utf8(stdout).unwrap(),
        stderr: String::from_utf8(stderr).unwrap(),
    }
}

fn quickstart(directory: &Path, more: &[&str]) -> Outcome {
    let mut command = beneathd();
    command.arg("quickstart").arg(directory).args(more);
    run(command, "")
}

#[test]
fn quickstart_of_a_missing_directory_names_it() {
    let house = House::new();
    quickstart(&house.path("missing"), &[]).fails(1, &["missing", "no such file"]);
}

#[test]
fn quickstart_of_a_file_says_that_a_directory_is_needed() {
    let house = House::new();
    quickstart(&house.path("files/report.txt"), &[]).fails(1, &["report.txt", "directory"]);
}

#[test]
fn quickstart_on_a_taken_port_names_the_address() {
    let house = House::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    quickstart(&house.path("files"), &["--listen", &address]).fails(1, &[&address, "in use"]);
}

#[test]
fn quickstart_refuses_to_send_passwords_over_a_network_in_plain_text() {
    let house = House::new();
    quickstart(&house.path("files"), &["--listen", "0.0.0.0:0"]).fails(2, &["0.0.0.0", "TLS"]);
}

#[test]
fn an_unknown_key_in_the_configuration_is_named_with_its_line() {
    let house = House::new();
    house.configure("[roots.files]\npath = \"files\"\n\n[limits]\nconections = 5\n");
    house
        .run(&["check"])
        .fails(2, &["beneathd.toml", "line 5", "conections"]);
}

#[test]
fn check_reports_all_problems_at_once() {
    let house = House::new();
    house.configure(
        "listen = \"nowhere\"\nrevocation_bound = \"soon\"\n[roots.\"a/b\"]\npath = \"x\"\n[limits]\nconnections = 0\n",
    );
    house
        .run(&["check"])
        .fails(2, &["nowhere", "soon", "a/b", "limits.connections"]);
}

#[test]
fn check_names_a_root_that_is_missing_and_one_that_is_a_file() {
    let house = House::new();
    house.configure("[roots.gone]\npath = \"gone\"\n[roots.file]\npath = \"files/report.txt\"\n");
    house
        .run(&["check"])
        .fails(1, &["roots.gone", "no such file", "roots.file", "directory"]);
}

#[test]
fn check_of_a_sound_configuration_succeeds() {
    House::new().run(&["check"]).succeeds();
}

#[test]
fn a_missing_configuration_is_named() {
    let mut command = beneathd();
    command.args(["list", "--config", "/nonexistent/beneathd.toml"]);
    run(command, "").fails(2, &["/nonexistent/beneathd.toml"]);
}

#[test]
fn a_catalog_that_is_not_a_database_is_named_and_left_as_it_is() {
    let house = House::new();
    let text = "this is my diary, not a database. ".repeat(100);
    fs::write(house.path("catalog.db"), &text).unwrap();
    house.run(&["list"]).fails(1, &["catalog.db", "database"]);
    assert_eq!(fs::read_to_string(house.path("catalog.db")).unwrap(), text);
}

#[test]
fn a_catalog_that_is_missing_is_named_and_not_made_by_looking() {
    let house = House::new();
    house.run(&["list"]).fails(1, &["catalog.db", "does not exist"]);
    assert!(!house.path("catalog.db").exists());
}

#[test]
fn a_catalog_that_cannot_be_opened_is_named() {
    let house = House::new();
    fs::create_dir(house.path("catalog.db")).unwrap();
    house.run(&["list"]).fails(1, &["catalog.db"]);
}

#[test]
fn a_duplicate_user_is_named() {
    let house = House::new();
    house
        .run_with(&["user", "add", "alice", "--password-stdin"], "secret\n")
        .succeeds();
    house
        .run_with(&["user", "add", "alice", "--password-stdin"], "other\n")
        .fails(1, &["alice", "already"]);
}

#[test]
fn an_empty_password_is_refused() {
    let house = House::new();
    house
        .run_with(&["user", "add", "alice", "--password-stdin"], "\n")
        .fails(1, &["password", "empty"]);
    house
        .run_with(&["user", "add", "alice", "--password-stdin"], "")
        .fails(1, &["password", "empty"]);
}

#[test]
fn a_user_name_that_basic_cannot_carry_is_refused() {
    let house = House::new();
    for name in ["a:b", "", "a\nb"] {
        house
            .run_with(&["user", "add", name, "--password-stdin"], "secret\n")
            .fails(2, &["name"]);
    }
}

#[test]
fn a_password_is_not_asked_of_a_pipe() {
    let house = House::new();
    house
        .run_with(&["user", "add", "alice"], "secret\n")
        .fails(2, &["--password-stdin"]);
}

#[test]
fn paths_that_leave_the_root_are_refused_by_name() {
    let house = House::new();
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
    let house = House::new();
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
    let house = House::new();
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
    let house = House::new();
    for arguments in [["show", "nonsense"], ["unpublish", "nonsense"]] {
        house.run(&arguments).fails(2, &["nonsense"]);
    }
    house
        .run(&["grant", "nonsense", "user:alice"])
        .fails(2, &["nonsense"]);
}

#[test]
fn an_id_that_is_unknown_and_a_user_that_is_unknown_are_named() {
    let house = House::new();
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
fn a_file_goes_from_publish_to_download_to_revoke_while_the_service_runs() {
    let house = House::new();
    house.configure("listen = \"127.0.0.1:0\"\n[roots.files]\npath = \"files\"\n");
    house
        .run_with(&["user", "add", "alice", "--password-stdin"], "secret\n")
        .succeeds();
    house
        .run_with(&["user", "add", "bob", "--password-stdin"], "secret\n")
        .succeeds();
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
fn quickstart_with_a_state_folder_keeps_ids_and_can_be_served_afterwards() {
    let house = House::new();
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
fn sigterm_ends_the_service_with_code_zero() {
    let house = House::new();
    let mut service = Beneathd::quickstart(&house.path("files"));
    assert_eq!(service.terminate(std::time::Duration::from_secs(5)), Some(0));
}

/// A running service with `report.txt` granted to alice, whose password is `secret`.
fn shared(house: &House) -> (Beneathd, Published) {
    house.configure("listen = \"127.0.0.1:0\"\n[roots.files]\npath = \"files\"\n");
    house
        .run_with(&["user", "add", "alice", "--password-stdin"], "secret\n")
        .succeeds();
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
    let house = House::new();
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
    let house = House::new();
    let (service, file) = shared(&house);
    let made = house.run(&["link", "create", &file.id, "--json"]);
    let made: serde_json::Value = serde_json::from_str(&made.succeeds().stdout).unwrap();
    let path = made["url"].as_str().unwrap().split_once("/l/").unwrap().1;
    let ask = |method: &str, more: &str| {
        let request =
            format!("{method} /l/{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{more}\r\n");
        http::exchange(service.address(), request)
    };

    assert_eq!(ask("HEAD", "").status, 200);
    let tag = ask("HEAD", "").field("etag").unwrap().to_owned();
    assert_eq!(ask("GET", &format!("If-None-Match: {tag}\r\n")).status, 304);
    assert_eq!(ask("GET", "Sec-Purpose: prefetch\r\n").status, 503);
    let answer = ask("GET", "");
    assert_eq!((answer.status, answer.body.as_slice()), (200, b"up".as_slice()));
    assert_eq!(answer.field("referrer-policy"), Some("no-referrer"));
    assert_eq!(ask("POST", "Content-Length: 0\r\n").status, 405);

    // Another client: this one may come back within the grace window, to resume.
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
    let house = House::new();
    let (service, file) = shared(&house);
    // `htpasswd -s`: {SHA} of `password`.
    fs::write(
        house.path("htpasswd"),
        "carol:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\n",
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
