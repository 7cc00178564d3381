//! What a value itself says of a ported number: `rn` and `npdi` of tel URIs (RFC 4694), also inside SIP URIs.
//!
//! A routing number belongs to a switch. One that holds the number itself (some networks write it so) is none.

use crate::number::E164;

/// What the parameters of a value say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ported {
    /// Nothing: nobody asked the portability database.
    Unknown,
    /// It was asked, and the number is where its range says.
    No,
    /// The number is reached over the routing number that was written.
    Yes,
}

/// Digits at the end of a number that a routing number may not hold.
const OWN_DIGITS: usize = 7;
/// RFC 4694 knows no limit; E.164 does.
const MAX_DIGITS: usize = E164::MAX_DIGITS;

/// Appends the routing number of `raw` to `out`, without `+` and separators.
pub fn routing_number(raw: &[u8], number: &E164, out: &mut Vec<u8>) -> Ported {
    let mut dipped = false;
    for parameter in raw.split(|&byte| byte == b';').skip(1) {
        let end = parameter
            .iter()
            .position(|byte| b"@>?,\"".contains(byte))
            .unwrap_or(parameter.len());
        let (name, value) = match parameter[..end].iter().position(|&byte| byte == b'=') {
            Some(at) => (&parameter[..at], &parameter[at + 1..end]),
            None => (&parameter[..end], &[][..]),
        };
        if name.eq_ignore_ascii_case(b"rn") {
            return written(value, number, out);
        }
        dipped |= name.eq_ignore_ascii_case(b"npdi");
    }
    if dipped { Ported::No } else { Ported::Unknown }
}

fn written(value: &[u8], number: &E164, out: &mut Vec<u8>) -> Ported {
    let start = out.len();
    let digits = value.strip_prefix(b"+").unwrap_or(value);
    for &byte in digits {
        match byte {
            b'0'..=b'9' | b'A'..=b'F' | b'a'..=b'f' => out.push(byte.to_ascii_uppercase()),
            b'-' | b'.' | b'(' | b')' => {}
            _ => {
                out.truncate(start);
                return Ported::Unknown;
            }
        }
    }
    let found = &out[start..];
    if found.is_empty() || found.len() > MAX_DIGITS || holds(found, number) {
        out.truncate(start);
        return Ported::Unknown;
    }
    Ported::Yes
}

/// Whether a text holds the last digits of a number.
pub fn holds(text: &[u8], number: &E164) -> bool {
    let digits = number.digits();
    let own = &digits[digits.len().saturating_sub(OWN_DIGITS)..];
    text.windows(own.len()).any(|part| part == own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parameters_of_a_uri_say_where_a_number_is() {
        let number = E164::from_digits([b"14155550123", b""]).unwrap();
        for (raw, ported, routing) in [
            ("tel:+1-415-555-0123", Ported::Unknown, ""),
            ("tel:+14155550123;npdi", Ported::No, ""),
            (
                "tel:+14155550123;npdi;rn=+1-415-555-0199",
                Ported::Yes,
                "14155550199",
            ),
            (
                "<sip:+14155550123;RN=+14155550199;npdi@example.net;user=phone>",
                Ported::Yes,
                "14155550199",
            ),
            ("tel:+14155550123;rn=d0a7;rn-context=+44", Ported::Yes, "D0A7"),
            ("+14155550123;rn=51044", Ported::Yes, "51044"),
            ("rn=51044", Ported::Unknown, ""),
            ("tel:+14155550123;rn=", Ported::Unknown, ""),
            ("tel:+14155550123;rn=alice", Ported::Unknown, ""),
            // The number itself behind a network's code.
            ("tel:+14155550123;npdi;rn=D0144155550123", Ported::Unknown, ""),
            ("tel:+14155550123;rn=1234567890123456", Ported::Unknown, ""),
        ] {
            let mut out = b"before".to_vec();
            assert_eq!(routing_number(raw.as_bytes(), &number, &mut out), ported, "{raw}");
            assert_eq!(&out[6..], routing.as_bytes(), "{raw}");
        }
    }
}
