//! [`Fingerprint`]: tells whether bytes read the same again, for a third of what a cryptographic hash costs.

use std::hash::{BuildHasher as _, DefaultHasher, Hasher as _, RandomState};
use std::sync::LazyLock;

/// A keyed hash of 64 bits (SipHash of the standard library). How the bytes come in pieces makes no difference.
///
/// # Security
///
/// The key is random, and no fingerprint leaves the process, so that nobody can look for two texts with the same one. Nor would it
/// help: who can write to a file that is being sent can put any mixture into it anyway.
#[derive(Clone)]
pub(super) struct Fingerprint(DefaultHasher);

impl Fingerprint {
    /// Of nothing. All of a process have the same key, so that they can be compared.
    pub(super) fn new() -> Self {
        static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        Self(KEY.build_hasher())
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.0.write(bytes);
    }

    pub(super) fn chain_update(mut self, bytes: &[u8]) -> Self {
        self.update(bytes);
        self
    }
}

impl PartialEq for Fingerprint {
    fn eq(&self, other: &Self) -> bool {
        self.0.finish() == other.0.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::Fingerprint;

    #[test]
    fn pieces_make_no_difference_and_every_byte_does() {
        let text: Vec<u8> = (0..1000).map(|at| (at % 251) as u8).collect();
        let whole = Fingerprint::new().chain_update(&text);
        for pieces in [1, 3, 7, 8, 64, 999] {
            let again = text
                .chunks(pieces)
                .fold(Fingerprint::new(), Fingerprint::chain_update);
            assert!(whole == again, "{pieces}");
        }
        for at in 0..text.len() {
            let mut other = text.clone();
            other[at] ^= 1;
            assert!(whole != Fingerprint::new().chain_update(&other), "{at}");
        }
        assert!(whole != Fingerprint::new().chain_update(&text[..999]));
    }
}
