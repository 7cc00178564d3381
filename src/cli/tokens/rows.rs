//! Rows of a CSV file with the line each begins at; one chunk and the longest row in memory.

use std::io::{self, Read};
use std::ops::Range;

use memchr::memchr2_iter;
use thiserror::Error;

use crate::cdr::csv::{self, Dialect, End, Step};
use crate::cli::progress::Progress;

/// How much is read at a time.
const CHUNK: usize = 1 << 20;
/// A longer row is a quote left open rather than a customer.
const LONGEST: usize = 1 << 20;

/// Why no further row can be read.
#[derive(Debug, Error)]
pub(super) enum Broken {
    /// The file itself.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Everything behind would be one field.
    #[error("{0}: a quote is left open or the row is longer than 1 MiB: nothing from here on can be read")]
    OpenQuote(u64),
}

/// A walk through a file, row by row.
pub(super) struct Rows<R> {
    input: R,
    dialect: Dialect,
    progress: Progress,
    buffer: Vec<u8>,
    at: usize,
    row: Range<usize>,
    end: End,
    /// The line that begins at `at`.
    line: u64,
}

impl<R: Read> Rows<R> {
    pub(super) fn new(input: R, dialect: Dialect, progress: Progress) -> Self {
        Self {
            input,
            dialect,
            progress,
            buffer: Vec::with_capacity(CHUNK),
            at: 0,
            row: 0..0,
            end: End::More,
            line: 0,
        }
    }

    /// The line at which the next row begins, from 1; `None` behind the last.
    pub(super) fn next(&mut self) -> Result<Option<u64>, Broken> {
        if self.line == 0 {
            self.fill()?;
            self.at = csv::after_byte_order_mark(&self.buffer);
            self.line = 1;
        }
        loop {
            match csv::next_row(self.dialect, &self.buffer, self.at, self.end) {
                Step::Row { row, next } => {
                    self.row = row;
                    self.progress.record();
                    return Ok(Some(self.pass(next)));
                }
                Step::Blank { next } | Step::Comment { next } => {
                    self.pass(next);
                }
                Step::Incomplete if self.buffer.len() - self.at <= LONGEST => self.fill()?,
                Step::Incomplete | Step::Unterminated => return Err(Broken::OpenQuote(self.line)),
                Step::Done => return Ok(None),
            }
        }
    }

    /// The bytes of that row, without its line ending.
    pub(super) fn row(&self) -> &[u8] {
        &self.buffer[self.row.clone()]
    }

    /// To be called before anything is said on a terminal.
    pub(super) fn clear_progress(&mut self) {
        self.progress.clear();
    }

    /// Moves on, and returns the line that began where we were.
    fn pass(&mut self, next: usize) -> u64 {
        let passed = &self.buffer[self.at..next];
        // CR and LF together are one break, and no row ends between them.
        let breaks = memchr2_iter(b'\n', b'\r', passed)
            .filter(|&at| passed[at] == b'\r' || at == 0 || passed[at - 1] != b'\r')
            .count();
        let line = self.line;
        self.line += breaks as u64;
        self.at = next;
        line
    }

    fn fill(&mut self) -> io::Result<()> {
        self.buffer.drain(..self.at);
        self.at = 0;
        let read = (&mut self.input)
            .take(CHUNK as u64)
            .read_to_end(&mut self.buffer)?;
        self.progress.read(read);
        if read == 0 {
            self.end = End::Final;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIALECT: Dialect = Dialect {
        delimiter: b',',
        quote: Some(b'"'),
        comment: None,
    };

    /// Rows as `line text`, then why it ended.
    fn rows(text: &str) -> Vec<String> {
        let mut rows = Rows::new(text.as_bytes(), DIALECT, Progress::new("", &[]));
        let mut found = Vec::new();
        loop {
            match rows.next() {
                Ok(Some(line)) => found.push(format!("{line} {}", String::from_utf8_lossy(rows.row()))),
                Ok(None) => return found,
                Err(error) => {
                    found.push(error.to_string()[..2].to_owned());
                    return found;
                }
            }
        }
    }

    #[test]
    fn rows_know_their_lines() {
        let cases: &[(&str, &[&str])] = &[
            ("", &[]),
            ("a\nb\n", &["1 a", "2 b"]),
            ("\u{feff}a\r\nb\r\n\r\nc", &["1 a", "2 b", "4 c"]),
            ("a\rb\rc", &["1 a", "2 b", "3 c"]),
            ("\"a\nb\r\nc\",d\ne\n", &["1 \"a\nb\r\nc\",d", "4 e"]),
            ("a\n\"b\nc\n", &["1 a", "2:"]),
        ];
        for (text, expected) in cases {
            assert_eq!(rows(text), *expected, "{text:?}");
        }
    }

    #[test]
    fn rows_across_chunks_and_rows_without_end() {
        let row = "x".repeat(1_000);
        let text = format!("{row}\n").repeat(3_000);
        let found = rows(&text);
        assert_eq!(found.len(), 3_000);
        assert_eq!(found[2_999], format!("3000 {row}"));
        let open = format!("a\n\"{}", "x".repeat(4 * LONGEST));
        assert_eq!(rows(&open), ["1 a", "2:"]);
    }
}
