//! Opening a log for writing: find its end, drop a torn tail, make the rest
//! of the tail durable, go on behind it.

use super::Disk;
use super::files::{LogFiles, Version, remove};
use super::identity::{check_database_id, random_id};
use super::lock::WriterLock;
use super::place::Verdict;
use super::policy::{Knobs, SyncPolicy, SyncStyle};
use super::salvage;
use super::segment_file::{SegmentFile, choose_style};
use super::spare::SparePool;
use super::state_file::{StateFile, sync_dir, sync_file};
use super::walk::{End, Group, Step, Walker};
use super::writer::{Active, GroupPlace, LiveSegment, LogOptions, LogWriter};
use crate::error::{Error, ErrorKind, Result};
use crate::format::group::{BLOCK, GroupHeader, GroupKind};
use crate::format::lost::Lost;
use crate::format::names::Names;
use crate::format::state::State;
use crate::format::terms::Terms;
use crate::storage::{OpenMode, read_exact_at, write_all_at};
use crate::wrong::{self, Wrong};
use std::path::PathBuf;
use std::sync::Arc;

/// How many epochs a session may hand out beyond the last one on the disk:
/// after a crash numbering goes on this much higher, so that no number is
/// given twice. The coordinator keeps fewer than this in flight.
pub(crate) const EPOCH_GAP: u64 = 8;

/// Epochs that are never handed out, so that counting on never wraps.
const LAST_EPOCHS: u64 = 1 << 48;

/// The same of a log in a file that says nothing of epochs: what a session hands
/// out at most.
const SESSION_EPOCHS: u64 = 1 << 32;

/// A log ready for writing, and what was found.
#[derive(Debug)]
pub(crate) struct OpenedLog {
    pub(crate) writer: LogWriter,
    /// The last epoch on the disk, or the floor.
    pub(crate) last: Option<u64>,
    /// The first epoch to hand out.
    pub(crate) next_epoch: u64,
    /// Files moved aside.
    pub(crate) salvaged: Vec<PathBuf>,
    /// A torn tail that was dropped.
    pub(crate) torn: Option<TornTail>,
    /// Of a log of records.
    pub(crate) records: Option<RecordsFound>,
}

/// The records of a log as it was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RecordsFound {
    /// The highest LSN that was ever acknowledged and not cut off.
    pub(crate) highest_lsn: u64,
    /// The last term; 0 where there is none yet.
    pub(crate) term: u64,
    pub(crate) terms: Terms,
    pub(crate) pruned_through: u64,
    /// What salvages have lost.
    pub(crate) lost: Lost,
}

/// What a crash left of groups that were never acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// The segment that it began in.
    pub path: PathBuf,
    /// Where in it.
    pub offset: u64,
    /// What is wrong with the first of them.
    pub reason: String,
}

/// Told of each group that an open follows, which the walker has in memory.
/// Where the end is found further back than was thought, it begins anew: a
/// segment's groups always come from its start.
pub(crate) type OnGroup<'a> = &'a mut dyn FnMut(&mut Walker, &Group) -> Result<()>;

