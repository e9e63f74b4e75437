//! [`Meter`]: a client's credit of time.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::Instant;

use crate::limits::Limits;

/// A century: later than any deadline, and not too late for a timer.
pub(super) const FAR: u64 = 100 * 365 * 86_400 * 1_000_000;

/// The limits as the watchdog needs them, in microseconds.
#[derive(Debug)]
pub(crate) struct Rules {
    pub(super) epoch: Instant,
    pub(super) header: u64,
    pub(super) idle: u64,
    pub(super) stall: u64,
    pub(super) rate: u64,
}

/// A client's credit of time (see [`Limits::stall_timeout`]): spent while something waits for it, earned
/// back by bytes that move.
#[derive(Debug)]
pub(crate) struct Meter {
    pub(super) waiting_since: AtomicU64,
    pub(super) credit: AtomicU64,
    /// For how long the socket had waited when this began to.
    pub(super) beside: AtomicU64,
}

impl Rules {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            // A second of past, so that 0 can mean "never".
            epoch: Instant::now()
                .checked_sub(Duration::from_secs(1))
                .unwrap_or_else(Instant::now),
            header: micros(limits.header_timeout),
            idle: micros(limits.idle_timeout),
            stall: micros(limits.stall_timeout),
            rate: u64::from(limits.minimum_rate.max(1)),
        }
    }

    pub(super) fn now(&self) -> u64 {
        micros(self.epoch.elapsed()).max(1)
    }
}

impl Meter {
    pub(super) fn new(rules: &Rules) -> Self {
        Self {
            waiting_since: AtomicU64::new(0),
            beside: AtomicU64::new(0),
            credit: AtomicU64::new(rules.stall),
        }
    }

    /// When the credit will be gone, if something waits.
    pub(super) fn deadline(&self) -> Option<u64> {
        let since = self.waiting_since.load(Relaxed);
        (since != 0).then(|| since + self.credit.load(Relaxed))
    }

    /// Takes the time that was waited from the credit, and adds what so many bytes are worth.
    pub(super) fn settle(&self, rules: &Rules, spent: u64, bytes: u64) {
        let earned = bytes.saturating_mul(1_000_000) / rules.rate;
        let credit = self.credit.load(Relaxed).saturating_add(earned);
        let left = credit.saturating_sub(spent).min(rules.stall);
        self.credit.store(left, Relaxed);
    }

    /// Nothing waits any more. Since when it did, or 0.
    pub(crate) fn end(&self) -> u64 {
        self.waiting_since.swap(0, Relaxed)
    }
}

/// 0 is never.
pub(super) const fn elapsed(since: u64, now: u64) -> u64 {
    match since {
        0 => 0,
        since => now.saturating_sub(since),
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX).min(FAR)
}
