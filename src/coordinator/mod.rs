//! The coordinator: lanes, epochs, group commit.

mod options;
mod stats;

pub use options::{
    EpochInterval, Options, Overflow, SPILL_BYTES, Sequencing, SyncPolicy, SyncStyle,
};
pub use stats::{Latency, Stats};

use crate::batch::{Batch, BatchHead, FrameSource};
use crate::error::{Error, Result, Ticket};
use crate::storage::Storage;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// What `on_durable` calls: the epoch, and how it went.
pub type DurableFn = Box<dyn FnOnce(u64, Result<()>) + Send>;

/// A parallel page WAL with epoch group commit. Share it between threads by
/// reference or `Arc`.
#[derive(Debug)]
pub struct Coordinator {}

#[allow(unused_variables)]
impl Coordinator {
    /// Opens the log of the database at `db_path`.
    pub fn open(db_path: &Path, options: &Options) -> Result<Self> {
        unimplemented!()
    }
    /// Opens on a given storage.
    pub fn open_on(storage: Arc<dyn Storage>, db_path: &Path, options: &Options) -> Result<Self> {
        unimplemented!()
    }
    /// The process's one coordinator of this database: each call gives a handle.
    pub fn for_path(db_path: &Path, options: &Options) -> Result<Self> {
        unimplemented!()
    }
    /// Stages a batch.
    pub fn submit(&self, batch: &Batch<'_>) -> Result<Ticket> {
        unimplemented!()
    }
    /// Stages a batch whose frames lie elsewhere.
    pub fn submit_from(
        &self,
        head: &BatchHead<'_>,
        frames: &(impl FrameSource + ?Sized),
    ) -> Result<Ticket> {
        unimplemented!()
    }
    /// Stages and waits. `None` waits for ever, zero polls.
    pub fn commit(&self, batch: &Batch<'_>, timeout: Option<Duration>) -> Result<Ticket> {
        unimplemented!()
    }
    /// As [`Coordinator::submit_from`] and a wait.
    pub fn commit_from(
        &self,
        head: &BatchHead<'_>,
        frames: &(impl FrameSource + ?Sized),
        timeout: Option<Duration>,
    ) -> Result<Ticket> {
        unimplemented!()
    }
    /// Waits until `epoch` is durable.
    pub fn wait(&self, epoch: u64, timeout: Option<Duration>) -> Result<()> {
        unimplemented!()
    }
    /// As [`Coordinator::wait`], but asks `interrupted` about every 50 ms; true ends the wait
    /// with a timeout error.
    pub fn wait_interruptible(
        &self,
        epoch: u64,
        timeout: Option<Duration>,
        interrupted: &mut dyn FnMut() -> bool,
    ) -> Result<()> {
        unimplemented!()
    }
    /// Seals and waits for all staged so far; gives the epoch it waited for (the durable
    /// epoch where nothing was staged; 0 where there is none).
    pub fn flush(&self, timeout: Option<Duration>) -> Result<u64> {
        unimplemented!()
    }
    /// The epoch that a batch staged now would get.
    pub fn current_epoch(&self) -> Result<u64> {
        unimplemented!()
    }
    /// The highest durable epoch, never blocking.
    pub fn durable_epoch(&self) -> Result<Option<u64>> {
        unimplemented!()
    }
    /// A new eventfd that becomes readable at each advance of the durable epoch.
    pub fn event_fd(&self) -> Result<OwnedFd> {
        unimplemented!()
    }
    /// Starts a flush of `epoch` in the background.
    pub fn request_flush(&self, epoch: u64) -> Result<()> {
        unimplemented!()
    }
    /// Calls back once `epoch` is durable or known not to become so; starts a
    /// flush of it. The callback runs exactly once, on a library thread, before
    /// close returns.
    pub fn on_durable(&self, epoch: u64, callback: DurableFn) -> Result<()> {
        unimplemented!()
    }
    /// The caller's word that pages through this epoch are safe in the database file.
    pub fn checkpoint(&self, through_epoch: u64) -> Result<()> {
        unimplemented!()
    }
    /// The figures.
    pub fn stats(&self) -> Result<Stats> {
        unimplemented!()
    }
    /// The resolved path of the database.
    pub fn path(&self) -> &Path {
        unimplemented!()
    }
    /// Files that a salvaging open moved aside.
    pub fn salvaged(&self) -> &[PathBuf] {
        unimplemented!()
    }
    /// Seals, flushes, and closes. A close that times out leaves the handle open.
    /// Idempotent: closing again is [`crate::ErrorKind::Closed`].
    pub fn close(&self, timeout: Option<Duration>) -> Result<()> {
        unimplemented!()
    }
    /// Marks the coordinator failed, as after a caught panic.
    pub fn fail(&self, cause: Error) {
        unimplemented!()
    }
}
