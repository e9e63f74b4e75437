//! The case table: its format, and the trees it describes. The format is told in `cases/open.json` itself.

use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use beneath::{ErrorKind, Mounts, Policy, Symlinks};
use rustix::fs::{FileType, Mode};
use serde::Deserialize;

#[derive(Deserialize)]
pub(crate) struct Table {
    pub(crate) version: u32,
    pub(crate) cases: Vec<Case>,
}

#[derive(Deserialize)]
pub(crate) struct Case {
    pub(crate) name: String,
    setup: Vec<Op>,
    path: String,
    path_hex: Option<String>,
    policy: PolicyName,
    expect: String,
    #[serde(default)]
    lexical: Vec<String>,
    #[serde(default)]
    extra_resolve: Vec<String>,
    root: Option<PathBuf>,
    #[serde(default)]
    requires: Requires,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PolicyName {
    NoSymlinks,
    Beneath,
}

#[derive(Deserialize)]
struct Op {
    op: String,
    path: String,
    path_hex: Option<String>,
    content: Option<String>,
    target: Option<String>,
    major: Option<u32>,
    minor: Option<u32>,
}

#[derive(Deserialize, Default)]
#[serde(untagged)]
enum Requires {
    #[default]
    Nothing,
    One(String),
    All(Vec<String>),
}

/// What a case answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Content(Vec<u8>),
    Refused(ErrorKind),
}

/// What this process may do, found by trying.
pub(crate) struct Abilities {
    root: bool,
    mount: bool,
    procfs: bool,
}

/// A tree on disk: `ROOT`, and what lies beside it.
pub(crate) struct Sandbox {
    folder: tempfile::TempDir,
}

impl Table {
    pub(crate) fn parse(text: &str) -> Self {
        let table: Self = serde_json::from_str(text).unwrap();
        assert_eq!(table.version, 1, "another format");
        assert!(!table.cases.is_empty());
        table
    }
}

impl Case {
    pub(crate) fn is_strict(&self) -> bool {
        self.policy == PolicyName::NoSymlinks
    }

    pub(crate) fn policy(&self) -> Policy {
        let policy = Policy::default().symlinks(match self.policy {
            PolicyName::NoSymlinks => Symlinks::Refuse,
            PolicyName::Beneath => Symlinks::Beneath,
        });
        self.extra_resolve
            .iter()
            .fold(policy, |policy, flag| match flag.as_str() {
                "no_xdev" => policy.mounts(Mounts::Refuse),
                other => panic!("{}: unknown extra_resolve {other}", self.name),
            })
    }

    pub(crate) fn expected(&self) -> Outcome {
        if let Some(content) = self.expect.strip_prefix("ok:") {
            return Outcome::Content(content.as_bytes().to_vec());
        }
        Outcome::Refused(match self.expect.as_str() {
            "not_found" => ErrorKind::NotFound,
            "escapes" => ErrorKind::Escape,
            "symlink" => ErrorKind::Symlink,
            "not_regular" => ErrorKind::NotRegular,
            "invalid" => ErrorKind::InvalidPath,
            "not_a_directory" => ErrorKind::NotADirectory,
            other => panic!("{}: unknown expectation {other}", self.name),
        })
    }

    /// The bytes to open.
    pub(crate) fn path(&self, sandbox: &Sandbox) -> Vec<u8> {
        sandbox.fill(&bytes(&self.path, self.path_hex.as_deref()))
    }

    /// As the kernel wants it, or `None` where it could not be told (a NUL within).
    pub(crate) fn c_path(&self, sandbox: &Sandbox) -> Option<CString> {
        CString::new(self.path(sandbox)).ok()
    }

    /// The directory that is the root of this case.
    pub(crate) fn root(&self, sandbox: &Sandbox) -> PathBuf {
        self.root.clone().unwrap_or_else(|| sandbox.root())
    }

    /// Whether a parser must refuse the path for its letters alone.
    pub(crate) fn is_refused_by_a_parser(&self) -> bool {
        self.lexical.iter().any(|property| match property.as_str() {
            "empty" | "absolute" | "trailing_slash" | "empty_component" | "dot" | "dotdot" | "nul"
            | "component_over_255" | "path_over_4095" => true,
            "not_utf8" => false,
            other => panic!("{}: unknown lexical property {other}", self.name),
        })
    }

    /// What this process lacks to set the case up, or `None`.
    pub(crate) fn lacks(&self, abilities: &Abilities) -> Option<&str> {
        let needs: &[String] = match &self.requires {
            Requires::Nothing => &[],
            Requires::One(need) => std::slice::from_ref(need),
            Requires::All(needs) => needs,
        };
        let lacking = |need: &&String| match need.as_str() {
            "root" => !abilities.root,
            "mount" => !abilities.mount,
            "procfs" => !abilities.procfs,
            other => panic!("{}: unknown requirement {other}", self.name),
        };
        needs.iter().find(lacking).map(String::as_str)
    }

