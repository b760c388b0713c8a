//! Ranges of LSNs whose records a salvage could not keep (`docs/format.md`,
//! "State file"). Nobody reads across one without being told.

use super::bytes::{get_u64, put_u64};

/// Ranges that a state file holds.
pub const MAX_LOST: usize = 6;
const ENTRY: usize = 16;
/// Bytes of them in the state file.
pub const LOST_BYTES: usize = MAX_LOST * ENTRY;

/// LSNs above `after`, through `through`: what had them is lost, or was put
/// under one range with what is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LostRange {
    /// The LSN below the range.
    pub after: u64,
    /// The last LSN of the range; above `after`.
    pub through: u64,
}

/// Lost ranges, ascending, none touching the next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lost(Vec<LostRange>);

impl Lost {
    /// The ranges, ascending.
    pub fn ranges(&self) -> &[LostRange] {
        &self.0
    }

    /// Adds one; nothing where it holds no LSN. Ranges that meet become one,
    /// and so do the two oldest where there is no room: what lies between them
    /// is given up with them.
    pub fn add(&mut self, mut new: LostRange) {
        if new.through <= new.after {
            return;
        }
        self.0.retain(|old| {
            let apart = old.through < new.after || new.through < old.after;
            if !apart {
                new.after = new.after.min(old.after);
                new.through = new.through.max(old.through);
            }
            apart
        });
        let at = self.0.partition_point(|old| old.after < new.after);
        self.0.insert(at, new);
        if self.0.len() > MAX_LOST {
            let oldest = self.0.remove(0);
            self.0[0].after = oldest.after;
        }
    }

    /// The range that whoever has everything up to `lsn` stands before or in,
    /// so that what comes next is lost.
    pub fn at(&self, lsn: u64) -> Option<LostRange> {
        self.0
            .iter()
            .copied()
            .find(|r| r.after <= lsn && lsn < r.through)
    }

    /// The first range that begins at or above `lsn`: reading on from there ends
    /// at its `after`.
    pub fn beyond(&self, lsn: u64) -> Option<LostRange> {
        self.0.iter().copied().find(|r| lsn <= r.after)
    }

    /// The last LSN of the last range; 0 where there is none. Whoever has less
    /// can't have the rest from here.
    pub fn through(&self) -> u64 {
        self.0.last().map_or(0, |r| r.through)
    }

    /// Forgets what a cut behind `lsn` has made another branch's.
    pub fn cut(&mut self, lsn: u64) {
        self.0.retain(|r| r.after < lsn);
        if let Some(last) = self.0.last_mut() {
            last.through = last.through.min(lsn);
        }
    }

    /// Forgets what pruning has passed.
    pub fn forget(&mut self, pruned_through: u64) {
        self.0.retain(|r| r.through > pruned_through);
    }

    /// Writes them; `out` has [`LOST_BYTES`], all zeros.
    pub fn encode(&self, out: &mut [u8]) {
        for (range, out) in self.0.iter().zip(out.chunks_exact_mut(ENTRY)) {
            put_u64(out, 0, range.after);
            put_u64(out, 8, range.through);
        }
    }

    /// Reads them; none where no writer makes ranges like these.
    pub fn parse(bytes: &[u8]) -> Option<Lost> {
        let bytes = bytes.get(..LOST_BYTES)?;
        let mut ranges: Vec<LostRange> = Vec::new();
        let mut ended = false;
        for entry in bytes.chunks_exact(ENTRY) {
            let (after, through) = (get_u64(entry, 0), get_u64(entry, 8));
            if (after, through) == (0, 0) {
                ended = true;
                continue;
            }
            let before = ranges.last();
            if ended || through <= after || before.is_some_and(|r| after <= r.through) {
                return None;
            }
            ranges.push(LostRange { after, through });
        }
        Some(Lost(ranges))
    }
}

#[cfg(test)]
mod tests;
