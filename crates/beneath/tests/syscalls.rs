//! Between request and answer: openat2 (openat for the walk) and statx on descriptors, and reads. Nothing else.
//!
//! Twice over. A filter kills the process at any other call, and so proves that there is none; it cannot look at paths.
//! strace(1) can, and counts.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests build and inspect their own trees by name, and stop at the first surprise"
)]

mod support;

use std::hint::black_box;
use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use beneath::testing::{self, Forced};
use beneath::{Error, ErrorKind, Policy, RelPath, Root, Symlinks, ambient_authority};
use support::child::{self, Bound};
use support::seccomp::{self, Rules};
use support::{path, say};

const REQUESTS: usize = 200;
const A_MINUTE: Duration = Duration::from_secs(60);
/// Only the backends ever see such a path, and only in tests.
const UPWARDS: &std::ffi::CStr = c"a/../a/b/../../f";
const ENTRY: &str = "as_the_process_under_watch";

/// The files of the tree, and what opening each answers.
const NAMES: [(&str, Option<ErrorKind>); 6] = [
    ("a/b/f", None),
    ("f", None),
    ("missing", Some(ErrorKind::NotFound)),
    ("link", Some(ErrorKind::Symlink)),
    ("a", Some(ErrorKind::NotRegular)),
    ("f/x", Some(ErrorKind::NotADirectory)),
];

#[test]
fn a_root_on_openat2_lives_under_a_filter_that_allows_nothing_else() {
    assert!(end_of("openat2").success());
}

#[test]
fn a_root_that_follows_links_lives_under_the_same_filter() {
    assert!(end_of("links").success());
}

#[test]
fn a_root_on_the_walk_lives_under_a_filter_that_allows_nothing_else() {
    assert!(end_of("walk").success());
}

#[test]
fn the_controls_die_under_the_same_filters() {
    for victim in [
        "control: realpath, check, open",
        "control: lstat, open",
        "control: open by absolute path",
        "control: read the link of a descriptor",
    ] {
        assert_eq!(end_of(victim).signal(), Some(libc::SIGSYS), "{victim}");
    }
}

#[test]
fn each_open_is_one_openat2_and_at_most_one_statx_of_its_descriptor() {
    let calls = traced("traced: openat2");
    let opens = calls.iter().filter(|call| call.starts_with("openat2(")).count();
    let stats = calls.iter().filter(|call| call.starts_with("statx(")).count();
    say(&format!(
        "syscalls, openat2: {opens} openat2 and {stats} statx for {} opens",
        REQUESTS * NAMES.len()
    ));
    assert_eq!(opens, REQUESTS * NAMES.len());
    // Of what was opened: two files, and the directory that is then refused.
    assert_eq!(stats, REQUESTS * 3);
    for call in &calls {
        let ok = match call.split('(').next().unwrap() {
            "openat2" => {
                names_a_descriptor(call)
                    && names_a_relative_path(call)
                    && [
                        "O_NONBLOCK",
                        "O_NOCTTY",
                        "O_CLOEXEC",
                        "RESOLVE_BENEATH",
                        "RESOLVE_NO_MAGICLINKS",
                        "RESOLVE_NO_SYMLINKS",
                    ]
                    .iter()
                    .all(|flag| call.contains(flag))
            }
            name => only_a_descriptor(name, call),
        };
        assert!(ok, "between request and answer: {call}");
    }
}

#[test]
fn the_walk_opens_single_names_and_never_asks_for_the_parent() {
    let calls = traced("traced: walk");
    let opens: Vec<&String> = calls.iter().filter(|call| call.starts_with("openat(")).collect();
    say(&format!(
        "syscalls, walk: {} openat for {} opens",
        opens.len(),
        REQUESTS * (NAMES.len() + 1)
    ));
    assert!(opens.len() >= REQUESTS * NAMES.len());
    for call in &calls {
        let ok = match call.split('(').next().unwrap() {
            "openat" => {
                let name = call.split('"').nth(1).unwrap();
                names_a_descriptor(call)
                    && call.contains("O_CLOEXEC")
                    && !name.contains('/')
                    && name != ".."
                    && (name == "." || call.contains("O_NOFOLLOW"))
            }
            name => only_a_descriptor(name, call),
        };
        assert!(ok, "between request and answer: {call}");
    }
}

