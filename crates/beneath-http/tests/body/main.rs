//! What a client sees of a file that changes while it is sent.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on must fail"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "tests build and inspect their own trees by name"
)]

mod cold;
mod events;
mod frames;
mod kept;
mod segments;
mod support;
mod wire;
