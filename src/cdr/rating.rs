//! What derived fields are looked up in: the rate deck, the lists of own,
//! paying and ported numbers, and maps; and listed numbers that come out as labels.
//!
//! Of numbers only the deck keeps digits; lists are keyed hashes, and nothing here prints any of them.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use data_encoding::HEXLOWER;
use jiff::tz::TimeZone;

use crate::cdr::mapping::{Map, MapRule};
use crate::number::Listed;
use crate::number::deck::Deck;
use crate::pseudonym::keyring::{EpochIndex, FieldMacs, Keyring};
use crate::pseudonym::list::{ListKey, NumberSet, NumberWords, Tag};
use crate::settings::{Fault, Source};

/// A deck and lists that belong together; swapped as one under running lanes.
#[derive(Debug, Default)]
pub struct Rating {
    /// Zones and prefixes.
    pub deck: Option<Deck>,
    /// Numbers by what is known of them.
    pub lists: Option<Lists>,
    /// Numbers that are labels, where files list them.
    pub listed: Option<Arc<Listed>>,
    /// In the order of [`RatingFiles::maps`].
    pub maps: Vec<Map>,
    /// What was read, in the order of [`RatingFiles::named`].
    pub contents: Vec<Content>,
    /// What is allowed but tells or costs something: for `cdrveil check`.
    pub warnings: Vec<Fault>,
}

/// Lists under one key.
#[derive(Debug)]
pub struct Lists {
    /// Hashes the numbers that are asked about.
    pub key: ListKey,
    /// The network's own numbers.
    pub own: Option<NumberSet>,
    /// Numbers whose calls the called party pays.
    pub payers: Option<NumberSet>,
    /// Ported numbers with their networks.
    pub ports: Option<NumberWords>,
}

impl Rating {
    /// 16 hex digits for each of [`Rating::contents`], equal on instances that agree: the deck's begin its
    /// SHA-256, a list's are made under the keyring's oldest key, `-` where all keys are gone.
    pub fn fingerprints(&self, keyring: &Keyring, domain: &str) -> Vec<String> {
        let macs = FieldMacs::new(keyring, domain, &[FINGERPRINT]);
        let mac = (0..keyring.epochs().len()).find_map(|at| macs.mac(EpochIndex(at), 0));
        let print = |content: &Content| match (content.file, mac) {
            (FileName::List(ListName::Deck), _) => HEXLOWER.encode(&content.hash[..8]),
            (_, Some(mac)) => HEXLOWER.encode(&mac.domain(&content.hash)[..8]),
            (_, None) => "-".to_owned(),
        };
        self.contents.iter().map(print).collect()
    }

    /// What a map says of a value; nothing where it says nothing, or was not read.
    pub fn mapped(&self, map: usize, value: &[u8]) -> Option<&str> {
        self.maps.get(map)?.look(value)
    }
}

/// Beside the kinds of identifiers, none of which is called so.
const FINGERPRINT: &str = "list-fingerprint";

impl Lists {
    /// What stands for a number in them.
    pub fn tag(&self, number: &[u8]) -> Tag {
        self.key.tag(number)
    }
}

/// A file under `[numbers]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ListName {
    /// Prefixes with their zones.
    Deck,
    /// The network's own numbers.
    Own,
    /// Numbers whose calls the called party pays.
    Payers,
    /// Ported numbers with their networks.
    Ports,
    /// Emergency numbers.
    Emergency,
    /// Numbers of the voicemail service.
    Voicemail,
}

impl ListName {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Deck,
        Self::Own,
        Self::Payers,
        Self::Ports,
        Self::Emergency,
        Self::Voicemail,
    ];

    /// The key under `[numbers]`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deck => "deck",
            Self::Own => "own",
            Self::Payers => "payers",
            Self::Ports => "ports",
            Self::Emergency => "emergency",
            Self::Voicemail => "voicemail",
        }
    }
}

/// A file that the policy names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileName {
    /// Under `[numbers]`.
    List(ListName),
    /// Under `[maps]`: its place in [`RatingFiles::maps`].
    Map(usize),
}

/// What may be said of a file that was read.
#[derive(Debug, Clone)]
pub struct Content {
    /// Which one.
    pub file: FileName,
    /// Its key under `[numbers]`, or `maps.<name>`: the label of metrics.
    pub label: String,
    /// Rows that count.
    pub rows: usize,
    /// SHA-256 of its bytes. Of a short list it would tell the numbers to anyone who tries them all: it is shown
    /// of a deck only, and of a list or map under a key.
    pub hash: [u8; 32],
}

impl Content {
    /// Whether it is the rate deck.
    pub fn is_deck(&self) -> bool {
        self.file == FileName::List(ListName::Deck)
    }
}

/// The files a policy names.
#[derive(Debug, Clone)]
pub struct RatingFiles {
    /// The policy, for faults that stand there.
    pub source: Source,
    /// By [`ListName::ALL`], then the maps.
    pub named: Vec<NamedFile>,
    /// What the policy says of its maps, in its order.
    pub maps: Vec<MapRule>,
    /// How many numbers must share a prefix for it to be told.
    pub min_block: u64,
    /// Where a date begins.
    pub zone: TimeZone,
}

/// One file and where it is named.
#[derive(Debug, Clone)]
pub struct NamedFile {
    /// What it is.
    pub file: FileName,
    /// Where it is.
    pub path: PathBuf,
    /// The place in the policy.
    pub span: Range<usize>,
}

impl RatingFiles {
    /// Numbers that must share a prefix, where the policy does not say.
    pub const MIN_BLOCK: u64 = 1_000;

    /// What a file is called in metrics and in the status.
    pub fn label(&self, file: FileName) -> String {
        match file {
            FileName::List(list) => list.as_str().to_owned(),
            FileName::Map(map) => format!("maps.{}", self.maps[map].name),
        }
    }
}
