//! Adding to a RDLW file: one write and one sync for a run of records.
//!
//! The format has no watermark, and that is its limit: after a crash in the
//! middle of a run of several records, some sectors of it may be there and
//! earlier ones not, which reads as corruption though nothing of it was ever
//! acknowledged. A salvage then keeps what was.

use super::new_file::{NewFile, dir_of};
use super::report::{Report, Verdict};
use crate::error::{Error, ErrorKind, Result};
use crate::format::rdlw::{Layout, OVERHEAD};
use crate::log::{Disk, SyncPolicy, heals, sync_dir, sync_failed, sync_file};
use crate::storage::{File, OpenMode, read_exact_at, uninterrupted, write_all_at};
use crate::wrong::{self, Wrong};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A run above this is written and synced in parts, each of this size or one
/// record: so much may be in the page cache only where a sync has failed, and
/// is written again by the next open.
pub const MAX_RUN: usize = 16 << 20;
/// Bytes that are copied together.
const CHUNK: usize = 1 << 20;

/// A RDLW file open for writing. Whoever has it is alone with the file.
///
/// Positions are those of the file when it was opened, going on from there:
/// a prune takes bytes from the front, and moves none of them.
#[derive(Debug)]
pub struct Appender {
    disk: Disk,
    path: PathBuf,
    file: Arc<dyn File>,
    policy: SyncPolicy,
    /// Bytes that prunes have removed from the front.
    removed: u64,
    /// Where the next record goes; all before it is written and synced.
    end: u64,
    /// There may be bytes behind `end`, of an append that failed.
    uncut: bool,
    /// The file has its name, but a crash may still take it.
    unnamed: bool,
    failed: Option<Error>,
}

/// What [`Appender::prepare`] has made.
#[derive(Debug)]
pub struct Prepared {
    new: NewFile,
    kept: Range<u64>,
}

impl Appender {
    /// Opens the file that a scan to its end has judged, or makes one where
    /// there is none and `report` is empty.
    ///
    /// A torn tail is cut, and the end of the file written and synced again:
    /// after a kill or a failed sync it may be in the page cache only, and
    /// marked clean. What the report says is durable then.
    ///
    /// Errors: that of the verdict where the file is corrupt;
    /// [`ErrorKind::Invalid`] where it is not the file that the report is of.
    pub fn open(disk: &Disk, path: &Path, report: &Report, policy: SyncPolicy) -> Result<Appender> {
        if let Some(e) = report.verdict.error(path) {
            return Err(e);
        }
        let file = disk
            .open(path, OpenMode::WriteOrCreate)
            .map_err(|e| Error::io_or_missing("open", path, &e))?;
        let mut appender = Appender {
            disk: disk.clone(),
            path: path.to_path_buf(),
            file,
            policy,
            removed: 0,
            end: report.end,
            uncut: false,
            unnamed: false,
            failed: None,
        };
        let len = appender.file.len().map_err(|e| appender.io("read", &e))?;
        let whole = report.verdict == Verdict::Clean;
        if len != report.file_len || whole != (len == report.end) {
            let (end, scanned) = (report.end, report.file_len);
            let text = format!("{len} bytes where a scan read {end} of {scanned}");
            return Err(Error::invalid(text).in_file(path));
        }
        if !whole {
            appender.cut(report.end)?;
        }
        if policy != SyncPolicy::Off {
            appender.write_again(report)?;
            sync_file(&*appender.file, "sync", path)?;
            sync_name(disk, path)?;
        }
        Ok(appender)
    }

    /// Adds a run of encoded records of version 3 behind the last, and makes
    /// it durable as the policy says; gives its position.
    ///
    /// After an error none of it is in the file, or nothing can be added any
    /// more: a failed or short write is cut back, and that synced, before
    /// anything else is written. A failed sync is final: the run may be there
    /// after the next open, or not.
    pub fn append(&mut self, run: &[u8]) -> Result<u64> {
        self.make_ready()?;
        let start = self.end;
        let mut rest = run;
        while !rest.is_empty() {
            let (part, behind) = rest.split_at(part_len(rest));
            if let Err(e) = self.append_part(part) {
                self.end = start;
                // At once: nobody may come to try again. The error that counts
                // is the first, unless this one is final.
                return match self.make_ready() {
                    Err(worse) if self.failed.is_some() && !e.is_lasting() => Err(worse),
                    _ => Err(e),
                };
            }
            rest = behind;
        }
        Ok(start)
    }

    fn append_part(&mut self, part: &[u8]) -> Result<()> {
        let at = self.end - self.removed;
        if let Err(e) = write_all_at(&*self.file, part, at, 1) {
            self.uncut = true;
            return Err(self.io("append", &e));
        }
        self.sync("sync what was appended")?;
        self.end += part.len() as u64;
        Ok(())
    }

    /// Where the next record goes.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// The file, and how many bytes its beginning lies behind position 0. Both
    /// stay right together, for who reads while a prune replaces the file.
    pub fn view(&self) -> (Arc<dyn File>, u64) {
        (self.file.clone(), self.removed)
    }

    /// Removes what lies before position `keep`, where a record begins, by
    /// writing all that is kept to a new file: that is the format's limit.
    ///
    /// After an error the file is as it was, or nothing can be added any more.
    /// After a crash it is one or the other.
    pub fn prune(&mut self, keep: u64) -> Result<()> {
        self.keep(keep..self.end)
    }

