//! Who follows the log: registering, leaving, being rebootstrapped, and being
//! seen. What changes the registry's shape is saved before it is shown.

use super::slot::{Origin, Slot};
use super::state::{Entry, Replica};
use super::{Core, Primary, too_many};
use crate::error::{Error, ErrorKind, Quoted, Result};
use crate::format::slot_journal::{FrameKind, FrameWriter, name_fault};

/// What a replica is given when it registers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// Its slot's restart LSN: for a new replica the end of the log.
    pub restart_lsn: u64,
    /// Names the session: acknowledgements of any other are refused.
    pub generation: u64,
    /// The slot was made now.
    pub created: bool,
}

impl Primary {
    /// Registers a replica, or connects it again: it keeps its slot and its
    /// progress, and its older session ends. A new one pins the end of the
    /// log. Without a region it keeps the one it has. Blocks on the disk where
    /// the replica is new, or has changed.
    ///
    /// [`ErrorKind::Invalid`] for a name that is empty, above 255 bytes or has a
    /// control character, [`ErrorKind::TooLarge`] above
    /// [`PrimaryOptions::max_slots`](super::PrimaryOptions::max_slots).
    pub fn register(&self, id: &str, region: Option<&str>) -> Result<Registration> {
        self.0.register(id, region, true)
    }

    /// As [`Primary::register`], but a session that there is goes on.
    pub fn ensure_registered(&self, id: &str, region: Option<&str>) -> Result<Registration> {
        self.0.register(id, region, false)
    }

    /// Takes a replica from the registry and ends its session. Its slot stays,
    /// and holds back what it held, unless it is a temporary one. Blocks on
    /// the disk. [`ErrorKind::NotFound`] where it is not registered.
    pub fn unregister(&self, id: &str) -> Result<()> {
        self.0.unregister(id)
    }

    /// Notes that a replica is being loaded from a snapshot, or not any more.
    /// Commits don't count on one that is. Blocks on the disk.
    /// [`ErrorKind::NotFound`] where it is not registered.
    pub fn set_rebootstrapping(&self, id: &str, rebootstrapping: bool) -> Result<()> {
        self.0.set_rebootstrapping(id, rebootstrapping)
    }

    /// Notes that a replica was sent records up to an LSN. Never blocks.
    ///
    /// [`ErrorKind::NotFound`] where it is not registered, [`ErrorKind::Fenced`] for
    /// any session but the newest, [`ErrorKind::Ahead`] beyond the end
    /// ([`Error::lsn`] is the end).
    pub fn note_pull(&self, id: &str, generation: u64, sent_lsn: u64) -> Result<()> {
        self.0.seen(id, generation, sent_lsn)
    }

    /// Notes that a replica was heard of. Never blocks. Errors as
    /// [`Primary::note_pull`].
    pub fn touch(&self, id: &str, generation: u64) -> Result<()> {
        self.0.seen(id, generation, 0)
    }
}

/// Refuses what can't be the name of a slot or a region.
pub(super) fn check_name(what: &str, name: &str) -> Result<()> {
    match name_fault(name) {
        None => Ok(()),
        Some(fault) => {
            let name = Quoted(name);
            Err(Error::invalid(format!("{what}: the name {name} {fault}")))
        }
    }
}

