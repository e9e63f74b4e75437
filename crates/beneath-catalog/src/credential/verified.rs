//! [`Verified`]: remembers that a password was right, without remembering the password.

use std::collections::HashMap;
use std::sync::Mutex;

use subtle::ConstantTimeEq as _;

use super::record::Match;
use crate::revocation::memory::make_room;
use crate::store::lock;
use crate::subject::UserId;

/// For each user the keyed digest of what was verified last.
///
/// # Security
///
/// The key is random and dies with the process. The digest covers the stored password record: when that changes,
/// what is remembered matches nothing (flaw E11). Fields are length-prefixed, so that no two combinations give the
/// same input (E4). Digests are compared in constant time.
pub(crate) struct Verified {
    key: [u8; 32],
    digests: Mutex<HashMap<UserId, Digest>>,
}

/// Of a user name, a password and a password record.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Digest(blake3::Hash);

/// This password was verified against this record before.
pub(crate) struct Remembered(());

impl Verified {
    pub(crate) fn new() -> Result<Self, getrandom::Error> {
        let mut key = [0; 32];
        getrandom::fill(&mut key)?;
        Ok(Self {
            key,
            digests: Mutex::default(),
        })
    }

    pub(crate) fn digest(&self, user: &str, password: &[u8], record: &str) -> Digest {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        for field in [user.as_bytes(), password, record.as_bytes()] {
            hasher.update(&(field.len() as u64).to_le_bytes()).update(field);
        }
        Digest(hasher.finalize())
    }

    pub(crate) fn recall(&self, user: UserId, digest: &Digest) -> Option<Remembered> {
        let digests = lock(&self.digests);
        let remembered = digests.get(&user)?.0.as_bytes().ct_eq(digest.0.as_bytes());
        bool::from(remembered).then_some(Remembered(()))
    }

    pub(crate) fn remember(&self, user: UserId, digest: Digest, _: &Match) {
        let mut digests = lock(&self.digests);
        make_room(&mut digests);
        digests.insert(user, digest);
    }
}
