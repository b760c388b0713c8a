//! The stream of recovered batches.

use super::report::{EpochRanges, RecoveryReport, SuspectFile, Verdict};
use super::{RecoveryOptions, real};
use crate::batch::Frame;
use crate::error::{Error, ErrorKind, Result};
use crate::format::group::GroupKind;
use crate::format::item::ItemKind;
use crate::log::{
    Disk, End, Group, LogFiles, Step, Walker, check_database_id, names_of, read_walker,
};
use crate::storage::fork_generation;
use crate::wrong::{self, Wrong};
use std::path::Path;

/// One batch, borrowed from the stream until the next call.
#[derive(Clone, Debug)]
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
    pub frames: Vec<Frame<'a>>,
    /// The caller's bytes; empty where none were given, and in version 1.
    pub metadata: &'a [u8],
}

/// A batch of version 1 as offsets into the segment's bytes.
#[derive(Debug)]
struct OneBatch {
    txn_id: u64,
    txn_epoch: u32,
    commit_seq: u64,
    /// Page number, offset, length.
    frames: Vec<(u32, usize, usize)>,
}

/// What the epoch in memory still has to give.
#[derive(Debug)]
enum Current {
    Nothing,
    /// Items of a group in replay order, and how many were given.
    Group {
        epoch: u64,
        order: Vec<u32>,
        next: usize,
    },
    One {
        epoch: u64,
        batches: Vec<OneBatch>,
        next: usize,
    },
}

/// The log's batches in replay order: by epoch, commit sequence, transaction
/// id, first page number. Holds one epoch in memory.
///
/// Reading never writes. Beside a living writer the stream ends with what was
/// durable when it was opened, and while it lives no segment is reused. One
/// thread at a time; blocks on reads. In the child of a `fork` it answers
/// [`ErrorKind::Forked`].
#[derive(Debug)]
pub struct Recovery {
    walker: Walker,
    options: RecoveryOptions,
    report: RecoveryReport,
    all: EpochRanges,
    current: Current,
    done: bool,
    /// The process that opened it, by [`fork_generation`].
    born: u32,
}

impl Recovery {
    /// Opens the log beside the database at `db_path` for reading. A database
    /// without a log gives an empty stream.
    pub fn open(db_path: &Path, options: &RecoveryOptions) -> Result<Self> {
        Self::open_on(real(), db_path, options)
    }

    /// Opens on a given storage.
    pub fn open_on(disk: Disk, db_path: &Path, options: &RecoveryOptions) -> Result<Self> {
        let names = names_of(&disk, db_path)?;
        let walker = read_walker(&disk, &names)?;
        Self::over(walker, options)
    }

    /// For one who holds the writer's lock: nobody else is there.
    pub(super) fn alone(disk: Disk, files: LogFiles, options: &RecoveryOptions) -> Result<Self> {
        Self::over(Walker::new(disk, files, None), options)
    }

    fn over(walker: Walker, options: &RecoveryOptions) -> Result<Self> {
        check_database_id(&walker.files, options.database_id)?;
        let report = RecoveryReport {
            checkpoint_epoch: walker.files.state.as_ref().and_then(|s| s.floor),
            ..RecoveryReport::default()
        };
        Ok(Recovery {
            walker,
            options: options.clone(),
            report,
            all: EpochRanges::default(),
            current: Current::Nothing,
            done: false,
            born: fork_generation(),
        })
    }

    /// Refuses to work in the child of a fork, where its files are closed.
    pub(crate) fn check_fork(&self) -> Result<()> {
        match self.born == fork_generation() {
            true => Ok(()),
            false => Err(Error::new(
                ErrorKind::Forked,
                "this recovery belongs to the parent of a fork",
            )),
        }
    }

    /// What was read so far; complete once the stream has ended.
    pub fn report(&self) -> &RecoveryReport {
        &self.report
    }

