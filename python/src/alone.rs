//! What one thread at a time reads with, in the process that opened it.

use epochwal::storage::fork_generation;
use epochwal::{Error, ErrorKind};
use pyo3::prelude::*;
use std::sync::{Mutex, MutexGuard, TryLockError};

use crate::errors::exception;

/// The state of a stream. In the child of a fork it is neither read nor dropped: a
/// thread that the child has not may have been in the middle of it.
pub(crate) struct Alone<T> {
    /// For messages: "this recovery".
    what: &'static str,
    /// There until the drop.
    state: Option<Mutex<T>>,
    /// How many forks lay behind the process that opened it.
    generation: u32,
}

impl<T> Alone<T> {
    pub(crate) fn new(what: &'static str, state: T) -> Self {
        Alone {
            what,
            state: Some(Mutex::new(state)),
            generation: fork_generation(),
        }
    }

    /// Whether this is the child of a fork, which got it from its parent.
    pub(crate) fn is_inherited(&self) -> bool {
        self.generation != fork_generation()
    }

    /// BusyError while another thread has it: a lock that waits would wait attached.
    pub(crate) fn lock(&self, py: Python<'_>) -> PyResult<MutexGuard<'_, T>> {
        let refuse = |kind, why: String| exception(py, &Error::new(kind, why), None);
        let what = self.what;
        // A child's copy of the lock may be held by a thread that it has not.
        if self.is_inherited() {
            let why = format!("{what} belongs to the parent of a fork");
            return Err(refuse(ErrorKind::Forked, why));
        }
        match self.state.as_ref().expect("not dropped").try_lock() {
            Ok(state) => Ok(state),
            Err(TryLockError::Poisoned(poisoned)) => Ok(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => {
                let why = format!("another thread is reading {what}");
                Err(refuse(ErrorKind::Busy, why))
            }
        }
    }
}

impl<T> Drop for Alone<T> {
    fn drop(&mut self) {
        if self.is_inherited() {
            std::mem::forget(self.state.take());
        }
    }
}
