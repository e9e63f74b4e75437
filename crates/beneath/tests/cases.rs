//! Every case of the table, on every backend, with every answer that a system without openat2(2) may give.
//!
//! The table is `cases/open.json`; its `format` object explains it. A further table of the same format is run as well
//! where the environment variable `BENEATH_CASES` names one:
//!
//! ```text
//! BENEATH_CASES=/some/more.json cargo test -p beneath --test cases
//! ```
//!
//! The paths go to the backends as raw bytes, past [`RelPath`], which would refuse many before a backend sees them; the
//! parser is tested apart, and so is the public door. What ran is counted and printed.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests build and inspect their own trees by name, and stop at the first surprise"
)]

mod support;

use std::ffi::CStr;
use std::path::Path;

use beneath::testing::{self, Forced};
use beneath::{Error, ErrorKind, File, Policy, RelPath, Root, ambient_authority};
use rustix::fs::{Mode, OFlags};
use support::table::{Abilities, Case, Outcome, Sandbox, Table};
use support::{Watchdog, read, say, seccomp};

const TABLE: &str = include_str!("cases/open.json");

/// `EAGAIN` is no answer of a case: a rename anywhere on the machine causes it.
const MAX_BUSY: u32 = 4096;

/// How many cases the committed table must have, so that a table cut short is noticed.
const CASES: usize = 366;
const STRICT_CASES: usize = 174;

#[test]
fn every_case_has_the_expected_outcome_on_openat2() {
    run(
        "openat2",
        |_| true,
        |case, sandbox| raw(case, sandbox, forced(Forced::Openat2)),
    );
}

#[test]
fn every_strict_case_has_the_same_outcome_on_the_walk() {
    run("walk", Case::is_strict, |case, sandbox| {
        raw(case, sandbox, forced(Forced::Walk))
    });
}

#[test]
fn every_strict_case_has_the_same_outcome_where_openat2_is_missing() {
    run("chosen under ENOSYS", Case::is_strict, |case, sandbox| {
        seccomp::with_answer(libc::SYS_openat2, libc::ENOSYS, || {
            raw(case, sandbox, chosen_walk)
        })
    });
}

#[test]
fn every_strict_case_has_the_same_outcome_where_openat2_is_forbidden() {
    run("chosen under EPERM", Case::is_strict, |case, sandbox| {
        seccomp::with_answer(libc::SYS_openat2, libc::EPERM, || raw(case, sandbox, chosen_walk))
    });
}

#[test]
fn following_links_is_unsupported_where_openat2_is_missing_or_forbidden() {
    for (name, errno) in [("ENOSYS", libc::ENOSYS), ("EPERM", libc::EPERM)] {
        let mut roots = 0;
        for case in tables()
            .iter()
            .flat_map(|table| &table.cases)
            .filter(|case| !case.is_strict())
        {
            // No tree is needed: the root itself must be refused.
            let sandbox = Sandbox::new();
            let opened = seccomp::with_answer(libc::SYS_openat2, errno, || {
                Root::open_ambient_with(sandbox.root(), case.policy(), ambient_authority())
            });
            let refused = opened
                .err()
                .unwrap_or_else(|| panic!("{}: a root was made", case.name));
            assert_eq!(refused.kind(), ErrorKind::Unsupported, "{}", case.name);
            assert_eq!(refused.raw_os_error(), Some(errno), "{}", case.name);
            roots += 1;
        }
        say(&format!(
            "cases, following links under {name}: {roots} roots refused as unsupported"
        ));
    }
}

