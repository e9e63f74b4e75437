//! [`Lease`]: an open file plus the decision it rests on; stops yielding when the decision falls.

use std::fmt;
use std::net::IpAddr;
use std::ops::Range;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use beneath::{File, Source, Stopped};

use crate::entry::{Entry, Pin};
use crate::pin;
use crate::revocation::content::Pinned;
use crate::revocation::registry::{Overtaken, Place};
use crate::revocation::{Feed, Right};
use crate::serving::Serving;
use crate::store::decide::{Ground, Permit};
use crate::store::{Millis, Revision, links};
use crate::subject::UserName;
use crate::trail::{Actor, Sent, Trail};

/// An open file, and the right to read it for as long as the decision holds that allowed it.
///
/// Only [`Catalog::open`](crate::Catalog::open) and its siblings make one. The [`Entry`] says what was published; the
/// [file](Source::file) what was opened. [`Source::still_held`] is three atomic loads and a look at the clock: ask it
/// for every piece.
///
/// # Security
///
/// Falls, within the catalog's revocation bound, when what it rests on changes (a grant, group, role, password,
/// token, link, the user, the entry, the content if that is pinned), when it expires, and when the store was silent
/// for longer than the bound. It never comes back.
pub struct Lease {
    file: Arc<File>,
    right: Arc<Right>,
    over: Option<Arc<Over>>,
    place: Option<Place>,
    feed: Arc<Feed>,
    trail: Arc<Trail>,
}

/// That a lease rests on a link: whose, and the use of it that was taken, once one is.
pub(crate) struct Over {
    pub(crate) found: links::Found,
    pub(crate) client: [u8; 32],
    pub(crate) size: u64,
    right: Arc<Right>,
    grace: Duration,
    taken: OnceLock<Taken>,
}

/// What became of a claim.
enum Taken {
    Use(links::Begun, Range<u64>),
    Refused,
    /// The lease ended without.
    Never,
}

/// What was decided: for whom, on what, until when.
pub(crate) struct Decision {
    pub(crate) ground: Ground,
    pub(crate) user: Option<UserName>,
    pub(crate) entry: Arc<Entry>,
    pub(crate) until: Option<Millis>,
    /// `until` on the feed's own clock.
    pub(crate) deadline: u64,
}

impl Decision {
    pub(crate) fn new(
        ground: Ground,
        user: Option<UserName>,
        entry: Entry,
        permit: &Permit,
        deadline: u64,
    ) -> Self {
        Self {
            ground,
            user,
            entry: Arc::new(entry),
            until: permit.until(),
            deadline,
        }
    }

    /// By both clocks: the one that is set may have been set back.
    pub(crate) fn has_expired(&self, feed: &Feed) -> bool {
        self.until
            .is_some_and(|until| until <= Millis::now() || self.deadline <= feed.now())
    }

    pub(crate) fn actor(&self) -> Actor {
        match (&self.user, self.ground) {
            (Some(name), _) => Actor::User(name.clone()),
            (None, Ground::Link { link, .. }) => Actor::Link(link),
            (None, Ground::User { .. }) => Actor::Unknown,
        }
    }
}

impl Over {
    pub(crate) fn address(&self) -> Option<IpAddr> {
        self.right.address
    }

    /// Once, while the lease lives: it is for one transfer.
    pub(crate) fn began(
        &self,
        begun: links::Begun,
        bytes: Range<u64>,
        serving: &Serving,
    ) -> Result<(), links::Ended> {
        let transfers = &serving.feed.link_transfers;
        transfers.fetch_add(1, Ordering::Relaxed);
        let taken = self.taken.set(Taken::Use(begun, bytes.clone()));
        taken.map_err(|_| {
            transfers.fetch_sub(1, Ordering::Relaxed);
            self.ended(begun, bytes, 0)
        })?;
        serving.trail.add(Right::given(&self.right));
        Ok(())
    }

    /// There was no use to be taken. That is written down, so not also that somebody looked.
    pub(crate) fn refused(&self) {
        let _ = self.taken.set(Taken::Refused);
    }

    fn is_taken(&self) -> bool {
        matches!(self.taken.get(), Some(Taken::Use(..)))
    }

    fn end(&self, sent: u64, feed: &Feed, trail: &Trail) {
        if self.taken.set(Taken::Never).is_ok() {
            trail.add(Right::given(&self.right));
        }
        if let Some(Taken::Use(begun, bytes)) = self.taken.get() {
            feed.link_transfers.fetch_sub(1, Ordering::Relaxed);
            trail.add_ended(self.ended(*begun, bytes.clone(), sent));
        }
    }

