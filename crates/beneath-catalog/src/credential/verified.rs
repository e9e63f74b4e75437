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

/// Of what a request shows: a user name and a password, keyed, or a token. By it memory knows who that was; it is found
/// there only while the user's record is the one it was verified against.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct LoginDigest([u8; 32]);

/// This password was verified against this record before.
pub(crate) struct Remembered(());

impl LoginDigest {
    pub(crate) const fn of_token(digest: [u8; 32]) -> Self {
        Self(digest)
    }
}

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
        Digest(self.keyed(&[user.as_bytes(), password, record.as_bytes()]))
    }

    /// Nobody can tell what it is the digest of: the key is in no other place.
    pub(crate) fn login(&self, user: &str, password: &[u8]) -> LoginDigest {
        LoginDigest(*self.keyed(&[user.as_bytes(), password]).as_bytes())
    }

    fn keyed(&self, fields: &[&[u8]]) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        for field in fields {
            hasher.update(&(field.len() as u64).to_le_bytes()).update(field);
        }
        hasher.finalize()
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
