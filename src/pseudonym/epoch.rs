//! When a call happened and which epoch's key that means: the small values of time.
//!
//! Invariant: an [`EventTime`] is the call's own time, never the wall clock's,
//! so that a late or replayed record gets the pseudonyms it had.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// Start of the call: milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventTime(i64);

impl EventTime {
    /// From milliseconds since the Unix epoch, UTC.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the Unix epoch, UTC.
    pub const fn as_millis(self) -> i64 {
        self.0
    }
}

/// RFC 3339 in UTC; a time outside the years -9999 to 9999 as bare milliseconds.
impl fmt::Display for EventTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(time) => write!(f, "{time}"),
            Err(_) => write!(f, "{}ms", self.0),
        }
    }
}

const MAX_ID: usize = 16;

/// Name of an epoch, `^[a-z0-9][a-z0-9-]{0,15}$`: the first part of every token.
///
/// Held inline: copying costs nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EpochId {
    bytes: [u8; MAX_ID],
    len: u8,
}

impl EpochId {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).expect("only ASCII letters, digits and hyphens get in")
    }

    /// The name as bytes (ASCII).
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl FromStr for EpochId {
    type Err = EpochIdInvalid;

    fn from_str(text: &str) -> Result<Self, EpochIdInvalid> {
        let name = text.as_bytes();
        let allowed = |byte: &u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
        if name.is_empty() || name.len() > MAX_ID || name[0] == b'-' || !name.iter().all(allowed) {
            return Err(EpochIdInvalid);
        }
        let mut bytes = [0; MAX_ID];
        bytes[..name.len()].copy_from_slice(name);
        Ok(Self {
            bytes,
            len: name.len() as u8,
        })
    }
}

impl fmt::Display for EpochId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for EpochId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EpochId({self})")
    }
}

/// Text that cannot name an epoch.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "an id is 1 to 16 lower-case letters, digits and hyphens, not starting with a hyphen, such as \"2026-11\""
)]
pub struct EpochIdInvalid;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids() {
        for (text, good) in [
            ("2026-11", true),
            ("a", true),
            ("0123456789abcdef", true),
            ("a-", true),
            ("", false),
            ("-a", false),
            ("0123456789abcdefg", false),
            ("2026.11", false),
            ("2026_11", false),
            ("Nov", false),
            ("n\u{f6}", false),
        ] {
            let id = text.parse::<EpochId>();
            assert_eq!(id.is_ok(), good, "{text}");
            if let Ok(id) = id {
                assert_eq!(id.to_string(), text);
            }
        }
    }

    #[test]
    fn times_show_as_rfc_3339() {
        for (millis, shown) in [
            (0, "1970-01-01T00:00:00Z"),
            (1_793_491_200_000, "2026-11-01T00:00:00Z"),
            (1_793_491_200_250, "2026-11-01T00:00:00.25Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (i64::MAX, "9223372036854775807ms"),
        ] {
            assert_eq!(EventTime::from_millis(millis).to_string(), shown);
        }
    }
}
