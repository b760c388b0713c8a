//! The background thread: flushes what nobody waits for within the epoch
//! interval, what was requested at once, and runs callbacks. Asleep without a
//! timer while there is nothing of the kind.

use super::DurableFn;
use super::core::{Phase, Sequencer, in_callback};
use crate::error::{Error, ErrorKind, Result};
use crate::sync::{AtomicBool, Condvar, Mutex, MutexGuard, Ordering, thread};
use crate::wrong::{self, Wrong};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

/// How long a flush that found no space waits for the next try.
const SPACE_RETRY: Duration = Duration::from_millis(100);

#[derive(Default)]
struct State {
    /// Flush through this epoch now.
    requested: u64,
    stop: bool,
    callbacks: Vec<(u64, DurableFn)>,
}

/// What the thread and the others share.
#[derive(Default)]
pub(crate) struct Ticker {
    /// The thread knows of staged batches and will look after them.
    armed: AtomicBool,
    state: Mutex<State>,
    changed: Condvar,
    thread: Mutex<Option<thread::JoinHandle<()>>>,
}

impl Ticker {
    /// Wakes the thread to look at everything again.
    pub(crate) fn notify(&self) {
        // Under the lock, so that a thread between look and sleep hears it.
        let _state = self.state.lock();
        self.changed.notify_all();
    }
}

impl Sequencer {
    /// Starts the thread.
    pub(crate) fn start_ticker(self: &Arc<Self>) -> Result<()> {
        let core = self.clone();
        let spawned = thread::Builder::new()
            .name("epochwal".into())
            .spawn(move || core.tick());
        match spawned {
            Ok(handle) => {
                *self.ticker.thread.lock() = Some(handle);
                Ok(())
            }
            Err(e) => Err(Error::new(
                ErrorKind::NoMemory,
                format!("start the flusher's thread: {e}"),
            )),
        }
    }

    /// Stops the thread after it has run what callbacks are left, and waits
    /// for it.
    pub(crate) fn stop_ticker(&self) {
        self.ticker.state.lock().stop = true;
        self.ticker.notify();
        let handle = self.ticker.thread.lock().take();
        if let Some(handle) = handle {
            let _ = handle.join();
        }
    }

    /// Tells the thread that something is staged and nobody waits for it.
    pub(crate) fn arm(&self) {
        if self.interval().is_some() && !self.ticker.armed.swap(true, Ordering::SeqCst) {
            self.ticker.notify();
        }
    }

    /// Asks for a flush through `epoch` now.
    pub(crate) fn request(&self, epoch: u64) {
        let mut state = self.ticker.state.lock();
        if state.requested < epoch {
            state.requested = epoch;
            self.ticker.changed.notify_all();
        }
    }

    /// Runs `callback` once the fate of `epoch` is known.
    pub(crate) fn add_callback(&self, epoch: u64, callback: DurableFn) -> Result<()> {
        let mut state = self.ticker.state.lock();
        if state.stop {
            drop(state);
            return Err(self.closed());
        }
        self.callbacks_pending.fetch_add(1, Ordering::SeqCst);
        state.callbacks.push((epoch, callback));
        state.requested = state.requested.max(epoch);
        self.ticker.changed.notify_all();
        Ok(())
    }

    fn tick(&self) {
        let mut state = self.ticker.state.lock();
        loop {
            state = self.run_callbacks(state);
            if state.stop {
                if state.callbacks.is_empty() {
                    return;
                }
                continue;
            }
            if self.phase() != Phase::Open {
                self.ticker.changed.wait(&mut state);
                continue;
            }
            match self.next_flush(state.requested) {
                Next::Now => {
                    drop(state);
                    self.flush_unwatched();
                    state = self.ticker.state.lock();
                    self.pause_without_space(&mut state);
                }
                Next::In(wait) => {
                    self.ticker.changed.wait_for(&mut state, wait);
                }
                Next::Nothing => self.sleep(&mut state),
            }
        }
    }

    /// A flush whose outcome shows in the epochs. A panic in it has failed the
    /// sequencer; the thread goes on, for it owes callbacks their call.
    fn flush_unwatched(&self) {
        let flush = || {
            let mut guard = self.lock_flusher();
            let _ = self.flush_once(&mut guard);
        };
        drop(catch_unwind(AssertUnwindSafe(flush)));
    }

    /// Sleeps with nothing to do; a submit that arms in between is heard.
    fn sleep(&self, state: &mut MutexGuard<'_, State>) {
        self.ticker.armed.store(false, Ordering::SeqCst);
        let staged = self.staging.started().is_some() || self.alone_pending.load(Ordering::SeqCst);
        if self.interval().is_none() || !staged || wrong::is(Wrong::TickerDoesNotLookAgain) {
            self.ticker.changed.wait(state);
        }
        self.ticker.armed.store(true, Ordering::SeqCst);
    }

    fn pause_without_space(&self, state: &mut MutexGuard<'_, State>) {
        if self.short_of_space.load(Ordering::SeqCst) && !state.stop {
            self.ticker.changed.wait_for(state, SPACE_RETRY);
        }
    }

    fn next_flush(&self, requested: u64) -> Next {
        let durable = self.durable();
        let (current, staged) = self.staging.current();
        let highest = if staged > 0 {
            Some(current)
        } else {
            current.checked_sub(1)
        };
        let wanted = requested >= self.first_epoch && Some(requested) > durable;
        let pending = highest > durable && highest >= Some(self.first_epoch);
        if wanted && pending {
            return Next::Now;
        }
        let Some(interval) = self.interval() else {
            return Next::Nothing;
        };
        let stuck = self.short_of_space.load(Ordering::SeqCst) && pending;
        if stuck || self.alone_pending.load(Ordering::SeqCst) {
            return Next::Now;
        }
        match self.staging.started() {
            None => Next::Nothing,
            Some(started) => {
                let waited = self.now().saturating_sub(started);
                if waited >= interval {
                    Next::Now
                } else {
                    Next::In(Duration::from_nanos(interval - waited))
                }
            }
        }
    }

    /// Runs the callbacks whose epoch's fate is known, without the lock.
    fn run_callbacks<'a>(&'a self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let mut due = Vec::new();
        let all = std::mem::take(&mut state.callbacks);
        for (epoch, callback) in all {
            match self.outcome(epoch) {
                Some(outcome) => due.push((epoch, callback, outcome)),
                None if state.stop => due.push((epoch, callback, Err(self.closed()))),
                None => state.callbacks.push((epoch, callback)),
            }
        }
        if due.is_empty() {
            return state;
        }
        drop(state);
        for (epoch, callback, outcome) in due {
            self.callbacks_pending.fetch_sub(1, Ordering::SeqCst);
            in_callback(|| callback(epoch, outcome));
        }
        self.ticker.state.lock()
    }
}

enum Next {
    Now,
    In(Duration),
    Nothing,
}
