//! Waiting: for an epoch, for all that is staged, by descriptor, by callback.

use super::arg::{self, Out};
use super::callback::{self, User, ewal_drop_fn, ewal_durable_fn};
use super::coordinator::ewal_coordinator;
use super::error::ewal_error;
use super::guard::{self, Done};
use super::status::ewal_status;
use crate::coordinator::Coordinator;
use std::ffi::{c_int, c_void};
use std::os::fd::IntoRawFd;

/// Waits until an epoch is durable. Waiting drives the flush: where none is
/// running, the caller's thread writes and syncs the epoch itself.
///
/// OK: durable, whatever happened since. TIMEOUT: still pending, wait again.
/// NO_SPACE: still pending, may yet become durable. OUTCOME_UNKNOWN: in flight
/// when a sync failed. FAILED: it will never be durable.
///
/// Ownership: nothing.
/// Threads: any number, on any epochs.
/// Blocking: up to timeout_ns (0 polls, negative waits for ever).
/// Errors: those above; INVALID for an epoch that was never handed out;
///   CLOSED, which says nothing about durability; DEADLOCK from inside a
///   callback; FORKED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_wait(
    coordinator: ewal_coordinator,
    epoch: u64,
    timeout_ns: i64,
    error: *mut ewal_error,
) -> ewal_status {
    let body = |it: &Coordinator| {
        guard::refuse_in_callback("ewal_wait")?;
        it.wait(epoch, arg::timeout(timeout_ns))?;
        Ok(Done::Ok)
    };
    // SAFETY: the caller keeps to the header.
    unsafe { guard::with_coordinator(coordinator, error, body) }
}

/// Seals and waits for all that was staged before the call. *out_epoch is the
/// epoch waited for; the durable epoch where nothing was staged; 0 where there
/// is none.
///
/// Ownership: out_epoch may be NULL.
/// Threads: any.
/// Blocking: up to timeout_ns (0 polls, negative waits for ever).
/// Errors: as ewal_wait.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_flush(
    coordinator: ewal_coordinator,
    timeout_ns: i64,
    out_epoch: *mut u64,
    error: *mut ewal_error,
) -> ewal_status {
    // SAFETY: the caller keeps to the header, here and below.
    let out = unsafe { Out::new(out_epoch) };
    let body = |it: &Coordinator| {
        guard::refuse_in_callback("ewal_flush")?;
        out.set(it.flush(arg::timeout(timeout_ns))?);
        Ok(Done::Ok)
    };
    // SAFETY: as above.
    unsafe { guard::with_coordinator(coordinator, error, body) }
}

/// The epoch that a batch staged now would get.
///
/// Ownership: nothing.
/// Threads: any.
/// Blocking: never.
/// Errors: CLOSED, FORKED, FAILED, INVALID where out is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_current_epoch(
    coordinator: ewal_coordinator,
    out: *mut u64,
) -> ewal_status {
    // SAFETY: the caller keeps to the header, here and below.
    let out = unsafe { Out::new(out) };
    let body = |it: &Coordinator| {
        out.required("out")?;
        out.set(it.current_epoch()?);
        Ok(Done::Ok)
    };
    // SAFETY: as above.
    unsafe { guard::with_coordinator(coordinator, std::ptr::null_mut(), body) }
}

/// The highest durable epoch, and whether there is any: after a reopen it is
/// the last one on disk.
///
/// Ownership: out_any may be NULL.
/// Threads: any.
/// Blocking: never.
/// Errors: CLOSED, FORKED, INVALID where out is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_durable_epoch(
    coordinator: ewal_coordinator,
    out: *mut u64,
    out_any: *mut bool,
) -> ewal_status {
    // SAFETY: the caller keeps to the header, here and below.
    let out = unsafe { Out::new(out) };
    // SAFETY: as above.
    let any = unsafe { Out::new(out_any) };
    let body = |it: &Coordinator| {
        out.required("out")?;
        let epoch = it.durable_epoch()?;
        out.set(epoch.unwrap_or(0));
        any.set(epoch.is_some());
        Ok(Done::Ok)
    };
    // SAFETY: as above.
    unsafe { guard::with_coordinator(coordinator, std::ptr::null_mut(), body) }
}

/// A new eventfd that becomes readable at each advance of the durable epoch,
/// and after failure and close. Read it to reset it, then ask
/// ewal_durable_epoch. It does not start a flush: see ewal_request_flush.
///
/// Ownership: the caller closes *out_fd; it is close-on-exec and does not
///   block, and outlives the coordinator.
/// Threads: any.
/// Blocking: never.
/// Errors: IO where descriptors are exhausted; CLOSED, FORKED, INVALID.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_event_fd(
    coordinator: ewal_coordinator,
    out_fd: *mut c_int,
    error: *mut ewal_error,
) -> ewal_status {
    // SAFETY: the caller keeps to the header, here and below.
    let out = unsafe { Out::new(out_fd) };
    let body = |it: &Coordinator| {
        out.required("out_fd")?;
        out.set(it.event_fd()?.into_raw_fd());
        Ok(Done::Ok)
    };
    // SAFETY: as above.
    unsafe { guard::with_coordinator(coordinator, error, body) }
}

/// Starts a flush of an epoch in the background, for callers that wait
/// without a thread.
///
/// Ownership: nothing.
/// Threads: any, callbacks too.
/// Blocking: never.
/// Errors: INVALID for an epoch that was never handed out; FAILED, CLOSED,
///   FORKED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_request_flush(
    coordinator: ewal_coordinator,
    epoch: u64,
    error: *mut ewal_error,
) -> ewal_status {
    let body = |it: &Coordinator| {
        it.request_flush(epoch)?;
        Ok(Done::Ok)
    };
    // SAFETY: the caller keeps to the header.
    unsafe { guard::with_coordinator(coordinator, error, body) }
}

/// Calls back once an epoch is durable or known not to become so, and starts
/// a flush of it. After EWAL_OK the function runs exactly once, on a
/// thread of the library, before close returns; then drop runs with the user
/// pointer. After any other status the function never runs, and drop has run
/// before the call returned. A function that blocks holds up the ones behind
/// it; one that calls a blocking function of this library gets DEADLOCK.
///
/// Ownership: user is the library's from the call on, whatever the status;
///   drop may be NULL.
/// Threads: any.
/// Blocking: never.
/// Errors: INVALID for an epoch that was never handed out and for a NULL
///   function; FAILED, CLOSED, FORKED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_on_durable(
    coordinator: ewal_coordinator,
    epoch: u64,
    function: ewal_durable_fn,
    user: *mut c_void,
    drop: ewal_drop_fn,
    error: *mut ewal_error,
) -> ewal_status {
    let user = User::new(user, drop);
    let body = move |it: &Coordinator| {
        callback::register(function, user, |call| it.on_durable(epoch, call))?;
        Ok(Done::Ok)
    };
    // SAFETY: the caller keeps to the header.
    unsafe { guard::with_coordinator(coordinator, error, body) }
}
