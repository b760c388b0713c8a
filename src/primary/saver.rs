//! Bringing slots to the store: what rises by acknowledgements together, at
//! most once in an interval, by a thread that sleeps without a timer while
//! there is nothing to save; what changes otherwise at once, by who changes it.

use super::state::State;
use super::stats::EventKind;
use super::store::{Bounds, Store};
use super::{Core, passes};
use crate::error::{Error, ErrorKind, Result};
use crate::format::slot_journal::{FrameKind, FrameWriter};
use crate::log::heals;
use crate::sync::{AtomicBool, Condvar, Instant, Mutex, MutexGuard, Ordering, thread};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// What the thread and the others share.
#[derive(Default)]
pub(super) struct Saver {
    /// The thread knows that there is something to save.
    armed: AtomicBool,
    stop: Mutex<bool>,
    changed: Condvar,
    thread: Mutex<Option<thread::JoinHandle<()>>>,
}

impl fmt::Debug for Saver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Saver")
    }
}

impl Core {
    pub(super) fn start_saver(self: &Arc<Self>) -> Result<()> {
        let core = self.clone();
        let spawned = thread::Builder::new()
            .name("epochwal slots".into())
            .spawn(move || core.save_now_and_then());
        let handle = spawned.map_err(|e| {
            Error::new(ErrorKind::NoMemory, format!("start the slots' thread: {e}"))
        })?;
        *self.saver.thread.lock() = Some(handle);
        Ok(())
    }

    pub(super) fn stop_saver(&self) {
        *self.saver.stop.lock() = true;
        self.saver.changed.notify_all();
        let handle = self.saver.thread.lock().take();
        if let Some(handle) = handle {
            let _ = handle.join();
        }
    }

    /// Tells the thread that there is something to save.
    pub(super) fn arm_saver(&self) {
        if self.options.saver && !self.saver.armed.swap(true, Ordering::SeqCst) {
            // Under the lock, so that a thread between look and sleep hears it.
            let _stop = self.saver.stop.lock();
            self.saver.changed.notify_all();
        }
    }

    fn save_now_and_then(&self) {
        let interval = self.options.save_interval;
        let mut due = Instant::now();
        let mut stop = self.saver.stop.lock();
        while !*stop {
            if !self.saver.armed.load(Ordering::SeqCst) {
                self.saver.changed.wait(&mut stop);
                continue;
            }
            let left = due.saturating_duration_since(Instant::now());
            if !left.is_zero() {
                self.saver.changed.wait_for(&mut stop, left);
                continue;
            }
            drop(stop);
            // Before the look: what rises after it arms again.
            self.saver.armed.store(false, Ordering::SeqCst);
            let saved = catch_unwind(AssertUnwindSafe(|| self.save()));
            match saved {
                Ok(Ok(())) => {}
                Ok(Err(e)) if heals(&e) => self.saver.armed.store(true, Ordering::SeqCst),
                Ok(Err(_)) => {}
                Err(_) => self.fail(&Error::new(ErrorKind::Panic, "the slots' thread panicked")),
            }
            due = Instant::now() + interval;
            stop = self.saver.stop.lock();
        }
    }

    /// Saves all that acknowledgements have raised.
    pub(super) fn save(&self) -> Result<()> {
        let mut store = self.store.lock();
        self.save_risen(&mut store)
    }

    /// [`Core::save`] by one who has the store.
    pub(super) fn save_risen(&self, store: &mut MutexGuard<'_, Option<Store>>) -> Result<()> {
        let mut changes = FrameWriter::new(FrameKind::Changes);
        let mut taken = Vec::new();
        let bounds = {
            let mut state = self.state.lock();
            state.check_usable()?;
            for index in state.take_dirty() {
                let slot = &state.entry(index).slot;
                changes.put(slot);
                taken.push((index, slot.restart_lsn));
            }
            bounds(&state)
        };
        if taken.is_empty() {
            return Ok(());
        }
        let result = self.write(store, &changes, bounds);
        let mut state = self.state.lock();
        for (index, restart_lsn) in taken {
            match result {
                Ok(()) => state.entry_mut(index).saved_lsn = restart_lsn,
                Err(_) => _ = state.mark_dirty(index),
            }
        }
        result
    }

