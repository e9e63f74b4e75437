//! What is fuzzed, as plain functions of bytes that panic where something is wrong.
//!
//! A new target is one function here, a three-line program in `../fuzz_targets`, a `[[bin]]` in `../Cargo.toml`, a line in
//! [`TARGETS`], and a folder of seeds in `../corpus`.

#![forbid(unsafe_code)]
#![allow(
    clippy::disallowed_methods,
    clippy::missing_panics_doc,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a panic is how a target says that it found something; trees are built by name"
)]

mod basic;
mod range;
mod rel_path;
mod resolve;

pub use basic::basic;
pub use range::range;
pub use rel_path::rel_path;
pub use resolve::resolve_differential;

/// A function of bytes that panics where something is wrong.
pub type Target = fn(&[u8]);

/// Every target by the name of its corpus and its program.
pub const TARGETS: &[(&str, Target)] = &[
    ("basic", basic),
    ("range", range),
    ("rel_path", rel_path),
    ("resolve_differential", resolve_differential),
];
