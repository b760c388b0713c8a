//! Cutting off a tail of another history: what a primary does that returns
//! after another one has reigned.

use super::Spool;
use super::records::{Gathered, ReadLimit};
use crate::error::{Error, ErrorKind, Result};
use crate::format::lost::LostRange;
use crate::log::{LogWriter, heals};
use crate::sequencer::Phase;
use crate::wrong::{self, Wrong};
use std::path::PathBuf;

impl Spool {
    /// Begins `new_term` behind `lsn`: records above it are saved aside, in a
    /// file of the RDLW format beside the spool, and are no part of it any more.
    /// Its path is given where there was any. One change of the state file is
    /// what cuts; nothing is rewritten.
    ///
    /// [`ErrorKind::Fenced`] for a term that is not above the last one,
    /// [`ErrorKind::Ahead`] beyond the end, [`ErrorKind::WalRemoved`] below what
    /// is pruned, [`ErrorKind::Order`] below the quorum watermark: what a quorum
    /// has is not cut off. Blocks on writes and syncs; appends wait.
    pub fn truncate_after(&self, lsn: u64, new_term: u64) -> Result<Option<PathBuf>> {
        self.live()?;
        let guard = self.shared.guard.lock().clone();
        let Some(guard) = guard else {
            return self.cut_now(lsn, new_term);
        };
        let mut saved = None;
        guard.truncate(lsn, &mut || {
            saved = self.cut_now(lsn, new_term)?;
            Ok(())
        })?;
        Ok(saved)
    }

    fn cut_now(&self, lsn: u64, new_term: u64) -> Result<Option<PathBuf>> {
        let core = self.log()?;
        core.check_may_block()?;
        let mut guard = core.lock_flusher();
        let mut order = self.shared.order.lock();
        // Nobody stages any more; what is staged is written first: what was
        // sealed, then what came after that.
        core.flush_once(&mut guard)?;
        if !wrong::is(Wrong::CutMissesWhatIsStaged) {
            core.flush_once(&mut guard)?;
        }
        if core.phase() == Phase::Failed {
            return Err(core.refusal());
        }
        if new_term <= order.term {
            return Err(Error::new(
                ErrorKind::Fenced,
                format!("new_term: {new_term} is not above {}", order.term),
            )
            .with_lsn(order.last));
        }
        self.shared.check_bounds(lsn)?;
        let Some(log) = guard.log() else {
            return Err(core.refusal());
        };
        let quorum = log.quorum();
        if lsn < quorum {
            return Err(Error::new(
                ErrorKind::Order,
                format!("lsn: {lsn} is below {quorum}, which a quorum has"),
            )
            .with_lsn(quorum));
        }
        log.check_branch(new_term, lsn + 1)?;
        let last = self.shared.last_through(lsn)?;
        let saved = self.shared.save_aside(lsn)?;
        if let Some(file) = log.file() {
            let kept = file.extent().start..self.shared.position_above(lsn)?;
            let last = if kept.is_empty() { 0 } else { last };
            file.prepare(kept, last)?;
        }
        if let Err(error) = log.branch(new_term, lsn + 1) {
            if !heals(&error) {
                core.fail(error.clone(), 0);
            }
            return Err(error);
        }
        order.last = lsn;
        order.term = new_term;
        order.terms = log.terms().clone();
        let mut inside = self.shared.view.inside.lock();
        inside.terms = log.terms().clone();
        self.shared.view.cut(&mut inside, lsn, last);
        drop(inside);
        if let Err(error) = self.shared.replace_file(log) {
            // What was cut off is in the file yet: the next open mends that.
            let why = "the tail is cut off, but the file is not replaced";
            let error = error.recast(ErrorKind::Failed, why).lasting();
            core.fail(error.clone(), 0);
            return Err(error);
        }
        self.shared.saved_tail.lock().clone_from(&saved);
        Ok(saved)
    }
}

impl Spool {
    /// Keeps on the disk that a quorum has records through `lsn`: no truncation
    /// goes below it. It never falls. Blocks on a sync.
    pub fn keep_quorum(&self, lsn: u64) -> Result<()> {
        let core = self.log()?;
        core.check_may_block()?;
        let mut guard = core.lock_flusher();
        let Some(log) = guard.log() else {
            return Err(core.refusal());
        };
        let lsn = lsn.min(self.shared.view.current());
        if lsn <= log.quorum() {
            return Ok(());
        }
        let saved = log.save_quorum(lsn);
        if let Err(error) = &saved
            && !heals(error)
        {
            let unknown = guard.pending_range().map_or(0, |r| r.1);
            core.fail(error.clone(), unknown);
        }
        saved
    }
}

impl Spool {
    /// The LSN below which nothing is cut off; 0 where none was kept.
    pub fn quorum(&self) -> u64 {
        let Ok(core) = self.log() else { return 0 };
        let mut guard = core.lock_flusher();
        guard.log().map_or(0, |log| log.quorum())
    }

    /// The identity of the log, and whether it had a slot store.
    pub(crate) fn identity(&self) -> Result<([u8; 16], bool)> {
        let core = self.log()?;
        let mut guard = core.lock_flusher();
        let Some(log) = guard.log() else {
            return Err(core.refusal());
        };
        Ok((log.state().log_id, log.state().records.slots))
    }

    /// Notes on the disk that records are lost: nobody reads across them without
    /// being told.
    pub(super) fn note_lost(&self, ranges: &[LostRange]) -> Result<()> {
        if ranges.is_empty() {
            return Ok(());
        }
        self.save_with(|log| log.save_lost(ranges))?;
        self.shared.view.lose(ranges);
        Ok(())
    }

    /// Notes on the disk that a slot store is made beside the log.
    pub(crate) fn note_slot_store(&self) -> Result<()> {
        self.save_with(|log| log.note_slot_store())
    }

    /// Saves a change of the state file. What does not heal is final.
    fn save_with(&self, save: impl FnOnce(&mut LogWriter) -> Result<()>) -> Result<()> {
        let core = self.log()?;
        let mut guard = core.lock_flusher();
        let Some(log) = guard.log() else {
            return Err(core.refusal());
        };
        let saved = save(log);
        if let Err(error) = &saved
            && !heals(error)
        {
            let unknown = guard.pending_range().map_or(0, |r| r.1);
            core.fail(error.clone(), unknown);
        }
        saved
    }
}

impl super::Shared {
    /// Writes the records above `lsn` to a file of their own.
    fn save_aside(&self, lsn: u64) -> Result<Option<PathBuf>> {
        let Some((disk, names)) = &self.disk else {
            return Ok(None);
        };
        if lsn >= self.view.last() {
            return Ok(None);
        }
        let mut place = None;
        let mut at = lsn;
        let limit = ReadLimit {
            records: 1000,
            bytes: 1 << 20,
        };
        let mut next = || {
            let mut gathered = Gathered::new(limit);
            self.gather(at, &mut place, &mut gathered)?;
            at = gathered.last().unwrap_or(at);
            Ok(gathered.records)
        };
        super::aside::save_tail(disk, names, &mut next).map(Some)
    }
}
