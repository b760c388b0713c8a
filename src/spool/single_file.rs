//! A spool that keeps its records in one RDLW file, for consumers that read it:
//! the file as it is found, and what the log's writer does with it.
//!
//! What the format can't say stands in the state file beside it: what is pruned,
//! the history of terms, the highest LSN ever, and the last record that was known
//! to be durable when it was saved, so that a file that is gone, or has become
//! shorter, is missed.

use super::import::{LeftOut, free_name, old_path, scan};
use super::index::{Mark, Segment, SegmentData};
use super::rdlw::{Appender, Prepared, Report, ScanOptions, Scanned, Scanner, Verdict, rebuild};
use super::view::records_of;
use super::{SpoolOptions, TornTail};
use crate::error::{Error, ErrorKind, Result};
use crate::format::lost::{Lost, LostRange};
use crate::format::names::Names;
use crate::format::rdlw::{self, Layout};
use crate::format::state::State;
use crate::format::terms::{TermRefused, Terms};
use crate::log::{Disk, GroupPlace, RecordFile};
use crate::storage::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The file as the log's writer has it.
#[derive(Debug)]
pub(super) struct SingleFile {
    appender: Appender,
    last_lsn: u64,
    /// What will replace it, and the last record of that.
    prepared: Option<(Prepared, u64)>,
}

impl RecordFile for SingleFile {
    fn append(&mut self, payload: &[u8]) -> Result<GroupPlace> {
        // Of a cut that was not made.
        self.prepared = None;
        let mut run = Vec::with_capacity(payload.len());
        let records: Vec<_> = records_of(payload).collect();
        for record in &records {
            rdlw::encode(
                &rdlw::Record {
                    term: record.term,
                    lsn: record.lsn,
                    timestamp: record.timestamp_ms,
                    payload: &payload[record.at..record.at + record.len],
                },
                &mut run,
            )?;
        }
        let position = match records.last() {
            None => self.appender.end(),
            Some(last) => {
                let position = self.appender.append(&run)?;
                self.last_lsn = last.lsn;
                position
            }
        };
        Ok(GroupPlace {
            segment: 0,
            position,
            length: run.len() as u64,
        })
    }

    fn extent(&self) -> Range<u64> {
        self.appender.view().1..self.appender.end()
    }

    fn last_lsn(&self) -> u64 {
        let prepared = self.prepared.as_ref().map_or(u64::MAX, |(_, last)| *last);
        self.last_lsn.min(prepared)
    }

    fn prepare(&mut self, kept: Range<u64>, last_lsn: u64) -> Result<()> {
        // One that came to nothing has the temporary name.
        self.prepared = None;
        self.prepared = Some((self.appender.prepare(kept)?, last_lsn));
        Ok(())
    }

    fn replace(&mut self) -> Result<Option<Arc<dyn File>>> {
        let Some((prepared, last_lsn)) = self.prepared.take() else {
            return Ok(None);
        };
        self.appender.replace(prepared)?;
        self.last_lsn = last_lsn;
        Ok(Some(self.appender.view().0))
    }
}

/// What an open found.
pub(super) struct Opened {
    pub(super) file: SingleFile,
    /// Its records and where they stand.
    pub(super) segment: Segment,
    pub(super) last_lsn: u64,
    pub(super) terms: Terms,
    pub(super) torn: Option<TornTail>,
    /// A copy of a damaged file, or of one with a tail that was cut off already.
    pub(super) aside: Option<PathBuf>,
    /// A copy of a file of other versions.
    pub(super) imported: Option<PathBuf>,
    /// What a salvage could not keep.
    pub(super) lost: Lost,
}

