//! Who is asking, according to the request: `Authorization` header → [`Credentials`]. No I/O, no decision.
//!
//! A new scheme is one file here and one variant of [`Scheme`].

pub mod basic;
pub(crate) mod bearer;

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

/// The schemes there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// RFC 7617.
    Basic,
    /// RFC 6750.
    Bearer,
}

/// Reads the credentials of a request.
///
/// # Errors
///
/// [`Unauthenticated`], without saying more than that of what was sent.
pub fn credentials(headers: &HeaderMap) -> Result<Credentials, Unauthenticated> {
    let (scheme, rest) = authorization(headers)?;
    scheme.parse(rest).ok_or(Unauthenticated::Malformed)
}

/// As [`credentials`], where one scheme only will do: any other is [`Unauthenticated::Malformed`].
///
/// # Errors
///
/// As [`credentials`].
pub(crate) fn credentials_by(wanted: Scheme, headers: &HeaderMap) -> Result<Credentials, Unauthenticated> {
    let (scheme, rest) = authorization(headers)?;
    let credentials = (scheme == wanted).then(|| scheme.parse(rest)).flatten();
    credentials.ok_or(Unauthenticated::Malformed)
}

/// The bearer token of a request, to be revoked by whoever bears it.
///
/// # Errors
///
/// As [`credentials`].
pub(crate) fn bearer_token(headers: &HeaderMap) -> Result<&str, Unauthenticated> {
    match authorization(headers)? {
        (Scheme::Bearer, token) => std::str::from_utf8(token).map_err(|_| Unauthenticated::Malformed),
        (Scheme::Basic, _) => Err(Unauthenticated::Malformed),
    }
}

impl Scheme {
    fn parse(self, rest: &[u8]) -> Option<Credentials> {
        match self {
            Self::Basic => basic::parse(rest),
            Self::Bearer => bearer::parse(rest),
        }
    }
}

/// The one `Authorization` field, in its two parts.
fn authorization(headers: &HeaderMap) -> Result<(Scheme, &[u8]), Unauthenticated> {
    let mut fields = headers.get_all(AUTHORIZATION).iter();
    let value = fields.next().ok_or(Unauthenticated::Absent)?;
    if fields.next().is_some() {
        return Err(Unauthenticated::Repeated);
    }
    let (scheme, rest) = split_scheme(value.as_bytes()).ok_or(Unauthenticated::Malformed)?;
    if scheme.eq_ignore_ascii_case(b"Basic") {
        Ok((Scheme::Basic, rest))
    } else if scheme.eq_ignore_ascii_case(b"Bearer") {
        Ok((Scheme::Bearer, rest))
    } else {
        Err(Unauthenticated::Malformed)
    }
}

/// `auth-scheme 1*SP token68` (RFC 9110 §11.4).
fn split_scheme(value: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = value.iter().position(|&byte| byte == b' ')?;
    let (scheme, rest) = value.split_at(end);
    Some((scheme, rest.trim_ascii_start()))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(fields: &[&'static str]) -> HeaderMap {
        let fields = fields.iter().copied().map(HeaderValue::from_static);
        fields.map(|field| (AUTHORIZATION, field)).collect()
    }

    #[test]
    fn one_field_of_a_known_scheme_is_read_and_any_other_refused() {
        use Unauthenticated::{Absent, Malformed, Repeated};
        for (fields, basic, bearer) in [
            (&[][..], Err(Absent), Err(Absent)),
            (&["Basic YTpi"], Ok(()), Err(Malformed)),
            (&["bASIC  YTpi"], Ok(()), Err(Malformed)),
            (&["Bearer abc"], Err(Malformed), Ok(())),
            (&["bEARER  abc"], Err(Malformed), Ok(())),
            (&["Basic"], Err(Malformed), Err(Malformed)),
            (&["Digest YTpi"], Err(Malformed), Err(Malformed)),
            (&["Basic YTpi", "Basic YTpi"], Err(Repeated), Err(Repeated)),
            (&["Bearer abc", "Basic YTpi"], Err(Repeated), Err(Repeated)),
        ] {
            let headers = headers(fields);
            let by = |scheme| credentials_by(scheme, &headers).map(drop);
            assert_eq!(by(Scheme::Basic), basic, "{fields:?}");
            assert_eq!(by(Scheme::Bearer), bearer, "{fields:?}");
            assert_eq!(credentials(&headers).map(drop), basic.or(bearer), "{fields:?}");
            assert_eq!(bearer_token(&headers).map(drop), bearer, "{fields:?}");
        }
    }
}
