//! The spool: open, append, wait, close.

use super::arg::{self, Out};
use super::callback::{self, User, ewal_drop_fn, ewal_durable_fn};
use super::coordinator::ends_handle;
use super::error::ewal_error;
use super::guard::{self, Done};
use super::handle::Table;
use super::record::{self, ewal_record};
use super::spool_options::{self, ewal_spool_options};
use super::status::ewal_status;
use crate::error::{Error, Result};
use crate::spool::{Record, Spool, SpoolTicket};
use std::ffi::{c_char, c_int, c_void};
use std::os::fd::IntoRawFd;
use std::sync::Arc;

/// A durable log of records. A value, 0 is null; see ewal_coordinator.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ewal_spool {
    /// Opaque; 0 is null.
    pub id: u64,
}

/// What submitted records were given: what to wait for.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ewal_spool_ticket {
    /// The epoch that they become durable with.
    pub epoch: u64,
    /// The LSN of the first of them.
    pub first_lsn: u64,
    /// The LSN of the last of them.
    pub last_lsn: u64,
}

/// What a handle stands for. Cursors keep the spool beyond it, though closed.
pub(super) struct Held {
    spool: Arc<Spool>,
    /// A primary's, which closes it.
    borrowed: bool,
}

impl Held {
    pub(super) fn of_a_primary(spool: Arc<Spool>) -> Held {
        let borrowed = true;
        Held { spool, borrowed }
    }
}

pub(super) static SPOOLS: Table<Held, 8> = Table::new(3, "spool");

/// Opens the spool of the data file at path, making it where there is none.
/// It lies in files beside the data file, which itself is never touched and
/// need not exist. A torn tail, of records that were never acknowledged, is
/// dropped; see ewal_spool_torn.
///
/// Ownership: the caller closes *out. Nothing passed in is kept. NULL
///   options are the defaults.
/// Threads: any.
/// Blocking: reads the log's tail, writes and syncs it.
/// Errors: LOCKED where another writer, of this process or another, has the
///   spool; CORRUPT or FORMAT for a damaged or newer one (see
///   EWAL_OPEN_SALVAGE); INVALID, IO, NO_SPACE, UNSUPPORTED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_spool_open(
    path: *const c_char,
    options: *const ewal_spool_options,
    out: *mut ewal_spool,
    error: *mut ewal_error,
) -> ewal_status {
    // SAFETY: the caller keeps to the header, here and below.
    let out = unsafe { Out::new(out) };
    let body = || {
        out.required("out")?;
        guard::refuse_in_callback("opening a spool")?;
        // SAFETY: as above.
        let path = unsafe { arg::path(path, "path") }?;
        // SAFETY: as above.
        let options = unsafe { spool_options::read(options) }?;
        out.set(hand_out(Spool::open(path, &options)?)?);
        Ok(Done::Ok)
    };
    // SAFETY: as above.
    unsafe { guard::enter(error, body) }
}

pub(super) fn hand_out(spool: Spool) -> Result<ewal_spool> {
    let spool = Arc::new(spool);
    let borrowed = false;
    let id = SPOOLS.insert(Held { spool, borrowed })?;
    Ok(ewal_spool { id })
}

/// Makes what is staged durable and closes. Whoever waits, with a cursor too,
/// is woken with CLOSED. Of any number of calls at once, one is told of the
/// outcome and the rest get CLOSED. A spool that has failed, or finds no disk
/// space, closes too: the call then says what is not durable.
///
/// Ownership: ends the handle, but for TIMEOUT, DEADLOCK and FORKED, which
///   leave it open. Cursors and records live on until they are closed and
///   released; its cursors give nothing but CLOSED.
/// Threads: any, also while others use it: their calls end with their own
///   outcome or with CLOSED.
/// Blocking: up to timeout_ns (0 polls, negative waits for ever).
/// Errors: TIMEOUT, CLOSED, DEADLOCK from inside a callback, FORKED; INVALID for
///   the spool of a primary, which closes it; closed all the same: NO_SPACE,
///   IO, FAILED, OUTCOME_UNKNOWN.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_spool_close(
    spool: ewal_spool,
    timeout_ns: i64,
    error: *mut ewal_error,
) -> ewal_status {
    let body = || {
        guard::refuse_in_callback("ewal_spool_close")?;
        let pin = SPOOLS.pin(spool.id)?;
        if pin.borrowed {
            return Err(Error::invalid("spool: it is closed with its primary"));
        }
        let outcome = pin.spool.close(arg::timeout(timeout_ns));
        if ends_handle(&outcome) {
            SPOOLS.close(spool.id);
        }
        outcome.map(|()| Done::Ok)
    };
    // SAFETY: the caller keeps to the header.
    unsafe { guard::enter(error, body) }
}

