//! Rows of a small CSV file: commas, quotes as RFC 4180 has them, `#` comments, blank lines skipped.

use zeroize::Zeroizing;

use crate::cdr::csv::{self, Dialect, End, Field, Step};
use crate::deckstore::Text;
use crate::settings::Fault;

const DIALECT: Dialect = Dialect {
    delimiter: b',',
    quote: Some(b'"'),
    comment: Some(b'#'),
};

/// The most faults told of one file: the first ones are enough to see what is wrong.
const MOST_FAULTS: usize = 20;

/// The rows of one file, one after the other.
pub(super) struct Table<'a> {
    file: &'a Text,
    next: usize,
    /// Where the row at hand begins.
    start: usize,
    row: &'a [u8],
    cells: Vec<Field>,
    /// Wiped: a list holds numbers.
    scratch: Zeroizing<Vec<u8>>,
    faults: Vec<Fault>,
    /// Faults that are not told.
    more: usize,
}

impl<'a> Table<'a> {
    pub(super) fn new(file: &'a Text) -> Self {
        Self {
            file,
            next: csv::after_byte_order_mark(file.text.as_bytes()),
            start: 0,
            row: b"",
            cells: Vec::new(),
            scratch: Zeroizing::default(),
            faults: Vec::new(),
            more: 0,
        }
    }

    /// Goes to the next row; `false` at the end.
    pub(super) fn advance(&mut self) -> bool {
        let bytes = self.file.text.as_bytes();
        loop {
            self.start = self.next;
            match csv::next_row(DIALECT, bytes, self.next, End::Final) {
                Step::Blank { next } | Step::Comment { next } => self.next = next,
                Step::Row { row, next } => {
                    self.next = next;
                    self.row = &bytes[row];
                    match csv::split(DIALECT, self.row, &mut self.cells) {
                        Ok(()) => return true,
                        Err(error) => self.fault_at_row(error.to_string()),
                    }
                }
                Step::Unterminated => {
                    self.fault_at_row("a quoted field has no closing quote");
                    self.next = bytes.len();
                    return false;
                }
                Step::Incomplete | Step::Done => return false,
            }
        }
    }

    /// How many cells the row has.
    pub(super) fn width(&self) -> usize {
        self.cells.len()
    }

    /// Where the row begins in the text.
    pub(super) fn start(&self) -> usize {
        self.start
    }

    /// A cell's value without blanks around it; blank where the row is too short.
    pub(super) fn cell(&mut self, column: usize) -> &str {
        let Some(&field) = self.cells.get(column) else {
            return "";
        };
        let value = csv::value(DIALECT, self.row, field, &mut self.scratch);
        // Cut at ASCII bytes, text stays text.
        std::str::from_utf8(value).unwrap_or_default().trim()
    }

    pub(super) fn fault_at(&mut self, column: usize, message: impl Into<String>) {
        let offset = self.cells.get(column).map_or(0, |cell| cell.range().start);
        self.fault(self.start + offset, message);
    }

    pub(super) fn fault_at_row(&mut self, message: impl Into<String>) {
        self.fault(self.start, message);
    }

    pub(super) fn fault(&mut self, at: usize, message: impl Into<String>) {
        if self.faults.len() < MOST_FAULTS {
            self.faults.push(self.file.fault(at, message));
        } else {
            self.more += 1;
        }
    }

    /// `value`, if there was no fault.
    pub(super) fn finish<T>(mut self, value: T) -> Result<T, Vec<Fault>> {
        if self.more > 0 {
            let message = format!("{} more faults like these", self.more);
            self.faults.push(Fault::whole(self.file.path(), message));
        }
        if self.faults.is_empty() {
            Ok(value)
        } else {
            Err(self.faults)
        }
    }

    /// Whether something was wrong so far.
    pub(super) fn is_faulty(&self) -> bool {
        !self.faults.is_empty()
    }
}
