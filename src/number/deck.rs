//! The rate deck: which zone a number is priced in, and how much of it billing may know.
//!
//! A flat trie over digits, one for E.164 numbers and one for service codes.
//! Invariant: a number's prefix is the key of a row, and leaves open at least
//! as many digits as `min_block` numbers need; so a row that is a whole number
//! gives zone and class, never digits.

mod build;
#[cfg(test)]
mod tests;

use std::fmt;

use crate::number::{Class, E164, ServiceCode};

pub use build::{DeckBuilder, DeckFault, DeckRow};

/// A checked deck; looked up without allocating.
pub struct Deck {
    /// 0 is no node, 1 and 2 are the roots.
    nodes: Vec<Node>,
    rows: Vec<Row>,
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

/// Where the digits of one more place lead.
#[derive(Clone)]
struct Node {
    /// By digit: [`NOTHING`], another node, or with [`LEAF`] set the rows of a key that no other key goes on from.
    next: [u32; 10],
    /// The rows of the key that ends here.
    rows: u32,
}

/// One row; rows of one key make a chain.
struct Row {
    /// First millisecond since 1970 at which it holds.
    from: i64,
    /// First one at which it no longer does.
    to: i64,
    zone: u32,
    /// Link to another row of the same key.
    next: u32,
    class: Option<Class>,
}

/// No node, no row. A link to a row is its index and one.
const NOTHING: u32 = 0;
const LEAF: u32 = 1 << 31;
const NUMBERS: u32 = 1;
const SERVICES: u32 = 2;

/// The longest key in digits (ITU-T E.164).
const MAX_KEY: usize = E164::MAX_DIGITS;

/// By digits: the rows of the keys that a number begins with.
type Heads = [u32; MAX_KEY + 1];

impl Deck {
    /// How many rows it has.
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// What it says of a number at a time, in milliseconds since 1970.
    pub fn number(&self, number: &E164, at: i64) -> Option<Priced> {
        let digits = number.digits();
        let (heads, deepest) = self.heads(NUMBERS, digits);
        let (row, depth) = self.deepest(&heads, deepest, at)?;
        let told = digits.len().saturating_sub(self.open_digits);
        let prefix = if depth <= told {
            depth
        } else {
            self.deepest(&heads, told, at).map_or(0, |(_, depth)| depth)
        };
        Some(Priced {
            row,
            prefix: prefix as u8,
        })
    }

    /// What it says of a service code: nobody's number, so the key of its row may be told;
    /// who called a helpline is nobody's business.
    pub fn service(&self, code: &ServiceCode, at: i64) -> Option<Priced> {
        let (heads, deepest) = self.heads(SERVICES, code.digits());
        let (row, depth) = self.deepest(&heads, deepest, at)?;
        let prefix = if code.is_helpline() { 0 } else { depth as u8 };
        Some(Priced { row, prefix })
    }

    /// The zone of what was found.
    pub fn zone(&self, priced: Priced) -> &str {
        &self.zones[self.rows[priced.row as usize].zone as usize]
    }

    /// The class of what was found, where its row has one.
    pub fn class(&self, priced: Priced) -> Option<Class> {
        self.rows[priced.row as usize].class
    }

    /// The keys that the digits begin with, and how many digits the longest has.
    #[inline]
    fn heads(&self, root: u32, digits: &[u8]) -> (Heads, usize) {
        let mut heads = [NOTHING; MAX_KEY + 1];
        let mut node = &self.nodes[root as usize];
        let mut deepest = 0;
        for (head, &digit) in heads[1..].iter_mut().zip(digits) {
            let Some(&link) = node.next.get(usize::from(digit.wrapping_sub(b'0'))) else {
                break;
            };
            if link == NOTHING {
                break;
            }
            deepest += 1;
            if link & LEAF != 0 {
                *head = link & !LEAF;
                break;
            }
            node = &self.nodes[link as usize];
            *head = node.rows;
        }
        (heads, deepest)
    }

    /// The longest key of at most so many digits with a row that holds then.
    #[inline]
    fn deepest(&self, heads: &Heads, most: usize, at: i64) -> Option<(u32, usize)> {
        (1..=most.min(MAX_KEY))
            .rev()
            .find_map(|depth| Some((self.valid(heads[depth], at)?, depth)))
    }

    #[inline]
    fn valid(&self, head: u32, at: i64) -> Option<u32> {
        let mut link = head;
        while link != NOTHING {
            let row = &self.rows[link as usize - 1];
            if row.from <= at && at < row.to {
                return Some(link - 1);
            }
            link = row.next;
        }
        None
    }
}

/// Keys may be whole numbers: only their count is shown.
impl fmt::Debug for Deck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Deck({} rows)", self.rows.len())
    }
}
