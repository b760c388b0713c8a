//! The order of records along a log: terms never fall, and LSNs rise, but at a
//! branch that the history of terms knows. Only wrong bytes under right
//! checksums break it, so what does is damage wherever it stands.

use crate::format::group::{Certificate, GroupHeader, GroupKind, TermRun};
use crate::format::state::State;
use crate::format::terms::Terms;

/// What the walk along a log knows of its records.
#[derive(Clone, Debug, Default)]
pub(crate) struct Order {
    /// The history: what the state file says, and terms found since it did.
    pub(crate) terms: Terms,
    /// The highest LSN of the records read; a tail that was cut off does not count.
    pub(crate) highest: u64,
    pruned_through: u64,
    /// Term and LSN of the record before.
    last: Option<(u64, u64)>,
    /// There was no history: a term that begins below its predecessor's end is
    /// taken for a branch.
    rebuilding: bool,
}

impl Order {
    /// Takes the history over from a state.
    pub(crate) fn know(&mut self, state: Option<&State>) {
        if let Some(state) = state.filter(|s| s.kind == GroupKind::Records) {
            self.terms = state.records.terms.clone();
            self.pruned_through = state.records.pruned_through;
        }
    }

    /// Makes the history up from the records, for a log whose state is lost.
    pub(crate) fn rebuild(&mut self) {
        self.rebuilding = true;
    }

    /// Forgets the record before: what comes next is taken as it comes.
    pub(crate) fn restart(&mut self) {
        self.last = None;
    }

    /// Whether a group's records may come next, and why not.
    pub(crate) fn check(
        &self,
        header: &GroupHeader,
        certificate: &Certificate,
        runs: &[TermRun],
    ) -> Result<(), String> {
        if header.kind != GroupKind::Records {
            return Ok(());
        }
        let low = certificate.summary.seq_low;
        let Some(first) = runs.first() else {
            // Not read, or nothing but voids.
            return match self.last {
                Some((term, lsn)) if low > 0 && low <= lsn => {
                    match self.terms.branched(term, low) {
                        true => Ok(()),
                        false => Err(format!("record: LSN {low} behind LSN {lsn}")),
                    }
                }
                _ => Ok(()),
            };
        };
        if let Some(before) = self.last {
            self.follows(before, first)?;
        }
        for pair in runs.windows(2) {
            self.follows((pair[0].term, pair[0].last_lsn), &pair[1])?;
        }
        let new = runs.iter().filter(|run| self.is_new(run.term)).count();
        if new > self.terms.room(self.forgettable()) {
            return Err(format!("record: term {} is one too many", first.term));
        }
        Ok(())
    }

    fn follows(&self, before: (u64, u64), run: &TermRun) -> Result<(), String> {
        let next = (run.term, run.first_lsn);
        let made_up = self.rebuilding && next.0 > before.0 && self.is_new(next.0);
        if made_up || self.terms.may_follow(before, next) {
            return Ok(());
        }
        Err(format!(
            "record: term {}, LSN {} behind term {}, LSN {}",
            next.0, next.1, before.0, before.1
        ))
    }

    /// Goes on behind a group that [`Order::check`] has let pass.
    pub(crate) fn take(&mut self, certificate: &Certificate, runs: &[TermRun]) {
        if let (true, high @ 1..) = (runs.is_empty(), certificate.summary.seq_high) {
            self.last = Some((self.last.map_or(0, |(term, _)| term), high));
        }
        for run in runs {
            if self.is_new(run.term) {
                let pruned = self.forgettable();
                let pushed = self.terms.push(run.term, run.first_lsn, pruned);
                debug_assert!(pushed.is_ok(), "checked before");
            }
            // Of a run that a branch cut in two the records before it are left.
            let end = self.terms.end_of(run.term).map_or(u64::MAX, |end| end - 1);
            if run.first_lsn <= end {
                self.highest = self.highest.max(run.last_lsn.min(end));
            }
            self.last = Some((run.term, run.last_lsn));
        }
    }

    fn is_new(&self, term: u64) -> bool {
        self.terms.last().is_none_or(|last| term > last.term)
    }

    /// Without a history nothing is known to be needed.
    fn forgettable(&self) -> u64 {
        match self.rebuilding {
            true => u64::MAX,
            false => self.pruned_through,
        }
    }
}
