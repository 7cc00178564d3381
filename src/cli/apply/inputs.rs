//! What `apply` reads: which files, under which name their records go, and what is no text.
//!
//! Invariant: nothing is written before every input was looked at, and no
//! record id holds a phone number, because it stands in the public record.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::cdr::policy::Policy;
use crate::cli::Exit;
use crate::cli::apply::Failure;
use crate::cli::outputs::is_special;
use crate::number::{Canonicaliser, Numbers, Reading};

/// What stands for standard input among the files.
const STDIN: &str = "-";
/// As many digits on end may be a subscriber's number.
const NUMBER_DIGITS: usize = 7;
/// The longest base of record ids that can be given.
const LONGEST_NAME: usize = 200;

/// One input and the base of its records' ids.
pub(super) struct Input {
    /// As typed; "-" is stdin.
    pub path: PathBuf,
    /// The first part of its records' ids.
    pub name: String,
    /// A second run over the same input, or another, would give the same ids.
    pub repeats: bool,
}

impl Input {
    pub(super) fn is_stdin(&self) -> bool {
        self.path == Path::new(STDIN)
    }
}

/// The inputs as typed, each with a name of its own.
///
/// # Errors
///
/// `name` for more than one input, two inputs of one name, a name that reads as a phone number,
/// a file that cannot be opened or holds no plain text.
pub(super) fn inputs(files: &[PathBuf], name: Option<&str>, policy: &Policy) -> Result<Vec<Input>, Failure> {
    let stdin = [PathBuf::from(STDIN)];
    let files = if files.is_empty() { &stdin } else { files };
    let usage = |message: &str| Failure::new(Exit::Usage, message);
    match name {
        Some(_) if files.len() > 1 => return Err(usage("--name goes with one input: apply them one by one")),
        Some(name) if !plain(name) => {
            return Err(usage(
                "--name is 1 to 200 letters, digits, dots, dashes, underscores or slashes: it stands in every record's id",
            ));
        }
        _ => {}
    }
    let mut inputs: Vec<Input> = Vec::new();
    for (at, path) in files.iter().enumerate() {
        let input = named(path, name);
        if let Some(other) = inputs.iter().find(|other| other.name == input.name) {
            let (one, other) = (path.display(), other.path.display());
            return Err(usage(&format!(
                "{other} and {one} have the same base name, and so would their records' ids: rename one"
            )));
        }
        if policy
            .numbers
            .as_ref()
            .is_some_and(|numbers| holds_a_number(&input.name, numbers))
        {
            let place = at + 1;
            return Err(usage(&format!(
                "the name of input {place} holds digits that read as a phone number, and stands in the id of every record, the public ones too: give another with --name"
            )));
        }
        openable(path)?;
        inputs.push(input);
    }
    Ok(inputs)
}

fn plain(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte);
    (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(fits)
}

fn named(path: &Path, name: Option<&str>) -> Input {
    let stdin = path == Path::new(STDIN);
    let base = path
        .file_name()
        .filter(|_| !stdin)
        .map_or_else(|| "stdin".into(), |base| base.to_string_lossy());
    Input {
        path: path.to_path_buf(),
        name: name.map_or_else(|| base.into_owned(), str::to_owned),
        repeats: name.is_none() && (stdin || is_special(path)),
    }
}

/// Whether some digits of the text are a phone number to this policy. A date or time is none.
fn holds_a_number(text: &str, numbers: &Arc<Numbers>) -> bool {
    let mut canonical = Canonicaliser::new(Arc::clone(numbers));
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let digits = bytes[at..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        let plus = at > 0 && bytes[at - 1] == b'+';
        let run = &bytes[at - usize::from(plus)..at + digits];
        let read = digits >= NUMBER_DIGITS && (plus || !is_time(run));
        if read && matches!(canonical.read(run), Reading::Number(_)) {
            return true;
        }
        at += digits.max(1);
    }
    false
}

/// `YYYYMMDD`, `YYYYMMDDhhmm` or `YYYYMMDDhhmmss`, as exports are named.
fn is_time(digits: &[u8]) -> bool {
    let two = |at: usize| {
        digits.get(at..at + 2).map_or(0, |pair| {
            u32::from(pair[0] - b'0') * 10 + u32::from(pair[1] - b'0')
        })
    };
    matches!(digits.len(), 8 | 12 | 14)
        && matches!(two(0), 19 | 20)
        && (1..=12).contains(&two(4))
        && (1..=31).contains(&two(6))
        && two(8) < 24
        && two(10) < 60
        && two(12) < 61
}

/// A misspelt name or a packed file should leave nothing behind. Pipes are left alone: a look would take from them.
fn openable(path: &Path) -> Result<(), Failure> {
    if path == Path::new(STDIN) || is_special(path) {
        return Ok(());
    }
    let told = |error| Failure::new(Exit::Internal, format!("{}: {error}", path.display()));
    let mut start = Vec::new();
    let file = File::open(path).map_err(told)?;
    file.take(16).read_to_end(&mut start).map_err(told)?;
    plain_text(path, &start)
}

