//! Version 1 segments as files, for engines that use that format by
//! themselves, without a [`Coordinator`](crate::Coordinator).
//!
//! Nothing here takes the writer's lock, because such an engine is the writer
//! and has a lock of its own: who writes or deletes must be alone with the
//! database, and must have no coordinator open on it. Any number of readers
//! may read at any time; a segment has its name only once it is whole. All
//! functions block on the disk and may be called from any thread.
//!
//! Version 1 has no checksum over its records: a read checks their structure
//! only. An epoch without records leaves no file, so a missing segment and
//! an empty epoch look alike.
//!
//! The functions ending in `_on` are the same ones on a given storage.

use crate::error::{Error, ErrorKind, Result};
use crate::format::names::{self, Kind, Names};
use crate::format::v1::{self, Record};
use crate::format::{prelude, v1::Reason};
use crate::storage::{
    File, LockMode, OpenMode, RealStorage, Storage, read_up_to, uninterrupted, write_all_at,
};
use crate::wrong::{self, Wrong};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A record that owns its images. The fields are those of [`Record`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentRecord {
    /// See [`Record::txn_id`].
    pub txn_id: u64,
    /// See [`Record::txn_epoch`].
    pub txn_epoch: u32,
    /// See [`Record::epoch`].
    pub epoch: u64,
    /// See [`Record::page_number`].
    pub page_number: u32,
    /// See [`Record::begin_seq`].
    pub begin_seq: u64,
    /// See [`Record::end_seq`].
    pub end_seq: Option<u64>,
    /// See [`Record::before`].
    pub before: Vec<u8>,
    /// See [`Record::after`].
    pub after: Vec<u8>,
}

impl SegmentRecord {
    /// The record with its images borrowed, as [`write_segment`] takes it.
    pub fn as_record(&self) -> Record<'_> {
        Record {
            txn_id: self.txn_id,
            txn_epoch: self.txn_epoch,
            epoch: self.epoch,
            page_number: self.page_number,
            begin_seq: self.begin_seq,
            end_seq: self.end_seq,
            before: &self.before,
            after: &self.after,
        }
    }
}

impl From<&Record<'_>> for SegmentRecord {
    fn from(record: &Record<'_>) -> Self {
        SegmentRecord {
            txn_id: record.txn_id,
            txn_epoch: record.txn_epoch,
            epoch: record.epoch,
            page_number: record.page_number,
            begin_seq: record.begin_seq,
            end_seq: record.end_seq,
            before: record.before.to_vec(),
            after: record.after.to_vec(),
        }
    }
}

/// A segment that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentFile {
    /// The file.
    pub path: PathBuf,
    /// Its epoch.
    pub epoch: u64,
    /// All records in the file's order, aborted writes among them.
    pub records: Vec<SegmentRecord>,
}

/// A segment's name as a listing found it; what is in the file may be
/// anything, of either version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedSegment {
    /// The epoch of the name; in version 1 the only one in the file.
    pub epoch: u64,
    /// The file.
    pub path: PathBuf,
}

/// The path of the segment of `epoch` for the database at `db_path`:
/// `<db>-wal-seg-<16 lower-case hex digits>`. Touches no disk, so it differs
/// from where the other functions look if `db_path` is itself a symbolic
/// link, which they follow.
pub fn segment_path(db_path: &Path, epoch: u64) -> PathBuf {
    Names::new(db_path).segment(epoch)
}

/// Reads the segment of `epoch`.
///
/// Errors, each with the file and the offset in it: [`ErrorKind::NotFound`]
/// where there is no such file, [`ErrorKind::Corrupt`] where it breaks a rule
/// of the format, [`ErrorKind::Format`] where it is of another version (2
/// among them), [`ErrorKind::Io`] where the disk failed.
pub fn read_segment(db_path: &Path, epoch: u64) -> Result<SegmentFile> {
    read_segment_on(&RealStorage, db_path, epoch)
}

/// [`read_segment`] on a given storage.
pub fn read_segment_on(storage: &dyn Storage, db_path: &Path, epoch: u64) -> Result<SegmentFile> {
    let path = names_of(storage, db_path)?.segment(epoch);
    load(storage, path, Some(epoch))
}

