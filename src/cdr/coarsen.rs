//! Coarser values in place of exact ones: times, durations, IP addresses.
//!
//! The shape of the value stays: a time comes out in the format it came in,
//! so that consumers parse it as before. What cannot be read is not passed.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::cdr::identifier::read_ip;
use crate::cdr::time::{TimeFormat, Unit};

/// How a value is made coarser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Coarsen {
    /// A time, cut down to the start of a minute, hour or day.
    Time {
        /// What is kept.
        unit: Unit,
        /// The formats tried, in order.
        formats: Vec<TimeFormat>,
    },
    /// A whole number, rounded down to a multiple.
    Step(u64),
    /// An IP address, the bits behind the prefix zeroed.
    Prefix {
        /// Bits kept of an IPv4 address.
        v4: u8,
        /// Bits kept of an IPv6 address.
        v6: u8,
    },
}

impl Coarsen {
    /// A time in one of the formats, cut down to `to`.
    ///
    /// # Errors
    ///
    /// An unknown unit, or a format that cannot be read.
    pub fn time(to: &str, formats: &[String]) -> Result<Self, String> {
        let unit = match to {
            "minute" => Unit::Minute,
            "hour" => Unit::Hour,
            "day" => Unit::Day,
            _ => return Err(format!("coarsen to \"{to}\" is unknown (minute, hour, day)")),
        };
        let formats = formats
            .iter()
            .map(|format| TimeFormat::parse_format(format))
            .collect::<Result<Vec<_>, _>>()?;
        if formats.is_empty() {
            return Err("coarsen to a minute, hour or day needs a time format".to_owned());
        }
        Ok(Self::Time { unit, formats })
    }

    /// A whole number, rounded down to a multiple of `step`.
    ///
    /// # Errors
    ///
    /// A step below 2 changes nothing.
    pub fn step(step: i64) -> Result<Self, String> {
        match u64::try_from(step) {
            Ok(step) if step >= 2 => Ok(Self::Step(step)),
            _ => Err("coarsen step must be 2 or more".to_owned()),
        }
    }

    /// An IP address, cut to its first bits.
    ///
    /// # Errors
    ///
    /// More bits than the address has, or all of them: that hides nothing.
    pub fn prefix(v4: i64, v6: i64) -> Result<Self, String> {
        match (u8::try_from(v4), u8::try_from(v6)) {
            (Ok(v4), Ok(v6)) if v4 < 32 && v6 < 128 => Ok(Self::Prefix { v4, v6 }),
            _ => Err("coarsen prefix is 0 to 31 bits (prefix6: 0 to 127)".to_owned()),
        }
    }

    /// Appends the coarser value; `false` (and nothing appended) when the value cannot be read.
    pub fn apply(&self, value: &[u8], out: &mut Vec<u8>) -> bool {
        let value = value.trim_ascii();
        let start = out.len();
        let done = match self {
            Self::Time { unit, formats } => formats.iter().any(|format| {
                out.truncate(start);
                format.cut(value, *unit, out)
            }),
            Self::Step(step) => round_down(value, *step, out),
            Self::Prefix { v4, v6 } => read_ip(value).is_some_and(|address| {
                let network = match address {
                    IpAddr::V4(address) => {
                        IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() & mask(32, *v4) as u32))
                    }
                    IpAddr::V6(address) => {
                        IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & mask(128, *v6)))
                    }
                };
                write!(out, "{network}").is_ok()
            }),
        };
        if !done {
            out.truncate(start);
        }
        done
    }
}

/// The first `kept` of the lowest `width` bits set.
fn mask(width: u32, kept: u8) -> u128 {
    let all = if width == 128 { u128::MAX } else { (1 << width) - 1 };
    all & !all.checked_shr(u32::from(kept)).unwrap_or(0)
}

fn round_down(value: &[u8], step: u64, out: &mut Vec<u8>) -> bool {
    // A fraction is below any step: "12.9" to steps of 6 is 12.
    let whole = value.split(|&byte| byte == b'.').next().unwrap_or(value);
    let fraction = value.get(whole.len() + 1..).unwrap_or(b"0");
    let digits = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
    if !digits(whole) || !digits(fraction) {
        return false;
    }
    let number = std::str::from_utf8(whole)
        .ok()
        .and_then(|text| text.parse::<u64>().ok());
    number.is_some_and(|number| write!(out, "{}", number - number % step).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(to: &str, format: &str) -> Coarsen {
        Coarsen::time(to, &[format.to_owned()]).unwrap()
    }

    #[test]
    fn coarser_values() {
        let cases = [
            (
                time("minute", "rfc3339"),
                "2026-11-05T09:15:42Z",
                Some("2026-11-05T09:15:00Z"),
            ),
            (time("day", "unix"), "1793870142", Some("1793836800")),
            (time("minute", "unix"), "yesterday", None),
            (Coarsen::step(6).unwrap(), "17", Some("12")),
            (Coarsen::step(60).unwrap(), "59.9", Some("0")),
            (Coarsen::step(60).unwrap(), "-5", None),
            (Coarsen::step(60).unwrap(), "", None),
            (Coarsen::step(60).unwrap(), "12.x", None),
            (Coarsen::prefix(24, 48).unwrap(), "192.0.2.77", Some("192.0.2.0")),
            (Coarsen::prefix(0, 0).unwrap(), "192.0.2.77", Some("0.0.0.0")),
            (
                Coarsen::prefix(24, 48).unwrap(),
                "2001:db8:1:2::3",
                Some("2001:db8:1::"),
            ),
            (Coarsen::prefix(24, 48).unwrap(), "host.example", None),
        ];
        for (how, value, expected) in cases {
            let mut out = b"x".to_vec();
            let done = how.apply(value.as_bytes(), &mut out);
            assert_eq!(
                done.then(|| String::from_utf8_lossy(&out[1..]).into_owned())
                    .as_deref(),
                expected,
                "{how:?} {value}"
            );
            assert!(done || out == b"x");
        }
    }

    #[test]
    fn settings_out_of_range_are_refused() {
        assert!(Coarsen::time("second", &["unix".to_owned()]).is_err());
        for format in ["garbage", "", "%H:%M"] {
            assert!(Coarsen::time("hour", &[format.to_owned()]).is_err(), "{format}");
        }
        assert!(Coarsen::time("hour", &[]).is_err());
        assert!(Coarsen::prefix(32, 48).is_err());
        assert!(Coarsen::prefix(24, 128).is_err());
        assert!(Coarsen::step(1).is_err());
        assert!(Coarsen::prefix(33, 48).is_err());
        assert!(Coarsen::prefix(24, 129).is_err());
        assert!(Coarsen::prefix(-1, 48).is_err());
    }
}
