//! Digest fields: RFC 9530.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue, Version};

/// The digest of the bytes of this message's content.
pub(crate) const CONTENT_DIGEST: HeaderName = HeaderName::from_static("content-digest");
/// The digest of the whole selected representation.
pub(crate) const REPR_DIGEST: HeaderName = HeaderName::from_static("repr-digest");
const WANT_CONTENT_DIGEST: HeaderName = HeaderName::from_static("want-content-digest");
const WANT_REPR_DIGEST: HeaderName = HeaderName::from_static("want-repr-digest");

/// `sha-256=:…:`, a dictionary with one byte sequence.
pub(crate) fn header_value(sha256: &[u8; 32]) -> Option<HeaderValue> {
    let mut text = [0; 54];
    text[..9].copy_from_slice(b"sha-256=:");
    let written = STANDARD.encode_slice(sha256, &mut text[9..]).ok()?;
    *text.get_mut(9 + written)? = b':';
    HeaderValue::from_bytes(text.get(..written + 10)?).ok()
}

/// A known digest of the representation is sent unless the client says it is not acceptable. The field is a wish, not
/// a condition (§4).
pub(crate) fn wants_repr(headers: &HeaderMap) -> bool {
    preference(headers, &WANT_REPR_DIGEST) != Some(0)
}

/// Whether a digest of the representation is asked for, so that computing it is worth something.
#[cfg(feature = "serve-root")]
pub(crate) fn asks_for_repr(headers: &HeaderMap) -> bool {
    preference(headers, &WANT_REPR_DIGEST).is_some_and(|preference| preference > 0)
}

/// A digest of the content costs reading all of it, so it is made only for who asks.
pub(crate) fn wants_content(headers: &HeaderMap) -> bool {
    preference(headers, &WANT_CONTENT_DIGEST).is_some_and(|preference| preference > 0)
}

/// Whether a trailer section can reach the client: always in HTTP/2 and 3, in HTTP/1.1 only for who says so (RFC 9110
/// §6.5.1).
pub(crate) fn accepts_trailers(version: Version, headers: &HeaderMap) -> bool {
    match version {
        Version::HTTP_2 | Version::HTTP_3 => true,
        Version::HTTP_11 => headers.get_all(http::header::TE).iter().any(|line| {
            line.as_bytes()
                .split(|&byte| byte == b',')
                .any(|member| member.trim_ascii().eq_ignore_ascii_case(b"trailers"))
        }),
        _ => false,
    }
}

/// The preference for sha-256, 0 to 10. `None` where the field is missing, does not name sha-256, or is not a
/// dictionary: RFC 9651 §4.2 ignores such a field whole.
fn preference(headers: &HeaderMap, name: &HeaderName) -> Option<u8> {
    let mut preference = None;
    for line in headers.get_all(name) {
        for member in line.to_str().ok()?.split(',') {
            let (key, value) = parse_member(member)?;
            if key == "sha-256" {
                preference = value; // The last of equal keys counts.
            }
        }
    }
    preference
}

/// `key=integer`, where the integer is a preference from 0 to 10; parameters are not defined and not looked at. A key alone
/// is a dictionary's way to say "true", which is no preference.
fn parse_member(member: &str) -> Option<(&str, Option<u8>)> {
    let member = member.trim_matches([' ', '\t']).split(';').next()?;
    let (key, value) = match member.split_once('=') {
        Some((key, value)) => (key, Some(value)),
        None => (member, None),
    };
    let is_key = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-.*".contains(c);
    if !key.starts_with(|c: char| c.is_ascii_lowercase() || c == '*') || !key.chars().all(is_key) {
        return None;
    }
    let Some(value) = value else {
        return Some((key, None));
    };
    if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    value
        .parse()
        .ok()
        .filter(|value| *value <= 10)
        .map(|value| (key, Some(value)))
}

/// What is known of the SHA-256 of the content.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Known {
    Nothing,
    /// It is said where it is asked for, and the entity tag is what it is without.
    #[cfg(feature = "serve-root")]
    Digest([u8; 32]),
    /// It makes the entity tag.
    Tag([u8; 32]),
    /// It makes the entity tag, and the last bytes of the whole file wait for it.
    Promise([u8; 32]),
}

impl Known {
    pub(crate) const fn digest(&self) -> Option<&[u8; 32]> {
        match self {
            Self::Nothing => None,
            #[cfg(feature = "serve-root")]
            Self::Digest(digest) => Some(digest),
            Self::Tag(digest) | Self::Promise(digest) => Some(digest),
        }
    }

    pub(crate) const fn tag(&self) -> Option<&[u8; 32]> {
        match self {
            Self::Tag(digest) | Self::Promise(digest) => Some(digest),
            _ => None,
        }
    }

    pub(crate) const fn promised(&self) -> Option<[u8; 32]> {
        match self {
            Self::Promise(digest) => Some(*digest),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn want(lines: &[&'static str]) -> Option<u8> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(WANT_REPR_DIGEST, HeaderValue::from_static(line));
        }
        preference(&headers, &WANT_REPR_DIGEST)
    }

    #[test]
    fn the_digest_of_nothing_is_that_of_the_rfc_format() {
        let nothing: [u8; 32] = sha2::Digest::finalize(<sha2::Sha256 as sha2::Digest>::new()).into();
        let value = header_value(&nothing).unwrap();
        assert_eq!(value, "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:");
    }

    #[test]
    fn preferences_are_read_as_a_dictionary() {
        for (lines, preference) in [
            (&["sha-256=10"][..], Some(10)),
            (&["sha-512=3, sha-256=10, unixsum=0"], Some(10)),
            (&["sha-512=3", "sha-256=1"], Some(1)),
            (&["sha-256=0"], Some(0)),
            (&["sha-256=3,sha-256=0"], Some(0)),
            (&["sha-256=5;q=1"], Some(5)),
            (&["sha-512=3"], None),
            (&["sha-256"], None),
            (&["sha-512, sha-256=10"], Some(10)),
            (&["sha-512;a=1, sha-256=10"], Some(10)),
            (&["sha-256=10, sha-256"], None),
            (&["sha-256=11"], None),
            (&["sha-256=-1"], None),
            (&["sha-256=+1"], None),
            (&["sha-256=1, !"], None),
            (&["SHA-256=1"], None),
            (&[""], None),
            (&[], None),
        ] {
            assert_eq!(want(lines), preference, "{lines:?}");
        }
    }
}
