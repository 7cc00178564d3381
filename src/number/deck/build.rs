//! Rows into a deck: each is checked as it comes, rows of one key against each other at the end.
//!
//! Faults name rows by their place, from 0, and never show a key.

use std::collections::HashMap;

use crate::number::Class;
use crate::number::deck::{Deck, LEAF, MAX_KEY, NOTHING, NUMBERS, Node, Row, SERVICES};

/// One row as it stands in a file.
pub struct DeckRow<'a> {
    /// `+` and digits for numbers, bare digits for service codes.
    pub key: &'a str,
    /// The price zone.
    pub zone: &'a str,
    /// The class, where the deck tells one.
    pub class: Option<Class>,
    /// First millisecond since 1970 at which the row holds; always when absent.
    pub from: Option<i64>,
    /// First millisecond at which it no longer holds; never when absent.
    pub to: Option<i64>,
}

/// What is wrong with a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DeckFault {
    /// Not a key.
    #[error(
        "the prefix is + and digits for numbers (+447), digits alone for service codes (118), at most 15 digits"
    )]
    Key,
    /// A country code begins with 0.
    #[error("no country code begins with 0: write the prefix as it follows the +, such as +447")]
    Zero,
    /// Digits too long for a service code.
    #[error("more than {MAX_SERVICE} digits are no service code: write + in front of a number's prefix")]
    LongService,
    /// Not a zone.
    #[error("the zone is 1 to {MAX_ZONE} characters without ~ and without control characters")]
    Zone,
    /// A zone that may be a number.
    #[error(
        "the zone holds {NUMBER_DIGITS} digits or more and may be somebody's number; zones are public: name it otherwise"
    )]
    ZoneDigits,
    /// A window that ends before it begins.
    #[error("valid_to is not after valid_from: it is the first moment at which the row no longer holds")]
    Window,
    /// Another row of the same key holds at the same time.
    #[error("the same prefix is priced for the same time already: remove one, or end one with valid_to")]
    Overlap {
        /// The other row.
        other: usize,
    },
    /// Less than a day between two rows of one key.
    #[error(
        "the row of the same prefix before this one ends within a day of it: valid_to is the first moment at which a row no longer holds, so write the same moment in both"
    )]
    Gap {
        /// The row before.
        other: usize,
    },
    /// More rows or digits than a deck can hold.
    #[error("the deck is too large: at most 100 million rows")]
    TooLarge,
}

/// Digits of the longest service code.
const MAX_SERVICE: usize = 6;
/// Bytes of the longest zone.
const MAX_ZONE: usize = 64;
/// So many digits may be a subscriber's number.
const NUMBER_DIGITS: usize = 7;
/// A tariff that pauses for less is a valid_to meant as the last moment: a day of 25 hours.
const SHORTEST_PAUSE: i64 = 25 * 3_600_000;
const MAX_ROWS: usize = 100_000_000;

/// A deck in the making.
pub struct DeckBuilder {
    deck: Deck,
    zones: HashMap<Box<str>, u32>,
    /// Root and digits of each key that has more than one row.
    several: Vec<(u32, Box<[u8]>)>,
    numbers: bool,
}

impl DeckBuilder {
    /// An empty deck. `min_block` is how many numbers must share a prefix for it to be told.
    pub fn new(min_block: u64) -> Self {
        let root = Node {
            next: [NOTHING; 10],
            rows: NOTHING,
        };
        Self {
            deck: Deck {
                nodes: vec![root; 3],
                rows: Vec::new(),
                zones: Vec::new(),
                open_digits: open_digits(min_block),
            },
            zones: HashMap::new(),
            several: Vec::new(),
            numbers: false,
        }
    }

    /// Whether some row prices numbers rather than service codes.
    pub fn has_numbers(&self) -> bool {
        self.numbers
    }

    /// Adds a row; a refused one leaves the deck as it was.
    ///
    /// # Errors
    ///
    /// What is wrong with the row by itself.
    pub fn add(&mut self, row: &DeckRow<'_>) -> Result<(), DeckFault> {
        let (root, digits) = key(row.key)?;
        check_zone(row.zone)?;
        let (from, to) = (row.from.unwrap_or(i64::MIN), row.to.unwrap_or(i64::MAX));
        if from >= to {
            return Err(DeckFault::Window);
        }
        if self.deck.rows.len() >= MAX_ROWS || self.deck.nodes.len() >= LEAF as usize - MAX_KEY {
            return Err(DeckFault::TooLarge);
        }
        let zone = self.zone(row.zone);
        self.numbers |= root == NUMBERS;
        let link = self.deck.rows.len() as u32 + 1;
        let former = self.deck.replace_head(root, digits, link);
        if former != NOTHING && self.deck.rows[former as usize - 1].next == NOTHING {
            self.several.push((root, digits.into()));
        }
        self.deck.rows.push(Row {
            from,
            to,
            zone,
            next: former,
            class: row.class,
        });
        Ok(())
    }

