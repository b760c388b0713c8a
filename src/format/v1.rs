//! Version 1 segments: one epoch per file, records without checksums.
//!
//! Reading can check structure only: a flipped bit in a page image is not
//! found. Whatever does not parse is corrupt, never torn, because a segment
//! gets its name only once it is whole.

use super::bytes::{u32_at, u64_at};
use super::prelude::{self, Prelude, PreludeError};
use crate::batch::{Frame, MAX_FRAME_BYTES};
use crate::error::{Error, ErrorKind, Result};
use crate::wrong::{self, Wrong};
use std::collections::HashMap;
use std::fmt;
use std::path::Path;

/// The version that this module reads and writes.
pub const VERSION: u16 = 1;
/// The largest image, before or after, in bytes.
pub const MAX_IMAGE_BYTES: usize = MAX_FRAME_BYTES;
/// The smallest record, without the four bytes of its length.
pub const MIN_RECORD_BYTES: usize = FIXED_BYTES + 2 * LENGTH_BYTES;
/// The largest record, without the four bytes of its length.
pub const MAX_RECORD_BYTES: usize = MIN_RECORD_BYTES + END_SEQ_BYTES + 2 * MAX_IMAGE_BYTES;

const LENGTH_BYTES: usize = 4;
const END_SEQ_BYTES: usize = 8;
/// A record up to and with the end-sequence flag.
const FIXED_BYTES: usize = 33;

const EPOCH_AT: usize = 12;
const PAGE_AT: usize = 20;
const FLAG_AT: usize = 32;

/// One write of one page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Transaction id, not 0.
    pub txn_id: u64,
    /// Transaction epoch: the second half of the transaction's token.
    pub txn_epoch: u32,
    /// The epoch, that of the segment.
    pub epoch: u64,
    /// The page's number, from 1.
    pub page_number: u32,
    /// Begin sequence; the commit sequence of the batch that it belongs to.
    pub begin_seq: u64,
    /// End sequence. None: the write was aborted, and is never replayed.
    pub end_seq: Option<u64>,
    /// The page before the write, up to 65536 bytes, often empty.
    pub before: &'a [u8],
    /// The page after it, up to 65536 bytes. Empty: no page is changed.
    pub after: &'a [u8],
}

impl Record<'_> {
    /// What records of one epoch are sorted by, stably.
    pub fn replay_key(&self) -> (u64, u64, u32) {
        (self.begin_seq, self.txn_id, self.page_number)
    }

    fn encoded_len(&self) -> usize {
        let end_seq = if self.end_seq.is_some() {
            END_SEQ_BYTES
        } else {
            0
        };
        MIN_RECORD_BYTES + end_seq + self.before.len() + self.after.len()
    }
}

/// A decoded segment; the images are borrowed from the file's bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment<'a> {
    /// The epoch.
    pub epoch: u64,
    /// All records, aborted ones too, in the order in which they stand in
    /// the file. Other writers may not have sorted them.
    pub records: Vec<Record<'a>>,
}

/// One committed transaction's part in a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentBatch<'a> {
    /// Transaction id.
    pub txn_id: u64,
    /// Transaction epoch.
    pub txn_epoch: u32,
    /// The commit sequence: version 1's begin sequence.
    pub commit_seq: u64,
    /// At least one frame, by page number. None carries a database size,
    /// which has no place in version 1.
    pub frames: Vec<Frame<'a>>,
}

