//! Sixteen bytes at a time, without a branch for each: what the record and number code share of it.

use wide::i8x16;

/// Bytes side by side in one register.
pub const LANES: usize = 16;

/// A lane for each byte. Comparisons are signed: bytes outside ASCII lie below zero.
#[inline]
pub fn lanes(bytes: [u8; LANES]) -> i8x16 {
    i8x16::from(bytes.map(u8::cast_signed))
}

/// The byte in every lane.
#[inline]
pub fn all(byte: u8) -> i8x16 {
    i8x16::splat(byte.cast_signed())
}

/// Where the digits are.
#[inline]
pub fn digits(lanes: i8x16) -> i8x16 {
    lanes.simd_gt(all(b'0' - 1)) & lanes.simd_lt(all(b'9' + 1))
}

/// A bit for each lane, the first lowest: its highest bit.
#[inline]
pub fn bits(lanes: i8x16) -> u64 {
    u64::from(lanes.to_bitmask())
}

/// Up to 15 bytes, and zeros behind them, as one number, the first lowest. Two loads that may overlap take the place
/// of a loop.
#[inline]
pub fn little_endian(bytes: &[u8]) -> u128 {
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        let last = u128::from(u64::from_le_bytes(*last));
        return u128::from(u64::from_le_bytes(*first)) | last << (8 * (bytes.len() - 8));
    }
    bytes
        .iter()
        .rev()
        .fold(0, |sum, &byte| sum << 8 | u128::from(byte))
}

/// [`LANES`] bytes or fewer, and zeros behind them.
#[inline]
pub fn padded(text: &[u8]) -> [u8; LANES] {
    match text.first_chunk() {
        Some(whole) => *whole,
        None => little_endian(text).to_le_bytes(),
    }
}

/// Whether one of these bytes is in a short text.
#[inline]
pub fn holds_any<const N: usize>(text: &[u8], wanted: [u8; N]) -> bool {
    let found = |sixteen| {
        let lanes = lanes(sixteen);
        let hits = wanted.map(|byte| lanes.simd_eq(all(byte)));
        bits(hits.into_iter().fold(i8x16::splat(0), |all, hits| all | hits))
    };
    let (sixteens, tail) = text.as_chunks();
    let whole = sixteens.iter().fold(0, |all, sixteen| all | found(*sixteen));
    let rest = match text.last_chunk() {
        Some(sixteen) if !tail.is_empty() => found(*sixteen),
        Some(_) => 0,
        None => found(padded(text)) & ((1 << text.len()) - 1),
    };
    whole | rest != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wanted_byte_is_found_wherever_it_stands() {
        for length in 0..70 {
            let mut text = vec![b'x'; length];
            assert!(!holds_any(&text, [b',', b'\n', 0]), "{length}");
            for at in 0..length {
                text[at] = b'\n';
                assert!(holds_any(&text, [b',', b'\n']), "{at} of {length}");
                assert!(!holds_any(&text, [b',', 0]), "{at} of {length}");
                text[at] = b'x';
            }
        }
    }

    #[test]
    fn bits_are_in_the_order_of_the_bytes() {
        let text = padded(b"+44 (0)7700\xff/:9");
        assert_eq!(bits(digits(lanes(text))), 0b0100_0111_1010_0110);
        assert_eq!(bits(lanes(text)), 1 << 11);
        assert_eq!(bits(lanes(text).simd_eq(all(b'('))), 1 << 4);
    }

    #[test]
    fn zeros_stand_behind_short_texts() {
        let text = b"0123456789abcdef";
        for length in 0..=LANES {
            let mut expected = [0; LANES];
            expected[..length].copy_from_slice(&text[..length]);
            assert_eq!(padded(&text[..length]), expected);
        }
    }
}
