//! `epochwal.Coordinator`.

use epochwal::coordinator::Overflow;
use epochwal::storage::fork_generation;
use epochwal::{BatchHead, Coordinator as Core, Error, ErrorKind, Ticket};
use pyo3::prelude::*;
use pyo3::types::{PyAny, PyDict, PyType};
use std::ffi::OsStr;
use std::os::fd::IntoRawFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use crate::args;
use crate::buffer::Bytes;
use crate::errors::{catch, detached, exception};
use crate::figures;
use crate::frames::Frames;
use crate::handle;
use crate::options::Keywords;
use crate::shapes;
use crate::waiting::{self, Ended};

/// Page bytes above which a submit always lets other threads run: copying and
/// checksumming them takes longer than handing the interpreter over.
const LARGE: usize = 64 << 10;

/// A parallel page WAL with epoch group commit, over one database.
///
/// Threads submit the page frames of their transactions; whatever is staged
/// reaches the disk as one group with one sync; committers wait for their
/// epoch. Every method may be called from any thread, and lets other threads
/// run while it waits. Ctrl-C ends a wait. timeout is in seconds: None waits for
/// ever, 0 polls.
///
/// >>> page = bytes(4096)    # or whatever has its bytes in one piece
/// >>> with Coordinator("app.db") as wal:
/// ...     ticket = wal.submit([(1, page), (2, page, 2)], txn_id=7, commit_seq=1)
/// ...     wal.wait(ticket, timeout=10.0)
/// ...     wal.durable_epoch == ticket.epoch
/// True
///
/// An option left out, None or 0 is at its default:
///
/// slot_count=128               lanes; each thread keeps one
/// epoch_interval=0.01          seconds that a batch waits at most when nobody
///                              waits for it; "off": until somebody does
/// buffer_capacity=4 MiB        bytes per lane
/// overflow_policy="spill"      a full lane: "spill", "block", "refuse"
/// block_timeout=10.0           seconds that a submit waits for room
/// max_memory=256 MiB           over all lanes and groups in flight
/// max_batch_bytes=64 MiB       a larger batch is refused
/// max_log_bytes=None           past it, NoSpaceError until a checkpoint
/// sync_policy="full"           "full", "normal", "off"
/// sync_style="probe"           "probe", "direct", "buffered"
/// segment_size=64 MiB          of the largest segment file
/// segment_format=2             1: one file per epoch, for other readers
/// sequencing="caller"          "coordinator": it assigns commit sequences
/// database_id=None             16 bytes, checked against the log's
/// salvage=False                True: move damage aside, and open
/// shared=False                 True: the process's one coordinator of this
///                              database; the last close closes it
///
/// Opening reads the end of the log. It raises LockedError while another
/// process or object writes this database, CorruptError on damage to anything
/// acknowledged, InvalidError for an option out of range.
#[pyclass(module = "epochwal", frozen, weakref)]
pub(crate) struct Coordinator {
    /// Taken out only by `drop`.
    core: Option<Core>,
    closed: AtomicBool,
    /// The current epoch when it was opened.
    first: u64,
    /// How many forks lay behind the process that opened it.
    generation: u32,
    /// Page bytes up to which a submit stays attached; see `submit`.
    quick: usize,
}

