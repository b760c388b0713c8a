//! Acknowledgements: how far a replica says it has come.

use super::policy::Level;
use super::registry::{beyond_the_end, check_session};
use super::slot::Origin;
use super::state::State;
use super::{Core, Primary};
use crate::error::{Error, ErrorKind, Quoted, Result};

/// How far a replica has come. What is below an earlier acknowledgement
/// changes nothing: all of it only rises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ack {
    /// Received. What is durable or applied was.
    pub written: u64,
    /// On stable storage: the slot's restart LSN follows it.
    pub durable: u64,
    /// Applied: the slot's confirmed LSN follows it.
    pub applied: u64,
    /// Records that could not be applied, in all.
    pub apply_errors: u64,
    /// Differences that the replica has found, in all.
    pub divergences: u64,
}

impl Primary {
    /// Takes an acknowledgement of a session. It is in force at once, and
    /// saved a little later: at the latest after the save interval, and before
    /// a prune that relies on it.
    ///
    /// Never blocks. Refused, and without effect: [`ErrorKind::NotFound`] for an id
    /// that is not registered, [`ErrorKind::Fenced`] for any session but the
    /// newest, [`ErrorKind::Ahead`] beyond the durable end of the log
    /// ([`Error::lsn`] is the end), [`ErrorKind::WalRemoved`] for a slot that was
    /// given up.
    pub fn ack(&self, id: &str, generation: u64, ack: &Ack) -> Result<()> {
        self.0.ack(id, generation, ack)
    }
}

impl Core {
    fn ack(&self, id: &str, generation: u64, ack: &Ack) -> Result<()> {
        self.check_fork()?;
        let written = ack.written.max(ack.durable).max(ack.applied);
        let mut state = self.state.lock();
        state.check_usable()?;
        let end = state.end(&*self.wal);
        let Ok(index) = state.find_replica(id) else {
            state.stats.acks_unknown += 1;
            return state.find_replica(id).map(|_| ());
        };
        if let Err(e) = check_session(state.entry(index), generation) {
            state.stats.acks_fenced += 1;
            return Err(e);
        }
        if let Some(invalid) = state.entry(index).slot.invalidation {
            state.stats.acks_invalid += 1;
            let (id, cause) = (Quoted(id), invalid.cause.name());
            return Err(Error::new(
                ErrorKind::WalRemoved,
                format!("slot {id} was invalidated ({cause}): it needs a new bootstrap"),
            ));
        }
        if written > end {
            state.stats.acks_ahead += 1;
            return Err(beyond_the_end(written, end));
        }
        state.stats.acks += 1;
        let risen = raise(&mut state, index, [written, ack.durable, ack.applied]);
        let entry = state.entry_mut(index);
        if let Some(replica) = &mut entry.replica {
            // It has what it was sent, whether or not anyone has noted that.
            replica.sent = replica.sent.max(written);
            replica.apply_errors = replica.apply_errors.max(ack.apply_errors);
            replica.divergences = replica.divergences.max(ack.divergences);
        }
        let first = risen && state.mark_dirty(index);
        self.see(&mut state, index);
        drop(state);
        if first {
            self.arm_saver();
        }
        Ok(())
    }

    /// A replica is there.
    pub(super) fn see(&self, state: &mut State, index: u32) {
        let entry = state.entry_mut(index);
        entry.seen = self.clock.elapsed();
        entry.slot.last_seen_ms = self.clock.unix_ms();
        if entry.replica.is_none() || entry.is_healthy() {
            return;
        }
        // Where a save has to come first, the next look at the limits makes it.
        if state.topology.try_rise() {
            if let Some(replica) = &mut state.entry_mut(index).replica {
                replica.healthy = true;
            }
            state.recount_by_health();
        }
    }
}

/// Raises a replica's positions and its slot, and counts for those who wait;
/// true where the slot has changed.
fn raise(state: &mut State, index: u32, to: [u64; 3]) -> bool {
    let (entry, waiters) = state.entry_and_waiters(index);
    for level in Level::ALL {
        let Some(replica) = &mut entry.replica else {
            return false;
        };
        let from = replica.positions[level as usize];
        let to = to[level as usize];
        if to <= from {
            continue;
        }
        replica.positions[level as usize] = to;
        if entry.counts() {
            waiters.advance(index, entry, level, from, to);
        }
    }
    let [_, durable, applied] = to;
    let slot = &mut entry.slot;
    let before = (slot.restart_lsn, slot.confirmed_lsn, slot.origin);
    slot.restart_lsn = slot.restart_lsn.max(durable);
    slot.confirmed_lsn = slot.confirmed_lsn.max(applied);
    if durable > 0 && durable == slot.restart_lsn {
        slot.origin = Origin::Acknowledged;
    }
    before != (slot.restart_lsn, slot.confirmed_lsn, slot.origin)
}
