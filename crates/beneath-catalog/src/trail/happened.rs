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
    const fn once(event: Event, bytes: Option<u64>) -> Self {
        Self {
            event,
            bytes,
            times: 1,
        }
    }

    fn again(&mut self, bytes: Option<u64>) {
        self.bytes = self.bytes.zip(bytes).map(|(all, more)| all.saturating_add(more));
        self.times += 1;
    }
}

/// Takes the events of one batch: one record for each, or, where they are very many, for the same to the same by the same, in the
/// order in which each happened first. Gives way to whoever waits for this processor.
pub(super) fn gather(events: &mut Vec<Event>) -> Vec<Happened> {
    if events.len() <= MANY {
        let each = events.drain(..).map(|event| {
            let bytes = event.sent.when_written();
            Happened::once(event, bytes)
        });
        return each.collect();
    }
    let mut places: Vec<(usize, Option<u64>)> = Vec::with_capacity(events.len());
    let mut seen: HashMap<_, usize, RandomState> = HashMap::default();
    for events in events.chunks(MANY) {
        for event in events {
            let bytes = event.sent.when_written();
            let next = seen.len();
            // What is still under way is told from what has ended.
            let place = seen.entry((event.what(), bytes.is_some())).or_insert(next);
            places.push((*place, bytes));
        }
        std::thread::yield_now();
    }
    let mut records: Vec<Happened> = Vec::with_capacity(seen.len());
    drop(seen);
    for (at, (event, (place, bytes))) in events.drain(..).zip(places).enumerate() {
        match records.get_mut(place) {
            None => records.push(Happened::once(event, bytes)),
            Some(same) => same.again(bytes),
        }
        if at.is_multiple_of(MANY) {
            std::thread::yield_now();
        }
    }
    records
}

/// Above so many in one batch, the same thing again and again is one record. So many take some hundred microseconds.
const MANY: usize = 1024;
