//! CSV records: where a row ends, where its fields lie, what a field says.
//!
//! Bytes in, spans out: nothing here is UTF-8, nothing is copied unless a
//! field has to be unescaped, and bytes outside changed fields stay as they
//! came. The reading is `csv-core`'s (the oracle of the tests): LF, CRLF and a
//! lone CR end a row, line breaks inside quotes belong to it, and a quote opens a
//! quoted field only as the field's first byte (RFC 4180). Unlike `csv-core`, a
//! comment also ends at a lone CR, or it would swallow a CR-only file, an open
//! quote at the end is a fault, and so are bytes between a closing quote and the
//! delimiter unless all readers find the same end of the field (`is_damaged`).

mod escape;

use std::ops::Range;

use memchr::{memchr, memchr_iter, memchr2, memchr3};
use thiserror::Error;

use crate::bytes::{LANES, all, bits, holds_any, lanes};

/// Bytes that are looked at together for delimiters.
const BLOCK: usize = 64;

/// How a source writes CSV.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dialect {
    /// Stands between fields.
    pub delimiter: u8,
    /// Encloses fields; `None`: every byte is data.
    pub quote: Option<u8>,
    /// As a row's first byte: the line is not a record.
    pub comment: Option<u8>,
    /// Takes the meaning from the byte behind it, but for a line break outside of quotes.
    pub escape: Option<u8>,
}

impl Dialect {
    /// The dialect, if its bytes can be told apart.
    ///
    /// # Errors
    ///
    /// A byte with two meanings, or a line break as one of them.
    pub fn check(self) -> Result<Self, CsvError> {
        let bytes = [Some(self.delimiter), self.quote, self.comment, self.escape];
        let ambiguous = bytes.iter().enumerate().any(|(at, &byte)| {
            byte.is_some_and(|byte| matches!(byte, b'\r' | b'\n') || bytes[..at].contains(&Some(byte)))
        });
        if ambiguous {
            Err(CsvError::Ambiguous)
        } else {
            Ok(self)
        }
    }
}

/// Whether bytes may follow those in the buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The buffer holds the whole input: a Kafka message, the last piece of a file.
    Final,
    /// More bytes may come.
    More,
}

/// What stands at a place of the input; `next` is where to look afterwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A row.
    Row {
        /// Its bytes without the line ending.
        row: Range<usize>,
        /// Where the next row begins.
        next: usize,
    },
    /// An empty line.
    Blank {
        /// Where the next row begins.
        next: usize,
    },
    /// A comment line.
    Comment {
        /// Where the next row begins.
        next: usize,
    },
    /// The end of the row is not in the buffer: call again from the same place with more bytes.
    Incomplete,
    /// The input ends inside quotes: everything from the row's start on is unreadable.
    Unterminated,
    /// Nothing is left.
    Done,
}

/// Why a row cannot be read, or a value not be written. Shows no content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum CsvError {
    /// A quoted field that does not end.
    #[error("a quoted field has no closing quote")]
    OpenQuote,
    /// A quoted field that goes on behind its closing quote.
    #[error("bytes stand between a closing quote and the delimiter")]
    Damaged,
    /// A row over 4 GiB.
    #[error("the row is too long")]
    TooLong,
    /// A value that this dialect has no spelling for.
    #[error("the value needs quotes, and the dialect has none: set `quote`")]
    Unquotable,
    /// A value with fields inside that are not written as they are.
    #[error("quotes or escapes inside a value of several fields")]
    Escaped,
    /// See [`Dialect::check`].
    #[error("delimiter, quote, comment and escape must be different bytes, none of them a line break")]
    Ambiguous,
}

/// How a field is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quoting {
    /// The bytes are the value.
    Plain,
    /// The bytes between the quotes are the value.
    Quoted,
    /// The value has to be unescaped: there are quotes in it, doubled, escaped or neither.
    QuotedEscaped,
    /// The value has to be unescaped: the dialect's escape byte is in it.
    PlainEscaped,
}

/// Where a field lies in its row, quotes included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    start: u32,
    end: u32,
    quoting: Quoting,
}

impl Field {
    /// A field that its row does not have: blank.
    pub const ABSENT: Self = Self {
        start: 0,
        end: 0,
        quoting: Quoting::Plain,
    };

    /// The span in the row, quotes included.
    pub fn range(&self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    /// How it is written.
    pub fn quoting(&self) -> Quoting {
        self.quoting
    }
}

/// The offset behind a UTF-8 byte order mark, which spreadsheets put before the first row.
pub fn after_byte_order_mark(buf: &[u8]) -> usize {
    if buf.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 }
}

