//! What a request costs, side by side: every server gets the same corpus, locked in memory, the same request bytes and
//! a core of its own, in rounds that interleave the servers.
//!
//! A machine drifts within minutes, so a figure stands beside the one of nginx *in the same round*, and what is reported
//! is the median of those ratios with the smallest and the largest. CPU time is what the operating system charged to all
//! processes of the server; on loopback that holds the receiving side's TCP work too, for every server alike.

#![forbid(unsafe_code)]
#![allow(
    clippy::disallowed_methods,
    reason = "a harness: makes its own files and reads /proc by name"
)]
#![allow(
    clippy::print_stderr,
    reason = "a harness says what it is doing to the machine"
)]
#![allow(
    clippy::missing_errors_doc,
    reason = "any failure ends the run with its story"
)]

pub mod client;
pub mod corpus;
pub mod debian;
pub mod machine;
pub mod measure;
pub mod open_loop;
pub mod process;
pub mod report;
pub mod rounds;
pub mod server;
pub mod setup;
pub mod statistics;
pub mod tls;
pub mod verdict;
pub mod wrk;
