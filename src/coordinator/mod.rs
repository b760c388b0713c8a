//! The coordinator: lanes, epochs, group commit.
//!
//! A public face over the sequencer, which stages, flushes and wakes: `submit`
//! makes an entry of a batch, `registry` shares one coordinator per database.

mod registry;
pub(crate) mod submit;

pub use crate::sequencer::{
    DurableFn, EpochInterval, Knobs, Latency, Options, Overflow, SPILL_BYTES, Sequencing, Stats,
    SyncPolicy, SyncStyle,
};

use crate::batch::{Batch, BatchHead, FrameSource};
use crate::error::{Error, ErrorKind, Result, Ticket};
use crate::log::names_of;
use crate::sequencer::{Ask, Dropped, Handle, Phase, Sequencer, inside_callback};
use crate::storage::{RealStorage, Storage};
use crate::sync::Ordering;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// A parallel page WAL with epoch group commit: one handle of it.
///
/// Share it between threads by reference or in an `Arc`; every method may be
/// called from any thread at any time. After a `fork` the child's handle
/// answers [`ErrorKind::Forked`] and touches no file. Dropping it closes it and
/// waits for what is staged.
///
/// Timeouts: `None` waits for ever, zero polls.
pub struct Coordinator {
    handle: Handle,
    shared: bool,
}

/// In messages.
const NAME: &str = "coordinator";

impl std::fmt::Debug for Coordinator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let core = self.handle.core();
        f.debug_struct("Coordinator")
            .field("path", &core.path)
            .field("phase", &core.phase())
            .field("durable_epoch", &core.durable())
            .finish_non_exhaustive()
    }
}

impl Coordinator {
    /// Opens the log of the database at `db_path`, making it where there is
    /// none. The database file itself is never opened.
    ///
    /// Fails with [`ErrorKind::Locked`] where another writer has it,
    /// [`ErrorKind::Corrupt`] where acknowledged epochs are damaged,
    /// [`ErrorKind::Format`] for a newer format or another database's log,
    /// [`ErrorKind::Invalid`] naming an option out of range. Of a long log the
    /// newest 64 MiB are checked; recovery checks it all. Blocks on reads, and
    /// on writes and syncs of the log's tail.
    pub fn open(db_path: &Path, options: &Options) -> Result<Self> {
        Self::open_on(Arc::new(RealStorage), db_path, options)
    }

    /// [`Coordinator::open`] on a given storage.
    pub fn open_on(storage: Arc<dyn Storage>, db_path: &Path, options: &Options) -> Result<Self> {
        let names = names_of(&storage, db_path)?;
        let core = Arc::new(Sequencer::open(NAME, &storage, &names, options)?);
        core.start_ticker()?;
        Ok(Self::handle(core, false))
    }

    /// The process's one coordinator of this database, opened by the first
    /// call. Each call gives a handle of its own; the last one closed closes
    /// it. The path is resolved first, so that `a/../db` and `db` are one.
    /// Other options than the first call's are [`ErrorKind::Invalid`]; from
    /// inside a callback it is [`ErrorKind::Deadlock`].
    pub fn for_path(db_path: &Path, options: &Options) -> Result<Self> {
        if inside_callback() {
            return Err(Error::new(
                ErrorKind::Deadlock,
                "opening a shared coordinator from inside a callback",
            ));
        }
        let storage: Arc<dyn Storage> = Arc::new(RealStorage);
        let names = names_of(&storage, db_path)?;
        let path = names.dir().join(names.database());
        let core = registry::get_or_open(&path, options, || {
            let core = Arc::new(Sequencer::open(NAME, &storage, &names, options)?);
            core.start_ticker()?;
            Ok(core)
        })?;
        Ok(Self::handle(core, true))
    }

    fn handle(core: Arc<Sequencer>, shared: bool) -> Self {
        Coordinator {
            handle: Handle::new(core),
            shared,
        }
    }

    fn live(&self) -> Result<&Arc<Sequencer>> {
        self.handle.live()
    }

    /// Stages a batch and gives its epoch and sequence. Its bytes are copied.
    ///
    /// Blocks only where its lane or the memory is full and the overflow
    /// policy says so, and for a batch larger than a lane. On an error nothing
    /// was kept: [`ErrorKind::Invalid`] or [`ErrorKind::TooLarge`] (the message
    /// names the field), [`ErrorKind::Busy`] (no room), [`ErrorKind::NoSpace`],
    /// [`ErrorKind::Failed`], [`ErrorKind::Closed`].
    pub fn submit(&self, batch: &Batch<'_>) -> Result<Ticket> {
        self.submit_from(&batch.head(), batch.frames)
    }

