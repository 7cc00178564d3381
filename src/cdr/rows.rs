//! A payload or a file, cut into records: header and comment rows set aside.
//!
//! Every byte that is not a blank line belongs to exactly one piece, so that
//! nothing is lost. What cannot be cut is a rejected piece up to the next line
//! at which a record can begin, so that one fault does not cost what follows.

mod wrapped;

use std::ops::{Range, RangeInclusive};

use memchr::{memchr_iter, memchr2, memmem};

use crate::cdr::csv::{self, Dialect, End, Field};
use crate::cdr::header::HeaderMap;
use crate::cdr::json::{self, Documents};
use crate::cdr::policy::{Csv, Format, Header, Layout, Marker, Policy, Wrapper};
use crate::cdr::rows::wrapped::Wrapped;
use crate::cdr::{Reason, Skip};

/// Bytes a UTF-8 byte order mark has.
const BYTE_ORDER_MARK: usize = 3;
/// How far beyond the largest record a file is searched for the end of one that stands open.
const SLACK: usize = 1 << 20;

/// One piece of the buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// A record to transform.
    Record(Range<usize>),
    /// A row that is no record.
    Skipped(Skip),
    /// Bytes that are no record of this format.
    Rejected(Range<usize>, Reason),
    /// The rest of the buffer may be the start of a record: read more.
    Incomplete,
    /// Nothing is left.
    Done,
}

/// Walks through one payload or file.
#[derive(Debug, Default)]
pub struct Cursor {
    at: usize,
    /// The byte order mark, if any, is behind us: only the first bytes of all can be one.
    begun: bool,
    past_header: bool,
    /// The header row names other columns: no row behind it can be read.
    misnamed: Option<Reason>,
    /// Where records begin is no longer known: what comes up to the next such place, in later chunks too, is rejected.
    lost: Option<Reason>,
    documents: Documents,
    wrapped: Wrapped,
    /// What the header row says, where the policy asks it.
    names: HeaderMap,
    fields: Vec<Field>,
    scratch: Vec<u8>,
}

impl Cursor {
    /// Starts again, on a new payload.
    pub fn restart(&mut self) {
        self.at = 0;
        self.begun = false;
        self.past_header = false;
        self.misnamed = None;
        self.lost = None;
        self.documents = Documents::new();
        self.wrapped.clear();
    }

    /// Where the next piece begins.
    pub fn position(&self) -> usize {
        self.at
    }

    /// What the header row said that the records at hand stand under.
    pub fn header(&self) -> &HeaderMap {
        &self.names
    }

    /// Whether no header row was read yet that names the policy's columns, where one must: what is refused
    /// meanwhile is no record.
    pub fn wants_header(&self) -> bool {
        !self.past_header || self.misnamed.is_some()
    }

    /// Tells the cursor that the first `bytes` of the buffer are gone.
    pub fn consumed(&mut self, bytes: usize) {
        self.at -= bytes;
        self.wrapped.consumed(bytes);
    }

    /// The next piece of the buffer.
    pub fn next(&mut self, policy: &Policy, buffer: &[u8], end: End) -> Piece {
        let piece = match (&policy.format, self.lost) {
            (format, Some(reason)) => return self.skip(format, buffer, end, reason),
            (Format::Csv(csv), None) => self.next_row(policy, csv, buffer, end),
            (Format::Json { records, .. }, None) => self.next_object(policy, records.as_ref(), buffer, end),
        };
        let open = &buffer[self.at..];
        if piece == Piece::Incomplete && open.len() > policy.max_record + SLACK {
            let reason = match memchr2(b'\n', b'\r', open) {
                Some(_) => Reason::Format, // a quote or a bracket stands open
                None => Reason::TooLarge,
            };
            return self.skip(&policy.format, buffer, end, reason);
        }
        piece
    }