/// The backend is chosen when the root is made. A filter that comes later makes it fail, never makes it weaker.
#[test]
fn a_filter_that_comes_later_closes_the_root_and_changes_no_backend() {
    for (errno, kind) in [
        (libc::ENOSYS, ErrorKind::Unsupported),
        (libc::EPERM, ErrorKind::NotPermitted),
    ] {
        let sandbox = Sandbox::new();
        std::fs::write(sandbox.root().join("f"), "public").unwrap();
        std::os::unix::fs::symlink("f", sandbox.root().join("link")).unwrap();
        for policy in [
            Policy::default(),
            Policy::default().symlinks(beneath::Symlinks::Beneath),
        ] {
            let root = support::root_with(&sandbox.root(), policy);
            assert_eq!(read(&root.open(&support::path("f")).unwrap()).unwrap(), b"public");
            seccomp::with_answer(libc::SYS_openat2, errno, || {
                for name in ["f", "link", "missing"] {
                    let path = support::path(name);
                    assert_eq!(root.open(&path).unwrap_err().kind(), kind, "open {name}");
                    assert_eq!(root.try_open(&path).unwrap_err().kind(), kind, "try_open {name}");
                    assert_eq!(
                        root.open_root(&path).unwrap_err().kind(),
                        kind,
                        "open_root {name}"
                    );
                }
                assert_eq!(root.entries(10).unwrap_err().kind(), kind);
                assert_eq!(testing::backend(&root), Forced::Openat2);
            });
            assert!(
                root.open(&support::path("f")).is_ok(),
                "the filter was the thread's, not the root's"
            );
        }
    }
}

#[test]
fn the_parser_refuses_exactly_the_paths_whose_letters_are_wrong() {
    let (mut refused, mut parsed) = (0, 0);
    for case in tables().iter().flat_map(|table| &table.cases) {
        let path = case.path(&Sandbox::new());
        match RelPath::parse(&path) {
            Ok(parsed_path) => {
                assert!(
                    !case.is_refused_by_a_parser(),
                    "{}: parsed {parsed_path:?}",
                    case.name
                );
                assert_eq!(parsed_path.as_bytes(), path, "{}: other bytes", case.name);
                parsed += 1;
            }
            Err(error) => {
                assert!(case.is_refused_by_a_parser(), "{}: {error}", case.name);
                assert_eq!(error.kind(), ErrorKind::InvalidPath, "{}", case.name);
                refused += 1;
            }
        }
    }
    say(&format!("cases, parser: {parsed} parsed, {refused} refused"));
    assert!(parsed >= 200 && refused >= 100);
}

#[test]
fn every_case_that_parses_has_the_expected_outcome_through_the_public_door() {
    run(
        "public door",
        |_| true,
        |case, sandbox| {
            let path = RelPath::parse(case.path(sandbox)).ok()?;
            let root =
                Root::open_ambient_with(case.root(sandbox), case.policy(), ambient_authority()).unwrap();
            Some(outcome(|| root.open(&path)))
        },
    );
}

/// What does not block must not answer otherwise; only later.
#[test]
fn what_try_open_answers_is_what_open_answers() {
    run(
        "try_open, warm",
        |_| true,
        |case, sandbox| {
            let path = RelPath::parse(case.path(sandbox)).ok()?;
            let root =
                Root::open_ambient_with(case.root(sandbox), case.policy(), ambient_authority()).unwrap();
            let blocking = outcome(|| root.open(&path));
            match outcome(|| root.try_open(&path)) {
                Outcome::Refused(ErrorKind::WouldBlock) => Some(blocking),
                answer => Some(answer),
            }
        },
    );
}

/// The control: the table would find an opener that guards the last component only.
#[test]
fn a_plain_openat_with_nofollow_reads_what_the_table_forbids() {
    let abilities = Abilities::find();
    let table = Table::parse(TABLE);
    let mut leaks = 0;
    for case in table
        .cases
        .iter()
        .filter(|case| case.is_strict() && case.lacks(&abilities).is_none())
    {
        let read = case.within(|sandbox| naive(&case.root(sandbox), &case.c_path(sandbox)?));
        let forbidden = matches!(case.expected(), Outcome::Refused(kind) if kind != ErrorKind::NotRegular);
        leaks += usize::from(read.is_some() && forbidden);
    }
    say(&format!(
        "cases, control: a plain openat with O_NOFOLLOW opens {leaks} paths that the table forbids"
    ));
    assert!(leaks >= 20, "only {leaks}: the table proves little");
}

