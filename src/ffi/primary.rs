//! A primary: open, close, its spool, what it is as a whole.

use super::arg::{self, Out, TextOut};
use super::coordinator::ends_handle;
use super::error::ewal_error;
use super::guard::{self, Done};
use super::handle::Table;
use super::primary_options::{self, ewal_primary_options};
use super::spool::{self, SPOOLS, ewal_spool};
use super::status::ewal_status;
use crate::error::{Error, ErrorKind, Result};
use crate::primary::Primary;
use std::ffi::c_char;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A spool with its slots and replicas. A value, 0 is null; see
/// ewal_coordinator.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ewal_primary {
    /// Opaque; 0 is null.
    pub id: u64,
}

/// What a handle stands for.
pub(super) struct Held {
    primary: Primary,
    /// The handle of its spool, which ends with this one.
    spool: u64,
}

static PRIMARIES: Table<Held, 8> = Table::new(6, "primary");

/// Opens the primary of the data file at path: its spool, as ewal_spool_open
/// does, and the slots beside it; both are made where there are none. With a
/// NULL path records and slots live in memory, and nothing outlives the
/// handle. Slots of the older JSON store are taken in, once.
///
/// Ownership: the caller closes *out. Nothing passed in is kept. NULL
///   options are the defaults.
/// Threads: any.
/// Blocking: reads the log's tail and the slot store, writes and syncs.
/// Errors: LOCKED where another writer, of this process or another, has the
///   spool, opened alone or not; CORRUPT or FORMAT for a damaged or newer spool
///   or slot store, and CORRUPT for a slot store that is gone: a primary that
///   began without it would prune what replicas need (see EWAL_OPEN_SALVAGE
///   and EWAL_SALVAGE_SLOTS); INVALID, IO, NO_SPACE, UNSUPPORTED, DEADLOCK from
///   inside a callback.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_primary_open(
    path_or_null: *const c_char,
    options: *const ewal_primary_options,
    out: *mut ewal_primary,
    error: *mut ewal_error,
) -> ewal_status {
    // SAFETY: the caller keeps to the header, here and below.
    let out = unsafe { Out::new(out) };
    let body = || {
        out.required("out")?;
        guard::refuse_in_callback("opening a primary")?;
        // SAFETY: as above.
        let (spool, options) = unsafe { primary_options::read(options) }?;
        let primary = if path_or_null.is_null() {
            Primary::in_memory(&spool, &options)
        } else {
            // SAFETY: as above.
            let path: &Path = unsafe { arg::path(path_or_null, "path_or_null") }?;
            Primary::open(path, &spool, &options)
        }?;
        out.set(hand_out(primary)?);
        Ok(Done::Ok)
    };
    // SAFETY: as above.
    unsafe { guard::enter(error, body) }
}

/// Takes a primary in for C, and its spool.
pub(super) fn hand_out(primary: Primary) -> Result<ewal_primary> {
    let its_spool = primary.spool().cloned();
    let its_spool =
        its_spool.ok_or_else(|| Error::invalid("the primary is over a log of another kind"))?;
    let spool = SPOOLS.insert(spool::Held::of_a_primary(its_spool))?;
    let id = PRIMARIES.insert(Held { primary, spool });
    if id.is_err() {
        SPOOLS.close(spool);
    }
    Ok(ewal_primary { id: id? })
}

/// Saves what is not saved yet, makes what is staged durable, and closes.
/// Whoever waits, for replicas or for records, is woken with CLOSED. Of any
/// number of calls at once, one is told of the outcome and the rest get CLOSED.
/// One that has failed, or finds no disk space, closes too: the call then says
/// what is not durable.
///
/// Ownership: ends the handle and that of its spool, but for TIMEOUT, DEADLOCK
///   and FORKED, which leave both open. Cursors and records live on until they
///   are closed and released.
/// Threads: any, also while others use it: their calls end with their own
///   outcome or with CLOSED.
/// Blocking: up to timeout_ns (0 polls, negative waits for ever) for what is
///   staged and for a save of the slots under way; and for saving them.
/// Errors: TIMEOUT, CLOSED, DEADLOCK from inside a callback, FORKED; closed all
///   the same: NO_SPACE, IO, FAILED, OUTCOME_UNKNOWN.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_primary_close(
    primary: ewal_primary,
    timeout_ns: i64,
    error: *mut ewal_error,
) -> ewal_status {
    let body = || {
        guard::refuse_in_callback("ewal_primary_close")?;
        let pin = PRIMARIES.pin(primary.id)?;
        let outcome = pin.primary.close_within(arg::timeout(timeout_ns));
        if ends_handle(&outcome) {
            SPOOLS.close(pin.spool);
            PRIMARIES.close(primary.id);
        }
        outcome.map(|()| Done::Ok)
    };
    // SAFETY: the caller keeps to the header.
    unsafe { guard::enter(error, body) }
}

