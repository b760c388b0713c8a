//! A file that gets its name once it is whole and synced.

use crate::error::{Error, ErrorKind, Result};
use crate::log::{Disk, sync_file};
use crate::storage::{File, LockMode, OpenMode, write_all_at};
use crate::wrong::{self, Wrong};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes that are written together.
const CHUNK: usize = 1 << 20;

/// Being written under a temporary name, which goes with it where it is not
/// finished. What a crash leaves of one is overwritten by the next.
#[derive(Debug)]
pub(super) struct NewFile {
    disk: Disk,
    tmp: PathBuf,
    target: PathBuf,
    file: Arc<dyn File>,
    buffer: Vec<u8>,
    written: u64,
    /// All of it is synced.
    settled: bool,
    named: bool,
}

impl NewFile {
    /// Errors: [`ErrorKind::Locked`] where someone else is writing the same
    /// file, [`ErrorKind::NotFound`] without the directory.
    pub(super) fn create(disk: &Disk, target: &Path) -> Result<NewFile> {
        let tmp = tmp_of(target);
        let file = disk
            .open(&tmp, OpenMode::WriteOrCreate)
            .map_err(|e| Error::io_or_missing("open", &tmp, &e))?;
        // The lock goes with `file`.
        match file.try_lock(LockMode::Exclusive, 0, 0) {
            Ok(true) => {}
            Ok(false) => {
                let text = "the file is being written by someone else";
                return Err(Error::new(ErrorKind::Locked, text).in_file(&tmp));
            }
            Err(e) => return Err(Error::io("lock", &tmp, &e)),
        }
        Ok(NewFile {
            disk: disk.clone(),
            tmp,
            target: target.to_path_buf(),
            file,
            buffer: Vec::new(),
            written: 0,
            settled: false,
            named: false,
        })
    }

    /// Drops what a crash has left under the temporary name.
    pub(super) fn clear(&self) -> Result<()> {
        let cut = self.file.set_len(0);
        cut.map_err(|e| Error::io("truncate", &self.tmp, &e))
    }

    /// An error where the file has its name already. To be asked behind
    /// [`NewFile::create`]: who had the lock before may have finished just
    /// then, and what was opened is the finished file.
    pub(super) fn refuse_existing(&mut self) -> Result<()> {
        let e = match self.disk.open(&self.target, OpenMode::Read) {
            Ok(_) => Error::new(ErrorKind::Exists, "there is a file already").in_file(&self.target),
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(e) => Error::io("open", &self.target, &e),
        };
        Err(e)
    }

    /// Adds bytes at the end.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        if self.buffer.len() + bytes.len() > CHUNK {
            self.flush()?;
        }
        if bytes.len() >= CHUNK {
            return self.put(bytes);
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let result = self.put(&buffer);
        buffer.clear();
        self.buffer = buffer;
        result
    }

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        write_all_at(&*self.file, bytes, self.written, 1)
            .map_err(|e| Error::io("write", &self.tmp, &e))?;
        self.written += bytes.len() as u64;
        self.settled = false;
        Ok(())
    }

    /// Writes and syncs all of it.
    pub(super) fn settle(&mut self) -> Result<()> {
        self.flush()?;
        if !self.settled && !wrong::is(Wrong::NamedBeforeSynced) {
            sync_file(&*self.file, "sync", &self.tmp)?;
        }
        self.settled = true;
        Ok(())
    }

    /// Syncs it and gives it its name, replacing what has it. That the name
    /// lasts is up to a sync of the directory.
    pub(super) fn finish(mut self) -> Result<Arc<dyn File>> {
        self.settle()?;
        self.disk
            .rename(&self.tmp, &self.target)
            .map_err(|e| Error::io("rename", &self.tmp, &e))?;
        self.named = true;
        // Nobody waits for it any more; it would only keep others out.
        let _ = self.file.unlock(0, 0);
        Ok(self.file.clone())
    }

    /// The disk and directory to sync once it is finished.
    pub(super) fn place(&self) -> (Disk, PathBuf) {
        (self.disk.clone(), dir_of(&self.target).to_path_buf())
    }

    /// Its length so far.
    pub(super) fn len(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.named {
            let _ = self.disk.remove(&self.tmp);
        }
    }
}

/// The directory of a file, never empty.
pub(super) fn dir_of(path: &Path) -> &Path {
    match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    }
}

/// The temporary name, one of those that an open of the spool deletes.
fn tmp_of(target: &Path) -> PathBuf {
    let mut name = OsString::from(target.as_os_str());
    name.push("-tmp-0000000000000000");
    name.into()
}
