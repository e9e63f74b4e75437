//! What is not a plain file, or not allowed, answers at once and by its kind; what would block says so.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests build and inspect their own trees by name, and stop at the first surprise"
)]

mod support;

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use beneath::testing::{self, Forced};
use beneath::{ErrorKind, HardLinks, Mounts, Owner, Policy, Root, Symlinks, ambient_authority};
use rustix::fs::FileType;
use support::child::Bound;
use support::table::{in_own_mount_namespace, mknod};
use support::{Watchdog, path, read, root, root_with, say, seccomp};

/// "At once" on a busy machine.
const AT_ONCE: Duration = Duration::from_millis(100);
/// Long enough to call a process hung.
const HUNG: Duration = Duration::from_millis(500);

#[test]
fn what_is_not_a_regular_file_answers_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name| folder.path().join(name);
    mknod(&at("fifo"), FileType::Fifo, (0, 0)).unwrap();
    mknod(&at("socket"), FileType::Socket, (0, 0)).unwrap();
    std::fs::create_dir(at("directory")).unwrap();
    let mut names = vec!["fifo", "socket", "directory"];
    match mknod(&at("device"), FileType::CharacterDevice, (1, 3)) {
        Ok(()) => names.push("device"),
        Err(errno) => say(&format!(
            "special_files: NOT RUN: device nodes cannot be made here ({errno})"
        )),
    }
    for root in both_backends(folder.path(), Policy::default()) {
        for name in &names {
            let kind = at_once(|| testing::open_raw(&root, &c_path(name)).unwrap_err().kind());
            assert_eq!(kind, ErrorKind::NotRegular, "{name} on {root:?}");
            let kind = at_once(|| root.open(&path(name)).unwrap_err().kind());
            assert_eq!(kind, ErrorKind::NotRegular, "{name} on {root:?}");
        }
    }
    let refused = at_once(|| root(folder.path()).try_open(&path("fifo")).unwrap_err().kind());
    assert!(
        matches!(refused, ErrorKind::NotRegular | ErrorKind::WouldBlock),
        "{refused:?}"
    );
}

#[test]
fn the_control_a_blocking_open_of_a_fifo_hangs() {
    let folder = tempfile::tempdir().unwrap();
    mknod(&folder.path().join("fifo"), FileType::Fifo, (0, 0)).unwrap();
    let mut cat = cat(&folder.path().join("fifo"));
    assert!(
        cat.wait(HUNG).is_none(),
        "a plain open did not wait: the test above proves nothing"
    );
}

#[test]
fn a_file_under_a_write_lease_is_busy_at_once_and_opens_when_the_lease_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("leased");
    std::fs::write(&file, "content").unwrap();
    let holder = Lease::take(&file);

    for root in both_backends(folder.path(), Policy::default()) {
        let refused = at_once(|| root.open(&path("leased")).unwrap_err());
        assert_eq!(refused.kind(), ErrorKind::Busy, "{root:?}");
        assert_eq!(refused.raw_os_error(), Some(libc::EAGAIN));
        let refused = at_once(|| root.try_open(&path("leased")).unwrap_err());
        assert_eq!(refused.kind(), ErrorKind::WouldBlock, "{root:?}");
    }
    let mut control = cat(&file);
    assert!(
        control.wait(HUNG).is_none(),
        "a plain open did not wait for the lease"
    );
    drop(control);

    drop(holder);
    assert_eq!(
        read(&root(folder.path()).open(&path("leased")).unwrap()).unwrap(),
        b"content"
    );
}

#[test]
fn try_open_answers_warm_names_and_would_block_for_names_never_asked() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("f"), "content").unwrap();
    let root = root(folder.path());
    root.open(&path("f")).unwrap();
    assert_eq!(read(&root.try_open(&path("f")).unwrap()).unwrap(), b"content");

    let never_asked = root.try_open(&path("never-asked")).unwrap_err();
    assert_eq!(never_asked.kind(), ErrorKind::WouldBlock);
    assert_eq!(
        root.open(&path("never-asked")).unwrap_err().kind(),
        ErrorKind::NotFound
    );
}

