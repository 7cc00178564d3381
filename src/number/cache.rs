//! A bounded cache: four slots per hash, the least lately used gives way.
//!
//! A hit is decided by the whole key, never by its hash. It holds raw
//! numbers, so it prints nothing and is wiped when dropped.

use zeroize::{Zeroize, Zeroizing};

/// Sets per cache; with four slots each, 16,384 answers.
const SETS: usize = 1 << 12;

/// The longest key, in bytes.
pub(crate) const KEY_BYTES: usize = 24;

/// A key: zero-padded, distinct by content.
pub(crate) type Key = [u8; KEY_BYTES];

/// Answers by key.
pub(crate) struct Cache<T: Zeroize> {
    sets: Zeroizing<Vec<Set<T>>>,
}

/// Most lately used first.
type Set<T> = [Slot<T>; 4];

#[derive(Clone, Copy, Zeroize)]
struct Slot<T: Zeroize> {
    key: Key,
    answer: Option<T>,
}

impl<T: Copy + Zeroize> Cache<T> {
    pub(crate) fn new() -> Self {
        let empty = Slot {
            key: [0; KEY_BYTES],
            answer: None,
        };
        Self {
            sets: Zeroizing::new(vec![[empty; 4]; SETS]),
        }
    }

    /// The answer to `key`, worked out by `answer` when it is not at hand.
    pub(crate) fn answer(&mut self, key: Key, answer: impl FnOnce() -> T) -> T {
        let set = &mut self.sets[set_of(&key)];
        for at in 0..set.len() {
            if let Some(known) = set[at].answer.filter(|_| set[at].key == key) {
                set[..=at].rotate_right(1);
                return known;
            }
        }
        let fresh = answer();
        set.rotate_right(1);
        set[0] = Slot {
            key,
            answer: Some(fresh),
        };
        fresh
    }
}

/// Fibonacci hashing of the key's three words. Only speed depends on it.
fn set_of(key: &Key) -> usize {
    let mut hash = 0_u64;
    for word in key.chunks_exact(8) {
        let word = u64::from_le_bytes(word.try_into().expect("invariant: chunks of 8"));
        hash = (hash.rotate_left(23) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
    (hash >> (64 - SETS.trailing_zeros())) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u32) -> Key {
        let mut key = [0; KEY_BYTES];
        key[..4].copy_from_slice(&number.to_le_bytes());
        key
    }

    #[test]
    fn a_key_is_answered_once_while_it_stays() {
        let mut cache = Cache::new();
        assert_eq!(cache.answer(key(1), || 11_u32), 11);
        assert_eq!(cache.answer(key(1), || unreachable!()), 11);
    }

    #[test]
    fn keys_that_share_a_set_never_share_an_answer() {
        let mut cache = Cache::new();
        for round in 0..3 {
            for number in 0..100_000 {
                assert_eq!(
                    cache.answer(key(number), || number + 7),
                    number + 7,
                    "round {round}"
                );
            }
        }
    }

    #[test]
    fn half_as_many_keys_as_slots_nearly_all_stay() {
        let mut cache = Cache::new();
        let mut missed = 0;
        for _ in 0..2 {
            missed = 0;
            for number in 0..SETS as u32 * 2 {
                cache.answer(key(number), || missed += 1);
            }
        }
        assert!(missed < SETS / 4, "{missed}");
    }
}
