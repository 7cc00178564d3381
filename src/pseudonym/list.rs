//! Lists of numbers that can be asked and not read: each number is kept as a keyed hash.
//!
//! The key is random for each load, so hashes mean nothing outside this
//! process, not even to another one with the same list. It is HMAC-SHA-256 cut
//! to 128 bits, as tokens are: std's SipHash gives 64 bits, too few to bill by
//! (one wrong hit in 10^12 at ten million numbers), and a second keyed
//! construction would have to be proven. It costs one MAC per number that is
//! asked about, whatever the number of lists.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::{BuildHasherDefault, Hash, Hasher};

use crate::pseudonym::mac::{EpochKey, FieldMac, KeyTooShort, MAC_BYTES};

/// Hashes numbers for the lists of one load.
#[derive(Debug)]
pub struct ListKey(FieldMac);

impl ListKey {
    /// Keyed with random bytes, at least 32 of them.
    ///
    /// # Errors
    ///
    /// Too few bytes.
    pub fn new(random: Vec<u8>) -> Result<Self, KeyTooShort> {
        // The labels keep it apart from every pseudonym, were the bytes ever those of an epoch.
        Ok(Self(FieldMac::new(&EpochKey::new(random)?, "", "list")))
    }

    /// What stands for a number in the lists.
    pub fn tag(&self, number: &[u8]) -> Tag {
        Tag(self.0.domain(number))
    }
}

/// The keyed hash of one number.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Tag([u8; MAC_BYTES]);

impl Hash for Tag {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let [half, _] = self.0.as_chunks().0 else {
            return;
        };
        state.write_u64(u64::from_le_bytes(*half));
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tag(..)")
    }
}

/// A tag is a hash already.
#[derive(Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

/// Numbers that are in or not.
#[derive(Default)]
pub struct NumberSet(HashSet<Tag, BuildHasherDefault<Hashed>>);

impl NumberSet {
    /// Puts a number in; `false` when it was in.
    pub fn add(&mut self, tag: Tag) -> bool {
        self.0.insert(tag)
    }

    /// Whether a number is in.
    pub fn holds(&self, tag: Tag) -> bool {
        self.0.contains(&tag)
    }

    /// How many are in.
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

/// Numbers with a word each, such as the network they were ported to.
#[derive(Default)]
pub struct NumberWords {
    words: Vec<Box<str>>,
    places: HashMap<Box<str>, u32>,
    of: HashMap<Tag, u32, BuildHasherDefault<Hashed>>,
}

impl NumberWords {
    /// Gives a number its word; `false` when it had one, which it keeps.
    pub fn add(&mut self, tag: Tag, word: &str) -> bool {
        if self.of.contains_key(&tag) {
            return false;
        }
        let place = self.places.get(word).copied().unwrap_or_else(|| {
            self.words.push(word.into());
            let place = self.words.len() as u32 - 1;
            self.places.insert(word.into(), place);
            place
        });
        self.of.insert(tag, place);
        true
    }

    /// The word of a number.
    pub fn word(&self, tag: Tag) -> Option<&str> {
        self.of.get(&tag).map(|&place| &*self.words[place as usize])
    }

    /// How many numbers have one.
    pub fn count(&self) -> usize {
        self.of.len()
    }
}

impl fmt::Debug for NumberSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NumberSet({} numbers)", self.count())
    }
}

impl fmt::Debug for NumberWords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NumberWords({} numbers)", self.count())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> ListKey {
        ListKey::new(vec![byte; 32]).unwrap()
    }

    #[test]
    fn a_list_holds_what_was_put_in_under_its_key() {
        let (one, other) = (key(1), key(2));
        let mut set = NumberSet::default();
        assert!(set.add(one.tag(b"447700900123")));
        assert!(!set.add(one.tag(b"447700900123")));
        assert!(set.holds(one.tag(b"447700900123")));
        assert!(!set.holds(one.tag(b"447700900124")));
        assert!(!set.holds(other.tag(b"447700900123")));
        assert_eq!(set.count(), 1);
    }

    #[test]
    fn a_number_has_one_word() {
        let key = key(1);
        let mut ports = NumberWords::default();
        assert!(ports.add(key.tag(b"447700900123"), "one"));
        assert!(ports.add(key.tag(b"447700900124"), "one"));
        assert!(!ports.add(key.tag(b"447700900123"), "two"));
        assert_eq!(ports.word(key.tag(b"447700900123")), Some("one"));
        assert_eq!(ports.word(key.tag(b"447700900125")), None);
        assert_eq!(ports.count(), 2);
    }

    #[test]
    fn nothing_of_a_number_or_the_key_is_shown() {
        let key = key(7);
        let mut set = NumberSet::default();
        set.add(key.tag(b"447700900123"));
        let shown = format!("{set:?} {key:?} {:?}", key.tag(b"447700900123"));
        assert_eq!(shown, "NumberSet(1 numbers) ListKey(FieldMac(..)) Tag(..)");
        assert!(ListKey::new(vec![1; 31]).is_err());
    }
}
