//! `epochwal.Primary`. Long, because PyO3 takes one block of methods for a class.

use epochwal::primary::{Ack, AckPolicy, AckResult, Primary as Core, Quorum};
use epochwal::storage::fork_generation;
use epochwal::{Error, ErrorKind};
use pyo3::prelude::*;
use pyo3::types::{PyAny, PyBytes, PyDict, PyList, PyType};
use std::ffi::{OsStr, OsString};
use std::os::fd::IntoRawFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use crate::ack_watch::AckWatch;
use crate::args;
use crate::errors::{catch, detached, exception};
use crate::handle;
use crate::options::Given;
use crate::primary_options::Keywords;
use crate::primary_shapes as shaped;
use crate::spool::Spool;
use crate::spool_options::Keywords as SpoolKeywords;
use crate::waiting::{self, Ended};

/// A spool, the replicas that follow it, and the slots that say how far each
/// has come. Records are appended to and read from its spool:
///
/// >>> primary = Primary("app.db")
/// >>> replica = primary.register("replica-1")
/// >>> ticket = primary.spool.append(term=1, lsn=1, payload=b"insert a")
/// >>> primary.prune()    # the replica needs it
/// 0
/// >>> primary.ack("replica-1", replica.generation, durable=1)
/// >>> primary.wait_acks(1, policy="any 1", timeout=1.0).outcome
/// 'reached'
/// >>> primary.prune()
/// 1
/// >>> primary.close()
///
/// A slot holds back what its replica has not made durable: nothing above its
/// restart LSN is pruned. One that holds back too much or is not heard of for
/// too long is invalidated, and its replica must begin anew. Every method may be
/// called from any thread, and lets other threads run while it waits. Ctrl-C
/// ends a wait. timeout is in seconds: None waits for ever, 0 polls. A path of
/// None is a primary in memory, of which nothing stays.
///
/// Its options are those of Spool, and these; one left out, None or 0 is at its
/// default:
///
/// healthy_for=30.0             seconds since a replica was seen that count as
///                              healthy
/// horizon_lsns=100000          a slot that holds back more is invalidated;
///                              "off": none is for that
/// horizon_bytes="off"          the same in bytes of log
/// idle_timeout=86400.0         seconds after which a slot that was not seen is
///                              invalidated; "off": none is for that
/// max_slots=50000              one more is refused
/// save_interval=1.0            seconds after which acknowledgements are saved
///                              at the latest; a prune saves them first
/// trace_capacity=1024          events that are kept for events_since
/// salvage_slots=False          True: take what can be read of damaged slots
///
/// Opening raises what Spool raises, and CorruptError where the slots can't be
/// read or are gone: without them a prune could take what replicas need.
#[pyclass(module = "epochwal", frozen, weakref)]
pub(crate) struct Primary {
    /// Taken out only by `drop`.
    core: Option<Core>,
    closed: AtomicBool,
    /// How many forks lay behind the process that opened it.
    generation: u32,
}

