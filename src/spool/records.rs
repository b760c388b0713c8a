//! What reading gives: records whose payloads are shared, not copied.

use crate::error::{Error, ErrorKind, Result};
use crate::format::lost::LostRange;
use crate::format::record::Record;
use crate::format::terms::{Standing, Terms};
use std::ops::{Deref, Range};
use std::sync::Arc;

/// The bytes of a record. Cloning shares them. They live in the group or the
/// stretch of file that they were read with, all of which is kept as long as
/// one of its payloads is.
#[derive(Clone)]
pub struct Payload {
    bytes: Arc<Vec<u8>>,
    range: Range<usize>,
}

impl Payload {
    /// `range` lies within `bytes`.
    pub(super) fn within(bytes: &Arc<Vec<u8>>, range: Range<usize>) -> Payload {
        debug_assert!(range.start <= range.end && range.end <= bytes.len());
        Payload {
            bytes: bytes.clone(),
            range,
        }
    }

    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[self.range.clone()]
    }
}

impl Deref for Payload {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl std::fmt::Debug for Payload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.range.len())
    }
}

impl PartialEq for Payload {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for Payload {}

/// A record that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpoolRecord {
    /// The primary's reign that it was written in.
    pub term: u64,
    /// Its position in the spool.
    pub lsn: u64,
    /// Milliseconds since the Unix epoch, as the writer gave them.
    pub timestamp_ms: u64,
    /// What it says.
    pub payload: Payload,
}

impl SpoolRecord {
    /// The record with its payload borrowed, as an append takes it.
    pub fn as_record(&self) -> Record<'_> {
        Record {
            term: self.term,
            lsn: self.lsn,
            timestamp_ms: self.timestamp_ms,
            payload: &self.payload,
        }
    }
}

/// How much a read may give. At least one record is given where there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadLimit {
    /// Records, 1 or more.
    pub records: usize,
    /// Bytes of payload; one record may exceed it by itself.
    pub bytes: usize,
}

impl Default for ReadLimit {
    fn default() -> Self {
        ReadLimit {
            records: 1000,
            bytes: 16 << 20,
        }
    }
}

/// What a read has gathered, up to its limit.
#[derive(Debug)]
pub(super) struct Gathered {
    pub(super) records: Vec<SpoolRecord>,
    /// Term and LSN of the record that it goes on behind, where that is known.
    behind: Option<(u64, u64)>,
    limit: ReadLimit,
    bytes: usize,
    full: bool,
    /// Records above it are not gathered: what lies before them is lost.
    ceiling: u64,
}

impl Gathered {
    pub(super) fn new(limit: ReadLimit) -> Gathered {
        Gathered::behind(None, limit)
    }

    /// To go on behind a record of this term and LSN.
    pub(super) fn behind(behind: Option<(u64, u64)>, limit: ReadLimit) -> Gathered {
        Gathered {
            records: Vec::new(),
            behind,
            limit,
            bytes: 0,
            full: false,
            ceiling: u64::MAX,
        }
    }

    /// Ends before a lost range.
    pub(super) fn end_before(&mut self, lost: Option<LostRange>) {
        self.ceiling = lost.map_or(u64::MAX, |range| range.after);
    }

    /// Whether a record comes behind what is lost, so that it and all that
    /// follows is left out.
    pub(super) fn is_beyond(&mut self, lsn: u64) -> bool {
        self.full |= lsn > self.ceiling;
        lsn > self.ceiling
    }

    /// Takes a record of so many bytes in, `ahead` of which are gathered beside
    /// it and not in here yet: records and bytes. False: it is beyond the limit,
    /// and so is all that follows.
    pub(super) fn has_room(&mut self, payload: usize, ahead: (usize, usize)) -> bool {
        let records = self.records.len() + ahead.0;
        let bytes = self.bytes.saturating_add(ahead.1).saturating_add(payload);
        let fits = records == 0 || (records < self.limit.records && bytes <= self.limit.bytes);
        self.full |= !fits;
        fits
    }

    /// Whether something was left out for want of room.
    pub(super) fn is_full(&self) -> bool {
        self.full || self.records.len() >= self.limit.records
    }

    pub(super) fn push(&mut self, record: SpoolRecord) {
        self.bytes += record.payload.len();
        self.records.push(record);
    }

    /// An error where what was gathered ends on a branch that is cut off: what
    /// comes next would not follow it.
    pub(super) fn check_branch(&self, terms: &Terms) -> Result<()> {
        let last = self.records.last().map(|r| (r.term, r.lsn));
        let Some((term, lsn)) = last.or(self.behind) else {
            return Ok(());
        };
        match terms.check(term, lsn) {
            Standing::Diverged { last_common_lsn } if !terms.is_live(term, lsn) => Err(Error::new(
                ErrorKind::Diverged,
                format!(
                    "lsn: {lsn} of term {term} was cut off, the last that is left is {last_common_lsn}"
                ),
            )
            .with_lsn(last_common_lsn)),
            _ => Ok(()),
        }
    }

    /// The last LSN gathered.
    pub(super) fn last(&self) -> Option<u64> {
        self.records.last().map(|r| r.lsn)
    }
}
