//! A spool's records in RDLW files: exported whole, or not at all.

use super::common::{PATIENCE, Place};
use super::tools::{append, append_all, everywhere, open, read_all, small};
use epochwal::ErrorKind;
use epochwal::spool::rdlw::{Report, ScanOptions, Scanner, Verdict};
use epochwal::spool::{Record, Spool, SpoolOptions, SpoolReader};
use epochwal::storage::OpenMode;
use epochwal::storage::sim::SimStorage;
use std::path::{Path, PathBuf};

fn beside(place: &Place, name: &str) -> PathBuf {
    place.db.with_file_name(name)
}

/// Term, LSN, time and payload.
type Got = (u64, u64, u64, Vec<u8>);

/// The records of a file, and what was seen of it.
fn scan(place: &Place, path: &Path) -> (Vec<Got>, Report) {
    let mut scanner = Scanner::open(&place.disk, path, ScanOptions::default()).unwrap();
    let mut records = Vec::new();
    while let Some(scanned) = scanner.next_record().unwrap() {
        let r = scanned.record;
        records.push((r.term, r.lsn, r.timestamp, r.payload.to_vec()));
    }
    (records, scanner.report().clone())
}

/// The same of the spool.
fn held(spool: &Spool) -> Vec<Got> {
    let from = spool.bounds().pruned_through;
    let records = spool.read_since(from, super::tools::all()).unwrap();
    let one =
        |r: &epochwal::spool::SpoolRecord| (r.term, r.lsn, r.timestamp_ms, r.payload.to_vec());
    records.iter().map(one).collect()
}

#[test]
fn an_export_is_what_the_spool_holds_and_nothing_that_was_cut_or_pruned() {
    everywhere(|place| {
        let spool = open(place, &small()).unwrap();
        let empty = beside(place, "empty.rdlw");
        assert_eq!(spool.export_rdlw(&empty).unwrap().records, 0);
        assert_eq!(scan(place, &empty).0, []);
        for lsn in 1..=3000 {
            append(&spool, 1 + lsn / 1000, 2 * lsn).unwrap();
        }
        assert!(spool.stats().unwrap().unwrap().segments_in_use > 2);
        assert_eq!(spool.saved_tail(), None);
        let cut = spool.truncate_after(5000, 9).unwrap().unwrap();
        assert_eq!(spool.saved_tail().as_deref(), Some(&*cut));
        assert_eq!(scan(place, &cut).0.len(), 500);
        append_all(&spool, 10, &[5001, 6000, 1 << 60]).unwrap();
        spool.prune_through(1234).unwrap();
        let file = beside(place, "out.rdlw");
        let done = spool.export_rdlw(&file).unwrap();
        let (records, report) = scan(place, &file);
        assert_eq!(records, held(&spool));
        assert_eq!(report.verdict, Verdict::Clean);
        assert_eq!(
            (done.records, done.bytes),
            (report.records, report.file_len)
        );
        assert_eq!((report.first_lsn, report.last_lsn), (1236, 1 << 60));
        // Nothing to save: not what was saved before.
        assert_eq!(spool.truncate_after(1 << 60, 11).unwrap(), None);
        assert_eq!(spool.saved_tail(), None);
        spool.close(PATIENCE).unwrap();
        let mut reader = SpoolReader::open_on(place.disk.clone(), &place.db, None).unwrap();
        let again = beside(place, "reader.rdlw");
        assert_eq!(reader.export_rdlw(&again).unwrap(), done);
        assert_eq!(scan(place, &again).0, records);
    });
}

#[test]
fn an_export_replaces_nothing_and_leaves_nothing() {
    let disk = SimStorage::new();
    let place = Place::sim(&disk);
    let spool = open(&place, &small()).unwrap();
    for lsn in 1..=2000 {
        append(&spool, 1, lsn).unwrap();
    }
    let file = beside(&place, "out.rdlw");
    spool.export_rdlw(&file).unwrap();
    let refused = spool.export_rdlw(&file).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Exists, "{refused}");
    // Of a damaged log: no file of what could still be read.
    let other = beside(&place, "other.rdlw");
    let names = place.disk.list(place.db.parent().unwrap()).unwrap();
    let segment = names
        .iter()
        .filter(|n| n.to_string_lossy().contains("wal-seg-"));
    let segment = place.db.with_file_name(segment.min().unwrap());
    let bytes = place.disk.open(&segment, OpenMode::Write).unwrap();
    bytes.write_at(&[0xa5; 4096], 4096).unwrap();
    let error = spool.export_rdlw(&other).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    let left = place.disk.list(place.db.parent().unwrap()).unwrap();
    let of_other = left
        .iter()
        .filter(|n| n.to_string_lossy().starts_with("other"));
    assert_eq!(of_other.count(), 0, "{left:?}");
}

#[test]
fn an_export_while_others_append_ends_where_it_began() {
    let place = Place::real();
    let spool = open(
        &place,
        &SpoolOptions {
            ring_bytes: 0,
            ..small()
        },
    )
    .unwrap();
    for lsn in 1..=500 {
        append(&spool, 1, lsn).unwrap();
    }
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for lsn in 501..=1500 {
                append(&spool, 1, lsn).unwrap();
            }
        });
        let mut number = 0;
        while !writer.is_finished() {
            let before = spool.bounds().current_lsn;
            let file = beside(&place, &format!("out-{number}"));
            let done = spool.export_rdlw(&file).unwrap();
            let after = spool.bounds().current_lsn;
            assert!(
                (before..=after).contains(&done.records),
                "{before} {after} {done:?}"
            );
            assert_eq!(scan(&place, &file).1.last_lsn, done.records);
            number += 1;
        }
    });
    assert_eq!(read_all(&spool, 0, 1000).unwrap().len(), 1500);
}

#[test]
fn records_in_memory_are_exported_too() {
    let place = Place::real();
    let spool = Spool::in_memory(&SpoolOptions::default()).unwrap();
    let record = |lsn| Record {
        term: 1,
        lsn,
        timestamp_ms: 7,
        payload: b"x",
    };
    spool.append(&[record(3), record(5)], None).unwrap();
    let file = beside(&place, "out.rdlw");
    assert_eq!(spool.export_rdlw(&file).unwrap().records, 2);
    assert_eq!(scan(&place, &file).0, held(&spool));
}
