//! Whether bytes of a file are in memory, so that sendfile(2), which cannot be told not to, will not wait for the disk.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use beneath::{ErrorKind, File};

/// For how long what was found in memory is not looked for again: the kernel gives nothing back that was used so lately.
/// Looking costs a twentieth of an answer of 64 KiB.
const LATELY: Duration = Duration::from_millis(10);

/// How many stretches each thread remembers.
const REMEMBERED: usize = 64;

thread_local! {
    static FOUND: RefCell<Found> = const { RefCell::new(Found([const { None }; REMEMBERED])) };
}

/// Stretches that were found in memory, and when; one in the place of another. What lies within one was found, too.
struct Found([Option<(Stretch, Instant)>; REMEMBERED]);

/// Bytes of a file, from there to before there.
#[derive(Clone, Copy)]
struct Stretch {
    device: u64,
    inode: u64,
    begin: u64,
    end: u64,
}

impl Found {
    fn has(&self, stretch: &Stretch, now: Instant) -> bool {
        let known = &self.0[stretch.place()];
        matches!(known, Some((known, when)) if known.holds(stretch) && now.saturating_duration_since(*when) < LATELY)
    }

    fn note(&mut self, stretch: Stretch, now: Instant) {
        self.0[stretch.place()] = Some((stretch, now));
    }
}

impl Stretch {
    fn holds(&self, part: &Self) -> bool {
        (self.device, self.inode) == (part.device, part.inode)
            && self.begin <= part.begin
            && part.end <= self.end
    }

    /// The same for all pieces in which a megabyte leaves.
    fn place(&self) -> usize {
        let mixed = self.inode.wrapping_add(self.begin >> 20);
        usize::try_from(mixed % REMEMBERED as u64).unwrap_or(0)
    }
}

/// How far apart the bytes are that are tried. The kernel reads ahead, and gives back, much at a time.
const TRIED_EVERY: usize = 256 * 1024;

/// Up to this length, in bytes, the first byte stands for all.
const TRIED_ONCE: u64 = 64 * 1024;

/// A sample, or what one said a moment ago. Where it is wrong, this thread waits for the disk for once.
pub(super) fn is_in_memory(file: &File, offset: u64, count: u64) -> bool {
    let identity = file.metadata().identity();
    let stretch = Stretch {
        device: identity.device(),
        inode: identity.inode(),
        begin: offset,
        end: offset.saturating_add(count),
    };
    let now = Instant::now();
    FOUND.with_borrow_mut(|found| {
        if found.has(&stretch, now) {
            return true;
        }
        let is_found = is_found(file, offset, count);
        if is_found {
            found.note(stretch, now);
        }
        is_found
    })
}

fn is_found(file: &File, offset: u64, count: u64) -> bool {
    let last = offset + count.saturating_sub(1);
    let tried = (offset..last).step_by(TRIED_EVERY);
    tried
        .chain((count == 1 || count > TRIED_ONCE).then_some(last))
        .all(|at| {
            let read = file.try_read_at(&mut [0], at);
            // The end of a file that was cut, or a failing disk, is noticed by whoever sends.
            !matches!(read, Err(error) if error.kind() == ErrorKind::WouldBlock)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_is_known_for_a_moment_and_nothing_else_is() {
        let stretch = |inode, begin| Stretch {
            device: 1,
            inode,
            begin,
            end: begin + 4096,
        };
        let begin = Instant::now();
        let mut found = Found([const { None }; REMEMBERED]);
        assert!(!found.has(&stretch(1, 0), begin));
        found.note(stretch(1, 0), begin);
        assert!(found.has(&stretch(1, 0), begin + LATELY / 2));
        assert!(!found.has(&stretch(1, 0), begin + LATELY));
        assert!(!found.has(&stretch(1, 1), begin), "another part of it");
        let rest = Stretch {
            begin: 1,
            ..stretch(1, 0)
        };
        assert!(found.has(&rest, begin), "what is left when some has been sent");
        let other = stretch(1 + REMEMBERED as u64, 0);
        assert!(!found.has(&other, begin), "another file with the same place");
        found.note(other, begin);
        assert!(found.has(&other, begin) && !found.has(&stretch(1, 0), begin));
    }
}