impl<'a> Segment<'a> {
    /// What recovery replays, in replay order: the committed records by
    /// (transaction id, transaction epoch, begin sequence). Records with an
    /// empty after-image give no frame, and a batch of only those is left out.
    pub fn batches(&self) -> Vec<SegmentBatch<'a>> {
        let mut committed: Vec<&Record<'a>> = self.committed().collect();
        committed.sort_by_key(|r| r.replay_key());
        let mut batches: Vec<SegmentBatch<'a>> = Vec::new();
        let mut places = HashMap::new();
        for record in committed.into_iter().filter(|r| !r.after.is_empty()) {
            let token = (record.txn_id, record.txn_epoch, record.begin_seq);
            let place = *places.entry(token).or_insert(batches.len());
            if place == batches.len() {
                batches.push(SegmentBatch {
                    txn_id: record.txn_id,
                    txn_epoch: record.txn_epoch,
                    commit_seq: record.begin_seq,
                    frames: Vec::new(),
                });
            }
            batches[place].frames.push(Frame {
                page_number: record.page_number,
                db_size_if_commit: 0,
                data: record.after,
            });
        }
        batches
    }

    /// The highest commit sequence in use, also by transactions that changed
    /// no page; none where nothing was committed.
    pub fn highest_commit_seq(&self) -> Option<u64> {
        self.committed().map(|r| r.begin_seq).max()
    }

    fn committed(&self) -> impl Iterator<Item = &Record<'a>> {
        self.records.iter().filter(|r| r.end_seq.is_some())
    }
}

/// What is wrong with a segment, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct V1Error {
    /// The byte offset in the file.
    pub offset: u64,
    /// What is wrong there.
    pub reason: Reason,
}

/// Why bytes are not a version 1 segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The first 24 bytes are damaged, or something else.
    Header(PreludeError),
    /// A sound header of another version.
    Version(u16),
    /// A sound header with flags that version 1 does not have.
    Flags(u16),
    /// The file was renamed or put in another's place.
    NameEpoch {
        /// The epoch of the header.
        header: u64,
        /// The epoch of the file's name.
        name: u64,
    },
    /// The count of records needs a longer file.
    Count {
        /// The header's count.
        count: u32,
        /// How many records of the smallest size the file has room for.
        room: usize,
    },
    /// The file ends inside a record: bytes needed, and bytes left.
    ShortRecord {
        /// How many bytes should follow.
        need: usize,
        /// How many do.
        left: usize,
    },
    /// A record's length is outside of what a record can have.
    RecordLength(u32),
    /// A transaction id of 0.
    ZeroTxnId,
    /// A record of another epoch than the segment's.
    RecordEpoch {
        /// The epoch of the record.
        record: u64,
        /// The epoch of the segment.
        segment: u64,
    },
    /// A page number of 0.
    ZeroPage,
    /// An end-sequence flag that is neither 0 nor 1.
    EndFlag(u8),
    /// An image over the limit.
    ImageTooLarge(u32),
    /// A field or an image reaches beyond its record: bytes needed, and left.
    RecordTooShort {
        /// How many bytes it needs.
        need: usize,
        /// How many the record still has.
        left: usize,
    },
    /// Bytes after the images of a record; how many.
    TrailingInRecord(usize),
    /// Bytes after the last record; how many.
    TrailingInFile(u64),
}

impl V1Error {
    /// [`ErrorKind::Format`] where a sound header says another version or
    /// flags, else [`ErrorKind::Corrupt`].
    pub fn kind(&self) -> ErrorKind {
        match self.reason {
            Reason::Version(_) | Reason::Flags(_) => ErrorKind::Format,
            _ => ErrorKind::Corrupt,
        }
    }

    /// As the crate's error, for the segment at `path`.
    pub fn in_file(self, path: &Path) -> Error {
        Error::new(self.kind(), self.reason.to_string()).at(path, self.offset)
    }
}

impl fmt::Display for V1Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (offset {})", self.reason, self.offset)
    }
}

