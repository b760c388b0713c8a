//! Everything that epochwal asks of a file system, behind one trait.
//!
//! Two implementations: [`RealStorage`], the operating system's; and, with
//! the `sim` feature, a simulated disk that loses what was not synced and
//! fails on demand. No other module opens, reads, writes or syncs a file.
//!
//! Calls mirror the system calls below them: they may fail, fall short or be
//! interrupted, and the callers must stand it. Paths are used as given.

mod fork;
mod real;
#[cfg(feature = "sim")]
pub mod sim;

pub use fork::fork_generation;
pub use real::RealStorage;

use crate::error::is_no_space;
use crate::wrong::{self, Wrong};
use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// Read only; it must exist.
    Read,
    /// Read and write; it must exist.
    Write,
    /// Read and write; created where it is missing.
    WriteOrCreate,
    /// Read and write; an error where it exists.
    CreateNew,
    /// Write through: `O_DIRECT|O_DSYNC`. Offsets, lengths and buffers must be
    /// multiples of 4096; a completed write is durable. It must exist.
    DirectSync,
}

/// Which lock is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockMode {
    /// Held by any number of files at once.
    Shared,
    /// Held by one.
    Exclusive,
}

/// A directory of files.
pub trait Storage: Send + Sync + std::fmt::Debug {
    /// Opens a file. Descriptors are close-on-exec.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>>;
    /// Renames, replacing the target. Durable after [`Storage::sync_dir`].
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Unlinks a file. Durable after [`Storage::sync_dir`].
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes the directory's entries durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// The names in a directory, in any order.
    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>>;
    /// The path with its directory resolved (symbolic links, `..`), and the
    /// last part too where it is an existing link.
    fn resolve(&self, path: &Path) -> io::Result<std::path::PathBuf>;
}

/// An open file. Positions are explicit, so threads may share it. The last
/// reference closes it and gives back its locks.
#[allow(clippy::len_without_is_empty)]
pub trait File: Send + Sync + std::fmt::Debug {
    /// Reads at `offset`; fewer bytes than asked for at will, 0 at the end.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes at `offset`; fewer bytes than asked for at will.
    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize>;
    /// `fdatasync`: the data, and the metadata needed to read it back.
    fn sync_data(&self) -> io::Result<()>;
    /// `fsync`: data and all metadata.
    fn sync_all(&self) -> io::Result<()>;
    /// The length in bytes.
    fn len(&self) -> io::Result<u64>;
    /// Cuts or extends the file.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Tries to take an open-file-description lock on `len` bytes from
    /// `start` (`len` 0: to the end of time). False: someone else holds it.
    fn try_lock(&self, mode: LockMode, start: u64, len: u64) -> io::Result<bool>;
    /// Gives back a lock taken by [`File::try_lock`].
    fn unlock(&self, start: u64, len: u64) -> io::Result<()>;
    /// Whether another open file holds an exclusive lock in the range.
    fn is_locked(&self, start: u64, len: u64) -> io::Result<bool>;
}

/// Reads exactly `buf.len()` bytes, absorbing interruptions and short reads.
/// An early end of the file is `UnexpectedEof`.
pub fn read_exact_at(file: &dyn File, mut buf: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !buf.is_empty() {
        match file.read_at(buf, offset) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => {
                buf = &mut buf[n..];
                offset += n as u64;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// Reads until `buf` is full or the file ends; gives the bytes read.
pub fn read_up_to(file: &dyn File, buf: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut done = 0;
    while done < buf.len() {
        match file.read_at(&mut buf[done..], offset + done as u64) {
            Ok(0) => break,
            Ok(n) => done += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(done)
}

/// Runs a sync again while a signal interrupts it, which it may on network and
/// user-space file systems; an interrupted sync has lost nothing yet.
pub fn uninterrupted(mut sync: impl FnMut() -> io::Result<()>) -> io::Result<()> {
    loop {
        match sync() {
            Err(_) if wrong::is(Wrong::SecondSyncTrusted) => return sync(),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {
                if wrong::is(Wrong::InterruptedSyncTrusted) {
                    return Ok(());
                }
            }
            result => return result,
        }
    }
}

/// Writes all of `buf`, absorbing interruptions and short writes. With
/// `align` above 1 a short write goes on from the last whole unit, as direct
/// I/O wants it. A write of nothing is `WriteZero`.
pub fn write_all_at(file: &dyn File, buf: &[u8], offset: u64, align: usize) -> io::Result<()> {
    let mut done = 0;
    let mut stuck = 0;
    while done < buf.len() {
        match file.write_at(&buf[done..], offset + done as u64) {
            Ok(_) if wrong::is(Wrong::ShortWriteTrusted) => return Ok(()),
            Ok(n) => {
                let whole = n / align * align;
                // A disk that takes less than a unit again and again takes nothing.
                stuck = if whole == 0 { stuck + 1 } else { 0 };
                if stuck > 8 {
                    return Err(io::ErrorKind::WriteZero.into());
                }
                done += if done + n == buf.len() { n } else { whole };
            }
            Err(e) if is_no_space(&e) && wrong::is(Wrong::NoSpaceCountsAsWritten) => return Ok(()),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}
