//! Items of a group: batches of frames (`docs/format.md`, "Items"). Those that
//! are logical records are told apart here, and read in `record`.

use super::bytes::{get_u16, get_u32, get_u64, put_u16, put_u32, put_u64};
use super::crc::{crc32c, crc32c_append};
use super::group::GroupKind;
use super::record::{self, Record};
use crate::batch::{BatchHead, Frame, FrameSource, MAX_FRAME_BYTES, MAX_METADATA_BYTES};
use crate::error::{Error, ErrorKind, Result};

/// Bytes of an item before its metadata.
pub const ITEM_HEADER: usize = 48;
/// Bytes of a frame before its data.
pub const FRAME_HEADER: usize = 12;
/// Items start and end at multiples of this.
pub const ITEM_ALIGN: usize = 8;

/// The largest item.
pub const MAX_ITEM: u64 = 2 << 30;
/// How much is copied before it is checksummed: little enough to be in the
/// first-level cache still, enough for few calls.
pub(super) const CHECKSUM_STRETCH: usize = 16 << 10;

/// What an item holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemKind {
    /// A reservation whose writer failed; skipped.
    Void,
    /// A batch of page frames.
    Pages,
    /// A logical record.
    Record,
}

impl ItemKind {
    /// The type's byte.
    pub fn code(self) -> u8 {
        match self {
            ItemKind::Void => 0,
            ItemKind::Pages => 1,
            ItemKind::Record => 2,
        }
    }
}

/// A checked batch: what encoding it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Bytes of the item, padding included.
    pub len: usize,
    /// Frames in it.
    pub frames: u32,
    /// Page bytes in it.
    pub bytes: u64,
    /// The last `db_size_if_commit` that is not 0.
    pub db_size: u32,
}

impl Plan {
    /// Checks a batch's fields and adds up its size, at most `max_bytes` of page
    /// data. Errors name the field.
    pub fn of(
        head: &BatchHead<'_>,
        frames: &(impl FrameSource + ?Sized),
        max_bytes: u64,
    ) -> Result<Plan> {
        if head.txn_id == 0 {
            return Err(Error::invalid("txn_id: 0 is not a transaction"));
        }
        if head.metadata.len() > MAX_METADATA_BYTES {
            return Err(Error::new(
                ErrorKind::TooLarge,
                format!(
                    "metadata: {} bytes are above {MAX_METADATA_BYTES}",
                    head.metadata.len()
                ),
            ));
        }
        let count = frames.count();
        if count == 0 {
            return Err(Error::invalid("frames: a batch has at least one"));
        }
        // Checked before the loop, so that an absurd count costs nothing.
        let too_large = |what: String| {
            Error::new(
                ErrorKind::TooLarge,
                format!("batch: {what} are above max_batch_bytes ({max_bytes})"),
            )
        };
        if count as u64 > max_bytes || u32::try_from(count).is_err() {
            return Err(too_large(format!("{count} frames of a byte or more")));
        }
        let mut len = (ITEM_HEADER + head.metadata.len()) as u64;
        let mut bytes = 0u64;
        let mut db_size = 0;
        for index in 0..count {
            let frame = frames.frame(index);
            if frame.page_number == 0 {
                return Err(Error::invalid(format!(
                    "frames[{index}].page_number: pages count from 1"
                )));
            }
            if frame.data.is_empty() || frame.data.len() > MAX_FRAME_BYTES {
                let kind = if frame.data.is_empty() {
                    ErrorKind::Invalid
                } else {
                    ErrorKind::TooLarge
                };
                return Err(Error::new(
                    kind,
                    format!(
                        "frames[{index}].data: {} bytes are not within 1 and {MAX_FRAME_BYTES}",
                        frame.data.len()
                    ),
                ));
            }
            len += (FRAME_HEADER + frame.data.len()) as u64;
            bytes += frame.data.len() as u64;
            if bytes > max_bytes {
                return Err(too_large(format!(
                    "the first {} frames, {bytes} bytes,",
                    index + 1
                )));
            }
            if frame.db_size_if_commit != 0 {
                db_size = frame.db_size_if_commit;
            }
        }
        if len > MAX_ITEM {
            return Err(Error::new(
                ErrorKind::TooLarge,
                format!("batch: {len} bytes with its frames' headers are above {MAX_ITEM}"),
            ));
        }
        Ok(Plan {
            len: (len as usize).next_multiple_of(ITEM_ALIGN),
            frames: count as u32,
            bytes,
            db_size,
        })
    }
}

