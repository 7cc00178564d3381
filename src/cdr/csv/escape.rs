//! Dialects with an escape byte: BroadWorks writes `\,` and `\\` without
//! quotes, others `\"` inside them.
//!
//! The byte behind an escape byte is data. Outside of quotes it does not reach
//! over a line break: a stray one at the end of a row must not take the next
//! row with it. Doubled quotes are read as elsewhere. Rows without an escape
//! byte never come here.

use memchr::{memchr2, memchr3};

use super::{CsvError, Dialect, Field, Quoting, field, is_damaged};

/// As the other dialects' `row_end`: a quote opens a field only as its first byte.
pub(super) fn row_end(
    delimiter: u8,
    quote: u8,
    escape: u8,
    buf: &[u8],
    at: usize,
) -> Result<Option<usize>, CsvError> {
    let mut from = at;
    let mut begins = true;
    loop {
        if begins && buf.get(from) == Some(&quote) {
            from = closing_quote(quote, escape, buf, from)? + 1;
        }
        // The field ends at a delimiter that is not escaped, the row at any line break.
        let Some(end) = field_end(delimiter, escape, buf, from) else {
            return Ok(None);
        };
        if buf[end] != delimiter {
            return Ok(Some(end));
        }
        (from, begins) = (end + 1, true);
    }
}

/// As [`super::split`].
pub(super) fn split(
    dialect: Dialect,
    escape: u8,
    row: &[u8],
    fields: &mut Vec<Field>,
) -> Result<(), CsvError> {
    let mut start = 0;
    loop {
        let mut from = start;
        let quoted = dialect.quote.is_some() && row.get(start).copied() == dialect.quote;
        if let Some(quote) = dialect.quote.filter(|_| quoted) {
            from = closing_quote(quote, escape, row, start)? + 1;
        }
        let mut end = from;
        while end < row.len() && row[end] != dialect.delimiter {
            end += if row[end] == escape { 2 } else { 1 };
        }
        let end = end.min(row.len());
        if let Some(quote) = dialect.quote.filter(|_| quoted && end != from)
            && is_damaged(dialect.delimiter, quote, &row[start..end])
        {
            return Err(CsvError::Damaged);
        }
        let quoting = match quoted {
            true => Quoting::QuotedEscaped,
            false if row[start..end].contains(&escape) => Quoting::PlainEscaped,
            false => Quoting::Plain,
        };
        fields.push(field(start, end, quoting));
        if end == row.len() {
            return Ok(());
        }
        start = end + 1;
    }
}

/// What the field says.
pub(super) fn unescape<'a>(
    dialect: Dialect,
    quoting: Quoting,
    raw: &[u8],
    scratch: &'a mut Vec<u8>,
) -> &'a [u8] {
    scratch.clear();
    let mut open = quoting == Quoting::QuotedEscaped;
    let mut at = usize::from(open);
    while let Some(&byte) = raw.get(at) {
        at += 1;
        if Some(byte) == dialect.escape && at < raw.len() {
            scratch.push(raw[at]);
            at += 1;
        } else if open && Some(byte) == dialect.quote {
            if raw.get(at) == Some(&byte) {
                scratch.push(byte);
                at += 1;
            } else {
                open = false;
            }
        } else {
            scratch.push(byte);
        }
    }
    scratch
}

/// As [`super::write_value`].
pub(super) fn write(out: &mut Vec<u8>, dialect: Dialect, escape: u8, value: &[u8]) -> Result<(), CsvError> {
    let breaks = memchr2(b'\r', b'\n', value).is_some();
    let begins_comment = !value.is_empty() && dialect.comment == value.first().copied();
    let special = memchr3(dialect.delimiter, escape, dialect.quote.unwrap_or(escape), value).is_some();
    if !breaks && !begins_comment && !special {
        out.extend_from_slice(value);
        return Ok(());
    }
    match dialect.quote {
        None if breaks => return Err(CsvError::Unquotable),
        None => {}
        Some(quote) => out.push(quote),
    }
    for (at, &byte) in value.iter().enumerate() {
        let meant = byte == escape
            || Some(byte) == dialect.quote
            || (dialect.quote.is_none() && (byte == dialect.delimiter || (at == 0 && begins_comment)));
        if meant {
            out.push(escape);
        }
        out.push(byte);
    }
    out.extend(dialect.quote);
    Ok(())
}

/// The delimiter or line break that ends the field which goes on at `from`.
fn field_end(delimiter: u8, escape: u8, buf: &[u8], mut from: usize) -> Option<usize> {
    loop {
        let rest = buf.get(from..)?;
        let at = rest
            .iter()
            .position(|&byte| byte == delimiter || byte == escape || matches!(byte, b'\r' | b'\n'))?;
        from += at;
        if buf[from] != escape {
            return Some(from);
        }
        from += match buf.get(from + 1) {
            Some(b'\r' | b'\n') | None => 1,
            Some(_) => 2,
        };
    }
}

