//! Writing the slot store: a journal of frames in a file that was filled with
//! zeros ahead of time, so that a save needs neither space nor a change of the
//! file's size, and a file that was cut shows it.
//!
//! A save is one write and one sync. When the file is full a new one takes its
//! place: written, synced, renamed, the directory synced.

use super::load::{Ending, Reading, read};
use crate::error::{Error, Result};
use crate::format::slot_journal::{FRAME_HEAD, FrameKind, FrameWriter, Meta, Slot};
use crate::log::{Disk, heals, sync_dir, sync_failed};
use crate::storage::{File, OpenMode, uninterrupted, write_all_at};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes of a new file beyond three times its base.
const ROOM: u64 = 64 << 10;
const BLOCK: u64 = 4096;

/// What is saved beside the slots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) topology: u64,
    pub(super) generation: u64,
    pub(super) quorum_lsn: u64,
}

impl Bounds {
    fn of(meta: &Meta) -> Bounds {
        Bounds {
            topology: meta.topology_bound,
            generation: meta.generation_bound,
            quorum_lsn: meta.quorum_lsn,
        }
    }
}

/// Figures of a store, since it was opened.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct StoreCounts {
    pub(super) saves: u64,
    pub(super) bytes: u64,
    pub(super) compactions: u64,
}

/// Where a store is.
#[derive(Clone, Debug)]
pub(super) struct Files {
    pub(super) disk: Disk,
    pub(super) path: PathBuf,
    /// The log whose slots it has.
    pub(super) log_id: [u8; 16],
}

impl Files {
    fn beside(&self, suffix: &str) -> PathBuf {
        let mut name: OsString = self.path.clone().into_os_string();
        name.push(suffix);
        name.into()
    }

    fn dir(&self) -> &Path {
        match self.path.parent() {
            Some(dir) if !dir.as_os_str().is_empty() => dir,
            _ => Path::new("."),
        }
    }

    fn fail(&self, what: &str, error: &io::Error) -> Error {
        Error::io(&format!("{what} the slot store"), &self.path, error)
    }
}

/// A slot store open for writing. One thread at a time.
#[derive(Debug)]
pub(super) struct Store {
    files: Files,
    file: Arc<dyn File>,
    len: u64,
    end: u64,
    sequence: u64,
    bounds: Bounds,
    /// The file's name is durable.
    named: bool,
    /// A mark could not be written: nothing that was promised is lost, and
    /// nothing more is promised.
    failed: Option<Error>,
    pub(super) counts: StoreCounts,
}

/// What an open found.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) store: Store,
    pub(super) slots: Vec<Slot>,
    /// Bytes of a save that a crash cut short.
    pub(super) torn_bytes: u64,
    /// What was damaged or lost was given up.
    pub(super) salvaged: bool,
    /// Where the damaged file was left.
    pub(super) aside: Option<PathBuf>,
}

/// What to do where there is no store.
pub(super) enum Missing<'a> {
    /// There was one: it is lost.
    IsLost,
    /// There never was: it is made with these.
    Import(&'a mut dyn FnMut() -> Result<Vec<Slot>>),
}

/// The error of a store that was there and is not any more.
pub(crate) fn is_lost(path: &Path) -> Error {
    let what = "slot store: missing, but the log had one; to go on without its slots, \
                open the primary with salvage_slots";
    Error::corrupt(what).in_file(path)
}

impl Store {
    /// Opens the store, or makes it. What it found is durable on return.
    pub(super) fn open(files: Files, missing: Missing<'_>, salvage: bool) -> Result<Opened> {
        let Some(reading) = read(&files.disk, &files.path)? else {
            let (slots, lost) = match missing {
                Missing::Import(import) => (import()?, false),
                Missing::IsLost if salvage => (Vec::new(), true),
                Missing::IsLost => return Err(is_lost(&files.path)),
            };
            let mut opened = Self::make(files, slots, 0, Bounds::default())?;
            opened.salvaged = lost;
            return Ok(opened);
        };
        let foreign = reading.meta.log_id != files.log_id;
        let damaged = matches!(reading.ending, Ending::Corrupt(_));
        if salvage && (damaged || foreign) {
            let aside = keep_copy(&files)?;
            let bounds = Bounds::of(&reading.meta);
            let slots = reading.slots.into_values().collect();
            let mut opened = Self::make(files, slots, reading.sequence, bounds)?;
            opened.salvaged = true;
            opened.aside = Some(aside);
            return Ok(opened);
        }
        let reading = reading.sound()?;
        if foreign {
            let what = "slot store: of another log than the one beside it";
            return Err(Error::corrupt(what).at(&files.path, 24));
        }
        Self::go_on(files, reading)
    }

