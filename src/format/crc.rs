//! CRC-32C (Castagnoli; CRC-32/ISCSI in the catalogues), the checksum of all
//! that is written.

use crc_fast::{CrcAlgorithm, Digest};

/// The checksum of `bytes`.
pub fn crc32c(bytes: &[u8]) -> u32 {
    crc_fast::checksum(CrcAlgorithm::Crc32Iscsi, bytes) as u32
}

/// The checksum of what `crc` is the checksum of, with `bytes` behind it.
pub fn crc32c_append(crc: u32, bytes: &[u8]) -> u32 {
    // A digest's state is the checksum before its last inversion.
    let mut digest = Digest::new_with_init_state(CrcAlgorithm::Crc32Iscsi, u64::from(!crc));
    digest.update(bytes);
    digest.finalize() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Another implementation, over all lengths around those at which this one
    /// changes its way, and cut everywhere.
    #[test]
    fn is_the_same_as_another_implementation() {
        let bytes: Vec<u8> = (0..1500_u32).map(|i| (i * 31 + i / 7) as u8).collect();
        assert_eq!(crc32c(b"123456789"), 0xE306_9283);
        for len in (0..300).chain([511, 512, 513, 1023, 1024, 1025, 1500]) {
            let whole = &bytes[..len];
            let expected = crc32c::crc32c(whole);
            assert_eq!(crc32c(whole), expected, "{len} bytes");
            for cut in [0, 1, len / 3, len / 2, len].map(|c| c.min(len)) {
                let (front, back) = whole.split_at(cut);
                assert_eq!(crc32c_append(crc32c(front), back), expected, "{len}, {cut}");
            }
        }
    }
}
