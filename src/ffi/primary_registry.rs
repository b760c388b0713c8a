//! Who follows a primary: registering, leaving, being heard of.

use super::arg::{self, Out};
use super::error::ewal_error;
use super::guard::{self, Done};
use super::primary::{ewal_primary, with_primary};
use super::status::ewal_status;
use crate::primary::{Primary, Registration};
use std::ffi::c_char;

/// What a replica is given when it registers.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ewal_registration {
    /// Its slot's restart LSN: for a new replica the end of the log.
    pub restart_lsn: u64,
    /// Names the session: acknowledgements of any other are refused.
    pub generation: u64,
    /// The slot was made now.
    pub created: bool,
    /// Zero.
    pub reserved: [u8; 7],
}

impl From<Registration> for ewal_registration {
    fn from(given: Registration) -> Self {
        ewal_registration {
            restart_lsn: given.restart_lsn,
            generation: given.generation,
            created: given.created,
            reserved: [0; 7],
        }
    }
}

/// Registers a replica, or connects it again: it keeps its slot and its
/// progress, and its older session ends. A new one pins the end of the log:
/// nothing above that is pruned before it says that it has it. With a NULL
/// region it keeps the one it has, if any.
///
/// Ownership: nothing passed in is kept. out may be NULL.
/// Threads: any.
/// Blocking: writes and syncs where the replica is new, or has changed.
/// Errors: INVALID for a name that is NULL, empty, above 255 bytes, not UTF-8,
///   or with a control character; TOO_LARGE above max_slots; IO, NO_SPACE,
///   FAILED, CLOSED, FORKED, DEADLOCK from inside a callback.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_primary_register(
    primary: ewal_primary,
    id: *const c_char,
    region_or_null: *const c_char,
    out: *mut ewal_registration,
    error: *mut ewal_error,
) -> ewal_status {
    // SAFETY: the caller keeps to the header, here and below.
    let out = unsafe { Out::new(out) };
    let body = |it: &Primary| {
        guard::refuse_in_callback("ewal_primary_register")?;
        // SAFETY: as above.
        let (id, region) = unsafe { (arg::text(id, "id")?, region(region_or_null)?) };
        out.set(it.register(id, region)?.into());
        Ok(Done::Ok)
    };
    // SAFETY: as above.
    unsafe { with_primary(primary, error, body) }
}

/// As ewal_primary_register, but a session that there is goes on.
///
/// Ownership: nothing passed in is kept. out may be NULL.
/// Threads: any.
/// Blocking: as ewal_primary_register.
/// Errors: those of ewal_primary_register.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_primary_ensure_registered(
    primary: ewal_primary,
    id: *const c_char,
    region_or_null: *const c_char,
    out: *mut ewal_registration,
    error: *mut ewal_error,
) -> ewal_status {
    // SAFETY: the caller keeps to the header, here and below.
    let out = unsafe { Out::new(out) };
    let body = |it: &Primary| {
        guard::refuse_in_callback("ewal_primary_ensure_registered")?;
        // SAFETY: as above.
        let (id, region) = unsafe { (arg::text(id, "id")?, region(region_or_null)?) };
        out.set(it.ensure_registered(id, region)?.into());
        Ok(Done::Ok)
    };
    // SAFETY: as above.
    unsafe { with_primary(primary, error, body) }
}

/// Takes a replica from the registry and ends its session: commits wait for it
/// no more. Its slot stays, and holds back what it held, unless it is a
/// temporary one; see ewal_primary_slot_drop.
///
/// Ownership: nothing.
/// Threads: any.
/// Blocking: writes and syncs.
/// Errors: NOT_FOUND, INVALID; IO, NO_SPACE, FAILED, CLOSED, FORKED, DEADLOCK
///   from inside a callback.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_primary_unregister(
    primary: ewal_primary,
    id: *const c_char,
    error: *mut ewal_error,
) -> ewal_status {
    let body = |it: &Primary| {
        guard::refuse_in_callback("ewal_primary_unregister")?;
        // SAFETY: the caller keeps to the header.
        it.unregister(unsafe { arg::text(id, "id") }?)?;
        Ok(Done::Ok)
    };
    // SAFETY: as above.
    unsafe { with_primary(primary, error, body) }
}

/// Notes that a replica is being loaded from a snapshot, or not any more.
/// Commits do not count on one that is. A restart keeps it.
///
/// Ownership: nothing.
/// Threads: any.
/// Blocking: writes and syncs.
/// Errors: as ewal_primary_unregister.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_primary_set_rebootstrapping(
    primary: ewal_primary,
    id: *const c_char,
    rebootstrapping: bool,
    error: *mut ewal_error,
) -> ewal_status {
    let body = |it: &Primary| {
        guard::refuse_in_callback("ewal_primary_set_rebootstrapping")?;
        // SAFETY: the caller keeps to the header.
        it.set_rebootstrapping(unsafe { arg::text(id, "id") }?, rebootstrapping)?;
        Ok(Done::Ok)
    };
    // SAFETY: as above.
    unsafe { with_primary(primary, error, body) }
}

/// Notes that a replica was sent records up to an LSN, and so is there.
///
/// Ownership: nothing.
/// Threads: any.
/// Blocking: never.
/// Errors: NOT_FOUND, FENCED for any session but the newest, AHEAD beyond the
///   end (error->lsn is the end); INVALID, FAILED, CLOSED, FORKED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_primary_note_pull(
    primary: ewal_primary,
    id: *const c_char,
    generation: u64,
    sent_lsn: u64,
    error: *mut ewal_error,
) -> ewal_status {
    let body = |it: &Primary| {
        // SAFETY: the caller keeps to the header.
        it.note_pull(unsafe { arg::text(id, "id") }?, generation, sent_lsn)?;
        Ok(Done::Ok)
    };
    // SAFETY: as above.
    unsafe { with_primary(primary, error, body) }
}

/// Notes that a replica was heard of.
///
/// Ownership: nothing.
/// Threads: any.
/// Blocking: never.
/// Errors: as ewal_primary_note_pull, but for AHEAD.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_primary_touch(
    primary: ewal_primary,
    id: *const c_char,
    generation: u64,
    error: *mut ewal_error,
) -> ewal_status {
    let body = |it: &Primary| {
        // SAFETY: the caller keeps to the header.
        it.touch(unsafe { arg::text(id, "id") }?, generation)?;
        Ok(Done::Ok)
    };
    // SAFETY: as above.
    unsafe { with_primary(primary, error, body) }
}

/// # Safety
/// As for [`arg::path`].
unsafe fn region<'a>(region_or_null: *const c_char) -> crate::Result<Option<&'a str>> {
    // SAFETY: as promised by our caller.
    unsafe { arg::text_or_null(region_or_null, "region_or_null") }
}
