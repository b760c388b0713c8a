//! `epochwal.Spool`. Long, because PyO3 takes one block of methods for a class.

use epochwal::spool::{Record, SharedCursor, Spool as Core, SpoolTicket};
use epochwal::storage::fork_generation;
use epochwal::{Error, ErrorKind};
use pyo3::prelude::*;
use pyo3::types::{PyAny, PyDict, PyList, PyType};
use std::ffi::{OsStr, OsString};
use std::os::fd::IntoRawFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use crate::args;
use crate::cursor::Cursor;
use crate::errors::{catch, detached, exception, invalid};
use crate::figures;
use crate::handle;
use crate::options::Given;
use crate::primary::Primary;
use crate::records::{self, Given as GivenRecord};
use crate::spool_options::Keywords;
use crate::spool_shapes::{bounds_of, lost_of, terms_of, ticket_of, ticket_shape, torn_of};
use crate::waiting::{self, Ended};

/// A durable, ordered log of records, for replication.
///
/// A record is opaque bytes with its LSN, the term of the primary that wrote
/// it, and a time in milliseconds. LSNs strictly rise, from 1 to 2^64-2, and
/// terms never fall. Every method may be called from any thread, and lets other
/// threads run while it waits. Ctrl-C ends a wait. timeout is in seconds: None
/// waits for ever, 0 polls.
///
/// >>> with Spool("app.db") as spool:
/// ...     ticket = spool.append_batch([(1, 10, b"a"), (1, 20, b"b"), (1, 30, b"c")])
/// ...     print([record.lsn for record in spool.read_since(10)])
/// ...     with spool.cursor(0) as cursor:
/// ...         print(next(cursor).payload, next(cursor).payload)
/// ...     spool.prune_through(20)
/// ...     spool.bounds
/// [20, 30]
/// b'a' b'b'
/// 20
/// Bounds(oldest_lsn=30, current_lsn=30, pruned_through=20)
///
/// An option left out or None is at its default, and so is 0 but for ring_bytes:
///
/// max_payload=64 MiB           a larger payload is refused
/// ring_bytes=16 MiB            of the newest records kept in memory for readers
/// ring_records=1048576         that a spool in memory keeps
/// dense=False                  True: refuse gaps between LSNs
/// flush_interval=0.01          seconds that a submitted record waits at most
///                              when nobody waits for it
/// block_timeout=10.0           seconds that an append waits for room
/// max_memory=256 MiB           staged and in flight
/// max_log_bytes=None           past it, NoSpaceError until a prune
/// sync_policy="full"           "full", "normal", "off"
/// sync_style="probe"           "probe", "direct", "buffered"
/// segment_size=64 MiB          of the largest segment file
/// salvage=False                True: move damage aside, and open
/// format="native"              "native", or "rdlw": records in one file of that
///                              format, for software that reads it
/// term_of=None                 a function of a payload: finds the term of a record
///                              of RDLW version 1 or 2 that the open takes in; None
///                              or 0 is term 1
///
/// Opening reads the end of the log. It raises LockedError while another
/// process or object writes this spool, CorruptError on damage to anything
/// acknowledged, InvalidError for an option out of range.
#[pyclass(module = "epochwal", frozen, weakref)]
pub(crate) struct Spool {
    /// Taken out only by `drop`.
    core: Option<Arc<Core>>,
    /// The primary that it is part of, and closes with.
    owner: Option<Py<Primary>>,
    closed: AtomicBool,
    /// How many forks lay behind the process that opened it.
    generation: u32,
}

