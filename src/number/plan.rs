//! The fast path: numbers the country table alone is sure of.
//!
//! Every function here either returns exactly what `rlibphonenumber` would,
//! or `None` ("not sure, ask"). It is unsure wherever the library would
//! consider stripping a national prefix from what stands before it.

use crate::number::E164;
use crate::number::country_table::{CALLING_CODES, REGIONS};

/// One country calling code.
pub(crate) struct CallingCode {
    pub(crate) code: u16,
    /// Bit n is set when n national digits are possible.
    pub(crate) lengths: u32,
    /// How many leading national digits decide type and region, the length given.
    pub(crate) deciding: usize,
    /// Leading national digits at which the library may strip a prefix.
    pub(crate) strips: &'static [&'static str],
}

/// One region's own view of its numbering plan.
pub(crate) struct Region {
    /// ISO 3166 alpha-2.
    pub(crate) name: &'static str,
    pub(crate) code: u16,
    /// Bit n is set when n national digits are possible.
    pub(crate) lengths: u32,
    /// The only thing stripped from digits that begin with 0 is that 0.
    pub(crate) trunk_zero: bool,
    /// Leading digits at which the library may strip or rewrite a prefix.
    pub(crate) strips: &'static [&'static str],
    /// International dialling prefixes.
    pub(crate) idd: &'static [&'static str],
    /// Emergency numbers (`ShortNumberMetadata.xml`).
    pub(crate) emergency: &'static [&'static str],
}

impl CallingCode {
    pub(crate) fn allows(&self, national_digits: usize) -> bool {
        has(self.lengths, national_digits)
    }

    /// Whether a national number of this code may begin with 0
    /// (libphonenumber's "Italian leading zero").
    pub(crate) fn leading_zero(&self) -> bool {
        matches!(
            self.code,
            39 | 47 | 225 | 227 | 229 | 241 | 242 | 267 | 268 | 378 | 501 | 676 | 679 | 687 | 853
        )
    }
}

impl Region {
    /// By ISO 3166 code, upper case.
    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        let at = REGIONS.binary_search_by(|region| region.name.cmp(name)).ok()?;
        Some(&REGIONS[at])
    }

    pub(crate) fn allows(&self, national_digits: usize) -> bool {
        has(self.lengths, national_digits)
    }
}

/// The calling code the digits begin with, and its width.
pub(crate) fn calling_code(digits: &[u8]) -> Option<(&'static CallingCode, usize)> {
    let head: &[u8; 3] = digits.first_chunk()?;
    let key = head
        .iter()
        .fold(0, |sum, &digit| sum * 10 + usize::from(digit - b'0'));
    let code = CALLING_CODES.get(usize::from(INDEX[key]))?;
    Some((code, width(code.code)))
}

/// Digits with their country code in front, as after `+`.
pub(crate) fn international(digits: &[u8]) -> Option<E164> {
    let (code, width) = calling_code(digits)?;
    let national = &digits[width..];
    let sure = code.allows(national.len())
        && !may_strip(code.strips, national)
        && (national[0] != b'0' || code.leading_zero());
    if sure {
        E164::from_digits([digits, b""])
    } else {
        None
    }
}

/// Whether the digits are a calling code with a possible length behind it.
pub(crate) fn possible_international(digits: &[u8]) -> bool {
    calling_code(digits).is_some_and(|(code, width)| code.allows(digits.len() - width))
}

/// Whether the digits are a calling code with a possible length behind it that is its longest or has at least so
/// many digits.
pub(crate) fn whole_number(digits: &[u8], least: usize) -> bool {
    calling_code(digits).is_some_and(|(code, width)| {
        let national = digits.len() - width;
        code.allows(national) && (national >= least || code.lengths >> national == 1)
    })
}

/// The country a source's national numbers belong to.
pub(crate) struct Home {
    pub(crate) region: &'static Region,
    pub(crate) code: &'static CallingCode,
    prefix: [u8; 3],
}

impl Home {
    pub(crate) fn new(region: &'static Region) -> Option<Self> {
        let at = CALLING_CODES
            .binary_search_by_key(&region.code, |code| code.code)
            .ok()?;
        let mut prefix = [0; 3];
        let mut rest = region.code;
        for slot in prefix[..width(region.code)].iter_mut().rev() {
            *slot = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        Some(Self {
            region,
            code: &CALLING_CODES[at],
            prefix,
        })
    }

    /// The country code's digits.
    pub(crate) fn prefix(&self) -> &[u8] {
        &self.prefix[..width(self.code.code)]
    }

    /// Whether so many national digits are possible here.
    pub(crate) fn allows(&self, national_digits: usize) -> bool {
        self.region.allows(national_digits) && self.code.allows(national_digits)
    }

    /// Whether the digits are the own country code with a possible length behind it.
    pub(crate) fn begins(&self, digits: &[u8]) -> bool {
        behind(digits, self.prefix()).is_some_and(|national| self.code.allows(national.len()))
    }

    /// Digits that begin with 0: the trunk prefix, or a plan with leading zeros.
    pub(crate) fn behind_zero(&self, digits: &[u8]) -> Option<E164> {
        let national = if self.region.trunk_zero {
            &digits[1..]
        } else if self.region.strips.is_empty() && self.code.leading_zero() {
            digits
        } else {
            return None;
        };
        let second_zero = digits.get(1) == Some(&b'0');
        if second_zero || !self.allows(national.len()) {
            return None;
        }
        E164::from_digits([self.prefix(), national])
    }

    /// Digits without any prefix, of a source that writes national numbers so.
    pub(crate) fn without_prefix(&self, digits: &[u8]) -> Option<E164> {
        let sure = self.allows(digits.len())
            && behind(digits, self.prefix()).is_none()
            && !may_strip(self.region.strips, digits);
        if sure {
            E164::from_digits([self.prefix(), digits])
        } else {
            None
        }
    }
}

/// Whether the library may strip a prefix from these national digits.
pub(crate) fn may_strip(strips: &[&str], national: &[u8]) -> bool {
    strips
        .iter()
        .any(|prefix| behind(national, prefix.as_bytes()).is_some())
}

/// What stands behind a prefix of a few bytes; quicker than a call of `memcmp`.
#[inline]
pub(crate) fn behind<'a>(digits: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    let (head, rest) = digits.split_at_checked(prefix.len())?;
    let same = head.iter().zip(prefix).all(|(one, other)| one == other);
    same.then_some(rest)
}

fn has(lengths: u32, digits: usize) -> bool {
    digits < 32 && lengths >> digits & 1 == 1
}

const fn width(code: u16) -> usize {
    match code {
        0..10 => 1,
        10..100 => 2,
        _ => 3,
    }
}

/// First three digits → place in [`CALLING_CODES`]; its length when there is none.
static INDEX: [u8; 1000] = {
    let mut index = [CALLING_CODES.len() as u8; 1000];
    let mut at = 0;
    while at < CALLING_CODES.len() {
        let code = CALLING_CODES[at].code as usize;
        let span = match width(CALLING_CODES[at].code) {
            1 => 100,
            2 => 10,
            _ => 1,
        };
        let mut offset = 0;
        while offset < span {
            index[code * span + offset] = at as u8;
            offset += 1;
        }
        at += 1;
    }
    index
};

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
