//! Row A11 of the flaws to survive, which is the reason for this project: the path is swapped for a link while requests
//! for it come in. The control asks the same tree the way that checks and then opens, and must be seen to leak.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::support::{SECRET, Stack, Tree, connect};
use rustix::fs::{CWD, RenameFlags, renameat_with};

/// How long each race is run, and how often the target must have been asked for: a busy machine takes longer.
const LAP: Duration = Duration::from_secs(2);
const ANSWERS: u64 = 200;
/// The control leaks within milliseconds; it is given up on after this.
const CONTROL: Duration = Duration::from_secs(20);

/// Exchanges two names without pause (renameat2(2), `RENAME_EXCHANGE`): at every moment each name is one or the other.
struct Swapper {
    stop: Arc<AtomicBool>,
    swaps: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Swapper {
    fn start(one: PathBuf, other: PathBuf) -> Self {
        let (stop, swaps) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stopped, counted) = (Arc::clone(&stop), Arc::clone(&swaps));
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                renameat_with(CWD, &one, CWD, &other, RenameFlags::EXCHANGE).unwrap();
                counted.fetch_add(1, Ordering::Relaxed);
            }
        });
        Self {
            stop,
            swaps,
            thread: Some(thread),
        }
    }
}

impl Drop for Swapper {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(std::thread::panicking() || ended.is_ok(), "the swapper failed");
        }
    }
}

/// What check-then-open answers: the containment is decided on the real path, the file opened by name.
fn check_then_open(root: &Path, name: &str) -> Option<Vec<u8>> {
    let path = root.join(name);
    let real = path.canonicalize().ok()?;
    real.starts_with(root.canonicalize().ok()?)
        .then(|| fs::read(path).ok())?
}

#[derive(Debug, Default)]
struct Tally {
    public: u64,
    refused: u64,
}

/// Asks for the target over a kept-alive connection for one lap. A byte of the secret ends the test.
fn ask_for_a_lap(addr: SocketAddr, target: &str, fields: &str, public: &str) -> Tally {
    let request = format!("GET {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    let until = Instant::now() + LAP;
    let mut tally = Tally::default();
    let mut stream = connect(addr);
    while Instant::now() < until || tally.public + tally.refused < ANSWERS {
        stream.write_all(request.as_bytes()).unwrap();
        let answer = one_answer(&mut stream);
        assert!(!answer.contains(SECRET), "LEAK: {answer}");
        match &answer[9..12] {
            "200" => {
                assert!(answer.ends_with(public), "{answer}");
                tally.public += 1;
            }
            "404" => tally.refused += 1,
            _ => panic!("{answer}"),
        }
    }
    tally
}

fn one_answer(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let count = stream.read(&mut buffer).unwrap();
        assert!(count > 0, "closed after {:?}", String::from_utf8_lossy(&bytes));
        bytes.extend_from_slice(&buffer[..count]);
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .unwrap();
        if body.len() >= length.parse().unwrap() {
            return text.into_owned();
        }
    }
}

/// Swaps `one` and `other` (beneath the root), and asks for `target`, which is `file` by name.
#[track_caller]
fn race(tree: &Tree, one: &str, other: &str, file: &str, target: &str, fields: &str, public: &str) -> Tally {
    let root = tree.root();
    let addr = Stack::Axum.serve(&root);
    let swapper = Swapper::start(root.join(one), root.join(other));
    let give_up = Instant::now() + CONTROL;
    while check_then_open(&root, file).is_none_or(|bytes| bytes != SECRET.as_bytes()) {
        assert!(
            Instant::now() < give_up,
            "the control did not leak in {:?}",
            CONTROL
        );
    }
    let tally = ask_for_a_lap(addr, target, fields, public);
    let swaps = swapper.swaps.load(Ordering::Relaxed);
    println!("{target}: {tally:?} in {swaps} swaps, no leak");
    assert!(swaps > 1000, "{swaps} swaps");
    tally
}

#[test]
fn a11_a_file_swapped_for_a_link_never_leaks() {
    let tree = Tree::new();
    tree.file("x", "public").link("evil", tree.secret());
    let tally = race(&tree, "x", "evil", "x", "/x", "", "public");
    assert!(tally.public > 0 && tally.refused > 0, "{tally:?}");
}

#[test]
fn a11_a_parent_directory_swapped_for_a_link_never_leaks() {
    let tree = Tree::new();
    tree.file("d/secret.txt", "public").link("evil", tree.outside());
    let tally = race(&tree, "d", "evil", "d/secret.txt", "/d/secret.txt", "", "public");
    assert!(tally.public > 0 && tally.refused > 0, "{tally:?}");
}

#[test]
fn a11_an_index_swapped_for_a_link_never_leaks() {
    let tree = Tree::new();
    tree.file("d/index.html", "public").link("evil", tree.secret());
    let tally = race(&tree, "d/index.html", "evil", "d/index.html", "/d/", "", "public");
    assert!(tally.public > 0 && tally.refused > 0, "{tally:?}");
}

#[test]
fn a11_a_gz_sibling_swapped_for_a_link_never_leaks() {
    let tree = Tree::new();
    // The sibling or the file itself: both are public, and the file is always there.
    tree.file("a.txt", "public")
        .file("a.txt.gz", "zipped public")
        .link("evil", tree.secret());
    let tally = race(
        &tree,
        "a.txt.gz",
        "evil",
        "a.txt.gz",
        "/a.txt",
        "Accept-Encoding: gzip\r\n",
        "public",
    );
    assert!(tally.public > 0 && tally.refused == 0, "{tally:?}");
}
