//! The path is swapped while it is opened, and no byte from outside may come back.
//!
//! Another process exchanges names by renameat2(2) as fast as it can. Every attack is run on every way of opening that
//! this crate has, and on the checks that other servers make instead: **those must leak**, or the attack did not
//! happen and the run proves nothing. Seconds for each cell of the table: `BENEATH_RACE_SECONDS`, 1 if not set.
//!
//! With no leak in n attacked opens, the rate of leaks is below 3/n (95 %).

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "the attacks and the victims that must leak go by name, and a test stops at the first surprise"
)]

mod support;

use std::collections::{BTreeMap, HashSet};
use std::ffi::{CStr, OsStr};
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use beneath::testing::{self, Forced};
use beneath::{ErrorKind, Policy, Root, Symlinks, ambient_authority};
use rustix::fs::{CWD, Mode, OFlags, RenameFlags, ResolveFlags};
use rustix::io::Errno;
use support::child::{self, Bound};
use support::{read, say};

const ENTRY: &str = "as_the_attacker";
const SANDBOX: &str = "BENEATH_TEST_SANDBOX";

const PUBLIC: &[u8] = b"P: what anyone may read";
const SECRET: &[u8] = b"S: what nobody may read";

/// A cell counts only if the attack was under way and both sides of the window were seen.
const MIN_SWAPS: u64 = 1000;
const MIN_EACH: u64 = 500;
/// No single open may take longer, whatever is swapped: far above the 10 ms of the retries, for busy machines.
const MAX_LATENCY: Duration = Duration::from_secs(2);

/// A race needs a core for each side.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// What is done to the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attack {
    /// A directory in the middle becomes a link to one outside, and back.
    MiddleBecomesLink,
    /// The file becomes a link to one outside, and back.
    LeafBecomesLink,
    /// A directory is moved out of the root and back, while a path that enters it leads up again.
    DirectoryMovesOut,
    /// Names change in a directory that has nothing to do with the path. Judged by a test of its own.
    RenamesElsewhere,
}

/// Who opens the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    Strict,
    LinksBeneath,
    Walk,
    /// Controls, which must leak.
    RealpathThenOpen,
    LstatThenOpen,
    WalkWithDotDot,
}

enum Answer {
    /// The bytes, and device and inode of where they came from.
    Content(Vec<u8>, (u64, u64)),
    Refused(ErrorKind),
}

/// What came of one victim under one attack.
#[derive(Default)]
struct Cell {
    swaps: u64,
    public: u64,
    leaked: u64,
    refused: BTreeMap<ErrorKind, u64>,
    slowest: Duration,
}

