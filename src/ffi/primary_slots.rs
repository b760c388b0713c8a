//! Slots: what they are, made and dropped by hand, limited, and what may be
//! pruned without them.

use super::arg::{self, Out, TextOut};
use super::error::ewal_error;
use super::guard::{self, Done};
use super::lent::Lent;
use super::primary::{ewal_primary, with_primary};
use super::primary_resume::cause_to_c;
use super::status::ewal_status;
use crate::error::Error;
use crate::primary::{Primary, SlotInfo, WalStatus};
use std::ffi::{CStr, c_char, c_int, c_void};

/// wal_status: the records are there, and the slot is not half way to the
/// horizon.
pub const EWAL_WAL_RESERVED: u32 = 1;
/// wal_status: they are there, and the slot is beyond half of the horizon.
pub const EWAL_WAL_EXTENDED: u32 = 2;
/// wal_status: they are there, and the slot is beyond the horizon: the next look
/// at the limits gives it up.
pub const EWAL_WAL_UNRESERVED: u32 = 3;
/// wal_status: they are gone, or nothing holds them any more.
pub const EWAL_WAL_LOST: u32 = 4;

/// lsn of ewal_primary_slot_create and _reset: the end of the spool.
pub const EWAL_SLOT_AT_END: u64 = u64::MAX;

/// archived_lsn of ewal_primary_prune: there is no archive.
pub const EWAL_NO_ARCHIVE: u64 = u64::MAX;

/// A slot as a listing shows it. Filled by the library; a later one may have
/// more fields, see struct_size. Times are milliseconds since the Unix epoch.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ewal_slot_info {
    /// Bytes that the library filled.
    pub struct_size: u32,
    /// EWAL_WAL_*.
    pub wal_status: u32,
    /// Its replica's; borrowed for the time of the callback.
    pub id: *const c_char,
    /// NULL where it has none; borrowed likewise.
    pub region: *const c_char,
    /// Durable at the replica: nothing above it is pruned.
    pub restart_lsn: u64,
    /// Applied by the replica.
    pub confirmed_lsn: u64,
    /// The restart LSN that a crash would leave; 0 where that is none yet.
    pub saved_lsn: u64,
    /// Bytes of log that can be written until the slot is given up; 0 where it
    /// is lost, UINT64_MAX where no horizon is set. Where the horizon is one of
    /// LSNs it is estimated from the log's mean record.
    pub safe_wal_size: u64,
    /// When the replica was seen last.
    pub last_seen_ms: u64,
    /// When the slot was made.
    pub created_ms: u64,
    /// When it was given up; 0 where it was not.
    pub invalidated_ms: u64,
    /// EWAL_CAUSE_* of a slot that was given up, else 0.
    pub cause: u32,
    /// Not saved: gone when its replica unregisters or the primary closes.
    pub temporary: bool,
    /// Its replica is a member of the registry.
    pub registered: bool,
    /// Its replica is being loaded from a snapshot.
    pub rebootstrapping: bool,
    /// Zero.
    pub reserved: u8,
}

/// Called for each slot; non-zero stops the listing. Must return without
/// unwinding: no C++ exception, no longjmp.
pub type ewal_slot_fn =
    Option<unsafe extern "C" fn(user: *mut c_void, slot: *const ewal_slot_info) -> c_int>;

/// Calls back for each slot, by id, as they were at one moment.
///
/// Ownership: what the callback gets is borrowed for its time.
/// Threads: any. The callback runs on the calling thread, under no lock, and
///   may call any function, those that change slots too.
/// Blocking: never.
/// Errors: INVALID, CLOSED, FORKED; a callback that stops the listing is none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_primary_slots(
    primary: ewal_primary,
    function: ewal_slot_fn,
    user: *mut c_void,
    error: *mut ewal_error,
) -> ewal_status {
    let body = |it: &Primary| {
        let function = function.ok_or_else(|| Error::invalid("function is NULL"))?;
        // SAFETY: the caller's function, with the caller's pointer.
        unsafe { call_for_each(&it.slots(), function, user) };
        Ok(Done::Ok)
    };
    // SAFETY: the caller keeps to the header.
    unsafe { with_primary(primary, error, body) }
}