/// Opens the file of the spool of these names, whose writer's lock is held, or
/// makes it. `state` is what its state file says.
pub(super) fn open(
    disk: &Disk,
    names: &Names,
    options: &SpoolOptions,
    state: &State,
) -> Result<Opened> {
    let path = old_path(names);
    let mut found = Found::look(disk, &path, scan(options), state)?;
    let mut lost = std::mem::take(&mut found.left_out.lost);
    let known = state.records.single_file.unwrap_or(0);
    if found.last_live < known {
        // Refused below, unless it is to be salvaged.
        lost.add(LostRange {
            after: found.last_live,
            through: known,
        });
    }
    lost.forget(state.records.pruned_through);
    let mut aside = None;
    let mut imported = None;
    if let Some((ending, is_import)) = found.to_rebuild(options.salvage, &path, state)? {
        let copy = free_name(disk, names, ending)?;
        let terms = found.terms.clone();
        rebuild(disk, &path, &copy, scan(options), &|r| {
            terms.is_live(r.term, r.lsn)
        })?;
        found = Found::look(disk, &path, scan(options), state)?;
        *(if is_import { &mut imported } else { &mut aside }) = Some(copy);
    }
    let report = &found.report;
    let torn = match &report.verdict {
        Verdict::Torn { offset, cause } => Some(TornTail {
            path: path.clone(),
            offset: *offset,
            reason: cause.to_string(),
        }),
        _ => None,
    };
    let appender = Appender::open(disk, &path, report, options.sync_policy)?;
    let (file, base) = appender.view();
    let mut segment = Segment::of_file(SegmentData::of_file(path, file, base, report.end));
    for (mark, len) in found.marks {
        segment.note(mark, len);
    }
    Ok(Opened {
        file: SingleFile {
            appender,
            last_lsn: report.last_lsn,
            prepared: None,
        },
        segment,
        last_lsn: report.last_lsn,
        terms: found.terms,
        torn,
        aside,
        imported,
        lost,
    })
}

/// What a scan of the file found.
struct Found {
    report: Report,
    /// Each record that counts, and its length.
    marks: Vec<(Mark, u64)>,
    /// The history, and what the records add to it.
    terms: Terms,
    /// The last record that counts.
    last_live: u64,
    left_out: LeftOut,
    /// There are records of other layouts than the one that is written; some
    /// that a later term has cut off.
    other_layouts: bool,
    dead: bool,
}

impl Found {
    fn look(disk: &Disk, path: &Path, options: ScanOptions, state: &State) -> Result<Found> {
        let mut found = Found {
            report: Report::default(),
            marks: Vec::new(),
            terms: state.records.terms.clone(),
            last_live: 0,
            left_out: LeftOut::default(),
            other_layouts: false,
            dead: false,
        };
        let mut scanner = match Scanner::open(disk, path, options) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(found),
            scanner => scanner?,
        };
        while let Some(scanned) = scanner.next_record()? {
            found.note(&scanned, path, state.records.pruned_through)?;
            let lsn = scanned.record.lsn;
            found.left_out.before(lsn, scanner.report());
        }
        found.report = scanner.report().clone();
        Ok(found)
    }

    fn note(&mut self, scanned: &Scanned<'_>, path: &Path, pruned: u64) -> Result<()> {
        let record = &scanned.record;
        self.other_layouts |= scanned.layout != Layout::Three33;
        if self.terms.last().is_none_or(|t| t.term < record.term) {
            let pushed = self.terms.push(record.term, record.lsn, pruned);
            if pushed == Err(TermRefused::Full) {
                let why = format!("term: {} is one too many for the history", record.term);
                return Err(Error::new(ErrorKind::TooLarge, why).at(path, scanned.offset));
            }
        }
        if !self.terms.is_live(record.term, record.lsn) {
            self.dead = true;
            return Ok(());
        }
        self.last_live = record.lsn;
        let mark = Mark {
            lsn: record.lsn,
            group: scanned.offset,
            item: 0,
        };
        self.marks.push((mark, scanned.len));
        Ok(())
    }

    /// Whether the file must be written anew first: what the copy of the old one
    /// is called, and whether it is one of other versions. An error where it is
    /// damaged and not to be salvaged.
    fn to_rebuild(
        &self,
        salvage: bool,
        path: &Path,
        state: &State,
    ) -> Result<Option<(&'static str, bool)>> {
        let damage = self.report.verdict.error(path);
        let known = state.records.single_file.unwrap_or(0);
        let lost = known > state.records.pruned_through && self.last_live < known;
        match damage {
            Some(error) if !salvage || error.kind() == ErrorKind::Format => Err(error),
            Some(_) => Ok(Some(("wal.salvaged", false))),
            None if lost && !salvage => Err(Error::corrupt(format!(
                "single-file spool: it ends with LSN {}, but LSN {known} was durable in it",
                self.last_live
            ))
            .at(path, self.report.end)
            .with_lsn(self.last_live)),
            // A cut that a crash came after, whose tail is saved once more.
            None if self.dead => Ok(Some(("wal.cut", false))),
            None if self.other_layouts => Ok(Some(("wal.imported", true))),
            None => Ok(None),
        }
    }
}
