//! A file written anew from its own records, the old one kept aside.

use super::new_file::{NewFile, dir_of};
use super::scan::{ScanOptions, Scanner};
use crate::error::{Error, Result};
use crate::format::rdlw::{Record, envelope};
use crate::log::{Disk, sync_dir};
use crate::storage::{OpenMode, read_exact_at};
use std::path::Path;

/// Bytes that are copied together.
const CHUNK: usize = 1 << 20;

/// Writes the records that a scan gives and `keeps` to a file of version 3 in
/// place of this one, after a copy of it was made at `aside`. Both are on stable
/// storage on return; after a crash the file is the one or the other, and whole.
pub(in crate::spool) fn rebuild(
    disk: &Disk,
    path: &Path,
    aside: &Path,
    options: ScanOptions,
    keeps: &dyn Fn(&Record<'_>) -> bool,
) -> Result<()> {
    copy(disk, path, aside)?;
    let mut new = NewFile::create(disk, path)?;
    new.clear()?;
    let mut scanner = Scanner::open(disk, path, options)?;
    while let Some(scanned) = scanner.next_record()? {
        if keeps(&scanned.record) {
            let (header, crc) = envelope(&scanned.record)?;
            new.write(&header)?;
            new.write(scanned.record.payload)?;
            new.write(&crc.to_le_bytes())?;
        }
    }
    new.finish()?;
    sync_dir(disk, dir_of(path))
}

fn copy(disk: &Disk, from: &Path, to: &Path) -> Result<()> {
    let fail = |e: std::io::Error| Error::io("copy", from, &e);
    let file = disk.open(from, OpenMode::Read).map_err(fail)?;
    let len = file.len().map_err(fail)?;
    let mut new = NewFile::create(disk, to)?;
    new.refuse_existing()?;
    new.clear()?;
    let mut buffer = vec![0; CHUNK.min(len as usize)];
    let mut at = 0;
    while at < len {
        let part = buffer.len().min((len - at) as usize);
        read_exact_at(&*file, &mut buffer[..part], at).map_err(fail)?;
        new.write(&buffer[..part])?;
        at += part as u64;
    }
    new.finish()?;
    sync_dir(disk, dir_of(to))
}
