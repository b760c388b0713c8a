//! A primary's figures, and the trace of what happened to slots and commits.

use super::error::ewal_error;
use super::guard::Done;
use super::lent::Lent;
use super::primary::{ewal_primary, with_primary};
use super::primary_resume::cause_to_c;
use super::status::ewal_status;
use super::struct_size::{Sized32, SizedOut};
use crate::error::Error;
use crate::primary::{Event, EventKind, Primary, PrimaryStats};
use std::ffi::{c_char, c_int, c_void};
use std::ptr::null;

/// A primary's figures. Counters count since open. Begin with
/// EWAL_REPLICATION_STATS_INIT.
#[repr(C)]
#[derive(Clone, Copy)]
#[cfg_attr(test, derive(Debug))]
pub struct ewal_replication_stats {
    /// sizeof(ewal_replication_stats).
    pub struct_size: u32,
    /// Zero.
    pub reserved: u32,
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

// SAFETY: repr(C), plain data, the size first.
unsafe impl Sized32 for ewal_replication_stats {
    const NAME: &'static str = "stats";
    const FIRST: usize = size_of::<ewal_replication_stats>();
}

/// kind: a slot was given up (slot_id, cause, lsn: where it stood).
pub const EWAL_EVENT_SLOT_INVALIDATED: u32 = 1;
/// kind: a commit counts although its policy was not met (lsn, observed,
/// required).
pub const EWAL_EVENT_COMMIT_DEGRADED: u32 = 2;
/// kind: a crash had cut a save short that was never acknowledged (count:
/// bytes dropped).
pub const EWAL_EVENT_STORE_TORN_TAIL: u32 = 3;
/// kind: a damaged or lost slot store was replaced by what could be read of it
/// (count: slots).
pub const EWAL_EVENT_STORE_SALVAGED: u32 = 4;
/// kind: the slots of another store were taken over (count: slots).
pub const EWAL_EVENT_SLOTS_IMPORTED: u32 = 5;
/// kind: there was no space to save slots; it is tried again.
pub const EWAL_EVENT_STORE_WITHOUT_SPACE: u32 = 6;
/// kind: the slot store has failed for good (message).
pub const EWAL_EVENT_STORE_FAILED: u32 = 7;

/// Something that an operator wants to hear of. Filled by the library; a later
/// one may have more fields, see struct_size, and more kinds.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ewal_primary_event {
    /// Bytes that the library filled.
    pub struct_size: u32,
    /// EWAL_EVENT_*, which say what of the rest is set.
    pub kind: u32,
    /// Events are numbered from 1; a gap is what a reader was too late for.
    pub number: u64,
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// Of a slot; else NULL. Borrowed for the time of the callback.
    pub slot_id: *const c_char,
    /// Why; else NULL. Borrowed likewise.
    pub message: *const c_char,
    /// A slot's place, or a commit's.
    pub lsn: u64,
    /// Of bytes or of slots.
    pub count: u64,
    /// EWAL_CAUSE_*, or 0.
    pub cause: u32,
    /// Acknowledgements there were.
    pub observed: u32,
    /// Acknowledgements the policy asks for.
    pub required: u32,
    /// Zero.
    pub reserved: u32,
}

/// Called for each event; non-zero stops the listing. Must return without
/// unwinding: no C++ exception, no longjmp.
pub type ewal_primary_event_fn =
    Option<unsafe extern "C" fn(user: *mut c_void, event: *const ewal_primary_event) -> c_int>;

/// A snapshot of the primary's figures. Those of its spool: ewal_spool_stats.
///
/// Ownership: *out is the caller's.
/// Threads: any.
/// Blocking: never, but for a save of the slots under way.
/// Errors: INVALID, CLOSED, FORKED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_primary_stats(
    primary: ewal_primary,
    out: *mut ewal_replication_stats,
    error: *mut ewal_error,
) -> ewal_status {
    // SAFETY: the caller keeps to the header, here and below.
    let out = unsafe { SizedOut::new(out) };
    let body = |it: &Primary| {
        out.check()?;
        out.write(&stats_to_c(&it.stats()));
        Ok(Done::Ok)
    };
    // SAFETY: as above.
    unsafe { with_primary(primary, error, body) }
}

/// Calls back for each event whose number is above after, oldest first, as far
/// as they are kept (trace_capacity).
///
/// Ownership: what the callback gets is borrowed for its time.
/// Threads: any. The callback runs on the calling thread, under no lock, and
///   may call any function.
/// Blocking: never.
/// Errors: INVALID, CLOSED, FORKED; a callback that stops the listing is none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_primary_events_since(
    primary: ewal_primary,
    after: u64,
    function: ewal_primary_event_fn,
    user: *mut c_void,
    error: *mut ewal_error,
) -> ewal_status {
    let body = |it: &Primary| {
        let function = function.ok_or_else(|| Error::invalid("function is NULL"))?;
        for event in &it.events_since(after) {
            let (slot_id, message) = texts(&event.kind);
            let event = event_to_c(event, &slot_id, &message);
            // SAFETY: the caller's function, with the caller's pointer; the
            // strings outlive the call.
            if unsafe { function(user, &event) } != 0 {
                break;
            }
        }
        Ok(Done::Ok)
    };
    // SAFETY: the caller keeps to the header.
    unsafe { with_primary(primary, error, body) }
}

