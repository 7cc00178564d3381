//! Looks for identifiers in what is public, as `docs/formats.md` says what one is and what a copy of it is.
//!
//! Written from there alone, and slow where it matters: first every seven digits in a row that public bytes share
//! with a mark are found, by any reading of them; only then is it asked whose digits they were and whether they are
//! a copy.

use cdrveil::cdr::csv;
use cdrveil::cdr::identifier::Kind;
use cdrveil::cdr::json::{self, PathId, Scanner};
use cdrveil::cdr::policy::{Action, Csv, Format, Policy};

use crate::RECORD_ID;
use crate::mark::{Mark, What};
use crate::template::fields_of;

/// What a search of one public value found.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    Clean,
    /// Digits of a mark that stand in a column which the policy keeps, and in no other.
    Unprotected,
    Leak,
}

pub struct Search<'a> {
    policy: &'a Policy,
    prefix: Vec<u8>,
    /// Readings of the public bytes: as they are, percent-decoded, without escapes.
    readings: Vec<Vec<u8>>,
}

/// What the policy does with a value, as far as the guard's identifiers go.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Phone,
    /// IMSI and IMEI.
    Equipment,
    /// Account, text.
    Named,
    Restricted,
    /// Dropped, or named by no policy.
    Dropped,
    /// Call ids and addresses: no identifier of the guard's.
    Joined,
    Public,
}

impl<'a> Search<'a> {
    pub fn new(policy: &'a Policy, prefix: &[u8]) -> Self {
        Self {
            policy,
            prefix: prefix.to_vec(),
            readings: Vec::new(),
        }
    }

    /// Searches a public value or key for the marks of the row it was made of.
    pub fn search(&mut self, marks: &[Mark], row: &[u8], public: &[u8]) -> Verdict {
        if is_token(public) {
            return Verdict::Clean;
        }
        readings(public, &mut self.readings);
        if public.contains(&b'\\') {
            self.readings.push(without_escapes(public));
        }
        let sevens = Sevens::of(marks);
        let word =
            |mark: &Mark| mark.what == What::Word && memchr::memmem::find(public, mark.text()).is_some();
        if self.readings.iter().any(|text| sevens.stand_in(text)) || marks.iter().any(word) {
            self.judge(marks, row, public)
        } else {
            Verdict::Clean
        }
    }

    fn judge(&self, marks: &[Mark], row: &[u8], public: &[u8]) -> Verdict {
        let mut verdict = Verdict::Clean;
        let values = self.values(row);
        for text in self.searched(public) {
            for mark in marks {
                if !shows(&text, mark) {
                    continue;
                }
                // Where the row cannot be read again nobody knows which columns its marks are in.
                let protected = values.as_ref().is_none_or(|values| is_protected(values, mark));
                if protected {
                    return Verdict::Leak;
                }
                verdict = Verdict::Unprotected;
            }
        }
        verdict
    }

    /// The row's values with what happens to them; none where it cannot be read.
    fn values(&self, row: &[u8]) -> Option<Vec<(Role, Vec<u8>)>> {
        let mut scratch = Vec::new();
        match &self.policy.format {
            Format::Csv(csv) => {
                let mut cells = Vec::new();
                csv::split(csv.dialect, row, &mut cells).ok()?;
                let fields = fields_of(self.policy, csv, &self.prefix, row, cells.len());
                let value = |cell| csv::value(csv.dialect, row, cell, &mut scratch).to_vec();
                let values: Vec<_> = cells.into_iter().map(value).collect();
                Some(
                    fields
                        .into_iter()
                        .map(|field| self.role(field))
                        .zip(values)
                        .collect(),
                )
            }
            Format::Json { paths, .. } => {
                let mut members = Vec::new();
                // A bracket around it, or a letter in front, is no part of the record.
                let (first, last) = (memchr::memchr(b'{', row)?, memchr::memrchr(b'}', row)?);
                let row = row.get(first..=last)?;
                Scanner::new().scan(row, paths, &mut members).ok()?;
                let value = |member: &json::Member| {
                    let token = &row[member.value()];
                    let container = matches!(token.first(), Some(b'{' | b'['));
                    let role = match self.role(member.path.map(PathId::index)) {
                        Role::Public if container => Role::Dropped,
                        role => role,
                    };
                    let value = if container {
                        without_escapes(token)
                    } else {
                        unescaped(token)
                    };
                    (role, value)
                };
                Some(members.iter().map(value).collect())
            }
        }
    }

