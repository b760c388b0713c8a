//! Salvage as an act of its own, without going on to append.

use super::import::old_path;
use super::open::spool_names;
use super::{Bounds, LostRange, Spool, SpoolOptions, TornTail};
use crate::error::{Error, ErrorKind, Result};
use crate::format::names::Kind;
use crate::log::Disk;
use crate::storage::{RealStorage, Storage};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a salvage found and left.
#[derive(Clone, Debug)]
pub struct SalvageReport {
    /// Files moved or copied aside: none where nothing was damaged, but for a
    /// single-file spool of other software that was taken in.
    pub moved: Vec<PathBuf>,
    /// What was dropped of records that were never acknowledged.
    pub torn: Option<TornTail>,
    /// The spool's bounds from here on.
    pub bounds: Bounds,
    /// LSNs whose records are lost, by this salvage or earlier ones: whoever
    /// reads up to one is told.
    pub lost: Vec<LostRange>,
}

impl Spool {
    /// Moves what is damaged, and all beyond it, aside, so that the spool opens
    /// with what lies before. One without damage is left as it is. A single-file
    /// spool of other software is taken in, but for what is damaged in it.
    ///
    /// Fails with [`ErrorKind::NotFound`] where there is no spool, else as
    /// [`Spool::open`].
    pub fn salvage(path: &Path) -> Result<SalvageReport> {
        Spool::salvage_on(Arc::new(RealStorage), path)
    }

    /// [`Spool::salvage`] on a given storage.
    pub fn salvage_on(storage: Arc<dyn Storage>, path: &Path) -> Result<SalvageReport> {
        if !is_there(&storage, path)? {
            let error = Error::new(ErrorKind::NotFound, "there is no spool");
            return Err(error.in_file(path));
        }
        let options = SpoolOptions {
            salvage: true,
            ..SpoolOptions::default()
        };
        let spool = Spool::open_on(storage, path, &options)?;
        let moved = spool.salvaged().iter().map(PathBuf::as_path);
        let report = SalvageReport {
            moved: moved.chain(spool.imported()).map(Into::into).collect(),
            torn: spool.torn().cloned(),
            bounds: spool.bounds(),
            lost: spool.shared.view.lost_ranges(),
        };
        spool.close(None)?;
        Ok(report)
    }
}

/// Whether anything of a spool is there, but for its lock.
fn is_there(disk: &Disk, path: &Path) -> Result<bool> {
    let names = spool_names(disk, path)?;
    let found = disk
        .list(names.dir())
        .map_err(|e| Error::io("list the directory", names.dir(), &e))?;
    let old = old_path(&names);
    let is_part = |name: &OsString| match names.classify(name) {
        Some(kind) => kind != Kind::Lock,
        None => Some(name.as_os_str()) == old.file_name(),
    };
    Ok(found.iter().any(is_part))
}
