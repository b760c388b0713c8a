//! Items of a group of records: one logical record each (`docs/format.md`,
//! "Records").

use super::bytes::{get_u32, get_u64, put_u16, put_u32, put_u64};
use super::crc::{crc32c, crc32c_append};
use super::item::{CHECKSUM_STRETCH, ITEM_ALIGN, ITEM_HEADER, ItemHead, ItemKind};
use crate::error::{Error, ErrorKind, Result};

/// The largest payload of a record.
pub const MAX_PAYLOAD: usize = 256 << 20;
/// The highest LSN.
pub const MAX_LSN: u64 = u64::MAX - 1;

/// A logical record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// The reign it was written in.
    pub term: u64,
    /// Its position, from 1 to [`MAX_LSN`].
    pub lsn: u64,
    /// Milliseconds since the Unix epoch.
    pub timestamp_ms: u64,
    /// What it says.
    pub payload: &'a [u8],
}

/// A record but for its payload, as its first [`ITEM_HEADER`] bytes have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordHead {
    /// The item's checksum, not verified here.
    pub crc: u32,
    /// The item's length, padding included.
    pub len: usize,
    /// The lane it was staged in.
    pub lane: u16,
    /// As in [`Record`].
    pub term: u64,
    /// As in [`Record`].
    pub lsn: u64,
    /// As in [`Record`].
    pub timestamp_ms: u64,
    /// Bytes of the payload, which stands behind the header.
    pub payload_len: usize,
}

/// Bytes of the item that a payload of so many bytes becomes; refused above
/// [`MAX_PAYLOAD`].
pub fn record_len(payload_len: usize) -> Result<usize> {
    if payload_len > MAX_PAYLOAD {
        return Err(Error::new(
            ErrorKind::TooLarge,
            format!("payload: {payload_len} bytes are above {MAX_PAYLOAD}"),
        ));
    }
    Ok(item_len(payload_len))
}

fn item_len(payload_len: usize) -> usize {
    (ITEM_HEADER + payload_len).next_multiple_of(ITEM_ALIGN)
}

/// Encodes a record into `out`, which has the length that [`record_len`] says.
/// Each byte of the payload is read once, and checksummed while it is in the
/// cache.
pub fn encode_record(out: &mut [u8], lane: u16, record: &Record<'_>) {
    debug_assert!(record.payload.len() <= MAX_PAYLOAD);
    debug_assert_eq!(out.len(), item_len(record.payload.len()));
    debug_assert!((1..=MAX_LSN).contains(&record.lsn));
    let header = &mut out[..ITEM_HEADER];
    header.fill(0);
    header[8] = ItemKind::Record.code();
    put_u16(header, 10, lane);
    put_u64(header, 16, record.term);
    put_u64(header, 24, record.lsn);
    put_u32(header, 36, record.payload.len() as u32);
    put_u64(header, 40, record.timestamp_ms);
    put_u32(out, 4, out.len() as u32);
    let (mut crc, mut summed) = (0, 4);
    let mut end = ITEM_HEADER;
    for part in record.payload.chunks(CHECKSUM_STRETCH) {
        if end > ITEM_HEADER {
            crc = crc32c_append(crc, &out[summed..end]);
            summed = end;
        }
        out[end..end + part.len()].copy_from_slice(part);
        end += part.len();
    }
    out[end..].fill(0);
    crc = crc32c_append(crc, &out[summed..]);
    put_u32(out, 0, crc);
}

impl RecordHead {
    /// Reads the header of an item, which need not have its payload behind it.
    /// What can be judged from the header alone is.
    pub fn parse(header: &[u8]) -> std::result::Result<RecordHead, &'static str> {
        if header.len() < ITEM_HEADER {
            return Err("item: no room for its header");
        }
        if header[8] != ItemKind::Record.code() {
            return Err("item: no record");
        }
        let head = RecordHead {
            crc: get_u32(header, 0),
            len: get_u32(header, 4) as usize,
            lane: u16::from_le_bytes([header[10], header[11]]),
            term: get_u64(header, 16),
            lsn: get_u64(header, 24),
            timestamp_ms: get_u64(header, 40),
            payload_len: get_u32(header, 36) as usize,
        };
        if head.payload_len > MAX_PAYLOAD || head.len != item_len(head.payload_len) {
            return Err("record: impossible payload length");
        }
        if !(1..=MAX_LSN).contains(&head.lsn) {
            return Err("record: impossible LSN");
        }
        Ok(head)
    }
}

impl<'a> Record<'a> {
    /// The record that is exactly these bytes, its checksum verified.
    pub fn read(item: &'a [u8]) -> std::result::Result<Record<'a>, &'static str> {
        let head = RecordHead::parse(item)?;
        if head.len != item.len() {
            return Err("item: impossible length");
        }
        if crc32c(&item[4..]) != head.crc {
            return Err("item: checksum");
        }
        Record::of(&head, item)
    }

    /// The record of an item whose checksum was verified. `item` is exactly
    /// the item's bytes.
    pub fn parse(item: &'a [u8]) -> std::result::Result<Record<'a>, &'static str> {
        Record::of(&RecordHead::parse(item)?, item)
    }

    fn of(head: &RecordHead, item: &'a [u8]) -> std::result::Result<Record<'a>, &'static str> {
        let body = item.get(ITEM_HEADER..head.len);
        let (payload, padding) = body
            .ok_or("item: impossible length")?
            .split_at(head.payload_len);
        if padding.iter().any(|b| *b != 0) {
            return Err("record: bytes behind its payload");
        }
        Ok(Record {
            term: head.term,
            lsn: head.lsn,
            timestamp_ms: head.timestamp_ms,
            payload,
        })
    }
}

/// What an [`ItemHead`] says of a record: none of the fields that only page
/// batches have.
pub(super) fn item_head(item: &[u8], len: usize) -> ItemHead {
    ItemHead {
        crc: get_u32(item, 0),
        len,
        kind: ItemKind::Record,
        lane: u16::from_le_bytes([item[10], item[11]]),
        txn_epoch: 0,
        txn_id: get_u64(item, 16),
        commit_seq: get_u64(item, 24),
        frames: 0,
        metadata_len: get_u32(item, 36) as usize,
        db_size: 0,
    }
}

#[cfg(test)]
mod tests;
