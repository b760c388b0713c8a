//! Recovery into a map and into a file, and what it must not touch.

use super::common::{PATIENCE, Place, everywhere, page};
use epochwal::recovery::{
    RecoveryOptions, list_segments_on, recover_into_file_on, recover_into_map_on,
};
use epochwal::storage::sim::{Call, SimStorage};
use epochwal::storage::{OpenMode, read_exact_at};
use epochwal::{Batch, Coordinator, ErrorKind, Frame, Options, RecoveryReport, Result};
use std::path::Path;

const PAGE: usize = 512;

/// Commits a batch of whole pages, each told by `seq`.
fn put(wal: &Coordinator, seq: u64, pages: &[u32], db_size: u32) {
    let data: Vec<_> = pages.iter().map(|p| page(seq, *p, PAGE)).collect();
    let frames: Vec<Frame<'_>> = pages
        .iter()
        .zip(&data)
        .map(|(page_number, data)| Frame {
            page_number: *page_number,
            db_size_if_commit: db_size,
            data,
        })
        .collect();
    let batch = Batch {
        txn_id: 1,
        txn_epoch: 0,
        commit_seq: seq,
        frames: &frames,
        metadata: &[],
    };
    let ticket = wal.submit(&batch).unwrap();
    wal.wait(ticket.epoch, PATIENCE).unwrap();
}

fn into_file(place: &Place, target: &Path, options: &RecoveryOptions) -> Result<RecoveryReport> {
    recover_into_file_on(place.disk.clone(), &place.db, target, PAGE as u32, options)
}

/// The file's bytes; none where there is none.
fn contents(place: &Place, path: &Path) -> Option<Vec<u8>> {
    let file = place.disk.open(path, OpenMode::Read).ok()?;
    let mut bytes = vec![0; file.len().unwrap() as usize];
    read_exact_at(&*file, &mut bytes, 0).unwrap();
    Some(bytes)
}

fn write(place: &Place, path: &Path, bytes: &[u8]) {
    let file = place.disk.open(path, OpenMode::WriteOrCreate).unwrap();
    assert_eq!(file.write_at(bytes, 0).unwrap(), bytes.len());
}

#[test]
fn the_highest_sequence_of_a_page_wins_in_whatever_epoch() {
    everywhere(|place, options| {
        let wal = place.open(options).unwrap();
        put(&wal, 5, &[1, 2], 0);
        put(&wal, 3, &[1, 3], 0);
        put(&wal, 7, &[2], 0);
        wal.close(PATIENCE).unwrap();
        let all = RecoveryOptions::default();
        let (map, report) = recover_into_map_on(place.disk.clone(), &place.db, &all).unwrap();
        let seqs: Vec<_> = map.pages.iter().map(|(n, (seq, _))| (*n, *seq)).collect();
        assert_eq!(seqs, [(1, 5), (2, 7), (3, 3)]);
        assert_eq!((map.db_size, report.db_size), (0, 0));
        assert_eq!((report.batches, report.records), (3, 5));
        assert_eq!(report.highest_commit_seq, 7);
        let again = into_file(place, &place.db, &all).unwrap();
        assert_eq!(again, report);
        let expected = [page(5, 1, PAGE), page(7, 2, PAGE), page(3, 3, PAGE)].concat();
        assert_eq!(contents(place, &place.db), Some(expected));
        // Nothing was to be deleted.
        assert_eq!(place.recover_all().len(), 3);
    });
}

/// Of one sequence the later image counts, as in replay.
#[test]
fn the_last_image_of_a_batch_wins() {
    let place = Place::real();
    let wal = place.open(&super::common::small()).unwrap();
    let (first, second) = (page(1, 1, PAGE), page(2, 1, PAGE));
    let frames = [&first, &second].map(|data| Frame {
        page_number: 1,
        db_size_if_commit: 0,
        data,
    });
    let batch = Batch {
        txn_id: 1,
        txn_epoch: 0,
        commit_seq: 1,
        frames: &frames,
        metadata: &[],
    };
    let ticket = wal.submit(&batch).unwrap();
    wal.wait(ticket.epoch, PATIENCE).unwrap();
    wal.close(PATIENCE).unwrap();
    let all = RecoveryOptions::default();
    let (map, _) = recover_into_map_on(place.disk.clone(), &place.db, &all).unwrap();
    assert_eq!(map.pages[&1], (1, second.clone()));
    into_file(&place, &place.db, &all).unwrap();
    assert_eq!(contents(&place, &place.db), Some(second));
}

#[test]
fn the_database_size_cuts_the_file_and_extends_it() {
    everywhere(|place, options| {
        let wal = place.open(options).unwrap();
        put(&wal, 1, &[1, 6], 6);
        put(&wal, 2, &[2], 4);
        put(&wal, 3, &[1], 0);
        wal.close(PATIENCE).unwrap();
        let all = RecoveryOptions::default();
        let (map, report) = recover_into_map_on(place.disk.clone(), &place.db, &all).unwrap();
        assert_eq!((map.db_size, report.db_size), (4, 4));
        // What is there of other pages stays, and what is above the size goes.
        write(place, &place.db, &[0xaa; 10 * PAGE]);
        into_file(place, &place.db, &all).unwrap();
        let old = vec![0xaa; 2 * PAGE];
        let expected = [page(3, 1, PAGE), page(2, 2, PAGE), old].concat();
        assert_eq!(contents(place, &place.db), Some(expected));
    });
}

