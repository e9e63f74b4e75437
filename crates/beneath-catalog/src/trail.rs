//! [`Trail`]: decisions and transfers on their way to the audit trail, in batches, off the path of requests.

mod event;
mod happened;

use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::complaint::Complaint;
use crate::store::retention::{self, Pruned, Retention};
use crate::store::{Attached, Store, StoreError, audit, links, lock};

pub(crate) use event::{Actor, Denied, Event, Object, Sent, Why};
pub(crate) use happened::Happened;

/// A bounded queue and the thread that empties it, which gives way to all others. What must be dropped under a flood is
/// counted, and the count is written as soon as writing succeeds again. The end of a link's use is never dropped.
pub(crate) struct Trail {
    queue: Mutex<Queue>,
    filled: Condvar,
    /// Taken within a writing transaction only, so that whoever has one sees all.
    ended: Mutex<Vec<links::Ended>>,
}

#[derive(Default)]
struct Queue {
    events: Vec<Event>,
    /// Some use of a link has ended.
    ended: bool,
    dropped: u64,
    stopping: bool,
}

/// What has yet to be written, bounded as the queue is.
#[derive(Default)]
struct Pending {
    records: Vec<Happened>,
    ended: bool,
    dropped: u64,
}

impl Trail {
    pub(crate) fn start(
        store: &Store,
        retention: Retention,
    ) -> Result<(Arc<Self>, JoinHandle<()>), StoreError> {
        let connection = store.connection()?;
        // Nobody was told that these are on the disk.
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        let trail = Arc::new(Self {
            queue: Mutex::default(),
            filled: Condvar::new(),
            ended: Mutex::default(),
        });
        let writing = Arc::clone(&trail);
        let thread = std::thread::Builder::new()
            .name("beneath-audit".to_owned())
            .spawn(move || writing.write_all(&connection, retention))
            .map_err(StoreError::unreachable)?;
        Ok((trail, thread))
    }

    pub(crate) fn add(&self, event: Event) {
        // What strangers try leaves room for what others do.
        let room = match event.actor.is_stranger() {
            true => MAX_QUEUED / 2,
            false => MAX_QUEUED,
        };
        let mut queue = lock(&self.queue);
        if queue.events.len() >= room {
            queue.dropped += 1;
            return;
        }
        // Waking somebody is a system call, also if nobody sleeps: once for each batch.
        let sleeping = queue.is_empty();
        queue.events.push(event);
        drop(queue);
        if sleeping {
            self.filled.notify_one();
        }
    }

    pub(crate) fn add_ended(&self, ended: links::Ended) {
        self.put_back_ended(vec![ended]);
        self.filled.notify_one();
    }

    /// Within a writing transaction: the ends that were not written yet. If it is not committed they are put back.
    pub(crate) fn take_ended(&self) -> Vec<links::Ended> {
        std::mem::take(&mut lock(&self.ended))
    }

    pub(crate) fn put_back_ended(&self, mut ended: Vec<links::Ended>) {
        lock(&self.ended).append(&mut ended);
        lock(&self.queue).ended = true;
    }

    /// What was added before is written before the thread ends.
    pub(crate) fn stop(&self) {
        lock(&self.queue).stopping = true;
        self.filled.notify_one();
    }

    fn write_all(&self, connection: &Attached, retention: Retention) {
        let (mut batch, mut pending) = (Queue::default(), Pending::default());
        let mut left = Pruned::Some;
        let mut complaint = Complaint::new("the audit trail cannot be written");
        loop {
            let idle = pending.is_empty() && left != Pruned::Some;
            self.fill(&mut batch, &mut pending, if idle { IDLE } else { PAUSE });
            let count = pending.records.len();
            let written = self.write(connection, &mut pending);
            complaint.note(&written, "the audit trail can be written again");
            if batch.stopping {
                if written.is_err() {
                    let records = pending.records.len();
                    tracing::error!(records, "what happened last is in no audit trail");
                }
                return;
            }
            if written.is_err() {
                std::thread::sleep(PAUSE);
            }
            // More than was written, so that what is due for removal becomes less.
            left = prune(connection, retention, 2 + 2 * count / 1000);
        }
    }