/// Calls back once, for the slot of this id; what the function gives is ignored.
///
/// Ownership: nothing passed in is kept. What the callback gets is borrowed for
///   its time.
/// Threads: as ewal_primary_slots.
/// Blocking: never.
/// Errors: NOT_FOUND where there is no such slot, and no call; INVALID, CLOSED,
///   FORKED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_primary_slot(
    primary: ewal_primary,
    id: *const c_char,
    function: ewal_slot_fn,
    user: *mut c_void,
    error: *mut ewal_error,
) -> ewal_status {
    let body = |it: &Primary| {
        let function = function.ok_or_else(|| Error::invalid("function is NULL"))?;
        // SAFETY: the caller keeps to the header, here and below.
        let slot = it.slot(unsafe { arg::text(id, "id") }?)?;
        // SAFETY: the caller's function, with the caller's pointer.
        unsafe { call_for_each(&[slot], function, user) };
        Ok(Done::Ok)
    };
    // SAFETY: as above.
    unsafe { with_primary(primary, error, body) }
}

/// Makes a slot at an LSN, or at the end of the spool (EWAL_SLOT_AT_END): what
/// lies above is not pruned. A temporary one is not saved.
///
/// Ownership: nothing passed in is kept.
/// Threads: any.
/// Blocking: writes and syncs.
/// Errors: EXISTS; WAL_REMOVED below the first LSN that can be read, AHEAD beyond
///   the end (error->lsn has these); TOO_LARGE above max_slots; INVALID, IO,
///   NO_SPACE, FAILED, CLOSED, FORKED, DEADLOCK from inside a callback.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_primary_slot_create(
    primary: ewal_primary,
    id: *const c_char,
    lsn: u64,
    temporary: bool,
    error: *mut ewal_error,
) -> ewal_status {
    let body = |it: &Primary| {
        guard::refuse_in_callback("ewal_primary_slot_create")?;
        let lsn = (lsn != EWAL_SLOT_AT_END).then_some(lsn);
        // SAFETY: the caller keeps to the header.
        it.slot_create(unsafe { arg::text(id, "id") }?, lsn, temporary)?;
        Ok(Done::Ok)
    };
    // SAFETY: as above.
    unsafe { with_primary(primary, error, body) }
}

/// Drops a slot, and its replica from the registry: what it held back may be
/// pruned.
///
/// Ownership: nothing.
/// Threads: any.
/// Blocking: writes and syncs.
/// Errors: NOT_FOUND, INVALID, IO, NO_SPACE, FAILED, CLOSED, FORKED, DEADLOCK
///   from inside a callback.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_primary_slot_drop(
    primary: ewal_primary,
    id: *const c_char,
    error: *mut ewal_error,
) -> ewal_status {
    let body = |it: &Primary| {
        guard::refuse_in_callback("ewal_primary_slot_drop")?;
        // SAFETY: the caller keeps to the header.
        it.slot_drop(unsafe { arg::text(id, "id") }?)?;
        Ok(Done::Ok)
    };
    // SAFETY: as above.
    unsafe { with_primary(primary, error, body) }
}

/// Revives a slot after a new bootstrap of its replica, which has everything up
/// to lsn (EWAL_SLOT_AT_END: the end of the spool); what it acknowledged before
/// counts no more. A slot that is valid is not set back: drop it, and make it
/// again.
///
/// Ownership: nothing.
/// Threads: any.
/// Blocking: writes and syncs.
/// Errors: NOT_FOUND; ORDER for a valid slot that stands above lsn, WAL_REMOVED
///   and AHEAD as ewal_primary_slot_create (error->lsn has these); INVALID, IO,
///   NO_SPACE, FAILED, CLOSED, FORKED, DEADLOCK from inside a callback.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_primary_slot_reset(
    primary: ewal_primary,
    id: *const c_char,
    lsn: u64,
    error: *mut ewal_error,
) -> ewal_status {
    let body = |it: &Primary| {
        guard::refuse_in_callback("ewal_primary_slot_reset")?;
        let lsn = (lsn != EWAL_SLOT_AT_END).then_some(lsn);
        // SAFETY: the caller keeps to the header.
        it.slot_reset(unsafe { arg::text(id, "id") }?, lsn)?;
        Ok(Done::Ok)
    };
    // SAFETY: as above.
    unsafe { with_primary(primary, error, body) }
}

