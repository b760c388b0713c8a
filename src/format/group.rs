//! Groups: header, lane table, certificate (`docs/format.md`, "Version 2").

use super::bytes::{get_u32, get_u64, put_u16, put_u32, put_u64};
use super::crc::{crc32c, crc32c_append};
use super::item::{ItemHead, ItemKind};
use super::prelude::{self, Prelude, PreludeError};
use crate::wrong::{self, Wrong};
use std::sync::OnceLock;

/// Groups start and end at multiples of this.
pub const BLOCK: u64 = 4096;
/// Bytes of a group header.
pub const GROUP_HEADER: usize = 128;
/// Bytes of a certificate.
pub const CERTIFICATE: usize = 96;
/// No group is longer: readers take memory for a whole one.
pub const MAX_GROUP: u64 = 4 << 30;
/// The format version written here.
pub const VERSION: u16 = 2;
const CERTIFICATE_MAGIC: u32 = 0x5452_4543;
const LANE_ENTRY: usize = 8;
const FLAG_FALLBACK: u16 = 1;
const FLAG_ASSIGNED: u16 = 2;

/// What the items of a group are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupKind {
    /// Batches of page frames.
    Pages,
    /// Logical records.
    Records,
    /// No items: only a watermark.
    Mark,
}

impl GroupKind {
    /// The kind's byte.
    pub fn code(self) -> u8 {
        match self {
            GroupKind::Pages => 1,
            GroupKind::Records => 2,
            GroupKind::Mark => 3,
        }
    }

    fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(GroupKind::Pages),
            2 => Some(GroupKind::Records),
            3 => Some(GroupKind::Mark),
            _ => None,
        }
    }
}

/// The fields of a group header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // named as in docs/format.md
pub struct GroupHeader {
    pub epoch: u64,
    pub items: u32,
    pub kind: GroupKind,
    pub link: u32,
    pub log_id: [u8; 16],
    pub generation: u64,
    pub segment_epoch: u64,
    pub segment_size: u64,
    pub position: u64,
    pub length: u64,
    pub payload_len: u64,
    pub watermark: u64,
    pub previous_epoch: u64,
}

/// Why 128 bytes are no group header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderError {
    /// Not the magic: zeros, payload, something else.
    NotAHeader,
    /// The magic, but a checksum does not match.
    Checksum,
    /// A right prelude of an unknown version.
    Version(u16),
    /// A right prelude with unknown flags.
    Flags(u16),
    /// Right checksums around a value that can't be.
    Field(&'static str),
}

impl GroupHeader {
    /// Writes the header; gives its checksum.
    pub fn encode(&self, out: &mut [u8]) -> u32 {
        out[..GROUP_HEADER].fill(0);
        let prelude = Prelude {
            version: VERSION,
            flags: 0,
            epoch: self.epoch,
            count: self.items,
        };
        let head = out.first_chunk_mut().expect("room for a header");
        prelude::write(head, &prelude);
        out[24] = self.kind.code();
        put_u32(out, 28, self.link);
        out[32..48].copy_from_slice(&self.log_id);
        for (at, value) in [
            (48, self.generation),
            (56, self.segment_epoch),
            (64, self.segment_size),
            (72, self.position),
            (80, self.length),
            (88, self.payload_len),
            (96, self.watermark),
            (104, self.previous_epoch),
        ] {
            put_u64(out, at, value);
        }
        let crc = crc32c(&out[..124]);
        put_u32(out, 124, crc);
        crc
    }

    /// Reads a header and its checksum. Everything that can be judged from the
    /// header alone is: lengths are consistent with each other, not with a file.
    pub fn parse(bytes: &[u8]) -> Result<(GroupHeader, u32), HeaderError> {
        let prelude = prelude::parse(bytes).map_err(|e| match e {
            PreludeError::TooShort(_) | PreludeError::Magic(_) => HeaderError::NotAHeader,
            PreludeError::Checksum { .. } => HeaderError::Checksum,
        })?;
        if prelude.version != VERSION {
            return Err(HeaderError::Version(prelude.version));
        }
        if prelude.flags != 0 {
            return Err(HeaderError::Flags(prelude.flags));
        }
        if bytes.len() < GROUP_HEADER {
            return Err(HeaderError::NotAHeader);
        }
        let crc = get_u32(bytes, 124);
        if crc32c(&bytes[..124]) != crc {
            return Err(HeaderError::Checksum);
        }
        let kind = GroupKind::from_code(bytes[24]).ok_or(HeaderError::Field("kind"))?;
        let header = GroupHeader {
            epoch: prelude.epoch,
            items: prelude.count,
            kind,
            link: get_u32(bytes, 28),
            log_id: bytes[32..48].try_into().expect("16 bytes"),
            generation: get_u64(bytes, 48),
            segment_epoch: get_u64(bytes, 56),
            segment_size: get_u64(bytes, 64),
            position: get_u64(bytes, 72),
            length: get_u64(bytes, 80),
            payload_len: get_u64(bytes, 88),
            watermark: get_u64(bytes, 96),
            previous_epoch: get_u64(bytes, 104),
        };
        header.check()?;
        Ok((header, crc))
    }

