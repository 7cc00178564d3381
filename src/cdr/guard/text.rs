//! Where a value could hold a number at all: 16 bytes at a time, without a branch for each.

use wide::i8x16;

use crate::bytes::{LANES, all, bits, digits, lanes, padded};
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

/// Whether the text begins with a date and time of day, `2026-11-05 09:15:00`: the most frequent digits in a call
/// record are no number.
#[inline]
fn calendar(text: &[u8]) -> bool {
    let (Some(day), Some(hour), Some(rest)) = (
        text.first_chunk::<8>(),
        text.get(8..16).and_then(<[u8]>::first_chunk),
        text.get(11..19).and_then(<[u8]>::first_chunk),
    ) else {
        return false;
    };
    let dated = fits(*day, *b"0000-00-") || fits(*day, *b"0000/00/");
    let timed = (fits(*hour, *b"00 00:00") || fits(*hour, *b"00T00:00")) && fits(*rest, *b"00:00:00");
    let two = |tens: u8, ones: u8| 10 * (tens - b'0') + (ones - b'0');
    if !dated || !timed {
        return false;
    }
    let (century, year) = (two(day[0], day[1]), two(day[2], day[3]));
    let year = matches!((century, year), (19, 70..) | (20, ..70));
    let month = matches!(two(day[5], day[6]), 1..=12);
    let day = matches!(two(hour[0], hour[1]), 1..=31);
    year && month && day && two(hour[3], hour[4]) < 24
}

/// Bytes of such a date and time of day.
const CALENDAR: usize = 19;

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

/// Hands out every seven digits in a row, packed, that only separators part.
#[inline]
pub(super) fn each_run(text: &[u8], mut each: impl FnMut(u64)) {
    let (mut seven, mut count) = (0, 0);
    for &byte in text {
        match place(byte) {
            Place::Digit => {
                seven = push(seven, byte);
                count += 1;
                if count >= LEAST {
                    each(seven);
                }
            }
            Place::Separator => {}
            Place::Outside => count = 0,
        }
    }
}

/// Drops the first digit and adds one behind: the first lowest, as a load of eight bytes has it.
#[inline]
pub(super) fn push(seven: u64, digit: u8) -> u64 {
    seven >> 8 | u64::from(digit) << 48
}

/// Seven or more digits and separators that stand together in a text.
pub(super) struct Stretch<'a> {
    pub(super) text: &'a [u8],
    /// A bit for each of its bytes that is a digit, the first lowest; none where it was too long to be looked at whole.
    digits: Option<u64>,
}

impl Stretch<'_> {
    /// Hands out every seven digits in a row, packed as by [`each_run`].
    #[inline]
    pub(super) fn each_seven(&self, mut each: impl FnMut(u64)) {
        let Some(mut digits) = self.digits else {
            return each_run(self.text, each);
        };
        let mut seven = 0;
        for place in 1.. {
            let Some(&digit) = self.text.get(digits.trailing_zeros() as usize) else {
                return;
            };
            digits &= digits.wrapping_sub(1);
            seven = push(seven, digit);
            if place >= LEAST {
                each(seven);
            }
        }
    }
}

/// Hands out each stretch; whether there is a percent sign, so that letters may stand for digits.
#[inline]
pub(super) fn each_stretch(text: &[u8], mut each: impl FnMut(&Stretch<'_>)) -> bool {
    let (mut at, mut percents) = (0, 0);
    while at < text.len() {
        let rest = &text[at..];
        let block = Block::of(&rest[..rest.len().min(BLOCK)]);
        percents |= block.percents;
        let mut connected = block.connected;
        if at == 0 && connected & DATE == DATE && calendar(text) {
            connected &= !ones(CALENDAR);
        }
        let mut next = None;
        while let Some((start, length)) = first_long(connected) {
            connected &= !(ones(length) << start);
            if start + length == BLOCK && rest.len() > BLOCK {
                let end = end_of_stretch(rest, start);
                let text = &rest[start..end];
                each(&Stretch { text, digits: None });
                next = Some(end);
            } else {
                let text = &rest[start..start + length];
                let digits = Some(block.digits >> start & ones(length));
                each(&Stretch { text, digits });
            }
        }
        // Fewer than seven at the block's end may be the beginning of more.
        at += next.unwrap_or(BLOCK - connected.leading_ones() as usize);
    }
    percents != 0
}

/// Where a stretch ends that reaches over its block.
#[cold]
fn end_of_stretch(text: &[u8], start: usize) -> usize {
    let end = text[start..]
        .iter()
        .position(|&byte| place(byte) == Place::Outside);
    end.map_or(text.len(), |end| start + end)
}

/// Bytes looked at together.
const BLOCK: usize = 64;
/// The bits of the digits and separators that a date is.
const DATE: u64 = (1 << 10) - 1;

/// A bit for each of up to 64 bytes, the first lowest.
struct Block {
    digits: u64,
    /// Digits and separators.
    connected: u64,
    /// Not zero where there is one.
    percents: u64,
}

impl Block {
    #[inline]
    fn of(text: &[u8]) -> Self {
        let (sixteens, tail) = text.as_chunks();
        let (mut digits, mut connected, mut percents) = (0, 0, 0);
        for (at, sixteen) in sixteens.iter().enumerate() {
            let block = Self::of_lanes(lanes(*sixteen));
            digits |= block.digits << (LANES * at);
            connected |= block.connected << (LANES * at);
            percents |= block.percents;
        }
        if !tail.is_empty() {
            // Some of the last 16 bytes was looked at already.
            let (sixteen, again) = match text.last_chunk() {
                Some(sixteen) => (*sixteen, LANES - tail.len()),
                None => (padded(text), 0),
            };
            let block = Self::of_lanes(lanes(sixteen));
            digits |= block.digits >> again << (LANES * sixteens.len());
            connected |= block.connected >> again << (LANES * sixteens.len());
            percents |= block.percents;
        }
        Self {
            digits,
            connected,
            percents,
        }
    }

    #[inline]
    fn of_lanes(lanes: i8x16) -> Self {
        let is = |byte| lanes.simd_eq(all(byte));
        let bracket_to_nine = lanes.simd_gt(all(b'(' - 1)) & lanes.simd_lt(all(b'9' + 1));
        // Bytes outside ASCII have the highest bit themselves.
        let connected = bracket_to_nine & !(is(b',') | is(b'*')) | is(b' ') | lanes;
        Self {
            digits: bits(digits(lanes)),
            connected: bits(connected),
            percents: bits(is(b'%')),
        }
    }
}

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

/// Whether a value of 16 bytes at most is nothing but digits.
#[inline]
pub(super) fn all_digits(text: &[u8]) -> bool {
    text.len() <= LANES && bits(digits(lanes(padded(text)))) == (1 << text.len()) - 1
}

const ONES: u64 = u64::from_ne_bytes([1; 8]);
const TOPS: u64 = 0x80 * ONES;

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

    proptest! {
        /// However long the text, and wherever its stretches lie among the blocks that are looked at together.
        #[test]
        fn no_seven_digits_are_passed_over(text in "[x%*][0-9 .()x%*-]{0,20}([0-9]{1,9}|[-.é ]{1,70}|x){0,40}") {
            let text = text.as_bytes();
            let (mut found, mut expected) = (Vec::new(), Vec::new());
            each_run(text, |seven| expected.push(seven));
            let percent = each_stretch(text, |stretch| stretch.each_seven(|seven| found.push(seven)));
            prop_assert_eq!(found, expected);
            prop_assert_eq!(percent, text.contains(&b'%'));
        }
    }
}