/// Reads the segment at `path`, whatever its name. Where that is a
/// segment's, its epoch is checked against the header's. Errors are those of
/// [`read_segment`].
pub fn read_segment_file(path: &Path) -> Result<SegmentFile> {
    read_segment_file_on(&RealStorage, path)
}

/// [`read_segment_file`] on a given storage.
pub fn read_segment_file_on(storage: &dyn Storage, path: &Path) -> Result<SegmentFile> {
    load(storage, path.to_path_buf(), names::segment_epoch(path))
}

/// Writes the segment of `epoch`, the records sorted into replay order, and
/// gives its path. On success it is on stable storage, name and all.
///
/// The file is written under a temporary name, synced, renamed, and the
/// directory synced: after a crash it is there whole, or not at all.
///
/// Errors: those of [`v1::encode`] for the records, no records among them;
/// [`ErrorKind::Exists`] where the segment is there already, which is never
/// replaced; [`ErrorKind::Locked`] where someone else is writing it;
/// [`ErrorKind::NotFound`] without the directory; [`ErrorKind::OutcomeUnknown`]
/// where the last sync failed: the segment is there, but may be gone after a
/// power loss. After any other error it is not there, and the call may be
/// made again.
pub fn write_segment(db_path: &Path, epoch: u64, records: &[Record<'_>]) -> Result<PathBuf> {
    write_segment_on(&RealStorage, db_path, epoch, records)
}

/// [`write_segment`] on a given storage.
pub fn write_segment_on(
    storage: &dyn Storage,
    db_path: &Path,
    epoch: u64,
    records: &[Record<'_>],
) -> Result<PathBuf> {
    let bytes = v1::encode(epoch, records)?;
    let names = names_of(storage, db_path)?;
    let target = names.segment(epoch);
    refuse_existing(storage, &target)?;
    let tmp = names.tmp(epoch);
    let file = open(storage, &tmp, OpenMode::WriteOrCreate)?;
    // Two writers of one epoch would mix their bytes. The lock goes with `file`.
    match file.try_lock(LockMode::Exclusive, 0, 0) {
        Ok(true) => {}
        Ok(false) => {
            let text = format!("the segment of epoch {epoch} is being written by someone else");
            return Err(Error::new(ErrorKind::Locked, text).in_file(&tmp));
        }
        Err(e) => return Err(Error::io("lock", &tmp, &e)),
    }
    // Who had the lock before may have finished in between: then `file` is the
    // segment by now, and not to be touched.
    let written = refuse_existing(storage, &target)
        .and_then(|()| fill(&*file, &tmp, &bytes))
        .and_then(|()| {
            storage
                .rename(&tmp, &target)
                .map_err(|e| Error::io("rename", &tmp, &e))
        });
    if let Err(e) = written {
        // What stays is overwritten by the next try, and deleted at open.
        let _ = storage.remove(&tmp);
        return Err(e);
    }
    sync_dir(
        storage,
        &names,
        "the segment is written but may be gone after a power loss",
    )?;
    Ok(target)
}

/// Deletes the segment of `epoch`; on success it stays deleted after a crash.
///
/// Errors: [`ErrorKind::NotFound`] where there is none; [`ErrorKind::Format`]
/// where the file is of another version, since deleting a native segment
/// would break its log; [`ErrorKind::OutcomeUnknown`] where the last sync
/// failed: the file may be back after a power loss. A damaged file is deleted.
pub fn delete_segment(db_path: &Path, epoch: u64) -> Result<()> {
    delete_segment_on(&RealStorage, db_path, epoch)
}

/// [`delete_segment`] on a given storage.
pub fn delete_segment_on(storage: &dyn Storage, db_path: &Path, epoch: u64) -> Result<()> {
    let names = names_of(storage, db_path)?;
    let path = names.segment(epoch);
    let file = open(storage, &path, OpenMode::Read)?;
    let mut head = [0; prelude::LEN];
    let got = read_up_to(&*file, &mut head, 0).map_err(|e| Error::io("read", &path, &e))?;
    match prelude::parse(&head[..got]) {
        Ok(p) if p.version != v1::VERSION => {
            let reason = Reason::Version(p.version).to_string();
            return Err(Error::new(ErrorKind::Format, reason).at(&path, 4));
        }
        _ => {}
    }
    storage
        .remove(&path)
        .map_err(|e| Error::io_or_missing("delete", &path, &e))?;
    sync_dir(
        storage,
        &names,
        "the segment is deleted but may be back after a power loss",
    )
}

/// The segments beside the database by name, lowest epoch first.
pub fn list(db_path: &Path) -> Result<Vec<ListedSegment>> {
    list_on(&RealStorage, db_path)
}

/// [`list`] on a given storage.
pub fn list_on(storage: &dyn Storage, db_path: &Path) -> Result<Vec<ListedSegment>> {
    let names = names_of(storage, db_path)?;
    let found = storage
        .list(names.dir())
        .map_err(|e| Error::io_or_missing("list", names.dir(), &e))?;
    let mut segments: Vec<ListedSegment> = found
        .iter()
        .filter_map(|name| match names.classify(name) {
            Some(Kind::Segment(epoch)) => Some(ListedSegment {
                epoch,
                path: names.segment(epoch),
            }),
            _ => None,
        })
        .collect();
    segments.sort_by_key(|s| s.epoch);
    Ok(segments)
}

/// As everywhere in the crate, a database that is a link is its target.
fn names_of(storage: &dyn Storage, db_path: &Path) -> Result<Names> {
    match storage.resolve(db_path) {
        Ok(resolved) => Ok(Names::new(&resolved)),
        Err(e) => Err(Error::io_or_missing("resolve", db_path, &e)),
    }
}

fn load(storage: &dyn Storage, path: PathBuf, name_epoch: Option<u64>) -> Result<SegmentFile> {
    let read_failed = |e: io::Error| Error::io("read", &path, &e);
    let file = open(storage, &path, OpenMode::Read)?;
    let len = file.len().map_err(read_failed)?;
    let mut head = [0; prelude::LEN];
    let got = read_up_to(&*file, &mut head, 0).map_err(read_failed)?;
    v1::decode_header(&head[..got], len, name_epoch).map_err(|e| e.in_file(&path))?;
    let mut bytes = buffer(len).map_err(|e| e.in_file(&path))?;
    let got = read_up_to(&*file, &mut bytes, 0).map_err(read_failed)?;
    let segment = v1::decode(&bytes[..got], name_epoch).map_err(|e| e.in_file(&path))?;
    let records = segment.records.iter().map(SegmentRecord::from).collect();
    Ok(SegmentFile {
        epoch: segment.epoch,
        records,
        path,
    })
}

/// Zeros for a file of `len` bytes, a length that its header's count allows.
fn buffer(len: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let no_memory = || Error::new(ErrorKind::NoMemory, format!("no memory for {len} bytes"));
    let len = usize::try_from(len).map_err(|_| no_memory())?;
    bytes.try_reserve_exact(len).map_err(|_| no_memory())?;
    bytes.resize(len, 0);
    Ok(bytes)
}

/// Makes `bytes` the synced content of the temporary file, which a crash may
/// have left with something else in it.
fn fill(file: &dyn File, tmp: &Path, bytes: &[u8]) -> Result<()> {
    file.set_len(0)
        .map_err(|e| Error::io("truncate", tmp, &e))?;
    write_all_at(file, bytes, 0, 1).map_err(|e| Error::io("write", tmp, &e))?;
    if wrong::is(Wrong::NamedBeforeSynced) {
        return Ok(());
    }
    uninterrupted(|| file.sync_all()).map_err(|e| Error::io("sync", tmp, &e))
}

fn refuse_existing(storage: &dyn Storage, target: &Path) -> Result<()> {
    match storage.open(target, OpenMode::Read) {
        Ok(_) if wrong::is(Wrong::ReplacesASegment) => Ok(()),
        Ok(_) => Err(Error::new(ErrorKind::Exists, "there is a segment already").in_file(target)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(Error::io("open", target, &e)),
    }
}

fn open(storage: &dyn Storage, path: &Path, mode: OpenMode) -> Result<Arc<dyn File>> {
    storage
        .open(path, mode)
        .map_err(|e| Error::io_or_missing("open", path, &e))
}

/// Makes a changed name durable. What was changed can't be taken back.
fn sync_dir(storage: &dyn Storage, names: &Names, so: &str) -> Result<()> {
    uninterrupted(|| storage.sync_dir(names.dir())).map_err(|e| {
        Error::io("sync", names.dir(), &e)
            .recast(ErrorKind::OutcomeUnknown, so)
            .lasting()
    })
}