#[test]
fn try_open_would_block_where_the_disk_must_be_asked() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("f"), "content").unwrap();
    let root = root(folder.path());
    if is_in_memory(folder.path()) {
        return say("special_files: NOT RUN: cold names need a file system on a disk");
    }
    // Names and inodes only. Something else may look the name up in between, so more than one try.
    let cold = (0..10).any(|_| {
        rustix::fs::sync();
        if std::fs::write("/proc/sys/vm/drop_caches", "2").is_err() {
            say("special_files: NOT RUN: dropping the name cache needs root");
            return true;
        }
        matches!(root.try_open(&path("f")), Err(error) if error.kind() == ErrorKind::WouldBlock)
    });
    assert!(
        cold,
        "a name that was dropped from memory was answered without the disk"
    );
    root.open(&path("f")).unwrap();
    root.try_open(&path("f")).unwrap();
}

#[test]
fn try_open_would_block_on_a_kernel_that_cannot_tell() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("f"), "content").unwrap();
    let root = root(folder.path());
    // RESOLVE_CACHED is younger (5.12) than openat2 (5.6), which then answers EINVAL. EINTR tells nothing either.
    for errno in [libc::EINVAL, libc::EINTR] {
        let answer = seccomp::with_answer(libc::SYS_openat2, errno, || root.try_open(&path("f")));
        assert_eq!(answer.unwrap_err().kind(), ErrorKind::WouldBlock, "{errno}");
    }

    let walk = forced(folder.path(), Policy::default(), Forced::Walk);
    assert_eq!(
        walk.try_open(&path("f")).unwrap_err().kind(),
        ErrorKind::WouldBlock
    );
}

#[test]
fn try_read_at_reads_what_is_in_memory_and_would_block_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    if is_in_memory(folder.path()) {
        return say("special_files: NOT RUN: cold pages need a file system on a disk");
    }
    let content = vec![b'x'; 1 << 20];
    std::fs::write(folder.path().join("f"), &content).unwrap();
    let file = root(folder.path()).open(&path("f")).unwrap();
    let mut piece = [0; 4096];

    let cold = (0..10).any(|_| {
        rustix::fs::fsync(&file).unwrap();
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
        matches!(file.try_read_at(&mut piece, 0), Err(error) if error.kind() == ErrorKind::WouldBlock)
    });
    assert!(cold, "pages that were dropped were read without the disk");

    assert_eq!(read(&file).unwrap(), content);
    assert_eq!(file.try_read_at(&mut piece, 0).unwrap(), piece.len());
    assert_eq!(piece, [b'x'; 4096]);
    assert_eq!(
        file.try_read_at(&mut piece, 1 << 20).unwrap(),
        0,
        "the end is the end"
    );
}

#[test]
fn where_nothing_can_tell_a_read_would_block() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("f"), "content").unwrap();
    let file = root(folder.path()).open(&path("f")).unwrap();
    for errno in [libc::EOPNOTSUPP, libc::ENOSYS, libc::EPERM] {
        let read = || file.try_read_at(&mut [0; 8], 0);
        let answer = seccomp::with_answer(libc::SYS_preadv2, errno, read);
        assert_eq!(answer.unwrap_err().kind(), ErrorKind::WouldBlock, "{errno}");
    }
}

/// To preadv2(2) an offset of -1 means "where the cursor stands", and to pread(2) a negative one is an error.
#[test]
fn an_offset_past_any_file_reads_nothing() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("f"), "content").unwrap();
    let file = root(folder.path()).open(&path("f")).unwrap();
    for offset in [7, 8, i64::MAX as u64, i64::MAX as u64 + 1, u64::MAX - 1, u64::MAX] {
        let mut buf = [0; 16];
        assert_eq!(file.read_at(&mut buf, offset), Ok(0), "read_at {offset}");
        assert_eq!(file.try_read_at(&mut buf, offset), Ok(0), "try_read_at {offset}");
        assert_eq!(buf, [0; 16]);
    }
}

