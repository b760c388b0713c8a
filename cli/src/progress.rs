//! A bar that says how far a log is read: on a terminal only, and gone before
//! anything else is shown.

use epochwal::storage::{File, LockMode, OpenMode, RealStorage, Storage};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressFinish, ProgressStyle};
use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Which of a data file's two logs is read.
#[derive(Clone, Copy)]
pub enum Log {
    Pages,
    Records,
}

impl Log {
    /// What stands between the data file's name and an epoch.
    fn segment(self) -> &'static str {
        match self {
            Log::Pages => "-wal-seg-",
            Log::Records => ".logical.wal-seg-",
        }
    }
}

/// A bar; hidden where it has no place.
pub struct Progress(ProgressBar);

impl Progress {
    /// For reading a log so many times. Segments have room left at their end, so
    /// this is the most that may have to be read.
    pub fn reading(log: Log, db: &Path, times: u64) -> Progress {
        let total = || bytes(log, db).unwrap_or(0) * times;
        let shown = "reading [{bar:32}] {binary_bytes} of at most {binary_total_bytes}";
        Progress::new(total, shown)
    }

    /// For a number of runs.
    pub fn steps(number: u64) -> Progress {
        let progress = Progress::new(|| number, "measuring [{bar:32}] run {pos} of {len}");
        progress.0.tick();
        progress
    }

    /// One run is over.
    pub fn step(&self) {
        self.0.inc(1);
    }

    fn new(total: impl Fn() -> u64, shown: &str) -> Progress {
        // Beside a pipe it would stand in the way of what reads that.
        if !(io::stdout().is_terminal() && io::stderr().is_terminal()) {
            return Progress(ProgressBar::hidden());
        }
        let target = ProgressDrawTarget::stderr();
        let bar = ProgressBar::with_draw_target(Some(total()), target);
        let style = ProgressStyle::with_template(shown).expect("a right template");
        bar.set_style(style.progress_chars("=> "));
        Progress(bar.with_finish(ProgressFinish::AndClear))
    }

    /// The disk to read from, so that it shows.
    pub fn disk(&self) -> Arc<dyn Storage> {
        match self.0.is_hidden() {
            true => Arc::new(RealStorage),
            false => Arc::new(Counted(self.0.clone())),
        }
    }

    /// Takes the bar away.
    pub fn done(self) {
        self.0.finish_and_clear();
    }
}

/// Bytes of a log's segments.
fn bytes(log: Log, db: &Path) -> io::Result<u64> {
    let db = RealStorage.resolve(db)?;
    let dir = db.parent().unwrap_or(Path::new(""));
    let mut begins = db.file_name().unwrap_or_default().to_os_string();
    begins.push(log.segment());
    let mut sum = 0;
    for name in RealStorage.list(dir)? {
        if name
            .as_encoded_bytes()
            .starts_with(begins.as_encoded_bytes())
        {
            sum += std::fs::metadata(dir.join(name)).map_or(0, |m| m.len());
        }
    }
    Ok(sum)
}

/// The disk, and a bar that moves with what is read of segments.
#[derive(Debug)]
struct Counted(ProgressBar);

impl Storage for Counted {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let file = RealStorage.open(path, mode)?;
        let name = path.file_name().unwrap_or_default();
        match name.to_string_lossy().contains("wal-seg-") {
            true => Ok(Arc::new(CountedFile(file, self.0.clone()))),
            false => Ok(file),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealStorage.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        RealStorage.remove(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        RealStorage.sync_dir(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        RealStorage.list(dir)
    }

    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        RealStorage.resolve(path)
    }
}

#[derive(Debug)]
struct CountedFile(Arc<dyn File>, ProgressBar);

impl File for CountedFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let read = self.0.read_at(buf, offset)?;
        self.1.inc(read as u64);
        Ok(read)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        self.0.write_at(buf, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.0.sync_all()
    }

    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn try_lock(&self, mode: LockMode, start: u64, len: u64) -> io::Result<bool> {
        self.0.try_lock(mode, start, len)
    }

    fn unlock(&self, start: u64, len: u64) -> io::Result<()> {
        self.0.unlock(start, len)
    }

    fn is_locked(&self, start: u64, len: u64) -> io::Result<bool> {
        self.0.is_locked(start, len)
    }
}