#[test]
fn verify_only_counts_and_touches_nothing() {
    everywhere(|place, options| {
        for format in [1, 2] {
            let options = epochwal::Options {
                segment_format: format,
                ..options.clone()
            };
            let wal = place.open(&options).unwrap();
            put(&wal, u64::from(format), &[1, 2], 0);
            wal.close(PATIENCE).unwrap();
        }
        let verify = RecoveryOptions {
            verify_only: true,
            ..RecoveryOptions::default()
        };
        let (got, report) = place.recover(&verify).unwrap();
        assert_eq!(got, []);
        let (_, full) = place.recover(&RecoveryOptions::default()).unwrap();
        assert_eq!(report, full);
        assert_eq!((report.batches, report.records, report.segments), (2, 4, 2));
        assert!(report.bytes_read >= 2 * 4096, "{report:?}");
        assert_eq!(into_file(place, &place.db, &verify).unwrap(), report);
        assert_eq!(contents(place, &place.db), None);
        let missing = RecoveryOptions::default();
        into_file(place, &place.db, &missing).unwrap();
        assert!(contents(place, &place.db).is_some());
    });
}

#[test]
fn an_empty_log_makes_no_file() {
    everywhere(|place, options| {
        let none = RecoveryOptions::default();
        into_file(place, &place.db, &none).unwrap();
        assert_eq!(contents(place, &place.db), None);
        let wal = place.open(options).unwrap();
        put(&wal, 1, &[1], 1);
        wal.checkpoint(1).unwrap();
        wal.close(PATIENCE).unwrap();
        let delete = RecoveryOptions {
            delete_segments: true,
            ..none
        };
        let report = into_file(place, &place.db, &delete).unwrap();
        assert_eq!(report.checkpoint_epoch, Some(1));
        assert_eq!(contents(place, &place.db), None);
        assert_eq!(list_segments_on(place.disk.clone(), &place.db).unwrap(), []);
    });
}

