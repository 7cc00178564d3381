//! Presets: policies for the call records of systems people run, built in.
//!
//! `preset = ".."` puts one beneath the policy's own text: key by key under
//! `[input]`, `time`, `[numbers]` and `[output]`, field by field under
//! `[fields]`. A value of the preset has a span beyond the policy's own text,
//! so that its faults can be told at the line that names the preset.

use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::cdr::policy::settings::PolicySettings;
use crate::settings::{Fault, Source, complete};

/// Name and text of each, in alphabetical order.
const PRESETS: [(&str, &str); 23] = [
    ("3cx", include_str!("../../../config/presets/3cx.toml")),
    ("asterisk", include_str!("../../../config/presets/asterisk.toml")),
    (
        "broadworks",
        include_str!("../../../config/presets/broadworks.toml"),
    ),
    ("cgrates", include_str!("../../../config/presets/cgrates.toml")),
    (
        "cgrates-json",
        include_str!("../../../config/presets/cgrates-json.toml"),
    ),
    ("cucm", include_str!("../../../config/presets/cucm.toml")),
    ("cucm-cmr", include_str!("../../../config/presets/cucm-cmr.toml")),
    ("fcs-uk", include_str!("../../../config/presets/fcs-uk.toml")),
    (
        "freeswitch",
        include_str!("../../../config/presets/freeswitch.toml"),
    ),
    (
        "freeswitch-json",
        include_str!("../../../config/presets/freeswitch-json.toml"),
    ),
    ("gamma", include_str!("../../../config/presets/gamma.toml")),
    ("jbilling", include_str!("../../../config/presets/jbilling.toml")),
    ("kamailio", include_str!("../../../config/presets/kamailio.toml")),
    ("kazoo", include_str!("../../../config/presets/kazoo.toml")),
    (
        "kazoo-csv",
        include_str!("../../../config/presets/kazoo-csv.toml"),
    ),
    ("mobile", include_str!("../../../config/presets/mobile.toml")),
    // One program's accounting, twice forked.
    ("opensips", include_str!("../../../config/presets/kamailio.toml")),
    ("plivo", include_str!("../../../config/presets/plivo.toml")),
    ("ribbon", include_str!("../../../config/presets/ribbon.toml")),
    ("teams", include_str!("../../../config/presets/teams.toml")),
    ("telnyx", include_str!("../../../config/presets/telnyx.toml")),
    ("twilio", include_str!("../../../config/presets/twilio.toml")),
    ("zoom", include_str!("../../../config/presets/zoom.toml")),
];

/// The names of all presets, in alphabetical order.
pub fn names() -> impl Iterator<Item = &'static str> {
    PRESETS.iter().map(|(name, _)| *name)
}

/// Settings whose keys are laid over the preset's one by one; below `[fields]` a field is replaced whole.
const TABLES: [&str; 5] = ["input", "time", "numbers", "output", "fields"];
/// What a key of the policy's own, in which table, takes out of the preset: other ways to say the same, and
/// what counts the columns.
const TAKES_OUT: [(&str, &str, &[&str]); 4] = [
    ("time", "field", &["join"]),
    ("time", "join", &["field"]),
    ("input", "columns", &["record", "min_columns"]),
    ("input", "record", &["columns", "min_columns"]),
];

/// The preset that a policy names, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Preset {
    name: String,
    span: Range<usize>,
}

impl Preset {
    /// A fault at a span of the policy with its preset.
    pub(super) fn fault(
        source: &Source,
        preset: Option<&Self>,
        span: Range<usize>,
        message: String,
    ) -> Fault {
        match preset {
            Some(preset) if span.start >= source.text.len() => source.fault(
                preset.span.clone(),
                format!("preset \"{}\" with what this file says: {message}", preset.name),
            ),
            _ => source.fault(span, message),
        }
    }
}

