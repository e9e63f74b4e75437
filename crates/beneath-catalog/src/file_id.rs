//! [`FileId`]: the name of a published file that nobody can guess.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::error::ParseError;

/// The name of a published file: 128 random bits, in exactly one spelling (base64url without padding, RFC 4648 §5,
/// 22 characters).
///
/// ```
/// use beneath_catalog::FileId;
///
/// let id: FileId = "AAECAwQFBgcICQoLDA0ODw".parse()?;
/// assert_eq!(id.to_string(), "AAECAwQFBgcICQoLDA0ODw");
///
/// assert!("AAECAwQFBgcICQoLDA0ODw==".parse::<FileId>().is_err()); // another spelling of the same bits
/// assert!("AAECAwQFBgcICQoLDA0ODx".parse::<FileId>().is_err()); // bits left over
/// # Ok::<_, beneath_catalog::ParseError>(())
/// ```
///
/// # Security
///
/// Knowing an ID is not a right: it only names what a right is asked for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId([u8; 16]);

impl FileId {
    /// How many characters the one spelling has.
    pub const LEN: usize = 22;

    /// A fresh one from the operating system's randomness. One in 64 would be spelt with a `-` in front, which every
    /// command line takes for an option: those are drawn again.
    pub(crate) fn random() -> Result<Self, getrandom::Error> {
        const HYPHEN: u8 = 62;
        let mut bits = [0; 16];
        loop {
            getrandom::fill(&mut bits)?;
            if bits[0] >> 2 != HYPHEN {
                return Ok(Self(bits));
            }
        }
    }

    pub(crate) const fn from_bytes(bits: [u8; 16]) -> Self {
        Self(bits)
    }

    pub(crate) const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl FromStr for FileId {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        const INVALID: ParseError = ParseError::new("file ID", "is not 22 characters of base64url");
        if text.len() != Self::LEN {
            return Err(INVALID);
        }
        let mut bits = [0; 16];
        match URL_SAFE_NO_PAD.decode_slice(text, &mut bits) {
            Ok(16) => Ok(Self(bits)),
            _ => Err(INVALID),
        }
    }
}

impl fmt::Display for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FileId({self})")
    }
}
