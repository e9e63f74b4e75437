//! What only shows with several processes: no decision is overtaken, nothing acknowledged is lost.
//!
//! Not run by libtest, since it starts itself again as the other process. `BENEATH_HISTORIES` and `BENEATH_KILLS` set how
//! often (400 and 100 by default); arguments choose tests by a part of their names.
#![allow(
    clippy::disallowed_methods,
    reason = "tests build and inspect their own trees by name"
)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    unreachable_pub,
    reason = "all of this is tests"
)]

#[path = "../common/mod.rs"]
mod common;

mod checker;
mod child;
mod histories;
mod kill;

use std::time::Instant;

const TESTS: [(&str, fn()); 6] = [
    (
        "the_checker_accepts_what_is_right_and_rejects_what_is_not",
        checker::accepts_and_rejects,
    ),
    (
        "a_catalog_that_decides_from_a_stale_cache_is_caught",
        histories::stale_cache_is_caught,
    ),
    (
        "a_catalog_that_returns_before_a_change_is_effective_is_caught",
        histories::early_return_is_caught,
    ),
    (
        "a_catalog_that_does_not_cut_leases_is_caught",
        histories::uncut_leases_are_caught,
    ),
    (
        "no_decision_is_overtaken_whoever_makes_the_change",
        histories::of_the_catalog_are_linearizable,
    ),
    (
        "whatever_was_acknowledged_survives_kill_9",
        kill::nothing_acknowledged_is_lost,
    ),
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(role) = arguments
        .first()
        .filter(|argument| argument.starts_with("child:"))
    {
        return child::run(role, &arguments[1..]);
    }
    if arguments.iter().any(|argument| argument == "--list") {
        TESTS.iter().for_each(|(name, _)| println!("{name}: test"));
        return;
    }
    let filters: Vec<&String> = arguments
        .iter()
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    let chosen = |name: &str| filters.is_empty() || filters.iter().any(|filter| name.contains(*filter));
    for (name, test) in TESTS.iter().filter(|(name, _)| chosen(name)) {
        let since = Instant::now();
        test(); // panics, and with it the process fails
        println!("test {name} ... ok ({:.1} s)", since.elapsed().as_secs_f64());
    }
}

/// How often, from the environment.
fn times(variable: &str, default: usize) -> usize {
    std::env::var(variable).map_or(default, |times| times.parse().expect("a number of times"))
}
