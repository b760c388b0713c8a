//! What readers see: the durable records' bounds, where they stand, and the
//! newest of them in memory. Told by the flusher of each group.

use super::index::{Mark, Segment, SegmentData, Written};
use super::records::Gathered;
use super::ring::{RecordAt, Ring};
use crate::error::Result;
use crate::format::group::GROUP_HEADER;
use crate::format::item::{ITEM_HEADER, ItemHead, ItemKind};
use crate::format::lost::{Lost, LostRange};
use crate::format::names::Names;
use crate::format::rdlw::encoded_len;
use crate::format::record::RecordHead;
use crate::format::terms::Terms;
use crate::sequencer::{DurableGroup, Events, Sink, WaitWord};
use crate::storage::File;
use crate::sync::{AtomicBool, AtomicU64, Mutex, Ordering};
use crate::wrong::{self, Wrong};
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

/// The first and the last record, and where pruning has come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// The first record that can be read; 0 where there is none.
    pub oldest_lsn: u64,
    /// The highest durable LSN ever; 0 where there was none.
    pub current_lsn: u64,
    /// Records at or below it are pruned; 0 where none are.
    pub pruned_through: u64,
}

/// What only one looks at, at a time; never held over a system call.
#[derive(Debug)]
pub(super) struct Inside {
    /// Live segments, oldest first.
    pub(super) segments: VecDeque<Segment>,
    pub(super) ring: Ring,
    /// The history as far as it is durable.
    pub(super) terms: Terms,
    /// What salvages have lost. What pruning has passed stays: a cursor may be
    /// below it yet.
    pub(super) lost: Lost,
}

/// The durable part of a spool, as its readers share it.
#[derive(Debug)]
pub(super) struct View {
    names: Option<Names>,
    /// The ring's limit: no larger group is copied for it.
    ring_bytes: usize,
    pub(super) inside: Mutex<Inside>,
    oldest: AtomicU64,
    current: AtomicU64,
    /// The last record: below `current` where a cut was made between two.
    last: AtomicU64,
    pruned: AtomicU64,
    /// No record that is lost has a higher LSN; 0 where none is.
    lost_through: AtomicU64,
    /// Somebody reads, so that groups are kept in the ring.
    wanted: AtomicBool,
    pub(super) ended: AtomicBool,
    /// Where those sleep who wait for records.
    pub(super) arrivals: WaitWord,
    /// Descriptors for a spool in memory; a log has its sequencer's.
    pub(super) events: Events,
}

impl View {
    /// Of an empty spool. Without names it is one in memory: all that it has is
    /// in the ring.
    pub(super) fn new(names: Option<Names>, ring_bytes: u64, ring_records: u64) -> View {
        let in_memory = names.is_none();
        let limit = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        let records = if in_memory {
            limit(ring_records)
        } else {
            usize::MAX
        };
        View {
            names,
            ring_bytes: limit(ring_bytes),
            inside: Mutex::new(Inside {
                segments: VecDeque::new(),
                ring: Ring::new(limit(ring_bytes), records, 0),
                terms: Terms::default(),
                lost: Lost::default(),
            }),
            oldest: AtomicU64::new(0),
            current: AtomicU64::new(0),
            last: AtomicU64::new(0),
            pruned: AtomicU64::new(0),
            lost_through: AtomicU64::new(0),
            wanted: AtomicBool::new(in_memory),
            ended: AtomicBool::new(false),
            arrivals: WaitWord::default(),
            events: Events::default(),
        }
    }

    /// Sets the bounds that an open has found.
    pub(super) fn open_at(&self, bounds: Bounds) {
        self.oldest.store(bounds.oldest_lsn, Ordering::SeqCst);
        self.current.store(bounds.current_lsn, Ordering::SeqCst);
        self.pruned.store(bounds.pruned_through, Ordering::SeqCst);
        self.inside.lock().ring.clear(bounds.current_lsn);
    }

    /// All three of one moment. Without a lock, which a fork may leave held.
    pub(super) fn bounds(&self) -> Bounds {
        loop {
            let current_lsn = self.current();
            // In this order: the oldest is above what is pruned.
            let pruned_through = self.pruned();
            let oldest = self.oldest.load(Ordering::SeqCst);
            if self.current() == current_lsn {
                return Bounds {
                    // Not durable yet, or just cut off.
                    oldest_lsn: if oldest > current_lsn { 0 } else { oldest },
                    current_lsn,
                    pruned_through,
                };
            }
        }
    }

    /// The last record that there is; it may be pruned.
    pub(super) fn last(&self) -> u64 {
        self.last.load(Ordering::SeqCst)
    }

    pub(super) fn current(&self) -> u64 {
        self.current.load(Ordering::SeqCst)
    }

    pub(super) fn pruned(&self) -> u64 {
        self.pruned.load(Ordering::SeqCst)
    }

