//! The history of terms: which LSN each reign began with (`docs/format.md`,
//! "State file"). It tells which records of a log still count, and where
//! another copy of the log went its own way.
//!
//! A term's records begin where it did, and end where the next one begins. A
//! tail that a later term has cut off stays in the segments, and is dead: the
//! history is what says so. (The idea is Raft's and Kafka's leader epochs.)

use super::bytes::{get_u32, get_u64, put_u32, put_u64};
use super::record::MAX_LSN;

/// Terms that a history holds.
pub const MAX_TERMS: usize = 240;
const ENTRY: usize = 16;
/// Bytes of the longest history: the count, four of zeros, the terms.
pub const TERMS_BYTES: usize = 8 + MAX_TERMS * ENTRY;

/// A term, and where it began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TermStart {
    /// The term.
    pub term: u64,
    /// No record of it has a lower LSN.
    pub first_lsn: u64,
}

/// Why a term can't be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TermRefused {
    /// The last term is this one or a later one.
    Fenced,
    /// No record can have this LSN.
    Lsn,
    /// The history is full, and all of it is needed.
    Full,
}

/// Where a replica stands that says which record it had last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It has a part of this log, if it is not ahead of it.
    Same,
    /// It has a tail of its own.
    Diverged {
        /// No LSN above it is common to both. Exact where the history knows the
        /// replica's term; else the replica cuts back to here and asks again,
        /// with the term that it has here.
        last_common_lsn: u64,
    },
}

/// Terms and where they began, both strictly ascending.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms(Vec<TermStart>);

impl Terms {
    /// The entries, oldest first.
    pub fn entries(&self) -> &[TermStart] {
        &self.0
    }

    /// The term of now.
    pub fn last(&self) -> Option<TermStart> {
        self.0.last().copied()
    }

    /// Begins a term at `first_lsn`. What older terms have from there on is dead.
    ///
    /// A full history forgets the oldest terms first whose successor began at
    /// or below `pruned_through`: nobody reads a record of theirs again.
    pub fn push(
        &mut self,
        term: u64,
        first_lsn: u64,
        pruned_through: u64,
    ) -> Result<(), TermRefused> {
        if self.last().is_some_and(|last| last.term >= term) {
            return Err(TermRefused::Fenced);
        }
        if !(1..=MAX_LSN).contains(&first_lsn) {
            return Err(TermRefused::Lsn);
        }
        let kept = self.0.partition_point(|e| e.first_lsn < first_lsn);
        if kept == MAX_TERMS && self.forgettable(pruned_through) == 0 {
            return Err(TermRefused::Full);
        }
        self.0.truncate(kept);
        if kept == MAX_TERMS {
            self.0.drain(..self.forgettable(pruned_through));
        }
        self.0.push(TermStart { term, first_lsn });
        Ok(())
    }

    /// How many terms can begin, one behind the other, before it is full.
    pub fn room(&self, pruned_through: u64) -> usize {
        MAX_TERMS - self.0.len() + self.forgettable(pruned_through)
    }

    fn forgettable(&self, pruned_through: u64) -> usize {
        let begun = self.0.partition_point(|e| e.first_lsn <= pruned_through);
        begun.saturating_sub(1)
    }

    /// The LSN at which records of `term` are dead from, as a later term began
    /// there; none where it has not ended.
    pub fn end_of(&self, term: u64) -> Option<u64> {
        self.after(term).map(|e| e.first_lsn)
    }

    fn after(&self, term: u64) -> Option<TermStart> {
        let later = self.0.partition_point(|e| e.term <= term);
        self.0.get(later).copied()
    }

    /// Whether a record counts: no later term began at or below it.
    pub fn is_live(&self, term: u64, lsn: u64) -> bool {
        self.end_of(term).is_none_or(|end| lsn < end)
    }

    /// The term whose record an LSN is, if there is one of it; none before the
    /// history.
    pub fn term_at(&self, lsn: u64) -> Option<u64> {
        let begun = self.0.partition_point(|e| e.first_lsn <= lsn);
        Some(self.0[begun.checked_sub(1)?].term)
    }

    /// Where a replica stands whose last record is (`term`, `lsn`); LSN 0 where
    /// it has none.
    pub fn check(&self, term: u64, lsn: u64) -> Standing {
        let (Some(first), true) = (self.0.first(), lsn > 0) else {
            return Standing::Same;
        };
        let same = match self.term_at(lsn) {
            Some(own) => own == term,
            // Forgotten, or before the log: nothing contradicts it.
            None => term <= first.term,
        };
        if same {
            return Standing::Same;
        }
        // Two logs that share a record share all before it, so what both have
        // of a term ends where the first of the two ended it.
        let ended = self.end_of(term).unwrap_or(u64::MAX) - 1;
        Standing::Diverged {
            last_common_lsn: ended.min(lsn - 1),
        }
    }

    /// Whether a record may stand behind another in a log with this history:
    /// the term does not fall, and the LSN rises, unless the record before was
    /// cut off. Each pair is (term, LSN).
    pub fn may_follow(&self, before: (u64, u64), next: (u64, u64)) -> bool {
        let ((old_term, old_lsn), (term, lsn)) = (before, next);
        let own = self.0.binary_search_by_key(&term, |e| e.term);
        if term < old_term || own.is_ok_and(|at| lsn < self.0[at].first_lsn) {
            return false;
        }
        if lsn > old_lsn {
            return true;
        }
        // The term that cut it off need not have had a record before this one's.
        let cut = self.after(old_term);
        let cut = cut.is_some_and(|e| e.term <= term && e.first_lsn <= lsn);
        // Terms that a later one cut off whole are dropped, and old ones forgotten.
        let forgotten = self.0.first().is_some_and(|first| term < first.term);
        term > old_term && (cut || forgotten || !self.is_live(term, lsn))
    }

    /// Whether a record at `lsn` may be a branch behind one of `term` with a
    /// higher LSN, where its own term is not known.
    pub fn branched(&self, term: u64, lsn: u64) -> bool {
        let next = term.saturating_add(1);
        let forgotten = self.0.first().is_some_and(|first| first.term > next);
        let later = |e: &TermStart| e.term > term && e.first_lsn <= lsn;
        forgotten || self.0.iter().any(later)
    }

    /// Writes the history at the beginning of `out`, which is zeros and
    /// [`TERMS_BYTES`] long at least.
    pub fn encode(&self, out: &mut [u8]) {
        put_u32(out, 0, self.0.len() as u32);
        for (entry, to) in self.0.iter().zip(out[8..].chunks_exact_mut(ENTRY)) {
            put_u64(to, 0, entry.term);
            put_u64(to, 8, entry.first_lsn);
        }
    }

    /// Reads a history; none where no writer makes one like it.
    pub fn parse(bytes: &[u8]) -> Option<Terms> {
        let bytes = bytes.get(..TERMS_BYTES)?;
        let count = get_u32(bytes, 0) as usize;
        if count > MAX_TERMS {
            return None;
        }
        let mut terms = Terms::default();
        for entry in bytes[8..].chunks_exact(ENTRY).take(count) {
            let (term, first_lsn) = (get_u64(entry, 0), get_u64(entry, 8));
            let last = terms.last().map_or(0, |last| last.first_lsn);
            if first_lsn <= last {
                return None;
            }
            terms.push(term, first_lsn, 0).ok()?;
        }
        Some(terms)
    }
}

#[cfg(test)]
mod tests;
