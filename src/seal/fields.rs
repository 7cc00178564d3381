//! What a restricted envelope holds: the fields taken out of the public record.
//!
//! ```text
//! u8 kind | u16 name length | name | u32 value length | value      repeated; big-endian
//! ```
//!
//! Invariant: names and values come back byte for byte.

use thiserror::Error;

/// How a field's value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldKind {
    /// The bytes of a CSV value, unquoted: kind 0.
    Csv,
    /// The text of a JSON value, as it stood: kind 1.
    Json,
}

/// One field.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// How the value is written.
    pub kind: FieldKind,
    /// The column's name, or the JSON path.
    pub name: &'a str,
    /// The raw value.
    pub value: &'a [u8],
}

impl std::fmt::Debug for Field<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Field({:?}, {:?}, {} bytes)",
            self.kind,
            self.name,
            self.value.len()
        )
    }
}

/// Appends one field.
///
/// # Errors
///
/// [`FieldTooLong`]; `out` is then as it was.
pub fn write_field(out: &mut Vec<u8>, kind: FieldKind, name: &str, value: &[u8]) -> Result<(), FieldTooLong> {
    let name_len = u16::try_from(name.len()).map_err(|_| FieldTooLong)?;
    let value_len = u32::try_from(value.len()).map_err(|_| FieldTooLong)?;
    out.push(match kind {
        FieldKind::Csv => 0,
        FieldKind::Json => 1,
    });
    out.extend_from_slice(&name_len.to_be_bytes());
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(&value_len.to_be_bytes());
    out.extend_from_slice(value);
    Ok(())
}

/// What stands before the values of one field, put together once.
#[derive(Debug, Clone)]
pub struct FieldHead(Box<[u8]>);

impl FieldHead {
    /// The head of this field.
    ///
    /// # Errors
    ///
    /// [`FieldTooLong`] for the name.
    pub fn new(kind: FieldKind, name: &str) -> Result<Self, FieldTooLong> {
        let mut head = Vec::new();
        write_field(&mut head, kind, name, &[])?;
        head.truncate(head.len() - size_of::<u32>());
        Ok(Self(head.into()))
    }

    /// Appends the field with this value, as [`write_field`] does.
    ///
    /// # Errors
    ///
    /// [`FieldTooLong`]; `out` is then as it was.
    pub fn write(&self, out: &mut Vec<u8>, value: &[u8]) -> Result<(), FieldTooLong> {
        let length = u32::try_from(value.len()).map_err(|_| FieldTooLong)?;
        out.extend_from_slice(&self.0);
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(value);
        Ok(())
    }
}

/// The fields in order; ends after the first fault.
pub fn fields(plaintext: &[u8]) -> impl Iterator<Item = Result<Field<'_>, BadFields>> {
    let mut rest = plaintext;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let parsed = split_field(rest);
        rest = parsed.map_or(&[], |(_, rest)| rest);
        Some(parsed.map(|(field, _)| field).ok_or(BadFields))
    })
}

fn split_field(bytes: &[u8]) -> Option<(Field<'_>, &[u8])> {
    let (kind, rest) = bytes.split_first()?;
    let kind = match kind {
        0 => FieldKind::Csv,
        1 => FieldKind::Json,
        _ => return None,
    };
    let (&length, rest) = rest.split_first_chunk::<2>()?;
    let (name, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(length)))?;
    let (&length, rest) = rest.split_first_chunk::<4>()?;
    let (value, rest) = rest.split_at_checked(u32::from_be_bytes(length) as usize)?;
    let name = std::str::from_utf8(name).ok()?;
    Some((Field { kind, name, value }, rest))
}

/// A name above 65,535 bytes or a value above 4 GiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a field name above 65,535 bytes or a value above 4 GiB cannot be sealed")]
pub struct FieldTooLong;

/// The plaintext is not a list of fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the opened bytes are not a list of fields: not a restricted record, or written by a newer cdrveil")]
pub struct BadFields;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_layout_is_as_documented() {
        let mut out = Vec::new();
        write_field(&mut out, FieldKind::Csv, "imsi", b"001010000000001").unwrap();
        write_field(&mut out, FieldKind::Json, "a.b", b"null").unwrap();
        assert_eq!(
            out,
            b"\0\0\x04imsi\0\0\0\x0f001010000000001\x01\0\x03a.b\0\0\0\x04null"
        );
    }

    #[test]
    fn cut_and_unknown_bytes_are_one_fault_and_the_end() {
        for bytes in [
            &b"\0"[..],
            b"\x02\0\0\0\0\0\0",
            b"\0\0\x01\xff\0\0\0\0",
            b"\0\0\x01a\xff\xff\xff\xff",
        ] {
            assert_eq!(fields(bytes).collect::<Vec<_>>(), [Err(BadFields)]);
        }
    }

    #[test]
    fn a_name_too_long_leaves_the_buffer_alone() {
        let mut out = b"x".to_vec();
        let name = "n".repeat(65_536);
        assert_eq!(
            write_field(&mut out, FieldKind::Csv, &name, b""),
            Err(FieldTooLong)
        );
        assert_eq!(out, b"x");
    }

    proptest! {
        #[test]
        fn what_was_written_comes_back(
            written in prop::collection::vec((any::<bool>(), "\\PC{0,20}", prop::collection::vec(any::<u8>(), 0..300)), 0..8),
        ) {
            let kind = |json: bool| if json { FieldKind::Json } else { FieldKind::Csv };
            let mut out = Vec::new();
            for (json, name, value) in &written {
                let before = out.len();
                write_field(&mut out, kind(*json), name, value).unwrap();
                let mut again = Vec::new();
                FieldHead::new(kind(*json), name).unwrap().write(&mut again, value).unwrap();
                prop_assert_eq!(&again, &out[before..]);
            }
            let read: Vec<_> = fields(&out).map(Result::unwrap).collect();
            prop_assert_eq!(read.len(), written.len());
            for (field, (json, name, value)) in read.iter().zip(&written) {
                prop_assert_eq!((field.kind, field.name, field.value), (kind(*json), name.as_str(), value.as_slice()));
            }
        }
    }
}
