//! A link is good for so many completed downloads, told by real clients over real sockets.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests build their own trees by name, and stop at the first surprise"
)]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use beneath_tests::http::ask;
use beneath_tests::{Beneathd, House, trees};
use rustix::process::{Pid, Signal, kill_process};

const SIZE: u64 = 12 << 20;

/// A service with a file that takes clients a moment, and one that does not.
struct Shop {
    house: House,
    service: Beneathd,
    large: String,
    small: String,
}

struct Link {
    url: String,
    path: String,
    number: String,
}

impl Shop {
    fn open() -> Self {
        let house = House::build();
        trees::sparse(&house.path("files/large.bin"), SIZE);
        let publish = |name: &str| house.run(&["publish", name, "--json"]).published().id;
        let (large, small) = (publish("files:large.bin"), publish("files:report.txt"));
        let service = house.serve();
        Self {
            house,
            service,
            large,
            small,
        }
    }

    fn link(&self, id: &str, uses: u32) -> Link {
        let made = self
            .house
            .json(&["link", "create", id, "--uses", &uses.to_string()]);
        let url = made["url"].as_str().unwrap();
        let path = format!("/l/{}", url.split_once("/l/").unwrap().1);
        Link {
            url: format!("{}{path}", self.service.started.url),
            path,
            number: made["link"].as_str().unwrap().to_owned(),
        }
    }

