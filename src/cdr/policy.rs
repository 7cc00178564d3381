//! The privacy officer's file: what happens to each field. Default deny.
//!
//! `settings` is what was typed, [`Policy`] what it means. The one conversion
//! (`check`, with `actions` and `input`) reports every fault with its line;
//! nothing unknown passes.

mod actions;
mod advice;
mod check;
mod csv;
mod files;
mod input;
mod layout;
mod nested;
mod preset;
mod previous;
mod settings;
#[cfg(test)]
mod tests;

use std::ffi::CString;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use serde::Deserialize;

use crate::cdr::coarsen::Coarsen;
use crate::cdr::csv::Dialect;
use crate::cdr::identifier::Kind;
use crate::cdr::json::Paths;
pub use crate::cdr::policy::advice::words as words_of;
use crate::cdr::policy::check::Checker;
pub use crate::cdr::policy::layout::{Column, Layout, Marker, Nested, Shape, When};
pub use crate::cdr::policy::preset::names as preset_names;
pub use crate::cdr::policy::previous::{Carried, Misfit};
use crate::cdr::rating::{ListName, Rating, RatingFiles};
use crate::cdr::time::EventClock;
use crate::number::Numbers;
use crate::pseudonym::keyring::Carriers;
use crate::settings::{Fault, Source};

/// The checked policy: every field has exactly one action.
#[derive(Debug)]
pub struct Policy {
    /// How records are written and split.
    pub format: Format,
    /// Fields in output order: CSV columns, or JSON paths in the policy's order.
    pub fields: Vec<Field>,
    /// Where the call's start time stands.
    pub time: CallTime,
    /// The field with the start of the call's first segment, of partial and correction records: where it is not
    /// blank, it decides the epoch.
    pub first_time_field: Option<usize>,
    /// Reads the start time; cloned per lane, for its cache.
    pub clock: EventClock,
    /// The zone of `[input] time`, where the policy names one.
    pub zone: Option<TimeZone>,
    /// How far a call may begin after its record's Kafka timestamp.
    pub max_future: Duration,
    /// Records larger than this many bytes are rejected.
    pub max_record: usize,
    /// How phone numbers are read; absent when no field is one.
    pub numbers: Option<Arc<Numbers>>,
    /// The field whose pseudonym is the public record's Kafka key.
    pub key: Option<usize>,
    /// Name of the appended record id, unless switched off.
    pub record_id: Option<String>,
    /// Raw record headers to copy to the public record.
    pub headers: Vec<CString>,
    /// The deck and lists that derived fields are looked up in.
    pub rating_files: RatingFiles,
    /// What those files hold, once they were read (`deckstore`).
    pub rating: Arc<Rating>,
    /// Kinds in use, in the order sub-keys are derived; fields hold an index into it.
    pub kinds: Vec<&'static str>,
    /// Which records carry tokens of the epoch before: none, until the keyring's word is known ([`Policy::carry`]).
    pub previous: Carriers,
    /// What is allowed but costs money: for `cdrveil check`.
    pub warnings: Vec<Fault>,
}

/// Where the call's start time stands: indices of fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallTime {
    /// In this field.
    Field(usize),
    /// In the first of these that is there and not blank: event types differ.
    FirstOf(Vec<usize>),
    /// In all of these, with a space between: a date and a time.
    Joined(Vec<usize>),
}

impl CallTime {
    /// The fields, in the policy's order; at least one.
    pub fn fields(&self) -> &[usize] {
        match self {
            Self::Field(at) => std::slice::from_ref(at),
            Self::FirstOf(fields) | Self::Joined(fields) => fields,
        }
    }
}

/// Input format with its settings.
#[derive(Debug)]
pub enum Format {
    /// Character-separated values.
    Csv(Csv),
    /// JSON objects.
    Json {
        /// The paths of `fields`, compiled, in the same order.
        paths: Paths,
        /// What happens to members no path names.
        unlisted: Unlisted,
        /// The list in which the records of a payload stand, if it may wrap them.
        records: Option<Wrapper>,
    },
}

/// The list of a JSON object whose elements are the records.
#[derive(Debug)]
pub struct Wrapper {
    /// The path of its elements.
    pub elements: Paths,
    /// The path of the list itself.
    pub list: Paths,
}

/// How CSV rows are read.
#[derive(Debug)]
pub struct Csv {
    /// Delimiter, quote, comment and escape bytes.
    pub dialect: Dialect,
    /// What the first row is.
    pub header: Header,
    /// Where the fields stand.
    pub layout: Layout,
    /// Rows that are no records.
    pub markers: Vec<Marker>,
}

/// One field and what happens to it.
#[derive(Debug)]
pub struct Field {
    /// Column name or JSON path, as in the policy.
    pub name: String,
    /// The same without the quotes of a JSON path: what appended names begin with.
    pub plain: String,
    /// What happens to it.
    pub action: Action,
    /// The maps that give a value of it, by their place in [`RatingFiles::maps`]: beside phone numbers, which
    /// derive by deck and lists.
    pub maps: Vec<usize>,
    /// Whether it lies inside another JSON value: derived values then stand beside it.
    pub nested: bool,
}

/// What happens to one field.
#[derive(Debug)]
pub enum Action {
    /// The bytes as they are.
    Keep,
    /// A token in place of the value.
    Pseudonymise(Pseudonymise),
    /// To the restricted record only.
    Restrict,
    /// A coarser value in place.
    Coarsen {
        /// How.
        how: Coarsen,
        /// Whether the raw value goes to the restricted record.
        escrow: bool,
    },
    /// Nowhere.
    Drop,
}