#[test]
fn the_owner_is_judged_on_what_was_opened() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("f"), "content").unwrap();
    let me = rustix::process::geteuid().as_raw();
    for (owner, allowed) in [
        (Owner::Any, true),
        (Owner::Is(me), true),
        (Owner::Is(me + 1), false),
    ] {
        judge(folder.path(), Policy::default().owner(owner), allowed);
    }
}

#[test]
fn mode_bits_are_judged_on_what_was_opened() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("f");
    std::fs::write(&file, "content").unwrap();
    for (mode, refused, allowed) in [
        (0o644, 0o002, true),
        (0o646, 0o002, false),
        (0o644, 0o022, true),
        (0o664, 0o022, false),
        (0o4755, 0o6000, false),
        (0o2755, 0o6000, false),
        (0o755, 0o6000, true),
        (0o646, 0, true),
    ] {
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        judge(folder.path(), Policy::default().refuse_mode(refused), allowed);
    }
}

#[test]
fn a_file_of_two_names_is_refused_where_the_policy_says_so() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("f"), "content").unwrap();
    let policy = Policy::default().hard_links(HardLinks::RefuseExtra);
    judge(folder.path(), policy, true);
    std::fs::hard_link(folder.path().join("f"), folder.path().join("second")).unwrap();
    judge(folder.path(), policy, false);
    judge(folder.path(), Policy::default(), true);
    std::fs::remove_file(folder.path().join("second")).unwrap();
    judge(folder.path(), policy, true);
}

#[test]
fn a_mount_is_crossed_by_default_and_not_where_the_policy_refuses() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for name in ["elsewhere", "root", "root/mount"] {
        std::fs::create_dir(at(name)).unwrap();
    }
    std::fs::write(at("elsewhere/f"), "content").unwrap();
    std::fs::write(at("root/here"), "content").unwrap();
    in_own_mount_namespace(|| {
        rustix::mount::mount_bind(at("elsewhere"), at("root/mount")).unwrap();
        for root in both_backends(&at("root"), Policy::default()) {
            root.open(&path("mount/f")).unwrap();
            root.open_root(&path("mount")).unwrap();
        }
        for root in both_backends(&at("root"), Policy::default().mounts(Mounts::Refuse)) {
            root.open(&path("here")).unwrap();
            assert_eq!(root.open(&path("mount/f")).unwrap_err().kind(), ErrorKind::Escape);
            assert_eq!(
                root.open_root(&path("mount")).unwrap_err().kind(),
                ErrorKind::Escape
            );
            assert_eq!(
                root.entries(10).unwrap().iter().count(),
                2,
                "listing its own names crosses nothing"
            );
        }
    });
}

#[test]
fn a_link_is_refused_by_default_wherever_it_stands() {
    let folder = tempfile::tempdir().unwrap();
    let link = |target, name| std::os::unix::fs::symlink(target, folder.path().join(name)).unwrap();
    std::fs::create_dir(folder.path().join("d")).unwrap();
    std::fs::write(folder.path().join("d/f"), "content").unwrap();
    link("d", "to-d");
    link("d/f", "to-f");
    link("/etc", "away");
    for root in both_backends(folder.path(), Policy::default()) {
        for name in ["to-f", "to-d/f", "away/passwd"] {
            assert_eq!(
                root.open(&path(name)).unwrap_err().kind(),
                ErrorKind::Symlink,
                "{name}"
            );
        }
    }
    let follows = root_with(folder.path(), Policy::default().symlinks(Symlinks::Beneath));
    for name in ["to-f", "to-d/f"] {
        follows.open(&path(name)).unwrap();
    }
    assert_eq!(
        follows.open(&path("away/passwd")).unwrap_err().kind(),
        ErrorKind::Escape
    );
}