    fn role(&self, field: Option<usize>) -> Role {
        let Some(field) = field else { return Role::Dropped };
        match &self.policy.fields[field].action {
            Action::Keep | Action::Coarsen { .. } => Role::Public,
            Action::Restrict => Role::Restricted,
            Action::Drop => Role::Dropped,
            Action::Pseudonymise(how) => match how.kind {
                Kind::Phone => Role::Phone,
                Kind::Imsi | Kind::Imei => Role::Equipment,
                Kind::Account | Kind::Text => Role::Named,
                Kind::Call | Kind::Ip => Role::Joined,
            },
        }
    }

    /// The public values that are searched: not tokens and labels, not the record's id, not the time.
    fn searched(&self, public: &[u8]) -> Vec<Vec<u8>> {
        let mut texts = match &self.policy.format {
            _ if is_token(public) => Vec::new(),
            Format::Csv(csv) => self.searched_columns(csv, public),
            Format::Json { paths, .. } => {
                let mut members = Vec::new();
                match Scanner::new().scan(public, paths, &mut members) {
                    Ok(()) => members
                        .iter()
                        .filter(|member| member.path.is_none_or(|path| !self.is_time(path.index())))
                        .map(|member| unescaped(&public[member.value()]))
                        .collect(),
                    Err(_) => vec![public.to_vec()],
                }
            }
        };
        texts.retain(|text| !is_token(text) && !text.starts_with(RECORD_ID));
        texts
    }

    fn searched_columns(&self, csv: &Csv, public: &[u8]) -> Vec<Vec<u8>> {
        let mut cells = Vec::new();
        if csv::split(csv.dialect, public, &mut cells).is_err() {
            return vec![public.to_vec()];
        }
        // What comes out has the policy's columns, whatever order came in.
        let fields = match &csv.layout {
            cdrveil::cdr::policy::Layout::Named { .. } => (0..self.policy.fields.len()).map(Some).collect(),
            _ => fields_of(self.policy, csv, &self.prefix, public, cells.len()),
        };
        let mut texts = Vec::new();
        for (column, cell) in cells.into_iter().enumerate() {
            let field = fields.get(column).copied().flatten();
            if field.is_some_and(|field| self.is_time(field)) {
                continue;
            }
            // A consumer reads the value; who looks at the bytes sees them.
            texts.push(csv::value(csv.dialect, public, cell, &mut Vec::new()).to_vec());
            texts.push(public[cell.range()].to_vec());
        }
        texts
    }

    fn is_time(&self, field: usize) -> bool {
        self.policy.is_read_as_time(field)
    }
}

/// A token, or a label.
fn is_token(text: &[u8]) -> bool {
    let epoch = text.starts_with(b"2025-11.") || text.starts_with(b"2025-10.");
    text.starts_with(b"_") || (epoch && text.len() == 34)
}

/// Whether one of the values makes the mark an identifier of the record. A word that also stands in a column that is
/// kept is the policy's own doing.
fn is_protected(values: &[(Role, Vec<u8>)], mark: &Mark) -> bool {
    let word = |value: &[u8]| mark.what == What::Word && memchr::memmem::find(value, mark.text()).is_some();
    let kept = values
        .iter()
        .any(|(role, value)| *role == Role::Public && word(value));
    !kept && values.iter().any(|(role, value)| protects(*role, value, mark))
}

/// Whether a value of this role makes the mark, which is in it, one of the record's identifiers.
fn protects(role: Role, value: &[u8], mark: &Mark) -> bool {
    if mark.what == What::Word {
        return role != Role::Public && memchr::memmem::find(value, mark.text()).is_some();
    }
    let mut forms = Vec::new();
    readings(value, &mut forms);
    let whole = is_whole(value, mark);
    let written = forms
        .iter()
        .any(|form| runs(form).iter().any(|run| is_number(&run.digits, mark)));
    let plus = mark.what == What::Phone && forms.iter().any(|form| has_plus(form, mark));
    let trimmed = value.trim_ascii();
    match role {
        Role::Public | Role::Joined => false,
        Role::Phone => mark.what == What::Phone && written,
        Role::Equipment => mark.what == What::Digits && whole,
        Role::Named => whole || plus,
        Role::Restricted => (whole && !is_time(value)) || plus,
        Role::Dropped => {
            let plain = trimmed.starts_with(b"+")
                || matches!(trimmed, [b'0', b'0'..=b'9', ..])
                || matches!(mark.text().len(), 14 | 15) && mark.what == What::Digits;
            (whole && plain && !is_time(value)) || plus
        }
    }
}

