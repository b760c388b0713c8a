//! `epochwal.AckWatch`: a commit wait for event loops.

use epochwal::primary::AckWatch as Core;
use epochwal::{Error, ErrorKind};
use pyo3::prelude::*;
use pyo3::types::PyAny;
use std::sync::Mutex;

use crate::handle;
use crate::primary::{Primary, outcome};

/// A commit wait that is looked at and not slept in; Primary.watch_acks begins
/// one. epochwal.aio is made of these, and a loop of another kind can be.
#[pyclass(module = "epochwal", frozen, weakref)]
pub(crate) struct AckWatch {
    primary: Py<Primary>,
    /// Taken by who ends it.
    core: Mutex<Option<Core>>,
    local: bool,
}

#[pymethods]
impl AckWatch {
    /// Whether the policy is met, or can't be: what finish gives is no timeout
    /// then. Raises where nothing is to come any more. Never waits.
    fn decided(&self, py: Python<'_>) -> PyResult<bool> {
        self.primary.get().attached(py, |_| {
            let core = self.core.lock().unwrap_or_else(|e| e.into_inner());
            core.as_ref().ok_or_else(ended)?.is_decided()
        })
    }

    /// Ends it as wait_acks does when its time is up: an AckResult, or Timeout or
    /// NotFoundError. May write to the disk, so that what it calls reached is known
    /// to be after a crash.
    fn finish<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let result = self.primary.get().run(py, |_| {
            let core = self.take().ok_or_else(ended)?;
            Ok(core.finish()?)
        })?;
        outcome(py, result)
    }

    /// Gives it up. Closing again does nothing.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.primary.get().attached(py, |_| {
            drop(self.take());
            Ok(())
        })
    }

    /// It waits for the log alone: the descriptor of the spool tells of it, not
    /// the primary's.
    #[getter]
    fn local(&self) -> bool {
        self.local
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(handle::no_pickle("an AckWatch"))
    }
}

impl AckWatch {
    pub(crate) fn new(primary: Py<Primary>, core: Core, local: bool) -> AckWatch {
        AckWatch {
            primary,
            core: Mutex::new(Some(core)),
            local,
        }
    }

    fn take(&self) -> Option<Core> {
        self.core.lock().unwrap_or_else(|e| e.into_inner()).take()
    }
}

fn ended() -> Error {
    Error::new(ErrorKind::Closed, "the wait has ended")
}
