//! Letting segments go: checkpoint and cleanup.

use super::Disk;
use super::files::{LogFiles, remove};
use super::lock::WriterLock;
use super::policy::SyncPolicy;
use super::state_file::{StateFile, sync_dir};
use super::walk::{Step, Walker};
use super::writer::{LiveSegment, LogWriter, heals};
use crate::error::{Error, ErrorKind, Result};
use crate::format::group::GroupKind;
use crate::format::names::Names;
use crate::format::state::State;
use crate::storage::OpenMode;
use crate::wrong::{self, Wrong};
use std::path::PathBuf;

/// Files of segments that were let go and are not worth keeping. To remove a
/// large file takes long, and nobody needs to wait for it: the state says that
/// they are retired, so that nobody reads them, and the next open removes what
/// is left of them.
#[must_use]
#[derive(Debug)]
pub(crate) struct Gone {
    disk: Disk,
    dir: PathBuf,
    sync: bool,
    files: Vec<PathBuf>,
}

impl Gone {
    /// Removes them. The log may be closed by now, and opened by another.
    pub(crate) fn remove(self) -> Result<()> {
        for path in &self.files {
            remove(&self.disk, "remove a segment", path)?;
        }
        if self.sync && !self.files.is_empty() {
            sync_dir(&self.disk, &self.dir)?;
        }
        Ok(())
    }
}

impl LogWriter {
    /// Notes that epochs through `through` are safe elsewhere, and reuses the
    /// segments that hold nothing else, or gives them to be removed, unless a
    /// reader holds them. The state file says so before a file is touched.
    pub(crate) fn checkpoint(&mut self, through: u64) -> Result<Gone> {
        self.retire_through(through, 0, &|_| false)
    }

    /// As [`LogWriter::checkpoint`], where records through an LSN are no longer
    /// read, and segments that are in use by first epoch are not reused.
    pub(super) fn retire_through(
        &mut self,
        through: u64,
        pruned: u64,
        in_use: &dyn Fn(u64) -> bool,
    ) -> Result<Gone> {
        let more = u64::from(wrong::is(Wrong::RetiresOneEpochMore));
        let count = self
            .live
            .iter()
            .take_while(|s| s.last_epoch <= through + more)
            .count();
        let count = if self.named.is_some() { 0 } else { count };
        let lock = self.lock.clone();
        let newest = self.live[..count].last().map_or(0, |s| s.first_epoch);
        let done = lock.without_readers(newest, || self.retire(through, pruned, count, in_use));
        if let Some(gone) = done? {
            return Ok(gone);
        }
        self.state.save(|s| {
            s.floor = s.floor.max(Some(through));
            s.records.pruned_to(pruned);
        })?;
        Ok(self.nothing_gone())
    }

    pub(super) fn nothing_gone(&self) -> Gone {
        Gone {
            disk: self.disk.clone(),
            dir: self.names.dir().to_path_buf(),
            sync: self.options.policy != SyncPolicy::Off,
            files: Vec::new(),
        }
    }

    /// Tries again what a checkpoint left because a reader held it.
    pub(super) fn retire_what_readers_held(&mut self) -> Result<()> {
        let oldest = self.live.first().map(|s| s.last_epoch);
        let kind = self.names.kind();
        match (self.floor(), oldest) {
            (Some(floor), Some(oldest)) if oldest <= floor => {
                // Who reads records in this process is not asked here.
                let in_use = |_| kind == GroupKind::Records;
                match self
                    .retire_through(floor, 0, &in_use)
                    .and_then(Gone::remove)
                {
                    Err(e) if heals(&e) => Ok(()),
                    done => done,
                }
            }
            _ => Ok(()),
        }
    }

    fn retire(
        &mut self,
        through: u64,
        pruned: u64,
        count: usize,
        in_use: &dyn Fn(u64) -> bool,
    ) -> Result<Gone> {
        let gone: Vec<_> = self.live[..count].to_vec();
        if wrong::is(Wrong::RetiresBeforeSaving) {
            self.let_go(&gone, in_use)?.remove()?;
            self.save_retired(through, pruned, &gone)?;
            return Ok(self.nothing_gone());
        }
        self.save_retired(through, pruned, &gone)?;
        self.let_go(&gone, in_use)
    }

