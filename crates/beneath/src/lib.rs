//! Open files beneath a directory with no window between the check and the use.
//!
//! ```
//! # let dir = tempfile::tempdir()?;
//! # std::fs::write(dir.path().join("q3.pdf"), "%PDF")?;
//! use beneath::{RelPath, Root, ambient_authority};
//!
//! let root = Root::open_ambient(dir.path(), ambient_authority())?; // once, at start
//! let file = root.open(&RelPath::parse("q3.pdf")?)?; // per request: one openat2, one statx
//!
//! let mut bytes = vec![0; 4];
//! file.read_at(&mut bytes, 0)?;
//! assert_eq!(bytes, b"%PDF");
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! A web server that checks a path and then opens it can be raced: between the two the path becomes a symbolic
//! link, and somebody reads what they must not (CWE-367). Checking again just before only narrows the window. Here the
//! kernel decides "beneath this directory, through no link" in the same system call that opens the file
//! (openat2(2)), and everything learnt about the file afterwards is learnt from the opened descriptor.
//!
//! # Promise
//!
//! * A [`File`] can only come from a [`Root`], and was found beneath it in the call that opened it.
//! * A [`RelPath`] cannot lead upwards, and holds the very bytes the kernel reads.
//! * Links are refused wherever in the path they stand, unless [`Symlinks::Beneath`] was asked for; magic links
//!   always.
//! * Only regular files open. A FIFO, socket, device or write-leased file answers at once, with an error.
//! * After a root is made: no stored path, no current directory, no procfs, no question asked of a name. But for files that are
//!   [kept](Root::keep) open, if somebody wants that; [`Kept`] says what it rests on.
//! * Where the policy cannot be kept, making the [`Root`] fails. There is no quiet fallback.
//!
//! # Not promised
//!
//! Hard links and bind mounts can bring foreign content beneath a root (see [`Policy::owner`] and
//! [`Mounts::Refuse`]); a file that was opened stays readable when it is moved away or its permissions change;
//! content may change while it is read ([`File::metadata_now`] notices). Linux only, so far.
//!
//! The reasons are in the [`manual`].

#![forbid(unsafe_code)]

pub mod manual;

mod error;
mod file;
mod kept;
mod policy;
mod rel_path;
mod root;
mod source;
mod sys;

pub use cap_std::{AmbientAuthority, ambient_authority};

pub use error::{Error, ErrorKind};
pub use file::{File, Identity, Metadata, Timestamp, Version};
pub use kept::Kept;
pub use policy::{HardLinks, Mounts, Owner, Policy, Symlinks};
pub use rel_path::RelPath;
#[cfg(feature = "_testing")]
#[doc(hidden)]
pub use root::testing;
pub use root::{Attachment, Entries, Entry, EntryKind, Root};
pub use source::{Source, Stopped};

/// The example of the README, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
