//! Who may have which file, as of when.
//!
//! A permission that is read at one moment and acted on at another is the same flaw as a path that is checked and then
//! opened (CWE-367). Here a decision has a date, the [`Revision`] of the catalog it was made at, and what it allows is a
//! value that falls when the ground of the decision falls: a [`Lease`].
//!
//! # Promise
//!
//! * [`Catalog::open`] answers who somebody is, whether they may, and opens the file, in one step and of one snapshot.
//!   There is no function that answers "may they?", and none that opens a published file without a decision.
//! * No call that begins after a revocation has returned succeeds because of what was revoked.
//! * No [`Lease`] is held longer than the revocation bound after its right was lost, whoever took it: this
//!   process, another, or the clock. If the store cannot be asked for that long, all leases fall.
//! * What is acknowledged is on the disk.
//! * To a client all refusals look alike ([`RefusalKind`]); the true [`Reason`] is for the audit trail.
//!
//! # Not promised
//!
//! Whoever may write the store's file may do anything; keep it readable by the service only. Bytes that left are gone.
//! While a change is on its way, one process may refuse already what another still gives; within one process answers
//! never go back and forth, and when the change has returned all agree.
//! Several processes may share one SQLite file on one machine, not across a network file system.

#![forbid(unsafe_code)]

mod administration;
mod authentication;
mod catalog;
mod complaint;
mod coverage;
mod credential;
mod entry;
mod error;
mod file_id;
mod handles;
mod lease;
mod link;
mod options;
mod pin;
mod refusal;
mod revocation;
mod roots;
mod serving;
mod stop;
mod store;
mod subject;
mod throttle;
mod trail;

pub use administration::{
    Account, Administration, Amendment, AuditRecord, Change, Cursor, Grant, Group, Link, LinkId, Listing,
    NewLink, NewToken, Page, Publication, Published,
};
pub use catalog::Catalog;
pub use credential::{Credentials, Password};
pub use entry::{Caching, Disposition, Entry, Pin};
pub use error::{AdminError, AdminErrorKind, ConnectError, ConnectErrorKind, ParseError};
pub use file_id::FileId;
pub use lease::Lease;
pub use link::{Claim, LinkRequest};
pub use options::Options;
pub use refusal::{Reason, Refusal, RefusalKind};
pub use store::{Revision, StoreUrl};
pub use subject::{GroupName, Principal, Role, RootName, Subject, UserName};