    fn check(&self) -> Result<(), HeaderError> {
        let overhead = (GROUP_HEADER + CERTIFICATE) as u64;
        let fits = self
            .payload_len
            .checked_add(overhead)
            .is_some_and(|need| need <= self.length);
        if self.length > MAX_GROUP {
            return Err(HeaderError::Field("length"));
        }
        if self.length < BLOCK || !self.length.is_multiple_of(BLOCK) || !fits {
            return Err(HeaderError::Field("length"));
        }
        if !self.payload_len.is_multiple_of(8) {
            return Err(HeaderError::Field("payload length"));
        }
        let ends = self.position.checked_add(self.length);
        if !self.position.is_multiple_of(BLOCK) || ends.is_none_or(|end| end > self.segment_size) {
            return Err(HeaderError::Field("position"));
        }
        let mark = self.kind == GroupKind::Mark;
        if mark && (self.items != 0 || self.payload_len != 0 || self.length != BLOCK) {
            return Err(HeaderError::Field("mark with items"));
        }
        if !mark && self.items == 0 {
            return Err(HeaderError::Field("items"));
        }
        Ok(())
    }
}

/// What is known of a group's items: the writer's count, or the reader's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Number of items, voids included.
    pub items: u32,
    /// Frames, summed over items.
    pub pages: u64,
    /// Database size of the last item in replay order that has one.
    pub db_size: u32,
    /// Lowest commit sequence; 0 without batches.
    pub seq_low: u64,
    /// Highest commit sequence.
    pub seq_high: u64,
    /// Checksum over the items' checksums.
    pub payload_crc: u32,
    /// Items per lane, ascending, lanes without items left out.
    pub lanes: Vec<(u32, u32)>,
    /// Of records: their terms in order. Not in the certificate.
    pub runs: Vec<TermRun>,
    /// The offset of the first record that may not stand behind the one before.
    pub out_of_order: Option<usize>,
    db_size_key: (u64, u64, u32),
}

/// Neighbouring records of one term, their LSNs rising.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // as they are named
pub struct TermRun {
    pub term: u64,
    pub first_lsn: u64,
    pub last_lsn: u64,
}

impl Summary {
    /// Walks a payload, item by item. `visit` gets the offset and head of each
    /// item; it may refuse. Without `verify` the items' checksums are taken
    /// as they stand: the writer's walk over what it has just encoded.
    pub fn walk(
        payload: &[u8],
        verify: bool,
        lanes: &mut LaneCounts,
        mut visit: impl FnMut(usize, &ItemHead) -> Result<(), &'static str>,
    ) -> Result<Summary, (usize, &'static str)> {
        let mut sum = Summary {
            seq_low: u64::MAX,
            ..Summary::default()
        };
        let mut at = 0;
        while at < payload.len() {
            let item = &payload[at..];
            let head = ItemHead::parse(item).map_err(|why| (at, why))?;
            if verify && !head.verify(item) && !wrong::is(Wrong::ItemsNotChecked) {
                return Err((at, "item: checksum"));
            }
            visit(at, &head).map_err(|why| (at, why))?;
            sum.add(at, &head, item);
            lanes.add(head.lane);
            at += head.len;
        }
        if sum.seq_low == u64::MAX {
            sum.seq_low = sum.seq_high;
        }
        sum.lanes = lanes.take();
        Ok(sum)
    }

    fn add(&mut self, at: usize, head: &ItemHead, item: &[u8]) {
        self.items += 1;
        self.payload_crc = crc32c_append(self.payload_crc, &head.crc.to_le_bytes());
        // A void keeps the sequence it was assigned, so that ranges touch.
        if head.commit_seq != 0 {
            self.seq_low = self.seq_low.min(head.commit_seq);
            self.seq_high = self.seq_high.max(head.commit_seq);
        }
        match head.kind {
            ItemKind::Pages => {}
            ItemKind::Record => return self.add_record(at, head.txn_id, head.commit_seq),
            ItemKind::Void => return,
        }
        self.pages += u64::from(head.frames);
        // Replay order within the group.
        let key = (head.commit_seq, head.txn_id, head.first_page(item));
        if head.db_size != 0 && key >= self.db_size_key {
            self.db_size = head.db_size;
            self.db_size_key = key;
        }
    }

