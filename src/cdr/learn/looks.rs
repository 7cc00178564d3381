//! What one value looks like, whatever its field is called.

use memchr::memchr_iter;

use crate::cdr::identifier::read_ip;

/// What a value looks like; the first that holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Look {
    /// `user@host`, not a SIP address.
    Mail,
    /// `sip:`, `sips:`, `tel:`, or a number in angle brackets.
    Wrapped,
    /// An address of the web, or a path.
    Url,
    Ip,
    /// Something with an IP address in it: SIP call ids are such.
    WithIp,
    Uuid,
    /// 15 digits with the check digit of an IMEI.
    Imei,
    /// 14 or 15 digits without.
    Imsi,
    /// Digits.
    Whole,
    /// Digits with a decimal point, signed perhaps.
    Decimal,
    /// `00:05:13`, `13s`, `1h2m`
    Span,
    /// Letters without a space.
    Word,
    /// Letters with spaces.
    Words,
    /// Letters and digits.
    Code,
    Other,
}

/// What the value, which is not blank, looks like.
pub(super) fn look(value: &[u8]) -> Look {
    let digits = value.iter().filter(|byte| byte.is_ascii_digit()).count();
    let letters = value
        .iter()
        .filter(|byte| byte.is_ascii_alphabetic() || !byte.is_ascii())
        .count();
    if digits == value.len() {
        return match digits {
            15 if luhn(value) => Look::Imei,
            14 | 15 => Look::Imsi,
            _ => Look::Whole,
        };
    }
    if is_decimal(value) {
        return Look::Decimal;
    }
    if read_ip(value).is_some() {
        return Look::Ip;
    }
    if is_uuid(value) {
        return Look::Uuid;
    }
    if is_span(value) {
        return Look::Span;
    }
    let starts = |prefix: &str| {
        value
            .get(..prefix.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
    };
    if ["sip:", "sips:", "tel:", "<sip", "<tel"].into_iter().any(starts) || value.ends_with(b">") {
        return Look::Wrapped;
    }
    if starts("http") || starts("ftp:") || (value[0] == b'/' && letters > 0) {
        return Look::Url;
    }
    if holds_ip(value) {
        return Look::WithIp;
    }
    let at = value.iter().position(|&byte| byte == b'@');
    if at.is_some_and(|at| at > 0 && value[at..].contains(&b'.') && !value.contains(&b' ')) {
        return Look::Mail;
    }
    let spaced = value.contains(&b' ');
    match (letters, digits) {
        (0, _) => Look::Other,
        (_, 0) if !spaced => Look::Word,
        (_, 0..=2) if spaced => Look::Words,
        _ if spaced => Look::Other,
        _ => Look::Code,
    }
}

/// The longest run of digits.
pub(super) fn longest_digits(value: &[u8]) -> usize {
    value
        .split(|byte| !byte.is_ascii_digit())
        .map(<[u8]>::len)
        .max()
        .unwrap_or(0)
}

/// ISO/IEC 7812-1, annex B: the check digit of an IMEI (3GPP TS 23.003, annex B).
fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(at, digit)| {
            let digit = u32::from(digit - b'0');
            match (at % 2, digit * 2) {
                (0, _) => digit,
                (_, double) => double / 10 + double % 10,
            }
        })
        .sum();
    sum.is_multiple_of(10)
}

fn is_decimal(value: &[u8]) -> bool {
    let unsigned = value.strip_prefix(b"-").unwrap_or(value);
    let dots = memchr_iter(b'.', unsigned).count();
    let figures = unsigned.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.');
    figures && dots <= 1 && unsigned.len() > dots && (dots == 1 || unsigned.len() < value.len())
}

fn is_uuid(value: &[u8]) -> bool {
    let dashes = memchr_iter(b'-', value).count();
    let hex = value.iter().all(|byte| byte.is_ascii_hexdigit() || *byte == b'-');
    let letters = value.iter().any(u8::is_ascii_alphabetic);
    hex && letters && matches!((value.len(), dashes), (36, 4) | (32 | 40 | 64, 0))
}

fn is_span(value: &[u8]) -> bool {
    let mut parts = value.split(|&byte| byte == b':');
    let clock = parts.clone().count() == 3
        && parts.all(|part| (1..=3).contains(&part.len()) && part.iter().all(u8::is_ascii_digit));
    let units = value[0].is_ascii_digit()
        && value
            .iter()
            .all(|byte| byte.is_ascii_digit() || b".hmsnu".contains(byte))
        && value.ends_with(b"s");
    clock || units
}

fn holds_ip(value: &[u8]) -> bool {
    value
        .split(|byte| !(byte.is_ascii_digit() || *byte == b'.'))
        .any(|part| part.len() >= 7 && read_ip(part).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_look_like_what_they_are() {
        for (value, expected) in [
            ("ada@example.com", Look::Mail),
            ("sip:+447700900001@192.0.2.7", Look::Wrapped),
            ("\"Ada\" <07700900001>", Look::Wrapped),
            ("https://example.com/a.wav", Look::Url),
            ("/var/spool/a.wav", Look::Url),
            ("192.0.2.7", Look::Ip),
            ("2001:db8::1", Look::Ip),
            ("c-1@192.0.2.7", Look::WithIp),
            ("d80e22e0-4c15-11ea-97a0-9dd79410affb", Look::Uuid),
            ("490154203237518", Look::Imei),
            ("001010123456789", Look::Imsi),
            ("447700900001", Look::Whole),
            ("-0.200", Look::Decimal),
            ("51.5", Look::Decimal),
            ("00:05:13", Look::Span),
            ("1h2m3s", Look::Span),
            ("ANSWERED", Look::Word),
            ("NO ANSWER", Look::Words),
            ("zq-1x", Look::Code),
            ("CELL_022A", Look::Code),
            ("+447700900001", Look::Other),
        ] {
            assert_eq!(look(value.as_bytes()), expected, "{value}");
        }
        assert_eq!(longest_digits(b"PJSIP/0770090-12"), 7);
    }
}
