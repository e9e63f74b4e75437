//! What a revocation is worth from outside: over HTTP, made by the API, by the command line in another process, or by another
//! program through the library. No download that begins after it returned carries a byte, and none that is under way
//! carries one later than the bound.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    unreachable_pub,
    dead_code,
    reason = "tests build their own trees by name, and stop at the first surprise"
)]

#[path = "../../crates/beneath-catalog/tests/processes/checker.rs"]
mod checker;
mod cut;
mod download;
mod histories;
mod http2;
mod scene;

/// How often, from the environment.
fn times(variable: &str, default: usize) -> usize {
    std::env::var(variable).map_or(default, |times| times.parse().expect("a number of times"))
}