    /// Waits for something to write, and longer for more of it: each write makes every reader's cache start anew, and what happens
    /// again and again becomes fewer records. If nothing comes within `idle` there is nothing to write.
    fn fill(&self, batch: &mut Queue, pending: &mut Pending, idle: Duration) {
        let mut queue = lock(&self.queue);
        let nothing = |queue: &mut Queue| queue.is_empty() && !queue.stopping;
        queue = match self.filled.wait_timeout_while(queue, idle, nothing) {
            Ok((queue, _)) => queue,
            Err(poisoned) => poisoned.into_inner().0,
        };
        for _ in 0..PAUSES {
            if queue.stopping || queue.ended || queue.is_empty() && pending.is_empty() {
                break;
            }
            if queue.events.len() > MAX_QUEUED / 4 {
                take(queue, batch, pending);
                queue = lock(&self.queue);
            }
            if pending.records.len() > MAX_QUEUED / 2 {
                break;
            }
            // Asleep, not waiting: whoever adds need not wake anybody.
            drop(queue);
            std::thread::sleep(PAUSE);
            queue = lock(&self.queue);
        }
        take(queue, batch, pending);
    }

    /// In short transactions: whoever changes something waits for none of them long. What could not be written stays pending.
    fn write(&self, connection: &Attached, pending: &mut Pending) -> Result<(), StoreError> {
        if pending.ended || pending.dropped > 0 {
            let mut ended = Vec::new();
            let written = in_transaction(connection, || {
                ended = self.take_ended();
                ended.iter().try_for_each(|ended| links::end(connection, ended))?;
                match pending.dropped {
                    0 => Ok(()),
                    dropped => audit::dropped(connection, dropped),
                }
            });
            written.inspect_err(|_| self.put_back_ended(ended))?;
            (pending.ended, pending.dropped) = (false, 0);
        }
        let mut done = 0;
        let written = pending.records.chunks(AT_ONCE).try_for_each(|records| {
            in_transaction(connection, || audit::happened(connection, records))?;
            done += records.len();
            std::thread::yield_now();
            Ok(())
        });
        pending.records.drain(..done);
        written
    }
}

impl Pending {
    fn add(&mut self, batch: &mut Queue) {
        self.ended |= std::mem::take(&mut batch.ended);
        self.dropped += std::mem::take(&mut batch.dropped);
        self.records.extend(batch.events.drain(..).map(Happened::once));
        // Keeps the room for a batch of usual length.
        batch.events.shrink_to(USUAL);
        happened::gather(&mut self.records);
        // What strangers tried goes first.
        self.drop_beyond(|record| record.event.actor.is_stranger());
        self.drop_beyond(|_| true);
    }

    /// What there is no room for, of such records.
    fn drop_beyond(&mut self, of: impl Fn(&Happened) -> bool) {
        let mut beyond = self.records.len().saturating_sub(MAX_QUEUED);
        if beyond == 0 {
            return;
        }
        self.records.retain(|record| {
            let goes = beyond > 0 && of(record);
            if goes {
                beyond -= 1;
                self.dropped += record.times;
            }
            !goes
        });
    }

    const fn is_empty(&self) -> bool {
        self.records.is_empty() && !self.ended && self.dropped == 0
    }
}

impl Queue {
    const fn is_empty(&self) -> bool {
        self.events.is_empty() && !self.ended && self.dropped == 0
    }
}

/// Empties the queue, and works on what was in it without the lock.
fn take(mut queue: MutexGuard<'_, Queue>, batch: &mut Queue, pending: &mut Pending) {
    std::mem::swap(&mut *queue, batch);
    queue.stopping = batch.stopping;
    drop(queue);
    pending.add(batch);
}

/// What cannot be removed now is removed later.
fn prune(connection: &Attached, retention: Retention, batches: usize) -> Pruned {
    for _ in 0..batches {
        match in_transaction(connection, || retention::prune(connection, retention)) {
            Ok(Pruned::Some) => {}
            Ok(Pruned::Nothing) | Err(_) => return Pruned::Nothing,
        }
    }
    Pruned::Some
}

fn in_transaction<T>(
    connection: &Attached,
    act: impl FnOnce() -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    connection.execute_batch("BEGIN IMMEDIATE")?;
    let done = act().and_then(|done| {
        connection.execute_batch("COMMIT")?;
        Ok(done)
    });
    if done.is_err() && !connection.is_autocommit() {
        connection.execute_batch("ROLLBACK")?;
    }
    done.map_err(|error| connection.explain(error))
}