impl Core {
    fn register(&self, id: &str, region: Option<&str>, renew: bool) -> Result<Registration> {
        self.check_fork()?;
        check_name("id", id)?;
        if let Some(region) = region {
            check_name("region", region)?;
        }
        let _shape = self.shape.lock();
        let mut store = self.store.lock();
        let now_ms = self.clock.unix_ms();
        let mut state = self.state.lock();
        state.check_usable()?;
        let known = state.find(id).map(|index| state.entry(index));
        let mut slot = match known {
            Some(entry) => entry.slot.clone(),
            None if state.len() >= self.options.max_slots => return Err(too_many(&self.options)),
            None => Slot::new(id, self.wal.bounds().current_lsn, Origin::Pinned, now_ms),
        };
        let session = known.and_then(|e| Some(e.replica.as_ref()?.generation));
        let moved = region.is_some() && slot.region.as_deref() != region;
        let reshaped = moved || !slot.registered;
        let recovered = known.is_some_and(|e| e.replica.is_some() && !e.is_healthy());
        slot.registered = true;
        slot.region = region.map(str::to_owned).or(slot.region);
        let created = known.is_none();
        let rises = u64::from(reshaped) + u64::from(recovered);
        let kept = session.filter(|session| !renew && *session > 0);
        state.topology.plan(rises);
        state.generation.plan(u64::from(kept.is_none()));
        drop(state);
        let mut changes = FrameWriter::new(FrameKind::Changes);
        if reshaped && !slot.temporary {
            changes.put(&slot);
        }
        self.save_changes(&mut store, &changes)?;

        state = self.state.lock();
        state.topology.rise(rises);
        state.generation.rise(u64::from(kept.is_none()));
        let generation = kept.unwrap_or(state.generation.now);
        let index = match state.find(id) {
            Some(index) => index,
            None => state.insert(Entry::new(slot.clone(), self.clock.elapsed())),
        };
        let entry = state.entry_mut(index);
        (entry.slot.registered, entry.slot.region) = (true, slot.region);
        entry.slot.last_seen_ms = now_ms;
        entry.seen = self.clock.elapsed();
        let restart_lsn = entry.slot.restart_lsn;
        let slot = &entry.slot;
        let replica = entry.replica.get_or_insert_with(|| Replica::of(slot));
        replica.healthy = true;
        if replica.generation != generation {
            replica.generation = generation;
            replica.connected_ms = now_ms;
        }
        match created {
            true => state.stats.registrations += 1,
            false => state.stats.reconnects += 1,
        }
        if reshaped {
            state.recount();
        } else if recovered {
            state.recount_by_health();
        }
        Ok(Registration {
            restart_lsn,
            generation,
            created,
        })
    }

    fn unregister(&self, id: &str) -> Result<()> {
        self.check_fork()?;
        let _shape = self.shape.lock();
        let mut store = self.store.lock();
        let mut state = self.state.lock();
        state.check_usable()?;
        let index = state.find_replica(id)?;
        let mut slot = state.entry(index).slot.clone();
        slot.registered = false;
        state.topology.plan(1);
        drop(state);
        let mut changes = FrameWriter::new(FrameKind::Changes);
        if !slot.temporary {
            changes.put(&slot);
        }
        self.save_changes(&mut store, &changes)?;
        state = self.state.lock();
        state.topology.rise(1);
        match slot.temporary {
            true => state.remove(index),
            false => {
                let entry = state.entry_mut(index);
                entry.slot.registered = false;
                entry.replica = None;
            }
        }
        state.recount();
        Ok(())
    }

    fn set_rebootstrapping(&self, id: &str, rebootstrapping: bool) -> Result<()> {
        self.check_fork()?;
        let _shape = self.shape.lock();
        let mut store = self.store.lock();
        let mut state = self.state.lock();
        state.check_usable()?;
        let index = state.find_replica(id)?;
        let mut slot = state.entry(index).slot.clone();
        if slot.rebootstrapping == rebootstrapping {
            return Ok(());
        }
        slot.rebootstrapping = rebootstrapping;
        state.topology.plan(1);
        drop(state);
        let mut changes = FrameWriter::new(FrameKind::Changes);
        if !slot.temporary {
            changes.put(&slot);
        }
        self.save_changes(&mut store, &changes)?;
        state = self.state.lock();
        state.topology.rise(1);
        state.entry_mut(index).slot.rebootstrapping = rebootstrapping;
        state.recount();
        Ok(())
    }

    fn seen(&self, id: &str, generation: u64, sent_lsn: u64) -> Result<()> {
        self.check_fork()?;
        let mut state = self.state.lock();
        state.check_usable()?;
        let end = state.end(&*self.wal);
        let index = state.find_replica(id)?;
        check_session(state.entry(index), generation)?;
        if sent_lsn > end {
            return Err(beyond_the_end(sent_lsn, end));
        }
        let entry = state.entry_mut(index);
        if let Some(replica) = &mut entry.replica {
            replica.sent = replica.sent.max(sent_lsn);
        }
        self.see(&mut state, index);
        Ok(())
    }
}

/// Refuses a session that is not the newest of its replica.
pub(super) fn check_session(entry: &Entry, generation: u64) -> Result<()> {
    let current = entry.replica.as_ref().map_or(0, |r| r.generation);
    if current != 0 && generation == current {
        return Ok(());
    }
    let what = match current {
        0 => "has no session: register it again".to_owned(),
        _ => format!("is in session {current}, this is one of {generation}"),
    };
    let id = Quoted(&entry.slot.id);
    Err(Error::new(
        ErrorKind::Fenced,
        format!("replica {id} {what}"),
    ))
}

pub(super) fn beyond_the_end(lsn: u64, end: u64) -> Error {
    Error::new(
        ErrorKind::Ahead,
        format!("LSN {lsn} is beyond the durable end of the log, {end}"),
    )
    .with_lsn(end)
}
