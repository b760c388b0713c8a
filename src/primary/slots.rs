//! Slots by hand: made, dropped, revived, listed.

use super::slot::{self, Cause, Invalidation, Origin, Slot, SlotInfo};
use super::state::Entry;
use super::stats::EventKind;
use super::wal::Bounds;
use super::{Core, Primary, registry, too_many};
use crate::error::{Error, ErrorKind, Quoted, Result};
use crate::format::slot_journal::{FrameKind, FrameWriter};

impl Primary {
    /// Makes a slot at an LSN, or at the end of the log; a temporary one is
    /// not saved, and is gone when its replica unregisters or the primary
    /// closes. Blocks on the disk.
    ///
    /// [`ErrorKind::Exists`]; [`ErrorKind::WalRemoved`] below the first LSN that can
    /// be read, [`ErrorKind::Ahead`] beyond the end ([`Error::lsn`] is that LSN);
    /// [`ErrorKind::Invalid`] and [`ErrorKind::TooLarge`] as
    /// [`Primary::register`].
    pub fn slot_create(&self, id: &str, lsn: Option<u64>, temporary: bool) -> Result<()> {
        self.0.slot_create(id, lsn, temporary)
    }

    /// Drops a slot, and its replica from the registry: what it held back may be
    /// pruned. Blocks on the disk. [`ErrorKind::NotFound`] where there is none.
    pub fn slot_drop(&self, id: &str) -> Result<()> {
        self.0.slot_drop(id)
    }

    /// Revives a slot after a new bootstrap of its replica, which has
    /// everything up to `lsn` (none: the end of the log); what it acknowledged
    /// before counts no more. A slot that is valid can't be set back: drop it,
    /// and make it again. Blocks on the disk.
    ///
    /// [`ErrorKind::NotFound`]; [`ErrorKind::Order`] for a valid slot above `lsn`
    /// ([`Error::lsn`] is where it stands), [`ErrorKind::WalRemoved`] and
    /// [`ErrorKind::Ahead`] as [`Primary::slot_create`].
    pub fn slot_reset(&self, id: &str, lsn: Option<u64>) -> Result<()> {
        self.0.slot_reset(id, lsn)
    }

    /// All slots, by id, as they were at one moment. Never blocks.
    pub fn slots(&self) -> Vec<SlotInfo> {
        let bounds = self.0.wal.bounds();
        let state = self.0.state.lock();
        let all = state.entries().map(|(_, entry)| entry);
        let mut slots: Vec<_> = all.map(|entry| self.0.info(entry, &bounds)).collect();
        drop(state);
        slots.sort_unstable_by(|a, b| a.slot.id.cmp(&b.slot.id));
        slots
    }

    /// One slot. Never blocks. [`ErrorKind::NotFound`] where there is none.
    pub fn slot(&self, id: &str) -> Result<SlotInfo> {
        let bounds = self.0.wal.bounds();
        let state = self.0.state.lock();
        let index = state.find_slot(id)?;
        Ok(self.0.info(state.entry(index), &bounds))
    }
}

impl Core {
    pub(super) fn info(&self, entry: &Entry, bounds: &Bounds) -> SlotInfo {
        let (wal_status, safe_wal_size) =
            slot::status(&entry.slot, bounds, &*self.wal, &self.options);
        SlotInfo {
            slot: entry.slot.clone(),
            saved_lsn: entry.saved_lsn,
            wal_status,
            safe_wal_size,
        }
    }

    /// Refuses a place where a slot can't stand.
    fn check_place(&self, lsn: u64, bounds: &Bounds) -> Result<()> {
        if slot::needs_what_is_gone(lsn, bounds) {
            let gone = bounds.pruned_through;
            return Err(Error::new(
                ErrorKind::WalRemoved,
                format!("LSN {lsn}: what a slot there needs is gone, through {gone}"),
            )
            .with_lsn(gone.saturating_add(1)));
        }
        match lsn > bounds.current_lsn {
            true => Err(registry::beyond_the_end(lsn, bounds.current_lsn)),
            false => Ok(()),
        }
    }

