//! What reading finds where the disk is not as it was left.

use super::common::{PATIENCE, Place};
use super::tools::{append_all, open, read_all, small};
use epochwal::ErrorKind;
use epochwal::coordinator::Knobs;
use epochwal::spool::{ReadLimit, SpoolOptions};
use epochwal::storage::sim::{Call, FaultPlan, SimStorage};
use epochwal::storage::{OpenMode, Storage, read_exact_at, write_all_at};
use std::path::PathBuf;

/// The segments of the spool, oldest first.
fn segments(disk: &SimStorage) -> Vec<PathBuf> {
    let dir = std::path::Path::new("/data");
    let mut names: Vec<_> = disk
        .list(dir)
        .unwrap()
        .into_iter()
        .filter(|n| n.to_string_lossy().contains(".wal-seg-"))
        .map(|n| dir.join(n))
        .collect();
    names.sort();
    names
}

fn flip(disk: &SimStorage, path: &std::path::Path, offset: u64) {
    let file = disk.open(path, OpenMode::Write).unwrap();
    let mut byte = [0];
    read_exact_at(&*file, &mut byte, offset).unwrap();
    byte[0] ^= 4;
    write_all_at(&*file, &byte, offset, 1).unwrap();
    file.sync_all().unwrap();
}

/// Several segments of records.
fn filled(disk: &SimStorage) -> Place {
    let place = Place::sim(disk);
    let spool = open(&place, &small()).unwrap();
    for first in (1..=400).step_by(5) {
        append_all(
            &spool,
            1,
            &[first, first + 1, first + 2, first + 3, first + 4],
        )
        .unwrap();
    }
    spool.close(PATIENCE).unwrap();
    place
}

#[test]
fn a_flipped_bit_with_records_behind_it_is_never_cut() {
    let disk = SimStorage::new();
    let place = filled(&disk);
    let segments = segments(&disk);
    assert!(segments.len() >= 3, "{segments:?}");
    for (path, offset) in segments
        .iter()
        .flat_map(|p| [(p, 150), (p, 4096 + 200), (p, 130)])
    {
        let disk = disk.crash_everything();
        flip(&disk, path, offset);
        let place = Place::sim(&disk);
        let error = open(&place, &small()).unwrap_err();
        assert_eq!(
            error.kind(),
            ErrorKind::Corrupt,
            "{}: {error}",
            path.display()
        );
        assert_eq!(error.path(), Some(path.as_path()));
    }
    assert_eq!(
        read_all(&open(&place, &small()).unwrap(), 0, 50)
            .unwrap()
            .len(),
        400
    );
}

#[test]
fn damage_after_the_open_is_told_by_the_read_that_meets_it() {
    let disk = SimStorage::new();
    let place = filled(&disk);
    let spool = open(&place, &small()).unwrap();
    let all = segments(&disk);
    flip(&disk, &all[all.len() - 1], 4096 + 200);
    let before = spool.read_since(
        0,
        ReadLimit {
            records: 100,
            bytes: usize::MAX,
        },
    );
    assert_eq!(before.unwrap().len(), 100);
    let mut at = 0;
    let error = loop {
        let limit = ReadLimit {
            records: 10,
            bytes: usize::MAX,
        };
        match spool.read_since(at, limit) {
            Ok(records) => at = records.last().expect("damage comes first").lsn,
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert_eq!(error.path(), Some(all[all.len() - 1].as_path()));
    // It is of no matter to who writes.
    append_all(&spool, 1, &[401]).unwrap();
}

/// Opening takes as long as its end does, so nobody looks at the rest: neither
/// for the first record nor for what becomes of it.
#[test]
fn an_open_follows_no_segment_but_those_at_the_end() {
    let disk = SimStorage::new();
    let place = filled(&disk);
    let all = segments(&disk);
    assert!(all.len() > 2);
    flip(&disk, &all[0], 4096 + 200);
    let options = SpoolOptions {
        knobs: Knobs {
            checked_at_open: 0,
            ..small().knobs
        },
        ..small()
    };
    let spool = open(&place, &options).unwrap();
    assert_eq!(spool.bounds().oldest_lsn, 1);
    let error = read_all(&spool, 0, 1000).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert_eq!(error.path(), Some(all[0].as_path()));
}

#[test]
fn an_error_of_the_disk_is_no_damage() {
    let disk = SimStorage::new();
    let place = filled(&disk);
    let fault = disk.fail(
        FaultPlan::error(Call::Read, libc::EIO)
            .on(".wal-seg-")
            .always(),
    );
    let error = open(&place, &small()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io, "{error}");
    fault.lift();
    let spool = open(&place, &small()).unwrap();
    let fault = disk.fail(
        FaultPlan::error(Call::Read, libc::EIO)
            .on(".wal-seg-")
            .always(),
    );
    let error = spool.read_since(0, ReadLimit::default()).unwrap_err();
    assert_eq!(
        (error.kind(), error.os_error()),
        (ErrorKind::Io, Some(libc::EIO))
    );
    fault.lift();
    assert_eq!(read_all(&spool, 0, 1000).unwrap().len(), 400);
}

#[test]
fn a_request_from_beyond_the_end_is_ahead() {
    let disk = SimStorage::new();
    let place = filled(&disk);
    let spool = open(&place, &small()).unwrap();
    assert!(
        spool
            .read_since(400, ReadLimit::default())
            .unwrap()
            .is_empty()
    );
    let ahead = spool.read_since(401, ReadLimit::default()).unwrap_err();
    assert_eq!((ahead.kind(), ahead.lsn()), (ErrorKind::Ahead, Some(400)));
    let nothing = ReadLimit {
        records: 0,
        bytes: 1,
    };
    assert_eq!(
        spool.read_since(0, nothing).unwrap_err().kind(),
        ErrorKind::Invalid
    );
}
