//! Unsigned LEB128 numbers, the integers of the metadata body. Pure functions; reading refuses what does not fit 64 bits.

/// The longest number, in bytes.
pub(super) const MAX_BYTES: usize = 10;

/// Appends `value`.
pub(super) fn write(bytes: &mut Vec<u8>, mut value: u64) {
    while value > 0x7f {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

/// Takes a number from the front of `bytes`; `None` when it is cut or larger than 64 bits.
pub(super) fn read(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..MAX_BYTES as u32).map(|index| index * 7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let bits = u64::from(byte & 0x7f);
        if bits << shift >> shift != bits {
            return None;
        }
        value |= bits << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{MAX_BYTES, read, write};

    #[test]
    fn numbers_of_every_length_come_back() {
        for value in (0..64).flat_map(|bit| [(1_u64 << bit) - 1, 1 << bit]).chain([u64::MAX]) {
            let mut bytes = Vec::new();
            write(&mut bytes, value);
            assert!(bytes.len() <= MAX_BYTES);
            let mut rest = bytes.as_slice();
            assert_eq!(read(&mut rest), Some(value));
            assert!(rest.is_empty());
            assert_eq!(read(&mut &bytes[..bytes.len() - 1]), None, "{value} cut by a byte");
        }
    }

    #[test]
    fn numbers_beyond_64_bits_are_refused() {
        let mut bytes = vec![0xff; 9];
        bytes.push(0x02);
        assert_eq!(read(&mut bytes.as_slice()), None);
        assert_eq!(read(&mut [0x80; 11].as_slice()), None);
    }
}
