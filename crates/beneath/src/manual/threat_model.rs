//! Threat model: who may do what, by boundary, and what stops them.
//!
//! # The path: somebody chooses the name that is opened
//!
//! They send any bytes at all. What stops them:
//!
//! * [`RelPath::parse`](crate::RelPath::parse) refuses everything that does not lead strictly downwards in its one
//!   spelling. There is no decoding and no normalisation afterwards, so nothing can mean one thing to a check and
//!   another to the kernel.
//! * The kernel resolves beneath the root's descriptor (`RESOLVE_BENEATH`). If the parser had a hole, the
//!   answer would be [`Escape`](crate::ErrorKind::Escape), not a file.
//! * Long names, deep paths and strange bytes cost at most 4 KiB of memory and one system call.
//!
//! # The tree: somebody may write beneath the root
//!
//! They create, rename and remove files, directories, links, FIFOs and sockets, at any moment. What stops them:
//!
//! | they | and get |
//! |---|---|
//! | put a link anywhere in the path, or swap it in while it is opened | [`Symlink`](crate::ErrorKind::Symlink): the check is the open |
//! | with [`Symlinks::Beneath`](crate::Symlinks::Beneath): point it outside, or swap it while it is walked | [`Escape`](crate::ErrorKind::Escape) or, after bounded retries, [`Busy`](crate::ErrorKind::Busy) |
//! | put a FIFO, socket, device or directory there | [`NotRegular`](crate::ErrorKind::NotRegular), at once |
//! | hold a write lease on a file | [`Busy`](crate::ErrorKind::Busy), at once (a blocking open waits 45 s) |
//! | replace the file between the open and a question about it | nothing: every question goes to the descriptor |
//! | truncate or extend it while it is read | a short read; [`Metadata::version`](crate::Metadata::version) differs |
//! | remove a file and create another with the same inode number | another [`Identity`](crate::Identity) |
//! | rename without end, to make opens slow | at most 1,024 tries, and 10 ms once there were 32; and only where a link with `..` is followed |
//! | do any of this to a file that is [kept](crate::Kept) open | it is given only if opening it by its name would open that very file; otherwise it is opened, as ever |
//! | make openat2 answer `EAGAIN`, to be served by a weaker path | nothing: an error never changes the backend |
//! | move a directory out of the root while it is walked | a file that *was* beneath the root when its name was looked up, or an error |
//!
//! What does not stop them, and what to do about it:
//!
//! * **A hard link** to a file they may not read but may link to. Set `fs.protected_hardlinks=1` (most systems do), or
//!   [`Policy::owner`](crate::Policy::owner), which they cannot fake.
//! * **Content.** They may write anything into their own files. What a server says about it is the server's business.
//!
//! # The mount table: somebody may mount
//!
//! That takes `CAP_SYS_ADMIN` in the mount namespace. A bind mount over a directory of the root brings foreign content
//! in by design; [`Mounts::Refuse`](crate::Mounts::Refuse) stops it (measured: 3,604 foreign reads in 4 s without, 0
//! with). A mount over the root directory itself changes nothing for an open [`Root`](crate::Root).
//!
//! # The process: other code in this program
//!
//! It shares the process's authority and can open what it likes: capabilities in a library are a discipline, not a
//! wall. [`ambient_authority`](crate::ambient_authority) makes each place findable where a path becomes a root.
//! A descriptor lent out by [`AsFd`](std::os::fd::AsFd) cannot write, but its cursor can be moved; nothing here uses the cursor.
//!
//! # The system: a filter or an old kernel changes what calls do
//!
//! * openat2 missing or filtered when the root is made: the walk, if it can keep the policy, or
//!   [`Unsupported`](crate::ErrorKind::Unsupported).
//! * Filtered later: every open fails with [`Unsupported`](crate::ErrorKind::Unsupported) or
//!   [`NotPermitted`](crate::ErrorKind::NotPermitted). Closed, not weaker.
//!
//! # What remains
//!
//! * Opening a FIFO to find out what it is lets a waiting writer proceed, and then kills it by `SIGPIPE`; opening a
//!   device calls its driver. Linux 7.2 (`OPENAT2_REGULAR`) ends this; until then keep them out of served trees.
//! * An opened file stays readable when its permissions are taken away, it is moved, or it is unlinked. Who must lose
//!   access to a file that is being read is decided above this crate ([`Source`](crate::Source)).
