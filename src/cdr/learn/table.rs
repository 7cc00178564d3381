//! The shape of a CSV sample: delimiter, quotes, comments, columns, header row.

use std::collections::{BTreeMap, HashSet};

use crate::cdr::csv::{self, Dialect, End, Step};
use crate::cdr::learn::draft::{Line, quoted};
use crate::cdr::learn::{LearnError, Sample, names};

/// Rows that the shape is taken from.
const ROWS: usize = 500;
/// Most columns that are proposed.
const MOST_COLUMNS: usize = 1_000;

/// What the rows have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) dialect: Dialect,
    /// The most columns of a row that counts.
    pub(super) columns: usize,
    /// The fewest.
    pub(super) least: usize,
    /// Whether the first row is a header row.
    pub(super) header: bool,
    /// Names of columns, where the header row has one that may be shown.
    pub(super) names: Vec<Option<String>>,
    /// `markers = [..]`, for title rows above the header row.
    pub(super) titles: Option<Line>,
}

impl Table {
    /// Whether rows can be read by the names of the header row.
    pub(super) fn is_named(&self) -> bool {
        let known: HashSet<_> = self.names.iter().flatten().collect();
        self.header && known.len() == self.columns && self.least == self.columns
    }
}

/// The shape that fits best.
///
/// # Errors
///
/// Rows without columns: what it may be instead.
pub(super) fn table(sample: &Sample<'_>) -> Result<Table, LearnError> {
    let start = sample.bytes.trim_ascii_start();
    if start.starts_with(b"<") {
        return Err(LearnError::new(
            1,
            "this is XML (or HTML), which cdrveil does not read: convert it to CSV or JSON, one record a row",
        ));
    }
    let mut best: Option<(f64, Dialect, Rows)> = None;
    for dialect in dialects(sample.bytes) {
        let rows = rows(dialect, sample);
        let score = rows.score();
        if best.as_ref().is_none_or(|(known, ..)| score > *known + 1e-9) {
            best = Some((score, dialect, rows));
        }
    }
    let Some((_, dialect, mut rows)) = best.filter(|(score, ..)| *score > 0.0) else {
        return Err(LearnError::new(
            1,
            "no delimiter (, ; | or a tab) cuts its rows into columns: fixed-width files have to be converted, and a file needs at least two columns",
        ));
    };
    let (least, columns) = rows.columns();
    if columns > MOST_COLUMNS {
        return Err(LearnError::new(
            1,
            format!("{columns} columns are more than a draft is made for ({MOST_COLUMNS})"),
        ));
    }
    let titles = titles(sample.bytes);
    if let Some((_, above)) = &titles {
        rows.cells.drain(..(*above).min(rows.cells.len()));
    }
    let names = header(&rows.cells, columns);
    Ok(Table {
        dialect,
        columns,
        least,
        header: names.is_some(),
        titles: titles.map(|(line, _)| line),
        names: names.unwrap_or_else(|| vec![None; columns]),
    })
}

fn dialects(bytes: &[u8]) -> Vec<Dialect> {
    let comment = bytes
        .split(|&byte| byte == b'\n')
        .take(ROWS)
        .any(|line| line.starts_with(b"#"))
        .then_some(b'#');
    let first = csv::after_byte_order_mark(bytes);
    let single = bytes.get(first) == Some(&b'\'');
    let escaped = bytes.iter().take(1 << 20).any(|&byte| byte == b'\\');
    let mut found = Vec::new();
    for escape in [None, Some(b'\\')]
        .into_iter()
        .filter(|escape| escape.is_none() || escaped)
    {
        for quote in [Some(b'"'), Some(b'\''), None] {
            if quote == Some(b'\'') && !single {
                continue;
            }
            for delimiter in *b",;|\t" {
                found.push(Dialect {
                    delimiter,
                    quote,
                    comment,
                    escape,
                });
            }
        }
    }
    found
}

/// The first rows in one dialect.
#[derive(Default)]
struct Rows {
    cells: Vec<Vec<Vec<u8>>>,
    /// Rows that cannot be read.
    broken: usize,
}

fn rows(dialect: Dialect, sample: &Sample<'_>) -> Rows {
    let mut found = Rows::default();
    let (mut cells, mut scratch) = (Vec::new(), Vec::new());
    let mut at = csv::after_byte_order_mark(sample.bytes);
    while found.cells.len() < ROWS {
        match csv::next_row(dialect, sample.bytes, at, sample.end) {
            Step::Row { row, next } => {
                at = next;
                let row = &sample.bytes[row];
                if csv::split(dialect, row, &mut cells).is_err() {
                    found.broken += 1;
                    continue;
                }
                let text = |cell: &csv::Field, scratch: &mut Vec<u8>| {
                    csv::value(dialect, row, *cell, scratch).trim_ascii().to_vec()
                };
                found
                    .cells
                    .push(cells.iter().map(|cell| text(cell, &mut scratch)).collect());
            }
            Step::Blank { next } | Step::Comment { next } => at = next,
            Step::Unterminated => {
                found.broken += ROWS;
                break;
            }
            Step::Incomplete | Step::Done => break,
        }
    }
    if sample.end == End::Final || found.cells.len() == ROWS {
        return found;
    }
    // An open quote that runs to the end of a cut sample looks like a row that is not whole yet.
    found.broken += usize::from(found.cells.is_empty());
    found
}

