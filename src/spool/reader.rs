//! Reading a spool from outside: beside its writer, in any process, or where
//! none lives. Takes no writer's lock and writes nothing.

use super::follow::first_lsn;
use super::open::spool_names;
use super::reader_file::{FileReader, is_single_file};
use super::records::SpoolRecord;
use crate::error::{Error, ErrorKind, Result};
use crate::format::group::GroupKind;
use crate::format::item::ItemKind;
use crate::format::lost::{Lost, LostRange};
use crate::format::names::Names;
use crate::format::record::{Record, RecordHead};
use crate::format::terms::{Standing, Terms};
use crate::log::{Disk, End, Group, Step, Walker, read_walker};
use crate::recovery::{SuspectFile, Verdict};
use crate::storage::{RealStorage, fork_generation};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A segment of a spool, and the records in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpoolSegment {
    /// The file.
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
    /// Groups that were read in it.
    pub groups: u64,
    /// Records in them that count; pruned ones too.
    pub records: u64,
    /// Records that a later term has cut off.
    pub dead: u64,
    /// The first and the last LSN of those that count; 0 where there are none.
    pub first_lsn: u64,
    /// See `first_lsn`.
    pub last_lsn: u64,
}

/// What was read of a spool. Complete once the stream has ended, also with an
/// error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpoolReport {
    /// Whether there is a spool at all.
    pub exists: bool,
    /// Whether a writer lived; what it had made durable is what is given.
    pub writer: bool,
    /// Whether it was closed and not opened since.
    pub clean: bool,
    /// Records given.
    pub records: u64,
    /// Bytes of their payloads.
    pub payload_bytes: u64,
    /// The first and the last LSN given; 0 where nothing was.
    pub first_lsn: u64,
    /// See `first_lsn`.
    pub last_lsn: u64,
    /// Records at or below it are pruned, and not given.
    pub pruned_through: u64,
    /// The highest LSN there is or was, pruned ones included.
    pub current_lsn: u64,
    /// Those above it were found whole, but only the next open confirms that they
    /// are durable.
    pub durable_lsn: u64,
    /// No truncation goes below it.
    pub quorum_lsn: u64,
    /// What salvages have lost, and pruning has not passed.
    pub lost: Lost,
    /// The history of terms.
    pub terms: Terms,
    /// The segments looked at, oldest first.
    pub segments: Vec<SpoolSegment>,
    /// Bytes of them read.
    pub bytes_read: u64,
    /// How the log ends; clean as long as nothing else is known.
    pub verdict: Verdict,
    /// Where and why, unless it is clean.
    pub suspects: Vec<SuspectFile>,
}

/// The durable records of a spool, ascending, each verified.
///
/// Beside a living writer the stream ends with what was durable when it was
/// opened, and while it lives no segment that it may still read is reused. To
/// read on, open another one `since` the last record. One thread at a time;
/// blocks on reads, and holds one group in memory. In the child of a `fork` it
/// answers [`ErrorKind::Forked`].
#[derive(Debug)]
pub struct SpoolReader {
    inner: Inner,
    /// The process that opened it, by [`fork_generation`].
    born: u32,
    /// What [`SpoolReader::next_batch`] has read beyond what it gave.
    pub(super) ahead: Option<Result<SpoolRecord>>,
    /// That, while the caller borrows it.
    lent: Option<SpoolRecord>,
}

#[derive(Debug)]
enum Inner {
    Log(Box<LogReader>),
    File(Box<FileReader>),
}

/// The records of native segments.
#[derive(Debug)]
struct LogReader {
    walker: Walker,
    /// Asked for: records at or below it are not given.
    since: Option<u64>,
    after: u64,
    /// The highest LSN read that counts.
    highest: u64,
    /// What the group in memory still has to give: offset and length.
    items: VecDeque<(usize, usize)>,
    /// The record given last: term, LSN.
    given: (u64, u64),
    /// Groups that no watermark covers yet: epoch, last LSN.
    unconfirmed: VecDeque<(u64, u64)>,
    report: SpoolReport,
    done: bool,
}

impl SpoolReader {
    /// Opens the spool of the data file at `path` for reading, records above
    /// `since` only; none: all that there are. Where there is no spool the
    /// stream is empty.
    ///
    /// [`ErrorKind::WalRemoved`] where records above `since` are pruned. Blocks
    /// on reads.
    pub fn open(path: &Path, since: Option<u64>) -> Result<SpoolReader> {
        SpoolReader::open_on(Arc::new(RealStorage), path, since)
    }

    /// [`SpoolReader::open`] on a given storage.
    pub fn open_on(disk: Disk, path: &Path, since: Option<u64>) -> Result<SpoolReader> {
        let names = spool_names(&disk, path)?;
        let inner = match is_single_file(&disk, &names)? {
            true => Inner::File(Box::new(FileReader::open(&disk, &names, since)?)),
            false => Inner::Log(Box::new(LogReader::open(disk, &names, since)?)),
        };
        Ok(SpoolReader {
            inner,
            born: fork_generation(),
            ahead: None,
            lent: None,
        })
    }