    fn next_row(&mut self, policy: &Policy, csv: &Csv, buffer: &[u8], end: End) -> Piece {
        if !self.begun && (buffer.len() >= BYTE_ORDER_MARK || end == End::Final) {
            self.at = csv::after_byte_order_mark(buffer);
            self.begun = true;
        }
        if !self.begun {
            return Piece::Incomplete;
        }
        loop {
            match csv::next_row(csv.dialect, buffer, self.at, end) {
                csv::Step::Row { row, next } => {
                    if let Some(reason) = self.holds_rows(policy, csv, &buffer[row.clone()]) {
                        return self.skip(&policy.format, buffer, end, reason);
                    }
                    self.at = next;
                    return self.whole_row(policy, csv, buffer, row);
                }
                csv::Step::Blank { next } => self.at = next,
                csv::Step::Comment { next } => {
                    self.at = next;
                    return Piece::Skipped(Skip::Comment);
                }
                csv::Step::Incomplete => return Piece::Incomplete,
                csv::Step::Unterminated => return self.skip(&policy.format, buffer, end, Reason::Format),
                csv::Step::Done => return Piece::Done,
            }
        }
    }

    fn whole_row(&mut self, policy: &Policy, csv: &Csv, buffer: &[u8], row: Range<usize>) -> Piece {
        if !csv.markers.is_empty() && self.is_marker(csv, &buffer[row.clone()]) {
            return Piece::Skipped(Skip::Marker);
        }
        let is_header = !self.past_header && csv.header != Header::None;
        self.past_header = true;
        if is_header {
            self.misnamed = self.misnames(policy, csv, &buffer[row.clone()]);
        }
        match (self.misnamed, is_header) {
            (Some(reason), _) => Piece::Rejected(row, reason),
            (None, true) => Piece::Skipped(Skip::Header),
            (None, false) => Piece::Record(row),
        }
    }

    /// Whether the row is one that the policy knows as no record.
    fn is_marker(&mut self, csv: &Csv, row: &[u8]) -> bool {
        let by_prefix = |marker: &Marker| matches!(marker, Marker::Prefix(prefix) if row.starts_with(prefix));
        if csv.markers.iter().any(by_prefix) {
            return true;
        }
        if csv::split(csv.dialect, row, &mut self.fields).is_err() {
            return false;
        }
        csv.markers.iter().any(|marker| {
            let (column, values) = match marker {
                Marker::Prefix(_) => return false,
                Marker::Column(when) => (Some(when.column), &when.values),
                Marker::Field { field, values } => {
                    let named = || self.names.columns().get(*field).copied().flatten();
                    (self.past_header.then(named).flatten(), values)
                }
            };
            let Some(cell) = column.and_then(|column| self.fields.get(column)) else {
                return false;
            };
            let value = csv::value(csv.dialect, row, *cell, &mut self.scratch).trim_ascii();
            values.iter().any(|known| known == value)
        })
    }

    /// Why no row under this header row can be read.
    fn misnames(&mut self, policy: &Policy, csv: &Csv, row: &[u8]) -> Option<Reason> {
        match (csv.header, &csv.layout) {
            (Header::Check, _) => {
                (!self.names_the_columns(policy, csv.dialect, row)).then_some(Reason::Columns)
            }
            (Header::Name, Layout::Named { optional, unlisted }) => self
                .names
                .read(csv.dialect, row, &policy.fields, optional, *unlisted)
                .err(),
            (Header::None | Header::Skip | Header::Name, _) => None,
        }
    }

    /// Why a row of several lines is no row of its own: a stray quote swallowed others, and a closing one far below
    /// made a field of them. Passed on, it would be calls in clear in one field.
    fn holds_rows(&mut self, policy: &Policy, csv: &Csv, row: &[u8]) -> Option<Reason> {
        memchr2(b'\n', b'\r', row)?;
        let columns = match csv.layout {
            Layout::Named { .. } if self.past_header => self.names.width()..=self.names.width(),
            _ => csv.layout.columns(policy.fields.len()),
        };
        if csv::split(csv.dialect, row, &mut self.fields).is_err() {
            return Some(Reason::Format);
        }
        if !columns.contains(&self.fields.len()) {
            return Some(Reason::Columns);
        }
        let swallowed = |(at, field): (usize, &Field)| {
            swallows_rows(&row[field.range()], at, &columns, csv.dialect.delimiter)
        };
        self.fields
            .iter()
            .enumerate()
            .any(swallowed)
            .then_some(Reason::Format)
    }

