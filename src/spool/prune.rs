//! Letting records go: logically at once, physically by file.

use super::read::Place;
use super::records::{Gathered, ReadLimit};
use super::{Shared, Spool, read_file};
use crate::error::Result;
use crate::log::{LogWriter, heals};
use crate::sequencer::Phase;
use crate::sync::Ordering;
use crate::wrong::{self, Wrong};
use std::cell::OnceCell;
use std::sync::Arc;

impl Spool {
    /// Lets records at or below `lsn` go; gives how far pruning has come. They
    /// are not read any more from here on; files that hold nothing else are
    /// used again or removed, but for those that a cursor is in.
    ///
    /// Never goes beyond the end, nor beyond what the slots of its primary
    /// still need: what it gives says how far it went. Blocks on syncs, and on
    /// a flush under way; appends go on meanwhile.
    pub fn prune_through(&self, lsn: u64) -> Result<u64> {
        self.live()?;
        let guard = self.shared.guard.lock().clone();
        match guard {
            Some(guard) if !wrong::is(Wrong::FloorIgnored) => {
                guard.prune(lsn, &mut |limit| self.prune_now(limit))
            }
            _ => self.prune_now(lsn),
        }
    }

    /// As [`Spool::prune_through`], by one who has asked the slots.
    pub(crate) fn prune_now(&self, lsn: u64) -> Result<u64> {
        let core = self.live()?;
        let target = lsn.min(self.end());
        if target <= self.shared.view.pruned() {
            return Ok(self.shared.view.pruned());
        }
        let Some(core) = core else {
            return self.shared.prune_in_memory(target);
        };
        core.check_may_block()?;
        // What has to be followed for it is followed before others have to wait;
        // an error comes again below, unless it was another's prune.
        let _ = self.shared.first_above(target);
        let mut guard = core.lock_flusher();
        if core.phase() == Phase::Failed {
            return Err(core.refusal());
        }
        // Asked again under the hold: another may have pruned further, or cut.
        let target = target.min(self.end());
        if target <= self.shared.view.pruned() {
            return Ok(self.shared.view.pruned());
        }
        let oldest = self.shared.first_above(target)?;
        let Some(log) = guard.log() else {
            return Err(core.refusal());
        };
        let through = match log.file() {
            Some(_) => None,
            None => self.shared.last_gone(target),
        };
        let last_epoch = through.and_then(|epoch| {
            let mut live = log.live_segments().iter();
            live.find(|s| s.first_epoch == epoch).map(|s| s.last_epoch)
        });
        if wrong::is(Wrong::SegmentsGoBeforeTheBounds) {
            self.shared.view.pruned_to(0, oldest, through);
        }
        // Hidden once that is durable, and before a file is touched.
        let gone = OnceCell::new();
        let hide = || gone.get_or_init(|| self.shared.view.pruned_to(target, oldest, through));
        let in_use = |epoch: u64| {
            let mut hidden = hide().iter();
            // What was left by an earlier prune may be read yet.
            let hidden = hidden.find(|s| s.first_epoch == epoch);
            hidden.is_none_or(|s| Arc::strong_count(&s.data) > 1)
                && !wrong::is(Wrong::ReusedUnderACursor)
        };
        let done = log.prune(target, last_epoch, &in_use);
        if log.state().records.pruned_through >= target {
            hide();
        }
        let done = done.and_then(|gone| self.shared.compact(log, target).map(|()| gone));
        core.note_log(log);
        core.let_go(guard, done)?;
        core.counters.checkpoints.fetch_add(1, Ordering::Relaxed);
        core.room.wake_all();
        Ok(target)
    }

    /// What no prune goes beyond.
    fn end(&self) -> u64 {
        match wrong::is(Wrong::PrunesPastTheEnd) {
            true => u64::MAX,
            false => self.shared.view.current(),
        }
    }
}

impl Shared {
    fn prune_in_memory(&self, target: u64) -> Result<u64> {
        // Runs arrive under the order's lock.
        let order = self.order.lock();
        let target = target.min(order.last);
        let oldest = self.first_above(target)?;
        self.view.pruned_to(target, oldest, None);
        Ok(self.view.pruned())
    }

