//! An accept loop for hyper and axum applications whose connections cannot be exhausted.

mod admission;
mod connection;
mod error;
mod exchange;
mod guarded;
mod head_check;
mod host;
mod limits;
mod listener;
mod peer;
mod protocol;
mod request_body;
mod server;
mod streams;
mod tls;
mod watchdog;
mod wire;

pub use error::Error;
pub use limits::Limits;
pub use peer::{Abort, Peer};
pub use request_body::{RequestBody, RequestBodyError};
pub use server::{Drained, Server};
pub use tls::Tls;