/// Stages records, all or none, and gives what to wait for. What is refused
/// leaves no byte behind.
///
/// Ownership: everything in the records may be reused as soon as the call
///   returns. out may be NULL.
/// Threads: any; those of one call stand in the log as they are given.
/// Blocking: only for room, up to block_timeout_ns; more than 4 MiB wait for a
///   flush. While ewal_spool_truncate_after is at work, for its end.
/// Errors: nothing is kept, and out is zeroed: ORDER for an LSN that does not
///   rise, FENCED for a term below one that has begun, TOO_LARGE, INVALID (a
///   field is named), BUSY (no room in time), NO_SPACE, FAILED, CLOSED, FORKED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_spool_submit(
    spool: ewal_spool,
    records: *const ewal_record,
    n: usize,
    out: *mut ewal_spool_ticket,
    error: *mut ewal_error,
) -> ewal_status {
    // SAFETY: the caller keeps to the header, here and below.
    let out = unsafe { Out::new(out) };
    let body = |it: &Spool| {
        // SAFETY: as above.
        let ticket = unsafe { record::with_records(records, n, |r| it.submit(r)) }?;
        out.set(ticket.into());
        Ok(Done::Ok)
    };
    // SAFETY: as above.
    unsafe { with_spool(spool, error, body) }
}

/// Appends records, all or none, and returns once they are durable.
///
/// Ownership: as ewal_spool_submit.
/// Threads: any; one write and one sync serve all who wait.
/// Blocking: up to timeout_ns (0 polls, negative waits for ever), beside
///   what may be waited for room.
/// Errors: those of ewal_spool_submit and ewal_spool_wait. Records that stay
///   staged although the call failed (TIMEOUT, NO_SPACE, OUTCOME_UNKNOWN)
///   have their epoch in error->staged_epoch: wait with a ticket of it; do not
///   append them again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_spool_append(
    spool: ewal_spool,
    records: *const ewal_record,
    n: usize,
    timeout_ns: i64,
    error: *mut ewal_error,
) -> ewal_status {
    let body = |it: &Spool| {
        guard::refuse_in_callback("ewal_spool_append")?;
        let append = |r: &[Record<'_>]| it.append(r, arg::timeout(timeout_ns));
        // SAFETY: the caller keeps to the header.
        unsafe { record::with_records(records, n, append) }?;
        Ok(Done::Ok)
    };
    // SAFETY: as above.
    unsafe { with_spool(spool, error, body) }
}

/// Waits until what a ticket is for is durable. Only its epoch counts. As
/// ewal_wait.
///
/// Ownership: nothing.
/// Threads: any number.
/// Blocking: up to timeout_ns (0 polls, negative waits for ever).
/// Errors: TIMEOUT and NO_SPACE: still staged. OUTCOME_UNKNOWN: in flight when
///   a sync failed. FAILED: it will never be durable. INVALID for an epoch that
///   was never handed out; CLOSED, DEADLOCK from inside a callback, FORKED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_spool_wait(
    spool: ewal_spool,
    ticket: ewal_spool_ticket,
    timeout_ns: i64,
    error: *mut ewal_error,
) -> ewal_status {
    let body = |it: &Spool| {
        guard::refuse_in_callback("ewal_spool_wait")?;
        it.wait(ticket.into(), arg::timeout(timeout_ns))?;
        Ok(Done::Ok)
    };
    // SAFETY: the caller keeps to the header.
    unsafe { with_spool(spool, error, body) }
}

