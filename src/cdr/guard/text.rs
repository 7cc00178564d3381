//! Where a value could hold a number at all: eight bytes at a time, without a branch for each.

use crate::cdr::guard::LEAST;

/// What a byte is among the digits of a number.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Digit,
    /// What people and systems write between digits. Bytes outside ASCII are a no-break space, a long dash, or
    /// damage.
    Separator,
    Outside,
}

const PLACES: [Place; 256] = {
    let mut places = [Place::Outside; 256];
    let mut byte = 0;
    while byte < 256 {
        places[byte] = match byte as u8 {
            b'0'..=b'9' => Place::Digit,
            b' ' | b'.' | b'-' | b'(' | b')' | b'/' | b'+' | 0x80.. => Place::Separator,
            _ => Place::Outside,
        };
        byte += 1;
    }
    places
};

#[inline]
pub(super) fn place(byte: u8) -> Place {
    PLACES[usize::from(byte)]
}

/// The length of a date and time of day that the text begins with, `2026-11-05 09:15:00`, or 0: the most frequent
/// digits in a call record are no number.
#[inline]
pub(super) fn calendar(text: &[u8]) -> usize {
    let (Some(day), Some(hour), Some(rest)) = (
        text.first_chunk::<8>(),
        text.get(8..16).and_then(<[u8]>::first_chunk),
        text.get(11..19).and_then(<[u8]>::first_chunk),
    ) else {
        return 0;
    };
    let dated = fits(*day, *b"0000-00-") || fits(*day, *b"0000/00/");
    let timed = (fits(*hour, *b"00 00:00") || fits(*hour, *b"00T00:00")) && fits(*rest, *b"00:00:00");
    let two = |tens: u8, ones: u8| 10 * (tens - b'0') + (ones - b'0');
    if dated && timed {
        let (century, year) = (two(day[0], day[1]), two(day[2], day[3]));
        let year = matches!((century, year), (19, 70..) | (20, ..70));
        let month = matches!(two(day[5], day[6]), 1..=12);
        let day = matches!(two(hour[0], hour[1]), 1..=31);
        if year && month && day && two(hour[3], hour[4]) < 24 {
            19
        } else {
            0
        }
    } else {
        0
    }
}

/// Whether eight bytes are digits where the shape has zeros, and what the shape has elsewhere.
#[inline]
fn fits(text: [u8; 8], shape: [u8; 8]) -> bool {
    let lanes = u64::from_le_bytes(text) ^ u64::from_le_bytes(shape);
    ((lanes & !TOPS).wrapping_add(limits(shape)) | lanes) & TOPS == 0
}

/// What brings a lane's top bit about: a ten in lanes of digits, a one in the others.
const fn limits(shape: [u8; 8]) -> u64 {
    let mut limits = [0x7f; 8];
    let mut at = 0;
    while at < 8 {
        if shape[at] == b'0' {
            limits[at] = 0x76;
        }
        at += 1;
    }
    u64::from_le_bytes(limits)
}

/// Walks through a text from one stretch of digits and separators that has seven digits to the next.
pub(super) struct Scan<'a> {
    text: &'a [u8],
    at: usize,
    percent: u64,
}

impl<'a> Scan<'a> {
    #[inline]
    pub(super) fn new(text: &'a [u8]) -> Self {
        let at = calendar(text);
        Self { text, at, percent: 0 }
    }

    /// The text from the next stretch on; [`Self::resume`] behind it. One too long to be counted may have fewer digits.
    #[inline]
    pub(super) fn next(&mut self) -> Option<&'a [u8]> {
        while self.at < self.text.len() {
            let (digits, mut connected) = self.block();
            let rest = self.text.len() - self.at;
            while let Some((start, length)) = first_long(connected) {
                let stretch = ones(length) << start;
                let open = start + length == BLOCK && rest > BLOCK;
                if (digits & stretch).count_ones() as usize >= LEAST || (open && start == 0) {
                    self.at += start;
                    return Some(&self.text[self.at..]);
                }
                if open {
                    break;
                }
                connected &= !stretch;
            }
            if rest <= BLOCK {
                self.at = self.text.len();
            } else {
                // A stretch that the block cuts is looked at from its beginning.
                self.at += BLOCK - connected.leading_ones() as usize;
            }
        }
        None
    }

    /// A bit for each of the next 64 bytes, the first lowest: the digits, and these with separators.
    #[inline]
    fn block(&mut self) -> (u64, u64) {
        let (mut digits, mut connected) = (0, 0);
        let words = (self.text.len() - self.at).div_ceil(8).min(BLOCK / 8);
        for at in 0..words {
            let word = load(self.text, self.at + 8 * at);
            let plain = digit(word) & TOPS;
            digits |= gather(plain) << (8 * at);
            connected |= gather(plain | separator(word) & TOPS) << (8 * at);
            self.percent |= equal(word, b'%');
        }
        (digits, connected)
    }

    /// Goes on so many bytes behind the stretch's beginning.
    #[inline]
    pub(super) fn resume(&mut self, length: usize) {
        self.at += length.max(1);
    }

    /// After the last stretch: whether there is a percent sign, and letters may stand for digits.
    #[inline]
    pub(super) fn percent(&self) -> bool {
        self.percent & TOPS != 0
    }
}

