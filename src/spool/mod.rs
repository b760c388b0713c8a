//! The spool: a durable log of logical records, the primary's side of log
//! shipping.
//!
//! A record's way down: [`Spool::append`] makes a run of it (`append`), which
//! takes its turn in the `order` of LSNs and goes through the sequencer into a
//! group, as the coordinator's batches do. The flusher tells the `view` of each
//! durable group: `index` marks where its records stand, `ring` keeps the newest
//! in memory. Up: [`Spool::read_since`] and the `cursor` `gather` records from the
//! ring, or from segments by `read`. `prune` lets segments go, `truncate` cuts a
//! tail of another history off.

mod append;
mod aside;
mod cursor;
mod export;
mod follow;
mod gather;
mod guard;
mod import;
mod index;
mod open;
mod options;
mod order;
mod prune;
pub mod rdlw;
mod read;
mod read_file;
mod reader;
mod reader_batch;
mod reader_file;
mod records;
mod ring;
mod salvage;
mod shared_cursor;
mod single_file;
mod truncate;
mod view;

pub use crate::format::lost::{Lost, LostRange};
use crate::format::record::MAX_PAYLOAD;
pub use crate::format::record::Record;
pub use crate::format::terms::{Standing, TermStart, Terms};
pub use crate::log::TornTail;
pub use crate::sequencer::Stats;
pub use cursor::Cursor;
pub(crate) use open::spool_names;
pub use options::{Format, SpoolOptions};
pub use reader::{SpoolReader, SpoolReport, SpoolSegment};
pub use records::{Payload, ReadLimit, SpoolRecord};
pub use salvage::SalvageReport;
pub use shared_cursor::SharedCursor;
pub use view::Bounds;

use self::append::RecordRun;
use self::order::{Order, check_record};
use self::view::View;
use crate::error::{Error, ErrorKind, Result};
use crate::format::names::Names;
use crate::format::state::State;
use crate::log::Disk;
use crate::sequencer::{Ask, Dropped, DurableFn, Handle, Phase, Sequencer};
use crate::storage::fork_generation;
use crate::sync::{AtomicBool, Mutex, Ordering};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// In messages.
const NAME: &str = "spool";

/// What a submitted run was given: what to wait for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SpoolTicket {
    /// The epoch that it becomes durable with; 0 in memory.
    pub epoch: u64,
    /// The LSN of its first record.
    pub first_lsn: u64,
    /// The LSN of its last record.
    pub last_lsn: u64,
}

/// A durable, ordered log of records.
///
/// Share it between threads by reference or in an `Arc`; every method may be
/// called from any thread at any time. After a `fork` the child's handle
/// answers [`ErrorKind::Forked`] and touches no file. Dropping it closes it and
/// waits for what is staged.
///
/// Timeouts: `None` waits for ever, zero polls.
pub struct Spool {
    store: Store,
    shared: Arc<Shared>,
    imported: Option<PathBuf>,
    /// The torn tail of that file.
    left_out: Option<TornTail>,
}

/// Where the records are.
enum Store {
    /// In a log.
    Log(Handle),
    /// In the ring alone.
    Memory(Memory),
}

/// A spool without a log under it, which would know these.
struct Memory {
    closed: AtomicBool,
    born: u32,
}

impl Memory {
    fn new() -> Memory {
        Memory {
            closed: AtomicBool::new(false),
            born: fork_generation(),
        }
    }

    fn check_fork(&self) -> Result<()> {
        match self.born == fork_generation() {
            true => Ok(()),
            false => Err(Error::new(
                ErrorKind::Forked,
                "this handle belongs to the parent of a fork",
            )),
        }
    }
}

/// What cursors share with their spool.
struct Shared {
    view: Arc<View>,
    order: Mutex<Order>,
    options: SpoolOptions,
    /// None in memory.
    disk: Option<(Disk, Names)>,
    /// What the state file said at the open, for those who follow what was
    /// there by then.
    opened: State,
    torn: Option<TornTail>,
    /// Where the last cut has saved what it cut off.
    saved_tail: Mutex<Option<PathBuf>>,
    /// Asked before each prune and cut.
    guard: Mutex<Option<Arc<dyn Guard>>>,
}

