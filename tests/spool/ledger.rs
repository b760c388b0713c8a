//! What a caller of a spool knows at a moment, and whether what is found after
//! a crash agrees with it.

use super::tools::checked;
use epochwal::spool::{Bounds, ReadLimit, Spool};
use epochwal::storage::sim::SimRng;
use std::collections::BTreeSet;

/// Why a check failed.
pub type Check<T = ()> = Result<T, String>;

macro_rules! ensure {
    ($holds:expr, $($why:tt)+) => {
        if !$holds {
            return Err(format!($($why)+));
        }
    };
}
pub(crate) use ensure;

/// Term and LSN.
pub type Name = (u64, u64);

/// What the caller knows.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Acknowledged, not cut off, not pruned for certain.
    pub acked: Vec<Name>,
    /// Runs that were taken and are not acknowledged yet, in their order.
    pub staged: Vec<Vec<Name>>,
    /// What LSNs go on behind, and the term of now, as far as it is certain.
    pub current: u64,
    pub term: u64,
    /// Pruned for certain, and pruned perhaps.
    pub pruned: u64,
    pub pruning: u64,
    /// A cut that may have happened: behind this LSN, under this term.
    pub cutting: Option<(u64, u64)>,
    /// All records there ever were.
    pub ever: BTreeSet<Name>,
    /// Without syncs: a power failure may take anything.
    pub unsynced: bool,
    /// A crash may take some records of a run and leave others.
    pub apart: bool,
}

/// What an opened spool has.
#[derive(Clone, Debug)]
pub struct Found {
    pub records: Vec<Name>,
    pub bounds: Bounds,
    pub term: u64,
}

impl Found {
    pub fn of(spool: &Spool) -> Check<Found> {
        Found::read(spool).map_err(|e| format!("reading fails: {e}"))
    }

    pub fn read(spool: &Spool) -> epochwal::Result<Found> {
        let bounds = spool.bounds();
        let limit = ReadLimit {
            records: usize::MAX,
            bytes: usize::MAX,
        };
        let mut records = Vec::new();
        let mut at = bounds.pruned_through;
        loop {
            // An error may come behind what was read.
            let more = spool.read_since(at, limit)?;
            let Some(last) = more.last() else { break };
            at = last.lsn;
            records.extend(more.iter().map(|r| (r.term, checked(r))));
        }
        Ok(Found {
            records,
            bounds,
            term: spool.term(),
        })
    }

    /// What a salvaged spool has, on all sides of what is lost in it.
    pub fn around_losses(spool: &Spool) -> Check<Found> {
        let bounds = spool.bounds();
        let mut records = Vec::new();
        let mut at = bounds.pruned_through;
        while at < bounds.current_lsn {
            match spool.read_since(at, super::tools::all()) {
                Ok(more) if more.is_empty() => break,
                Ok(more) => {
                    at = more[more.len() - 1].lsn;
                    records.extend(more.iter().map(|r| (r.term, checked(r))));
                }
                Err(e) => match e.lsn() {
                    Some(next) if next > at + 1 => at = next - 1,
                    _ => return Err(format!("reading around what is lost: {e}")),
                },
            }
        }
        Ok(Found {
            records,
            bounds,
            term: spool.term(),
        })
    }

    /// What holds of any spool.
    fn check(&self) -> Check {
        let rise = |pair: &[Name]| pair[0].0 <= pair[1].0 && pair[0].1 < pair[1].1;
        ensure!(
            self.records.windows(2).all(rise),
            "out of order: {:?}",
            self.records
        );
        let first = self.records.first().map_or(0, |r| r.1);
        ensure!(
            self.bounds.oldest_lsn == first,
            "{:?}, but the first is {first}",
            self.bounds
        );
        let last = self.records.last().map_or(0, |r| r.1);
        ensure!(self.bounds.current_lsn >= last, "the end is below {last}");
        Ok(())
    }
}

impl Known {
    /// All that was staged is durable.
    pub fn acknowledge(&mut self) {
        self.acked.extend(self.staged.drain(..).flatten());
        if let Some((term, lsn)) = self.acked.last() {
            self.current = self.current.max(*lsn);
            self.term = self.term.max(*term);
        }
    }

    /// The run that ends with this record is durable, and those before it are.
    pub fn acknowledge_through(&mut self, last: Name) {
        let ends = |run: &Vec<Name>| run.last() == Some(&last);
        if let Some(at) = self.staged.iter().position(ends) {
            let later = self.staged.split_off(at + 1);
            self.acknowledge();
            self.staged = later;
        }
    }

