//! Figures, and a bounded trace of what happened to slots and commits.

use super::slot::Cause;
use std::collections::VecDeque;

/// Figures of a primary, since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PrimaryStats {
    /// Slots now.
    pub slots: u64,
    /// Slots that hold records back.
    pub valid_slots: u64,
    /// Members of the registry.
    pub replicas: u64,
    /// Members that were seen of late.
    pub healthy_replicas: u64,
    /// Registrations that made a slot.
    pub registrations: u64,
    /// Registrations of known replicas.
    pub reconnects: u64,
    /// Acknowledgements taken.
    pub acks: u64,
    /// Acknowledgements refused: of an unknown id.
    pub acks_unknown: u64,
    /// Acknowledgements refused: of an older session.
    pub acks_fenced: u64,
    /// Acknowledgements refused: beyond the end.
    pub acks_ahead: u64,
    /// Acknowledgements refused: for a slot that was given up.
    pub acks_invalid: u64,
    /// Slots given up: their records are gone.
    pub invalidated_wal_removed: u64,
    /// Slots given up: beyond the horizon.
    pub invalidated_horizon: u64,
    /// Slots given up: not seen for too long.
    pub invalidated_idle: u64,
    /// Resume plans: read on.
    pub resumes_partial: u64,
    /// Resume plans: give up a tail.
    pub resumes_diverged: u64,
    /// Full rebootstraps: no slot.
    pub rebootstraps_unknown: u64,
    /// Full rebootstraps: the records are gone.
    pub rebootstraps_wal_removed: u64,
    /// Full rebootstraps: given up beyond the horizon.
    pub rebootstraps_horizon: u64,
    /// Full rebootstraps: given up because not seen.
    pub rebootstraps_idle: u64,
    /// Commit waits that reached their policy.
    pub waits_reached: u64,
    /// Commit waits that did not in time.
    pub waits_timed_out: u64,
    /// Commit waits that could not.
    pub waits_unmeetable: u64,
    /// Of these two, those that counted all the same.
    pub waits_degraded: u64,
    /// Commit waits that sleep now.
    pub waiting: u64,
    /// Saves of the slot store, each a write and a sync.
    pub saves: u64,
    /// Their bytes.
    pub save_bytes: u64,
    /// Of the saves, those that wrote a new file.
    pub compactions: u64,
    /// Saves that found no space, and were or will be tried again.
    pub saves_without_space: u64,
    /// Prunes.
    pub prunes: u64,
}

impl PrimaryStats {
    pub(super) fn invalidated(&mut self, cause: Cause) {
        *match cause {
            Cause::WalRemoved => &mut self.invalidated_wal_removed,
            Cause::Horizon => &mut self.invalidated_horizon,
            Cause::IdleTimeout => &mut self.invalidated_idle,
        } += 1;
    }

    pub(super) fn rebootstrap(&mut self, cause: Option<Cause>) {
        *match cause {
            None => &mut self.rebootstraps_unknown,
            Some(Cause::WalRemoved) => &mut self.rebootstraps_wal_removed,
            Some(Cause::Horizon) => &mut self.rebootstraps_horizon,
            Some(Cause::IdleTimeout) => &mut self.rebootstraps_idle,
        } += 1;
    }
}

/// Something that an operator wants to hear of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// A slot holds nothing back any more.
    SlotInvalidated {
        /// The slot.
        id: String,
        /// Why.
        cause: Cause,
        /// Where it stood.
        restart_lsn: u64,
    },
    /// A commit counts although its policy was not met.
    CommitDegraded {
        /// The commit's LSN.
        lsn: u64,
        /// Acknowledgements there were.
        observed: u32,
        /// Acknowledgements the policy asks for.
        required: u32,
    },
    /// A crash had cut a save short; it was never acknowledged.
    StoreTornTail {
        /// Bytes dropped.
        bytes: u64,
    },
    /// A damaged or lost slot store was replaced by what could be read of it.
    StoreSalvaged {
        /// Slots that could be read.
        slots: u64,
    },
    /// The slots of another store were taken over.
    SlotsImported {
        /// How many.
        slots: u64,
    },
    /// There was no space to save slots; it is tried again.
    StoreWithoutSpace,
    /// The slot store has failed for good.
    StoreFailed {
        /// Why.
        message: String,
    },
}

/// An event of the trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Events are numbered from 1; a gap in what a reader sees is what it was
    /// too late for.
    pub number: u64,
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// What.
    pub kind: EventKind,
}

/// The last events.
#[derive(Debug)]
pub(super) struct Trace {
    events: VecDeque<Event>,
    capacity: usize,
    last: u64,
}

impl Trace {
    pub(super) fn new(capacity: usize) -> Trace {
        Trace {
            events: VecDeque::new(),
            capacity,
            last: 0,
        }
    }

    pub(super) fn add(&mut self, at_ms: u64, kind: EventKind) {
        if self.events.len() == self.capacity {
            self.events.pop_front();
        }
        self.last += 1;
        self.events.push_back(Event {
            number: self.last,
            at_ms,
            kind,
        });
    }

    /// The events above a number that are still there.
    pub(super) fn since(&self, number: u64) -> Vec<Event> {
        let kept = self.events.iter();
        kept.filter(|e| e.number > number).cloned().collect()
    }
}
