//! [`Event`]: what happened, who did it to what, and what came of it.

use std::fmt;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::Arc;

use crate::error::AdminErrorKind;
use crate::file_id::FileId;
use crate::refusal::{Reason, Refusal};
use crate::revocation::Right;
use crate::store::Millis;
use crate::subject::UserName;

/// What happened. Holds no secret.
pub(crate) struct Event {
    pub(crate) at: Millis,
    pub(crate) actor: Actor,
    pub(crate) event: &'static str,
    pub(crate) object: Object,
    pub(crate) revision: u64,
    pub(crate) outcome: &'static str,
    pub(crate) reason: Option<Why>,
    pub(crate) sent: Sent,
    pub(crate) address: Option<IpAddr>,
}

impl Event {
    /// All of it but when, and how many bytes.
    pub(crate) fn what(&self) -> impl Hash + Eq + '_ {
        let Self {
            at: _,
            actor,
            event,
            object,
            revision,
            outcome,
            reason,
            sent: _,
            address,
        } = self;
        (actor, event, object, revision, outcome, reason, address)
    }
}

/// Why not.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Why {
    Refused(Reason),
    /// An act of administration.
    Failed(AdminErrorKind),
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(reason) => write!(f, "{reason:?}"),
            Self::Failed(kind) => write!(f, "{kind:?}"),
        }
    }
}

/// How many bytes were sent.
pub(crate) enum Sent {
    /// It is not about bytes.
    None,
    Bytes(u64),
    /// Asked when the record is written: what has ended by then is one record, with its bytes, and costs whoever sends
    /// nothing.
    SoFar(Arc<Right>),
}

impl Sent {
    pub(crate) fn when_written(&self) -> Option<u64> {
        match self {
            Self::None => None,
            Self::Bytes(bytes) => Some(*bytes),
            Self::SoFar(right) => right.written(),
        }
    }
}

/// To what.
#[derive(PartialEq, Eq, Hash)]
pub(crate) enum Object {
    File(FileId),
    Text(String),
    Nothing,
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(id) => id.fmt(f),
            Self::Text(text) => f.write_str(text),
            Self::Nothing => Ok(()),
        }
    }
}

/// Who, as far as is known.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) enum Actor {
    User(UserName),
    /// The name that somebody gave who did not prove it.
    Claimed(Box<str>),
    Link(i64),
    Unknown,
}

impl Actor {
    /// Has not shown anything.
    pub(crate) const fn is_stranger(&self) -> bool {
        matches!(self, Self::Claimed(_) | Self::Unknown)
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(name) => write!(f, "user:{name}"),
            // What somebody typed must not break a line of a log.
            Self::Claimed(name) => write!(f, "unproven:{:?}", &**name),
            Self::Link(link) => write!(f, "link:{link}"),
            Self::Unknown => f.write_str("unknown"),
        }
    }
}

/// A refusal, and whom it met over what, as far as that was shown by then.
pub(crate) struct Denied {
    pub(crate) shown: Option<(Actor, FileId)>,
    pub(crate) refusal: Refusal,
}

impl Denied {
    pub(crate) const fn to(actor: Actor, file: FileId, refusal: Refusal) -> Self {
        let shown = Some((actor, file));
        Self { shown, refusal }
    }
}

impl<E: Into<Refusal>> From<E> for Denied {
    fn from(error: E) -> Self {
        let refusal = error.into();
        Self { shown: None, refusal }
    }
}
