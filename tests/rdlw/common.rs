//! Files in memory and what a scan says of them.

use epochwal::format::rdlw::{Layout, MAGIC, Record};
use epochwal::spool::rdlw::{Report, ScanOptions, Scanner, Verdict};
use epochwal::storage::sim::SimStorage;
use epochwal::storage::{OpenMode, Storage, write_all_at};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A record that owns its payload, with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Got {
    pub layout: Layout,
    pub offset: u64,
    pub term: u64,
    pub lsn: u64,
    pub timestamp: u64,
    pub payload: Vec<u8>,
}

impl Got {
    pub fn record(&self) -> Record<'_> {
        Record {
            term: self.term,
            lsn: self.lsn,
            timestamp: self.timestamp,
            payload: &self.payload,
        }
    }
}

pub fn path() -> PathBuf {
    Path::new("/data/app.db.logical.wal").into()
}

/// A simulated disk with this file, all of it durable.
pub fn disk_with(bytes: &[u8]) -> SimStorage {
    let disk = SimStorage::new();
    disk.make_dirs(Path::new("/data"));
    let file = disk.open(&path(), OpenMode::CreateNew).unwrap();
    write_all_at(&*file, bytes, 0, 1).unwrap();
    file.sync_all().unwrap();
    disk.sync_dir(Path::new("/data")).unwrap();
    disk
}

/// All records, and the report.
pub fn scan(disk: Arc<dyn Storage>, path: &Path, options: ScanOptions) -> (Vec<Got>, Report) {
    let mut scanner = Scanner::open(&disk, path, options).unwrap();
    let mut all = Vec::new();
    while let Some(scanned) = scanner.next_record().unwrap() {
        all.push(Got {
            layout: scanned.layout,
            offset: scanned.offset,
            term: scanned.record.term,
            lsn: scanned.record.lsn,
            timestamp: scanned.record.timestamp,
            payload: scanned.record.payload.to_vec(),
        });
    }
    assert!(scanner.next_record().unwrap().is_none(), "it ends once");
    (all, scanner.report().clone())
}

pub fn scan_bytes(bytes: &[u8], salvage: bool) -> (Vec<Got>, Report) {
    let options = ScanOptions {
        salvage,
        term_of: None,
    };
    scan(Arc::new(disk_with(bytes)), &path(), options)
}

/// A record in any layout, made from the layout's description alone.
pub fn encode(layout: Layout, term: u64, lsn: u64, timestamp: u64, payload: &[u8]) -> Vec<u8> {
    let mut summed = vec![layout.version()];
    let mut put = |bytes: &[u8]| summed.extend_from_slice(bytes);
    if layout.version() == 3 {
        put(&term.to_le_bytes());
    }
    if layout == Layout::Three41 {
        put(&7_u64.to_le_bytes());
    }
    put(&lsn.to_le_bytes());
    if layout == Layout::One {
        put(&(payload.len() as u64).to_le_bytes());
    } else {
        put(&timestamp.to_le_bytes());
        put(&(payload.len() as u32).to_le_bytes());
    }
    put(payload);
    let crc = match layout {
        Layout::One => Vec::new(),
        _ => slow_crc32(&summed).to_le_bytes().to_vec(),
    };
    [&MAGIC[..], &summed, &crc].concat()
}

/// Bit by bit, as the polynomial says.
pub fn slow_crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| crc >> 1 ^ (0xEDB8_8320 & 0u32.wrapping_sub(crc & 1));
    let byte = |crc: u32, byte: &u8| (0..8).fold(crc ^ u32::from(*byte), step);
    !bytes.iter().fold(!0, byte)
}

/// The verdict as a word.
pub fn word(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Clean => "clean",
        Verdict::Torn { .. } => "torn",
        Verdict::Corrupt { .. } => "corrupt",
    }
}

pub fn lsns(records: &[Got]) -> Vec<u64> {
    records.iter().map(|r| r.lsn).collect()
}