#[test]
fn a_path_that_is_swapped_never_yields_a_byte_from_outside() {
    let time = std::env::var("BENEATH_RACE_SECONDS").map_or(1.0, |text| text.parse().unwrap());
    let time = Duration::from_secs_f64(time);
    let _alone = ONE_AT_A_TIME.lock();
    let mut problems = Vec::new();
    for attack in Attack::ALL {
        for &victim in attack.victims() {
            // Once more and longer, before a cell that proves nothing is called a failure.
            let mut cell = run(attack, victim, time);
            if cell.proves(attack, victim).is_err() && cell.leaked == 0 {
                cell = run(attack, victim, 4 * time);
            }
            say(&cell.line(attack, victim));
            problems.extend(cell.proves(attack, victim).err());
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// One try of openat2 answers `EAGAIN` now and then, whoever renames whatever, where a link target has `..`.
#[test]
fn renames_elsewhere_make_no_open_fail() {
    const OPENS: u64 = 20_000;
    let _alone = ONE_AT_A_TIME.lock();
    let folder = tempfile::tempdir().unwrap();
    let sandbox = std::fs::canonicalize(folder.path()).unwrap();
    let attack = Attack::RenamesElsewhere;
    attack.build(&sandbox);
    let _attacker = attack.begin(&sandbox);

    let links = Policy::default().symlinks(Symlinks::Beneath);
    let root = support::root_with(&sandbox.join("ROOT"), links);
    let link = support::path("a/link");
    let busy = (0..OPENS).filter(|_| match root.open(&link) {
        Ok(file) => {
            assert_eq!(read(&file).unwrap(), PUBLIC);
            false
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Busy);
            true
        }
    });
    let busy = busy.count();

    let directory = std::fs::File::open(sandbox.join("ROOT")).unwrap();
    let once = || {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        rustix::fs::openat2(
            &directory,
            attack.path(),
            flags,
            Mode::empty(),
            ResolveFlags::BENEATH,
        )
    };
    // The control: as many tries as it takes to see one fail, within reason.
    let unlucky = (1..=100 * OPENS).find(|_| once().is_err_and(|errno| errno == Errno::AGAIN));
    say(&format!(
        "race, RenamesElsewhere: {busy} of {OPENS} opens busy; a single try failed the {unlucky:?}th time"
    ));
    assert!(unlucky.is_some(), "VOID: a single try never failed");
    assert!(busy * 1000 < OPENS as usize, "{busy} of {OPENS} opens were busy");
}

#[test]
#[ignore = "run by the tests above, as the process that attacks"]
fn as_the_attacker() {
    let Some(role) = child::role() else {
        return say("as_the_attacker: nobody to attack, nothing to do");
    };
    child::die_with_parent();
    let attack = Attack::ALL
        .into_iter()
        .find(|attack| format!("{attack:?}") == role)
        .unwrap();
    let sandbox = PathBuf::from(std::env::var_os(SANDBOX).unwrap());
    let count = std::fs::File::create(sandbox.join("swaps")).unwrap();
    for swaps in 0_u64.. {
        attack.swap(&sandbox, swaps);
        if swaps.is_multiple_of(64) {
            count.write_all_at(&swaps.to_ne_bytes(), 0).unwrap();
        }
    }
}

impl Attack {
    const ALL: [Self; 4] = [
        Self::MiddleBecomesLink,
        Self::LeafBecomesLink,
        Self::DirectoryMovesOut,
        Self::RenamesElsewhere,
    ];

    const fn victims(self) -> &'static [Victim] {
        use Victim::{LinksBeneath, LstatThenOpen, RealpathThenOpen, Strict, Walk, WalkWithDotDot};

        match self {
            Self::MiddleBecomesLink | Self::LeafBecomesLink => {
                &[Strict, LinksBeneath, Walk, RealpathThenOpen, LstatThenOpen]
            }
            Self::DirectoryMovesOut => &[Strict, LinksBeneath, Walk, WalkWithDotDot],
            Self::RenamesElsewhere => &[],
        }
    }

    /// What is asked for. `..` only ever reaches a backend in tests.
    const fn path(self) -> &'static CStr {
        match self {
            Self::MiddleBecomesLink => c"a/b/c/f",
            Self::LeafBecomesLink => c"a/f",
            Self::DirectoryMovesOut => c"a/b/c/../../f",
            Self::RenamesElsewhere => c"a/link",
        }
    }

    /// `ROOT` is served; `outside` lies beside it.
    fn build(self, sandbox: &Path) {
        let at = |name: &str| sandbox.join(name);
        for folder in ["ROOT/a/b/c", "outside/b/c"] {
            std::fs::create_dir_all(at(folder)).unwrap();
        }
        for (place, content) in [
            ("ROOT/a/b/c/f", PUBLIC),
            ("ROOT/a/f", PUBLIC),
            ("outside/b/c/f", SECRET),
            ("outside/f", SECRET),
        ] {
            std::fs::write(at(place), content).unwrap();
        }
        match self {
            Self::MiddleBecomesLink => symlink("../../outside/b", at("ROOT/a/other")).unwrap(),
            Self::LeafBecomesLink => symlink("../../outside/f", at("ROOT/a/other")).unwrap(),
            Self::DirectoryMovesOut => {}
            Self::RenamesElsewhere => symlink("../a/f", at("ROOT/a/link")).unwrap(),
        }
    }

    /// A process that swaps until it is dropped, and has begun to.
    fn begin(self, sandbox: &Path) -> Bound {
        let mut attacker = child::again(ENTRY, &format!("{self:?}"));
        let mut attacker = Bound::spawn(attacker.env(SANDBOX, sandbox));
        while swaps(sandbox) == 0 {
            assert!(attacker.wait(Duration::ZERO).is_none(), "the attacker ended");
            std::thread::sleep(Duration::from_millis(1));
        }
        attacker
    }

    fn swap(self, sandbox: &Path, count: u64) {
        let at = |name: &str| sandbox.join(name);
        let exchange = |one: &str, other: &str| {
            rustix::fs::renameat_with(CWD, at(one), CWD, at(other), RenameFlags::EXCHANGE).unwrap();
        };
        match self {
            Self::RenamesElsewhere => exchange("outside/f", "outside/b"),
            Self::MiddleBecomesLink => exchange("ROOT/a/b", "ROOT/a/other"),
            Self::LeafBecomesLink => exchange("ROOT/a/f", "ROOT/a/other"),
            Self::DirectoryMovesOut if count.is_multiple_of(2) => {
                std::fs::rename(at("ROOT/a/b"), at("outside/moved")).unwrap();
            }
            Self::DirectoryMovesOut => std::fs::rename(at("outside/moved"), at("ROOT/a/b")).unwrap(),
        }
    }
}

