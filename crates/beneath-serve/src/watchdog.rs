//! [`Watchdog`]: what is known of a connection's progress, and when it is too late.
//!
//! Each connection has one timer, and none is made or moved for a request. Whoever begins to wait for the client notes
//! since when, and where that brings a deadline nearer than the timer stands ([`Watchdog::tighten`]), the
//! timer is moved forward. It is never moved back: when it fires too early the deadline is worked out afresh from
//! the notes.

mod meter;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed, Ordering::SeqCst};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use tokio::time::Instant;

use meter::{FAR, elapsed};
pub(crate) use meter::{Meter, Rules};

/// After so long without a request a connection gives its buffers back (microseconds). A client that asks
/// one thing after the other does not notice.
const REST_AFTER: u64 = 100_000;

/// Shared by one connection's task, its requests' bodies and the handles to end it.
#[derive(Debug)]
pub(crate) struct Watchdog {
    rules: Arc<Rules>,
    /// The nearest deadline that was noted since the timer was last set.
    nearest: AtomicU64,
    /// Since when the beginning of a head has been there and its end not; 0: no such head.
    head_since: AtomicU64,
    /// Since when no request has been under way.
    idle_since: AtomicU64,
    in_flight: AtomicU32,
    owes: AtomicU8,
    /// Not all of the last request's body has been read: what comes next is no head.
    inside_body: AtomicBool,
    served: AtomicBool,
    /// What waits in user space until the client's window opens.
    socket: Meter,
    /// For how long that has waited, before it last began to.
    socket_waited: AtomicU64,
    /// Bytes that the client had acknowledged when that was last asked.
    acknowledged: AtomicU64,
    order: AtomicU8,
    look: AtomicBool,
    reset: AtomicBool,
    linger: AtomicBool,
    waker: AtomicWaker,
}

/// What a connection has yet to send that hyper takes for sent (see [`sendfile`](crate::sendfile)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Owes {
    Nothing,
    /// Files, and then what hyper is waiting to write.
    More,
    /// Files, and hyper has nothing else to write.
    Files,
    /// Files, and then the end: nothing more is going to be answered.
    LastFiles,
}

/// What has run out of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Overdue {
    /// A request head began and did not end.
    Head,
    /// Nothing was asked.
    Idle,
    /// What was sent is not taken, too slowly.
    Socket,
}

/// What a connection has been told from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Order {
    GoOn,
    /// Answer what has been asked, then end.
    Drain,
    /// End at once.
    Abort,
}

impl Watchdog {
    /// The connection has just been accepted.
    pub(crate) fn new(rules: Arc<Rules>) -> Self {
        let now = rules.now();
        Self {
            nearest: AtomicU64::new(u64::MAX),
            head_since: AtomicU64::new(0),
            idle_since: AtomicU64::new(now),
            in_flight: AtomicU32::new(0),
            owes: AtomicU8::new(Owes::Nothing as u8),
            inside_body: AtomicBool::new(false),
            served: AtomicBool::new(false),
            socket: Meter::new(&rules),
            socket_waited: AtomicU64::new(0),
            acknowledged: AtomicU64::new(0),
            order: AtomicU8::new(Order::GoOn as u8),
            look: AtomicBool::new(true),
            reset: AtomicBool::new(false),
            linger: AtomicBool::new(false),
            waker: AtomicWaker::new(),
            rules,
        }
    }

    pub(crate) fn now(&self) -> u64 {
        self.rules.now()
    }

    pub(crate) fn instant(&self, micros: u64) -> Instant {
        self.rules.epoch + Duration::from_micros(micros.min(FAR))
    }

    pub(crate) fn meter(&self) -> Meter {
        Meter::new(&self.rules)
    }

    // What the connection notes.

    pub(crate) fn request_began(&self) {
        self.in_flight.fetch_add(1, Relaxed);
        self.served.store(true, Relaxed);
    }

    pub(crate) fn request_ended(&self) {
        if self.in_flight.fetch_sub(1, Relaxed) == 1 {
            self.idle_from_now();
        }
    }

    /// Notes what is still to be sent.
    pub(crate) fn owes(&self, owes: Owes) {
        let before = self.owes.swap(owes as u8, Relaxed);
        if owes == Owes::Nothing && before != Owes::Nothing as u8 {
            self.idle_from_now();
        }
    }

