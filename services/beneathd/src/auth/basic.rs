//! Basic (RFC 7617), with the UTF-8 of its §2.1.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use beneath_catalog::Credentials;

/// What a `401` asks for. One realm: one set of users.
pub(crate) const CHALLENGE: &str = r#"Basic realm="beneath", charset="UTF-8""#;

/// Longer than any credentials that could match, so that nobody makes us decode a novel.
const MAX_TOKEN: usize = 4096;

/// Parses the `token68` after `Basic`. `None` for what [`split`] does not take.
///
/// Whether user and password are UTF-8, known and right is for the catalog to find out, in one shape of time.
pub(super) fn parse(token: &[u8]) -> Option<Credentials> {
    split(token).map(|(user, password)| Credentials::basic(&user, &password))
}

/// User and password: they part at the first colon, so a password may hold more of them.
///
/// `None` for what is not Base64 with its padding, has no colon, or holds a control character (RFC 7617 §2).
pub fn split(token: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    if token.len() > MAX_TOKEN {
        return None;
    }
    let mut user = STANDARD.decode(token).ok()?;
    if user.iter().any(u8::is_ascii_control) {
        return None;
    }
    let colon = user.iter().position(|&byte| byte == b':')?;
    let password = user.split_off(colon + 1);
    user.pop();
    Some((user, password))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_standard_parse() {
        let pair = |user: &[u8], password: &[u8]| Some((user.to_vec(), password.to_vec()));
        assert_eq!(
            split(b"QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
            pair(b"Aladdin", b"open sesame")
        );
        assert_eq!(split(b"dGVzdDoxMjPCow=="), pair(b"test", "123£".as_bytes()));
    }

    #[test]
    fn user_and_password_part_at_the_first_colon() {
        for (text, user, password) in [
            ("a:b:c", "a", "b:c"),
            (":", "", ""),
            ("a:", "a", ""),
            (":b", "", "b"),
        ] {
            let pair = Some((user.as_bytes().to_vec(), password.as_bytes().to_vec()));
            assert_eq!(split(STANDARD.encode(text).as_bytes()), pair, "{text}");
        }
    }

    #[test]
    fn what_the_grammar_does_not_allow_is_refused() {
        let encoded = |text: &[u8]| STANDARD.encode(text).into_bytes();
        let refused = [
            (b"".to_vec(), "empty"),
            (encoded(b"alice"), "no colon"),
            (encoded(b"alice:a\0b"), "a NUL"),
            (encoded(b"al\nice:x"), "a line break in the user"),
            (encoded(b"alice:\x7f"), "DEL"),
            (b"YTpi=".to_vec(), "padding where none belongs"),
            (b"YWxpY2U6eA".to_vec(), "padding missing"),
            (b"YWxpY2U6eB==".to_vec(), "trailing bits"),
            (b"YTpi YTpi".to_vec(), "a space within"),
            (b"YWxp-_==".to_vec(), "another alphabet"),
            (encoded(&[b"a:".as_slice(), &[b'x'; 4096]].concat()), "too long"),
        ];
        for (token, why) in refused {
            assert_eq!(split(&token), None, "{why}");
        }
    }
}