/// Starts a flush of what a ticket is for in the background, for callers that
/// wait without a thread.
///
/// Ownership: nothing.
/// Threads: any, callbacks too.
/// Blocking: never.
/// Errors: INVALID for an epoch that was never handed out; FAILED, CLOSED,
///   FORKED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_spool_request_flush(
    spool: ewal_spool,
    ticket: ewal_spool_ticket,
    error: *mut ewal_error,
) -> ewal_status {
    let body = |it: &Spool| {
        it.request_flush(ticket.into())?;
        Ok(Done::Ok)
    };
    // SAFETY: the caller keeps to the header.
    unsafe { with_spool(spool, error, body) }
}

/// Calls back once what a ticket is for is durable or known not to become so, and
/// starts a flush of it. As ewal_on_durable; in memory it calls back before it
/// returns, on the calling thread.
///
/// Ownership: user is the library's from the call on, whatever the status;
///   drop may be NULL.
/// Threads: any.
/// Blocking: never.
/// Errors: INVALID for an epoch that was never handed out and for a NULL
///   function; FAILED, CLOSED, FORKED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_spool_on_durable(
    spool: ewal_spool,
    ticket: ewal_spool_ticket,
    function: ewal_durable_fn,
    user: *mut c_void,
    drop: ewal_drop_fn,
    error: *mut ewal_error,
) -> ewal_status {
    let user = User::new(user, drop);
    let body = move |it: &Spool| {
        callback::register(function, user, |call| it.on_durable(ticket.into(), call))?;
        Ok(Done::Ok)
    };
    // SAFETY: the caller keeps to the header.
    unsafe { with_spool(spool, error, body) }
}

/// Waits for all that was staged before the call.
///
/// Ownership: nothing.
/// Threads: any.
/// Blocking: up to timeout_ns (0 polls, negative waits for ever).
/// Errors: as ewal_spool_wait.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_spool_flush(
    spool: ewal_spool,
    timeout_ns: i64,
    error: *mut ewal_error,
) -> ewal_status {
    let body = |it: &Spool| {
        guard::refuse_in_callback("ewal_spool_flush")?;
        it.flush(arg::timeout(timeout_ns))?;
        Ok(Done::Ok)
    };
    // SAFETY: the caller keeps to the header.
    unsafe { with_spool(spool, error, body) }
}

/// The first LSN that can be read, the highest durable one ever, and the one
/// that pruning has come to; 0 where there is none. All are of memory.
///
/// Ownership: each may be NULL.
/// Threads: any.
/// Blocking: never.
/// Errors: CLOSED, FORKED, INVALID for a null handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_spool_bounds(
    spool: ewal_spool,
    oldest_lsn: *mut u64,
    current_lsn: *mut u64,
    pruned_through: *mut u64,
) -> ewal_status {
    // SAFETY: the caller keeps to the header, here and below.
    let (oldest, current, pruned) = unsafe {
        (
            Out::new(oldest_lsn),
            Out::new(current_lsn),
            Out::new(pruned_through),
        )
    };
    let body = |it: &Spool| {
        let bounds = it.bounds();
        oldest.set(bounds.oldest_lsn);
        current.set(bounds.current_lsn);
        pruned.set(bounds.pruned_through);
        Ok(Done::Ok)
    };
    // SAFETY: as above.
    unsafe { with_spool(spool, std::ptr::null_mut(), body) }
}

/// The term of now: that of the last record taken, or the one that
/// ewal_spool_truncate_after has begun; 0 before the first.
///
/// Ownership: *out is the caller's.
/// Threads: any.
/// Blocking: only while ewal_spool_truncate_after is at work, for its end.
/// Errors: CLOSED, FORKED, INVALID where out is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_spool_term(spool: ewal_spool, out: *mut u64) -> ewal_status {
    // SAFETY: the caller keeps to the header, here and below.
    let out = unsafe { Out::new(out) };
    let body = |it: &Spool| {
        out.required("out")?;
        out.set(it.term());
        Ok(Done::Ok)
    };
    // SAFETY: as above.
    unsafe { with_spool(spool, std::ptr::null_mut(), body) }
}