fn judge(folder: &Path, policy: Policy, allowed: bool) {
    for root in both_backends(folder, policy) {
        match root.open(&path("f")) {
            Ok(_) => assert!(allowed, "opened in spite of {policy:?}"),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Refused);
                assert!(!allowed, "refused by {policy:?}");
            }
        }
        match root.try_open(&path("f")) {
            Ok(_) => assert!(allowed, "opened in spite of {policy:?}, without waiting"),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Refused);
                assert!(!allowed, "refused by {policy:?}, without waiting");
            }
        }
    }
}

fn both_backends(folder: &Path, policy: Policy) -> [Root; 2] {
    [Forced::Openat2, Forced::Walk].map(|backend| forced(folder, policy, backend))
}

fn forced(folder: &Path, policy: Policy, backend: Forced) -> Root {
    testing::open_ambient(folder, policy, backend, ambient_authority()).unwrap()
}

fn c_path(name: &str) -> std::ffi::CString {
    std::ffi::CString::new(name).unwrap()
}

/// The answer, which must have come at once in one of three tries: others may be using the machine.
fn at_once<T>(ask: impl Fn() -> T) -> T {
    let mut slowest = Duration::ZERO;
    let _watchdog = Watchdog::over("an open that should have answered at once");
    for _ in 0..3 {
        let started = Instant::now();
        let answer = ask();
        if started.elapsed() < AT_ONCE {
            return answer;
        }
        slowest = slowest.max(started.elapsed());
    }
    panic!("took {slowest:?}");
}

/// An ordinary program that opens as ordinary programs do.
fn cat(file: &Path) -> Bound {
    Bound::spawn(Command::new("cat").arg(file).stdout(Stdio::null()))
}

fn is_in_memory(folder: &Path) -> bool {
    const TMPFS_MAGIC: i64 = 0x0102_1994;
    rustix::fs::statfs(folder).unwrap().f_type == TMPFS_MAGIC
}

/// A process that holds a write lease until dropped. In Perl, which every Debian has: there is no safe F_SETLEASE.
struct Lease(#[expect(dead_code, reason = "held")] Bound);

impl Lease {
    fn take(file: &Path) -> Self {
        const HOLD: &str = r#"
            use Fcntl;
            $SIG{IO} = 'IGNORE'; $| = 1;
            open(my $file, '+<', $ARGV[0]) or die "open: $!";
            fcntl($file, Fcntl::F_SETLEASE(), Fcntl::F_WRLCK()) or die "lease: $!";
            print "held\n";
            sleep 60;
        "#;
        let mut command = Command::new("perl");
        command.args(["-e", HOLD]).arg(file).stdout(Stdio::piped());
        let mut holder = Bound(
            command
                .spawn()
                .expect("perl, of package perl-base, holds the lease"),
        );
        let mut line = String::new();
        let output = holder.0.stdout.take().unwrap();
        BufReader::new(output).read_line(&mut line).unwrap();
        assert_eq!(line, "held\n");
        Self(holder)
    }
}

#[test]
fn what_has_no_length_is_not_therefore_empty() {
    let root = Root::open_ambient("/proc", ambient_authority()).unwrap();
    for name in ["version", "uptime"] {
        let file = root.open(&beneath::RelPath::parse(name).unwrap()).unwrap();
        assert_eq!((file.metadata().len(), file.is_empty()), (0, false), "{name}");
    }
    for folder in ["/dev/shm", "/tmp"] {
        let directory = tempfile::tempdir_in(folder).unwrap();
        std::fs::write(directory.path().join("empty"), "").unwrap();
        std::fs::write(directory.path().join("full"), "x").unwrap();
        let root = Root::open_ambient(directory.path(), ambient_authority()).unwrap();
        for (name, empty) in [("empty", true), ("full", false)] {
            let file = root.open(&beneath::RelPath::parse(name).unwrap()).unwrap();
            assert_eq!(file.is_empty(), empty, "{folder}/{name}");
        }
    }
}
