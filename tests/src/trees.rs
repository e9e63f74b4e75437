//! Directories for tests to serve.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// Five gibibytes: longer than 32 bits can say.
pub const FIVE_GIB: u64 = 5 << 30;

/// Writes a sparse file of `len` bytes with marks where an offset that lost its upper bits would show.
pub fn sparse(path: &Path, len: u64) {
    let file = File::create_new(path).expect("a new file");
    file.set_len(len).expect("a sparse file");
    for offset in (0..len.saturating_sub(8)).step_by(1 << 28).chain([len - 8]) {
        file.write_all_at(&offset.to_be_bytes(), offset).expect("a mark");
    }
}

/// A name of any bytes.
pub fn name(bytes: &[u8]) -> &OsStr {
    OsStr::from_bytes(bytes)
}

/// Compares byte by byte, at the speed of memory: a digest of five gibibytes takes half a minute.
///
/// # Panics
/// Names the first mebibyte that differs.
#[track_caller]
pub fn assert_same(what: &str, mut saved: impl Read, original: &Path) {
    let mut original = open(original);
    let [mut ours, mut theirs] = [const { Vec::new() }; 2];
    let mut compared: u64 = 0;
    loop {
        for (reader, block) in [
            (&mut saved as &mut dyn Read, &mut ours),
            (&mut original, &mut theirs),
        ] {
            block.clear();
            reader.take(1 << 20).read_to_end(block).expect("readable");
        }
        assert!(
            ours == theirs,
            "{what} is not as published: {} bytes from {compared} on, not the {} there",
            ours.len(),
            theirs.len()
        );
        if ours.is_empty() {
            return;
        }
        compared += ours.len() as u64;
    }
}

/// A file to compare.
///
/// # Panics
/// Names what cannot be opened.
#[track_caller]
pub fn open(path: &Path) -> File {
    File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