    fn names_the_columns(&mut self, policy: &Policy, dialect: Dialect, row: &[u8]) -> bool {
        let split = csv::split(dialect, row, &mut self.fields).is_ok();
        let names = policy.fields.iter().map(|field| field.name.as_bytes());
        split
            && self.fields.len() == policy.fields.len()
            && self
                .fields
                .iter()
                .zip(names)
                .all(|(field, name)| csv::value(dialect, row, *field, &mut self.scratch) == name)
    }

    fn next_object(&mut self, policy: &Policy, records: Option<&Wrapper>, buffer: &[u8], end: End) -> Piece {
        if let Some(piece) = self.wrapped.next(buffer, &mut self.at) {
            return piece;
        }
        match self.documents.step(buffer, self.at, end) {
            json::Step::Record { record, next } => {
                self.at = next;
                match records {
                    None => Piece::Record(record),
                    Some(wrapper) => self.wrapped.open(wrapper, buffer, record, &mut self.at),
                }
            }
            json::Step::Incomplete => Piece::Incomplete,
            json::Step::Malformed { .. } => {
                // Else the line break in front of it would be taken for that of the next line.
                self.at = buffer.len() - buffer[self.at..].trim_ascii_start().len();
                self.skip(&policy.format, buffer, end, Reason::Format)
            }
            json::Step::Done => Piece::Done,
        }
    }

    /// Rejects what comes before the next place at which a record can begin; without one, all there is.
    fn skip(&mut self, format: &Format, buffer: &[u8], end: End, reason: Reason) -> Piece {
        let start = self.at;
        let found = match format {
            Format::Csv(_) => csv::next_line(buffer, start, end),
            Format::Json { .. } => next_object_line(buffer, start),
        };
        if let Some((stop, next)) = found {
            (self.at, self.lost) = (next, None);
            self.documents.resume();
            return Piece::Rejected(start..stop, reason);
        }
        if buffer[start..].trim_ascii().is_empty() {
            return match end {
                End::More => Piece::Incomplete,
                End::Final => Piece::Done,
            };
        }
        // A line break at the end may be the first half of what is looked for.
        let held = usize::from(end == End::More && matches!(buffer.last(), Some(b'\r' | b'\n')));
        let stop = buffer.len() - held;
        (self.at, self.lost) = (stop, Some(reason));
        Piece::Rejected(start..stop, reason)
    }
}

/// The next line that begins with `{`: where what stands before it ends, and where it begins. An object within
/// another one is indented, where it has a line of its own.
fn next_object_line(buffer: &[u8], from: usize) -> Option<(usize, usize)> {
    let at = from + memmem::find(&buffer[from..], b"\n{")?;
    Some((at, at + 1))
}

/// Whether the field at `at` holds the end of its row, whole rows, and the beginning of the last one's: together
/// as many delimiters as make the row seem complete.
fn swallows_rows(field: &[u8], at: usize, columns: &RangeInclusive<usize>, delimiter: u8) -> bool {
    let mut lines = field.split(|byte| matches!(byte, b'\r' | b'\n'));
    let delimiters = |line: &[u8]| memchr_iter(delimiter, line).count();
    let (Some(first), Some(last)) = (lines.next(), lines.next_back()) else {
        return false;
    };
    columns.contains(&(delimiters(first) + 1 + at))
        && delimiters(last) == at
        && lines.all(|line| line.is_empty() || columns.contains(&(delimiters(line) + 1)))
}

#[cfg(test)]
mod tests;
