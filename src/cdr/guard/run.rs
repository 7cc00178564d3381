//! Digits in a row, as a reader joins them over separators, and which of them are a date.

use crate::cdr::guard::text::{Place, place};
use crate::cdr::guard::{COUNTRY_CODE, LEAST, MOST};

/// ASCII digits that only separators part.
#[derive(Default)]
pub(super) struct Run {
    pub(super) digits: Vec<u8>,
    /// By digit: whether a separator stands before it.
    parted: Vec<bool>,
}

impl Run {
    /// Reads the next run at or behind `from`, up to the place returned. Without digits: there is none.
    pub(super) fn read(&mut self, text: &[u8], from: usize) -> usize {
        self.digits.clear();
        self.parted.clear();
        let Some(first) = text[from..].iter().position(u8::is_ascii_digit) else {
            return text.len();
        };
        let mut parted = false;
        for (at, &byte) in text.iter().enumerate().skip(from + first) {
            match place(byte) {
                Place::Digit => {
                    self.digits.push(byte);
                    self.parted.push(parted);
                    parted = false;
                }
                Place::Separator => parted = true,
                Place::Outside => return at,
            }
        }
        text.len()
    }

    /// Reads a value that is nothing but digits and separators, enough of them for an identifier.
    pub(super) fn read_whole(&mut self, value: &[u8]) -> bool {
        let value = value.trim_ascii();
        let mut opening = value.iter().take_while(|byte| !byte.is_ascii_digit());
        opening.all(|&byte| place(byte) == Place::Separator)
            && self.read(value, 0) == value.len()
            && (LEAST..=MOST).contains(&self.digits.len())
    }

    /// Leaves the first digits.
    pub(super) fn cut(&mut self, digits: usize) {
        self.digits.truncate(digits);
        self.parted.truncate(digits);
    }

    /// Leaves out the trunk 0 of `+44 (0)7700 900123` and `+44 (07700) 900123`, first of a group behind the country
    /// code.
    pub(super) fn drop_trunk_zero(&mut self) -> bool {
        let first = |&at: &usize| self.digits.get(at) == Some(&b'0') && self.breaks_at(at);
        let found = (1..=COUNTRY_CODE).find(first);
        if let Some(at) = found {
            self.digits.remove(at);
            self.parted.remove(at);
        }
        found.is_some()
    }

    /// Whether the run, or a group of it, begins or ends before the digit at `at`.
    pub(super) fn breaks_at(&self, at: usize) -> bool {
        at == 0 || self.parted.get(at).is_none_or(|&parted| parted)
    }

    /// Whether the whole run is a date with or without a time of day: `2026-11-05 09`, `05/11/2026`.
    pub(super) fn is_calendar(&self) -> bool {
        let mut groups = [&[][..]; 8];
        let Some(count) = self.groups(&mut groups) else {
            return false;
        };
        let (date, time) = groups[..count].split_at(3.min(count));
        is_date(date) && is_time_of_day(time)
    }

    /// Whether the run is what systems write for an instant, separated or not.
    pub(super) fn reads_as_time(&self) -> bool {
        let group = (1..=self.digits.len())
            .find(|&at| self.breaks_at(at))
            .unwrap_or_default();
        let since_1970 = self.digits[0] == b'1' && matches!(group, 10 | 13 | 16);
        let compact = matches!(group, 8 | 14 | 17) && is_compact_date(&self.digits[..8]);
        since_1970 || compact || self.is_calendar()
    }

    /// The groups between separators and their number; none when they are too many.
    fn groups<'a>(&'a self, groups: &mut [&'a [u8]; 8]) -> Option<usize> {
        let (mut count, mut start) = (0, 0);
        while start < self.digits.len() {
            let end = (start + 1..=self.digits.len()).find(|&at| self.breaks_at(at))?;
            *groups.get_mut(count)? = &self.digits[start..end];
            (count, start) = (count + 1, end);
        }
        Some(count)
    }
}

fn is_date(groups: &[&[u8]]) -> bool {
    let [a, b, c] = groups else { return false };
    match (a.len(), b.len(), c.len()) {
        (4, 2, 2) => is_day(a, b, c),
        (2, 2, 4) => is_day(c, a, b) || is_day(c, b, a),
        _ => false,
    }
}

/// Hours, minutes, seconds, as many as there are, and at most six digits of a second's fraction.
fn is_time_of_day(groups: &[&[u8]]) -> bool {
    const BELOW: [u32; 3] = [24, 60, 61];
    groups.len() <= 4
        && groups.iter().enumerate().all(|(at, group)| match BELOW.get(at) {
            Some(below) => group.len() == 2 && value(group) < *below,
            None => group.len() <= 6,
        })
}

/// `20261105`
pub(super) fn is_compact_date(digits: &[u8]) -> bool {
    digits.len() == 8 && is_day(&digits[..4], &digits[4..6], &digits[6..])
}

fn is_day(year: &[u8], month: &[u8], day: &[u8]) -> bool {
    (1970..2070).contains(&value(year)) && (1..=12).contains(&value(month)) && (1..=31).contains(&value(day))
}

fn value(digits: &[u8]) -> u32 {
    digits
        .iter()
        .fold(0, |sum, &digit| sum * 10 + u32::from(digit - b'0'))
}