/// The policy as typed, over the preset that it names.
pub(super) fn settings(source: &Source) -> Result<(PolicySettings, Option<Preset>), Vec<Fault>> {
    let at = |error: &toml::de::Error, preset: Option<&Preset>| {
        let message = complete(error.message());
        vec![match error.span() {
            Some(span) => Preset::fault(source, preset, span, message),
            None => Fault::whole(&source.path, message),
        }]
    };
    let mut own = DeTable::parse(&source.text).map_err(|error| at(&error, None))?;
    let named = take_preset(source, own.get_mut()).map_err(|fault| vec![fault])?;
    let Some(preset) = named else {
        return source
            .parse()
            .map(|settings| (settings, None))
            .map_err(|fault| vec![fault]);
    };
    let Some((_, text)) = PRESETS.iter().find(|(name, _)| *name == preset.name) else {
        let known = PRESETS.map(|(name, _)| name).join(", ");
        return Err(vec![source.fault(
            preset.span,
            format!("preset \"{}\" is unknown ({known})", preset.name),
        )]);
    };
    // Empty lines of as many bytes as the policy has put the preset's spans behind its own.
    let text = "\n".repeat(source.text.len()) + text;
    let mut merged = DeTable::parse(&text).map_err(|error| at(&error, Some(&preset)))?;
    let span = own.span();
    merge("", merged.get_mut(), own.into_inner());
    let whole = toml::Deserializer::from(Spanned::new(span, merged.into_inner()));
    let settings = PolicySettings::deserialize(whole).map_err(|error| at(&error, Some(&preset)))?;
    Ok((settings, Some(preset)))
}

/// What `preset` says, taken out of the table.
fn take_preset(source: &Source, own: &mut DeTable<'_>) -> Result<Option<Preset>, Fault> {
    let Some(value) = own.remove(&Spanned::new(0..0, "preset".into())) else {
        return Ok(None);
    };
    match value.get_ref() {
        DeValue::String(name) => Ok(Some(Preset {
            name: name.to_string(),
            span: value.span(),
        })),
        _ => Err(source.fault(value.span(), "preset: the name of one, such as \"asterisk\"")),
    }
}

