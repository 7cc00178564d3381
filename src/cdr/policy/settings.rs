//! `policy.toml` as typed: every key it may have, and no other.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use toml::Spanned;

use crate::cdr::mapping::KeyKind;
use crate::cdr::policy::{Header, Unlisted};
use crate::number::NumberSettings;
use crate::settings::Span;

/// `policy.toml` as typed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PolicySettings {
    pub(super) input: InputSettings,
    pub(super) numbers: Option<Spanned<NumberSettings>>,
    #[serde(default)]
    pub(super) maps: BTreeMap<Spanned<String>, MapSettings>,
    #[serde(default)]
    pub(super) output: OutputSettings,
    pub(super) fields: BTreeMap<Spanned<String>, Spanned<FieldSettings>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct InputSettings {
    pub(super) format: Spanned<FormatSettings>,
    pub(super) columns: Option<Spanned<Vec<Spanned<String>>>>,
    pub(super) delimiter: Option<Spanned<String>>,
    pub(super) quote: Option<Spanned<String>>,
    pub(super) comment: Option<Spanned<String>>,
    pub(super) escape: Option<Spanned<String>>,
    pub(super) header: Option<Spanned<Header>>,
    pub(super) optional: Option<Spanned<Optional>>,
    pub(super) min_columns: Option<Spanned<usize>>,
    pub(super) markers: Option<Spanned<Vec<Spanned<MarkerSettings>>>>,
    pub(super) record: Option<Spanned<Vec<Spanned<RecordSettings>>>>,
    pub(super) nested: Option<Spanned<Vec<Spanned<NestedSettings>>>>,
    pub(super) unlisted: Option<Spanned<Unlisted>>,
    pub(super) records: Option<Spanned<String>>,
    pub(super) time: Spanned<TimeSettings>,
    pub(super) max_future: Option<Span>,
    pub(super) max_record: Option<Spanned<String>>,
}

/// `[maps.<name>]`: a mapping file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MapSettings {
    pub(super) file: Spanned<PathBuf>,
    pub(super) kind: Option<KeyKind>,
    pub(super) min_keys: Option<Spanned<usize>>,
}

/// Columns that a header row may lack.
#[derive(Debug, Deserialize)]
#[serde(
    untagged,
    expecting = "a list of columns, or true: all but those of the call's start time"
)]
pub(super) enum Optional {
    All(bool),
    Some(Vec<String>),
}

/// Rows that are no records: by their first bytes, or by what stands in a column.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MarkerSettings {
    pub(super) prefix: Option<Spanned<String>>,
    pub(super) column: Option<Spanned<ColumnSettings>>,
    pub(super) values: Option<Spanned<Vec<String>>>,
}

/// A column by its place, from 1, or by its name.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "a column's place, from 1, or its name")]
pub(super) enum ColumnSettings {
    Place(usize),
    Name(String),
}

/// A record type with columns of its own.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RecordSettings {
    pub(super) when: Spanned<WhenSettings>,
    pub(super) columns: Spanned<Vec<Spanned<String>>>,
    pub(super) min_columns: Option<Spanned<usize>>,
}

/// A column whose value is itself a row of fields.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NestedSettings {
    pub(super) column: Spanned<String>,
    pub(super) columns: Spanned<Vec<Spanned<String>>>,
    pub(super) delimiter: Option<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WhenSettings {
    pub(super) column: Spanned<usize>,
    pub(super) value: Option<String>,
    #[serde(default)]
    pub(super) values: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum FormatSettings {
    Csv,
    Json,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TimeSettings {
    pub(super) field: Option<Spanned<Names>>,
    pub(super) join: Option<Spanned<Vec<Spanned<String>>>>,
    pub(super) format: Spanned<Formats>,
    pub(super) zone: Option<Spanned<String>>,
    pub(super) first: Option<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "a text, or a list of them")]
pub(super) enum Names {
    One(String),
    Many(Vec<String>),
}

impl Names {
    pub(super) fn as_slice(&self) -> &[String] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(
    untagged,
    expecting = "a time format, or a list of them: \"rfc3339\", \"unix\", \"unix_ms\", or a pattern such as \"%Y-%m-%d %H:%M:%S\""
)]
pub(super) enum Formats {
    One(String),
    Many(Vec<String>),
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OutputSettings {
    pub(super) key: Option<Spanned<String>>,
    pub(super) record_id: Option<Spanned<RecordIdSettings>>,
    #[serde(default)]
    pub(super) headers: Vec<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "a name for the record id's column, or false")]
pub(super) enum RecordIdSettings {
    Name(String),
    Switch(bool),
}

/// One field's line: a bare action word, or a table.
#[derive(Debug)]
pub(super) struct FieldSettings(pub(super) FieldTable);

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FieldTable {
    pub(super) action: Option<Spanned<String>>,
    pub(super) kind: Option<Spanned<String>>,
    pub(super) scope: Option<Spanned<String>>,
    pub(super) with: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) derive: Vec<Spanned<String>>,
    pub(super) separators: Option<Spanned<Names>>,
    #[serde(default)]
    pub(super) escrow: bool,
    pub(super) to: Option<Spanned<String>>,
    pub(super) step: Option<Spanned<i64>>,
    pub(super) prefix: Option<Spanned<i64>>,
    pub(super) prefix6: Option<Spanned<i64>>,
    pub(super) format: Option<Spanned<String>>,
    #[serde(skip)]
    pub(super) word: Option<String>,
}

impl<'de> Deserialize<'de> for FieldSettings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Shape;
        impl<'de> Visitor<'de> for Shape {
            type Value = FieldSettings;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an action (keep, pseudonymise, restrict, coarsen, drop) or a table with one")
            }

            fn visit_str<E: de::Error>(self, word: &str) -> Result<FieldSettings, E> {
                Ok(FieldSettings(FieldTable {
                    word: Some(word.to_owned()),
                    ..FieldTable::default()
                }))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<FieldSettings, A::Error> {
                FieldTable::deserialize(de::value::MapAccessDeserializer::new(map)).map(FieldSettings)
            }
        }
        deserializer.deserialize_any(Shape)
    }
}
