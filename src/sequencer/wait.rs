//! Waiting for an epoch: whoever waits while nobody flushes does it itself.

use super::core::Sequencer;
use crate::error::{Error, ErrorKind, Result};
use crate::sync::{Instant, Ordering};
use crate::wrong::{self, Wrong};
use std::time::Duration;

/// A waiter that has less time than this does not lead, because a write can't
/// be broken off; the ticker's thread flushes for it.
const LEAD_MIN: Duration = Duration::from_millis(100);
/// How often an interruptible wait asks whether to go on.
pub(super) const ASK_EVERY: Duration = Duration::from_millis(50);

/// Asked by a wait whether to give up.
pub(crate) type Ask<'a> = &'a mut dyn FnMut() -> bool;

/// How long a wait may last.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limit(Option<Instant>);

impl Limit {
    /// None: for ever.
    pub(crate) fn after(timeout: Option<Duration>) -> Limit {
        // A time too far for the clock is for ever.
        Limit(timeout.and_then(|t| Instant::now().checked_add(t)))
    }

    /// What is left; none: for ever.
    pub(crate) fn left(self) -> Option<Duration> {
        self.0
            .map(|end| end.saturating_duration_since(Instant::now()))
    }
}

impl Sequencer {
    /// Waits until `epoch` is durable, or its fate is known, or time is up.
    pub(crate) fn wait(
        &self,
        epoch: u64,
        timeout: Option<Duration>,
        interrupted: Option<Ask<'_>>,
    ) -> Result<()> {
        self.check_fork()?;
        if let Some(Ok(())) = self.outcome(epoch) {
            return Ok(());
        }
        if timeout != Some(Duration::ZERO) {
            self.check_may_block()?;
        }
        self.check_handed_out(epoch)?;
        self.wait_for(epoch, timeout, interrupted)
    }

    /// [`Sequencer::wait`] for an epoch that was handed out, by one who may block.
    pub(crate) fn wait_for(
        &self,
        epoch: u64,
        timeout: Option<Duration>,
        mut interrupted: Option<Ask<'_>>,
    ) -> Result<()> {
        let polls = timeout == Some(Duration::ZERO);
        let began = Instant::now();
        let limit = Limit::after(timeout);
        let failures = self.space_failures.load(Ordering::SeqCst);
        let result = loop {
            let asks = interrupted.is_some();
            if let Some(result) = self.wait_once(epoch, polls, limit, failures, asks) {
                break result;
            }
            if interrupted.as_mut().is_some_and(|ask| ask()) {
                let interrupted = || Err(timed_out("interrupted", epoch));
                break self.outcome(epoch).unwrap_or_else(interrupted);
            }
        };
        self.wait_latency.record(began.elapsed().as_nanos() as u64);
        if result.is_err() {
            // A wake that was meant to make a leader of this thread goes on to
            // another, and what stays staged is the ticker's.
            if !wrong::is(Wrong::GivesUpWithTheLead) {
                self.hand_on();
            }
            self.arm();
        }
        result
    }

    fn wait_once(
        &self,
        epoch: u64,
        polls: bool,
        limit: Limit,
        failures: u64,
        asks: bool,
    ) -> Option<Result<()>> {
        if let Some(answer) = self.answer(epoch, failures) {
            return Some(answer);
        }
        let left = limit.left();
        if polls && self.short_of_space.load(Ordering::SeqCst) {
            return Some(Err(self.no_space(epoch)));
        }
        if polls || left.is_some_and(|l| l.is_zero()) {
            return Some(Err(timed_out("time is up", epoch)));
        }
        let may_lead = left.is_none_or(|l| l >= LEAD_MIN);
        // Who leads without having announced itself spares a wake of nobody.
        if may_lead && self.leads() {
            return None;
        }
        let word = self.waiters.of(epoch);
        // Taken before the condition is looked at and before the flusher is
        // tried once more: whoever changes either wakes after it.
        let token = word.enter();
        if let Some(answer) = self.answer(epoch, failures) {
            return Some(answer);
        }
        if !may_lead {
            self.request(epoch);
        } else if self.leads() {
            return None;
        }
        let sleep = match (left, asks) {
            (left, true) => Some(left.map_or(ASK_EVERY, |l| l.min(ASK_EVERY))),
            (left, false) => left,
        };
        let token = match wrong::is(Wrong::TokenAfterTheCondition) {
            true => word.enter(),
            false => token,
        };
        word.sleep(token, sleep);
        None
    }

    /// The end of a wait, if it is there.
    fn answer(&self, epoch: u64, failures: u64) -> Option<Result<()>> {
        if let Some(result) = self.outcome(epoch) {
            return Some(result);
        }
        let failed_since = self.space_failures.load(Ordering::SeqCst) != failures;
        failed_since.then(|| Err(self.no_space(epoch)))
    }

    /// Flushes, if nobody does.
    fn leads(&self) -> bool {
        let Some(mut guard) = self.try_lock_flusher() else {
            return false;
        };
        // Its failure shows in the outcome, or as no space.
        let _ = self.flush_once(&mut guard);
        true
    }

    fn no_space(&self, epoch: u64) -> Error {
        match &*self.space_error.lock() {
            Some(error) => error.recast(
                error.kind(),
                &format!("epoch {epoch} is pending and may yet become durable"),
            ),
            None => Error::new(ErrorKind::NoSpace, "no space"),
        }
    }

    /// Seals what is staged and waits for all of it. Gives the epoch waited
    /// for, or the durable one where nothing was pending.
    pub(crate) fn flush(&self, timeout: Option<Duration>) -> Result<u64> {
        self.check_may_block()?;
        if self.staging.is_shut() {
            return Err(self.refusal());
        }
        let (current, staged) = self.staging.current();
        // Sealed epochs are handed out and not durable yet.
        let target = if staged > 0 {
            current
        } else {
            current.saturating_sub(1)
        };
        let durable = self.durable();
        if target < self.first_epoch || durable.is_some_and(|d| target <= d) {
            return Ok(durable.unwrap_or(0));
        }
        self.wait(target, timeout, None)?;
        Ok(target)
    }
}

fn timed_out(why: &str, epoch: u64) -> Error {
    Error::new(
        ErrorKind::Timeout,
        format!("{why}: epoch {epoch} is still pending"),
    )
}
