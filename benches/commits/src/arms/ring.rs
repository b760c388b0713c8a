//! A file of written blocks, used round and round. No log could be read back
//! from it: it shows what the disk allows, and nothing else.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use turns::text;

/// Bytes of the file: epochwal's default segment size.
const BYTES: u64 = 64 << 20;

pub struct Ring {
    file: File,
}

/// Where the next write goes.
#[derive(Default)]
pub struct Cursor(u64);

impl Cursor {
    /// Takes the place of a write of `len` bytes.
    pub fn take(&mut self, len: usize) -> u64 {
        let len = len as u64;
        assert!(len <= BYTES, "a group larger than the ring");
        if self.0 + len > BYTES {
            self.0 = 0;
        }
        let at = self.0;
        self.0 += len;
        at
    }
}

impl Ring {
    /// A ring for buffered writes. It is filled in small steps, because the
    /// filling writes decide the size of the page-cache folios, and large ones
    /// make later small writes dear.
    pub fn buffered(dir: &Path) -> Result<Ring, String> {
        Ring::make(dir, 4096, 0)
    }

    /// A ring whose writes are durable when they return.
    pub fn direct(dir: &Path) -> Result<Ring, String> {
        Ring::make(dir, 1 << 20, libc::O_DIRECT | libc::O_DSYNC)
    }

    fn make(dir: &Path, step: usize, flags: i32) -> Result<Ring, String> {
        let path = dir.join("ring");
        let mut file = File::create(&path).map_err(text)?;
        let zeros = vec![0; step];
        for _ in 0..BYTES / step as u64 {
            file.write_all(&zeros).map_err(text)?;
        }
        file.sync_all().map_err(text)?;
        File::open(dir).and_then(|d| d.sync_all()).map_err(text)?;
        let file = OpenOptions::new()
            .write(true)
            .custom_flags(flags)
            .open(path)
            .map_err(text)?;
        Ok(Ring { file })
    }

    pub fn write(&self, bytes: &[u8], at: u64) -> Result<(), String> {
        self.file.write_all_at(bytes, at).map_err(text)
    }

    pub fn sync(&self) -> Result<(), String> {
        self.file.sync_data().map_err(text)
    }
}
