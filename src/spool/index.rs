//! Where records stand: per segment a mark once per 64 records or 64 KiB.

use crate::storage::File;
use crate::sync::{AtomicU64, Mutex, Ordering};
use std::path::PathBuf;
use std::sync::Arc;

/// Records from one mark to the next: what a read skips at most.
pub(super) const STRIDE: u32 = 64;
/// And bytes, since what is skipped is verified too.
const STRIDE_BYTES: u64 = 64 << 10;

/// Where a record stands in its segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) lsn: u64,
    /// Offset of its group in the file.
    pub(super) group: u64,
    /// Offset of its item in the group's payload.
    pub(super) item: u64,
}

/// How records stand in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// In groups.
    Groups,
    /// One behind the other, as RDLW has them. The file begins at this position:
    /// a prune takes bytes from the front, and moves none.
    Rdlw(u64),
}

/// A segment as its readers share it. The spool unlinks the file, rather than
/// use it again, while anyone else holds this.
#[derive(Debug)]
pub(super) struct SegmentData {
    pub(super) path: PathBuf,
    /// Where its durable groups end; 0: not known yet.
    pub(super) end: AtomicU64,
    /// Opened by the first who reads.
    pub(super) file: Mutex<Option<Arc<dyn File>>>,
    pub(super) written: Written,
}

impl SegmentData {
    fn of_groups(path: PathBuf) -> SegmentData {
        SegmentData {
            path,
            end: AtomicU64::new(0),
            file: Mutex::new(None),
            written: Written::Groups,
        }
    }

    /// Of a RDLW file that begins at position `base`, and ends at `end`. It is
    /// given open: its name will be another's.
    pub(super) fn of_file(
        path: PathBuf,
        file: Arc<dyn File>,
        base: u64,
        end: u64,
    ) -> Arc<SegmentData> {
        Arc::new(SegmentData {
            end: AtomicU64::new(end),
            file: Mutex::new(Some(file)),
            written: Written::Rdlw(base),
            ..SegmentData::of_groups(path)
        })
    }

    /// Where it begins.
    pub(super) fn start(&self) -> u64 {
        match self.written {
            Written::Groups => 0,
            Written::Rdlw(base) => base,
        }
    }
}

/// A live segment and its marks.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) first_epoch: u64,
    /// Its length, until it is known where its groups end.
    size: u64,
    /// Which one of the log's it is; 0 where it will not be followed.
    pub(super) generation: u64,
    /// The first live LSN; none where it holds none.
    pub(super) first_lsn: Option<u64>,
    /// The last live LSN, where it is known.
    pub(super) last_lsn: Option<u64>,
    /// In the order of the file, LSNs rising. None: not followed yet.
    pub(super) marks: Option<Vec<Mark>>,
    /// Records and bytes until the next mark; none left: at once.
    left: (u32, u64),
    pub(super) data: Arc<SegmentData>,
}

impl Segment {
    /// A segment whose marks are all still to come.
    pub(super) fn new(first_epoch: u64, path: PathBuf) -> Segment {
        Segment {
            first_epoch,
            size: 0,
            generation: 0,
            first_lsn: None,
            last_lsn: None,
            marks: Some(Vec::new()),
            left: (0, 0),
            data: Arc::new(SegmentData::of_groups(path)),
        }
    }

    /// A single file, without marks yet.
    pub(super) fn of_file(data: Arc<SegmentData>) -> Segment {
        Segment {
            data,
            ..Segment::new(0, PathBuf::new())
        }
    }

    /// What is left of a single file is in another one from here on; its
    /// first record is `first`, 0 for none.
    pub(super) fn replace(&mut self, data: Arc<SegmentData>, first: u64) {
        if let Some(marks) = &mut self.marks {
            marks.retain(|m| m.group >= data.start());
        }
        self.first_lsn = (first > 0).then_some(first);
        self.last_lsn = self.last_lsn.filter(|_| first > 0);
        self.left = (0, 0);
        self.data = data;
    }

    /// A segment of which only the first live record is known.
    pub(super) fn unread(
        (first_epoch, generation): (u64, u64),
        path: PathBuf,
        first_lsn: u64,
        size: u64,
    ) -> Segment {
        Segment {
            generation,
            size,
            first_lsn: Some(first_lsn),
            marks: None,
            ..Segment::new(first_epoch, path)
        }
    }

