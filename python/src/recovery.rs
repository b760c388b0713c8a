//! Recovery: the stream of batches, and what is done with it in one call.

use epochwal::recovery::{self, RecoveredBatch, RecoveryReport, SuspectFile, Verdict};
use epochwal::{Recovery as Core, RecoveryOptions};
use pyo3::prelude::*;
use pyo3::types::{PyAny, PyBytes, PyDict, PyList, PyTuple, PyType};
use std::path::PathBuf;

use crate::alone::Alone;
use crate::args;
use crate::errors::{catch, detached, exception};
use crate::handle;
use crate::shapes;

/// The batches of a log in replay order: an iterator, and a context manager.
///
/// It reads a durable prefix, beside a live writer too, and keeps the
/// segments from being reused until it is exhausted or closed. `report` says
/// what was read so far, and is complete once the iteration has ended.
///
/// A step reads from files and waits for nobody. It raises CorruptError, whose
/// path and offset say where; BusyError while another thread takes a step; and in
/// the child of a fork ForkedError.
#[pyclass(module = "epochwal", frozen, weakref)]
pub(crate) struct Recovery {
    state: Alone<State>,
}

enum State {
    Reading(Box<Core>),
    Done(RecoveryReport),
}

impl State {
    fn report(&self) -> &RecoveryReport {
        match self {
            State::Reading(core) => core.report(),
            State::Done(report) => report,
        }
    }

    /// Lets go of the files; gives them back to be dropped by the caller.
    fn finish(&mut self) -> Option<Box<Core>> {
        let done = State::Done(self.report().clone());
        match std::mem::replace(self, done) {
            State::Reading(core) => Some(core),
            State::Done(_) => None,
        }
    }
}

#[pymethods]
impl Recovery {
    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let mut state = self.state.lock(py)?;
        let State::Reading(core) = &mut *state else {
            return Ok(None);
        };
        let failure = match py.detach(|| catch(|| core.next_batch())) {
            Ok(Some(found)) => return batch(py, &found).map(Some),
            Ok(None) => None,
            Err(error) => Some(error),
        };
        let core = state.finish();
        py.detach(|| drop(core));
        match failure {
            None => Ok(None),
            Some(error) => Err(exception(py, &error, None)),
        }
    }

    /// What was read so far.
    #[getter]
    fn report<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        report(py, self.state.lock(py)?.report())
    }

    /// Lets go of the log's files; the iteration ends. Closing again does
    /// nothing.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let core = self.state.lock(py)?.finish();
        py.detach(|| drop(core));
        Ok(())
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    #[pyo3(signature = (kind, value, traceback, /))]
    fn __exit__<'py>(
        &self,
        py: Python<'py>,
        kind: Option<&Bound<'py, PyType>>,
        value: Option<&Bound<'py, PyAny>>,
        traceback: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<()> {
        let _ = (kind, value, traceback);
        self.close(py)
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(handle::no_pickle("a Recovery"))
    }
}

fn options(
    durable_prefix: bool,
    verify_only: bool,
    delete_segments: bool,
    database_id: Option<[u8; 16]>,
) -> RecoveryOptions {
    RecoveryOptions {
        durable_prefix,
        verify_only,
        delete_segments,
        database_id,
    }
}

/// Opens the log beside the database at path, and returns an iterator over
/// its batches in replay order. It holds one group of the log in memory at a
/// time, however long that is.
///
/// >>> with Coordinator("app.db", sequencing="coordinator") as wal:
/// ...     for txn_id in range(1, 4):
/// ...         ticket = wal.commit([(txn_id, b"page")], txn_id=txn_id)
/// >>> recovery = recover("app.db")
/// >>> [(batch.txn_id, batch.frames[0].data) for batch in recovery]
/// [(1, b'page'), (2, b'page'), (3, b'page')]
/// >>> recovery.report.verdict
/// 'clean'
///
/// Damage to anything acknowledged raises CorruptError. With durable_prefix
/// the iteration ends before the damage instead, and the report lists it.
/// With verify_only everything is read and checked, and nothing handed out.
/// Ctrl-C ends the iteration between two batches; recover_into_file,
/// recover_pages and verify go on to their end.
#[pyfunction]
#[pyo3(signature = (path, *, durable_prefix=false, verify_only=false, database_id=None))]
pub(crate) fn recover(
    py: Python<'_>,
    #[pyo3(from_py_with = args::path)] path: PathBuf,
    #[pyo3(from_py_with = args::durable_prefix)] durable_prefix: bool,
    #[pyo3(from_py_with = args::verify_only)] verify_only: bool,
    #[pyo3(from_py_with = args::database_id)] database_id: Option<[u8; 16]>,
) -> PyResult<Recovery> {
    let options = options(durable_prefix, verify_only, false, database_id);
    let core = detached(py, || Core::open(&path, &options))?;
    Ok(Recovery {
        state: Alone::new("this recovery", State::Reading(Box::new(core))),
    })
}