/// The strings of an event: whose slot, and why.
fn texts(kind: &EventKind) -> (Lent, Lent) {
    let none = || Lent::of(None);
    match kind {
        EventKind::SlotInvalidated { id, .. } => (Lent::new(id), none()),
        EventKind::StoreFailed { message } => (none(), Lent::new(message)),
        _ => (none(), none()),
    }
}

fn event_to_c(event: &Event, slot_id: &Lent, message: &Lent) -> ewal_primary_event {
    let mut c = ewal_primary_event {
        struct_size: size_of::<ewal_primary_event>() as u32,
        kind: 0,
        number: event.number,
        at_ms: event.at_ms,
        slot_id: null(),
        message: null(),
        lsn: 0,
        count: 0,
        cause: 0,
        observed: 0,
        required: 0,
        reserved: 0,
    };
    (c.slot_id, c.message) = (slot_id.as_ptr(), message.as_ptr());
    match event.kind {
        EventKind::SlotInvalidated {
            cause, restart_lsn, ..
        } => {
            c.kind = EWAL_EVENT_SLOT_INVALIDATED;
            (c.cause, c.lsn) = (cause_to_c(cause.into()), restart_lsn);
        }
        EventKind::CommitDegraded {
            lsn,
            observed,
            required,
        } => {
            c.kind = EWAL_EVENT_COMMIT_DEGRADED;
            (c.lsn, c.observed, c.required) = (lsn, observed, required);
        }
        EventKind::StoreTornTail { bytes } => {
            (c.kind, c.count) = (EWAL_EVENT_STORE_TORN_TAIL, bytes);
        }
        EventKind::StoreSalvaged { slots } => {
            (c.kind, c.count) = (EWAL_EVENT_STORE_SALVAGED, slots);
        }
        EventKind::SlotsImported { slots } => {
            (c.kind, c.count) = (EWAL_EVENT_SLOTS_IMPORTED, slots);
        }
        EventKind::StoreWithoutSpace => c.kind = EWAL_EVENT_STORE_WITHOUT_SPACE,
        EventKind::StoreFailed { .. } => c.kind = EWAL_EVENT_STORE_FAILED,
    }
    c
}

fn stats_to_c(stats: &PrimaryStats) -> ewal_replication_stats {
    ewal_replication_stats {
        struct_size: 0,
        reserved: 0,
        slots: stats.slots,
        valid_slots: stats.valid_slots,
        replicas: stats.replicas,
        healthy_replicas: stats.healthy_replicas,
        registrations: stats.registrations,
        reconnects: stats.reconnects,
        acks: stats.acks,
        acks_unknown: stats.acks_unknown,
        acks_fenced: stats.acks_fenced,
        acks_ahead: stats.acks_ahead,
        acks_invalid: stats.acks_invalid,
        invalidated_wal_removed: stats.invalidated_wal_removed,
        invalidated_horizon: stats.invalidated_horizon,
        invalidated_idle: stats.invalidated_idle,
        resumes_partial: stats.resumes_partial,
        resumes_diverged: stats.resumes_diverged,
        rebootstraps_unknown: stats.rebootstraps_unknown,
        rebootstraps_wal_removed: stats.rebootstraps_wal_removed,
        rebootstraps_horizon: stats.rebootstraps_horizon,
        rebootstraps_idle: stats.rebootstraps_idle,
        waits_reached: stats.waits_reached,
        waits_timed_out: stats.waits_timed_out,
        waits_unmeetable: stats.waits_unmeetable,
        waits_degraded: stats.waits_degraded,
        waiting: stats.waiting,
        saves: stats.saves,
        save_bytes: stats.save_bytes,
        compactions: stats.compactions,
        saves_without_space: stats.saves_without_space,
        prunes: stats.prunes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_figure_reaches_its_own() {
        const FIGURES: usize = size_of::<PrimaryStats>() / 8;
        let different: [u64; FIGURES] = std::array::from_fn(|i| i as u64 + 1);
        // SAFETY: numbers all through, and any number is one.
        let stats: PrimaryStats = unsafe { std::mem::transmute(different) };
        let (rust, c) = (format!("{stats:?}"), format!("{:?}", stats_to_c(&stats)));
        let c = c.replace("struct_size: 0, reserved: 0, ", "");
        assert_eq!(
            rust.split_once('{').unwrap().1,
            c.split_once('{').unwrap().1
        );
    }
}
