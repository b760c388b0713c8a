//! `epochwal.Cursor`: a spool's reader that keeps its place.

use epochwal::spool::{ReadLimit, SharedCursor, SpoolRecord};
use epochwal::{Error, ErrorKind};
use pyo3::prelude::*;
use pyo3::types::{PyAny, PyList, PyType};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, TryLockError};
use std::time::Duration;

use crate::args;
use crate::errors::exception;
use crate::handle;
use crate::options::Given;
use crate::records;
use crate::spool::Spool;
use crate::waiting;

/// Reads a spool on from where it was: an iterator over its records that waits
/// for those to come, and a context manager.
///
/// It keeps the segment that it is in: a prune lets that file go only when the
/// cursor has left it. It ends with an exception alone: WalRemovedError where
/// it fell behind what is pruned, ClosedError or the failure of its spool. One
/// thread at a time; any may close it.
#[pyclass(module = "epochwal", frozen, weakref)]
pub(crate) struct Cursor {
    spool: Py<Spool>,
    core: SharedCursor,
    /// Records that the iteration has read and not given yet.
    ahead: Mutex<VecDeque<SpoolRecord>>,
    /// The LSN of the last record given.
    lsn: AtomicU64,
    closed: AtomicBool,
}

#[pymethods]
impl Cursor {
    /// The next records as a list of SpoolRecord, at least one, and at most
    /// max_records (1000) or max_bytes (16 MiB of payload); waits until there is
    /// one. After Timeout, as after any exception, it is where it was.
    #[pyo3(signature = (timeout=None, *, max_records=None, max_bytes=None))]
    fn next_batch<'py>(
        &self,
        py: Python<'py>,
        #[pyo3(from_py_with = args::timeout)] timeout: Option<Duration>,
        max_records: Given<'py>,
        max_bytes: Given<'py>,
    ) -> PyResult<Bound<'py, PyList>> {
        let limit = args::read_limit(max_records, max_bytes)?;
        let mut ahead = self.lock(py)?;
        if ahead.is_empty() {
            ahead.extend(self.read(py, limit, timeout)?);
        }
        let count = within(&ahead, limit);
        let list = records::list(py, ahead.iter().take(count))?;
        self.given(ahead.drain(..count).next_back().as_ref());
        Ok(list)
    }

    /// The LSN of the last record it gave, or the one it began behind.
    #[getter]
    fn lsn(&self) -> u64 {
        self.lsn.load(Relaxed)
    }

    /// Ends it, also for a thread that waits with it: ClosedError. The spool
    /// stays open. Closing again does nothing.
    fn close(&self) {
        self.closed.store(true, Relaxed);
        self.core.close();
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let mut ahead = self.lock(py)?;
        if ahead.is_empty() {
            ahead.extend(self.read(py, ReadLimit::default(), None)?);
        }
        // A read without a timeout gives one at least.
        let next = ahead.front().expect("read above");
        let shown = records::record(py, next)?;
        self.given(ahead.pop_front().as_ref());
        Ok(shown)
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    #[pyo3(signature = (kind, value, traceback, /))]
    fn __exit__<'py>(
        &self,
        kind: Option<&Bound<'py, PyType>>,
        value: Option<&Bound<'py, PyAny>>,
        traceback: Option<&Bound<'py, PyAny>>,
    ) {
        let _ = (kind, value, traceback);
        self.close();
    }

    fn __repr__(&self) -> String {
        let state = if self.closed.load(Relaxed) {
            ", closed"
        } else {
            ""
        };
        format!("<epochwal.Cursor at {}{state}>", self.lsn())
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(handle::no_pickle("a Cursor"))
    }
}

impl Cursor {
    pub(crate) fn new(spool: Py<Spool>, core: SharedCursor, lsn: u64) -> Cursor {
        Cursor {
            spool,
            core,
            ahead: Mutex::new(VecDeque::new()),
            lsn: AtomicU64::new(lsn),
            closed: AtomicBool::new(false),
        }
    }

    /// One thread at a time: a lock that waits would wait attached.
    fn lock(&self, py: Python<'_>) -> PyResult<MutexGuard<'_, VecDeque<SpoolRecord>>> {
        // A child's copy of the lock may be held by a thread that it has not.
        self.spool.get().check_own(py)?;
        let refuse = |kind, why: &str| exception(py, &Error::new(kind, why), None);
        if self.closed.load(Relaxed) {
            return Err(refuse(ErrorKind::Closed, "the cursor is closed"));
        }
        match self.ahead.try_lock() {
            Ok(ahead) => Ok(ahead),
            Err(TryLockError::Poisoned(poisoned)) => Ok(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => Err(refuse(
                ErrorKind::Busy,
                "the cursor is in use by another thread",
            )),
        }
    }

    fn read(
        &self,
        py: Python<'_>,
        limit: ReadLimit,
        timeout: Option<Duration>,
    ) -> PyResult<Vec<SpoolRecord>> {
        let core = &self.core;
        self.spool.get().run(py, |_| {
            waiting::interruptible(|ask| core.next_batch(limit, timeout, Some(ask)))
        })
    }

    fn given(&self, last: Option<&SpoolRecord>) {
        if let Some(record) = last {
            self.lsn.store(record.lsn, Relaxed);
        }
    }
}

/// How many of the records the limit lets through, one at least.
pub(crate) fn within(records: &VecDeque<SpoolRecord>, limit: ReadLimit) -> usize {
    let mut bytes = 0_usize;
    let fits = records.iter().take(limit.records).take_while(|record| {
        bytes = bytes.saturating_add(record.payload.len());
        bytes <= limit.bytes
    });
    fits.count().max(1)
}