/// What stands at `at`, which is the start of a row.
pub fn next_row(dialect: Dialect, buf: &[u8], at: usize, end: End) -> Step {
    let Some(&first) = buf.get(at) else {
        return match end {
            End::Final => Step::Done,
            End::More => Step::Incomplete,
        };
    };
    let comment = dialect.comment == Some(first);
    let found = if comment {
        line_break(buf, at)
    } else {
        match row_end(dialect, buf, at) {
            Ok(found) => found,
            Err(CsvError::OpenQuote) if end == End::More => return Step::Incomplete,
            Err(_) => return Step::Unterminated,
        }
    };
    let Some((stop, next)) = line_ending(buf, found, end) else {
        return Step::Incomplete;
    };
    if comment {
        Step::Comment { next }
    } else if stop == at {
        Step::Blank { next }
    } else {
        Step::Row { row: at..stop, next }
    }
}

/// Splits a row found by [`next_row`] into `fields`, which is emptied first.
///
/// # Errors
///
/// An open quote, a damaged one, or a row over 4 GiB; `fields` are then those before it.
pub fn split(dialect: Dialect, row: &[u8], fields: &mut Vec<Field>) -> Result<(), CsvError> {
    fields.clear();
    if u32::try_from(row.len()).is_err() {
        return Err(CsvError::TooLong);
    }
    if let Some(escape) = dialect.escape.filter(|&escape| memchr(escape, row).is_some()) {
        return escape::split(dialect, escape, row, fields);
    }
    match (split_plain(dialect, row, fields), dialect.quote) {
        (false, Some(quote)) => {
            fields.clear();
            split_quoted(dialect.delimiter, quote, row, fields)
        }
        _ => Ok(()),
    }
}

/// Splits what a field says into the fields inside it, each of them bare; none of a blank one.
///
/// # Errors
///
/// A value that has to be unescaped: its fields are not bytes of the row.
pub fn split_within(
    delimiter: u8,
    row: &[u8],
    field: Field,
    inside: &mut Vec<Field>,
) -> Result<(), CsvError> {
    inside.clear();
    let quotes = match field.quoting {
        Quoting::Plain => 0,
        Quoting::Quoted => 1,
        Quoting::QuotedEscaped | Quoting::PlainEscaped => return Err(CsvError::Escaped),
    };
    let outer = field.range();
    let (first, stop) = (outer.start + quotes, outer.end - quotes);
    if first == stop {
        return Ok(());
    }
    let mut start = first;
    for at in memchr_iter(delimiter, &row[first..stop]) {
        inside.push(self::field(start, first + at, Quoting::Plain));
        start = first + at + 1;
    }
    inside.push(self::field(start, stop, Quoting::Plain));
    Ok(())
}

/// What a field says, without its quotes; `scratch` is used only when it has to be unescaped.
pub fn value<'a>(dialect: Dialect, row: &'a [u8], field: Field, scratch: &'a mut Vec<u8>) -> &'a [u8] {
    let raw = &row[field.range()];
    match (field.quoting, dialect.quote) {
        (Quoting::PlainEscaped | Quoting::QuotedEscaped, _) if dialect.escape.is_some() => {
            escape::unescape(dialect, field.quoting, raw, scratch)
        }
        (Quoting::Plain | Quoting::PlainEscaped, _) | (_, None) => raw,
        (Quoting::Quoted, Some(_)) => &raw[1..raw.len() - 1],
        (Quoting::QuotedEscaped, Some(quote)) => {
            scratch.clear();
            unescape(quote, &raw[1..], scratch);
            scratch
        }
    }
}

/// Writes a value so that it reads back as it is: bare where possible, else quoted.
///
/// A value that begins with the comment byte is quoted in any column.
///
/// # Errors
///
/// [`CsvError::Unquotable`]; nothing has been written then.
pub fn write_value(out: &mut Vec<u8>, dialect: Dialect, value: &[u8]) -> Result<(), CsvError> {
    if let Some(escape) = dialect.escape {
        return escape::write(out, dialect, escape, value);
    }
    let quote = dialect.quote.unwrap_or(dialect.delimiter);
    let bare = !holds_any(value, [dialect.delimiter, quote, b'\r', b'\n'])
        && (value.is_empty() || dialect.comment != value.first().copied());
    if bare {
        out.extend_from_slice(value);
        return Ok(());
    }
    let quote = dialect.quote.ok_or(CsvError::Unquotable)?;
    out.push(quote);
    let start = out.len();
    out.resize(start + 2 * value.len(), 0); // the most that doubled quotes take
    let (_, _, written) = csv_core::quote(value, &mut out[start..], quote, quote, true);
    out.truncate(start + written);
    out.push(quote);
    Ok(())
}