/// Opens the log, making it where there is none. Takes the writer's lock.
pub(crate) fn open_log(
    disk: &Disk,
    names: &Names,
    options: LogOptions,
    on_group: OnGroup<'_>,
) -> Result<OpenedLog> {
    if options.version_one && names.kind() == GroupKind::Records {
        return Err(Error::invalid("segment_format: version 1 has no records"));
    }
    let lock = Arc::new(WriterLock::take(disk, &names.lock())?);
    let salvaged = if options.salvage {
        let salvaged = lock.without_readers(u64::MAX, || salvage::salvage(disk, names))?;
        salvaged.ok_or_else(|| {
            Error::new(ErrorKind::Locked, "salvage: a reader holds the segments")
                .in_file(&names.lock())
        })?
    } else {
        Vec::new()
    };
    let files = LogFiles::list(disk, names)?;
    if options.single_file && !files.segments.is_empty() {
        return Err(Error::new(
            ErrorKind::Unsupported,
            "format: the log has native segments, which are not written as one file",
        )
        .in_file(&files.segments[0].path));
    }
    check_database_id(&files, options.database_id)?;
    let tail = Tail::find(disk, files, options.knobs.checked_at_open, on_group)?;
    if let Some(error) = tail.end.error() {
        return Err(error);
    }
    let sync = options.policy != SyncPolicy::Off;
    if tail.files.state.is_none() {
        // Left by a log that is gone: their content is of another identity.
        // Before there is a state, after which they would be this log's.
        remove_files(disk, tail.files.spares.iter().map(|(_, p)| p))?;
    }
    let state = tail.new_state(&options)?;
    let mut state_file = StateFile::open(disk, &names.state(), state, sync)?;
    tail.settle(disk, sync)?;
    let next_epoch = match options.single_file {
        true => tail.next_epoch().saturating_add(SESSION_EPOCHS),
        false => tail.next_epoch(),
    };
    if next_epoch > u64::MAX - LAST_EPOCHS {
        return Err(Error::new(
            ErrorKind::TooLarge,
            format!("epoch {next_epoch}: the log's numbers are used up"),
        )
        .in_file(&names.state()));
    }
    if sync {
        // Names that a killed writer gave may be in memory only, and what they
        // hold is reported as durable below.
        sync_dir(disk, names.dir())?;
    }
    let watermark = if sync { tail.last.unwrap_or(0) } else { 0 };
    let newest = tail.newest_used();
    state_file.save(|s| {
        s.clean = false;
        s.next_epoch = next_epoch;
        s.watermark = s.watermark.max(watermark);
        s.newest_generation = newest.unwrap_or(s.retired_generation);
        s.highest_seq = tail.highest_seq;
        if let Some(terms) = &tail.terms {
            s.records.terms = terms.clone();
        }
    })?;
    tail.remove_unused(disk, names, sync)?;
    let style = match options.single_file {
        true => SyncStyle::Buffered,
        false => options.style,
    };
    let style = choose_style(disk, &names.state(), style, options.policy)?;
    let mut spares = SparePool::new(disk.clone(), names.clone(), style, sync);
    spares.in_line = options.knobs.spares_in_line;
    if let Some(state) = &tail.files.state {
        spares.take_over(&tail.files.spares, state)?;
    }
    let mut writer = LogWriter {
        disk: disk.clone(),
        names: names.clone(),
        options,
        style,
        lock,
        state: state_file,
        spares,
        live: tail.live.clone(),
        active: None,
        named: None,
        previous_epoch: tail.previous,
        link: tail.link,
        last_is_mark: tail.last_is_mark,
        last_length: 0,
        durable: tail.last.unwrap_or(0),
        highest_seq: tail.highest_seq,
        next_size: LogWriter::first_size(&options),
        prepared: false,
        file: None,
        file_place: GroupPlace::default(),
        importing: None,
    };
    writer.take_up(tail.pos)?;
    if !options.single_file {
        writer.publish(tail.last);
    }
    let records = tail.terms.as_ref().map(|terms| RecordsFound {
        highest_lsn: writer.highest_seq(),
        term: terms.last().map_or(0, |last| last.term),
        terms: terms.clone(),
        pruned_through: writer.state().records.pruned_through,
        lost: writer.state().records.lost.clone(),
    });
    Ok(OpenedLog {
        writer,
        last: tail.last,
        next_epoch,
        salvaged,
        torn: tail.torn(),
        records,
    })
}

impl LogWriter {
    /// Takes up the newest segment where its groups end.
    fn take_up(&mut self, pos: u64) -> Result<()> {
        if let Some(two) = self.live.iter().rev().find(|s| s.generation > 0) {
            let size = two.size;
            self.grow_from(size);
        }
        let Some(segment) = self.live.last().filter(|s| s.generation > 0) else {
            return Ok(());
        };
        let path = segment.path.clone();
        if self.options.policy != SyncPolicy::Off {
            // It may have been made without syncs, and a write through syncs
            // neither the size nor the blocks around it.
            let file = self
                .disk
                .open(&path, OpenMode::Write)
                .map_err(|e| Error::io("open a segment", &path, &e))?;
            sync_file(&*file, "sync a segment", &path)?;
        }
        let file = SegmentFile::open(&self.disk, &path, self.style, self.options.policy)?;
        self.active = Some(Active { file, pos });
        if self.options.version_one {
            // Version 1 files do not vouch for what is before them.
            self.write_mark()?;
            self.active = None;
        }
        Ok(())
    }
}

