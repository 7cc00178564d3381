//! Ground floor for reading settings files: where a fault is, and what to do.
//!
//! Every TOML file goes through [`Source::parse`]; every later fault is raised with
//! the byte span the value came from, so that a message always reads
//! `file:line:column: what, what to do`. A fault never shows what stood there as a
//! value: a password or key pasted into the wrong place would end up in logs.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, de};

/// A fault in a settings file, with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    file: PathBuf,
    /// Line and column, both from 1; absent when the whole file is at fault.
    place: Option<(usize, usize)>,
    behind: Option<usize>,
    message: String,
}

impl Fault {
    /// A fault at a byte span of the file's text.
    pub fn at(file: &Path, text: &str, span: Range<usize>, message: impl Into<String>) -> Self {
        Self {
            file: file.to_path_buf(),
            place: Some(line_column(text, span.start)),
            behind: span.start.checked_sub(text.len() + 1),
            message: without_secrets(&message.into()),
        }
    }

    /// A fault of the file as a whole (missing, unreadable).
    pub fn whole(file: &Path, message: impl Into<String>) -> Self {
        Self {
            file: file.to_path_buf(),
            place: None,
            behind: None,
            message: without_secrets(&message.into()),
        }
    }

    /// How far behind the text's end its span began, where it did: the value came from elsewhere.
    pub fn behind(&self) -> Option<usize> {
        self.behind
    }

    /// Another message at the same place.
    #[must_use]
    pub fn saying(&self, message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            ..self.clone()
        }
    }

    /// The message without its place.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some((line, column)) = self.place {
            write!(f, ":{line}:{column}")?;
        }
        write!(f, ": {}", self.message)
    }
}

impl std::error::Error for Fault {}

/// A settings file's text with its path: what later checks need to point at a line.
#[derive(Debug, Clone)]
pub struct Source {
    /// The path as the user gave it.
    pub path: PathBuf,
    /// The whole text.
    pub text: String,
}

impl Source {
    /// A fault at a span of this file.
    pub fn fault(&self, span: Range<usize>, message: impl Into<String>) -> Fault {
        Fault::at(&self.path, &self.text, span, message)
    }

    /// Parses the text as `T`.
    ///
    /// # Errors
    ///
    /// Syntax, types, unknown or missing keys: the first, with its place.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, Fault> {
        toml::from_str(&self.text).map_err(|error| {
            let message = complete(error.message());
            match error.span() {
                Some(span) => self.fault(span, message),
                None => Fault::whole(&self.path, message),
            }
        })
    }
}

/// The TOML reader's message, without the value it met and with a cure where it has none.
pub fn complete(message: &str) -> String {
    let message = without_value(&message.trim().replace('\n', " "));
    if message.starts_with("missing field") {
        format!("{message}: the sample files in config/ show every key with what it means")
    } else if message == "duplicate key" {
        "duplicate key: it is written further up already, keep one of the two".to_owned()
    } else if message == "invalid type: string, expected a TOML datetime" {
        "a date and time stands without quotes: remove the quotes".to_owned()
    } else {
        message
    }
}

/// serde's messages quote the value they met: `invalid type: string "..", expected ..`,
/// ``unknown variant `..`, expected ..``. Names of keys (`unknown field`) stay.
fn without_value(message: &str) -> String {
    for start in ["invalid type: ", "invalid value: "] {
        let Some(rest) = message.strip_prefix(start) else {
            continue;
        };
        let kind_ends = rest.find(['"', '`', ',']).unwrap_or(rest.len());
        let kind = rest[..kind_ends].trim_end();
        // The value may hold anything, this word too; what is expected never does.
        let expected = rest
            .rsplit_once(", expected ")
            .map(|(_, expected)| in_words(expected));
        let expected = expected.map_or_else(String::new, |expected| format!(", expected {expected}"));
        return format!("{start}{kind}{expected}");
    }
    if message.starts_with("unknown variant ") {
        let expected = message.rfind("`, expected ").map_or("", |at| &message[at + 1..]);
        return format!("unknown word{expected}");
    }
    message.to_owned()
}

/// serde names Rust's types; who writes the file knows TOML's.
fn in_words(expected: &str) -> &str {
    match expected {
        "a sequence" => "a list, such as [\"..\", \"..\"]",
        "a map" => "a table",
        "i64" | "u32" | "u8" => "a whole number",
        expected if expected.starts_with("struct ") => "a table",
        expected => expected,
    }
}

/// As many hex digits on end are a key, not a name or a checksum that people read.
const KEY_DIGITS: usize = 32;
/// How an age identity begins.
const IDENTITY: &str = "AGE-SECRET-KEY-";

