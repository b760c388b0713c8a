//! Limits on what slots may hold back, and what they rely on: who is healthy,
//! which slots are given up, and how far the log may be pruned or cut.

use super::slot::{self, Cause, Invalidation, Slot, SlotInfo};
use super::state::Entry;
use super::wal::Bounds;
use super::{Core, Primary, passes};
use crate::error::{Error, ErrorKind, Result};
use crate::format::slot_journal::{FrameKind, FrameWriter};
use std::time::Duration;

impl Primary {
    /// Looks at everyone's health and gives up slots that are beyond a limit;
    /// gives those. Time is measured by a clock that only goes on, from when
    /// the primary was opened or saw the replica last: `now_unix_ms` (0: by
    /// the system's clock) only stamps what is done. Blocks on the disk.
    pub fn enforce_limits(&self, now_unix_ms: u64) -> Result<Vec<SlotInfo>> {
        self.0.check_fork()?;
        let _shape = self.0.shape.lock();
        self.0.sweep(now_unix_ms, Sweep::All)
    }

    /// Prunes what nobody holds: after a look at the limits, and a save of the
    /// slots, through the lowest saved restart LSN of the valid slots, not
    /// beyond the end, nor beyond `archived_lsn` where there is an archive.
    /// Gives what the log's prune gives. Blocks on the disk.
    ///
    /// Where there is no space to save slots it prunes by what was saved
    /// before, because that is how space comes back.
    pub fn prune(&self, archived_lsn: Option<u64>) -> Result<u64> {
        let archived = archived_lsn.unwrap_or(u64::MAX);
        self.prune_with(archived, |lsn| self.0.wal.prune_through(lsn))
    }

    /// As [`Primary::prune`], through `limit` at most, by a prune of the
    /// caller's: for the log's own function, which must not go further.
    #[doc(hidden)]
    pub fn prune_with(&self, limit: u64, prune: impl FnOnce(u64) -> Result<u64>) -> Result<u64> {
        self.0.prune_with(limit, prune)
    }

    /// Cuts the log behind `lsn` by a function of the caller's, and gives up
    /// the slots beyond. Refused below what a commit wait called reached.
    /// Blocks on the disk.
    #[doc(hidden)]
    pub fn truncate_with(&self, lsn: u64, cut: impl FnOnce() -> Result<()>) -> Result<()> {
        self.0.truncate_with(lsn, cut)
    }

    /// Saves at once what acknowledgements have raised. Blocks on the disk.
    pub fn save(&self) -> Result<()> {
        self.0.check_fork()?;
        self.0.save()
    }
}

/// What a sweep looks for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sweep {
    All,
    /// Slots whose log is not there, or not any more.
    Lost,
}

impl Core {
    /// See [`Primary::prune_with`].
    pub(super) fn prune_with(
        &self,
        limit: u64,
        prune: impl FnOnce(u64) -> Result<u64>,
    ) -> Result<u64> {
        self.check_fork()?;
        let _shape = self.shape.lock();
        passes(self.sweep(0, Sweep::All).map(|_| ()))?;
        self.prune(limit, prune)
    }

    /// See [`Primary::truncate_with`].
    pub(super) fn truncate_with(&self, lsn: u64, cut: impl FnOnce() -> Result<()>) -> Result<()> {
        self.check_fork()?;
        let _shape = self.shape.lock();
        self.truncate(lsn, cut)
    }

    /// Gives up the slots that the log is not there for: pruned without them,
    /// or shorter than they say.
    pub(super) fn give_up_the_lost(&self) -> Result<()> {
        let _shape = self.shape.lock();
        passes(self.sweep(0, Sweep::Lost).map(|_| ()))
    }

