//! The primary's side of log shipping: slots, the replicas behind them, what
//! they hold back, where they go on, and commits that wait for them.
//!
//! `state` is what is in memory, under one lock; `store` and `load` are what
//! is on the disk; `saver` brings the one to the other. The rest are what
//! callers ask for. A slot rises in memory at once, and nothing is pruned but
//! by what the store has of it.
//!
//! Locks, in the order in which they are taken: `shape` (which slots there
//! are, and how much of the log: whoever changes one of these holds it),
//! `store`, `state`.

mod ack;
mod clock;
mod limits;
mod load;
mod options;
mod policy;
mod progress;
mod quorum;
mod registry;
mod report;
mod resume;
mod saver;
mod slot;
mod slots;
mod spool;
mod state;
mod stats;
mod store;
mod wait;
mod wal;
mod watch;

pub use ack::Ack;
#[doc(hidden)]
pub use clock::Clock;
pub use options::PrimaryOptions;
pub use policy::{AckPolicy, Level, Quorum};
pub use progress::{Progress, ReplicaInfo};
pub use registry::Registration;
pub use report::{SlotReport, StoreKind};
pub use resume::{RebootstrapCause, Resume};
pub use slot::{Cause, Invalidation, Origin, Slot, SlotInfo, WalStatus};
pub(crate) use spool::{older_slots, older_store_path, slot_store_path};
pub use stats::{Event, EventKind, PrimaryStats};
#[doc(hidden)]
pub use store::{Saved, saved};
pub(crate) use store::{floor, is_lost as slot_store_is_lost};
pub use wait::{AckResult, Outcome};
#[doc(hidden)]
pub use wal::{Bounds, Branch, Wal};
pub use watch::AckWatch;

use crate::error::{Error, ErrorKind, Result};
use crate::log::{Disk, heals};
use crate::sequencer::Limit;
use crate::storage::fork_generation;
use crate::sync::{AtomicU64, Mutex};
use clock::SystemClock;
use saver::Saver;
use state::{Counter, Entry, State};
use stats::EventKind as Traced;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use store::{Files, Missing, Store};

/// What a primary is made of, but for its options.
#[doc(hidden)]
#[derive(Debug)]
pub struct Parts {
    /// The log.
    pub wal: Arc<dyn Wal>,
    /// Where the slot store is; none: slots live in memory.
    pub store: Option<(Disk, PathBuf)>,
    /// Where the times come from; none: from the system.
    pub clock: Option<Arc<dyn Clock>>,
}

/// Slots and replicas over a log. May be used from any number of threads.
///
/// Every method that gives a `Result` may answer [`ErrorKind::Closed`],
/// [`ErrorKind::Forked`] and, once the slot store has failed,
/// [`ErrorKind::Failed`]; one that blocks on the disk also [`ErrorKind::Io`] and
/// [`ErrorKind::NoSpace`]. What is said of a method's errors is what comes beside.
///
/// A slot store that can't be read is an error of the open, and one that can't
/// be written any more an error of all that relies on it: starting without
/// slots, or acknowledging what is not kept, would let the log prune what
/// replicas need.
#[derive(Debug)]
pub struct Primary(Arc<Core>, Option<Arc<crate::spool::Spool>>);

#[derive(Debug)]
struct Core {
    wal: Arc<dyn Wal>,
    options: PrimaryOptions,
    clock: Arc<dyn Clock>,
    shape: Mutex<()>,
    store: Mutex<Option<Store>>,
    state: Mutex<State>,
    saver: Saver,
    /// What the store has of the highest LSN that a commit wait called reached.
    quorum_saved: AtomicU64,
    /// There is a store.
    stored: bool,
    salvaged: Option<PathBuf>,
    born: u32,
}

