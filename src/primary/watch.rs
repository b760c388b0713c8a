//! Commit waits for event loops: nobody sleeps in one, and a descriptor says
//! when to look.

use super::policy::{AckPolicy, Quorum};
use super::quorum::{Count, Fate, Place};
use super::state::State;
use super::wait::AckResult;
use super::{Core, Primary};
use crate::error::Result;
use crate::sync::MutexGuard;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// A commit wait that was begun by [`Primary::watch_acks`].
#[derive(Debug)]
pub struct AckWatch {
    core: Arc<Core>,
    lsn: u64,
    policy: AckPolicy,
    /// Among those who wait; none where only the log is waited for.
    place: Option<Place>,
}

impl Primary {
    /// A new eventfd (non-blocking, close-on-exec, the caller's to close) that
    /// becomes readable each time an [`AckWatch`] is decided, and when the
    /// primary fails or closes.
    pub fn event_fd(&self) -> Result<OwnedFd> {
        self.0.check_fork()?;
        let state = self.0.state.lock();
        state.waiters.events.add(|| state.check_usable().is_err())
    }

    /// Begins a commit wait that is looked at and not slept in. Each that is
    /// decided makes the descriptors of [`Primary::event_fd`] readable, but for
    /// those that wait for the log alone: [`crate::spool::Spool::event_fd`] tells
    /// of that. It may be decided at once.
    pub fn watch_acks(&self, lsn: u64, policy: &AckPolicy) -> Result<AckWatch> {
        self.0.check_fork()?;
        policy.quorum.validate()?;
        let mut state = self.0.state.lock();
        state.check_usable()?;
        let place = match &policy.quorum {
            Quorum::Local => None,
            quorum => {
                let count = Count::of(quorum, policy.level, lsn, &state);
                let waiters = &mut state.waiters;
                Some(waiters.add(quorum, policy.level, lsn, count, None))
            }
        };
        Ok(AckWatch {
            core: self.0.clone(),
            lsn,
            policy: policy.clone(),
            place,
        })
    }
}

impl AckWatch {
    /// Whether [`AckWatch::finish`] would give anything but a timeout now. An
    /// error where nothing is to come any more. Never blocks.
    pub fn is_decided(&self) -> Result<bool> {
        let state = self.lock()?;
        Ok(self.look(&state)?.0 != Fate::Pending)
    }

    /// Ends the wait as [`Primary::wait_acks`] does when its time is up. Blocks on
    /// the disk where the policy is met, so that it is known to be after a crash.
    pub fn finish(self) -> Result<AckResult> {
        self.settle()
    }

    /// [`AckWatch::finish`] by the one who sees to it that it is called once.
    pub(crate) fn settle(&self) -> Result<AckResult> {
        let mut state = self.lock()?;
        let found = self.look(&state)?;
        // Under the lock under which it was found: no cut comes between.
        if self.place.is_some() {
            state.note_reached(self.lsn, found.0);
        }
        drop(state);
        self.core.settle(self.lsn, &self.policy, found)
    }

    fn lock(&self) -> Result<MutexGuard<'_, State>> {
        self.core.check_fork()?;
        Ok(self.core.state.lock())
    }

    fn look(&self, state: &State) -> Result<(Fate, (u32, u32))> {
        let found = match self.place {
            Some(place) => {
                let count = state.waiters.get(place);
                (count.fate(), count.figures())
            }
            None if self.core.wal.bounds().current_lsn >= self.lsn => (Fate::Reached, (0, 0)),
            None => (Fate::Pending, (0, 0)),
        };
        // What was reached stays so.
        match found.0 {
            Fate::Reached => Ok(found),
            _ => state.check_usable().map(|()| found),
        }
    }
}

impl Drop for AckWatch {
    fn drop(&mut self) {
        if let Some(place) = self.place
            && let Ok(mut state) = self.lock()
        {
            state.waiters.remove(place);
        }
    }
}