impl Victim {
    const fn is_control(self) -> bool {
        matches!(
            self,
            Self::RealpathThenOpen | Self::LstatThenOpen | Self::WalkWithDotDot
        )
    }

    /// The closed set of what may be answered instead of the file.
    const fn may_answer(self, attack: Attack) -> &'static [ErrorKind] {
        match (attack, self) {
            // The target of the planted link has `..`, which is retried, and leads out.
            (Attack::MiddleBecomesLink | Attack::LeafBecomesLink, Self::LinksBeneath) => {
                &[ErrorKind::Escape, ErrorKind::Busy]
            }
            (Attack::MiddleBecomesLink | Attack::LeafBecomesLink, _) => &[ErrorKind::Symlink],
            (Attack::RenamesElsewhere, _) => &[],
            (Attack::DirectoryMovesOut, Self::Walk) => &[ErrorKind::NotFound],
            (Attack::DirectoryMovesOut, _) => &[ErrorKind::NotFound, ErrorKind::Escape, ErrorKind::Busy],
        }
    }

    /// A way of opening that file, made once, as a server would.
    fn ready(self, root: &Path, path: &'static CStr) -> Box<dyn Fn() -> Answer> {
        let root = root.to_path_buf();
        let name = root.join(OsStr::from_bytes(path.to_bytes()));
        match self {
            Self::Strict => through(&root, path, Policy::default(), Forced::Openat2),
            Self::LinksBeneath => through(
                &root,
                path,
                Policy::default().symlinks(Symlinks::Beneath),
                Forced::Openat2,
            ),
            Self::Walk => through(&root, path, Policy::default(), Forced::Walk),
            Self::RealpathThenOpen => by_name(move || {
                let real = std::fs::canonicalize(&name)?;
                match real.starts_with(&root) {
                    true => std::fs::File::open(real),
                    false => Err(std::io::ErrorKind::PermissionDenied.into()),
                }
            }),
            Self::LstatThenOpen => by_name(move || {
                let mut step = root.clone();
                for component in name.strip_prefix(&root).unwrap() {
                    step.push(component);
                    if std::fs::symlink_metadata(&step)?.is_symlink() {
                        return Err(std::io::ErrorKind::PermissionDenied.into());
                    }
                }
                std::fs::File::open(&step)
            }),
            Self::WalkWithDotDot => by_name(move || {
                let mut here = OwnedFd::from(std::fs::File::open(&root)?);
                for component in path.to_bytes().split(|&byte| byte == b'/') {
                    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                    here = rustix::fs::openat(&here, component, flags, Mode::empty())?;
                }
                Ok(here.into())
            }),
        }
    }
}

