//! Rows into a deck: each is checked as it comes, rows of one key against each other when all are sorted.
//!
//! Faults name rows by their place, from 0, and never show a key.

use std::collections::HashMap;

use crate::number::deck::{ALWAYS, Deck, Key, Link, MAX_KEY, NONE, Row, STARTS};
use crate::number::{Class, plan};

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
    /// More rows than a deck can hold.
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
    added: Vec<Added>,
    names: Vec<Box<str>>,
    zones: HashMap<Box<str>, u32>,
    open_digits: usize,
    numbers: bool,
}

struct Added {
    key: Key,
    /// Its place among the rows added.
    place: u32,
    row: Row,
}

impl DeckBuilder {
    /// An empty deck. `min_block` is how many numbers must share a prefix for it to be told.
    pub fn new(min_block: u64) -> Self {
        Self {
            added: Vec::new(),
            names: Vec::new(),
            zones: HashMap::new(),
            open_digits: open_digits(min_block),
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
        let key = key(row.key)?;
        check_zone(row.zone)?;
        let (from, to) = (row.from.unwrap_or(i64::MIN), row.to.unwrap_or(i64::MAX));
        if from >= to {
            return Err(DeckFault::Window);
        }
        if self.added.len() >= MAX_ROWS {
            return Err(DeckFault::TooLarge);
        }
        self.numbers |= row.key.starts_with('+');
        let zone = self.zone(row.zone);
        self.added.push(Added {
            key,
            place: self.added.len() as u32,
            row: Row {
                from,
                to,
                zone,
                class: row.class,
            },
        });
        Ok(())
    }

    /// Rows of whole numbers whose zone has no other number or prefix: who sees the zone knows the number.
    /// Their places, ascending.
    pub fn lone_numbers(&self) -> Vec<usize> {
        // By zone its key, its first row, and whether all its rows are of that key.
        let mut zones: HashMap<u32, (Key, u32, bool)> = HashMap::new();
        for added in self.added.iter().filter(|added| !added.key.is_service()) {
            let zone = zones
                .entry(added.row.zone)
                .or_insert((added.key, added.place, true));
            zone.2 &= zone.0 == added.key;
        }
        let lone = zones
            .into_values()
            .filter(|(key, _, alone)| *alone && is_whole(*key));
        let mut places: Vec<usize> = lone.map(|(_, place, _)| place as usize).collect();
        places.sort_unstable();
        places
    }

    /// The deck.
    ///
    /// # Errors
    ///
    /// Rows of one key that do not go together, each with its place.
    pub fn finish(mut self) -> Result<Deck, Vec<(usize, DeckFault)>> {
        self.added
            .sort_unstable_by_key(|added| (added.key, added.row.from, added.place));
        let faults = clashes(&self.added);
        if !faults.is_empty() {
            return Err(faults);
        }
        let mut keys = Vec::new();
        let mut links = Vec::new();
        let mut rows = Vec::with_capacity(self.added.len());
        for same in self.added.chunk_by(|one, other| one.key == other.key) {
            let always = matches!(same, [only] if only.row.from == i64::MIN && only.row.to == i64::MAX);
            keys.push(same[0].key);
            links.push(Link {
                shorter: NONE,
                first_row: rows.len() as u32 | if always { ALWAYS } else { 0 },
            });
            rows.extend(same.iter().map(|added| added.row));
        }
        links.push(Link {
            shorter: NONE,
            first_row: rows.len() as u32,
        });
        link_shorter(&keys, &mut links);
        Ok(Deck {
            starts: starts(&keys),
            keys,
            links,
            rows,
            zones: self.names,
            open_digits: self.open_digits,
        })
    }

    fn zone(&mut self, name: &str) -> u32 {
        if let Some(&known) = self.zones.get(name) {
            return known;
        }
        let at = self.names.len() as u32;
        self.names.push(name.into());
        self.zones.insert(name.into(), at);
        at
    }
}

/// Whether a key is a number rather than what many begin with. Where a plan has numbers of many lengths (+49), a
/// short one is a prefix.
fn is_whole(key: Key) -> bool {
    plan::whole_number(&key.digits()[..key.len()], NUMBER_DIGITS)
}

/// Rows of one key, sorted by time: one after the other, without overlap or a pause of less than a day.
fn clashes(added: &[Added]) -> Vec<(usize, DeckFault)> {
    let mut faults = Vec::new();
    for pair in added.windows(2).filter(|pair| pair[0].key == pair[1].key) {
        let (before, after) = (&pair[0], &pair[1]);
        let (one, other) = (before.place as usize, after.place as usize);
        if after.row.from < before.row.to {
            let fault = DeckFault::Overlap {
                other: one.min(other),
            };
            faults.push((one.max(other), fault));
        } else if after.row.from > before.row.to && after.row.from - before.row.to <= SHORTEST_PAUSE {
            faults.push((other, DeckFault::Gap { other: one }));
        }
    }
    faults.sort_by_key(|(row, _)| *row);
    faults
}

/// Tells each key the longest other one that it begins with: one of those on the way to it, the last that still fits.
fn link_shorter(keys: &[Key], links: &mut [Link]) {
    let mut way: Vec<u32> = Vec::new();
    for (at, key) in keys.iter().enumerate() {
        while way.last().is_some_and(|&last| !keys[last as usize].begins(*key)) {
            way.pop();
        }
        links[at].shorter = way.last().copied().unwrap_or(NONE);
        way.push(at as u32);
    }
}

/// For every start the first key not below it, and the end.
fn starts(keys: &[Key]) -> Vec<u32> {
    let mut starts = Vec::with_capacity(STARTS + 1);
    for (at, key) in keys.iter().enumerate() {
        starts.resize(starts.len().max(key.start() + 1), at as u32);
    }
    starts.resize(STARTS + 1, keys.len() as u32);
    starts
}

/// The key of `+` and digits, or of a service code.
pub(super) fn key(text: &str) -> Result<Key, DeckFault> {
    let (number, digits) = match text.strip_prefix('+') {
        Some(digits) => (true, digits.as_bytes()),
        None => (false, text.as_bytes()),
    };
    if digits.is_empty() || digits.len() > MAX_KEY || !digits.iter().all(u8::is_ascii_digit) {
        return Err(DeckFault::Key);
    }
    if number {
        match digits[0] {
            b'0' => Err(DeckFault::Zero),
            _ => Ok(Key::number(digits)),
        }
    } else if digits.len() > MAX_SERVICE {
        Err(DeckFault::LongService)
    } else {
        Ok(Key::service(digits))
    }
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
