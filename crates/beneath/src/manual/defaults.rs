//! Every default, with its reason.
//!
//! | default | reason |
//! |---|---|
//! | symlinks refused, in every component | the want met most often among users of file servers; the only policy that needs no judgement of a target, and that the fallback can keep |
//! | an absolute link target is an escape even when it points back inside | re-rooting it (`RESOLVE_IN_ROOT`) turns "this link is wrong" into "another file" |
//! | mounts crossed | volumes beneath a root are everyday (containers, ZFS datasets, automounts); who may mount is already trusted. Whoever disagrees says [`Mounts::Refuse`](crate::Mounts::Refuse) |
//! | any owner, any mode | the operator chose the directory; ownership rules differ by house |
//! | hard links allowed | the link count is a hint, not a control, and backups and package stores are full of innocent ones |
//! | regular files only | nothing else has a length, and everything else can block |
//! | `O_NONBLOCK` on every open | a FIFO or a write-leased *regular* file would make open(2) wait, the latter 45 s |
//! | `O_NOCTTY`, `O_CLOEXEC` | a served path must not become a controlling terminal, nor leak into a child |
//! | `O_NOFOLLOW` with links refused | says the same as `RESOLVE_NO_SYMLINKS` for the last name: two locks on the door most tried |
//! | magic links never | `/proc/self/root` and the like leave every root |
//! | the root is held with `O_PATH` | needs search permission only, so execute-only directories work |
//! | `EAGAIN` tried again 1,024 times at most, and for 10 ms once there were 32 tries | a rename *anywhere on the machine* causes it for 2 to 4 % of opens that walk `..`; one try fails users, no bound lets them be starved |
//! | a trial openat2 on each root, with its policy | whether it works can depend on the file system, kernel, filter and flags; a process-wide memory of one failure is a way to fail open |
//! | no fallback for [`Symlinks::Beneath`](crate::Symlinks::Beneath) | following links by hand without a window needs procfs or a stack of descriptors; every implementation read here had an escape in that code |
//! | nothing is opened by procfs | it may be absent, over-mounted or hidden; the container escapes of 2025 all went through it. Only a root that [keeps](crate::Root::keep) files open asks it, to hear when something was mounted or moved, and keeps none where it is not there |
//! | no file is kept open unless that is asked for | it takes descriptors, and rests on more: the ctime of the file systems, inotify, the table of mounts |
//! | kept only what was not touched for 2 s | the clock of file systems is a few milliseconds coarse, and a later change must show |
//! | no cursor, `read_at` only | a shared cursor is a race between readers |
//! | one statx(2) at open, kept | two answers about one file can disagree |
//! | the file handle on demand | one more system call on each open, for what only pinning needs |
//! | errors without the path | the caller has it; the hot path allocates nothing; a log that must not hold it does not |