#[pymethods]
impl Coordinator {
    #[new]
    #[pyo3(signature = (
        path, *, slot_count=None, epoch_interval=None, buffer_capacity=None, overflow_policy=None,
        block_timeout=None, max_memory=None, max_batch_bytes=None, max_log_bytes=None,
        sync_policy=None, sync_style=None, segment_size=None, segment_format=None,
        sequencing=None, database_id=None, salvage=false, shared=false,
    ))]
    #[expect(clippy::too_many_arguments, reason = "each option is a keyword")]
    fn new<'py>(
        py: Python<'py>,
        #[pyo3(from_py_with = args::path)] path: PathBuf,
        slot_count: Option<Bound<'py, PyAny>>,
        epoch_interval: Option<Bound<'py, PyAny>>,
        buffer_capacity: Option<Bound<'py, PyAny>>,
        overflow_policy: Option<Bound<'py, PyAny>>,
        block_timeout: Option<Bound<'py, PyAny>>,
        max_memory: Option<Bound<'py, PyAny>>,
        max_batch_bytes: Option<Bound<'py, PyAny>>,
        max_log_bytes: Option<Bound<'py, PyAny>>,
        sync_policy: Option<Bound<'py, PyAny>>,
        sync_style: Option<Bound<'py, PyAny>>,
        segment_size: Option<Bound<'py, PyAny>>,
        segment_format: Option<Bound<'py, PyAny>>,
        sequencing: Option<Bound<'py, PyAny>>,
        #[pyo3(from_py_with = args::database_id)] database_id: Option<[u8; 16]>,
        #[pyo3(from_py_with = args::salvage)] salvage: bool,
        #[pyo3(from_py_with = args::shared)] shared: bool,
    ) -> PyResult<Self> {
        let options = Keywords {
            slot_count,
            epoch_interval,
            buffer_capacity,
            overflow_policy,
            block_timeout,
            max_memory,
            max_batch_bytes,
            max_log_bytes,
            sync_policy,
            sync_style,
            segment_size,
            segment_format,
            sequencing,
            database_id,
            salvage,
        }
        .options(py)?;
        let open = if shared { Core::for_path } else { Core::open };
        let (core, first) = detached(py, || {
            let core = open(&path, &options)?;
            let first = core.current_epoch()?;
            Ok((core, first))
        })?;
        Ok(Coordinator {
            core: Some(core),
            closed: AtomicBool::new(false),
            first,
            generation: fork_generation(),
            quick: quick(options.overflow, options.buffer_capacity),
        })
    }

    /// Stages a batch and returns its Ticket(epoch, commit_seq).
    ///
    /// frames is an iterable of (page, data[, db_size]): the page's number,
    /// its image (1 to 65536 bytes in any contiguous bytes-like object) and,
    /// on the frame that commits, the database's size in pages. The bytes are
    /// taken before submit returns, so the objects may be changed afterwards.
    /// With sequencing="coordinator" commit_seq stays 0, else it is 1 or
    /// above. metadata is up to 64 KiB of the caller's own, kept with the
    /// batch.
    ///
    /// It waits for room alone, as overflow_policy says, and a batch larger than
    /// a lane for its turn, up to block_timeout. Raises BusyError where there is
    /// no room, NoSpaceError past max_log_bytes, InvalidError and TooLargeError,
    /// which name the part: nothing was kept then.
    #[pyo3(signature = (frames, *, txn_id, commit_seq=0, txn_epoch=0, metadata=None))]
    #[pyo3(text_signature = "($self, frames, *, txn_id, commit_seq=0, txn_epoch=0, metadata=b'')")]
    fn submit<'py>(
        &self,
        py: Python<'py>,
        frames: &Bound<'py, PyAny>,
        #[pyo3(from_py_with = args::txn_id)] txn_id: u64,
        #[pyo3(from_py_with = args::commit_seq)] commit_seq: u64,
        #[pyo3(from_py_with = args::txn_epoch)] txn_epoch: u32,
        metadata: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let batch = Batch::of(frames, txn_id, commit_seq, txn_epoch, metadata)?;
        let staged = if batch.frames.bytes() <= self.quick {
            self.attached(py, |core| core.submit_from(&batch.head(), &batch.frames))?
        } else {
            self.run(py, |core| {
                waiting::submit(core, &batch.head(), &batch.frames)
            })?
        };
        shapes::ticket(py, staged)
    }

    /// Stages a batch as submit does, and returns its Ticket once it is
    /// durable.
    ///
    /// Timeout, NoSpaceError and OutcomeUnknownError of a batch that is
    /// staged carry its ticket: it may still become durable. So does the
    /// exception of a signal's handler (KeyboardInterrupt).
    #[pyo3(signature = (
        frames, *, txn_id, commit_seq=0, txn_epoch=0, metadata=None, timeout=None,
    ))]
    #[pyo3(
        text_signature = "($self, frames, *, txn_id, commit_seq=0, txn_epoch=0, \
        metadata=b'', timeout=None)"
    )]
    #[expect(clippy::too_many_arguments, reason = "keywords")]
    fn commit<'py>(
        &self,
        py: Python<'py>,
        frames: &Bound<'py, PyAny>,
        #[pyo3(from_py_with = args::txn_id)] txn_id: u64,
        #[pyo3(from_py_with = args::commit_seq)] commit_seq: u64,
        #[pyo3(from_py_with = args::txn_epoch)] txn_epoch: u32,
        metadata: Option<&Bound<'py, PyAny>>,
        #[pyo3(from_py_with = args::timeout)] timeout: Option<Duration>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let batch = Batch::of(frames, txn_id, commit_seq, txn_epoch, metadata)?;
        let mut staged = None;
        let result = self.detached(py, |core| {
            waiting::commit(core, &batch.head(), &batch.frames, timeout, &mut staged)
        });
        match result {
            Ok(ticket) => shapes::ticket(py, ticket),
            Err(ended) => Err(raise(py, ended, staged)),
        }
    }

    /// Waits until the epoch of a ticket, or an epoch, is durable.
    ///
    /// Raises Timeout (it is still pending), NoSpaceError (pending, until
    /// space returns), OutcomeUnknownError, FailedError (it will never be
    /// durable), ClosedError, and InvalidError for an epoch that was never
    /// handed out.
    #[pyo3(signature = (ticket, timeout=None))]
    fn wait<'py>(
        &self,
        py: Python<'py>,
        #[pyo3(from_py_with = args::ticket)] ticket: u64,
        #[pyo3(from_py_with = args::timeout)] timeout: Option<Duration>,
    ) -> PyResult<()> {
        let epoch = ticket;
        if self.is_durable(py, epoch)? {
            return Ok(());
        }
        self.run(py, |core| waiting::wait(core, epoch, timeout))
            .map_err(|error| handle::waited_for(py, epoch, error))
    }

    /// Whether the epoch of a ticket, or an epoch, is durable, without
    /// waiting. Raises what wait would, but for the timeout.
    fn poll(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = args::ticket)] ticket: u64,
    ) -> PyResult<bool> {
        let epoch = ticket;
        if self.is_durable(py, epoch)? {
            return Ok(true);
        }
        self.run(py, |core| match core.wait(epoch, Some(Duration::ZERO)) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::Timeout => Ok(false),
            Err(error) => Err(error.into()),
        })
        .map_err(|error| handle::waited_for(py, epoch, error))
    }

    /// Makes everything durable that is staged now, and returns the epoch it
    /// waited for: the durable one where nothing was staged, 0 where there is
    /// none yet. Raises what wait does.
    #[pyo3(signature = (timeout=None))]
    fn flush(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = args::timeout)] timeout: Option<Duration>,
    ) -> PyResult<u64> {
        self.run(py, |core| {
            waiting::in_slices(timeout, |slice| core.flush(Some(slice)))
        })
    }

    /// Starts the flush of an epoch (or a ticket's) in the background.
    fn request_flush(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = args::ticket)] ticket: u64,
    ) -> PyResult<()> {
        self.run(py, |core| Ok(core.request_flush(ticket)?))
    }

    /// A new file descriptor that becomes readable whenever the durable epoch
    /// advances, and on failure and close. Read 8 bytes to reset it. It is
    /// non-blocking, and the caller's to close.
    fn event_fd(&self, py: Python<'_>) -> PyResult<i32> {
        self.run(py, |core| Ok(core.event_fd()?.into_raw_fd()))
    }

    /// The caller's word that the pages of all epochs up to this one (or a
    /// ticket's) are safe in the database file: their segments are reused.
    /// Raises InvalidError beyond the durable epoch; below the last
    /// checkpoint it does nothing. It writes and syncs a block.
    fn checkpoint(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = args::through_epoch)] through_epoch: u64,
    ) -> PyResult<()> {
        self.run(py, |core| Ok(core.checkpoint(through_epoch)?))
    }

    /// The highest durable epoch; None before the first.
    #[getter]
    fn durable_epoch(&self, py: Python<'_>) -> PyResult<Option<u64>> {
        self.attached(py, |core| core.durable_epoch())
    }

    /// The epoch that a batch staged now would get.
    #[getter]
    fn current_epoch(&self, py: Python<'_>) -> PyResult<u64> {
        self.attached(py, |core| core.current_epoch())
    }

    /// The resolved path of the database.
    #[getter]
    fn path(&self) -> &OsStr {
        self.core().path().as_os_str()
    }

    /// Files that a salvaging open moved aside.
    #[getter]
    fn salvaged(&self) -> Vec<&OsStr> {
        self.core()
            .salvaged()
            .iter()
            .map(|p| p.as_os_str())
            .collect()
    }

    /// Whether close has been called on this object and has succeeded.
    #[getter]
    fn closed(&self) -> bool {
        self.closed.load(Relaxed)
    }

    /// The coordinator's figures as a dict; latencies are in nanoseconds.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let stats = self.run(py, |core| Ok(core.stats()?))?;
        figures::dict(py, &stats)
    }

    /// The same figures as Prometheus text.
    fn prometheus(&self, py: Python<'_>) -> PyResult<String> {
        self.run(py, |core| {
            let database = core.path().to_string_lossy().into_owned();
            Ok(core.stats()?.prometheus(&database))
        })
    }

    /// Seals and flushes what is staged, and closes. Closing again does
    /// nothing. A close that raises Timeout leaves it open.
    #[pyo3(signature = (timeout=None))]
    fn close(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = args::timeout)] timeout: Option<Duration>,
    ) -> PyResult<()> {
        if self.closed() {
            return Ok(());
        }
        let result = self.detached(py, |core| {
            waiting::in_slices(timeout, |slice| core.close(Some(slice)))
        });
        let open = match &result {
            Ok(()) => false,
            Err(Ended::Failed(error)) => error.kind() == ErrorKind::Timeout,
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
        // A closed or inherited one is told here, not at its first use.
        slf.get().attached(py, |core| core.current_epoch())?;
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
        handle::leave(py, "coordinator", self.close(py, None), value)
    }

    fn __repr__(&self) -> String {
        let state = if self.closed() { ", closed" } else { "" };
        format!("<epochwal.Coordinator {:?}{state}>", self.core().path())
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(handle::no_pickle("a Coordinator"))
    }
}