    /// What was read so far.
    pub fn report(&self) -> &SpoolReport {
        match &self.inner {
            Inner::Log(reader) => &reader.report,
            Inner::File(reader) => reader.report(),
        }
    }

    /// The next record; none at the end.
    ///
    /// [`ErrorKind::Corrupt`], [`ErrorKind::Format`] and [`ErrorKind::Io`] where
    /// the log can't be read on: what was given before is good.
    /// [`ErrorKind::Ahead`] at the end where `since` is beyond it,
    /// [`ErrorKind::Diverged`] where a writer came meanwhile and cut off what
    /// was given already. After a failure the stream has ended.
    pub fn next_record(&mut self) -> Result<Option<Record<'_>>> {
        self.check_fork()?;
        if let Some(ahead) = self.ahead.take() {
            let record = self.lent.insert(ahead?);
            return Ok(Some(record.as_record()));
        }
        match &mut self.inner {
            Inner::Log(reader) => reader.next_record(),
            Inner::File(reader) => reader.next_record(),
        }
    }

    /// Refuses to work in the child of a fork, where its files are closed.
    pub(crate) fn check_fork(&self) -> Result<()> {
        match self.born == fork_generation() {
            true => Ok(()),
            false => Err(Error::new(
                ErrorKind::Forked,
                "this reader belongs to the parent of a fork",
            )),
        }
    }

    pub(super) fn disk(&self) -> &Disk {
        match &self.inner {
            Inner::Log(reader) => &reader.walker.disk,
            Inner::File(reader) => reader.disk(),
        }
    }

    /// Reads on to the end, and gives nothing.
    pub fn read_to_end(&mut self) -> Result<()> {
        while self.next_record()?.is_some() {}
        Ok(())
    }
}

impl LogReader {
    fn open(disk: Disk, names: &Names, since: Option<u64>) -> Result<LogReader> {
        let walker = read_walker(&disk, names)?;
        let state = walker.files.state.as_ref();
        let pruned = state.map_or(0, |s| s.records.pruned_through);
        if let Some(lsn) = since.filter(|lsn| *lsn < pruned) {
            return Err(is_pruned(lsn, pruned));
        }
        let lost = state.map_or_else(Lost::default, |s| s.records.lost.clone());
        if let Some(range) = since.and_then(|lsn| lost.at(lsn)) {
            return Err(lost_records(range));
        }
        let mut reader = LogReader {
            since,
            after: since.unwrap_or(pruned),
            highest: 0,
            items: VecDeque::new(),
            given: (0, 0),
            unconfirmed: VecDeque::new(),
            report: SpoolReport {
                exists: state.is_some(),
                writer: walker.is_live(),
                clean: state.is_some_and(|s| s.clean),
                pruned_through: pruned,
                quorum_lsn: state.map_or(0, |s| s.records.quorum_lsn),
                lost,
                ..SpoolReport::default()
            },
            done: false,
            walker,
        };
        reader.skip_segments(&disk)?;
        Ok(reader)
    }

    /// Starts at the last segment that can hold the first record asked for, and
    /// holds none before it.
    fn skip_segments(&mut self, disk: &Disk) -> Result<()> {
        let Some(lsn) = self.since else { return Ok(()) };
        let files = &self.walker.files;
        let terms = &self.walker.order.terms;
        // What the newest begins with may be a writer's that is at it.
        let older = files.segments.len().saturating_sub(1);
        let begins = |epoch| first_lsn(disk, &files.names, epoch, terms).ok().flatten();
        let start = (0..older).rfind(|at| {
            begins(files.segments[*at].first_epoch).is_some_and(|first| first - 1 <= lsn)
        });
        if let Some(start) = start {
            self.walker.start_at(start);
        }
        self.walker.narrow_hold()
    }

