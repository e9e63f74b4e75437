//! [`Happened`]: what becomes one record of the trail.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::Event;

/// What happened, how often, and how many bytes that were in all.
pub(crate) struct Happened {
    /// The first time.
    pub(crate) event: Event,
    pub(crate) bytes: Option<u64>,
    pub(crate) times: u64,
}

impl Happened {
    pub(super) fn once(event: Event) -> Self {
        Self {
            bytes: event.sent.when_written(),
            event,
            times: 1,
        }
    }

    fn again(&mut self, more: &Self) {
        self.bytes = self
            .bytes
            .zip(more.bytes)
            .map(|(all, more)| all.saturating_add(more));
        self.times += more.times;
    }
}

/// Where they are very many: makes one record of the same to the same by the same, in the order in which each happened first. Gives
/// way to whoever waits for this processor.
pub(super) fn gather(records: &mut Vec<Happened>) {
    if records.len() <= MANY {
        return;
    }
    let mut places: Vec<usize> = Vec::with_capacity(records.len());
    let mut seen: HashMap<_, usize, RandomState> = HashMap::default();
    for records in records.chunks(MANY) {
        for Happened { event, bytes, .. } in records {
            let next = seen.len();
            // What is still under way is told from what has ended.
            places.push(*seen.entry((event.what(), bytes.is_some())).or_insert(next));
        }
        std::thread::yield_now();
    }
    let mut gathered: Vec<Happened> = Vec::with_capacity(seen.len());
    drop(seen);
    for (at, (record, place)) in records.drain(..).zip(places).enumerate() {
        match gathered.get_mut(place) {
            None => gathered.push(record),
            Some(same) => same.again(&record),
        }
        if at.is_multiple_of(MANY) {
            std::thread::yield_now();
        }
    }
    *records = gathered;
}

/// Above so many at once, the same thing again and again is one record. So many take some hundred microseconds.
const MANY: usize = 1024;
