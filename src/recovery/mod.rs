//! Recovery: the log's batches in replay order, and what is done with them.

mod inspect;
mod into;
mod report;
mod stream;

pub use inspect::{GroupInfo, Inspection, SegmentInspection, StateInfo, inspect, inspect_on};
pub use inspect::{inspect_spool, inspect_spool_on};
pub use into::{
    PageMap, recover_into_file, recover_into_file_on, recover_into_map, recover_into_map_on,
};
pub use report::{EpochRanges, RecoveryReport, SegmentInfo, SuspectFile, Verdict};
pub use stream::{RecoveredBatch, Recovery};

use crate::error::{Error, Result};
use crate::format::names::Names;
use crate::log::{Disk, Step, Version, cleanup, last_epoch, names_of, read_walker};
use crate::storage::RealStorage;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// How recovery goes about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoveryOptions {
    /// Stop at the first corrupt place and call what lies before it the
    /// result, instead of failing. Read-only: every file from there on is
    /// listed in the report.
    pub durable_prefix: bool,
    /// Read and check everything, hand out nothing.
    pub verify_only: bool,
    /// Recovery into a file only: delete the segments after the file is
    /// synced, unless the log is corrupt. Takes the writer's lock.
    pub delete_segments: bool,
    /// Identity of the database, checked against the log's.
    pub database_id: Option<[u8; 16]>,
}

fn real() -> Disk {
    Arc::new(RealStorage)
}

/// The highest epoch that is durable, without a coordinator: the last one on
/// the disk, or the checkpoint's. None where the database has no log. Beside a
/// living writer it is what that one has made durable.
///
/// Blocks on reads. Fails where the end of the log is damaged.
pub fn max_durable_epoch(db_path: &Path) -> Result<Option<u64>> {
    max_durable_epoch_on(real(), db_path)
}

/// [`max_durable_epoch`] on a given storage.
pub fn max_durable_epoch_on(disk: Disk, db_path: &Path) -> Result<Option<u64>> {
    let names = names_of(&disk, db_path)?;
    let (last, end) = last_epoch(read_walker(&disk, &names)?)?;
    match end.error() {
        Some(error) => Err(error),
        None => Ok(last),
    }
}

/// The log's segment files in the order of their epochs, those that the
/// checkpoint has passed but that are still there first. Damage does not fail
/// the listing: a segment shows what can be read of it.
pub fn list_segments(db_path: &Path) -> Result<Vec<SegmentInfo>> {
    list_segments_on(real(), db_path)
}

/// [`list_segments`] on a given storage.
pub fn list_segments_on(disk: Disk, db_path: &Path) -> Result<Vec<SegmentInfo>> {
    let names = names_of(&disk, db_path)?;
    list_log(&disk, &names)
}

fn list_log(disk: &Disk, names: &Names) -> Result<Vec<SegmentInfo>> {
    let mut walker = read_walker(disk, names)?;
    let mut last: BTreeMap<usize, u64> = BTreeMap::new();
    loop {
        match walker.step(false)? {
            Step::Group(group) => {
                last.insert(group.segment, group.header.epoch);
            }
            Step::Epoch(epoch, index) => {
                last.insert(index, epoch);
            }
            Step::End(_) => break,
        }
    }
    let files = &walker.files;
    let floor = files.state.as_ref().and_then(|s| s.floor);
    let mut list = Vec::new();
    for path in &files.retired {
        let first = crate::format::names::segment_epoch(path).unwrap_or(0);
        let measured = disk
            .open(path, crate::storage::OpenMode::Read)
            .and_then(|f| f.len());
        let len = match measured {
            Ok(len) => len,
            // No part of the log, so nothing keeps it.
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
            Err(e) => return Err(Error::io("measure a segment", path, &e)),
        };
        list.push(SegmentInfo {
            path: path.clone(),
            first_epoch: first,
            last_epoch: None,
            bytes: len,
            version: 2,
            checkpointed: true,
        });
    }
    for (index, entry) in files.segments.iter().enumerate() {
        let last_epoch = last.get(&index).copied();
        let version = match entry.version {
            Version::One => 1,
            Version::Two => 2,
        };
        let readable = crate::format::prelude::parse(&entry.head).is_ok();
        list.push(SegmentInfo {
            path: entry.path.clone(),
            first_epoch: entry.first_epoch,
            last_epoch,
            bytes: entry.len,
            version: if readable { version } else { 0 },
            checkpointed: last_epoch.is_some() && last_epoch <= floor,
        });
    }
    Ok(list)
}

/// Deletes all segments and prepared files; gives the number of segments
/// deleted. Call it once their pages are safe elsewhere. Epoch numbers go on
/// after the last one.
///
/// Takes the writer's lock ([`crate::ErrorKind::Locked`] while a writer or a
/// reader lives) and deletes nothing from a log that is corrupt.
pub fn cleanup_segments(db_path: &Path) -> Result<usize> {
    cleanup_segments_on(real(), db_path)
}

/// [`cleanup_segments`] on a given storage.
pub fn cleanup_segments_on(disk: Disk, db_path: &Path) -> Result<usize> {
    let names = names_of(&disk, db_path)?;
    cleanup(&disk, &names)
}