    /// Saves changes of the registry's shape before they are shown, and bounds
    /// for what the counters are planned to be. Without a store nothing is saved.
    pub(super) fn save_changes(
        &self,
        store: &mut MutexGuard<'_, Option<Store>>,
        changes: &FrameWriter,
    ) -> Result<()> {
        let bounds = bounds(&self.state.lock());
        match &**store {
            Some(store) if !changes.is_empty() || store.bounds() != bounds => {}
            _ => return Ok(()),
        }
        self.write(store, changes, bounds)
    }

    /// Keeps durably that a commit wait has called `lsn` reached. One save
    /// serves all who were called meanwhile.
    pub(super) fn save_quorum(&self, lsn: u64) -> Result<()> {
        if self.quorum_saved.load(Ordering::SeqCst) >= lsn {
            return Ok(());
        }
        let mut store = self.store.lock();
        if self.quorum_saved.load(Ordering::SeqCst) >= lsn {
            return Ok(());
        }
        let bounds = {
            let state = self.state.lock();
            state.check_usable()?;
            bounds(&state)
        };
        let nothing = FrameWriter::new(FrameKind::Changes);
        self.write(&mut store, &nothing, bounds)
    }

    fn write(
        &self,
        store: &mut MutexGuard<'_, Option<Store>>,
        changes: &FrameWriter,
        bounds: Bounds,
    ) -> Result<()> {
        if let Some(store) = &mut **store {
            let all = |base: &mut FrameWriter| {
                self.state.lock().stored().for_each(|slot| base.put(slot));
            };
            if let Err(error) = store.save(changes, bounds, all) {
                return Err(self.not_saved(error));
            }
        }
        let mut state = self.state.lock();
        state.short_of_space = false;
        state.topology.bound = bounds.topology;
        state.generation.bound = bounds.generation;
        self.quorum_saved.store(bounds.quorum_lsn, Ordering::SeqCst);
        Ok(())
    }

    fn not_saved(&self, error: Error) -> Error {
        if heals(&error) {
            let mut state = self.state.lock();
            state.stats.saves_without_space += 1;
            // Once, however often it is tried meanwhile.
            if !std::mem::replace(&mut state.short_of_space, true) {
                let now_ms = self.clock.unix_ms();
                state.trace.add(now_ms, EventKind::StoreWithoutSpace);
            }
            return error;
        }
        self.fail(&error);
        match error.is_lasting() {
            true => error.recast(
                ErrorKind::OutcomeUnknown,
                "the slots may or may not be saved",
            ),
            false => error,
        }
    }

    /// Everything that is not saved, and the counters as they are.
    pub(super) fn save_at_close(&self) -> Result<()> {
        let mut store = self.store.lock();
        let Some(open) = &mut *store else {
            return Ok(());
        };
        let before = open.bounds();
        let mut state = self.state.lock();
        state.check_store()?;
        // An open takes everyone for healthy.
        let sick = state
            .entries()
            .any(|(_, e)| e.replica.as_ref().is_some_and(|r| !r.healthy));
        let now = Bounds {
            topology: state.topology.now + u64::from(sick),
            generation: state.generation.now,
            quorum_lsn: state.quorum_lsn,
        };
        let mut changes = FrameWriter::new(FrameKind::Changes);
        for index in state.take_dirty() {
            changes.put(&state.entry(index).slot);
        }
        drop(state);
        if !changes.is_empty() || before != now {
            self.write(&mut store, &changes, now)?;
        }
        self.tell_quorum(now.quorum_lsn)
    }

    /// Tells the log, for those who open it without its slots.
    pub(super) fn tell_quorum(&self, lsn: u64) -> Result<()> {
        match self.wal.quorum() < lsn {
            true => passes(self.wal.save_quorum(lsn)),
            false => Ok(()),
        }
    }
}

fn bounds(state: &State) -> Bounds {
    Bounds {
        topology: state.topology.bound_to_save(),
        generation: state.generation.bound_to_save(),
        quorum_lsn: state.quorum_lsn,
    }
}
