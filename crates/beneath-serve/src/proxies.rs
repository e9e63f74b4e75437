//! [`Proxies`]: whose word counts on who the client is.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName};
use ipnet::{IpNet, Ipv4Net};

use crate::error::Error;
use crate::peer::Peer;

/// The reverse proxies that say truly for whom they ask. The default is none: then every peer is its own client.
///
/// ```
/// use beneath_serve::{Peer, Proxies};
///
/// let proxies = Proxies::default().trust("10.0.0.0/8")?;
/// let mut headers = http::HeaderMap::new();
/// headers.insert("x-forwarded-for", "203.0.113.9, 192.0.2.1".parse()?);
///
/// let proxy = Peer::Tcp("10.1.2.3:4711".parse()?);
/// assert_eq!(proxies.client(proxy, &headers), Some("192.0.2.1".parse()?));
/// let stranger = Peer::Tcp("198.51.100.7:4711".parse()?);
/// assert_eq!(proxies.client(stranger, &headers), Some("198.51.100.7".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Security
///
/// Only `X-Forwarded-For` is read, and from its end: each proxy appends whom it was asked by, what stands before was sent by the
/// client and may be anything. The first address from the end that is not a trusted proxy's is the client. So a network in the list
/// must have proxies in it only: a client in it would be taken for one, and could choose its address; as it could if a proxy
/// passed the field on without appending to it. `Forwarded` (RFC 7239) is not read:
/// a proxy that writes one of the two passes the other through as the client sent it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies {
    networks: Vec<IpNet>,
    unix: bool,
}

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

impl Proxies {
    /// Trusts what connects from an address (`"10.0.0.1"`, `"2001:db8::1"`), from a network (`"10.0.0.0/8"`), or over a unix socket
    /// (`"unix"`).
    ///
    /// # Errors
    ///
    /// What is none of these, and a network of all addresses: everybody could say they are anybody.
    pub fn trust(mut self, text: &str) -> Result<Self, Error> {
        if text == "unix" {
            self.unix = true;
            return Ok(self);
        }
        let address = text.parse::<IpAddr>().map(IpNet::from);
        let network = address.ok().or_else(|| text.parse().ok()).map(canonical);
        match network {
            Some(network) if network.prefix_len() > 0 => self.networks.push(network),
            Some(_) => {
                return Err(Error::proxy(
                    text,
                    "is everybody, so that everybody could say they are anybody",
                ));
            }
            None => {
                let what = "is no address, such as \"10.0.0.1\", and no network, such as \"10.0.0.0/8\"";
                return Err(Error::proxy(text, what));
            }
        }
        Ok(self)
    }

    /// The address of whoever asks: the peer's, or what trusted proxies say. `None` over a unix socket from which nothing
    /// more is known. An IPv4 address in IPv6 spelling is given as IPv4.
    pub fn client(&self, peer: Peer, headers: &HeaderMap) -> Option<IpAddr> {
        let peer_address = peer.address().map(|address| address.ip().to_canonical());
        match peer_address {
            Some(address) if !self.include(address) => return peer_address,
            None if !self.unix => return None,
            _ => {}
        }
        let mut nearest = peer_address;
        for field in headers.get_all(FORWARDED_FOR).iter().rev() {
            for hop in field.as_bytes().rsplit(|&byte| byte == b',') {
                // Whoever is not named by address is not known; the proxy that could not name them is.
                let Some(address) = parse(hop) else { return nearest };
                nearest = Some(address);
                if !self.include(address) {
                    return nearest;
                }
            }
        }
        nearest
    }

    /// Whether an address in canonical form is one of theirs.
    pub(crate) fn include(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(&address))
    }
}

/// IPv4 in IPv6 spelling is IPv4, as every address is that is compared with it.
fn canonical(network: IpNet) -> IpNet {
    let IpNet::V6(v6) = network else { return network };
    let v4 = v6.network().to_ipv4_mapped().zip(v6.prefix_len().checked_sub(96));
    let v4 = v4.and_then(|(address, prefix)| Ipv4Net::new(address, prefix).ok());
    v4.map_or(network, IpNet::V4)
}

