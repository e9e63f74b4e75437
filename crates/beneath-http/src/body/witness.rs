//! [`Witness`]: tells whether a file is still the one that was opened.

use beneath::Metadata;

/// What a file was when it was opened.
pub(super) struct Witness {
    baseline: Metadata,
}

/// What the descriptor says now, compared with what it said before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    /// No change, as far as the clock can tell.
    Same,
    /// The times of the content and its length are the same; permissions, owner or the number of names
    /// are not, and that explains the new ctime. Replacing a file by rename or unlinking it looks like this.
    Attributes,
    /// A new ctime with no visible reason (renamed; an extended attribute; rewritten and its mtime put back).
    Unexplained,
    /// Longer now: appended to, or rewritten.
    Grown,
    /// Shorter, or modified.
    Changed,
}

impl Witness {
    pub(super) const fn new(opened: Metadata) -> Self {
        Self { baseline: opened }
    }

    pub(super) fn judge(&self, now: &Metadata) -> Judgement {
        let was = &self.baseline;
        if now.version() == was.version() {
            return Judgement::Same;
        }
        if now.len() > was.len() {
            return Judgement::Grown;
        }
        if now.len() < was.len() || now.modified() != was.modified() {
            return Judgement::Changed;
        }
        let attributes = |it: &Metadata| (it.mode(), it.uid(), it.gid(), it.links());
        if attributes(now) == attributes(was) {
            Judgement::Unexplained
        } else {
            Judgement::Attributes
        }
    }

    /// A change that was judged to be none of the content: the next is compared with this.
    pub(super) const fn accept(&mut self, now: Metadata) {
        self.baseline = now;
    }
}
