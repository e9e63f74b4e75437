//! A kept file is opened exactly when opening it by its name would open that very file.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests build and inspect their own trees by name, and stop at the first surprise"
)]

mod support;

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use beneath::testing;
use beneath::{Error, ErrorKind, HardLinks, Kept, Mounts, Owner, Policy, RelPath, Root, Symlinks};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use support::table::in_own_mount_namespace;
use support::{path, read, root, root_with, say, seccomp};
use tempfile::TempDir;

/// Far more than the grain of the file systems' clock, far less than tests should wait.
const SETTLED: Duration = Duration::from_millis(30);
const FILE: &str = "a/b/f";

/// What is done to the tree, by name; and whether the file is then found there as it was.
type Deed = (&'static str, fn(&Path));

/// After each of these the name leads elsewhere, nowhere, or to something that has changed.
const CHANGES: [Deed; 24] = [
    ("another file is renamed over it", |tree| {
        std::fs::rename(tree.join("other"), tree.join("a/b/f")).unwrap();
    }),
    ("it is exchanged with another file", |tree| {
        exchange(&tree.join("other"), &tree.join("a/b/f"));
    }),
    ("it is exchanged with another file of its directory", |tree| {
        exchange(&tree.join("a/b/sibling"), &tree.join("a/b/f"));
    }),
    ("it is exchanged with a link", |tree| {
        exchange(&tree.join("link"), &tree.join("a/b/f"));
    }),
    ("it is removed", |tree| {
        std::fs::remove_file(tree.join("a/b/f")).unwrap();
    }),
    ("it is removed, and written anew", |tree| {
        std::fs::remove_file(tree.join("a/b/f")).unwrap();
        std::fs::write(tree.join("a/b/f"), "new").unwrap();
    }),
    ("it is renamed", |tree| {
        std::fs::rename(tree.join("a/b/f"), tree.join("a/b/g")).unwrap();
    }),
    ("it is renamed, and back", |tree| {
        std::fs::rename(tree.join("a/b/f"), tree.join("a/b/g")).unwrap();
        std::fs::rename(tree.join("a/b/g"), tree.join("a/b/f")).unwrap();
    }),
    ("a link to it takes its place", |tree| {
        std::fs::rename(tree.join("a/b/f"), tree.join("a/b/g")).unwrap();
        symlink("g", tree.join("a/b/f")).unwrap();
    }),
    ("a link out of the root takes its place", |tree| {
        std::fs::remove_file(tree.join("a/b/f")).unwrap();
        symlink("/etc/passwd", tree.join("a/b/f")).unwrap();
    }),
    ("its directory is renamed", |tree| {
        std::fs::rename(tree.join("a/b"), tree.join("a/c")).unwrap();
    }),
    ("a link to its directory takes the place of that", |tree| {
        std::fs::rename(tree.join("a/b"), tree.join("a/c")).unwrap();
        symlink("c", tree.join("a/b")).unwrap();
    }),
    (
        "its directory is exchanged with another that has such a file",
        |tree| {
            exchange(&tree.join("a/b"), &tree.join("twin"));
        },
    ),
    ("its directory is exchanged with a link", |tree| {
        exchange(&tree.join("a/b"), &tree.join("link"));
    }),
    ("the directory above its own is renamed", |tree| {
        std::fs::rename(tree.join("a"), tree.join("z")).unwrap();
    }),
    ("the directory above its own is exchanged with a link", |tree| {
        exchange(&tree.join("a"), &tree.join("link"));
    }),
    ("it gets another name", |tree| {
        std::fs::hard_link(tree.join("a/b/f"), tree.join("name")).unwrap();
    }),
    ("nobody may read it", |tree| mode(&tree.join("a/b/f"), 0o000)),
    ("its mode is set to what it was", |tree| {
        mode(&tree.join("a/b/f"), 0o644);
    }),
    ("nobody may search its directory", |tree| {
        mode(&tree.join("a/b"), 0o000);
    }),
    ("nobody may search the directory above its own", |tree| {
        mode(&tree.join("a"), 0o000);
    }),
    ("nobody may search the root", |tree| mode(tree, 0o000)),
    ("it is written", |tree| {
        std::fs::write(tree.join("a/b/f"), "12345").unwrap();
    }),
    ("it is written, and its time of modification set back", |tree| {
        let file = std::fs::File::options()
            .write(true)
            .open(tree.join("a/b/f"))
            .unwrap();
        let modified = file.metadata().unwrap().modified().unwrap();
        std::os::unix::fs::FileExt::write_at(&file, b"54321", 0).unwrap();
        file.set_modified(modified).unwrap();
    }),
];

#[test]
fn whatever_changes_the_way_to_a_file_is_seen() {
    for place in places() {
        for (what, change) in CHANGES {
            let tree = Tree::new(&place);
            let root = root(tree.path());
            let kept = tree.keep(&root);
            assert_eq!(
                content(&root, &kept).as_deref(),
                Some(b"first".as_slice()),
                "{what}"
            );
            change(tree.path());
            assert_eq!(content(&root, &kept), None, "{} after: {what}", place.display());
            mode(tree.path(), 0o755);
        }
    }
}

#[test]
fn what_does_not_concern_it_does_not_stop_it() {
    let tree = Tree::new(&std::env::temp_dir());
    let root = root(tree.path());
    let kept = tree.keep(&root);
    let elsewhere = tree.path().join("twin");
    std::fs::write(elsewhere.join("more"), "").unwrap();
    std::fs::rename(elsewhere.join("more"), elsewhere.join("less")).unwrap();
    std::fs::read(tree.path().join("a/b/f")).unwrap();
    root.open(&path(FILE)).unwrap();
    for _ in 0..100 {
        assert_eq!(content(&root, &kept).as_deref(), Some(b"first".as_slice()));
    }
}

#[test]
fn opening_a_kept_file_takes_no_descriptor_and_it_outlives_what_kept_it() {
    let tree = Tree::new(&std::env::temp_dir());
    let root = root(tree.path());
    assert_eq!(descriptors_into(tree.path()), 1, "the root");
    let kept = tree.keep(&root);
    assert_eq!(kept.descriptors(), 3, "the file, a and a/b");
    assert_eq!(descriptors_into(tree.path()), 4);
    let files: Vec<_> = (0..50).map(|_| root.open_kept(&kept).unwrap()).collect();
    assert_eq!(descriptors_into(tree.path()), 4);
    drop(kept);
    assert_eq!(descriptors_into(tree.path()), 2);
    assert!(files.iter().all(|file| read(file).unwrap() == b"first"));
    drop(files);
    assert_eq!(descriptors_into(tree.path()), 1);
}

#[test]
fn the_policy_is_asked_each_time() {
    let tree = Tree::new(&std::env::temp_dir());
    let own = rustix::process::getuid().as_raw();
    let lenient = root(tree.path());
    let kept = tree.keep(&lenient);
    for (policy, opens) in [
        (Policy::default().owner(Owner::Is(own)), true),
        (Policy::default().owner(Owner::Is(own + 1)), false),
        (Policy::default().refuse_mode(0o004), false),
        (Policy::default().hard_links(HardLinks::RefuseExtra), true),
        (Policy::default().mounts(Mounts::Refuse), true),
    ] {
        let strict = root_with(tree.path(), policy);
        assert_eq!(strict.open_kept(&kept).is_some(), opens, "{policy:?}");
        assert_eq!(strict.open(&path(FILE)).is_ok(), opens, "{policy:?}");
    }
}

#[test]
fn a_file_kept_by_one_root_is_none_of_another() {
    let (tree, other) = (Tree::new(&std::env::temp_dir()), Tree::new(&std::env::temp_dir()));
    let kept = tree.keep(&root(tree.path()));
    assert!(root(other.path()).open_kept(&kept).is_none());
    assert!(root(&tree.path().join("a")).open_kept(&kept).is_none());
    assert!(root(tree.path()).open_kept(&kept).is_some(), "the same directory");
}

#[test]
fn nothing_is_kept_where_a_change_might_not_show() {
    let tree = Tree::new(&std::env::temp_dir());
    let why = |root: &Root, name: &str| root.keep(&path(name)).unwrap_err().kind();
    let strict = root(tree.path());
    assert_eq!(why(&strict, FILE), ErrorKind::Busy, "it was written a moment ago");
    for (name, kind) in [
        ("missing", ErrorKind::NotFound),
        ("a", ErrorKind::NotRegular),
        ("link", ErrorKind::Symlink),
        ("other/f", ErrorKind::NotADirectory),
    ] {
        assert_eq!(why(&strict, name), kind, "{name}");
    }
    let following = root_with(tree.path(), Policy::default().symlinks(Symlinks::Beneath));
    assert_eq!(why(&following, FILE), ErrorKind::Unsupported);
    assert_eq!(
        why(&root(Path::new("/proc/self")), "status"),
        ErrorKind::Unsupported
    );

    std::thread::sleep(Duration::from_millis(2100));
    let kept = strict.keep(&path(FILE)).unwrap();
    assert!(strict.open_kept(&kept).is_some());
}

#[test]
fn nothing_is_kept_while_it_or_any_directory_on_the_way_is_young() {
    let settled = Duration::from_millis(500);
    let trees = ["", "a", "a/b", FILE].map(|young| (young, Tree::new(&std::env::temp_dir())));
    std::thread::sleep(2 * settled);
    for (young, tree) in trees {
        let root = root(tree.path());
        assert!(testing::keep(&root, &path(FILE), settled).is_ok());
        mode(&tree.path().join(young), 0o755);
        let refused = testing::keep(&root, &path(FILE), settled).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Busy, "{young:?}");
    }
}

