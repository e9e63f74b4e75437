//! Files that are replaced again and again by versions of themselves, of which every byte tells to which it belongs.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

/// A published file and what its content may be.
#[derive(Debug)]
pub(crate) struct Versions {
    /// Where it is asked for.
    pub(crate) path: String,
    place: PathBuf,
    /// Version 0 is of this length; later ones are up to a quarter longer.
    length: u64,
    /// How long it rests between two versions.
    pub(crate) rest: Duration,
    /// The version that has been there longest of those that may still be there.
    oldest: AtomicU64,
    /// The newest that may be there already.
    newest: AtomicU64,
    /// Which version a strong entity tag was seen with.
    tags: Mutex<HashMap<String, u64>>,
}

impl Versions {
    /// Writes version 0 to `place`.
    pub(crate) fn create(place: PathBuf, length: u64, rest: Duration) -> Self {
        let this = Self {
            path: String::new(),
            place,
            length,
            rest,
            oldest: AtomicU64::new(0),
            newest: AtomicU64::new(0),
            tags: Mutex::default(),
        };
        this.write(0);
        this
    }

    /// Puts the next version in place of this one, by rename.
    pub(crate) fn replace(&self) {
        let next = self.newest.fetch_add(1, SeqCst) + 1;
        self.write(next);
        self.oldest.store(next, SeqCst);
    }

    fn write(&self, version: u64) {
        let beside = self.place.with_extension("next");
        fs::write(&beside, content(version, 0, self.length_of(version))).unwrap();
        fs::rename(&beside, &self.place).unwrap();
    }

    /// How long this version is.
    pub(crate) fn length_of(&self, version: u64) -> u64 {
        self.length + mix(version) % (self.length / 4 + 1)
    }

    /// What a request that begins now may not be older than.
    pub(crate) fn oldest(&self) -> u64 {
        self.oldest.load(SeqCst)
    }

    /// The version, between `oldest` and what is the newest now, that has this length and these bytes at these offsets.
    pub(crate) fn recognise(&self, oldest: u64, total: u64, parts: &[(u64, &[u8])]) -> Option<u64> {
        (oldest..=self.newest.load(SeqCst)).find(|version| {
            self.length_of(*version) == total
                && parts
                    .iter()
                    .all(|(start, bytes)| content(*version, *start, bytes.len() as u64) == *bytes)
        })
    }

    /// Whether some version has this length.
    pub(crate) fn has_length(&self, oldest: u64, total: u64) -> bool {
        (oldest..=self.newest.load(SeqCst)).any(|version| self.length_of(version) == total)
    }

    /// Notes that a strong tag came with a version; the other version it came with before, if there is one.
    pub(crate) fn note(&self, tag: &str, version: u64) -> Option<u64> {
        let mut tags = self.tags.lock().unwrap();
        let before = *tags.entry(tag.to_owned()).or_insert(version);
        (before != version).then_some(before)
    }
}

/// `len` bytes from `start` of a version.
pub(crate) fn content(version: u64, start: u64, len: u64) -> Vec<u8> {
    let end = start + len;
    let words = start / 8..end.div_ceil(8);
    let bytes: Vec<u8> = words
        .flat_map(|word| mix(version << 32 | word).to_le_bytes())
        .collect();
    let skipped = usize::try_from(start % 8).unwrap();
    bytes[skipped..skipped + usize::try_from(len).unwrap()].to_vec()
}

/// A step of SplitMix64 (Steele, Lea and Flood 2014).
pub(crate) fn mix(word: u64) -> u64 {
    let mut word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}
