//! The shared state of one sequencer: what submitters, waiters, the flusher and
//! the ticker all see.

use super::events::Events;
use super::flush::Flusher;
use super::lanes::Lanes;
use super::options::{EpochInterval, Options, Sequencing, SyncPolicy, SyncStyle};
use super::sink::Sink;
use super::staging::Staging;
use super::stats::Histogram;
use super::ticker::Ticker;
use super::waiters::{WaitWord, Waiters};
use crate::error::{Error, ErrorKind, Result};
use crate::format::names::Names;
use crate::log::{Disk, OnGroup, OpenedLog, open_log};
use crate::storage::fork_generation;
use crate::sync::{
    AtomicBool, AtomicU8, AtomicU32, AtomicU64, Instant, Mutex, Ordering, thread_local,
};
use crate::wrong::{self, Wrong};
use std::cell::Cell;
use std::path::PathBuf;
use std::sync::Arc;

/// Where the sequencer is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Phase {
    Open = 0,
    Failed = 1,
    Closed = 2,
}

/// No sequence above it is assigned, so that counting on never wraps.
const LAST_SEQUENCE: u64 = u64::MAX - (1 << 48);

/// The final failure.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) cause: Error,
    /// Epochs up to it were written or in flight: nobody knows.
    pub(crate) unknown_through: u64,
}

/// Counters that are not kept per lane.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) epochs: AtomicU64,
    pub(crate) groups: AtomicU64,
    pub(crate) group_bytes: AtomicU64,
    pub(crate) syncs: AtomicU64,
    pub(crate) oversize: AtomicU64,
    pub(crate) blocked: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) retries: AtomicU64,
    pub(crate) failures: AtomicU64,
    pub(crate) checkpoints: AtomicU64,
}

/// Everything behind the handles of one coordinator or spool.
pub(crate) struct Sequencer {
    /// Whose it is, for messages: the coordinator's or the spool's.
    pub(crate) name: &'static str,
    pub(crate) options: Options,
    pub(crate) path: PathBuf,
    pub(crate) salvaged: Vec<PathBuf>,
    pub(crate) sync_style: SyncStyle,
    pub(crate) staging: Staging,
    pub(crate) lanes: Arc<Lanes>,
    pub(crate) waiters: Waiters,
    /// Submitters that wait for room.
    pub(crate) room: WaitWord,
    pub(crate) flusher: Mutex<Flusher>,
    /// The highest durable epoch plus 1; 0: none.
    durable: AtomicU64,
    /// The last epoch on the disk at open, or none; and the first handed out
    /// here: what lies between was never durable.
    pub(crate) opened_at: Option<u64>,
    pub(crate) first_epoch: u64,
    phase: AtomicU8,
    failure: Mutex<Option<Failure>>,
    /// Rises with each flush that found no space.
    pub(crate) space_failures: AtomicU64,
    pub(crate) space_error: Mutex<Option<Error>>,
    /// The last flush found no space: groups are pending.
    pub(crate) short_of_space: AtomicBool,
    /// The ordered path has left sealed epochs that nobody writes yet.
    pub(crate) alone_pending: AtomicBool,
    pub(crate) ticker: Ticker,
    pub(crate) events: Events,
    pub(crate) closing: Mutex<()>,
    /// Bytes of groups in live segments.
    pub(crate) log_bytes: AtomicU64,
    pub(crate) segments: AtomicU64,
    pub(crate) spares: AtomicU64,
    /// Checkpoint floor plus 1; 0: none.
    pub(crate) floor: AtomicU64,
    pub(crate) counters: Counters,
    /// Who hears of each durable group.
    pub(crate) sink: Option<Arc<dyn Sink>>,
    pub(crate) wait_latency: Histogram,
    pub(crate) flush_latency: Histogram,
    born: u32,
    clock: Instant,
    /// Callbacks that are on their way; see `on_durable`.
    pub(crate) callbacks_pending: AtomicU32,
}

thread_local! {
    static IN_CALLBACK: Cell<bool> = const { Cell::new(false) };
}

/// Runs a caller's callback: blocking calls from inside it are refused.
pub(crate) fn in_callback(run: impl FnOnce()) {
    IN_CALLBACK.with(|flag| flag.set(true));
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run));
    IN_CALLBACK.with(|flag| flag.set(false));
    // A callback that panics is the caller's bug; the flusher goes on.
    drop(caught);
}

/// Whether the calling thread is inside a callback.
pub(crate) fn inside_callback() -> bool {
    IN_CALLBACK.try_with(Cell::get).unwrap_or(false)
}