    /// Notes what a salvage has lost.
    pub(super) fn lose(&self, ranges: &[LostRange]) {
        let mut inside = self.inside.lock();
        for range in ranges {
            inside.lost.add(*range);
        }
        self.lost_through
            .store(inside.lost.through(), Ordering::SeqCst);
    }

    /// See [`Spool::lost_through`](super::Spool::lost_through).
    pub(super) fn lost_through(&self) -> u64 {
        self.lost_through.load(Ordering::SeqCst)
    }

    pub(super) fn lost_ranges(&self) -> Vec<LostRange> {
        self.inside.lock().lost.ranges().to_vec()
    }

    /// What is lost of that above `lsn`: the range that comes next, and else the
    /// first one further on.
    pub(super) fn lost_above(&self, lsn: u64) -> (Option<LostRange>, Option<LostRange>) {
        // There hardly ever is one.
        if lsn >= self.lost_through() || wrong::is(Wrong::LostRecordsPassedOver) {
            return (None, None);
        }
        let inside = self.inside.lock();
        (inside.lost.at(lsn), inside.lost.beyond(lsn))
    }

    /// Bytes of log from the first record above `lsn` on, about.
    pub(super) fn bytes_above(&self, lsn: u64) -> u64 {
        if lsn >= self.current() {
            return 0;
        }
        let inside = self.inside.lock();
        if self.names.is_none() {
            return inside.ring.bytes_above(lsn);
        }
        let mut bytes = 0;
        for segment in inside.segments.iter().rev() {
            bytes += segment.bytes_above(lsn);
            if segment
                .first_lsn
                .is_some_and(|first| first <= lsn.saturating_add(1))
            {
                break;
            }
        }
        bytes
    }

    /// Somebody reads from here on.
    pub(super) fn want(&self) {
        if !self.wanted.load(Ordering::Relaxed) {
            let mut inside = self.inside.lock();
            // The ring begins behind what is durable now.
            if !self.wanted.swap(true, Ordering::SeqCst) {
                let current = self.current();
                inside.ring.clear(current);
            }
        }
    }

    /// Gathers from the ring; false where it does not reach back to `lsn`. An
    /// error where what was gathered before is on a branch that is cut off.
    pub(super) fn gather_recent(&self, lsn: u64, into: &mut Gathered) -> Result<bool> {
        let inside = self.inside.lock();
        into.check_branch(&inside.terms)?;
        let within = lsn >= self.pruned() && lsn <= self.current();
        let covered = within && inside.ring.covers(lsn) && self.wanted.load(Ordering::Relaxed);
        if covered {
            inside.ring.gather(lsn, into);
        }
        Ok(covered)
    }

    /// Adds durable records: their payloads stand in `bytes`.
    pub(super) fn publish_run(&self, bytes: Vec<u8>, records: Vec<RecordAt>) {
        let mut inside = self.inside.lock();
        self.publish(&mut inside.terms, records.iter().copied());
        inside.ring.push(Arc::new(bytes), records);
        let (after, pruned) = (inside.ring.after(), self.pruned());
        if after > pruned {
            let oldest = inside.ring.first().unwrap_or(0);
            self.oldest.store(oldest, Ordering::SeqCst);
            self.pruned.store(after, Ordering::SeqCst);
        }
        drop(inside);
        self.arrivals.wake_all();
        self.events.signal();
    }

    /// Moves the bounds on and notes new terms.
    fn publish(&self, terms: &mut Terms, records: impl Iterator<Item = RecordAt>) {
        let mut ends = None;
        for record in records {
            if terms.last().is_none_or(|t| t.term < record.term) {
                // The writer has checked that there is room in the history.
                let _ = terms.push(record.term, record.lsn, self.pruned());
            }
            ends.get_or_insert((record.lsn, 0)).1 = record.lsn;
        }
        let Some((first, last)) = ends else {
            return;
        };
        if self.oldest.load(Ordering::SeqCst) == 0 {
            self.oldest.store(first, Ordering::SeqCst);
        }
        self.last.store(last, Ordering::SeqCst);
        self.current.store(last, Ordering::SeqCst);
    }

    /// Records at or below `lsn` are not read any more; the first above it is
    /// `oldest`. Gives the segments up to the one that begins with epoch
    /// `through`: nobody finds them from here on.
    pub(super) fn pruned_to(&self, lsn: u64, oldest: u64, through: Option<u64>) -> Vec<Segment> {
        let mut inside = self.inside.lock();
        // In this order: whoever reads the bounds finds the oldest above the other.
        self.oldest.store(oldest, Ordering::SeqCst);
        self.pruned.fetch_max(lsn, Ordering::SeqCst);
        inside.ring.prune(lsn);
        let gone = |s: &Segment| Some(s.first_epoch) <= through;
        let gone = inside.segments.partition_point(gone);
        inside.segments.drain(..gone).collect()
    }