    /// Sets the case up in a fresh tree and does `work` there; in a mount namespace of its own where it mounts.
    pub(crate) fn within<T: Send>(&self, work: impl FnOnce(&Sandbox) -> T + Send) -> T {
        let sandbox = Sandbox::new();
        if !self.setup.iter().any(|op| op.op == "bind") {
            sandbox.build(&self.setup);
            return work(&sandbox);
        }
        in_own_mount_namespace(|| {
            sandbox.build(&self.setup);
            work(&sandbox)
        })
    }
}

impl Abilities {
    pub(crate) fn find() -> Self {
        let sandbox = Sandbox::new();
        let device = mknod(&sandbox.root().join("null"), FileType::CharacterDevice, (1, 3));
        let mount = std::thread::spawn(|| own_mount_namespace().is_ok());
        Self {
            root: device.is_ok(),
            mount: mount.join().unwrap(),
            procfs: Path::new("/proc/self/exe").is_symlink(),
        }
    }
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("ROOT")).unwrap();
        Self { folder }
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.folder.path().join("ROOT")
    }

    fn fill(&self, bytes: &[u8]) -> Vec<u8> {
        let root = self.root();
        let filled = replace(bytes, b"{ROOT}", root.as_os_str().as_bytes());
        replace(&filled, b"{SANDBOX}", self.folder.path().as_os_str().as_bytes())
    }

    fn build(&self, setup: &[Op]) {
        for op in setup {
            self.apply(op);
        }
    }

    fn apply(&self, op: &Op) {
        let place = self.at(&bytes(&op.path, op.path_hex.as_deref()));
        std::fs::create_dir_all(place.parent().unwrap()).unwrap();
        let target = || self.fill(op.target.as_ref().expect("a target").as_bytes());
        match op.op.as_str() {
            "dir" => std::fs::create_dir_all(&place).unwrap(),
            "file" => std::fs::write(&place, op.content.as_deref().unwrap_or_default()).unwrap(),
            "symlink" => std::os::unix::fs::symlink(OsStr::from_bytes(&target()), &place).unwrap(),
            "hardlink" => std::fs::hard_link(self.at(&target()), &place).unwrap(),
            "fifo" => mknod(&place, FileType::Fifo, (0, 0)).unwrap(),
            "socket" => mknod(&place, FileType::Socket, (0, 0)).unwrap(),
            "chardev" => {
                let device = (
                    op.major.expect("a major number"),
                    op.minor.expect("a minor number"),
                );
                mknod(&place, FileType::CharacterDevice, device).unwrap();
            }
            "bind" => rustix::mount::mount_bind(self.at(&target()), &place).unwrap(),
            other => panic!("unknown op {other}"),
        }
    }

    /// A path of the table: relative to `ROOT`, and possibly beside it.
    fn at(&self, path: &[u8]) -> PathBuf {
        self.root().join(OsStr::from_bytes(path))
    }
}

pub(crate) fn mknod(place: &Path, kind: FileType, (major, minor): (u32, u32)) -> rustix::io::Result<()> {
    let device = rustix::fs::makedev(major, minor);
    rustix::fs::mknodat(rustix::fs::CWD, place, kind, Mode::from_raw_mode(0o644), device)
}

/// What `work` does in a thread whose mounts nobody else sees; they are gone when it ends.
pub(crate) fn in_own_mount_namespace<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            own_mount_namespace().unwrap();
            work()
        });
        thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

#[expect(
    deprecated,
    reason = "unshare of a mount namespace alone is safe; only unsharing descriptors is not"
)]
fn own_mount_namespace() -> rustix::io::Result<()> {
    use rustix::mount::{MountPropagationFlags, mount_change};

    rustix::thread::unshare(rustix::thread::UnshareFlags::NEWNS)?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
}

fn bytes(text: &str, hex: Option<&str>) -> Vec<u8> {
    let Some(hex) = hex else {
        return text.as_bytes().to_vec();
    };
    let digits = hex.as_bytes().chunks(2);
    digits
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn replace(bytes: &[u8], placeholder: &[u8], value: &[u8]) -> Vec<u8> {
    let mut filled = Vec::new();
    let mut rest = bytes;
    while let Some((&first, after)) = rest.split_first() {
        if let Some(after) = rest.strip_prefix(placeholder) {
            filled.extend_from_slice(value);
            rest = after;
        } else {
            filled.push(first);
            rest = after;
        }
    }
    filled
}
