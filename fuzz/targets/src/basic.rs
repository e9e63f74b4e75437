//! The token of Basic credentials, against a slow reading of RFC 7617 §2.

use std::fmt::Write as _;

use beneathd::auth::{basic, credentials};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};

/// What parses says what was sent and nothing else; what a model of the grammar allows parses; no value is a panic.
pub fn basic(token: &[u8]) {
    let decoded = decode(token);
    let expected = decoded.filter(|pair| pair.contains(&b':') && !pair.iter().any(u8::is_ascii_control));
    match basic::split(token) {
        Some((user, password)) => {
            assert!(!user.contains(&b':'));
            assert_eq!(
                Some([user.as_slice(), b":", password.as_slice()].concat()),
                expected
            );
        }
        None => assert!(
            expected.is_none() || token.len() > 4096,
            "a well-formed token was refused"
        ),
    }

    let mut headers = HeaderMap::new();
    for scheme in [b"Basic ".as_slice(), b"bAsIc   ", b"Bearer ", b""] {
        if let Ok(value) = HeaderValue::from_bytes(&[scheme, token].concat()) {
            headers.insert(AUTHORIZATION, value.clone());
            let _ = credentials(&headers);
            headers.append(AUTHORIZATION, value);
            assert!(credentials(&headers).is_err(), "two fields were taken");
        }
    }
}

/// Base64 with its padding and without spare bits (RFC 4648 §3.5, §4), six bits at a time.
fn decode(token: &[u8]) -> Option<Vec<u8>> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = token
        .strip_suffix(b"==")
        .or(token.strip_suffix(b"="))
        .unwrap_or(token);
    if !token.len().is_multiple_of(4) || digits.len() % 4 == 1 {
        return None;
    }
    let mut bits = String::new();
    for digit in digits {
        let value = ALPHABET.iter().position(|letter| letter == digit)?;
        let _ = write!(bits, "{value:06b}");
    }
    let whole = bits.len() / 8 * 8;
    if bits[whole..].contains('1') {
        return None;
    }
    let bytes = bits.as_bytes()[..whole].chunks(8);
    bytes
        .map(|byte| u8::from_str_radix(std::str::from_utf8(byte).ok()?, 2).ok())
        .collect()
}