    /// Notes whether there is more to be read of the last request's body.
    pub(crate) fn inside_body(&self, inside: bool) {
        self.inside_body.store(inside, Relaxed);
    }

    pub(crate) fn idle_from_now(&self) {
        let now = self.now();
        self.idle_since.store(now, Relaxed);
        self.tighten(now + self.rules.idle.min(REST_AFTER));
    }

    /// Notes whether, after a read, a head has begun and not ended.
    pub(crate) fn inside_head(&self, inside: bool) {
        let noted = self.head_since.load(Relaxed) != 0;
        match (noted, inside) {
            (false, true) => {
                let now = self.now();
                self.head_since.store(now, Relaxed);
                self.tighten(now + self.rules.header);
            }
            (true, false) => self.head_since.store(0, Relaxed),
            _ => {}
        }
    }

    /// Something waits for the client, which has acknowledged so many bytes since the connection began.
    ///
    /// That it can be seen to go on has to be noted again and again: the watchdog says when, by waking the task.
    pub(crate) fn socket_waits(&self, acknowledged: u64) {
        let before = self.acknowledged.swap(acknowledged, Relaxed);
        self.socket_spends(acknowledged.saturating_sub(before));
        let now = self.now();
        self.socket.waiting_since.store(now, Relaxed);
        self.tighten(now + self.look_at_socket_after());
    }

    /// What was written is room that the client made, but when it made it is not known.
    pub(crate) fn socket_moved(&self) {
        if self.socket.waiting_since.load(Relaxed) != 0 {
            self.socket_spends(0);
        }
    }

    fn socket_spends(&self, acknowledged: u64) {
        let spent = elapsed(self.socket.end(), self.now());
        self.socket_waited.fetch_add(spent, Relaxed);
        self.socket.settle(&self.rules, spent, acknowledged);
    }

    /// For how long the socket has waited for the client.
    fn socket_time(&self, now: u64) -> u64 {
        let since = self.socket.waiting_since.load(Relaxed);
        self.socket_waited.load(Relaxed) + elapsed(since, now)
    }

    /// A client that stops is cut this much late at most, beyond its credit.
    fn look_at_socket_after(&self) -> u64 {
        self.socket.credit.load(Relaxed).min(self.rules.stall / 4)
    }

    /// One exchange waits for the client. While the socket does, too, the client is judged by that.
    pub(crate) fn waits(&self, meter: &Meter) {
        if meter.waiting_since.load(Relaxed) == 0 {
            let now = self.now();
            meter.beside.store(self.socket_time(now), Relaxed);
            meter.waiting_since.store(now, Relaxed);
            self.tighten(now + meter.credit.load(Relaxed));
        }
    }

    /// When the credit of an exchange will be gone, if it waits.
    pub(crate) fn deadline_of(&self, meter: &Meter) -> Option<u64> {
        let deadline = meter.deadline()?;
        Some(deadline + self.paused(meter, self.now()))
    }

    /// For how long the socket has waited since this began to.
    fn paused(&self, meter: &Meter, now: u64) -> u64 {
        self.socket_time(now).saturating_sub(meter.beside.load(Relaxed))
    }

    pub(crate) fn moved(&self, meter: &Meter, bytes: usize) {
        let waits = meter.waiting_since.load(Relaxed) != 0;
        if waits || meter.credit.load(Relaxed) < self.rules.stall {
            let now = self.now();
            let spent = elapsed(meter.end(), now).saturating_sub(self.paused(meter, now));
            // What is under way on one connection shares what its client can take.
            let under_way = u64::from(self.in_flight.load(Relaxed).max(1));
            meter.settle(&self.rules, spent, (bytes as u64).saturating_mul(under_way));
        }
    }

    /// The client may still be sending what nobody will read; it shall see the answer all the same.
    pub(crate) fn linger_on_close(&self) {
        self.linger.store(true, Relaxed);
    }

    /// What the kernel still holds for this client is to be thrown away.
    pub(crate) fn reset_on_close(&self) {
        self.reset.store(true, Relaxed);
    }

    // What the connection's task asks.

    pub(crate) fn must_linger(&self) -> bool {
        self.linger.load(Relaxed)
    }

    pub(crate) fn must_reset(&self) -> bool {
        self.reset.load(Relaxed)
    }

    pub(crate) fn register(&self, waker: &std::task::Waker) {
        self.waker.register(waker);
    }

