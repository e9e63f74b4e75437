//! [`RelPath`]: bytes that can only lead downwards.

use std::ffi::{CStr, CString, OsStr};
use std::fmt;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::str::FromStr;

use crate::error::{Error, ErrorKind};

/// A path that can only lead downwards, in the one spelling there is for it.
///
/// Holds the very bytes the kernel reads. Nothing is normalised, decoded or re-encoded: two `RelPath`s name the
/// same place exactly when their bytes are equal, and what was checked is what is opened.
///
/// Refused: the empty path, a leading or trailing `/`, an empty component (`a//b`), the components `.` and `..`, a
/// NUL byte, a component longer than [255](Self::MAX_COMPONENT) bytes, a path longer than
/// [4095](Self::MAX_LEN) bytes.
///
/// Everything else is an ordinary name: `..data`, `...`, spaces, newlines, backslashes, bytes that are not UTF-8.
///
/// ```
/// use beneath::RelPath;
///
/// let path = RelPath::parse("reports/2026/q3.pdf")?;
/// assert_eq!(path.file_name(), b"q3.pdf");
///
/// assert!(RelPath::parse("reports/../secret").is_err());
/// assert!(RelPath::parse("/etc/passwd").is_err());
/// assert!(RelPath::parse("..data/config").is_ok());
/// # Ok::<_, beneath::Error>(())
/// ```
///
/// # Security
///
/// A trailing slash makes `openat(fd, "link/", O_NOFOLLOW)` follow the link (CVE-2026-39822), and a NUL ends the
/// path early for the kernel but not for whoever checked the extension. Neither can be held in this type.
/// It says nothing about what the names lead to: that is decided by the open, in the kernel.
///
/// Source: path_resolution(7), limits.h(0p).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RelPath(CString);

impl RelPath {
    /// The longest component, in bytes (`NAME_MAX`).
    pub const MAX_COMPONENT: usize = 255;
    /// The longest path, in bytes (`PATH_MAX` less its NUL).
    pub const MAX_LEN: usize = 4095;

    /// Parses bytes that name a file or directory beneath some root.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidPath`]; [`Error::reason`] says which rule was broken.
    pub fn parse(bytes: impl AsRef<[u8]>) -> Result<Self, Error> {
        let bytes = bytes.as_ref();
        if bytes.is_empty() {
            return Err(invalid("the path is empty"));
        }
        if bytes.len() > Self::MAX_LEN {
            return Err(invalid("the path is longer than 4095 bytes"));
        }
        if bytes.starts_with(b"/") {
            return Err(invalid("the path is absolute"));
        }
        if bytes.ends_with(b"/") {
            return Err(invalid("the path ends with a slash"));
        }
        for component in bytes.split(|&byte| byte == b'/') {
            match component {
                b"" => return Err(invalid("the path has an empty component")),
                b"." => return Err(invalid("the path has a `.` component")),
                b".." => return Err(invalid("the path has a `..` component")),
                long if long.len() > Self::MAX_COMPONENT => {
                    return Err(invalid("a component is longer than 255 bytes"));
                }
                _ => {}
            }
        }
        CString::new(bytes)
            .map(Self)
            .map_err(|_| invalid("the path holds a NUL byte"))
    }

    /// The bytes, without a NUL.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The components from the root downwards; never empty, none of them empty.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.as_bytes().split(|&byte| byte == b'/')
    }

    /// The last component: what a person would call the file.
    pub fn file_name(&self) -> &[u8] {
        self.components().next_back().unwrap_or_default()
    }

    /// This path with one more stretch below it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidPath`] if the two together are longer than [`MAX_LEN`](Self::MAX_LEN) bytes.
    pub fn join(&self, below: &Self) -> Result<Self, Error> {
        Self::parse([self.as_bytes(), below.as_bytes()].join(&b'/'))
    }

    /// What the kernel is given.
    pub(crate) fn as_c_str(&self) -> &CStr {
        &self.0
    }
}

const fn invalid(reason: &'static str) -> Error {
    Error::new(ErrorKind::InvalidPath, reason)
}

impl AsRef<[u8]> for RelPath {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl fmt::Debug for RelPath {
    /// As a string literal would be written, so that a log line cannot be broken by a name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        OsStr::from_bytes(self.as_bytes()).fmt(f)
    }
}

impl FromStr for RelPath {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::parse(text)
    }
}

impl TryFrom<&OsStr> for RelPath {
    type Error = Error;

    fn try_from(name: &OsStr) -> Result<Self, Error> {
        Self::parse(name.as_bytes())
    }
}

impl TryFrom<&Path> for RelPath {
    type Error = Error;

    fn try_from(path: &Path) -> Result<Self, Error> {
        Self::parse(path.as_os_str().as_bytes())
    }
}
