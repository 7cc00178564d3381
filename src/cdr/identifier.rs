//! Kinds of identifier and the exact bytes of each that go into the HMAC.
//!
//! One subscriber must give one value whatever the spelling, and what cannot
//! be read gives none. Phone numbers have a room of their own (`crate::number`).

use std::io::Write;
use std::net::{IpAddr, Ipv6Addr};

/// What a pseudonymised field holds. The word is part of the key derivation,
/// so the same digits under two kinds give unrelated pseudonyms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A phone number (ITU-T E.164), in any spelling.
    Phone,
    /// International mobile subscriber identity: 6 to 15 digits (ITU-T E.212).
    Imsi,
    /// International mobile equipment identity: the first 14 digits (3GPP TS 23.003).
    Imei,
    /// An IPv4 or IPv6 address, in its shortest form; IPv4-mapped as IPv4.
    Ip,
    /// An account name: the exact bytes.
    Account,
    /// A call id: the exact bytes.
    Call,
    /// Anything else: the exact bytes.
    Text,
}

impl Kind {
    /// All kinds, as the policy may name them.
    pub const ALL: [Self; 7] = [
        Self::Phone,
        Self::Imsi,
        Self::Imei,
        Self::Ip,
        Self::Account,
        Self::Call,
        Self::Text,
    ];

    /// The word in the policy and in the key derivation.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Phone => "phone",
            Self::Imsi => "imsi",
            Self::Imei => "imei",
            Self::Ip => "ip",
            Self::Account => "account",
            Self::Call => "call",
            Self::Text => "text",
        }
    }

    /// The kind of that name.
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// Appends the canonical bytes of a non-phone identifier; `false` when it cannot be read.
///
/// The value is not blank (blank stays blank, for every kind).
pub fn canonical(kind: Kind, value: &[u8], out: &mut Vec<u8>) -> bool {
    match kind {
        Kind::Imsi => {
            let digits = value.trim_ascii();
            let readable = (6..=15).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
            if readable {
                out.extend_from_slice(digits);
            }
            readable
        }
        Kind::Imei => imei(value.trim_ascii(), out),
        Kind::Ip => ip(value.trim_ascii(), out),
        Kind::Phone | Kind::Account | Kind::Call | Kind::Text => {
            out.extend_from_slice(value);
            true
        }
    }
}

/// 14 digits (TAC and serial number), then at most a check digit or the two
/// digits of a software version. Handsets print separators: `35-209900-176148-1`.
fn imei(value: &[u8], out: &mut Vec<u8>) -> bool {
    let start = out.len();
    let mut digits = 0;
    for &byte in value {
        match byte {
            b'0'..=b'9' => {
                digits += 1;
                if digits <= 14 {
                    out.push(byte);
                }
            }
            b'-' | b'/' | b' ' => {}
            _ => digits = usize::MAX / 2,
        }
    }
    let readable = (14..=16).contains(&digits);
    if !readable {
        out.truncate(start);
    }
    readable
}

fn ip(value: &[u8], out: &mut Vec<u8>) -> bool {
    let Some(address) = read_ip(value) else {
        return false;
    };
    write!(out, "{address}").expect("writing to a Vec does not fail");
    true
}

/// An address without port or zone; `[...]` around IPv6 is taken off, IPv4-mapped is IPv4.
pub fn read_ip(value: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(value).ok()?;
    let text = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(text);
    let address: IpAddr = text.parse().ok()?;
    Some(match address {
        IpAddr::V6(v6) => mapped(v6).unwrap_or(address),
        IpAddr::V4(_) => address,
    })
}

fn mapped(address: Ipv6Addr) -> Option<IpAddr> {
    address.to_ipv4_mapped().map(IpAddr::V4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_bytes_by_kind() {
        let cases: &[(Kind, &str, Option<&str>)] = &[
            (Kind::Imsi, "234150999999999", Some("234150999999999")),
            (Kind::Imsi, " 234150999999999 ", Some("234150999999999")),
            (Kind::Imsi, "23415", None),
            (Kind::Imsi, "2341509999999990", None),
            (Kind::Imsi, "23415099999999x", None),
            (Kind::Imei, "35209900176148", Some("35209900176148")),
            (Kind::Imei, "352099001761481", Some("35209900176148")),
            (Kind::Imei, "3520990017614823", Some("35209900176148")),
            (Kind::Imei, "35-209900-176148-1", Some("35209900176148")),
            (Kind::Imei, "35209900176148233", None),
            (Kind::Imei, "3520990017614", None),
            (Kind::Imei, "35209900176148x", None),
            (Kind::Ip, "192.0.2.7", Some("192.0.2.7")),
            (Kind::Ip, "::ffff:192.0.2.7", Some("192.0.2.7")),
            (
                Kind::Ip,
                "2001:0db8:0000:0000:0000:0000:0000:0001",
                Some("2001:db8::1"),
            ),
            (Kind::Ip, "[2001:db8::1]", Some("2001:db8::1")),
            (Kind::Ip, "192.0.2.7:5060", None),
            (Kind::Ip, "192.0.2.300", None),
            (Kind::Account, " a b ", Some(" a b ")),
            (Kind::Text, "Zoë", Some("Zoë")),
        ];
        for (kind, value, expected) in cases {
            let mut out = b"before".to_vec();
            let readable = canonical(*kind, value.as_bytes(), &mut out);
            assert_eq!(readable, expected.is_some(), "{kind:?} {value}");
            assert_eq!(&out[6..], expected.unwrap_or("").as_bytes(), "{kind:?} {value}");
        }
    }

    #[test]
    fn every_kind_has_its_own_word() {
        for kind in Kind::ALL {
            assert_eq!(Kind::named(kind.as_str()), Some(kind));
        }
        assert_eq!(Kind::named("number"), None);
    }
}
