//! RDLW files. The first byte: bit 0 makes the checksums right of what seems
//! to be a record, bit 1 takes version 3 for its longer layout then.

use super::fix;
use super::memory::within;
use epochwal::format::rdlw::{self, Layout};
use epochwal::spool::rdlw::{Report, ScanOptions, Scanner, Verdict};
use epochwal::storage::sim::SimStorage;
use epochwal::storage::{OpenMode, Storage, write_all_at};
use std::path::Path;
use std::sync::Arc;

/// What a scan holds, beside the places that it lists.
const FACTOR: usize = 16;
const FLAT: usize = 1 << 17;

/// A record as it was given: where, how long, and its numbers.
type Given = (u64, u64, u64, u64);

pub fn run(data: &[u8]) {
    let Some((&mode, data)) = data.split_first() else {
        return;
    };
    let mut bytes = data.to_vec();
    if mode & 1 != 0 {
        fix_sums(&mut bytes, mode & 2 != 0);
    }
    let disk = SimStorage::new();
    let path = Path::new("/x.logical.wal");
    let file = disk.open(path, OpenMode::CreateNew).unwrap();
    write_all_at(&*file, &bytes, 0, 1).unwrap();
    drop(file);
    let disk: Arc<dyn Storage> = Arc::new(disk);
    let limit = FACTOR * bytes.len() + FLAT;
    let (strict, report) = within(limit, || scan(&disk, path, false));
    let (saved, salvage) = within(limit, || scan(&disk, path, true));

    assert_eq!(saved[..strict.len()], strict);
    assert_eq!(
        report.end,
        strict.last().map_or(0, |(at, len, ..)| at + len)
    );
    for pair in saved.windows(2) {
        let [(_, _, term, lsn), (at, _, next_term, next_lsn)] = pair else {
            unreachable!()
        };
        assert!(lsn < next_lsn && term <= next_term, "at {at}");
    }
    // Every byte is given, or told of as left out.
    let given: u64 = saved.iter().map(|(_, len, ..)| len).sum();
    assert_eq!(given + salvage.skipped_bytes, bytes.len() as u64);
    let skips = report.skips;
    match report.verdict {
        Verdict::Clean => assert_eq!((saved.len(), skips), (strict.len(), 0)),
        Verdict::Torn { offset, .. } => {
            assert_eq!((offset, saved.len(), skips), (report.end, strict.len(), 1));
        }
        Verdict::Corrupt { offset, beyond, .. } => {
            assert_eq!(offset, report.end);
            let rest = (saved.len() - strict.len()) as u64;
            assert!(beyond.count == rest || rest == 0);
        }
    }
    // The reader of a single record agrees on the first.
    let first = rdlw::parse(&bytes);
    let (Ok((header, record)), Some((0, len, term, lsn))) = (&first, strict.first()) else {
        return;
    };
    assert_eq!((header.record_len(), record.lsn), (*len, *lsn));
    assert_eq!(record.term, *term);
    let mut again = Vec::new();
    rdlw::encode(record, &mut again).expect("what was read can be written");
    let (_, read) = rdlw::parse(&again).expect("what was written can be read");
    assert_eq!(read, *record);
}

fn scan(disk: &Arc<dyn Storage>, path: &Path, salvage: bool) -> (Vec<Given>, Report) {
    let options = ScanOptions {
        salvage,
        term_of: None,
    };
    let mut scanner = Scanner::open(disk, path, options).unwrap();
    let mut given = Vec::new();
    while let Some(r) = scanner.next_record().unwrap() {
        given.push((r.offset, r.len, r.record.term, r.record.lsn));
    }
    (given, scanner.report().clone())
}

/// Makes the checksum right of everything that begins as a record and fits,
/// the last first, so that records in a payload are right before what holds
/// them is summed.
fn fix_sums(bytes: &mut [u8], longer: bool) {
    let mut places = Vec::new();
    for at in 0..bytes.len() {
        let layout = match bytes[at..] {
            [b'R', b'D', b'L', b'W', 2, ..] => Layout::Two,
            [b'R', b'D', b'L', b'W', 3, ..] if longer => Layout::Three41,
            [b'R', b'D', b'L', b'W', 3, ..] => Layout::Three33,
            _ => continue,
        };
        let left = (bytes.len() - at) as u64;
        let header = layout.read(&bytes[at..]).map(|h| rdlw::fits(h, left));
        if let Some(rdlw::Claim::Fits(header)) = header {
            places.push((at, at + header.payload_end() as usize));
        }
    }
    for (at, end) in places.into_iter().rev().take(64) {
        let sum = crc32fast::hash(&bytes[at + rdlw::SUMMED_FROM..end]);
        fix::put_u32(bytes, end, sum);
    }
}