    /// Within a group terms never fall and LSNs rise: a branch is made between
    /// two groups.
    fn add_record(&mut self, at: usize, term: u64, lsn: u64) {
        match self.runs.last_mut() {
            Some(run) if lsn <= run.last_lsn || term < run.term => {
                self.out_of_order.get_or_insert(at);
            }
            Some(run) if term == run.term => run.last_lsn = lsn,
            _ => self.runs.push(TermRun {
                term,
                first_lsn: lsn,
                last_lsn: lsn,
            }),
        }
    }
}

/// Counts items per lane; kept between groups so that counting allocates nothing.
#[derive(Clone, Debug, Default)]
pub struct LaneCounts {
    counts: Vec<u32>,
    touched: Vec<u16>,
}

impl LaneCounts {
    fn add(&mut self, lane: u16) {
        let index = usize::from(lane);
        if index >= self.counts.len() {
            self.counts.resize(index + 1, 0);
        }
        if self.counts[index] == 0 {
            self.touched.push(lane);
        }
        self.counts[index] += 1;
    }

    fn take(&mut self) -> Vec<(u32, u32)> {
        self.touched.sort_unstable();
        let counts = &mut self.counts;
        self.touched
            .drain(..)
            .map(|lane| {
                let n = std::mem::take(&mut counts[usize::from(lane)]);
                (u32::from(lane), n)
            })
            .collect()
    }

    /// Forgets what a refused walk left behind.
    pub fn clear(&mut self) {
        self.take();
    }
}

/// The certificate's own fields, beside those of header and summary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CertificateFlags {
    /// A fallback was active.
    pub fallback: bool,
    /// The coordinator assigned the sequences.
    pub assigned: bool,
}

/// A certificate as read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // named as in docs/format.md
pub struct Certificate {
    pub flags: CertificateFlags,
    pub epoch: u64,
    pub segment_epoch: u64,
    pub lane_count: u32,
    pub payload_len: u64,
    pub header_crc: u32,
    pub summary: Summary,
    /// The checksum that the next group links to.
    pub crc: u32,
}

/// Bytes of a group with such a payload and so many lanes in its table.
pub fn group_len(payload_len: u64, lanes: usize) -> u64 {
    let bytes = GROUP_HEADER as u64 + payload_len + (lanes * LANE_ENTRY + CERTIFICATE) as u64;
    bytes.next_multiple_of(BLOCK)
}

/// Writes header and trailer around a payload that stands at
/// [`GROUP_HEADER`] in `group`, which is exactly the group. Gives the
/// certificate's checksum.
pub fn seal(
    group: &mut [u8],
    header: &GroupHeader,
    summary: &Summary,
    flags: CertificateFlags,
    lane_count: u32,
) -> u32 {
    debug_assert_eq!(group.len() as u64, header.length);
    let header_crc = header.encode(group);
    let payload_end = GROUP_HEADER + header.payload_len as usize;
    let trailer = &mut group[payload_end..];
    let cert_at = trailer.len() - CERTIFICATE;
    let table_at = cert_at - summary.lanes.len() * LANE_ENTRY;
    debug_assert!(table_at < BLOCK as usize, "less than a block is padding");
    trailer[..table_at].fill(0);
    for (i, (lane, items)) in summary.lanes.iter().enumerate() {
        put_u32(trailer, table_at + i * LANE_ENTRY, *lane);
        put_u32(trailer, table_at + i * LANE_ENTRY + 4, *items);
    }
    let cert = &mut trailer[cert_at..];
    cert.fill(0);
    put_u32(cert, 0, CERTIFICATE_MAGIC);
    put_u16(cert, 4, 1);
    let bits = if flags.fallback { FLAG_FALLBACK } else { 0 }
        | if flags.assigned { FLAG_ASSIGNED } else { 0 };
    put_u16(cert, 6, bits);
    put_u64(cert, 8, header.epoch);
    put_u64(cert, 16, summary.seq_low);
    put_u64(cert, 24, summary.seq_high);
    put_u64(cert, 32, header.segment_epoch);
    put_u64(cert, 40, summary.pages);
    put_u32(cert, 48, summary.items);
    put_u32(cert, 52, lane_count);
    put_u32(cert, 56, summary.lanes.len() as u32);
    put_u32(cert, 60, summary.db_size);
    put_u64(cert, 64, header.payload_len);
    put_u32(cert, 72, summary.payload_crc);
    put_u32(cert, 76, header_crc);
    let end = trailer.len() - 4;
    let crc = crc32c_append(zeros_crc(table_at), &trailer[table_at..end]);
    put_u32(trailer, end, crc);
    crc
}

