//! [`Source`]: where a right to go on reading meets whoever sends the bytes.

use std::fmt;
use std::sync::Arc;

use crate::file::File;

/// An open file together with the right to go on reading it.
///
/// This is how a permission system and an HTTP answer meet without knowing each other: the one yields the file and
/// may say "stop", the other asks before every piece it sends. A plain [`File`] is a right that does not end.
///
/// # Security
///
/// Whoever sends bytes must call [`still_held`](Self::still_held) after reading them and before passing them on,
/// so that what was read under a right that has fallen is never sent.
pub trait Source: Send + Sync + 'static {
    /// The file that may be read.
    fn file(&self) -> &File;

    /// Whether it may still be read. Called for every piece, so it must neither block nor be slow.
    ///
    /// # Errors
    ///
    /// [`Stopped`] once the right has fallen; it never comes back.
    fn still_held(&self) -> Result<(), Stopped>;

    /// So many more bytes of the file were handed over to be sent, or left by sendfile(2). For whoever keeps account of it.
    fn sent(&self, bytes: u64) {
        let _ = bytes;
    }

    /// Everything that was promised of the file was handed over or left.
    fn completed(&self) {}
}

/// The right to go on reading has fallen. Carries no reason: that is for the audit trail, not for the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stopped;

impl Stopped {
    /// For implementations of [`Source`].
    #[expect(
        clippy::new_without_default,
        reason = "a default refusal would be a strange thing to ask for"
    )]
    pub const fn new() -> Self {
        Self
    }
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the right to read this file has ended")
    }
}

impl std::error::Error for Stopped {}

/// So that one open file can be sent to several clients.
impl<S: Source + ?Sized> Source for Arc<S> {
    fn file(&self) -> &File {
        (**self).file()
    }

    fn still_held(&self) -> Result<(), Stopped> {
        (**self).still_held()
    }

    fn sent(&self, bytes: u64) {
        (**self).sent(bytes);
    }

    fn completed(&self) {
        (**self).completed();
    }
}

impl Source for File {
    fn file(&self) -> &File {
        self
    }

    fn still_held(&self) -> Result<(), Stopped> {
        Ok(())
    }
}
