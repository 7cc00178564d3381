//! `policy.toml` as typed: every key it may have, and no other.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use toml::Spanned;

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
    pub(super) header: Option<Spanned<Header>>,
    pub(super) unlisted: Option<Spanned<Unlisted>>,
    pub(super) time: Spanned<TimeSettings>,
    pub(super) max_future: Option<Span>,
    pub(super) max_record: Option<Spanned<String>>,
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
    pub(super) field: Spanned<String>,
    pub(super) format: Spanned<Formats>,
    pub(super) zone: Option<Spanned<String>>,
    pub(super) first: Option<Spanned<String>>,
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
