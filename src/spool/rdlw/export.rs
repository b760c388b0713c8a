//! Making a RDLW file of records.

use super::new_file::NewFile;
use crate::error::{Error, ErrorKind, Result};
use crate::format::rdlw::{Record, envelope};
use crate::log::{Disk, sync_dir};
use std::path::Path;

/// Writes records to a new RDLW file of version 3 (the header of 33 bytes).
///
/// The file is written under a temporary name, synced, renamed, and the
/// directory synced: after a crash it is there whole, or not at all. Dropped
/// before [`Exporter::finish`] it leaves nothing.
#[derive(Debug)]
pub struct Exporter {
    file: NewFile,
    order: Order,
    records: u64,
    /// A write failed: what was written is short of something.
    broken: bool,
}

/// What was exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exported {
    /// How many records.
    pub records: u64,
    /// The file's length.
    pub bytes: u64,
}

impl Exporter {
    /// Errors: [`ErrorKind::Exists`] where there is a file of this name, which
    /// is never replaced; [`ErrorKind::Locked`] where someone else is writing
    /// it; [`ErrorKind::NotFound`] without the directory.
    pub fn create(disk: &Disk, path: &Path) -> Result<Exporter> {
        let mut file = NewFile::create(disk, path)?;
        file.refuse_existing()?;
        file.clear()?;
        Ok(Exporter {
            file,
            order: Order::default(),
            records: 0,
            broken: false,
        })
    }

    /// Adds a record. Errors: [`ErrorKind::Order`] where its LSN is not above
    /// the one before, [`ErrorKind::Fenced`] where its term is below,
    /// [`ErrorKind::TooLarge`] and [`ErrorKind::Invalid`] as the format has
    /// limits; a refused record leaves no byte behind. After an error of the
    /// file system nothing more can be done with it.
    pub fn push(&mut self, record: &Record<'_>) -> Result<()> {
        self.usable()?;
        let (header, crc) = envelope(record)?;
        self.order.check(record)?;
        self.broken = true;
        self.file.write(&header)?;
        self.file.write(record.payload)?;
        self.file.write(&crc.to_le_bytes())?;
        self.broken = false;
        self.order.took(record);
        self.records += 1;
        Ok(())
    }

    /// Gives the file its name; on success it is on stable storage.
    ///
    /// [`ErrorKind::OutcomeUnknown`]: the last sync failed; the file is there,
    /// but may be gone after a power loss. After any other error it is not.
    pub fn finish(self) -> Result<Exported> {
        self.usable()?;
        let exported = Exported {
            records: self.records,
            bytes: self.file.len(),
        };
        let (disk, dir) = self.file.place();
        self.file.finish()?;
        sync_dir(&disk, &dir).map_err(|e| {
            let so = "the file is written but may be gone after a power loss";
            e.recast(ErrorKind::OutcomeUnknown, so)
        })?;
        Ok(exported)
    }

    fn usable(&self) -> Result<()> {
        match self.broken {
            true => Err(Error::new(ErrorKind::Failed, "an earlier write failed")),
            false => Ok(()),
        }
    }
}

/// What the next record must be above.
#[derive(Clone, Copy, Debug, Default)]
struct Order {
    lsn: u64,
    term: u64,
}

impl Order {
    fn check(&self, record: &Record<'_>) -> Result<()> {
        if record.lsn <= self.lsn {
            let text = format!("LSN {} behind LSN {}", record.lsn, self.lsn);
            return Err(Error::new(ErrorKind::Order, text));
        }
        if record.term < self.term {
            let text = format!("term {} behind term {}", record.term, self.term);
            return Err(Error::new(ErrorKind::Fenced, text));
        }
        Ok(())
    }

    fn took(&mut self, record: &Record<'_>) {
        (self.lsn, self.term) = (record.lsn, record.term);
    }
}
