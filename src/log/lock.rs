//! The lock file: who writes, who reads, and how far it is durable.
//!
//! Locks are open-file-description locks (fcntl(2)), so that two handles in
//! one process exclude each other as two processes do.
//!
//! | bytes of the lock file | meaning |
//! | --- | --- |
//! | lock on byte 0 | exclusive: the writer |
//! | lock on byte 16 + e and further | shared: a reader of segments that begin at epoch e or above |
//! | lock on bytes 16 to 16 + e | exclusive: segments that begin at or below epoch e are being retired |
//! | content 0..8 | durable epoch plus 1 while a writer lives; 0 while it opens |
//!
//! The content is a hint between living processes, never synced, and ignored
//! where byte 0 is not locked.

use super::Disk;
use crate::error::{Error, ErrorKind, Result};
use crate::storage::{File, LockMode, OpenMode, read_up_to, write_all_at};
use crate::wrong::{self, Wrong};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

const WRITER: (u64, u64) = (0, 1);
const READERS: (u64, u64) = (16, 0);
/// Retiring and opening take milliseconds; whoever takes this long hangs.
const PATIENCE: Duration = Duration::from_secs(10);

/// The writer's exclusive hold on a database.
#[derive(Debug)]
pub(crate) struct WriterLock {
    path: PathBuf,
    file: Arc<dyn File>,
}

impl WriterLock {
    /// Takes the lock, or says that another writer has it.
    pub(crate) fn take(disk: &Disk, path: &Path) -> Result<Self> {
        let fail = |what: &str, e: io::Error| Error::io(what, path, &e);
        let file = disk
            .open(path, OpenMode::WriteOrCreate)
            .map_err(|e| fail("open the lock file", e))?;
        let got = file
            .try_lock(LockMode::Exclusive, WRITER.0, WRITER.1)
            .map_err(|e| fail("lock", e))?;
        if !got && !wrong::is(Wrong::SecondWriterLetIn) {
            return Err(
                Error::new(ErrorKind::Locked, "another writer has this database open")
                    .in_file(path),
            );
        }
        let lock = WriterLock {
            path: path.to_path_buf(),
            file,
        };
        lock.publish_word(0)
            .map_err(|e| fail("write the lock file", e))?;
        Ok(lock)
    }

    /// Tells readers how far the log is durable. A hint: failing to give it
    /// only keeps them from the newest epochs.
    pub(crate) fn publish(&self, durable: Option<u64>) {
        let _ = self.publish_word(durable.map_or(1, |d| d.saturating_add(1)));
    }

    fn publish_word(&self, word: u64) -> io::Result<()> {
        write_all_at(&*self.file, &word.to_le_bytes(), 0, 1)
    }

    /// Runs `retire` while no reader holds a segment that begins at or below
    /// epoch `through`, and none can come. None: a reader does.
    pub(crate) fn without_readers<T>(
        &self,
        through: u64,
        retire: impl FnOnce() -> Result<T>,
    ) -> Result<Option<T>> {
        let fail = |what: &str, e: io::Error| Error::io(what, &self.path, &e);
        let len = through.saturating_add(1);
        let alone = self
            .file
            .try_lock(LockMode::Exclusive, READERS.0, len)
            .map_err(|e| fail("lock the segments", e))?;
        if !alone && !wrong::is(Wrong::ReadersHoldIgnored) {
            return Ok(None);
        }
        let result = retire();
        self.file
            .unlock(READERS.0, len)
            .map_err(|e| fail("unlock the segments", e))?;
        result.map(Some)
    }
}

impl Drop for WriterLock {
    /// Closing gives a lock back only once nobody has the descriptor any more,
    /// and a child that another thread is just spawning has it until it executes.
    fn drop(&mut self) {
        // Where this fails the close does it.
        let _ = self.file.unlock(0, 0);
    }
}

/// A reader's shared hold on the segments: while it lives none is reused.
#[derive(Debug)]
pub(crate) struct ReaderHold {
    path: PathBuf,
    file: Option<Arc<dyn File>>,
}

impl ReaderHold {
    /// Takes the hold. Where there is no lock file there has never been a
    /// writer of ours, and nothing is made.
    pub(crate) fn take(disk: &Disk, path: &Path) -> Result<Self> {
        let mut hold = ReaderHold {
            path: path.to_path_buf(),
            file: None,
        };
        hold.try_open(disk)?;
        Ok(hold)
    }

    fn try_open(&mut self, disk: &Disk) -> Result<()> {
        let file = match disk.open(&self.path, OpenMode::Read) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(Error::io("open the lock file", &self.path, &e)),
        };
        let begun = Instant::now();
        loop {
            let got = file
                .try_lock(LockMode::Shared, READERS.0, READERS.1)
                .map_err(|e| Error::io("lock the segments", &self.path, &e))?;
            if got {
                self.file = Some(file);
                return Ok(());
            }
            wait_a_little(begun, "segments are being retired", &self.path)?;
        }
    }

    /// Lets go of all segments that begin below `epoch`: they were not there.
    pub(crate) fn narrow(&self, epoch: u64) -> Result<()> {
        match &self.file {
            Some(file) if epoch > 0 => file
                .unlock(READERS.0, epoch)
                .map_err(|e| Error::io("unlock the segments", &self.path, &e)),
            _ => Ok(()),
        }
    }

    /// How far a living writer's log is durable: none where no writer lives,
    /// `Some(None)` where nothing is durable yet.
    pub(crate) fn live_durable(&mut self, disk: &Disk) -> Result<Option<Option<u64>>> {
        if self.file.is_none() {
            self.try_open(disk)?;
        }
        let Some(file) = &self.file else {
            return Ok(None);
        };
        let begun = Instant::now();
        loop {
            let locked = file
                .is_locked(WRITER.0, WRITER.1)
                .map_err(|e| Error::io("ask for the writer's lock", &self.path, &e))?;
            if !locked {
                return Ok(None);
            }
            let mut word = [0; 8];
            let got = read_up_to(&**file, &mut word, 0)
                .map_err(|e| Error::io("read the lock file", &self.path, &e))?;
            match u64::from_le_bytes(word) {
                0 => wait_a_little(begun, "a writer is opening the log", &self.path)?,
                _ if got < 8 => wait_a_little(begun, "a writer is opening the log", &self.path)?,
                word => return Ok(Some(word.checked_sub(2).map(|d| d + 1))),
            }
        }
    }
}

/// Whether a writer lives. Takes no lock.
pub(crate) fn writer_lives(disk: &Disk, path: &Path) -> Result<bool> {
    match disk.open(path, OpenMode::Read) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(Error::io("open the lock file", path, &e)),
        Ok(file) => file
            .is_locked(WRITER.0, WRITER.1)
            .map_err(|e| Error::io("ask for the writer's lock", path, &e)),
    }
}

/// A lock of another process has no condition to wait on that would not block
/// for ever with it, so it is asked again.
fn wait_a_little(begun: Instant, what: &str, path: &Path) -> Result<()> {
    if begun.elapsed() > PATIENCE {
        return Err(Error::new(ErrorKind::Locked, what).in_file(path));
    }
    std::thread::sleep(Duration::from_millis(1));
    Ok(())
}
