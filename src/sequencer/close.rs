//! The end: seal, flush, say what could not be made durable, wake everyone.

use super::core::{Phase, Sequencer};
use super::flush::{FlushGuard, Pending};
use super::wait::Limit;
use crate::error::{Error, ErrorKind, Result};
use crate::sync::MutexGuard;
use std::time::Duration;

impl Sequencer {
    /// Closes. A timeout leaves everything open; any other error says what is
    /// not durable, and it is closed all the same.
    pub(crate) fn close(&self, timeout: Option<Duration>) -> Result<()> {
        self.check_may_block()?;
        let limit = Limit::after(timeout);
        let Some(_closing) = self.begin_close(limit) else {
            return Err(not_in_time());
        };
        if self.phase() == Phase::Closed {
            return Err(self.closed());
        }
        // Most of it while others may still stage.
        match self.flush(limit.left()) {
            Err(e) if e.kind() == ErrorKind::Timeout => return Err(not_in_time()),
            // Whatever else comes up again below.
            Ok(_) | Err(_) => {}
        }
        let guard = match limit.left() {
            None => Some(self.lock_flusher()),
            Some(left) => self.lock_flusher_for(left),
        };
        let Some(mut guard) = guard else {
            return Err(not_in_time());
        };
        let result = self.close_log(&mut guard);
        drop(guard.take_log());
        self.set_closed();
        drop(guard);
        self.wake_everyone();
        self.stop_ticker();
        self.events.finish();
        result
    }

    fn begin_close(&self, limit: Limit) -> Option<MutexGuard<'_, ()>> {
        match limit.left() {
            None => Some(self.closing.lock()),
            Some(left) => self.closing.try_lock_for(left),
        }
    }

    fn close_log(&self, guard: &mut FlushGuard<'_>) -> Result<()> {
        if self.phase() == Phase::Failed {
            return Err(self.not_durable(guard, &self.refusal()));
        }
        // The buffers change places only while none is pending.
        if let Err(error) = self.write_pending(guard) {
            self.staging.block();
            return Err(self.not_durable(guard, &error));
        }
        if let Some(sealed) = self.staging.shut() {
            guard.push(Pending::staged(sealed));
        }
        if let Err(error) = self.write_pending(guard) {
            return Err(self.not_durable(guard, &error));
        }
        let (next_epoch, _) = self.staging.current();
        match guard.log() {
            Some(log) => log.close(next_epoch).map_err(|e| {
                e.recast(
                    e.kind(),
                    "all epochs are durable, but the log's end was not noted",
                )
            }),
            None => Ok(()),
        }
    }

    fn not_durable(&self, guard: &FlushGuard<'_>, error: &Error) -> Error {
        let (current, staged) = self.staging.current();
        let first = self.durable().map_or(0, |d| d + 1).max(self.first_epoch);
        let last = match (staged, guard.pending_range()) {
            (1.., _) => current,
            (0, range) => range.map_or(first, |r| r.1),
        };
        error.recast(
            error.kind(),
            &format!("closed, but epochs {first} to {last} are not durable"),
        )
    }
}

fn not_in_time() -> Error {
    Error::new(
        ErrorKind::Timeout,
        "not everything staged became durable in time: still open",
    )
}
