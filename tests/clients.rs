//! Real clients fetch files of every length and name, bit-exact and under the right name.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests build their own trees by name, and stop at the first surprise"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use beneath_tests::trees::{self, FIVE_GIB};
use beneath_tests::{Beneathd, Published};

/// Every name that a file system allows and that somebody's client got wrong: the bytes, what JSON can say of them,
/// and what a client that only knows the ASCII `filename` parameter may make of them.
const NAMES: &[(&[u8], &str, &str)] = &[
    (b"plain.txt", "plain.txt", "plain.txt"),
    (b"two words.txt", "two words.txt", "two words.txt"),
    (b"q\"uo\"te.txt", "q\"uo\"te.txt", "q_uo_te.txt"),
    (b"new\nline.txt", "new\nline.txt", "new_line.txt"),
    (b"latin-\xe9.txt", "latin-\u{fffd}.txt", "latin-_.txt"),
    ("crab-🦀.txt".as_bytes(), "crab-🦀.txt", "crab-_.txt"),
    (b"back\\slash.txt", "back\\slash.txt", "back_slash.txt"),
    (b"percent%41.txt", "percent%41.txt", "percent_41.txt"),
    (
        b"semi;colon,comma=.txt",
        "semi;colon,comma=.txt",
        "semi_colon,comma=.txt",
    ),
    (b"..data", "..data", "..data"),
];

struct Shop {
    folder: tempfile::TempDir,
    service: Beneathd,
}

impl Shop {
    fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let files = folder.path().join("files");
        fs::create_dir(&files).unwrap();
        fs::write(files.join("empty.bin"), "").unwrap();
        fs::write(files.join("one.bin"), "1").unwrap();
        trees::sparse(&files.join("huge.bin"), FIVE_GIB);
        for (bytes, ..) in NAMES {
            fs::write(files.join(trees::name(bytes)), [b"content of ", *bytes].concat()).unwrap();
        }
        let service = Beneathd::quickstart(&files);
        fs::create_dir(folder.path().join("saved")).unwrap();
        Self { folder, service }
    }

    fn original(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join("files").join(name)
    }

    /// A new empty folder to download into.
    fn saved(&self, name: &str) -> PathBuf {
        let path = self.folder.path().join("saved").join(name);
        fs::create_dir(&path).unwrap();
        path
    }

    fn file(&self, name: &str) -> &Published {
        self.service.file(name)
    }
}

#[track_caller]
fn succeeds(command: &mut Command) {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}; install it first"));
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[track_caller]
fn same(saved: &Path, original: &Path) {
    trees::assert_same(&saved.to_string_lossy(), trees::open(saved), original);
}

fn only_file_in(folder: &Path) -> PathBuf {
    let mut files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let file = files.next().expect("a file was saved");
    assert_eq!(files.next(), None, "more than one file was saved");
    file
}

fn curl(shop: &Shop, folder: &Path) -> Command {
    let mut command = Command::new("curl");
    command
        .args([
            "--silent",
            "--show-error",
            "--fail",
            "--user",
            &shop.service.credentials(),
        ])
        .current_dir(folder);
    command
}

fn wget(shop: &Shop, folder: &Path) -> Command {
    let mut command = Command::new("wget");
    command.args([
        "--quiet",
        "--continue",
        "--auth-no-challenge",
        "--restrict-file-names=nocontrol",
    ]);
    command.arg(format!("--user={}", shop.service.started.user));
    command.arg(format!("--password={}", shop.service.started.password));
    command.current_dir(folder).env("LC_ALL", "C.UTF-8");
    command
}

fn aria2c(shop: &Shop, folder: &Path) -> Command {
    let mut command = Command::new("aria2c");
    command.args([
        "--quiet",
        "-x4",
        "-s4",
        "--min-split-size=1M",
        "--file-allocation=none",
        "--no-conf",
    ]);
    command.arg(format!("--http-user={}", shop.service.started.user));
    command.arg(format!("--http-passwd={}", shop.service.started.password));
    command.arg("--http-auth-challenge=false").current_dir(folder);
    command
}

#[test]
fn real_clients_fetch_every_length_and_name_bit_exact() {
    let shop = Shop::open();

    for name in ["empty.bin", "one.bin"] {
        for (client, mut command) in clients(&shop, name) {
            let folder = shop.folder.path().join("saved").join(format!("{client}-{name}"));
            succeeds(command.arg(&shop.file(name).url));
            same(&folder.join(name), &shop.original(name));
        }
    }
    for (number, &(bytes, json, ascii)) in NAMES.iter().enumerate() {
        names(&shop, number, bytes, json, ascii);
    }
    five_gibibytes(&shop);
}

/// Each client, ready to save into a folder of its own.
fn clients(shop: &Shop, name: &str) -> [(&'static str, Command); 3] {
    let folder = |client| shop.saved(&format!("{client}-{name}"));
    let mut curl = curl(shop, &folder("curl"));
    curl.args(["--remote-name", "--remote-header-name"]);
    [
        ("curl", curl),
        ("wget", wget(shop, &folder("wget"))),
        ("aria2c", aria2c(shop, &folder("aria2c"))),
    ]
}

/// curl knows the ASCII `filename`; aria2 knows RFC 8187 and so the name itself; wget saves under the URL's last segment.
fn names(shop: &Shop, number: usize, bytes: &[u8], json: &str, ascii: &str) {
    let original = shop.original(trees::name(bytes));
    for (client, mut command) in clients(shop, &number.to_string()) {
        let folder = command.get_current_dir().unwrap().to_path_buf();
        succeeds(command.arg(&shop.file(json).url));
        let saved = only_file_in(&folder);
        same(&saved, &original);
        let saved = saved.file_name().unwrap().as_encoded_bytes();
        match client {
            "curl" => assert_eq!(
                saved.escape_ascii().to_string(),
                ascii.escape_default().to_string(),
                "{client}"
            ),
            // wget decodes the URL twice.
            "wget" if bytes.contains(&b'%') => assert_eq!(saved, b"percentA.txt"),
            "wget" => assert_eq!(
                saved.escape_ascii().to_string(),
                bytes.escape_ascii().to_string(),
                "{client}"
            ),
            _ => {
                // What no client may put into a file name is replaced; what every one may is kept.
                let kept = std::str::from_utf8(bytes).is_ok_and(|name| !name.contains(['"', '\n', '\\']));
                assert!(
                    !kept || saved == bytes,
                    "{client} saved {:?}",
                    saved.escape_ascii().to_string()
                );
            }
        }
    }
}

fn five_gibibytes(shop: &Shop) {
    let (url, original) = (&shop.file("huge.bin").url, shop.original("huge.bin"));

    let mut child = curl(shop, shop.folder.path())
        .arg(url)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    trees::assert_same("curl's", child.stdout.take().unwrap(), &original);
    assert!(child.wait().unwrap().success());

    // The last stretch only, continued from what is there: the offset is past 32 bits.
    let folder = shop.saved("wget-huge");
    let begun = folder.join("huge.bin");
    trees::sparse(&begun, FIVE_GIB);
    fs::File::options()
        .write(true)
        .open(&begun)
        .unwrap()
        .set_len(FIVE_GIB - (64 << 20))
        .unwrap();
    succeeds(wget(shop, &folder).arg(url));
    same(&begun, &original);

    let folder = shop.saved("aria2c-huge");
    succeeds(aria2c(shop, &folder).arg(url));
    same(&folder.join("huge.bin"), &original);
}
