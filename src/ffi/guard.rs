//! The boundary: what every exported function runs inside.

use super::coordinator::{COORDINATORS, ewal_coordinator};
use super::error::{self, ErrorOut, ewal_error};
use super::status::{EWAL_END, EWAL_OK, ewal_status};
use crate::coordinator::Coordinator;
use crate::error::{Error, ErrorKind, Result};
use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What a body gives where nothing failed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Done {
    Ok,
    /// The end of a stream.
    End,
}

/// Runs a function's body: no panic leaves it, and its outcome becomes a
/// status and the caller's error struct.
///
/// # Safety
/// `error` is NULL, or points to a u32 and to as many writable bytes as it
/// says, for the time of the call.
#[inline]
pub(super) unsafe fn enter(
    error: *mut ewal_error,
    body: impl FnOnce() -> Result<Done>,
) -> ewal_status {
    // SAFETY: as promised by our caller.
    unsafe { enter_or(error, body, |_| {}) }
}

/// As [`enter`], over a coordinator: a panic makes it fail for good, since
/// nobody knows what the panic left half done.
///
/// # Safety
/// As for [`enter`].
#[inline]
pub(super) unsafe fn with_coordinator(
    handle: ewal_coordinator,
    error: *mut ewal_error,
    body: impl FnOnce(&Coordinator) -> Result<Done>,
) -> ewal_status {
    let body = || body(&COORDINATORS.pin(handle.id)?.coordinator);
    // SAFETY: as promised by our caller.
    unsafe {
        enter_or(error, body, |cause| {
            if let Ok(pin) = COORDINATORS.pin(handle.id) {
                pin.coordinator.fail(cause.clone());
            }
        })
    }
}

/// As [`enter`], and tells `after_panic` of a panic: what it was over has
/// failed.
///
/// # Safety
/// As for [`enter`].
#[inline]
pub(super) unsafe fn enter_or(
    error: *mut ewal_error,
    body: impl FnOnce() -> Result<Done>,
    after_panic: impl FnOnce(&Error),
) -> ewal_status {
    // SAFETY: as promised by our caller.
    let error = match unsafe { ErrorOut::new(error) } {
        Ok(error) => error,
        Err(status) => return status,
    };
    match catch(|| {
        inject::panic_if_asked();
        body()
    }) {
        Ok(Ok(Done::Ok)) => {
            error.clear();
            EWAL_OK
        }
        Ok(other) => tell(error, other),
        Err(cause) => tell_panic(error, &cause, after_panic),
    }
}

/// Anything but plain success. Out of line, as [`tell_panic`] and [`cause_of`]
/// are, so that the body and success are all that a function is made of.
#[cold]
#[inline(never)]
fn tell(error: ErrorOut, outcome: Result<Done>) -> ewal_status {
    match outcome {
        Ok(Done::Ok) => EWAL_OK,
        Ok(Done::End) => error.fill_text(EWAL_END, "the end of the stream"),
        Err(e) => error.fill(&e),
    }
}

#[cold]
#[inline(never)]
fn tell_panic(error: ErrorOut, cause: &Error, after_panic: impl FnOnce(&Error)) -> ewal_status {
    // A second panic must not leave either; the first one is told.
    let _ = catch(|| after_panic(cause));
    error.fill(cause)
}

/// The one place that stops a panic.
///
/// What the closure leaves half done is not used again: a coordinator is
/// made to fail, a recovery is marked so by its own lock, and out-parameters
/// are plain data.
#[inline]
pub(super) fn catch<T>(body: impl FnOnce() -> T) -> std::result::Result<T, Error> {
    catch_unwind(AssertUnwindSafe(body)).map_err(cause_of)
}

#[cold]
#[inline(never)]
fn cause_of(payload: Box<dyn Any + Send>) -> Error {
    let cause = error::of_panic(text_of(&*payload));
    // A payload's own destructor may panic; better to leak that one.
    if let Err(second) = catch_unwind(AssertUnwindSafe(move || drop(payload))) {
        std::mem::forget(second);
    }
    cause
}

fn text_of(payload: &(dyn Any + Send)) -> &str {
    if let Some(text) = payload.downcast_ref::<&str>() {
        text
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text
    } else {
        "no message"
    }
}

thread_local!(static IN_CALLBACK: Cell<bool> = const { Cell::new(false) });

/// Marks the thread for as long as one of the caller's functions runs on it.
pub(super) struct CallbackMark {
    before: bool,
}

impl CallbackMark {
    pub(super) fn new() -> Self {
        CallbackMark {
            before: IN_CALLBACK.replace(true),
        }
    }
}

impl Drop for CallbackMark {
    fn drop(&mut self) {
        IN_CALLBACK.set(self.before);
    }
}

/// Refuses to block inside a callback: the thread that would have to make the
/// wait end is the one that would wait.
pub(super) fn refuse_in_callback(function: &str) -> Result<()> {
    if IN_CALLBACK.get() {
        return Err(Error::new(
            ErrorKind::Deadlock,
            format!("{function} may block and was called from inside a callback"),
        ));
    }
    Ok(())
}

/// Panics on demand, for the tests that show that none gets out.
#[cfg(test)]
pub(super) mod inject {
    use std::cell::Cell;

    thread_local!(static ASKED: Cell<bool> = const { Cell::new(false) });

    /// The next exported function that this thread calls panics.
    pub(crate) fn ask() {
        ASKED.set(true);
    }

    pub(super) fn panic_if_asked() {
        if ASKED.replace(false) {
            panic!("injected");
        }
    }
}

#[cfg(not(test))]
mod inject {
    #[inline(always)]
    pub(super) fn panic_if_asked() {}
}