    fn next_record(&mut self) -> Result<Option<Record<'_>>> {
        while self.items.is_empty() {
            if self.done {
                return Ok(None);
            }
            let advanced = self.advance();
            self.report.bytes_read = self.walker.bytes_read();
            if let Err(error) = advanced {
                self.done = true;
                self.items.clear();
                return Err(error);
            }
        }
        let path = self.walker.current_path();
        let Some((at, len)) = self.items.pop_front() else {
            return Ok(None);
        };
        let (payload, _) = self.walker.payload()?;
        let record = Record::parse(&payload[at..at + len])
            .map_err(|why| Error::corrupt(why).in_file(&path))?;
        if let Some(range) = self.since.and_then(|since| self.report.lost.beyond(since))
            && record.lsn > range.after
        {
            self.done = true;
            self.items.clear();
            return Err(lost_records(range));
        }
        self.given = (record.term, record.lsn);
        self.report.records += 1;
        self.report.payload_bytes += record.payload.len() as u64;
        self.report.last_lsn = record.lsn;
        if self.report.first_lsn == 0 {
            self.report.first_lsn = record.lsn;
        }
        Ok(Some(record))
    }

    fn advance(&mut self) -> Result<()> {
        match self.walker.step(true)? {
            Step::Group(group) if group.header.kind == GroupKind::Mark => {
                self.confirm();
                Ok(())
            }
            Step::Group(group) => self.take_in(&group),
            // No log of records has one.
            Step::Epoch(..) => Ok(()),
            Step::End(end) => self.finish(&end),
        }
    }

    fn take_in(&mut self, group: &Group) -> Result<()> {
        let terms = self.walker.order.terms.clone();
        let entry = self.walker.files.segments[group.segment].clone();
        let (payload, items) = self.walker.payload()?;
        let segment = segment_of(&mut self.report.segments, &entry.path, entry.len);
        segment.groups += 1;
        let mut high = 0;
        for (at, head) in items.iter().filter(|(_, h)| h.kind == ItemKind::Record) {
            let record = RecordHead::parse(&payload[*at..])
                .map_err(|why| Error::corrupt(why).at(&entry.path, group.header.position))?;
            if !terms.is_live(record.term, record.lsn) {
                segment.dead += 1;
                continue;
            }
            segment.records += 1;
            segment.last_lsn = record.lsn;
            if segment.first_lsn == 0 {
                segment.first_lsn = record.lsn;
            }
            high = record.lsn;
            if record.lsn > self.after {
                self.items.push_back((*at, head.len));
                check_cut(&terms, self.given, record.lsn)?;
            }
        }
        if high > 0 {
            self.highest = high;
            self.unconfirmed.push_back((group.header.epoch, high));
        }
        self.confirm();
        Ok(())
    }

    /// What a watermark says is durable.
    fn confirm(&mut self) {
        let saved = self.walker.files.state.as_ref().map_or(0, |s| s.watermark);
        let known = self.walker.watermark.max(saved);
        while let Some((epoch, lsn)) = self.unconfirmed.front().copied() {
            if epoch > known && !self.walker.is_live() {
                break;
            }
            self.report.durable_lsn = lsn;
            self.unconfirmed.pop_front();
        }
    }

    fn finish(&mut self, end: &End) -> Result<()> {
        self.done = true;
        self.confirm();
        let report = &mut self.report;
        report.writer = self.walker.is_live();
        report.terms = self.walker.order.terms.clone();
        let saved = self
            .walker
            .files
            .state
            .as_ref()
            .map_or(0, |s| s.highest_seq);
        report.current_lsn = match self.highest {
            // The state may be ahead of what was durable when that was asked.
            read @ 1.. if report.writer => read,
            read => read.max(saved).max(report.pruned_through),
        };
        // What is pruned was acknowledged.
        report.durable_lsn = report.durable_lsn.max(report.pruned_through);
        let looked_at = end.segment.min(self.walker.files.segments.len());
        for entry in &self.walker.files.segments[looked_at..] {
            segment_of(&mut report.segments, &entry.path, entry.len);
        }
        report.verdict = match end.newer_format {
            true => Verdict::Corrupt,
            false => end.verdict,
        };
        if report.verdict != Verdict::Clean {
            report.suspects = vec![SuspectFile {
                path: end.path.clone(),
                offset: end.offset,
                verdict: report.verdict,
                reason: end.reason.clone(),
            }];
        }
        if let Some(error) = end.error() {
            return Err(error);
        }
        match self.since.filter(|lsn| *lsn > report.current_lsn) {
            None => Ok(()),
            Some(lsn) => {
                let end = report.current_lsn;
                let why = format!("lsn: {lsn} is beyond the end ({end})");
                Err(Error::new(ErrorKind::Ahead, why).with_lsn(end))
            }
        }
    }
}

/// The entry of a segment, which is the last one or a new one.
fn segment_of<'a>(
    segments: &'a mut Vec<SpoolSegment>,
    path: &Path,
    bytes: u64,
) -> &'a mut SpoolSegment {
    if segments.last().is_none_or(|s| s.path != path) {
        segments.push(SpoolSegment {
            path: path.to_path_buf(),
            bytes,
            ..SpoolSegment::default()
        });
    }
    let last = segments.len() - 1;
    &mut segments[last]
}

/// What comes next is lost.
pub(super) fn lost_records(range: LostRange) -> Error {
    let LostRange { after, through } = range;
    let why = format!("lsn: records above {after} through {through} are lost in a salvage");
    Error::new(ErrorKind::WalRemoved, why).with_lsn(through.saturating_add(1))
}

/// Records above `lsn` are pruned.
pub(super) fn is_pruned(lsn: u64, pruned: u64) -> Error {
    let why = format!("lsn: records above {lsn} are pruned, through {pruned}");
    Error::new(ErrorKind::WalRemoved, why).with_lsn(pruned.saturating_add(1))
}

/// A writer that came while we read may have cut off what was given.
pub(super) fn check_cut(terms: &Terms, given: (u64, u64), next: u64) -> Result<()> {
    let (term, lsn) = given;
    if next > lsn && terms.is_live(term, lsn) {
        return Ok(());
    }
    let common = match terms.check(term, lsn) {
        Standing::Diverged { last_common_lsn } => last_common_lsn,
        Standing::Same => next.saturating_sub(1),
    };
    let why = format!("lsn: records above {common} were cut off while they were read");
    Err(Error::new(ErrorKind::Diverged, why).with_lsn(common))
}
