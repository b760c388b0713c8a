//! Descriptors that become readable when there is something to look at.

use crate::error::{Error, Result};
use crate::sync::{AtomicBool, Mutex, Ordering};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// The eventfds that callers were given: a duplicate of each.
#[derive(Debug, Default)]
pub(crate) struct Events {
    any: AtomicBool,
    fds: Mutex<Vec<OwnedFd>>,
}

impl Events {
    /// A new eventfd: non-blocking, close-on-exec, the caller's to close.
    /// Readable at once where it has `ended` already.
    pub(crate) fn add(&self, ended: impl FnOnce() -> bool) -> Result<OwnedFd> {
        let fail = |e: io::Error| Error::system("eventfd", &e);
        // SAFETY: no memory is involved; the result is checked.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if fd < 0 {
            return Err(fail(io::Error::last_os_error()));
        }
        // SAFETY: a new descriptor that nobody else owns.
        let theirs = unsafe { OwnedFd::from_raw_fd(fd) };
        let ours = theirs.try_clone().map_err(fail)?;
        self.fds.lock().push(ours);
        self.any.store(true, Ordering::SeqCst);
        // After that: an end that is not seen here sees the descriptor.
        if ended() {
            bump(&theirs);
        }
        Ok(theirs)
    }

    /// Makes all of them readable for the last time, and lets them go.
    pub(crate) fn finish(&self) {
        self.signal();
        self.fds.lock().clear();
    }

    /// Makes all of them readable.
    pub(crate) fn signal(&self) {
        if self.any.load(Ordering::SeqCst) {
            self.fds.lock().iter().for_each(bump);
        }
    }
}

/// Adds 1. A counter that is full (EAGAIN) is readable already.
fn bump(fd: &OwnedFd) {
    let one = 1u64.to_ne_bytes();
    // SAFETY: eight bytes that live through the call.
    unsafe {
        libc::write(fd.as_raw_fd(), one.as_ptr().cast(), one.len());
    }
}