impl Sequencer {
    /// Opens the log and makes a sequencer of it.
    pub(crate) fn open(
        name: &'static str,
        disk: &Disk,
        names: &Names,
        options: &Options,
    ) -> Result<Sequencer> {
        let opened = Self::open_log(disk, names, options, &mut |_, _| Ok(()))?;
        Self::start(name, opened, names, options, None)
    }

    /// Checks the options, and opens the log as they say.
    pub(crate) fn open_log(
        disk: &Disk,
        names: &Names,
        options: &Options,
        on_group: OnGroup<'_>,
    ) -> Result<OpenedLog> {
        options.validate()?;
        open_log(disk, names, options.log(), on_group)
    }

    /// A sequencer over an open log.
    pub(crate) fn start(
        name: &'static str,
        opened: OpenedLog,
        names: &Names,
        options: &Options,
        sink: Option<Arc<dyn Sink>>,
    ) -> Result<Sequencer> {
        let OpenedLog {
            writer,
            last,
            next_epoch,
            salvaged,
            ..
        } = opened;
        let next_seq = writer.highest_seq().saturating_add(1);
        let assigns = options.sequencing == Sequencing::Coordinator;
        if assigns && next_seq > LAST_SEQUENCE {
            return Err(Error::new(
                ErrorKind::TooLarge,
                format!("commit sequence {next_seq}: the log's numbers are used up"),
            )
            .in_file(&names.state()));
        }
        let (segments, spares) = writer.segment_counts();
        let (log_bytes, floor) = (writer.log_bytes(), writer.floor());
        let base_seq = match assigns {
            true if wrong::is(Wrong::StartsAtTheFirstSequence) => 1,
            true => next_seq,
            false => 0,
        };
        let staging = Staging::new(options.max_memory, options.slot_count, next_epoch, base_seq)?;
        Ok(Sequencer {
            name,
            options: options.clone(),
            path: names.dir().join(names.database()),
            salvaged,
            sync_style: writer.sync_style(),
            staging,
            lanes: Lanes::new(options.slot_count),
            waiters: Waiters::default(),
            room: WaitWord::default(),
            flusher: Mutex::new(Flusher::new(writer)),
            durable: AtomicU64::new(last.map_or(0, |l| l + 1)),
            opened_at: last,
            first_epoch: next_epoch,
            phase: AtomicU8::new(Phase::Open as u8),
            failure: Mutex::new(None),
            space_failures: AtomicU64::new(0),
            space_error: Mutex::new(None),
            short_of_space: AtomicBool::new(false),
            alone_pending: AtomicBool::new(false),
            ticker: Ticker::default(),
            events: Events::default(),
            closing: Mutex::new(()),
            log_bytes: AtomicU64::new(log_bytes),
            segments: AtomicU64::new(segments),
            spares: AtomicU64::new(spares),
            floor: AtomicU64::new(floor.map_or(0, |f| f + 1)),
            counters: Counters::default(),
            sink,
            wait_latency: Histogram::shared(),
            flush_latency: Histogram::single(),
            born: fork_generation(),
            clock: Instant::now(),
            callbacks_pending: AtomicU32::new(0),
        })
    }

    /// Nanoseconds since open, never 0.
    pub(crate) fn now(&self) -> u64 {
        self.clock.elapsed().as_nanos() as u64 + 1
    }

