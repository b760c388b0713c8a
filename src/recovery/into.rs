//! Recovery into a map of pages, and into a database file.

use super::report::{RecoveryReport, Verdict};
use super::stream::Recovery;
use super::{RecoveryOptions, real};
use crate::batch::Frame;
use crate::error::{Error, Result};
use crate::format::names::Names;
use crate::log::{Disk, LogFiles, WriterLock, cleanup_locked, names_of};
use crate::storage::{File, OpenMode, uninterrupted, write_all_at};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// Pages by number, with the image of the highest commit sequence.
#[derive(Clone, Debug, Default)]
pub struct PageMap {
    /// Page number to (commit sequence, image).
    pub pages: BTreeMap<u32, (u64, Vec<u8>)>,
    /// Database size in pages from the last committing frame; 0 where none
    /// said. Pages above it were cut off by the transaction that said it.
    pub db_size: u32,
}

/// Recovers into a map of pages. Needs memory for all of them.
pub fn recover_into_map(
    db_path: &Path,
    options: &RecoveryOptions,
) -> Result<(PageMap, RecoveryReport)> {
    recover_into_map_on(real(), db_path, options)
}

/// [`recover_into_map`] on a given storage.
pub fn recover_into_map_on(
    disk: Disk,
    db_path: &Path,
    options: &RecoveryOptions,
) -> Result<(PageMap, RecoveryReport)> {
    let mut stream = Recovery::open_on(disk, db_path, options)?;
    let mut map = PageMap::default();
    while let Some(batch) = stream.next_batch()? {
        for frame in &batch.frames {
            let entry = map.pages.entry(frame.page_number).or_default();
            if batch.commit_seq >= entry.0 {
                *entry = (batch.commit_seq, frame.data.to_vec());
            }
        }
    }
    let report = stream.report().clone();
    map.db_size = report.db_size;
    Ok((map, report))
}

/// Recovers into a database file: page n at offset (n-1) x `page_size`. The
/// file is synced, and set to the size of the last `db_size_if_commit`. Where it
/// is missing it is made, unless the log has no pages: then nothing is touched.
///
/// Each page gets the image with the highest commit sequence, for which some 30
/// bytes of memory are needed per page, beside 17 MiB. Every frame must be
/// `page_size` bytes (1 to 65536). The whole log is checked before the first
/// byte is written, so a corrupt log or a wrong page size leaves the file as it
/// was; a failure to write leaves a part of the pages, and doing it again mends
/// that. With `delete_segments` the writer's lock is held throughout; of a
/// corrupt log (durable prefix) nothing is deleted. Nobody else may use the file
/// meanwhile.
pub fn recover_into_file(
    db_path: &Path,
    target: &Path,
    page_size: u32,
    options: &RecoveryOptions,
) -> Result<RecoveryReport> {
    recover_into_file_on(real(), db_path, target, page_size, options)
}

/// [`recover_into_file`] on a given storage.
pub fn recover_into_file_on(
    disk: Disk,
    db_path: &Path,
    target: &Path,
    page_size: u32,
    options: &RecoveryOptions,
) -> Result<RecoveryReport> {
    if !(1..=65_536).contains(&page_size) {
        return Err(Error::invalid(format!(
            "page_size: {page_size} is not within 1 and 65536"
        )));
    }
    let names = names_of(&disk, db_path)?;
    refuse_own_files(&disk, &names, target)?;
    let lock = match options.delete_segments {
        true => Some(WriterLock::take(&disk, &names.lock())?),
        false => None,
    };
    let stream = |options: &RecoveryOptions| match &lock {
        Some(_) => Recovery::alone(disk.clone(), LogFiles::list(&disk, &names)?, options),
        None => Recovery::open_on(disk.clone(), db_path, options),
    };
    let mut checked = stream(options)?;
    while let Some(batch) = checked.next_batch()? {
        for frame in &batch.frames {
            check_size(frame, page_size)?;
        }
    }
    if options.verify_only {
        return Ok(checked.report().clone());
    }
    let report = checked.report().clone();
    drop(checked);
    if report.records == 0 {
        // Nothing to recover: a target that is not there stays so.
        delete_segments(lock.as_ref(), &report, &disk, &names)?;
        return Ok(report);
    }
    let file = disk
        .open(target, OpenMode::WriteOrCreate)
        .map_err(|e| Error::io("open the target", target, &e))?;
    let mut pages = PageFile::new(&*file, target, page_size);
    let mut stream = stream(options)?;
    while let Some(batch) = stream.next_batch()? {
        for frame in &batch.frames {
            // Beside a writer this pass may see more than the one before.
            check_size(frame, page_size)?;
            pages.put(batch.commit_seq, frame.page_number, frame.data)?;
        }
    }
    let report = stream.report().clone();
    drop(stream);
    pages.finish(&disk, report.db_size)?;
    delete_segments(lock.as_ref(), &report, &disk, &names)?;
    Ok(report)
}