/// Some 4 MB, with what they are about.
const MAX_QUEUED: usize = 1 << 14;

/// So many events the queue has room for between two batches.
const USUAL: usize = 1 << 10;

/// How many records one transaction writes: in less than a millisecond.
const AT_ONCE: usize = 256;

/// How often what is too old is looked for where nothing happens.
const IDLE: Duration = Duration::from_secs(3600);

const PAUSE: Duration = Duration::from_millis(50);

/// So that a batch is of half a second, unless it holds what cannot wait or becomes long.
const PAUSES: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Millis;

    fn tried(actor: &Actor, what: usize) -> Event {
        Event {
            at: Millis(0),
            actor: actor.clone(),
            event: "open",
            object: Object::Text(what.to_string()),
            revision: 1,
            outcome: "refused",
            reason: None,
            sent: Sent::None,
            address: None,
        }
    }

    fn ann() -> Actor {
        Actor::User("ann".parse().unwrap())
    }

    /// Who gave no name, and who gave one that they did not prove.
    fn strangers() -> [Actor; 2] {
        [Actor::Unknown, Actor::Claimed("ann".into())]
    }

    #[test]
    fn half_of_the_queue_is_for_those_who_showed_who_they_are() {
        for stranger in strangers() {
            let trail = Trail {
                queue: Mutex::default(),
                filled: Condvar::new(),
                ended: Mutex::default(),
            };
            let mut told = Vec::new();
            for actor in [stranger, ann()] {
                (0..MAX_QUEUED).for_each(|what| trail.add(tried(&actor, what)));
                let queue = lock(&trail.queue);
                told.push((queue.events.len(), queue.dropped));
            }
            let (all, half) = (MAX_QUEUED as u64, MAX_QUEUED as u64 / 2);
            assert_eq!(told, [(MAX_QUEUED / 2, half), (MAX_QUEUED, all)]);
        }
    }

    /// Of `actor` there are these records, in this order, and no others.
    #[track_caller]
    fn assert_left(pending: &Pending, actor: &Actor, what: std::ops::Range<usize>) {
        let of = pending
            .records
            .iter()
            .filter(|record| record.event.actor == *actor);
        let left: Vec<_> = of.map(|record| &record.event.object).collect();
        let expected: Vec<_> = what.map(|what| Object::Text(what.to_string())).collect();
        assert!(
            left.iter().copied().eq(&expected),
            "{} are left instead of {}",
            left.len(),
            expected.len()
        );
    }

    #[test]
    fn where_there_is_no_room_for_all_what_strangers_tried_goes_first_then_the_oldest_and_is_counted() {
        const HALF: usize = MAX_QUEUED / 2;
        for stranger in strangers() {
            let (mut batch, mut pending) = (Queue::default(), Pending::default());
            let both = (0..HALF).flat_map(|what| [tried(&ann(), what), tried(&stranger, what)]);
            batch.events.extend(both);
            pending.add(&mut batch);
            assert_eq!(
                (pending.records.len(), pending.dropped),
                (MAX_QUEUED, 0),
                "there is room"
            );

            batch.events.push(tried(&ann(), HALF));
            pending.add(&mut batch);
            assert_left(&pending, &ann(), 0..HALF + 1);
            assert_left(&pending, &stranger, 1..HALF);
            assert_eq!(pending.dropped, 1);

            // More than they are.
            batch
                .events
                .extend((HALF + 1..MAX_QUEUED + 3).map(|what| tried(&ann(), what)));
            pending.add(&mut batch);
            assert_left(&pending, &stranger, 0..0);
            assert_left(&pending, &ann(), 3..MAX_QUEUED + 3);
            assert_eq!(pending.dropped, HALF as u64 + 3);
        }
    }

    #[test]
    fn a_record_of_what_happened_often_is_counted_as_often_when_it_goes() {
        const OFTEN: usize = 2000;
        let (mut batch, mut pending) = (Queue::default(), Pending::default());
        batch.events.extend((0..OFTEN).map(|_| tried(&Actor::Unknown, 0)));
        pending.add(&mut batch);
        assert_eq!(pending.records.len(), 1);
        batch
            .events
            .extend((0..MAX_QUEUED).map(|what| tried(&ann(), what)));
        pending.add(&mut batch);
        assert_left(&pending, &ann(), 0..MAX_QUEUED);
        assert_eq!(pending.dropped, OFTEN as u64);
    }
}
