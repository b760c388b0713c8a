//! okaywal: a log with group commit. An entry is written under a lock, and
//! one committer syncs for all whose entries are in the file.

use crate::arms::Arm;
use okaywal::{Configuration, LogVoid, WriteAheadLog};
use std::path::Path;
use turns::text;

/// As much as the limit arms' file: the default of 1 MiB would change files
/// every few milliseconds.
const FILE: u32 = 64 << 20;

pub struct Okaywal {
    log: WriteAheadLog,
}

impl Okaywal {
    pub fn open(dir: &Path) -> Result<Okaywal, String> {
        let log = Configuration::default_for(dir.join("log"))
            .preallocate_bytes(FILE)
            .checkpoint_after_bytes(u64::from(FILE) / 4 * 3)
            .open(LogVoid)
            .map_err(text)?;
        Ok(Okaywal { log })
    }
}

impl Arm for Okaywal {
    fn commit(&self, _thread: usize, batch: &[&[u8]]) -> Result<(), String> {
        let mut entry = self.log.begin_entry().map_err(text)?;
        for frame in batch {
            entry.write_chunk(frame).map_err(text)?;
        }
        entry.commit().map_err(text)?;
        Ok(())
    }
}
