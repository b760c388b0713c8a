//! What only the writer of a log of records does: the history of terms, prune,
//! branch, and what the state file keeps of them.

use super::policy::SyncPolicy;
use super::record_file::RecordFile;
use super::retire::Gone;
use super::writer::{LiveSegment, LogWriter};
use crate::error::{Error, ErrorKind, Result};
use crate::format::group::{GroupKind, Summary};
use crate::format::lost::LostRange;
use crate::format::state::State;
use crate::format::terms::{TermRefused, Terms};
use crate::wrong::{self, Wrong};

impl LogWriter {
    /// The history of terms.
    pub(crate) fn terms(&self) -> &Terms {
        &self.state.state().records.terms
    }

    /// What the next save of the state file says.
    pub(crate) fn state(&self) -> &State {
        self.state.state()
    }

    /// The LSN below which no branch is made.
    pub(crate) fn quorum(&self) -> u64 {
        self.state().records.quorum_lsn
    }

    /// The last record that the state may say is in the file; none without one.
    pub(super) fn known_in_file(&self) -> Option<u64> {
        let saved = self.state().records.single_file;
        // Until an import is through it stays as it is.
        let Some(file) = &self.file else {
            return saved;
        };
        let (last, saved) = (file.last_lsn(), saved.unwrap_or(0));
        Some(match self.options.policy {
            SyncPolicy::Off => last.min(saved),
            _ => last,
        })
    }

    /// The file that takes the records in place of segments.
    pub(crate) fn file(&mut self) -> Option<&mut Box<dyn RecordFile>> {
        self.file.as_mut()
    }

    /// Takes the file that holds the log's records from here on, and what it was
    /// found to hold; the state says so on return.
    pub(crate) fn put_into(
        &mut self,
        file: Box<dyn RecordFile>,
        highest_lsn: u64,
        terms: Terms,
    ) -> Result<()> {
        self.file = Some(file);
        self.highest_seq = self.highest_seq.max(highest_lsn);
        self.save_records(|s| s.records.terms = terms)?;
        self.publish(None);
        Ok(())
    }

    /// The records of a single file that was the log come in, from behind `lsn`
    /// on. Until [`LogWriter::end_import`] the state says that they are there.
    pub(crate) fn begin_import(&mut self, lsn: u64) {
        self.importing = Some(lsn);
    }

    /// All of them are durable in segments.
    pub(crate) fn end_import(&mut self) -> Result<()> {
        self.importing = None;
        self.save_records(|s| s.records.single_file = None)
    }

    /// The segments of the log, oldest first.
    pub(crate) fn live_segments(&self) -> &[LiveSegment] {
        &self.live
    }

    /// Whether a group's records may stand behind those of the log, and their
    /// terms have room in the history. Its writer has seen to both.
    pub(super) fn check_records(&self, summary: &Summary) -> Result<()> {
        if self.names.kind() != GroupKind::Records {
            return Ok(());
        }
        let first = summary.runs.first();
        let (last, term) = match self.importing {
            Some(last) => (last, 0),
            None => (
                self.highest_seq,
                self.terms().last().map_or(0, |last| last.term),
            ),
        };
        let behind = first.is_some_and(|r| r.first_lsn <= last || r.term < term);
        if behind || summary.out_of_order.is_some() {
            return Err(Error::corrupt("staged records: out of order"));
        }
        let new = summary.runs.iter().filter(|r| self.is_new(r.term)).count();
        match new <= self.terms().room(self.state().records.pruned_through) {
            true => Ok(()),
            false => Err(history_is_full()),
        }
    }

    fn is_new(&self, term: u64) -> bool {
        self.terms().last().is_none_or(|last| term > last.term)
    }

    /// Adds the terms that a written group has begun: the next save of the
    /// state says so, and until then the segment does.
    pub(super) fn note_terms(&mut self, summary: &Summary) {
        for run in &summary.runs {
            if self.is_new(run.term) {
                self.state.note(|s| {
                    let pruned = s.records.pruned_through;
                    let pushed = s.records.terms.push(run.term, run.first_lsn, pruned);
                    debug_assert!(pushed.is_ok(), "checked before the write");
                });
            }
        }
    }

