//! [`Memory`]: what was lately sent by which name, so that nobody splices two versions.

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::lookup::Found;
use crate::BareRanges;

/// How many names are remembered. Of two that share a place the later one is.
const PLACES: usize = 4096;

/// For how long after a replacement a range without If-Range is doubted.
const DOUBT: Duration = Duration::from_secs(3600);

/// Which version was last sent by each name.
///
/// `wget -c`, `curl -C -` and aria2 resume with a Range and no If-Range: they cannot say which version they hold the
/// beginning of, and splice whatever they get to it. Whoever was sent an earlier version by this name, was sent it by this
/// memory's knowledge; for a while after such a replacement, a range that says nothing is refused.
///
/// A new mode, owner or number of links is no replacement: there the time of modification is the same, and the new time of change is
/// explained.
///
/// Bounded: 4,096 names, 56 bytes each. The place of a name cannot be guessed, so nobody can drive a name out with a
/// chosen one.
pub(super) struct Memory {
    places: Box<[Mutex<Place>]>,
    hasher: RandomState,
}

#[derive(Clone, Copy, Default)]
struct Place {
    name: u64,
    content: u64,
    attributes: u64,
    changed: u64,
    replaced: Option<Instant>,
}

impl Memory {
    pub(super) fn new() -> Self {
        Self {
            places: (0..PLACES).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
        }
    }

    /// Remembers that this file is being sent, and tells whether ranges of it that come without If-Range are to be trusted.
    pub(super) fn note(&self, found: &Found) -> BareRanges {
        self.note_at(found, Instant::now())
    }

    fn note_at(&self, found: &Found, now: Instant) -> BareRanges {
        let metadata = found.file.metadata();
        let name = self.hasher.hash_one((&found.published, found.coding));
        let content = (metadata.identity(), metadata.len(), metadata.modified());
        let attributes = (metadata.mode(), metadata.uid(), metadata.gid(), metadata.links());
        let Some(place) = usize::try_from(name % PLACES as u64)
            .ok()
            .and_then(|at| self.places.get(at))
        else {
            return BareRanges::Serve;
        };
        let mut place = place.lock().unwrap_or_else(PoisonError::into_inner);
        let mut seen = Place {
            name,
            content: self.hasher.hash_one(content),
            attributes: self.hasher.hash_one(attributes),
            changed: self.hasher.hash_one(metadata.changed()),
            replaced: None,
        };
        if place.name == name {
            seen.replaced = match seen.replaces(&place) {
                true => Some(now),
                false => place.replaced.filter(|&then| now.duration_since(then) < DOUBT),
            };
        }
        *place = seen;
        match seen.replaced {
            Some(_) => BareRanges::FromTheStart,
            None => BareRanges::Serve,
        }
    }
}

impl Place {
    fn replaces(&self, before: &Self) -> bool {
        let unexplained = self.changed != before.changed && self.attributes == before.attributes;
        self.content != before.content || unexplained
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Memory")
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests build their own trees by name")]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use beneath::{RelPath, Root, ambient_authority};

    use super::{BareRanges, DOUBT, Found, Instant, Memory};

    /// What there is by the name `x`.
    fn found(root: &Root) -> Found {
        let published = RelPath::parse("x").unwrap();
        Found {
            file: root.open(&published).unwrap(),
            coding: None,
            published,
        }
    }

    #[test]
    fn a_new_mode_or_link_is_no_replacement_and_a_time_that_was_put_back_is() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x");
        let root = Root::open_ambient(directory.path(), ambient_authority()).unwrap();
        let (memory, now) = (Memory::new(), Instant::now());
        let note = || memory.note_at(&found(&root), now);
        std::fs::write(&path, "one").unwrap();
        let modified = found(&root).file.metadata().modified();
        let modified = modified.to_system_time().unwrap();
        assert_eq!(note(), BareRanges::Serve);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(note(), BareRanges::Serve, "another mode");
        std::fs::hard_link(&path, directory.path().join("backup")).unwrap();
        assert_eq!(note(), BareRanges::Serve, "another link");
        std::fs::write(&path, "two").unwrap();
        let file = std::fs::File::options().append(true).open(&path).unwrap();
        file.set_modified(modified).unwrap();
        assert_eq!(
            note(),
            BareRanges::FromTheStart,
            "rewritten, and its time put back"
        );
    }

    #[test]
    fn a_range_is_doubted_for_a_while_after_the_file_was_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let root = Root::open_ambient(directory.path(), ambient_authority()).unwrap();
        let write = |content: &str| {
            std::fs::write(directory.path().join("new"), content).unwrap();
            std::fs::rename(directory.path().join("new"), directory.path().join("x")).unwrap();
        };
        let (memory, now) = (Memory::new(), Instant::now());
        write("one");
        assert_eq!(memory.note_at(&found(&root), now), BareRanges::Serve);
        assert_eq!(memory.note_at(&found(&root), now), BareRanges::Serve);
        write("two");
        assert_eq!(memory.note_at(&found(&root), now), BareRanges::FromTheStart);
        assert_eq!(
            memory.note_at(&found(&root), now + DOUBT / 2),
            BareRanges::FromTheStart
        );
        assert_eq!(memory.note_at(&found(&root), now + DOUBT), BareRanges::Serve);
    }
}