#[pymethods]
impl Primary {
    #[new]
    #[pyo3(signature = (
        path, *, max_payload=None, ring_bytes=None, ring_records=None, dense=false,
        flush_interval=None, block_timeout=None, max_memory=None, max_log_bytes=None,
        sync_policy=None, sync_style=None, segment_size=None, salvage=false,
        format=None, term_of=None,
        healthy_for=None, horizon_lsns=None, horizon_bytes=None, idle_timeout=None,
        max_slots=None, save_interval=None, trace_capacity=None, salvage_slots=false,
    ))]
    #[expect(clippy::too_many_arguments, reason = "each option is a keyword")]
    fn new<'py>(
        py: Python<'py>,
        #[pyo3(from_py_with = args::path_or_none)] path: Option<PathBuf>,
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
        healthy_for: Given<'py>,
        horizon_lsns: Given<'py>,
        horizon_bytes: Given<'py>,
        idle_timeout: Given<'py>,
        max_slots: Given<'py>,
        save_interval: Given<'py>,
        trace_capacity: Given<'py>,
        #[pyo3(from_py_with = args::salvage_slots)] salvage_slots: bool,
    ) -> PyResult<Self> {
        let (spool, raised) = SpoolKeywords {
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
        let options = Keywords {
            healthy_for,
            horizon_lsns,
            horizon_bytes,
            idle_timeout,
            max_slots,
            save_interval,
            trace_capacity,
            salvage_slots,
        }
        .options(py)?;
        let core = detached(py, || match &path {
            Some(path) => Core::open(path, &spool, &options),
            None => Core::in_memory(&spool, &options),
        });
        Ok(Primary {
            core: Some(raised.first(core)?),
            closed: AtomicBool::new(false),
            generation: fork_generation(),
        })
    }

    /// Its Spool, to append to and to read from. It is the primary's: closing
    /// the primary closes it, and it can't be closed by itself. Prunes and cuts
    /// of it go through the slots.
    #[getter]
    fn spool(slf: Py<Self>, py: Python<'_>) -> Spool {
        let core = slf.get().core().spool().expect("opened over one").clone();
        Spool::borrowed(core, slf.clone_ref(py))
    }

    // Replicas.

    /// Registers a replica, or connects it again, and returns its
    /// Registration(restart_lsn, generation, created). A new one pins the end of
    /// the log; one that is known keeps its slot and its progress, and its older
    /// session ends: acknowledgements of that are refused from now on.
    #[pyo3(signature = (id, region=None))]
    fn register<'py>(
        &self,
        py: Python<'py>,
        #[pyo3(from_py_with = args::id)] id: String,
        #[pyo3(from_py_with = args::region)] region: Option<String>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let given = self.run(py, |core| Ok(core.register(&id, region.as_deref())?))?;
        shaped::registration(py, &given)
    }

    /// As register, but a session that there is goes on.
    #[pyo3(signature = (id, region=None))]
    fn ensure_registered<'py>(
        &self,
        py: Python<'py>,
        #[pyo3(from_py_with = args::id)] id: String,
        #[pyo3(from_py_with = args::region)] region: Option<String>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let given = self.run(py, |core| {
            Ok(core.ensure_registered(&id, region.as_deref())?)
        })?;
        shaped::registration(py, &given)
    }

    /// Ends a replica's session and its membership. Its slot stays, and holds
    /// back what it held, unless it is a temporary one.
    fn unregister(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = args::id)] id: String,
    ) -> PyResult<()> {
        self.run(py, |core| Ok(core.unregister(&id)?))
    }

    /// Notes that a replica was sent records up to sent_lsn, and was heard of.
    fn note_pull(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = args::id)] id: String,
        #[pyo3(from_py_with = args::generation)] generation: u64,
        #[pyo3(from_py_with = args::sent_lsn)] sent_lsn: u64,
    ) -> PyResult<()> {
        self.attached(py, |core| core.note_pull(&id, generation, sent_lsn))
    }

    /// Notes that a replica was heard of.
    fn touch(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = args::id)] id: String,
        #[pyo3(from_py_with = args::generation)] generation: u64,
    ) -> PyResult<()> {
        self.attached(py, |core| core.touch(&id, generation))
    }

    /// Takes what a replica says of itself: LSNs that it has received
    /// (written), made durable and applied, and how many apply errors and
    /// divergences it has seen in all. All of it only rises; what is left out
    /// changes nothing.
    ///
    /// It is in force at once, and saved within save_interval. Refused, without
    /// effect: NotFoundError for an id that is not registered, FencedError for
    /// any session but the newest, AheadError beyond the durable end,
    /// WalRemovedError where the slot was invalidated.
    #[pyo3(signature = (
        id, generation, *, written=0, durable=0, applied=0, apply_errors=0, divergences=0,
    ))]
    #[expect(clippy::too_many_arguments, reason = "each figure is a keyword")]
    fn ack(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = args::id)] id: String,
        #[pyo3(from_py_with = args::generation)] generation: u64,
        #[pyo3(from_py_with = args::written)] written: u64,
        #[pyo3(from_py_with = args::durable)] durable: u64,
        #[pyo3(from_py_with = args::applied)] applied: u64,
        #[pyo3(from_py_with = args::apply_errors)] apply_errors: u64,
        #[pyo3(from_py_with = args::divergences)] divergences: u64,
    ) -> PyResult<()> {
        let ack = Ack {
            written,
            durable,
            applied,
            apply_errors,
            divergences,
        };
        // No I/O, and no lock that is held over any.
        self.attached(py, |core| core.ack(&id, generation, &ack))
    }

    /// Says how a replica goes on that has everything up to since_lsn, the last
    /// of it of term, as a ResumePlan(kind, resume_lsn, cause, common_lsn):
    ///
    /// "partial"        read on above resume_lsn
    /// "rebootstrap"    be loaded from a snapshot, for cause
    /// "diverged"       give up what it has above common_lsn: it is ahead of
    ///                  this log, or on another branch
    ///
    /// A term of None is not compared.
    #[pyo3(signature = (id, since_lsn, term=None))]
    fn plan_resume<'py>(
        &self,
        py: Python<'py>,
        #[pyo3(from_py_with = args::id)] id: String,
        #[pyo3(from_py_with = args::since_lsn)] since_lsn: u64,
        term: Given<'py>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let term = term.map(|term| args::term(&term)).transpose()?;
        let resume = self.run(py, |core| {
            Ok(core.plan_resume(&id, since_lsn, term.unwrap_or(0))?)
        })?;
        shaped::plan(py, resume)
    }

    /// Notes that a replica is being loaded from a snapshot, or not any more;
    /// commits don't count on one that is.
    fn set_rebootstrapping(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = args::id)] id: String,
        #[pyo3(from_py_with = args::rebootstrapping)] rebootstrapping: bool,
    ) -> PyResult<()> {
        self.run(py, |core| {
            Ok(core.set_rebootstrapping(&id, rebootstrapping)?)
        })
    }

    /// The members of the registry as a list of Replica, by id.
    fn replicas<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let list = PyList::empty(py);
        for info in self.run(py, |core| Ok(core.replicas()))? {
            list.append(shaped::replica(py, &info)?)?;
        }
        Ok(list)
    }

    /// How far the replicas are together, as a Progress.
    fn progress<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        shaped::progress(py, self.run(py, |core| Ok(core.progress()))?)
    }

    /// A number that rises with each change of who is a member, healthy, or
    /// being rebootstrapped; also over a restart.
    #[getter]
    fn topology_epoch(&self, py: Python<'_>) -> PyResult<u64> {
        self.attached(py, |core| Ok(core.topology_epoch()))
    }

    // Commits.

    /// Waits until enough replicas have lsn, and returns an AckResult(outcome,
    /// degraded, observed, required). What it calls reached is never cut off.
    ///
    /// policy                       whose acknowledgements count
    /// "local"                      nobody's: durable here is enough
    /// "any 1", "2"                 so many replicas
    /// "any 2 (a, b, c)"            so many of a list
    /// "first 2 (a, b, c)"          the first of a list that are there
    /// "regions 1 (eu, us)"         so many in each region
    ///
    /// level is "written", "durable" (or "flushed"), or "applied".
    ///
    /// Raises Timeout when the time is up, and NotFoundError where there are
    /// fewer replicas than the policy asks for; both have observed and required.
    /// With degrade=True the commit counts all the same if it is durable here:
    /// the result says so, and stats and events_since, too.
    #[pyo3(signature = (
        lsn, policy="any 1".to_owned(), level="durable".to_owned(), timeout=None, *, degrade=false,
    ))]
    #[pyo3(
        text_signature = "($self, lsn, policy='any 1', level='durable', timeout=None, *, \
        degrade=False)"
    )]
    fn wait_acks<'py>(
        &self,
        py: Python<'py>,
        #[pyo3(from_py_with = args::lsn)] lsn: u64,
        #[pyo3(from_py_with = args::policy)] policy: String,
        #[pyo3(from_py_with = args::level)] level: String,
        #[pyo3(from_py_with = args::timeout)] timeout: Option<Duration>,
        #[pyo3(from_py_with = args::degrade)] degrade: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let policy = policy_of(py, &policy, &level, degrade)?;
        let result = self.run(py, |core| {
            waiting::interruptible(|ask| core.wait_acks_interruptible(lsn, &policy, timeout, ask))
        })?;
        outcome(py, result)
    }

    /// Begins a commit wait that is looked at and not slept in, for event loops:
    /// an AckWatch. event_fd says when to look.
    #[pyo3(signature = (
        lsn, policy="any 1".to_owned(), level="durable".to_owned(), *, degrade=false,
    ))]
    #[pyo3(text_signature = "($self, lsn, policy='any 1', level='durable', *, degrade=False)")]
    fn watch_acks(
        slf: Py<Self>,
        py: Python<'_>,
        #[pyo3(from_py_with = args::lsn)] lsn: u64,
        #[pyo3(from_py_with = args::policy)] policy: String,
        #[pyo3(from_py_with = args::level)] level: String,
        #[pyo3(from_py_with = args::degrade)] degrade: bool,
    ) -> PyResult<AckWatch> {
        let policy = policy_of(py, &policy, &level, degrade)?;
        let core = slf
            .get()
            .run(py, |core| Ok(core.watch_acks(lsn, &policy)?))?;
        let local = policy.quorum == Quorum::Local;
        Ok(AckWatch::new(slf, core, local))
    }

    /// A new file descriptor that becomes readable whenever an AckWatch is
    /// decided, and on failure and close. Read 8 bytes to reset it. It is
    /// non-blocking, and the caller's to close.
    fn event_fd(&self, py: Python<'_>) -> PyResult<i32> {
        self.attached(py, |core| Ok(core.event_fd()?.into_raw_fd()))
    }

    /// The LSN that at least n replicas have at a level, without waiting; 0
    /// where there are fewer.
    #[pyo3(signature = (n, level="durable".to_owned()))]
    #[pyo3(text_signature = "($self, n, level='durable')")]
    fn quorum_lsn(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = args::count)] n: usize,
        #[pyo3(from_py_with = args::level)] level: String,
    ) -> PyResult<u64> {
        let level = level.parse().map_err(|error| exception(py, &error, None))?;
        self.run(py, |core| Ok(core.quorum_lsn(n, level)))
    }

    // Slots.

    /// All slots as a list of Slot, by id.
    fn slots<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        shaped::slots(py, &self.run(py, |core| Ok(core.slots()))?)
    }

    /// One slot; NotFoundError where there is none of that id.
    fn slot<'py>(
        &self,
        py: Python<'py>,
        #[pyo3(from_py_with = args::id)] id: String,
    ) -> PyResult<Bound<'py, PyAny>> {
        shaped::slot(py, &self.run(py, |core| Ok(core.slot(&id)?))?)
    }

    /// Makes a slot at lsn, or at the end of the log. A temporary one is not
    /// saved: it is gone when its replica unregisters or the primary closes.
    #[pyo3(signature = (id, lsn=None, *, temporary=false))]
    fn slot_create<'py>(
        &self,
        py: Python<'py>,
        #[pyo3(from_py_with = args::id)] id: String,
        lsn: Given<'py>,
        #[pyo3(from_py_with = args::temporary)] temporary: bool,
    ) -> PyResult<()> {
        let lsn = lsn.map(|lsn| args::lsn(&lsn)).transpose()?;
        self.run(py, |core| Ok(core.slot_create(&id, lsn, temporary)?))
    }

    /// Drops a slot, and its replica from the registry.
    fn slot_drop(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = args::id)] id: String,
    ) -> PyResult<()> {
        self.run(py, |core| Ok(core.slot_drop(&id)?))
    }

    /// Revives a slot after a new bootstrap of its replica, which has everything
    /// up to lsn; None: the end of the log. A valid slot can't be set back: drop
    /// it, and make it again.
    #[pyo3(signature = (id, lsn))]
    fn slot_reset<'py>(
        &self,
        py: Python<'py>,
        #[pyo3(from_py_with = args::id)] id: String,
        lsn: Given<'py>,
    ) -> PyResult<()> {
        let lsn = lsn.map(|lsn| args::lsn(&lsn)).transpose()?;
        self.run(py, |core| Ok(core.slot_reset(&id, lsn)?))
    }

    /// The slots as JSON, in the layout of the older slot store.
    fn export_slots<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = self.run(py, |core| Ok(core.export_slots()))?;
        Ok(PyBytes::new(py, &bytes))
    }

    /// Looks at everyone's health, gives up slots that are beyond a limit, and
    /// returns those. Each prune does so first. now_unix_ms only stamps what is
    /// done; None: by the system's clock.
    #[pyo3(signature = (now_unix_ms=0))]
    #[pyo3(text_signature = "($self, now_unix_ms=None)")]
    fn enforce_limits<'py>(
        &self,
        py: Python<'py>,
        #[pyo3(from_py_with = args::now_unix_ms)] now_unix_ms: u64,
    ) -> PyResult<Bound<'py, PyList>> {
        let given_up = self.run(py, |core| Ok(core.enforce_limits(now_unix_ms)?))?;
        shaped::slots(py, &given_up)
    }

    /// Lets records go that no valid slot needs, not beyond archived_lsn where
    /// there is an archive, and returns how far pruning has come. The slots are
    /// saved first: a crash afterwards finds none that needs what is gone.
    #[pyo3(signature = (archived_lsn=None))]
    fn prune<'py>(&self, py: Python<'py>, archived_lsn: Given<'py>) -> PyResult<u64> {
        let archived = archived_lsn
            .map(|lsn| args::unsigned("archived_lsn", &lsn, u64::MAX))
            .transpose()?;
        self.run(py, |core| Ok(core.prune(archived)?))
    }

    /// Saves at once what acknowledgements have raised.
    fn save(&self, py: Python<'_>) -> PyResult<()> {
        self.run(py, |core| Ok(core.save()?))
    }

    // What it says of itself.

    /// The figures as a dict; counters count since it was opened.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        // A save holds the store's lock over a sync.
        shaped::figures(py, self.run(py, |core| Ok(core.stats()))?)
    }

    /// Events above a number, oldest first, as a list of Event(number, at_ms,
    /// kind, details). The last trace_capacity are kept; a gap in the numbers is
    /// what the reader was too late for.
    #[pyo3(signature = (number=0))]
    fn events_since<'py>(
        &self,
        py: Python<'py>,
        #[pyo3(from_py_with = args::number)] number: u64,
    ) -> PyResult<Bound<'py, PyList>> {
        let list = PyList::empty(py);
        for event in self.run(py, |core| Ok(core.events_since(number)))? {
            list.append(shaped::event(py, &event)?)?;
        }
        Ok(list)
    }

    /// The resolved path of the data file that it belongs to; None in memory.
    #[getter]
    fn path(&self) -> Option<&OsStr> {
        let spool = self.core().spool()?;
        spool.is_durable().then(|| spool.path().as_os_str())
    }

    /// Where an open that salvaged left the damaged slots.
    #[getter]
    fn salvaged(&self) -> Option<OsString> {
        self.core().salvaged().map(PathBuf::into_os_string)
    }

    /// Whether close has been called on this object and has succeeded.
    #[getter]
    pub(crate) fn closed(&self) -> bool {
        self.closed.load(Relaxed)
    }

    /// Flushes the spool, saves the slots, and closes both; everyone who waits is
    /// woken. Closing again does nothing. A close that raises Timeout leaves it
    /// open.
    #[pyo3(signature = (timeout=None))]
    fn close(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = args::timeout)] timeout: Option<Duration>,
    ) -> PyResult<()> {
        if self.closed() {
            return Ok(());
        }
        let result = self.detached(py, |core| close(core, timeout));
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
            result => result.map_err(|ended| raise(py, ended)),
        }
    }

    fn __enter__(slf: Py<Self>, py: Python<'_>) -> PyResult<Py<Self>> {
        // A closed or inherited one is told here, not at its first use.
        let this = slf.get();
        if this.closed() {
            let error = Error::new(ErrorKind::Closed, "the primary is closed");
            return Err(exception(py, &error, None));
        }
        this.attached(py, |_| Ok(()))?;
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
        handle::leave(py, "primary", self.close(py, None), value)
    }

    fn __repr__(&self) -> String {
        let state = if self.closed() { ", closed" } else { "" };
        match self.path() {
            Some(path) => format!("<epochwal.Primary {path:?}{state}>"),
            None => format!("<epochwal.Primary in memory{state}>"),
        }
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(handle::no_pickle("a Primary"))
    }
}