#[pymethods]
impl Spool {
    #[new]
    #[pyo3(signature = (
        path, *, max_payload=None, ring_bytes=None, ring_records=None, dense=false,
        flush_interval=None, block_timeout=None, max_memory=None, max_log_bytes=None,
        sync_policy=None, sync_style=None, segment_size=None, salvage=false,
        format=None, term_of=None,
    ))]
    #[expect(clippy::too_many_arguments, reason = "each option is a keyword")]
    fn new<'py>(
        py: Python<'py>,
        #[pyo3(from_py_with = args::path)] path: PathBuf,
        max_payload: Given<'py>,
        ring_bytes: Given<'py>,
        ring_records: Given<'py>,
        #[pyo3(from_py_with = args::dense)] dense: bool,
        flush_interval: Given<'py>,
        block_timeout: Given<'py>,
        max_memory: Given<'py>,
        max_log_bytes: Given<'py>,
        sync_policy: Given<'py>,
        sync_style: Given<'py>,
        segment_size: Given<'py>,
        #[pyo3(from_py_with = args::salvage)] salvage: bool,
        format: Given<'py>,
        term_of: Given<'py>,
    ) -> PyResult<Self> {
        let (options, raised) = Keywords {
            max_payload,
            ring_bytes,
            ring_records,
            dense,
            flush_interval,
            block_timeout,
            max_memory,
            max_log_bytes,
            sync_policy,
            sync_style,
            segment_size,
            salvage,
            format,
            term_of,
        }
        .options(py)?;
        let opened = detached(py, || Core::open(&path, &options));
        raised.first(opened).map(Spool::over)
    }

    /// A spool without files: the newest records, as many as ring_bytes and
    /// ring_records allow; older ones count as pruned. Nothing of it is durable.
    #[staticmethod]
    #[pyo3(signature = (
        *, max_payload=None, ring_bytes=None, ring_records=None, dense=false,
        flush_interval=None, block_timeout=None, max_memory=None, max_log_bytes=None,
        sync_policy=None, sync_style=None, segment_size=None, salvage=false,
        format=None, term_of=None,
    ))]
    #[expect(clippy::too_many_arguments, reason = "each option is a keyword")]
    fn in_memory<'py>(
        py: Python<'py>,
        max_payload: Given<'py>,
        ring_bytes: Given<'py>,
        ring_records: Given<'py>,
        #[pyo3(from_py_with = args::dense)] dense: bool,
        flush_interval: Given<'py>,
        block_timeout: Given<'py>,
        max_memory: Given<'py>,
        max_log_bytes: Given<'py>,
        sync_policy: Given<'py>,
        sync_style: Given<'py>,
        segment_size: Given<'py>,
        #[pyo3(from_py_with = args::salvage)] salvage: bool,
        format: Given<'py>,
        term_of: Given<'py>,
    ) -> PyResult<Self> {
        let (options, _) = Keywords {
            max_payload,
            ring_bytes,
            ring_records,
            dense,
            flush_interval,
            block_timeout,
            max_memory,
            max_log_bytes,
            sync_policy,
            sync_style,
            segment_size,
            salvage,
            format,
            term_of,
        }
        .options(py)?;
        Ok(Spool::over(detached(py, || Core::in_memory(&options))?))
    }

    /// Appends a record and returns its SpoolTicket once it is durable.
    ///
    /// payload is any contiguous bytes-like object. A timestamp_ms of None or 0
    /// is the time of now.
    ///
    /// Raises OrderError for an LSN that does not rise, FencedError for a term
    /// below one that has begun, TooLargeError, BusyError: nothing was kept
    /// then. Timeout, NoSpaceError and OutcomeUnknownError of a record that is
    /// staged carry its ticket: it may still become durable. So does the
    /// exception of a signal's handler (KeyboardInterrupt).
    #[pyo3(signature = (*, term, lsn, payload, timestamp_ms=0, timeout=None))]
    #[pyo3(text_signature = "($self, *, term, lsn, payload, timestamp_ms=None, timeout=None)")]
    fn append<'py>(
        &self,
        py: Python<'py>,
        #[pyo3(from_py_with = args::term)] term: u64,
        #[pyo3(from_py_with = args::lsn)] lsn: u64,
        payload: &Bound<'py, PyAny>,
        #[pyo3(from_py_with = args::timestamp_ms)] timestamp_ms: u64,
        #[pyo3(from_py_with = args::timeout)] timeout: Option<Duration>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let record = GivenRecord::new(term, lsn, timestamp_ms, payload)?;
        self.append_all(py, &[record], timeout)
    }

    /// Appends records, all or none, and returns their SpoolTicket once they
    /// are durable: an iterable of (term, lsn, payload[, timestamp_ms]), which
    /// each SpoolRecord is.
    #[pyo3(signature = (records, *, timeout=None))]
    fn append_batch<'py>(
        &self,
        py: Python<'py>,
        records: &Bound<'py, PyAny>,
        #[pyo3(from_py_with = args::timeout)] timeout: Option<Duration>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.append_all(py, &GivenRecord::several(records)?, timeout)
    }

    /// Stages a record and returns its SpoolTicket. The bytes are taken before
    /// submit returns. It waits where memory is full, and with more than 4 MiB
    /// for its turn, up to block_timeout. Raises what append does, but for what
    /// has a ticket.
    #[pyo3(signature = (*, term, lsn, payload, timestamp_ms=0))]
    #[pyo3(text_signature = "($self, *, term, lsn, payload, timestamp_ms=None)")]
    fn submit<'py>(
        &self,
        py: Python<'py>,
        #[pyo3(from_py_with = args::term)] term: u64,
        #[pyo3(from_py_with = args::lsn)] lsn: u64,
        payload: &Bound<'py, PyAny>,
        #[pyo3(from_py_with = args::timestamp_ms)] timestamp_ms: u64,
    ) -> PyResult<Bound<'py, PyAny>> {
        let record = GivenRecord::new(term, lsn, timestamp_ms, payload)?;
        self.submit_all(py, &[record])
    }

    /// Stages records, all or none; see append_batch.
    fn submit_batch<'py>(
        &self,
        py: Python<'py>,
        records: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.submit_all(py, &GivenRecord::several(records)?)
    }

    /// Waits until what the ticket is for is durable. Raises Timeout (it is still
    /// pending), NoSpaceError (pending, until space returns), OutcomeUnknownError,
    /// FailedError (it will never be durable), ClosedError.
    #[pyo3(signature = (ticket, timeout=None))]
    fn wait<'py>(
        &self,
        py: Python<'py>,
        ticket: &Bound<'py, PyAny>,
        #[pyo3(from_py_with = args::timeout)] timeout: Option<Duration>,
    ) -> PyResult<()> {
        let wanted = ticket_of(ticket)?;
        self.run(py, |core| {
            waiting::interruptible(|ask| core.wait_interruptible(wanted, timeout, ask))
        })
        .map_err(|error| handle::waited_for(py, wanted.epoch, error))
    }

    /// Whether what the ticket is for is durable, without waiting. Raises what
    /// wait would, but for the timeout.
    fn poll<'py>(&self, py: Python<'py>, ticket: &Bound<'py, PyAny>) -> PyResult<bool> {
        let ticket = ticket_of(ticket)?;
        self.run(py, |core| match core.wait(ticket, Some(Duration::ZERO)) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::Timeout => Ok(false),
            Err(error) => Err(error.into()),
        })
        .map_err(|error| handle::waited_for(py, ticket.epoch, error))
    }

    /// Starts the flush of what the ticket is for, in the background.
    fn request_flush<'py>(&self, py: Python<'py>, ticket: &Bound<'py, PyAny>) -> PyResult<()> {
        let ticket = ticket_of(ticket)?;
        self.run(py, |core| Ok(core.request_flush(ticket)?))
    }

    /// Makes everything durable that is staged now. Raises what wait does.
    #[pyo3(signature = (timeout=None))]
    fn flush(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = args::timeout)] timeout: Option<Duration>,
    ) -> PyResult<()> {
        self.run(py, |core| {
            waiting::in_slices(timeout, |slice| core.flush(Some(slice)))
        })
    }

    /// Durable records above lsn as a list of SpoolRecord, ascending: at least
    /// one where there is one, none at the end. max_records (1000) and
    /// max_bytes (16 MiB of payload) limit it; one record may exceed max_bytes.
    ///
    /// Raises WalRemovedError where records above lsn are pruned (its lsn is the
    /// first that can be read) and AheadError where lsn is beyond the end (its
    /// lsn is the end). Whoever says which term his record at lsn has gets
    /// DivergedError where it is of another history (its lsn is the last that
    /// both have in common).
    #[pyo3(signature = (lsn, *, term=None, max_records=None, max_bytes=None))]
    fn read_since<'py>(
        &self,
        py: Python<'py>,
        #[pyo3(from_py_with = args::lsn)] lsn: u64,
        term: Given<'py>,
        max_records: Given<'py>,
        max_bytes: Given<'py>,
    ) -> PyResult<Bound<'py, PyList>> {
        let limit = args::read_limit(max_records, max_bytes)?;
        let term = term.map(|term| args::term(&term)).transpose()?;
        let found = self.run(py, |core| {
            let found = core.read_since(lsn, limit);
            // Behind the read: a cut during it is seen.
            if let Some(term) = term {
                core.check_standing(lsn, term)?;
            }
            Ok(found?)
        })?;
        records::list(py, &found)
    }

    /// A Cursor behind lsn: it keeps its place, and waits for what comes.
    fn cursor(slf: Py<Self>, py: Python<'_>, lsn: &Bound<'_, PyAny>) -> PyResult<Cursor> {
        let lsn = args::lsn(lsn)?;
        let this = slf.get();
        let cursor = this.run(py, |core| Ok(SharedCursor::new(core, lsn)?))?;
        Ok(Cursor::new(slf.clone_ref(py), cursor, lsn))
    }

    /// Waits until a durable record lies above lsn. Raises Timeout where none
    /// came, ClosedError or the failure where none will.
    #[pyo3(signature = (lsn, timeout=None))]
    fn wait_after(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = args::lsn)] lsn: u64,
        #[pyo3(from_py_with = args::timeout)] timeout: Option<Duration>,
    ) -> PyResult<()> {
        self.run(py, |core| {
            waiting::interruptible(|ask| core.wait_after_interruptible(lsn, timeout, ask))
        })
    }

    /// Lets records at or below lsn go, and returns how far pruning has come:
    /// never beyond the end.
    fn prune_through(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = args::lsn)] lsn: u64,
    ) -> PyResult<u64> {
        self.run(py, |core| Ok(core.prune_through(lsn)?))
    }

    /// Begins new_term behind lsn: records above it are no part of the log any
    /// more. They are saved in a file beside it, whose path is returned; None
    /// where there were none.
    fn truncate_after(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = args::lsn)] lsn: u64,
        #[pyo3(from_py_with = args::new_term)] new_term: u64,
    ) -> PyResult<Option<OsString>> {
        let saved = self.run(py, |core| Ok(core.truncate_after(lsn, new_term)?))?;
        Ok(saved.map(PathBuf::into_os_string))
    }

    /// Bounds(oldest_lsn, current_lsn, pruned_through); each is 0 where there is
    /// none.
    #[getter]
    fn bounds<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let bounds = self.attached(py, |core| Ok(core.bounds()))?;
        bounds_of(py, bounds)
    }

    /// The first LSN that can be read; 0 where there is none.
    #[getter]
    fn oldest_lsn(&self, py: Python<'_>) -> PyResult<u64> {
        self.attached(py, |core| Ok(core.bounds().oldest_lsn))
    }

    /// The highest durable LSN ever; 0 before the first.
    #[getter]
    fn current_lsn(&self, py: Python<'_>) -> PyResult<u64> {
        self.attached(py, |core| Ok(core.bounds().current_lsn))
    }

    /// Records at or below it are pruned; 0 where none are.
    #[getter]
    fn pruned_through(&self, py: Python<'_>) -> PyResult<u64> {
        self.attached(py, |core| Ok(core.bounds().pruned_through))
    }

    /// The term of now; 0 before the first.
    #[getter]
    fn term(&self, py: Python<'_>) -> PyResult<u64> {
        // A truncation holds its lock over syncs.
        self.run(py, |core| Ok(core.term()))
    }

    /// The durable history of terms: TermStart(term, first_lsn), ascending.
    #[getter]
    fn terms<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let terms = self.run(py, |core| Ok(core.terms()))?;
        terms_of(py, &terms)
    }

    /// What salvages have lost and pruning has not passed: LSNs above the first
    /// number of each pair and through the second. A read that comes to them
    /// raises WalRemovedError.
    #[getter]
    fn lost<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let lost = self.run(py, |core| Ok(core.lost()))?;
        lost_of(py, &lost)
    }

    /// A new file descriptor that becomes readable whenever records become
    /// durable, and on failure and close. Read 8 bytes to reset it. It is
    /// non-blocking, and the caller's to close.
    fn event_fd(&self, py: Python<'_>) -> PyResult<i32> {
        self.run(py, |core| Ok(core.event_fd()?.into_raw_fd()))
    }

    /// The figures of the log as a dict: batches are appends, frames are
    /// records; latencies are in nanoseconds. None in memory.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        let stats = self.run(py, |core| Ok(core.stats()?))?;
        stats.map(|stats| figures::dict(py, &stats)).transpose()
    }

    /// The resolved path of the data file that it belongs to; None in memory.
    #[getter]
    fn path(&self) -> Option<&OsStr> {
        let core = self.core();
        core.is_durable().then(|| core.path().as_os_str())
    }

    /// Writes the durable records, from the oldest to the last of now, to a new
    /// RDLW file, for software that reads those; returns how many they were. It
    /// is on the disk on return, or not there. Raises ExistsError where there is
    /// a file of this name, WalRemovedError or DivergedError where a prune or a
    /// cut came meanwhile.
    fn export_rdlw(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = args::path)] path: PathBuf,
    ) -> PyResult<u64> {
        self.run(py, |core| Ok(core.export_rdlw(&path)?.records))
    }

    /// Where the single-file spool of other software was moved that the open has
    /// taken in; None where it found none.
    #[getter]
    fn imported(&self) -> Option<&OsStr> {
        self.core().imported().map(|path| path.as_os_str())
    }

    /// The file in which the last truncate_after of this object has saved what
    /// it cut off; None where there was nothing.
    #[getter]
    fn saved_tail(&self) -> Option<OsString> {
        self.core().saved_tail().map(PathBuf::into_os_string)
    }

    /// What the open dropped of records that were never acknowledged, as a
    /// Suspect; None where there was nothing.
    #[getter]
    fn torn<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.core().torn().map(|t| torn_of(py, t)).transpose()
    }

    /// Files that a salvaging open moved aside.
    #[getter]
    fn salvaged(&self) -> Vec<&OsStr> {
        let salvaged = self.core().salvaged();
        salvaged.iter().map(|p| p.as_os_str()).collect()
    }

    /// Whether close has been called on this object and has succeeded; that of
    /// a primary is closed when its primary is.
    #[getter]
    fn closed(&self) -> bool {
        match &self.owner {
            Some(primary) => primary.get().closed(),
            None => self.closed.load(Relaxed),
        }
    }

    /// Flushes what is staged, and closes; everyone who waits is woken. Closing
    /// again does nothing. A close that raises Timeout leaves it open. The spool
    /// of a primary is refused: InvalidError.
    #[pyo3(signature = (timeout=None))]
    fn close(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = args::timeout)] timeout: Option<Duration>,
    ) -> PyResult<()> {
        self.check_free(py)?;
        if self.closed() {
            return Ok(());
        }
        let result = self.detached(py, |core| {
            waiting::in_slices(timeout, |slice| core.close(Some(slice)))
        });
        let open = match &result {
            Ok(()) => false,
            Err(Ended::Failed(error)) => {
                matches!(error.kind(), ErrorKind::Timeout | ErrorKind::Forked)
            }
            Err(Ended::Interrupted(_)) => true,
        };
        // Never back: another thread may have closed it meanwhile.
        self.closed.fetch_or(!open, Relaxed);
        match result {
            // Another thread was faster.
            Err(Ended::Failed(error)) if error.kind() == ErrorKind::Closed => Ok(()),
            result => result.map_err(|ended| raise(py, ended, None)),
        }
    }

    fn __enter__(slf: Py<Self>, py: Python<'_>) -> PyResult<Py<Self>> {
        // A closed or inherited one is told here, not at its first use; and one
        // that the block's end may not close.
        slf.get().check_free(py)?;
        slf.get().run(py, |core| Ok(core.stats().map(drop)?))?;
        Ok(slf)
    }

    #[pyo3(signature = (kind, value, traceback, /))]
    fn __exit__<'py>(
        &self,
        py: Python<'py>,
        kind: Option<&Bound<'py, PyType>>,
        value: Option<&Bound<'py, PyAny>>,
        traceback: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<()> {
        let _ = (kind, traceback);
        handle::leave(py, "spool", self.close(py, None), value)
    }

    fn __repr__(&self) -> String {
        let state = match (&self.owner, self.closed()) {
            (_, true) => ", closed",
            (Some(_), false) => ", of a primary",
            (None, false) => "",
        };
        match self.core().is_durable() {
            true => format!("<epochwal.Spool {:?}{state}>", self.core().path()),
            false => format!("<epochwal.Spool in memory{state}>"),
        }
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(handle::no_pickle("a Spool"))
    }
}

