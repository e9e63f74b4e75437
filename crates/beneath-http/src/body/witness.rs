//! [`Witness`]: tells whether a file is still the one that was opened.

use std::sync::{Arc, Mutex, PoisonError};

use beneath::Metadata;

/// What a file was when it was opened.
pub(super) struct Witness {
    baseline: Baseline,
}

enum Baseline {
    Own(Metadata),
    /// With the slices of the file that are on their way: what one of them accepts counts for those that follow.
    Shared(Arc<Mutex<Metadata>>),
}

/// What the descriptor says now, compared with what it said before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    /// No change, as far as the clock can tell.
    Same,
    /// One name less and nothing else, which explains the new ctime: it was unlinked, or another file was renamed into its place.
    Unlinked,
    /// A new ctime without a reason that would rule out another content (renamed; chmod; one name more; rewritten and its mtime
    /// put back).
    Unexplained,
    /// Longer now: appended to, or rewritten.
    Grown,
    /// Shorter, or modified.
    Changed,
}

impl Witness {
    pub(super) const fn new(opened: Metadata) -> Self {
        Self {
            baseline: Baseline::Own(opened),
        }
    }

    /// Another that goes by the same.
    pub(super) fn share(&mut self) -> Self {
        let shared = match &self.baseline {
            Baseline::Own(metadata) => Arc::new(Mutex::new(*metadata)),
            Baseline::Shared(shared) => Arc::clone(shared),
        };
        self.baseline = Baseline::Shared(Arc::clone(&shared));
        Self {
            baseline: Baseline::Shared(shared),
        }
    }

    pub(super) fn judge(&self, now: &Metadata) -> Judgement {
        let was = &self.was();
        if now.version() == was.version() {
            return Judgement::Same;
        }
        if now.len() > was.len() {
            return Judgement::Grown;
        }
        if now.len() < was.len() || now.modified() != was.modified() {
            return Judgement::Changed;
        }
        let attributes = |it: &Metadata| (it.mode(), it.uid(), it.gid());
        if now.links() < was.links() && attributes(now) == attributes(was) {
            Judgement::Unlinked
        } else {
            Judgement::Unexplained
        }
    }

    /// A change that was judged to be none of the content: the next is compared with this.
    pub(super) fn accept(&mut self, now: Metadata) {
        match &mut self.baseline {
            Baseline::Own(metadata) => *metadata = now,
            Baseline::Shared(shared) => *shared.lock().unwrap_or_else(PoisonError::into_inner) = now,
        }
    }

    fn was(&self) -> Metadata {
        match &self.baseline {
            Baseline::Own(metadata) => *metadata,
            Baseline::Shared(shared) => *shared.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }
}
