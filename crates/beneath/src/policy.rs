//! [`Policy`]: what a [`Root`](crate::Root) opens and what it refuses, chosen once.

use crate::error::{Error, ErrorKind};
use crate::file::Metadata;

/// What a [`Root`](crate::Root) opens and what it refuses. Chosen once, when the root is opened.
///
/// ```
/// use beneath::{HardLinks, Mounts, Owner, Policy, Symlinks};
///
/// let policy = Policy::default()
///     .symlinks(Symlinks::Refuse) // the default
///     .mounts(Mounts::Refuse)
///     .owner(Owner::Is(1000))
///     .refuse_mode(0o002) // writable by anyone
///     .hard_links(HardLinks::RefuseExtra);
/// ```
///
/// Whatever the policy: nothing above the root, no magic links, regular files only, no waiting for a FIFO, device
/// or lease. The reasons for each default are in [`manual::defaults`](crate::manual::defaults).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    pub(crate) symlinks: Symlinks,
    pub(crate) mounts: Mounts,
    owner: Owner,
    refused_mode: u32,
    hard_links: HardLinks,
}

/// What to do where a component of the path is a symbolic link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the kernel offers these two")]
pub enum Symlinks {
    /// Refuse it, wherever in the path it stands (`RESOLVE_NO_SYMLINKS`).
    #[default]
    Refuse,
    /// Follow it as long as every step stays beneath the root; an absolute target is an escape even when it points
    /// back inside. Needs openat2(2).
    Beneath,
}

/// What to do where the path crosses into another mount.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the kernel offers these two")]
pub enum Mounts {
    /// Cross it: what is mounted beneath the root is part of it.
    #[default]
    Allow,
    /// Refuse, with [`ErrorKind::Escape`] (`RESOLVE_NO_XDEV`). The only defence against somebody who may put a bind
    /// mount over the tree.
    Refuse,
}

/// Whose files are opened. Judged on the opened descriptor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a rule that is not understood must not compile"
)]
pub enum Owner {
    /// Anyone's.
    #[default]
    Any,
    /// Only those of this user ID.
    Is(u32),
}

/// What to do with a file that has more than one name.
///
/// # Security
///
/// **Advisory.** The count is what it was when the file was opened: somebody who may rename can show a count of 1
/// for a moment (measured: 33 to 1,825 times in 4 s). Against hard links to other people's files use
/// [`Policy::owner`], which cannot be flipped that way, and `fs.protected_hardlinks`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a rule that is not understood must not compile"
)]
pub enum HardLinks {
    /// Open it.
    #[default]
    Allow,
    /// Refuse a file whose link count is above one.
    RefuseExtra,
}

impl Policy {
    /// Symbolic links: refused by default.
    #[must_use]
    pub const fn symlinks(mut self, symlinks: Symlinks) -> Self {
        self.symlinks = symlinks;
        self
    }

    /// Mount crossings: allowed by default.
    #[must_use]
    pub const fn mounts(mut self, mounts: Mounts) -> Self {
        self.mounts = mounts;
        self
    }

    /// Owner of the file: anyone by default.
    #[must_use]
    pub const fn owner(mut self, owner: Owner) -> Self {
        self.owner = owner;
        self
    }

    /// Refuses files that have any of these permission bits, such as `0o002` (writable by anyone) or `0o6000`
    /// (set-user-ID, set-group-ID). None by default. Bits outside `0o7777` are ignored.
    #[must_use]
    pub const fn refuse_mode(mut self, bits: u32) -> Self {
        self.refused_mode = bits & 0o7777;
        self
    }

    /// Hard links: allowed by default, and only ever an advisory rule, see [`HardLinks`].
    #[must_use]
    pub const fn hard_links(mut self, hard_links: HardLinks) -> Self {
        self.hard_links = hard_links;
        self
    }

    /// The rules that need the file's own word, asked of the descriptor.
    pub(crate) fn judge(&self, metadata: &Metadata) -> Result<(), Error> {
        if let Owner::Is(owner) = self.owner
            && metadata.uid() != owner
        {
            return Err(Error::new(
                ErrorKind::Refused,
                "the file has another owner than the policy allows",
            ));
        }
        if metadata.mode() & self.refused_mode != 0 {
            return Err(Error::new(
                ErrorKind::Refused,
                "the file has a mode bit that the policy refuses",
            ));
        }
        if self.hard_links == HardLinks::RefuseExtra && metadata.links() > 1 {
            return Err(Error::new(ErrorKind::Refused, "the file has more than one name"));
        }
        Ok(())
    }
}
