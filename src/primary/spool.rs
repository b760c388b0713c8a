//! The spool as a primary's log.

use super::wal::{Bounds, Branch, Wal};
use super::{Cause, Core, Invalidation, Origin, Parts, Primary, PrimaryOptions, Slot};
use crate::error::{Error, ErrorKind, Result};
use crate::format::names::Names;
use crate::format::slots_json;
use crate::spool::{Guard, Spool, SpoolOptions, Standing, spool_names};
use crate::storage::{OpenMode, RealStorage, Storage, read_exact_at};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// The slot store of the spool of these names.
pub(crate) fn slot_store_path(names: &Names) -> PathBuf {
    names.beside("slots")
}

/// The older slot store beside it.
pub(crate) fn older_store_path(names: &Names) -> PathBuf {
    names.beside("slots.json")
}

impl Primary {
    /// Opens the primary of the data file at `path`: its spool, and the slots
    /// beside it. Both are made where there are none. Errors are those of
    /// [`Spool::open`], and [`ErrorKind::Corrupt`] for a slot store that can't
    /// be read or is gone. Where there never was one, the older store at
    /// `<data file name>.logical.slots.json` is taken in, if there is one.
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
        let older = older_store_path(&names);
        let disk = storage.clone();
        let store = Some((storage, slot_store_path(&names)));
        Primary::over(spool, store, options, &mut || {
            Ok(older_slots(&disk, &older)?.unwrap_or_default())
        })
    }

    /// A primary without files: records and slots live in memory.
    pub fn in_memory(spool: &SpoolOptions, options: &PrimaryOptions) -> Result<Primary> {
        options.validate()?;
        let spool = Arc::new(Spool::in_memory(spool)?);
        Primary::over(spool, None, options, &mut || Ok(Vec::new()))
    }

    fn over(
        spool: Arc<Spool>,
        store: Option<(Arc<dyn Storage>, PathBuf)>,
        options: &PrimaryOptions,
        import: &mut dyn FnMut() -> Result<Vec<Slot>>,
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
        let mut primary = Primary::open_with(parts, options, import)?;
        let core: Weak<Core> = Arc::downgrade(&primary.0);
        spool.set_guard(Arc::new(Slots(core)));
        primary.1 = Some(spool);
        Ok(primary)
    }

    /// The slots in the layout of the older store: a JSON file.
    pub fn export_slots(&self) -> Vec<u8> {
        let slots: Vec<_> = self.slots().into_iter().map(|s| s.slot).collect();
        in_older_layout(&slots)
    }

    /// Its spool: to append to and to read from for as long as the primary is
    /// open. None where it was made over another log.
    pub fn spool(&self) -> Option<&Arc<Spool>> {
        self.1.as_ref()
    }
}

/// Slots as an older store has them.
pub(super) fn in_older_layout(slots: &[Slot]) -> Vec<u8> {
    slots_json::encode(&slots.iter().map(older).collect::<Vec<_>>())
}

/// The slots of the older store, which is taken in where there never was one of
/// ours; none where there is no such file.
pub(crate) fn older_slots(disk: &Arc<dyn Storage>, path: &Path) -> Result<Option<Vec<Slot>>> {
    let fail = |what: &str, e: std::io::Error| Error::io(what, path, &e);
    let file = match disk.open(path, OpenMode::Read) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(|e| fail("open the older slot store", e))?,
    };
    let len = file
        .len()
        .map_err(|e| fail("measure the older slot store", e))?;
    if len > MAX_OLDER_STORE {
        let why = format!("older slot store: {len} bytes are above {MAX_OLDER_STORE}");
        return Err(Error::new(ErrorKind::TooLarge, why).in_file(path));
    }
    let mut bytes = vec![0; len as usize];
    read_exact_at(&*file, &mut bytes, 0).map_err(|e| fail("read the older slot store", e))?;
    let slots = slots_json::decode(&bytes).map_err(|e| e.in_file(path))?;
    Ok(Some(slots.into_iter().map(newer).collect()))
}

/// More than any number of slots that is allowed takes.
const MAX_OLDER_STORE: u64 = 64 << 20;

fn newer(slot: slots_json::Slot) -> Slot {
    let mut own = Slot::new(&slot.id, slot.restart_lsn, Origin::Given, slot.last_seen_ms);
    own.confirmed_lsn = slot.confirmed_lsn;
    own.invalidation = slot.invalidated.map(|(reason, at_ms)| Invalidation {
        cause: match reason {
            slots_json::Reason::WalRemoved => Cause::WalRemoved,
            slots_json::Reason::Horizon => Cause::Horizon,
            slots_json::Reason::IdleTimeout => Cause::IdleTimeout,
        },
        at_ms,
    });
    own
}

fn older(slot: &Slot) -> slots_json::Slot {
    slots_json::Slot {
        id: slot.id.clone(),
        restart_lsn: slot.restart_lsn,
        confirmed_lsn: slot.confirmed_lsn,
        last_seen_ms: slot.last_seen_ms,
        invalidated: slot.invalidation.map(|gone| {
            let reason = match gone.cause {
                Cause::WalRemoved => slots_json::Reason::WalRemoved,
                Cause::Horizon => slots_json::Reason::Horizon,
                Cause::IdleTimeout => slots_json::Reason::IdleTimeout,
            };
            (reason, gone.at_ms)
        }),
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
            lost_through: self.spool.lost_through(),
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
