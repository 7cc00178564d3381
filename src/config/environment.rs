//! Values of the process environment laid over the operator's file.
//!
//! Invariant: a fault of a value from the environment names the variable, never a
//! line of the file, and no fault shows a value.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::config::ConfigSettings;
use crate::settings::{self, Fault, Source};

/// Overrides from the process environment: `CDRVEIL_<SECTION>__<KEY>`.
pub fn environment() -> Vec<(String, String)> {
    let mut found: Vec<_> = std::env::vars()
        .filter(|(name, _)| override_path(name).is_some())
        .collect();
    found.sort();
    found
}

fn override_path(name: &str) -> Option<Vec<String>> {
    let rest = name.strip_prefix("CDRVEIL_")?.to_ascii_lowercase();
    let path: Vec<String> = rest.split("__").map(str::to_owned).collect();
    let known_at_top = ["domain", "policy", "keyring"].contains(&path[0].as_str());
    (path.len() > 1 || known_at_top).then_some(path)
}

/// The file's text with the environment's values laid over it.
pub(super) fn merge(source: &Source, environment: &[(String, String)]) -> Result<ConfigSettings, Fault> {
    if environment.is_empty() {
        return source.parse();
    }
    let mut overrides: Vec<Override> = environment.iter().filter_map(Override::new).collect();
    loop {
        let (error, blamed) = match overlaid(source, &overrides)? {
            Ok(settings) => return Ok(settings),
            Err(found) => found,
        };
        match blamed.and_then(|at| overrides.get_mut(at)) {
            // `CDRVEIL_KAFKA__INSTANCE=0` looks like a number and means text.
            Some(over) if over.typed => over.typed = false,
            Some(over) => {
                return Err(Fault::whole(
                    Path::new("environment"),
                    format!("{}: {}", over.name, one_line(&error)),
                ));
            }
            None => {
                let message = one_line(&error);
                return Err(match error.span() {
                    Some(span) => source.fault(span, message),
                    None => Fault::whole(&source.path, message),
                });
            }
        }
    }
}

/// One value from the environment.
struct Override {
    name: String,
    path: Vec<String>,
    value: String,
    /// Whether the value is read as TOML, such as `3` or `["a", "b"]`, rather than as plain text.
    typed: bool,
}

impl Override {
    fn new((name, value): &(String, String)) -> Option<Self> {
        let mut made = Self {
            name: name.clone(),
            path: override_path(name)?,
            value: value.clone(),
            typed: true,
        };
        made.typed = DeTable::parse(&made.document()).is_ok();
        Some(made)
    }

    /// `kafka.group = "x"` as a document of its own.
    fn document(&self) -> String {
        let quoted = |part: &String| format!("\"{part}\"");
        let key = self.path.iter().map(quoted).collect::<Vec<_>>().join(".");
        if self.typed {
            format!("{key} = {}", self.value)
        } else {
            format!("{key} = {}", toml::Value::String(self.value.clone()))
        }
    }
}

/// The settings, or the error and which override is to blame for it.
type Overlaid = Result<ConfigSettings, (toml::de::Error, Option<usize>)>;

fn overlaid(source: &Source, overrides: &[Override]) -> Result<Overlaid, Fault> {
    let mut table = DeTable::parse(&source.text).map_err(|error| match error.span() {
        Some(span) => source.fault(span, one_line(&error)),
        None => Fault::whole(&source.path, one_line(&error)),
    })?;
    let documents: Vec<String> = overrides.iter().map(Override::document).collect();
    let behind = source.text.len() + 1;
    for (at, (document, over)) in documents.iter().zip(overrides).enumerate() {
        let parsed = DeTable::parse(document).map_err(|error| {
            Fault::whole(
                Path::new("environment"),
                format!("{}: {}", over.name, one_line(&error)),
            )
        })?;
        lay_over(table.get_mut(), parsed.into_inner(), behind + at);
    }
    Ok(
        ConfigSettings::deserialize(toml::de::Deserializer::from(table)).map_err(|error| {
            let blamed = error.span().and_then(|span| span.start.checked_sub(behind));
            (error, blamed)
        }),
    )
}

fn one_line(error: &toml::de::Error) -> String {
    settings::complete(error.message())
}

/// Values from elsewhere get a place of their own behind the text, so that no line of it is blamed.
fn lay_over<'a>(table: &mut DeTable<'a>, over: DeTable<'a>, place: usize) {
    for (key, value) in over {
        let key = Spanned::new(place..place, key.into_inner());
        let existing = table.get_mut(key.get_ref().as_ref());
        match (existing.map(Spanned::get_mut), value.into_inner()) {
            (Some(DeValue::Table(inner)), DeValue::Table(over)) => lay_over(inner, over, place),
            (_, value) => {
                // Inserting keeps a key that is there, and with it the key's place: take it out first.
                table.remove(key.get_ref().as_ref());
                table.insert(key, moved(value, place));
            }
        }
    }
}

/// The value with all that is in it at one place.
fn moved(value: DeValue<'_>, place: usize) -> Spanned<DeValue<'_>> {
    let value = match value {
        DeValue::Array(elements) => {
            let elements = elements
                .into_iter()
                .map(|element| moved(element.into_inner(), place));
            DeValue::Array(elements.collect())
        }
        DeValue::Table(table) => {
            let mut within = DeTable::new();
            lay_over(&mut within, table, place);
            DeValue::Table(within)
        }
        plain => plain,
    };
    Spanned::new(place..place, value)
}

/// The fault with the variable's name, where its value came from the environment.
pub(super) fn attributed(fault: Fault, environment: &[(String, String)]) -> Fault {
    let names = environment
        .iter()
        .filter(|(name, _)| override_path(name).is_some());
    match fault.behind().map(|at| names.clone().nth(at)) {
        None => fault,
        Some(variable) => {
            let name = variable.map_or("", |(name, _)| name.as_str());
            Fault::whole(Path::new("environment"), format!("{name}: {}", fault.message()))
        }
    }
}

/// The files a configuration names, as far as a faulty one can tell: those of its folder otherwise.
pub(super) fn named_files(source: &Source, environment: &[(String, String)]) -> [PathBuf; 2] {
    let (table, _) = DeTable::parse_recoverable(&source.text);
    ["policy", "keyring"].map(|key| {
        let variable = format!("CDRVEIL_{}", key.to_ascii_uppercase());
        let over = environment.iter().find(|(name, _)| *name == variable);
        let typed = table.get_ref().get(key).map(Spanned::get_ref);
        let path = match (over, typed) {
            (Some((_, value)), _) => PathBuf::from(value.trim_matches('"')),
            (None, Some(DeValue::String(path))) => PathBuf::from(path.as_ref()),
            (None, _) => PathBuf::from(format!("{key}.toml")),
        };
        source.path.parent().unwrap_or(Path::new("")).join(path)
    })
}
