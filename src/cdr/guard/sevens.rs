//! The first comparison: seven digits in a row that two values share, or nothing.
//!
//! It may see what is not there, never miss what is.

use std::ops::Range;

use crate::cdr::guard::text::{each_run, push};

const SLOTS: usize = 1 << 12;
/// Seven zeros are nobody's, and stand in many counters and test numbers.
const ZEROS: u64 = u64::from_le_bytes(*b"0000000\0");

/// A set of seven digits in a row, by their hash.
pub(super) struct Sevens {
    /// The round in which a slot was last taken: a new record costs no wiping.
    rounds: Box<[u16; SLOTS]>,
    round: u16,
}

impl Default for Sevens {
    fn default() -> Self {
        Self {
            rounds: Box::new([0; SLOTS]),
            round: 1,
        }
    }
}

impl Sevens {
    pub(super) fn clear(&mut self) {
        self.round = self.round.wrapping_add(1);
        if self.round == 0 {
            self.rounds.fill(0);
            self.round = 1;
        }
    }

    /// Seven digits, packed.
    #[inline]
    pub(super) fn add(&mut self, seven: u64) {
        if seven != ZEROS {
            self.rounds[slot(seven)] = self.round;
        }
    }

    /// Whether these seven digits were added.
    #[inline]
    pub(super) fn has(&self, seven: u64) -> bool {
        self.rounds[slot(seven)] == self.round
    }

    /// Whether the seven of these digits that begin at one of the places were added.
    #[inline]
    pub(super) fn holds(&self, digits: &[u8], mut places: Range<usize>) -> bool {
        places.any(|at| self.has(seven_at(digits, at)))
    }

    /// Whether seven of these digits in a row were added.
    #[inline]
    pub(super) fn share(&self, digits: &[u8]) -> bool {
        let Some(first) = digits.first_chunk::<8>() else {
            let mut found = false;
            each_run(digits, |seven| found |= self.has(seven));
            return found;
        };
        let mut found = self.has(u64::from_le_bytes(*first) << 8 >> 8);
        for at in 0..=digits.len() - 8 {
            if let Some(eight) = digits[at..].first_chunk() {
                found |= self.has(u64::from_le_bytes(*eight) >> 8);
            }
        }
        found
    }
}

/// Seven digits, packed, of at least so many behind `at`.
#[inline]
fn seven_at(digits: &[u8], at: usize) -> u64 {
    if let Some(eight) = digits[at..].first_chunk() {
        return u64::from_le_bytes(*eight) << 8 >> 8;
    }
    match digits.last_chunk() {
        Some(eight) => u64::from_le_bytes(*eight) >> 8,
        None => digits[at..].iter().fold(0, |seven, &digit| push(seven, digit)),
    }
}

#[inline]
fn slot(seven: u64) -> usize {
    (seven.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 52) as usize
}