/// The text without what looks like key material: long runs of hex digits, age identities.
///
/// The last line of defence: who raises a fault shows no value in the first place.
pub fn without_secrets(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let hex = rest.bytes().take_while(u8::is_ascii_hexdigit).count();
        let identity = rest
            .get(..IDENTITY.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(IDENTITY));
        let (taken, said) = if identity {
            let word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-';
            (rest.bytes().take_while(word).count(), "(a secret key, not shown)")
        } else if hex >= KEY_DIGITS {
            (hex, "(hex digits, not shown)")
        } else {
            let plain = hex.max(first.len_utf8());
            (plain, &rest[..plain])
        };
        shown.push_str(said);
        rest = &rest[taken..];
    }
    shown
}

fn line_column(text: &str, offset: usize) -> (usize, usize) {
    let before = &text.as_bytes()[..offset.min(text.len())];
    let line_start = before
        .iter()
        .rposition(|&byte| byte == b'\n')
        .map_or(0, |at| at + 1);
    let column = String::from_utf8_lossy(&before[line_start..]).chars().count() + 1;
    (memchr::memchr_iter(b'\n', before).count() + 1, column)
}

/// A duration as users write it: `"100ms"`, `"30s"`, `"15m"`, `"1h"`, `"7d"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl de::Visitor<'_> for Text {
            type Value = Span;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration in quotes: a whole number with a unit, such as \"100ms\", \"30s\", \"15m\", \"1h\" or \"7d\"")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Span, E> {
                parse_duration(text)
                    .map(Span)
                    .ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let millis = match unit.trim() {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    Some(Duration::from_millis(number.checked_mul(millis)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, millis) in [
            ("100ms", Some(100)),
            ("30s", Some(30_000)),
            ("15 m", Some(900_000)),
            ("1h", Some(3_600_000)),
            ("7d", Some(604_800_000)),
            ("5", None),
            ("", None),
            ("s", None),
            ("-1s", None),
            ("1.5s", None),
            ("99999999999999999999d", None),
        ] {
            assert_eq!(parse_duration(text), millis.map(Duration::from_millis), "{text}");
        }
    }

    #[test]
    fn no_value_of_a_file_stands_in_a_message() {
        for (said, shown) in [
            (
                r#"invalid type: string "a \"b, expected c", expected a sequence"#,
                "invalid type: string, expected a list, such as [\"..\", \"..\"]",
            ),
            (
                "invalid type: string \"abc\", expected i64",
                "invalid type: string, expected a whole number",
            ),
            (
                "invalid type: string \"abc\", expected struct TopicSettings",
                "invalid type: string, expected a table",
            ),
            (
                "invalid type: integer `4711`, expected a string",
                "invalid type: integer, expected a string",
            ),
            (
                "invalid type: sequence, expected a string",
                "invalid type: sequence, expected a string",
            ),
            (
                r#"invalid value: string "5", expected a duration"#,
                "invalid value: string, expected a duration",
            ),
            (
                "unknown variant `x`, expected y`, expected one of `a`, `b`",
                "unknown word, expected one of `a`, `b`",
            ),
            (
                "unknown field `nme`, expected `name`",
                "unknown field `nme`, expected `name`",
            ),
            (
                r#"invalid type: string "2026-11-01T00:00:00Z", expected a TOML datetime"#,
                "a date and time stands without quotes: remove the quotes",
            ),
        ] {
            assert_eq!(complete(said), shown);
        }
    }

    #[test]
    fn what_looks_like_a_key_is_cut() {
        let hex = "6d1f0be2a4937c58d2e90f4b7a61c38e";
        for (text, shown) in [
            (
                format!("file {hex} cannot"),
                "file (hex digits, not shown) cannot",
            ),
            (
                format!("{}{hex}.key", hex.to_uppercase()),
                "(hex digits, not shown).key",
            ),
            (
                "`age-secret-key-1QQ` é".to_owned(),
                "`(a secret key, not shown)` é",
            ),
            (
                "kcv is e5c5b4f0, é 2026-11".to_owned(),
                "kcv is e5c5b4f0, é 2026-11",
            ),
            (hex[1..].to_owned(), &hex[1..]),
            (String::new(), ""),
        ] {
            assert_eq!(without_secrets(&text), shown);
        }
        let fault = Fault::whole(Path::new("a.toml"), format!("no {hex}"));
        assert_eq!(fault.to_string(), "a.toml: no (hex digits, not shown)");
    }

    #[test]
    fn a_fault_names_file_line_and_column() {
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        struct File {
            #[allow(dead_code)]
            name: String,
        }
        let source = Source {
            path: "a.toml".into(),
            text: "name = \"x\"\n\nnme = 3\n".into(),
        };
        let fault = source.parse::<File>().unwrap_err().to_string();
        assert!(fault.starts_with("a.toml:3:1: unknown field `nme`"), "{fault}");
    }
}
