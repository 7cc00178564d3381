//! One time as a source writes it: named formats and strftime patterns,
//! compiled once, read from bytes without allocation.
//!
//! A pattern that does not give a whole date and time is refused when it is
//! compiled, never guessed at per record.

use jiff::fmt::rfc2822;

use super::civil::Civil;

const RFC2822: rfc2822::DateTimeParser = rfc2822::DateTimeParser::new();
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
/// From Monday, as ISO 8601 counts.
const WEEKDAYS: [&str; 7] = [
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
];
const NAMED: &str = r#""rfc3339", "rfc2822", "unix", "unix_ms", "unix_us", "gregorian""#;
/// 1970-01-01T00:00:00Z in seconds since the year 0 of the Gregorian calendar, as Erlang's `calendar` counts: a
/// whole number of days.
const GREGORIAN_1970: i64 = 62_167_219_200;
const CONVERSIONS: &str =
    "use %Y %y %m %b %d %e %a %H %I %p %M %S %f %.f %z %s %F %T %R %D, or %% for a percent sign";

/// What a time text says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// An instant: milliseconds since 1970-01-01T00:00:00Z.
    Instant(i64),
    /// A wall clock's time, of a zone not written in the text.
    Local(Civil),
}

/// A time format of the policy, compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeFormat {
    text: String,
    pub(super) shape: Shape,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shape {
    Rfc3339,
    Rfc2822 {
        /// The form that most programs write, without comments.
        strict: Vec<Piece>,
    },
    /// A whole number of units since 1970; how many make a second.
    Unix(i64),
    /// A whole number of seconds since the year 0.
    Gregorian,
    Pattern {
        pieces: Vec<Piece>,
        layout: Layout,
    },
}

/// Layouts worth reading at fixed positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// `2026-10-25?01:30:00`, with the byte between.
    Dashed(u8),
    /// `20261025013000`
    Compact,
    Other,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece {
    Byte(u8),
    Space,
    Year,
    ShortYear,
    Month,
    MonthName,
    Day,
    Weekday,
    Hour,
    Hour12,
    HalfDay,
    Minute,
    Second,
    /// Digits of the second, at most so many.
    Fraction(usize),
    /// The same behind a dot, or nothing.
    DotFraction,
    Offset,
    Epoch,
}

impl TimeFormat {
    /// A named format (`rfc3339`, `rfc2822`, `unix`, `unix_ms`, `unix_us`, `gregorian`) or a strftime pattern.
    ///
    /// # Errors
    ///
    /// An unknown name or conversion, or a pattern that does not give a whole date and time: what is wrong.
    pub fn parse_format(text: &str) -> Result<Self, String> {
        let shape = match text {
            "rfc3339" => Shape::Rfc3339,
            "rfc2822" => Shape::Rfc2822 {
                strict: compile("%a, %d %b %Y %H:%M:%S %z")?,
            },
            "unix" => Shape::Unix(1),
            "unix_ms" => Shape::Unix(1_000),
            "unix_us" => Shape::Unix(1_000_000),
            "gregorian" => Shape::Gregorian,
            _ if !text.contains('%') => {
                return Err(format!(
                    "\"{text}\" is not a time format: write {NAMED}, or a pattern such as \"%Y-%m-%d %H:%M:%S\""
                ));
            }
            _ => {
                let pieces = compile(text)?;
                complete(text, &pieces)?;
                let layout = layout(&pieces);
                Shape::Pattern { pieces, layout }
            }
        };
        Ok(Self {
            text: text.to_owned(),
            shape,
        })
    }

    /// The format as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether the text alone does not tell the instant.
    pub fn needs_zone(&self) -> bool {
        match &self.shape {
            Shape::Rfc3339 | Shape::Rfc2822 { .. } | Shape::Unix(_) | Shape::Gregorian => false,
            Shape::Pattern { pieces, .. } => !pieces
                .iter()
                .any(|piece| matches!(piece, Piece::Offset | Piece::Epoch)),
        }
    }

