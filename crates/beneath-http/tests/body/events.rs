//! The table: what happens in the middle of a transfer, and what must come of it.

use crate::support::{Age, Fixture};

/// What the client must see.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Outcome {
    /// Every promised byte, all of the old file.
    Old,
    /// That it failed.
    Failure,
}

#[derive(Clone, Copy)]
pub(crate) struct Event {
    pub(crate) name: &'static str,
    pub(crate) happen: fn(&Fixture),
    pub(crate) age: Age,
    pub(crate) outcome: Outcome,
    /// Whether a server that only reads and counts would send a mixture with 200 and the full length.
    pub(crate) naive_mixes: bool,
}

const fn event(name: &'static str, happen: fn(&Fixture), age: Age, outcome: Outcome) -> Event {
    Event {
        name,
        happen,
        age,
        outcome,
        naive_mixes: false,
    }
}

const fn mixing(event: Event) -> Event {
    Event {
        naive_mixes: true,
        ..event
    }
}

pub(crate) const EVENTS: &[Event] = &[
    event("nothing", Fixture::nothing, Age::Settled, Outcome::Old),
    event("nothing, fresh", Fixture::nothing, Age::Fresh, Outcome::Old),
    mixing(event(
        "overwritten in place",
        Fixture::overwrite,
        Age::Settled,
        Outcome::Failure,
    )),
    mixing(event(
        "overwritten in place, fresh",
        Fixture::overwrite,
        Age::Fresh,
        Outcome::Failure,
    )),
    mixing(event(
        "overwritten in place, its mtime put back",
        Fixture::overwrite_and_put_mtime_back,
        Age::Settled,
        Outcome::Failure,
    )),
    mixing(event(
        "overwritten in place, its mtime put back, fresh",
        Fixture::overwrite_and_put_mtime_back,
        Age::Fresh,
        Outcome::Failure,
    )),
    mixing(event(
        "rewritten and longer",
        Fixture::rewrite_longer,
        Age::Settled,
        Outcome::Failure,
    )),
    mixing(event(
        "rewritten and longer, fresh",
        Fixture::rewrite_longer,
        Age::Fresh,
        Outcome::Failure,
    )),
    mixing(event(
        "its end overwritten, and longer",
        Fixture::overwrite_the_end_and_append,
        Age::Settled,
        Outcome::Failure,
    )),
    mixing(event(
        "its end overwritten, and longer, fresh",
        Fixture::overwrite_the_end_and_append,
        Age::Fresh,
        Outcome::Failure,
    )),
    mixing(event(
        "its end overwritten, its mtime put back",
        Fixture::overwrite_the_end_and_put_mtime_back,
        Age::Settled,
        Outcome::Failure,
    )),
    mixing(event(
        "its end overwritten, its mtime put back, fresh",
        Fixture::overwrite_the_end_and_put_mtime_back,
        Age::Fresh,
        Outcome::Failure,
    )),
    event("truncated", Fixture::truncate, Age::Settled, Outcome::Failure),
    event(
        "truncated, fresh",
        Fixture::truncate,
        Age::Fresh,
        Outcome::Failure,
    ),
    event("a log is appended to", Fixture::append, Age::Fresh, Outcome::Old),
    event(
        "an old file is appended to",
        Fixture::append,
        Age::Settled,
        Outcome::Old,
    ),
    event(
        "replaced by rename",
        Fixture::replace_by_rename,
        Age::Settled,
        Outcome::Old,
    ),
    event("unlinked", Fixture::unlink, Age::Settled, Outcome::Old),
    event(
        "swapped for a FIFO",
        Fixture::swap_for_a_fifo,
        Age::Settled,
        Outcome::Old,
    ),
    event("chmod", Fixture::chmod, Age::Settled, Outcome::Failure),
    event("chmod, fresh", Fixture::chmod, Age::Fresh, Outcome::Old),
    mixing(event(
        "overwritten in place, its mtime put back, chmod",
        Fixture::overwrite_and_chmod,
        Age::Settled,
        Outcome::Failure,
    )),
    mixing(event(
        "overwritten in place, its mtime put back, chmod, fresh",
        Fixture::overwrite_and_chmod,
        Age::Fresh,
        Outcome::Failure,
    )),
    mixing(event(
        "overwritten in place, its mtime put back, one name more",
        Fixture::overwrite_and_link,
        Age::Settled,
        Outcome::Failure,
    )),
    event("renamed, fresh", Fixture::rename_away, Age::Fresh, Outcome::Old),
    event("renamed", Fixture::rename_away, Age::Settled, Outcome::Failure),
];
