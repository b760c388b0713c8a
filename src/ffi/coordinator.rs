//! The coordinator: open, submit, commit, close.

use super::arg::{self, Out, TextOut};
use super::batch::{self, Frames, ewal_batch, ewal_ticket};
use super::error::ewal_error;
use super::guard::{self, Done};
use super::handle::Table;
use super::options::{self, ewal_coordinator_options};
use super::status::ewal_status;
use crate::coordinator::{Coordinator, Options};
use crate::error::{Error, ErrorKind, Result, Ticket};
use std::ffi::c_char;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;

/// A parallel page log with epoch group commit. A value: copy it freely, and
/// share it between threads. 0 is null. Once closed, every copy is closed for
/// good, and using it is EWAL_E_CLOSED.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ewal_coordinator {
    /// Opaque; 0 is null.
    pub id: u64,
}

/// What a handle stands for.
pub(super) struct Opened {
    pub(super) coordinator: Coordinator,
    /// Set by the one close that is told of its success.
    closed: AtomicBool,
}

pub(super) static COORDINATORS: Table<Opened, 8> = Table::new(1, "coordinator");

/// Opens the log of the database at db_path for writing. The log lies in
/// files beside the database; the database file itself is never touched and
/// need not exist. What a crash left behind is kept until it is checkpointed,
/// so recover first, or after, as you like.
///
/// Ownership: the caller closes *out. Nothing passed in is kept. NULL
///   options are the defaults.
/// Threads: any.
/// Blocking: reads the log's tail, writes and syncs it.
/// Errors: LOCKED where another writer, of this process or another, has
///   the database; CORRUPT or FORMAT for a damaged or newer log (see
///   EWAL_OPEN_SALVAGE); INVALID, IO, NO_SPACE, UNSUPPORTED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_coordinator_open(
    db_path: *const c_char,
    options: *const ewal_coordinator_options,
    out: *mut ewal_coordinator,
    error: *mut ewal_error,
) -> ewal_status {
    // SAFETY: the caller keeps to the header.
    unsafe { open_with(db_path, options, out, error, Coordinator::open) }
}

/// The process's one coordinator of this database, opened by the first call
/// and shared by all further ones; the path is resolved first, so that
/// different spellings meet. Each call gives a handle of its own, and closing
/// the last one closes the log.
///
/// Ownership: as ewal_coordinator_open.
/// Threads: any.
/// Blocking: as ewal_coordinator_open.
/// Errors: those too; INVALID where it is open with other options.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_coordinator_for_path(
    db_path: *const c_char,
    options: *const ewal_coordinator_options,
    out: *mut ewal_coordinator,
    error: *mut ewal_error,
) -> ewal_status {
    // SAFETY: the caller keeps to the header.
    unsafe { open_with(db_path, options, out, error, Coordinator::for_path) }
}

/// # Safety
/// As for the two functions above.
unsafe fn open_with(
    db_path: *const c_char,
    options: *const ewal_coordinator_options,
    out: *mut ewal_coordinator,
    error: *mut ewal_error,
    open: fn(&Path, &Options) -> Result<Coordinator>,
) -> ewal_status {
    // SAFETY: the caller keeps to the header, here and below.
    let out = unsafe { Out::new(out) };
    let body = || {
        out.required("out")?;
        guard::refuse_in_callback("opening a coordinator")?;
        // SAFETY: as above.
        let path = unsafe { arg::path(db_path, "db_path") }?;
        // SAFETY: as above.
        let options = unsafe { options::read(options) }?;
        out.set(hand_out(open(path, &options)?)?);
        Ok(Done::Ok)
    };
    // SAFETY: as above.
    unsafe { guard::enter(error, body) }
}

pub(super) fn hand_out(coordinator: Coordinator) -> Result<ewal_coordinator> {
    let closed = AtomicBool::new(false);
    let id = COORDINATORS.insert(Opened {
        coordinator,
        closed,
    })?;
    Ok(ewal_coordinator { id })
}

/// Seals and flushes what is staged, wakes every waiter, runs every callback,
/// and closes. Of any number of calls at once, one is told of the outcome and
/// the rest get CLOSED. A coordinator that has failed, or finds no disk space,
/// closes too: the call then says which epochs are not durable.
///
/// Ownership: ends the handle, but for TIMEOUT, DEADLOCK and FORKED, which
///   leave it open.
/// Threads: any, also while others use it: their calls end with their own
///   outcome or with CLOSED.
/// Blocking: up to timeout_ns (0 polls, negative waits for ever).
/// Errors: TIMEOUT, CLOSED, DEADLOCK from inside a callback, FORKED; closed all
///   the same: NO_SPACE, IO, FAILED, OUTCOME_UNKNOWN.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_coordinator_close(
    coordinator: ewal_coordinator,
    timeout_ns: i64,
    error: *mut ewal_error,
) -> ewal_status {
    let body = || {
        guard::refuse_in_callback("ewal_coordinator_close")?;
        let pin = COORDINATORS.pin(coordinator.id)?;
        let outcome = pin.coordinator.close(arg::timeout(timeout_ns));
        if ends_handle(&outcome) {
            COORDINATORS.close(coordinator.id);
        }
        // Several calls may have waited for one and the same close.
        if outcome.is_ok() && pin.closed.swap(true, SeqCst) {
            return Err(Error::new(
                ErrorKind::Closed,
                "the coordinator was closed by another call",
            ));
        }
        outcome.map(|()| Done::Ok)
    };
    // SAFETY: the caller keeps to the header.
    unsafe { guard::enter(error, body) }
}