    /// What `bytes`, already trimmed, say in this format.
    pub(super) fn read(&self, bytes: &[u8]) -> Option<Reading> {
        match &self.shape {
            Shape::Rfc3339 => rfc3339(bytes),
            Shape::Rfc2822 { .. } => {
                let instant = RFC2822.parse_timestamp(bytes).ok()?;
                Some(Reading::Instant(instant.as_millisecond()))
            }
            Shape::Unix(scale) => unix(bytes, *scale).map(Reading::Instant),
            Shape::Gregorian => unix(bytes, 1).map(|since| Reading::Instant(since - GREGORIAN_1970 * 1_000)),
            Shape::Pattern { pieces, layout } => match (*layout, bytes.len()) {
                (Layout::Dashed(between), 19) if bytes[10] == between => dashed(bytes).map(Reading::Local),
                (Layout::Compact, 14) => compact(bytes).map(Reading::Local),
                _ => interpret(pieces, bytes),
            },
        }
    }
}

fn compile(text: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut bytes = text.bytes().peekable();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            pieces.push(Piece::Byte(byte));
            continue;
        }
        let width = bytes.next_if(|byte| (b'1'..=b'9').contains(byte));
        let dot = bytes.next_if_eq(&b'.');
        if dot.is_some() {
            bytes.next_if(|byte| (b'1'..=b'9').contains(byte));
        } else {
            bytes.next_if_eq(&b':');
        }
        let conversion = bytes.next();
        match (conversion, width, dot) {
            (Some(b'f'), None, Some(_)) => pieces.push(Piece::DotFraction),
            (Some(b'f'), width, None) => pieces.push(Piece::Fraction(
                width.map_or(9, |digit| usize::from(digit - b'0')),
            )),
            (Some(conversion), None, None) if conversion.is_ascii() => {
                let unknown = || {
                    let conversion = char::from(conversion);
                    format!("\"{text}\": %{conversion} is not known here: {CONVERSIONS}")
                };
                pieces.extend(expand(conversion).ok_or_else(unknown)?);
            }
            _ => {
                return Err(format!(
                    "\"{text}\": a % without a conversion: write %% for a percent sign"
                ));
            }
        }
    }
    Ok(pieces)
}

fn expand(conversion: u8) -> Option<&'static [Piece]> {
    use Piece::{Byte, Day, Hour, Minute, Month, Second, ShortYear, Year};
    Some(match conversion {
        b'%' => &[Byte(b'%')],
        b'n' | b't' => &[Piece::Space],
        b'Y' => &[Year],
        b'y' => &[ShortYear],
        b'm' => &[Month],
        b'b' | b'B' | b'h' => &[Piece::MonthName],
        b'd' => &[Day],
        b'e' => &[Piece::Space, Day],
        b'a' | b'A' => &[Piece::Weekday],
        b'H' => &[Hour],
        b'k' => &[Piece::Space, Hour],
        b'I' => &[Piece::Hour12],
        b'l' => &[Piece::Space, Piece::Hour12],
        b'p' | b'P' => &[Piece::HalfDay],
        b'M' => &[Minute],
        b'S' => &[Second],
        b'z' => &[Piece::Offset],
        b's' => &[Piece::Epoch],
        b'F' => &[Year, Byte(b'-'), Month, Byte(b'-'), Day],
        b'T' => &[Hour, Byte(b':'), Minute, Byte(b':'), Second],
        b'R' => &[Hour, Byte(b':'), Minute],
        b'D' => &[Month, Byte(b'/'), Day, Byte(b'/'), ShortYear],
        _ => return None,
    })
}