/// What stands between a caller and a prune or a cut: the slots of a primary.
#[doc(hidden)]
pub trait Guard: Send + Sync {
    /// Prunes by `prune`, through `limit` at most and no further than the slots
    /// allow; gives what that gives.
    fn prune(&self, limit: u64, prune: &mut dyn FnMut(u64) -> Result<u64>) -> Result<u64>;

    /// Cuts behind `lsn` by `cut`, unless a quorum has more than that.
    fn truncate(&self, lsn: u64, cut: &mut dyn FnMut() -> Result<()>) -> Result<()>;
}

impl std::fmt::Debug for Spool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Spool")
            .field("path", &self.path())
            .field("bounds", &self.shared.view.bounds())
            .finish_non_exhaustive()
    }
}

impl Spool {
    fn live(&self) -> Result<Option<&Arc<Sequencer>>> {
        match &self.store {
            Store::Log(handle) => handle.live().map(Some),
            Store::Memory(memory) => {
                memory.check_fork()?;
                match memory.closed.load(Ordering::Acquire) {
                    true => Err(closed_in_memory()),
                    false => Ok(None),
                }
            }
        }
    }

    /// The sequencer under it; an error where the records are in memory alone.
    fn log(&self) -> Result<&Arc<Sequencer>> {
        self.live()?.ok_or_else(|| {
            Error::new(
                ErrorKind::Unsupported,
                "the spool is in memory and has no files",
            )
        })
    }

    /// Whether it is open, and this process's.
    #[cfg(feature = "capi")]
    pub(crate) fn check_open(&self) -> Result<()> {
        self.live().map(drop)
    }