/// Compressed and UTF-16 input, by its first bytes, with how to unpack it.
pub(super) fn plain_text(path: &Path, start: &[u8]) -> Result<(), Failure> {
    match packed(path, start) {
        None => Ok(()),
        Some(said) => Err(Failure::new(Exit::Usage, format!("{said} apply ... --name ID -"))),
    }
}

/// What the input is instead of plain text, up to the verb of the command that unpacks it.
pub(in crate::cli) fn packed(path: &Path, start: &[u8]) -> Option<String> {
    const PACKED: [(&[u8], &str, &str); 7] = [
        (b"\x1f\x8b", "gzip", "zcat"),
        (b"\x28\xb5\x2f\xfd", "zstd", "zstdcat"),
        (b"\xfd7zXZ\0", "xz", "xzcat"),
        (b"\x04\x22\x4d\x18", "lz4", "lz4cat"),
        (b"PK\x03\x04", "zip", "unzip -p"),
        (b"\xff\xfe", "UTF-16", "iconv -f UTF-16 -t UTF-8"),
        (b"\xfe\xff", "UTF-16", "iconv -f UTF-16 -t UTF-8"),
    ];
    let bzip2 = start.starts_with(b"BZh") && start[3..].get(1..7) == Some(b"1AY&SY");
    let utf16 = match start {
        [first, 0, third, 0, ..] if *first != 0 && *third != 0 => Some("UTF-16LE"),
        [0, second, 0, fourth, ..] if *second != 0 && *fourth != 0 => Some("UTF-16BE"),
        _ => None,
    };
    let known = PACKED.into_iter().find(|(magic, ..)| start.starts_with(magic));
    let (what, tool) = match (known, utf16) {
        (Some((_, what, tool)), _) => (what, tool.to_owned()),
        (None, Some(what)) => (what, format!("iconv -f {what} -t UTF-8")),
        (None, None) if bzip2 => ("bzip2", "bzcat".to_owned()),
        (None, None) => return None,
    };
    let stdin = path == Path::new(STDIN);
    let (shown, file) = if stdin {
        ("stdin".into(), "FILE".into())
    } else {
        (path.to_string_lossy(), path.to_string_lossy())
    };
    Some(format!(
        "{shown} is {what}, not plain text: {tool} {file} | cdrveil"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::number::{Bare, NumberSettings};

    fn holds(text: &str, bare: Bare) -> bool {
        let settings = NumberSettings {
            country: Some("GB".to_owned()),
            bare,
            ..NumberSettings::default()
        };
        holds_a_number(text, &Arc::new(Numbers::new(&settings).unwrap()))
    }

    #[test]
    fn a_name_with_a_phone_number_is_seen() {
        for (name, reject, international) in [
            ("calls.csv", false, false),
            ("cdr-20261105.csv", false, false),
            ("cdr-202611050915.csv", false, false),
            ("cdr_20261105091500_3.csv", false, false),
            ("447700900123.csv", true, true),
            ("bill-00447700900123", true, true),
            ("07700900123.csv", true, true),
            ("+14155550100.csv", true, true),
            ("calls-14155550100.csv", false, true),
            ("2026-11-05.csv", false, false),
            ("part-000123.csv", false, false),
            ("é447700900123é", true, true),
        ] {
            assert_eq!(holds(name, Bare::Reject), reject, "{name}");
            assert_eq!(holds(name, Bare::International), international, "{name}");
        }
    }

    #[test]
    fn times_are_told_from_numbers() {
        for (digits, time) in [
            ("20261105", true),
            ("20261305", false),
            ("20261132", false),
            ("202611052359", true),
            ("202611052459", false),
            ("20261105091560", true),
            ("20261105091561", false),
            ("2026110509", false),
            ("44770090", false),
        ] {
            assert_eq!(is_time(digits.as_bytes()), time, "{digits}");
        }
    }

    #[test]
    fn what_is_no_plain_text_is_told_with_its_tool() {
        let cases: [(&[u8], Option<&str>); 12] = [
            (b"\x1f\x8b\x08\0", Some("zcat")),
            (b"\x28\xb5\x2f\xfd\x24", Some("zstdcat")),
            (b"\xfd7zXZ\0\0", Some("xzcat")),
            (b"BZh91AY&SY", Some("bzcat")),
            (b"BZh,voice,", None),
            (b"PK\x03\x04", Some("unzip -p")),
            (b"\xff\xfei\0d\0", Some("iconv -f UTF-16 ")),
            (b"i\0d\0,\0", Some("iconv -f UTF-16LE ")),
            (b"\0i\0d\0,", Some("iconv -f UTF-16BE ")),
            (b"\xef\xbb\xbfid,", None),
            (b"id,type", None),
            (b"", None),
        ];
        for (start, tool) in cases {
            let said = plain_text(Path::new("in.csv"), start)
                .err()
                .map(|failure| failure.message);
            match (tool, said) {
                (Some(tool), Some(said)) => assert!(said.contains(tool), "{said}"),
                (None, None) => {}
                (tool, said) => panic!("{tool:?} {said:?}"),
            }
        }
    }
}
