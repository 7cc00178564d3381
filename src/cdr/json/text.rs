//! The letters of JSON: strings, numbers and white space, read and written.

use memchr::memchr;

/// What a scalar's token says.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Scalar<'a> {
    /// A string's content, unescaped; UTF-8.
    Text(&'a [u8]),
    /// A number as it is written.
    Number(&'a [u8]),
    /// `true` or `false`.
    Bool,
    /// `null`
    Null,
    /// An object or an array: not a scalar.
    Container,
}

/// Values are raw identifiers as often as not, so only the kind is shown.
impl std::fmt::Debug for Scalar<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Text(_) => "Text(..)",
            Self::Number(_) => "Number(..)",
            Self::Bool => "Bool",
            Self::Null => "Null",
            Self::Container => "Container",
        })
    }
}

/// What a value token of a scanned record says; `scratch` is used only for strings with escapes.
pub fn scalar<'a>(token: &'a [u8], scratch: &'a mut Vec<u8>) -> Scalar<'a> {
    match token {
        [b'"', body @ .., b'"'] => Scalar::Text(unescape(body, scratch)),
        [b'{' | b'[', ..] => Scalar::Container,
        [b't' | b'f', ..] => Scalar::Bool,
        [b'n', ..] => Scalar::Null,
        number => Scalar::Number(number),
    }
}

/// Writes a string token. Bytes that are not UTF-8 become U+FFFD: JSON has no spelling for them.
pub fn write_string(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    for chunk in bytes.utf8_chunks() {
        for &byte in chunk.valid().as_bytes() {
            match byte {
                b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
                b'\n' => out.extend_from_slice(b"\\n"),
                b'\r' => out.extend_from_slice(b"\\r"),
                b'\t' => out.extend_from_slice(b"\\t"),
                0..0x20 => {
                    let digit = b"0123456789abcdef"[usize::from(byte & 15)];
                    out.extend_from_slice(&[b'\\', b'u', b'0', b'0', b'0' + (byte >> 4), digit]);
                }
                _ => out.push(byte),
            }
        }
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
    out.push(b'"');
}

/// What a value token of a scanned record reads as, whatever it is, with every escape in it resolved; for
/// searching it. `scratch` is used only where there are escapes.
pub fn unescaped<'a>(token: &'a [u8], scratch: &'a mut Vec<u8>) -> &'a [u8] {
    unescape(token, scratch)
}

/// The content of a checked string, from between its quotes.
pub(super) fn unescape<'a>(body: &'a [u8], scratch: &'a mut Vec<u8>) -> &'a [u8] {
    let Some(mut at) = memchr(b'\\', body) else {
        return body;
    };
    scratch.clear();
    let mut from = 0;
    loop {
        scratch.extend_from_slice(&body[from..at]);
        from = at + 2;
        match body[at + 1] {
            b'b' => scratch.push(8),
            b'f' => scratch.push(12),
            b'n' => scratch.push(b'\n'),
            b'r' => scratch.push(b'\r'),
            b't' => scratch.push(b'\t'),
            b'u' => {
                let (character, length) = unicode_escape(&body[at..]).unwrap_or(('\u{fffd}', 6));
                scratch.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                from = at + length;
            }
            itself => scratch.push(itself),
        }
        match memchr(b'\\', &body[from..]) {
            Some(found) => at = from + found,
            None => break,
        }
    }
    scratch.extend_from_slice(&body[from..]);
    scratch
}

/// The character of `\uXXXX`, or of a pair of them, and its length; a lone surrogate is none.
fn unicode_escape(text: &[u8]) -> Option<(char, usize)> {
    let unit = |at: usize| {
        let digits = text
            .get(at + 2..at + 6)
            .filter(|_| text[at..].starts_with(b"\\u"))?;
        digits.iter().try_fold(0, |unit, &digit| {
            Some(unit << 4 | char::from(digit).to_digit(16)?)
        })
    };
    let high = unit(0)?;
    if !(0xd800..0xdc00).contains(&high) {
        return Some((char::from_u32(high)?, 6));
    }
    let low = unit(6).filter(|low| (0xdc00..0xe000).contains(low))?;
    Some((
        char::from_u32(0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00))?,
        12,
    ))
}

pub(super) fn skip_space(buf: &[u8], mut at: usize) -> usize {
    while matches!(buf.get(at), Some(b' ' | b'\n' | b'\r' | b'\t')) {
        at += 1;
    }
    at
}

/// Bytes that stand for themselves in a string.
const PLAIN: [bool; 256] = {
    let mut table = [true; 256];
    let mut control = 0;
    while control < 0x20 {
        table[control] = false;
        control += 1;
    }
    table[b'"' as usize] = false;
    table[b'\\' as usize] = false;
    table
};

