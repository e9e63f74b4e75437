//! Past flaws of software that opens files beneath a directory, and where each is met here.
//!
//! | flaw | what happened | met by |
//! |---|---|---|
//! | CVE-2026-39822 (Go os.Root), GHSA-hp8f-xmx4-4qrg (cap-std), RUSTSEC-2026-0269 (wasmtime) | `openat(fd, "link/", O_NOFOLLOW)` follows the link | [`RelPath`](crate::RelPath) cannot end in a slash; the walk hands the kernel single names |
//! | CVE-2025-22873 (Go os.Root) | `"../"` opened the parent | no `..` in a [`RelPath`](crate::RelPath), and `RESOLVE_BENEATH` behind it |
//! | CVE-2026-27139 (Go os.Root) | metadata of entries by path, outside the root | [`Entry`](crate::Entry) has a name and a hint; metadata comes from an opened [`File`](crate::File) only |
//! | CVE-2026-32282 (Go os.Root) | `fchmodat` follows links | nothing here writes metadata |
//! | CVE-2024-8244 (Go filepath.Walk) | check, then use | [`Root::open_root`](crate::Root::open_root), then [`entries`](crate::Root::entries): descriptors all the way |
//! | CVE-2024-43806 (rustix `Dir`) | memory explosion while listing | a fixed buffer and a bound ([`Root::entries`](crate::Root::entries)) |
//! | CVE-2022-21658 (Rust std) | `remove_dir_all` raced | nothing here removes |
//! | CVE-2024-23334 (aiohttp), CVE-2023-29159 (Starlette) | containment by string prefix, or skipped | containment is the kernel's, not a string's |
//! | CVE-2024-42367 (aiohttp), static-web-server 2.44.1 | the `.gz` sibling or `index.html` was opened without the check | there is one way to open, and it checks |
//! | check-then-open in dufs, Starlette, aiohttp, static-web-server | 0.2 to 23 % of requests answered with a file from outside while a link was swapped | check and use are one call |
//! | a NUL ends the path for the kernel (h2o, pathrs 0.2.6) | `a\0/../b.png` opens `a` | a [`RelPath`](crate::RelPath) holds no NUL |
//! | a FIFO in the tree (actix-files, tower-http, Caddy, Go, …) | a worker, or the whole server, waits for ever | `O_NONBLOCK`, then regular files only |
//! | a write lease on a regular file | open(2) waits 45 s; no other library read here handles it | `O_NONBLOCK`, then [`Busy`](crate::ErrorKind::Busy) |
//! | `EPERM` or `EAGAIN` selects a weaker path (Bun, cap-std before 4.0.3) | a local process chooses the code that runs | the backend is chosen when the root is made, and never again |
//! | one failed openat2 remembered process-wide | the next root is served unsafely | a trial call for each [`Root`](crate::Root) |
//! | `..` by `openat(fd, "..")` in a fallback | 2,306 foreign reads in 4 s while the directory was moved | the walk starts again from the root |
//! | an identity of (device, inode) | ext4 gave the same pair to another file 1,999 of 2,000 times | birth time in [`Identity`](crate::Identity) |
//! | `EXDEV` counted as an attack (libpathrs) | innocent requests banned: 93 to 467 per 4 s while an ancestor was renamed | [`Escape`](crate::ErrorKind::Escape) says what it is |
//! | `..data` refused because it holds `..` (Kubernetes mounts) | legal files unreachable | components are compared whole |
//! | a root directory that is replaced by rename | the old tree served for ever, then 404 for all | [`Root::attachment`](crate::Root::attachment), [`Root::reopen`](crate::Root::reopen) |
//! | actix-files 0.6.9 | a root that does not exist served the current directory | a root is a descriptor or an error |
