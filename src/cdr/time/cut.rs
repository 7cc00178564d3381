//! Cuts a time down to its minute, hour or day, in the format it came in.
//!
//! Invariant: nothing is written but what the format read, so that neither a
//! finer time nor any other text passes beside it.

use std::io::Write;

use super::pattern::{Cursor, Piece, Shape, TimeFormat};

/// The finest part of a time that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unit {
    /// Seconds become 00.
    Minute,
    /// Minutes and seconds become 00.
    Hour,
    /// The time of day becomes 00:00:00.
    Day,
}

impl Unit {
    fn seconds(self) -> i64 {
        match self {
            Self::Minute => 60,
            Self::Hour => 3_600,
            Self::Day => 86_400,
        }
    }
}

impl TimeFormat {
    /// Appends the time that `bytes` say in this format, cut down; `false` when they say none in it. What was
    /// appended by then is the caller's to take back.
    ///
    /// Times since 1970 and since the year 0 are cut in UTC, all others on the clock they are written in.
    pub fn cut(&self, bytes: &[u8], unit: Unit, out: &mut Vec<u8>) -> bool {
        if self.read(bytes).is_none() {
            return false;
        }
        match &self.shape {
            Shape::Rfc3339 => cut_rfc3339(bytes, unit, out).is_some(),
            // Its comments in brackets can hold anything: read as strictly as a pattern.
            Shape::Rfc2822 { strict } => cut_pattern(strict, bytes, unit, out).is_some(),
            Shape::Unix(scale) => {
                cut_count(&mut Cursor(bytes), unit.seconds() * scale, out);
                true
            }
            Shape::Gregorian => {
                cut_count(&mut Cursor(bytes), unit.seconds(), out);
                true
            }
            Shape::Pattern { pieces, .. } => cut_pattern(pieces, bytes, unit, out).is_some(),
        }
    }
}

/// Zeroes the digits in place: offset, `T` and length stay as they came.
fn cut_rfc3339(bytes: &[u8], unit: Unit, out: &mut Vec<u8>) -> Option<()> {
    let kept = match unit {
        Unit::Minute => 17,
        Unit::Hour => 14,
        Unit::Day => 11,
    };
    let (head, tail) = bytes.split_at_checked(kept)?;
    let fraction = bytes
        .get(19..)?
        .iter()
        .take_while(|byte| byte.is_ascii_digit() || **byte == b'.');
    let end = 19 + fraction.count() - kept;
    let (zeroed, offset) = tail.split_at_checked(end)?;
    out.extend_from_slice(head);
    zeros(zeroed, out);
    out.extend_from_slice(offset);
    Some(())
}

/// A count of units since a midnight, down to a multiple of `step`; a fraction is dropped.
fn cut_count(at: &mut Cursor<'_>, step: i64, out: &mut Vec<u8>) {
    let count = at
        .digits(18)
        .iter()
        .fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'));
    write!(out, "{}", count - count.rem_euclid(step)).expect("writing to a Vec does not fail");
}

fn cut_pattern(pieces: &[Piece], bytes: &[u8], unit: Unit, out: &mut Vec<u8>) -> Option<()> {
    let mut at = Cursor(bytes);
    for (place, &piece) in pieces.iter().enumerate() {
        let before = at.0;
        if piece == Piece::Epoch {
            cut_count(&mut at, unit.seconds(), out);
            continue;
        }
        at.skip(piece, pieces, place)?;
        let read = &before[..before.len() - at.0.len()];
        match piece {
            Piece::Second | Piece::Fraction(_) | Piece::DotFraction => zeros(read, out),
            Piece::Minute if unit >= Unit::Hour => zeros(read, out),
            Piece::Hour if unit >= Unit::Day => zeros(read, out),
            // Midnight on a clock of twelve hours.
            Piece::Hour12 if unit >= Unit::Day => out.extend_from_slice(b"12"),
            Piece::HalfDay if unit >= Unit::Day => {
                out.extend_from_slice(if read.starts_with(b"p") { b"am" } else { b"AM" });
            }
            _ => out.extend_from_slice(read),
        }
    }
    at.0.is_empty().then_some(())
}