impl Primary {
    /// Opens the slots beside a log. `import` gives those of an older store,
    /// and is asked once: when there never was one of this kind.
    #[doc(hidden)]
    pub fn open_with(
        parts: Parts,
        options: &PrimaryOptions,
        import: &mut dyn FnMut() -> Result<Vec<Slot>>,
    ) -> Result<Primary> {
        options.validate()?;
        let Parts { wal, store, clock } = parts;
        let clock = clock.unwrap_or_else(|| Arc::new(SystemClock::new()));
        let mut state = State::new(options.trace_capacity);
        let now_ms = clock.unix_ms();
        state.quorum_lsn = wal.quorum();
        let mut imported = 0;
        let mut import = || {
            let slots = checked(import()?, options)?;
            imported = slots.len() as u64;
            Ok(slots)
        };
        let (mut kept, mut salvaged) = (None, None);
        if let Some((disk, path)) = store {
            let files = Files {
                disk,
                path,
                log_id: wal.identity(),
            };
            let had_one = wal.has_slot_store();
            let missing = match had_one {
                true => Missing::IsLost,
                false => Missing::Import(&mut import),
            };
            let opened = Store::open(files, missing, options.salvage_slots)?;
            if !had_one {
                wal.note_slot_store()?;
            }
            let bounds = opened.store.bounds();
            state.topology = Counter::starting_at(bounds.topology);
            state.generation = Counter::starting_at(bounds.generation);
            state.quorum_lsn = state.quorum_lsn.max(bounds.quorum_lsn);
            if opened.torn_bytes > 0 {
                let bytes = opened.torn_bytes;
                state.trace.add(now_ms, Traced::StoreTornTail { bytes });
            }
            let slots = opened.slots.len() as u64;
            if opened.salvaged {
                state.trace.add(now_ms, Traced::StoreSalvaged { slots });
            }
            for slot in opened.slots {
                state.insert(Entry::new(slot, clock.elapsed()));
            }
            (kept, salvaged) = (Some(opened.store), opened.aside);
        }
        if imported > 0 {
            state
                .trace
                .add(now_ms, Traced::SlotsImported { slots: imported });
        }
        let saves = options.saver && kept.is_some();
        let core = Arc::new(Core {
            wal,
            options: options.clone(),
            clock,
            shape: Mutex::new(()),
            quorum_saved: AtomicU64::new(kept.as_ref().map_or(0, |s| s.bounds().quorum_lsn)),
            stored: kept.is_some(),
            store: Mutex::new(kept),
            state: Mutex::new(state),
            saver: Saver::default(),
            salvaged,
            born: fork_generation(),
        });
        let primary = Primary(core, None);
        primary.0.give_up_the_lost()?;
        if saves {
            primary.0.start_saver()?;
        }
        Ok(primary)
    }

    /// Saves what is not saved yet, and closes its spool too. Whoever waits is
    /// told. Blocks on the disk.
    ///
    /// [`ErrorKind::Closed`]: it was closed already. Any other error: it is closed,
    /// and the message says what is not durable.
    pub fn close(&self) -> Result<()> {
        self.close_within(None)
    }

    /// As [`Primary::close`]; [`ErrorKind::Timeout`] where what is staged in the
    /// spool does not become durable in time, or a save of the slots under way does
    /// not end: it is still open then.
    pub fn close_within(&self, timeout: Option<Duration>) -> Result<()> {
        self.0.check_fork()?;
        let limit = Limit::after(timeout);
        if let Some(spool) = &self.1
            && timeout.is_some()
        {
            match spool.flush(timeout) {
                Err(e) if e.kind() == ErrorKind::Timeout => return Err(e),
                // Whatever else comes up again when it closes.
                Ok(()) | Err(_) => {}
            }
        }
        // Whoever saves has the store, and the close waits for its thread.
        if let Some(left) = limit.left()
            && self.0.store.try_lock_for(left).is_none()
        {
            let why = "a save of the slots has not ended in time: still open";
            return Err(Error::new(ErrorKind::Timeout, why));
        }
        let slots = self.0.close();
        match (&slots, &self.1) {
            // The call that closed the slots closes the spool, and tells of it.
            (Err(e), _) if e.kind() == ErrorKind::Closed => slots,
            (_, Some(spool)) => slots.and(spool.close(None)),
            (_, None) => slots,
        }
    }

    /// Fails the primary and its spool for good, as a caught panic at a boundary
    /// does.
    pub fn fail(&self, cause: &Error) {
        self.0.fail(cause);
        if let Some(spool) = &self.1 {
            spool.fail(cause.clone());
        }
    }

    /// Whether it is this process's.
    #[cfg(feature = "capi")]
    pub(crate) fn check_fork(&self) -> Result<()> {
        self.0.check_fork()
    }

