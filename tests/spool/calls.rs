//! What each thing asks of the disk, and in which order.

use super::common::{PATIENCE, Place};
use super::tools::{append, append_all, open, payload, read_all, small};
use epochwal::coordinator::{Knobs, SyncStyle};
use epochwal::spool::rdlw::{ScanOptions, Scanner};
use epochwal::spool::{ReadLimit, Record, Spool, SpoolOptions};
use epochwal::storage::sim::{Call, SimStorage};
use epochwal::storage::{OpenMode, Storage};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// Spares are made by who needs them, so that the calls are the same each time.
fn options(style: SyncStyle) -> SpoolOptions {
    SpoolOptions {
        sync_style: style,
        knobs: Knobs {
            spares_in_line: true,
            ..Knobs::default()
        },
        ..small()
    }
}

/// The writes and syncs that something asks for, by the file's kind; without the
/// word in the lock file that tells readers how far it is durable.
fn asked(disk: &SimStorage, something: impl FnOnce()) -> Vec<(Call, &'static str)> {
    let asked: Arc<Mutex<Vec<(Call, &'static str)>>> = Arc::default();
    let keep = asked.clone();
    disk.on_call(move |call, paths| {
        let kinds = ["wal-seg-", "wal-state", "wal-spare-", "wal-tmp-"];
        let name = paths[0].to_string_lossy();
        let kind = kinds.into_iter().find(|kind| name.contains(kind));
        let looks = matches!(call, Call::Open | Call::Read | Call::Len | Call::List);
        if !looks && !name.ends_with("wal-lock") {
            keep.lock().unwrap().push((call, kind.unwrap_or("")));
        }
    });
    something();
    disk.stop_observing();
    std::mem::take(&mut *asked.lock().unwrap())
}

fn writes(asked: &[(Call, &str)], kind: &str) -> usize {
    let those = asked.iter().filter(|a| **a == (Call::Write, kind));
    those.count()
}

/// The state file is for rolls, prunes, cuts and closes, not for each append.
#[test]
fn an_append_is_one_write_and_the_state_is_left_alone() {
    for style in [SyncStyle::Direct, SyncStyle::Buffered] {
        let disk = SimStorage::new();
        let spool = open(&Place::sim(&disk), &options(style)).unwrap();
        append(&spool, 1, 1).unwrap();
        let one = asked(&disk, || append(&spool, 1, 2).unwrap());
        let sync = (Call::SyncAll, "wal-seg-");
        match style {
            SyncStyle::Buffered => assert_eq!(one, [(Call::Write, "wal-seg-"), sync]),
            _ => assert_eq!(one, [(Call::Write, "wal-seg-")]),
        }
        // As many as there are, in one group.
        let many = asked(&disk, || {
            for lsn in 3..=30 {
                let payload = payload(lsn);
                let record = Record {
                    term: 1,
                    lsn,
                    timestamp_ms: 1,
                    payload: &payload,
                };
                spool.submit(&[record]).unwrap();
            }
            spool.flush(PATIENCE).unwrap();
        });
        assert_eq!(writes(&many, "wal-seg-"), 1, "{many:?}");
        assert_eq!(many.len(), one.len(), "{many:?}");
        let saves = |something: &dyn Fn()| writes(&asked(&disk, something), "wal-state");
        let fill = || (31..=60).for_each(|lsn| append(&spool, 1, lsn).unwrap());
        assert!(saves(&fill) > 0, "rolls are saved");
        assert!(saves(&|| _ = spool.prune_through(5).unwrap()) > 0);
        assert!(saves(&|| _ = spool.truncate_after(55, 2).unwrap()) > 0);
        assert!(saves(&|| spool.close(PATIENCE).unwrap()) > 0);
    }
}

/// What is kept is not written again: files go whole, or stay.
#[test]
fn a_prune_writes_to_no_segment() {
    let disk = SimStorage::new();
    let spool = open(&Place::sim(&disk), &options(SyncStyle::Buffered)).unwrap();
    (1..=100).for_each(|lsn| append(&spool, 1, lsn).unwrap());
    for through in [3, 50, 51, 99, 100] {
        let asked = asked(&disk, || _ = spool.prune_through(through).unwrap());
        assert!(writes(&asked, "wal-state") > 0, "{asked:?}");
        let touched = asked.iter().filter(|(call, kind)| {
            *kind == "wal-seg-" && !matches!(call, Call::Rename | Call::Remove)
        });
        assert_eq!(touched.count(), 0, "{asked:?}");
    }
}

#[test]
fn bounds_are_read_from_memory() {
    let disk = SimStorage::new();
    let spool = open(&Place::sim(&disk), &options(SyncStyle::Buffered)).unwrap();
    (1..=50).for_each(|lsn| append(&spool, 1, lsn).unwrap());
    let calls = || Call::ALL.map(|call| disk.calls(call));
    let before = calls();
    for _ in 0..100 {
        let bounds = spool.bounds();
        assert_eq!((bounds.oldest_lsn, bounds.current_lsn), (1, 50));
        assert_eq!(spool.term(), 1);
        assert!(spool.bytes_above(20) > 0);
    }
    assert_eq!(calls(), before);
}

/// Reads of the disk that something takes.
fn reads(disk: &SimStorage, something: impl FnOnce()) -> u64 {
    let before = disk.calls(Call::Read);
    something();
    disk.calls(Call::Read) - before
}

/// A read costs what it gives, and all pages together what there is.
#[test]
fn a_read_costs_what_it_gives() {
    let mut costs = Vec::new();
    for runs in [20_u64, 400] {
        let disk = SimStorage::new();
        let options = SpoolOptions {
            ring_bytes: 0,
            segment_size: 8 << 20,
            ..options(SyncStyle::Buffered)
        };
        let spool = open(&Place::sim(&disk), &options).unwrap();
        let all = runs * 50;
        for run in 0..runs {
            let lsns: Vec<u64> = (run * 50 + 1..=run * 50 + 50).collect();
            append_all(&spool, 1, &lsns).unwrap();
        }
        let limit = ReadLimit {
            records: 100,
            bytes: usize::MAX,
        };
        let middle = reads(&disk, || {
            assert_eq!(spool.read_since(all / 2, limit).unwrap().len(), 100);
        });
        let pages = reads(&disk, || {
            assert_eq!(read_all(&spool, 0, 100).unwrap().len() as u64, all);
        });
        costs.push((middle, pages.div_ceil(runs)));
    }
    let [(near, page), (far, far_page)] = costs[..] else {
        unreachable!()
    };
    assert!(far <= near, "a read in the middle: {costs:?}");
    assert!(
        far_page <= page + 1,
        "a run's share of all pages: {costs:?}"
    );
}

fn cut_files(disk: &SimStorage) -> Vec<PathBuf> {
    let dir = Path::new("/data");
    let names = disk.list(dir).unwrap().into_iter();
    let named = names.filter(|n| n.to_string_lossy().contains(".wal.cut-"));
    named.map(|n| dir.join(n)).collect()
}

fn scanned(disk: &SimStorage, path: &Path) -> Vec<(u64, u64)> {
    let storage: Arc<dyn Storage> = Arc::new(disk.clone());
    let mut scanner = Scanner::open(&storage, path, ScanOptions::default()).unwrap();
    let mut got = Vec::new();
    while let Some(scanned) = scanner.next_record().unwrap() {
        let record = &scanned.record;
        assert_eq!(record.payload, payload(record.lsn));
        got.push((record.term, record.lsn));
    }
    got
}

/// The tail is in its own file, durable, before the cut is.
#[test]
fn what_is_cut_off_is_saved_first() {
    let disk = SimStorage::new();
    let place = Place::sim(&disk);
    let spool = open(&place, &options(SyncStyle::Buffered)).unwrap();
    (1..=40).for_each(|lsn| append(&spool, 1, lsn).unwrap());
    (41..=60).for_each(|lsn| append(&spool, 2, lsn).unwrap());
    let moments: Arc<Mutex<Vec<SimStorage>>> = Arc::default();
    let keep = moments.clone();
    disk.on_operation(move |disk, _| keep.lock().unwrap().push(disk));
    spool.truncate_after(30, 3).unwrap();
    disk.stop_observing();
    let tail: Vec<(u64, u64)> = (31..=60).map(|l| (1 + u64::from(l > 40), l)).collect();
    let (mut cut, mut whole) = (0, 0);
    for (at, moment) in moments.lock().unwrap().iter().enumerate() {
        let random = (0..10).map(|n| moment.crash_random(at as u64 * 10 + n));
        let ends = [moment.crash_nothing(), moment.crash_everything()];
        for crashed in ends.into_iter().chain(random) {
            let spool = open(&Place::sim(&crashed), &options(SyncStyle::Buffered)).unwrap();
            if spool.term() < 3 {
                assert_eq!(read_all(&spool, 0, 100).unwrap().len(), 60);
                whole += 1;
                continue;
            }
            assert_eq!(read_all(&spool, 0, 100).unwrap().len(), 30);
            let files = cut_files(&crashed);
            assert_eq!(files.len(), 1, "operation {at}");
            assert_eq!(scanned(&crashed, &files[0]), tail, "operation {at}");
            cut += 1;
        }
    }
    assert!(cut > 10 && whole > 50, "{cut} cut, {whole} whole");
    // Again: a file of its own.
    spool.truncate_after(20, 4).unwrap();
    assert_eq!(cut_files(&disk).len(), 2);
}

/// Each call of an open that takes a single-file spool in fails once: an error,
/// and the next open has all of it.
#[test]
fn an_import_with_a_failing_call_loses_nothing() {
    let old = Path::new("/data/test.db.logical.wal");
    let file = include_bytes!("../golden/rdlw/v2.rdb.logical.wal");
    let imported = |spool: &Spool| read_all_lsns(spool).len() == 50;
    let mut failed = 0;
    for call in Call::ALL {
        for errno in [libc::EIO, libc::ENOSPC, libc::EMFILE] {
            for nth in 0.. {
                let disk = SimStorage::new();
                disk.make_dirs(Path::new("/data"));
                let there = disk.open(old, OpenMode::CreateNew).unwrap();
                epochwal::storage::write_all_at(&*there, file, 0, 1).unwrap();
                there.sync_all().unwrap();
                disk.sync_dir(Path::new("/data")).unwrap();
                let place = Place::sim(&disk);
                let fault = epochwal::storage::sim::FaultPlan::error(call, errno).nth(nth);
                let fault = disk.fail(fault);
                let opened = open(&place, &options(SyncStyle::Direct));
                if fault.hits() == 0 {
                    break;
                }
                failed += u64::from(opened.is_err());
                if let Ok(spool) = &opened {
                    assert!(imported(spool), "{call:?} {errno} {nth}");
                }
                drop(opened);
                disk.clear_faults();
                let spool = open(&place, &options(SyncStyle::Direct));
                let spool = spool.unwrap_or_else(|e| panic!("{call:?} {errno} {nth}: {e}"));
                assert!(imported(&spool), "{call:?} {errno} {nth}, opened again");
                assert!(disk.open(old, OpenMode::Read).is_err());
            }
        }
    }
    assert!(failed > 60, "{failed}");
}

fn read_all_lsns(spool: &Spool) -> Vec<u64> {
    let all = ReadLimit {
        records: usize::MAX,
        bytes: usize::MAX,
    };
    let records = spool.read_since(0, all).unwrap();
    records.iter().map(|r| r.lsn).collect()
}