impl std::error::Error for V1Error {}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Header(e) => e.fmt(f),
            Reason::Version(v) => write!(f, "format version {v}, not {VERSION}"),
            Reason::Flags(v) => write!(f, "format flags {v:#06x} are not known"),
            Reason::NameEpoch { header, name } => {
                write!(
                    f,
                    "header of epoch {header} in a file named for epoch {name}"
                )
            }
            Reason::Count { count, room } => {
                write!(f, "{count} records where the file has room for {room}")
            }
            Reason::ShortRecord { need, left } => {
                write!(
                    f,
                    "short record: {need} bytes needed, {left} left in the file"
                )
            }
            Reason::RecordLength(len) => write!(
                f,
                "record of {len} bytes, outside {MIN_RECORD_BYTES} to {MAX_RECORD_BYTES}"
            ),
            Reason::ZeroTxnId => f.write_str("transaction id 0"),
            Reason::RecordEpoch { record, segment } => {
                write!(
                    f,
                    "record of epoch {record} in the segment of epoch {segment}"
                )
            }
            Reason::ZeroPage => f.write_str("page number 0"),
            Reason::EndFlag(flag) => write!(f, "end-sequence flag {flag}, not 0 or 1"),
            Reason::ImageTooLarge(len) => {
                write!(f, "image of {len} bytes, the limit is {MAX_IMAGE_BYTES}")
            }
            Reason::RecordTooShort { need, left } => {
                write!(f, "{need} bytes needed, {left} left in the record")
            }
            Reason::TrailingInRecord(n) => write!(f, "{n} trailing bytes in a record"),
            Reason::TrailingInFile(n) => {
                write!(f, "{n} trailing bytes after the last record")
            }
        }
    }
}

/// How many bytes [`encode`] makes of the records.
pub fn encoded_len(records: &[Record<'_>]) -> usize {
    let bytes = |r: &Record<'_>| LENGTH_BYTES + r.encoded_len();
    prelude::LEN + records.iter().map(bytes).sum::<usize>()
}

/// Reads the header and judges it, without looking at the records.
///
/// `file_len` is the length of the whole file and `name_epoch` the epoch of
/// its name, where it has one. A count that the length can't hold, or that
/// can't fill it, is an error here, so that nobody reads such a file whole.
pub fn decode_header(
    head: &[u8],
    file_len: u64,
    name_epoch: Option<u64>,
) -> std::result::Result<Prelude, V1Error> {
    let fault = |offset, reason| Err(V1Error { offset, reason });
    let prelude = match prelude::parse(head) {
        Ok(prelude) => prelude,
        Err(e) => return fault(e.offset(), Reason::Header(e)),
    };
    if prelude.version != VERSION {
        return fault(4, Reason::Version(prelude.version));
    }
    if prelude.flags != 0 {
        return fault(6, Reason::Flags(prelude.flags));
    }
    if let Some(name) = name_epoch.filter(|&name| name != prelude.epoch) {
        return fault(
            8,
            Reason::NameEpoch {
                header: prelude.epoch,
                name,
            },
        );
    }
    let count = u64::from(prelude.count);
    let left = file_len.saturating_sub(prelude::LEN as u64);
    let room = left / (LENGTH_BYTES + MIN_RECORD_BYTES) as u64;
    if count > room {
        let room = room as usize;
        return fault(
            16,
            Reason::Count {
                count: prelude.count,
                room,
            },
        );
    }
    // At most 2^32 times 2^18: no overflow.
    let most = count * (LENGTH_BYTES + MAX_RECORD_BYTES) as u64;
    if left > most && !wrong::is(Wrong::LengthTrusted) {
        let end = prelude::LEN as u64 + most;
        return fault(end, Reason::TrailingInFile(left - most));
    }
    Ok(prelude)
}

/// Reads a whole segment. `name_epoch` is the epoch of the file's name, where
/// it has one.
pub fn decode(bytes: &[u8], name_epoch: Option<u64>) -> std::result::Result<Segment<'_>, V1Error> {
    let header = decode_header(bytes, bytes.len() as u64, name_epoch)?;
    let mut cursor = Cursor {
        bytes,
        at: prelude::LEN,
        end: bytes.len(),
    };
    // The header's check has bounded the count by the length of `bytes`.
    let mut records = Vec::with_capacity(header.count as usize);
    for _ in 0..header.count {
        records.push(cursor.record(header.epoch)?);
    }
    match cursor.left() {
        left if left == 0 || wrong::is(Wrong::TrailingBytesNotSeen) => Ok(Segment {
            epoch: header.epoch,
            records,
        }),
        left => Err(cursor.fault(Reason::TrailingInFile(left as u64))),
    }
}

