//! From settings to policy: the order of the checks, and what concerns fields together.
//!
//! Every fault is collected with its place; a policy comes out only without any.

use std::ffi::CString;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use toml::Spanned;

use crate::cdr::identifier::Kind;
use crate::cdr::json::Paths;
use crate::cdr::policy::preset::Preset;
use crate::cdr::policy::settings::{
    FieldSettings, FormatSettings, InputSettings, OutputSettings, PolicySettings, RecordIdSettings,
};
use crate::cdr::policy::{Action, Field, Policy, advice, nested};
use crate::number::{NumberSettings, Numbers};
use crate::pseudonym::keyring::Carriers;
use crate::settings::{Fault, Source};

/// Record headers that may be copied from the raw record (W3C Trace Context).
const COPYABLE_HEADERS: [&str; 2] = ["traceparent", "tracestate"];

/// Collects every fault while settings become a policy.
pub(super) struct Checker<'a> {
    pub(super) source: &'a Source,
    pub(super) preset: Option<Preset>,
    pub(super) faults: Vec<Fault>,
}

impl Checker<'_> {
    pub(super) fn fault(&mut self, span: Range<usize>, message: impl Into<String>) {
        let fault = Preset::fault(self.source, self.preset.as_ref(), span, message.into());
        self.faults.push(fault);
    }

    pub(super) fn policy(&mut self, settings: PolicySettings) -> Option<Policy> {
        let PolicySettings {
            input,
            numbers,
            maps,
            output,
            fields,
        } = settings;
        let mut typed: Vec<(Spanned<String>, Spanned<FieldSettings>)> = fields.into_iter().collect();
        typed.sort_by_key(|(name, _)| name.span().start);
        let order = self.field_order(&input, &typed);
        let names: Vec<&str> = order.iter().map(|&at| typed[at].0.get_ref().as_str()).collect();

        let rating_files = self.rating_files(numbers.as_ref().map(Spanned::get_ref), maps, &input);
        let numbers = self.numbers(numbers);
        let mut kinds = Vec::new();
        let mut checked = Vec::new();
        for &at in &order {
            let (name, field) = &typed[at];
            if let Some(action) = self.action(name.get_ref(), field, &names, &mut kinds, &input) {
                let name = name.get_ref().clone();
                let maps = self.maps_of(&name, &action, field.get_ref(), &rating_files.maps, &input);
                let json = *input.format.get_ref() == FormatSettings::Json;
                checked.push(Field {
                    plain: if json { Paths::plain(&name) } else { name.clone() },
                    nested: json && nested(&name),
                    name,
                    action,
                    maps,
                });
            }
        }
        self.served_parties(&typed, &order, &checked);
        self.missing_files(&typed, &rating_files);
        if self.faults.is_empty() {
            self.unused_maps(&checked, &rating_files);
        }
        let phones = checked
            .iter()
            .any(|field| matches!(&field.action, Action::Pseudonymise(how) if how.kind == Kind::Phone));
        if phones && numbers.is_none() && self.faults.is_empty() {
            self.fault(0..0, "a field is a phone number, so the policy needs [numbers] with country = \"..\" (ISO 3166): it says what a national number means");
        }
        let time = self.call_time(&input.time, &names);
        let format = self.format(&input, &names, &typed, &order, time.as_ref());
        let places: Vec<Range<usize>> = order.iter().map(|&at| typed[at].0.span()).collect();
        let whole = input.columns.as_ref().map(Spanned::span);
        let whole = whole.or_else(|| places.first().cloned()).unwrap_or_default();
        let warnings = advice::advice(self.source, &checked, &places, whole);
        let zone = input.time.get_ref().zone.as_ref();
        let zone = zone.and_then(|zone| TimeZone::get(zone.get_ref()).ok());
        let first = input.time.get_ref().first.as_ref();
        let first_time_field = first.and_then(|first| self.named(first, &names, "[input] time first"));
        let clock = self.clock(&input.time);
        let key = self.key(&output, &names, &checked);
        let record_id = self.record_id(&output);
        let headers = self.headers(&output);
        let max_record = self.max_record(&input);
        let policy = Policy {
            format: format?,
            fields: checked,
            time: time?,
            first_time_field,
            clock: clock?,
            zone,
            max_future: input
                .max_future
                .map_or(Duration::from_secs(86_400), |span| span.0),
            max_record,
            numbers,
            key,
            record_id,
            headers,
            rating_files,
            rating: Arc::default(),
            kinds,
            previous: Carriers::default(),
            warnings,
        };
        self.appended_names(&policy, &output);
        Some(policy)
    }

    /// Indices into the typed fields, in output order: by column, or as written.
    fn field_order(
        &mut self,
        input: &InputSettings,
        typed: &[(Spanned<String>, Spanned<FieldSettings>)],
    ) -> Vec<usize> {
        if *input.format.get_ref() == FormatSettings::Json {
            return (0..typed.len()).collect();
        }
        let Some(columns) = self.columns(input) else {
            return (0..typed.len()).collect();
        };
        let mut order = Vec::new();
        for column in &columns {
            let name = column.get_ref();
            match typed.iter().position(|(field, _)| field.get_ref() == name) {
                Some(found) => order.push(found),
                None => self.fault(column.span(), format!("column \"{name}\" has no line under [fields]: every column needs an action (keep, pseudonymise, restrict, coarsen, drop)")),
            }
        }
        for (field, _) in typed {
            let of_preset = field.span().start >= self.source.text.len();
            if of_preset || columns.iter().any(|column| column.get_ref() == field.get_ref()) {
                continue;
            }
            let name = field.get_ref();
            let told = if nested::inside(input, name).is_some() {
                format!(
                    "field \"{name}\" has fields inside ([[input.nested]]): each of them has a line of its own, such as \"{name}.1\""
                )
            } else {
                format!("field \"{name}\" is not among [input] columns")
            };
            self.fault(field.span(), told);
        }
        order
    }

    /// The names of all columns and of the fields inside them, each once: those of record types by their first mention.
    fn columns(&mut self, input: &InputSettings) -> Option<Vec<Spanned<String>>> {
        let records = input.record.as_ref().map_or(&[][..], |records| records.get_ref());
        let lists = records.iter().map(|record| &record.get_ref().columns);
        let mut known: Vec<Spanned<String>> = Vec::new();
        let mut any = false;
        for list in input.columns.iter().chain(lists) {
            any = true;
            let list = list.get_ref();
            for (at, column) in list.iter().enumerate() {
                let same = |other: &Spanned<String>| other.get_ref() == column.get_ref();
                if list[..at].iter().any(same) {
                    let name = column.get_ref();
                    self.fault(column.span(), format!("column \"{name}\" is named twice"));
                }
                if known.iter().any(same) {
                    continue;
                }
                match nested::inside(input, column.get_ref()) {
                    None => known.push(column.clone()),
                    Some(inside) => {
                        for name in nested::names(inside) {
                            let same = |other: &Spanned<String>| other.get_ref() == name.get_ref();
                            if !known.iter().any(same) {
                                known.push(name);
                            }
                        }
                    }
                }
            }
        }
        any.then_some(known)
    }

    fn numbers(&mut self, numbers: Option<Spanned<NumberSettings>>) -> Option<Arc<Numbers>> {
        let numbers = numbers?;
        match Numbers::new(numbers.get_ref()) {
            Ok(checked) => Some(Arc::new(checked)),
            Err(error) => {
                self.fault(numbers.span(), format!("[numbers]: {error}"));
                None
            }
        }
    }

    pub(super) fn named(&mut self, name: &Spanned<String>, names: &[&str], what: &str) -> Option<usize> {
        let found = names.iter().position(|known| known == name.get_ref());
        if found.is_none() {
            self.fault(
                name.span(),
                format!(
                    "{what}: \"{}\" is not a field of this policy: give it a line of its own under [fields]",
                    name.get_ref()
                ),
            );
        } else if name.get_ref().contains("[]") {
            self.fault(
                name.span(),
                format!(
                    "{what}: \"{}\" is a list, and a record has one value here: where a payload wraps a list of calls, send the calls themselves, as an array or one after the other",
                    name.get_ref()
                ),
            );
        }
        found
    }

    fn key(&mut self, output: &OutputSettings, names: &[&str], checked: &[Field]) -> Option<usize> {
        let setting = output.key.as_ref()?;
        let key = self.named(setting, names, "[output] key")?;
        let field = checked.iter().find(|field| field.name == names[key])?;
        if field.action.is_several() {
            self.fault(
                setting.span(),
                format!(
                    "[output] key: \"{}\" holds several identifiers, and a record has one key",
                    field.name
                ),
            );
        } else if !matches!(field.action, Action::Pseudonymise(_)) {
            self.fault(
                setting.span(),
                format!(
                    "[output] key: \"{}\" is not pseudonymised, and a Kafka key is as public as the record",
                    field.name
                ),
            );
        }
        Some(key)
    }

    fn record_id(&mut self, output: &OutputSettings) -> Option<String> {
        match &output.record_id {
            None => Some("record_id".to_owned()),
            Some(setting) => match setting.get_ref() {
                RecordIdSettings::Switch(false) => None,
                RecordIdSettings::Switch(true) => Some("record_id".to_owned()),
                RecordIdSettings::Name(name) if name.is_empty() => {
                    self.fault(setting.span(), "[output] record_id: a name, or false for none");
                    None
                }
                RecordIdSettings::Name(name) => Some(name.clone()),
            },
        }
    }

    fn headers(&mut self, output: &OutputSettings) -> Vec<CString> {
        for header in &output.headers {
            if !COPYABLE_HEADERS.contains(&header.get_ref().as_str()) {
                self.fault(
                    header.span(),
                    format!(
                        "[output] headers: \"{}\" is not copied: only {} are known to hold no identifier",
                        header.get_ref(),
                        COPYABLE_HEADERS.join(" and ")
                    ),
                );
            }
        }
        output
            .headers
            .iter()
            .filter_map(|header| CString::new(header.get_ref().as_str()).ok())
            .collect()
    }

    /// An appended name that the input also uses would make two columns of one name.
    fn appended_names(&mut self, policy: &Policy, output: &OutputSettings) {
        let appended = policy.appended();
        for (at, name) in appended.iter().enumerate() {
            let taken =
                policy.fields.iter().any(|field| field.plain == *name) || appended[..at].contains(name);
            if taken {
                let span = output.record_id.as_ref().map_or(0..0, Spanned::span);
                self.fault(span, format!("the appended name \"{name}\" is also a field: rename it ([output] record_id = \"..\") or the derived field's source"));
            }
        }
    }
}

/// Whether a JSON path leads below the record's own members.
fn nested(path: &str) -> bool {
    let behind_name = match path.strip_prefix('"') {
        Some(quoted) => quoted.split_once('"').map_or("", |(_, rest)| rest),
        None => path,
    };
    behind_name.contains(['.', '['])
}