/// The quote that closes the one at `open`.
fn closing_quote(quote: u8, escape: u8, buf: &[u8], open: usize) -> Result<usize, CsvError> {
    let mut at = open + 1;
    loop {
        let rest = buf.get(at..).ok_or(CsvError::OpenQuote)?;
        at += memchr2(quote, escape, rest).ok_or(CsvError::OpenQuote)?;
        if buf[at] == quote && buf.get(at + 1) != Some(&quote) {
            return Ok(at);
        }
        at += 2;
    }
}

#[cfg(test)]
mod tests {
    use crate::cdr::csv::{CsvError, Dialect, End, Step, next_row, split, value, write_value};

    const QUOTED: Dialect = Dialect {
        delimiter: b',',
        quote: Some(b'"'),
        comment: Some(b'#'),
        escape: Some(b'\\'),
    };
    const BARE: Dialect = Dialect {
        quote: None,
        ..QUOTED
    };

    fn read(dialect: Dialect, text: &str) -> Vec<Vec<String>> {
        let (mut at, mut rows, mut fields, mut scratch) = (0, Vec::new(), Vec::new(), Vec::new());
        loop {
            match next_row(dialect, text.as_bytes(), at, End::Final) {
                Step::Row { row, next } => {
                    let row = &text.as_bytes()[row];
                    split(dialect, row, &mut fields).unwrap();
                    let said =
                        |cell| String::from_utf8(value(dialect, row, cell, &mut scratch).to_vec()).unwrap();
                    rows.push(fields.iter().copied().map(said).collect());
                    at = next;
                }
                Step::Done => return rows,
                step => panic!("{step:?}"),
            }
        }
    }

    #[test]
    fn escapes_with_and_without_quotes() {
        let cases: &[(Dialect, &str, &[&[&str]])] = &[
            (BARE, r"a\,b,c\\,d", &[&["a,b", r"c\", "d"]]),
            (BARE, r"\\\,,x", &[&[r"\,", "x"]]),
            (BARE, "a,b\\\nc,d", &[&["a", "b\\"], &["c", "d"]]),
            (BARE, "\"a\\,\",b", &[&["\"a,\"", "b"]]),
            (BARE, "a,", &[&["a", ""]]),
            (QUOTED, r#""a\"b,c",d"#, &[&[r#"a"b,c"#, "d"]]),
            (QUOTED, r#""a""b\\",d"#, &[&[r#"a"b\"#, "d"]]),
            (QUOTED, "\"a\nb\\\\\",d\ne,f", &[&["a\nb\\", "d"], &["e", "f"]]),
            (QUOTED, r#"a\,"b,c"#, &[&[r#"a,"b"#, "c"]]),
            (QUOTED, r#"\"a,b"#, &[&[r#""a"#, "b"]]),
            (QUOTED, "\"a\",b", &[&["a", "b"]]),
            (QUOTED, r#""a\\" <x>,b"#, &[&[r"a\ <x>", "b"]]),
            (QUOTED, "a,b\\\n\"c\",d", &[&["a", "b\\"], &["c", "d"]]),
        ];
        for (dialect, text, expected) in cases {
            assert_eq!(read(*dialect, text), *expected, "{text}");
        }
    }

    #[test]
    fn bytes_behind_a_closing_quote_are_a_fault() {
        for row in [r#""a"x\,y,b"#, r#""a"\x,b"#, r#"\a,"b"c"#] {
            assert_eq!(
                split(QUOTED, row.as_bytes(), &mut Vec::new()),
                Err(CsvError::Damaged),
                "{row}"
            );
        }
    }

    #[test]
    fn an_open_quote_is_a_fault() {
        for text in [r#"a,"b\""#, r#""a\"#, r#""a"#] {
            assert_eq!(
                next_row(QUOTED, text.as_bytes(), 0, End::Final),
                Step::Unterminated
            );
            assert_eq!(next_row(QUOTED, text.as_bytes(), 0, End::More), Step::Incomplete);
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_reads_back(values in proptest::collection::vec("[ab,\"\\\\#]{0,6}", 2..5), bare in proptest::bool::ANY) {
            let dialect = if bare { BARE } else { QUOTED };
            let mut row = Vec::new();
            for (at, value) in values.iter().enumerate() {
                if at > 0 { row.push(b','); }
                write_value(&mut row, dialect, value.as_bytes()).unwrap();
            }
            proptest::prop_assert_eq!(read(dialect, std::str::from_utf8(&row).unwrap()), vec![values]);
        }
    }
}
