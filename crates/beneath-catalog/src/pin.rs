//! Pins: what a file was when it was published, to tell whether it still is.

use beneath::{Error, File};
use sha2::{Digest as _, Sha256};

/// Which file this is, as bytes: device, inode, time of birth, and the file handle where it can be had (feature
/// `file-handle`).
pub(crate) fn fingerprint(file: &File) -> Result<Vec<u8>, Error> {
    let identity = file.metadata().identity();
    let mut bytes = Vec::with_capacity(64);
    bytes.extend_from_slice(&identity.device().to_le_bytes());
    bytes.extend_from_slice(&identity.inode().to_le_bytes());
    if let Some(birth) = identity.birth() {
        bytes.extend_from_slice(&birth.seconds().to_le_bytes());
        bytes.extend_from_slice(&birth.nanoseconds().to_le_bytes());
    }
    #[cfg(feature = "file-handle")]
    bytes.extend(file.handle()?.unwrap_or_default());
    Ok(bytes)
}

/// SHA-256 of the content; `progress` hears how many bytes have been read.
pub(crate) fn digest(file: &File, mut progress: impl FnMut(u64)) -> Result<[u8; 32], Error> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 256 * 1024];
    let mut offset = 0;
    loop {
        match file.read_at(&mut buffer, offset)? {
            0 => return Ok(hasher.finalize().into()),
            read => {
                hasher.update(&buffer[..read]);
                offset += read as u64;
                progress(offset);
            }
        }
    }
}