    /// Runs that end at or below this LSN are durable.
    pub fn durable_through(&mut self, lsn: u64) {
        let ends = |run: &&Vec<Name>| run.last().is_some_and(|r| r.1 <= lsn);
        if let Some(last) = self.staged.iter().rev().find(ends).and_then(|r| r.last()) {
            self.acknowledge_through(*last);
        }
    }

    /// Names of a run that may come next.
    pub fn next(&self, rng: &mut SimRng) -> Vec<Name> {
        let last = self.staged.last().and_then(|run| run.last()).copied();
        let (mut term, mut lsn) = (self.term.max(1), self.current);
        if let Some(last) = last {
            (term, lsn) = (last.0.max(term), last.1);
        }
        if rng.chance(1, 12) {
            term += 1;
        }
        let count = 1 + rng.below(6);
        let mut next = || {
            lsn += 1 + rng.below(8) / 6;
            (term, lsn)
        };
        (0..count).map(|_| next()).collect()
    }

    pub fn prune(&mut self, through: u64) {
        (self.pruned, self.pruning) = (through, through);
        self.acked.retain(|r| r.1 > through);
    }

    /// What was cut off behind `lsn` is gone.
    pub fn cut(&mut self, lsn: u64, term: u64) {
        self.cutting = None;
        self.acked.retain(|r| r.1 <= lsn);
        (self.current, self.term) = (lsn, term);
    }

    /// Whether this is what a crash may leave.
    pub fn check(&self, found: &Found) -> Check {
        if self.apart {
            let singles = self.staged.iter().flatten().map(|r| vec![*r]);
            let whole = Known {
                staged: singles.collect(),
                apart: false,
                ..self.clone()
            };
            return whole.check(found);
        }
        found.check()?;
        let pruned = found.bounds.pruned_through;
        ensure!(
            pruned == self.pruned || pruned == self.pruning,
            "pruned through {pruned}, not {} or {}",
            self.pruned,
            self.pruning
        );
        let is_cut = self.cutting.filter(|(_, term)| found.term == *term);
        let runs = match is_cut {
            // What was staged is durable before it is cut.
            Some(_) => self.staged.len()..=self.staged.len(),
            None => 0..=self.staged.len(),
        };
        let mut why = String::new();
        for count in runs {
            let mut left = self.clone();
            left.staged.truncate(count);
            left.acknowledge();
            if let Some((lsn, term)) = is_cut {
                left.cut(lsn, term);
            }
            left.prune(pruned);
            let now = (left.current, left.term);
            if left.acked == found.records && now == (found.bounds.current_lsn, found.term) {
                return Ok(());
            }
            why = format!("{:?} at {now:?}", left.acked);
        }
        Err(format!(
            "found {:?} at {:?}; acknowledged {:?}, staged {:?}; at most {why}",
            found.records,
            (found.bounds.current_lsn, found.term),
            self.acked,
            self.staged,
        ))
    }

    /// Whether this is what a power failure may leave where nothing was synced:
    /// records that there were, in an order that they may have.
    pub fn check_loosely(&self, found: &Found) -> Check {
        found.check()?;
        let foreign = found.records.iter().find(|r| !self.ever.contains(r));
        ensure!(foreign.is_none(), "{foreign:?} never was");
        Ok(())
    }

    /// Whether a salvage has kept all that it must: what was acknowledged, and
    /// of what was staged whatever there was of it.
    pub fn check_salvaged(&self, found: &Found) -> Check {
        found.check()?;
        let pruned = found.bounds.pruned_through;
        let mut rest = found.records.iter();
        for acked in self.acked.iter().filter(|r| r.1 > pruned) {
            ensure!(rest.next() == Some(acked), "{acked:?} is lost: {found:?}");
        }
        let staged: BTreeSet<_> = self.staged.iter().flatten().collect();
        let foreign = rest.find(|r| !staged.contains(r));
        ensure!(foreign.is_none(), "{foreign:?} never was");
        Ok(())
    }

    /// Goes on from what was found.
    pub fn settle(&mut self, found: &Found) {
        self.acked = found.records.clone();
        self.staged.clear();
        self.current = found.bounds.current_lsn;
        self.term = found.term;
        self.pruned = found.bounds.pruned_through;
        self.pruning = self.pruned;
        self.cutting = None;
    }
}
