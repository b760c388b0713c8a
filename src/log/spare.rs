//! Files prepared ahead of the roll: written out with zeros and synced, so
//! that a group's write changes neither size nor extents and its sync has no
//! metadata to carry.

use super::Disk;
use super::segment_file::Style;
use super::state_file::sync_file;
use crate::error::{Error, ErrorKind, Result};
use crate::format::group::{BLOCK, GROUP_HEADER, GroupHeader, HeaderError};
use crate::format::names::Names;
use crate::format::state::State;
use crate::storage::{File, OpenMode, read_up_to, uninterrupted, write_all_at};
use crate::sync::{AtomicU64, Mutex, Ordering::Relaxed, thread};
use crate::wrong::{self, Wrong};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Spares kept: one for the next roll, one for the roll after a checkpoint.
const KEEP: usize = 2;

/// A file that can become a segment: of its full size, written and synced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Spare {
    pub(crate) path: PathBuf,
    pub(crate) size: u64,
}

/// The spares of one log.
#[derive(Debug)]
pub(crate) struct SparePool {
    disk: Disk,
    names: Names,
    style: Style,
    sync: bool,
    /// No threads: see [`Knobs`](super::Knobs).
    pub(super) in_line: bool,
    next: AtomicU64,
    ready: Arc<Mutex<Vec<Spare>>>,
    job: Mutex<Option<thread::JoinHandle<()>>>,
}

impl SparePool {
    /// None yet.
    pub(crate) fn new(disk: Disk, names: Names, style: Style, sync: bool) -> SparePool {
        SparePool {
            disk,
            names,
            style,
            sync,
            in_line: false,
            next: AtomicU64::new(1),
            ready: Arc::new(Mutex::new(Vec::new())),
            job: Mutex::new(None),
        }
    }

    /// Takes over the spares that stand beside a log in this state; what is
    /// too many, or can't become a segment of it, is removed.
    pub(crate) fn take_over(&mut self, found: &[(u64, PathBuf)], state: &State) -> Result<()> {
        let mut ready = self.ready.lock();
        for (number, path) in found {
            self.next.fetch_max(number + 1, Relaxed);
            let file = self
                .disk
                .open(path, OpenMode::Write)
                .map_err(|e| Error::io("open a spare", path, &e))?;
            let size = file
                .len()
                .map_err(|e| Error::io("measure a spare", path, &e))?;
            let fits = size >= BLOCK && size.is_multiple_of(BLOCK);
            if ready.len() < KEEP && fits && is_blank(&*file, path, state)? {
                if self.sync {
                    // It may have been made by a session without syncs.
                    sync_file(&*file, "sync a spare", path)?;
                }
                ready.push(Spare {
                    path: path.clone(),
                    size,
                });
            } else {
                self.disk
                    .remove(path)
                    .map_err(|e| Error::io("remove a spare", path, &e))?;
            }
        }
        Ok(())
    }

    /// How many are ready.
    pub(crate) fn ready(&self) -> usize {
        self.ready.lock().len()
    }

    /// Starts preparing a spare of `size` on a thread of its own, unless one
    /// is ready or on its way. Failing is no harm: the roll prepares its own.
    pub(crate) fn prepare_ahead(&self, size: u64) {
        let mut job = self.job.lock();
        if job.as_ref().is_some_and(|j| !j.is_finished())
            || self.ready.lock().iter().any(|s| s.size >= size)
        {
            return;
        }
        if let Some(done) = job.take() {
            let _ = done.join();
        }
        let (disk, names, style, sync) =
            (self.disk.clone(), self.names.clone(), self.style, self.sync);
        let number = self.next.fetch_add(1, Relaxed);
        let ready = self.ready.clone();
        let work = move || {
            if let Ok(spare) = create(&disk, &names, number, size, style, sync) {
                ready.lock().push(spare);
            }
        };
        if self.in_line {
            return work();
        }
        *job = thread::Builder::new()
            .name("epochwal-spare".into())
            .spawn(work)
            .ok();
    }

    /// Waits for a preparation under way.
    pub(crate) fn settle(&self) {
        if let Some(job) = self.job.lock().take() {
            let _ = job.join();
        }
    }

    /// A spare of at least `need` bytes: a ready one of at least `size`, or one
    /// made now. Where the disk has no room for that, a smaller one that will
    /// do: a short segment is better than none.
    pub(crate) fn take(&self, need: u64, size: u64) -> Result<Spare> {
        self.settle();
        let size = size.max(need);
        if let Some(spare) = self.take_ready(size) {
            return Ok(spare);
        }
        let mut size = size;
        loop {
            let number = self.next.fetch_add(1, Relaxed);
            let made = create(&self.disk, &self.names, number, size, self.style, self.sync);
            match made {
                Err(e) if e.kind() == ErrorKind::NoSpace => {
                    if let Some(spare) = self.take_ready(need) {
                        return Ok(spare);
                    }
                    let smaller = (size / 2).next_multiple_of(BLOCK).max(need);
                    if smaller >= size {
                        return Err(e);
                    }
                    size = smaller;
                }
                made => return made,
            }
        }
    }

