//! Waits that Ctrl-C ends. Everything here runs detached from the
//! interpreter, and attaches only to ask for signals.

use epochwal::spool::{Record, Spool, SpoolTicket};
use epochwal::{BatchHead, Coordinator, Error, ErrorKind, FrameSource, Ticket};
use pyo3::prelude::*;
use std::time::{Duration, Instant};

/// How long a call that the core can't interrupt goes on before signals are
/// asked for. Longer than most flushes, so that nearly all calls end in their
/// first slice; and long enough that the core lets the caller lead the flush.
const SLICE: Duration = Duration::from_millis(250);

/// Why a call ended without a result.
pub(crate) enum Ended {
    /// The core's answer.
    Failed(Error),
    /// A signal's handler raised.
    Interrupted(PyErr),
}

impl From<Error> for Ended {
    fn from(error: Error) -> Self {
        Ended::Failed(error)
    }
}

/// Runs the handlers of signals that have arrived, on the main thread; gives
/// what one of them raised.
fn signalled() -> Option<PyErr> {
    Python::attach(|py| py.check_signals().err())
}

/// Waits until `epoch` is durable.
pub(crate) fn wait(core: &Coordinator, epoch: u64, timeout: Option<Duration>) -> Result<(), Ended> {
    interruptible(|ask| core.wait_interruptible(epoch, timeout, ask))
}

/// Runs a wait that asks, now and then, whether to give up.
pub(crate) fn interruptible<T>(
    wait: impl FnOnce(&mut dyn FnMut() -> bool) -> epochwal::Result<T>,
) -> Result<T, Ended> {
    let mut raised = None;
    let result = wait(&mut || {
        raised = signalled();
        raised.is_some()
    });
    match raised {
        // Whatever the wait's end, an exception must not be lost.
        Some(error) => Err(Ended::Interrupted(error)),
        None => Ok(result?),
    }
}

/// Stages a batch, and waits for room where there is none.
pub(crate) fn submit(
    core: &Coordinator,
    head: &BatchHead<'_>,
    frames: &impl FrameSource,
) -> Result<Ticket, Ended> {
    interruptible(|ask| core.submit_interruptible(head, frames, ask))
}

/// Stages a batch and waits for it. `staged` gets its ticket as soon as there
/// is one, whatever becomes of the wait.
pub(crate) fn commit(
    core: &Coordinator,
    head: &BatchHead<'_>,
    frames: &impl FrameSource,
    timeout: Option<Duration>,
    staged: &mut Option<Ticket>,
) -> Result<Ticket, Ended> {
    interruptible(|ask| {
        let result = core.commit_interruptible(head, frames, timeout, ask);
        *staged = match &result {
            Ok(ticket) => Some(*ticket),
            Err(error) => error.ticket(),
        };
        result
    })
}

/// Stages records, and waits for room where there is none.
pub(crate) fn stage(core: &Spool, records: &[Record<'_>]) -> Result<SpoolTicket, Ended> {
    interruptible(|ask| core.submit_interruptible(records, ask))
}

/// Appends records and waits for them, as [`commit`] does a batch.
pub(crate) fn append(
    core: &Spool,
    records: &[Record<'_>],
    timeout: Option<Duration>,
    staged: &mut Option<SpoolTicket>,
) -> Result<SpoolTicket, Ended> {
    interruptible(|ask| {
        let result = core.append_interruptible(records, timeout, ask);
        *staged = match &result {
            Ok(ticket) => Some(*ticket),
            Err(error) => error.ticket().map(|ticket| SpoolTicket {
                epoch: ticket.epoch,
                first_lsn: records.first().map_or(0, |r| r.lsn),
                last_lsn: records.last().map_or(0, |r| r.lsn),
            }),
        };
        result
    })
}

/// Repeats a call that may be repeated after its timeout, in slices, until
/// `timeout` is over or a signal's handler raises. Slices grow, so that a
/// call which takes up more work each time (as a flush does) comes to its end
/// however slow the disk.
pub(crate) fn in_slices<T>(
    timeout: Option<Duration>,
    mut call: impl FnMut(Duration) -> epochwal::Result<T>,
) -> Result<T, Ended> {
    let deadline = Deadline::new(timeout);
    let mut slice = SLICE;
    loop {
        let left = deadline.left();
        let this = left.map_or(slice, |left| left.min(slice));
        match call(this) {
            Err(error) if error.kind() == ErrorKind::Timeout => {
                if let Some(error) = signalled() {
                    return Err(Ended::Interrupted(error));
                }
                if left == Some(this) {
                    return Err(error.into());
                }
                slice = (slice * 2).min(SLICE * 4);
            }
            other => return Ok(other?),
        }
    }
}

/// The end of a timeout; none is never.
struct Deadline(Option<Instant>);

impl Deadline {
    fn new(timeout: Option<Duration>) -> Self {
        // A time beyond the clock's range is never.
        Deadline(timeout.and_then(|t| Instant::now().checked_add(t)))
    }

    /// What is left; zero when it is over.
    fn left(&self) -> Option<Duration> {
        self.0
            .map(|end| end.saturating_duration_since(Instant::now()))
    }
}
