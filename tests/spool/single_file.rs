//! A spool that keeps its records in one RDLW file.

use super::common::{PATIENCE, Place};
use super::import::{OLD, get, golden, listed, put, records};
use super::tools::{append, append_all, everywhere, open, read_all, small};
use epochwal::ErrorKind;
use epochwal::spool::rdlw::{Report, ScanOptions, Scanner, Verdict};
use epochwal::spool::{Format, ReadLimit, Record, Spool, SpoolOptions, SpoolReader};
use epochwal::storage::sim::{Call, FaultPlan, SimStorage};
use epochwal::storage::{OpenMode, Storage};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

fn rdlw() -> SpoolOptions {
    SpoolOptions {
        format: Format::Rdlw,
        ..small()
    }
}

fn file_of(place: &Place) -> PathBuf {
    let mut name = place.db.clone().into_os_string();
    name.push(".logical.wal");
    name.into()
}

/// The LSNs in the file, as other software reads it.
fn in_file(place: &Place) -> (Vec<u64>, Report) {
    let path = file_of(place);
    let mut scanner = Scanner::open(&place.disk, &path, ScanOptions::default()).unwrap();
    let mut lsns = Vec::new();
    while let Some(scanned) = scanner.next_record().unwrap() {
        lsns.push(scanned.record.lsn);
    }
    (lsns, scanner.report().clone())
}