    /// Where an open that salvaged left the damaged slot store.
    pub fn salvaged(&self) -> Option<PathBuf> {
        self.0.salvaged.clone()
    }

    /// The figures.
    pub fn stats(&self) -> PrimaryStats {
        self.0.stats()
    }

    /// The events above a number, oldest first, as far as they are kept.
    pub fn events_since(&self, number: u64) -> Vec<Event> {
        self.0.state.lock().trace.since(number)
    }

    /// A number that rises with each change of the registry's shape: who is a
    /// member, healthy, or being rebootstrapped. It survives a restart.
    pub fn topology_epoch(&self) -> u64 {
        self.0.state.lock().topology.now
    }
}

impl Drop for Primary {
    fn drop(&mut self) {
        if self.0.check_fork().is_ok() {
            let _ = self.0.close();
        }
    }
}

impl Core {
    fn check_fork(&self) -> Result<()> {
        if fork_generation() != self.born {
            return Err(Error::new(
                ErrorKind::Forked,
                "this handle belongs to the parent of a fork",
            ));
        }
        Ok(())
    }

    fn close(&self) -> Result<()> {
        self.stop_saver();
        let _shape = self.shape.lock();
        let mut state = self.state.lock();
        if state.closed {
            return Err(Error::new(ErrorKind::Closed, "the primary is closed"));
        }
        // From here on nothing rises that would not be saved.
        state.closed = true;
        state.waiters.wake_all();
        drop(state);
        let result = self.save_at_close();
        *self.store.lock() = None;
        result
    }

    /// Fails for good: nothing more is acknowledged, and everyone who waits is
    /// told.
    fn fail(&self, error: &Error) {
        let mut state = self.state.lock();
        if state.failed.is_none() {
            state.failed = Some(error.clone());
            let message = error.to_string();
            let now_ms = self.clock.unix_ms();
            state.trace.add(now_ms, Traced::StoreFailed { message });
        }
        state.waiters.wake_all();
    }

    fn stats(&self) -> PrimaryStats {
        let counts = self.store.lock().as_ref().map(|s| s.counts);
        let counts = counts.unwrap_or_default();
        let state = self.state.lock();
        let count = |of: fn(&Entry) -> bool| state.entries().filter(|(_, e)| of(e)).count() as u64;
        PrimaryStats {
            slots: state.len() as u64,
            valid_slots: count(|e| e.slot.is_valid()),
            replicas: count(|e| e.replica.is_some()),
            healthy_replicas: count(Entry::is_healthy),
            waiting: state.waiters.len(),
            saves: counts.saves,
            save_bytes: counts.bytes,
            compactions: counts.compactions,
            ..state.stats
        }
    }
}

/// Slots from another store, if they can be ours.
fn checked(slots: Vec<Slot>, options: &PrimaryOptions) -> Result<Vec<Slot>> {
    if slots.len() > options.max_slots {
        return Err(too_many(options));
    }
    let mut ids = std::collections::BTreeSet::new();
    for slot in &slots {
        registry::check_name("slot", &slot.id)?;
        if !ids.insert(&slot.id) {
            return Err(Error::corrupt(format!(
                "imported slots: {:?} is there twice",
                slot.id
            )));
        }
    }
    Ok(slots)
}

fn too_many(options: &PrimaryOptions) -> Error {
    Error::new(
        ErrorKind::TooLarge,
        format!("max_slots: there are {} already", options.max_slots),
    )
}

/// Whether it makes sense to go on as if the call had not been made.
fn passes(result: Result<()>) -> Result<()> {
    match result {
        Err(e) if heals(&e) => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool::SpoolOptions;

    /// Of many calls at once one closes the slots. Were another to close the
    /// spool, neither would be told that all is well.
    #[test]
    fn who_finds_the_slots_closed_leaves_the_spool_to_who_closed_them() {
        let options = PrimaryOptions::default();
        let primary = Primary::in_memory(&SpoolOptions::default(), &options).unwrap();
        primary.0.close().unwrap();
        let second = primary.close().unwrap_err();
        assert_eq!(second.kind(), ErrorKind::Closed);
        primary.spool().unwrap().close(None).unwrap();
    }
}