/// Recovers into the file target: page n at offset (n-1) x page_size, synced,
/// its size set by the last commit. Where it is missing it is made, unless the
/// log has no pages: then nothing is touched. With delete_segments the log's segments
/// are deleted once the file is synced.
#[pyfunction]
#[pyo3(signature = (
    path, target, page_size, *, durable_prefix=false, delete_segments=false, database_id=None,
))]
pub(crate) fn recover_into_file<'py>(
    py: Python<'py>,
    #[pyo3(from_py_with = args::path)] path: PathBuf,
    #[pyo3(from_py_with = args::target)] target: PathBuf,
    #[pyo3(from_py_with = args::page_size)] page_size: u32,
    #[pyo3(from_py_with = args::durable_prefix)] durable_prefix: bool,
    #[pyo3(from_py_with = args::delete_segments)] delete_segments: bool,
    #[pyo3(from_py_with = args::database_id)] database_id: Option<[u8; 16]>,
) -> PyResult<Bound<'py, PyAny>> {
    let options = options(durable_prefix, false, delete_segments, database_id);
    let found = detached(py, || {
        recovery::recover_into_file(&path, &target, page_size, &options)
    })?;
    report(py, &found)
}

/// Recovers into memory: Pages(pages, db_size, report), where pages maps each
/// page number to its image of the highest commit sequence.
#[pyfunction]
#[pyo3(signature = (path, *, durable_prefix=false, database_id=None))]
pub(crate) fn recover_pages<'py>(
    py: Python<'py>,
    #[pyo3(from_py_with = args::path)] path: PathBuf,
    #[pyo3(from_py_with = args::durable_prefix)] durable_prefix: bool,
    #[pyo3(from_py_with = args::database_id)] database_id: Option<[u8; 16]>,
) -> PyResult<Bound<'py, PyAny>> {
    let options = options(durable_prefix, false, false, database_id);
    let (map, found) = detached(py, || recovery::recover_into_map(&path, &options))?;
    let pages = PyDict::new(py);
    // Taken apart, so that each image is freed as its copy is made.
    for (number, (_, image)) in map.pages {
        pages.set_item(number, PyBytes::new(py, &image))?;
    }
    shapes::PAGES.make(py, (pages, map.db_size, report(py, &found)?))
}

/// Reads and checks the whole log, and returns the report. Damage does not
/// raise: the report's verdict is "corrupt" and its suspects say where.
#[pyfunction]
#[pyo3(signature = (path, *, database_id=None))]
pub(crate) fn verify<'py>(
    py: Python<'py>,
    #[pyo3(from_py_with = args::path)] path: PathBuf,
    #[pyo3(from_py_with = args::database_id)] database_id: Option<[u8; 16]>,
) -> PyResult<Bound<'py, PyAny>> {
    let options = options(true, true, false, database_id);
    let found = detached(py, || {
        let mut core = Core::open(&path, &options)?;
        while core.next_batch()?.is_some() {}
        Ok(core.report().clone())
    })?;
    report(py, &found)
}

fn batch<'py>(py: Python<'py>, found: &RecoveredBatch<'_>) -> PyResult<Bound<'py, PyAny>> {
    let frames = PyList::empty(py);
    for frame in found.frames.iter() {
        frames.append(shapes::FRAME.make(
            py,
            (
                frame.page_number,
                PyBytes::new(py, frame.data),
                frame.db_size_if_commit,
            ),
        )?)?;
    }
    shapes::BATCH.make(
        py,
        (
            found.epoch,
            found.commit_seq,
            found.txn_id,
            found.txn_epoch,
            frames,
            PyBytes::new(py, found.metadata),
        ),
    )
}

pub(crate) fn verdict_name(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Clean => "clean",
        Verdict::Torn => "torn",
        Verdict::Corrupt => "corrupt",
    }
}

fn epochs<'py>(py: Python<'py>, ranges: &[(u64, u64)]) -> PyResult<Bound<'py, PyAny>> {
    let ranges = PyTuple::new(py, ranges.iter().copied())?;
    shapes::EPOCHS.class(py)?.call1((ranges,))
}

pub(crate) fn suspects<'py>(
    py: Python<'py>,
    found: &[SuspectFile],
) -> PyResult<Bound<'py, PyList>> {
    let suspects = PyList::empty(py);
    for suspect in found {
        suspects.append(shapes::SUSPECT.make(
            py,
            (
                suspect.path.as_os_str(),
                suspect.offset,
                verdict_name(suspect.verdict),
                &suspect.reason,
            ),
        )?)?;
    }
    Ok(suspects)
}

fn report<'py>(py: Python<'py>, found: &RecoveryReport) -> PyResult<Bound<'py, PyAny>> {
    shapes::REPORT.make(
        py,
        (
            found.segments,
            found.batches,
            found.records,
            found.bytes_read,
            epochs(py, found.epochs.ranges())?,
            found.highest_commit_seq,
            found.checkpoint_epoch,
            epochs(py, found.unconfirmed.ranges())?,
            found.db_size,
            verdict_name(found.verdict),
            suspects(py, &found.suspects)?,
        ),
    )
}