/// Every part exactly once, the fraction and the second at most once.
fn complete(text: &str, pieces: &[Piece]) -> Result<(), String> {
    let count = |wanted: &[Piece]| pieces.iter().filter(|piece| wanted.contains(piece)).count();
    let fraction = |piece: &&Piece| matches!(piece, Piece::Fraction(_) | Piece::DotFraction);
    let year = count(&[Piece::Year, Piece::ShortYear]);
    let month = count(&[Piece::Month, Piece::MonthName]);
    let hour = count(&[Piece::Hour, Piece::Hour12]);
    let parts = [
        ("the year (%Y or %y)", year),
        ("the month (%m or %b)", month),
        ("the day (%d or %e)", count(&[Piece::Day])),
        ("the hour (%H, or %I with %p)", hour),
        ("the minute (%M)", count(&[Piece::Minute])),
    ];
    let optional = [
        ("the second (%S)", count(&[Piece::Second])),
        ("the fraction (%f)", pieces.iter().filter(fraction).count()),
        ("the offset (%z)", count(&[Piece::Offset])),
        ("the epoch time (%s)", count(&[Piece::Epoch])),
        ("%p", count(&[Piece::HalfDay])),
    ];
    let epoch = count(&[Piece::Epoch]) > 0;
    if let Some((part, _)) = parts.iter().chain(&optional).find(|(_, times)| *times > 1) {
        return Err(format!("\"{text}\": {part} stands there twice: leave one"));
    }
    if let Some((part, _)) = parts.iter().find(|(_, times)| (*times == 0) != epoch) {
        return Err(if epoch {
            format!("\"{text}\": {part} stands beside %s: leave one of them")
        } else {
            format!("\"{text}\": {part} is missing: a format gives a whole date and time")
        });
    }
    if count(&[Piece::Hour12]) != count(&[Piece::HalfDay]) {
        return Err(format!("\"{text}\": %I and %p go together: write both, or %H"));
    }
    Ok(())
}

fn layout(pieces: &[Piece]) -> Layout {
    use Piece::{Byte, Day, Hour, Minute, Month, Second, Year};
    const DASH: Piece = Byte(b'-');
    const COLON: Piece = Byte(b':');
    match *pieces {
        [
            Year,
            DASH,
            Month,
            DASH,
            Day,
            Byte(between),
            Hour,
            COLON,
            Minute,
            COLON,
            Second,
        ] => Layout::Dashed(between),
        [Year, Month, Day, Hour, Minute, Second] => Layout::Compact,
        _ => Layout::Other,
    }
}

/// Reads any pattern, numbers as strptime reads them (up to their width), leading zeros optional only
/// where no digits stand beside: a time cut short must not read as another one.
fn interpret(pieces: &[Piece], bytes: &[u8]) -> Option<Reading> {
    let mut at = Cursor(bytes);
    let (mut civil, mut half_day, mut weekday, mut offset, mut epoch) =
        (Civil::START, None, None, None, None);
    for (place, &piece) in pieces.iter().enumerate() {
        let least = if packed(pieces, place) { 2 } else { 1 };
        match piece {
            Piece::Byte(byte) => at.byte(byte)?,
            Piece::Space => at.spaces(),
            Piece::Year => civil.year = at.number(4, 4)?,
            Piece::ShortYear => {
                let year = at.number(2, 2)?;
                civil.year = if year < 69 { 2000 + year } else { 1900 + year }; // POSIX strptime
            }
            Piece::Month => civil.month = at.number(least, 2)?,
            Piece::MonthName => civil.month = 1 + at.name(&MONTHS)?,
            Piece::Day => civil.day = at.number(least, 2)?,
            Piece::Weekday => weekday = Some(at.name(&WEEKDAYS)?),
            Piece::Hour => civil.hour = at.number(least, 2)?,
            Piece::Hour12 => civil.hour = at.number(least, 2).filter(|hour| (1..=12).contains(hour))? % 12,
            Piece::HalfDay => half_day = Some(at.name(&["AM", "PM"])?),
            Piece::Minute => civil.minute = at.number(least, 2)?,
            Piece::Second => civil.second = at.number(least, 2)?,
            Piece::Fraction(most) => civil.millis = at.fraction(most)?,
            Piece::DotFraction => {
                if at.byte(b'.').is_some() {
                    civil.millis = at.fraction(9)?;
                }
            }
            Piece::Offset => offset = Some(at.offset()?),
            Piece::Epoch => epoch = Some(at.number(1, 11)?),
        }
    }
    if !at.0.is_empty() {
        return None;
    }
    if let Some(seconds) = epoch {
        return Some(Reading::Instant(
            i64::from(seconds) * 1_000 + i64::from(civil.millis),
        ));
    }
    civil.hour += 12 * half_day.unwrap_or(0);
    let civil = civil.checked()?;
    if weekday.is_some_and(|weekday| i64::from(weekday) != (civil.days() + 3).rem_euclid(7)) {
        return None;
    }
    Some(match offset {
        Some(offset) => Reading::Instant(civil.millis_since_epoch() - offset * 1_000),
        None => Reading::Local(civil),
    })
}

