//! Byte layout of a sealed value, version 1, all integers big-endian:
//!
//! ```text
//! 0x01 | u16 n | n bytes: age file holding the 32-byte data key
//!      | u8 d  | d bytes: domain  | u8 e | e bytes: epoch id (may be empty)
//!      | 12 bytes: nonce          | ciphertext | 16 bytes: tag       AES-256-GCM
//! ```
//!
//! Invariant: the associated data binds the place ([`Place`]), so a value
//! moved to another topic, record, domain or epoch does not open.

/// First byte of every envelope of this layout.
pub const VERSION: u8 = 1;
/// Bytes of the AES-256-GCM data key.
pub const KEY_BYTES: usize = 32;
/// Bytes of the nonce: four zeros and a counter of eight.
pub const NONCE_BYTES: usize = 12;
/// Bytes of the authentication tag.
pub const TAG_BYTES: usize = 16;

const AAD_LABEL: &[u8] = b"cdrveil/v1/seal";

/// What an envelope is bound to.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The daemon's pseudonymisation domain.
    pub domain: &'a str,
    /// The topic it is written to.
    pub topic: &'a str,
    /// Epoch id; empty for a record rejected before its epoch was known.
    pub epoch: &'a str,
    /// The raw record's id: the Kafka key of the sealed record.
    pub record_id: &'a [u8],
}

/// Writes the associated data into `out`, in place of what was there:
/// `"cdrveil/v1/seal"`, then domain, topic, record id and epoch, each behind its u16 length.
pub(super) fn write_aad(out: &mut Vec<u8>, place: &Place<'_>) {
    out.clear();
    write_aad_head(out, place.domain, place.topic);
    write_aad_tail(out, place.record_id, place.epoch);
}

/// Appends the part of the associated data that is the same for all records of an output.
pub(super) fn write_aad_head(out: &mut Vec<u8>, domain: &str, topic: &str) {
    out.extend_from_slice(AAD_LABEL);
    write_aad_part(out, domain.as_bytes());
    write_aad_part(out, topic.as_bytes());
}

/// Appends the rest of the associated data.
pub(super) fn write_aad_tail(out: &mut Vec<u8>, record_id: &[u8], epoch: &str) {
    write_aad_part(out, record_id);
    write_aad_part(out, epoch.as_bytes());
}

fn write_aad_part(out: &mut Vec<u8>, part: &[u8]) {
    out.extend_from_slice(&(part.len() as u16).to_be_bytes());
    out.extend_from_slice(part);
}

/// The bytes before the nonce: the same for all records of a session.
pub(super) fn header(wrapped: &[u8], domain: &str, epoch: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(wrapped.len() + domain.len() + epoch.len() + 5);
    out.push(VERSION);
    out.extend_from_slice(&(wrapped.len() as u16).to_be_bytes());
    out.extend_from_slice(wrapped);
    out.push(domain.len() as u8);
    out.extend_from_slice(domain.as_bytes());
    out.push(epoch.len() as u8);
    out.extend_from_slice(epoch.as_bytes());
    out
}

/// The nonce of the session's n-th record.
pub(super) fn nonce(counter: u64) -> [u8; NONCE_BYTES] {
    let mut nonce = [0; NONCE_BYTES];
    nonce[4..].copy_from_slice(&counter.to_be_bytes());
    nonce
}

/// An envelope taken apart; nothing in it is trusted yet.
pub(super) struct Parts<'a> {
    pub wrapped: &'a [u8],
    pub domain: &'a [u8],
    pub epoch: &'a [u8],
    pub nonce: &'a [u8; NONCE_BYTES],
    pub ciphertext: &'a [u8],
    pub tag: &'a [u8; TAG_BYTES],
}

/// Why bytes are not an envelope.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Malformed {
    Truncated,
    Version(u8),
}

pub(super) fn parse(sealed: &[u8]) -> Result<Parts<'_>, Malformed> {
    let (&version, rest) = sealed.split_first().ok_or(Malformed::Truncated)?;
    if version != VERSION {
        return Err(Malformed::Version(version));
    }
    parse_body(rest).ok_or(Malformed::Truncated)
}

fn parse_body(rest: &[u8]) -> Option<Parts<'_>> {
    let (&length, rest) = rest.split_first_chunk::<2>()?;
    let (wrapped, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(length)))?;
    let (&length, rest) = rest.split_first()?;
    let (domain, rest) = rest.split_at_checked(usize::from(length))?;
    let (&length, rest) = rest.split_first()?;
    let (epoch, rest) = rest.split_at_checked(usize::from(length))?;
    let (nonce, rest) = rest.split_first_chunk()?;
    let (ciphertext, tag) = rest.split_last_chunk()?;
    Some(Parts {
        wrapped,
        domain,
        epoch,
        nonce,
        ciphertext,
        tag,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn associated_data_is_as_documented() {
        let mut aad = b"old".to_vec();
        let place = Place {
            domain: "billing",
            topic: "t",
            epoch: "",
            record_id: b"r/0/1",
        };
        write_aad(&mut aad, &place);
        assert_eq!(aad, b"cdrveil/v1/seal\0\x07billing\0\x01t\0\x05r/0/1\0\0");
    }

    #[test]
    fn a_header_and_a_body_come_apart_again() {
        let mut sealed = header(b"WRAP", "billing", "2026-11");
        sealed.extend_from_slice(&nonce(258));
        sealed.extend_from_slice(&[9; 3]);
        sealed.extend_from_slice(&[7; TAG_BYTES]);
        let parts = parse(&sealed).ok().unwrap();
        assert_eq!(
            (parts.wrapped, parts.domain, parts.epoch),
            (&b"WRAP"[..], &b"billing"[..], &b"2026-11"[..])
        );
        assert_eq!(parts.nonce, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2]);
        assert_eq!((parts.ciphertext, parts.tag), (&[9; 3][..], &[7; TAG_BYTES]));
        assert_eq!(parse(&[]).err(), Some(Malformed::Truncated));
        assert_eq!(parse(&[2, 0]).err(), Some(Malformed::Version(2)));
    }
}
