//! Rows into a map: each is checked as it comes, keys and values against each other when all are there.
//!
//! Faults name rows by their place, from 0, and never show a key or a value.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use crate::cdr::identifier::read_ip;
use crate::cdr::mapping::{Block, KeyKind, Keys, Map, V4_AT, bits, mask};

/// What is wrong with a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MapFault {
    /// Not a key.
    #[error("the key is 1 to {MAX_KEY} characters without control characters")]
    Key,
    /// Not an address.
    #[error("the key is an IP address or a prefix of one, such as 192.0.2.0/24")]
    Address,
    /// An address with a length that does not cover it.
    #[error("the address has bits behind the prefix's length: write the first address of the prefix")]
    HostBits,
    /// A key that was there already.
    #[error("the key has a value already, further up: keep one of the two rows")]
    Taken {
        /// The other row.
        other: usize,
    },
    /// Not a value.
    #[error("the value is 1 to {MAX_VALUE} characters without ~ and without control characters")]
    Value,
    /// A value that may be a number.
    #[error(
        "the value holds {NUMBER_DIGITS} digits or more and may be somebody's number; it is public: name it otherwise"
    )]
    ValueDigits,
    /// A value that tells the key of its row.
    #[error("the value holds its own key, and it is public: name it otherwise")]
    ValueHoldsKey,
    /// A value that is the key of a row.
    #[error("the value is a key of this map, and it is public: name it otherwise")]
    ValueIsKey,
    /// A value that tells the key, or nearly so.
    #[error(
        "the value stands for {keys} of the {least} keys that min_keys wants, so it tells which of them it was: give it to more keys, or say min_keys = {keys} where keys are nobody's, as carriers' addresses are"
    )]
    FewKeys {
        /// How many it stands for.
        keys: usize,
        /// How many it should.
        least: usize,
    },
}

const MAX_KEY: usize = 255;
const MAX_VALUE: usize = 64;
/// So many digits may be a subscriber's number.
const NUMBER_DIGITS: usize = 7;
/// A shorter key stands in other words by chance.
const TELLING_KEY: usize = 4;

/// A map in the making.
pub struct MapBuilder {
    kind: KeyKind,
    min_keys: usize,
    text: HashMap<Box<[u8]>, Entry>,
    /// By length and bits.
    addresses: HashMap<(u8, u128), Entry>,
    values: Vec<Value>,
    places: HashMap<Box<str>, u32>,
    rows: usize,
}

#[derive(Clone, Copy)]
struct Entry {
    value: u32,
    row: usize,
}

struct Value {
    text: Box<str>,
    keys: usize,
    /// The first row that has it.
    row: usize,
}

impl MapBuilder {
    /// An empty map, each of whose values is to stand for at least `min_keys` keys.
    pub fn new(kind: KeyKind, min_keys: usize) -> Self {
        Self {
            kind,
            min_keys,
            text: HashMap::new(),
            addresses: HashMap::new(),
            values: Vec::new(),
            places: HashMap::new(),
            rows: 0,
        }
    }

    /// Adds a row; a refused one leaves the map as it was, and counts as no row.
    ///
    /// # Errors
    ///
    /// What is wrong with the row by itself, or that its key was there.
    pub fn add(&mut self, key: &str, value: &str) -> Result<(), MapFault> {
        check_value(value)?;
        match self.kind {
            KeyKind::Text => {
                check_key(key, value)?;
                free(self.text.get(key.as_bytes()))?;
                let entry = self.entry(value);
                self.text.insert(key.as_bytes().into(), entry);
            }
            KeyKind::Ip => {
                let prefix = prefix(key)?;
                free(self.addresses.get(&prefix))?;
                let entry = self.entry(value);
                self.addresses.insert(prefix, entry);
            }
        }
        Ok(())
    }

    fn entry(&mut self, value: &str) -> Entry {
        let row = self.rows;
        self.rows += 1;
        let place = *self.places.entry(value.into()).or_insert_with(|| {
            self.values.push(Value {
                text: value.into(),
                keys: 0,
                row,
            });
            self.values.len() as u32 - 1
        });
        self.values[place as usize].keys += 1;
        Entry { value: place, row }
    }

