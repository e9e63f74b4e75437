//! A tree and paths in it, told line by line; each path is resolved by openat2, by the walk, and by a model.
//!
//! ```text
//! d a/b             a directory, with those above it
//! f a/b/file        a file
//! p a/fifo          a FIFO
//! l a/link ../b     a symbolic link
//! ? a/link/../file  a path to resolve: any bytes but a newline
//! ```
//!
//! Beside the root lies `outside`, with a secret for every name that a link may lead to.

mod model;

use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use beneath::testing::{self, Forced};
use beneath::{Error, ErrorKind, File, Policy, RelPath, Root, Symlinks, ambient_authority};
use model::{Kind, Links, Model};

const PUBLIC: &[u8] = b"public";
const SECRET: &[u8] = b"secret";

/// More of either only makes each run slower.
const MAX_NODES: usize = 16;
const MAX_PATHS: usize = 16;
/// `EAGAIN` is no answer: a rename anywhere on the machine causes it.
const MAX_BUSY: u32 = 4096;

/// openat2, the walk and the model give the same answer for every path, and none gives the secret.
pub fn resolve_differential(text: &[u8]) {
    // In memory where there is such a place: many trees in little time.
    let sandbox = tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .unwrap();
    let place = sandbox.path().join("ROOT");
    std::fs::create_dir(&place).unwrap();
    std::fs::create_dir(sandbox.path().join("outside")).unwrap();
    for name in ["a", "b", "f"] {
        std::fs::write(sandbox.path().join("outside").join(name), SECRET).unwrap();
    }

    let mut model = Model::default();
    let mut paths = Vec::new();
    for line in text.split(|&byte| byte == b'\n') {
        match line {
            [b'?', b' ', path @ ..] if paths.len() < MAX_PATHS => paths.push(path),
            line if model.len() < MAX_NODES => {
                plant(&mut model, &place, line);
            }
            _ => {}
        }
    }

    let strict = Policy::default();
    let ways = [
        ("openat2", Links::Refuse, root(&place, strict, Forced::Openat2)),
        ("walk", Links::Refuse, root(&place, strict, Forced::Walk)),
        (
            "openat2, links beneath",
            Links::Follow,
            root(&place, strict.symlinks(Symlinks::Beneath), Forced::Openat2),
        ),
    ];
    for path in paths {
        for (name, links, root) in &ways {
            let expected = model.resolve(path, *links);
            compare(name, root, path, &expected);
        }
    }
    let mut listed: Vec<Vec<u8>> = Vec::new();
    for entry in ways[0].2.entries(usize::MAX).unwrap() {
        listed.push(entry.name().as_bytes().to_vec());
    }
    listed.sort();
    assert_eq!(listed, model.names());
}

/// One line of the tree, on disk and in the model; nothing where its place is taken or it is no path.
fn plant(model: &mut Model, root: &Path, line: &[u8]) -> Option<()> {
    let (kind, rest) = match line {
        [kind @ (b'd' | b'f' | b'p' | b'l'), b' ', rest @ ..] => (*kind, rest),
        _ => return None,
    };
    let (path, target) = match kind {
        b'l' => {
            let space = rest.iter().position(|&byte| byte == b' ')?;
            (&rest[..space], &rest[space + 1..])
        }
        _ => (rest, &b""[..]),
    };
    let kind = match kind {
        b'd' => Kind::Directory,
        b'f' => Kind::File,
        b'p' => Kind::Fifo,
        _ => Kind::Link(
            CString::new(target)
                .ok()
                .filter(|target| (1..4095).contains(&target.count_bytes()))?,
        ),
    };
    let path = RelPath::parse(path)
        .ok()
        .filter(|path| path.components().count() <= 6)?;
    for above in model.plant(&path, kind.clone())? {
        std::fs::create_dir(on_disk(root, &above)).unwrap();
    }
    let place = on_disk(root, path.as_bytes());
    match kind {
        Kind::Directory => std::fs::create_dir(place).unwrap(),
        Kind::File => std::fs::write(place, PUBLIC).unwrap(),
        Kind::Fifo => {
            let (fifo, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR);
            rustix::fs::mknodat(rustix::fs::CWD, place, fifo, mode, 0).unwrap();
        }
        Kind::Link(target) => {
            std::os::unix::fs::symlink(OsStr::from_bytes(target.as_bytes()), place).unwrap();
        }
    }
    Some(())
}

fn compare(name: &str, root: &Root, path: &[u8], expected: &Result<(), ErrorKind>) {
    if let Ok(raw) = CString::new(path) {
        let answer = answer(|| testing::open_raw(root, &raw));
        assert_eq!(&answer, expected, "{name}: {:?}", OsStr::from_bytes(path));
    }
    if let Ok(parsed) = RelPath::parse(path) {
        assert_eq!(
            &answer(|| root.open(&parsed)),
            expected,
            "{name}, public door: {parsed:?}"
        );
        let open_root = root.open_root(&parsed).map(drop).map_err(|error| error.kind());
        let as_a_root = match expected {
            Ok(()) => Err(ErrorKind::NotADirectory),
            Err(kind) => Err(*kind),
        };
        // What is not a regular file is a directory, or neither.
        let is_directory = *expected == Err(ErrorKind::NotRegular);
        assert!(
            open_root == as_a_root
                || (is_directory
                    && matches!(
                        open_root,
                        Ok(()) | Err(ErrorKind::NotADirectory | ErrorKind::Busy)
                    )),
            "{name}, as a root: {parsed:?}: {open_root:?} instead of {as_a_root:?}"
        );
    }
}

fn answer(open: impl Fn() -> Result<File, Error>) -> Result<(), ErrorKind> {
    for _ in 0..MAX_BUSY {
        match open() {
            Ok(file) => {
                let mut content = [0; 16];
                let len = file.read_at(&mut content, 0).unwrap();
                assert_eq!(&content[..len], PUBLIC, "not from this tree");
                return Ok(());
            }
            Err(error) if error.kind() == ErrorKind::Busy => {}
            Err(error) => return Err(error.kind()),
        }
    }
    Err(ErrorKind::Busy)
}

fn root(place: &Path, policy: Policy, backend: Forced) -> Root {
    testing::open_ambient(place, policy, backend, ambient_authority()).unwrap()
}

fn on_disk(root: &Path, path: &[u8]) -> std::path::PathBuf {
    root.join(OsStr::from_bytes(path))
}
