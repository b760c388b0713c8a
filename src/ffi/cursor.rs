//! A reader of the spool that keeps its place.

use super::arg::{self, Out};
use super::error::ewal_error;
use super::guard::{self, Done};
use super::handle::Table;
use super::records::{ewal_records, hand_out};
use super::spool::{ewal_spool, with_shared_spool};
use super::status::ewal_status;
use crate::error::{Error, ErrorKind};
use crate::spool::{ReadLimit, SharedCursor};

/// A reader that keeps its place in a spool. A value, 0 is null; see
/// ewal_coordinator.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ewal_cursor {
    /// Opaque; 0 is null.
    pub id: u64,
}

static CURSORS: Table<SharedCursor, 1> = Table::new(5, "cursor");

/// A cursor behind lsn. Its first read says whether lsn can be read from. The
/// segment file that it is in survives a prune until it leaves it.
///
/// Ownership: the caller closes *out, before or after the spool. Until then it
///   keeps memory of the spool.
/// Threads: any.
/// Blocking: never.
/// Errors: INVALID, CLOSED, FORKED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_cursor_open(
    spool: ewal_spool,
    lsn: u64,
    out: *mut ewal_cursor,
    error: *mut ewal_error,
) -> ewal_status {
    // SAFETY: the caller keeps to the header, here and below.
    let out = unsafe { Out::new(out) };
    // SAFETY: as above.
    unsafe {
        with_shared_spool(spool, error, |it| {
            out.required("out")?;
            out.set(ewal_cursor {
                id: CURSORS.insert(SharedCursor::new(it, lsn)?)?,
            });
            Ok(Done::Ok)
        })
    }
}

/// The next records: as ewal_spool_read_since, but waits until there is one.
/// The cursor stays where it is after any error.
///
/// Ownership: the caller releases *out.
/// Threads: one at a time; BUSY while another thread is in it.
/// Blocking: up to timeout_ns (0 polls, negative waits for ever), beside reads
///   of files.
/// Errors: TIMEOUT where none came in time; those of ewal_spool_read_since;
///   DIVERGED where the last record that it gave was cut off since (error->lsn
///   is the last that is left); CLOSED once the cursor or its spool is closed,
///   also for one who waits; FAILED where none will come; DEADLOCK from inside a
///   callback unless it polls.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_cursor_next(
    cursor: ewal_cursor,
    max_records: usize,
    max_bytes: usize,
    timeout_ns: i64,
    out: *mut ewal_records,
    error: *mut ewal_error,
) -> ewal_status {
    // SAFETY: the caller keeps to the header, here and below.
    let out = unsafe { Out::new(out) };
    let body = || {
        let pin = CURSORS.pin(cursor.id)?;
        out.required("out")?;
        if timeout_ns != 0 {
            guard::refuse_in_callback("ewal_cursor_next")?;
        }
        let limit = ReadLimit {
            records: max_records,
            bytes: max_bytes,
        };
        let records = pin.next_batch(limit, arg::timeout(timeout_ns), None)?;
        out.set(hand_out(records)?);
        Ok(Done::Ok)
    };
    let after_panic = |cause: &Error| {
        if let Ok(pin) = CURSORS.pin(cursor.id) {
            pin.spool().fail(cause.clone());
        }
    };
    // SAFETY: as above.
    unsafe { guard::enter_or(error, body, after_panic) }
}

/// Closes a cursor and lets its segment go. One who waits with it is woken.
///
/// Ownership: ends the handle. Records that it gave live on.
/// Threads: any.
/// Blocking: never.
/// Errors: CLOSED, INVALID for a null handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_cursor_close(cursor: ewal_cursor) -> ewal_status {
    let body = || {
        let pin = CURSORS.pin(cursor.id)?;
        if !CURSORS.close(cursor.id) {
            return Err(Error::new(ErrorKind::Closed, "closed by another call"));
        }
        pin.close();
        Ok(Done::Ok)
    };
    // SAFETY: NULL is allowed.
    unsafe { guard::enter(std::ptr::null_mut(), body) }
}
