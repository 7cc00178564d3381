//! Mapping files: a cell becomes its zone, an address its peer, before the field itself goes.
//!
//! Invariant: a value that comes out stands for as many keys as the policy
//! wants, is no key and holds none, and has fewer digits than a number. What no
//! key matches comes out blank. Nothing here prints a key.

mod build;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use serde::Deserialize;

use crate::cdr::identifier::read_ip;

pub use build::{MapBuilder, MapFault};

/// What the keys of a map are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyKind {
    /// The field's bytes, without blanks around them.
    Text,
    /// Addresses and prefixes of them: the longest that holds the field's address counts.
    Ip,
}

/// What a policy says of one map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapRule {
    /// The word behind the field's name in the appended column's.
    pub name: String,
    /// What its keys are.
    pub kind: KeyKind,
    /// How many keys a value stands for at least.
    pub min_keys: usize,
}

impl MapRule {
    /// A zone of one cell is the cell.
    pub const MIN_KEYS: usize = 2;
}

/// A checked map; looked up without allocating.
pub struct Map {
    keys: Keys,
    values: Vec<Box<str>>,
}

/// By key the place of its value.
enum Keys {
    Text(HashMap<Box<[u8]>, u32>),
    /// The longest prefixes first.
    Ip(Vec<Block>),
}

/// Prefixes of one length.
struct Block {
    length: u8,
    keys: HashMap<u128, u32>,
}

impl Map {
    /// How many keys it has.
    pub fn rows(&self) -> usize {
        match &self.keys {
            Keys::Text(keys) => keys.len(),
            Keys::Ip(blocks) => blocks.iter().map(|block| block.keys.len()).sum(),
        }
    }

    /// What stands for this value; nothing where no key matches it.
    pub fn look(&self, value: &[u8]) -> Option<&str> {
        let place = match &self.keys {
            Keys::Text(keys) => keys.get(value.trim_ascii()).copied(),
            Keys::Ip(blocks) => longest(blocks, read_peer(value.trim_ascii())?),
        };
        Some(&self.values[place? as usize])
    }
}

fn longest(blocks: &[Block], address: IpAddr) -> Option<u32> {
    let bits = bits(address);
    let least = if address.is_ipv4() { V4_AT } else { 0 };
    let mut own = blocks.iter().take_while(|block| block.length >= least);
    own.find_map(|block| block.keys.get(&(bits & mask(block.length))).copied())
}

/// An address as trunks are written: with a port behind it or without.
fn read_peer(value: &[u8]) -> Option<IpAddr> {
    read_ip(value).or_else(|| {
        let text = std::str::from_utf8(value).ok()?;
        let socket: SocketAddr = text.parse().ok()?;
        Some(socket.ip().to_canonical())
    })
}

/// Where IPv4 begins in [`bits`].
const V4_AT: u8 = 96;

/// IPv4 as IPv6 maps it (RFC 4291, section 2.5.5.2).
fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

fn mask(length: u8) -> u128 {
    match length {
        0 => 0,
        _ => u128::MAX << (128 - u32::from(length)),
    }
}

/// Keys may be a household's cell or address: only their count is shown.
impl fmt::Debug for Map {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Map({} rows)", self.rows())
    }
}
