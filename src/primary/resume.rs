//! Where a replica goes on that asks for records again.

use super::slot::{self, Cause, Origin};
use super::wal::Branch;
use super::{Core, Primary};
use crate::error::Result;

/// What a replica is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resume {
    /// Read on above this LSN.
    Partial {
        /// What it asked for, or its slot where that is further on.
        resume_lsn: u64,
    },
    /// Be loaded from a snapshot.
    Rebootstrap {
        /// Why.
        cause: RebootstrapCause,
    },
    /// Give up what it has above this LSN: it is ahead of the log, or on
    /// another branch.
    Diverged {
        /// The last LSN that both have.
        common_lsn: u64,
    },
}

/// Why a replica can't read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RebootstrapCause {
    /// It has no slot.
    Unknown,
    /// What it needs is pruned.
    WalRemoved,
    /// Its slot held back too much.
    Horizon,
    /// Its slot was not seen for too long.
    IdleTimeout,
}

impl RebootstrapCause {
    /// As the faces spell it.
    pub fn name(self) -> &'static str {
        match self.slot_cause() {
            None => "unknown",
            Some(cause) => cause.name(),
        }
    }

    fn slot_cause(self) -> Option<Cause> {
        match self {
            RebootstrapCause::Unknown => None,
            RebootstrapCause::WalRemoved => Some(Cause::WalRemoved),
            RebootstrapCause::Horizon => Some(Cause::Horizon),
            RebootstrapCause::IdleTimeout => Some(Cause::IdleTimeout),
        }
    }
}

impl From<Cause> for RebootstrapCause {
    fn from(cause: Cause) -> Self {
        match cause {
            Cause::WalRemoved => RebootstrapCause::WalRemoved,
            Cause::Horizon => RebootstrapCause::Horizon,
            Cause::IdleTimeout => RebootstrapCause::IdleTimeout,
        }
    }
}

impl Primary {
    /// Says how a replica goes on that has everything up to `since_lsn`, the
    /// last of it of `term` (0: it does not say).
    ///
    /// It goes on from its slot where that is further than what it asks for;
    /// not so while it is being rebootstrapped, nor where the slot is only what
    /// a registration pinned, because then nobody has said that it has what
    /// lies below. Never blocks. An id without a slot is no error: it is told to
    /// be loaded from a snapshot.
    pub fn plan_resume(&self, id: &str, since_lsn: u64, term: u64) -> Result<Resume> {
        self.0.check_fork()?;
        let resume = self.0.plan_resume(id, since_lsn, term)?;
        let mut state = self.0.state.lock();
        match resume {
            Resume::Partial { .. } => state.stats.resumes_partial += 1,
            Resume::Diverged { .. } => state.stats.resumes_diverged += 1,
            Resume::Rebootstrap { cause } => state.stats.rebootstrap(cause.slot_cause()),
        }
        Ok(resume)
    }
}

impl Core {
    fn plan_resume(&self, id: &str, since_lsn: u64, term: u64) -> Result<Resume> {
        let bounds = self.wal.bounds();
        if let Some(common_lsn) = self.parting(since_lsn, term, bounds.current_lsn) {
            return Ok(Resume::Diverged { common_lsn });
        }
        let state = self.state.lock();
        state.check_usable()?;
        let rebootstrap = |cause| Ok(Resume::Rebootstrap { cause });
        let Some(index) = state.find(id) else {
            return rebootstrap(RebootstrapCause::Unknown);
        };
        let entry = &state.entry(index).slot;
        if let Some(invalid) = entry.invalidation {
            return rebootstrap(invalid.cause.into());
        }
        let has_it = entry.origin != Origin::Pinned && !entry.rebootstrapping;
        let resume_lsn = match has_it {
            true => since_lsn.max(entry.restart_lsn),
            false => since_lsn,
        };
        match slot::needs_what_is_gone(resume_lsn, &bounds) {
            true => rebootstrap(RebootstrapCause::WalRemoved),
            false => Ok(Resume::Partial { resume_lsn }),
        }
    }

    /// The last common LSN of the log and a replica that is not on its branch,
    /// or beyond its end.
    fn parting(&self, since_lsn: u64, term: u64, end: u64) -> Option<u64> {
        let within = since_lsn.min(end);
        let branch = match term {
            0 => Branch::Same,
            term => self.wal.check_branch(within, term),
        };
        match branch {
            Branch::Diverged { last_common_lsn } => Some(last_common_lsn.min(within)),
            Branch::Same => (since_lsn > end).then_some(end),
        }
    }
}