    fn make(files: Files, slots: Vec<Slot>, sequence: u64, bounds: Bounds) -> Result<Opened> {
        let mut base = FrameWriter::new(FrameKind::Base);
        slots.iter().for_each(|s| base.put(s));
        let (file, len, end) = make_file(&files, base, sequence + 1, bounds)?;
        let mut store = Store {
            files,
            file,
            len,
            end,
            sequence: sequence + 1,
            bounds,
            named: false,
            failed: None,
            counts: StoreCounts::default(),
        };
        rename_into_place(&store.files)?;
        store.sync_name()?;
        Ok(Opened {
            store,
            slots,
            torn_bytes: 0,
            salvaged: false,
            aside: None,
        })
    }

    /// Writes and syncs again what may be in the page cache only, and clears
    /// what a save that was cut short has left.
    fn go_on(files: Files, reading: Reading) -> Result<Opened> {
        let file = files
            .disk
            .open(&files.path, OpenMode::Write)
            .map_err(|e| files.fail("open", &e))?;
        let write = |bytes: &[u8], at| {
            write_all_at(&*file, bytes, at, 1).map_err(|e| files.fail("write", &e))
        };
        let mut torn_bytes = 0;
        if let Some((at, frame)) = &reading.unconfirmed {
            write(frame, *at)?;
        }
        if let Ending::Torn(torn) = &reading.ending {
            torn_bytes = torn.end - torn.start;
            write(&vec![0; torn_bytes as usize], torn.start)?;
        }
        if reading.unconfirmed.is_some() || torn_bytes > 0 {
            uninterrupted(|| file.sync_all())
                .map_err(|e| sync_failed("sync the slot store", &files.path, &e))?;
        }
        sync_dir(&files.disk, files.dir())?;
        let store = Store {
            file,
            len: reading.meta.file_len,
            end: reading.end,
            sequence: reading.sequence,
            bounds: Bounds::of(&reading.meta),
            named: true,
            failed: None,
            counts: StoreCounts::default(),
            files,
        };
        Ok(Opened {
            store,
            slots: reading.slots.into_values().collect(),
            torn_bytes,
            salvaged: false,
            aside: None,
        })
    }

    /// What was saved last beside the slots.
    pub(super) fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// Saves what has changed; durable on return. Where the file is full all
    /// slots go to a new one: `all` adds them as they were before the changes.
    ///
    /// An error that [`heals`] leaves the store as it was; after any other it
    /// must not be used any more.
    pub(super) fn save(
        &mut self,
        changes: &FrameWriter,
        bounds: Bounds,
        all: impl FnOnce(&mut FrameWriter),
    ) -> Result<()> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        if !self.named {
            self.sync_name()?;
        }
        if changes.len() as u64 <= self.len - self.end {
            let mut frame = FrameWriter::new(FrameKind::Changes);
            frame.append(changes);
            let bytes = frame.finish(self.sequence + 1, &self.meta(bounds));
            self.write(&bytes)?;
            uninterrupted(|| self.file.sync_data())
                .map_err(|e| sync_failed("sync the slot store", &self.files.path, &e))?;
            self.sequence += 1;
            self.end += bytes.len() as u64;
            self.counts.bytes += bytes.len() as u64;
        } else {
            let mut base = FrameWriter::new(FrameKind::Base);
            all(&mut base);
            base.append(changes);
            let bytes = base.len();
            self.replace(base, bounds)?;
            self.counts.compactions += 1;
            self.counts.bytes += bytes as u64;
        }
        self.bounds = bounds;
        self.counts.saves += 1;
        self.mark();
        Ok(())
    }

    fn meta(&self, bounds: Bounds) -> Meta {
        meta(&self.files, self.len, bounds)
    }

    fn write(&self, bytes: &[u8]) -> Result<()> {
        write_all_at(&*self.file, bytes, self.end, 1).map_err(|e| self.files.fail("write", &e))
    }

    /// Says behind a save that it is durable, so that damage to it can be told
    /// from a save that was cut short. Not synced, and the next save is written
    /// over it: a crash may lose the one and keep the other.
    fn mark(&mut self) {
        if self.len - self.end < FRAME_HEAD as u64 {
            return;
        }
        let mark = FrameWriter::new(FrameKind::Mark);
        let bytes = mark.finish(self.sequence + 1, &self.meta(self.bounds));
        match self.write(&bytes) {
            Err(e) if !heals(&e) => self.failed = Some(e),
            Ok(()) | Err(_) => {}
        }
    }

    fn replace(&mut self, base: FrameWriter, bounds: Bounds) -> Result<()> {
        let (file, len, end) = make_file(&self.files, base, self.sequence + 1, bounds)?;
        rename_into_place(&self.files)?;
        self.named = false;
        self.file = file;
        // Full till its name is durable: whoever is told that this save failed
        // must find the next one without it.
        (self.len, self.end) = (len, len);
        self.sequence += 1;
        self.sync_name()?;
        self.end = end;
        Ok(())
    }

    fn sync_name(&mut self) -> Result<()> {
        sync_dir(&self.files.disk, self.files.dir())?;
        self.named = true;
        Ok(())
    }
}