impl Primary {
    fn core(&self) -> &Core {
        self.core.as_ref().expect("taken out only by drop")
    }

    /// How many forks lay behind the process that opened it.
    pub(crate) fn generation(&self) -> u32 {
        self.generation
    }

    /// A child's copy of a lock may be held by a thread that it does not have.
    fn check_fork(&self) -> epochwal::Result<()> {
        match self.generation == fork_generation() {
            true => Ok(()),
            false => Err(Error::new(
                ErrorKind::Forked,
                "the primary belongs to the parent of a fork",
            )),
        }
    }

    /// A call that never blocks, without letting go of the interpreter.
    pub(crate) fn attached<T>(
        &self,
        py: Python<'_>,
        call: impl FnOnce(&Core) -> epochwal::Result<T>,
    ) -> PyResult<T> {
        self.guarded(|core| Ok(call(core)?))
            .map_err(|ended| raise(py, ended))
    }

    /// A call that may block, detached from the interpreter.
    fn detached<T: Send>(
        &self,
        py: Python<'_>,
        call: impl FnOnce(&Core) -> Result<T, Ended> + Send,
    ) -> Result<T, Ended> {
        py.detach(|| self.guarded(call))
    }

    /// As `detached`, with the exception made.
    pub(crate) fn run<T: Send>(
        &self,
        py: Python<'_>,
        call: impl FnOnce(&Core) -> Result<T, Ended> + Send,
    ) -> PyResult<T> {
        self.detached(py, call).map_err(|ended| raise(py, ended))
    }