/// Whether digits of another piece may stand beside those of this one.
fn packed(pieces: &[Piece], place: usize) -> bool {
    let digits = |piece: &Piece| {
        !matches!(
            piece,
            Piece::Byte(_) | Piece::Space | Piece::DotFraction | Piece::Offset
        )
    };
    let before = place.checked_sub(1).and_then(|before| pieces.get(before));
    before.is_some_and(digits) || pieces.get(place + 1).is_some_and(digits)
}

/// The bytes still to be read.
pub(super) struct Cursor<'a>(pub(super) &'a [u8]);

impl Cursor<'_> {
    /// Goes on behind one piece of a text that was read already.
    pub(super) fn skip(&mut self, piece: Piece, pieces: &[Piece], place: usize) -> Option<()> {
        let least = if packed(pieces, place) { 2 } else { 1 };
        match piece {
            Piece::Byte(byte) => self.byte(byte)?,
            Piece::Space => self.spaces(),
            Piece::Year => _ = self.number(4, 4)?,
            Piece::ShortYear => _ = self.number(2, 2)?,
            Piece::Month | Piece::Day | Piece::Hour | Piece::Hour12 | Piece::Minute | Piece::Second => {
                _ = self.number(least, 2)?;
            }
            Piece::MonthName => _ = self.name(&MONTHS)?,
            Piece::Weekday => _ = self.name(&WEEKDAYS)?,
            Piece::HalfDay => _ = self.name(&["AM", "PM"])?,
            Piece::Fraction(most) => _ = self.fraction(most)?,
            Piece::DotFraction => {
                if self.byte(b'.').is_some() {
                    self.fraction(9)?;
                }
            }
            Piece::Offset => _ = self.offset()?,
            Piece::Epoch => _ = self.number(1, 11)?,
        }
        Some(())
    }

    fn byte(&mut self, byte: u8) -> Option<()> {
        let (&first, rest) = self.0.split_first()?;
        (first == byte).then(|| self.0 = rest)
    }

    fn spaces(&mut self) {
        self.0 = self.0.trim_ascii_start();
    }

    /// As many digits as there are, up to `most` (at most 11), at least `least`.
    fn number(&mut self, least: usize, most: usize) -> Option<u32> {
        let digits = self.digits(most);
        let value = digits
            .iter()
            .fold(0u64, |value, digit| value * 10 + u64::from(digit - b'0'));
        (digits.len() >= least).then(|| u32::try_from(value).ok())?
    }

    pub(super) fn digits(&mut self, most: usize) -> &[u8] {
        let length = self
            .0
            .iter()
            .take(most)
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        let (digits, rest) = self.0.split_at(length);
        self.0 = rest;
        digits
    }

    /// Digits behind the point as milliseconds, truncated.
    fn fraction(&mut self, most: usize) -> Option<u32> {
        let digits = self.digits(most);
        let digit = |at: usize| digits.get(at).map_or(0, |digit| u32::from(digit - b'0'));
        (!digits.is_empty()).then(|| digit(0) * 100 + digit(1) * 10 + digit(2))
    }

    /// `Z`, `+HH`, `+HHMM` or `+HH:MM`, in seconds east of UTC.
    fn offset(&mut self) -> Option<i64> {
        if self.byte(b'Z').or_else(|| self.byte(b'z')).is_some() {
            return Some(0);
        }
        let sign = if self.byte(b'-').is_some() {
            -1
        } else {
            self.byte(b'+')?;
            1
        };
        let hours = self.number(2, 2)?;
        let colon = self.byte(b':').is_some();
        let minutes = match self.0.first() {
            Some(byte) if byte.is_ascii_digit() => self.number(2, 2)?,
            _ if colon => return None,
            _ => 0,
        };
        (hours < 24 && minutes < 60).then(|| sign * i64::from(hours * 3600 + minutes * 60))
    }

    /// The index of a name, whole or by its first three letters, in any case.
    fn name(&mut self, names: &[&str]) -> Option<u32> {
        let starts = |name: &&str| {
            let head = self.0.get(..name.len());
            head.is_some_and(|head| head.eq_ignore_ascii_case(name.as_bytes()))
        };
        let short = |name: &&str| starts(&&name[..name.len().min(3)]);
        let index = names.iter().position(short)?;
        let name = names[index];
        let length = if starts(&name) { name.len() } else { 3 };
        self.0 = &self.0[length..];
        u32::try_from(index).ok()
    }
}

