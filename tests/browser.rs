//! A real browser downloads through its own password prompt's shortcut, under the right names.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests build their own trees by name, and stop at the first surprise"
)]

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::ffi::OsStrExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use beneath_tests::Beneathd;
use beneath_tests::trees::{self, FIVE_GIB};
use serde_json::{Value, json};

/// Headless Chromium, driven through ChromeDriver (W3C WebDriver).
struct Browser {
    driver: Child,
    port: u16,
    session: String,
}

impl Browser {
    fn open(downloads: &Path, profile: &Path) -> Self {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver: install the Debian packages chromium and chromium-driver");
        let lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = lines.map_while(Result::ok).find_map(|line| {
            line.split_once("started successfully on port ")?
                .1
                .trim_end_matches('.')
                .parse()
                .ok()
        });
        let mut browser = Self {
            driver,
            port: port.expect("chromedriver says its port"),
            session: String::new(),
        };
        let options = json!({
            "args": ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-quic",
                format!("--user-data-dir={}", profile.display())],
            "prefs": {"download.default_directory": downloads, "download.prompt_for_download": false,
                "profile.default_content_setting_values.automatic_downloads": 1},
        });
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome", "goog:chromeOptions": options,
            // A download is no page that could finish loading.
            "pageLoadStrategy": "none"}}});
        let made = browser.command("POST", "", &wanted);
        browser.session = format!("/{}", made["value"]["sessionId"].as_str().expect("a session"));
        browser
    }

    fn command(&self, method: &str, path: &str, body: &Value) -> Value {
        let (body, session) = (body.to_string(), &self.session);
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        write!(
            stream,
            "{method} /session{session}{path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        // ChromeDriver keeps the connection open whatever it is told.
        let mut reader = BufReader::new(stream);
        let mut length = 0;
        let mut line = String::new();
        while reader.read_line(&mut line).unwrap() > 2 {
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            line.clear();
        }
        let mut answer = vec![0; length];
        reader.read_exact(&mut answer).unwrap();
        serde_json::from_slice(&answer).unwrap_or_else(|error| panic!("{error}: {answer:?}"))
    }

    fn visit(&self, url: &str) -> Value {
        self.command("POST", "/url", &json!({ "url": url }))
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Ends the browser too; after a failed test it may not answer.
        let _ = catch_unwind(AssertUnwindSafe(|| self.command("DELETE", "", &json!({}))));
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

#[test]
fn a_browser_downloads_every_length_and_name_bit_exact() {
    // The name on disk, and the name a browser gives it: it replaces what its own rules forbid.
    let names: [(&[u8], &str); 6] = [
        (b"empty.bin", "empty.bin"),
        (b"one.bin", "one.bin"),
        ("crab-🦀 é.txt".as_bytes(), "crab-🦀 é.txt"),
        (b"q\"uote.txt", "q_uote.txt"),
        (b"new\nline.txt", "new_line.txt"),
        (b"page.html", "page.html"),
    ];
    let sandbox = tempfile::tempdir().unwrap();
    let [files, downloads, profile] = ["files", "downloads", "profile"].map(|name| sandbox.path().join(name));
    fs::create_dir(&files).unwrap();
    fs::create_dir(&downloads).unwrap();
    for (name, _) in names {
        fs::write(files.join(trees::name(name)), content(name)).unwrap();
    }
    trees::sparse(&files.join("huge.bin"), FIVE_GIB);
    fs::write(files.join(trees::name(b"latin-\xe9.txt")), "é").unwrap();

    let service = Beneathd::quickstart(&files);
    let browser = Browser::open(&downloads, &profile);
    let visit = |name: &str| {
        let credentials = format!("://{}@", service.credentials());
        browser.visit(&service.file(name).url.replacen("://", &credentials, 1));
    };
    for (name, saved_as) in names {
        visit(std::str::from_utf8(name).unwrap());
        let saved = wait_for(&downloads, |file| file == saved_as);
        assert_eq!(fs::read(&saved).unwrap(), content(name), "{saved_as}");
    }
    // Bytes that are not UTF-8 have no right name for a browser, but the download must not fail for it.
    visit("latin-\u{fffd}.txt");
    let saved = wait_for(&downloads, |file| {
        file.starts_with("latin-") && file.ends_with(".txt")
    });
    assert_eq!(fs::read(&saved).unwrap(), "é".as_bytes());

    visit("huge.bin");
    let saved = wait_for(&downloads, |file| file == "huge.bin");
    trees::assert_same("huge.bin", trees::open(&saved), &files.join("huge.bin"));
}

fn content(name: &[u8]) -> Vec<u8> {
    match name {
        b"empty.bin" => Vec::new(),
        b"one.bin" => b"1".to_vec(),
        // Must be saved, never run in the service's origin.
        b"page.html" => b"<script>document.title = 'run'</script>".to_vec(),
        name => [b"content of ", name].concat(),
    }
}

/// The browser writes under another name until a download is complete. It makes an empty file of the right name just
/// before it renames, so the name alone is not the end: the other one has to be gone.
fn wait_for(folder: &Path, is_it: impl Fn(&str) -> bool) -> PathBuf {
    let until = Instant::now() + Duration::from_secs(180);
    loop {
        let names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        let under_way =
            |name: &OsString| name.as_bytes().starts_with(b".") || name.as_bytes().ends_with(b".crdownload");
        let complete = !names.iter().any(under_way);
        if let Some(name) = names
            .iter()
            .find(|name| complete && name.to_str().is_some_and(&is_it))
        {
            return folder.join(name);
        }
        assert!(Instant::now() < until, "not downloaded; there are {names:?}");
        thread::sleep(Duration::from_millis(100));
    }
}
