//! [`Flights`]: of those who show the same at the same time, one is hashed, and all hear what came of it.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex};

use super::hashing::QueueFull;
use super::verified::Digest;
use crate::store::lock;

/// A browser opens six connections and sends its first login on each of them; hashed once, that is 20 ms and not 120.
///
/// # Security
///
/// What is shared is the answer to one and the same guess: user, password and record are all in the digest. Whoever is
/// nobody is looked up and waits in the same way.
pub(crate) struct Flights {
    under_way: Mutex<UnderWay>,
    waiting_at_most: usize,
}

#[derive(Default)]
struct UnderWay {
    flights: HashMap<Digest, Arc<Flight>>,
    waiting: usize,
}

struct Flight {
    landed: Mutex<Option<Result<Verdict, QueueFull>>>,
    lands: Condvar,
}

/// What came of hashing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Right,
    Wrong,
}

/// Whoever hashes. If nothing is found out, those who wait hear that it was too much.
struct Leader<'a> {
    flights: &'a Flights,
    digest: Digest,
    verdict: Result<Verdict, QueueFull>,
}

impl Flights {
    /// At most so many wait for what others find out.
    pub(crate) fn new(waiting_at_most: usize) -> Self {
        Self {
            under_way: Mutex::default(),
            waiting_at_most,
        }
    }

    /// Finds out, or waits for who is already finding out.
    pub(crate) fn join(
        &self,
        digest: Digest,
        find_out: impl FnOnce() -> Result<Verdict, QueueFull>,
    ) -> Result<Verdict, QueueFull> {
        let mut under_way = lock(&self.under_way);
        if let Some(flight) = under_way.flights.get(&digest).map(Arc::clone) {
            if under_way.waiting >= self.waiting_at_most {
                return Err(QueueFull);
            }
            under_way.waiting += 1;
            drop(under_way);
            let verdict = flight.wait();
            lock(&self.under_way).waiting -= 1;
            return verdict;
        }
        under_way.flights.insert(digest, Arc::new(Flight::new()));
        drop(under_way);
        let mut leader = Leader {
            flights: self,
            digest,
            verdict: Err(QueueFull),
        };
        leader.verdict = find_out();
        leader.verdict
    }
}

impl Drop for Leader<'_> {
    fn drop(&mut self) {
        let flight = lock(&self.flights.under_way).flights.remove(&self.digest);
        if let Some(flight) = flight {
            *lock(&flight.landed) = Some(self.verdict);
            flight.lands.notify_all();
        }
    }
}

impl Flight {
    const fn new() -> Self {
        Self {
            landed: Mutex::new(None),
            lands: Condvar::new(),
        }
    }

    fn wait(&self) -> Result<Verdict, QueueFull> {
        let landed = self
            .lands
            .wait_while(lock(&self.landed), |landed| landed.is_none())
            .map_or_else(|poisoned| *poisoned.into_inner(), |landed| *landed);
        landed.unwrap_or(Err(QueueFull))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::{Duration, Instant};

    use super::*;
    use crate::credential::verified::Verified;

    #[test]
    fn of_those_who_show_the_same_at_once_one_is_hashed() {
        let (flights, verified) = (Flights::new(64), Verified::new().unwrap());
        let (hashed, together, leaders) = (AtomicU32::new(0), Barrier::new(64), Barrier::new(2));
        let login = |password: &[u8], verdict| {
            together.wait();
            flights.join(verified.digest("ann", password, "record"), || {
                hashed.fetch_add(1, Ordering::SeqCst);
                // Until everybody else has come, or who comes later would be another flight.
                let since = Instant::now();
                while lock(&flights.under_way).waiting < 62 {
                    assert!(since.elapsed() < Duration::from_secs(20), "they do not wait");
                    std::thread::sleep(Duration::from_millis(1));
                }
                leaders.wait();
                Ok(verdict)
            })
        };
        std::thread::scope(|scope| {
            let right: Vec<_> = (0..32)
                .map(|_| scope.spawn(|| login(b"right", Verdict::Right)))
                .collect();
            let wrong: Vec<_> = (0..32)
                .map(|_| scope.spawn(|| login(b"wrong", Verdict::Wrong)))
                .collect();
            for (logins, verdict) in [(right, Verdict::Right), (wrong, Verdict::Wrong)] {
                for login in logins {
                    assert_eq!(login.join().unwrap(), Ok(verdict));
                }
            }
        });
        assert_eq!(hashed.into_inner(), 2);
        assert!(lock(&flights.under_way).flights.is_empty());
    }

    #[test]
    fn those_who_wait_do_not_wait_for_ever_for_one_who_fails() {
        let (flights, verified) = (Flights::new(1), Verified::new().unwrap());
        let digest = verified.digest("ann", b"password", "record");
        let hashing = Barrier::new(2);
        std::thread::scope(|scope| {
            let (flights, hashing) = (&flights, &hashing);
            let first = scope.spawn(move || {
                flights.join(digest, || {
                    hashing.wait();
                    while lock(&flights.under_way).waiting == 0 {
                        std::thread::yield_now();
                    }
                    panic!("out of everything")
                })
            });
            hashing.wait();
            assert_eq!(flights.join(digest, || Ok(Verdict::Right)), Err(QueueFull));
            first.join().unwrap_err();
        });
        assert_eq!(flights.join(digest, || Ok(Verdict::Right)), Ok(Verdict::Right));
    }
}
