//! The first comparison: seven digits in a row that two values share, or nothing.
//!
//! It may see what is not there, never miss what is.

use crate::cdr::guard::LEAST;
use crate::cdr::guard::text::{Place, place};

const SLOTS: usize = 1 << 12;
/// Seven zeros are nobody's, and stand in many counters and test numbers.
const ZEROS: u64 = u64::from_le_bytes(*b"0000000\0");
/// Digits handed out at a time, at most.
const PIECE: usize = 32;

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

    /// All of at least seven digits.
    pub(super) fn add(&mut self, digits: &[u8]) {
        each_seven(digits, |seven| {
            if seven != ZEROS {
                self.rounds[slot(seven)] = self.round;
            }
        });
    }

    /// Whether seven of at least seven digits were added.
    #[inline]
    pub(super) fn share(&self, digits: &[u8]) -> bool {
        let mut found = false;
        each_seven(digits, |seven| found |= self.rounds[slot(seven)] == self.round);
        found
    }
}

/// Eight bytes are loaded at a time; but for the first seven, the first of them goes.
#[inline]
fn each_seven(digits: &[u8], mut each: impl FnMut(u64)) {
    let mut first = [0; 8];
    first[..LEAST].copy_from_slice(&digits[..LEAST]);
    each(u64::from_le_bytes(first));
    for at in 0..digits.len() - LEAST {
        if let Some(eight) = digits[at..].first_chunk() {
            each(u64::from_le_bytes(*eight) >> 8);
        }
    }
}

#[inline]
fn slot(seven: u64) -> usize {
    (seven.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 52) as usize
}

/// Hands out digits that only separators part, where there are seven or more.
#[inline]
pub(super) fn each_run(text: &[u8], mut each: impl FnMut(&[u8])) {
    let mut at = 0;
    while at < text.len() {
        at += first_run(&text[at..], &mut each) + 1;
    }
}

/// The length of the digits and separators that a text begins with, the digits handed out if there are seven or
/// more: of a long run piece by piece, each with the last six digits of the one before it.
#[inline]
pub(super) fn first_run(text: &[u8], mut each: impl FnMut(&[u8])) -> usize {
    let mut digits = [0; PIECE];
    let (mut count, mut length) = (0, 0);
    for &byte in text {
        match place(byte) {
            Place::Digit => {
                if count == PIECE {
                    each(&digits);
                    digits.copy_within(PIECE - (LEAST - 1).., 0);
                    count = LEAST - 1;
                }
                digits[count] = byte;
                count += 1;
            }
            Place::Separator => {}
            Place::Outside => break,
        }
        length += 1;
    }
    if count >= LEAST {
        each(&digits[..count]);
    }
    length
}
