//! What a primary has in memory: slots, the replicas behind them, and who
//! waits for them. One lock holds all of it; nothing under that lock blocks or
//! does I/O, and an acknowledgement touches one entry.

use super::policy::Level;
use super::quorum::{Fate, Waiters};
use super::slot::{Origin, Slot};
use super::stats::{PrimaryStats, Trace};
use super::wal::Wal;
use crate::error::{Error, ErrorKind, Quoted, Result};
use std::collections::HashMap;
use std::time::Duration;

/// A member of the registry.
#[derive(Clone, Debug)]
pub(super) struct Replica {
    /// Of its session; 0 where it has none since the primary was opened.
    pub(super) generation: u64,
    pub(super) connected_ms: u64,
    pub(super) healthy: bool,
    pub(super) sent: u64,
    /// By level.
    pub(super) positions: [u64; 3],
    pub(super) apply_errors: u64,
    pub(super) divergences: u64,
}

impl Replica {
    /// A member of whom is known what its slot says. What a registration
    /// pinned, or an operator gave, was never acknowledged by it.
    pub(super) fn of(slot: &Slot) -> Replica {
        let (durable, applied) = match slot.origin {
            Origin::Acknowledged => (slot.restart_lsn, slot.confirmed_lsn),
            Origin::Pinned | Origin::Given => (0, 0),
        };
        Replica {
            generation: 0,
            connected_ms: 0,
            healthy: true,
            sent: durable.max(applied),
            positions: [durable.max(applied), durable, applied],
            apply_errors: 0,
            divergences: 0,
        }
    }
}

/// A slot, and the replica behind it.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) slot: Slot,
    /// The restart LSN that a crash would leave.
    pub(super) saved_lsn: u64,
    pub(super) dirty: bool,
    /// When it was seen, by the clock that only goes on.
    pub(super) seen: Duration,
    pub(super) replica: Option<Replica>,
}

impl Entry {
    pub(super) fn new(slot: Slot, seen: Duration) -> Entry {
        Entry {
            saved_lsn: slot.restart_lsn,
            dirty: false,
            seen,
            replica: slot.registered.then(|| Replica::of(&slot)),
            slot,
        }
    }

    /// Whether commits may count on it.
    pub(super) fn counts(&self) -> bool {
        self.replica.is_some() && self.slot.is_valid() && !self.slot.rebootstrapping
    }

    pub(super) fn is_healthy(&self) -> bool {
        self.replica.as_ref().is_some_and(|r| r.healthy)
    }

    pub(super) fn position(&self, level: Level) -> u64 {
        self.replica
            .as_ref()
            .map_or(0, |r| r.positions[level as usize])
    }

    /// What a prune must keep for it: what a crash would leave.
    pub(super) fn floor(&self) -> Option<u64> {
        self.slot.is_valid().then(|| match self.slot.temporary {
            true => self.slot.restart_lsn,
            false => self.saved_lsn.min(self.slot.restart_lsn),
        })
    }
}

/// A number that was shown to others and must not be shown again with another
/// meaning: the store keeps a bound above it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counter {
    pub(super) now: u64,
    /// What the store has.
    pub(super) bound: u64,
    /// How far it rises with the change that is being saved.
    planned: u64,
}

impl Counter {
    /// How far ahead of itself a counter is saved.
    const RESERVE: u64 = 1024;

    pub(super) fn starting_at(bound: u64) -> Counter {
        Counter {
            now: bound,
            bound,
            planned: 0,
        }
    }

    /// One that nobody keeps.
    pub(super) fn unkept() -> Counter {
        Counter {
            bound: u64::MAX,
            ..Counter::default()
        }
    }

    /// It is to rise by this much once that is saved. One change at a time is.
    pub(super) fn plan(&mut self, by: u64) {
        self.planned = by;
    }