/// The line break that ends the row at `at`, or `None` when the buffer ends first.
fn row_end(dialect: Dialect, buf: &[u8], at: usize) -> Result<Option<usize>, CsvError> {
    let Some(quote) = dialect.quote else {
        return Ok(line_break(buf, at)); // an escape byte outside of quotes does not reach over it
    };
    if let Some(escape) = dialect.escape {
        return escape::row_end(dialect.delimiter, quote, escape, buf, at);
    }
    let mut from = at;
    // a row of quoted fields: from one closing quote over the delimiter to the next opening one
    while buf.get(from) == Some(&quote) {
        let after = closing_quote(quote, buf, from)?.0 + 1;
        from = after + usize::from(buf.get(after) == Some(&dialect.delimiter));
        if from == after {
            break;
        }
    }
    while let Some(found) = memchr3(b'\n', b'\r', quote, &buf[from..]) {
        let found = from + found;
        if buf[found] != quote {
            return Ok(Some(found));
        }
        from = if buf[found - 1] == dialect.delimiter {
            closing_quote(quote, buf, found)?.0 + 1
        } else {
            found + 1
        };
    }
    Ok(None)
}

/// Where the line at `at` stops, quotes or not, and the next one begins; `None` without a line break behind it.
pub fn next_line(buf: &[u8], at: usize, end: End) -> Option<(usize, usize)> {
    let found = line_break(buf, at)?;
    line_ending(buf, Some(found), end)
}

fn line_break(buf: &[u8], at: usize) -> Option<usize> {
    memchr2(b'\n', b'\r', &buf[at..]).map(|found| at + found)
}

/// Where the row stops and the next one begins; `None` when that takes more bytes.
fn line_ending(buf: &[u8], found: Option<usize>, end: End) -> Option<(usize, usize)> {
    match (found, end) {
        (Some(stop), _) if buf[stop] == b'\n' => Some((stop, stop + 1)),
        (Some(stop), End::More) if stop + 1 == buf.len() => None, // a LF may follow
        (Some(stop), _) => Some((stop, stop + 1 + usize::from(buf.get(stop + 1) == Some(&b'\n')))),
        (None, End::Final) => Some((buf.len(), buf.len())),
        (None, End::More) => None,
    }
}

/// The quote that closes the one at `open`, and whether doubled ones stand between.
fn closing_quote(quote: u8, buf: &[u8], open: usize) -> Result<(usize, Quoting), CsvError> {
    let mut from = open + 1;
    let mut quoting = Quoting::Quoted;
    loop {
        let close = find(quote, buf, from).ok_or(CsvError::OpenQuote)?;
        if buf.get(close + 1) != Some(&quote) {
            return Ok((close, quoting));
        }
        quoting = Quoting::QuotedEscaped;
        from = close + 2;
    }
}

fn split_quoted(delimiter: u8, quote: u8, row: &[u8], fields: &mut Vec<Field>) -> Result<(), CsvError> {
    let mut start = 0;
    loop {
        let (mut quoting, mut from) = (Quoting::Plain, start);
        if row.get(start) == Some(&quote) {
            let (close, found) = closing_quote(quote, row, start)?;
            (quoting, from) = (found, close + 1);
        }
        let end = find(delimiter, row, from).unwrap_or(row.len());
        if quoting != Quoting::Plain && end != from {
            if is_damaged(delimiter, quote, &row[start..end]) {
                return Err(CsvError::Damaged);
            }
            quoting = Quoting::QuotedEscaped;
        }
        fields.push(field(start, end, quoting));
        if end == row.len() {
            return Ok(());
        }
        start = end + 1;
    }
}

