//! [`Lease`]: an open file plus the decision it rests on; stops yielding when the decision falls.

use std::fmt;
use std::sync::Arc;

use beneath::{File, Source, Stopped};

use crate::entry::Entry;
use crate::revocation::registry::Overtaken;
use crate::revocation::{Feed, Right};
use crate::store::decide::{Ground, Permit};
use crate::store::{Millis, Revision};
use crate::subject::UserName;

/// An open file, and the right to read it for as long as the decision holds that allowed it.
///
/// Only [`Catalog::open`](crate::Catalog::open) and its sibling make one. The [`Entry`] says what was published; the
/// [file](Source::file) what was opened. [`Source::still_held`] is an atomic load or two: ask it for every piece.
///
/// # Security
///
/// Falls, within the catalog's revocation bound, when what it rests on changes (a grant, group, role, password,
/// token, the user, the entry), when it expires, and when the store was silent for longer than the bound. It never
/// comes back.
pub struct Lease {
    file: File,
    decision: Arc<Decision>,
    right: Arc<Right>,
    key: u64,
    revision: Revision,
    feed: Arc<Feed>,
}

/// What was decided: for whom, on what, until when.
pub(crate) struct Decision {
    pub(crate) ground: Ground,
    pub(crate) user: UserName,
    pub(crate) entry: Entry,
    pub(crate) until: Option<Millis>,
    /// `until` on the feed's own clock.
    pub(crate) deadline: u64,
}

impl Decision {
    pub(crate) fn new(ground: Ground, user: UserName, entry: Entry, permit: &Permit, deadline: u64) -> Self {
        Self {
            ground,
            user,
            entry,
            until: permit.until(),
            deadline,
        }
    }

    /// By both clocks: the one that is set may have been set back.
    pub(crate) fn has_expired(&self, feed: &Feed) -> bool {
        self.until
            .is_some_and(|until| until <= Millis::now() || self.deadline <= feed.now())
    }
}

impl Lease {
    /// Binds what was opened to what was decided, unless a change came between the two.
    pub(crate) fn new(
        file: File,
        decision: Arc<Decision>,
        revision: Revision,
        feed: &Arc<Feed>,
    ) -> Result<Self, Overtaken> {
        let (ground, entry) = (decision.ground, decision.entry.seq);
        let right = Arc::new(Right::new(ground, entry, decision.until, decision.deadline));
        let key = feed.registry.register(&right, revision.as_u64())?;
        Ok(Self {
            file,
            decision,
            right,
            key,
            revision,
            feed: Arc::clone(feed),
        })
    }

    /// What was published.
    pub fn entry(&self) -> &Entry {
        &self.decision.entry
    }

    /// Who was allowed.
    pub fn user(&self) -> &UserName {
        &self.decision.user
    }

    /// As of when it was decided.
    pub const fn revision(&self) -> Revision {
        self.revision
    }
}

impl Source for Lease {
    fn file(&self) -> &File {
        &self.file
    }

    fn still_held(&self) -> Result<(), Stopped> {
        if self.feed.holds(&self.right) {
            return Ok(());
        }
        self.right.fall();
        Err(Stopped::new())
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.feed.registry.forget(self.key);
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("entry", self.entry())
            .field("user", self.user())
            .field("revision", &self.revision)
            .finish_non_exhaustive()
    }
}
