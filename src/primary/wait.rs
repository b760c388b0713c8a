//! Commits that wait for replicas.

use super::policy::{AckPolicy, Quorum};
use super::quorum::{Count, Fate};
use super::stats::EventKind;
use super::{Core, Primary};
use crate::error::{Error, ErrorKind, Result};
use crate::sync::{Condvar, Instant};
use std::sync::Arc;
use std::time::Duration;

/// How often an interruptible wait asks whether to go on.
const ASK_EVERY: Duration = Duration::from_millis(50);

/// What a commit wait came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The policy is met.
    Reached,
    /// It is not met yet.
    TimedOut,
    /// It can't be met by the replicas there are.
    Unmeetable,
}

/// What a commit wait came to, and by how much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AckResult {
    /// See [`Outcome`].
    pub outcome: Outcome,
    /// The policy lets the commit count all the same.
    pub degraded: bool,
    /// Acknowledgements that count.
    pub observed: u32,
    /// Acknowledgements the policy asks for.
    pub required: u32,
}

impl Primary {
    /// Waits until the policy's replicas have `lsn`, or it is known that they
    /// can't, or the time is up (none: for ever; zero: a look). What it calls
    /// reached is kept durably first: the log is never cut below it. That the
    /// policy is not met is no error: see [`AckResult::ok`].
    /// [`ErrorKind::Invalid`] for a policy that no replicas could ever meet.
    pub fn wait_acks(
        &self,
        lsn: u64,
        policy: &AckPolicy,
        timeout: Option<Duration>,
    ) -> Result<AckResult> {
        self.0.wait_acks(lsn, policy, timeout, None)
    }

    /// As [`Primary::wait_acks`]; asks `interrupted` now and then, and ends
    /// as if the time were up where it says so.
    pub fn wait_acks_interruptible(
        &self,
        lsn: u64,
        policy: &AckPolicy,
        timeout: Option<Duration>,
        interrupted: &mut dyn FnMut() -> bool,
    ) -> Result<AckResult> {
        self.0.wait_acks(lsn, policy, timeout, Some(interrupted))
    }
}

impl Core {
    fn wait_acks(
        &self,
        lsn: u64,
        policy: &AckPolicy,
        timeout: Option<Duration>,
        interrupted: Option<&mut dyn FnMut() -> bool>,
    ) -> Result<AckResult> {
        self.check_fork()?;
        policy.quorum.validate()?;
        let found = match policy.quorum {
            Quorum::Local => (self.wait_here(lsn, timeout, interrupted)?, (0, 0)),
            _ => self.wait_for_replicas(lsn, policy, timeout, interrupted)?,
        };
        self.settle(lsn, policy, found)
    }

    /// Makes what a wait has found its outcome: counted, and kept durably where
    /// it is reached.
    pub(super) fn settle(
        &self,
        lsn: u64,
        policy: &AckPolicy,
        found: (Fate, (u32, u32)),
    ) -> Result<AckResult> {
        let (fate, (observed, required)) = found;
        let mut result = AckResult {
            outcome: match fate {
                Fate::Reached => Outcome::Reached,
                Fate::Pending => Outcome::TimedOut,
                Fate::Unmeetable => Outcome::Unmeetable,
            },
            degraded: false,
            observed,
            required,
        };
        // No policy makes a commit of what is not durable here.
        let durable = self.wal.bounds().current_lsn >= lsn;
        let mut state = self.state.lock();
        match result.outcome {
            Outcome::Reached => state.stats.waits_reached += 1,
            Outcome::TimedOut => state.stats.waits_timed_out += 1,
            Outcome::Unmeetable => state.stats.waits_unmeetable += 1,
        }
        if result.outcome != Outcome::Reached && policy.degrade && durable {
            result.degraded = true;
            state.stats.waits_degraded += 1;
            let kind = EventKind::CommitDegraded {
                lsn,
                observed,
                required,
            };
            state.trace.add(self.clock.unix_ms(), kind);
        }
        drop(state);
        if result.outcome == Outcome::Reached && policy.quorum != Quorum::Local && self.stored {
            self.save_quorum(lsn)?;
        }
        Ok(result)
    }

