//! [`Target`]: what the path of a request names, decoded exactly once.

use beneath::RelPath;

/// What the path of a request names beneath the root.
///
/// A slash at the end asks for a directory, its absence for a file; the two never mean the same.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// `/reports/q3.pdf`
    File(RelPath),
    /// `/reports/`
    Directory(RelPath),
    /// `/`
    Root,
}

/// Why a path names nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unnamed {
    /// Not a path by RFC 3986: a broken percent-escape, or no leading slash.
    Malformed,
    /// A path that no file beneath a root can have.
    Nothing,
}

impl Target {
    /// Decodes each percent-escape once (RFC 3986 §2.4: never twice), and nothing else: `+` is a plus.
    ///
    /// # Security
    ///
    /// What could mean one thing to whoever guards this service and another to the file system names nothing: an
    /// escaped slash (RFC 3986 §2.2: data, not a delimiter, and no name holds one), a backslash in any form (browsers
    /// and some proxies read it as a slash), a NUL, and dot segments, which a client removes before it asks
    /// (RFC 3986 §5.2.4). [`RelPath::parse`] has the last word, on the very bytes the kernel is given.
    pub(super) fn parse(path: &str) -> Result<Self, Unnamed> {
        let relative = path.strip_prefix('/').ok_or(Unnamed::Malformed)?;
        if relative.is_empty() {
            return Ok(Self::Root);
        }
        let decoded = decode(relative)?;
        let (names, target): (_, fn(RelPath) -> Self) = match decoded.strip_suffix(b"/") {
            Some(directory) => (directory, Self::Directory),
            None => (&*decoded, Self::File),
        };
        RelPath::parse(names).map(target).map_err(|_| Unnamed::Nothing)
    }
}

fn decode(path: &str) -> Result<Vec<u8>, Unnamed> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path.bytes();
    while let Some(byte) = rest.next() {
        let (byte, escaped) = match byte {
            b'%' => (unescape(&mut rest).ok_or(Unnamed::Malformed)?, true),
            literal => (literal, false),
        };
        match byte {
            b'/' if escaped => return Err(Unnamed::Nothing),
            b'\\' => return Err(Unnamed::Nothing),
            byte => decoded.push(byte),
        }
    }
    Ok(decoded)
}

/// `pct-encoded = "%" HEXDIG HEXDIG` (RFC 3986 §2.1), after the `%`.
fn unescape(digits: &mut impl Iterator<Item = u8>) -> Option<u8> {
    let high = hexadecimal(digits.next()?)?;
    let low = hexadecimal(digits.next()?)?;
    Some(high << 4 | low)
}

const fn hexadecimal(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{RelPath, Target, Unnamed};

    fn path(bytes: impl AsRef<[u8]>) -> RelPath {
        RelPath::parse(bytes).unwrap()
    }

    #[test]
    fn a_slash_at_the_end_asks_for_a_directory() {
        assert_eq!(Target::parse("/"), Ok(Target::Root));
        assert_eq!(Target::parse("/a/b"), Ok(Target::File(path("a/b"))));
        assert_eq!(Target::parse("/a/b/"), Ok(Target::Directory(path("a/b"))));
    }

    #[test]
    fn escapes_are_decoded_once_and_a_plus_is_a_plus() {
        for (asked, named) in [
            ("/caf%C3%A9", "café".as_bytes()),
            ("/caf%c3%a9", "café".as_bytes()),
            ("/a%20b+c", b"a b+c"),
            ("/%2541", b"%41"),
            ("/%252e%252e%252fetc", b"%2e%2e%2fetc"),
            ("/%FF%0A", b"\xff\n"),
            ("/..;x", b"..;x"),
            ("/%3Fq", b"?q"),
            ("/[x]*", b"[x]*"),
        ] {
            assert_eq!(Target::parse(asked), Ok(Target::File(path(named))), "{asked}");
        }
    }

    #[test]
    fn what_is_not_a_path_is_malformed() {
        for asked in ["", "*", "a", "/%", "/%4", "/a%zz", "/%%32%65", "/%u2215", "/%+1"] {
            assert_eq!(Target::parse(asked), Err(Unnamed::Malformed), "{asked}");
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_names_nothing() {
        for asked in [
            "//",
            "//evil.com",
            "//evil.com/",
            "/a//b",
            "/a//",
            "/.",
            "/./",
            "/..",
            "/../",
            "/a/../b",
            "/a/./b",
            "/%2e",
            "/%2E%2e/x",
            "/.%2e/x",
            "/a%2fb",
            "/..%2Fb",
            "/%2f",
            "/a%5cb",
            "/a\\b",
            "/..\\b",
            "/%00",
            "/a%00.jpg",
        ] {
            assert_eq!(Target::parse(asked), Err(Unnamed::Nothing), "{asked}");
        }
    }

    #[test]
    fn a_name_longer_than_any_file_system_allows_names_nothing() {
        assert!(Target::parse(&format!("/{}", "a".repeat(255))).is_ok());
        assert_eq!(
            Target::parse(&format!("/{}", "a".repeat(256))),
            Err(Unnamed::Nothing)
        );
        assert_eq!(Target::parse(&"/a".repeat(5000)), Err(Unnamed::Nothing));
    }
}