/// Digits and separators from end to end, and the mark's.
fn is_whole(value: &[u8], mark: &Mark) -> bool {
    let runs = runs(value);
    let plain = value
        .trim_ascii()
        .iter()
        .all(|byte| byte.is_ascii_digit() || is_separator(*byte));
    plain && runs.len() == 1 && is_number(&runs[0].digits, mark)
}

/// Seconds, milliseconds or microseconds since 1970, with a fraction or without. Marks begin as no date does.
fn is_time(value: &[u8]) -> bool {
    let runs = runs(value);
    let Some(run) = runs.first().filter(|_| !value.trim_ascii().starts_with(b"+")) else {
        return false;
    };
    let group = run.begins.iter().skip(1).position(|begins| *begins);
    run.digits[0] == b'1' && matches!(group.map_or(run.digits.len(), |at| at + 1), 10 | 13 | 16)
}

/// The mark with what people and switches write in front of it.
fn is_number(digits: &[u8], mark: &Mark) -> bool {
    let own = mark.national();
    let Some(front) = digits.strip_suffix(own) else {
        return false;
    };
    match mark.what {
        What::Phone => {
            let code = &mark.text()[..mark.text().len() - own.len()];
            let fronts: [&[u8]; 2] = [b"", b"00"];
            front.is_empty()
                || front == b"0"
                || fronts
                    .iter()
                    .any(|zeros| front.strip_prefix(*zeros) == Some(code))
                || front.strip_suffix(b"0") == Some(code)
        }
        What::Digits | What::Word => front.is_empty(),
    }
}

/// The number with its `+` somewhere, and nothing else right behind it.
fn has_plus(value: &[u8], mark: &Mark) -> bool {
    let mut places = memchr::memchr_iter(b'+', value);
    places.any(|at| {
        let rest = &value[at + 1..];
        let behind = rest.strip_prefix(mark.text());
        behind.is_some_and(|rest| {
            rest.first()
                .is_none_or(|byte| !byte.is_ascii_digit() && !is_separator(*byte))
        })
    })
}

/// Whether one of the text's readings shows the mark.
pub fn shows(text: &[u8], mark: &Mark) -> bool {
    if mark.what == What::Word {
        return memchr::memmem::find(text, mark.text()).is_some();
    }
    let mut forms = Vec::new();
    readings(text, &mut forms);
    forms.iter().any(|form| {
        let runs = runs(form);
        let copied = |digits: &[u8]| runs.iter().any(|run| run.copies(digits) && !run.is_date());
        copied(mark.national()) || copied(mark.text())
    })
}

/// ASCII digits that only separators part.
struct Run {
    digits: Vec<u8>,
    /// By digit: whether a separator, or nothing, stands before it.
    begins: Vec<bool>,
}

fn is_separator(byte: u8) -> bool {
    matches!(byte, b' ' | b'.' | b'-' | b'(' | b')' | b'/' | b'+') || byte >= 0x80
}

fn runs(text: &[u8]) -> Vec<Run> {
    let mut runs = Vec::new();
    let mut run: Option<Run> = None;
    let mut parted = true;
    for &byte in text {
        if byte.is_ascii_digit() {
            let run = run.get_or_insert_with(|| Run {
                digits: Vec::new(),
                begins: Vec::new(),
            });
            run.begins.push(parted || run.digits.is_empty());
            run.digits.push(byte);
            parted = false;
        } else if is_separator(byte) {
            parted = true;
        } else {
            runs.extend(run.take());
        }
    }
    runs.extend(run);
    runs
}

impl Run {
    /// `2026-11-05 09`, `05/11/2026`: a day, with or without more behind it.
    fn is_date(&self) -> bool {
        let starts: Vec<usize> = (0..self.digits.len()).filter(|&at| self.begins[at]).collect();
        let group = |nth: usize| {
            let end = starts.get(nth + 1).copied().unwrap_or(self.digits.len());
            std::str::from_utf8(&self.digits[*starts.get(nth)?..end]).ok()
        };
        let (Some(a), Some(b), Some(c)) = (group(0), group(1), group(2)) else {
            return false;
        };
        let year = if a.len() == 4 { a } else { c };
        let lengths = [a.len(), b.len(), c.len()];
        (lengths == [4, 2, 2] || lengths == [2, 2, 4]) && (1970..2070).contains(&year.parse().unwrap_or(0))
    }

