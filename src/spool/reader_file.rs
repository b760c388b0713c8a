//! Reading a spool in one RDLW file from outside: its own, or other software's.

use super::import::{file_is_gone, old_path};
use super::rdlw::{ScanOptions, Scanned, Scanner, Verdict};
use super::reader::{SpoolReport, SpoolSegment, check_cut, is_pruned, lost_records};
use crate::error::{Error, ErrorKind, Result};
use crate::format::names::Names;
use crate::format::record::Record;
use crate::format::state::RecordsState;
use crate::format::terms::Terms;
use crate::log::{Disk, LogFiles, ReaderHold};
use crate::recovery::{SuspectFile, Verdict as Judged};
use crate::storage::OpenMode;

/// A cut between two looks is rare, and so many of them are no chance.
const LOOKS: u32 = 100;

/// The file's records, as far as they are durable.
#[derive(Debug)]
pub(super) struct FileReader {
    disk: Disk,
    names: Names,
    /// None where there is no file.
    scanner: Option<Scanner>,
    state: RecordsState,
    since: Option<u64>,
    after: u64,
    /// A living writer's last durable record: nothing above it is given.
    cap: Option<u64>,
    terms: Terms,
    /// The last record read, whether it was given or not, and the last given.
    read: u64,
    given: (u64, u64),
    highest: u64,
    report: SpoolReport,
    done: bool,
}

/// Whether the spool of these names is in one file.
pub(super) fn is_single_file(disk: &Disk, names: &Names) -> Result<bool> {
    match LogFiles::read_state(disk, names)? {
        Some(state) => Ok(state.records.single_file.is_some()),
        None => Ok(disk.open(&old_path(names), OpenMode::Read).is_ok()),
    }
}

impl FileReader {
    pub(super) fn open(disk: &Disk, names: &Names, since: Option<u64>) -> Result<FileReader> {
        let mut hold = ReaderHold::take(disk, &names.lock())?;
        let path = old_path(names);
        for _ in 0..LOOKS {
            let before = LogFiles::read_state(disk, names)?;
            let live = hold.live_durable(disk)?;
            let scanner = match Scanner::open(disk, &path, ScanOptions::default()) {
                Err(e) if e.kind() == ErrorKind::NotFound => None,
                scanner => Some(scanner?),
            };
            // A cut saves the history before it replaces the file, and says that
            // less is durable before that: with one history on both sides, what
            // was opened has all that was durable, and nothing else so far.
            let state = LogFiles::read_state(disk, names)?;
            let records = |s: &Option<_>| {
                s.as_ref().map(|s: &crate::format::state::State| {
                    (s.records.terms.clone(), s.records.single_file.is_some())
                })
            };
            if records(&before) != records(&state) {
                continue;
            }
            let clean = state.as_ref().is_some_and(|s| s.clean);
            let highest = state.as_ref().map_or(0, |s| s.highest_seq);
            let state = state.map(|s| s.records).unwrap_or_default();
            if let Some(lsn) = since.filter(|lsn| *lsn < state.pruned_through) {
                return Err(is_pruned(lsn, state.pruned_through));
            }
            if let Some(range) = since.and_then(|lsn| state.lost.at(lsn)) {
                return Err(lost_records(range));
            }
            if scanner.is_none() && state.single_file > Some(state.pruned_through) {
                return Err(file_is_gone(names));
            }
            return Ok(FileReader {
                disk: disk.clone(),
                names: names.clone(),
                since,
                after: since.unwrap_or(state.pruned_through),
                cap: live.map(|durable| durable.unwrap_or(0)),
                terms: state.terms.clone(),
                read: 0,
                given: (0, 0),
                highest,
                report: SpoolReport {
                    exists: true,
                    writer: live.is_some(),
                    clean,
                    pruned_through: state.pruned_through,
                    quorum_lsn: state.quorum_lsn,
                    lost: state.lost.clone(),
                    segments: vec![SpoolSegment {
                        path: path.clone(),
                        bytes: scanner.as_ref().map_or(0, |s| s.report().file_len),
                        ..SpoolSegment::default()
                    }],
                    ..SpoolReport::default()
                },
                done: false,
                scanner,
                state,
            });
        }
        Err(Error::new(ErrorKind::Busy, "the spool is cut again and again").in_file(&path))
    }

    pub(super) fn report(&self) -> &SpoolReport {
        &self.report
    }

    pub(super) fn disk(&self) -> &Disk {
        &self.disk
    }