/// The primary's spool, to append to and to read from: the same handle each
/// time.
///
/// Ownership: *out is borrowed: it lives as long as the primary, and is CLOSED
///   after it. ewal_spool_close refuses it.
/// Threads: any.
/// Blocking: never.
/// Errors: CLOSED, FORKED, INVALID where out is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_primary_spool(
    primary: ewal_primary,
    out: *mut ewal_spool,
) -> ewal_status {
    // SAFETY: the caller keeps to the header, here and below.
    let out = unsafe { Out::new(out) };
    let body = |it: &Held| {
        out.required("out")?;
        out.set(ewal_spool { id: it.spool });
        Ok(Done::Ok)
    };
    // SAFETY: as above.
    unsafe { with_held(primary, std::ptr::null_mut(), body) }
}

/// A number that rises with each change of who the members are, healthy, or
/// being rebootstrapped: not with a reconnect. It survives a restart, and never
/// comes back to what it was.
///
/// Ownership: *out is the caller's.
/// Threads: any.
/// Blocking: never.
/// Errors: CLOSED, FORKED, INVALID where out is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_primary_topology_epoch(
    primary: ewal_primary,
    out: *mut u64,
) -> ewal_status {
    // SAFETY: the caller keeps to the header, here and below.
    let out = unsafe { Out::new(out) };
    let body = |it: &Primary| {
        out.required("out")?;
        out.set(it.topology_epoch());
        Ok(Done::Ok)
    };
    // SAFETY: as above.
    unsafe { with_primary(primary, std::ptr::null_mut(), body) }
}

/// The path where an open with EWAL_SALVAGE_SLOTS left the damaged slot store,
/// as snprintf writes it: cut to cap - 1 bytes and ended with NUL; *out_len is
/// its whole length.
///
/// Ownership: buf is the caller's; NULL with a cap of 0 measures. out_len
///   may be NULL.
/// Threads: any.
/// Blocking: never.
/// Errors: NOT_FOUND where nothing was left aside; INVALID, CLOSED, FORKED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_primary_salvaged(
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
        let aside = it
            .salvaged()
            .ok_or_else(|| Error::new(ErrorKind::NotFound, "the open left nothing aside"))?;
        out_len.set(text.write(aside.as_os_str().as_bytes()));
        Ok(Done::Ok)
    };
    // SAFETY: as above.
    unsafe { with_primary(primary, error, body) }
}

/// Runs a body over the primary of a handle. A panic makes it fail for good,
/// and its spool.
///
/// # Safety
/// As for [`guard::enter`].
pub(super) unsafe fn with_primary(
    handle: ewal_primary,
    error: *mut ewal_error,
    body: impl FnOnce(&Primary) -> Result<Done>,
) -> ewal_status {
    // SAFETY: as promised by our caller.
    unsafe { with_held(handle, error, |held| body(&held.primary)) }
}

/// # Safety
/// As for [`guard::enter`].
unsafe fn with_held(
    handle: ewal_primary,
    error: *mut ewal_error,
    body: impl FnOnce(&Held) -> Result<Done>,
) -> ewal_status {
    let body = || {
        let pin = PRIMARIES.pin(handle.id)?;
        // Locks that are a parent's are never given back: none is touched.
        pin.primary.check_fork()?;
        body(&pin)
    };
    let after_panic = |cause: &Error| {
        if let Ok(pin) = PRIMARIES.pin(handle.id) {
            pin.primary.fail(cause);
        }
    };
    // SAFETY: as promised by our caller.
    unsafe { guard::enter_or(error, body, after_panic) }
}