/// Whether a close that came out so ends the handle. Where it was told CLOSED
/// another call is closing: that one ends it, unless it is not in time.
pub(super) fn ends_handle(outcome: &Result<()>) -> bool {
    use ErrorKind::{Closed, Deadlock, Forked, Timeout};
    !matches!(outcome, Err(e) if matches!(e.kind(), Timeout | Deadlock | Forked | Closed))
}

/// Stages a batch: copies and checksums it into the calling thread's lane.
/// The batch is durable once its epoch is; see ewal_wait. If one submit
/// returned before another was called, its epoch is not the later one.
///
/// Ownership: everything in the batch may be reused as soon as the call
///   returns. out may be NULL.
/// Threads: any; those in different lanes do not wait for each other.
/// Blocking: only for room, as overflow_policy and block_timeout_ns say; a
///   batch larger than a lane waits for a flush.
/// Errors: nothing is kept, and out is zeroed: INVALID (a field is named),
///   TOO_LARGE, ORDER, BUSY, NO_SPACE, FAILED, CLOSED, FORKED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_submit(
    coordinator: ewal_coordinator,
    batch: *const ewal_batch,
    out: *mut ewal_ticket,
    error: *mut ewal_error,
) -> ewal_status {
    // SAFETY: the caller keeps to the header, here and below.
    let out = unsafe { Out::new(out) };
    let body = |it: &Coordinator| {
        // SAFETY: as above.
        let (head, frames) = unsafe { batch::read(batch) }?;
        give_ticket(&out, &frames, it.submit_from(&head, &frames))
    };
    // SAFETY: as above.
    unsafe { guard::with_coordinator(coordinator, error, body) }
}

/// Submits a batch and waits until it is durable.
///
/// Ownership: as ewal_submit.
/// Threads: any.
/// Blocking: up to timeout_ns (0 polls, negative waits for ever), beside
///   what a submit may wait for room.
/// Errors: those of ewal_submit and ewal_wait. A batch that stays staged
///   has its ticket in *out although the call failed: TIMEOUT, NO_SPACE
///   and OUTCOME_UNKNOWN with an epoch that is not 0. Wait for that epoch;
///   do not submit again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_commit(
    coordinator: ewal_coordinator,
    batch: *const ewal_batch,
    timeout_ns: i64,
    out: *mut ewal_ticket,
    error: *mut ewal_error,
) -> ewal_status {
    // SAFETY: the caller keeps to the header, here and below.
    let out = unsafe { Out::new(out) };
    let body = |it: &Coordinator| {
        guard::refuse_in_callback("ewal_commit")?;
        // SAFETY: as above.
        let (head, frames) = unsafe { batch::read(batch) }?;
        give_ticket(
            &out,
            &frames,
            it.commit_from(&head, &frames, arg::timeout(timeout_ns)),
        )
    };
    // SAFETY: as above.
    unsafe { guard::with_coordinator(coordinator, error, body) }
}

/// The ticket goes out with success, and with a failure that left the batch
/// staged.
#[inline]
fn give_ticket(out: &Out<ewal_ticket>, frames: &Frames, result: Result<Ticket>) -> Result<Done> {
    match result {
        Ok(ticket) => {
            out.set(ticket.into());
            Ok(Done::Ok)
        }
        Err(e) => {
            if let Some(ticket) = e.ticket() {
                out.set(ticket.into());
            }
            Err(frames.explain(e))
        }
    }
}

/// The path of file `index` that an open with EWAL_OPEN_SALVAGE moved aside,
/// counted from 0, as snprintf writes it: cut to cap - 1 bytes and ended with
/// NUL; *out_len is its whole length.
///
/// Ownership: buf is the caller's; NULL with a cap of 0 measures. out_len
///   may be NULL.
/// Threads: any.
/// Blocking: never.
/// Errors: NOT_FOUND beyond the last one; CLOSED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_coordinator_salvaged(
    coordinator: ewal_coordinator,
    index: usize,
    buf: *mut c_char,
    cap: usize,
    out_len: *mut usize,
    error: *mut ewal_error,
) -> ewal_status {
    // SAFETY: the caller keeps to the header, here and below.
    let out_len = unsafe { Out::new(out_len) };
    // SAFETY: as above.
    let text = unsafe { TextOut::new(buf, cap) };
    let body = |it: &Coordinator| {
        it.check_fork()?;
        text.check("buf")?;
        let files = it.salvaged();
        let path = files.get(index).ok_or_else(|| {
            Error::new(
                ErrorKind::NotFound,
                format!("index: {index}, but {} files were moved", files.len()),
            )
        })?;
        out_len.set(text.write(path.as_os_str().as_bytes()));
        Ok(Done::Ok)
    };
    // SAFETY: as above.
    unsafe { guard::with_coordinator(coordinator, error, body) }
}