    /// The map.
    ///
    /// # Errors
    ///
    /// Values that are keys or that stand for too few of them, each with the first row that has it.
    pub fn finish(self) -> Result<Map, Vec<(usize, MapFault)>> {
        let faults: Vec<_> = self
            .values
            .iter()
            .filter_map(|value| Some((value.row, self.fault(value)?)))
            .collect();
        if !faults.is_empty() {
            return Err(faults);
        }
        let keys = match self.kind {
            KeyKind::Text => {
                let keys = self.text.into_iter();
                Keys::Text(keys.map(|(key, entry)| (key, entry.value)).collect())
            }
            KeyKind::Ip => Keys::Ip(blocks(&self.addresses)),
        };
        let values = self.values.into_iter().map(|value| value.text).collect();
        Ok(Map { keys, values })
    }

    fn fault(&self, value: &Value) -> Option<MapFault> {
        let is_key = match self.kind {
            KeyKind::Text => self.text.contains_key(value.text.as_bytes()),
            // Any address is somebody's.
            KeyKind::Ip => prefix(&value.text) != Err(MapFault::Address),
        };
        if is_key {
            return Some(MapFault::ValueIsKey);
        }
        (value.keys < self.min_keys).then_some(MapFault::FewKeys {
            keys: value.keys,
            least: self.min_keys,
        })
    }
}

fn free(taken: Option<&Entry>) -> Result<(), MapFault> {
    taken.map_or(Ok(()), |entry| Err(MapFault::Taken { other: entry.row }))
}

/// The longest first.
fn blocks(addresses: &HashMap<(u8, u128), Entry>) -> Vec<Block> {
    let lengths: HashSet<u8> = addresses.keys().map(|(length, _)| *length).collect();
    let mut lengths: Vec<u8> = lengths.into_iter().collect();
    lengths.sort_unstable_by(|one, other| other.cmp(one));
    let block = |length: u8| Block {
        length,
        keys: addresses
            .iter()
            .filter(|((own, _), _)| *own == length)
            .map(|((_, bits), entry)| (*bits, entry.value))
            .collect(),
    };
    lengths.into_iter().map(block).collect()
}

fn check_key(key: &str, value: &str) -> Result<(), MapFault> {
    if key.is_empty() || key.len() > MAX_KEY || key.chars().any(char::is_control) {
        return Err(MapFault::Key);
    }
    let holds = || value.to_lowercase().contains(&key.to_lowercase());
    if key.len() >= TELLING_KEY && key != value && holds() {
        return Err(MapFault::ValueHoldsKey);
    }
    Ok(())
}

/// An engine reads a value that begins with `~` as a path, and a destination is parted by it.
fn check_value(value: &str) -> Result<(), MapFault> {
    let plain = |letter: char| letter != '~' && !letter.is_control();
    if value.is_empty() || value.len() > MAX_VALUE || !value.chars().all(plain) {
        return Err(MapFault::Value);
    }
    if value.bytes().filter(u8::is_ascii_digit).count() >= NUMBER_DIGITS {
        return Err(MapFault::ValueDigits);
    }
    Ok(())
}

/// Length and bits of an address, which is a prefix of its whole length, or of a prefix.
fn prefix(text: &str) -> Result<(u8, u128), MapFault> {
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (text, None),
    };
    // As written: the length of an IPv4-mapped prefix counts from IPv6's beginning.
    let written: IpAddr = match address.parse() {
        Ok(written) => written,
        Err(_) => read_ip(address.as_bytes()).ok_or(MapFault::Address)?,
    };
    let (most, before) = if written.is_ipv4() { (32, V4_AT) } else { (128, 0) };
    let length = match length {
        None => most,
        Some(length) => length.parse().map_err(|_| MapFault::Address)?,
    };
    if length > most {
        return Err(MapFault::Address);
    }
    let (length, bits) = (length + before, bits(written));
    if bits & !mask(length) != 0 {
        return Err(MapFault::HostBits);
    }
    Ok((length, bits))
}
