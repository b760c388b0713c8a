//! Little-endian integers at an offset, checked.

/// `N` bytes at `at`; none where `bytes` ends before.
pub fn array_at<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

/// A u16 at `at`; none where `bytes` ends before.
pub fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    array_at(bytes, at).map(u16::from_le_bytes)
}

/// A u32 at `at`; none where `bytes` ends before.
pub fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    array_at(bytes, at).map(u32::from_le_bytes)
}

/// A u64 at `at`; none where `bytes` ends before.
pub fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    array_at(bytes, at).map(u64::from_le_bytes)
}

/// A u16 at `at`, which the caller has checked to be inside.
pub fn get_u16(bytes: &[u8], at: usize) -> u16 {
    u16_at(bytes, at).expect("inside the bytes")
}

/// A u32 at `at`, which the caller has checked to be inside.
pub fn get_u32(bytes: &[u8], at: usize) -> u32 {
    u32_at(bytes, at).expect("inside the bytes")
}

/// A u64 at `at`, which the caller has checked to be inside.
pub fn get_u64(bytes: &[u8], at: usize) -> u64 {
    u64_at(bytes, at).expect("inside the bytes")
}

/// Writes a u16 at `at`.
pub fn put_u16(out: &mut [u8], at: usize, value: u16) {
    out[at..at + 2].copy_from_slice(&value.to_le_bytes());
}

/// Writes a u32 at `at`.
pub fn put_u32(out: &mut [u8], at: usize, value: u32) {
    out[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

/// Writes a u64 at `at`.
pub fn put_u64(out: &mut [u8], at: usize, value: u64) {
    out[at..at + 8].copy_from_slice(&value.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_up_to_the_last_byte_and_not_beyond() {
        let b: Vec<u8> = (1..=9).collect();
        assert_eq!(u16_at(&b, 0), Some(0x0201));
        assert_eq!(u32_at(&b, 1), Some(0x0504_0302));
        assert_eq!(u64_at(&b, 1), Some(0x0908_0706_0504_0302));
        assert_eq!(u64_at(&b, 2), None);
        assert_eq!(u16_at(&b, 9), None);
        assert_eq!(u16_at(&b, usize::MAX), None);
    }
}