/// Encodes a batch into `out`, which has the plan's length. Each byte of the
/// caller's is read once, and checksummed while it is in the cache.
///
/// False: the source gave other frames than when it was planned; `out` holds
/// no valid item then.
pub fn encode(
    out: &mut [u8],
    plan: &Plan,
    lane: u16,
    commit_seq: u64,
    head: &BatchHead<'_>,
    frames: &(impl FrameSource + ?Sized),
) -> bool {
    debug_assert_eq!(out.len(), plan.len);
    write_header(out, ItemKind::Pages, plan, lane, commit_seq, head);
    let mut crc = 0;
    let mut at = 4;
    let mut put = |out: &[u8], upto: usize| {
        crc = crc32c_append(crc, &out[at..upto]);
        at = upto;
    };
    let mut end = ITEM_HEADER + head.metadata.len();
    out[ITEM_HEADER..end].copy_from_slice(head.metadata);
    let mut summed = 0;
    let mut db_size = 0;
    for index in 0..plan.frames as usize {
        let frame = frames.frame(index);
        let data_at = end + FRAME_HEADER;
        let next = data_at + frame.data.len();
        let fits = (1..=MAX_FRAME_BYTES).contains(&frame.data.len()) && next <= out.len();
        if !fits || frame.page_number == 0 {
            return false;
        }
        if frame.db_size_if_commit != 0 {
            db_size = frame.db_size_if_commit;
        }
        put_u32(out, end, frame.page_number);
        put_u32(out, end + 4, frame.db_size_if_commit);
        put_u32(out, end + 8, frame.data.len() as u32);
        out[data_at..next].copy_from_slice(frame.data);
        end = next;
        if end - summed >= CHECKSUM_STRETCH {
            put(out, end);
            summed = end;
        }
    }
    if end.next_multiple_of(ITEM_ALIGN) != out.len() || db_size != plan.db_size {
        return false;
    }
    out[end..].fill(0);
    put(out, out.len());
    put_u32(out, 0, crc);
    true
}

/// Encodes a void item over a reservation that nobody will fill. It keeps the
/// sequence that it was assigned, 0 where none was.
pub fn encode_void(out: &mut [u8], lane: u16, commit_seq: u64) {
    let plan = Plan {
        len: out.len(),
        frames: 0,
        bytes: 0,
        db_size: 0,
    };
    let head = BatchHead::default();
    write_header(out, ItemKind::Void, &plan, lane, commit_seq, &head);
    out[ITEM_HEADER..].fill(0);
    let crc = crc32c(&out[4..]);
    put_u32(out, 0, crc);
}

fn write_header(
    out: &mut [u8],
    kind: ItemKind,
    plan: &Plan,
    lane: u16,
    commit_seq: u64,
    head: &BatchHead<'_>,
) {
    put_u32(out, 4, plan.len as u32);
    out[8] = kind.code();
    out[9] = 0;
    put_u16(out, 10, lane);
    put_u32(out, 12, head.txn_epoch);
    put_u64(out, 16, head.txn_id);
    put_u64(out, 24, commit_seq);
    put_u32(out, 32, plan.frames);
    put_u32(out, 36, head.metadata.len() as u32);
    put_u32(out, 40, plan.db_size);
    put_u32(out, 44, 0);
}

/// The fixed part of an item, as it stands in the bytes. What only page batches
/// have is 0 in a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ItemHead {
    /// Its checksum, not verified here.
    pub crc: u32,
    /// Its length, within the payload.
    pub len: usize,
    /// What it holds.
    pub kind: ItemKind,
    /// The lane it was staged in.
    pub lane: u16,
    /// Transaction epoch.
    pub txn_epoch: u32,
    /// Transaction id; a record's term.
    pub txn_id: u64,
    /// Commit sequence; a record's LSN.
    pub commit_seq: u64,
    /// Number of frames.
    pub frames: u32,
    /// Length of the metadata; of a record's payload.
    pub metadata_len: usize,
    /// Database size in pages, or 0.
    pub db_size: u32,
}

