//! [`check`]: one host per request, and one that is one.
//!
//! Whoever routes or builds links by `Host` and whoever stands in front must see the same (CWE-444). hyper takes
//! HTTP/1.1 requests with none, with two, and with anything in it.

use http::{HeaderValue, Request, Version, header::HOST};

/// A request that names its host as the standard demands.
///
/// # Errors
///
/// RFC 9112 §3.2: "A server MUST respond with a 400 (Bad Request) status code to any HTTP/1.1 request message that
/// lacks a Host header field and to any request message that contains more than one Host header field line or a Host
/// header field with an invalid field value." RFC 9113 §8.3.1: a `Host` that differs from `:authority` is malformed.
pub(crate) fn check<B>(request: &Request<B>) -> Result<(), BadHost> {
    let mut hosts = request.headers().get_all(HOST).iter();
    let (host, second) = (hosts.next(), hosts.next());
    if second.is_some() {
        return Err(BadHost);
    }
    match (request.version(), host) {
        (Version::HTTP_2, None) => is_host(authority(request).ok_or(BadHost)?),
        (Version::HTTP_2, Some(host)) => match authority(request) {
            Some(authority) if !authority.eq_ignore_ascii_case(host.as_bytes()) => Err(BadHost),
            _ => is_host(host.as_bytes()),
        },
        (_, Some(host)) => is_host(host.as_bytes()).and_then(|()| authority(request).map_or(Ok(()), is_host)),
        (Version::HTTP_11, None) => Err(BadHost),
        (_, None) => authority(request).map_or(Ok(()), is_host),
    }
}

/// What an application sees as `Host` is what the target names, where it names a host: RFC 9112 §3.2.2 has the field ignored then.
pub(crate) fn replace<B>(request: &mut Request<B>) {
    let named = authority(request).and_then(|host| HeaderValue::from_bytes(host).ok());
    if let Some(host) = named
        && request.version() != Version::HTTP_2
    {
        request.headers_mut().insert(HOST, host);
    }
}

fn authority<B>(request: &Request<B>) -> Option<&[u8]> {
    request
        .uri()
        .authority()
        .map(|authority| authority.as_str().as_bytes())
}

/// None, several, or not a host.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadHost;

/// `uri-host [ ":" port ]` (RFC 9110 §7.2, RFC 3986 §3.2.2), and not empty (RFC 9110 §4.2.1).
fn is_host(value: &[u8]) -> Result<(), BadHost> {
    let (host, port) = match value {
        [b'[', ..] => {
            let end = value.iter().position(|&byte| byte == b']').ok_or(BadHost)?;
            (&value[1..end], &value[end + 1..])
        }
        _ => value.split_at(value.iter().position(|&byte| byte == b':').unwrap_or(value.len())),
    };
    let of_host = |&byte: &u8| match value[0] {
        b'[' => byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.'),
        _ => byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=".contains(&byte),
    };
    let port_is_fine = match port {
        [] => true,
        [b':', digits @ ..] => digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    if !host.is_empty() && host.iter().all(of_host) && port_is_fine {
        Ok(())
    } else {
        Err(BadHost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_and_perhaps_a_port() {
        for good in [
            "a",
            "A.example:80",
            "127.0.0.1:8080",
            "[::1]",
            "[2001:db8::1]:443",
            "a:",
            "x_y.z",
            "%41",
        ] {
            assert_eq!(is_host(good.as_bytes()), Ok(()), "{good}");
        }
        for bad in [
            "", ":80", "a b", "a, b", "a/b", "a@b", "u:p@h", "a:b", "a:80:90", "[::1", "::1", "[::1]x", "[]",
            "[a@b]", "a\"b", "a?b", "a#b", "a\\b", "é",
        ] {
            assert_eq!(is_host(bad.as_bytes()), Err(BadHost), "{bad}");
        }
    }

    #[test]
    fn every_version_of_http_has_its_rule() {
        let request = |version, uri: &str, hosts: &[&str]| {
            let mut request = Request::builder().version(version).uri(uri);
            for host in hosts {
                request = request.header(HOST, *host);
            }
            check(&request.body(()).unwrap()).is_ok()
        };
        for (version, uri, hosts, fine) in [
            (Version::HTTP_11, "/", &["a"][..], true),
            (Version::HTTP_11, "/", &[], false),
            (Version::HTTP_11, "/", &["a", "a"], false),
            (Version::HTTP_11, "/", &["a", "b"], false),
            (Version::HTTP_10, "/", &[], true),
            (Version::HTTP_10, "/", &["a", "b"], false),
            (Version::HTTP_2, "https://a/", &[], true),
            (Version::HTTP_2, "https://a/", &["A"], true),
            (Version::HTTP_2, "https://a/", &["b"], false),
            (Version::HTTP_2, "https://a/", &["a", "a"], false),
            (Version::HTTP_2, "/", &[], false),
            (Version::HTTP_2, "/", &["a"], true),
            (Version::HTTP_2, "/", &["a/b"], false),
            (Version::HTTP_2, "https://u@a/", &[], false),
            (Version::HTTP_2, "https://u@a/", &["u@a"], false),
            (Version::HTTP_10, "http://u@a/", &[], false),
        ] {
            assert_eq!(request(version, uri, hosts), fine, "{version:?} {uri} {hosts:?}");
        }
    }

    #[test]
    fn a_target_that_names_a_host_is_what_the_application_sees() {
        for (target, host) in [("/", "a"), ("http://b:80/", "b:80")] {
            let request = Request::builder().uri(target).header(HOST, "a").body(());
            let mut request = request.unwrap();
            replace(&mut request);
            assert_eq!(request.headers()[HOST], host, "{target}");
        }
    }
}