#[test]
#[ignore = "run by the tests above, in a process that is filtered or traced"]
fn as_the_process_under_watch() {
    let Some(role) = child::role() else {
        return say("as_the_process_under_watch: nobody watches, nothing to do");
    };
    child::die_with_parent();
    let tree = tree();
    let strict = Policy::default();
    let make =
        |policy, backend| testing::open_ambient(tree.path(), policy, backend, ambient_authority()).unwrap();
    let paths = NAMES.map(|(name, expected)| (path(name), expected));
    match role.as_str() {
        "openat2" => {
            let root = make(strict, Forced::Openat2);
            filtered(openat2_only(), || serve(&root, &paths))
        }
        "links" => {
            let root = make(strict.symlinks(Symlinks::Beneath), Forced::Openat2);
            filtered(openat2_only(), || {
                let file = root.open(&path("link")).unwrap();
                assert_eq!(file.read_at(&mut [0; 16], 0), Ok(7));
            });
        }
        "walk" => {
            let root = make(strict, Forced::Walk);
            filtered(openat_only(), || {
                serve(&root, &paths);
                testing::open_raw(&root, UPWARDS).unwrap();
            })
        }
        "traced: openat2" => {
            let root = make(strict, Forced::Openat2);
            between_marks(|| serve(&root, &paths));
        }
        "traced: walk" => {
            let root = make(strict, Forced::Walk);
            between_marks(|| {
                serve(&root, &paths);
                for _ in 0..REQUESTS {
                    testing::open_raw(&root, UPWARDS).unwrap();
                }
            });
        }
        control => {
            let file = tree.path().join("f");
            filtered(openat_only(), || match control {
                "control: realpath, check, open" => {
                    let real = std::fs::canonicalize(&file).unwrap();
                    black_box(std::fs::File::open(real).unwrap());
                }
                "control: lstat, open" => assert!(!std::fs::symlink_metadata(&file).unwrap().is_symlink()),
                "control: open by absolute path" => drop(std::fs::File::open(&file).unwrap()),
                "control: read the link of a descriptor" => {
                    drop(std::fs::read_link("/proc/self/fd/0").unwrap());
                }
                unknown => panic!("unknown role {unknown}"),
            });
        }
    }
}

/// What a server does with a root, for many requests.
fn serve(root: &Root, paths: &[(RelPath, Option<ErrorKind>)]) {
    let mut piece = [0; 16];
    for _ in 0..REQUESTS {
        for (path, expected) in paths {
            let read = root.open(path).and_then(|file| {
                assert_eq!(file.metadata().len(), 7);
                let again = file.try_read_at(&mut piece, 0);
                assert!(again == Ok(7) || again.unwrap_err().kind() == ErrorKind::WouldBlock);
                file.read_at(&mut piece, 0)
            });
            assert_eq!(
                read.map_err(|error: Error| error.kind()),
                expected.map_or(Ok(7), Err)
            );
        }
    }
}

/// Does `work` under the filter, then ends the process there and then: what comes later is no part of a request.
fn filtered(rules: Rules, work: impl FnOnce()) -> ! {
    seccomp::kill_unless(rules);
    work();
    std::process::exit(0)
}

fn openat2_only() -> Rules {
    let mut rules = reads_and_memory();
    rules.insert(libc::SYS_openat2, seccomp::when(vec![seccomp::is_descriptor(0)]));
    rules
}

fn openat_only() -> Rules {
    let mut rules = reads_and_memory();
    rules.insert(libc::SYS_openat, seccomp::when(vec![seccomp::is_descriptor(0)]));
    rules
}