    /// Notes that records through LSN `pruned_through` are no longer read, and
    /// lets go of the segments whose epochs are all at or below
    /// `retire_through`, unless a reader in another process holds them. The
    /// state file says both before a file is touched.
    ///
    /// `in_use` is asked for each segment that goes, by its first epoch, when
    /// the state says so already and its file was not touched yet: a segment
    /// in use is given to be removed, and any other may be reused at once, so that from
    /// the answer on it must not be opened any more.
    pub(crate) fn prune(
        &mut self,
        pruned_through: u64,
        retire_through: Option<u64>,
        in_use: &dyn Fn(u64) -> bool,
    ) -> Result<Gone> {
        // What was left because a reader held it is tried again.
        let oldest = self.live.first().map(|s| s.last_epoch);
        let left = self.floor().filter(|floor| oldest <= Some(*floor));
        match retire_through.max(left) {
            Some(through) => self.retire_through(through, pruned_through, in_use),
            None => {
                self.save_records(|s| {
                    s.records.pruned_to(pruned_through);
                })?;
                Ok(self.nothing_gone())
            }
        }
    }

    /// Cuts the log off: `term` begins at `first_lsn`, and records from there
    /// on are dead. One save of the state file; no segment is touched. All that
    /// was appended is durable.
    ///
    /// Of a single file the caller has prepared what is left, and puts that in
    /// its place after this.
    pub(crate) fn branch(&mut self, term: u64, first_lsn: u64) -> Result<()> {
        let terms = self.check_branch(term, first_lsn)?;
        let highest = first_lsn - 1;
        let change = |s: &mut State| {
            s.records.terms = terms;
            s.records.lost.cut(highest);
            s.highest_seq = highest;
        };
        if self.file.is_some() {
            // First: what comes next has these LSNs, and is not durable yet.
            self.publish(None);
        }
        match wrong::is(Wrong::CutNotSaved) {
            true => self.state.note(change),
            false => self.save_records(change)?,
        }
        self.highest_seq = highest;
        Ok(())
    }

    /// The history that a branch would leave. An error where there can be none:
    /// nothing has failed.
    pub(crate) fn check_branch(&self, term: u64, first_lsn: u64) -> Result<Terms> {
        let records = &self.state().records;
        let kept = records.pruned_through.max(records.quorum_lsn);
        if first_lsn <= kept || first_lsn > self.highest_seq.saturating_add(1) {
            return Err(Error::invalid(format!(
                "first_lsn: {first_lsn} is not within {} and {}",
                kept.saturating_add(1),
                self.highest_seq.saturating_add(1)
            )));
        }
        let mut terms = records.terms.clone();
        let pushed = terms.push(term, first_lsn, records.pruned_through);
        pushed.map_err(|refused| match refused {
            TermRefused::Fenced => Error::invalid(format!("term: {term} does not rise")),
            TermRefused::Lsn => Error::invalid(format!("first_lsn: {first_lsn} is no LSN")),
            TermRefused::Full => history_is_full(),
        })?;
        Ok(terms)
    }

    /// Keeps the LSN below which no branch is made. It never falls.
    pub(crate) fn save_quorum(&mut self, lsn: u64) -> Result<()> {
        self.save_records(|s| s.records.quorum_lsn = s.records.quorum_lsn.max(lsn))
    }

    /// Notes that a slot store is made beside the log.
    pub(crate) fn note_slot_store(&mut self) -> Result<()> {
        self.save_records(|s| s.records.slots = true)
    }

    /// Keeps that records are lost.
    pub(crate) fn save_lost(&mut self, ranges: &[LostRange]) -> Result<()> {
        self.save_records(|s| ranges.iter().for_each(|range| s.records.lost.add(*range)))
    }

    /// Saves a change, and what has become known since the last save.
    fn save_records(&mut self, change: impl FnOnce(&mut State)) -> Result<()> {
        let (durable, seq) = (self.durable, self.highest_seq);
        let (claims, single_file) = (self.claims(), self.known_in_file());
        self.state.save(|s| {
            s.highest_seq = s.highest_seq.max(seq);
            s.records.single_file = single_file;
            if claims {
                s.watermark = s.watermark.max(durable);
            }
            change(s);
        })
    }
}

fn history_is_full() -> Error {
    let why = "term: the history of terms is full, and nothing of it is pruned";
    Error::new(ErrorKind::TooLarge, why)
}

#[cfg(all(test, feature = "sim"))]
mod crash_tests;
#[cfg(all(test, feature = "sim"))]
mod stand;
#[cfg(all(test, feature = "sim"))]
mod tests;