impl Action {
    /// Whether the raw value goes to the restricted record.
    pub fn restricts(&self) -> bool {
        match self {
            Self::Restrict => true,
            Self::Pseudonymise(how) => how.escrow,
            Self::Coarsen { escrow, .. } => *escrow,
            Self::Keep | Self::Drop => false,
        }
    }

    /// Whether a value holds several identifiers.
    pub fn is_several(&self) -> bool {
        matches!(self, Self::Pseudonymise(how) if !how.separators.is_empty())
    }
}

/// How a field is pseudonymised.
#[derive(Debug)]
pub struct Pseudonymise {
    /// What the value is.
    pub kind: Kind,
    /// Which records share a token.
    pub scope: Scope,
    /// What is computed from the number before it is replaced.
    pub derive: Vec<Derived>,
    /// Whether the raw value goes to the restricted record.
    pub escrow: bool,
    /// Index into [`Policy::kinds`].
    pub mac: usize,
    /// What stands between several identifiers of one value; empty where a value is one.
    pub separators: Vec<Vec<u8>>,
}

/// Which records share a token for one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// All of this domain.
    Domain,
    /// Those with the same served party: the field with this index.
    Pairwise {
        /// Index of the served party's field.
        with: usize,
    },
    /// None.
    Record,
}

/// A value rating needs, computed from the number before it is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Derived {
    /// mobile, fixed, premium, freephone, emergency, short ...
    Class,
    /// ISO 3166 code, `001` for non-geographic.
    Country,
    /// Count of canonical digits.
    Length,
    /// The longest key of the deck that enough numbers share.
    Prefix,
    /// The deck's zone.
    Zone,
    /// `<prefix>~<zone>`, and `~ONNET` where it is so: what a rating engine loads as a destination.
    Destination,
    /// 1 for one of the network's own numbers, else 0.
    OnNet,
    /// A token of the number, where its calls are paid by the called party.
    Payer,
    /// The network a ported number belongs to.
    Network,
}

impl Derived {
    const ALL: [Self; 9] = [
        Self::Class,
        Self::Country,
        Self::Length,
        Self::Prefix,
        Self::Zone,
        Self::Destination,
        Self::OnNet,
        Self::Payer,
        Self::Network,
    ];

    /// The file without which there is no such value.
    const fn file(self) -> Option<ListName> {
        match self {
            Self::Class | Self::Country | Self::Length => None,
            Self::Prefix | Self::Zone | Self::Destination => Some(ListName::Deck),
            Self::OnNet => Some(ListName::Own),
            Self::Payer => Some(ListName::Payers),
            Self::Network => Some(ListName::Ports),
        }
    }

    /// The word in the policy and in the appended column's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Class => "class",
            Self::Country => "country",
            Self::Length => "length",
            Self::Prefix => "prefix",
            Self::Zone => "zone",
            Self::Destination => "destination",
            Self::OnNet => "onnet",
            Self::Payer => "payer",
            Self::Network => "network",
        }
    }
}

/// What the first row of a payload or file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Header {
    /// A record like any other.
    None,
    /// A header row, not looked at.
    Skip,
    /// A header row that must name the columns, in their order.
    Check,
    /// A header row that says which column is which, in any order.
    Name,
}

/// What happens to JSON members and columns the policy does not name. Never "keep".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unlisted {
    /// The record is rejected.
    Reject,
    /// It moves to the restricted record.
    Restrict,
    /// It is left out.
    Drop,
}

impl Policy {
    /// Reads and checks a policy file.
    ///
    /// # Errors
    ///
    /// Every fault found, each with file, line and column.
    pub fn load(source: &Source) -> Result<Self, Vec<Fault>> {
        let (settings, preset) = preset::settings(source)?;
        let mut checker = Checker {
            source,
            preset,
            faults: Vec::new(),
        };
        let policy = checker.policy(settings);
        if checker.faults.is_empty() {
            Ok(policy.expect("a policy without faults is complete"))
        } else {
            Err(checker.faults)
        }
    }

    /// Whether the whole value of this field is read as the call's start time in every record that is accepted: such
    /// a value can hold nothing else.
    pub fn is_read_as_time(&self, field: usize) -> bool {
        self.first_time_field.is_none()
            && match &self.time {
                CallTime::Field(at) => *at == field,
                CallTime::Joined(fields) => fields.contains(&field),
                CallTime::FirstOf(_) => false,
            }
    }

    /// Whether accepted records have a restricted part.
    pub fn has_restricted(&self) -> bool {
        let unlisted = match &self.format {
            Format::Csv(csv) => csv.layout.unlisted(),
            Format::Json { unlisted, .. } => *unlisted,
        };
        unlisted == Unlisted::Restrict || self.fields.iter().any(|field| field.action.restricts())
    }

    /// The appended names, in order: each field's derived values, then the record id, then the tokens of the epoch
    /// before.
    pub fn appended(&self) -> Vec<String> {
        let mut appended = self.appended_by_policy();
        appended.extend(self.previous_names());
        appended
    }

    fn appended_by_policy(&self) -> Vec<String> {
        let derived = self.fields.iter().flat_map(|field| {
            let words = self.derived_words(field).into_iter();
            words.map(|word| format!("{}_{word}", field.plain))
        });
        derived.chain(self.record_id.clone()).collect()
    }

    /// What is derived from a field, in order: the words behind its name in the appended ones.
    pub fn derived_words(&self, field: &Field) -> Vec<&str> {
        let derived = match &field.action {
            Action::Pseudonymise(how) => &how.derive[..],
            _ => &[],
        };
        let maps = field.maps.iter().map(|&map| self.map_name(map));
        derived
            .iter()
            .map(|derived| derived.as_str())
            .chain(maps)
            .collect()
    }

    /// The name of a map.
    pub fn map_name(&self, map: usize) -> &str {
        &self.rating_files.maps[map].name
    }
}
