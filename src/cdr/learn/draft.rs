//! A policy that is still being written: lines with their reasons, and the TOML text of them.

use std::fmt::Write;

use crate::cdr::learn::trial::Outcome;

/// A draft.
#[derive(Debug, Clone, Default)]
pub(super) struct Draft {
    pub(super) preset: Option<&'static str>,
    /// What is to be said in the head, besides the counts.
    pub(super) notes: Vec<String>,
    /// Keys of `[input]`.
    pub(super) input: Vec<Line>,
    pub(super) numbers: Vec<Line>,
    /// The field of the public records' key.
    pub(super) key: Option<String>,
    /// Another name than usual for the record id.
    pub(super) record_id: Option<&'static str>,
    pub(super) fields: Vec<FieldLine>,
}

/// A key with its value, and comment lines above.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) comments: Vec<String>,
    /// `key = value`
    pub(super) text: String,
}

/// A field with its action.
#[derive(Debug, Clone)]
pub(super) struct FieldLine {
    pub(super) name: String,
    /// TOML.
    pub(super) action: String,
    pub(super) reason: String,
    pub(super) examples: Vec<String>,
}

/// What every restricted field's action is.
pub(super) const RESTRICT: &str = "\"restrict\"";

impl Line {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self {
            comments: Vec::new(),
            text: text.into(),
        }
    }

    pub(super) fn with(text: impl Into<String>, comment: impl Into<String>) -> Self {
        Self {
            comments: vec![comment.into()],
            text: text.into(),
        }
    }

    fn key(&self) -> &str {
        self.text.split([' ', '=']).next().unwrap_or_default()
    }
}

impl Draft {
    /// Sets a key of `[numbers]`, in place of what it was.
    pub(super) fn set_number(&mut self, line: Line) {
        self.numbers.retain(|known| known.key() != line.key());
        self.numbers.push(line);
    }

    pub(super) fn has_number(&self, key: &str) -> bool {
        self.numbers.iter().any(|line| line.key() == key)
    }

    /// Restricts a field, and says why.
    pub(super) fn restrict(&mut self, name: &str, reason: &str) {
        match self.fields.iter_mut().find(|field| field.name == name) {
            Some(field) => {
                RESTRICT.clone_into(&mut field.action);
                field.reason = format!("{reason}; otherwise: {}", field.reason);
            }
            None => self.fields.push(FieldLine {
                name: name.to_owned(),
                action: RESTRICT.to_owned(),
                reason: reason.to_owned(),
                examples: Vec::new(),
            }),
        }
        if self.key.as_deref() == Some(name) {
            self.key = None;
        }
    }

    /// The policy.
    pub(super) fn text(&self) -> String {
        let mut out = String::new();
        if let Some(preset) = self.preset {
            let _ = writeln!(out, "preset = {}\n", quoted(preset));
        }
        let mut table = |name: &str, lines: &[Line]| {
            if lines.is_empty() {
                return;
            }
            let _ = writeln!(out, "[{name}]");
            for line in lines {
                for comment in &line.comments {
                    let _ = writeln!(out, "# {comment}");
                }
                let _ = writeln!(out, "{}", line.text);
            }
            out.push('\n');
        };
        table("input", &self.input);
        table("numbers", &self.numbers);
        let comment = "Public records of one caller go to one partition.";
        let key = self
            .key
            .iter()
            .map(|key| Line::with(format!("key = {}", quoted(key)), comment));
        let id = self
            .record_id
            .iter()
            .map(|name| Line::new(format!("record_id = {}", quoted(name))));
        table("output", &key.chain(id).collect::<Vec<_>>());
        if !self.fields.is_empty() {
            let _ = writeln!(out, "[fields]");
        }
        let width = self
            .fields
            .iter()
            .map(|field| name_key(&field.name).chars().count())
            .max()
            .unwrap_or(0)
            .min(32);
        for field in &self.fields {
            let name = name_key(&field.name);
            let _ = writeln!(out, "{name:width$} = {} # {}", field.action, field.reason);
            for example in &field.examples {
                let _ = writeln!(out, "#   e.g. {example}");
            }
        }
        out
    }

    /// The policy under a head that says where it comes from and how it did.
    pub(super) fn with_head(&self, outcome: &Outcome) -> String {
        let mut head = String::from(
            "# A draft by `cdrveil learn`, for a privacy officer to read line by line: it is a guess from a sample.\n",
        );
        let _ = writeln!(
            head,
            "# Of {} records it accepts {}{}.",
            outcome.records,
            outcome.accepted,
            if outcome.skipped > 0 {
                format!(" (rows that are no records: {})", outcome.skipped)
            } else {
                String::new()
            }
        );
        for line in outcome.told() {
            let _ = writeln!(head, "# Rejected: {line}");
        }
        for note in &self.notes {
            let _ = writeln!(head, "# {note}");
        }
        format!("{head}\n{}", self.text())
    }
}

/// A TOML string.
pub(super) fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// A TOML key.
fn name_key(name: &str) -> String {
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if !name.is_empty() && name.bytes().all(bare) {
        name.to_owned()
    } else {
        quoted(name)
    }
}