impl Spool {
    fn over(core: Core) -> Spool {
        Spool {
            core: Some(Arc::new(core)),
            owner: None,
            closed: AtomicBool::new(false),
            generation: fork_generation(),
        }
    }

    /// That of a primary, which lives at least as long.
    pub(crate) fn borrowed(core: Arc<Core>, owner: Py<Primary>) -> Spool {
        let generation = owner.get().generation();
        Spool {
            core: Some(core),
            owner: Some(owner),
            closed: AtomicBool::new(false),
            generation,
        }
    }

    /// An exception where it is not this object that closes the spool.
    fn check_free(&self, py: Python<'_>) -> PyResult<()> {
        match self.owner {
            None => Ok(()),
            Some(_) => Err(invalid(
                py,
                "the spool belongs to a primary, and is closed with it",
            )),
        }
    }

    fn core(&self) -> &Arc<Core> {
        self.core.as_ref().expect("taken out only by drop")
    }

    /// A child's copy of a lock may be held by a thread that it does not have.
    fn check_fork(&self) -> epochwal::Result<()> {
        match self.generation == fork_generation() {
            true => Ok(()),
            false => Err(Error::new(
                ErrorKind::Forked,
                "the spool belongs to the parent of a fork",
            )),
        }
    }

    /// An exception in a child of the process that opened it.
    pub(crate) fn check_own(&self, py: Python<'_>) -> PyResult<()> {
        self.check_fork()
            .map_err(|error| exception(py, &error, None))
    }