/// Lays `own` over `base`, the tables of this name.
fn merge<'a>(name: &str, base: &mut DeTable<'a>, own: DeTable<'a>) {
    for (table, key, out) in TAKES_OUT {
        if table == name && own.iter().any(|(known, _)| known.get_ref() == key) {
            for key in out {
                base.remove(&Spanned::new(0..0, (*key).into()));
            }
        }
    }
    for (key, mut value) in own {
        let beneath = base.remove_entry(&key);
        if TABLES.contains(&key.get_ref().as_ref())
            && let (DeValue::Table(table), Some((_, beneath))) = (value.get_mut(), beneath)
            && let DeValue::Table(mut beneath) = beneath.into_inner()
        {
            merge(key.get_ref(), &mut beneath, std::mem::take(table));
            *table = beneath;
        }
        base.insert(key, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cdr::policy::{CallTime, Policy};

    fn load(text: &str) -> Result<Policy, Vec<String>> {
        let source = Source {
            path: "policy.toml".into(),
            text: text.to_owned(),
        };
        Policy::load(&source).map_err(|faults| faults.iter().map(ToString::to_string).collect())
    }

    /// What a preset that needs nothing else but a country and a zone is loaded with.
    const REST: &str = "[input]\ntime.zone = \"Europe/London\"\n[numbers]\ncountry = \"GB\"\n";

    #[test]
    fn every_preset_is_a_policy_once_zone_and_country_are_said() {
        for (name, _) in PRESETS {
            let loaded = load(&format!("preset = \"{name}\"\n{REST}"));
            assert!(loaded.is_ok(), "{name}: {:?}", loaded.err());
        }
    }

    #[test]
    fn every_preset_names_its_source_and_every_line_of_its_fields_says_why() {
        for (name, text) in PRESETS {
            let (header, fields) = text.split_once("\n[fields]\n").unwrap();
            assert!(header.contains("\n# Source: "), "{name}");
            for line in fields
                .lines()
                .filter(|line| !line.is_empty() && !line.starts_with('#'))
            {
                assert!(line.contains(" # "), "{name}: {line}");
            }
        }
    }

    #[test]
    fn a_policys_own_lines_go_over_the_presets() {
        let policy = load(&format!(
            "preset = \"asterisk\"\n{REST}[fields]\nlastapp = \"drop\"\n[output]\nrecord_id = false\n"
        ))
        .unwrap();
        assert_eq!(policy.fields.len(), 21);
        assert_eq!(policy.fields[9].name, "start");
        assert_eq!(policy.time, CallTime::Field(9));
        assert_eq!(policy.record_id, None);
        let fewer = load(
            "preset = \"asterisk\"\n[input]\ncolumns = [\"src\", \"start\", \"dst\", \"mine\"]\n\
             time = { join = [\"start\", \"mine\"], zone = \"UTC\" }\n\
             [numbers]\ncountry = \"GB\"\n[fields]\nmine = \"keep\"\n",
        )
        .unwrap();
        assert_eq!(fewer.fields.len(), 4);
        assert_eq!(fewer.time, CallTime::Joined(vec![1, 3]));
        // Columns with fields inside are left out with their column, or opened by the preset's lines.
        for (columns, fields) in [
            (
                "\"start_date\", \"start_time\", \"called\"]\nheader = \"name\"",
                3,
            ),
            ("\"start_date\", \"start_time\", \"egress_protocol\"]", 4),
        ] {
            let policy = load(&format!(
                "preset = \"ribbon\"\n[input]\ncolumns = [{columns}\ntime.zone = \"UTC\"\n[numbers]\ncountry = \"US\"\n"
            ));
            assert_eq!(policy.map(|policy| policy.fields.len()), Ok(fields), "{columns}");
        }
    }

    #[test]
    fn faults_with_a_preset_are_told_in_the_policys_own_file() {
        let cases = [
            (
                "preset = \"astrisk\"\n",
                "policy.toml:1:10: preset \"astrisk\" is unknown (3cx, asterisk, ",
            ),
            ("preset = 3\n", "policy.toml:1:10: "),
            (
                "# mine\npreset = \"asterisk\"\n[numbers]\ncountry = \"GB\"\n",
                "policy.toml:2:10: preset \"asterisk\" with what this file says: [input] time: the format",
            ),
            (
                "preset = \"asterisk\"\n[input]\ntime.zone = \"UTC\"\n",
                "policy.toml:1:10: preset \"asterisk\" with what this file says: [numbers]: country is missing",
            ),
            (
                "preset = \"asterisk\"\n[input]\ntime.zone = \"Nowhere\"\n[numbers]\ncountry = \"GB\"\n",
                "policy.toml:3:13: [input] time zone",
            ),
            (
                "preset = \"asterisk\"\n[input]\ntime.zone = \"UTC\"\n[numbers]\ncountry = \"GB\"\n[fields]\nsrc = \"hash\"\n",
                "policy.toml:7:7: fields.src: action \"hash\"",
            ),
            (
                "preset = \"asterisk\"\n[input]\ntime.zone = \"UTC\"\nnew = 1\n[numbers]\ncountry = \"GB\"\n",
                "policy.toml:4:1: unknown field `new`",
            ),
            (
                "preset = \"asterisk\"\n[input]\ntime.zone = \"UTC\"\ncolumns = [\"src\", \"start\"]\n[numbers]\ncountry = \"GB\"\n[output]\nkey = \"dst\"\n",
                "policy.toml:8:7: [output] key: \"dst\" is not a field",
            ),
        ];
        for (text, expected) in cases {
            let faults = load(text).err().unwrap_or_default();
            assert!(
                faults.first().is_some_and(|fault| fault.starts_with(expected)),
                "{text}\n{expected}\n{faults:?}"
            );
        }
    }
}
