//! Taking in a single-file spool of other software, found at its old name.
//!
//! Its records go to native segments, and only when those are durable is the
//! file renamed aside, unchanged. A crash in between leaves both, and the next
//! open goes on: records that are here already must be the same.

use super::rdlw::{Cause, Report, ScanOptions, Scanned, Scanner, Skipped, Verdict};
use super::records::ReadLimit;
use super::{Record, Spool, SpoolOptions};
use crate::error::{Error, ErrorKind, Result};
use crate::format::lost::{Lost, LostRange};
use crate::format::names::Names;
use crate::log::{Disk, SyncPolicy, sync_dir};
use crate::storage::OpenMode;
use std::path::{Path, PathBuf};

/// Bytes and records that are appended at once.
const RUN_BYTES: usize = 1 << 20;
const RUN_RECORDS: usize = 1000;

/// Where a single-file spool stands.
pub(super) fn old_path(names: &Names) -> PathBuf {
    names.beside("wal")
}

/// Looks at the file at the old name, before anything is made beside it: false
/// where there is none. Damage to it fails, unless it is to be salvaged.
pub(super) fn check_old(disk: &Disk, names: &Names, options: &SpoolOptions) -> Result<bool> {
    let path = old_path(names);
    match disk.open(&path, OpenMode::Read) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(e) => return Err(Error::io("open the single-file spool", &path, &e)),
        Ok(_) => {}
    }
    if options.salvage {
        return Ok(true);
    }
    let mut scanner = Scanner::open(disk, &path, scan(options))?;
    while scanner.next_record()?.is_some() {}
    match scanner.report().verdict.error(&path) {
        Some(error) => Err(error),
        None => Ok(true),
    }
}

/// How the file is read.
pub(super) fn scan(options: &SpoolOptions) -> ScanOptions {
    ScanOptions {
        salvage: options.salvage,
        term_of: options.term_of.clone(),
    }
}

impl Spool {
    /// Takes in the file at the old name, but for what a later term has cut off
    /// here: its records are durable on return. Gives where its torn tail began,
    /// and what that was, if it has one: it is left out.
    pub(super) fn import_old(&self, options: &SpoolOptions) -> Result<Option<(u64, String)>> {
        let Some((disk, names)) = &self.shared.disk else {
            return Ok(None);
        };
        let path = old_path(names);
        let terms = self.terms();
        let mut scanner = Scanner::open(disk, &path, scan(options))?;
        let mut run = Run::default();
        let mut left_out = LeftOut::default();
        while let Some(scanned) = scanner.next_record()? {
            let lsn = scanned.record.lsn;
            if terms.is_live(scanned.record.term, lsn) {
                match lsn <= self.bounds().current_lsn {
                    true => self.check_same(&scanned, &path)?,
                    false => run.push(&scanned),
                }
            }
            left_out.before(lsn, scanner.report());
            if run.bytes.len() >= RUN_BYTES || run.records.len() >= RUN_RECORDS {
                run.append(self)?;
            }
        }
        run.append(self)?;
        self.note_lost(left_out.lost.ranges())?;
        Ok(match &scanner.report().verdict {
            Verdict::Torn { offset, cause } => Some((*offset, cause.to_string())),
            _ => None,
        })
    }

    /// The file at the old name was this spool: its records are known already,
    /// and come in behind those that are in segments.
    pub(super) fn begin_own_import(&self) -> Result<()> {
        let bounds = self.bounds();
        let there = self.shared.last_through(bounds.current_lsn)?;
        let from = there.max(bounds.pruned_through);
        let core = self.log()?;
        let mut guard = core.lock_flusher();
        let Some(log) = guard.log() else {
            return Err(core.refusal());
        };
        log.begin_import(from);
        let mut order = self.shared.order.lock();
        (order.last, order.term) = (from, 0);
        self.shared.view.set_current(from);
        Ok(())
    }

    /// The spool goes on where the file was. An error where that has lost records
    /// that were durable in it.
    pub(super) fn end_own_import(&self, salvage: bool) -> Result<()> {
        let core = self.log()?;
        let mut guard = core.lock_flusher();
        let Some(log) = guard.log() else {
            return Err(core.refusal());
        };
        let mut order = self.shared.order.lock();
        let known = log.state().records.single_file.unwrap_or(0);
        if order.last < known && !salvage {
            return Err(file_is_short(self, order.last, known));
        }
        log.end_import()?;
        let last = std::mem::replace(&mut order.last, log.highest_seq());
        order.term = log.terms().last().map_or(0, |last| last.term);
        self.shared.view.set_current(order.last);
        drop(order);
        drop(guard);
        match last < known {
            true => self.note_lost(&[LostRange {
                after: last,
                through: known,
            }]),
            false => Ok(()),
        }
    }

