//! [`Options`]: what can be chosen about a catalog.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::store::retention::Retention;
use crate::throttle::Rate;

/// What can be chosen about a [`Catalog`](crate::Catalog).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    pub(crate) revocation_bound: Duration,
    pub(crate) hashing_at_once: usize,
    pub(crate) hashing_queue: usize,
    pub(crate) failed_logins: Rate,
    pub(crate) link_grace: Duration,
    pub(crate) remembered: usize,
    pub(crate) kept_open: usize,
    pub(crate) opens_at_once: usize,
    pub(crate) audit_retention: Retention,
}

impl Default for Options {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            revocation_bound: Duration::from_secs(1),
            // The other half is for downloads.
            hashing_at_once: cores.div_ceil(2),
            hashing_queue: 32,
            failed_logins: Rate {
                burst: 30,
                refill: Duration::from_secs(2),
            },
            link_grace: Duration::from_secs(300),
            remembered: 1 << 17,
            kept_open: 64,
            opens_at_once: 64,
            audit_retention: Retention {
                age: Duration::from_secs(90 * 24 * 60 * 60),
                records: 5_000_000,
            },
        }
    }
}

impl Options {
    /// What a [revocation bound](Self::revocation_bound) can be.
    pub const REVOCATION_BOUNDS: RangeInclusive<Duration> =
        Duration::from_millis(20)..=Duration::from_secs(600);

    /// How long after a revocation bytes may still flow, at most, whoever made the change: 1 s by default; what is outside
    /// [`REVOCATION_BOUNDS`](Self::REVOCATION_BOUNDS) is the nearest that is not.
    #[must_use]
    pub fn revocation_bound(mut self, bound: Duration) -> Self {
        let (shortest, longest) = Self::REVOCATION_BOUNDS.into_inner();
        self.revocation_bound = bound.clamp(shortest, longest);
        self
    }

    /// How many passwords are hashed at once (19 MiB each; by default on half of the cores), and how many more may wait
    /// before the next is told to come back (by default 32). Of those who show the same at once one is hashed, and twice
    /// as many wait for what comes of it.
    #[must_use]
    pub const fn hashing(mut self, at_once: usize, queue: usize) -> Self {
        self.hashing_at_once = at_once;
        self.hashing_queue = queue;
        self
    }

    /// How long a client whose download over a link broke off keeps its use, to resume: five minutes by default.
    #[must_use]
    pub const fn link_grace(mut self, grace: Duration) -> Self {
        self.link_grace = grace;
        self
    }

    /// How many decisions are remembered, of the latest: 131,072 by default. Each takes some 60 bytes, and each file that
    /// any of them is about some 400.
    #[must_use]
    pub const fn remembered(mut self, decisions: usize) -> Self {
        self.remembered = decisions;
        self
    }

    /// How many descriptors are held of files that are asked for again and again, so that they need not be opened each time: 64
    /// by default, none with 0. Each takes one, and one for each directory between it and its root. [`beneath::Kept`] says when
    /// such a file is opened; a removed one keeps its place on the disk for a moment longer. What somebody writes through a
    /// shared mapping may be seen half a second late, and up to five where ten thousand files are kept; later where no processor
    /// is free. Up to 64 MiB of content is remembered. Each root that keeps files takes three more.
    #[must_use]
    pub const fn kept_open(mut self, descriptors: usize) -> Self {
        self.kept_open = descriptors;
        self
    }

    /// How many calls may wait for one file system at once, to open a file or to see whether its content is what was published: 64 by
    /// default; the next is told to come back, if there are roots on others. With more threads than that for all of them, one
    /// that hangs keeps nobody from another.
    #[must_use]
    pub const fn opens_at_once(mut self, calls: usize) -> Self {
        self.opens_at_once = calls;
        self
    }

    /// How long the audit trail is kept: 90 days by default. A process that serves removes what is older, in steps of a hundredth
    /// of it, and each step is a record of the trail.
    #[must_use]
    pub const fn audit_retention(mut self, age: Duration) -> Self {
        self.audit_retention.age = age;
        self
    }

    /// How many records of the audit trail are kept, at least a hundred: by default five million, some 600 MB. The oldest are
    /// removed as those are that are [too old](Self::audit_retention).
    #[must_use]
    pub fn audit_records(mut self, records: u64) -> Self {
        self.audit_retention.records = records.max(100);
        self
    }

    /// How many logins may fail, from one address or for one user name, before the next attempt has to wait: 30 by default.
    ///
    /// Users who were verified before by this process, or from the same address, are never held back by the failures
    /// of others.
    #[must_use]
    pub fn failed_logins(mut self, burst: u32) -> Self {
        self.failed_logins.burst = burst.max(1);
        self
    }

    /// How long it takes until one more login may fail, a day at most: 2 s by default.
    #[must_use]
    pub fn failed_logins_refill(mut self, refill: Duration) -> Self {
        self.failed_logins.refill = refill.min(Duration::from_secs(24 * 60 * 60));
        self
    }
}
