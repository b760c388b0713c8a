//! Taking in a single-file spool of other software, found at its old name.
//!
//! Its records go to native segments, and only when those are durable is the
//! file renamed aside, unchanged. A crash in between leaves both, and the next
//! open goes on: records that are here already must be the same.

use super::rdlw::{Cause, Report, ScanOptions, Scanned, Scanner, Skipped};
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
pub(super) fn check_old(disk: &Disk, names: &Names, salvage: bool) -> Result<bool> {
    let path = old_path(names);
    match disk.open(&path, OpenMode::Read) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(e) => return Err(Error::io("open the single-file spool", &path, &e)),
        Ok(_) => {}
    }
    if salvage {
        return Ok(true);
    }
    let mut scanner = Scanner::open(disk, &path, ScanOptions::default())?;
    while scanner.next_record()?.is_some() {}
    match scanner.report().verdict.error(&path) {
        Some(error) => Err(error),
        None => Ok(true),
    }
}

impl Spool {
    /// Takes in the file at the old name, and moves it aside; gives its new path.
    pub(super) fn import_old(
        &self,
        disk: &Disk,
        names: &Names,
        options: &SpoolOptions,
    ) -> Result<PathBuf> {
        let path = old_path(names);
        let scan = ScanOptions {
            salvage: options.salvage,
            term_of: None,
        };
        let mut scanner = Scanner::open(disk, &path, scan)?;
        let mut run = Run::default();
        let mut left_out = LeftOut::default();
        while let Some(scanned) = scanner.next_record()? {
            let lsn = scanned.record.lsn;
            match lsn <= self.bounds().current_lsn {
                true => self.check_same(&scanned, &path)?,
                false => run.push(&scanned),
            }
            left_out.before(lsn, scanner.report());
            if run.bytes.len() >= RUN_BYTES || run.records.len() >= RUN_RECORDS {
                run.append(self)?;
            }
        }
        run.append(self)?;
        self.note_lost(left_out.lost.ranges())?;
        let aside = move_aside(disk, names, &path)?;
        if options.sync_policy != SyncPolicy::Off {
            sync_dir(disk, names.dir())?;
        }
        Ok(aside)
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
struct LeftOut {
    lost: Lost,
    /// Places that were counted.
    seen: u64,
    last: u64,
}

impl LeftOut {
    /// The scan has come to the record at `lsn`.
    fn before(&mut self, lsn: u64, report: &Report) {
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

/// Renames the file to the first free name of its kind.
fn move_aside(disk: &Disk, names: &Names, path: &Path) -> Result<PathBuf> {
    let mut number = 1u64;
    loop {
        let aside = names.beside(&format!("wal.imported-{number}"));
        match disk.open(&aside, OpenMode::Read) {
            Ok(_) => number += 1,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                disk.rename(path, &aside)
                    .map_err(|e| Error::io("move the single-file spool aside", path, &e))?;
                return Ok(aside);
            }
            Err(e) => return Err(Error::io("look for a free name", &aside, &e)),
        }
    }
}