    /// A call that never blocks, without letting go of the interpreter.
    fn attached<T>(
        &self,
        py: Python<'_>,
        call: impl FnOnce(&Core) -> epochwal::Result<T>,
    ) -> PyResult<T> {
        catch(|| {
            self.check_fork()?;
            call(self.core())
        })
        .map_err(|error| exception(py, &error, None))
    }

    /// A call that may block, detached from the interpreter.
    pub(crate) fn detached<T: Send>(
        &self,
        py: Python<'_>,
        call: impl FnOnce(&Arc<Core>) -> Result<T, Ended> + Send,
    ) -> Result<T, Ended> {
        self.check_fork()?;
        let core = self.core();
        py.detach(|| {
            catch(|| Ok(call(core))).unwrap_or_else(|error| {
                // After a panic nothing in the core is to be trusted again.
                let _ = catch(|| {
                    core.fail(error.clone());
                    Ok(())
                });
                Err(error.into())
            })
        })
    }

    /// As `detached`, with the exception made.
    pub(crate) fn run<T: Send>(
        &self,
        py: Python<'_>,
        call: impl FnOnce(&Arc<Core>) -> Result<T, Ended> + Send,
    ) -> PyResult<T> {
        self.detached(py, call)
            .map_err(|ended| raise(py, ended, None))
    }

