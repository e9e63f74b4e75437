//! [`Admission`]: who may have a connection, and who has one.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::limits::Limits;
use crate::peer::Peer;
use crate::proxies::Proxies;
use crate::watchdog::{Order, Watchdog};

/// The connections that are open.
#[derive(Debug)]
pub(crate) struct Admission {
    capacity: usize,
    per_address: usize,
    proxies: Proxies,
    table: Mutex<Table>,
    left: Notify,
}

#[derive(Debug, Default)]
struct Table {
    open: HashMap<u64, Arc<Watchdog>>,
    held: HashMap<Holder, usize>,
    next: u64,
}

/// Whose share a connection counts towards: an IPv4 address, or the /64 that an IPv6 customer has at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Holder {
    V4(u32),
    V6(u64),
}

/// The right to one connection, for as long as it is kept.
#[derive(Debug)]
pub(crate) struct Admitted {
    admission: Arc<Admission>,
    id: u64,
    holder: Option<Holder>,
}

impl Admission {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            capacity: limits.connections.max(1),
            per_address: limits.connections_per_address.max(1),
            proxies: limits.proxies.clone(),
            table: Mutex::default(),
            left: Notify::new(),
        }
    }

    /// Waits until there is room for one more.
    pub(crate) async fn room(&self) {
        self.until(|open| open < self.capacity).await;
    }

    /// Waits until nobody is left.
    pub(crate) async fn empty(&self) {
        self.until(|open| open == 0).await;
    }

    /// Admits a connection, unless its address already holds more than its share
    /// ([`Limits::connections`]).
    pub(crate) fn admit(self: &Arc<Self>, peer: Peer, watchdog: &Arc<Watchdog>) -> Option<Admitted> {
        let holder = Holder::of(peer, &self.proxies);
        let mut table = self.table();
        let free = self.capacity.saturating_sub(table.open.len());
        if let Some(holder) = holder {
            let held = table.held.entry(holder).or_default();
            if *held > 0 && *held >= free.min(self.per_address) {
                return None;
            }
            *held += 1;
        }
        let id = table.next;
        table.next += 1;
        table.open.insert(id, Arc::clone(watchdog));
        Some(Admitted {
            admission: Arc::clone(self),
            id,
            holder,
        })
    }

    pub(crate) fn open(&self) -> usize {
        self.table().open.len()
    }

    /// How many owe an answer.
    pub(crate) fn busy(&self) -> usize {
        self.table()
            .open
            .values()
            .filter(|watchdog| watchdog.is_busy())
            .count()
    }

    /// Tells every connection.
    pub(crate) fn order(&self, order: Order) {
        for watchdog in self.table().open.values() {
            watchdog.order(order);
        }
    }

    async fn until(&self, enough: impl Fn(usize) -> bool) {
        loop {
            let left = self.left.notified();
            if enough(self.open()) {
                return;
            }
            left.await;
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Holder {
    /// `None` for those who are not counted: a proxy, as what is on this machine may be, speaks for many.
    fn of(peer: Peer, proxies: &Proxies) -> Option<Self> {
        let address = peer.address()?.ip().to_canonical();
        match address {
            _ if address.is_loopback() || proxies.include(address) => None,
            IpAddr::V4(address) => Some(Self::V4(address.into())),
            IpAddr::V6(address) => Some(Self::V6((u128::from(address) >> 64) as u64)),
        }
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut table = self.admission.table();
        table.open.remove(&self.id);
        if let Some(holder) = self.holder
            && let Some(held) = table.held.get_mut(&holder)
        {
            *held -= 1;
            if *held == 0 {
                table.held.remove(&holder);
            }
        }
        drop(table);
        self.admission.left.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;
    use crate::watchdog::Rules;

    struct Door {
        admission: Arc<Admission>,
        watchdog: Arc<Watchdog>,
    }

    impl Door {
        fn new(connections: usize, connections_per_address: usize) -> Self {
            Self::with(&Limits {
                connections,
                connections_per_address,
                ..Limits::default()
            })
        }

        fn with(limits: &Limits) -> Self {
            Self {
                admission: Arc::new(Admission::new(limits)),
                watchdog: Arc::new(Watchdog::new(Arc::new(Rules::new(limits)))),
            }
        }

        fn knock(&self, address: &str) -> Option<Admitted> {
            let peer = Peer::Tcp((address.parse::<IpAddr>().unwrap(), 1).into());
            self.admission.admit(peer, &self.watchdog)
        }

        /// All that an address can get.
        fn take_all(&self, address: &str) -> Vec<Admitted> {
            std::iter::from_fn(|| self.knock(address)).collect()
        }
    }

    #[test]
    fn one_address_alone_gets_half_and_there_is_always_room_for_another() {
        let door = Door::new(100, usize::MAX);
        let first = door.take_all("192.0.2.1");
        assert_eq!(first.len(), 50);
        let second = door.take_all("192.0.2.2");
        assert_eq!(second.len(), 25);
        let third = door.take_all("192.0.2.3");
        assert!(third.len() >= 12);
        assert!(door.knock("192.0.2.4").is_some());
    }

    #[test]
    fn addresses_that_take_turns_get_equal_shares() {
        let door = Door::new(100, usize::MAX);
        let addresses: Vec<String> = (1..=9).map(|last| format!("192.0.2.{last}")).collect();
        let mut held = Vec::new();
        for _ in 0..100 {
            held.extend(addresses.iter().filter_map(|address| door.knock(address)));
        }
        assert_eq!(held.len(), 90);
        assert_eq!(door.take_all("192.0.2.100").len(), 5);
    }

    #[test]
    fn a_limit_of_none_admits_one() {
        let door = Door::new(0, 0);
        assert!(door.admission.room().now_or_never().is_some());
        assert_eq!(door.take_all("192.0.2.1").len(), 1);
    }

    #[test]
    fn an_ipv6_address_shares_with_its_64_and_not_with_the_next() {
        let door = Door::new(100, usize::MAX);
        let _held = door.take_all("2001:db8::1");
        assert!(door.knock("2001:db8::ffff:1").is_none());
        assert!(door.knock("2001:db8:0:1::1").is_some());
    }

    #[test]
    fn the_same_address_spelled_as_ipv6_is_the_same() {
        let door = Door::new(100, 3);
        let _held = door.take_all("192.0.2.1");
        assert!(door.knock("::ffff:192.0.2.1").is_none());
    }

    #[test]
    fn what_is_given_back_can_be_had_again() {
        let door = Door::new(100, 3);
        assert_eq!(door.take_all("192.0.2.1").len(), 3);
        assert_eq!(door.take_all("192.0.2.1").len(), 3);
        assert_eq!(door.admission.open(), 0);
        assert!(door.admission.table().held.is_empty());
    }

    #[test]
    fn a_proxy_on_this_machine_may_hold_them_all() {
        let door = Door::new(100, 3);
        let held: Vec<_> = (0..100).filter_map(|_| door.knock("127.0.0.1")).collect();
        assert_eq!(held.len(), 100);
    }

    #[test]
    fn a_proxy_that_is_named_may_hold_them_all() {
        let door = Door::with(&Limits {
            connections: 100,
            connections_per_address: 3,
            proxies: Proxies::default().trust("192.0.2.0/28").unwrap(),
            ..Limits::default()
        });
        assert_eq!(door.take_all("192.0.2.16").len(), 3);
        let held: Vec<_> = (0..97).filter_map(|_| door.knock("::ffff:192.0.2.1")).collect();
        assert_eq!(held.len(), 97);
    }
}