/// Looks at everyone's health, gives up slots that are beyond a limit, and calls
/// back for each of these. Each prune does so by itself. Time is measured by a
/// clock that only goes on, from when the primary was opened or saw the replica
/// last: now_unix_ms (0: by the system's clock) only stamps what is done.
///
/// Ownership: what the callback gets is borrowed for its time. It may be NULL.
/// Threads: as ewal_primary_slots.
/// Blocking: writes and syncs where something has changed.
/// Errors: IO, NO_SPACE, FAILED, CLOSED, FORKED, DEADLOCK from inside a callback.
///   A callback that stops the listing is none, and all are given up all the
///   same.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_primary_enforce_limits(
    primary: ewal_primary,
    now_unix_ms: u64,
    function: ewal_slot_fn,
    user: *mut c_void,
    error: *mut ewal_error,
) -> ewal_status {
    let body = |it: &Primary| {
        guard::refuse_in_callback("ewal_primary_enforce_limits")?;
        let given_up = it.enforce_limits(now_unix_ms)?;
        if let Some(function) = function {
            // SAFETY: the caller's function, with the caller's pointer.
            unsafe { call_for_each(&given_up, function, user) };
        }
        Ok(Done::Ok)
    };
    // SAFETY: the caller keeps to the header.
    unsafe { with_primary(primary, error, body) }
}

/// Prunes what nobody holds: after a look at the limits and a save of the slots,
/// through the lowest saved restart LSN of the valid slots, not beyond the end,
/// nor beyond archived_lsn (EWAL_NO_ARCHIVE: there is no archive). *out_pruned
/// says how far pruning has come. Without space to save slots it prunes by what
/// was saved before, because that is how space comes back.
///
/// Ownership: out_pruned may be NULL.
/// Threads: any, also while others append and read.
/// Blocking: writes and syncs.
/// Errors: IO, NO_SPACE, FAILED, CLOSED, FORKED, DEADLOCK from inside a callback.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_primary_prune(
    primary: ewal_primary,
    archived_lsn: u64,
    out_pruned: *mut u64,
    error: *mut ewal_error,
) -> ewal_status {
    // SAFETY: the caller keeps to the header, here and below.
    let out = unsafe { Out::new(out_pruned) };
    let body = |it: &Primary| {
        guard::refuse_in_callback("ewal_primary_prune")?;
        out.set(it.prune((archived_lsn != EWAL_NO_ARCHIVE).then_some(archived_lsn))?);
        Ok(Done::Ok)
    };
    // SAFETY: as above.
    unsafe { with_primary(primary, error, body) }
}

/// Saves at once what acknowledgements have raised.
///
/// Ownership: nothing.
/// Threads: any.
/// Blocking: writes and syncs.
/// Errors: IO, NO_SPACE, FAILED, CLOSED, FORKED, DEADLOCK from inside a callback.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_primary_save(
    primary: ewal_primary,
    error: *mut ewal_error,
) -> ewal_status {
    let body = |it: &Primary| {
        guard::refuse_in_callback("ewal_primary_save")?;
        it.save()?;
        Ok(Done::Ok)
    };
    // SAFETY: the caller keeps to the header.
    unsafe { with_primary(primary, error, body) }
}

