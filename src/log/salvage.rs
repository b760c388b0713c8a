//! Salvage: what is damaged and all beyond it is moved aside, so that the log
//! opens with what lies before. Nothing is deleted.

use super::Disk;
use super::files::{LogFiles, Version};
use super::state_file::{StateFile, sync_dir, sync_file};
use super::walk::{End, Step, Walker};
use crate::error::{Error, ErrorKind, Result};
use crate::format::group::{BLOCK, GroupHeader, GroupKind};
use crate::format::lost::LostRange;
use crate::format::names::Names;
use crate::format::record::MAX_LSN;
use crate::format::state::State;
use crate::storage::{OpenMode, read_up_to, write_all_at};
use std::path::{Path, PathBuf};

/// Moves the damaged part aside and cuts the log before it; gives the files
/// moved or copied. A log that is not corrupt is left alone, and so is one of
/// a newer format. Run again after a crash it goes on.
pub(super) fn salvage(disk: &Disk, names: &Names) -> Result<Vec<PathBuf>> {
    let mut moved = Vec::new();
    let (files, rebuilt) = match LogFiles::list(disk, names) {
        Ok(files) => (files, false),
        Err(e) if e.kind() == ErrorKind::Corrupt => (rebuild_state(disk, names, &mut moved)?, true),
        Err(e) => return Err(e),
    };
    // An open deletes what the state file calls retired; one who salvages has
    // reason to doubt it.
    for path in &files.retired {
        rename_aside(disk, names, path, &mut moved)?;
    }
    let mut walker = Walker::new(disk.clone(), files, None);
    if rebuilt {
        walker.order.rebuild();
    }
    let mut kept = 0;
    let mut newest = None;
    let end = loop {
        match walker.step(true)? {
            Step::Group(group) => {
                kept = group.segment + 1;
                newest = Some(group.header.generation);
            }
            Step::Epoch(_, index) => kept = index + 1,
            Step::End(end) => break *end,
        }
    };
    if !rebuilt && !matches!(&end.error(), Some(e) if e.kind() == ErrorKind::Corrupt) {
        return Ok(moved);
    }
    let state = match walker.files.state.clone() {
        Some(state) => state,
        None => State::new(names.kind(), super::identity::random_id()?, [0; 16]),
    };
    // Before the first file moves: after a crash in between the numbers go on
    // all the same, and what is missing is missed.
    let next = highest_claim(&walker.files, &state, &end).saturating_add(1);
    let records = names.kind() == GroupKind::Records;
    let after = walker.order.highest.max(state.records.pruned_through);
    let known = end.lsns_beyond.map_or(0, |(_, high)| high);
    // No LSN is given twice, whoever has a record that was moved aside: not
    // even where no more is known than that something is damaged.
    let lost = LostRange {
        after,
        through: match end.error() {
            Some(_) => state.highest_seq.max(known).max(after.saturating_add(1)),
            None => state.highest_seq,
        }
        .min(MAX_LSN),
    };
    let listed = walker.files.segments.iter().map(|s| s.generation).max();
    let mut file = StateFile::open(disk, &names.state(), state, true)?;
    file.save(|s| {
        s.next_epoch = s.next_epoch.max(next);
        s.clean = false;
        if records {
            s.highest_seq = s.highest_seq.max(lost.through);
            s.records.lost.add(lost);
        }
        if rebuilt {
            s.newest_generation = s.newest_generation.max(listed.unwrap_or(0));
        }
    })?;
    sync_dir(disk, names.dir())?;
    move_aside(disk, names, &walker.files, kept, &mut moved)?;
    let cut = (end.segment < kept).then_some((end.segment, end.position));
    if let Some((segment, offset)) = cut {
        cut_segment(disk, names, &walker.files, segment, offset, &mut moved)?;
    }
    let last = walker.last();
    let assigned = walker.chain.assigned;
    file.save(|s| {
        match records {
            true => s.records.terms = walker.order.terms.clone(),
            false => s.highest_seq = assigned.unwrap_or(s.highest_seq),
        }
        s.newest_generation = newest.unwrap_or(s.retired_generation);
        // Lowered, never raised: the tail is confirmed by the open.
        s.watermark = s.watermark.min(last.unwrap_or(0));
    })?;
    Ok(moved)
}

/// What was in lost files is not known; no session between two looks at a log
/// comes near this many epochs beyond what is left of it.
const SALVAGE_GAP: u64 = 1 << 20;

/// No epoch that was ever seen may be given out again.
fn highest_claim(files: &LogFiles, state: &State, end: &End) -> u64 {
    let names = files.segments.iter().map(|s| s.first_epoch).max();
    state
        .watermark
        .max(state.newest_epoch)
        .max(end.highest_leftover)
        .max(names.unwrap_or(0))
        .saturating_add(SALVAGE_GAP)
}

