//! How a pseudonym is written: `<epoch id>.<26 base32 characters>`.
//!
//! Invariant: tokens with the same epoch id and kind may be compared, no others.

use crate::pseudonym::epoch::EpochId;
use crate::pseudonym::mac::MAC_BYTES;

/// RFC 4648 base32, in lower case.
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
/// Characters of 128 bits in base32 without padding.
pub const DIGITS: usize = 26;

/// Appends the token of `mac` under `epoch`.
#[inline]
pub fn write_token(out: &mut Vec<u8>, epoch: &EpochId, mac: &[u8; MAC_BYTES]) {
    out.extend_from_slice(epoch.as_bytes());
    let mut tail = [b'.'; 1 + DIGITS];
    tail[1..].copy_from_slice(&base32(mac));
    out.extend_from_slice(&tail);
}

/// Five bits a character, the highest first: five bytes make eight characters,
/// the byte left over makes two, the last with two zero bits below. Eight
/// characters at a time, without a look-up each.
#[inline]
fn base32(mac: &[u8; MAC_BYTES]) -> [u8; DIGITS] {
    let mut digits = [0; DIGITS];
    let (groups, rest) = mac.as_chunks::<5>();
    let (wide, last) = digits.as_chunks_mut::<8>();
    for (digits, &[a, b, c, d, e]) in wide.iter_mut().zip(groups) {
        *digits = letters(spread(u64::from_be_bytes([0, 0, 0, a, b, c, d, e]))).to_be_bytes();
    }
    for (digits, &byte) in last.as_chunks_mut::<2>().0.iter_mut().zip(rest) {
        *digits = [
            ALPHABET[usize::from(byte >> 3)],
            ALPHABET[usize::from(byte << 2) & 31],
        ];
    }
    digits
}

/// 40 bits to eight bytes of five: halved three times.
#[inline]
fn spread(bits: u64) -> u64 {
    let bits = bits & 0xf_ffff | (bits & 0xff_fff0_0000) << 12;
    let bits = bits & 0x3ff_0000_03ff | (bits & 0xf_fc00_000f_fc00) << 6;
    bits & 0x001f_001f_001f_001f | (bits & 0x03e0_03e0_03e0_03e0) << 3
}

/// Bytes 0 to 31 to their characters: 'a' and on; from 26, '2' and on, 73 lower.
#[inline]
fn letters(values: u64) -> u64 {
    const EACH: u64 = u64::from_ne_bytes([1; 8]);
    let digits = (values + 102 * EACH) >> 7 & EACH;
    values + u64::from(b'a') * EACH - 73 * digits
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_token_is_the_epoch_a_dot_and_26_characters() {
        let mut out = b"x,".to_vec();
        write_token(&mut out, &"2026-11".parse().unwrap(), &[0; 16]);
        assert_eq!(out, b"x,2026-11.aaaaaaaaaaaaaaaaaaaaaaaaaa");
    }

    proptest! {
        #[test]
        fn digits_are_those_of_rfc_4648(mac in any::<[u8; 16]>()) {
            let expected = data_encoding::BASE32_NOPAD.encode(&mac).to_lowercase();
            prop_assert_eq!(base32(&mac).to_vec(), expected.into_bytes());
        }
    }
}
