//! [`Peer`] and [`Abort`]: what a handler finds in the extensions of every request, or a service in its body.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::exchange::Exchange;

/// Who is at the other end of the connection: in the extensions of every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Peer {
    /// A TCP connection from this address. Behind a proxy it is the proxy: see [`Proxies`](crate::Proxies).
    Tcp(SocketAddr),
    /// A connection over a unix socket.
    Unix,
}

impl Peer {
    /// The address, if there is one.
    pub const fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) => Some(*address),
            Self::Unix => None,
        }
    }
}

/// Ends what serves a request, at once and visibly: in the extensions of every request.
///
/// For when the right to what is being sent falls while the client is not reading, so that the body is not
/// asked for more and cannot say so itself.
#[derive(Clone, Debug)]
pub struct Abort(pub(crate) Arc<Exchange>);

impl Abort {
    /// Resets the HTTP/1 connection, or the HTTP/2 stream. The client sees an error, never a body that
    /// looks complete, and what waited in this process or in the kernel to be sent over an HTTP/1 connection is
    /// thrown away. Once the connection serves another request it does nothing.
    pub fn abort(&self) {
        self.0.abort();
    }
}