    /// The bound that a save must have for what is planned.
    pub(super) fn bound_to_save(&self) -> u64 {
        let next = self.now + self.planned;
        match next <= self.bound {
            true => self.bound,
            false => next + Self::RESERVE,
        }
    }

    /// It rises by what was planned, or less.
    pub(super) fn rise(&mut self, by: u64) {
        self.now += by;
        self.planned = 0;
    }

    /// Rises by one without a save, where the bound leaves room for that and
    /// for what is planned.
    pub(super) fn try_rise(&mut self) -> bool {
        let has_room = self.now + self.planned < self.bound;
        self.now += u64::from(has_room);
        has_room
    }
}

/// Everything under the lock.
#[derive(Debug)]
pub(super) struct State {
    entries: Vec<Option<Entry>>,
    free: Vec<u32>,
    by_id: HashMap<String, u32>,
    /// Entries whose slot has risen since it was saved.
    dirty: Vec<u32>,
    pub(super) topology: Counter,
    pub(super) generation: Counter,
    /// The highest LSN that a commit wait called reached.
    pub(super) quorum_lsn: u64,
    /// The log is being cut behind this LSN: until that is done nobody has
    /// anything above it, so that nothing there is called reached.
    pub(super) cutting: Option<u64>,
    pub(super) waiters: Waiters,
    pub(super) stats: PrimaryStats,
    pub(super) trace: Trace,
    /// The last save found no space.
    pub(super) short_of_space: bool,
    pub(super) failed: Option<Error>,
    pub(super) closed: bool,
}

impl State {
    pub(super) fn new(trace_capacity: usize) -> State {
        State {
            entries: Vec::new(),
            free: Vec::new(),
            by_id: HashMap::new(),
            dirty: Vec::new(),
            topology: Counter::unkept(),
            generation: Counter::unkept(),
            quorum_lsn: 0,
            cutting: None,
            waiters: Waiters::default(),
            stats: PrimaryStats::default(),
            trace: Trace::new(trace_capacity),
            short_of_space: false,
            failed: None,
            closed: false,
        }
    }

    /// Refuses once the primary is closed, or its store has failed: what is
    /// acknowledged now might be forgotten, and pruned.
    pub(super) fn check_usable(&self) -> Result<()> {
        if self.closed {
            return Err(Error::new(ErrorKind::Closed, "the primary is closed"));
        }
        self.check_store()
    }

    pub(super) fn check_store(&self) -> Result<()> {
        match &self.failed {
            Some(error) => Err(error.recast(ErrorKind::Failed, "the slot store has failed")),
            None => Ok(()),
        }
    }

    pub(super) fn find(&self, id: &str) -> Option<u32> {
        self.by_id.get(id).copied()
    }

    pub(super) fn find_slot(&self, id: &str) -> Result<u32> {
        self.find(id)
            .ok_or_else(|| not_found(format!("slot {}: there is none", Quoted(id))))
    }

    pub(super) fn find_replica(&self, id: &str) -> Result<u32> {
        let why = match self.find(id) {
            Some(index) if self.entry(index).replica.is_some() => return Ok(index),
            Some(_) => "its slot is there, but it is not registered",
            None => "it is not registered, and has no slot",
        };
        Err(not_found(format!("replica {}: {why}", Quoted(id))))
    }

    pub(super) fn entry(&self, index: u32) -> &Entry {
        self.entries[index as usize].as_ref().expect("a live entry")
    }

    pub(super) fn entry_mut(&mut self, index: u32) -> &mut Entry {
        self.entries[index as usize].as_mut().expect("a live entry")
    }

    /// An entry, and those who wait.
    pub(super) fn entry_and_waiters(&mut self, index: u32) -> (&mut Entry, &mut Waiters) {
        let entry = self.entries[index as usize].as_mut().expect("a live entry");
        (entry, &mut self.waiters)
    }