fn remove_files<'a>(disk: &Disk, paths: impl Iterator<Item = &'a PathBuf>) -> Result<()> {
    for path in paths {
        remove(disk, "remove a file", path)?;
    }
    Ok(())
}

/// Follows the end of a log to its verdict without reading what a watermark
/// covers. Gives the last epoch, or the floor.
pub(crate) fn last_epoch(mut walker: Walker) -> Result<(Option<u64>, Box<End>)> {
    let mut limit = walker.files.segments.len();
    loop {
        let start = start_segment(&walker.files, limit, Knobs::default().checked_at_open);
        walker.start_at(start);
        let mut any = false;
        let end = loop {
            match walker.step(true)? {
                Step::Group(_) | Step::Epoch(..) => any = true,
                Step::End(end) => break end,
            }
        };
        if any || start == 0 {
            return Ok((walker.last(), end));
        }
        limit = start;
    }
}

/// What a look at the end of the log found.
struct Tail {
    files: LogFiles,
    end: End,
    live: Vec<LiveSegment>,
    last: Option<u64>,
    /// The epoch that the next group links to.
    previous: u64,
    link: u32,
    pos: u64,
    last_is_mark: bool,
    highest_seq: u64,
    /// Of a log of records: the history, and terms that it did not know yet.
    terms: Option<Terms>,
    /// Groups above the last watermark: (segment, offset, length).
    unconfirmed: Vec<(usize, u64, u64)>,
    /// How many segments of the list hold groups.
    used: usize,
}

impl Tail {
    fn find(disk: &Disk, files: LogFiles, checked: u64, on_group: OnGroup<'_>) -> Result<Tail> {
        // A segment may begin with a torn group: then the end is further back.
        let mut limit = files.segments.len();
        loop {
            let start = start_segment(&files, limit, checked);
            let tail = Tail::walk(disk, files.clone(), start, on_group)?;
            if tail.used > start || start == 0 {
                return Ok(tail);
            }
            limit = start;
        }
    }

    fn walk(disk: &Disk, files: LogFiles, start: usize, on_group: OnGroup<'_>) -> Result<Tail> {
        let saved = files.state.as_ref().map_or(0, |s| s.watermark);
        let clean = files.state.as_ref().is_some_and(|s| s.clean);
        // What was pruned was there, also where syncs were off and its record's own
        // bound was lost.
        let highest = |s: &State| s.highest_seq.max(s.records.pruned_through);
        let saved_seq = files.state.as_ref().map_or(0, highest);
        let mut walker = Walker::new(disk.clone(), files, None);
        walker.start_at(start);
        let mut tail = TailWalk {
            unconfirmed: Vec::new(),
            watermark: saved,
            last_is_mark: false,
            clean,
            used: start,
            pos: 0,
            bytes: vec![0; walker.files.segments.len()],
        };
        let end = loop {
            match walker.step(true)? {
                Step::Group(group) => {
                    tail.group(group.segment, &group.header);
                    on_group(&mut walker, &group)?;
                }
                Step::Epoch(_, index) => {
                    tail.used = index + 1;
                    tail.last_is_mark = false;
                }
                Step::End(end) => break *end,
            }
        };
        let used = tail.used;
        let live = live_segments(&walker.files, used, &tail.bytes, walker.last());
        Ok(Tail {
            live,
            last: match end.highest_leftover {
                highest @ 1.. if wrong::is(Wrong::DurableByMaximum) => Some(highest),
                _ => walker.last(),
            },
            previous: walker.chain.epoch.or(walker.last()).unwrap_or(0),
            link: walker.chain.link.unwrap_or(0),
            pos: tail.pos,
            last_is_mark: tail.last_is_mark,
            // Assigned sequences of epochs that are lost are assigned again, so
            // that ranges touch.
            highest_seq: match walker.chain.assigned {
                Some(highest) => highest,
                None if wrong::is(Wrong::HighestLsnForgotten) => walker.highest_seq,
                None => walker.highest_seq.max(saved_seq),
            },
            terms: (walker.files.names.kind() == GroupKind::Records).then_some(walker.order.terms),
            unconfirmed: tail.unconfirmed,
            used,
            files: walker.files,
            end,
        })
    }

