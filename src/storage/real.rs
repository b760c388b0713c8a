//! The operating system's files (Linux).

use super::fork;
use super::{File, LockMode, OpenMode, Storage};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicI32;

/// The operating system's file system.
///
/// After a `fork` the files of the parent are closed in the child, and every
/// call on one fails there with `EBADF`; the child may open files of its own.
#[derive(Debug, Default)]
pub struct RealStorage;

impl Storage for RealStorage {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let mut options = fs::OpenOptions::new();
        options.read(true).write(mode != OpenMode::Read);
        match mode {
            OpenMode::Read | OpenMode::Write | OpenMode::DirectSync => {}
            OpenMode::WriteOrCreate => _ = options.create(true),
            OpenMode::CreateNew => _ = options.create_new(true),
        }
        let direct = match mode {
            OpenMode::DirectSync => libc::O_DIRECT | libc::O_DSYNC,
            _ => 0,
        };
        // Without O_NONBLOCK a pipe in the file's place would block forever.
        options.custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY | direct);
        let file = Descriptor::open(&options, path)?;
        let kind = file.get()?.metadata()?.file_type();
        if kind.is_dir() {
            return Err(io::Error::from_raw_os_error(libc::EISDIR));
        }
        if !kind.is_file() {
            let text = "not a regular file";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        Ok(Arc::new(RealFile(file)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut options = fs::OpenOptions::new();
        options.read(true).custom_flags(libc::O_DIRECTORY);
        RealFile(Descriptor::open(&options, or_here(dir))?).sync_all()
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        fs::read_dir(or_here(dir))?
            .map(|entry| Ok(entry?.file_name()))
            .collect()
    }

    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        resolve(path, 0)
    }
}

/// As many links as Linux follows.
const MAX_LINKS: u32 = 40;

fn resolve(path: &Path, depth: u32) -> io::Result<PathBuf> {
    let Some(name) = path.file_name() else {
        return resolve(&path.join("db"), depth);
    };
    match path.canonicalize() {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let dir = or_here(path.parent().unwrap_or(Path::new(""))).canonicalize()?;
            let path = dir.join(name);
            // A link whose target is not there yet will lead there.
            match fs::read_link(&path) {
                Ok(target) if depth < MAX_LINKS => resolve(&dir.join(target), depth + 1),
                Ok(_) => Err(io::Error::from_raw_os_error(libc::ELOOP)),
                Err(_) => Ok(path),
            }
        }
        resolved => resolved,
    }
}

/// The directory of a bare file name is the current one.
fn or_here(dir: &Path) -> &Path {
    if dir.as_os_str().is_empty() {
        Path::new(".")
    } else {
        dir
    }
}

/// An open descriptor of one process: in the fork table as long as it is
/// open, and out of use in a forked child, where the table closed it and its
/// number may be another file's by now.
#[derive(Debug)]
struct Descriptor {
    file: ManuallyDrop<fs::File>,
    slot: &'static AtomicI32,
    generation: u32,
}

impl Descriptor {
    fn open(options: &fs::OpenOptions, path: &Path) -> io::Result<Self> {
        fork::register()?;
        let guard = fork::enter();
        let file = options.open(path)?;
        Ok(Descriptor {
            slot: fork::add(&guard, file.as_raw_fd()),
            file: ManuallyDrop::new(file),
            generation: fork::fork_generation(),
        })
    }

    /// The file, in the process that opened it.
    fn get(&self) -> io::Result<&fs::File> {
        if self.generation != fork::fork_generation() {
            return Err(io::Error::from_raw_os_error(libc::EBADF));
        }
        Ok(&self.file)
    }

    /// Sets or asks for an open-file-description lock; `lock` is read and
    /// written as `fcntl` says.
    fn lock(&self, command: libc::c_int, lock: &mut libc::flock) -> io::Result<()> {
        let fd = self.get()?.as_raw_fd();
        // SAFETY: `fd` is open, and the commands take a pointer to a flock.
        check(unsafe { libc::fcntl(fd, command, lock as *mut libc::flock) })
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        if self.get().is_err() {
            return;
        }
        let guard = fork::enter();
        fork::remove(&guard, self.slot);
        // SAFETY: dropped once, here.
        unsafe { ManuallyDrop::drop(&mut self.file) };
    }
}

/// An open file.
#[derive(Debug)]
struct RealFile(Descriptor);

impl File for RealFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.get()?.read_at(buf, offset)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        self.0.get()?.write_at(buf, offset)
    }

    // Both syncs bypass the standard library, which would try an interrupted
    // one again by itself; what an interruption means is the caller's to say.
    fn sync_data(&self) -> io::Result<()> {
        // SAFETY: the descriptor is open.
        check(unsafe { libc::fdatasync(self.0.get()?.as_raw_fd()) })
    }

    fn sync_all(&self) -> io::Result<()> {
        // SAFETY: the descriptor is open.
        check(unsafe { libc::fsync(self.0.get()?.as_raw_fd()) })
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.get()?.metadata()?.len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.get()?.set_len(len)
    }

    fn try_lock(&self, mode: LockMode, start: u64, len: u64) -> io::Result<bool> {
        let kind = match mode {
            LockMode::Shared => libc::F_RDLCK,
            LockMode::Exclusive => libc::F_WRLCK,
        };
        match self.0.lock(libc::F_OFD_SETLK, &mut range(kind, start, len)) {
            Ok(()) => Ok(true),
            Err(e) if matches!(e.raw_os_error(), Some(libc::EAGAIN | libc::EACCES)) => Ok(false),
            Err(e) => Err(e),
        }
    }

    fn unlock(&self, start: u64, len: u64) -> io::Result<()> {
        let mut lock = range(libc::F_UNLCK, start, len);
        self.0.lock(libc::F_OFD_SETLK, &mut lock)
    }

    fn is_locked(&self, start: u64, len: u64) -> io::Result<bool> {
        // Only an exclusive lock stands in the way of a shared one.
        let mut lock = range(libc::F_RDLCK, start, len);
        self.0.lock(libc::F_OFD_GETLK, &mut lock)?;
        Ok(lock.l_type != libc::F_UNLCK as libc::c_short)
    }
}

/// A range for `fcntl`. What ends beyond the largest offset ends nowhere.
fn range(kind: libc::c_int, start: u64, len: u64) -> libc::flock {
    let start = i64::try_from(start).unwrap_or(i64::MAX);
    let len = i64::try_from(len).unwrap_or(0);
    // SAFETY: a flock of zeros is valid: plain integers.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = kind as libc::c_short;
    lock.l_whence = libc::SEEK_SET as libc::c_short;
    lock.l_start = start;
    lock.l_len = if len > i64::MAX - start { 0 } else { len };
    lock
}

/// The error of a system call that gives -1 for one.
fn check(result: libc::c_int) -> io::Result<()> {
    if result == -1 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