#[test]
fn where_nothing_more_can_be_watched_each_directory_is_looked_at() {
    let tree = Tree::new(&std::env::temp_dir());
    let root = root(tree.path());
    std::thread::sleep(2 * SETTLED);
    let kept = seccomp::with_answer(libc::SYS_inotify_add_watch, libc::ENOSPC, || keep(&root, FILE)).unwrap();
    assert!(root.open_kept(&kept).is_some());
    std::fs::rename(tree.path().join("a/b"), tree.path().join("a/c")).unwrap();
    assert!(root.open_kept(&kept).is_none());
}

#[test]
fn what_is_kept_no_more_is_watched_no_more() {
    let tree = Tree::new(&std::env::temp_dir());
    let root = root(tree.path());
    let kept = [tree.keep(&root), tree.keep(&root)];
    for (left, kept) in (0..2).rev().zip(kept) {
        assert_eq!(watches_on(&tree.path().join("a/b")), 1);
        drop(kept);
        assert_eq!(watches_on(&tree.path().join("a/b")), left);
    }
}

#[test]
fn a_mount_over_the_file_or_on_the_way_to_it_is_seen() {
    for over in ["a/b/f", "a/b", "a"] {
        in_own_mount_namespace(|| {
            let tree = Tree::new(&std::env::temp_dir());
            let root = root(tree.path());
            let kept = tree.keep(&root);
            assert!(root.open_kept(&kept).is_some());
            let foreign = if over == "a/b/f" { "other" } else { "twin" };
            let over = tree.path().join(over);
            rustix::mount::mount_bind(tree.path().join(foreign), &over).unwrap();
            assert!(root.open_kept(&kept).is_none(), "{}", over.display());
            rustix::mount::unmount(&over, rustix::mount::UnmountFlags::DETACH).unwrap();
            // Kept anew, once there is nothing over it.
            assert_eq!(content(&root, &tree.keep(&root)).unwrap(), b"first");
        });
    }
}

