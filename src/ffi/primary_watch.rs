//! Commit waits for event loops: begun, looked at, ended, and never slept in.

use super::arg::Out;
use super::error::ewal_error;
use super::guard::{self, Done};
use super::handle::Table;
use super::primary::{ewal_primary, with_primary};
use super::primary_ack::{ewal_ack_policy, ewal_ack_result, read_policy};
use super::status::ewal_status;
use super::struct_size::SizedOut;
use crate::error::{Error, ErrorKind};
use crate::primary::{AckWatch, Primary};
use std::ffi::c_int;
use std::os::fd::IntoRawFd;

/// A commit wait that was begun. A value, 0 is null; see ewal_coordinator.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ewal_ack_watch {
    /// Opaque; 0 is null.
    pub id: u64,
}

static WATCHES: Table<AckWatch, 1> = Table::new(7, "commit wait");

/// A new eventfd that becomes readable each time a commit wait of
/// ewal_primary_watch_acks is decided, and after failure and close. Read it to
/// reset it, then ask each of them. Those with the policy "local" wait for the
/// spool: ewal_spool_event_fd tells of that.
///
/// Ownership: the caller closes *out_fd; it is close-on-exec and does not
///   block, and outlives the primary.
/// Threads: any.
/// Blocking: never.
/// Errors: IO where descriptors are exhausted; CLOSED, FORKED, INVALID.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_primary_event_fd(
    primary: ewal_primary,
    out_fd: *mut c_int,
    error: *mut ewal_error,
) -> ewal_status {
    // SAFETY: the caller keeps to the header, here and below.
    let out = unsafe { Out::new(out_fd) };
    let body = |it: &Primary| {
        out.required("out_fd")?;
        out.set(it.event_fd()?.into_raw_fd());
        Ok(Done::Ok)
    };
    // SAFETY: as above.
    unsafe { with_primary(primary, error, body) }
}

/// Begins a commit wait that nobody sleeps in. It may be decided at once.
///
/// Ownership: nothing passed in is kept. The caller ends *out, before or after
///   the primary is closed, with ewal_ack_watch_finish. Until then it keeps
///   memory of the primary.
/// Threads: any.
/// Blocking: never.
/// Errors: INVALID for a policy that is none; ABI, FAILED, CLOSED, FORKED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_primary_watch_acks(
    primary: ewal_primary,
    lsn: u64,
    policy: *const ewal_ack_policy,
    out: *mut ewal_ack_watch,
    error: *mut ewal_error,
) -> ewal_status {
    // SAFETY: the caller keeps to the header, here and below.
    let out = unsafe { Out::new(out) };
    let body = |it: &Primary| {
        out.required("out")?;
        // SAFETY: as above.
        let policy = unsafe { read_policy(policy) }?;
        let watch = it.watch_acks(lsn, &policy)?;
        out.set(ewal_ack_watch {
            id: WATCHES.insert(watch)?,
        });
        Ok(Done::Ok)
    };
    // SAFETY: as above.
    unsafe { with_primary(primary, error, body) }
}

/// Whether ewal_ack_watch_finish would give anything but TIMEOUT now.
///
/// Ownership: *out is the caller's.
/// Threads: any.
/// Blocking: never.
/// Errors: FAILED or CLOSED where nothing is to come any more; CLOSED once it is
///   ended; FORKED, INVALID.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_ack_watch_decided(
    watch: ewal_ack_watch,
    out: *mut bool,
    error: *mut ewal_error,
) -> ewal_status {
    // SAFETY: the caller keeps to the header, here and below.
    let out = unsafe { Out::new(out) };
    let body = || {
        let pin = WATCHES.pin(watch.id)?;
        out.required("out")?;
        out.set(pin.is_decided()?);
        Ok(Done::Ok)
    };
    // SAFETY: as above.
    unsafe { guard::enter(error, body) }
}

/// Ends a commit wait as ewal_primary_wait_acks ends when its time is up.
///
/// Ownership: ends the handle, whatever it gives, but for DEADLOCK. out may be
///   NULL. It is filled also where the status is TIMEOUT or NOT_FOUND.
/// Threads: any.
/// Blocking: for saving what was reached.
/// Errors: as ewal_primary_wait_acks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_ack_watch_finish(
    watch: ewal_ack_watch,
    out: *mut ewal_ack_result,
    error: *mut ewal_error,
) -> ewal_status {
    // SAFETY: the caller keeps to the header, here and below.
    let out = unsafe { SizedOut::new(out) };
    let body = || {
        out.check_optional()?;
        guard::refuse_in_callback("ewal_ack_watch_finish")?;
        let pin = WATCHES.pin(watch.id)?;
        if !WATCHES.close(watch.id) {
            return Err(Error::new(ErrorKind::Closed, "ended by another call"));
        }
        let result = pin.settle()?;
        out.write(&result.into());
        result.ok().map(|_| Done::Ok)
    };
    // SAFETY: as above.
    unsafe { guard::enter(error, body) }
}
