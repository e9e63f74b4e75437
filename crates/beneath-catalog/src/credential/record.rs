//! [`Record`]: a password as it is kept, so that whoever reads the store learns no password.

use argon2::{Algorithm, Argon2, Block, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use subtle::ConstantTimeEq as _;

use super::imported::Imported;

/// A salted argon2id hash in PHC string format, `$argon2id$v=19$m=…,t=…,p=…$salt$hash`.
///
/// Parameters: OWASP Password Storage Cheat Sheet (19 MiB, two passes, one lane).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    params: Params,
    salt: Vec<u8>,
    hash: Vec<u8>,
}

/// A record as it was found in the store.
pub(crate) enum Stored {
    Current(Record),
    Imported(Imported),
}

/// The password is the record's. Only [`Stored::verify`] makes one.
pub(crate) struct Match(());

/// What hashing needs 19 MiB of. Given back to the system when dropped.
pub(crate) struct Memory(Vec<Block>);

impl Stored {
    pub(crate) fn parse(text: &str) -> Result<Self, RecordError> {
        match Record::parse(text) {
            Ok(record) => Ok(Self::Current(record)),
            Err(_) => Imported::parse(text).map(Self::Imported),
        }
    }

    pub(crate) fn verify(&self, password: &[u8], memory: &mut Memory) -> Result<Option<Match>, RecordError> {
        match self {
            Self::Current(record) => record.verify(password, memory),
            // No faster than a current one, so that a weak record does not tell itself by its speed.
            Self::Imported(imported) => Record::of_nobody()
                .verify(password, memory)
                .map(|_| imported.matches(password).then_some(Match(()))),
        }
    }
}

impl Record {
    /// Hashes with a fresh salt.
    pub(crate) fn new(password: &[u8], memory: &mut Memory) -> Result<Self, RecordError> {
        let mut salt = vec![0; 16];
        getrandom::fill(&mut salt).map_err(|_| RecordError("no randomness"))?;
        let mut record = Self {
            params: Params::DEFAULT,
            salt,
            hash: Vec::new(),
        };
        record.hash = record.compute(password, 32, memory)?;
        Ok(record)
    }

    /// A record that no password matches, and that takes as long to find out as any other.
    pub(crate) fn of_nobody() -> Self {
        Self {
            params: Params::DEFAULT,
            salt: vec![0; 16],
            hash: vec![0; 32],
        }
    }

    pub(crate) fn parse(text: &str) -> Result<Self, RecordError> {
        const INVALID: RecordError = RecordError("not an argon2id record");
        let parts: Vec<&str> = text.split('$').collect();
        let ["", "argon2id", "v=19", params, salt, hash] = parts.as_slice() else {
            return Err(INVALID);
        };
        let decode = |text: &str| STANDARD_NO_PAD.decode(text).map_err(|_| INVALID);
        let (salt, hash) = (decode(salt)?, decode(hash)?);
        if salt.len() < argon2::MIN_SALT_LEN || !(16..=64).contains(&hash.len()) {
            return Err(INVALID);
        }
        Ok(Self {
            params: parse_params(params).ok_or(INVALID)?,
            salt,
            hash,
        })
    }

    fn verify(&self, password: &[u8], memory: &mut Memory) -> Result<Option<Match>, RecordError> {
        let computed = self.compute(password, self.hash.len(), memory)?;
        Ok(bool::from(computed.ct_eq(&self.hash)).then_some(Match(())))
    }

    fn compute(&self, password: &[u8], len: usize, memory: &mut Memory) -> Result<Vec<u8>, RecordError> {
        const FAILED: RecordError = RecordError("argon2 does not take these parameters");
        let mut hash = vec![0; len];
        let blocks = memory.blocks(self.params.block_count());
        Argon2::new(Algorithm::Argon2id, Version::V0x13, self.params.clone())
            .hash_password_into_with_memory(password, &self.salt, &mut hash, blocks)
            .map_err(|_| FAILED)?;
        Ok(hash)
    }
}

impl Memory {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    fn blocks(&mut self, count: usize) -> &mut [Block] {
        if self.0.len() < count {
            // The allocator of glibc keeps for itself what was freed in pieces below 32 MiB (mallopt(3),
            // M_MMAP_THRESHOLD); a larger one goes back to the system. What is never touched of it takes no memory.
            self.0 = Vec::with_capacity(count.max(NEVER_KEPT / Block::SIZE));
            self.0.resize(count, Block::default());
        }
        &mut self.0
    }
}

const NEVER_KEPT: usize = 33 << 20;

/// A record that cannot be used, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecordError(pub(crate) &'static str);

impl std::fmt::Display for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (m, t, p) = (self.params.m_cost(), self.params.t_cost(), self.params.p_cost());
        let (salt, hash) = (
            STANDARD_NO_PAD.encode(&self.salt),
            STANDARD_NO_PAD.encode(&self.hash),
        );
        write!(f, "$argon2id$v=19$m={m},t={t},p={p}${salt}${hash}")
    }
}

/// `m=19456,t=2,p=1`, and nothing a hostile database could stop the service with.
fn parse_params(text: &str) -> Option<Params> {
    let mut numbers = text.split(',').zip(["m=", "t=", "p="]).map(|(field, key)| {
        let number = field.strip_prefix(key)?;
        number.parse::<u32>().ok()
    });
    let (memory, passes, lanes) = (numbers.next()??, numbers.next()??, numbers.next()??);
    if text.split(',').count() != 3 || memory > 1 << 20 || passes > 16 || lanes > 16 {
        return None;
    }
    Params::new(memory, passes, lanes, None).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_written_as_it_is_read() {
        let record = Record::new(b"secret", &mut Memory::new()).unwrap();
        let text = record.to_string();
        assert!(text.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{text}");
        assert_eq!(Record::parse(&text).unwrap(), record);
    }

    #[test]
    fn only_the_password_itself_matches() {
        let memory = &mut Memory::new();
        let record = Record::new(b"secret", memory).unwrap();
        let mut matches = |password: &[u8]| record.verify(password, memory).unwrap().is_some();
        assert!(matches(b"secret"));
        for wrong in [b"secre".as_slice(), b"secret\0", b"Secret", b""] {
            assert!(!matches(wrong), "{wrong:?}");
        }
    }

    /// RFC 9106 has no vector without secret and associated data; this one is of the reference implementation
    /// (`echo -n password | argon2 somesalt -id -t 2 -k 65536 -p 1`).
    #[test]
    fn records_of_the_reference_implementation_verify() {
        let text = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
        let record = Record::parse(text).unwrap();
        assert!(record.verify(b"password", &mut Memory::new()).unwrap().is_some());
    }

    #[test]
    fn a_record_that_would_take_all_memory_is_not_one() {
        for text in [
            "$argon2id$v=19$m=4194304,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
            "$argon2id$v=19$m=19456,t=2,p=1,x=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
            "$argon2i$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
            "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$CTFh",
            "secret",
            "",
        ] {
            assert!(Record::parse(text).is_err(), "{text}");
        }
    }
}
