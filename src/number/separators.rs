//! Dots, dashes and slashes: between a number's digits, or the sign of something else.
//!
//! Left out without a look they make a subscriber of a negative number, of a
//! decimal fraction (spreadsheets write `447700900123.0`) or of a date.

/// Whether dots, dashes and slashes stand where a number has them.
pub(crate) fn of_a_number(value: &[u8]) -> bool {
    let value = value.trim_ascii();
    let signed = matches!(value.first(), Some(b'-' | b'.' | b'/'));
    let slashes = memchr::memchr_iter(b'/', value).count();
    !signed && slashes <= 1 && !is_fraction(value) && !begins_with_date(value)
}

/// One digit behind the last dot, or up to two behind the only one.
fn is_fraction(value: &[u8]) -> bool {
    let mut groups = value.rsplit(|&byte| byte == b'.');
    let last = groups.next().map_or(0, <[u8]>::len);
    match groups.count() {
        0 => false,
        1 => last <= 2,
        _ => last <= 1,
    }
}

/// `2026-11-05`, `5/11/2026`, `05.11.2026`, whatever follows.
fn begins_with_date(value: &[u8]) -> bool {
    let mut parts = value.splitn(3, |byte| b"-./".contains(byte));
    let (Some(first), Some(second), Some(rest)) = (parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let third = &rest[..digits];
    let (year, parts) = if first.len() == 4 {
        (first, [second, third])
    } else {
        (third, [first, second])
    };
    let in_year = |part: &[u8]| matches!(number(part), Some(1..=31));
    matches!(year, [b'1', b'9', ..] | [b'2', b'0', ..])
        && year.len() == 4
        && number(year).is_some()
        && parts.into_iter().all(in_year)
}

/// Of one to four digits.
fn number(digits: &[u8]) -> Option<u16> {
    if digits.is_empty() || digits.len() > 4 {
        return None;
    }
    digits.iter().try_fold(0, |sum, digit| {
        digit.is_ascii_digit().then(|| sum * 10 + u16::from(digit - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_of_numbers_and_of_other_things() {
        for value in [
            "020-7946-0958",
            "415.555.0123",
            "01.23.45.67.89",
            "030/23125012",
            "+1 (415) 555-0123",
            "077.00900123",
            "2026-555-0123",
            "1-800-555-0199",
        ] {
            assert!(of_a_number(value.as_bytes()), "{value}");
        }
        for value in [
            "-447700900123",
            " -1",
            ".5",
            "44770090012.0",
            "447700900123.00",
            "1.234.5",
            "2026-11-05",
            "2026-11-05 091500",
            "05/11/2026",
            "5-11-2026",
            "05.11.2026",
            "030/23125012/13",
        ] {
            assert!(!of_a_number(value.as_bytes()), "{value}");
        }
    }
}