    /// The next batch in replay order; none at the end.
    ///
    /// Fails at the place where the log is corrupt (unless the durable prefix
    /// was asked for), of a newer format, or can't be read; the batches before
    /// it were good. After a failure the stream has ended.
    pub fn next_batch(&mut self) -> Result<Option<RecoveredBatch<'_>>> {
        self.check_fork()?;
        while !self.has_more() {
            if self.done {
                return Ok(None);
            }
            if let Err(error) = self.advance() {
                self.done = true;
                self.report.bytes_read = self.walker.bytes_read();
                return Err(error);
            }
        }
        self.take()
    }

    fn has_more(&self) -> bool {
        match &self.current {
            Current::Nothing => false,
            Current::Group { order, next, .. } => *next < order.len(),
            Current::One { batches, next, .. } => *next < batches.len(),
        }
    }

    fn advance(&mut self) -> Result<()> {
        self.current = Current::Nothing;
        let step = self.walker.step(true)?;
        self.report.bytes_read = self.walker.bytes_read();
        match step {
            Step::Group(group) => {
                self.report.segments = group.segment as u64 + 1;
                self.take_in_group(&group)
            }
            Step::Epoch(epoch, index) => {
                self.report.segments = index as u64 + 1;
                self.take_in_one(epoch)
            }
            Step::End(end) => self.finish(&end),
        }
    }

    fn below_floor(&self, epoch: u64) -> bool {
        self.report.checkpoint_epoch.is_some_and(|f| epoch <= f)
    }

    fn take_in_group(&mut self, group: &Group) -> Result<()> {
        let epoch = group.header.epoch;
        if group.header.kind == GroupKind::Mark {
            return Ok(());
        }
        self.all.push(epoch);
        if self.below_floor(epoch) {
            return Ok(());
        }
        let sum = &group.certificate.summary;
        self.count(epoch, sum.pages, sum.seq_high, sum.db_size);
        let (payload, items) = self.walker.payload()?;
        let mut order: Vec<u32> = (0..items.len() as u32)
            .filter(|i| items[*i as usize].1.kind != ItemKind::Void)
            .collect();
        self.report.batches += order.len() as u64;
        if self.options.verify_only {
            return Ok(());
        }
        if !wrong::is(Wrong::StagedOrder) {
            order.sort_by_key(|i| {
                let (at, head) = &items[*i as usize];
                let first_page = head.first_page(&payload[*at..]);
                (head.commit_seq, head.txn_id, first_page)
            });
        }
        self.current = Current::Group {
            epoch,
            order,
            next: 0,
        };
        Ok(())
    }

    fn count(&mut self, epoch: u64, records: u64, highest_seq: u64, db_size: u32) {
        self.report.epochs.push(epoch);
        self.report.records += records;
        self.report.highest_commit_seq = self.report.highest_commit_seq.max(highest_seq);
        if db_size != 0 {
            self.report.db_size = db_size;
        }
    }

    fn take_in_one(&mut self, epoch: u64) -> Result<()> {
        self.all.push(epoch);
        if self.below_floor(epoch) {
            return Ok(());
        }
        let base = self.walker.version_one_bytes().as_ptr() as usize;
        let segment = self.walker.version_one()?;
        let highest = segment.highest_commit_seq().unwrap_or(0);
        let batches: Vec<OneBatch> = segment
            .batches()
            .iter()
            .map(|batch| OneBatch {
                txn_id: batch.txn_id,
                txn_epoch: batch.txn_epoch,
                commit_seq: batch.commit_seq,
                frames: batch
                    .frames
                    .iter()
                    .map(|f| {
                        let at = f.data.as_ptr() as usize - base;
                        (f.page_number, at, f.data.len())
                    })
                    .collect(),
            })
            .collect();
        let records = batches.iter().map(|b| b.frames.len() as u64).sum();
        self.report.batches += batches.len() as u64;
        self.count(epoch, records, highest, 0);
        if !self.options.verify_only {
            self.current = Current::One {
                epoch,
                batches,
                next: 0,
            };
        }
        Ok(())
    }

    fn take(&mut self) -> Result<Option<RecoveredBatch<'_>>> {
        match &mut self.current {
            Current::Nothing => Ok(None),
            Current::Group { epoch, order, next } => {
                let index = order[*next] as usize;
                *next += 1;
                let epoch = *epoch;
                let path = self.walker.current_path();
                let (payload, items) = self.walker.payload()?;
                let (at, head) = items[index];
                let (metadata, frames) = head
                    .body(&payload[at..at + head.len])
                    .map_err(|why| Error::corrupt(why).in_file(&path))?;
                Ok(Some(RecoveredBatch {
                    epoch,
                    commit_seq: head.commit_seq,
                    txn_id: head.txn_id,
                    txn_epoch: head.txn_epoch,
                    frames,
                    metadata,
                }))
            }
            Current::One {
                epoch,
                batches,
                next,
            } => {
                let batch = &batches[*next];
                *next += 1;
                let bytes = self.walker.version_one_bytes();
                let frames = batch.frames.iter().map(|(page_number, at, len)| Frame {
                    page_number: *page_number,
                    db_size_if_commit: 0,
                    data: &bytes[*at..*at + *len],
                });
                Ok(Some(RecoveredBatch {
                    epoch: *epoch,
                    commit_seq: batch.commit_seq,
                    txn_id: batch.txn_id,
                    txn_epoch: batch.txn_epoch,
                    frames: frames.collect(),
                    metadata: &[],
                }))
            }
        }
    }

    /// The file that the verdict is about; where the log is corrupt also each
    /// other one from where reading ended.
    fn suspects(&self, end: &End, verdict: Verdict) -> Vec<SuspectFile> {
        let suspect = |path: &Path, offset, reason: &str| SuspectFile {
            path: path.to_path_buf(),
            offset,
            verdict,
            reason: reason.into(),
        };
        let cause = suspect(&end.path, end.offset, &end.reason);
        match verdict {
            Verdict::Clean => return Vec::new(),
            Verdict::Torn => return vec![cause],
            Verdict::Corrupt => {}
        }
        let mut suspects = Vec::new();
        let segments = self.walker.files.segments.iter().enumerate();
        for (index, entry) in segments.skip(end.segment) {
            if entry.path == end.path {
                suspects.push(cause.clone());
            } else if index > end.segment {
                suspects.push(suspect(&entry.path, 0, "beyond a corrupt place"));
            } else if end.unread {
                suspects.push(suspect(
                    &entry.path,
                    end.position,
                    "what stands here was not read",
                ));
            }
        }
        if !suspects.contains(&cause) {
            suspects.insert(0, cause);
        }
        suspects
    }

    fn finish(&mut self, end: &End) -> Result<()> {
        self.done = true;
        if let Some(error) = end.error()
            && !self.options.durable_prefix
        {
            return Err(error);
        }
        let verdict = if end.newer_format {
            Verdict::Corrupt
        } else {
            end.verdict
        };
        self.report.verdict = verdict;
        self.report.suspects = self.suspects(end, verdict);
        let saved = self.walker.files.state.as_ref().map_or(0, |s| s.watermark);
        let confirmed = self.walker.watermark.max(saved);
        for epoch in self.report.epochs.above(confirmed) {
            self.report.unconfirmed.push(epoch);
        }
        if self.walker.is_live() {
            self.report.unconfirmed = EpochRanges::default();
        }
        Ok(())
    }
}