    /// The nearest deadline that was noted since the last [`overdue`](Self::overdue).
    pub(crate) fn nearest(&self) -> u64 {
        self.nearest.load(Relaxed)
    }

    /// What of the connection itself has run out of time by `now`, or when to ask again.
    pub(crate) fn overdue(&self, now: u64) -> Result<u64, Overdue> {
        // Read and written in one, so that what a note that is wiped stands for is seen below.
        self.nearest.swap(u64::MAX, SeqCst);
        let mut next = now + self.rules.idle;
        if self.socket.deadline().is_some() {
            next = next.min(now + self.look_at_socket_after());
        }
        for (deadline, what) in [
            (self.socket.deadline(), Overdue::Socket),
            (self.head_deadline(), Overdue::Head),
            (self.idle_deadline(), Overdue::Idle),
        ] {
            match deadline {
                Some(deadline) if deadline <= now => return Err(what),
                Some(deadline) => next = next.min(deadline),
                None => {}
            }
        }
        Ok(next)
    }

    /// The first head is due from the accept on. A later one is from its first byte on, but not while an earlier answer
    /// is on its way: it is not waited for then.
    fn head_deadline(&self) -> Option<u64> {
        let head = self.head_since.load(Relaxed);
        let idle = self.idle_since.load(Relaxed);
        let since = if self.served.load(Relaxed) {
            head.max(idle)
        } else {
            idle
        };
        (head != 0 && !self.is_busy()).then(|| since + self.rules.header)
    }

    fn idle_deadline(&self) -> Option<u64> {
        let patience = match self.served.load(Relaxed) {
            true => self.rules.idle,
            false => self.rules.header,
        };
        let nothing_asked = !self.is_busy() && self.head_since.load(Relaxed) == 0;
        nothing_asked.then(|| self.idle_since.load(Relaxed) + patience)
    }

    /// Whether all there is to do for now is to send files.
    pub(crate) fn only_owes(&self) -> bool {
        let owes = self.owes.load(Relaxed);
        let files = owes == Owes::Files as u8 || owes == Owes::LastFiles as u8;
        files && self.in_flight.load(Relaxed) == 0 && self.is_between_requests()
    }

    /// Whether all there is to do ever is to send files.
    pub(crate) fn only_owes_the_last(&self) -> bool {
        self.owes.load(Relaxed) == Owes::LastFiles as u8
    }

    /// From when on a connection that asks nothing should give its buffers back.
    pub(crate) fn rests_from(&self) -> Option<u64> {
        let done = self.served.load(Relaxed) && self.socket.deadline().is_none();
        let from = self.idle_since.load(Relaxed) + REST_AFTER;
        (done && self.is_idle() && self.is_between_requests()).then_some(from)
    }

    fn is_between_requests(&self) -> bool {
        self.head_since.load(Relaxed) == 0 && !self.is_inside_body()
    }

    /// Whether not all of the last request's body has been read.
    pub(crate) fn is_inside_body(&self) -> bool {
        self.inside_body.load(Relaxed)
    }

    pub(crate) fn idle_until(&self) -> Instant {
        self.instant(self.idle_since.load(Relaxed) + self.rules.idle)
    }

    /// Whether an answer is owed, or on its way.
    pub(crate) fn is_busy(&self) -> bool {
        !self.is_idle() || self.socket.deadline().is_some()
    }

    fn is_idle(&self) -> bool {
        self.in_flight.load(Relaxed) == 0 && self.owes.load(Relaxed) == Owes::Nothing as u8
    }

    // What others tell it.

    /// Makes sure that the timer fires no later than `deadline`.
    fn tighten(&self, deadline: u64) {
        if self.nearest.fetch_min(deadline, SeqCst) > deadline {
            self.waker.wake();
        }
    }

    /// Tells the connection to drain or to end; a weaker order than the one that stands changes nothing.
    pub(crate) fn order(&self, order: Order) {
        self.order.fetch_max(order as u8, SeqCst);
        self.waker.wake();
    }

    pub(crate) fn ordered(&self) -> Order {
        match self.order.load(SeqCst) {
            0 => Order::GoOn,
            1 => Order::Drain,
            _ => Order::Abort,
        }
    }

    /// Asks for the deadlines to be looked at now: one of the exchanges has been aborted.
    pub(crate) fn look_now(&self) {
        self.look.store(true, SeqCst);
        self.waker.wake();
    }