impl Cell {
    /// Whether this cell is evidence, and of what it should be.
    fn proves(&self, attack: Attack, victim: Victim) -> Result<(), String> {
        let refused: u64 = self.refused.values().sum();
        let problem = if self.swaps < MIN_SWAPS {
            format!("VOID: only {} swaps", self.swaps)
        } else if victim.is_control() {
            match self.leaked {
                0 => "VOID: the control did not leak".to_owned(),
                _ => return Ok(()),
            }
        } else if self.leaked > 0 {
            format!("LEAKED {} times", self.leaked)
        } else if self.public < MIN_EACH || refused < MIN_EACH {
            format!("VOID: {} answered, {refused} refused", self.public)
        } else if let Some((kind, _)) = self
            .refused
            .iter()
            .find(|(kind, _)| !victim.may_answer(attack).contains(kind))
        {
            format!(
                "answered {kind:?}, which is not of {:?}",
                victim.may_answer(attack)
            )
        } else if self.slowest > MAX_LATENCY {
            format!("one open took {:?}", self.slowest)
        } else {
            return Ok(());
        };
        Err(format!("{attack:?}, {victim:?}: {problem}"))
    }

    fn line(&self, attack: Attack, victim: Victim) -> String {
        let opens = self.public + self.leaked + self.refused.values().sum::<u64>();
        let control = if victim.is_control() {
            " (control: must leak)"
        } else {
            ""
        };
        format!(
            "race, {attack:?}, {victim:?}: {opens} opens, {} public, {} LEAKED{control}, refused {:?}, slowest {:?}, {} swaps",
            self.public, self.leaked, self.refused, self.slowest, self.swaps
        )
    }
}

/// One victim under one attack, in a tree of its own.
fn run(attack: Attack, victim: Victim, time: Duration) -> Cell {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = std::fs::canonicalize(folder.path()).unwrap();
    attack.build(&sandbox);
    let secrets: HashSet<(u64, u64)> = ["outside/b/c/f", "outside/f"]
        .map(|name| numbers(&std::fs::metadata(sandbox.join(name)).unwrap()))
        .into();
    let open = victim.ready(&sandbox.join("ROOT"), attack.path());

    let mut attacker = attack.begin(&sandbox);
    let mut cell = Cell::default();
    let (before, started) = (swaps(&sandbox), Instant::now());
    while started.elapsed() < time {
        let asked = Instant::now();
        let answer = open();
        cell.slowest = cell.slowest.max(asked.elapsed());
        match answer {
            Answer::Content(bytes, from) if bytes == PUBLIC && !secrets.contains(&from) => cell.public += 1,
            Answer::Content(bytes, from) => {
                assert!(
                    bytes == SECRET && secrets.contains(&from),
                    "neither the file nor a secret: {bytes:?}"
                );
                cell.leaked += 1;
            }
            Answer::Refused(kind) => *cell.refused.entry(kind).or_default() += 1,
        }
    }
    assert!(attacker.wait(Duration::ZERO).is_none(), "the attacker ended");
    cell.swaps = swaps(&sandbox) - before;
    cell
}

fn through(root: &Path, path: &'static CStr, policy: Policy, backend: Forced) -> Box<dyn Fn() -> Answer> {
    let root: Root = testing::open_ambient(root, policy, backend, ambient_authority()).unwrap();
    Box::new(move || match testing::open_raw(&root, path) {
        Ok(file) => {
            let identity = file.metadata().identity();
            Answer::Content(read(&file).unwrap(), (identity.device(), identity.inode()))
        }
        Err(error) => Answer::Refused(error.kind()),
    })
}

fn by_name(open: impl Fn() -> std::io::Result<std::fs::File> + 'static) -> Box<dyn Fn() -> Answer> {
    Box::new(move || match open() {
        Ok(mut file) => {
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).unwrap();
            Answer::Content(bytes, numbers(&file.metadata().unwrap()))
        }
        Err(_) => Answer::Refused(ErrorKind::Io),
    })
}

fn numbers(metadata: &std::fs::Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

/// How many swaps the attacker has made, as it says itself.
fn swaps(sandbox: &Path) -> u64 {
    let told = std::fs::read(sandbox.join("swaps")).unwrap_or_default();
    told.try_into().map_or(0, u64::from_ne_bytes)
}