#[test]
fn what_lies_on_another_mount_is_not_kept_so_that_it_can_be_unmounted() {
    let mounts: [fn(&Path, &Path); 2] = [
        |_, place| {
            rustix::mount::mount("none", place, "tmpfs", rustix::mount::MountFlags::empty(), None).unwrap();
        },
        // Of the same file system.
        |tree, place| rustix::mount::mount_bind(tree.join("a"), place).unwrap(),
    ];
    in_own_mount_namespace(|| {
        for mount in mounts {
            let tree = Tree::new(&std::env::temp_dir());
            let place = tree.path().join("twin");
            mount(tree.path(), &place);
            std::fs::write(place.join("f"), "mounted").unwrap();
            std::thread::sleep(2 * SETTLED);
            let root = root(tree.path());
            assert!(root.open(&path("twin/f")).is_ok());
            let refused = keep(&root, "twin/f").unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Unsupported);
            rustix::mount::unmount(&place, rustix::mount::UnmountFlags::empty()).unwrap();
        }
    });
}

#[test]
fn a_root_that_is_unmounted_goes_on_as_it_does_without_a_kept_file() {
    in_own_mount_namespace(|| {
        let folder = tempfile::tempdir().unwrap();
        rustix::mount::mount(
            "none",
            folder.path(),
            "tmpfs",
            rustix::mount::MountFlags::empty(),
            None,
        )
        .unwrap();
        let tree = Tree::at(folder.path());
        let root = root(&tree);
        std::thread::sleep(2 * SETTLED);
        let kept = keep(&root, FILE).unwrap();
        rustix::mount::unmount(folder.path(), rustix::mount::UnmountFlags::DETACH).unwrap();
        // Seen, as every change of the table; the root itself holds on to its directory.
        assert!(root.open_kept(&kept).is_none());
        assert!(root.open(&path(FILE)).is_ok());
    });
}