    fn torn(&self) -> Option<TornTail> {
        (self.end.verdict == Verdict::Torn).then(|| TornTail {
            path: self.end.path.clone(),
            offset: self.end.offset,
            reason: self.end.reason.clone(),
        })
    }

    fn new_state(&self, options: &LogOptions) -> Result<State> {
        if let Some(state) = &self.files.state {
            let mut state = state.clone();
            if let Some(id) = options.database_id {
                state.database_id = id;
            }
            return Ok(state);
        }
        Ok(State::new(
            self.files.names.kind(),
            random_id()?,
            options.database_id.unwrap_or([0; 16]),
        ))
    }

    /// G5: whatever lies above the last watermark may be in the page cache
    /// only, and marked clean after a failed sync, so it is written again
    /// before it is synced. What is dropped loses its headers, so that nothing
    /// takes it for damage later.
    fn settle(&self, disk: &Disk, sync: bool) -> Result<()> {
        let mut touched: Vec<usize> = Vec::new();
        let zeros = vec![0; BLOCK as usize];
        let torn = (self.end.verdict == Verdict::Torn
            && self.end.segment < self.files.segments.len())
        .then_some((self.end.segment, self.end.position));
        for (segment, offset) in self.end.leftovers.iter().copied().chain(torn) {
            let entry = &self.files.segments[segment];
            if offset + BLOCK <= entry.len && !wrong::is(Wrong::TornHeadersStay) {
                self.rewrite(disk, segment, |file| write_all_at(file, &zeros, offset, 1))?;
                touched.push(segment);
            }
        }
        if !sync || wrong::is(Wrong::TailNotSynced) {
            return Ok(());
        }
        let mut bytes = Vec::new();
        for (segment, offset, length) in self.unconfirmed.iter().copied() {
            bytes.resize(length as usize, 0);
            self.rewrite(disk, segment, |file| {
                if wrong::is(Wrong::TailNotWrittenAgain) {
                    return Ok(());
                }
                read_exact_at(file, &mut bytes, offset)?;
                write_all_at(file, &bytes, offset, 1)
            })?;
            touched.push(segment);
        }
        touched.sort_unstable();
        touched.dedup();
        for segment in touched {
            let path = &self.files.segments[segment].path;
            let file = disk
                .open(path, OpenMode::Write)
                .map_err(|e| Error::io("open a segment", path, &e))?;
            sync_file(&*file, "sync the tail", path)?;
        }
        Ok(())
    }

    fn rewrite(
        &self,
        disk: &Disk,
        segment: usize,
        work: impl FnOnce(&dyn crate::storage::File) -> std::io::Result<()>,
    ) -> Result<()> {
        let path = &self.files.segments[segment].path;
        disk.open(path, OpenMode::Write)
            .and_then(|file| work(&*file))
            .map_err(|e| Error::io("write the tail again", path, &e))
    }

    fn next_epoch(&self) -> u64 {
        let beyond = self.last.unwrap_or(0).max(self.end.highest_leftover);
        if wrong::is(Wrong::StartsAtTheFirstEpoch) {
            return 1;
        }
        match &self.files.state {
            None => beyond.saturating_add(1),
            Some(state) if state.clean || wrong::is(Wrong::NoEpochGap) => {
                state.next_epoch.max(beyond.saturating_add(1))
            }
            Some(state) => state
                .next_epoch
                .max(beyond.saturating_add(1))
                .saturating_add(EPOCH_GAP),
        }
    }

    fn newest_used(&self) -> Option<u64> {
        self.files.segments[..self.used]
            .iter()
            .filter(|s| s.version == Version::Two)
            .map(|s| s.generation)
            .next_back()
    }