    pub(super) fn next_record(&mut self) -> Result<Option<Record<'_>>> {
        loop {
            let capped = self.cap.is_some_and(|cap| self.read >= cap);
            if self.done {
                return Ok(None);
            }
            let Some(scanner) = self.scanner.as_mut().filter(|_| !capped) else {
                self.finish()?;
                return Ok(None);
            };
            let scanned = match scanner.next_record() {
                Ok(Some(scanned)) => Some((scanned.record.term, scanned.record.lsn)),
                Ok(None) => None,
                Err(e) => {
                    self.done = true;
                    return Err(e);
                }
            };
            match scanned {
                None => {
                    self.finish()?;
                    return Ok(None);
                }
                Some(name) if self.note(name) => {
                    let lost = self.since.and_then(|since| self.state.lost.beyond(since));
                    if let Some(range) = lost.filter(|range| name.1 > range.after) {
                        self.done = true;
                        return Err(lost_records(range));
                    }
                    self.given = name;
                    break;
                }
                Some(_) => {}
            }
        }
        // Borrowed anew, since the loop above needed all of it.
        let Some(Scanned { record, .. }) = self.scanner.as_mut().and_then(Scanner::last) else {
            return Ok(None);
        };
        self.report.records += 1;
        self.report.payload_bytes += record.payload.len() as u64;
        self.report.last_lsn = record.lsn;
        if self.report.first_lsn == 0 {
            self.report.first_lsn = record.lsn;
        }
        Ok(Some(Record {
            term: record.term,
            lsn: record.lsn,
            timestamp_ms: record.timestamp,
            payload: record.payload,
        }))
    }

    /// Takes note of a record; whether it is to be given.
    fn note(&mut self, (term, lsn): (u64, u64)) -> bool {
        self.read = lsn;
        if self.terms.last().is_none_or(|t| t.term < term) {
            // A history that is full ends where it does.
            let _ = self.terms.push(term, lsn, self.state.pruned_through);
        }
        let segment = &mut self.report.segments[0];
        if !self.terms.is_live(term, lsn) {
            segment.dead += 1;
            return false;
        }
        segment.records += 1;
        segment.last_lsn = lsn;
        if segment.first_lsn == 0 {
            segment.first_lsn = lsn;
        }
        lsn > self.after
    }

    fn finish(&mut self) -> Result<()> {
        self.done = true;
        let path = old_path(&self.names);
        let last = self.report.segments[0].last_lsn;
        let pruned = self.state.pruned_through;
        let report = &mut self.report;
        report.terms = self.terms.clone();
        let scanned = self.scanner.as_ref().map(Scanner::report);
        report.bytes_read = scanned.map_or(0, |r| r.end);
        report.current_lsn = match self.cap {
            Some(_) => last.max(pruned),
            None => last.max(self.highest).max(pruned),
        };
        // What is above was found whole, but only an open makes sure of it.
        let known = self.cap.or(self.state.single_file).unwrap_or(0);
        report.durable_lsn = known.min(last).max(pruned);
        let verdict = scanned.map(|r| r.verdict.clone()).unwrap_or_default();
        let lost = known > pruned && last < known;
        let (judged, offset, reason) = match &verdict {
            // Beyond what is durable beside a writer is its own affair.
            _ if self.cap.is_some() && !lost => (Judged::Clean, 0, String::new()),
            Verdict::Corrupt { offset, cause, .. } => (Judged::Corrupt, *offset, cause.to_string()),
            _ if lost => {
                let why = format!("it ends with LSN {last}, but LSN {known} was durable in it");
                (Judged::Corrupt, report.bytes_read, why)
            }
            Verdict::Torn { offset, cause } => (Judged::Torn, *offset, cause.to_string()),
            Verdict::Clean => (Judged::Clean, 0, String::new()),
        };
        report.verdict = judged;
        if judged != Judged::Clean {
            report.suspects = vec![SuspectFile {
                path: path.clone(),
                offset,
                verdict: judged,
                reason: reason.clone(),
            }];
        }
        if judged == Judged::Corrupt {
            let lost = Error::corrupt(reason).at(&path, offset);
            return Err(verdict.error(&path).unwrap_or(lost));
        }
        let end = report.current_lsn;
        if let Some(lsn) = self.since.filter(|lsn| *lsn > end) {
            let why = format!("lsn: {lsn} is beyond the end ({end})");
            return Err(Error::new(ErrorKind::Ahead, why).with_lsn(end));
        }
        // A writer may have cut off meanwhile what was given.
        let now = LogFiles::read_state(&self.disk, &self.names)?;
        match now {
            Some(now) if self.given.1 > 0 => check_cut(&now.records.terms, self.given, u64::MAX),
            _ => Ok(()),
        }
    }
}
