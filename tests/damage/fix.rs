//! Checksums made right again, for damage that only the fields show.

use super::image::BLOCK;

fn put_crc(bytes: &mut [u8], end: usize) {
    let crc = crc32c::crc32c(&bytes[..end]);
    bytes[end..end + 4].copy_from_slice(&crc.to_le_bytes());
}

/// The prelude's checksum of a segment or group.
pub fn fix_prelude(bytes: &mut [u8]) {
    put_crc(bytes, 20);
}

/// Both checksums of a group header.
pub fn fix_header(bytes: &mut [u8]) {
    fix_prelude(bytes);
    put_crc(bytes, 124);
}

/// The certificate of a group of `bytes` whose payload is `payload_len` long:
/// what it says of the header, and its own checksum.
pub fn fix_certificate(bytes: &mut [u8], payload_len: usize) {
    let at = bytes.len() - 96;
    let header: [u8; 4] = bytes[124..128].try_into().unwrap();
    bytes[at + 76..at + 80].copy_from_slice(&header);
    let end = bytes.len() - 4;
    let crc = crc32c::crc32c(&bytes[128 + payload_len..end]);
    bytes[end..].copy_from_slice(&crc.to_le_bytes());
}

/// The checksum of a copy of the state.
pub fn fix_state(copy: &mut [u8]) {
    put_crc(copy, BLOCK - 4);
}

/// The values that a field of `len` bytes is spoiled with.
pub fn spoiled(field: &[u8]) -> Vec<Vec<u8>> {
    let len = field.len().min(8);
    let mut wide = [0; 8];
    wide[..len].copy_from_slice(&field[..len]);
    let value = u64::from_le_bytes(wide);
    let values = [0, u64::MAX, value.wrapping_add(1), value.wrapping_sub(1)];
    let mut spoiled: Vec<Vec<u8>> = Vec::new();
    for value in values {
        let mut bytes = field.to_vec();
        bytes[..len].copy_from_slice(&value.to_le_bytes()[..len]);
        if bytes != field && !spoiled.contains(&bytes) {
            spoiled.push(bytes);
        }
    }
    spoiled
}
