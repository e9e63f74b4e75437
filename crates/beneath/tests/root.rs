//! What a `Root` is and stays: one directory, whatever becomes of its name; and what its files say of themselves.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests build and inspect their own trees by name, and stop at the first surprise"
)]

mod support;

use std::collections::{HashMap, HashSet};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::time::Duration;

use beneath::testing::{self, Forced};
use beneath::{
    Attachment, EntryKind, Error, ErrorKind, File, Identity, Metadata, Owner, Policy, RelPath, Root,
    Symlinks, ambient_authority,
};
use rustix::fs::FileType;
use support::child::{self, Bound};
use support::table::mknod;
use support::{descriptors, path, read, root, root_with, say};

const _: () = {
    const fn shareable<T: Send + Sync + 'static>() {}
    shareable::<Root>();
    shareable::<File>();
    shareable::<RelPath>();
    shareable::<Policy>();
    shareable::<Error>();
    shareable::<Metadata>();
};

#[test]
fn a_root_that_is_swapped_by_rename_stays_old_until_it_is_reopened() {
    let volume = ConfigMap::new("first");
    let old = root(&volume.data());
    let parent = root_with(volume.path(), Policy::default().symlinks(Symlinks::Beneath));
    assert_eq!(content(&old, "key"), b"first");

    volume.swap("second");
    assert_eq!(
        content(&old, "key"),
        b"first",
        "requests under way finish in the old tree"
    );
    let new = old.reopen(volume.data(), ambient_authority()).unwrap();
    assert_eq!(content(&new, "key"), b"second");
    assert_ne!(identity(&old), identity(&new));
    assert_eq!(
        content(&parent.open_root(&path("..data")).unwrap(), "key"),
        b"second"
    );
    assert_eq!(content(&parent, "..data/key"), b"second");

    assert_eq!(old.attachment(), Ok(Attachment::Attached));
    volume.remove("first");
    assert_eq!(old.attachment(), Ok(Attachment::Removed));
    assert_eq!(old.open(&path("key")).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(new.attachment(), Ok(Attachment::Attached));
}

#[test]
fn reopening_keeps_the_policy() {
    let folder = folder();
    let strict = root_with(folder.path(), Policy::default().owner(Owner::Is(nobody())));
    let again = strict.reopen(folder.path(), ambient_authority()).unwrap();
    assert_eq!(again.policy(), strict.policy());
    assert_eq!(identity(&again), identity(&strict));
    assert_eq!(again.open(&path("f")).unwrap_err().kind(), ErrorKind::Refused);
}

#[test]
fn a_root_means_the_same_directory_wherever_that_is_moved_and_whatever_takes_its_name() {
    let folder = folder();
    let place = folder.path().join("served");
    std::fs::create_dir(&place).unwrap();
    std::fs::write(place.join("f"), "mine").unwrap();
    let root = root(&place);
    std::fs::rename(&place, folder.path().join("elsewhere")).unwrap();
    std::fs::create_dir(&place).unwrap();
    std::fs::write(place.join("f"), "another's").unwrap();
    assert_eq!(content(&root, "f"), b"mine");
    assert_eq!(root.attachment(), Ok(Attachment::Attached));
}

#[test]
fn what_is_no_directory_makes_no_root() {
    let folder = folder();
    mknod(&folder.path().join("fifo"), FileType::Fifo, (0, 0)).unwrap();
    for (name, kind) in [
        ("missing", ErrorKind::NotFound),
        ("f", ErrorKind::NotADirectory),
        ("fifo", ErrorKind::NotADirectory),
        ("f/below", ErrorKind::NotADirectory),
        ("a\0b", ErrorKind::InvalidPath),
    ] {
        let refused = Root::open_ambient(folder.path().join(name), ambient_authority()).unwrap_err();
        assert_eq!(refused.kind(), kind, "{name}");
    }
}

#[test]
fn a_root_further_down_keeps_policy_and_backend_and_cannot_look_up() {
    let folder = folder();
    let root = root(folder.path());
    let below = root.open_root(&path("d")).unwrap();
    assert_eq!(content(&below, "g"), b"below");
    assert_eq!(below.open(&path("f")).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(below.policy(), root.policy());
    assert_eq!(
        testing::open_raw(&below, c"../f").unwrap_err().kind(),
        ErrorKind::Escape
    );

    let strict = root_with(folder.path(), Policy::default().owner(Owner::Is(nobody())));
    let below = strict.open_root(&path("d")).unwrap();
    assert_eq!(below.policy(), strict.policy());
    assert_eq!(below.open(&path("g")).unwrap_err().kind(), ErrorKind::Refused);

    for backend in [Forced::Openat2, Forced::Walk] {
        let root =
            testing::open_ambient(folder.path(), Policy::default(), backend, ambient_authority()).unwrap();
        assert_eq!(testing::backend(&root.open_root(&path("d")).unwrap()), backend);
        for (name, kind) in [
            ("f", ErrorKind::NotADirectory),
            ("f/x", ErrorKind::NotADirectory),
            ("missing", ErrorKind::NotFound),
            ("to-d", ErrorKind::Symlink),
            ("to-d/x", ErrorKind::Symlink),
        ] {
            let refused = root.open_root(&path(name)).unwrap_err();
            assert_eq!(refused.kind(), kind, "{name} on {backend:?}");
        }
    }
}

#[test]
fn entries_are_names_and_kinds_without_dots() {
    let folder = folder();
    mknod(&folder.path().join("fifo"), FileType::Fifo, (0, 0)).unwrap();
    std::fs::write(folder.path().join(std::ffi::OsStr::from_bytes(b"\xff\n")), "").unwrap();
    for backend in [Forced::Openat2, Forced::Walk] {
        let root =
            testing::open_ambient(folder.path(), Policy::default(), backend, ambient_authority()).unwrap();
        let entries = root.entries(100).unwrap();
        assert!(entries.is_complete());
        let found: HashMap<&[u8], EntryKind> = entries
            .iter()
            .map(|entry| (entry.name().as_bytes(), entry.kind()))
            .collect();
        let expected: HashMap<&[u8], EntryKind> = HashMap::from([
            (&b"d"[..], EntryKind::Directory),
            (b"f", EntryKind::File),
            (b"fifo", EntryKind::Other),
            (b"to-d", EntryKind::Symlink),
            (b"\xff\n", EntryKind::File),
        ]);
        assert_eq!(found, expected);
        for entry in &entries {
            if entry.kind() == EntryKind::File {
                root.open(entry.name()).unwrap();
            }
        }
    }
}

#[test]
fn entries_stop_at_the_bound_and_say_so() {
    let folder = tempfile::tempdir().unwrap();
    let root = root(folder.path());
    assert!(
        root.entries(0).unwrap().is_complete(),
        "nothing there, nothing left out"
    );
    // More than one buffer of the kernel's.
    const NAMES: usize = 1000;
    for number in 0..NAMES {
        std::fs::write(
            folder.path().join(format!("a-rather-long-name-{number:0100}")),
            "",
        )
        .unwrap();
    }
    for (max, complete) in [
        (0, false),
        (1, false),
        (NAMES - 1, false),
        (NAMES, true),
        (usize::MAX, true),
    ] {
        let entries = root.entries(max).unwrap();
        assert_eq!(entries.is_complete(), complete, "at most {max}");
        let names: HashSet<RelPath> = entries.into_iter().map(|entry| entry.name().clone()).collect();
        assert_eq!(names.len(), NAMES.min(max));
    }
}

#[test]
fn permissions_of_the_file_system_are_denied_not_missing() {
    let folder = folder();
    let mode = |name: &str, mode| {
        std::fs::set_permissions(folder.path().join(name), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    mode("", 0o711);
    mode("d", 0o700);
    mode("f", 0o644);
    std::fs::write(folder.path().join("secret"), "mine").unwrap();
    mode("secret", 0o600);
    let roots = [Forced::Openat2, Forced::Walk].map(|backend| {
        testing::open_ambient(folder.path(), Policy::default(), backend, ambient_authority()).unwrap()
    });
    as_nobody(|| {
        for root in &roots {
            assert_eq!(
                content(root, "f"),
                b"above",
                "search permission is enough to open a known name"
            );
            for name in ["secret", "d/g", "d/missing"] {
                assert_eq!(
                    root.open(&path(name)).unwrap_err().kind(),
                    ErrorKind::Denied,
                    "{name}"
                );
            }
            assert_eq!(root.entries(10).unwrap_err().kind(), ErrorKind::Denied);
        }
    });
}

#[test]
fn a_root_comes_from_a_cap_std_dir_and_goes_back() {
    let folder = folder();
    let dir = cap_std::fs::Dir::open_ambient_dir(folder.path(), ambient_authority()).unwrap();
    let root = Root::try_from(dir.try_clone().unwrap()).unwrap();
    assert_eq!(content(&root, "d/g"), b"below");
    assert_eq!(root.open(&path("to-d/g")).unwrap_err().kind(), ErrorKind::Symlink);

    let follows = Root::from_dir(dir, Policy::default().symlinks(Symlinks::Beneath)).unwrap();
    assert_eq!(content(&follows, "to-d/g"), b"below");

    let back = cap_std::fs::Dir::from(root);
    assert_eq!(back.read("d/g").unwrap(), b"below");
    assert_eq!(back.entries().unwrap().count(), 3);
    let opened_here = cap_std::fs::Dir::from(support::root(folder.path()));
    assert_eq!(opened_here.read("f").unwrap(), b"above");
    assert_eq!(opened_here.entries().unwrap().count(), 3);
}

#[test]
fn no_descriptor_is_left_to_a_program_that_is_started() {
    let folder = folder();
    for backend in [Forced::Openat2, Forced::Walk] {
        let root =
            testing::open_ambient(folder.path(), Policy::default(), backend, ambient_authority()).unwrap();
        let below = root.open_root(&path("d")).unwrap();
        let file = root.open(&path("f")).unwrap();
        let flags = |fd: &dyn AsFd| rustix::io::fcntl_getfd(fd.as_fd()).unwrap();
        for fd in [
            &cap_std::fs::Dir::from(root) as &dyn AsFd,
            &cap_std::fs::Dir::from(below),
            &file,
        ] {
            assert_eq!(flags(fd), rustix::io::FdFlags::CLOEXEC, "{backend:?}");
        }
    }
}

#[test]
fn a_file_says_what_it_was_when_it_was_opened() {
    let folder = folder();
    let place = folder.path().join("f");
    std::fs::set_permissions(&place, std::fs::Permissions::from_mode(0o640)).unwrap();
    let file = root(folder.path()).open(&path("f")).unwrap();
    let told = *file.metadata();
    let truth = std::fs::metadata(&place).unwrap();
    {
        use std::os::unix::fs::MetadataExt as _;
        assert_eq!(
            (told.identity().device(), told.identity().inode()),
            (truth.dev(), truth.ino())
        );
        assert_eq!(
            (told.uid(), told.gid(), told.mode()),
            (truth.uid(), truth.gid(), 0o640)
        );
        assert_eq!((told.len(), told.links()), (truth.len(), 1));
        assert_eq!(told.modified().seconds(), truth.mtime());
        assert_eq!(i64::from(told.changed().nanoseconds()), truth.ctime_nsec());
        assert_eq!(told.modified().to_system_time(), truth.modified().ok());
    }
    assert_eq!(file.metadata_now(), Ok(told));

    std::fs::write(&place, "other content").unwrap();
    let now = file.metadata_now().unwrap();
    assert_eq!(file.metadata(), &told, "asked once");
    assert_ne!(now.version(), told.version());
    assert_eq!(now.identity(), told.identity());
}

#[test]
fn an_open_file_tells_that_it_was_written_to_also_if_its_mtime_is_put_back() {
    let folder = folder();
    let file = root(folder.path()).open(&path("f")).unwrap();
    assert_eq!(read(&file).unwrap(), b"above");
    assert_eq!(file.was_changed(), Ok(false));
    // Longer than any tick of the clock that files go by.
    std::thread::sleep(Duration::from_millis(20));
    let writing = std::fs::File::options()
        .write(true)
        .open(folder.path().join("f"))
        .unwrap();
    let modified = writing.metadata().unwrap().modified().unwrap();
    std::os::unix::fs::FileExt::write_all_at(&writing, b"ABOVE", 0).unwrap();
    writing.set_modified(modified).unwrap();
    assert_eq!(file.was_changed(), Ok(true));
}

#[test]
fn an_open_file_outlives_its_name_and_its_permissions() {
    let folder = folder();
    let file = root(folder.path()).open(&path("f")).unwrap();
    std::fs::remove_file(folder.path().join("f")).unwrap();
    assert_eq!(read(&file).unwrap(), b"above");
    assert_eq!(file.metadata_now().unwrap().links(), 0);
}

#[test]
fn two_opens_of_one_file_are_one_identity_and_a_recreated_file_is_another() {
    let folder = tempfile::tempdir().unwrap();
    let root = root(folder.path());
    let place = folder.path().join("f");
    let mut seen: HashSet<Identity> = HashSet::new();
    let mut numbers: HashSet<(u64, u64)> = HashSet::new();
    let (mut reused, mut handles) = (0, HashSet::new());
    const ROUNDS: usize = 2000;
    for round in 0..ROUNDS {
        std::fs::write(&place, round.to_string()).unwrap();
        let (one, two) = (root.open(&path("f")).unwrap(), root.open(&path("f")).unwrap());
        let identity = *one.metadata().identity();
        assert_eq!(&identity, two.metadata().identity());
        assert!(
            seen.insert(identity),
            "round {round}: another file has the identity {identity:?}"
        );
        reused += usize::from(!numbers.insert((identity.device(), identity.inode())));
        if let Some(handle) = one.handle().unwrap() {
            assert_eq!(Some(&handle), two.handle().unwrap().as_ref());
            assert!(
                handles.insert(handle),
                "round {round}: another file has the handle"
            );
        }
        std::fs::remove_file(&place).unwrap();
    }
    say(&format!(
        "identity: {ROUNDS} files under one name, {reused} with the numbers of an earlier one, none with its identity; {} handles",
        handles.len()
    ));
}

#[test]
fn no_descriptors_left_is_exhausted_and_nothing_is_leaked() {
    for role in ["exhausted", "leaks"] {
        let mut child = Bound::spawn(&mut child::again("in_a_process_of_its_own", role));
        let status = child
            .wait(Duration::from_secs(60))
            .expect("an end within a minute");
        assert!(status.success(), "{role}: {status}");
    }
}

#[test]
#[ignore = "run by the test above, in a process whose descriptors nobody else opens"]
fn in_a_process_of_its_own() {
    match child::role().as_deref() {
        Some("exhausted") => exhausted(),
        Some("leaks") => leaks_nothing(),
        other => say(&format!("in_a_process_of_its_own: nothing to do as {other:?}")),
    }
}

fn exhausted() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let folder = folder();
    let roots = [Forced::Openat2, Forced::Walk].map(|backend| {
        testing::open_ambient(folder.path(), Policy::default(), backend, ambient_authority()).unwrap()
    });
    let before = getrlimit(Resource::Nofile);
    let limit = |current| {
        let limit = Rlimit { current, ..before };
        setrlimit(Resource::Nofile, limit).unwrap();
    };
    limit(Some(3));
    let answers = roots.each_ref().map(|root| {
        [
            root.open(&path("f")).map(drop),
            root.open_root(&path("d")).map(drop),
            root.entries(1).map(drop),
        ]
    });
    let new_root = Root::open_ambient("/", ambient_authority()).map(drop);
    limit(before.current);
    for answer in answers.iter().flatten().chain([&new_root]) {
        assert_eq!(answer.unwrap_err().kind(), ErrorKind::Exhausted);
    }
    for root in &roots {
        assert_eq!(content(root, "f"), b"above", "it says nothing about the file");
    }
}

fn leaks_nothing() {
    let folder = folder();
    mknod(&folder.path().join("fifo"), FileType::Fifo, (0, 0)).unwrap();
    for backend in [Forced::Openat2, Forced::Walk] {
        let refuses = Policy::default().owner(Owner::Is(nobody()));
        let before = descriptors();
        for policy in [Policy::default(), refuses] {
            let root = testing::open_ambient(folder.path(), policy, backend, ambient_authority()).unwrap();
            for _ in 0..200 {
                for name in [
                    "f",
                    "d/g",
                    "d",
                    "fifo",
                    "to-d",
                    "to-d/g",
                    "missing",
                    "f/x",
                    "d/missing",
                ] {
                    let _ = root.open(&path(name));
                    let _ = root.try_open(&path(name));
                    let _ = root.open_root(&path(name));
                }
                let _ = testing::open_raw(&root, c"d/../d/../f");
                root.entries(2).unwrap();
            }
            assert_eq!(descriptors(), before + 1, "the root's own, on {backend:?}");
        }
        assert_eq!(descriptors(), before);
    }
}

/// `f`, `d/g`, and `to-d`, a link to `d`.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("f"), "above").unwrap();
    std::fs::create_dir(folder.path().join("d")).unwrap();
    std::fs::write(folder.path().join("d/g"), "below").unwrap();
    symlink("d", folder.path().join("to-d")).unwrap();
    folder
}

fn content(root: &Root, name: &str) -> Vec<u8> {
    read(&root.open(&path(name)).unwrap()).unwrap()
}

fn identity(root: &Root) -> Identity {
    *root.metadata().unwrap().identity()
}

/// A user ID that owns nothing here.
fn nobody() -> u32 {
    65534
}

/// In a thread that has no rights over the files of others.
fn as_nobody(work: impl FnOnce() + Send) {
    if !rustix::process::geteuid().is_root() {
        return work();
    }
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            // The system call itself, so of this thread alone.
            rustix::thread::set_thread_uid(rustix::fs::Uid::from_raw(nobody())).unwrap();
            work();
        });
        thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
}

/// A volume as Kubernetes and git-sync lay it out: a link that is replaced by rename leads to the tree of the day.
struct ConfigMap(tempfile::TempDir);

impl ConfigMap {
    fn new(value: &str) -> Self {
        let volume = Self(tempfile::tempdir().unwrap());
        volume.swap(value);
        volume
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn data(&self) -> std::path::PathBuf {
        self.path().join("..data")
    }

    fn swap(&self, value: &str) {
        let tree = format!("..{value}");
        std::fs::create_dir(self.path().join(&tree)).unwrap();
        std::fs::write(self.path().join(&tree).join("key"), value).unwrap();
        symlink(&tree, self.path().join("..data_tmp")).unwrap();
        std::fs::rename(self.path().join("..data_tmp"), self.data()).unwrap();
    }

    fn remove(&self, value: &str) {
        std::fs::remove_dir_all(self.path().join(format!("..{value}"))).unwrap();
    }
}
