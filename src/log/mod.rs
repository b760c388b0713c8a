//! The log: segments, state file and locks of one database, read and written
//! as groups. Knows nothing of lanes and waiters.
//!
//! `files` lists what is there, `walk` follows it and judges where it ends
//! (the decision table of `docs/format.md`), `open` makes a log ready for
//! writing, `writer` appends groups, `retire` lets segments go.

mod files;
mod identity;
mod judge;
mod lock;
mod open;
mod order;
mod place;
mod policy;
mod record_file;
mod records;
mod retire;
mod salvage;
mod segment_file;
mod spare;
mod state_file;
mod v1_writer;
mod walk;
mod window;
mod writer;

pub(crate) use files::{LogFiles, Version};
pub(crate) use identity::check_database_id;
pub(crate) use lock::{ReaderHold, WriterLock, writer_lives};
pub use open::TornTail;
pub(crate) use open::{OnGroup, OpenedLog, RecordsFound, last_epoch, open_log};
pub use place::Verdict;
pub use policy::{Knobs, SyncPolicy, SyncStyle};
pub(crate) use record_file::RecordFile;
pub(crate) use retire::{Gone, cleanup, cleanup_locked};
pub(crate) use state_file::{sync_dir, sync_failed, sync_file};
pub(crate) use walk::{End, Group, Step, Walker};
pub(crate) use window::Window;
pub(crate) use writer::{GroupInput, GroupPlace, LogOptions, LogWriter, heals};

use crate::error::{Error, Result};
use crate::format::names::Names;
use crate::storage::Storage;
use std::path::Path;
use std::sync::Arc;

/// The storage as everyone here shares it.
pub(crate) type Disk = Arc<dyn Storage>;

/// The names of a database's files; its path is resolved first.
pub(crate) fn names_of(disk: &Disk, db_path: &Path) -> Result<Names> {
    let resolved = disk
        .resolve(db_path)
        .map_err(|e| Error::io("resolve the path", db_path, &e))?;
    Ok(Names::new(&resolved))
}

/// A walker that holds the segments and knows of a living writer.
pub(crate) fn read_walker(disk: &Disk, names: &Names) -> Result<Walker> {
    let hold = ReaderHold::take(disk, &names.lock())?;
    let mut walker = Walker::new(disk.clone(), LogFiles::default_for(names), Some(hold));
    // How far a writer is durable is asked before the listing, so that all up
    // to there is in the listing.
    walker.refresh_live()?;
    walker.set_files(LogFiles::list(disk, names)?);
    walker.narrow_hold()?;
    Ok(walker)
}