    /// Removes what lies before and behind a range of positions, where records
    /// begin, in the way of [`Appender::prune`]: who reads the old file beside
    /// this one can go on with it.
    pub fn keep(&mut self, kept: Range<u64>) -> Result<()> {
        let prepared = self.prepare(kept)?;
        self.replace(prepared)
    }

    /// The first half of [`Appender::keep`]: writes what is kept to a new file,
    /// synced, that has not its name yet. Without the other half nothing changes.
    pub fn prepare(&mut self, kept: Range<u64>) -> Result<Prepared> {
        if kept.start > kept.end || kept.start < self.removed || kept.end > self.end {
            return Err(Error::invalid(format!(
                "positions {} to {} are not in {} to {}",
                kept.start, kept.end, self.removed, self.end
            )));
        }
        self.make_ready()?;
        let mut new = NewFile::create(&self.disk, &self.path)?;
        new.clear()?;
        self.copy(kept.clone(), &mut new)?;
        new.settle()?;
        Ok(Prepared { new, kept })
    }

    /// The other half; nothing was appended since the first.
    pub fn replace(&mut self, prepared: Prepared) -> Result<()> {
        let Prepared { new, kept } = prepared;
        self.file = new.finish()?;
        (self.removed, self.end) = (kept.start, kept.end);
        self.unnamed = true;
        match self.make_ready() {
            // The next append tries again before it writes.
            Err(e) if heals(&e) => Ok(()),
            result => result,
        }
    }

    /// Removes what lies behind position `end`, where a record begins, in
    /// place. Errors as for [`Appender::append`].
    pub fn truncate(&mut self, end: u64) -> Result<()> {
        if !(self.removed..=self.end).contains(&end) {
            let (from, to) = (self.removed, self.end);
            let text = format!("position {end} is not in {from} to {to}");
            return Err(Error::invalid(text));
        }
        self.make_ready()?;
        self.cut(end)?;
        self.end = end;
        Ok(())
    }

    /// What an earlier call has left undone.
    fn make_ready(&mut self) -> Result<()> {
        if let Some(e) = &self.failed {
            return Err(e.recast(ErrorKind::Failed, "an earlier sync failed"));
        }
        if self.uncut && !wrong::is(Wrong::FailedAppendStays) {
            self.cut(self.end)?;
        }
        if self.unnamed {
            let synced = sync_name(&self.disk, &self.path);
            self.unless_final(synced)?;
            self.unnamed = false;
        }
        Ok(())
    }

    fn cut(&mut self, end: u64) -> Result<()> {
        self.uncut = true;
        let cut = self.file.set_len(end - self.removed);
        cut.map_err(|e| self.io("truncate", &e))?;
        self.sync("sync what was cut")?;
        self.uncut = false;
        Ok(())
    }

    /// Writes the end of the file as it stands there.
    fn write_again(&mut self, report: &Report) -> Result<()> {
        let mut at = report
            .last_offset
            .min(self.end.saturating_sub(MAX_RUN as u64));
        let mut buffer = vec![0; CHUNK.min((self.end - at) as usize)];
        while at < self.end {
            let len = buffer.len().min((self.end - at) as usize);
            let piece = &mut buffer[..len];
            read_exact_at(&*self.file, piece, at).map_err(|e| self.io("read", &e))?;
            if !wrong::is(Wrong::TailNotWrittenAgain) {
                write_all_at(&*self.file, piece, at, 1).map_err(|e| self.io("write", &e))?;
            }
            at += len as u64;
        }
        Ok(())
    }

    fn copy(&self, kept: Range<u64>, new: &mut NewFile) -> Result<()> {
        let mut at = kept.start;
        let mut buffer = vec![0; CHUNK.min((kept.end - at) as usize)];
        while at < kept.end {
            let len = buffer.len().min((kept.end - at) as usize);
            let piece = &mut buffer[..len];
            read_exact_at(&*self.file, piece, at - self.removed)
                .map_err(|e| self.io("read", &e))?;
            new.write(piece)?;
            at += len as u64;
        }
        Ok(())
    }

    fn sync(&mut self, what: &str) -> Result<()> {
        let synced = uninterrupted(|| match self.policy {
            _ if wrong::is(Wrong::AckBeforeSync) => Ok(()),
            SyncPolicy::Off => Ok(()),
            SyncPolicy::Normal => self.file.sync_data(),
            SyncPolicy::Full => self.file.sync_all(),
        });
        self.unless_final(synced.map_err(|e| sync_failed(what, &self.path, &e)))
    }

    fn unless_final(&mut self, result: Result<()>) -> Result<()> {
        if let Err(e) = &result
            && !heals(e)
        {
            self.failed = Some(e.clone());
        }
        result
    }

    fn io(&self, what: &str, e: &std::io::Error) -> Error {
        Error::io(what, &self.path, e)
    }
}

/// Makes the file's name durable.
fn sync_name(disk: &Disk, path: &Path) -> Result<()> {
    if wrong::is(Wrong::NoDirectorySync) {
        return Ok(());
    }
    sync_dir(disk, dir_of(path))
}

/// How much of a run is written and synced together: whole records.
fn part_len(run: &[u8]) -> usize {
    let mut len = 0;
    while let Some(header) = Layout::Three33.read(&run[len..]) {
        let next = len + OVERHEAD + header.payload_len as usize;
        if len > 0 && next > MAX_RUN {
            return len;
        }
        len = next.min(run.len());
    }
    run.len()
}