/// Bytes looked at together.
const BLOCK: usize = 64;

/// Where the first seven or more ones in a row begin, and how many they are.
#[inline]
fn first_long(bits: u64) -> Option<(usize, usize)> {
    let two = bits & bits >> 1;
    let four = two & two >> 2;
    let seven = four & four >> 3;
    let start = seven.trailing_zeros();
    (seven != 0).then(|| (start as usize, (bits >> start).trailing_ones() as usize))
}

#[inline]
fn ones(count: usize) -> u64 {
    u64::MAX >> (64 - count)
}

/// Eight bytes, behind the end zeros.
#[inline]
fn load(text: &[u8], at: usize) -> u64 {
    if let Some(word) = text[at..].first_chunk() {
        return u64::from_le_bytes(*word);
    }
    let missing = at + 8 - text.len();
    match text.last_chunk() {
        Some(word) => u64::from_le_bytes(*word) >> (8 * missing),
        None => text[at..]
            .iter()
            .rev()
            .fold(0, |word, &byte| word << 8 | u64::from(byte)),
    }
}

/// Whether 8 to 16 bytes are all digits.
#[inline]
pub(super) fn all_digits(text: &[u8]) -> bool {
    let (Some(first), Some(last)) = (text.first_chunk(), text.last_chunk()) else {
        return false;
    };
    let other = |word: [u8; 8]| {
        let lanes = u64::from_le_bytes(word) ^ (u64::from(b'0') * ONES);
        ((lanes & !TOPS).wrapping_add(0x76 * ONES) | lanes) & TOPS
    };
    text.len() <= 16 && other(*first) | other(*last) == 0
}

const ONES: u64 = u64::from_ne_bytes([1; 8]);
const TOPS: u64 = 0x80 * ONES;

/// The top bit of each byte that is a digit; other bits mean nothing.
#[inline]
fn digit(word: u64) -> u64 {
    let lanes = word ^ (u64::from(b'0') * ONES);
    !((lanes & !TOPS).wrapping_add(0x76 * ONES) | lanes)
}

/// The top bit of each byte that is a separator, or `*`, which saves instructions; other bits mean nothing.
#[inline]
fn separator(word: u64) -> u64 {
    let low = word & !TOPS;
    let from_bracket = low.wrapping_add((0x80 - u64::from(b'(')) * ONES);
    let above_slash = low.wrapping_add((0x7f - u64::from(b'/')) * ONES);
    from_bracket & !above_slash & !equal(word, b',') | equal(word, b' ') | word
}

/// The top bit of each byte that is this ASCII character, or this with its top bit set; other bits mean nothing.
#[inline]
fn equal(word: u64, byte: u8) -> u64 {
    !((word & !TOPS) ^ (u64::from(byte) * ONES)).wrapping_add(TOPS - ONES)
}

/// Top bits side by side, the first byte's lowest.
#[inline]
fn gather(tops: u64) -> u64 {
    (tops >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56
}

/// Appends what the text from `start` on says once decoded; whether that can be decoded again.
pub(super) fn decode_percent(texts: &mut Vec<u8>, start: usize) -> bool {
    let end = texts.len();
    let (mut at, mut again) = (start, false);
    while at < end {
        let byte = match (texts[at], texts.get(at + 1..at + 3).filter(|_| at + 3 <= end)) {
            (b'%', Some(&[high, low])) => hexadecimal(high, low),
            _ => None,
        };
        texts.push(byte.unwrap_or(texts[at]));
        again |= texts.last() == Some(&b'%');
        at += if byte.is_some() { 3 } else { 1 };
    }
    again
}

fn hexadecimal(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    Some((digit(high)? << 4 | digit(low)?) as u8)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::cdr::guard::sevens::{each_run, first_run};

    proptest! {
        /// However long the text, and wherever its stretches lie among the blocks that are looked at together.
        #[test]
        fn the_scan_passes_over_no_seven_digits(text in "[x%*][0-9 .()x%*-]{0,20}([0-9]{1,9}|[-.é ]{1,70}|x){0,40}") {
            let text = text.as_bytes();
            let mut expected = Vec::new();
            each_run(text, |seven| expected.push(seven));
            let (mut found, mut scan) = (Vec::new(), Scan::new(text));
            while let Some(stretch) = scan.next() {
                let length = first_run(stretch, |seven| found.push(seven));
                scan.resume(length);
            }
            prop_assert_eq!(found, expected);
            prop_assert_eq!(scan.percent(), text.contains(&b'%'));
        }
    }
}