fn names(place: &Place) -> Vec<String> {
    let listed = place.disk.list(place.db.parent().unwrap()).unwrap();
    let mut names: Vec<_> = listed
        .iter()
        .map(|n| n.to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn it_does_what_a_spool_does_and_the_file_says_so() {
    everywhere(|place| {
        let spool = open(place, &rdlw()).unwrap();
        for lsn in 1..=300 {
            append(&spool, 1 + lsn / 100, lsn).unwrap();
        }
        append_all(&spool, 5, &[301, 310, 320]).unwrap();
        assert_eq!(in_file(place).0.len(), 303);
        let mut cursor = spool.cursor(0).unwrap();
        let some = ReadLimit {
            records: 10,
            bytes: usize::MAX,
        };
        assert_eq!(cursor.next_batch(some, PATIENCE).unwrap().len(), 10);
        let cut = spool.truncate_after(305, 7).unwrap().unwrap();
        assert!(cut.to_string_lossy().ends_with(".logical.wal.cut-1"));
        assert_eq!(*in_file(place).0.last().unwrap(), 301);
        // A cursor goes on with the file that it is in.
        assert_eq!(spool.prune_through(290).unwrap(), 290);
        let (left, report) = in_file(place);
        assert_eq!(left, (291..=301).collect::<Vec<_>>());
        assert_eq!(report.verdict, Verdict::Clean);
        let next = cursor.next_batch(some, PATIENCE).unwrap();
        assert_eq!((next[0].lsn, next[9].lsn), (11, 20));
        append(&spool, 7, 306).unwrap();
        assert_eq!(read_all(&spool, 290, 4).unwrap().len(), 12);
        let stats = spool.stats().unwrap().unwrap();
        assert_eq!((stats.segments_in_use, stats.segments_free), (1, 0));
        assert_eq!(stats.log_bytes, in_file(place).1.file_len);
        assert!((1..=stats.log_bytes).contains(&spool.bytes_above(290)));
        spool.close(PATIENCE).unwrap();
        let spool = open(place, &rdlw()).unwrap();
        assert_eq!(read_all(&spool, 290, 1000).unwrap().len(), 12);
        assert_eq!((spool.term(), spool.bounds().current_lsn), (7, 306));
        // Whose file is gone all the same has it yet.
        let rest = cursor_of(&spool);
        assert_eq!(rest, (291..=301).chain([306]).collect::<Vec<_>>());
        let wrong = append(&spool, 6, 400).unwrap_err();
        assert_eq!(wrong.kind(), ErrorKind::Fenced);
        assert!(names(place).iter().all(|n| !n.contains("wal-seg-")));
    });
}

fn cursor_of(spool: &Spool) -> Vec<u64> {
    let mut cursor = spool.cursor(spool.bounds().pruned_through).unwrap();
    let mut lsns = Vec::new();
    while cursor.lsn() < spool.bounds().current_lsn {
        let more = cursor.next_batch(ReadLimit::default(), PATIENCE).unwrap();
        lsns.extend(more.iter().map(|r| r.lsn));
    }
    lsns
}

#[test]
fn pruned_empty_it_goes_on_behind_the_last_lsn_that_it_had() {
    everywhere(|place| {
        let spool = open(place, &rdlw()).unwrap();
        append_all(&spool, 3, &[10, 20, 30]).unwrap();
        assert_eq!(spool.prune_through(u64::MAX).unwrap(), 30);
        assert_eq!(in_file(place).1.file_len, 0);
        spool.close(PATIENCE).unwrap();
        let spool = open(place, &rdlw()).unwrap();
        assert_eq!((spool.bounds().current_lsn, spool.term()), (30, 3));
        assert_eq!(append(&spool, 3, 30).unwrap_err().kind(), ErrorKind::Order);
        assert_eq!(append(&spool, 2, 31).unwrap_err().kind(), ErrorKind::Fenced);
        append(&spool, 3, 31).unwrap();
        assert_eq!(in_file(place).0, [31]);
    });
}

/// Each prune costs no more than what it removes, but for a log at its limit.
#[test]
fn the_file_is_written_anew_when_half_of_it_is_pruned() {
    let place = Place::sim(&SimStorage::new());
    let options = SpoolOptions {
        max_log_bytes: Some(64 << 10),
        ..rdlw()
    };
    let spool = open(&place, &options).unwrap();
    append_all(&spool, 1, &(1..=100).collect::<Vec<_>>()).unwrap();
    spool.prune_through(10).unwrap();
    assert_eq!(in_file(&place).0.len(), 100);
    assert_eq!(read_all(&spool, 10, 1000).unwrap().len(), 90);
    spool.prune_through(75).unwrap();
    assert_eq!(in_file(&place).0.len(), 25);
    let mut lsn = 100;
    let full = loop {
        lsn += 1;
        if let Err(e) = append(&spool, 1, lsn) {
            break e;
        }
    };
    assert_eq!(full.kind(), ErrorKind::NoSpace, "{full}");
    spool.prune_through(110).unwrap();
    assert_eq!(in_file(&place).0[0], 111);
    append(&spool, 1, lsn).unwrap();
}

#[test]
fn files_made_elsewhere_are_gone_on_with() {
    let manifest = fs::read_to_string(golden().join("manifest.json")).unwrap();
    let manifest: Value = serde_json::from_str(&manifest).unwrap();
    for (name, entry) in manifest.as_object().unwrap() {
        let bytes = fs::read(golden().join(format!("{name}.rdb.logical.wal"))).unwrap();
        let disk = SimStorage::new();
        put(&disk, OLD, &bytes);
        let place = Place::sim(&disk);
        let mut want = listed(entry);
        let spool = if entry["verdict"] == "corrupt" {
            let error = open(&place, &rdlw()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{name}: {error}");
            assert_eq!(get(&disk, Path::new(OLD)).as_ref(), Some(&bytes));
            let report = salvage(&place);
            assert_eq!(report.salvaged().len(), 1, "{name}");
            assert_eq!(get(&disk, &report.salvaged()[0]).as_ref(), Some(&bytes));
            want = records(&report);
            assert!(want.len() > listed(entry).len());
            report
        } else {
            open(&place, &rdlw()).unwrap()
        };
        assert_eq!(records(&spool), want, "{name}");
        // Of older versions there is a copy, and none of what is as it is written.
        let older = name.starts_with("v1") || name.starts_with("v2") || name.contains("41");
        assert_eq!(spool.imported().is_some(), older, "{name}");
        if let Some(copy) = spool.imported() {
            assert_eq!(get(&disk, copy).as_ref(), Some(&bytes), "{name}");
        }
        assert_eq!(spool.torn().is_some(), entry["verdict"] == "torn", "{name}");
        let next = spool.bounds().current_lsn + 1;
        append(&spool, spool.term().max(1), next).unwrap();
        spool.close(PATIENCE).unwrap();
        let spool = open(&place, &rdlw()).unwrap();
        assert_eq!(spool.imported(), None, "{name}");
        assert_eq!(records(&spool)[..want.len()], want, "{name}, reopened");
        assert_eq!(in_file(&place).1.verdict, Verdict::Clean);
    }
}

fn salvage(place: &Place) -> Spool {
    let options = SpoolOptions {
        salvage: true,
        ..rdlw()
    };
    open(place, &options).unwrap()
}

#[test]
fn ten_appends_behind_a_torn_tail_are_there_after_a_reopen() {
    let whole = fs::read(golden().join("v3.rdb.logical.wal")).unwrap();
    for torn in (1..=4).chain([20, 36]) {
        let disk = SimStorage::new();
        put(&disk, OLD, &[&whole[..], &whole[..torn]].concat());
        let place = Place::sim(&disk);
        let spool = open(&place, &rdlw()).unwrap();
        assert_eq!(spool.torn().unwrap().offset, whole.len() as u64);
        let (last, before) = (spool.bounds().current_lsn, records(&spool).len());
        for n in 1..=10 {
            append(&spool, spool.term(), last + n).unwrap();
        }
        drop(spool);
        let crashed = disk.crash_nothing();
        let spool = open(&Place::sim(&crashed), &rdlw()).unwrap();
        assert_eq!(records(&spool).len(), before + 10, "{torn} bytes");
        assert_eq!(spool.torn(), None);
    }
}

/// Where the file is gone, or has lost what was durable when the state was
/// saved, nothing goes on behind its back.
#[test]
fn a_file_that_has_lost_records_is_missed() {
    for keep in [None, Some(0), Some(41)] {
        for format in [Format::Rdlw, Format::Native] {
            let disk = SimStorage::new();
            let place = Place::sim(&disk);
            let spool = open(&place, &rdlw()).unwrap();
            append_all(&spool, 1, &[1, 2, 3]).unwrap();
            spool.close(PATIENCE).unwrap();
            match keep {
                None => disk.remove(Path::new(OLD)).unwrap(),
                Some(len) => {
                    let file = disk.open(Path::new(OLD), OpenMode::Write).unwrap();
                    file.set_len(len).unwrap();
                }
            }
            let options = SpoolOptions { format, ..small() };
            let error = open(&place, &options).unwrap_err();
            assert_eq!(
                error.kind(),
                ErrorKind::Corrupt,
                "{keep:?} {format:?}: {error}"
            );
            assert_eq!(error.path(), Some(Path::new(OLD)));
            let again = open(&place, &options).unwrap_err();
            assert_eq!(again.kind(), ErrorKind::Corrupt, "asked again: {again}");
            let spool = open(
                &place,
                &SpoolOptions {
                    salvage: true,
                    ..options
                },
            )
            .unwrap();
            let kept = u64::from(keep == Some(41));
            let read = spool.read_since(0, super::tools::all());
            assert_eq!(read.map_or(0, |r| r.len() as u64), kept);
            let lost = spool.read_since(kept, super::tools::all()).unwrap_err();
            assert_eq!((lost.kind(), lost.lsn()), (ErrorKind::WalRemoved, Some(4)));
            assert_eq!(append(&spool, 1, 3).unwrap_err().kind(), ErrorKind::Order);
            append(&spool, 1, 4).unwrap();
            spool.close(PATIENCE).unwrap();
            let spool = open(&place, &SpoolOptions { format, ..small() }).unwrap();
            assert_eq!(read_all(&spool, 3, 10).unwrap(), [4]);
        }
    }
}

#[test]
fn native_segments_are_not_written_as_one_file() {
    everywhere(|place| {
        let spool = open(place, &small()).unwrap();
        append_all(&spool, 1, &[1, 2, 3]).unwrap();
        spool.close(PATIENCE).unwrap();
        let refused = open(place, &rdlw()).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Unsupported, "{refused}");
        assert!(refused.message().starts_with("format: "), "{refused}");
        let spool = open(place, &small()).unwrap();
        assert_eq!(read_all(&spool, 0, 10).unwrap(), [1, 2, 3]);
    });
}

/// What the spool of one file knew beyond it is known to the native one: what is
/// pruned, a term without a record, the end. Also where the open is cut short.
#[test]
fn a_native_open_takes_the_file_in() {
    let options = SpoolOptions {
        knobs: epochwal::coordinator::Knobs {
            spares_in_line: true,
            ..Default::default()
        },
        segment_size: 16 << 10,
        ..small()
    };
    let disk = SimStorage::new();
    let place = Place::sim(&disk);
    let spool = open(&place, &rdlw()).unwrap();
    append_all(&spool, 1, &(1..=60).collect::<Vec<_>>()).unwrap();
    append_all(&spool, 2, &(61..=200).collect::<Vec<_>>()).unwrap();
    spool.prune_through(20).unwrap();
    spool.truncate_after(150, 5).unwrap();
    let (bounds, terms, held) = (
        spool.bounds(),
        spool.terms(),
        records(&spool_from(&spool, 20)),
    );
    drop(spool);
    let moments: Arc<Mutex<Vec<SimStorage>>> = Arc::default();
    let keep = moments.clone();
    disk.on_operation(move |snapshot, _| keep.lock().unwrap().push(snapshot));
    let check = |spool: &Spool, what: &str| {
        assert_eq!(spool.bounds(), bounds, "{what}");
        assert_eq!((spool.terms(), spool.term()), (terms.clone(), 5), "{what}");
        assert_eq!(records(&spool_from(spool, 20)), held, "{what}");
    };
    let spool = open(&place, &options).unwrap();
    disk.stop_observing();
    assert!(get(&disk, spool.imported().unwrap()).is_some());
    check(&spool, "whole");
    append(&spool, 5, 151).unwrap();
    assert_eq!(
        append(&spool, 4, 152).unwrap_err().kind(),
        ErrorKind::Fenced
    );
    let moments = moments.lock().unwrap();
    assert!(moments.len() > 20, "{}", moments.len());
    for (at, snapshot) in moments.iter().enumerate() {
        for seed in 0..5 {
            let crashed = match seed {
                0 => snapshot.crash_nothing(),
                1 => snapshot.crash_everything(),
                seed => snapshot.crash_random(at as u64 * 100 + seed),
            };
            let what = format!("operation {at}, seed {seed}");
            let spool = open(&Place::sim(&crashed), &options);
            let spool = spool.unwrap_or_else(|e| panic!("{what}: {e}"));
            check(&spool, &what);
            assert_eq!(get(&crashed, Path::new(OLD)), None);
            append(&spool, 5, 151).unwrap();
            spool.close(PATIENCE).unwrap();
        }
    }
}

/// `records` reads from the beginning.
fn spool_from(spool: &Spool, lsn: u64) -> Spool {
    let memory = Spool::in_memory(&SpoolOptions::default()).unwrap();
    for r in spool.read_since(lsn, super::tools::all()).unwrap() {
        let record = Record {
            term: r.term,
            lsn: r.lsn,
            timestamp_ms: r.timestamp_ms,
            payload: &r.payload,
        };
        memory.append(&[record], None).unwrap();
    }
    memory
}

/// Bytes of all files.
fn used(place: &Place) -> u64 {
    let dir = place.db.parent().unwrap();
    let len = |name: &String| {
        let file = place.disk.open(&dir.join(name), OpenMode::Read).unwrap();
        file.len().unwrap()
    };
    names(place).iter().map(len).sum()
}

#[test]
fn no_space_in_the_middle_of_a_record_heals_when_there_is_some() {
    let disk = SimStorage::new();
    let place = Place::sim(&disk);
    let spool = open(&place, &rdlw()).unwrap();
    append(&spool, 1, 1).unwrap();
    disk.set_capacity(Some(used(&place) + 700));
    let large = [7; 5000];
    let record = Record {
        term: 1,
        lsn: 2,
        timestamp_ms: 5,
        payload: &large,
    };
    let full = spool.append(&[record], PATIENCE).unwrap_err();
    assert_eq!(full.kind(), ErrorKind::NoSpace, "{full}");
    assert_eq!(in_file(&place), (vec![1], in_file(&place).1));
    assert_eq!(in_file(&place).1.verdict, Verdict::Clean);
    disk.set_capacity(None);
    spool.flush(PATIENCE).unwrap();
    append(&spool, 1, 3).unwrap();
    assert_eq!(in_file(&Place::sim(&disk.crash_nothing())).0, [1, 2, 3]);
}

fn reader(place: &Place, since: Option<u64>) -> SpoolReader {
    SpoolReader::open_on(place.disk.clone(), &place.db, since).unwrap()
}

fn read(reader: &mut SpoolReader) -> Vec<u64> {
    let mut lsns = Vec::new();
    while let Some(record) = reader.next_record().unwrap() {
        lsns.push(record.lsn);
    }
    lsns
}

/// Bytes that were written and not synced are in the page cache, for everybody.
#[test]
fn a_reader_beside_the_writer_sees_what_is_durable() {
    let disk = SimStorage::new();
    let place = Place::sim(&disk);
    let spool = open(&place, &rdlw()).unwrap();
    let mut empty = reader(&place, None);
    assert_eq!(read(&mut empty).len(), 0);
    append_all(&spool, 1, &[1, 2, 3]).unwrap();
    let mut before = reader(&place, Some(1));
    append(&spool, 1, 4).unwrap();
    assert_eq!(read(&mut before), [2, 3]);
    assert_eq!(read(&mut reader(&place, None)), [1, 2, 3, 4]);
    disk.fail(FaultPlan::error(Call::SyncAll, libc::EIO));
    append(&spool, 1, 5).unwrap_err();
    disk.clear_faults();
    assert_eq!(in_file(&place).0, [1, 2, 3, 4, 5]);
    let mut beside = reader(&place, None);
    assert_eq!(read(&mut beside), [1, 2, 3, 4]);
    let report = beside.report();
    assert!(report.writer && report.exists);
    assert_eq!((report.durable_lsn, report.current_lsn), (4, 4));
    assert_eq!(report.verdict, epochwal::recovery::Verdict::Clean);
    drop(spool);
    // Nobody says so any more.
    let mut alone = reader(&place, None);
    assert_eq!(read(&mut alone), [1, 2, 3, 4, 5]);
    assert!(alone.report().durable_lsn <= 4);
}

#[test]
fn a_reader_keeps_its_file_and_is_told_of_a_cut() {
    everywhere(|place| {
        let spool = open(place, &rdlw()).unwrap();
        append_all(&spool, 1, &(1..=50).collect::<Vec<_>>()).unwrap();
        let mut pruned = reader(place, None);
        assert_eq!(pruned.next_record().unwrap().unwrap().lsn, 1);
        spool.prune_through(40).unwrap();
        assert_eq!(in_file(place).0.len(), 10);
        assert_eq!(read(&mut pruned).len(), 49);
        let late = SpoolReader::open_on(place.disk.clone(), &place.db, Some(39));
        assert_eq!(late.unwrap_err().kind(), ErrorKind::WalRemoved);
        let mut cut = reader(place, Some(40));
        while cut.next_record().unwrap().unwrap().lsn < 48 {}
        spool.truncate_after(45, 2).unwrap();
        append(&spool, 2, 46).unwrap();
        let error = cut.read_to_end().unwrap_err();
        assert_eq!((error.kind(), error.lsn()), (ErrorKind::Diverged, Some(45)));
        let mut all = reader(place, None);
        assert_eq!(read(&mut all), [41, 42, 43, 44, 45, 46]);
        assert_eq!(all.report().terms, spool.terms());
        let ahead = reader(place, Some(47)).read_to_end().unwrap_err();
        assert_eq!((ahead.kind(), ahead.lsn()), (ErrorKind::Ahead, Some(46)));
    });
}

#[test]
fn a_reader_of_a_file_alone_gives_its_verdict() {
    use epochwal::recovery::Verdict as Judged;
    let whole = fs::read(golden().join("v3.rdb.logical.wal")).unwrap();
    let disk = SimStorage::new();
    put(&disk, OLD, &[&whole[..], &whole[..20]].concat());
    let place = Place::sim(&disk);
    let mut torn = reader(&place, None);
    let given = read(&mut torn).len();
    assert_eq!(
        (torn.report().verdict, given),
        (Judged::Torn, records_in(&whole))
    );
    assert_eq!(torn.report().suspects[0].offset, whole.len() as u64);
    assert_eq!(names(&place).len(), 1, "it makes nothing");
    let flipped = fs::read(golden().join("flip-in-the-middle.rdb.logical.wal")).unwrap();
    put(&disk, OLD, &flipped);
    let mut corrupt = reader(&place, None);
    assert_eq!(
        corrupt.read_to_end().unwrap_err().kind(),
        ErrorKind::Corrupt
    );
    assert_eq!(corrupt.report().verdict, Judged::Corrupt);
    assert!(corrupt.report().records > 0);
    put(&disk, OLD, &whole);
    let spool = open(&place, &rdlw()).unwrap();
    spool.close(PATIENCE).unwrap();
    put(&disk, OLD, b"");
    let lost = reader(&place, None).read_to_end().unwrap_err();
    assert_eq!(lost.kind(), ErrorKind::Corrupt, "{lost}");
    disk.remove(Path::new(OLD)).unwrap();
    let gone = SpoolReader::open_on(place.disk.clone(), &place.db, None);
    assert_eq!(gone.unwrap_err().kind(), ErrorKind::Corrupt);
}

fn records_in(bytes: &[u8]) -> usize {
    let disk = SimStorage::new();
    put(&disk, OLD, bytes);
    in_file(&Place::sim(&disk)).0.len()
}