    /// Stages records, all or none, and gives what to wait for. Their bytes are
    /// copied. Blocks only where memory is full, for a run above 4 MiB, and while a
    /// truncation is at work.
    ///
    /// On an error nothing was kept, and the message names the field:
    /// [`ErrorKind::Order`] for an LSN that does not rise, [`ErrorKind::Fenced`]
    /// for a term below one that has begun, [`ErrorKind::TooLarge`],
    /// [`ErrorKind::Invalid`] for no records or an LSN out of range,
    /// [`ErrorKind::Busy`] (no room), [`ErrorKind::NoSpace`],
    /// [`ErrorKind::Failed`], [`ErrorKind::Closed`].
    pub fn submit(&self, records: &[Record<'_>]) -> Result<SpoolTicket> {
        self.stage(records, true, None)
    }

    /// As [`Spool::submit`], but asks `interrupted` about every 50 ms while it
    /// waits for room; true ends that as the end of `block_timeout` does.
    pub fn submit_interruptible(
        &self,
        records: &[Record<'_>],
        interrupted: &mut dyn FnMut() -> bool,
    ) -> Result<SpoolTicket> {
        self.stage(records, true, Some(interrupted))
    }

    /// Appends records, all or none, and returns once they are durable.
    ///
    /// Errors are those of [`Spool::submit`] and [`Spool::wait`]; one that has
    /// an [`Error::ticket`] means that the records stay staged: wait for that
    /// epoch again.
    pub fn append(&self, records: &[Record<'_>], timeout: Option<Duration>) -> Result<SpoolTicket> {
        self.append_asking(records, timeout, None)
    }

    /// As [`Spool::append`], but asks `interrupted` about every 50 ms while it
    /// sleeps; true ends the wait as a timeout does.
    pub fn append_interruptible(
        &self,
        records: &[Record<'_>],
        timeout: Option<Duration>,
        interrupted: &mut dyn FnMut() -> bool,
    ) -> Result<SpoolTicket> {
        self.append_asking(records, timeout, Some(interrupted))
    }

    fn append_asking(
        &self,
        records: &[Record<'_>],
        timeout: Option<Duration>,
        mut interrupted: Option<Ask<'_>>,
    ) -> Result<SpoolTicket> {
        if let Some(core) = self.live()? {
            core.check_may_block()?;
        }
        let ask = interrupted.as_mut().map(|ask| &mut **ask as _);
        let ticket = self.stage(records, false, ask)?;
        if let Some(core) = self.live()? {
            core.wait_for(ticket.epoch, timeout, interrupted)
                .map_err(|e| e.with_ticket(ticket.into()))?;
        }
        Ok(ticket)
    }

    fn stage(
        &self,
        records: &[Record<'_>],
        arm: bool,
        interrupted: Option<Ask<'_>>,
    ) -> Result<SpoolTicket> {
        let core = self.live()?;
        let (Some(first), Some(last)) = (records.first(), records.last()) else {
            return Err(Error::invalid("records: none"));
        };
        for record in records {
            check_record(record, self.shared.options.max_payload)?;
        }
        let run = RecordRun::new(records, &self.shared.order, &self.shared.view)?;
        let epoch = match core {
            Some(core) => core.submit(&run, arm, interrupted)?.epoch,
            None => self.shared.keep(&run, records)?,
        };
        Ok(SpoolTicket {
            epoch,
            first_lsn: first.lsn,
            last_lsn: last.lsn,
        })
    }

    /// Appends records of another spool: whatever the options say of payloads and
    /// gaps, and with the times that they have, 0 too.
    fn append_as_given(&self, records: &[Record<'_>]) -> Result<()> {
        let core = self.log()?;
        for record in records {
            check_record(record, MAX_PAYLOAD as u64)?;
        }
        let run = RecordRun::as_given(records, &self.shared.order, &self.shared.view)?;
        let dense = std::mem::replace(&mut self.shared.order.lock().dense, false);
        let staged = core.submit(&run, false, None);
        self.shared.order.lock().dense = dense;
        core.wait_for(staged?.epoch, None, None)
    }

    /// Where the single-file spool of other software was moved that this open has
    /// taken in.
    pub fn imported(&self) -> Option<&Path> {
        self.imported.as_deref()
    }

    /// Waits until what the ticket is for is durable: as
    /// [`Coordinator::wait`](crate::Coordinator::wait).
    pub fn wait(&self, ticket: SpoolTicket, timeout: Option<Duration>) -> Result<()> {
        match self.live()? {
            Some(core) => core.wait(ticket.epoch, timeout, None),
            None => Ok(()),
        }
    }

    /// As [`Spool::wait`], but asks `interrupted` about every 50 ms while it
    /// sleeps; true ends the wait as a timeout does.
    pub fn wait_interruptible(
        &self,
        ticket: SpoolTicket,
        timeout: Option<Duration>,
        interrupted: &mut dyn FnMut() -> bool,
    ) -> Result<()> {
        match self.live()? {
            Some(core) => core.wait(ticket.epoch, timeout, Some(interrupted)),
            None => Ok(()),
        }
    }

    /// Starts the flush of what the ticket is for, in the background.
    pub fn request_flush(&self, ticket: SpoolTicket) -> Result<()> {
        match self.live()? {
            Some(core) => {
                core.check_handed_out(ticket.epoch)?;
                core.request(ticket.epoch);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Calls back once what the ticket is for is durable, or known not to become
    /// so: as [`Coordinator::on_durable`](crate::Coordinator::on_durable). In memory
    /// at once, on this thread.
    pub fn on_durable(&self, ticket: SpoolTicket, callback: DurableFn) -> Result<()> {
        match self.live()? {
            Some(core) => {
                core.check_handed_out(ticket.epoch)?;
                core.add_callback(ticket.epoch, callback)
            }
            None => {
                callback(ticket.epoch, Ok(()));
                Ok(())
            }
        }
    }

    /// Makes all that is staged durable.
    pub fn flush(&self, timeout: Option<Duration>) -> Result<()> {
        match self.live()? {
            Some(core) => core.flush(timeout).map(drop),
            None => Ok(()),
        }
    }

    /// Durable records above `lsn`, ascending, without a gap: at least one where
    /// there is one, none at the end. What it costs depends on what it gives.
    ///
    /// [`ErrorKind::WalRemoved`] where records above `lsn` are pruned
    /// ([`Error::lsn`] is the first that can be read) or lost in a salvage (it is
    /// the LSN behind them), [`ErrorKind::Ahead`]
    /// where `lsn` is beyond the end (it is the end), [`ErrorKind::Diverged`] where
    /// a cut came meanwhile: read again; [`ErrorKind::Corrupt`] and
    /// [`ErrorKind::Io`] for what the disk gives. Never waits for a writer.
    pub fn read_since(&self, lsn: u64, limit: ReadLimit) -> Result<Vec<SpoolRecord>> {
        self.live()?;
        self.shared.view.want();
        self.shared.read_since(lsn, limit)
    }

    /// The first and the last LSN, and where pruning has come to: reads of
    /// memory.
    pub fn bounds(&self) -> Bounds {
        self.shared.view.bounds()
    }

    /// The last LSN of what salvages have lost; 0 where they have lost nothing.
    /// Whoever has less can't read on to the end.
    pub fn lost_through(&self) -> u64 {
        self.shared.view.lost_through()
    }

    /// What salvages have lost and pruning has not passed, ascending: a reader at or
    /// in one of them gets [`ErrorKind::WalRemoved`]. Empty in the child of a fork.
    pub fn lost(&self) -> Vec<LostRange> {
        if self.is_inherited() {
            return Vec::new();
        }
        let pruned = self.bounds().pruned_through;
        let mut lost = self.shared.view.lost_ranges();
        lost.retain(|range| range.through > pruned);
        lost
    }

    /// Waits until a durable record lies above `lsn`. [`ErrorKind::Timeout`]
    /// where none came; [`ErrorKind::Closed`] or the failure where none will.
    pub fn wait_after(&self, lsn: u64, timeout: Option<Duration>) -> Result<()> {
        self.wait_for_records(lsn, timeout, None, &|| None)
    }

    /// As [`Spool::wait_after`], but asks `interrupted` about every 50 ms while
    /// it sleeps; true ends the wait as a timeout does.
    pub fn wait_after_interruptible(
        &self,
        lsn: u64,
        timeout: Option<Duration>,
        interrupted: &mut dyn FnMut() -> bool,
    ) -> Result<()> {
        self.wait_for_records(lsn, timeout, Some(interrupted), &|| None)
    }

    fn wait_for_records(
        &self,
        lsn: u64,
        timeout: Option<Duration>,
        interrupted: Option<&mut dyn FnMut() -> bool>,
        stopped: &dyn Fn() -> Option<Error>,
    ) -> Result<()> {
        if let Some(core) = self.live()?
            && timeout != Some(Duration::ZERO)
        {
            core.check_may_block()?;
        }
        self.shared.view.want();
        self.shared.wait_after(lsn, timeout, interrupted, || {
            stopped().or_else(|| self.ended())
        })
    }

    /// A cursor behind `lsn`: it keeps its place, and the segment it is in. The
    /// first read says whether `lsn` can be read from.
    pub fn cursor(&self, lsn: u64) -> Result<Cursor<'_>> {
        self.live()?;
        self.shared.view.want();
        Ok(Cursor::new(self, lsn))
    }

    /// A new eventfd (non-blocking, close-on-exec, the caller's to close) that
    /// becomes readable each time records become durable (or, in memory, are
    /// there), and when the spool fails or closes.
    pub fn event_fd(&self) -> Result<OwnedFd> {
        match self.live()? {
            Some(core) => core.events.add(|| core.phase() != Phase::Open),
            None => {
                let view = &self.shared.view;
                view.events.add(|| view.ended.load(Ordering::SeqCst))
            }
        }
    }

    /// The term of now: that of the last record, or the one that a truncation
    /// has begun, for whose end this waits. 0 before the first, and in the child of
    /// a fork.
    pub fn term(&self) -> u64 {
        match self.is_inherited() {
            true => 0,
            false => self.shared.order.lock().term,
        }
    }

    /// The durable history of terms; empty in the child of a fork.
    pub fn terms(&self) -> Terms {
        match self.is_inherited() {
            true => Terms::default(),
            false => self.shared.view.inside.lock().terms.clone(),
        }
    }

    /// Where a replica stands whose last record is `lsn` of `term`.
    pub fn standing(&self, lsn: u64, term: u64) -> Standing {
        self.terms().check(term, lsn)
    }

    /// Whether it is a parent's, whose locks a fork may have left held.
    fn is_inherited(&self) -> bool {
        match &self.store {
            Store::Log(handle) => handle.core().is_forked(),
            Store::Memory(memory) => memory.check_fork().is_err(),
        }
    }

    /// As [`Spool::standing`], but [`ErrorKind::Diverged`] where the replica has a
    /// tail of its own: [`Error::lsn`] is the last LSN common to both.
    pub fn check_standing(&self, lsn: u64, term: u64) -> Result<()> {
        match self.standing(lsn, term) {
            Standing::Same => Ok(()),
            Standing::Diverged { last_common_lsn } => Err(Error::new(
                ErrorKind::Diverged,
                format!("term: LSN {lsn} is not of term {term} here"),
            )
            .with_lsn(last_common_lsn)),
        }
    }

    /// Whether records are kept on a disk.
    pub fn is_durable(&self) -> bool {
        matches!(self.store, Store::Log(_))
    }

    /// The figures of the log under it: batches are runs, frames are records.
    /// None in memory.
    pub fn stats(&self) -> Result<Option<Stats>> {
        Ok(self.live()?.map(|core| core.snapshot()))
    }

    /// The resolved path of the data file that it belongs to; empty in memory.
    pub fn path(&self) -> &Path {
        match &self.store {
            Store::Log(handle) => &handle.core().path,
            Store::Memory(_) => Path::new(""),
        }
    }

    /// What the open dropped of records that were never acknowledged, or left out
    /// of a single-file spool that it took in.
    pub fn torn(&self) -> Option<&TornTail> {
        self.left_out.as_ref().or(self.shared.torn.as_ref())
    }

    /// The file in which the last truncation by this handle has saved what it
    /// cut off; none where there was nothing to save.
    pub fn saved_tail(&self) -> Option<PathBuf> {
        match self.is_inherited() {
            true => None,
            false => self.shared.saved_tail.lock().clone(),
        }
    }

    /// Files that a salvaging open moved or copied aside.
    pub fn salvaged(&self) -> &[PathBuf] {
        match &self.store {
            Store::Log(handle) => &handle.core().salvaged,
            Store::Memory(_) => &[],
        }
    }

    /// Prunes and cuts go through `guard` from here on.
    pub(crate) fn set_guard(&self, guard: Arc<dyn Guard>) {
        *self.shared.guard.lock() = Some(guard);
    }

    /// Bytes of log from the first record above `lsn` on, about: what a slot at
    /// `lsn` holds back. A read of memory.
    pub fn bytes_above(&self, lsn: u64) -> u64 {
        self.shared.view.bytes_above(lsn)
    }

    /// Flushes and closes. Everyone who waits is woken.
    ///
    /// [`ErrorKind::Timeout`]: not in time, still open. [`ErrorKind::Closed`]:
    /// it was closed already. Any other error: it is closed, and the message
    /// says what is not durable.
    pub fn close(&self, timeout: Option<Duration>) -> Result<()> {
        match &self.store {
            Store::Log(handle) => handle.close(|core| core.close(timeout)),
            Store::Memory(memory) => {
                memory.check_fork()?;
                if memory.closed.swap(true, Ordering::AcqRel) {
                    return Err(closed_in_memory());
                }
                crate::sequencer::Sink::ended(&*self.shared.view);
                Ok(())
            }
        }
    }

    /// Fails the spool for good, as a caught panic at a boundary does.
    pub fn fail(&self, cause: Error) {
        if let Store::Log(handle) = &self.store {
            handle.core().fail_from_outside(cause);
        }
    }

    /// Why nothing more comes, once it is so.
    fn ended(&self) -> Option<Error> {
        if !self.shared.view.ended.load(Ordering::SeqCst) {
            return None;
        }
        Some(match &self.store {
            Store::Log(handle) => handle.core().refusal(),
            Store::Memory(_) => closed_in_memory(),
        })
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        let Store::Log(handle) = &self.store else {
            return;
        };
        match handle.dropped() {
            Dropped::Nothing => {}
            Dropped::Close => {
                let _ = self.close(None);
            }
            Dropped::CloseElsewhere => {
                let store = Store::Log(Handle::new(handle.core().clone()));
                let shared = self.shared.clone();
                let _ = crate::sync::thread::Builder::new()
                    .name("epochwal-close".into())
                    .spawn(move || {
                        drop(Spool {
                            store,
                            shared,
                            imported: None,
                            left_out: None,
                        })
                    });
            }
        }
    }
}

impl From<SpoolTicket> for crate::error::Ticket {
    fn from(ticket: SpoolTicket) -> Self {
        crate::error::Ticket {
            epoch: ticket.epoch,
            commit_seq: ticket.last_lsn,
        }
    }
}

fn closed_in_memory() -> Error {
    Error::new(ErrorKind::Closed, "the spool is closed")
}