    fn wait_here(
        &self,
        lsn: u64,
        timeout: Option<Duration>,
        interrupted: Option<&mut dyn FnMut() -> bool>,
    ) -> Result<Fate> {
        if self.wal.bounds().current_lsn >= lsn {
            return Ok(Fate::Reached);
        }
        let before = lsn.saturating_sub(1);
        let fate = |reached| match reached {
            true => Fate::Reached,
            false => Fate::Pending,
        };
        let Some(ask) = interrupted else {
            return self.wal.wait_for_lsn_after(before, timeout).map(fate);
        };
        let end = timeout.and_then(|t| Instant::now().checked_add(t));
        loop {
            let left = end.map(|end| end.saturating_duration_since(Instant::now()));
            let slice = left.map_or(ASK_EVERY, |l| l.min(ASK_EVERY));
            let reached = self.wal.wait_for_lsn_after(before, Some(slice))?;
            if reached || left == Some(slice) || ask() {
                return Ok(fate(reached));
            }
        }
    }

    fn wait_for_replicas(
        &self,
        lsn: u64,
        policy: &AckPolicy,
        timeout: Option<Duration>,
        mut interrupted: Option<&mut dyn FnMut() -> bool>,
    ) -> Result<(Fate, (u32, u32))> {
        // A time too far for the clock is for ever.
        let end = timeout.and_then(|t| Instant::now().checked_add(t));
        let mut state = self.state.lock();
        state.check_usable()?;
        let count = Count::of(&policy.quorum, policy.level, lsn, &state);
        if count.fate() != Fate::Pending || timeout == Some(Duration::ZERO) {
            state.note_reached(lsn, count.fate());
            return Ok((count.fate(), count.figures()));
        }
        let bell = Arc::new(Condvar::default());
        let (quorum, level) = (&policy.quorum, policy.level);
        let sleeper = Some(bell.clone());
        let place = state.waiters.add(quorum, level, lsn, count, sleeper);
        loop {
            let count = state.waiters.get(place);
            let found = (count.fate(), count.figures());
            let left = end.map(|end| end.saturating_duration_since(Instant::now()));
            let failed = state.check_usable();
            if found.0 != Fate::Pending || failed.is_err() || left == Some(Duration::ZERO) {
                state.note_reached(lsn, found.0);
                state.waiters.remove(place);
                // What was reached stays so.
                return match found.0 {
                    Fate::Reached => Ok(found),
                    _ => failed.map(|()| found),
                };
            }
            match (left, &mut interrupted) {
                (None, None) => bell.wait(&mut state),
                (Some(left), None) => bell.wait_for(&mut state, left),
                (left, Some(ask)) => {
                    bell.wait_for(&mut state, left.map_or(ASK_EVERY, |l| l.min(ASK_EVERY)));
                    drop(state);
                    let stop = ask();
                    state = self.state.lock();
                    if stop {
                        let found = state.waiters.get(place).figures();
                        state.waiters.remove(place);
                        return Ok((Fate::Pending, found));
                    }
                }
            }
        }
    }
}

/// Says why a commit does not count; none: it does.
impl AckResult {
    /// The wait as an error where the policy is not met and does not degrade.
    pub fn ok(self) -> Result<AckResult> {
        let AckResult {
            observed, required, ..
        } = self;
        let figures = match required {
            0 => "the record is not durable here".to_owned(),
            _ => format!("{observed} of {required} acknowledgements"),
        };
        match self.outcome {
            _ if self.degraded => Ok(self),
            Outcome::Reached => Ok(self),
            Outcome::TimedOut => Err(Error::new(
                ErrorKind::Timeout,
                format!("time is up: {figures}"),
            )),
            Outcome::Unmeetable => Err(Error::new(
                ErrorKind::NotFound,
                format!("the policy asks for replicas that are not there: {figures}"),
            )),
        }
    }
}