impl Coordinator {
    fn core(&self) -> &Core {
        self.core.as_ref().expect("taken out only by drop")
    }

    /// A call that never blocks, without letting go of the interpreter.
    fn attached<T>(
        &self,
        py: Python<'_>,
        call: impl FnOnce(&Core) -> epochwal::Result<T>,
    ) -> PyResult<T> {
        let core = self.core();
        catch(|| call(core)).map_err(|error| {
            note_panic(core, &error);
            exception(py, &error, None)
        })
    }

    /// A call that may block, detached from the interpreter.
    fn detached<T: Send>(
        &self,
        py: Python<'_>,
        call: impl FnOnce(&Core) -> Result<T, Ended> + Send,
    ) -> Result<T, Ended> {
        let core = self.core();
        py.detach(|| {
            catch(|| Ok(call(core))).unwrap_or_else(|error| {
                note_panic(core, &error);
                Err(error.into())
            })
        })
    }

    /// The short way of a wait: most of a pipeline's find their epoch durable.
    /// Whatever else there is to say is the wait's to say, older epochs too:
    /// some of those were never handed out.
    fn is_durable(&self, py: Python<'_>, epoch: u64) -> PyResult<bool> {
        if epoch < self.first {
            return Ok(false);
        }
        let durable = self.attached(py, |core| Ok(core.durable_epoch().ok().flatten()))?;
        Ok(durable >= Some(epoch))
    }