    /// All entries with their indices, in no order.
    pub(super) fn entries(&self) -> impl Iterator<Item = (u32, &Entry)> {
        let all = self.entries.iter().enumerate();
        all.filter_map(|(i, e)| Some((i as u32, e.as_ref()?)))
    }

    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(super) fn insert(&mut self, entry: Entry) -> u32 {
        let id = entry.slot.id.clone();
        let index = match self.free.pop() {
            Some(index) => {
                self.entries[index as usize] = Some(entry);
                index
            }
            None => {
                self.entries.push(Some(entry));
                self.entries.len() as u32 - 1
            }
        };
        self.by_id.insert(id, index);
        index
    }

    pub(super) fn remove(&mut self, index: u32) {
        let entry = self.entries[index as usize].take().expect("a live entry");
        self.by_id.remove(&entry.slot.id);
        self.free.push(index);
        self.dirty.retain(|i| *i != index);
    }

    /// Notes that a slot has risen; true where nothing was to be saved before.
    pub(super) fn mark_dirty(&mut self, index: u32) -> bool {
        let entry = self.entry_mut(index);
        if entry.dirty || entry.slot.temporary {
            return false;
        }
        entry.dirty = true;
        self.dirty.push(index);
        self.dirty.len() == 1
    }

    /// Takes those that are to be saved.
    pub(super) fn take_dirty(&mut self) -> Vec<u32> {
        let dirty = std::mem::take(&mut self.dirty);
        for &index in &dirty {
            self.entry_mut(index).dirty = false;
        }
        dirty
    }

    /// The slots that the store keeps.
    pub(super) fn stored(&self) -> impl Iterator<Item = &Slot> {
        let slots = self.entries().map(|(_, entry)| &entry.slot);
        slots.filter(|slot| !slot.temporary)
    }

    /// A wait has found this fate: what is reached is not cut off from then on.
    pub(super) fn note_reached(&mut self, lsn: u64, fate: Fate) {
        if fate == Fate::Reached {
            self.quorum_lsn = self.quorum_lsn.max(lsn);
        }
    }

    /// A cut behind `lsn` begins. Gives what replicas had before.
    pub(super) fn begin_cut(&mut self, lsn: u64) -> Vec<(u32, Replica)> {
        self.cutting = Some(lsn);
        let mut before = Vec::new();
        for (index, entry) in self.entries.iter_mut().enumerate() {
            if let Some(replica) = entry.as_mut().and_then(|e| e.replica.as_mut()) {
                before.push((index as u32, replica.clone()));
                replica.sent = replica.sent.min(lsn);
                replica.positions = replica.positions.map(|p| p.min(lsn));
            }
        }
        self.recount();
        before
    }

    /// The cut that began has failed.
    pub(super) fn undo_cut(&mut self, before: Vec<(u32, Replica)>) {
        self.cutting = None;
        for (index, had) in before {
            if let Some(replica) = &mut self.entry_mut(index).replica {
                replica.sent = replica.sent.max(had.sent);
                let both = replica.positions.into_iter().zip(had.positions);
                for (at, (now, had)) in both.enumerate() {
                    replica.positions[at] = now.max(had);
                }
            }
        }
        self.recount();
    }

    /// How far the log goes for those who acknowledge.
    pub(super) fn end(&self, wal: &dyn Wal) -> u64 {
        let end = wal.bounds().current_lsn;
        end.min(self.cutting.unwrap_or(u64::MAX))
    }

    /// Counts anew for all who wait, after the registry's shape has changed.
    pub(super) fn recount(&mut self) {
        let mut waiters = std::mem::take(&mut self.waiters);
        waiters.recount(self, false);
        self.waiters = waiters;
    }

    /// Likewise, after only somebody's health has.
    pub(super) fn recount_by_health(&mut self) {
        let mut waiters = std::mem::take(&mut self.waiters);
        waiters.recount(self, true);
        self.waiters = waiters;
    }
}

fn not_found(what: String) -> Error {
    Error::new(ErrorKind::NotFound, what)
}
