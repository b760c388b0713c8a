//! `epochwal.SpoolReader`: a spool read from outside.

use epochwal::spool::{ReadLimit, SpoolReader as Core, SpoolRecord, SpoolReport};
use epochwal::{Error, ErrorKind};
use pyo3::prelude::*;
use pyo3::types::{PyAny, PyList, PyTuple, PyType};
use std::collections::VecDeque;
use std::path::PathBuf;

use crate::alone::Alone;
use crate::args;
use crate::cursor::within;
use crate::errors::{catch, detached, exception};
use crate::handle;
use crate::options::Given;
use crate::primary_shapes::flag;
use crate::records;
use crate::recovery::{self, verdict_name};
use crate::shapes;
use crate::spool_shapes::{lost_of, terms_of};

/// What the iteration reads at once.
const PAGE: ReadLimit = ReadLimit {
    records: 1000,
    bytes: 1 << 20,
};

/// Reads a spool without its handle, beside its writer, in any process: an
/// iterator over its durable records, and a context manager.
///
/// >>> with Spool("app.db") as spool:
/// ...     ticket = spool.append_batch([(1, 1, b"a"), (1, 2, b"b"), (1, 3, b"c")])
/// ...     with SpoolReader("app.db", since=1) as reader:
/// ...         print([(record.lsn, record.payload) for record in reader])
/// [(2, b'b'), (3, b'c')]
/// >>> reader.report.verdict, reader.report.writer
/// ('clean', True)
///
/// It takes no writer's lock and writes nothing. It gives records above since,
/// or all there are, up to what was durable when it was opened; to read on, open
/// another one since the last record. Until it has ended or is closed no file
/// that it may still read is used again. It holds a MiB of records at a time, or
/// one where that is larger.
///
/// Where there is no spool the iteration is empty. It raises WalRemovedError
/// where records above since are pruned or lost, AheadError at the end where
/// since is beyond it, DivergedError where a writer came and cut off what was
/// given, CorruptError on damage: what was given before is good. One thread at a
/// time.
#[pyclass(module = "epochwal", frozen, weakref)]
pub(crate) struct SpoolReader {
    state: Alone<State>,
}

enum State {
    Reading {
        core: Box<Core>,
        /// Records that the iteration has read and not given yet.
        ahead: VecDeque<SpoolRecord>,
    },
    /// Nothing more comes; closed by hand or not.
    Done(Box<SpoolReport>, bool),
}

impl State {
    fn report(&self) -> &SpoolReport {
        match self {
            State::Reading { core, .. } => core.report(),
            State::Done(report, _) => report,
        }
    }

    /// Reads on where nothing is ahead. At the end the files go.
    fn fill(&mut self, py: Python<'_>, limit: ReadLimit) -> PyResult<()> {
        let (core, ahead) = match self {
            State::Reading { core, ahead } => (core, ahead),
            State::Done(_, false) => return Ok(()),
            State::Done(_, true) => {
                let error = Error::new(ErrorKind::Closed, "the reader is closed");
                return Err(exception(py, &error, None));
            }
        };
        if !ahead.is_empty() {
            return Ok(());
        }
        let ended = match py.detach(|| catch(|| core.next_batch(limit))) {
            Ok(records) if !records.is_empty() => {
                ahead.extend(records);
                return Ok(());
            }
            Ok(_) => Ok(()),
            Err(error) => Err(exception(py, &error, None)),
        };
        let core = self.finish(false);
        py.detach(|| drop(core));
        ended
    }

    /// Lets go of the files; gives them back to be dropped by the caller.
    fn finish(&mut self, closed: bool) -> Option<Box<Core>> {
        let done = State::Done(Box::new(self.report().clone()), closed);
        match std::mem::replace(self, done) {
            State::Reading { core, .. } => Some(core),
            State::Done(..) => None,
        }
    }
}

#[pymethods]
impl SpoolReader {
    #[new]
    #[pyo3(signature = (path, *, since=None))]
    fn new<'py>(
        py: Python<'py>,
        #[pyo3(from_py_with = args::path)] path: PathBuf,
        since: Given<'py>,
    ) -> PyResult<Self> {
        let since = since
            .map(|lsn| args::unsigned("since", &lsn, u64::MAX))
            .transpose()?;
        let core = detached(py, || Core::open(&path, since))?;
        let state = State::Reading {
            core: Box::new(core),
            ahead: VecDeque::new(),
        };
        Ok(SpoolReader {
            state: Alone::new("this reader", state),
        })
    }

    /// The next records as a list of SpoolRecord, at most max_records (1000) or
    /// max_bytes (16 MiB of payload), and one at least; an empty list at the end.
    #[pyo3(signature = (*, max_records=None, max_bytes=None))]
    fn next_batch<'py>(
        &self,
        py: Python<'py>,
        max_records: Given<'py>,
        max_bytes: Given<'py>,
    ) -> PyResult<Bound<'py, PyList>> {
        let limit = args::read_limit(max_records, max_bytes)?;
        let mut state = self.state.lock(py)?;
        state.fill(py, limit)?;
        let State::Reading { ahead, .. } = &mut *state else {
            return Ok(PyList::empty(py));
        };
        let count = within(ahead, limit);
        let list = records::list(py, ahead.iter().take(count))?;
        ahead.drain(..count);
        Ok(list)
    }

    /// What was read so far, as a SpoolReport; complete once the iteration has
    /// ended.
    #[getter]
    fn report<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        report(py, self.state.lock(py)?.report())
    }

    /// Lets go of the files: reading on raises ClosedError. The report stays.
    /// Closing again does nothing.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        if self.state.is_inherited() {
            // Its files are closed here.
            return Ok(());
        }
        let core = self.state.lock(py)?.finish(true);
        py.detach(|| drop(core));
        Ok(())
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let mut state = self.state.lock(py)?;
        state.fill(py, PAGE)?;
        let State::Reading { ahead, .. } = &mut *state else {
            return Ok(None);
        };
        let next = ahead.front();
        let shown = next.map(|next| records::record(py, next)).transpose()?;
        ahead.pop_front();
        Ok(shown)
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
        Err(handle::no_pickle("a SpoolReader"))
    }
}

fn report<'py>(py: Python<'py>, found: &SpoolReport) -> PyResult<Bound<'py, PyAny>> {
    let suspects = recovery::suspects(py, &found.suspects)?;
    let fields: [Bound<'py, PyAny>; 16] = [
        flag(py, found.exists),
        flag(py, found.writer),
        flag(py, found.clean),
        found.records.into_pyobject(py)?.into_any(),
        found.payload_bytes.into_pyobject(py)?.into_any(),
        found.first_lsn.into_pyobject(py)?.into_any(),
        found.last_lsn.into_pyobject(py)?.into_any(),
        found.pruned_through.into_pyobject(py)?.into_any(),
        found.current_lsn.into_pyobject(py)?.into_any(),
        found.durable_lsn.into_pyobject(py)?.into_any(),
        found.quorum_lsn.into_pyobject(py)?.into_any(),
        terms_of(py, &found.terms)?.into_any(),
        lost_of(py, found.lost.ranges())?.into_any(),
        found.bytes_read.into_pyobject(py)?.into_any(),
        verdict_name(found.verdict).into_pyobject(py)?.into_any(),
        suspects.into_any(),
    ];
    shapes::SPOOL_REPORT.make(py, PyTuple::new(py, fields)?)
}