/// A state from what the segments say, for a log whose state file is gone.
fn rebuild_state(disk: &Disk, names: &Names, moved: &mut Vec<PathBuf>) -> Result<LogFiles> {
    let blank = State::new(names.kind(), [0; 16], [0; 16]);
    let files = LogFiles::list_with_state(disk, names, Some(blank))?;
    let first = files
        .segments
        .iter()
        .filter(|s| s.version == Version::Two)
        .filter_map(|s| GroupHeader::parse(&s.head).ok())
        // A generation out of range would make a state that is not valid.
        .find(|(header, _)| header.generation < 1 << 62);
    let old = names.state();
    if disk.open(&old, OpenMode::Read).is_ok() {
        rename_aside(disk, names, &old, moved)?;
    }
    // Prepared files may hold groups of the identity that is gone.
    for (_, spare) in &files.spares {
        disk.remove(spare)
            .map_err(|e| Error::io("remove a spare", spare, &e))?;
    }
    let mut state = State::new(names.kind(), super::identity::random_id()?, [0; 16]);
    if let Some((header, _)) = first {
        state.log_id = header.log_id;
        state.retired_generation = header.generation.saturating_sub(1);
        state.newest_generation = state.retired_generation;
        state.floor = (header.previous_epoch > 0).then_some(header.previous_epoch);
        state.retired_epoch = 0;
    }
    LogFiles::list_with_state(disk, names, Some(state))
}

/// Keeps a copy of the segment as it is, then clears it from `offset` on.
fn cut_segment(
    disk: &Disk,
    names: &Names,
    files: &LogFiles,
    segment: usize,
    offset: u64,
    moved: &mut Vec<PathBuf>,
) -> Result<()> {
    let entry = &files.segments[segment];
    let path = &entry.path;
    let copy = free_name(disk, names, path)?;
    let fail = |what: &str, path: &Path, e: std::io::Error| Error::io(what, path, &e);
    let from = disk
        .open(path, OpenMode::Write)
        .map_err(|e| fail("open a segment", path, e))?;
    let to = disk
        .open(&copy, OpenMode::CreateNew)
        .map_err(|e| fail("make a copy", &copy, e))?;
    let mut chunk = vec![0; 1 << 20];
    let mut at = 0;
    loop {
        let n = read_up_to(&*from, &mut chunk, at).map_err(|e| fail("read a segment", path, e))?;
        if n == 0 {
            break;
        }
        write_all_at(&*to, &chunk[..n], at, 1).map_err(|e| fail("write a copy", &copy, e))?;
        at += n as u64;
    }
    sync_file(&*to, "sync a copy", &copy)?;
    sync_dir(disk, names.dir())?;
    moved.push(copy);
    let zeros = vec![0; BLOCK as usize];
    let mut pos = offset;
    while pos < entry.len {
        let n = (entry.len - pos).min(BLOCK) as usize;
        write_all_at(&*from, &zeros[..n], pos, 1).map_err(|e| fail("clear a segment", path, e))?;
        pos += n as u64;
    }
    // A file that was cut short gets its size back.
    if let Ok((header, _)) = GroupHeader::parse(&entry.head)
        && header.segment_size > entry.len
        && header.segment_size - entry.len <= 1 << 32
    {
        from.set_len(header.segment_size)
            .map_err(|e| fail("restore a segment's size", path, e))?;
    }
    sync_file(&*from, "sync a segment", path)
}

/// Moves the segments from `kept` on aside. What is damaged goes last, once
/// all beyond it are gone for good: nothing tells of a version 1 file that is
/// not there, so a crash in between would leave a log that reads well, with a
/// gap. (The cut of a segment that is kept comes after this for that reason.)
fn move_aside(
    disk: &Disk,
    names: &Names,
    files: &LogFiles,
    kept: usize,
    moved: &mut Vec<PathBuf>,
) -> Result<()> {
    if let Some((damaged, beyond)) = files.segments[kept..].split_first() {
        for entry in beyond {
            rename_aside(disk, names, &entry.path, moved)?;
        }
        sync_dir(disk, names.dir())?;
        rename_aside(disk, names, &damaged.path, moved)?;
    }
    sync_dir(disk, names.dir())
}

fn rename_aside(disk: &Disk, names: &Names, path: &Path, moved: &mut Vec<PathBuf>) -> Result<()> {
    let aside = free_name(disk, names, path)?;
    disk.rename(path, &aside)
        .map_err(|e| Error::io("move a file aside", path, &e))?;
    moved.push(aside);
    Ok(())
}

fn free_name(disk: &Disk, names: &Names, path: &Path) -> Result<PathBuf> {
    for n in 1.. {
        let name = names.salvaged(path, n);
        match disk.open(&name, OpenMode::Read) {
            Ok(_) => {}
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(name),
            Err(e) => return Err(Error::io("look for a free name", &name, &e)),
        }
    }
    unreachable!("a directory has fewer files than numbers")
}