    /// How many downloads were counted, once they are.
    #[track_caller]
    fn counts(&self, link: &Link, expected: u64) {
        let since = Instant::now();
        loop {
            let list = self.house.run(&["link", "list", "--json"]);
            let mut lines = list.succeeds().stdout.lines();
            let listed = lines
                .find(|line| line.contains(&format!("\"link\":\"{}\"", link.number)))
                .unwrap();
            let listed: serde_json::Value = serde_json::from_str(listed).unwrap();
            if listed["completed"] == expected {
                return;
            }
            assert!(
                since.elapsed() < Duration::from_secs(10),
                "{listed}, not {expected}"
            );
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn folder(&self, name: &str) -> std::path::PathBuf {
        let folder = self.house.path(name);
        fs::create_dir(&folder).unwrap();
        folder
    }

    fn is_whole(&self, saved: &Path) {
        trees::assert_same(
            &saved.to_string_lossy(),
            trees::open(saved),
            &self.house.path("files/large.bin"),
        );
    }
}

/// Stops a program by `SIGTERM` as soon as some of what it downloads is saved.
fn interrupt(mut program: Command, saved: &Path) {
    let mut program = program.spawn().unwrap();
    wait_for_some(saved);
    kill_process(Pid::from_child(&program), Signal::TERM).unwrap();
    assert!(!program.wait().unwrap().success(), "it is stopped in the middle");
    let begun = fs::metadata(saved).unwrap().len();
    assert!((1..SIZE).contains(&begun), "{begun}");
}

#[track_caller]
fn wait_for_some(saved: &Path) {
    let since = Instant::now();
    while fs::metadata(saved).map_or(0, |it| it.len()) < SIZE / 12 {
        assert!(since.elapsed() < Duration::from_secs(20), "it does not begin");
        thread::sleep(Duration::from_millis(20));
    }
}

fn exit_code(command: &mut Command) -> Option<i32> {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}; install it first"));
    output.status.code()
}

#[test]
fn of_fifty_gets_at_once_from_one_address_exactly_one_has_the_one_use() {
    let shop = Shop::open();
    for id in [&shop.small, &shop.large] {
        let link = shop.link(id, 1);
        let start = Barrier::new(50);
        let mut statuses: Vec<u16> = thread::scope(|scope| {
            let clients: Vec<_> = (0..50)
                .map(|_| {
                    scope.spawn(|| {
                        start.wait();
                        ask(shop.service.address(), "GET", &link.path, "").status
                    })
                })
                .collect();
            clients.into_iter().map(|client| client.join().unwrap()).collect()
        });
        statuses.sort_unstable();
        assert_eq!(statuses[0], 200);
        assert!(statuses[1..].iter().all(|status| *status == 404), "{statuses:?}");
        shop.counts(&link, 1);
        assert_eq!(ask(shop.service.address(), "GET", &link.path, "").status, 404);
    }
}

#[test]
fn whoever_only_looks_takes_nothing() {
    let shop = Shop::open();
    let link = shop.link(&shop.large, 1);
    let ask = |method: &str, more: &str| ask(shop.service.address(), method, &link.path, more);
    let tag = ask("HEAD", "").field("etag").unwrap().to_owned();
    let looks = [
        ("HEAD", String::new(), 200),
        ("HEAD", "Range: bytes=0-9\r\n".to_owned(), 200),
        ("GET", "Range: bytes=0-0\r\n".to_owned(), 206),
        (
            "GET",
            "Range: bytes=0-32767\r\nUser-Agent: somebody\r\n".to_owned(),
            206,
        ),
        ("GET", "Range: bytes=-1\r\n".to_owned(), 206),
        ("GET", format!("Range: bytes={SIZE}-\r\n"), 416),
        ("GET", format!("If-None-Match: {tag}\r\n"), 304),
        ("GET", "If-Match: \"another\"\r\n".to_owned(), 412),
        ("GET", "Sec-Purpose: prefetch;prerender\r\n".to_owned(), 503),
        ("GET", "Purpose: preview\r\n".to_owned(), 503),
        ("HEAD", "Purpose: preview\r\n".to_owned(), 200),
        ("OPTIONS", String::new(), 405),
    ];
    for (method, more, status) in &looks {
        // HEAD knows no ranges (RFC 9110 §14.2).
        let answer = ask(method, more);
        assert_eq!(answer.status, *status, "{method} {more}");
        let referrer = answer.field("referrer-policy");
        assert_eq!(referrer, Some("no-referrer"), "{method} {more}");
    }
    shop.counts(&link, 0);
    let whole = ask("GET", "Range: bytes=0-1,5-9\r\nUser-Agent: somebody else\r\n");
    assert_eq!(
        (whole.status, whole.body.len() as u64),
        (200, SIZE),
        "several ranges: the whole"
    );
    shop.counts(&link, 1);
}

#[test]
fn what_shows_a_picture_of_a_link_takes_nothing_and_a_phone_is_no_bot() {
    let shop = Shop::open();
    let link = shop.link(&shop.small, 7);
    let as_program = |name: &str| {
        let more = format!("User-Agent: {name}\r\n");
        ask(shop.service.address(), "GET", &link.path, &more).status
    };
    for name in [
        "WhatsApp/2.23.20.0",
        "Mozilla/5.0 (compatible; Discordbot/2.0)",
        "Synapse (bot; +https://github.com/matrix-org/synapse)",
        "Mastodon/4.2 (http.rb/5.1; +https://example.org/) Bot",
        "Mozilla/5.0 (compatible; Bluesky Cardyb/1.1)",
        "Iframely/1.3.1 (+https://iframely.com/docs/about)",
        "Viber/1.0",
        "Google-PageRenderer Google (+https://developers.google.com/+/web/snippet/)",
        "Mozilla/5.0 (Windows NT 6.1; WOW64) SkypeUriPreview Preview/0.5",
    ] {
        assert_eq!(as_program(name), 503, "{name}");
    }
    let people = [
        "Mozilla/5.0 (Linux; Android 11; CUBOT NOTE 20 Build/RP1A) Chrome/120.0 Mobile",
        "Mozilla/5.0 (Linux; Android 11; CUBOT; wv) Chrome/120.0 Mobile",
        "Mozilla/5.0 (Linux; Android 10) Chrome/81.0 Mobile Safari/537.36 Viber/14.7.0.4",
        "Mozilla/5.0 (Windows NT 10.0; Microsoft Windows 10.0.19045; en-US) PowerShell/7.5.0-preview.5",
        "curl/8",
        "Wget/1.21",
        "aria2/1.36.0",
    ];
    for name in people {
        assert_eq!(as_program(name), 200, "{name}");
    }
    assert_eq!(as_program("curl/9"), 404, "it is used up");
}

#[test]
fn an_empty_file_is_downloaded_as_often_as_its_link_is_good_for() {
    let shop = Shop::open();
    fs::write(shop.house.path("files/empty"), "").unwrap();
    for pin in ["path", "identity", "content"] {
        let publish = ["publish", "files:empty", "--pin", pin, "--json"];
        let link = shop.link(&shop.house.run(&publish).published().id, 2);
        let get = || ask(shop.service.address(), "GET", &link.path, "").status;
        assert_eq!([get(), get(), get()], [200, 200, 404], "{pin}");
        shop.counts(&link, 2);
    }
}

#[test]
fn a_download_in_pieces_by_a_stranger_to_the_link_is_a_download() {
    let shop = Shop::open();
    let link = shop.link(&shop.large, 1);
    let third = SIZE / 3;
    for piece in 0..3 {
        let range = format!("Range: bytes={}-{}\r\n", piece * third, (piece + 1) * third - 1);
        assert_eq!(ask(shop.service.address(), "GET", &link.path, &range).status, 206);
    }
    shop.counts(&link, 1);
    assert_eq!(ask(shop.service.address(), "GET", &link.path, "").status, 404);
    assert_eq!(
        ask(
            shop.service.address(),
            "GET",
            &link.path,
            "Range: bytes=0-0\r\nUser-Agent: x\r\n"
        )
        .status,
        404
    );
}

#[test]
fn curl_that_was_interrupted_goes_on_and_that_is_one_use() {
    let shop = Shop::open();
    let link = shop.link(&shop.large, 1);
    let saved = shop.folder("curl").join("large.bin");
    let curl = |more: &[&str]| {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--fail", "--continue-at", "-", "--output"])
            .arg(&saved);
        curl.args(more).arg(&link.url);
        curl
    };
    interrupt(curl(&["--limit-rate", "2M"]), &saved);
    assert_eq!(exit_code(&mut curl(&[])), Some(0));
    shop.is_whole(&saved);
    shop.counts(&link, 1);
    let again = shop.folder("again").join("large.bin");
    let mut fresh = Command::new("curl");
    fresh
        .args(["--silent", "--fail", "--output"])
        .arg(&again)
        .arg(&link.url);
    assert_eq!(exit_code(&mut fresh), Some(22), "404");
}

#[test]
fn wget_that_was_interrupted_goes_on_and_that_is_one_use() {
    let shop = Shop::open();
    let link = shop.link(&shop.large, 1);
    let saved = shop.folder("wget").join("large.bin");
    let wget = |more: &[&str]| {
        let mut wget = Command::new("wget");
        wget.args(["--quiet", "--continue", "--output-document"])
            .arg(&saved);
        wget.args(more).arg(&link.url);
        wget
    };
    interrupt(wget(&["--limit-rate=2m"]), &saved);
    assert_eq!(exit_code(&mut wget(&[])), Some(0));
    shop.is_whole(&saved);
    shop.counts(&link, 1);
}

#[test]
fn aria2_fetches_in_segments_and_goes_on_and_that_is_one_use() {
    let shop = Shop::open();
    let link = shop.link(&shop.large, 1);
    let folder = shop.folder("aria2");
    let aria2 = |program: &mut Command, more: &[&str]| {
        program
            .args([
                "--quiet",
                "-x4",
                "-s4",
                "--min-split-size=1M",
                "--file-allocation=none",
                "--no-conf",
            ])
            .args(["--continue", "--out=large.bin", "--dir"])
            .arg(&folder);
        exit_code(program.args(more).arg(&link.url))
    };
    let interrupted = aria2(
        Command::new("timeout").args(["--signal=INT", "2", "aria2c"]),
        &["--max-overall-download-limit=2M"],
    );
    assert_ne!(interrupted, Some(0), "aria2 is stopped in the middle");
    // It asks for the whole first, which it may once the service has seen that it was gone.
    let since = Instant::now();
    while aria2(&mut Command::new("aria2c"), &[]) != Some(0) {
        assert!(since.elapsed() < Duration::from_secs(10), "aria2 does not go on");
        thread::sleep(Duration::from_millis(100));
    }
    shop.is_whole(&folder.join("large.bin"));
    shop.counts(&link, 1);
}

#[test]
fn a_download_that_the_service_died_in_is_resumed_after_its_restart() {
    let mut shop = Shop::open();
    let link = shop.link(&shop.large, 1);
    let saved = shop.folder("curl").join("large.bin");
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--limit-rate", "2M", "--output"])
        .arg(&saved)
        .arg(&link.url);
    let mut curl = curl.spawn().unwrap();
    wait_for_some(&saved);
    shop.service.kill();
    assert!(!curl.wait().unwrap().success());
    assert!((1..SIZE).contains(&fs::metadata(&saved).unwrap().len()));

    shop.service = shop.house.serve();
    let url = format!("{}{}", shop.service.started.url, link.path);
    assert_eq!(
        ask(shop.service.address(), "GET", &link.path, "").status,
        404,
        "it is kept for whoever began"
    );
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--fail", "--continue-at", "-", "--output"])
        .arg(&saved)
        .arg(url);
    assert_eq!(exit_code(&mut curl), Some(0));
    shop.is_whole(&saved);
    shop.counts(&link, 1);
}
