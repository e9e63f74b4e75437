//! Bearer (RFC 6750): a short-lived token that the catalog made and can revoke at once.

use beneath_catalog::Credentials;

/// What a `401` offers besides Basic.
pub(crate) const CHALLENGE: &str = r#"Bearer realm="beneath""#;

/// Parses the `b64token` after `Bearer` (RFC 6750 §2.1). `None` for what is none; whether it is valid is for the catalog.
pub(super) fn parse(token: &[u8]) -> Option<Credentials> {
    let digits = token.iter().take_while(|byte| is_token(**byte)).count();
    let padding = token.get(digits..)?.iter().all(|&byte| byte == b'=');
    (digits > 0 && padding).then(|| Credentials::bearer(token))
}

const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_grammar_of_a_token_parses() {
        for (token, parses) in [
            (&b"mF_9.B5f-4.1JqM"[..], true),
            (b"abc==", true),
            (b"", false),
            (b"==", false),
            (b"a=b", false),
            (b"a b", false),
            (b"a\"b", false),
        ] {
            assert_eq!(parse(token).is_some(), parses, "{}", token.escape_ascii());
        }
    }
}
