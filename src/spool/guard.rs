//! A spool without its primary: the slots beside it hold all the same.

use super::Guard;
use crate::error::{Error, ErrorKind, Result};
use crate::format::names::Names;
use crate::log::Disk;
use crate::primary::{
    Saved, floor, older_slots, older_store_path, saved, slot_store_is_lost, slot_store_path,
};

/// The slot store beside a spool that nobody has opened.
pub(super) struct SlotsBeside {
    disk: Disk,
    names: Names,
    /// There was one when the spool was opened.
    had_one: bool,
}

/// The slots beside the spool of these names.
pub(super) fn slots_beside(disk: &Disk, names: &Names, had_one: bool) -> SlotsBeside {
    SlotsBeside {
        disk: disk.clone(),
        names: names.clone(),
        had_one,
    }
}

impl SlotsBeside {
    /// What the store says; a store that can't be read is an error, and so is
    /// one that is gone. An older store holds until a primary takes it in.
    fn saved(&self) -> Result<Option<Saved>> {
        let path = slot_store_path(&self.names);
        match saved(&self.disk, &path)? {
            None if self.had_one => Err(slot_store_is_lost(&path)),
            None => {
                let older = older_slots(&self.disk, &older_store_path(&self.names))?;
                Ok(older.map(|slots| Saved {
                    floor: floor(&slots),
                    quorum_lsn: 0,
                }))
            }
            saved => Ok(saved),
        }
    }
}

impl Guard for SlotsBeside {
    fn prune(&self, limit: u64, prune: &mut dyn FnMut(u64) -> Result<u64>) -> Result<u64> {
        let floor = self.saved()?.and_then(|s| s.floor);
        prune(limit.min(floor.unwrap_or(u64::MAX)))
    }

    fn truncate(&self, lsn: u64, cut: &mut dyn FnMut() -> Result<()>) -> Result<()> {
        let quorum = self.saved()?.map_or(0, |s| s.quorum_lsn);
        if lsn < quorum {
            return Err(Error::new(
                ErrorKind::Order,
                format!("lsn: {lsn} is below {quorum}, which a quorum has"),
            )
            .with_lsn(quorum));
        }
        cut()
    }
}
