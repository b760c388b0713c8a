//! Checksums of any stretch of a file, each at the same small cost.
//!
//! Behind damage anything may be the start of a record, and each start may
//! claim 256 MiB: summing what each one claims would take hours for a file
//! that was made for it. But checksums are linear. From those of the file's
//! beginning up to two places follows that of what lies between, so one pass
//! that leaves a mark each kilobyte serves all claims: two partial kilobytes
//! and one multiplication for each, however long. The marks of what claims
//! can reach take 2 MiB.

use super::source::Reader;
use crate::error::Result;
use crate::format::rdlw::{crc32_append, crc32_rest};
use std::collections::VecDeque;

/// Bytes between two marks.
pub(super) const STEP: usize = 1 << 10;
/// Marks made by one read.
const BATCH: usize = 256;

/// The marks of a stretch that moves on with the scan.
#[derive(Debug, Default)]
pub(super) struct Sums {
    /// Where the first mark stands, or will. What it sums began further in
    /// front, and is forgotten.
    base: u64,
    marks: VecDeque<u32>,
    buffer: Vec<u8>,
}

impl Sums {
    /// The checksum of `len` bytes from `at`, which are all in the file.
    /// `at` lies in front of nothing that was forgotten.
    pub(super) fn of(&mut self, reader: &Reader, at: u64, len: u64) -> Result<u32> {
        if self.marks.is_empty() {
            self.marks.push_back(0);
        }
        let front = self.up_to(reader, at)?;
        let whole = self.up_to(reader, at + len)?;
        Ok(crc32_rest(front, whole, len))
    }

    /// Nobody asks for what lies in front of `at` any more.
    pub(super) fn forget(&mut self, at: u64) {
        let passed = (at.saturating_sub(self.base) / STEP as u64) as usize;
        if passed >= self.marks.len() {
            self.marks.clear();
            self.base = at;
        } else {
            self.marks.drain(..passed);
            self.base += (passed * STEP) as u64;
        }
    }

    /// The checksum of everything up to `at`.
    fn up_to(&mut self, reader: &Reader, at: u64) -> Result<u32> {
        debug_assert!(at >= self.base, "{at} was forgotten");
        let index = ((at - self.base) / STEP as u64) as usize;
        while self.marks.len() <= index {
            let missing = (index + 1 - self.marks.len()).min(BATCH);
            self.mark(reader, missing)?;
        }
        let behind = (at - self.base) as usize % STEP;
        let piece = reader.read(at - behind as u64, behind, &mut self.buffer)?;
        Ok(crc32_append(self.marks[index], piece))
    }

    /// Makes the next `count` marks.
    fn mark(&mut self, reader: &Reader, count: usize) -> Result<()> {
        let last = self.base + ((self.marks.len() - 1) * STEP) as u64;
        let bytes = reader.read(last, count * STEP, &mut self.buffer)?;
        let mut sum = self.marks[self.marks.len() - 1];
        for piece in bytes.chunks(STEP) {
            sum = crc32_append(sum, piece);
            self.marks.push_back(sum);
        }
        Ok(())
    }
}
