//! [`Trail`]: decisions and transfers on their way to the audit trail, in batches, off the path of requests.

use std::net::IpAddr;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;

use crate::file_id::FileId;
use crate::refusal::Reason;
use crate::store::{Millis, Store, StoreError, audit, links, lock};
use crate::subject::UserName;

/// A bounded queue and the thread that empties it. What must be dropped under a flood is counted, and the count is
/// written as soon as writing succeeds again. The end of a link's use is never dropped.
pub(crate) struct Trail {
    queue: Mutex<Queue>,
    filled: Condvar,
}

#[derive(Default)]
struct Queue {
    events: Vec<Event>,
    ended: Vec<links::Ended>,
    dropped: u64,
    stopping: bool,
}

/// What happened. Holds no secret.
pub(crate) struct Event {
    pub(crate) at: Millis,
    pub(crate) actor: Actor,
    pub(crate) event: &'static str,
    pub(crate) object: Object,
    pub(crate) revision: u64,
    pub(crate) outcome: &'static str,
    pub(crate) reason: Option<Reason>,
    pub(crate) bytes: Option<u64>,
    pub(crate) address: Option<IpAddr>,
}

/// To what.
pub(crate) enum Object {
    File(FileId),
    Text(String),
    Nothing,
}

/// Who, as far as is known.
#[derive(Clone)]
pub(crate) enum Actor {
    User(UserName),
    /// The name that somebody gave who did not prove it.
    Claimed(Box<str>),
    Link(i64),
    Unknown,
}

impl Trail {
    pub(crate) fn start(store: &Store) -> Result<(Arc<Self>, JoinHandle<()>), StoreError> {
        let connection = store.connection()?;
        // Nobody was told that these are on the disk.
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        let trail = Arc::new(Self {
            queue: Mutex::default(),
            filled: Condvar::new(),
        });
        let writing = Arc::clone(&trail);
        let thread = std::thread::Builder::new()
            .name("beneath-audit".to_owned())
            .spawn(move || writing.write_all(&connection))
            .map_err(|_| StoreError::unreachable())?;
        Ok((trail, thread))
    }

    pub(crate) fn add(&self, event: Event) {
        let mut queue = lock(&self.queue);
        if queue.events.len() >= MAX_QUEUED {
            queue.dropped += 1;
            return;
        }
        queue.events.push(event);
        self.filled.notify_one();
    }

    pub(crate) fn add_ended(&self, ended: links::Ended) {
        lock(&self.queue).ended.push(ended);
        self.filled.notify_one();
    }

    /// What was added before is written before the thread ends.
    pub(crate) fn stop(&self) {
        lock(&self.queue).stopping = true;
        self.filled.notify_one();
    }

    fn write_all(&self, connection: &Connection) {
        loop {
            let mut batch = self.next();
            let stopping = batch.stopping;
            if write(connection, &batch).is_err() {
                if stopping {
                    return;
                }
                std::thread::sleep(PAUSE);
                self.put_back(&mut batch);
            }
            if stopping {
                return;
            }
        }
    }

    /// Waits for something to write, and longer for more of it: each write makes every reader's cache start anew.
    fn next(&self) -> Queue {
        let mut queue = lock(&self.queue);
        while queue.is_empty() && !queue.stopping {
            queue = self.filled.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        for _ in 0..PAUSES {
            if queue.stopping {
                break;
            }
            // Asleep, not waiting: whoever adds need not wake anybody.
            drop(queue);
            std::thread::sleep(PAUSE);
            queue = lock(&self.queue);
            if !queue.ended.is_empty() || queue.events.len() > MAX_QUEUED / 2 {
                break;
            }
        }
        let stopping = queue.stopping;
        let batch = std::mem::take(&mut *queue);
        queue.stopping = stopping;
        batch
    }

    fn put_back(&self, batch: &mut Queue) {
        let mut queue = lock(&self.queue);
        queue.ended.append(&mut batch.ended);
        queue.dropped += batch.dropped;
        let room = MAX_QUEUED
            .saturating_sub(queue.events.len())
            .min(batch.events.len());
        queue.dropped += (batch.events.len() - room) as u64;
        let newer = std::mem::take(&mut queue.events);
        batch.events.truncate(room);
        queue.events.append(&mut batch.events);
        queue.events.extend(newer);
    }
}

impl Queue {
    const fn is_empty(&self) -> bool {
        self.events.is_empty() && self.ended.is_empty() && self.dropped == 0
    }
}

fn write(connection: &Connection, batch: &Queue) -> Result<(), StoreError> {
    connection.execute_batch("BEGIN IMMEDIATE")?;
    let written = write_rows(connection, batch).and_then(|()| Ok(connection.execute_batch("COMMIT")?));
    if written.is_err() && !connection.is_autocommit() {
        connection.execute_batch("ROLLBACK")?;
    }
    written
}

fn write_rows(connection: &Connection, batch: &Queue) -> Result<(), StoreError> {
    batch
        .events
        .iter()
        .try_for_each(|event| audit::event(connection, event))?;
    batch
        .ended
        .iter()
        .try_for_each(|ended| links::end(connection, ended))?;
    match batch.dropped {
        0 => Ok(()),
        dropped => audit::dropped(connection, dropped),
    }
}

/// Some 2 MB.
const MAX_QUEUED: usize = 1 << 14;

const PAUSE: Duration = Duration::from_millis(50);

/// So that a batch is of half a second, unless it holds what cannot wait or becomes long.
const PAUSES: usize = 10;
