//! Clients that resume: `wget -c`, `curl -C -`, `aria2c -x4`. They are stopped in the middle, the file is replaced by another of
//! the same or another length, and they go on. They may start again or fail, but never splice the two.
//!
//! The clients are programs of this machine: `apt-get install wget curl aria2`. A missing one fails its tests.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::support::{Stack, Tree, get, handler, serve};
use rustix::process::{Pid, Signal, kill_process};

const SIZE: usize = 6 << 20;
/// No client needs this long for what it is asked.
const PATIENCE: Duration = Duration::from_secs(60);

/// A client, and how it is told to download slowly, and to go on at full speed.
struct Client {
    program: &'static str,
    package: &'static str,
    slowly: &'static [&'static str],
    resume: &'static [&'static str],
}

const WGET: Client = Client {
    program: "wget",
    package: "wget",
    slowly: &["--limit-rate=1m", "--tries=1", "--no-verbose"],
    resume: &["--continue", "--tries=1", "--no-verbose"],
};

const CURL: Client = Client {
    program: "curl",
    package: "curl",
    slowly: &["--silent", "--show-error", "--limit-rate", "1M", "--output", "x"],
    resume: &[
        "--silent",
        "--show-error",
        "--fail",
        "--continue-at",
        "-",
        "--output",
        "x",
    ],
};

const CURL_HTTP_2: Client = Client {
    program: "curl",
    package: "curl",
    slowly: &[
        "--http2-prior-knowledge",
        "--silent",
        "--show-error",
        "--limit-rate",
        "1M",
        "--output",
        "x",
    ],
    resume: &[
        "--http2-prior-knowledge",
        "--silent",
        "--show-error",
        "--fail",
        "--continue-at",
        "-",
        "--output",
        "x",
    ],
};

const ARIA2: Client = Client {
    program: "aria2c",
    package: "aria2",
    slowly: &[
        "--max-overall-download-limit=1M",
        "-x4",
        "-s4",
        "-k1M",
        "--file-allocation=none",
        "--quiet",
        "--no-conf",
        "--out=x",
    ],
    resume: &[
        "--continue=true",
        "-x4",
        "-s4",
        "-k1M",
        "--file-allocation=none",
        "--quiet",
        "--no-conf",
        "--max-tries=2",
        "--retry-wait=1",
        "--out=x",
    ],
};

impl Client {
    fn start(&self, arguments: &[&str], directory: &Path, url: &str) -> Child {
        let mut command = Command::new(self.program);
        command.args(arguments).arg(url).current_dir(directory);
        // A proxy of the environment must not stand between.
        for variable in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
            command.env_remove(variable);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command.spawn().unwrap_or_else(|error| {
            panic!(
                "{}: {error}; this test needs it: apt-get install {}",
                self.program, self.package
            )
        })
    }