    /// The smallest ready spare of at least `size` bytes.
    fn take_ready(&self, size: u64) -> Option<Spare> {
        let mut ready = self.ready.lock();
        let fits = ready.iter().enumerate().filter(|(_, s)| s.size >= size);
        let (index, _) = fits.min_by_key(|(_, s)| s.size)?;
        Some(ready.remove(index))
    }

    /// Puts a spare back that was taken and not used.
    pub(crate) fn put_back(&self, spare: Spare) {
        self.ready.lock().push(spare);
    }

    /// Removes the smallest spare where there are enough and it is smaller than
    /// one that could be kept in its place.
    fn make_way(&self, size: u64) -> Result<()> {
        let mut ready = self.ready.lock();
        if ready.len() < KEEP {
            return Ok(());
        }
        let smallest = ready.iter().enumerate().min_by_key(|(_, s)| s.size);
        if let Some((index, _)) = smallest.filter(|(_, s)| s.size < size) {
            let path = ready.remove(index).path;
            self.disk
                .remove(&path)
                .map_err(|e| Error::io("remove a spare", &path, &e))?;
        }
        Ok(())
    }

    /// Takes in a file that was a segment, unless there are enough. The caller
    /// syncs the directory.
    pub(crate) fn take_in(&self, path: &Path, size: u64) -> Result<bool> {
        if size == 0 {
            return Ok(false);
        }
        self.make_way(size)?;
        if self.ready() >= KEEP {
            return Ok(false);
        }
        let number = self.next.fetch_add(1, Relaxed);
        let spare = self.names.spare(number);
        self.disk
            .rename(path, &spare)
            .map_err(|e| Error::io("rename a segment to a spare", path, &e))?;
        self.ready.lock().push(Spare { path: spare, size });
        Ok(true)
    }
}

impl Drop for SparePool {
    fn drop(&mut self) {
        self.settle();
    }
}

/// Whether what a file begins with is nothing to a log in this state: no group,
/// or one that it has retired. Without syncs a power failure may lose the word
/// that a segment was retired, and not its new name: under a segment's name
/// again it would be taken for a misplaced one. And what a newer format has left
/// would be taken for a segment of it.
fn is_blank(file: &dyn File, path: &Path, state: &State) -> Result<bool> {
    let mut head = [0; GROUP_HEADER];
    let len = read_up_to(file, &mut head, 0).map_err(|e| Error::io("read a spare", path, &e))?;
    Ok(match GroupHeader::parse(&head[..len]) {
        Ok((header, _)) => {
            header.log_id == state.log_id && header.generation <= state.retired_generation
        }
        Err(HeaderError::Version(3..) | HeaderError::Flags(_)) => false,
        Err(_) => true,
    })
}

/// Makes a spare under a temporary name, so that a file named as a spare is
/// always whole: what is written with O_DSYNC later syncs only itself.
fn create(
    disk: &Disk,
    names: &Names,
    number: u64,
    size: u64,
    style: Style,
    sync: bool,
) -> Result<Spare> {
    let tmp = names.tmp(number);
    let made = write_zeros(disk, &tmp, size, style, sync).and_then(|()| {
        let path = names.spare(number);
        disk.rename(&tmp, &path)
            .map_err(|e| Error::io("rename a new file to a spare", &tmp, &e))?;
        Ok(Spare { path, size })
    });
    if made.is_err() {
        // Gives the space back; at worst the next open does.
        let _ = disk.remove(&tmp);
    }
    made
}

fn write_zeros(disk: &Disk, path: &Path, size: u64, style: Style, sync: bool) -> Result<()> {
    let fail = |what: &str, e: std::io::Error| Error::io(what, path, &e);
    let file = disk
        .open(path, OpenMode::WriteOrCreate)
        .map_err(|e| fail("make a segment file", e))?;
    // Filling writes decide the size of the page-cache folios, and large ones
    // make later small buffered writes dear; direct writes do not care.
    let step = match style {
        Style::Direct => 1 << 20,
        Style::Buffered => BLOCK as usize,
    };
    let zeros = vec![0; step];
    let mut at = 0;
    while at < size {
        let n = (size - at).min(step as u64);
        write_all_at(&*file, &zeros[..n as usize], at, 1)
            .map_err(|e| fail("fill a segment file", e))?;
        at += n;
    }
    if sync && !wrong::is(Wrong::SpareNotSynced) {
        // Not final: the file is thrown away, and the next try makes a new one.
        uninterrupted(|| file.sync_all()).map_err(|e| fail("sync a new segment file", e))?;
    }
    Ok(())
}