/// Walks `bytes` up to `end`, which never lies behind them.
#[derive(Clone, Copy)]
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
    end: usize,
}

impl<'a> Cursor<'a> {
    fn left(&self) -> usize {
        self.end - self.at
    }

    fn fault(&self, reason: Reason) -> V1Error {
        V1Error {
            offset: self.at as u64,
            reason,
        }
    }

    /// The next `need` bytes, or what `short` makes of (needed, left).
    fn take(
        &mut self,
        need: usize,
        short: fn(usize, usize) -> Reason,
    ) -> std::result::Result<&'a [u8], V1Error> {
        if need > self.left() {
            return Err(self.fault(short(need, self.left())));
        }
        let taken = &self.bytes[self.at..self.at + need];
        self.at += need;
        Ok(taken)
    }

    /// A record with its length in front.
    fn record(&mut self, epoch: u64) -> std::result::Result<Record<'a>, V1Error> {
        let short_file = |need, left| Reason::ShortRecord { need, left };
        let mut probe = *self;
        let prefix = probe.take(LENGTH_BYTES, short_file)?;
        let len = u32_at(prefix, 0).unwrap_or(0);
        if !(MIN_RECORD_BYTES..=MAX_RECORD_BYTES).contains(&(len as usize)) {
            return Err(self.fault(Reason::RecordLength(len)));
        }
        *self = probe;
        let start = self.at;
        self.take(len as usize, short_file)?;
        Cursor {
            bytes: self.bytes,
            at: start,
            end: self.at,
        }
        .body(epoch)
    }

    /// A record without its length; the cursor ends where the record does.
    fn body(&mut self, epoch: u64) -> std::result::Result<Record<'a>, V1Error> {
        let start = self.at as u64;
        let fault = |at: usize, reason| {
            Err(V1Error {
                offset: start + at as u64,
                reason,
            })
        };
        let fixed = self.take(FIXED_BYTES, record_too_short)?;
        let u64_of = |at| u64_at(fixed, at).unwrap_or(0);
        let u32_of = |at| u32_at(fixed, at).unwrap_or(0);
        let mut record = Record {
            txn_id: u64_of(0),
            txn_epoch: u32_of(8),
            epoch: u64_of(EPOCH_AT),
            page_number: u32_of(PAGE_AT),
            begin_seq: u64_of(24),
            end_seq: None,
            before: &[],
            after: &[],
        };
        if record.txn_id == 0 {
            return fault(0, Reason::ZeroTxnId);
        }
        if record.epoch != epoch {
            let reason = Reason::RecordEpoch {
                record: record.epoch,
                segment: epoch,
            };
            return fault(EPOCH_AT, reason);
        }
        if record.page_number == 0 {
            return fault(PAGE_AT, Reason::ZeroPage);
        }
        match fixed[FLAG_AT] {
            0 => {}
            1 => record.end_seq = u64_at(self.take(END_SEQ_BYTES, record_too_short)?, 0),
            flag => return fault(FLAG_AT, Reason::EndFlag(flag)),
        }
        record.before = self.image()?;
        record.after = self.image()?;
        match self.left() {
            0 => Ok(record),
            left => Err(self.fault(Reason::TrailingInRecord(left))),
        }
    }

    /// An image with its length in front.
    fn image(&mut self) -> std::result::Result<&'a [u8], V1Error> {
        let start = *self;
        let len = u32_at(self.take(LENGTH_BYTES, record_too_short)?, 0).unwrap_or(0);
        if len as usize > MAX_IMAGE_BYTES {
            return Err(start.fault(Reason::ImageTooLarge(len)));
        }
        self.take(len as usize, record_too_short)
    }
}

