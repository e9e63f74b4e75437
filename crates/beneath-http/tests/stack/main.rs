//! The whole stack over real sockets: the applications of the examples, which tests serve as they are.

#![allow(
    clippy::disallowed_methods,
    reason = "tests build and inspect their own trees by name"
)]
#![allow(
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "the helpers of tests fail as tests do"
)]

mod flaws_framing;
mod flaws_headers;
mod flaws_paths;
mod flaws_race;
mod flaws_ranges;
mod resume;
mod scoreboard;
mod serve_root;
mod support;
