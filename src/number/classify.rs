//! Words that stand where a number should: withheld, dialplan, masked, text.
//!
//! What is sorted out here never reaches a parser, which would read letters
//! as keypad digits.

use std::net::Ipv4Addr;

/// What a value is when it is not digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    Withheld,
    Dialplan,
    Masked,
    Alpha,
    /// The emergency service, or one of them (RFC 5031).
    Emergency,
    /// Looks like a number and is none: an IPv4 address, or text around a run of digits. It may hold somebody's number.
    NoNumber,
}

/// Text with so many digits is no sender's name: a number may be among them.
const DIGITS_OF_A_NUMBER: usize = 7;

/// Words for a withheld number, as switches, PBXs and SIP (RFC 3323) write them.
const WITHHELD: [&str; 11] = [
    "anonymous",
    "restricted",
    "unavailable",
    "private",
    "unknown",
    "withheld",
    "blocked",
    "anonymous.invalid",
    "asterisk",
    "null",
    "<unknown>",
];

/// Asterisk's special extensions.
const DIALPLAN: [&str; 10] = ["s", "h", "i", "t", "T", "o", "a", "e", "fax", "failed"];

/// What a SIP phone calls where no number is dialled (RFC 5031, section 4.2).
const EMERGENCY_URN: &[u8] = b"urn:service:sos";

/// The class of a value, `None` when it may be something dialled.
pub(crate) fn word(value: &[u8]) -> Option<Word> {
    if is_withheld(value) {
        Some(Word::Withheld)
    } else if DIALPLAN.iter().any(|token| token.as_bytes() == value) {
        Some(Word::Dialplan)
    } else if is_masked(value) {
        Some(Word::Masked)
    } else if is_emergency(value) {
        Some(Word::Emergency)
    } else if has_letter(value) {
        let digits = value.iter().filter(|byte| byte.is_ascii_digit()).count();
        Some(if digits < DIGITS_OF_A_NUMBER {
            Word::Alpha
        } else {
            Word::NoNumber
        })
    } else if is_address(value) {
        Some(Word::NoNumber)
    } else {
        None
    }
}

fn is_withheld(value: &[u8]) -> bool {
    WITHHELD
        .iter()
        .any(|word| value.eq_ignore_ascii_case(word.as_bytes()))
}

/// Digits hidden behind at least two `x`, or two `*` that no star code begins
/// with; or nothing but three or more of `*` or `#`.
fn is_masked(value: &[u8]) -> bool {
    let only = |mark: u8| value.len() >= 3 && value.iter().all(|&byte| byte == mark);
    if only(b'*') || only(b'#') {
        return true;
    }
    let dialled = |byte: &u8| byte.is_ascii_digit() || b"+*xX -.()/".contains(byte);
    if value.first() == Some(&b'*') || !value.iter().all(dialled) {
        return false;
    }
    let crosses = value.iter().filter(|byte| b"xX".contains(byte)).count();
    crosses >= 2 || value.windows(2).any(|pair| pair == b"**")
}

/// `urn:service:sos`, `urn:service:sos.fire`.
fn is_emergency(value: &[u8]) -> bool {
    let Some((urn, service)) = value.split_at_checked(EMERGENCY_URN.len()) else {
        return false;
    };
    urn.eq_ignore_ascii_case(EMERGENCY_URN) && matches!(service, [] | [b'.', ..])
}

fn has_letter(value: &[u8]) -> bool {
    value.iter().any(u8::is_ascii_alphabetic)
        || (!value.is_ascii()
            && std::str::from_utf8(value).is_ok_and(|text| text.chars().any(char::is_alphabetic)))
}

fn is_address(value: &[u8]) -> bool {
    value.contains(&b'.') && std::str::from_utf8(value).is_ok_and(|text| text.parse::<Ipv4Addr>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_have_their_class() {
        use Word::{Alpha, Dialplan, Emergency, Masked, NoNumber, Withheld};
        for (value, class) in [
            ("anonymous", Some(Withheld)),
            ("ANONYMOUS", Some(Withheld)),
            ("Unavailable", Some(Withheld)),
            ("<unknown>", Some(Withheld)),
            ("s", Some(Dialplan)),
            ("S", Some(Alpha)),
            ("fax", Some(Dialplan)),
            ("XXXXX", Some(Masked)),
            ("xx", Some(Masked)),
            ("x12", Some(Alpha)),
            ("+12345678***", Some(Masked)),
            ("+1 415 555 XXXX", Some(Masked)),
            ("0770**90012", Some(Masked)),
            ("***", Some(Masked)),
            ("###", Some(Masked)),
            ("**21*07700900123#", None),
            ("*72*1234*8584", None),
            ("*43", None),
            ("MyBank", Some(Alpha)),
            ("urn:service:sos", Some(Emergency)),
            ("URN:Service:SOS.police", Some(Emergency)),
            ("urn:service:sosA", Some(Alpha)),
            ("urn:service", Some(Alpha)),
            ("171 (LEBEDEV LA)", Some(Alpha)),
            ("1-800-FLOWERS", Some(Alpha)),
            ("Банк", Some(Alpha)),
            // All of these once became one subscriber, "_alpha".
            ("PJSIP/07700900001-00000002", Some(NoNumber)),
            ("John 07700900001 home", Some(NoNumber)),
            ("020 7946 0958 (home)", Some(NoNumber)),
            ("4.47700900123E+11", Some(NoNumber)),
            ("ton:1,npi:1,#:4085550100", Some(NoNumber)),
            ("李07700900123", Some(NoNumber)),
            ("10.0.0.7", Some(NoNumber)),
            ("192.168.56.203", Some(NoNumber)),
            ("415.555.0123", None),
            ("01.23.45.67.89", None),
            ("+447700900123", None),
            ("", None),
        ] {
            assert_eq!(word(value.as_bytes()), class, "{value}");
        }
        assert_eq!(word(b"M\xfcller"), Some(Alpha));
        assert_eq!(word(b"\xff\xfe"), None);
    }
}
