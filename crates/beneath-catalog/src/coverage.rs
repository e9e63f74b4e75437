//! [`Coverage`]: which bytes of a file were sent, over any number of transfers.

use std::ops::Range;

/// Disjoint ranges in ascending order, none touching the next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Coverage(Vec<Range<u64>>);

impl Coverage {
    pub(crate) fn add(&mut self, mut sent: Range<u64>) {
        if sent.is_empty() {
            return;
        }
        self.0.retain(|range| {
            let apart = range.end < sent.start || sent.end < range.start;
            if !apart {
                sent = sent.start.min(range.start)..sent.end.max(range.end);
            }
            apart
        });
        let place = self.0.partition_point(|range| range.start < sent.start);
        self.0.insert(place, sent);
        if self.0.len() > MAX_RANGES {
            self.close_the_smallest_gap();
        }
    }

    /// Whether every byte of a file of this length was sent; of an empty one, always.
    pub(crate) fn is_whole(&self, length: u64) -> bool {
        length == 0
            || self
                .0
                .first()
                .is_some_and(|range| range.start == 0 && range.end >= length)
    }

    /// How many bytes that are.
    pub(crate) fn len(&self) -> u64 {
        self.0.iter().map(|range| range.end - range.start).sum()
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whoever asks for a file in a thousand scattered pieces is taken to have had the least of what lies between.
    fn close_the_smallest_gap(&mut self) {
        let gap = |at: &usize| self.0[*at].start - self.0[at - 1].end;
        if let Some(at) = (1..self.0.len()).min_by_key(gap) {
            let next = self.0.remove(at);
            self.0[at - 1].end = next.end;
        }
    }

    /// As the store keeps it: start and end of each range, eight bytes each, the highest byte first.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let ends = self.0.iter().flat_map(|range| [range.start, range.end]);
        ends.flat_map(u64::to_be_bytes).collect()
    }

    /// What is not as [`to_bytes`](Self::to_bytes) writes it counts as nothing sent.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Self {
        let mut coverage = Self::default();
        for range in bytes.as_chunks::<8>().0.as_chunks::<2>().0 {
            let [start, end] = range.map(u64::from_be_bytes);
            coverage.add(start..end);
        }
        coverage
    }
}

const MAX_RANGES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn of(ranges: &[Range<u64>]) -> Coverage {
        let mut coverage = Coverage::default();
        ranges.iter().for_each(|range| coverage.add(range.clone()));
        coverage
    }

    #[test]
    fn a_file_is_whole_once_every_byte_was_sent_once() {
        let whole: [&[Range<u64>]; 5] = [
            &[0..10, 0..10],
            &[0..4, 4..10],
            &[6..10, 0..4, 3..7],
            &[8..9, 2..3, 9..10, 0..2, 3..8],
            &[0..3, 0..3, 2..12],
        ];
        for ranges in whole {
            assert!(of(ranges).is_whole(10), "{ranges:?}");
        }
        let partial: [&[Range<u64>]; 5] = [
            &[],
            &[0..9, 0..9],
            &[1..10, 5..10],
            &[0..4, 5..10],
            &[0..9, 0..9, 3..9],
        ];
        for ranges in partial {
            assert!(!of(ranges).is_whole(10), "{ranges:?}");
        }
        assert!(of(&[]).is_whole(0));
    }

    #[test]
    fn it_survives_the_store_and_does_not_grow_without_end() {
        let mut scattered = Coverage::default();
        for piece in (0..10_000).rev() {
            scattered.add(piece * 3..piece * 3 + 1);
        }
        assert!(scattered.to_bytes().len() <= 16 * MAX_RANGES);
        assert!(!scattered.is_whole(30_000));
        assert_eq!(Coverage::from_bytes(&scattered.to_bytes()), scattered);
        assert!(Coverage::from_bytes(b"garbage").is_empty());
    }
}