    /// As `detached`, with the exception made.
    fn run<T: Send>(
        &self,
        py: Python<'_>,
        call: impl FnOnce(&Core) -> Result<T, Ended> + Send,
    ) -> PyResult<T> {
        self.detached(py, call)
            .map_err(|ended| raise(py, ended, None))
    }
}

impl Drop for Coordinator {
    fn drop(&mut self) {
        if self.generation != fork_generation() {
            // The parent's: no file of it, and no lock that a thread of the
            // parent may have held at the fork, is to be touched here.
            std::mem::forget(self.core.take());
            return;
        }
        // Where the interpreter is gone there is nobody to let run, and the
        // field's own drop does the rest.
        Python::try_attach(|py| {
            if !self.closed() {
                handle::warn_unclosed(py, &self.__repr__());
            }
            let core = self.core.take();
            py.detach(|| drop(core));
        });
    }
}

/// A batch as Python gave it.
struct Batch {
    txn_id: u64,
    commit_seq: u64,
    txn_epoch: u32,
    metadata: Option<Bytes>,
    frames: Frames,
}

impl Batch {
    fn of(
        frames: &Bound<'_, PyAny>,
        txn_id: u64,
        commit_seq: u64,
        txn_epoch: u32,
        metadata: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let metadata = match metadata {
            Some(given) => Some(Bytes::of(given, || "metadata".to_owned())?),
            None => None,
        };
        Ok(Batch {
            txn_id,
            commit_seq,
            txn_epoch,
            metadata,
            frames: Frames::of(frames)?,
        })
    }

    fn head(&self) -> BatchHead<'_> {
        BatchHead {
            txn_id: self.txn_id,
            txn_epoch: self.txn_epoch,
            commit_seq: self.commit_seq,
            metadata: self.metadata.as_ref().map_or(&[], Bytes::as_slice),
        }
    }
}

/// Page bytes up to which a submit never blocks: a refusing coordinator
/// answers at once, unless the batch is larger than a lane and goes to the
/// disk by itself. With the other policies any submit may wait for room, and
/// who waits must let the thread run that makes some.
fn quick(overflow: Overflow, buffer_capacity: u64) -> usize {
    match overflow {
        Overflow::Refuse => usize::try_from(buffer_capacity / 2).map_or(LARGE, |n| n.min(LARGE)),
        Overflow::Spill | Overflow::Block => 0,
    }
}

/// After a panic nothing in the core is to be trusted again.
fn note_panic(core: &Core, error: &Error) {
    if error.kind() == ErrorKind::Panic {
        let _ = catch(|| {
            core.fail(error.clone());
            Ok(())
        });
    }
}

fn raise(py: Python<'_>, ended: Ended, staged: Option<Ticket>) -> PyErr {
    match ended {
        Ended::Failed(error) => exception(py, &error, staged),
        Ended::Interrupted(error) => {
            if let Some(Ok(ticket)) = staged.map(|staged| shapes::ticket(py, staged)) {
                // An exception class that takes no attribute goes without.
                let _ = error.value(py).setattr("ticket", ticket);
            }
            error
        }
    }
}
