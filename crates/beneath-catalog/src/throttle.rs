//! [`Throttle`]: guessing is slowed down where it comes from; nobody's account is ever locked.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::revocation::memory::make_room;
use crate::store::lock;

/// Token buckets of failed logins, one for each address and one for each user name that was claimed, also of users who
/// do not exist.
///
/// Only what has to be hashed is throttled: whoever was verified before and comes again is not asked to wait. Failures for a
/// user elsewhere hold back who has failed lately, too, but no address from which that user has logged in before. So guessing,
/// from however many addresses, locks nobody out: each address has its first attempt; and whoever logged in from there before is
/// held back by what was tried in their own name only, whoever else shares the address.
pub(crate) struct Throttle {
    rate: Rate,
    buckets: Mutex<HashMap<Source, Bucket>>,
    known: Mutex<HashMap<(Box<str>, Address), ()>>,
}

/// How many failures are free, and how long until another one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    pub(crate) burst: u32,
    pub(crate) refill: Duration,
}

impl Rate {
    /// How long it takes until all failures are free again.
    fn whole(self) -> Duration {
        self.refill.saturating_mul(self.burst)
    }
}

#[derive(Clone, PartialEq, Eq, Hash)]
enum Source {
    Address(Address),
    User(Box<str>),
    /// Somebody where they have logged in before.
    Both(Box<str>, Address),
}

/// An IPv4 address, or the first half of an IPv6 one: whoever has one address there has them all.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Address(u64);

/// Full at `full_at`; each failure moves that by one refill further, until it is empty.
struct Bucket {
    full_at: Instant,
}

impl Throttle {
    pub(crate) fn new(rate: Rate) -> Self {
        Self {
            rate,
            buckets: Mutex::default(),
            known: Mutex::default(),
        }
    }

    /// How long to wait before another attempt is heard, if not at all.
    pub(crate) fn wait(&self, user: &str, address: Option<IpAddr>) -> Option<Duration> {
        let address = address.map(Address::from);
        let known = address.filter(|address| self.knows(user, *address));
        let buckets = lock(&self.buckets);
        let wait = |source: &Source| buckets.get(source)?.wait(self.rate);
        if let Some(address) = known {
            return wait(&Source::Both(user.into(), address));
        }
        let by_user = || wait(&Source::User(user.into()));
        let Some(address) = address.map(Source::Address) else {
            return by_user();
        };
        match buckets.get(&address) {
            Some(bucket) if !bucket.is_full() => wait(&address).max(by_user()),
            _ => None,
        }
    }

    pub(crate) fn failed(&self, user: &str, address: Option<IpAddr>) {
        let address = address.map(Address::from);
        let known = address.filter(|address| self.knows(user, *address));
        let both = known.map(|address| Source::Both(user.into(), address));
        let by_address = address.map(Source::Address);
        let mut buckets = lock(&self.buckets);
        for source in by_address
            .into_iter()
            .chain(both)
            .chain([Source::User(user.into())])
        {
            make_room(&mut buckets);
            let now = Instant::now();
            let bucket = buckets.entry(source).or_insert(Bucket { full_at: now });
            let empty = now + self.rate.whole();
            bucket.full_at = (bucket.full_at.max(now) + self.rate.refill).min(empty);
        }
    }

    fn knows(&self, user: &str, address: Address) -> bool {
        lock(&self.known).contains_key(&(user.into(), address))
    }

    pub(crate) fn succeeded(&self, user: &str, address: Option<IpAddr>) {
        if let Some(address) = address {
            let mut known = lock(&self.known);
            make_room(&mut known);
            known.insert((user.into(), Address::from(address)), ());
        }
    }
}

impl Bucket {
    fn is_full(&self) -> bool {
        self.full_at <= Instant::now()
    }

    fn wait(&self, rate: Rate) -> Option<Duration> {
        let missing = self.full_at.checked_duration_since(Instant::now())?;
        let free = rate.whole();
        // Whole seconds, as Retry-After counts them, and never none.
        let wait = missing.checked_sub(free.saturating_sub(rate.refill))?;
        Some(Duration::from_secs(wait.as_secs() + 1))
    }
}

