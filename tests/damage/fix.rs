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

/// All checksums of a group whose payload is `payload_len` long, the header's
/// and each item's first, in the order in which they cover each other. Items
/// are taken to be as long as they say, the last one as long as there is room.
pub fn refit(group: &mut [u8], payload_len: usize) {
    fix_header(group);
    let mut over = 0;
    let mut at = 128;
    let payload = 128 + payload_len;
    while payload - at >= 8 {
        let told: [u8; 4] = group[at + 4..at + 8].try_into().unwrap();
        let told = u32::from_le_bytes(told) as usize;
        let len = if (8..=payload - at).contains(&told) {
            told
        } else {
            payload - at
        };
        let crc = crc32c::crc32c(&group[at + 4..at + len]);
        group[at..at + 4].copy_from_slice(&crc.to_le_bytes());
        over = crc32c::crc32c_append(over, &crc.to_le_bytes());
        at += len;
    }
    let certificate = group.len() - 96;
    group[certificate + 72..certificate + 76].copy_from_slice(&over.to_le_bytes());
    let header: [u8; 4] = group[124..128].try_into().unwrap();
    group[certificate + 76..certificate + 80].copy_from_slice(&header);
    let end = group.len() - 4;
    let crc = crc32c::crc32c(&group[payload..end]);
    group[end..].copy_from_slice(&crc.to_le_bytes());
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