#[test]
fn a_page_size_is_checked_before_anything_is_written() {
    let place = Place::real();
    let wal = place.open(&super::common::small()).unwrap();
    put(&wal, 1, &[1], 0);
    wal.close(PATIENCE).unwrap();
    for (page_size, word) in [
        (0, "is not within"),
        (65_537, "is not within"),
        (u32::MAX, "is not within"),
        (1, "page 1 has 512 bytes"),
        (511, "page 1 has 512 bytes"),
        (65_536, "page 1 has 512 bytes"),
    ] {
        let options = RecoveryOptions::default();
        let db = &place.db;
        let error =
            recover_into_file_on(place.disk.clone(), db, db, page_size, &options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert!(error.message().contains(word), "{error}");
        assert_eq!(contents(&place, db), None);
    }
}

/// Only the log's own files are refused, not what has such a name elsewhere.
#[test]
fn a_target_may_be_anything_but_the_log() {
    let place = Place::real();
    let wal = place.open(&super::common::small()).unwrap();
    put(&wal, 1, &[1], 0);
    wal.close(PATIENCE).unwrap();
    let dir = place.db.parent().unwrap();
    std::fs::create_dir(dir.join("other")).unwrap();
    let options = RecoveryOptions::default();
    for name in [
        "other/test.db-wal-state",
        "other.db-wal-state",
        "test.db-wal",
    ] {
        let target = dir.join(name);
        into_file(&place, &target, &options).unwrap();
        assert_eq!(contents(&place, &target), Some(page(1, 1, PAGE)));
    }
    for name in [
        "test.db-wal-state",
        "test.db-wal-lock",
        "test.db-wal-spare-9",
    ] {
        let error = into_file(&place, &dir.join(name), &options).unwrap_err();
        assert!(error.message().starts_with("target: "), "{error}");
    }
}

#[test]
fn another_database_is_refused() {
    let place = Place::real();
    let options = epochwal::Options {
        database_id: Some([7; 16]),
        ..super::common::small()
    };
    let wal = place.open(&options).unwrap();
    put(&wal, 1, &[1], 0);
    wal.close(PATIENCE).unwrap();
    let asked = |database_id| {
        place.recover(&RecoveryOptions {
            database_id,
            ..RecoveryOptions::default()
        })
    };
    assert_eq!(asked(None).unwrap().0.len(), 1);
    assert_eq!(asked(Some([7; 16])).unwrap().0.len(), 1);
    assert!(asked(Some([8; 16])).is_err());
}

#[test]
fn what_was_recovered_into_a_file_outlives_a_crash() {
    let disk = SimStorage::new();
    let place = Place::sim(&disk);
    disk.make_dirs(Path::new("/other"));
    let wal = place.open(&super::common::small()).unwrap();
    put(&wal, 1, &[1], 0);
    wal.close(PATIENCE).unwrap();
    for target in [Path::new("/other/recovered.db"), Path::new("bare.db")] {
        into_file(&place, target, &RecoveryOptions::default()).unwrap();
        let after = Place::sim(&disk.crash_nothing());
        assert_eq!(contents(&after, target), Some(page(1, 1, PAGE)));
    }
}

/// The directory of a path without one is the current one, not one without a
/// name.
#[test]
fn a_bare_target_is_in_the_current_directory() {
    let place = Place::real();
    let wal = place.open(&super::common::small()).unwrap();
    put(&wal, 1, &[1], 0);
    wal.close(PATIENCE).unwrap();
    // All other tests here have absolute paths.
    std::env::set_current_dir(place.db.parent().unwrap()).unwrap();
    let target = Path::new("bare.db");
    into_file(&place, target, &RecoveryOptions::default()).unwrap();
    assert_eq!(contents(&place, target), Some(page(1, 1, PAGE)));
    std::env::set_current_dir("/").unwrap();
}

/// More than is held back at a time, in runs longer than one write, pages again
/// and again: the file is what the map says.
#[test]
fn a_large_recovery_is_the_same_in_a_file_as_in_a_map() {
    const LARGE: usize = 65_536;
    let place = Place::real();
    let wal = Coordinator::open_on(place.disk.clone(), &place.db, &Options::default()).unwrap();
    for seq in 1..=60_u64 {
        let numbers =
            (0..8).map(|i| 1 + (seq as u32 * 61 + i * if seq % 2 == 0 { 1 } else { 37 }) % 200);
        let images: Vec<_> = numbers
            .map(|n| (n, vec![seq as u8 ^ n as u8; LARGE]))
            .collect();
        let frames: Vec<_> = images
            .iter()
            .map(|(page_number, data)| Frame {
                page_number: *page_number,
                db_size_if_commit: 0,
                data,
            })
            .collect();
        wal.submit(&Batch {
            txn_id: seq,
            txn_epoch: 0,
            commit_seq: seq,
            frames: &frames,
            metadata: &[],
        })
        .unwrap();
    }
    wal.close(PATIENCE).unwrap();
    let all = RecoveryOptions::default();
    let (map, _) = recover_into_map_on(place.disk.clone(), &place.db, &all).unwrap();
    let target = place.db.clone();
    let size = LARGE as u32;
    recover_into_file_on(place.disk.clone(), &place.db, &target, size, &all).unwrap();
    let bytes = contents(&place, &target).unwrap();
    let last = *map.pages.keys().last().unwrap();
    assert_eq!(bytes.len(), last as usize * LARGE);
    for (number, (_, image)) in &map.pages {
        let at = (*number as usize - 1) * LARGE;
        assert!(bytes[at..][..LARGE] == **image, "page {number}");
    }
}

/// A write for each page would cost more than its bytes do: neighbours go out
/// together, whatever the order they come in, up to 256 KiB at once.
#[test]
fn neighbouring_pages_are_written_at_once() {
    const LARGE: u32 = 64 << 10;
    for (page_size, pages, writes) in [
        (PAGE as u32, (1..=100).rev().collect::<Vec<u32>>(), 1),
        (PAGE as u32, vec![1, 2, 4, 5, 7], 3),
        (PAGE as u32, vec![3, 4], 1),
        (LARGE, (1..=4).collect(), 1),
        (LARGE, (1..=5).collect(), 2),
        (LARGE, (2..=10).collect(), 3),
        (LARGE, (1..=4).rev().collect(), 1),
        (LARGE, (1..=5).rev().collect(), 2),
        // What comes in order does not wait for another image of the same page.
        (LARGE, vec![1, 2, 3, 4, 4], 2),
        (LARGE, vec![1, 2, 3, 3, 4], 1),
        // 16 MiB are as much as is held back: the last page comes too late.
        (LARGE, [300].into_iter().chain(1..=256).collect(), 66),
    ] {
        let disk = SimStorage::new();
        let place = Place::sim(&disk);
        let wal = place.open(&Options::default()).unwrap();
        for page_number in &pages {
            let data = page(1, *page_number, page_size as usize);
            let frames = [Frame {
                page_number: *page_number,
                db_size_if_commit: 0,
                data: &data,
            }];
            let batch = Batch {
                txn_id: 1,
                txn_epoch: 0,
                commit_seq: 1,
                frames: &frames,
                metadata: &[],
            };
            wal.commit(&batch, PATIENCE).unwrap();
        }
        wal.close(PATIENCE).unwrap();
        let before = disk.calls(Call::Write);
        let (all, db) = (RecoveryOptions::default(), &place.db);
        recover_into_file_on(place.disk.clone(), db, db, page_size, &all).unwrap();
        assert_eq!(disk.calls(Call::Write) - before, writes, "{pages:?}");
        let bytes = contents(&place, db).unwrap();
        for (number, got) in (1..).zip(bytes.chunks(page_size as usize)) {
            let image = page(1, number, page_size as usize);
            let blank = vec![0; page_size as usize];
            assert_eq!(
                got,
                if pages.contains(&number) {
                    image
                } else {
                    blank
                }
            );
        }
    }
}