    /// A live record of a group, in the file's order; its item has `len` bytes.
    pub(super) fn note(&mut self, mark: Mark, len: u64) {
        self.first_lsn.get_or_insert(mark.lsn);
        self.last_lsn = Some(mark.lsn);
        let Some(marks) = &mut self.marks else {
            return;
        };
        let (records, bytes) = &mut self.left;
        if *records == 0 || *bytes == 0 {
            marks.push(mark);
            (*records, *bytes) = (STRIDE, STRIDE_BYTES);
        }
        *records -= 1;
        *bytes = bytes.saturating_sub(len);
    }

    /// Its groups reach up to here.
    pub(super) fn reach(&self, end: u64) {
        self.data.end.store(end, Ordering::Release);
    }

    /// Bytes of groups from the one on that the first record above `lsn` is in,
    /// about; none of them where it holds no such record.
    pub(super) fn bytes_above(&self, lsn: u64) -> u64 {
        let end = match self.data.end.load(Ordering::Acquire) {
            0 => self.size,
            end => end,
        };
        if self.first_lsn.is_none() || self.last_lsn.is_some_and(|last| last <= lsn) {
            return 0;
        }
        let start = self
            .start_above(lsn)
            .map_or(self.data.start(), |mark| mark.group);
        end.saturating_sub(start)
    }

    /// Records above `lsn` are dead from now on; `last` is the last that is not.
    pub(super) fn cut(&mut self, lsn: u64, last: u64) {
        if self.first_lsn.is_some_and(|first| first > lsn) {
            self.first_lsn = None;
            self.last_lsn = None;
        }
        self.last_lsn = self.last_lsn.map(|own| own.min(last));
        if let Some(marks) = &mut self.marks {
            marks.truncate(marks.partition_point(|m| m.lsn <= lsn));
        }
        // The next record is marked, wherever it comes.
        self.left = (0, 0);
    }

    /// Where to begin to read for records above `lsn`: the last mark at or below
    /// the first of them. None: at the segment's start.
    pub(super) fn start_above(&self, lsn: u64) -> Option<Mark> {
        let marks = self.marks.as_ref()?;
        let before = marks.partition_point(|m| m.lsn <= lsn.saturating_add(1));
        before.checked_sub(1).map(|at| marks[at])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(count: u64) -> Segment {
        let mut segment = Segment::new(1, PathBuf::from("s"));
        for n in 0..count {
            let mark = Mark {
                lsn: 10 + 2 * n,
                group: n / 7 * 4096,
                item: n % 7 * 56,
            };
            segment.note(mark, 56);
        }
        segment
    }

    #[test]
    fn a_mark_is_never_far_and_never_beyond() {
        let segment = segment(1000);
        assert_eq!(segment.marks.as_ref().unwrap().len(), 16);
        for lsn in 0..2100 {
            match segment.start_above(lsn) {
                None => assert!(lsn < 9, "{lsn}"),
                Some(mark) => {
                    assert!(mark.lsn <= lsn + 1);
                    let skipped = (lsn.min(2008) - mark.lsn.min(lsn)) / 2;
                    assert!(skipped <= u64::from(STRIDE), "{lsn}: {skipped}");
                }
            }
        }
    }

    #[test]
    fn a_cut_segment_marks_what_comes_next() {
        let mut segment = segment(100);
        segment.cut(100, 100);
        assert_eq!((segment.first_lsn, segment.last_lsn), (Some(10), Some(100)));
        let next = Mark {
            lsn: 101,
            group: 9 << 12,
            item: 0,
        };
        segment.note(next, 56);
        assert_eq!(segment.start_above(100), Some(next));
        segment.cut(5, 0);
        assert_eq!((segment.first_lsn, segment.last_lsn), (None, None));
        assert_eq!(segment.start_above(200), None);
    }

    #[test]
    fn large_records_are_marked_each() {
        let mut segment = Segment::new(1, PathBuf::from("s"));
        for lsn in 1..=4 {
            let mark = Mark {
                lsn,
                group: 0,
                item: lsn << 16,
            };
            segment.note(mark, STRIDE_BYTES);
        }
        assert_eq!(segment.marks.unwrap().len(), 4);
    }
}