    /// Deletes what is no part of the log any more: named segments without a
    /// group, retired ones, unfinished files.
    fn remove_unused(&self, disk: &Disk, names: &Names, sync: bool) -> Result<()> {
        let empty = &self.files.segments[self.used..];
        let any =
            !empty.is_empty() || !self.files.retired.is_empty() || !self.files.leftovers.is_empty();
        remove_files(disk, empty.iter().map(|s| &s.path))?;
        remove_files(disk, self.files.retired.iter())?;
        remove_files(disk, self.files.leftovers.iter())?;
        if any && sync {
            sync_dir(disk, names.dir())?;
        }
        Ok(())
    }
}

/// Gathers what opening wants to know along the walk.
struct TailWalk {
    unconfirmed: Vec<(usize, u64, u64)>,
    watermark: u64,
    last_is_mark: bool,
    clean: bool,
    used: usize,
    pos: u64,
    bytes: Vec<u64>,
}

impl TailWalk {
    fn group(&mut self, segment: usize, header: &GroupHeader) {
        if header.watermark > self.watermark {
            // Everything followed so far is at or below the epoch before this
            // header, which is what a watermark covers at most.
            self.watermark = header.watermark;
            if header.watermark >= header.previous_epoch {
                self.unconfirmed.clear();
            }
        }
        self.last_is_mark = header.kind == GroupKind::Mark;
        // A mark's own block may be in the page cache only, unless the state
        // was saved as clean after it.
        let in_doubt = match self.last_is_mark {
            true => !self.clean,
            false => header.epoch > self.watermark,
        };
        if in_doubt {
            self.unconfirmed
                .push((segment, header.position, header.length));
        }
        self.used = segment + 1;
        self.pos = header.position + header.length;
        self.bytes[segment] = self.pos;
    }
}

/// The segment, of those before `limit`, from which on the log must be
/// followed: everything before it is covered by the watermark of its first
/// header. At least `checked` bytes of the end are followed all the same.
pub(super) fn start_segment(files: &LogFiles, limit: usize, checked: u64) -> usize {
    let mut start = limit;
    let cheap = cheap_start(files, limit, checked);
    let saved = files.state.as_ref().map_or(0, |s| s.watermark);
    while start > 0 {
        start -= 1;
        let entry = &files.segments[start];
        let covers = match entry.version {
            // It carries no watermark, and was synced even in a session that
            // synced nothing else.
            Version::One => entry.first_epoch <= saved.saturating_add(1),
            Version::Two => GroupHeader::parse(&entry.head).is_ok_and(|(h, _)| {
                h.generation == entry.generation
                    && h.segment_epoch == entry.first_epoch
                    && h.watermark.max(saved) >= h.previous_epoch
            }),
        };
        if covers {
            return start.min(cheap);
        }
    }
    0
}

fn cheap_start(files: &LogFiles, limit: usize, checked: u64) -> usize {
    let mut bytes = 0u64;
    let mut start = limit;
    while start > 0 {
        bytes = bytes.saturating_add(files.segments[start - 1].len);
        if bytes > checked {
            break;
        }
        start -= 1;
    }
    start
}

fn live_segments(
    files: &LogFiles,
    used: usize,
    bytes: &[u64],
    last: Option<u64>,
) -> Vec<LiveSegment> {
    let mut live = Vec::new();
    for (index, entry) in files.segments[..used].iter().enumerate() {
        let last_epoch = match files.segments[..used].get(index + 1) {
            Some(next) => next.first_epoch.saturating_sub(1),
            None => last.unwrap_or(entry.first_epoch),
        };
        live.push(LiveSegment {
            path: entry.path.clone(),
            first_epoch: entry.first_epoch,
            last_epoch,
            generation: match entry.version {
                Version::One => 0,
                Version::Two => entry.generation,
            },
            size: entry.len,
            // Segments before the start of the walk are full.
            used: if bytes[index] > 0 {
                bytes[index]
            } else {
                entry.len
            },
        });
    }
    live
}