/// The slots in the layout of the older store, which is JSON, as snprintf writes
/// it: cut to cap - 1 bytes and ended with NUL; *out_len is the whole text's
/// length. It may have grown since it was measured.
///
/// Ownership: buf is the caller's; NULL with a cap of 0 measures. out_len
///   may be NULL.
/// Threads: any.
/// Blocking: never.
/// Errors: INVALID, CLOSED, FORKED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_primary_export_slots(
    primary: ewal_primary,
    buf: *mut c_char,
    cap: usize,
    out_len: *mut usize,
    error: *mut ewal_error,
) -> ewal_status {
    // SAFETY: the caller keeps to the header, here and below.
    let out_len = unsafe { Out::new(out_len) };
    // SAFETY: as above.
    let text = unsafe { TextOut::new(buf, cap) };
    let body = |it: &Primary| {
        text.check("buf")?;
        out_len.set(text.write(&it.export_slots()));
        Ok(Done::Ok)
    };
    // SAFETY: as above.
    unsafe { with_primary(primary, error, body) }
}

/// The name of an EWAL_WAL_*, such as "reserved"; "" for a number that this
/// library does not know.
///
/// Ownership: a static string, never freed.
/// Threads: any.
/// Blocking: never.
/// Errors: none.
#[unsafe(no_mangle)]
pub extern "C" fn ewal_wal_status_name(wal_status: u32) -> *const c_char {
    let name: &CStr = match wal_status {
        EWAL_WAL_RESERVED => c"reserved",
        EWAL_WAL_EXTENDED => c"extended",
        EWAL_WAL_UNRESERVED => c"unreserved",
        EWAL_WAL_LOST => c"lost",
        _ => c"",
    };
    name.as_ptr()
}

/// # Safety
/// The function may be called with the pointer.
unsafe fn call_for_each(
    slots: &[SlotInfo],
    function: unsafe extern "C" fn(*mut c_void, *const ewal_slot_info) -> c_int,
    user: *mut c_void,
) {
    for slot in slots {
        let (id, region) = (
            Lent::new(&slot.slot.id),
            Lent::of(slot.slot.region.as_deref()),
        );
        let slot = to_c(slot, &id, &region);
        // SAFETY: as promised by our caller; the strings outlive the call.
        if unsafe { function(user, &slot) } != 0 {
            break;
        }
    }
}

fn to_c(info: &SlotInfo, id: &Lent, region: &Lent) -> ewal_slot_info {
    let slot = &info.slot;
    ewal_slot_info {
        struct_size: size_of::<ewal_slot_info>() as u32,
        wal_status: wal_status_to_c(info.wal_status),
        id: id.as_ptr(),
        region: region.as_ptr(),
        restart_lsn: slot.restart_lsn,
        confirmed_lsn: slot.confirmed_lsn,
        saved_lsn: info.saved_lsn,
        safe_wal_size: info.safe_wal_size.unwrap_or(u64::MAX),
        last_seen_ms: slot.last_seen_ms,
        created_ms: slot.created_ms,
        invalidated_ms: slot.invalidation.map_or(0, |i| i.at_ms),
        cause: slot.invalidation.map_or(0, |i| cause_to_c(i.cause.into())),
        temporary: slot.temporary,
        registered: slot.registered,
        rebootstrapping: slot.rebootstrapping,
        reserved: 0,
    }
}

fn wal_status_to_c(status: WalStatus) -> u32 {
    match status {
        WalStatus::Reserved => EWAL_WAL_RESERVED,
        WalStatus::Extended => EWAL_WAL_EXTENDED,
        WalStatus::Unreserved => EWAL_WAL_UNRESERVED,
        WalStatus::Lost => EWAL_WAL_LOST,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_status_has_the_name_that_the_other_faces_give_it() {
        use WalStatus::{Extended, Lost, Reserved, Unreserved};
        for status in [Reserved, Extended, Unreserved, Lost] {
            // SAFETY: a static string that ends with NUL.
            let name = unsafe { CStr::from_ptr(ewal_wal_status_name(wal_status_to_c(status))) };
            assert_eq!(name.to_str().unwrap(), status.name());
        }
    }
}
