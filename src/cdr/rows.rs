//! A payload or a file, cut into records: header and comment rows set aside.
//!
//! Every byte that is not a blank line belongs to exactly one piece, so that
//! nothing is lost: what cannot be cut is one rejected piece.

use std::ops::Range;

use crate::cdr::csv::{self, End, Field};
use crate::cdr::json::{self, Documents};
use crate::cdr::policy::{Format, Header, Policy};
use crate::cdr::{Reason, Skip};

/// Bytes a UTF-8 byte order mark has.
const BYTE_ORDER_MARK: usize = 3;

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
    /// Where records begin is no longer known: what follows, in later chunks too, is rejected.
    lost: Option<Reason>,
    documents: Documents,
    fields: Vec<Field>,
    scratch: Vec<u8>,
}

impl Cursor {
    /// Starts again, on a new payload.
    pub fn restart(&mut self) {
        self.at = 0;
        self.begun = false;
        self.past_header = false;
        self.lost = None;
        self.documents = Documents::new();
    }

    /// Where the next piece begins.
    pub fn position(&self) -> usize {
        self.at
    }

    /// Tells the cursor that the first `bytes` of the buffer are gone.
    pub fn consumed(&mut self, bytes: usize) {
        self.at -= bytes;
    }

    /// The next piece of the buffer.
    pub fn next(&mut self, policy: &Policy, buffer: &[u8], end: End) -> Piece {
        if let Some(reason) = self.lost {
            return if self.at < buffer.len() {
                self.rest(buffer, reason)
            } else {
                Piece::Done
            };
        }
        match &policy.format {
            Format::Csv { dialect, header } => self.next_row(policy, *dialect, *header, buffer, end),
            Format::Json { .. } => self.next_object(buffer, end),
        }
    }

    fn next_row(
        &mut self,
        policy: &Policy,
        dialect: csv::Dialect,
        header: Header,
        buffer: &[u8],
        end: End,
    ) -> Piece {
        if !self.begun && (buffer.len() >= BYTE_ORDER_MARK || end == End::Final) {
            self.at = csv::after_byte_order_mark(buffer);
            self.begun = true;
        }
        if !self.begun {
            return Piece::Incomplete;
        }
        loop {
            match csv::next_row(dialect, buffer, self.at, end) {
                csv::Step::Row { row, next } => {
                    self.at = next;
                    if self.past_header || header == Header::None {
                        return Piece::Record(row);
                    }
                    self.past_header = true;
                    if header == Header::Check
                        && !self.names_the_columns(policy, dialect, &buffer[row.clone()])
                    {
                        self.at = buffer.len();
                        return Piece::Rejected(row.start..buffer.len(), Reason::Columns);
                    }
                    return Piece::Skipped(Skip::Header);
                }
                csv::Step::Blank { next } => self.at = next,
                csv::Step::Comment { next } => {
                    self.at = next;
                    return Piece::Skipped(Skip::Comment);
                }
                csv::Step::Incomplete => return Piece::Incomplete,
                csv::Step::Unterminated => return self.rest(buffer, Reason::Format),
                csv::Step::Done => return Piece::Done,
            }
        }
    }

    fn names_the_columns(&mut self, policy: &Policy, dialect: csv::Dialect, row: &[u8]) -> bool {
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

    fn next_object(&mut self, buffer: &[u8], end: End) -> Piece {
        match self.documents.step(buffer, self.at, end) {
            json::Step::Record { record, next } => {
                self.at = next;
                Piece::Record(record)
            }
            json::Step::Incomplete => Piece::Incomplete,
            json::Step::Malformed { .. } => self.rest(buffer, Reason::Format),
            json::Step::Done => Piece::Done,
        }
    }

    fn rest(&mut self, buffer: &[u8], reason: Reason) -> Piece {
        self.lost = Some(reason);
        let start = std::mem::replace(&mut self.at, buffer.len());
        Piece::Rejected(start..buffer.len(), reason)
    }
}

#[cfg(test)]
mod tests;
