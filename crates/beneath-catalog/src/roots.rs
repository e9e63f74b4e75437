//! [`Roots`]: the directories that files are published from, and how many may wait for each of their file systems.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, RwLock};

use beneath::{Error, Root};
use foldhash::fast::RandomState;

use crate::refusal::{Reason, Refusal};
use crate::revocation::sync;
use crate::subject::RootName;

pub(crate) struct Roots {
    served: RwLock<HashMap<RootName, Arc<Served>, RandomState>>,
    /// How many may wait for one file system where there are several.
    at_once: usize,
    /// How many may wait for one as it is.
    limit: Arc<AtomicUsize>,
}

/// A root, and who waits for what it is on.
pub(crate) struct Served {
    pub(crate) root: Arc<Root>,
    device: u64,
    /// Those of all roots on the same.
    waiting: Arc<AtomicUsize>,
    limit: Arc<AtomicUsize>,
}

/// For as long as this is there, somebody may wait for the file system.
pub(crate) struct Turn<'a>(&'a AtomicUsize);

impl Roots {
    pub(crate) fn new(
        roots: impl IntoIterator<Item = (RootName, Arc<Root>)>,
        at_once: usize,
    ) -> Result<Self, Error> {
        let this = Self {
            served: RwLock::default(),
            at_once,
            limit: Arc::default(),
        };
        for (name, root) in roots {
            this.set(name, root)?;
        }
        Ok(this)
    }

    /// Returns what was in its place.
    pub(crate) fn set(&self, name: RootName, root: Arc<Root>) -> Result<Option<Arc<Root>>, Error> {
        let device = root.metadata()?.identity().device();
        let mut served = sync::write(&self.served);
        let same = served.values().find(|served| served.device == device);
        let waiting = same.map_or_else(Arc::default, |served| Arc::clone(&served.waiting));
        let now = Served {
            root,
            device,
            waiting,
            limit: Arc::clone(&self.limit),
        };
        let before = served.insert(name, Arc::new(now));
        let limit = match served.values().any(|served| served.device != device) {
            true => self.at_once,
            false => usize::MAX,
        };
        self.limit.store(limit, Ordering::Relaxed);
        Ok(before.map(|before| Arc::clone(&before.root)))
    }

    pub(crate) fn get(&self, name: &RootName) -> Option<Arc<Served>> {
        sync::read(&self.served).get(name).cloned()
    }

    /// Whichever.
    pub(crate) fn any(&self) -> Option<Arc<Served>> {
        sync::read(&self.served).values().next().cloned()
    }
}

impl Served {
    /// To be had before waiting: one file system that hangs does not take all threads there are from the others. Where there are no
    /// others nobody is told to come back who could have waited.
    pub(crate) fn turn(&self) -> Result<Turn<'_>, Refusal> {
        let turn = Turn(&self.waiting);
        match self.waiting.fetch_add(1, Ordering::Relaxed) < self.limit.load(Ordering::Relaxed) {
            true => Ok(turn),
            false => Err(Refusal::busy(Reason::FileSystemBusy)),
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use beneath::ambient_authority;

    use super::*;
    use crate::refusal::RefusalKind;

    #[test]
    fn where_there_is_one_file_system_there_is_nobody_to_be_kept_from_another() {
        let directory = tempfile::tempdir().unwrap();
        let root = |path: &std::path::Path| Arc::new(Root::open_ambient(path, ambient_authority()).unwrap());
        let [here, other]: [RootName; 2] = ["here", "other"].map(|name| name.parse().unwrap());
        let places = [
            (here.clone(), root(directory.path())),
            (other.clone(), root(directory.path())),
        ];
        let roots = Roots::new(places, 1).unwrap();
        let served = roots.get(&here).unwrap();
        let _turns = [served.turn().unwrap(), served.turn().unwrap()];
        roots.set(other.clone(), root("/proc".as_ref())).unwrap();
        assert!(served.turn().is_err(), "there is another");
        assert!(roots.get(&other).unwrap().turn().is_ok());
        roots.set(other, root(directory.path())).unwrap();
        assert!(served.turn().is_ok(), "there is none any more");
    }

    #[test]
    fn roots_on_one_file_system_share_its_turns_and_no_other_has_to_wait() {
        let directory = tempfile::tempdir().unwrap();
        let root = |path: &std::path::Path| Arc::new(Root::open_ambient(path, ambient_authority()).unwrap());
        let [here, also_here, elsewhere] =
            ["here", "also-here", "elsewhere"].map(|name| name.parse().unwrap());
        let places = [
            (RootName::clone(&here), root(directory.path())),
            (RootName::clone(&also_here), root(directory.path())),
            (RootName::clone(&elsewhere), root("/proc".as_ref())),
        ];
        let roots = Roots::new(places, 2).unwrap();
        let [one, other, far] = [&here, &also_here, &elsewhere].map(|name| roots.get(name).unwrap());
        let turns = [one.turn().unwrap(), other.turn().unwrap()];
        let refusal = one.turn().err().unwrap();
        assert!(matches!(refusal.kind(), RefusalKind::Busy { .. }), "{refusal}");
        assert_eq!(refusal.reason(), Reason::FileSystemBusy);
        assert!(far.turn().is_ok());
        roots.set(also_here.clone(), root(directory.path())).unwrap();
        let anew = roots.get(&also_here).unwrap();
        assert!(anew.turn().is_err(), "who waits for its file system waits on");
        drop(turns);
        assert!(
            anew.turn().is_ok() && one.turn().is_ok(),
            "who was refused has no turn"
        );
    }
}
