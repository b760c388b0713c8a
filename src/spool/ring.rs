//! The tail ring: the newest groups in memory, so that whoever follows the
//! tail needs no disk and shares one copy.

use super::records::{Gathered, Payload, SpoolRecord};
use std::collections::VecDeque;
use std::sync::Arc;

/// A record's place in its group.
#[derive(Clone, Copy, Debug)]
pub(super) struct RecordAt {
    pub(super) term: u64,
    pub(super) lsn: u64,
    pub(super) timestamp_ms: u64,
    pub(super) at: usize,
    pub(super) len: usize,
}

#[derive(Debug)]
struct RingGroup {
    bytes: Arc<Vec<u8>>,
    /// Never empty.
    records: Vec<RecordAt>,
}

impl RingGroup {
    fn cost(&self) -> usize {
        self.bytes.len() + self.records.len() * size_of::<RecordAt>()
    }

    fn last(&self) -> u64 {
        self.records.last().map_or(0, |r| r.lsn)
    }
}

/// The newest records, without a gap up to the last.
#[derive(Debug)]
pub(super) struct Ring {
    groups: VecDeque<RingGroup>,
    /// Bytes held, bookkeeping included.
    cost: usize,
    records: usize,
    limit: usize,
    max_records: usize,
    /// The LSN of the record before the first one held.
    after: u64,
}

impl Ring {
    /// Holds up to `limit` bytes and `max_records` records; empty behind `after`.
    pub(super) fn new(limit: usize, max_records: usize, after: u64) -> Ring {
        Ring {
            groups: VecDeque::new(),
            cost: 0,
            records: 0,
            limit,
            max_records,
            after,
        }
    }

    /// Adds a group. One that is larger than the ring empties it: what it holds
    /// must reach to the end.
    pub(super) fn push(&mut self, bytes: Arc<Vec<u8>>, records: Vec<RecordAt>) {
        if records.is_empty() {
            return;
        }
        let group = RingGroup { bytes, records };
        self.cost += group.cost();
        self.records += group.records.len();
        self.groups.push_back(group);
        while self.cost > self.limit || self.records > self.max_records {
            if self.evict().is_none() {
                break;
            }
        }
    }

    /// Drops the oldest group; gives its last LSN.
    fn evict(&mut self) -> Option<u64> {
        let group = self.groups.pop_front()?;
        self.cost -= group.cost();
        self.records -= group.records.len();
        self.after = group.last();
        Some(self.after)
    }

    /// Forgets all: the next group comes behind `after`.
    pub(super) fn clear(&mut self, after: u64) {
        *self = Ring::new(self.limit, self.max_records, after);
    }

    /// Drops what lies above `lsn`.
    pub(super) fn truncate(&mut self, lsn: u64) {
        while let Some(group) = self.groups.back_mut() {
            if group.last() <= lsn {
                return;
            }
            let kept = group.records.partition_point(|r| r.lsn <= lsn);
            let (before, held) = (group.cost(), group.records.len());
            group.records.truncate(kept);
            self.records -= held - kept;
            if kept > 0 {
                self.cost -= before - group.cost();
                return;
            }
            self.cost -= before;
            self.groups.pop_back();
        }
        self.after = self.after.min(lsn);
    }

    /// Drops groups that hold nothing above `lsn`.
    pub(super) fn prune(&mut self, lsn: u64) {
        while self.groups.front().is_some_and(|g| g.last() <= lsn) {
            self.evict();
        }
    }

    /// Whether all records above `lsn` are here.
    pub(super) fn covers(&self, lsn: u64) -> bool {
        lsn >= self.after
    }

    /// The LSN before the first record held.
    pub(super) fn after(&self) -> u64 {
        self.after
    }

    /// The first LSN held; none where nothing is.
    pub(super) fn first(&self) -> Option<u64> {
        Some(self.groups.front()?.records[0].lsn)
    }