/// Whether readers disagree about a quoted field that goes on behind its closing quote: what they take for its end
/// (`csv-core` the next delimiter, PostgreSQL the next outside of paired quotes), or whether it is one field at all.
/// A stray quote, or a lost delimiter, made one of several; RFC 4180 (section 2) has no such field.
///
/// Switches write a person's name in quotes and do not double them: `""Ann" <1001>"`, `"Ann" <1001>`. Its quotes are in
/// pairs and no delimiter or line break stands in it, so everybody finds the same end.
#[cold]
fn is_damaged(delimiter: u8, quote: u8, field: &[u8]) -> bool {
    let ends_as_a_name = field.ends_with(&[quote]) || field.ends_with(b">");
    !ends_as_a_name
        || !memchr_iter(quote, field).count().is_multiple_of(2)
        || memchr3(delimiter, b'\r', b'\n', field).is_some()
}

/// 64 bytes at a time: a dozen short fields cost `memchr` more in calls than in
/// search, and a branch per word is mispredicted at every other field. `false`
/// where a quote stands in the row: its fields are not all found then.
fn split_plain(dialect: Dialect, row: &[u8], fields: &mut Vec<Field>) -> bool {
    let delimiter = dialect.delimiter;
    let quote = dialect.quote.unwrap_or(delimiter);
    let (blocks, tail) = row.as_chunks::<BLOCK>();
    let mut start = 0;
    let find = |block: &[u8; BLOCK]| [delimiter, quote].map(|byte| positions(block, byte));
    let mut push = |base: usize, [delimiters, quotes]: [u64; 2]| {
        push_ends(delimiters, base, &mut start, fields);
        quotes & !delimiters == 0
    };
    for (at, block) in blocks.iter().enumerate() {
        if !push(at * BLOCK, find(block)) {
            return false;
        }
    }
    if !tail.is_empty() {
        let found = if let Some(block) = row.last_chunk() {
            // Some of it was looked at already.
            find(block).map(|hits| hits >> (BLOCK - tail.len()))
        } else {
            let mut block = [0; BLOCK];
            block[..tail.len()].copy_from_slice(tail);
            find(&block).map(|hits| hits & ((1 << tail.len()) - 1))
        };
        if !push(blocks.len() * BLOCK, found) {
            return false;
        }
    }
    fields.push(field(start, row.len(), Quoting::Plain));
    true
}

/// A field for each delimiter of a block that begins at `base`.
#[inline]
fn push_ends(mut hits: u64, base: usize, start: &mut usize, fields: &mut Vec<Field>) {
    while hits != 0 {
        let end = base + hits.trailing_zeros() as usize;
        fields.push(field(*start, end, Quoting::Plain));
        *start = end + 1;
        hits &= hits - 1;
    }
}

/// A bit for each byte of the block that equals `byte`, the first lowest.
#[inline]
fn positions(block: &[u8; BLOCK], byte: u8) -> u64 {
    let (sixteens, _) = block.as_chunks::<LANES>();
    sixteens.iter().enumerate().fold(0, |positions, (at, sixteen)| {
        positions | bits(lanes(*sixteen).simd_eq(all(byte))) << (LANES * at)
    })
}

/// Where `byte` stands from `from` on: fields are short, so the first words are searched in place.
fn find(byte: u8, buf: &[u8], mut from: usize) -> Option<usize> {
    for _ in 0..4 {
        let Some(chunk) = buf.get(from..).and_then(<[u8]>::first_chunk::<8>) else {
            break;
        };
        let hits = equal_bytes(u64::from_le_bytes(*chunk), byte);
        if hits != 0 {
            return Some(from + (hits.trailing_zeros() / 8) as usize);
        }
        from += 8;
    }
    memchr(byte, buf.get(from..)?).map(|at| from + at)
}

/// The top bit of every byte of `word` that equals `byte` (exact, no borrow between bytes).
fn equal_bytes(word: u64, byte: u8) -> u64 {
    const LOW: u64 = u64::from_ne_bytes([0x7f; 8]);
    let difference = word ^ u64::from_ne_bytes([byte; 8]);
    !(((difference & LOW) + LOW) | difference | LOW)
}

fn field(start: usize, end: usize, quoting: Quoting) -> Field {
    Field {
        start: start as u32,
        end: end as u32,
        quoting,
    }
}

/// `body` is the field behind its opening quote.
fn unescape(quote: u8, body: &[u8], out: &mut Vec<u8>) {
    let mut rest = body;
    while let Some(at) = memchr(quote, rest) {
        let doubled = rest.get(at + 1) == Some(&quote);
        out.extend_from_slice(&rest[..at + usize::from(doubled)]);
        rest = &rest[at + 1 + usize::from(doubled)..];
        if !doubled {
            break;
        }
    }
    out.extend_from_slice(rest);
}

#[cfg(test)]
mod tests;