/// Opens every case that `wanted` selects by `open` (`None`: not a case for this door), compares, counts, and prints.
fn run(door: &str, wanted: impl Fn(&Case) -> bool, open: impl Fn(&Case, &Sandbox) -> Option<Outcome> + Sync) {
    let abilities = Abilities::find();
    for table in tables() {
        let mut ran = 0;
        let mut not_here = Vec::new();
        let mut not_for_this_door = 0;
        let mut wrong = Vec::new();
        let cases: Vec<&Case> = table.cases.iter().filter(|case| wanted(case)).collect();
        for case in &cases {
            if let Some(lacking) = case.lacks(&abilities) {
                not_here.push(format!("{} (needs {lacking})", case.name));
                continue;
            }
            let _watchdog = Watchdog::over(&case.name);
            match case.within(|sandbox| open(case, sandbox)) {
                None => not_for_this_door += 1,
                Some(answer) => {
                    ran += 1;
                    if answer != case.expected() {
                        wrong.push(format!(
                            "{}: {answer:?} instead of {:?}",
                            case.name,
                            case.expected()
                        ));
                    }
                }
            }
        }
        say(&format!(
            "cases, {door}: {ran} of {} ran as expected but {}; {not_for_this_door} are the parser's alone; {} cannot run here",
            cases.len(),
            wrong.len(),
            not_here.len()
        ));
        for case in &not_here {
            say(&format!("cases, {door}: NOT RUN: {case}"));
        }
        assert!(wrong.is_empty(), "{door}:\n{}", wrong.join("\n"));
        assert_eq!(ran + not_for_this_door + not_here.len(), cases.len());
        assert!(ran > 0, "{door}: nothing ran");
    }
}

/// The committed table, and the one that the environment names.
fn tables() -> Vec<Table> {
    let mut tables = vec![Table::parse(TABLE)];
    assert_eq!(tables[0].cases.len(), CASES);
    assert_eq!(
        tables[0].cases.iter().filter(|case| case.is_strict()).count(),
        STRICT_CASES
    );
    if let Some(file) = std::env::var_os("BENEATH_CASES") {
        let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file:?}: {error}"));
        tables.push(Table::parse(&text));
    }
    tables
}

fn raw(
    case: &Case,
    sandbox: &Sandbox,
    make: impl Fn(&Path, Policy) -> Result<Root, Error>,
) -> Option<Outcome> {
    let path = case.c_path(sandbox)?;
    let root = make(&case.root(sandbox), case.policy()).unwrap();
    Some(outcome(|| testing::open_raw(&root, &path)))
}

fn forced(backend: Forced) -> impl Fn(&Path, Policy) -> Result<Root, Error> {
    move |path, policy| testing::open_ambient(path, policy, backend, ambient_authority())
}

/// Chosen by the crate itself, which must have found that openat2 is not to be had.
fn chosen_walk(path: &Path, policy: Policy) -> Result<Root, Error> {
    let root = Root::open_ambient_with(path, policy, ambient_authority())?;
    assert_eq!(testing::backend(&root), Forced::Walk);
    Ok(root)
}

fn outcome(open: impl Fn() -> Result<File, Error>) -> Outcome {
    for _ in 0..MAX_BUSY {
        match open().and_then(|file| read(&file)) {
            Ok(content) => return Outcome::Content(content),
            Err(error) if error.kind() == ErrorKind::Busy => {}
            Err(error) => return Outcome::Refused(error.kind()),
        }
    }
    Outcome::Refused(ErrorKind::Busy)
}

fn naive(root: &Path, path: &CStr) -> Option<()> {
    let root = std::fs::File::open(root).unwrap();
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(&root, path, flags, Mode::empty())
        .ok()
        .map(drop)
}