fn zeros(read: &[u8], out: &mut Vec<u8>) {
    out.extend(
        read.iter()
            .map(|&byte| if byte.is_ascii_digit() { b'0' } else { byte }),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(format: &str, unit: Unit, text: &str) -> Option<String> {
        let mut out = Vec::new();
        let format = TimeFormat::parse_format(format).unwrap();
        let done = format.cut(text.as_bytes(), unit, &mut out);
        done.then(|| String::from_utf8(out).unwrap())
    }

    #[test]
    fn times_are_cut_in_their_own_format() {
        use Unit::{Day, Hour, Minute};
        let iso = "%Y-%m-%d %H:%M:%S";
        for (format, unit, text, expected) in [
            (iso, Minute, "2026-11-05 09:15:42", Some("2026-11-05 09:15:00")),
            (iso, Hour, "2026-11-05 09:15:42", Some("2026-11-05 09:00:00")),
            (iso, Day, "2026-11-05 09:15:42", Some("2026-11-05 00:00:00")),
            (iso, Minute, "2026-11-5 9:5:2", Some("2026-11-5 9:5:0")),
            (iso, Minute, "yesterday", None),
            ("%Y%m%d%H%M%S", Hour, "20261105091542", Some("20261105090000")),
            (
                "%d.%m.%Y %H:%M",
                Day,
                "05.11.2026 09:15",
                Some("05.11.2026 00:00"),
            ),
            (
                "%m/%d/%y %I:%M %p",
                Hour,
                "11/05/26 09:15 PM",
                Some("11/05/26 09:00 PM"),
            ),
            (
                "%m/%d/%y %I:%M %p",
                Day,
                "11/05/26 09:15 pm",
                Some("11/05/26 12:00 am"),
            ),
            (
                "%m/%d/%y %I:%M %p",
                Day,
                "11/05/26 09:15 PM",
                Some("11/05/26 12:00 AM"),
            ),
            (
                "%F %T%.f %z",
                Minute,
                "2026-11-05 09:15:42.125 +0100",
                Some("2026-11-05 09:15:00.000 +0100"),
            ),
            ("%s", Minute, "1793870142", Some("1793870100")),
            ("unix", Minute, "1793870142", Some("1793870100")),
            ("unix", Hour, "1793870142.250", Some("1793869200")),
            ("unix_ms", Minute, "1793870142999", Some("1793870100000")),
            ("unix_us", Day, "1793870142999999", Some("1793836800000000")),
            ("gregorian", Hour, "63961089342", Some("63961088400")),
            ("gregorian", Day, "63961089342", Some("63961056000")),
            (
                "rfc3339",
                Minute,
                "2026-11-05T09:15:42.123Z",
                Some("2026-11-05T09:15:00.000Z"),
            ),
            (
                "rfc3339",
                Hour,
                "2026-11-05T09:15:42+05:30",
                Some("2026-11-05T09:00:00+05:30"),
            ),
            ("rfc3339", Day, "2026-11-05", None),
            (
                "rfc2822",
                Minute,
                "Thu, 05 Nov 2026 09:15:42 +0000",
                Some("Thu, 05 Nov 2026 09:15:00 +0000"),
            ),
            (
                "rfc2822",
                Minute,
                "Thu, 05 Nov 2026 09:15:42 +0000 (07700900123)",
                None,
            ),
        ] {
            assert_eq!(cut(format, unit, text).as_deref(), expected, "{format} {text}");
        }
    }

    /// A lenient parser took all of these, and what stood at fixed places passed.
    #[test]
    fn what_the_format_does_not_read_never_passes() {
        for text in [
            "2026-11-05T09:15:42Z[x-n=447700900123]",
            "2026-11-05T091542.123456789Z",
            "+002026-11-05T09:15:42Z",
            "2026-11-05T09:15:42,123Z",
            "20261105T091542.123456Z",
            "2026-11-05T09:15:42Z 447700900123",
        ] {
            for unit in [Unit::Minute, Unit::Hour, Unit::Day] {
                assert_eq!(cut("rfc3339", unit, text), None, "{text}");
            }
        }
    }
}