fn rename_into_place(files: &Files) -> Result<()> {
    let tmp = files.beside("-tmp");
    files.disk.rename(&tmp, &files.path).map_err(|e| {
        let error = files.fail("rename", &e);
        match heals(&error) {
            // It has not happened.
            true => error,
            // Nobody knows which file has the name.
            false => error.lasting(),
        }
    })
}

fn meta(files: &Files, file_len: u64, bounds: Bounds) -> Meta {
    Meta {
        log_id: files.log_id,
        file_len,
        topology_bound: bounds.topology,
        generation_bound: bounds.generation,
        quorum_lsn: bounds.quorum_lsn,
    }
}

/// Makes a file with this base under the temporary name, zeros behind it, and
/// syncs it. Gives its length and the end of the base.
fn make_file(
    files: &Files,
    base: FrameWriter,
    sequence: u64,
    bounds: Bounds,
) -> Result<(Arc<dyn File>, u64, u64)> {
    let tmp = files.beside("-tmp");
    match files.disk.remove(&tmp) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            return Err(files.fail("remove a leftover of", &e));
        }
        Ok(()) | Err(_) => {}
    }
    let file = files
        .disk
        .open(&tmp, OpenMode::CreateNew)
        .map_err(|e| files.fail("make", &e))?;
    let end = base.len() as u64;
    let len = (3 * end + ROOM).next_multiple_of(BLOCK);
    let mut bytes = base.finish(sequence, &meta(files, len, bounds));
    bytes.resize(len as usize, 0);
    write_all_at(&*file, &bytes, 0, 1).map_err(|e| files.fail("write", &e))?;
    uninterrupted(|| file.sync_all()).map_err(|e| sync_failed("sync the slot store", &tmp, &e))?;
    Ok((file, len, end))
}

/// Copies the store, as it is, to a free name.
fn keep_copy(files: &Files) -> Result<PathBuf> {
    let from = files
        .disk
        .open(&files.path, OpenMode::Read)
        .map_err(|e| files.fail("open", &e))?;
    let (to, aside) = (1..)
        .map(|n| files.beside(&format!(".salvaged-{n}")))
        .find_map(|name| match files.disk.open(&name, OpenMode::CreateNew) {
            Ok(file) => Some(Ok((file, name))),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => None,
            Err(e) => Some(Err(files.fail("copy", &e))),
        })
        .expect("a directory has fewer files than numbers")?;
    let mut chunk = vec![0; 1 << 20];
    let mut at = 0;
    loop {
        let n = crate::storage::read_up_to(&*from, &mut chunk, at)
            .map_err(|e| files.fail("read", &e))?;
        if n == 0 {
            break;
        }
        write_all_at(&*to, &chunk[..n], at, 1).map_err(|e| files.fail("copy", &e))?;
        at += n as u64;
    }
    uninterrupted(|| to.sync_all()).map_err(|e| sync_failed("sync the copy", &aside, &e))?;
    Ok(aside)
}

/// What a log without a primary must know of its slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Saved {
    /// Nothing above it may be pruned; none where no valid slot holds anything.
    pub floor: Option<u64>,
    /// The log must not be truncated below it.
    pub quorum_lsn: u64,
}

/// Reads from the store at `path` what it holds; none where there is no store.
#[doc(hidden)]
pub fn saved(disk: &Disk, path: &Path) -> Result<Option<Saved>> {
    let Some(reading) = read(disk, path)? else {
        return Ok(None);
    };
    let reading = reading.sound()?;
    Ok(Some(Saved {
        floor: floor(reading.slots.values()),
        quorum_lsn: reading.meta.quorum_lsn,
    }))
}

/// The lowest LSN that a valid slot stands at.
pub(crate) fn floor<'a>(slots: impl IntoIterator<Item = &'a Slot>) -> Option<u64> {
    let valid = slots.into_iter().filter(|s| s.is_valid());
    valid.map(|s| s.restart_lsn).min()
}