    /// A single file has been replaced by what is left of it.
    pub(super) fn replaced(&self, inside: &mut Inside, file: Arc<dyn File>, extent: Range<u64>) {
        let oldest = self.oldest.load(Ordering::SeqCst);
        for segment in &mut inside.segments {
            let path = segment.data.path.clone();
            let data = SegmentData::of_file(path, file.clone(), extent.start, extent.end);
            segment.replace(data, oldest);
        }
    }

    /// Sets where the log ends, while an import is all that goes on.
    pub(super) fn set_current(&self, lsn: u64) {
        self.current.store(lsn, Ordering::SeqCst);
        self.inside.lock().ring.clear(lsn);
    }

    /// Sets the first and the last record that an open has found.
    pub(super) fn set_records(&self, oldest: u64, last: u64) {
        self.oldest.store(oldest, Ordering::SeqCst);
        self.last.store(last, Ordering::SeqCst);
    }

    /// The end is at `lsn` from here on, and `last` the last record.
    pub(super) fn cut(&self, inside: &mut Inside, lsn: u64, last: u64) {
        if !wrong::is(Wrong::RingOutlivesACut) {
            inside.ring.truncate(lsn);
        }
        for segment in &mut inside.segments {
            segment.cut(lsn, last);
        }
        inside.lost.cut(lsn);
        self.lost_through
            .store(inside.lost.through(), Ordering::SeqCst);
        self.last.store(last, Ordering::SeqCst);
        self.current.store(lsn, Ordering::SeqCst);
        if self.oldest.load(Ordering::SeqCst) > lsn {
            self.oldest.store(0, Ordering::SeqCst);
        }
    }
}

/// Marks where a record stands whose group, or in a single file it itself, begins
/// at `position`; gives where the next one does.
fn note_record(segment: &mut Segment, position: u64, record: &RecordAt) -> u64 {
    let (item, len, next) = match segment.data.written {
        Written::Groups => {
            let item = record.at - ITEM_HEADER;
            (item, ITEM_HEADER + record.len, position)
        }
        Written::Rdlw(_) => {
            let len = encoded_len(record.len);
            (0, len, position + len as u64)
        }
    };
    let mark = Mark {
        lsn: record.lsn,
        group: position,
        item: item as u64,
    };
    segment.note(mark, len as u64);
    next
}

/// The records of a payload that the writer has just encoded, voids left out.
pub(super) fn records_of(payload: &[u8]) -> impl Iterator<Item = RecordAt> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let here = at;
            let item = ItemHead::parse(&payload[here..]).ok()?;
            at += item.len;
            if item.kind == ItemKind::Record
                && let Ok(head) = RecordHead::parse(&payload[here..])
            {
                return Some(RecordAt {
                    term: head.term,
                    lsn: head.lsn,
                    timestamp_ms: head.timestamp_ms,
                    at: here + ITEM_HEADER,
                    len: head.payload_len,
                });
            }
        }
    })
}

impl Sink for View {
    fn durable(&self, group: &DurableGroup<'_>) {
        let place = group.place;
        let wanted = self.wanted.load(Ordering::SeqCst) && group.payload.len() <= self.ring_bytes;
        let kept = wanted.then(|| {
            let records: Vec<_> = records_of(group.payload).collect();
            (group.payload.to_vec(), records)
        });
        let mut inside = self.inside.lock();
        let known = inside.segments.back().map(|s| s.first_epoch);
        if known != Some(place.segment)
            && let Some(names) = &self.names
        {
            let path = names.segment(place.segment);
            inside.segments.push_back(Segment::new(place.segment, path));
        }
        let Inside {
            segments, terms, ..
        } = &mut *inside;
        let mut segment = segments.back_mut();
        if let Some(segment) = &segment {
            segment.reach(place.position + place.length);
        }
        let mut position = place.position;
        let note = |record: &RecordAt| {
            if let Some(segment) = &mut segment {
                position = note_record(segment, position, record);
            }
        };
        match &kept {
            Some((_, records)) => self.publish(terms, records.iter().copied().inspect(note)),
            None => self.publish(terms, records_of(group.payload).inspect(note)),
        }
        match kept {
            Some((bytes, records)) => inside.ring.push(Arc::new(bytes), records),
            None => {
                let current = self.current();
                inside.ring.clear(current);
            }
        }
        drop(inside);
        self.arrivals.wake_all();
    }

    fn ended(&self) {
        self.ended.store(true, Ordering::SeqCst);
        self.arrivals.wake_all();
        self.events.finish();
    }
}

/// Where the payload of a group begins in the file.
pub(super) fn payload_start(group: u64) -> u64 {
    group + GROUP_HEADER as u64
}
