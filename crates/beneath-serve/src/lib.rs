//! An accept loop for hyper and axum applications whose connections cannot be exhausted.

mod limits;
mod peer;
mod server;

pub use limits::Limits;
pub use peer::{Abort, Peer};
pub use server::{Drained, Error, Server};