/// The log must not be written over with what is recovered from it.
fn refuse_own_files(disk: &Disk, names: &Names, target: &Path) -> Result<()> {
    let resolved = disk
        .resolve(target)
        .map_err(|e| Error::io("resolve the target", target, &e))?;
    let beside = resolved.parent() == Some(names.dir());
    let own = resolved
        .file_name()
        .is_some_and(|name| names.classify(name).is_some());
    if beside && own {
        return Err(Error::invalid("target: is a file of the log itself").in_file(target));
    }
    Ok(())
}

fn check_size(frame: &Frame<'_>, page_size: u32) -> Result<()> {
    if frame.data.len() == page_size as usize {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "page_size: page {} has {} bytes in the log, not {page_size}",
        frame.page_number,
        frame.data.len()
    )))
}

/// Deletes what was recovered; of a log that is corrupt nothing, since what
/// lies beyond the damage was not.
fn delete_segments(
    lock: Option<&WriterLock>,
    report: &RecoveryReport,
    disk: &Disk,
    names: &Names,
) -> Result<()> {
    match lock {
        Some(lock) if report.verdict != Verdict::Corrupt => {
            cleanup_locked(disk, names, lock).map(drop)
        }
        _ => Ok(()),
    }
}

/// Bytes of pages that are held back to be written in page order.
const HELD: usize = 16 << 20;
/// Bytes of neighbouring pages that are written at once: what the processor's
/// cache still has, and the file system takes in folios that are not too large.
const RUN: usize = 256 << 10;

/// The target. Pages are held back and written in runs, because a write of
/// each by itself costs more than the bytes do.
struct PageFile<'a> {
    file: &'a dyn File,
    path: &'a Path,
    page_size: u32,
    /// The commit sequence of the image that each page has.
    newest: HashMap<u32, u64>,
    /// Images, and which page each is of, in the order of their arrival.
    held: Vec<u8>,
    numbers: Vec<u32>,
    /// What is held is one run of neighbours as it came.
    in_order: bool,
    /// Neighbouring pages on their way.
    run: Vec<u8>,
}

impl<'a> PageFile<'a> {
    fn new(file: &'a dyn File, path: &'a Path, page_size: u32) -> Self {
        PageFile {
            file,
            path,
            page_size,
            newest: HashMap::new(),
            held: Vec::new(),
            numbers: Vec::new(),
            in_order: true,
            run: Vec::new(),
        }
    }

    fn put(&mut self, commit_seq: u64, page_number: u32, data: &[u8]) -> Result<()> {
        let newest = self.newest.entry(page_number).or_insert(commit_seq);
        if commit_seq < *newest {
            return Ok(());
        }
        *newest = commit_seq;
        let before = self.numbers.last().copied();
        self.in_order &= before.is_none_or(|before| page_number.checked_sub(1) == Some(before));
        self.numbers.push(page_number);
        self.held.extend_from_slice(data);
        // What comes in order gains nothing by waiting, and is still in the cache.
        let enough = if self.in_order { RUN } else { HELD };
        match self.held.len() < enough {
            true => Ok(()),
            false => self.write_held(),
        }
    }

    /// Writes what is held, each page's last image.
    fn write_held(&mut self) -> Result<()> {
        let size = self.page_size as usize;
        let last: BTreeMap<u32, usize> = self.numbers.drain(..).zip(0..).collect();
        let mut run = 0..0;
        let mut images = Vec::new();
        for (number, index) in last {
            if number != run.end || (images.len() + 1) * size > RUN {
                self.write_run(run.start, &images)?;
                images.clear();
                run.start = number;
            }
            run.end = number.saturating_add(1);
            images.push(index);
        }
        self.write_run(run.start, &images)?;
        self.held.clear();
        self.in_order = true;
        Ok(())
    }

    /// Writes neighbouring pages from `first` on, whose images are given.
    fn write_run(&mut self, first: u32, images: &[usize]) -> Result<()> {
        let size = self.page_size as usize;
        let (Some(start), Some(end)) = (images.first(), images.last()) else {
            return Ok(());
        };
        let bytes = if images.windows(2).all(|pair| pair[1] == pair[0] + 1) {
            // As they came: nothing needs gathering.
            &self.held[start * size..(end + 1) * size]
        } else {
            self.run.clear();
            for index in images {
                self.run
                    .extend_from_slice(&self.held[index * size..][..size]);
            }
            &self.run
        };
        let offset = u64::from(first - 1) * u64::from(self.page_size);
        write_all_at(self.file, bytes, offset, 1)
            .map_err(|e| Error::io("write the target", self.path, &e).at(self.path, offset))
    }

    fn finish(&mut self, disk: &Disk, db_size: u32) -> Result<()> {
        self.write_held()?;
        let fail = |what: &str, e: std::io::Error| Error::io(what, self.path, &e);
        if db_size > 0 {
            self.file
                .set_len(u64::from(db_size) * u64::from(self.page_size))
                .map_err(|e| fail("set the target's size", e))?;
        }
        uninterrupted(|| self.file.sync_all()).map_err(|e| fail("sync the target", e))?;
        // The storage takes an empty path for the current directory.
        let parent = self.path.parent().unwrap_or(Path::new(""));
        uninterrupted(|| disk.sync_dir(parent)).map_err(|e| fail("sync the target's directory", e))
    }
}
