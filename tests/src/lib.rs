//! What the end-to-end tests share: the built `beneathd` as a child process, and a client that sends exactly the
//! bytes it is given.

#![forbid(unsafe_code)]
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a test harness: builds its own trees by name, and a failure is a panic"
)]

pub mod api;
pub mod h2;
pub mod house;
pub mod http;
pub mod service;
pub mod terminal;
pub mod trees;

pub use api::Api;
pub use house::{House, Outcome, run};
pub use service::{Beneathd, Published, beneathd};