/// The checksum of so many zero bytes, less than a block and a multiple of 8:
/// the padding is most of a small group, and always the same.
fn zeros_crc(len: usize) -> u32 {
    static TABLE: OnceLock<Vec<u32>> = OnceLock::new();
    let table = TABLE.get_or_init(|| {
        let eight = |crc: &mut u32| {
            let before = *crc;
            *crc = crc32c_append(before, &[0; 8]);
            before
        };
        let mut crc = 0;
        (0..BLOCK).step_by(8).map(|_| eight(&mut crc)).collect()
    });
    table[len / 8]
}

/// A comparison, and not a loop over bytes: most of a small group is padding.
fn all_zeros(bytes: &[u8]) -> bool {
    const ZEROS: [u8; 256] = [0; 256];
    let mut parts = bytes.chunks(ZEROS.len());
    parts.all(|part| *part == ZEROS[..part.len()])
}

impl Certificate {
    /// Reads the trailer of a group: everything behind its payload. Checks its
    /// checksum, its shape, and that it closes this header.
    pub fn parse(
        trailer: &[u8],
        header: &GroupHeader,
        header_crc: u32,
    ) -> Result<Certificate, &'static str> {
        if trailer.len() < CERTIFICATE {
            return Err("certificate: no room");
        }
        let end = trailer.len() - 4;
        let crc = get_u32(trailer, end);
        if crc32c(&trailer[..end]) != crc && !wrong::is(Wrong::CertificateNotChecked) {
            return Err("certificate: checksum");
        }
        let (front, cert) = trailer.split_at(trailer.len() - CERTIFICATE);
        let bits = u16::from_le_bytes([cert[6], cert[7]]);
        if get_u32(cert, 0) != CERTIFICATE_MAGIC || cert[4..6] != [1, 0] {
            return Err("certificate: magic or version");
        }
        if bits & !(FLAG_FALLBACK | FLAG_ASSIGNED) != 0 {
            return Err("certificate: unknown flags");
        }
        if bits & FLAG_ASSIGNED != 0 && header.kind == GroupKind::Records {
            return Err("certificate: sequences assigned to records");
        }
        let entries = get_u32(cert, 56) as usize;
        if entries > front.len() / LANE_ENTRY {
            return Err("certificate: lane table longer than the group");
        }
        let (zeros, table) = front.split_at(front.len() - entries * LANE_ENTRY);
        if !all_zeros(zeros) {
            return Err("certificate: bytes in the padding");
        }
        let lanes = table
            .chunks_exact(LANE_ENTRY)
            .map(|e| (get_u32(e, 0), get_u32(e, 4)))
            .collect();
        let certificate = Certificate {
            flags: CertificateFlags {
                fallback: bits & FLAG_FALLBACK != 0,
                assigned: bits & FLAG_ASSIGNED != 0,
            },
            epoch: get_u64(cert, 8),
            segment_epoch: get_u64(cert, 32),
            lane_count: get_u32(cert, 52),
            payload_len: get_u64(cert, 64),
            header_crc: get_u32(cert, 76),
            summary: Summary {
                items: get_u32(cert, 48),
                pages: get_u64(cert, 40),
                db_size: get_u32(cert, 60),
                seq_low: get_u64(cert, 16),
                seq_high: get_u64(cert, 24),
                payload_crc: get_u32(cert, 72),
                lanes,
                ..Summary::default()
            },
            crc,
        };
        if certificate.header_crc != header_crc
            || certificate.epoch != header.epoch
            || certificate.segment_epoch != header.segment_epoch
            || certificate.payload_len != header.payload_len
            || certificate.summary.items != header.items
        {
            return Err("certificate: of another header");
        }
        Ok(certificate)
    }

    /// Whether the items are those that the certificate counts.
    pub fn agrees_with(&self, counted: &Summary) -> Result<(), &'static str> {
        let own = &self.summary;
        if own.payload_crc != counted.payload_crc {
            return Err("certificate: payload checksum");
        }
        if own.items != counted.items || own.pages != counted.pages || own.lanes != counted.lanes {
            return Err("certificate: counts");
        }
        if (own.seq_low, own.seq_high) != (counted.seq_low, counted.seq_high) {
            return Err("certificate: sequence range");
        }
        if counted.lanes.last().is_some_and(|l| l.0 >= self.lane_count) {
            return Err("certificate: lane above the lane count");
        }
        if own.db_size != counted.db_size {
            return Err("certificate: database size");
        }
        Ok(())
    }
}

/// The magic that every segment starts with, for readers of raw blocks.
pub fn has_magic(block: &[u8]) -> bool {
    block.len() >= 4 && get_u32(block, 0) == prelude::MAGIC
}

#[cfg(test)]
mod tests;
