//! Basic (RFC 7617), with the UTF-8 of its §2.1.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use beneath_catalog::Credentials;

/// What a `401` asks for. One realm: one set of users.
pub const CHALLENGE: &str = r#"Basic realm="beneath", charset="UTF-8""#;

/// Longer than any credentials that could match, so that nobody makes us decode a novel.
const MAX_TOKEN: usize = 4096;

/// Parses the `token68` after `Basic`. The user ends at the first colon; the password may hold more of them.
///
/// `None` for what is not Base64, has no colon, or holds a control character (RFC 7617 §2 forbids them).
/// Whether the two are UTF-8, known and right is for the catalog to find out, in one shape of time.
pub fn parse(token: &[u8]) -> Option<Credentials> {
    if token.len() > MAX_TOKEN {
        return None;
    }
    let pair = STANDARD.decode(token).ok()?;
    if pair.iter().any(u8::is_ascii_control) {
        return None;
    }
    let colon = pair.iter().position(|&byte| byte == b':')?;
    Some(Credentials::basic(&pair[..colon], &pair[colon + 1..]))
}
