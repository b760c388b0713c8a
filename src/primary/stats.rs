//! Figures, and a bounded trace of what happened to slots and commits.

use super::slot::Cause;
use std::collections::VecDeque;

/// Figures of a primary, since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // each says what it counts
pub struct PrimaryStats {
    pub slots: u64,
    pub valid_slots: u64,
    pub replicas: u64,
    pub healthy_replicas: u64,
    /// New slots by registrations, and registrations of known ones.
    pub registrations: u64,
    pub reconnects: u64,
    pub acks: u64,
    /// Refused acknowledgements: unknown id, older session, beyond the end,
    /// invalid slot.
    pub acks_unknown: u64,
    pub acks_fenced: u64,
    pub acks_ahead: u64,
    pub acks_invalid: u64,
    /// Invalidations by cause.
    pub invalidated_wal_removed: u64,
    pub invalidated_horizon: u64,
    pub invalidated_idle: u64,
    /// Resume plans.
    pub resumes_partial: u64,
    pub resumes_diverged: u64,
    /// Full rebootstraps by cause.
    pub rebootstraps_unknown: u64,
    pub rebootstraps_wal_removed: u64,
    pub rebootstraps_horizon: u64,
    pub rebootstraps_idle: u64,
    /// Commit waits by outcome; degraded ones are among those that timed out
    /// or could not be met.
    pub waits_reached: u64,
    pub waits_timed_out: u64,
    pub waits_unmeetable: u64,
    pub waits_degraded: u64,
    /// Commit waits that have not ended.
    pub waiting: u64,
    /// Saves of the slot store (each a write and a sync), their bytes, and how
    /// many of them wrote a new file.
    pub saves: u64,
    pub save_bytes: u64,
    pub compactions: u64,
    /// Saves that found no space, and were or will be tried again.
    pub saves_without_space: u64,
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