    /// [`Coordinator::submit`] for frames that lie elsewhere than in a slice.
    #[inline]
    pub fn submit_from(
        &self,
        head: &BatchHead<'_>,
        frames: &(impl FrameSource + ?Sized),
    ) -> Result<Ticket> {
        submit::submit(self.live()?, head, frames, true, None)
    }

    /// As [`Coordinator::submit_from`], but asks `interrupted` about every 50 ms
    /// while it waits for room; true ends that as the end of `block_timeout` does.
    pub fn submit_interruptible(
        &self,
        head: &BatchHead<'_>,
        frames: &(impl FrameSource + ?Sized),
        interrupted: &mut dyn FnMut() -> bool,
    ) -> Result<Ticket> {
        submit::submit(self.live()?, head, frames, true, Some(interrupted))
    }

    /// Stages a batch and waits until it is durable.
    ///
    /// Errors are those of [`Coordinator::submit`] and [`Coordinator::wait`];
    /// one that has a [`Error::ticket`] means that the batch stays staged.
    pub fn commit(&self, batch: &Batch<'_>, timeout: Option<Duration>) -> Result<Ticket> {
        self.commit_from(&batch.head(), batch.frames, timeout)
    }

    /// [`Coordinator::commit`] for frames that lie elsewhere than in a slice.
    pub fn commit_from(
        &self,
        head: &BatchHead<'_>,
        frames: &(impl FrameSource + ?Sized),
        timeout: Option<Duration>,
    ) -> Result<Ticket> {
        self.commit_asking(head, frames, timeout, None)
    }

    /// As [`Coordinator::commit_from`], but asks `interrupted` about every 50 ms
    /// while it sleeps; true ends the wait as a timeout does.
    pub fn commit_interruptible(
        &self,
        head: &BatchHead<'_>,
        frames: &(impl FrameSource + ?Sized),
        timeout: Option<Duration>,
        interrupted: &mut dyn FnMut() -> bool,
    ) -> Result<Ticket> {
        self.commit_asking(head, frames, timeout, Some(interrupted))
    }

    fn commit_asking(
        &self,
        head: &BatchHead<'_>,
        frames: &(impl FrameSource + ?Sized),
        timeout: Option<Duration>,
        mut interrupted: Option<Ask<'_>>,
    ) -> Result<Ticket> {
        let core = self.live()?;
        core.check_may_block()?;
        let ask = interrupted.as_mut().map(|ask| &mut **ask as _);
        let ticket = submit::submit(core, head, frames, false, ask)?;
        core.wait_for(ticket.epoch, timeout, interrupted)
            .map_err(|e| e.with_ticket(ticket))?;
        Ok(ticket)
    }

    /// Waits until `epoch` is durable.
    ///
    /// | state of the epoch | answer |
    /// | --- | --- |
    /// | durable | ok, whatever happened since |
    /// | staged or being written, time is up | [`ErrorKind::Timeout`] |
    /// | no disk space | [`ErrorKind::NoSpace`]: pending, wait again |
    /// | in flight when a sync failed | [`ErrorKind::OutcomeUnknown`] |
    /// | staged when the coordinator failed | [`ErrorKind::Failed`] |
    /// | handle closed | [`ErrorKind::Closed`]: says nothing of durability |
    /// | never handed out | [`ErrorKind::Invalid`] |
    ///
    /// A caller with 100 ms or more left writes the group itself where nobody
    /// does, so its call may outlast its time by a slow write.
    pub fn wait(&self, epoch: u64, timeout: Option<Duration>) -> Result<()> {
        self.live()?.wait(epoch, timeout, None)
    }

    /// As [`Coordinator::wait`], but asks `interrupted` about every 50 ms
    /// while it sleeps; true ends the wait as a timeout does.
    pub fn wait_interruptible(
        &self,
        epoch: u64,
        timeout: Option<Duration>,
        interrupted: &mut dyn FnMut() -> bool,
    ) -> Result<()> {
        self.live()?.wait(epoch, timeout, Some(interrupted))
    }

    /// Seals what is staged and waits until all of it is durable. Gives the
    /// epoch it waited for; where nothing was pending, at once, the durable
    /// epoch (0 before the first). Errors as [`Coordinator::wait`].
    pub fn flush(&self, timeout: Option<Duration>) -> Result<u64> {
        self.live()?.flush(timeout)
    }

    /// The epoch that a batch staged now would get. Never blocks. Fails with
    /// [`ErrorKind::Closed`], [`ErrorKind::Forked`] and [`ErrorKind::Failed`] alone.
    pub fn current_epoch(&self) -> Result<u64> {
        Ok(self.live()?.staging.current().0)
    }

    /// The highest durable epoch; none before the first. After an open it is
    /// the last one on the disk. Never blocks. Fails with [`ErrorKind::Closed`] and
    /// [`ErrorKind::Forked`] alone.
    pub fn durable_epoch(&self) -> Result<Option<u64>> {
        Ok(self.live()?.durable())
    }