    /// One look at everyone, by one who has the shape. Saved, then shown.
    fn sweep(&self, now_unix_ms: u64, what: Sweep) -> Result<Vec<SlotInfo>> {
        let mut store = self.store.lock();
        let now = self.clock.elapsed();
        let now_ms = match now_unix_ms {
            0 => self.clock.unix_ms(),
            given => given,
        };
        let mut changes = FrameWriter::new(FrameKind::Changes);
        let (mut doomed, mut flips) = (Vec::new(), Vec::new());
        let mut state = self.state.lock();
        state.check_usable()?;
        // Read under the lock: no slot has come further than that.
        let bounds = self.wal.bounds();
        for (index, entry) in state.entries() {
            let healthy = now.saturating_sub(entry.seen) <= self.options.healthy_for;
            let was = entry.replica.as_ref().map(|r| r.healthy);
            if what == Sweep::All && was.is_some_and(|was| was != healthy) {
                flips.push((index, healthy));
            }
            let Some(cause) = self.doom_of(entry, &bounds, now, what) else {
                continue;
            };
            doomed.push((index, cause));
            if !entry.slot.temporary {
                let mut slot = entry.slot.clone();
                slot.invalidation = Some(Invalidation {
                    cause,
                    at_ms: now_ms,
                });
                changes.put(&slot);
            }
        }
        state.topology.plan(flips.len() as u64);
        drop(state);
        self.save_changes(&mut store, &changes)?;
        let given_up = doomed
            .into_iter()
            .map(|(i, cause)| self.invalidate(i, cause, now_ms));
        let given_up: Vec<_> = given_up.collect();
        state = self.state.lock();
        let mut flipped = 0;
        for (index, healthy) in flips {
            if let Some(replica) = &mut state.entry_mut(index).replica {
                // Who was heard of since has been counted then.
                flipped += u64::from(replica.healthy != healthy);
                replica.healthy = healthy;
            }
        }
        state.topology.rise(flipped);
        match given_up.is_empty() {
            false => state.recount(),
            true if flipped > 0 => state.recount_by_health(),
            true => {}
        }
        Ok(given_up)
    }

    /// Why a slot is to be given up; none: it is not.
    fn doom_of(&self, entry: &Entry, bounds: &Bounds, now: Duration, what: Sweep) -> Option<Cause> {
        let slot = &entry.slot;
        if !slot.is_valid() {
            return None;
        }
        // A log that ends before the slot was cut, or is another one.
        let ends_before = slot.restart_lsn.max(slot.confirmed_lsn) > bounds.current_lsn;
        if slot::needs_what_is_gone(slot.restart_lsn, bounds) || ends_before {
            return Some(Cause::WalRemoved);
        }
        if what == Sweep::Lost {
            return None;
        }
        let in_bytes = self.options.horizon_bytes.is_some();
        let lag = slot::lag_of(slot.restart_lsn, bounds, &*self.wal, in_bytes);
        if slot::is_beyond(lag, &self.options, 1) {
            return Some(Cause::Horizon);
        }
        let idle = now.saturating_sub(entry.seen);
        let timeout = self.options.idle_timeout?;
        (idle > timeout).then_some(Cause::IdleTimeout)
    }

    fn prune(&self, limit: u64, prune: impl FnOnce(u64) -> Result<u64>) -> Result<u64> {
        let mut store = self.store.lock();
        passes(self.save_risen(&mut store))?;
        drop(store);
        let end = self.wal.bounds().current_lsn;
        let mut state = self.state.lock();
        state.check_usable()?;
        let floor = state.entries().filter_map(|(_, entry)| entry.floor()).min();
        let quorum_lsn = state.quorum_lsn;
        state.stats.prunes += 1;
        drop(state);
        if self.stored {
            self.tell_quorum(quorum_lsn)?;
        }
        prune(floor.unwrap_or(end).min(limit).min(end))
    }

    fn truncate(&self, lsn: u64, cut: impl FnOnce() -> Result<()>) -> Result<()> {
        let kept = self.wal.quorum();
        let mut state = self.state.lock();
        state.check_usable()?;
        let reached = state.quorum_lsn.max(state.waiters.highest_reached());
        let quorum_lsn = reached.max(kept);
        if lsn < quorum_lsn {
            return Err(Error::new(
                ErrorKind::Order,
                format!("LSN {lsn} is below {quorum_lsn}, which a quorum has acknowledged"),
            )
            .with_lsn(quorum_lsn));
        }
        let before = state.begin_cut(lsn);
        drop(state);
        let done = cut();
        let now_ms = self.clock.unix_ms();
        let mut state = self.state.lock();
        if let Err(error) = done {
            state.undo_cut(before);
            return Err(error);
        }
        state.cutting = None;
        let is_beyond = |slot: &Slot| slot.restart_lsn.max(slot.confirmed_lsn) > lsn;
        let all = state.entries();
        let beyond = all.filter(|(_, e)| e.slot.is_valid() && is_beyond(&e.slot));
        let beyond: Vec<u32> = beyond.map(|(index, _)| index).collect();
        drop(state);
        // The log is cut whether or not this can be saved: an open would find
        // them beyond its end.
        for index in beyond {
            self.invalidate(index, Cause::WalRemoved, now_ms);
            self.state.lock().mark_dirty(index);
        }
        self.state.lock().recount();
        self.save()
    }
}