/// An address, perhaps in brackets, perhaps with a port: programs write them all.
fn parse(hop: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(hop.trim_ascii()).ok()?;
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    let address: Option<IpAddr> = text.parse().ok().or_else(bracketed).or_else(with_port);
    address.map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trusting(networks: &[&str]) -> Proxies {
        let trust = |proxies: Proxies, network: &&str| proxies.trust(network).unwrap();
        networks.iter().fold(Proxies::default(), trust)
    }

    fn client(proxies: &Proxies, peer: &str, fields: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(FORWARDED_FOR, field.parse().unwrap());
        }
        let peer = match peer {
            "unix" => Peer::Unix,
            address => Peer::Tcp((address.parse::<IpAddr>().unwrap(), 1).into()),
        };
        proxies.client(peer, &headers).map(|address| address.to_string())
    }

    #[test]
    fn the_client_is_the_last_that_is_no_trusted_proxy() {
        let proxies = trusting(&[
            "10.0.0.0/8",
            "::ffff:172.16.0.0/108",
            "2001:db8:1::/48",
            "127.0.0.1",
        ]);
        for (peer, fields, expected) in [
            ("10.0.0.1", &["192.0.2.1"][..], "192.0.2.1"),
            ("10.0.0.1", &["203.0.113.9, 192.0.2.1"], "192.0.2.1"),
            ("10.0.0.1", &["203.0.113.9", "192.0.2.1"], "192.0.2.1"),
            ("10.0.0.1", &["192.0.2.1, 10.9.9.9"], "192.0.2.1"),
            (
                "10.0.0.1",
                &["203.0.113.9,192.0.2.1", "10.9.9.9 ,\t10.8.8.8"],
                "192.0.2.1",
            ),
            ("::ffff:10.0.0.1", &["192.0.2.1"], "192.0.2.1"),
            ("172.16.0.1", &["192.0.2.1, 172.17.0.1"], "192.0.2.1"),
            ("2001:db8:1::5", &["2001:db8:2::7"], "2001:db8:2::7"),
            ("127.0.0.1", &["[2001:db8:2::7]:4711"], "2001:db8:2::7"),
            ("127.0.0.1", &["[2001:db8:2::7]"], "2001:db8:2::7"),
            ("127.0.0.1", &["192.0.2.1:4711"], "192.0.2.1"),
            ("127.0.0.1", &["::ffff:192.0.2.1"], "192.0.2.1"),
        ] {
            assert_eq!(
                client(&proxies, peer, fields).as_deref(),
                Some(expected),
                "{peer} {fields:?}"
            );
        }
    }

    #[test]
    fn who_is_not_trusted_is_not_believed() {
        for proxies in [Proxies::default(), trusting(&["10.0.0.0/8", "unix"])] {
            for peer in ["192.0.2.7", "2001:db8::1", "11.0.0.1"] {
                assert_eq!(
                    client(&proxies, peer, &["10.0.0.1", "203.0.113.9"]).as_deref(),
                    Some(peer)
                );
            }
        }
        assert_eq!(client(&trusting(&["10.0.0.0/8"]), "unix", &["203.0.113.9"]), None);
    }

    #[test]
    fn where_a_proxy_names_nobody_it_is_the_client_itself() {
        let proxies = trusting(&["10.0.0.0/8"]);
        for (fields, expected) in [
            (&[][..], "10.0.0.1"),
            (&[""], "10.0.0.1"),
            (&["unknown"], "10.0.0.1"),
            (&["203.0.113.9, unknown"], "10.0.0.1"),
            (&["203.0.113.9,"], "10.0.0.1"),
            (&["203.0.113.9, 192.0.2"], "10.0.0.1"),
            (&["203.0.113.9, unknown, 10.0.0.2"], "10.0.0.2"),
            (&["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ] {
            assert_eq!(
                client(&proxies, "10.0.0.1", fields).as_deref(),
                Some(expected),
                "{fields:?}"
            );
        }
    }

    #[test]
    fn over_a_unix_socket_only_a_trusted_proxy_has_a_client_with_an_address() {
        let proxies = trusting(&["unix", "10.0.0.0/8"]);
        assert_eq!(
            client(&proxies, "unix", &["203.0.113.9, 192.0.2.1, 10.0.0.1"]).as_deref(),
            Some("192.0.2.1")
        );
        assert_eq!(client(&proxies, "unix", &[]), None);
    }

    #[test]
    fn what_names_nobody_or_everybody_is_refused() {
        for text in [
            "",
            "proxy",
            "10.0.0.0/33",
            "10.0.0",
            "0.0.0.0/0",
            "::/0",
            "::ffff:0:0/96",
            " 10.0.0.1",
            "10.0.0.1:80",
            "Unix",
        ] {
            let error = Proxies::default().trust(text).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{text:?} ")), "{error}");
        }
    }
}