/// Says whether whoever has everything up to lsn, the last of it of this term, has
/// a part of this spool, and may read on from there: asked before a read, where the
/// reader knows its term. LSN 0, of one who has nothing, always has.
///
/// Ownership: nothing.
/// Threads: any.
/// Blocking: never.
/// Errors: DIVERGED where it has a tail of its own (error->lsn is the last LSN
///   common to both: it cuts back to there, and asks again with the term that it
///   has there); CLOSED, FORKED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_spool_check_term(
    spool: ewal_spool,
    lsn: u64,
    term: u64,
    error: *mut ewal_error,
) -> ewal_status {
    let body = |it: &Spool| {
        it.check_standing(lsn, term)?;
        Ok(Done::Ok)
    };
    // SAFETY: the caller keeps to the header.
    unsafe { with_spool(spool, error, body) }
}

/// Waits until a durable record lies above lsn.
///
/// Ownership: nothing.
/// Threads: any.
/// Blocking: up to timeout_ns (0 polls, negative waits for ever).
/// Errors: TIMEOUT; FAILED or CLOSED where none will come; DEADLOCK from inside
///   a callback, FORKED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_spool_wait_after(
    spool: ewal_spool,
    lsn: u64,
    timeout_ns: i64,
    error: *mut ewal_error,
) -> ewal_status {
    let body = |it: &Spool| {
        guard::refuse_in_callback("ewal_spool_wait_after")?;
        it.wait_after(lsn, arg::timeout(timeout_ns))?;
        Ok(Done::Ok)
    };
    // SAFETY: the caller keeps to the header.
    unsafe { with_spool(spool, error, body) }
}

/// A new eventfd that becomes readable each time records become durable, and
/// after failure and close. Read it to reset it, then ask ewal_spool_bounds.
///
/// Ownership: the caller closes *out_fd; it is close-on-exec and does not
///   block, and outlives the spool.
/// Threads: any.
/// Blocking: never.
/// Errors: IO where descriptors are exhausted; CLOSED, FORKED, INVALID.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_spool_event_fd(
    spool: ewal_spool,
    out_fd: *mut c_int,
    error: *mut ewal_error,
) -> ewal_status {
    // SAFETY: the caller keeps to the header, here and below.
    let out = unsafe { Out::new(out_fd) };
    let body = |it: &Spool| {
        out.required("out_fd")?;
        out.set(it.event_fd()?.into_raw_fd());
        Ok(Done::Ok)
    };
    // SAFETY: as above.
    unsafe { with_spool(spool, error, body) }
}

/// Runs a body over the spool of a handle. A panic makes it fail for good.
///
/// # Safety
/// As for [`guard::enter`].
#[inline]
pub(super) unsafe fn with_spool(
    handle: ewal_spool,
    error: *mut ewal_error,
    body: impl FnOnce(&Spool) -> Result<Done>,
) -> ewal_status {
    // SAFETY: as promised by our caller.
    unsafe { with_shared_spool(handle, error, |spool| body(spool)) }
}

/// As [`with_spool`], for what keeps the spool beyond the call.
///
/// # Safety
/// As for [`guard::enter`].
#[inline]
pub(super) unsafe fn with_shared_spool(
    handle: ewal_spool,
    error: *mut ewal_error,
    body: impl FnOnce(&Arc<Spool>) -> Result<Done>,
) -> ewal_status {
    let body = || {
        let pin = SPOOLS.pin(handle.id)?;
        // Locks that are a parent's are never given back: none is touched.
        pin.spool.check_open()?;
        body(&pin.spool)
    };
    let after_panic = |cause: &Error| {
        if let Ok(pin) = SPOOLS.pin(handle.id) {
            pin.spool.fail(cause.clone());
        }
    };
    // SAFETY: as promised by our caller.
    unsafe { guard::enter_or(error, body, after_panic) }
}

impl From<SpoolTicket> for ewal_spool_ticket {
    fn from(ticket: SpoolTicket) -> Self {
        ewal_spool_ticket {
            epoch: ticket.epoch,
            first_lsn: ticket.first_lsn,
            last_lsn: ticket.last_lsn,
        }
    }
}

impl From<ewal_spool_ticket> for SpoolTicket {
    fn from(ticket: ewal_spool_ticket) -> Self {
        SpoolTicket {
            epoch: ticket.epoch,
            first_lsn: ticket.first_lsn,
            last_lsn: ticket.last_lsn,
        }
    }
}