    /// Whether that was asked for and is still to be done.
    pub(crate) fn is_to_look(&self) -> bool {
        self.look.load(SeqCst)
    }

    pub(crate) fn asked_to_look(&self) -> bool {
        self.look.load(Relaxed) && self.look.swap(false, SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;

    fn watchdog(limits: &Limits) -> Watchdog {
        Watchdog::new(Arc::new(Rules::new(limits)))
    }

    fn limits() -> Limits {
        Limits {
            minimum_rate: 1000,
            stall_timeout: Duration::from_secs(10),
            ..Limits::default()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_is_overdue_after_exactly_the_stall_timeout() {
        let dog = watchdog(&limits());
        dog.request_began();
        dog.socket_waits(1_000_000);
        tokio::time::advance(Duration::from_millis(9_999)).await;
        assert!(dog.overdue(dog.now()).is_ok());
        dog.socket_waits(1_000_000);
        tokio::time::advance(Duration::from_millis(2)).await;
        assert_eq!(dog.overdue(dog.now()), Err(Overdue::Socket));
    }

    /// Seconds that a client lasts which takes `bytes` once a second, while there is `room` for something to be written
    /// at every so many seconds only.
    async fn lasts_with(bytes: u64, room: u64) -> Option<u64> {
        let dog = watchdog(&limits());
        dog.request_began();
        for second in 1..200 {
            dog.socket_waits((second - 1) * bytes);
            tokio::time::advance(Duration::from_secs(1)).await;
            if dog.overdue(dog.now()).is_err() {
                return Some(second);
            }
            if second % room == 0 {
                dog.socket_moved();
            }
        }
        None
    }

    async fn lasts(bytes: u64) -> Option<u64> {
        let often = lasts_with(bytes, 1).await;
        assert_eq!(
            lasts_with(bytes, 150).await,
            often,
            "how much the kernel takes at once made a difference"
        );
        often
    }

    #[tokio::test(start_paused = true)]
    async fn while_something_waits_for_the_client_it_is_looked_at_four_times_in_the_stall_timeout() {
        let dog = watchdog(&limits());
        dog.request_began();
        dog.socket_waits(0);
        assert_eq!(dog.nearest(), dog.now() + 2_500_000);
        assert_eq!(dog.overdue(dog.now()), Ok(dog.now() + 2_500_000));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_below_the_minimum_rate_is_overdue_in_time_and_one_above_it_never() {
        assert_eq!(lasts(0).await, Some(10));
        assert_eq!(lasts(1).await, Some(11));
        assert_eq!(lasts(500).await, Some(19));
        assert_eq!(lasts(900).await, Some(91));
        assert_eq!(lasts(1000).await, None);
        assert_eq!(lasts(1_000_000).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn time_that_the_application_takes_is_not_counted() {
        let dog = watchdog(&limits());
        dog.request_began();
        for second in 0..100 {
            dog.socket_waits(second * 100);
            tokio::time::advance(Duration::from_millis(10)).await;
            dog.socket_moved();
            tokio::time::advance(Duration::from_secs(60)).await;
            assert!(dog.overdue(dog.now()).is_ok());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_drips_is_overdue_however_often_it_moves() {
        let dog = watchdog(&limits());
        for _ in 0..10 {
            dog.inside_head(true);
            tokio::time::advance(Duration::from_millis(999)).await;
            assert!(dog.overdue(dog.now()).is_ok());
        }
        dog.inside_head(true);
        tokio::time::advance(Duration::from_millis(20)).await;
        assert_eq!(dog.overdue(dog.now()), Err(Overdue::Head));
    }

    #[tokio::test(start_paused = true)]
    async fn a_first_head_that_begins_late_has_no_more_time_and_is_not_mistaken_for_idleness() {
        let dog = watchdog(&limits());
        tokio::time::advance(Duration::from_secs(9)).await;
        dog.inside_head(true);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(dog.overdue(dog.now()), Err(Overdue::Head));
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_request_has_the_header_timeout_and_later_ones_the_idle_timeout() {
        let dog = watchdog(&limits());
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(dog.overdue(dog.now()), Err(Overdue::Idle));
        dog.request_began();
        dog.request_ended();
        tokio::time::advance(Duration::from_secs(59)).await;
        assert!(dog.overdue(dog.now()).is_ok());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(dog.overdue(dog.now()), Err(Overdue::Idle));
    }
}
