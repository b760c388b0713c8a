//! The spool as a primary's log.

use super::wal::{Bounds, Branch, Wal};
use super::{Core, Parts, Primary, PrimaryOptions};
use crate::error::{Error, ErrorKind, Result};
use crate::format::names::Names;
use crate::spool::{Guard, Spool, SpoolOptions, Standing, spool_names};
use crate::storage::{RealStorage, Storage};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// The slot store of the spool of these names.
pub(crate) fn slot_store_path(names: &Names) -> PathBuf {
    names.beside("slots")
}

impl Primary {
    /// Opens the primary of the data file at `path`: its spool, and the slots
    /// beside it. Both are made where there are none. Errors are those of
    /// [`Spool::open`], and [`ErrorKind::Corrupt`] for a slot store that can't
    /// be read or is gone.
    pub fn open(path: &Path, spool: &SpoolOptions, options: &PrimaryOptions) -> Result<Primary> {
        Primary::open_on(Arc::new(RealStorage), path, spool, options)
    }

    /// [`Primary::open`] on a given storage.
    pub fn open_on(
        storage: Arc<dyn Storage>,
        path: &Path,
        spool: &SpoolOptions,
        options: &PrimaryOptions,
    ) -> Result<Primary> {
        options.validate()?;
        let names = spool_names(&storage, path)?;
        let spool = Arc::new(Spool::open_on(storage.clone(), path, spool)?);
        let store = Some((storage, slot_store_path(&names)));
        Primary::over(spool, store, options)
    }

    /// A primary without files: records and slots live in memory.
    pub fn in_memory(spool: &SpoolOptions, options: &PrimaryOptions) -> Result<Primary> {
        options.validate()?;
        Primary::over(Arc::new(Spool::in_memory(spool)?), None, options)
    }

    fn over(
        spool: Arc<Spool>,
        store: Option<(Arc<dyn Storage>, PathBuf)>,
        options: &PrimaryOptions,
    ) -> Result<Primary> {
        let (identity, has_slot_store) = match spool.is_durable() {
            true => spool.identity()?,
            false => Default::default(),
        };
        let wal = Arc::new(SpoolLog {
            spool: spool.clone(),
            identity,
            has_slot_store,
        });
        let parts = Parts {
            wal,
            store,
            clock: None,
        };
        let mut primary = Primary::open_with(parts, options, &mut || Ok(Vec::new()))?;
        let core: Weak<Core> = Arc::downgrade(&primary.0);
        spool.set_guard(Arc::new(Slots(core)));
        primary.1 = Some(spool);
        Ok(primary)
    }

    /// Its spool: to append to and to read from for as long as the primary is
    /// open. None where it was made over another log.
    pub fn spool(&self) -> Option<&Arc<Spool>> {
        self.1.as_ref()
    }
}

/// The spool behind the trait that the primary is written against.
#[derive(Debug)]
struct SpoolLog {
    spool: Arc<Spool>,
    identity: [u8; 16],
    has_slot_store: bool,
}

impl Wal for SpoolLog {
    fn bounds(&self) -> Bounds {
        let bounds = self.spool.bounds();
        Bounds {
            oldest_lsn: bounds.oldest_lsn,
            current_lsn: bounds.current_lsn,
            pruned_through: bounds.pruned_through,
        }
    }

    fn is_durable(&self) -> bool {
        self.spool.is_durable()
    }

    fn identity(&self) -> [u8; 16] {
        self.identity
    }

    fn bytes_above(&self, lsn: u64) -> u64 {
        self.spool.bytes_above(lsn)
    }

    fn check_branch(&self, lsn: u64, term: u64) -> Branch {
        match self.spool.standing(lsn, term) {
            Standing::Same => Branch::Same,
            Standing::Diverged { last_common_lsn } => Branch::Diverged { last_common_lsn },
        }
    }

    fn prune_through(&self, lsn: u64) -> Result<u64> {
        self.spool.prune_now(lsn)
    }

    fn save_quorum(&self, lsn: u64) -> Result<()> {
        match self.spool.is_durable() {
            true => self.spool.keep_quorum(lsn),
            false => Ok(()),
        }
    }

    fn quorum(&self) -> u64 {
        self.spool.quorum()
    }

    fn has_slot_store(&self) -> bool {
        self.has_slot_store
    }

    fn note_slot_store(&self) -> Result<()> {
        self.spool.note_slot_store()
    }

    fn wait_for_lsn_after(&self, lsn: u64, timeout: Option<Duration>) -> Result<bool> {
        match self.spool.wait_after(lsn, timeout) {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == ErrorKind::Timeout => Ok(false),
            Err(e) => Err(e),
        }
    }
}

/// The primary's slots, which prunes and cuts of its spool go through.
struct Slots(Weak<Core>);

impl Slots {
    fn core(&self) -> Result<Arc<Core>> {
        self.0
            .upgrade()
            .ok_or_else(|| Error::new(ErrorKind::Closed, "the primary is closed"))
    }
}

impl Guard for Slots {
    fn prune(&self, limit: u64, prune: &mut dyn FnMut(u64) -> Result<u64>) -> Result<u64> {
        self.core()?.prune_with(limit, prune)
    }

    fn truncate(&self, lsn: u64, cut: &mut dyn FnMut() -> Result<()>) -> Result<()> {
        self.core()?.truncate_with(lsn, cut)
    }
}
