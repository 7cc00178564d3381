//! `[input]`: format, delimiters, the call's start time, sizes.

use jiff::tz::TimeZone;
use toml::Spanned;

use crate::cdr::json::Paths;
use crate::cdr::policy::check::Checker;
use crate::cdr::policy::settings::{FieldSettings, FormatSettings, Formats, InputSettings, TimeSettings};
use crate::cdr::policy::{CallTime, Format, Unlisted, Wrapper};
use crate::cdr::time::{EventClock, TimeFormat};

impl Checker<'_> {
    pub(super) fn format(
        &mut self,
        input: &InputSettings,
        names: &[&str],
        typed: &[(Spanned<String>, Spanned<FieldSettings>)],
        order: &[usize],
        time: Option<&CallTime>,
    ) -> Option<Format> {
        match input.format.get_ref() {
            FormatSettings::Csv => self.csv(input, names, time),
            FormatSettings::Json => {
                let csv_only = [
                    ("columns", input.columns.as_ref().map(Spanned::span)),
                    ("delimiter", input.delimiter.as_ref().map(Spanned::span)),
                    ("quote", input.quote.as_ref().map(Spanned::span)),
                    ("comment", input.comment.as_ref().map(Spanned::span)),
                    ("escape", input.escape.as_ref().map(Spanned::span)),
                    ("header", input.header.as_ref().map(Spanned::span)),
                    ("optional", input.optional.as_ref().map(Spanned::span)),
                    ("min_columns", input.min_columns.as_ref().map(Spanned::span)),
                    ("markers", input.markers.as_ref().map(Spanned::span)),
                    ("record", input.record.as_ref().map(Spanned::span)),
                    ("nested", input.nested.as_ref().map(Spanned::span)),
                ];
                for (setting, span) in csv_only {
                    if let Some(span) = span {
                        self.fault(span, format!("[input] {setting} is for CSV"));
                    }
                }
                let paths = match Paths::parse(names) {
                    Ok(paths) => Some(paths),
                    Err(error) => {
                        let at = names.iter().position(|name| error.path == *name);
                        let span = at.map_or(0..0, |at| typed[order[at]].0.span());
                        self.fault(span, format!("[fields] {error}"));
                        None
                    }
                };
                let unlisted = input
                    .unlisted
                    .as_ref()
                    .map_or(Unlisted::Reject, |unlisted| *unlisted.get_ref());
                let records = self.records(input);
                Some(Format::Json {
                    paths: paths?,
                    unlisted,
                    records,
                })
            }
        }
    }

    fn records(&mut self, input: &InputSettings) -> Option<Wrapper> {
        let setting = input.records.as_ref()?;
        let path = setting.get_ref();
        let list = path.strip_suffix("[]").unwrap_or_default();
        if let (Ok(elements), Ok(list)) = (Paths::parse(&[path]), Paths::parse(&[list])) {
            return Some(Wrapper { elements, list });
        }
        self.fault(
            setting.span(),
            "[input] records: the path of the list's elements, such as \"value[]\"",
        );
        None
    }

    /// One ASCII byte, the default where none is given; none where it was refused.
    pub(super) fn byte(
        &mut self,
        setting: Option<&Spanned<String>>,
        name: &str,
        default: Option<u8>,
    ) -> Option<u8> {
        let Some(setting) = setting else { return default };
        match setting.get_ref().as_bytes() {
            [byte] if byte.is_ascii() && !matches!(byte, b'\r' | b'\n') => Some(*byte),
            _ => {
                self.fault(
                    setting.span(),
                    format!("[input] {name} must be one ASCII character"),
                );
                None
            }
        }
    }

    /// The fields with the call's start time.
    pub(super) fn call_time(&mut self, time: &Spanned<TimeSettings>, names: &[&str]) -> Option<CallTime> {
        let settings = time.get_ref();
        let (fields, joined): (Vec<Spanned<String>>, bool) = match (&settings.field, &settings.join) {
            (Some(field), None) => {
                let texts = field.get_ref().as_slice();
                let spanned = |text: &String| Spanned::new(field.span(), text.clone());
                (texts.iter().map(spanned).collect(), false)
            }
            (None, Some(join)) => (join.get_ref().clone(), true),
            (Some(_), Some(join)) => {
                self.fault(
                    join.span(),
                    "[input] time: \"field\" or \"join\", not both: remove one",
                );
                return None;
            }
            (None, None) => (Vec::new(), false),
        };
        if fields.is_empty() {
            self.fault(
                time.span(),
                "[input] time needs field = \"..\" (or a list: the first that is not blank), or join = [\"date\", \"time\"]",
            );
        }
        let found: Vec<_> = fields
            .iter()
            .map(|field| self.named(field, names, "[input] time"))
            .collect();
        let fields = found.into_iter().collect::<Option<Vec<usize>>>()?;
        match (fields.as_slice(), joined) {
            ([], _) => None,
            ([field], _) => Some(CallTime::Field(*field)),
            (_, false) => Some(CallTime::FirstOf(fields)),
            (_, true) => Some(CallTime::Joined(fields)),
        }
    }

    pub(super) fn clock(&mut self, time: &Spanned<TimeSettings>) -> Option<EventClock> {
        let settings = time.get_ref();
        let words = match settings.format.get_ref() {
            Formats::One(one) => std::slice::from_ref(one),
            Formats::Many(many) => many.as_slice(),
        };
        let mut formats = Vec::new();
        if words.is_empty() {
            self.fault(settings.format.span(), "[input] time needs a format");
        }
        for word in words {
            match TimeFormat::parse_format(word) {
                Ok(format) => formats.push(format),
                Err(error) => self.fault(settings.format.span(), format!("[input] time format: {error}")),
            }
        }
        let zone = match &settings.zone {
            None => None,
            Some(name) => {
                let Ok(zone) = TimeZone::get(name.get_ref()) else {
                    self.fault(name.span(), format!("[input] time zone \"{}\" is unknown: use an IANA name such as \"Europe/London\" or \"UTC\"", name.get_ref()));
                    return None;
                };
                Some(zone)
            }
        };
        if formats.is_empty() {
            return None;
        }
        match EventClock::new(&formats, zone) {
            Ok(clock) => Some(clock),
            Err(error) => {
                self.fault(time.span(), format!("[input] time: {error}"));
                None
            }
        }
    }

    pub(super) fn max_record(&mut self, input: &InputSettings) -> usize {
        const DEFAULT: usize = 1 << 20;
        let Some(setting) = &input.max_record else {
            return DEFAULT;
        };
        parse_size(setting.get_ref()).unwrap_or_else(|| {
            self.fault(
                setting.span(),
                "[input] max_record: write a size such as \"64KiB\" or \"1MiB\", at most \"8MiB\"",
            );
            DEFAULT
        })
    }
}

fn parse_size(text: &str) -> Option<usize> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit = match unit.trim() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        _ => return None,
    };
    let size = number.parse::<usize>().ok()?.checked_mul(unit)?;
    (1..=8 << 20).contains(&size).then_some(size)
}
