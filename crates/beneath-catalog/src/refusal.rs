//! [`Refusal`]: why there is no lease, for the client in one of five words, for the audit trail in full.

use std::fmt;
use std::sync::Mutex;
use std::time::Duration;

use beneath::ErrorKind;

use crate::complaint::Complaint;
use crate::store::{StoreError, lock};

/// Why there is no [`Lease`](crate::Lease).
///
/// [`kind`](Self::kind) is all a client may learn. [`reason`](Self::reason) is the truth, for the audit trail and the
/// log only; `Display` does not show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    kind: RefusalKind,
    reason: Reason,
}

/// What a client may learn of a [`Refusal`], closed on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a service must decide on each kind")]
pub enum RefusalKind {
    /// Not shown who they are (401). The same for an unknown user, a wrong password and a disabled user.
    Unauthenticated,
    /// Not for them (404): unknown, forbidden, expired, vanished, escaping and swapped files are one and the same.
    NotFound,
    /// Too much is going on (503).
    Busy {
        /// When to ask again.
        retry_after: Duration,
    },
    /// Too many logins failed from there, or for that name (429).
    TooManyAttempts {
        /// When the next is heard.
        retry_after: Duration,
    },
    /// The store or the file system failed (503). Nothing is ever allowed because of it.
    Unavailable,
}

/// The true reason of a [`Refusal`], or of the fall of a [`Lease`](crate::Lease). Never for a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// The credentials are empty, too long, or not text.
    MalformedCredentials,
    /// There is no such user.
    UnknownUser,
    /// The password is another.
    WrongPassword,
    /// The password was changed since they were allowed.
    PasswordChanged,
    /// The user is disabled.
    DisabledUser,
    /// There is no such token, or it expired or was revoked.
    UnknownToken,
    /// There is no such link, or it expired or was revoked.
    UnknownLink,
    /// All uses of the link are taken.
    LinkUsedUp,
    /// Nothing is published under this ID.
    UnknownFile,
    /// It is published, but not for them.
    Forbidden,
    /// It was for them, until some time ago.
    Expired,
    /// It is published beneath a root that this process does not have.
    UnknownRoot,
    /// It could not be opened beneath its root.
    NotOpened(ErrorKind),
    /// It is not the file, or not the content, that was published.
    Replaced,
    /// The decision changed while the file was being opened, again and again.
    Overtaken,
    /// Too many failures from this address or for this user.
    Throttled,
    /// Too many passwords are being checked at once.
    HashingQueueFull,
    /// As many as may already wait for the file system it is on.
    FileSystemBusy,
    /// Its content is being read, to see whether it is what was published.
    BeingRead,
    /// Its content is pinned, and the file system did not say in time whether it still is the same.
    NotSeen,
    /// The store could not be asked.
    Store,
    /// The answer is not in memory.
    NotInMemory,
    /// Whoever served it has stopped.
    Stopped,
}

impl Refusal {
    pub(crate) const fn new(kind: RefusalKind, reason: Reason) -> Self {
        Self { kind, reason }
    }

    pub(crate) const fn unauthenticated(reason: Reason) -> Self {
        Self::new(RefusalKind::Unauthenticated, reason)
    }

    pub(crate) const fn not_found(reason: Reason) -> Self {
        Self::new(RefusalKind::NotFound, reason)
    }

    pub(crate) const fn busy(reason: Reason) -> Self {
        let retry_after = Duration::from_secs(1);
        Self::new(RefusalKind::Busy { retry_after }, reason)
    }

    pub(crate) const fn throttled(retry_after: Duration) -> Self {
        Self::new(RefusalKind::TooManyAttempts { retry_after }, Reason::Throttled)
    }

    /// Because the store failed, which the log says.
    pub(crate) fn unavailable(error: &impl fmt::Display) -> Self {
        // Whoever is refused because of it asks again, and so do others.
        static COMPLAINT: Mutex<Complaint> = Mutex::new(Complaint::new("the catalog failed"));
        lock(&COMPLAINT).fails(error);
        Self::UNAVAILABLE
    }

    /// For whoever may not wait, and asks again where they may.
    pub(crate) const NOT_IN_MEMORY: Self = Self::new(RefusalKind::Unavailable, Reason::NotInMemory);
    pub(crate) const UNAVAILABLE: Self = Self::new(RefusalKind::Unavailable, Reason::Store);

    /// What a client may learn.
    pub const fn kind(&self) -> RefusalKind {
        self.kind
    }

    /// The truth, for the audit trail and the log.
    pub const fn reason(&self) -> Reason {
        self.reason
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            RefusalKind::Unauthenticated => "not authenticated",
            RefusalKind::NotFound => "not found",
            RefusalKind::Busy { .. } => "busy",
            RefusalKind::Unavailable => "unavailable",
            RefusalKind::TooManyAttempts { .. } => "too many attempts",
        })
    }
}

impl std::error::Error for Refusal {}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::unavailable(&error)
    }
}

impl From<beneath::Error> for Refusal {
    /// What concerns the file is "not found"; what concerns the machine says nothing about the file.
    fn from(error: beneath::Error) -> Self {
        let reason = Reason::NotOpened(error.kind());
        match error.kind() {
            ErrorKind::WouldBlock => Self::NOT_IN_MEMORY,
            ErrorKind::Busy => Self::busy(reason),
            ErrorKind::Exhausted | ErrorKind::Io | ErrorKind::Unsupported => {
                Self::new(RefusalKind::Unavailable, reason)
            }
            _ => Self::not_found(reason),
        }
    }
}
