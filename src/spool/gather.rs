//! Finding records and gathering them, from the ring or from segments: what a
//! spool does for its readers, and its cursors for themselves.

use super::append::RecordRun;
use super::follow::Part;
use super::index;
use super::read::{self, Place};
use super::records::Gathered;
use super::ring::RecordAt;
use super::{ReadLimit, Record, Shared, SpoolRecord, follow};
use crate::error::{Error, ErrorKind, Result};
use crate::format::lost::LostRange;
use crate::format::names::Names;
use crate::log::Disk;
use crate::sequencer::Limit;
use crate::sync::Ordering;
use std::time::Duration;

impl Shared {
    /// Keeps a run in memory alone.
    pub(super) fn keep(&self, run: &RecordRun<'_>, records: &[Record<'_>]) -> Result<u64> {
        let mut bytes = Vec::new();
        let placed = run.stamped().map(|record| {
            let at = bytes.len();
            bytes.extend_from_slice(record.payload);
            RecordAt {
                term: record.term,
                lsn: record.lsn,
                timestamp_ms: record.timestamp_ms,
                at,
                len: record.payload.len(),
            }
        });
        let placed = placed.collect();
        let mut order = self.order.lock();
        let pruned = self.view.pruned();
        order.check(records, pruned)?;
        order.advance(records, pruned);
        // Under the order's lock, so that runs arrive as they were taken.
        self.view.publish_run(bytes, placed);
        Ok(0)
    }

    pub(super) fn read_since(&self, lsn: u64, limit: ReadLimit) -> Result<Vec<SpoolRecord>> {
        if limit.records == 0 {
            return Err(Error::invalid("max_records: 0"));
        }
        let mut gathered = Gathered::new(limit);
        let mut place = None;
        self.gather_whole(lsn, &mut place, &mut gathered)?;
        Ok(gathered.records)
    }

    /// Gathers records above `lsn`, up to what a salvage has lost. Where that
    /// comes next, an error says so, as it does of what is pruned.
    pub(super) fn gather_whole(
        &self,
        lsn: u64,
        place: &mut Option<Place>,
        into: &mut Gathered,
    ) -> Result<()> {
        let (lost, beyond) = self.view.lost_above(lsn);
        if let Some(range) = lost {
            return Err(self.lost_records(lsn, range));
        }
        into.end_before(beyond);
        self.gather(lsn, place, into)?;
        match beyond {
            // Of what lies between there is nothing.
            Some(range) if into.records.is_empty() && into.is_full() => {
                Err(self.lost_records(lsn, range))
            }
            _ => Ok(()),
        }
    }

    /// Gathers records above `lsn` from wherever they are. `place`: where
    /// reading from segments has come to, kept by a cursor.
    pub(super) fn gather(
        &self,
        lsn: u64,
        place: &mut Option<Place>,
        into: &mut Gathered,
    ) -> Result<()> {
        let mut lsn = lsn;
        loop {
            let done = self.gather_some(lsn, place, into);
            match done {
                // What was gathered before is whole; the next call says why.
                Err(_) if !into.records.is_empty() => return Ok(()),
                Err(e) => return Err(e),
                Ok(true) => return Ok(()),
                Ok(false) => lsn = into.last().unwrap_or(lsn),
            }
        }
    }

    /// The error of who asks for records above `lsn`, which are lost.
    fn lost_records(&self, lsn: u64, range: LostRange) -> Error {
        let LostRange { after, through } = range;
        let first = through.max(self.view.pruned()).saturating_add(1);
        Error::new(
            ErrorKind::WalRemoved,
            format!(
                "lsn: records above {lsn} are lost: a salvage left none above {after} through \
                 {through}; what can be read begins at or above {first}"
            ),
        )
        .with_lsn(first)
    }

    /// A part of it. True: there is nothing more, or no room for it.
    fn gather_some(
        &self,
        lsn: u64,
        place: &mut Option<Place>,
        into: &mut Gathered,
    ) -> Result<bool> {
        if self.view.gather_recent(lsn, into)? {
            *place = None;
            return Ok(true);
        }
        if let Some(here) = place {
            // A cursor's own segment is read to its end, pruned or not.
            if !self.read_on(here, lsn, into)? {
                return Ok(true);
            }
            // Pruning may have gone beyond the last record, where a cut was made
            // between two.
            if into.last().unwrap_or(lsn) >= self.view.last().max(self.view.pruned()) {
                return Ok(true);
            }
        }
        let lsn = into.last().unwrap_or(lsn);
        if self.disk.is_none() {
            // Where that is no error, the record came while we looked.
            self.check_bounds(lsn)?;
            return Ok(false);
        }
        // Also where a place is known: its segment may have grown since, and the
        // log have gone on to the next.
        let Some(mut found) = self.find(lsn)? else {
            return Ok(true);
        };
        match self.read_on(&mut found, lsn, into) {
            Ok(whole) => {
                *place = Some(found);
                Ok(!whole || into.is_full())
            }
            // It went before it was opened: the bounds say so.
            Err(e) if e.os_error() == Some(libc::ENOENT) && self.is_gone(&found) => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// Whether a segment was pruned.
    fn is_gone(&self, place: &Place) -> bool {
        let inside = self.view.inside.lock();
        let mut live = inside.segments.iter();
        !live.any(|s| s.first_epoch == place.first_epoch)
    }

    fn read_on(&self, place: &mut Place, lsn: u64, into: &mut Gathered) -> Result<bool> {
        let Some((disk, _)) = &self.disk else {
            return Ok(true);
        };
        // The end first: of what was cut off and lies before it the terms know.
        let end = place.end();
        let terms = self.view.inside.lock().terms.clone();
        into.check_branch(&terms)?;
        let more = read::gather(disk, place, (lsn, end), &terms, into)?;
        Ok(more && !into.is_full())
    }

    pub(super) fn check_bounds(&self, lsn: u64) -> Result<()> {
        let bounds = self.view.bounds();
        if lsn < bounds.pruned_through {
            let first = match bounds.oldest_lsn {
                0 => bounds.pruned_through.saturating_add(1),
                oldest => oldest,
            };
            return Err(Error::new(
                ErrorKind::WalRemoved,
                format!(
                    "lsn: records above {lsn} are pruned, the first that can be read is {first}"
                ),
            )
            .with_lsn(first));
        }
        if lsn > bounds.current_lsn {
            return Err(Error::new(
                ErrorKind::Ahead,
                format!("lsn: {lsn} is beyond the end ({})", bounds.current_lsn),
            )
            .with_lsn(bounds.current_lsn));
        }
        Ok(())
    }

    /// Where to read records above `lsn` from; none at the end.
    fn find(&self, lsn: u64) -> Result<Option<Place>> {
        let Some((disk, names)) = &self.disk else {
            return Ok(None);
        };
        loop {
            let unread = {
                let inside = self.view.inside.lock();
                // Under the lock under which segments go.
                self.check_bounds(lsn)?;
                let live = || inside.segments.iter().filter(|s| s.first_lsn.is_some());
                // The last that begins at or below the first record wanted, unless
                // it is known to end before it.
                let begins = |s: &&index::Segment| s.first_lsn.is_some_and(|f| f <= lsn + 1);
                let ends = |s: &&index::Segment| s.last_lsn.is_some_and(|l| l <= lsn);
                let candidate = live()
                    .rfind(begins)
                    .filter(|s| !ends(s))
                    .or_else(|| live().find(|s| !begins(s)));
                match candidate {
                    None => return Ok(None),
                    Some(s) if s.marks.is_none() => s.first_epoch,
                    Some(s) => {
                        let mark = s.start_above(lsn);
                        return Ok(Some(Place::new(s.data.clone(), s.first_epoch, mark)));
                    }
                }
            };
            self.learn(disk, names, unread)?;
        }
    }

    /// Follows a segment that nobody has read from yet.
    fn learn(&self, disk: &Disk, names: &Names, first_epoch: u64) -> Result<()> {
        let (part, terms) = {
            let inside = self.view.inside.lock();
            let at = inside.segments.iter();
            let Some(at) = at.clone().position(|s| s.first_epoch == first_epoch) else {
                return Ok(());
            };
            let part = Part {
                first_epoch,
                generation: inside.segments[at].generation,
                next: inside.segments.get(at + 1).map(|s| s.first_epoch),
            };
            (part, inside.terms.clone())
        };
        let followed = follow::follow(disk, names, &self.opened, part, &terms);
        let mut inside = self.view.inside.lock();
        // A cut meanwhile is not in it.
        let stale = inside.terms != terms;
        let known = inside
            .segments
            .iter_mut()
            .find(|s| s.first_epoch == first_epoch);
        match (known, followed) {
            // Pruned meanwhile.
            (None, _) => Ok(()),
            (Some(_), Err(e)) => Err(e),
            (Some(_), Ok(_)) if stale => Ok(()),
            (Some(segment), Ok(followed)) => {
                segment.reach(followed.data.end.load(Ordering::Acquire));
                segment.first_lsn = followed.first_lsn;
                segment.last_lsn = followed.last_lsn;
                segment.marks = followed.marks;
                Ok(())
            }
        }
    }

    /// The last record at or below `lsn` that is in a segment; 0: none is.
    pub(super) fn last_through(&self, lsn: u64) -> Result<u64> {
        let Some((disk, names)) = &self.disk else {
            return Ok(0);
        };
        loop {
            let unread = {
                let inside = self.view.inside.lock();
                let begins = |s: &&index::Segment| s.first_lsn.is_some_and(|f| f <= lsn);
                let Some(segment) = inside.segments.iter().rfind(begins) else {
                    return Ok(0);
                };
                match (&segment.marks, segment.last_lsn) {
                    (Some(_), Some(last)) if last <= lsn => return Ok(last),
                    (Some(_), _) => {
                        let mark = segment.start_above(lsn.saturating_sub(1));
                        let place = Place::new(segment.data.clone(), segment.first_epoch, mark);
                        drop(inside);
                        return self.last_from(place, lsn);
                    }
                    (None, _) => segment.first_epoch,
                }
            };
            self.learn(disk, names, unread)?;
        }
    }

    /// The last record at or below `lsn` of those from a mark to the next.
    fn last_from(&self, mut place: Place, lsn: u64) -> Result<u64> {
        let limit = ReadLimit {
            records: index::STRIDE as usize + 1,
            bytes: usize::MAX,
        };
        let mut found = Gathered::new(limit);
        self.read_on(&mut place, 0, &mut found)?;
        let mut through = found.records.iter().map(|r| r.lsn).filter(|l| *l <= lsn);
        Ok(through.next_back().unwrap_or(0))
    }

    pub(super) fn wait_after(
        &self,
        lsn: u64,
        timeout: Option<Duration>,
        mut interrupted: Option<&mut dyn FnMut() -> bool>,
        ended: impl Fn() -> Option<Error>,
    ) -> Result<()> {
        const ASK_EVERY: Duration = Duration::from_millis(50);
        let limit = Limit::after(timeout);
        loop {
            let token = self.view.arrivals.enter();
            // What is pruned is to be told by the read.
            if self.view.last().max(self.view.pruned()) > lsn
                || self.view.lost_above(lsn).0.is_some()
            {
                return Ok(());
            }
            if let Some(error) = ended() {
                return Err(error);
            }
            let left = limit.left();
            let given_up = interrupted.as_mut().is_some_and(|ask| ask());
            if given_up || left.is_some_and(|l| l.is_zero()) {
                return Err(Error::new(
                    ErrorKind::Timeout,
                    format!("no record above {lsn} yet"),
                ));
            }
            let sleep = match &interrupted {
                Some(_) => Some(left.map_or(ASK_EVERY, |l| l.min(ASK_EVERY))),
                None => left,
            };
            self.view.arrivals.sleep(token, sleep);
        }
    }
}