    /// Bytes held.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.cost
    }

    /// Bytes of groups that hold records above `lsn`.
    pub(super) fn bytes_above(&self, lsn: u64) -> u64 {
        let first = self.groups.partition_point(|g| g.last() <= lsn);
        self.groups
            .range(first..)
            .map(|g| g.bytes.len() as u64)
            .sum()
    }

    /// Gathers records above `lsn`, up to the limit.
    pub(super) fn gather(&self, lsn: u64, into: &mut Gathered) {
        let first = self.groups.partition_point(|g| g.last() <= lsn);
        for group in self.groups.range(first..) {
            let from = group.records.partition_point(|r| r.lsn <= lsn);
            for record in &group.records[from..] {
                if !into.has_room(record.len, (0, 0)) {
                    return;
                }
                into.push(SpoolRecord {
                    term: record.term,
                    lsn: record.lsn,
                    timestamp_ms: record.timestamp_ms,
                    payload: Payload::within(&group.bytes, record.at..record.at + record.len),
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::records::ReadLimit;
    use super::*;

    fn ring_of(limit: usize, groups: &[&[u64]]) -> Ring {
        let mut ring = Ring::new(limit, usize::MAX, 0);
        for lsns in groups {
            let bytes = Arc::new(vec![7; lsns.len() * 10]);
            let records = lsns.iter().enumerate().map(|(i, lsn)| RecordAt {
                term: 1,
                lsn: *lsn,
                timestamp_ms: 0,
                at: i * 10,
                len: 10,
            });
            ring.push(bytes, records.collect());
        }
        ring
    }

    fn above(ring: &Ring, lsn: u64, limit: ReadLimit) -> Vec<u64> {
        let mut got = Gathered::new(limit);
        ring.gather(lsn, &mut got);
        got.records.iter().map(|r| r.lsn).collect()
    }

    #[test]
    fn gives_what_lies_above_in_order() {
        let ring = ring_of(usize::MAX, &[&[2, 4, 6], &[8], &[10, 12]]);
        let all = [2, 4, 6, 8, 10, 12];
        for lsn in 0..14 {
            let want: Vec<u64> = all.iter().copied().filter(|l| *l > lsn).collect();
            assert_eq!(above(&ring, lsn, ReadLimit::default()), want, "above {lsn}");
            for records in 1..7 {
                let limit = ReadLimit {
                    records,
                    bytes: usize::MAX,
                };
                assert_eq!(above(&ring, lsn, limit), want[..records.min(want.len())]);
            }
        }
        for (bytes, count) in [(0, 1), (10, 1), (19, 1), (20, 2), (59, 5), (60, 6)] {
            let limit = ReadLimit {
                records: 100,
                bytes,
            };
            assert_eq!(above(&ring, 0, limit).len(), count, "{bytes} bytes");
        }
    }

    #[test]
    fn keeps_within_its_limit_and_knows_what_it_dropped() {
        let one = 10 + size_of::<RecordAt>();
        let mut ring = ring_of(3 * one, &[&[1], &[2], &[3]]);
        assert!(ring.covers(0));
        ring.push(
            Arc::new(vec![0; 10]),
            vec![RecordAt {
                term: 1,
                lsn: 5,
                timestamp_ms: 0,
                at: 0,
                len: 10,
            }],
        );
        assert_eq!(
            (ring.first(), ring.after(), ring.bytes()),
            (Some(2), 1, 3 * one)
        );
        assert!(!ring.covers(0) && ring.covers(1));
        let large = Arc::new(vec![0; 4 * one]);
        ring.push(
            large,
            vec![RecordAt {
                term: 1,
                lsn: 9,
                timestamp_ms: 0,
                at: 0,
                len: 4 * one,
            }],
        );
        assert_eq!((ring.first(), ring.after(), ring.bytes()), (None, 9, 0));
        let mut few = Ring::new(usize::MAX, 2, 0);
        for lsn in 1..=3 {
            few.push(
                Arc::new(vec![0; 1]),
                vec![RecordAt {
                    term: 1,
                    lsn,
                    timestamp_ms: 0,
                    at: 0,
                    len: 1,
                }],
            );
        }
        assert_eq!((few.first(), few.after()), (Some(2), 1));
    }

    #[test]
    fn a_cut_takes_records_from_the_middle_of_a_group() {
        let all = [2, 4, 6, 8, 10, 12];
        for lsn in 0..14 {
            let mut ring = ring_of(usize::MAX, &[&[2, 4, 6], &[8], &[10, 12]]);
            ring.truncate(lsn);
            let want: Vec<u64> = all.iter().copied().filter(|l| *l <= lsn).collect();
            assert_eq!(above(&ring, 0, ReadLimit::default()), want, "cut at {lsn}");
            let next = lsn + 1;
            ring.push(
                Arc::new(vec![0; 1]),
                vec![RecordAt {
                    term: 2,
                    lsn: next,
                    timestamp_ms: 0,
                    at: 0,
                    len: 1,
                }],
            );
            assert_eq!(above(&ring, lsn, ReadLimit::default()), [next]);
            ring.truncate(0);
            assert_eq!(ring.bytes(), 0);
            assert_eq!(ring.records, 0);
        }
    }
}