    /// The deck.
    ///
    /// # Errors
    ///
    /// Rows of one key that do not go together, each with its place.
    pub fn finish(mut self) -> Result<Deck, Vec<(usize, DeckFault)>> {
        let mut faults = Vec::new();
        for (root, digits) in &self.several {
            let head = self.deck.head(*root, digits);
            self.deck.check_chain(head, &mut faults);
        }
        faults.sort_by_key(|(row, _)| *row);
        self.deck.nodes.shrink_to_fit();
        self.deck.rows.shrink_to_fit();
        if faults.is_empty() {
            Ok(self.deck)
        } else {
            Err(faults)
        }
    }

    fn zone(&mut self, name: &str) -> u32 {
        if let Some(&known) = self.zones.get(name) {
            return known;
        }
        let at = self.deck.zones.len() as u32;
        self.deck.zones.push(name.into());
        self.zones.insert(name.into(), at);
        at
    }
}

impl Deck {
    /// Makes `link` the first row of a key; what was first before.
    fn replace_head(&mut self, root: u32, digits: &[u8], link: u32) -> u32 {
        let mut node = root as usize;
        let (last, before) = digits.split_last().expect("a key has a digit");
        for digit in before {
            let place = usize::from(digit - b'0');
            let next = self.nodes[node].next[place];
            node = if next == NOTHING || next & LEAF != 0 {
                let rows = next & !LEAF;
                self.nodes.push(Node {
                    next: [NOTHING; 10],
                    rows,
                });
                let made = self.nodes.len() - 1;
                self.nodes[node].next[place] = made as u32;
                made
            } else {
                next as usize
            };
        }
        let place = &mut self.nodes[node].next[usize::from(last - b'0')];
        if *place == NOTHING || *place & LEAF != 0 {
            std::mem::replace(place, link | LEAF) & !LEAF
        } else {
            let inner = *place as usize;
            std::mem::replace(&mut self.nodes[inner].rows, link)
        }
    }

    /// The first row of a key that is there.
    fn head(&self, root: u32, digits: &[u8]) -> u32 {
        self.heads(root, digits).0[digits.len()]
    }

    /// Rows of one key: one after the other, without overlap or a pause of less than a day.
    fn check_chain(&self, head: u32, faults: &mut Vec<(usize, DeckFault)>) {
        let mut chain = Vec::new();
        let mut link = head;
        while link != NOTHING {
            chain.push(link as usize - 1);
            link = self.rows[link as usize - 1].next;
        }
        chain.sort_by_key(|&row| (self.rows[row].from, row));
        for pair in chain.windows(2) {
            let (before, after) = (&self.rows[pair[0]], &self.rows[pair[1]]);
            let (first, later) = (pair[0].min(pair[1]), pair[0].max(pair[1]));
            if after.from < before.to {
                faults.push((later, DeckFault::Overlap { other: first }));
            } else if after.from > before.to && after.from - before.to <= SHORTEST_PAUSE {
                faults.push((pair[1], DeckFault::Gap { other: pair[0] }));
            }
        }
    }
}

/// The trie and the digits of a key.
fn key(text: &str) -> Result<(u32, &[u8]), DeckFault> {
    let (root, digits) = match text.strip_prefix('+') {
        Some(digits) => (NUMBERS, digits.as_bytes()),
        None => (SERVICES, text.as_bytes()),
    };
    if digits.is_empty() || digits.len() > MAX_KEY || !digits.iter().all(u8::is_ascii_digit) {
        return Err(DeckFault::Key);
    }
    if root == NUMBERS && digits[0] == b'0' {
        return Err(DeckFault::Zero);
    }
    if root == SERVICES && digits.len() > MAX_SERVICE {
        return Err(DeckFault::LongService);
    }
    Ok((root, digits))
}

fn check_zone(zone: &str) -> Result<(), DeckFault> {
    let plain = |letter: char| letter != '~' && !letter.is_control();
    if zone.is_empty() || zone.len() > MAX_ZONE || !zone.chars().all(plain) {
        return Err(DeckFault::Zone);
    }
    if zone.bytes().filter(u8::is_ascii_digit).count() >= NUMBER_DIGITS {
        return Err(DeckFault::ZoneDigits);
    }
    Ok(())
}

/// Digits that must stay open for `min_block` numbers; never none, or a prefix would be the number.
fn open_digits(min_block: u64) -> usize {
    let mut digits = 1;
    let mut numbers = 10;
    while numbers < min_block && digits < MAX_KEY {
        digits += 1;
        numbers *= 10;
    }
    digits
}
