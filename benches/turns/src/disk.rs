//! The block device's own count of flushes.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Position of the completed flushes in a device's `stat` file.
const FLUSHES: usize = 15;

/// The device under a directory; none where the file system hides it.
pub struct Disk {
    sys: Option<PathBuf>,
}

impl Disk {
    pub fn of(dir: &Path) -> Result<Disk, String> {
        let dev = fs::metadata(dir)
            .map_err(|e| format!("{}: {e}", dir.display()))?
            .dev();
        let name = format!("{}:{}", libc::major(dev), libc::minor(dev));
        let sys = Path::new("/sys/dev/block").join(name);
        // Flushes belong to the whole disk: a partition's count stays 0.
        let sys = match sys.canonicalize() {
            Ok(part) if part.join("partition").exists() => part.parent().map(Path::to_path_buf),
            Ok(whole) => Some(whole),
            Err(_) => None,
        };
        Ok(Disk { sys })
    }

    /// Flushes since boot, everyone's.
    pub fn flushes(&self) -> Option<u64> {
        let stat = fs::read_to_string(self.sys.as_ref()?.join("stat")).ok()?;
        stat.split_whitespace().nth(FLUSHES)?.parse().ok()
    }

    /// The device in words, for the head of a report.
    pub fn describe(&self) -> String {
        let Some(sys) = &self.sys else {
            return "no block device of its own: flushes can't be counted".into();
        };
        let queue = |name| {
            let text = fs::read_to_string(sys.join("queue").join(name)).unwrap_or_default();
            text.trim().to_owned()
        };
        let name = sys.file_name().unwrap_or_default().to_string_lossy();
        let fua = if queue("fua") == "1" {
            " with FUA (a write through is no flush then)"
        } else {
            ""
        };
        format!("{name}, {}{fua}", queue("write_cache"))
    }
}
