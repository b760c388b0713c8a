//! Recovery: the log's batches in replay order, and what is done with them.

mod report;

pub use report::{RecoveryReport, SegmentInfo, SuspectFile, Verdict};

use crate::batch::Frame;
use crate::error::Result;
use crate::storage::Storage;
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
    /// Recovery into a file only: delete the segments after the file is synced.
    pub delete_segments: bool,
    /// Identity of the database, checked against the log's.
    pub database_id: Option<[u8; 16]>,
}

/// One batch, borrowed from the stream until the next call.
#[derive(Clone, Copy, Debug)]
pub struct RecoveredBatch<'a> {
    /// Its epoch.
    pub epoch: u64,
    /// Its commit sequence.
    pub commit_seq: u64,
    /// Transaction id.
    pub txn_id: u64,
    /// Transaction epoch.
    pub txn_epoch: u32,
    /// The frames in write order.
    pub frames: &'a [Frame<'a>],
    /// The caller's bytes; empty where none were given, and in version 1.
    pub metadata: &'a [u8],
}

/// A stream of recovered batches.
#[derive(Debug)]
pub struct Recovery {}

#[allow(unused_variables)]
impl Recovery {
    /// Opens the log beside the database at `db_path` for reading.
    pub fn open(db_path: &Path, options: &RecoveryOptions) -> Result<Self> {
        unimplemented!()
    }
    /// Opens on a given storage.
    pub fn open_on(
        storage: Arc<dyn Storage>,
        db_path: &Path,
        options: &RecoveryOptions,
    ) -> Result<Self> {
        unimplemented!()
    }
    /// The next batch in replay order; none at the end.
    pub fn next_batch(&mut self) -> Result<Option<RecoveredBatch<'_>>> {
        unimplemented!()
    }
    /// What was read so far; complete once the stream has ended.
    pub fn report(&self) -> &RecoveryReport {
        unimplemented!()
    }
}

/// Pages by number, with the image of the highest commit sequence.
#[derive(Clone, Debug, Default)]
pub struct PageMap {
    /// Page number to (commit sequence, image).
    pub pages: BTreeMap<u32, (u64, Vec<u8>)>,
    /// Database size in pages from the last committing frame; 0 where none said.
    pub db_size: u32,
}

/// Recovers into a map of pages.
#[allow(unused_variables)]
pub fn recover_into_map(
    db_path: &Path,
    options: &RecoveryOptions,
) -> Result<(PageMap, RecoveryReport)> {
    unimplemented!()
}

/// Recovers into a database file: page n at offset (n-1) x `page_size`.
#[allow(unused_variables)]
pub fn recover_into_file(
    db_path: &Path,
    target: &Path,
    page_size: u32,
    options: &RecoveryOptions,
) -> Result<RecoveryReport> {
    unimplemented!()
}

/// The highest epoch that recovery would give back, without a coordinator.
#[allow(unused_variables)]
pub fn max_durable_epoch(db_path: &Path) -> Result<Option<u64>> {
    unimplemented!()
}

/// The log's segment files in the order of their epochs.
#[allow(unused_variables)]
pub fn list_segments(db_path: &Path) -> Result<Vec<SegmentInfo>> {
    unimplemented!()
}

/// Deletes all segments, spares too, under the writer's lock; gives the number of segments.
#[allow(unused_variables)]
pub fn cleanup_segments(db_path: &Path) -> Result<usize> {
    unimplemented!()
}
