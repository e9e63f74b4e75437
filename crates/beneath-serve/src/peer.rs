//! [`Peer`] and [`Abort`]: what a service finds in the body of a request, and a handler in its extensions.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::exchange::Exchange;

/// Who is at the other end of the connection: in every [`RequestBody`](crate::RequestBody), and under
/// [`Server::serve`](crate::Server::serve) in the extensions of the request.
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

/// Ends what serves a request, at once and visibly: to be had where the [`Peer`] is.
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