    fn slot_create(&self, id: &str, lsn: Option<u64>, temporary: bool) -> Result<()> {
        self.check_fork()?;
        registry::check_name("id", id)?;
        let _shape = self.shape.lock();
        let mut store = self.store.lock();
        let bounds = self.wal.bounds();
        let lsn = lsn.unwrap_or(bounds.current_lsn);
        self.check_place(lsn, &bounds)?;
        let mut state = self.state.lock();
        state.check_usable()?;
        if state.find(id).is_some() {
            let what = format!("slot {}: there is one already", Quoted(id));
            return Err(Error::new(ErrorKind::Exists, what));
        }
        if state.len() >= self.options.max_slots {
            return Err(too_many(&self.options));
        }
        state.topology.plan(0);
        drop(state);
        let mut slot = Slot::new(id, lsn, Origin::Given, self.clock.unix_ms());
        slot.confirmed_lsn = lsn;
        slot.temporary = temporary;
        let mut changes = FrameWriter::new(FrameKind::Changes);
        if !temporary {
            changes.put(&slot);
        }
        self.save_changes(&mut store, &changes)?;
        state = self.state.lock();
        state.insert(Entry::new(slot, self.clock.elapsed()));
        Ok(())
    }

    fn slot_drop(&self, id: &str) -> Result<()> {
        self.check_fork()?;
        let _shape = self.shape.lock();
        let mut store = self.store.lock();
        let mut state = self.state.lock();
        state.check_usable()?;
        let index = state.find_slot(id)?;
        let entry = state.entry(index);
        let (member, temporary) = (entry.replica.is_some(), entry.slot.temporary);
        state.topology.plan(u64::from(member));
        drop(state);
        let mut changes = FrameWriter::new(FrameKind::Changes);
        if !temporary {
            changes.drop_slot(id);
        }
        self.save_changes(&mut store, &changes)?;
        state = self.state.lock();
        state.topology.rise(u64::from(member));
        state.remove(index);
        state.recount();
        Ok(())
    }

    fn slot_reset(&self, id: &str, lsn: Option<u64>) -> Result<()> {
        self.check_fork()?;
        let _shape = self.shape.lock();
        let mut store = self.store.lock();
        let mut state = self.state.lock();
        state.check_usable()?;
        let index = state.find_slot(id)?;
        // Read under the lock: no slot has come further than that.
        let bounds = self.wal.bounds();
        let lsn = lsn.unwrap_or(bounds.current_lsn);
        self.check_place(lsn, &bounds)?;
        let mut slot = state.entry(index).slot.clone();
        state.topology.plan(0);
        drop(state);
        let set = |slot: &mut Slot, now_ms| {
            (slot.restart_lsn, slot.confirmed_lsn) = (lsn, lsn);
            slot.invalidation = None;
            slot.origin = Origin::Given;
            slot.last_seen_ms = now_ms;
        };
        let now_ms = self.clock.unix_ms();
        if slot.is_valid() && lsn < slot.restart_lsn {
            let at = slot.restart_lsn;
            let what = format!("slot {} is valid and stands at {at}", Quoted(id));
            return Err(Error::new(ErrorKind::Order, what).with_lsn(at));
        }
        set(&mut slot, now_ms);
        let mut changes = FrameWriter::new(FrameKind::Changes);
        if !slot.temporary {
            changes.put(&slot);
        }
        self.save_changes(&mut store, &changes)?;
        state = self.state.lock();
        let entry = state.entry_mut(index);
        // An acknowledgement may have raised a valid slot meanwhile.
        if !entry.slot.is_valid() || entry.slot.restart_lsn <= lsn {
            set(&mut entry.slot, now_ms);
            entry.saved_lsn = lsn;
        }
        entry.seen = self.clock.elapsed();
        if let Some(replica) = &mut entry.replica {
            replica.positions = [0; 3];
        }
        state.recount();
        Ok(())
    }

    /// Slots that are to be invalidated, and why.
    pub(super) fn invalidate(&self, index: u32, cause: Cause, now_ms: u64) -> SlotInfo {
        let bounds = self.wal.bounds();
        let mut state = self.state.lock();
        let invalidation = Invalidation {
            cause,
            at_ms: now_ms,
        };
        let entry = state.entry_mut(index);
        entry.slot.invalidation = Some(invalidation);
        let info = self.info(entry, &bounds);
        state.stats.invalidated(cause);
        let kind = EventKind::SlotInvalidated {
            id: info.slot.id.clone(),
            cause,
            restart_lsn: info.slot.restart_lsn,
        };
        state.trace.add(now_ms, kind);
        info
    }
}
