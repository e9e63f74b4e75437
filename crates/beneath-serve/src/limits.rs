//! [`Limits`]: how much, how long, how many; each with its reason.

use std::time::Duration;

use crate::proxies::Proxies;

/// How much, how long and how many a server grants each client. The default is for a public server.
///
/// ```
/// use std::time::Duration;
///
/// let mut limits = beneath_serve::Limits::default();
/// limits.header_timeout = Duration::from_secs(5);
/// limits.connections = 2_000;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// How many connections may be open at once. When that many are, no more are accepted: they wait in the
    /// kernel's queue.
    ///
    /// Default: two fifths of the descriptors this process may open (`RLIMIT_NOFILE`), at most 16,384; a download
    /// needs two descriptors, and the application needs some too. Where there are few, only so many
    /// that the application has 40 left when each connection has a file; at least 8.
    ///
    /// No address may hold more of them than are free (dynamic queue thresholds, Choudhury and Hahne 1998): one
    /// address alone gets half, ten addresses that all take what they can get an eleventh each, and there is always room
    /// for one that has none. IPv6 addresses are counted by their /64, and
    /// [`proxies`](Self::proxies), the loopback addresses and unix sockets, where a proxy stands, are not counted at all.
    pub connections: usize,
    /// An upper bound on the connections of one address (of one /64), whatever is free. Default: none.
    pub connections_per_address: usize,
    /// From the shutdown signal to the moment when what is left is cut. Default 30 s.
    pub drain: Duration,
    /// How long a TLS handshake may take, from the first chance to send it. Default 10 s.
    pub handshake_timeout: Duration,
    /// How many TLS handshakes may be computed at once; more wait, within their timeout. They cost more than anything else
    /// a stranger can ask for, and so that a flood of them does not stand between a download and its turn, few
    /// are in the queue at a time. Waiting for the client is not counted. Default 2.
    pub handshakes: usize,
    /// How large a request head may be, in bytes: more is answered 431. At least 8,192. Default 16 KiB. Of a request
    /// there may be 100 header fields, in HTTP/1.
    pub header_bytes: usize,
    /// How long a request head may take from its first byte to its last, however it drips; for the first request of
    /// a connection, from the accept. Default 10 s.
    pub header_timeout: Duration,
    /// How long a connection may stay open with no request under way. Default 60 s.
    pub idle_timeout: Duration,
    /// The rate below which a client loses its connection, in bytes per second, together with
    /// [`stall_timeout`](Self::stall_timeout): default 2 KiB/s. The streams of an HTTP/2 connection share it.
    pub minimum_rate: u32,
    /// Who may hold all connections, because they speak for many. Default: none.
    pub proxies: Proxies,
    /// How large a request body may be, in bytes: more is answered 413 if it is announced, and is an error of
    /// the body if it is not. Default 2 MiB.
    pub request_body: u64,
    /// From how many bytes in a row a file leaves by sendfile(2) instead of through this process, where it can
    /// ([`Server::serve_files`](crate::Server::serve_files); HTTP/1 without TLS). `u64::MAX`: never. Default 16 KiB.
    pub sendfile_from: u64,
    /// How long a client may take nothing of what waits to be sent to it, or send nothing of what it announced.
    /// Default 30 s.
    ///
    /// Each client has this much time as credit. While something waits for the client the
    /// credit is spent, each byte that it acknowledges or sends earns `1 / minimum_rate` seconds of it back, and when
    /// it is gone the connection is reset. So a client that takes nothing is cut after this long, one that stops after
    /// this long and at most a quarter of it (it is looked at so often), one slower than the
    /// minimum rate somewhat later, and one that is faster and takes something within each such time never, however large the file
    /// and however much of it the kernel has taken. Time that the application needs is not counted.
    pub stall_timeout: Duration,
    /// How many requests one HTTP/2 connection may have under way. Default 100, the least that RFC 9113 §6.5.2
    /// recommends.
    pub streams: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: connections_for(descriptors()),
            connections_per_address: usize::MAX,
            drain: Duration::from_secs(30),
            handshake_timeout: Duration::from_secs(10),
            handshakes: 2,
            header_bytes: 16 * 1024,
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
            minimum_rate: 2 * 1024,
            proxies: Proxies::default(),
            request_body: 2 * 1024 * 1024,
            sendfile_from: 16 * 1024,
            stall_timeout: Duration::from_secs(30),
            streams: 100,
        }
    }
}

/// What an application needs besides the files it sends: a database, its listeners, its log.
const FOR_THE_APPLICATION: u64 = 40;

/// How many descriptors this process may open.
fn descriptors() -> u64 {
    rustix::process::getrlimit(rustix::process::Resource::Nofile)
        .current
        .unwrap_or(u64::MAX)
}

fn connections_for(descriptors: u64) -> usize {
    let each_with_a_file = descriptors.saturating_sub(FOR_THE_APPLICATION) / 2;
    usize::try_from(each_with_a_file.min(descriptors / 5 * 2))
        .unwrap_or(usize::MAX)
        .clamp(8, 16_384)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_connection_can_have_a_file_and_the_application_keeps_some_descriptors() {
        assert!(1024 - 2 * connections_for(1024) as u64 >= FOR_THE_APPLICATION);
        assert_eq!(connections_for(1024), 408);
        assert_eq!(connections_for(64), 12);
        assert_eq!(connections_for(u64::MAX), 16_384);
        assert_eq!(connections_for(0), 8);
    }
}