    fn append_all<'py>(
        &self,
        py: Python<'py>,
        given: &[GivenRecord],
        timeout: Option<Duration>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let records: Vec<Record<'_>> = given.iter().map(GivenRecord::record).collect();
        let mut staged = None;
        let result = self.detached(py, |core| {
            waiting::append(core, &records, timeout, &mut staged)
        });
        match result {
            Ok(ticket) => ticket_shape(py, ticket),
            Err(ended) => Err(raise(py, ended, staged)),
        }
    }

    fn submit_all<'py>(
        &self,
        py: Python<'py>,
        given: &[GivenRecord],
    ) -> PyResult<Bound<'py, PyAny>> {
        let records: Vec<Record<'_>> = given.iter().map(GivenRecord::record).collect();
        let ticket = self.run(py, |core| waiting::stage(core, &records))?;
        ticket_shape(py, ticket)
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        if self.generation != fork_generation() {
            // The parent's: no file of it, and no lock that a thread of the
            // parent may have held at the fork, is to be touched here.
            std::mem::forget(self.core.take());
            return;
        }
        Python::try_attach(|py| {
            // Of one in memory nothing stays open, and a primary warns itself.
            if self.owner.is_none() && !self.closed() && self.core().is_durable() {
                handle::warn_unclosed(py, &self.__repr__());
            }
            let core = self.core.take();
            py.detach(|| drop(core));
        });
    }
}

/// The exception; its ticket is the spool's, not a coordinator's.
fn raise(py: Python<'_>, ended: Ended, staged: Option<SpoolTicket>) -> PyErr {
    let (error, ours) = match ended {
        Ended::Failed(error) => (exception(py, &error, None), true),
        Ended::Interrupted(error) => (error, false),
    };
    match staged.map(|staged| ticket_shape(py, staged)) {
        // An exception class that takes no attribute goes without.
        Some(Ok(ticket)) => drop(error.value(py).setattr("ticket", ticket)),
        Some(Err(failure)) => return failure,
        None if ours => drop(error.value(py).setattr("ticket", py.None())),
        None => {}
    }
    error
}