    fn guarded<T>(&self, call: impl FnOnce(&Core) -> Result<T, Ended>) -> Result<T, Ended> {
        self.check_fork()?;
        let core = self.core();
        catch(|| Ok(call(core))).unwrap_or_else(|error| {
            // After a panic nothing in the core is to be trusted again.
            let _ = catch(|| {
                core.fail(&error);
                Ok(())
            });
            Err(error.into())
        })
    }
}

impl Drop for Primary {
    fn drop(&mut self) {
        if self.generation != fork_generation() {
            // As for a spool: nothing of the parent's is to be touched here.
            std::mem::forget(self.core.take());
            return;
        }
        Python::try_attach(|py| {
            // Of one in memory nothing stays open.
            if !self.closed() && self.path().is_some() {
                handle::warn_unclosed(py, &self.__repr__());
            }
            let core = self.core.take();
            py.detach(|| drop(core));
        });
    }
}

/// The flush of what is staged may take its time; what is behind it may not be
/// given up half way.
fn close(core: &Core, timeout: Option<Duration>) -> Result<(), Ended> {
    if let Some(spool) = core.spool() {
        match waiting::in_slices(timeout, |slice| spool.flush(Some(slice))) {
            // Whatever else it says, the close says again.
            Err(Ended::Failed(error)) if error.kind() != ErrorKind::Timeout => {}
            flushed => flushed?,
        }
    }
    Ok(core.close()?)
}

fn policy_of(py: Python<'_>, policy: &str, level: &str, degrade: bool) -> PyResult<AckPolicy> {
    let parse = || -> epochwal::Result<AckPolicy> {
        Ok(AckPolicy {
            quorum: policy.parse()?,
            level: level.parse()?,
            degrade,
        })
    };
    parse().map_err(|error| exception(py, &error, None))
}

/// What a commit wait came to; an exception where the commit does not count.
pub(crate) fn outcome(py: Python<'_>, result: AckResult) -> PyResult<Bound<'_, PyAny>> {
    match result.ok() {
        Ok(result) => shaped::acks(py, result),
        Err(error) => {
            let raised = exception(py, &error, None);
            raised.value(py).setattr("observed", result.observed)?;
            raised.value(py).setattr("required", result.required)?;
            Err(raised)
        }
    }
}

fn raise(py: Python<'_>, ended: Ended) -> PyErr {
    match ended {
        Ended::Failed(error) => exception(py, &error, None),
        Ended::Interrupted(error) => error,
    }
}
