//! A tail that is cut off, saved in a file of its own.

use super::rdlw::Exporter;
use super::records::SpoolRecord;
use crate::error::{ErrorKind, Result};
use crate::format::names::Names;
use crate::format::rdlw::Record;
use crate::log::Disk;
use std::path::PathBuf;

/// Writes the records that `next` gives, until it gives none, to a RDLW file
/// beside the log that nothing else uses: durable on return.
pub(super) fn save_tail(
    disk: &Disk,
    names: &Names,
    next: &mut dyn FnMut() -> Result<Vec<SpoolRecord>>,
) -> Result<PathBuf> {
    let (path, mut file) = new_file(disk, names)?;
    loop {
        let records = next()?;
        if records.is_empty() {
            break;
        }
        for record in &records {
            file.push(&Record {
                term: record.term,
                lsn: record.lsn,
                timestamp: record.timestamp_ms,
                payload: &record.payload,
            })?;
        }
    }
    file.finish().map_err(|e| match e.os_error() {
        // Nothing was asked of the disk yet, and the cut is not made.
        Some(libc::EMFILE | libc::ENFILE) => e.recast(ErrorKind::Io, "the tail's directory"),
        _ => e,
    })?;
    Ok(path)
}

/// A file under the first free name.
fn new_file(disk: &Disk, names: &Names) -> Result<(PathBuf, Exporter)> {
    let mut number = 1u64;
    loop {
        let path = names.beside(&format!("wal.cut-{number}"));
        match Exporter::create(disk, &path) {
            Err(e) if e.kind() == ErrorKind::Exists => number += 1,
            made => return Ok((path, made?)),
        }
    }
}