fn record_too_short(need: usize, left: usize) -> Reason {
    Reason::RecordTooShort { need, left }
}

/// Writes a whole segment of `epoch`, the records stably sorted into replay
/// order.
///
/// Errors: [`ErrorKind::Invalid`] for no records at all (such an epoch has no
/// segment), a transaction id or page number of 0, or another epoch;
/// [`ErrorKind::TooLarge`] for an image over [`MAX_IMAGE_BYTES`] or more than
/// `u32::MAX` records. The message names the record by its place in `records`.
pub fn encode(epoch: u64, records: &[Record<'_>]) -> Result<Vec<u8>> {
    if records.is_empty() {
        return Err(Error::invalid(
            "no records: an epoch without records leaves no segment",
        ));
    }
    let count = u32::try_from(records.len())
        .map_err(|_| Error::new(ErrorKind::TooLarge, "more than 2^32 - 1 records"))?;
    for (index, record) in records.iter().enumerate() {
        check(epoch, index, record)?;
    }
    let len = encoded_len(records);
    let mut sorted: Vec<&Record<'_>> = records.iter().collect();
    sorted.sort_by_key(|r| r.replay_key());

    let mut out = Vec::new();
    out.try_reserve_exact(len)
        .map_err(|_| Error::new(ErrorKind::NoMemory, format!("no memory for {len} bytes")))?;
    let mut head = [0; prelude::LEN];
    prelude::write(
        &mut head,
        &Prelude {
            version: VERSION,
            flags: 0,
            epoch,
            count,
        },
    );
    out.extend_from_slice(&head);
    for record in sorted {
        append(&mut out, record);
    }
    debug_assert_eq!(out.len(), len);
    Ok(out)
}

fn check(epoch: u64, index: usize, record: &Record<'_>) -> Result<()> {
    let invalid = |what: String| Err(Error::invalid(format!("record {index}: {what}")));
    if record.txn_id == 0 {
        return invalid(Reason::ZeroTxnId.to_string());
    }
    if record.page_number == 0 {
        return invalid(Reason::ZeroPage.to_string());
    }
    if record.epoch != epoch {
        let reason = Reason::RecordEpoch {
            record: record.epoch,
            segment: epoch,
        };
        return invalid(reason.to_string());
    }
    for (name, image) in [("before", record.before), ("after", record.after)] {
        if image.len() > MAX_IMAGE_BYTES {
            let len = image.len();
            return Err(Error::new(
                ErrorKind::TooLarge,
                format!(
                    "record {index}: {name}-image of {len} bytes, the limit is {MAX_IMAGE_BYTES}"
                ),
            ));
        }
    }
    Ok(())
}

/// Appends a record that [`check`] has passed: its lengths fit a u32.
fn append(out: &mut Vec<u8>, record: &Record<'_>) {
    out.extend_from_slice(&(record.encoded_len() as u32).to_le_bytes());
    out.extend_from_slice(&record.txn_id.to_le_bytes());
    out.extend_from_slice(&record.txn_epoch.to_le_bytes());
    out.extend_from_slice(&record.epoch.to_le_bytes());
    out.extend_from_slice(&record.page_number.to_le_bytes());
    out.extend_from_slice(&record.begin_seq.to_le_bytes());
    out.push(u8::from(record.end_seq.is_some()));
    if let Some(end_seq) = record.end_seq {
        out.extend_from_slice(&end_seq.to_le_bytes());
    }
    for image in [record.before, record.after] {
        out.extend_from_slice(&(image.len() as u32).to_le_bytes());
        out.extend_from_slice(image);
    }
}

#[cfg(test)]
mod tests;
