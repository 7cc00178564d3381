//! The rate deck: which zone a number is priced in, and how much of it billing may know.
//!
//! Keys lie sorted, four bits a digit, so that a number's longest key is the
//! last one not above it or one that this one begins with. Invariant: a
//! number's prefix is the key of a row, and leaves open at least as many digits
//! as `min_block` numbers need; so a row that is a whole number gives zone and
//! class, never digits.

mod build;
mod compare;
#[cfg(test)]
mod tests;

use std::fmt;

use crate::number::{Class, E164, ServiceCode};

pub use build::{DeckBuilder, DeckFault, DeckRow};
pub use compare::{Kept, Lost};

/// A checked deck; looked up without allocating.
///
/// What a look-up reads decides how fast it is: 16 bytes a key, and an index of half a megabyte.
pub struct Deck {
    /// Different ones, ascending.
    keys: Vec<Key>,
    /// By key, and one more for the end.
    links: Vec<Link>,
    /// By the key, then by time.
    rows: Vec<Row>,
    /// By the first digits of a key ([`Key::start`]), and one more: the first key not below them.
    starts: Vec<u32>,
    zones: Vec<Box<str>>,
    /// Digits at the end of a number that no prefix shows.
    open_digits: usize,
}

/// What a deck says of one number at one time; only the deck it came from knows what it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Priced {
    row: u32,
    prefix: u8,
}

impl Priced {
    /// How many leading digits may be told; 0 for none.
    pub fn prefix(self) -> usize {
        usize::from(self.prefix)
    }
}

/// Where a key leads.
struct Link {
    /// The longest other key that it begins with, or [`NONE`].
    shorter: u32,
    /// [`ALWAYS`] is set where the key has one row, which always holds.
    first_row: u32,
}

#[derive(Clone, Copy)]
struct Row {
    /// First millisecond since 1970 at which it holds.
    from: i64,
    /// First one at which it no longer does.
    to: i64,
    zone: u32,
    class: Option<Class>,
}

/// No such key.
const NONE: u32 = u32::MAX;
const ALWAYS: u32 = 1 << 31;

/// The longest key in digits (ITU-T E.164).
const MAX_KEY: usize = E164::MAX_DIGITS;
/// Stands before the digits of a service code: they are no number's.
const SERVICE: u64 = 0xa;
/// How many starts keys can have.
const STARTS: usize = 110_000;

/// 15 digits of four bits, the first highest, zeros behind the last; below them how many there are.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key(u64);

impl Key {
    /// Of at most 15 digits.
    #[inline]
    fn number(digits: &[u8]) -> Self {
        Self::behind(0, 0, digits)
    }

    /// Of at most 14 digits.
    #[inline]
    fn service(digits: &[u8]) -> Self {
        Self::behind(SERVICE, 1, digits)
    }

    #[inline]
    fn behind(mark: u64, marks: usize, digits: &[u8]) -> Self {
        let packed = digits
            .iter()
            .fold(mark, |sum, &digit| sum << 4 | u64::from(digit & 15));
        let len = marks + digits.len();
        Self(packed << (4 * (16 - len)) | len as u64)
    }

    fn is_service(self) -> bool {
        self.0 >> 60 == SERVICE
    }

    /// The digits of a number's key, zeros behind them.
    fn digits(self) -> [u8; MAX_KEY] {
        std::array::from_fn(|at| b'0' + (self.0 >> (60 - 4 * at) & 15) as u8)
    }

    fn len(self) -> usize {
        (self.0 & 15) as usize
    }

    /// Whether `self` is the beginning of `other`.
    #[inline]
    fn begins(self, other: Self) -> bool {
        self.len() <= other.len() && (self.0 ^ other.0) >> (64 - 4 * self.len()) == 0
    }

    /// The first five digits, or a service code's mark and four, as a number.
    #[inline]
    fn start(self) -> usize {
        let digit = |place: u64| (self.0 >> (64 - 4 * place) & 15) as usize;
        digit(1) * 10_000 + digit(2) * 1_000 + digit(3) * 100 + digit(4) * 10 + digit(5)
    }
}

impl Deck {
    /// How many rows it has.
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// What it says of a number at a time, in milliseconds since 1970.
    pub fn number(&self, number: &E164, at: i64) -> Option<Priced> {
        let digits = number.digits();
        let longest = self.longest(Key::number(digits));
        let (row, place) = self.held(longest, MAX_KEY, at)?;
        let told = digits.len().saturating_sub(self.open_digits);
        let prefix = self
            .held(place, told, at)
            .map_or(0, |(_, place)| self.keys[place as usize].len());
        Some(Priced {
            row,
            prefix: prefix as u8,
        })
    }

    /// What it says of a service code: nobody's number, so the key of its row may be told;
    /// who called a helpline is nobody's business.
    pub fn service(&self, code: &ServiceCode, at: i64) -> Option<Priced> {
        let digits = code.digits();
        if digits.len() >= MAX_KEY {
            return None;
        }
        let longest = self.longest(Key::service(digits));
        let (row, place) = self.held(longest, MAX_KEY, at)?;
        let prefix = if code.is_helpline() {
            0
        } else {
            // Without the mark.
            self.keys[place as usize].len() - 1
        };
        Some(Priced {
            row,
            prefix: prefix as u8,
        })
    }

    /// The zone of what was found.
    pub fn zone(&self, priced: Priced) -> &str {
        &self.zones[self.rows[priced.row as usize].zone as usize]
    }

    /// The class of what was found, where its row has one.
    pub fn class(&self, priced: Priced) -> Option<Class> {
        self.rows[priced.row as usize].class
    }

    /// The place of the longest key that `sought` begins with.
    ///
    /// Every key it begins with lies at or below the last one not above it, and what lies between the two
    /// begins with the former: so the way leads over ever shorter beginnings.
    #[inline]
    fn longest(&self, sought: Key) -> u32 {
        let start = sought.start();
        let (from, to) = (self.starts[start] as usize, self.starts[start + 1] as usize);
        let highest = Key(sought.0 | 15);
        let behind = from + self.keys[from..to].partition_point(|key| *key <= highest);
        let mut place = (behind as u32).wrapping_sub(1);
        while let Some(key) = self.keys.get(place as usize) {
            if key.begins(sought) {
                return place;
            }
            place = self.links[place as usize].shorter;
        }
        NONE
    }

    /// The row that holds then, of the longest key of at most so many digits: the one at this place or
    /// one that it begins with.
    #[inline]
    fn held(&self, mut place: u32, most: usize, at: i64) -> Option<(u32, u32)> {
        while let Some(key) = self.keys.get(place as usize) {
            if key.len() <= most
                && let Some(row) = self.valid(place as usize, at)
            {
                return Some((row, place));
            }
            place = self.links[place as usize].shorter;
        }
        None
    }

    #[inline]
    fn valid(&self, place: usize, at: i64) -> Option<u32> {
        let first = self.links[place].first_row;
        if first & ALWAYS != 0 {
            return Some(first & !ALWAYS);
        }
        let end = self.links[place + 1].first_row & !ALWAYS;
        (first..end).find(|&row| {
            let row = &self.rows[row as usize];
            row.from <= at && at < row.to
        })
    }
}

/// Keys may be whole numbers: only their count is shown.
impl fmt::Debug for Deck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Deck({} rows)", self.rows.len())
    }
}
