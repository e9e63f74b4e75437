//! [`Peer`] and [`Abort`]: what a handler finds in the extensions of every request.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::Notify;

/// Who is at the other end of the connection: in the extensions of every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Peer {
    /// A TCP connection from this address. Behind a proxy it is the proxy.
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

/// Ends the connection that serves a request, at once and visibly: in the extensions of every request.
#[derive(Clone)]
pub struct Abort(pub(crate) Arc<Notify>);

impl Abort {
    /// Ends the connection. The client sees an error, never a body that looks complete.
    pub fn abort(&self) {
        self.0.notify_one();
    }
}

impl fmt::Debug for Abort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Abort")
    }
}