    /// Downloads until something has arrived, then is told to stop.
    fn begin(&self, directory: &Path, url: &str) {
        let mut child = self.start(self.slowly, directory, url);
        let file = directory.join("x");
        let started = Instant::now();
        while arrived(&file) < 300_000 {
            assert!(started.elapsed() < PATIENCE, "{} does not download", self.program);
            assert!(
                child.try_wait().unwrap().is_none(),
                "{} ended too early",
                self.program
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
        wait(&mut child);
        assert!(
            arrived(&file) < SIZE as u64,
            "{} was too fast to be stopped",
            self.program
        );
    }

    fn go_on(&self, directory: &Path, url: &str) -> ExitStatus {
        wait(&mut self.start(self.resume, directory, url))
    }
}

/// How much of the file is there, in blocks: aria2 writes at several places.
fn arrived(file: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata(file).map_or(0, |metadata| metadata.blocks() * 512)
}

fn wait(child: &mut Child) -> ExitStatus {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if started.elapsed() > PATIENCE {
            let _ = child.kill();
            panic!("the client does not end");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Content that shows in every block which version it is of, and where in it.
fn version(letter: u8, size: usize) -> Vec<u8> {
    (0..size)
        .map(|at| {
            if at % 64 < 32 {
                letter
            } else {
                (at / 64 % 251) as u8
            }
        })
        .collect()
}

fn replace(root: &Path, content: &[u8]) {
    let new: PathBuf = root.join("new");
    fs::write(&new, content).unwrap();
    fs::rename(new, root.join("x")).unwrap();
}

/// Stops a download in the middle, lets something happen to the file, goes on, and judges what lies there then.
fn resume(client: &Client, happens: impl FnOnce(&Path)) -> (ExitStatus, Vec<u8>) {
    let tree = Tree::new();
    tree.file("x", version(b'o', SIZE));
    let tree = tree.settle();
    let url = format!("http://{}/x", Stack::Axum.serve(&tree.root()));
    let downloads = tempfile::tempdir().unwrap();
    client.begin(downloads.path(), &url);
    happens(&tree.root());
    let status = client.go_on(downloads.path(), &url);
    let content = fs::read(downloads.path().join("x")).unwrap_or_default();
    println!("{} {status}: {} bytes", client.program, content.len());
    (status, content)
}

#[track_caller]
fn assert_never_spliced(client: &Client) {
    for (what, size) in [
        ("same length", SIZE),
        ("longer", SIZE + 12_345),
        ("shorter", SIZE - 12_345),
        ("much shorter", 200_000),
    ] {
        let new = version(b'N', size);
        let (status, content) = resume(client, |root| replace(root, &new));
        assert!(
            !status.success() || content == new,
            "{}, {what}: success with a spliced file",
            client.program
        );
    }
    // Overwritten where it stands, with the time of modification put back: nothing but the ctime tells.
    let new = version(b'N', SIZE);
    let (status, content) = resume(client, |root| {
        let modified = fs::metadata(root.join("x")).unwrap().modified().unwrap();
        fs::write(root.join("x"), &new).unwrap();
        fs::File::options()
            .write(true)
            .open(root.join("x"))
            .unwrap()
            .set_modified(modified)
            .unwrap();
    });
    assert!(
        !status.success() || content == new,
        "{}, in place: success with a spliced file",
        client.program
    );
}

#[track_caller]
fn assert_resumes(client: &Client) {
    let (status, content) = resume(client, |_| ());
    assert!(status.success(), "{}: {status}", client.program);
    assert!(content == version(b'o', SIZE), "{}: not the file", client.program);
}

/// After a replacement the ranges of `aria2c -x4` are doubted, too; it must cope.
#[test]
fn aria2_downloads_a_file_that_was_just_replaced() {
    let tree = Tree::new();
    tree.file("x", version(b'o', SIZE));
    let addr = Stack::Axum.serve(&tree.root());
    get(addr, "/x", &[]);
    replace(&tree.root(), &version(b'N', SIZE));
    let downloads = tempfile::tempdir().unwrap();
    let status = ARIA2.go_on(downloads.path(), &format!("http://{addr}/x"));
    let content = fs::read(downloads.path().join("x")).unwrap_or_default();
    assert!(
        status.success() && content == version(b'N', SIZE),
        "{status}: {} bytes",
        content.len()
    );
}

#[test]
fn wget_resumes_what_has_not_changed() {
    assert_resumes(&WGET);
}

#[test]
fn wget_never_splices() {
    assert_never_spliced(&WGET);
}

/// The control: as a download of the example `handler`, which remembers nothing, the two are spliced.
#[test]
fn wget_splices_where_nothing_is_remembered() {
    let tree = Tree::new();
    tree.file("x", version(b'o', SIZE));
    let url = format!("http://{}/reports/x", serve(handler(&tree.root())));
    let downloads = tempfile::tempdir().unwrap();
    WGET.begin(downloads.path(), &url);
    replace(&tree.root(), &version(b'N', SIZE));
    let status = WGET.go_on(downloads.path(), &url);
    let content = fs::read(downloads.path().join("x")).unwrap();
    assert!(status.success() && content.len() == SIZE);
    assert!(content != version(b'N', SIZE) && content != version(b'o', SIZE));
}

#[test]
fn curl_resumes_what_has_not_changed() {
    assert_resumes(&CURL);
}

#[test]
fn curl_never_splices() {
    assert_never_spliced(&CURL);
}

#[test]
fn curl_over_http_2_resumes_what_has_not_changed() {
    assert_resumes(&CURL_HTTP_2);
}

#[test]
fn curl_over_http_2_never_splices() {
    assert_never_spliced(&CURL_HTTP_2);
}

#[test]
fn aria2_resumes_what_has_not_changed() {
    assert_resumes(&ARIA2);
}

#[test]
fn aria2_never_splices() {
    assert_never_spliced(&ARIA2);
}