    fn save_retired(&mut self, through: u64, pruned: u64, gone: &[LiveSegment]) -> Result<()> {
        let newest = gone.iter().map(|s| s.generation).max().unwrap_or(0);
        let seq = self.highest_seq;
        let claims = self.claims();
        let durable = self.durable;
        self.state.save(|s| {
            s.floor = s.floor.max(Some(through));
            s.records.pruned_to(pruned);
            s.retired_generation = s.retired_generation.max(newest);
            if let Some(last) = gone.last() {
                s.retired_epoch = last.last_epoch.saturating_add(1);
            }
            s.highest_seq = s.highest_seq.max(seq);
            if claims {
                s.watermark = s.watermark.max(durable);
            }
        })
    }

    fn let_go(&mut self, retired: &[LiveSegment], in_use: &dyn Fn(u64) -> bool) -> Result<Gone> {
        if retired.len() == self.live.len() {
            self.active = None;
        }
        self.live.drain(..retired.len());
        let mut gone = self.nothing_gone();
        for segment in retired {
            // Oversize files and those of version 1 are not worth keeping.
            let keep = segment.generation > 0
                && segment.size <= self.options.segment_size
                && !in_use(segment.first_epoch);
            if !keep || !self.spares.take_in(&segment.path, segment.size)? {
                gone.files.push(segment.path.clone());
            }
        }
        // The new names, before they are used.
        if self.options.policy != SyncPolicy::Off && gone.files.len() < retired.len() {
            sync_dir(&self.disk, self.names.dir())?;
        }
        Ok(gone)
    }
}

fn nothing(files: &LogFiles) -> bool {
    files.segments.is_empty()
        && files.retired.is_empty()
        && files.spares.is_empty()
        && files.leftovers.is_empty()
}

/// Deletes all segments, the prepared files too; gives the number of segments.
/// Takes the writer's lock. Epoch numbers go on after the last.
pub(crate) fn cleanup(disk: &Disk, names: &Names) -> Result<usize> {
    let never_written = disk.open(&names.lock(), OpenMode::Read).is_err();
    if never_written && nothing(&LogFiles::list(disk, names)?) {
        return Ok(0);
    }
    let lock = WriterLock::take(disk, &names.lock())?;
    cleanup_locked(disk, names, &lock)
}

/// As [`cleanup`], under a lock that the caller holds.
pub(crate) fn cleanup_locked(disk: &Disk, names: &Names, lock: &WriterLock) -> Result<usize> {
    let removed = lock.without_readers(u64::MAX, || remove_all(disk, names))?;
    removed.ok_or_else(|| {
        Error::new(ErrorKind::Locked, "a reader holds the segments").in_file(&names.lock())
    })
}

fn remove_all(disk: &Disk, names: &Names) -> Result<usize> {
    let files = LogFiles::list(disk, names)?;
    if nothing(&files) {
        return Ok(0);
    }
    let mut walker = Walker::new(disk.clone(), files.clone(), None);
    let end = loop {
        match walker.step(true)? {
            Step::Group(_) | Step::Epoch(..) => {}
            Step::End(end) => break end,
        }
    };
    if let Some(error) = end.error() {
        return Err(error);
    }
    let last = walker.last();
    let state = match files.state.clone() {
        Some(state) => state,
        None => State::new(names.kind(), super::identity::random_id()?, [0; 16]),
    };
    let mut file = StateFile::open(disk, &names.state(), state, true)?;
    let beyond = end.highest_leftover.max(last.unwrap_or(0));
    let newest_seen = files.segments.iter().map(|s| s.generation).max();
    file.save(|s| {
        s.kind = names.kind();
        s.floor = s.floor.max(last);
        s.next_epoch = s.next_epoch.max(beyond.saturating_add(1));
        s.retired_generation = s.newest_generation.max(newest_seen.unwrap_or(0));
        s.newest_generation = s.retired_generation;
        s.retired_epoch = s
            .retired_epoch
            .max(
                files
                    .segments
                    .last()
                    .map_or(0, |s| s.first_epoch.saturating_add(1)),
            )
            .max(beyond.saturating_add(1));
        s.highest_seq = s.highest_seq.max(walker.highest_seq);
        if names.kind() == GroupKind::Records {
            s.records.pruned_to(s.highest_seq);
            s.records.terms = walker.order.terms.clone();
        }
        s.watermark = s.watermark.max(last.unwrap_or(0));
    })?;
    let dir = names.dir();
    sync_dir(disk, dir)?;
    let segments = files.segments.iter().map(|s| &s.path).chain(&files.retired);
    let others = files.spares.iter().map(|(_, p)| p).chain(&files.leftovers);
    let count = files.segments.len() + files.retired.len();
    for path in segments.chain(others) {
        remove(disk, "remove a segment", path)?;
    }
    sync_dir(disk, dir)?;
    Ok(count)
}
