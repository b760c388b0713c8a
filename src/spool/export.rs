//! Writing a spool's records to a RDLW file, for software that reads those.

use super::rdlw::{Exported, Exporter};
use super::records::Gathered;
use super::{ReadLimit, Spool, SpoolReader};
use crate::error::Result;
use crate::format::rdlw;
use crate::log::Disk;
use crate::storage::RealStorage;
use std::path::Path;
use std::sync::Arc;

/// What is read at once.
const PAGE: ReadLimit = ReadLimit {
    records: 1000,
    bytes: 1 << 20,
};

impl Spool {
    /// Writes the durable records, from the oldest to the last of now, to a new
    /// RDLW file of version 3: on stable storage on return, or not there. Appends
    /// go on meanwhile.
    ///
    /// [`ErrorKind::Exists`](crate::ErrorKind::Exists) where there is such a file,
    /// [`ErrorKind::WalRemoved`](crate::ErrorKind::WalRemoved) and
    /// [`ErrorKind::Diverged`](crate::ErrorKind::Diverged) where a prune or a cut
    /// came meanwhile: export again. Blocks on reads, writes and syncs.
    pub fn export_rdlw(&self, path: &Path) -> Result<Exported> {
        if let Some(core) = self.live()? {
            core.check_may_block()?;
        }
        let disk: Disk = match &self.shared.disk {
            Some((disk, _)) => disk.clone(),
            None => Arc::new(RealStorage),
        };
        let bounds = self.bounds();
        let mut file = Exporter::create(&disk, path)?;
        let (mut at, mut behind, mut place) = (bounds.pruned_through, None, None);
        while at < bounds.current_lsn {
            let mut page = Gathered::behind(behind, PAGE);
            self.shared.gather(at, &mut place, &mut page)?;
            let Some(last) = page.records.last() else {
                break;
            };
            (at, behind) = (last.lsn, Some((last.term, last.lsn)));
            let of_now = page.records.iter();
            for record in of_now.take_while(|r| r.lsn <= bounds.current_lsn) {
                file.push(&rdlw::Record {
                    term: record.term,
                    lsn: record.lsn,
                    timestamp: record.timestamp_ms,
                    payload: &record.payload,
                })?;
            }
        }
        file.finish()
    }
}

impl SpoolReader {
    /// Writes the records that it has still to give to a new RDLW file of version
    /// 3: on stable storage on return, or not there. Errors are those of
    /// [`SpoolReader::next_record`], and
    /// [`ErrorKind::Exists`](crate::ErrorKind::Exists) where there is such a file.
    pub fn export_rdlw(&mut self, path: &Path) -> Result<Exported> {
        let mut file = Exporter::create(self.disk(), path)?;
        while let Some(record) = self.next_record()? {
            file.push(&rdlw::Record {
                term: record.term,
                lsn: record.lsn,
                timestamp: record.timestamp_ms,
                payload: record.payload,
            })?;
        }
        file.finish()
    }
}