    pub(crate) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::SeqCst) {
            0 => Phase::Open,
            1 => Phase::Failed,
            _ => Phase::Closed,
        }
    }

    pub(crate) fn set_closed(&self) {
        self.phase.store(Phase::Closed as u8, Ordering::SeqCst);
    }

    /// The child of a fork has no business with the parent's files.
    pub(crate) fn is_forked(&self) -> bool {
        fork_generation() != self.born
    }

    pub(crate) fn check_fork(&self) -> Result<()> {
        if self.is_forked() {
            return Err(Error::new(
                ErrorKind::Forked,
                "this handle belongs to the parent of a fork",
            ));
        }
        Ok(())
    }

    /// Refuses blocking calls from inside a callback.
    pub(crate) fn check_may_block(&self) -> Result<()> {
        self.check_fork()?;
        if inside_callback() {
            return Err(Error::new(
                ErrorKind::Deadlock,
                "a blocking call from inside a callback",
            ));
        }
        Ok(())
    }

    pub(crate) fn durable(&self) -> Option<u64> {
        self.durable.load(Ordering::SeqCst).checked_sub(1)
    }

    pub(crate) fn set_durable(&self, epoch: u64) {
        let before = self.durable.swap(epoch + 1, Ordering::SeqCst);
        debug_assert!(before <= epoch, "epochs become durable in order");
    }

    pub(crate) fn assigns(&self) -> bool {
        self.options.sequencing == Sequencing::Coordinator
    }

    pub(crate) fn syncs(&self) -> bool {
        self.options.sync_policy != SyncPolicy::Off
    }

    pub(crate) fn interval(&self) -> Option<u64> {
        match self.options.epoch_interval {
            EpochInterval::After(d) => Some(d.as_nanos() as u64),
            EpochInterval::Off => None,
        }
    }

    pub(crate) fn failure(&self) -> Option<Failure> {
        self.failure.lock().clone()
    }

    /// Fails for good. The first cause stays; everyone waiting is told.
    pub(crate) fn fail(&self, cause: Error, unknown_through: u64) {
        {
            let mut failure = self.failure.lock();
            if failure.is_none() {
                *failure = Some(Failure {
                    cause,
                    unknown_through,
                });
            }
        }
        let _ = self.phase.compare_exchange(
            Phase::Open as u8,
            Phase::Failed as u8,
            Ordering::SeqCst,
            Ordering::SeqCst,
        );
        self.counters.failures.fetch_add(1, Ordering::Relaxed);
        if !wrong::is(Wrong::TakesBatchesAfterFailing) {
            self.staging.block();
        }
        if !wrong::is(Wrong::FailureIsNotTold) {
            self.wake_everyone();
        }
    }

    /// Fails it for what happened outside, at a boundary: what is durable stays
    /// durable, nothing else is acknowledged.
    pub(crate) fn fail_from_outside(&self, cause: Error) {
        if !self.is_forked() {
            // Nothing is sealed after this, so what is in flight is known.
            self.staging.block();
            let sealed = self.staging.current().0.saturating_sub(1);
            self.fail(cause, sealed);
        }
    }

    pub(crate) fn wake_everyone(&self) {
        self.waiters.wake_all();
        self.room.wake_all();
        self.events.signal();
        self.ticker.notify();
        if let Some(sink) = &self.sink {
            sink.ended();
        }
    }

    /// What is known of an epoch. None: nothing final yet.
    pub(crate) fn outcome(&self, epoch: u64) -> Option<Result<()>> {
        if self.is_durable(epoch) {
            return Some(Ok(()));
        }
        match self.phase() {
            Phase::Open => None,
            // What the end came after is durable all the same: looked at again,
            // for it may have happened between the first look and the phase.
            _ if self.is_durable(epoch) => Some(Ok(())),
            Phase::Failed => Some(Err(self.failed_outcome(epoch))),
            Phase::Closed => Some(match self.failure() {
                Some(_) => Err(self.failed_outcome(epoch)),
                None => Err(self.closed()),
            }),
        }
    }

    fn is_durable(&self, epoch: u64) -> bool {
        let never = epoch < self.first_epoch && Some(epoch) > self.opened_at;
        let ahead = u64::from(wrong::is(Wrong::AckByARunningFlush));
        !never && self.durable().is_some_and(|d| epoch <= d + ahead)
    }

    fn failed_outcome(&self, epoch: u64) -> Error {
        match self.failure() {
            Some(f) if epoch <= f.unknown_through => f.cause.recast(
                ErrorKind::OutcomeUnknown,
                &format!("epoch {epoch} was being written when this failed, and may or may not be durable"),
            ),
            Some(f) => f.cause.recast(
                ErrorKind::Failed,
                &format!("epoch {epoch} will not become durable, the {} has failed", self.name),
            ),
            None => self.closed(),
        }
    }

    /// Why nothing is taken any more.
    pub(crate) fn refusal(&self) -> Error {
        match (self.phase(), self.failure()) {
            (Phase::Closed, _) | (_, None) => self.closed(),
            (_, Some(f)) => f
                .cause
                .recast(ErrorKind::Failed, &format!("the {} has failed", self.name)),
        }
    }

    /// Epochs that were never handed out can't be waited for.
    pub(crate) fn check_handed_out(&self, epoch: u64) -> Result<()> {
        if self.outcome(epoch).is_some_and(|o| o.is_ok()) {
            return Ok(());
        }
        let (current, staged) = self.staging.current();
        let unknown = epoch < self.first_epoch || epoch > current;
        let nothing_yet = epoch == current && staged == 0;
        // It may have been sealed and flushed between the two looks.
        if (unknown || nothing_yet) && self.outcome(epoch).is_none_or(|o| o.is_err()) {
            if self.phase() == Phase::Closed {
                return Err(self.closed());
            }
            return Err(Error::invalid(format!(
                "epoch: {epoch} was not handed out by this {}",
                self.name
            )));
        }
        Ok(())
    }

    /// What a closed handle answers.
    pub(crate) fn closed(&self) -> Error {
        Error::new(ErrorKind::Closed, format!("the {} is closed", self.name))
    }
}