/// Whether a string has to be unescaped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Escapes {
    Absent,
    Present,
}

/// The offset behind the string whose opening quote stands at `open`.
///
/// # Errors
///
/// The first byte that does not fit; the buffer's length when it ends first.
pub(super) fn string_end(buf: &[u8], open: usize) -> Result<usize, usize> {
    string(buf, open).map(|(end, _)| end)
}

/// [`string_end`], and whether there are escapes.
pub(super) fn string(buf: &[u8], open: usize) -> Result<(usize, Escapes), usize> {
    let (mut at, mut escapes) = (open + 1, Escapes::Absent);
    loop {
        at = skip_plain(buf, at);
        match buf.get(at) {
            Some(b'"') => return Ok((at + 1, escapes)),
            Some(b'\\') => {
                at = escape_end(buf, at)?;
                escapes = Escapes::Present;
            }
            _ => return Err(at),
        }
    }
}

/// Eight bytes at a time. A borrow may mark bytes above the first that is special, never below it.
fn skip_plain(buf: &[u8], mut at: usize) -> usize {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const TOPS: u64 = u64::from_ne_bytes([0x80; 8]);
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word;
    while let Some(chunk) = buf.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let word = u64::from_le_bytes(*chunk);
        let control = word.wrapping_sub(ONES * 0x20) & !word;
        let quote = zeros(word ^ (ONES * u64::from(b'"')));
        let escape = zeros(word ^ (ONES * u64::from(b'\\')));
        let special = (control | quote | escape) & TOPS;
        if special != 0 {
            return at + (special.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    while buf.get(at).is_some_and(|&byte| PLAIN[usize::from(byte)]) {
        at += 1;
    }
    at
}

fn escape_end(buf: &[u8], at: usize) -> Result<usize, usize> {
    match buf.get(at + 1) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(at + 2),
        Some(b'u') => match unicode_escape(&buf[at..]) {
            Some((_, length)) => Ok(at + length),
            None if at + 12 > buf.len() => Err(buf.len()),
            None => Err(at),
        },
        Some(_) => Err(at + 1),
        None => Err(buf.len()),
    }
}

/// The offset behind the number at `at`, or the first byte that does not fit.
pub(super) fn number_end(buf: &[u8], mut at: usize) -> Result<usize, usize> {
    let digits = |from: usize| {
        from + buf[from..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count()
    };
    at += usize::from(buf.get(at) == Some(&b'-'));
    let whole = digits(at);
    if whole == at || (buf[at] == b'0' && whole > at + 1) {
        return Err(at);
    }
    at = whole;
    if buf.get(at) == Some(&b'.') {
        let end = digits(at + 1);
        if end == at + 1 {
            return Err(end);
        }
        at = end;
    }
    if matches!(buf.get(at), Some(b'e' | b'E')) {
        at += 1;
        at += usize::from(matches!(buf.get(at), Some(b'+' | b'-')));
        let end = digits(at);
        if end == at {
            return Err(end);
        }
        at = end;
    }
    Ok(at)
}

/// Whether a bracket may open behind these bytes. It shows where a record's own end is missing: without a look,
/// each of many such records would be searched to the end of the input.
fn may_open(before: &[u8]) -> bool {
    matches!(before.trim_ascii_end().last(), Some(b':' | b',' | b'['))
}

/// The length of the object that `buf` begins with, by its brackets and strings alone;
/// `None` when the buffer ends first.
///
/// # Errors
///
/// The first byte at which it cannot be an object any more.
pub(super) fn object_end(buf: &[u8]) -> Result<Option<usize>, usize> {
    // one bit per open bracket, 1 for an array: MAX_DEPTH of them
    let (mut arrays, mut depth, mut at) = (0u64, 0, 0);
    while let Some(&byte) = buf.get(at) {
        match byte {
            b'"' => match string_end(buf, at) {
                Ok(end) => {
                    at = end;
                    continue;
                }
                Err(fault) if fault == buf.len() => return Ok(None),
                Err(fault) => return Err(fault),
            },
            b'{' | b'[' => {
                if depth == super::MAX_DEPTH || depth > 0 && !may_open(&buf[..at]) {
                    return Err(at);
                }
                arrays = arrays << 1 | u64::from(byte == b'[');
                depth += 1;
            }
            b'}' | b']' => {
                if arrays & 1 != u64::from(byte == b']') {
                    return Err(at);
                }
                arrays >>= 1;
                depth -= 1;
                if depth == 0 {
                    return Ok(Some(at + 1));
                }
            }
            _ => {}
        }
        at += 1;
    }
    Ok(None)
}
