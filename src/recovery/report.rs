//! What recovery found.

pub use crate::log::Verdict;
use std::path::PathBuf;

/// A file in which something was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SuspectFile {
    /// The file.
    pub path: PathBuf,
    /// Where in it.
    pub offset: u64,
    /// Torn or corrupt.
    pub verdict: Verdict,
    /// What was wrong.
    pub reason: String,
}

/// The result of a recovery.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoveryReport {
    /// Segment files read to their end.
    pub segments: u64,
    /// Batches handed out (or checked, with verify only).
    pub batches: u64,
    /// Frames in them: the records applied.
    pub records: u64,
    /// Bytes of segments read.
    pub bytes_read: u64,
    /// The epochs that were recovered, ascending, as ranges of first and last.
    pub epochs: EpochRanges,
    /// The highest commit sequence seen; 0 where none was.
    pub highest_commit_seq: u64,
    /// The checkpoint floor: epochs at or below it are not handed out.
    pub checkpoint_epoch: Option<u64>,
    /// Epochs of the tail above the last watermark: whole on the disk or in the page cache,
    /// confirmed durable only by the next open.
    pub unconfirmed: EpochRanges,
    /// Database size in pages from the last committing frame; 0 where none said.
    pub db_size: u32,
    /// Clean, torn (the tail was dropped) or corrupt (durable prefix only).
    pub verdict: Verdict,
    /// Torn and corrupt files, in the order of the log.
    pub suspects: Vec<SuspectFile>,
}

/// Ascending epochs, kept as ranges so that a long log costs little.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EpochRanges(Vec<(u64, u64)>);

impl EpochRanges {
    /// Adds an epoch that is not below the last one.
    pub(crate) fn push(&mut self, epoch: u64) {
        match self.0.last_mut() {
            Some((_, last)) if *last == epoch => {}
            Some((_, last)) if last.checked_add(1) == Some(epoch) => *last = epoch,
            _ => self.0.push((epoch, epoch)),
        }
    }

    /// The ranges, first and last included.
    pub fn ranges(&self) -> &[(u64, u64)] {
        &self.0
    }

    /// How many epochs there are.
    pub fn count(&self) -> u64 {
        self.0.iter().map(|(a, b)| b - a + 1).sum()
    }

    /// The lowest, if any.
    pub fn first(&self) -> Option<u64> {
        self.0.first().map(|r| r.0)
    }

    /// The highest, if any.
    pub fn last(&self) -> Option<u64> {
        self.0.last().map(|r| r.1)
    }

    /// Each epoch above `floor`.
    pub(crate) fn above(&self, floor: u64) -> Vec<u64> {
        let recent = self.0.iter().rev().take_while(|r| r.1 > floor);
        let mut epochs: Vec<u64> = recent
            .flat_map(|&(a, b)| (a.max(floor.saturating_add(1))..=b).rev())
            .collect();
        epochs.reverse();
        epochs
    }

    /// Each epoch.
    pub fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        self.0.iter().flat_map(|&(a, b)| a..=b)
    }
}

/// A segment file as a listing shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentInfo {
    /// The file.
    pub path: PathBuf,
    /// The first epoch, from its name.
    pub first_epoch: u64,
    /// The last epoch in it that can be read; none where it has none.
    pub last_epoch: Option<u64>,
    /// Its length in bytes.
    pub bytes: u64,
    /// 1 or 2; 0 where the header cannot be read.
    pub version: u32,
    /// Whether the checkpoint has passed it: its epochs are not recovered again.
    pub checkpointed: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(epochs: &[u64]) -> EpochRanges {
        let mut ranges = EpochRanges::default();
        epochs.iter().for_each(|e| ranges.push(*e));
        ranges
    }

    #[test]
    fn neighbours_make_a_range() {
        let all = ranges(&[0, 1, 1, 2, 5, 7, 8, u64::MAX - 1, u64::MAX, u64::MAX]);
        let expected = [(0, 2), (5, 5), (7, 8), (u64::MAX - 1, u64::MAX)];
        assert_eq!(all.ranges(), expected);
        assert_eq!((all.first(), all.last()), (Some(0), Some(u64::MAX)));
        assert_eq!(all.count(), 8);
        let each = [0, 1, 2, 5, 7, 8, u64::MAX - 1, u64::MAX];
        assert_eq!(all.iter().collect::<Vec<_>>(), each);
        let none = ranges(&[]);
        assert_eq!((none.first(), none.last(), none.count()), (None, None, 0));
    }

    #[test]
    fn what_is_above_a_floor() {
        let all = ranges(&[1, 2, 3, 6, 7, 9]);
        assert_eq!(all.above(0), [1, 2, 3, 6, 7, 9]);
        assert_eq!(all.above(2), [3, 6, 7, 9]);
        assert_eq!(all.above(3), [6, 7, 9]);
        assert_eq!(all.above(7), [9]);
        assert!(all.above(9).is_empty());
        assert!(ranges(&[u64::MAX]).above(u64::MAX).is_empty());
    }
}