    /// The identifier whole, within whatever; or without up to two digits at an end, where it ends there.
    fn copies(&self, identifier: &[u8]) -> bool {
        let cut = |left: usize, right: usize| identifier.get(left..identifier.len().checked_sub(right)?);
        let cuts = (0..=2).flat_map(|left| (0..=2).map(move |right| (left, right)));
        cuts.filter_map(|(left, right)| Some((left, right, cut(left, right).filter(|part| part.len() >= 7)?)))
            .any(|(left, right, part)| {
                (0..self.digits.len().saturating_sub(part.len() - 1)).any(|at| {
                    let end = at + part.len();
                    self.digits[at..end] == *part
                        && (left == 0 || self.begins[at])
                        && (right == 0 || self.begins.get(end).is_none_or(|begins| *begins))
                        && !(left + right > 0
                            && part.len() == 8
                            && (part.starts_with(b"19") || part.starts_with(b"20")))
                })
            })
    }
}

/// Every seven digits in a row of the marks: most public values share none.
struct Sevens {
    /// By their lowest bits.
    bits: [u64; 64],
    all: Vec<usize>,
}

impl Sevens {
    fn of(marks: &[Mark]) -> Self {
        let mut sevens = Self {
            bits: [0; 64],
            all: Vec::with_capacity(128),
        };
        for mark in marks.iter().filter(|mark| mark.what != What::Word) {
            for seven in mark.text().windows(7) {
                let value = seven.iter().copied().fold(0, next_seven);
                sevens.bits[value % 4096 / 64] |= 1 << (value % 64);
                sevens.all.push(value);
            }
        }
        sevens
    }

    /// Whether one of them stands in the text, whatever separates its digits.
    fn stand_in(&self, text: &[u8]) -> bool {
        let (mut value, mut count) = (0, 0);
        for byte in text {
            if byte.is_ascii_digit() {
                value = next_seven(value, *byte);
                count += 1;
                let maybe = count >= 7 && self.bits[value % 4096 / 64] >> (value % 64) & 1 == 1;
                if maybe && self.all.contains(&value) {
                    return true;
                }
            } else if !is_separator(*byte) {
                count = 0;
            }
        }
        false
    }
}

/// The last seven digits as a number.
fn next_seven(value: usize, digit: u8) -> usize {
    (value * 10 + usize::from(digit - b'0')) % 10_000_000
}

/// The text as it is, and with percent signs decoded, over and over.
fn readings(text: &[u8], into: &mut Vec<Vec<u8>>) {
    into.clear();
    into.push(text.to_vec());
    let mut at = 0;
    let mut decodings = 0;
    while at < into.len() && decodings < 3 {
        if into[at].contains(&b'%') {
            let decoded = percent_decoded(&into[at]);
            if decoded != into[at] {
                into.push(decoded);
                decodings += 1;
            }
        }
        at += 1;
    }
}

fn percent_decoded(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let hex = |place: usize| char::from(*text.get(place)?).to_digit(16);
        match (text[at], hex(at + 1), hex(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                at += 3;
            }
            (byte, ..) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    out
}

/// `\u0037` and `\7` are the digit.
fn without_escapes(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut at = 0;
    while at < text.len() {
        if text[at] != b'\\' {
            out.push(text[at]);
            at += 1;
        } else if text.get(at + 1) == Some(&b'u')
            && let Some(code) = text
                .get(at + 2..at + 6)
                .and_then(|hex| std::str::from_utf8(hex).ok())
            && let Ok(code) = u32::from_str_radix(code, 16)
        {
            let letter = char::from_u32(code).unwrap_or('?');
            out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
            at += 6;
        } else {
            at += 1;
        }
    }
    out
}

/// What a JSON token says: a string's text, anything else as it stands.
fn unescaped(token: &[u8]) -> Vec<u8> {
    match serde_json::from_slice::<String>(token) {
        Ok(text) => text.into_bytes(),
        Err(_) => token.to_vec(),
    }
}