impl From<IpAddr> for Address {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self(u64::from(v4.to_bits())),
            // A prefix of all zeros would be taken for IPv4; no such address sends requests but ::1.
            IpAddr::V6(v6) => Self(u64::try_from(v6.to_bits() >> 64).unwrap_or(u64::MAX)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate {
        burst: 3,
        refill: Duration::from_secs(60),
    };

    fn address(last: u8) -> Option<IpAddr> {
        Some(IpAddr::from([192, 0, 2, last]))
    }

    #[test]
    fn the_attempt_after_the_burst_waits() {
        let throttle = Throttle::new(RATE);
        for _ in 0..3 {
            assert_eq!(throttle.wait("ann", address(1)), None);
            throttle.failed("ann", address(1));
        }
        let wait = throttle.wait("ann", address(1)).unwrap();
        assert!((50..=61).contains(&wait.as_secs()), "{wait:?}");
        // Of those that were on their way already.
        for _ in 0..100 {
            throttle.failed("ann", address(1));
        }
        let wait = throttle.wait("ann", address(1)).unwrap();
        assert!(
            (50..=61).contains(&wait.as_secs()),
            "no longer than that: {wait:?}"
        );
    }

    #[test]
    fn an_address_is_slowed_down_whichever_names_it_tries() {
        let throttle = Throttle::new(RATE);
        for name in ["a", "b", "c"] {
            throttle.failed(name, address(1));
        }
        assert!(throttle.wait("d", address(1)).is_some());
        assert_eq!(throttle.wait("d", address(2)), None);
    }

    #[test]
    fn guessing_from_everywhere_does_not_lock_the_user_out() {
        let throttle = Throttle::new(RATE);
        throttle.succeeded("ann", address(1));
        for last in 2..200 {
            throttle.failed("ann", address(last));
        }
        assert!(throttle.wait("ann", address(2)).is_some());
        throttle.failed("somebody else", address(1));
        assert_eq!(throttle.wait("ann", address(1)), None, "she was here before");
        assert_eq!(
            throttle.wait("ann", address(250)),
            None,
            "nobody failed here before"
        );
        throttle.failed("ann", address(250));
        assert!(
            throttle.wait("ann", address(250)).is_some(),
            "one failed here, others elsewhere"
        );
        assert!(throttle.wait("ann", None).is_some());
    }

    #[test]
    fn whoever_was_here_before_is_not_held_back_by_others_behind_the_same_address() {
        let throttle = Throttle::new(RATE);
        throttle.succeeded("ann", address(1));
        for name in ["a", "b", "c", "d"] {
            throttle.failed(name, address(1));
        }
        assert!(throttle.wait("bob", address(1)).is_some());
        assert_eq!(throttle.wait("ann", address(1)), None);
        // And who guesses her password from there is.
        for _ in 0..3 {
            throttle.failed("ann", address(1));
        }
        assert!(throttle.wait("ann", address(1)).is_some());
    }

    #[test]
    fn an_ipv4_address_in_ipv6_spelling_is_that_address() {
        let throttle = Throttle::new(RATE);
        for name in ["a", "b", "c"] {
            throttle.failed(name, Some("::ffff:192.0.2.1".parse().unwrap()));
        }
        assert!(throttle.wait("d", address(1)).is_some());
        assert_eq!(
            throttle.wait("d", Some("::ffff:192.0.2.2".parse().unwrap())),
            None
        );
    }

    #[test]
    fn however_many_names_are_tried_the_memory_of_them_is_bounded() {
        let throttle = Throttle::new(RATE);
        for name in 0..100_000 {
            throttle.failed(&name.to_string(), address(1));
            throttle.succeeded(&name.to_string(), address(1));
        }
        assert!(lock(&throttle.buckets).len() <= 1 << 16);
        assert!(lock(&throttle.known).len() <= 1 << 16);
    }

    #[test]
    fn all_of_an_ipv6_network_is_one_address() {
        let throttle = Throttle::new(RATE);
        for host in 1..=3_u16 {
            throttle.failed(
                &host.to_string(),
                Some(IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, host])),
            );
        }
        assert!(
            throttle
                .wait("d", Some("2001:db8::ffff".parse().unwrap()))
                .is_some()
        );
        assert_eq!(throttle.wait("d", Some("2001:db8:0:1::1".parse().unwrap())), None);
    }
}