    /// A new eventfd (non-blocking, close-on-exec, the caller's to close) that
    /// becomes readable each time the durable epoch advances, and when the
    /// coordinator fails or closes. Each call gives one of its own, which the
    /// coordinator keeps a duplicate of until it is closed. [`ErrorKind::Io`] where
    /// descriptors are exhausted.
    pub fn event_fd(&self) -> Result<OwnedFd> {
        let core = self.live()?;
        core.events.add(|| core.phase() != Phase::Open)
    }

    /// Starts a flush of `epoch` on the library's thread; does not block.
    /// [`ErrorKind::Invalid`] for an epoch that was never handed out.
    pub fn request_flush(&self, epoch: u64) -> Result<()> {
        let core = self.live()?;
        core.check_handed_out(epoch)?;
        core.request(epoch);
        Ok(())
    }

    /// Calls back once `epoch` is durable, or known not to become so, with
    /// what [`Coordinator::wait`] would say; starts a flush of it.
    ///
    /// The callback runs exactly once, on a library thread, before the last
    /// close returns. Blocking calls from inside it are
    /// [`ErrorKind::Deadlock`]. Where this fails it never runs:
    /// [`ErrorKind::Invalid`] for an epoch that was never handed out,
    /// [`ErrorKind::Failed`], [`ErrorKind::Closed`].
    pub fn on_durable(&self, epoch: u64, callback: DurableFn) -> Result<()> {
        let core = self.live()?;
        core.check_handed_out(epoch)?;
        core.add_callback(epoch, callback)
    }

    /// The caller's word that pages through this epoch are safe in the
    /// database file: segments that hold nothing else are reused or removed,
    /// once no reader holds them. At or below the last checkpoint it does
    /// nothing; beyond the durable epoch it is [`ErrorKind::Invalid`].
    /// Blocks on syncs.
    pub fn checkpoint(&self, through_epoch: u64) -> Result<()> {
        self.live()?.checkpoint(through_epoch)
    }

    /// The figures. Never blocks on a flush.
    pub fn stats(&self) -> Result<Stats> {
        Ok(self.live()?.snapshot())
    }

    /// The resolved path of the database.
    pub fn path(&self) -> &Path {
        &self.handle.core().path
    }

    /// For calls that need nothing else of a live coordinator.
    #[cfg(feature = "capi")]
    pub(crate) fn check_fork(&self) -> Result<()> {
        self.handle.core().check_fork()
    }

    /// Files that a salvaging open moved or copied aside.
    pub fn salvaged(&self) -> &[PathBuf] {
        &self.handle.core().salvaged
    }

    /// Seals, flushes and closes this handle; the last handle of a shared
    /// coordinator closes it. Everyone who waits is woken.
    ///
    /// [`ErrorKind::Timeout`]: not in time, still open. [`ErrorKind::Closed`]:
    /// it was closed already. Any other error: it is closed, and the message
    /// says which epochs are not durable.
    pub fn close(&self, timeout: Option<Duration>) -> Result<()> {
        self.handle.close(|core| match self.shared {
            true => registry::give_back(core, timeout),
            false => core.close(timeout),
        })
    }

    /// Fails the coordinator for good, as a caught panic at a boundary does.
    /// What is durable stays durable; nothing else is acknowledged.
    pub fn fail(&self, cause: Error) {
        self.handle.core().fail_from_outside(cause);
    }
}

impl Drop for Coordinator {
    fn drop(&mut self) {
        match self.handle.dropped() {
            Dropped::Nothing => {}
            Dropped::Close => {
                let _ = self.close(None);
            }
            Dropped::CloseElsewhere => {
                let (core, shared) = (self.handle.core().clone(), self.shared);
                let _ = crate::sync::thread::Builder::new()
                    .name("epochwal-close".into())
                    .spawn(move || drop(Self::handle(core, shared)));
            }
        }
    }
}

impl Sequencer {
    fn checkpoint(&self, through: u64) -> Result<()> {
        self.check_may_block()?;
        if self.durable().is_none_or(|d| through > d) {
            return Err(Error::invalid(format!(
                "through_epoch: {through} is beyond the durable epoch ({})",
                self.durable().map_or("none".into(), |d| d.to_string())
            )));
        }
        let mut guard = self.lock_flusher();
        if self.phase() == Phase::Failed {
            return Err(self.refusal());
        }
        let Some(log) = guard.log() else {
            return Err(self.closed());
        };
        if log.floor().is_some_and(|floor| through < floor) {
            return Ok(());
        }
        let done = log.checkpoint(through);
        self.note_log(log);
        self.let_go(guard, done)?;
        self.counters.checkpoints.fetch_add(1, Ordering::Relaxed);
        self.room.wake_all();
        Ok(())
    }
}
