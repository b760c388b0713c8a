//! Checksums made right, written from the format's description rather than
//! with the library's own code.

use crc32c::{crc32c, crc32c_append};
use epochwal::format::group::{self, Certificate, GroupHeader, LaneCounts, Summary};

pub const BLOCK: usize = 4096;
pub const HEADER: usize = 128;
const CERTIFICATE: usize = 96;
const MAGIC: &[u8] = b"LAWP";

pub fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

pub fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

pub fn put_u32(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

/// Whether a group or a segment may begin here.
pub fn has_magic(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

/// The magic and the checksum of the 24 bytes in front.
pub fn prelude(bytes: &mut [u8]) {
    if bytes.len() >= 24 {
        bytes[..4].copy_from_slice(MAGIC);
        let crc = crc32c(&bytes[..20]);
        put_u32(bytes, 20, crc);
    }
}

/// One copy of the state.
pub fn state(copy: &mut [u8]) {
    if copy.len() >= BLOCK {
        let crc = crc32c(&copy[..BLOCK - 4]);
        put_u32(copy, BLOCK - 4, crc);
    }
}

/// The length of the group in front and that of its payload, where the bytes
/// have room for both.
pub fn extent(bytes: &[u8]) -> Option<(usize, usize)> {
    if bytes.len() < HEADER {
        return None;
    }
    let length = usize::try_from(u64_at(bytes, 80)).ok()?;
    let payload = usize::try_from(u64_at(bytes, 88)).ok()?;
    let need = payload.checked_add(HEADER + CERTIFICATE)?;
    (length <= bytes.len() && need <= length).then_some((length, payload))
}

/// The group in front: header, items, certificate. What the certificate
/// counts stays as it is, right or wrong.
pub fn group(bytes: &mut [u8]) {
    prelude(bytes);
    if bytes.len() >= HEADER {
        let crc = crc32c(&bytes[..124]);
        put_u32(bytes, 124, crc);
    }
    let Some((length, payload)) = extent(bytes) else {
        return;
    };
    let payload_crc = items(&mut bytes[HEADER..HEADER + payload]);
    let header_crc = u32_at(bytes, 124);
    let certificate = length - CERTIFICATE;
    put_u32(bytes, certificate + 72, payload_crc);
    put_u32(bytes, certificate + 76, header_crc);
    let crc = crc32c(&bytes[HEADER + payload..length - 4]);
    put_u32(bytes, length - 4, crc);
}

/// The items' checksums; gives the checksum over them.
fn items(payload: &mut [u8]) -> u32 {
    let mut over = 0;
    let mut at = 0;
    while payload.len() - at >= 48 {
        let len = u32_at(payload, at + 4) as usize;
        if len < 48 || len > payload.len() - at {
            break;
        }
        let crc = crc32c(&payload[at + 4..at + len]);
        put_u32(payload, at, crc);
        over = crc32c_append(over, &crc.to_le_bytes());
        at += len;
    }
    over
}

/// Writes the certificate of the group in front anew, counts and lane table
/// too, so that what lies behind the certificate's checks is reached. This one
/// uses the library's own encoder. Nothing is done to what it can't read.
pub fn reseal(bytes: &mut [u8]) {
    group(bytes);
    let Some((length, payload)) = extent(bytes) else {
        return;
    };
    let Ok((mut header, header_crc)) = GroupHeader::parse(bytes) else {
        return;
    };
    let body = &bytes[HEADER..HEADER + payload];
    let mut lanes = LaneCounts::default();
    let Ok(summary) = Summary::walk(body, false, &mut lanes, |_, _| Ok(())) else {
        return;
    };
    if group::group_len(payload as u64, summary.lanes.len()) != header.length {
        return;
    }
    if header.items != 0 {
        header.items = summary.items;
    }
    let old = Certificate::parse(&bytes[HEADER + payload..length], &header, header_crc);
    let flags = old.map_or_else(|_| Default::default(), |c| c.flags);
    group::seal(
        &mut bytes[..length],
        &header,
        &summary,
        flags,
        u32::from(u16::MAX),
    );
}

/// Makes the group in front follow another one.
pub fn link(bytes: &mut [u8], epoch: u64, checksum: u32) {
    if bytes.len() >= HEADER {
        put_u32(bytes, 28, checksum);
        bytes[104..112].copy_from_slice(&epoch.to_le_bytes());
    }
}