    fn ended(&self, begun: links::Begun, bytes: Range<u64>, sent: u64) -> links::Ended {
        links::Ended {
            begun,
            bytes,
            sent,
            size: self.size,
            until: Millis::now().after(self.grace),
        }
    }
}

impl Lease {
    /// Binds what was opened to what was decided, unless a change came between the two.
    pub(crate) fn new(
        file: File,
        decision: Decision,
        revision: Revision,
        address: Option<IpAddr>,
        serving: &Serving,
    ) -> Result<Self, Overtaken> {
        let file = Arc::new(file);
        let pinned = (decision.entry.pin == Pin::Content).then(|| Pinned::new(&file, &serving.feed));
        let right = Arc::new(Right::new(decision, revision, address, pinned));
        let place = serving.feed.registry.register(&right, revision.as_u64())?;
        Ok(Self {
            file,
            right,
            over: None,
            place: Some(place),
            feed: Arc::clone(&serving.feed),
            trail: Arc::clone(&serving.trail),
        })
    }

    /// This lease is held once a use of a link was taken for it, which ends with it.
    pub(crate) fn over(
        mut self,
        found: links::Found,
        client: [u8; 32],
        grace: Duration,
    ) -> (Self, Arc<Over>) {
        let over = Arc::new(Over {
            found,
            client,
            size: self.file.metadata().len(),
            right: Arc::clone(&self.right),
            grace,
            taken: OnceLock::new(),
        });
        self.over = Some(Arc::clone(&over));
        (self, over)
    }

    /// What was published.
    pub fn entry(&self) -> &Entry {
        &self.right.decision.entry
    }

    /// Whether the kernel checks each read of the file against the content that was published (fs-verity): who sends it need not.
    /// Asks the descriptor.
    pub fn is_sealed(&self) -> bool {
        pin::is_sealed(self.entry(), &self.file)
    }

    /// Who was allowed, or `None` for whoever had a link.
    pub fn user(&self) -> Option<&UserName> {
        self.right.decision.user.as_ref()
    }

    /// As of when it was decided.
    pub fn revision(&self) -> Revision {
        self.right.revision
    }

    /// Calls when the right falls, at once if it has: for whoever has handed on what the client does not take, and so is asked
    /// for nothing that [`still_held`](Source::still_held) could refuse. For one caller; not begun once the lease is dropped, but perhaps
    /// not over by then.
    ///
    /// A right that lapses because the store cannot be asked is noticed by `still_held` only.
    pub fn on_fall(&self, call: impl FnOnce() + Send + 'static) {
        self.right.on_fall(Box::new(call));
    }

    /// Writes down that it was given.
    pub(crate) fn recorded(self) -> Self {
        self.trail.add(Right::given(&self.right));
        self
    }
}

impl Source for Lease {
    fn file(&self) -> &File {
        &self.file
    }

    fn still_held(&self) -> Result<(), Stopped> {
        if self.over.as_ref().is_some_and(|over| !over.is_taken()) {
            return Err(Stopped::new());
        }
        if self.feed.holds(&self.right) {
            return Ok(());
        }
        self.right.fall(self.feed.why_not(&self.right));
        Err(Stopped::new())
    }

    fn sent(&self, bytes: u64) {
        self.right.sent.fetch_add(bytes, Ordering::Relaxed);
    }

    fn completed(&self) {
        self.right.complete.store(true, Ordering::Relaxed);
    }
}

impl Drop for Lease {
    /// The transfer has ended, one way or another.
    fn drop(&mut self) {
        if let Some(place) = self.place.take() {
            self.feed.registry.forget(place);
        }
        let sent = self.right.sent.load(Ordering::Relaxed);
        let complete = self.right.complete.load(Ordering::Relaxed);
        let is_written = self.right.end();
        self.right.forget_on_fall();
        if let Some(over) = &self.over {
            over.end(sent, &self.feed, &self.trail);
        }
        let ended = match self.right.has_fallen() {
            // The record that it was given says it all, unless that was written before.
            _ if complete => is_written.then_some("complete"),
            true => Some("cut"),
            false => (sent > 0).then_some("aborted"),
        };
        if let Some(ended) = ended {
            self.trail
                .add(self.right.event("transfer", ended, Sent::Bytes(sent)));
        }
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("entry", self.entry())
            .field("user", &self.user())
            .field("revision", &self.revision())
            .finish_non_exhaustive()
    }
}