/// Somebody replaces file and directories without pause, and says after each time which generation the name leads to from now on.
/// Nobody who asks after that gets an older one.
#[test]
fn nobody_is_given_a_file_that_was_replaced_before_they_asked() {
    for place in places() {
        let tree = Tree::new(&place);
        let root = root(tree.path());
        let (replaced, stop) = (AtomicU64::new(0), AtomicBool::new(false));
        let (mut kept_opens, mut opens) = (0_u64, 0_u64);
        std::fs::write(tree.path().join("a/b/f"), "0").unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| replace(tree.path(), &replaced, &stop));
            let mut kept: Option<Kept> = None;
            let deadline = Instant::now() + Duration::from_secs(3);
            while Instant::now() < deadline {
                let least = replaced.load(Ordering::SeqCst);
                let file = kept.as_ref().and_then(|kept| root.open_kept(kept));
                kept_opens += u64::from(file.is_some());
                if file.is_none() {
                    kept = testing::keep(&root, &path(FILE), Duration::from_millis(15)).ok();
                }
                let Ok(file) = file.map_or_else(|| root.open(&path(FILE)), Ok) else {
                    continue;
                };
                opens += 1;
                let generation: u64 = String::from_utf8(read(&file).unwrap()).unwrap().parse().unwrap();
                assert!(generation >= least, "{generation} was replaced by {least} before");
            }
            stop.store(true, Ordering::SeqCst);
        });
        let replaced = replaced.load(Ordering::SeqCst);
        say(&format!(
            "kept, {}: {kept_opens} of {opens} opens of a kept file, while it was replaced {replaced} times",
            place.display()
        ));
        assert!(replaced > 20 && kept_opens > 100, "{replaced} {kept_opens}");
    }
}

fn replace(tree: &Path, replaced: &AtomicU64, stop: &AtomicBool) {
    for generation in 1_u64.. {
        if stop.load(Ordering::SeqCst) {
            return;
        }
        // Long enough to be kept most times, and not always.
        std::thread::sleep(Duration::from_millis(4 + generation % 5 * 7));
        let text = generation.to_string();
        match generation % 3 {
            0 => {
                std::fs::write(tree.join("new"), text).unwrap();
                std::fs::rename(tree.join("new"), tree.join("a/b/f")).unwrap();
            }
            1 => {
                std::fs::write(tree.join("twin/f"), text).unwrap();
                exchange(&tree.join("twin"), &tree.join("a/b"));
            }
            _ => {
                std::fs::create_dir_all(tree.join("next/b")).unwrap();
                std::fs::write(tree.join("next/b/f"), text).unwrap();
                exchange(&tree.join("next"), &tree.join("a"));
            }
        }
        replaced.store(generation, Ordering::SeqCst);
    }
}

struct Tree(TempDir);

impl Tree {
    fn new(place: &Path) -> Self {
        let folder = tempfile::tempdir_in(place).unwrap();
        let _ = Self::at(folder.path());
        mode(folder.path(), 0o755);
        Self(folder)
    }

    fn at(tree: &Path) -> PathBuf {
        for directory in ["a/b", "twin"] {
            std::fs::create_dir_all(tree.join(directory)).unwrap();
        }
        for (file, text) in [
            (FILE, "first"),
            ("a/b/sibling", "other"),
            ("other", "other"),
            ("twin/f", "twin"),
        ] {
            std::fs::write(tree.join(file), text).unwrap();
            mode(&tree.join(file), 0o644);
        }
        symlink("twin", tree.join("link")).unwrap();
        tree.to_owned()
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Once everything is old enough.
    fn keep(&self, root: &Root) -> Kept {
        std::thread::sleep(2 * SETTLED);
        keep(root, FILE).unwrap()
    }
}

fn keep(root: &Root, name: &str) -> Result<Kept, Error> {
    testing::keep(root, &RelPath::parse(name).unwrap(), SETTLED)
}

/// What the kept file holds, if it is opened.
fn content(root: &Root, kept: &Kept) -> Option<Vec<u8>> {
    root.open_kept(kept).map(|file| read(&file).unwrap())
}

/// Where files can be kept on this machine: the disk and memory, and what else is named in `BENEATH_PLACES`, separated by colons,
/// such as mounts of XFS and Btrfs.
fn places() -> Vec<PathBuf> {
    let more = std::env::var_os("BENEATH_PLACES").unwrap_or_default();
    let places = [std::env::temp_dir(), PathBuf::from("/dev/shm")];
    let more = std::env::split_paths(&more).filter(|place| !place.as_os_str().is_empty());
    places.into_iter().chain(more).collect()
}

/// How many of this process's descriptors lead into the tree; other tests open others meanwhile.
fn descriptors_into(tree: &Path) -> usize {
    let links = std::fs::read_dir("/proc/self/fd").unwrap();
    let targets = links.filter_map(|link| std::fs::read_link(link.unwrap().path()).ok());
    targets.filter(|target| target.starts_with(tree)).count()
}

/// How many watches of this process are on that directory.
fn watches_on(directory: &Path) -> usize {
    let inode = format!(" ino:{:x} ", std::fs::metadata(directory).unwrap().ino());
    let tables = std::fs::read_dir("/proc/self/fdinfo").unwrap();
    let tables = tables.filter_map(|table| std::fs::read_to_string(table.unwrap().path()).ok());
    tables.map(|table| table.matches(&inode).count()).sum()
}

fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn exchange(one: &Path, other: &Path) {
    renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).unwrap();
}
