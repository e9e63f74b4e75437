//! Directories for tests to serve.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use sha2::{Digest as _, Sha256};

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

/// SHA-256 of everything in `reader`, and how much that was.
pub fn digest(mut reader: impl Read) -> (u64, [u8; 32]) {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    let mut len = 0;
    loop {
        match reader.read(&mut buffer).expect("readable") {
            0 => return (len, hash.finalize().into()),
            count => {
                hash.update(&buffer[..count]);
                len += count as u64;
            }
        }
    }
}

/// [`digest`] of a file.
pub fn digest_of(path: &Path) -> (u64, [u8; 32]) {
    digest(File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
}