/// RFC 3339, with the lower case and the space its section 5.6 allows.
fn rfc3339(bytes: &[u8]) -> Option<Reading> {
    let (head, tail) = bytes.split_at_checked(19)?;
    if !matches!(head[10], b'T' | b't' | b' ') {
        return None;
    }
    let mut civil = dashed(head)?;
    let mut at = Cursor(tail);
    if at.byte(b'.').is_some() {
        civil.millis = at.fraction(usize::MAX)?;
    }
    if !matches!(at.0.len(), 1 | 6) || (at.0.len() == 6 && at.0[3] != b':') {
        return None;
    }
    let offset = at.offset()?;
    at.0.is_empty()
        .then(|| Reading::Instant(civil.millis_since_epoch() - offset * 1_000))
}

/// `2026-10-25?01:30:00`, 19 bytes; the one between is the caller's to check.
fn dashed(text: &[u8]) -> Option<Civil> {
    let text: &[u8; 19] = text.try_into().ok()?;
    let marks = text[4] == b'-' && text[7] == b'-' && text[13] == b':' && text[16] == b':';
    let civil = Civil {
        year: two(text[0], text[1]) * 100 + two(text[2], text[3]),
        month: two(text[5], text[6]),
        day: two(text[8], text[9]),
        hour: two(text[11], text[12]),
        minute: two(text[14], text[15]),
        second: two(text[17], text[18]),
        millis: 0,
    };
    (marks && civil.year < 10_000).then(|| civil.checked())?
}

/// `20261025013000`, 14 bytes.
fn compact(text: &[u8]) -> Option<Civil> {
    let text: &[u8; 14] = text.try_into().ok()?;
    let civil = Civil {
        year: two(text[0], text[1]) * 100 + two(text[2], text[3]),
        month: two(text[4], text[5]),
        day: two(text[6], text[7]),
        hour: two(text[8], text[9]),
        minute: two(text[10], text[11]),
        second: two(text[12], text[13]),
        millis: 0,
    };
    (civil.year < 10_000).then(|| civil.checked())?
}

/// Two digits as a number, or one so large that no range check lets it through.
fn two(tens: u8, ones: u8) -> u32 {
    let (tens, ones) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
    if tens > 9 || ones > 9 {
        return 1_000_000;
    }
    u32::from(tens) * 10 + u32::from(ones)
}

/// Milliseconds: digits, and for whole seconds a fraction; eighteen digits hold every scale's year 2200.
fn unix(bytes: &[u8], scale: i64) -> Option<i64> {
    let mut at = Cursor(bytes);
    let digits = at.digits(18);
    let value = digits
        .iter()
        .fold(0i64, |value, digit| value * 10 + i64::from(digit - b'0'));
    if digits.is_empty() {
        return None;
    }
    let mut millis = 0;
    if scale == 1 && at.byte(b'.').is_some() {
        millis = i64::from(at.fraction(usize::MAX)?);
    }
    let whole = if scale > 1_000 {
        value / (scale / 1_000)
    } else {
        value.checked_mul(1_000 / scale)?
    };
    at.0.is_empty().then_some(whole + millis)
}
