//! [`Coding`], and which of them a request accepts (RFC 9110 §12.5.3).

use std::cmp::Reverse;

use http::HeaderMap;
use http::header::ACCEPT_ENCODING;

/// A content coding (RFC 9110 §8.4.1) that a file may have been stored in beforehand, beside the file itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Coding {
    /// `br` (RFC 7932), in a file ending in `.br`.
    Brotli,
    /// `gzip` (RFC 1952), in a file ending in `.gz`.
    Gzip,
    /// `zstd` (RFC 8878), in a file ending in `.zst`.
    Zstd,
}

/// The weight of a coding in thousandths; 0 is "not acceptable".
type Weight = u16;

impl Coding {
    /// Its name in `Content-Encoding`.
    pub(super) const fn token(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }

    /// What is appended to the name of the file.
    pub(super) const fn suffix(self) -> &'static [u8] {
        match self {
            Self::Brotli => b".br",
            Self::Gzip => b".gz",
            Self::Zstd => b".zst",
        }
    }

    fn is_called(self, name: &str) -> bool {
        // RFC 9110 §8.4.1.3: `x-gzip` is `gzip`.
        let other_name = self == Self::Gzip && name.eq_ignore_ascii_case("x-gzip");
        other_name || name.eq_ignore_ascii_case(self.token())
    }
}

/// In which forms a request would have a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Accepted {
    /// The codings that go before the file itself, most wanted first.
    pub(super) codings: Vec<Coding>,
    /// Whether the file itself is acceptable.
    pub(super) identity: bool,
}

impl Accepted {
    /// Chooses from `offered`; where the request gives equal weight, in the order of `offered`.
    ///
    /// Without the field anything would be acceptable, and the file itself is what every recipient understands. A
    /// coding that weighs less than the file itself is not looked for: the file is there, or nothing is.
    pub(super) fn choose(headers: &HeaderMap, offered: &[Coding]) -> Self {
        let weights = Weights::from_fields(headers);
        let identity = weights.of(|name| name.eq_ignore_ascii_case("identity"));
        let least = identity.unwrap_or(0).max(1);
        let mut weighed: Vec<_> = offered
            .iter()
            .filter_map(|&coding| Some((weights.of(|name| coding.is_called(name))?, coding)))
            .filter(|&(weight, _)| weight >= least)
            .collect();
        weighed.sort_by_key(|&(weight, _)| Reverse(weight));
        Self {
            codings: weighed.into_iter().map(|(_, coding)| coding).collect(),
            identity: identity != Some(0),
        }
    }
}

/// `Accept-Encoding = #( codings [ weight ] )`, of all its field lines.
struct Weights<'a>(Vec<(&'a str, Weight)>);

impl<'a> Weights<'a> {
    /// An element that is not understood accepts nothing: nobody is sent a coding that was not asked for.
    fn from_fields(headers: &'a HeaderMap) -> Self {
        let lines = headers.get_all(ACCEPT_ENCODING).into_iter();
        let elements = lines
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(','));
        Self(elements.filter_map(element).collect())
    }

    /// What was said of the coding by name, otherwise what was said of `*`; `None` if nothing was.
    fn of(&self, is_it: impl Fn(&str) -> bool) -> Option<Weight> {
        let by_name = self.0.iter().find(|(name, _)| is_it(name));
        let found = by_name.or_else(|| self.0.iter().find(|(name, _)| *name == "*"));
        found.map(|&(_, weight)| weight)
    }
}

fn element(text: &str) -> Option<(&str, Weight)> {
    match text.split_once(';') {
        None => Some((text.trim_ascii(), 1000)),
        Some((name, parameter)) => {
            let (q, value) = parameter.trim_ascii().split_once('=')?;
            let weight = q.eq_ignore_ascii_case("q").then(|| thousandths(value))??;
            Some((name.trim_ascii(), weight))
        }
    }
}

/// `qvalue = ( "0" [ "." 0*3DIGIT ] ) / ( "1" [ "." 0*3("0") ] )` (RFC 9110 §12.4.2).
fn thousandths(qvalue: &str) -> Option<Weight> {
    let (whole, fraction) = qvalue.split_once('.').unwrap_or((qvalue, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let fraction: Weight = format!("{fraction:0<3}").parse().ok()?;
    match (whole, fraction) {
        ("0", fraction) => Some(fraction),
        ("1", 0) => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::{ACCEPT_ENCODING, Accepted, Coding};

    const OFFERED: [Coding; 3] = [Coding::Brotli, Coding::Zstd, Coding::Gzip];

    fn order(lines: &[&'static str]) -> Vec<&'static str> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(ACCEPT_ENCODING, HeaderValue::from_static(line));
        }
        let accepted = Accepted::choose(&headers, &OFFERED);
        let codings = accepted.codings.into_iter().map(Coding::token);
        codings.chain(accepted.identity.then_some("identity")).collect()
    }

    #[test]
    fn the_most_wanted_comes_first() {
        for (lines, expected) in [
            (&[][..], &["identity"][..]),
            (&[""], &["identity"]),
            (&["gzip"], &["gzip", "identity"]),
            (&["GZIP"], &["gzip", "identity"]),
            (&["x-gzip"], &["gzip", "identity"]),
            (&["gzip, br, zstd"], &["br", "zstd", "gzip", "identity"]),
            (&["gzip", "br"], &["br", "gzip", "identity"]),
            (&["gzip;q=1.0, br;q=0.5"], &["gzip", "br", "identity"]),
            (&["gzip ; q=0.2 , br;Q=0.1"], &["gzip", "br", "identity"]),
            (&["gzip;q=0.001"], &["gzip", "identity"]),
            (&["identity, gzip;q=0.5"], &["identity"]),
            (&["deflate"], &["identity"]),
            (&["*"], &["br", "zstd", "gzip", "identity"]),
            (&["*;q=0.5, gzip;q=0.1"], &["br", "zstd", "identity"]),
        ] {
            assert_eq!(order(lines), expected, "{lines:?}");
        }
    }

    #[test]
    fn a_weight_of_zero_excludes() {
        for (lines, expected) in [
            (&["gzip;q=0"][..], &["identity"][..]),
            (&["gzip;q=0.000"], &["identity"]),
            (&["gzip;q=0, *"], &["br", "zstd", "identity"]),
            (&["*;q=0"], &[]),
            (&["identity;q=0"], &[]),
            (&["identity;q=0, br"], &["br"]),
            (&["*;q=0, identity;q=0.1"], &["identity"]),
            (&["gzip, *;q=0"], &["gzip"]),
        ] {
            assert_eq!(order(lines), expected, "{lines:?}");
        }
    }

    #[test]
    fn what_is_not_understood_is_not_accepted() {
        for line in [
            "gzip;q=2",
            "gzip;q=1.001",
            "gzip;q=0.1234",
            "gzip;q=",
            "gzip;q=-1",
            "gzip;q=.5",
            "gzip;x=1",
            "gzip;",
            "gzip;q=0.5;q=1",
            "gzippy",
            "gz",
            "\u{fffd}gzip",
        ] {
            let Ok(value) = HeaderValue::from_bytes(line.as_bytes()) else {
                panic!("{line}")
            };
            let headers = HeaderMap::from_iter([(ACCEPT_ENCODING, value)]);
            assert_eq!(
                Accepted::choose(&headers, &OFFERED),
                Accepted {
                    codings: vec![],
                    identity: true
                },
                "{line}"
            );
        }
    }
}