    /// The first durable LSN above `lsn` that can be read; 0 where there is none.
    pub(super) fn first_above(&self, lsn: u64) -> Result<u64> {
        let one = ReadLimit {
            records: 1,
            bytes: 0,
        };
        let mut lsn = lsn;
        loop {
            let (lost, _) = self.view.lost_above(lsn);
            lsn = lost.map_or(lsn, |range| range.through);
            let first = match self.begins_above(lsn) {
                Some(first) => first,
                None => {
                    let mut first = Gathered::new(one);
                    self.gather(lsn, &mut None, &mut first)?;
                    let Some(first) = first.last() else {
                        return Ok(0);
                    };
                    first
                }
            };
            // Some are left in a range that was made of two.
            match self.view.lost_above(first - 1).0 {
                Some(range) => lsn = range.through,
                None => return Ok(first),
            }
        }
    }

    /// The first LSN above `lsn` where it is the first of a segment: without a look
    /// into one, which may have to be followed for it.
    fn begins_above(&self, lsn: u64) -> Option<u64> {
        let inside = self.view.inside.lock();
        let mut live = inside.segments.iter().filter(|s| s.first_lsn.is_some());
        let next = live.find(|s| s.last_lsn.is_none_or(|last| last > lsn))?;
        next.first_lsn.filter(|first| *first > lsn)
    }

    /// Writes what a prune through `lsn` has left of a single file to a new one,
    /// once that is no more than what is gone, or the file is at its limit.
    fn compact(&self, log: &mut LogWriter, lsn: u64) -> Result<()> {
        let Some(file) = log.file() else {
            return Ok(());
        };
        let (extent, last) = (file.extent(), file.last_lsn());
        let from = self.position_above(lsn)?;
        let gone = from - extent.start;
        let crowded = self.options.max_log_bytes;
        let crowded = crowded.is_some_and(|max| extent.end - extent.start >= max / 2);
        if gone == 0 || (gone < extent.end - from && !crowded) {
            return Ok(());
        }
        let last = if from < extent.end { last } else { 0 };
        let done = file.prepare(from..extent.end, last);
        match done.and_then(|()| self.replace_file(log)) {
            // What is pruned is not read; the next prune tries again.
            Err(e) if heals(&e) => Ok(()),
            done => done,
        }
    }

    /// The position in a single file of the first record above `lsn`.
    pub(super) fn position_above(&self, lsn: u64) -> Result<u64> {
        let mut place = {
            let inside = self.view.inside.lock();
            let Some(segment) = inside.segments.back() else {
                return Ok(0);
            };
            let mark = segment.start_above(lsn);
            Place::new(segment.data.clone(), segment.first_epoch, mark)
        };
        read_file::position_above(&mut place, lsn)
    }

    /// Puts what was prepared of a single file in its place.
    pub(super) fn replace_file(&self, log: &mut LogWriter) -> Result<()> {
        let Some(file) = log.file() else {
            return Ok(());
        };
        if let Some(new) = file.replace()? {
            let extent = file.extent();
            let mut inside = self.view.inside.lock();
            self.view.replaced(&mut inside, new, extent);
        }
        Ok(())
    }

    /// The first epoch of the last segment that holds nothing above `lsn`, nor
    /// does any before it.
    fn last_gone(&self, lsn: u64) -> Option<u64> {
        let inside = self.view.inside.lock();
        let mut gone = None;
        for (at, segment) in inside.segments.iter().enumerate() {
            let next = inside.segments.range(at + 1..).find_map(|s| s.first_lsn);
            let last = match (segment.first_lsn, segment.last_lsn, next) {
                (None, ..) => 0,
                (_, Some(last), _) => last,
                (_, None, Some(next)) => next - 1,
                (_, None, None) => u64::MAX,
            };
            if last > lsn {
                break;
            }
            gone = Some(segment.first_epoch);
        }
        gone
    }
}