impl Rows {
    /// By number of columns: rows.
    fn counts(&self) -> BTreeMap<usize, usize> {
        let mut counts = BTreeMap::new();
        for row in &self.cells {
            *counts.entry(row.len()).or_default() += 1;
        }
        counts
    }

    /// Many columns in all rows alike are a table; 0 for none.
    fn score(&self) -> f64 {
        let counts = self.counts();
        let Some((columns, rows)) = counts.iter().max_by_key(|(columns, rows)| (**rows, **columns)) else {
            return 0.0;
        };
        let share = *rows as f64 / (self.cells.len() + self.broken) as f64;
        // Quotes and escapes that were not taken as such stay in the cells.
        let left = |cell: &&Vec<u8>| cell.starts_with(b"\"") || cell.ends_with(b"\\");
        let littered = self.cells.iter().flatten().filter(left).count();
        let all: usize = self.cells.iter().map(Vec::len).sum();
        let clean = 1.0 - littered as f64 / all.max(1) as f64;
        share * share * clean * (*columns as f64).ln()
    }

    /// The fewest and the most columns of rows that are no strays.
    fn columns(&self) -> (usize, usize) {
        let counts = self.counts();
        let usual = counts.iter().max_by_key(|(columns, rows)| (**rows, **columns));
        let usual = usual.map_or(1, |(columns, _)| *columns);
        let counts_for = |(columns, rows): (&usize, &usize)| {
            let enough =
                *columns == usual || (*columns > 1 && columns * 2 >= usual && rows * 50 >= self.cells.len());
            enough.then_some(*columns)
        };
        let known: Vec<usize> = counts.iter().filter_map(counts_for).collect();
        (known[0], known[known.len() - 1])
    }
}

/// Words that titles begin with; any other may be a customer's name.
const TITLES: &str =
    "fcs cdr cdrs call calls report export standard version period billing title file generated created date";

/// `markers = [..]` for rows of a title above a header row: what they begin with, if it may be shown. And how many.
pub(super) fn titles(bytes: &[u8]) -> Option<(Line, usize)> {
    let lines: Vec<&[u8]> = bytes.split(|&byte| byte == b'\n').take(8).collect();
    let cells = |line: &[u8]| line.iter().filter(|byte| b",;|\t".contains(byte)).count();
    let most = lines.iter().map(|line| cells(line)).max()?;
    let header = lines.iter().position(|line| cells(line) * 2 > most)?;
    let prefix = |line: &&&[u8]| {
        let word = line.split(|byte| !byte.is_ascii_alphabetic()).next()?;
        let word = std::str::from_utf8(word).ok()?;
        TITLES
            .split(' ')
            .any(|known| known.eq_ignore_ascii_case(word))
            .then(|| word.to_owned())
    };
    let above: Vec<_> = lines[..header]
        .iter()
        .filter(|line| !line.trim_ascii().is_empty())
        .collect();
    let prefixes: Vec<String> = above.iter().filter_map(prefix).collect();
    if prefixes.is_empty() || prefixes.len() < above.len() {
        return None;
    }
    let list: Vec<String> = prefixes
        .iter()
        .map(|text| format!("{{ prefix = {} }}", quoted(text)))
        .collect();
    let comment = "Title rows above the header row, by what they begin with.";
    let line = Line::with(format!("markers = [{}]", list.join(", ")), comment);
    Some((line, above.len()))
}

/// The names of the first row, if it is a header row: no cell of it looks like a value, some column holds what
/// its own first cell does not look like, and no name comes again below it as a value.
fn header(rows: &[Vec<Vec<u8>>], columns: usize) -> Option<Vec<Option<String>>> {
    let (first, below) = rows.split_first()?;
    let text: Vec<String> = first
        .iter()
        .map(|cell| String::from_utf8_lossy(cell).into_owned())
        .collect();
    let named = text.iter().filter(|name| names::is_name(name)).count();
    let blank = text.iter().filter(|name| name.is_empty()).count();
    if first.len() < 2 || named < 2 || named + blank < first.len() || blank * 3 > first.len() {
        return None;
    }
    let data: Vec<_> = below.iter().filter(|row| *row != first).collect();
    let figures = |cell: &Vec<u8>| cell.iter().filter(|byte| byte.is_ascii_digit()).count() > 2;
    let differs = (0..first.len()).any(|at| {
        let filled: Vec<_> = data
            .iter()
            .filter_map(|row| row.get(at))
            .filter(|cell| !cell.is_empty())
            .collect();
        !filled.is_empty() && names::is_name(&text[at]) && filled.iter().all(|cell| figures(cell))
    });
    let repeats = (0..first.len())
        .any(|at| !first[at].is_empty() && data.iter().any(|row| row.get(at) == Some(&first[at])));
    let known_words = text
        .iter()
        .filter(|name| names::says(name) != names::Says::Nothing)
        .count();
    // Without rows below it nothing but the words themselves tells.
    let header = if data.is_empty() {
        known_words * 2 >= named
    } else {
        differs
    };
    if !header || repeats {
        return None;
    }
    let different: HashSet<&String> = text.iter().collect();
    if different.len() * 2 < text.len() {
        // A row of types, such as INTEGER and VARCHAR: no record, and no names.
        return Some(vec![None; columns]);
    }
    let mut taken = HashSet::new();
    let mut shown: Vec<Option<String>> = text
        .into_iter()
        .map(|name| (names::is_name(&name) && taken.insert(name.clone())).then_some(name))
        .collect();
    shown.resize(columns, None);
    Some(shown)
}
