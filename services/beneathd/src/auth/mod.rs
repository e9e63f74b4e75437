//! Who is asking, according to the request: `Authorization` header → [`Credentials`]. No I/O, no decision.
//!
//! A new scheme is one file here and one arm in [`credentials`].

pub mod basic;
pub mod bearer;

use beneath_catalog::Credentials;
use http::HeaderMap;
use http::header::AUTHORIZATION;

/// Why a request carries no usable credentials. To a client all are `401`, but for the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the rejection table decides on each")]
pub enum Unauthenticated {
    /// No `Authorization` field.
    Absent,
    /// A field that no scheme here understands, or a malformed one.
    Malformed,
    /// More than one field: a proxy and we might each believe another (RFC 9110 §5.3).
    Repeated,
}

/// Reads the credentials of a request.
///
/// # Errors
///
/// [`Unauthenticated`], without saying more than that of what was sent.
pub fn credentials(headers: &HeaderMap) -> Result<Credentials, Unauthenticated> {
    let mut fields = headers.get_all(AUTHORIZATION).iter();
    let value = fields.next().ok_or(Unauthenticated::Absent)?;
    if fields.next().is_some() {
        return Err(Unauthenticated::Repeated);
    }
    let (scheme, rest) = split_scheme(value.as_bytes()).ok_or(Unauthenticated::Malformed)?;
    let credentials = if scheme.eq_ignore_ascii_case(b"Basic") {
        basic::parse(rest)
    } else if scheme.eq_ignore_ascii_case(b"Bearer") {
        bearer::parse(rest)
    } else {
        None
    };
    credentials.ok_or(Unauthenticated::Malformed)
}

/// `auth-scheme 1*SP token68` (RFC 9110 §11.4).
fn split_scheme(value: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = value.iter().position(|&byte| byte == b' ')?;
    let (scheme, rest) = value.split_at(end);
    Some((scheme, rest.trim_ascii_start()))
}