impl ItemHead {
    /// Reads the head of the item at the start of `payload`, whose rest may
    /// hold further items. The length is checked against the payload.
    pub fn parse(payload: &[u8]) -> std::result::Result<ItemHead, &'static str> {
        if payload.len() < ITEM_HEADER {
            return Err("item: no room for its header");
        }
        let len = get_u32(payload, 4) as usize;
        if len < ITEM_HEADER || len > payload.len() || !len.is_multiple_of(ITEM_ALIGN) {
            return Err("item: impossible length");
        }
        let kind = match payload[8] {
            0 => ItemKind::Void,
            1 => ItemKind::Pages,
            2 => return Ok(record::item_head(payload, len)),
            _ => return Err("item: unknown type"),
        };
        Ok(ItemHead {
            crc: get_u32(payload, 0),
            len,
            kind,
            lane: get_u16(payload, 10),
            txn_epoch: get_u32(payload, 12),
            txn_id: get_u64(payload, 16),
            commit_seq: get_u64(payload, 24),
            frames: get_u32(payload, 32),
            metadata_len: get_u32(payload, 36) as usize,
            db_size: get_u32(payload, 40),
        })
    }

    /// Whether the item at the start of `payload` has the checksum that its
    /// head says.
    pub fn verify(&self, payload: &[u8]) -> bool {
        crc32c(&payload[4..self.len]) == self.crc
    }

    /// The page number of the first frame of the item at the start of
    /// `payload`; 0 where it can't have one, which reading its body refuses.
    pub fn first_page(&self, payload: &[u8]) -> u32 {
        let at = ITEM_HEADER + self.metadata_len;
        match payload.get(at..at + 4) {
            Some(bytes) => get_u32(bytes, 0),
            None => 0,
        }
    }

    /// The metadata and the frames of a page batch whose checksum was
    /// verified. `item` is exactly the item's bytes.
    pub fn body<'a>(
        &self,
        item: &'a [u8],
    ) -> std::result::Result<(&'a [u8], Vec<Frame<'a>>), &'static str> {
        let mut frames = Vec::with_capacity((self.frames as usize).min(item.len() / FRAME_HEADER));
        let metadata = self.walk_body(item, |frame| frames.push(frame))?;
        Ok((metadata, frames))
    }

    /// Whether a body can be read, without keeping it, and has its place in a
    /// group of this kind. A void has none.
    pub fn check_body(
        &self,
        group: GroupKind,
        item: &[u8],
    ) -> std::result::Result<(), &'static str> {
        match (self.kind, group) {
            (ItemKind::Void, GroupKind::Records) if self.commit_seq != 0 => {
                Err("item: a void with an LSN")
            }
            (ItemKind::Void, _) => Ok(()),
            (ItemKind::Pages, GroupKind::Pages) => self.walk_body(item, |_| {}).map(drop),
            (ItemKind::Record, GroupKind::Records) => Record::parse(item).map(drop),
            (ItemKind::Record, _) => Err("item: a logical record in a log of pages"),
            (ItemKind::Pages, _) => Err("item: a page batch in a log of records"),
        }
    }

    fn walk_body<'a>(
        &self,
        item: &'a [u8],
        mut visit: impl FnMut(Frame<'a>),
    ) -> std::result::Result<&'a [u8], &'static str> {
        if self.txn_id == 0 {
            return Err("item: transaction id 0");
        }
        if self.frames == 0 {
            return Err("item: no frames");
        }
        if self.metadata_len > MAX_METADATA_BYTES || self.metadata_len > item.len() - ITEM_HEADER {
            return Err("item: impossible metadata length");
        }
        let (metadata, mut rest) = item[ITEM_HEADER..].split_at(self.metadata_len);
        if self.frames as usize > rest.len() / (FRAME_HEADER + 1) {
            return Err("item: more frames than bytes");
        }
        let mut db_size = 0;
        for _ in 0..self.frames {
            let (frame, after) = parse_frame(rest)?;
            if frame.db_size_if_commit != 0 {
                db_size = frame.db_size_if_commit;
            }
            visit(frame);
            rest = after;
        }
        if db_size != self.db_size {
            return Err("item: another database size than its frames");
        }
        if rest.len() >= ITEM_ALIGN || rest.iter().any(|b| *b != 0) {
            return Err("item: bytes behind its last frame");
        }
        Ok(metadata)
    }
}

fn parse_frame(bytes: &[u8]) -> std::result::Result<(Frame<'_>, &[u8]), &'static str> {
    if bytes.len() < FRAME_HEADER {
        return Err("frame: no room for its header");
    }
    let page_number = get_u32(bytes, 0);
    let len = get_u32(bytes, 8) as usize;
    if page_number == 0 {
        return Err("frame: page number 0");
    }
    if len == 0 || len > MAX_FRAME_BYTES || len > bytes.len() - FRAME_HEADER {
        return Err("frame: impossible length");
    }
    let (data, rest) = bytes[FRAME_HEADER..].split_at(len);
    let frame = Frame {
        page_number,
        db_size_if_commit: get_u32(bytes, 4),
        data,
    };
    Ok((frame, rest))
}

#[cfg(test)]
mod tests;