/// Questions asked of a descriptor, memory, and the end of the process.
fn reads_and_memory() -> Rules {
    let empty_path = u64::from(libc::AT_EMPTY_PATH.cast_unsigned());
    let statx = seccomp::when(vec![seccomp::is_descriptor(0), seccomp::has_bits(2, empty_path)]);
    // Debug builds of the standard library ask whether a descriptor that they close is open.
    let is_open = seccomp::when(vec![seccomp::is(1, libc::F_GETFD)]);
    let mut rules = Rules::from([(libc::SYS_statx, statx), (libc::SYS_fcntl, is_open)]);
    for call in [
        libc::SYS_fstat,
        libc::SYS_pread64,
        libc::SYS_preadv2,
        libc::SYS_close,
        libc::SYS_brk,
        libc::SYS_mmap,
        libc::SYS_munmap,
        libc::SYS_mremap,
        libc::SYS_madvise,
        libc::SYS_futex,
        libc::SYS_clock_gettime,
        libc::SYS_sigaltstack,
        libc::SYS_exit_group,
        // What the test harness still has to print.
        libc::SYS_write,
    ] {
        rules.insert(call, Vec::new());
    }
    rules
}

/// How a process of this role ends.
fn end_of(role: &str) -> std::process::ExitStatus {
    let mut child = Bound::spawn(&mut child::again(ENTRY, role));
    child
        .wait(A_MINUTE)
        .unwrap_or_else(|| panic!("{role}: still running"))
}

const BEGIN: &str = "the first request comes";
const END: &str = "the last answer went";

fn between_marks(work: impl FnOnce()) {
    let mark = |text: &str| std::io::stderr().write_all(text.as_bytes()).unwrap();
    mark(BEGIN);
    work();
    mark(END);
}

/// The system calls that the thread of this role makes between its marks, as strace writes them.
fn traced(role: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let again = child::again(ENTRY, role);
    let mut strace = Command::new("strace");
    strace
        .args(["-f", "-qq", "-s", "4096", "-o"])
        .arg(&log)
        .arg(again.get_program());
    strace.args(again.get_args());
    for (name, value) in again.get_envs() {
        strace.env(name, value.unwrap());
    }
    strace
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null());
    let child = strace.spawn().expect("strace is needed: apt-get install strace");
    let status = Bound(child).wait(A_MINUTE).expect("an end within a minute");
    assert!(status.success(), "{role} under strace: {status}");
    let log = std::fs::read_to_string(log).unwrap();
    let thread = log
        .lines()
        .find(|line| line.contains(BEGIN))
        .unwrap()
        .split(' ')
        .next()
        .unwrap();
    log.lines()
        .skip_while(|line| !line.contains(BEGIN))
        .skip(1)
        .take_while(|line| !line.contains(END))
        .filter_map(|line| line.strip_prefix(thread))
        .map(|call| call.trim().to_owned())
        .collect()
}

fn only_a_descriptor(name: &str, call: &str) -> bool {
    match name {
        "statx" => names_a_descriptor(call) && call.contains("\"\", ") && call.contains("AT_EMPTY_PATH"),
        "fcntl" => names_a_descriptor(call) && call.contains("F_GETFD"),
        "fstat" | "pread64" | "preadv2" | "close" => names_a_descriptor(call),
        "brk" | "mmap" | "munmap" | "mremap" | "madvise" => true,
        _ => false,
    }
}

fn names_a_descriptor(call: &str) -> bool {
    call.split('(')
        .nth(1)
        .is_some_and(|arguments| arguments.starts_with(|first: char| first.is_ascii_digit()))
}

fn names_a_relative_path(call: &str) -> bool {
    call.split('"').nth(1).is_some_and(|path| !path.starts_with('/'))
}

fn tree() -> tempfile::TempDir {
    let tree = tempfile::tempdir().unwrap();
    let at = |name: &str| tree.path().join(name);
    std::fs::create_dir_all(at("a/b")).unwrap();
    std::fs::write(at("a/b/f"), "content").unwrap();
    std::fs::write(at("f"), "content").unwrap();
    std::os::unix::fs::symlink(Path::new("a/b/f"), at("link")).unwrap();
    tree
}