    /// Whether a record that an earlier import has taken in is the file's.
    fn check_same(&self, scanned: &Scanned<'_>, path: &Path) -> Result<()> {
        let record = &scanned.record;
        if record.lsn <= self.bounds().pruned_through {
            return Ok(());
        }
        let one = ReadLimit {
            records: 1,
            bytes: 0,
        };
        let here = self.read_since(record.lsn - 1, one)?;
        let same = here.first().is_some_and(|here| {
            (here.lsn, here.term, here.timestamp_ms) == (record.lsn, record.term, record.timestamp)
                && *here.payload == *record.payload
        });
        if same {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Exists,
            format!(
                "LSN {} is in this file and in the spool, and not the same",
                record.lsn
            ),
        )
        .at(path, scanned.offset)
        .with_lsn(record.lsn))
    }
}

/// Records on their way from the one to the other.
#[derive(Default)]
struct Run {
    bytes: Vec<u8>,
    /// Term, LSN, timestamp, and where the payload ends.
    records: Vec<(u64, u64, u64, usize)>,
}

impl Run {
    fn push(&mut self, scanned: &Scanned<'_>) {
        let record = &scanned.record;
        self.bytes.extend_from_slice(record.payload);
        let end = self.bytes.len();
        self.records
            .push((record.term, record.lsn, record.timestamp, end));
    }

    /// Appends them, durable on return.
    fn append(&mut self, spool: &Spool) -> Result<()> {
        let mut start = 0;
        let mut records = Vec::with_capacity(self.records.len());
        for (term, lsn, timestamp_ms, end) in &self.records {
            records.push(Record {
                term: *term,
                lsn: *lsn,
                timestamp_ms: *timestamp_ms,
                payload: &self.bytes[start..*end],
            });
            start = *end;
        }
        if !records.is_empty() {
            spool.append_as_given(&records)?;
        }
        self.bytes.clear();
        self.records.clear();
        Ok(())
    }
}

/// What a salvaging scan leaves out between the records that it gives.
#[derive(Default)]
pub(super) struct LeftOut {
    pub(super) lost: Lost,
    /// Places that were counted.
    seen: u64,
    last: u64,
}

impl LeftOut {
    /// The scan has come to the record at `lsn`.
    pub(super) fn before(&mut self, lsn: u64, report: &Report) {
        let listed = report.skipped.get(self.seen as usize..).unwrap_or(&[]);
        let unlisted = report.skips - self.seen > listed.len() as u64;
        // A second record of an LSN is left out, and the first is there.
        let lost = |s: &Skipped| !matches!(s.cause, Cause::Lsn { .. });
        if unlisted || listed.iter().any(lost) {
            self.lost.add(LostRange {
                after: self.last,
                through: lsn - 1,
            });
        }
        self.seen = report.skips;
        self.last = lsn;
    }
}

/// Moves the file at the old name to the first free name of its kind.
pub(super) fn move_aside(disk: &Disk, names: &Names, options: &SpoolOptions) -> Result<PathBuf> {
    let path = old_path(names);
    let aside = free_name(disk, names, "wal.imported")?;
    disk.rename(&path, &aside)
        .map_err(|e| Error::io("move the single-file spool aside", &path, &e))?;
    if options.sync_policy != SyncPolicy::Off {
        sync_dir(disk, names.dir())?;
    }
    Ok(aside)
}

/// The spool was in a single file, which has lost its end.
fn file_is_short(spool: &Spool, last: u64, known: u64) -> Error {
    let why = format!("single-file spool: it ends with LSN {last}, but {known} was durable in it");
    let path = spool.shared.disk.as_ref().map(|(_, names)| old_path(names));
    let error = Error::corrupt(why).with_lsn(last);
    match path {
        Some(path) => error.in_file(&path),
        None => error,
    }
}

/// The spool was in a single file, which is not there.
pub(super) fn file_is_gone(names: &Names) -> Error {
    let why = "single-file spool: missing, but records were durable in it";
    Error::corrupt(why).in_file(&old_path(names))
}

/// The first name of a kind that no file has.
pub(super) fn free_name(disk: &Disk, names: &Names, kind: &str) -> Result<PathBuf> {
    let mut number = 1u64;
    loop {
        let free = names.beside(&format!("{kind}-{number}"));
        match disk.open(&free, OpenMode::Read) {
            Ok(_) => number += 1,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(free),
            Err(e) => return Err(Error::io("look for a free name", &free, &e)),
        }
    }
}
