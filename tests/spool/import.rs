//! Single-file spools and slot stores of other software, taken in at an open.

use super::common::{PATIENCE, Place};
use super::tools::{all, open, small};
use epochwal::ErrorKind;
use epochwal::primary::{Cause, Primary, PrimaryOptions};
use epochwal::spool::{Record, Spool, SpoolOptions};
use epochwal::storage::sim::SimStorage;
use epochwal::storage::{OpenMode, Storage, write_all_at};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

pub const OLD: &str = "/data/test.db.logical.wal";
const OLD_SLOTS: &str = "/data/test.db.logical.slots.json";

pub fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/rdlw")
}

pub fn put(disk: &SimStorage, path: &str, bytes: &[u8]) {
    disk.make_dirs(Path::new("/data"));
    let file = disk.open(Path::new(path), OpenMode::WriteOrCreate).unwrap();
    file.set_len(bytes.len() as u64).unwrap();
    write_all_at(&*file, bytes, 0, 1).unwrap();
    file.sync_all().unwrap();
    disk.sync_dir(Path::new("/data")).unwrap();
}

pub fn get(disk: &SimStorage, path: &Path) -> Option<Vec<u8>> {
    let file = disk.open(path, OpenMode::Read).ok()?;
    let mut bytes = vec![0; file.len().unwrap() as usize];
    epochwal::storage::read_exact_at(&*file, &mut bytes, 0).unwrap();
    Some(bytes)
}

pub type Got = (u64, u64, u64, usize, u32);

pub fn records(spool: &Spool) -> Vec<Got> {
    records_above(spool, 0)
}

pub fn records_above(spool: &Spool, lsn: u64) -> Vec<Got> {
    let records = spool.read_since(lsn, all()).unwrap();
    let one = |r: &epochwal::spool::SpoolRecord| {
        let crc = crc32fast::hash(&r.payload);
        (r.term, r.lsn, r.timestamp_ms, r.payload.len(), crc)
    };
    records.iter().map(one).collect()
}

pub fn listed(entry: &Value) -> Vec<Got> {
    let number = |r: &Value, field: &str| r[field].as_u64().unwrap();
    let one = |r: &Value| {
        (
            number(r, "term"),
            number(r, "lsn"),
            number(r, "timestamp"),
            number(r, "len") as usize,
            number(r, "payload_crc32") as u32,
        )
    };
    entry["records"]
        .as_array()
        .unwrap()
        .iter()
        .map(one)
        .collect()
}

#[test]
fn files_made_elsewhere_are_taken_in_as_their_manifest_says() {
    let manifest = fs::read_to_string(golden().join("manifest.json")).unwrap();
    let manifest: Value = serde_json::from_str(&manifest).unwrap();
    let entries = manifest.as_object().unwrap();
    assert!(entries.len() >= 7);
    for (name, entry) in entries {
        let bytes = fs::read(golden().join(format!("{name}.rdb.logical.wal"))).unwrap();
        let disk = SimStorage::new();
        put(&disk, OLD, &bytes);
        let place = Place::sim(&disk);
        if entry["verdict"] == "corrupt" {
            let error = open(&place, &small()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{name}: {error}");
            assert_eq!(error.path(), Some(Path::new(OLD)));
            assert_eq!(disk.list(Path::new("/data")).unwrap().len(), 1, "{name}");
            let salvage = SpoolOptions {
                salvage: true,
                ..small()
            };
            let spool = open(&place, &salvage).unwrap();
            // What lies beyond is read by who says that he knows what is lost.
            let mut got = records(&spool);
            let last = got.last().map_or(0, |r| r.1);
            let told = spool.read_since(last, all()).unwrap_err();
            assert_eq!(told.kind(), ErrorKind::WalRemoved, "{name}: {told}");
            got.extend(records_above(&spool, told.lsn().unwrap() - 1));
            assert!(
                got.len() > listed(entry).len(),
                "{name}: what lies beyond is kept"
            );
            assert_eq!(got[..listed(entry).len()], listed(entry));
            assert_eq!(get(&disk, spool.imported().unwrap()), Some(bytes));
            continue;
        }
        let spool = open(&place, &small()).unwrap();
        assert_eq!(records(&spool), listed(entry), "{name}");
        assert_eq!(
            get(&disk, spool.imported().unwrap()),
            Some(bytes),
            "{name}: unchanged"
        );
        assert_eq!(get(&disk, Path::new(OLD)), None);
        spool.close(PATIENCE).unwrap();
        let spool = open(&place, &small()).unwrap();
        assert_eq!(spool.imported(), None);
        assert_eq!(records(&spool), listed(entry), "{name}, reopened");
    }
}

#[test]
fn a_salvage_takes_a_damaged_file_in() {
    let bytes = fs::read(golden().join("flip-in-the-middle.rdb.logical.wal")).unwrap();
    let disk = SimStorage::new();
    put(&disk, OLD, &bytes);
    let place = Place::sim(&disk);
    assert_eq!(
        open(&place, &small()).unwrap_err().kind(),
        ErrorKind::Corrupt
    );
    let report = Spool::salvage_on(place.disk.clone(), &place.db).unwrap();
    assert_eq!(report.moved.len(), 1, "{report:?}");
    assert_eq!(get(&disk, &report.moved[0]), Some(bytes));
    let spool = open(&place, &small()).unwrap();
    assert_eq!(spool.bounds(), report.bounds);
    assert!(!records(&spool).is_empty());
}

/// A tail torn inside the first four bytes of a record once made appends after
/// it unreadable elsewhere.
#[test]
fn ten_appends_behind_a_tail_torn_in_its_first_bytes_are_there_after_a_reopen() {
    let whole = fs::read(golden().join("v3.rdb.logical.wal")).unwrap();
    for torn in 1..=4 {
        let disk = SimStorage::new();
        put(&disk, OLD, &[&whole[..], &whole[..torn]].concat());
        let place = Place::sim(&disk);
        let spool = open(&place, &small()).unwrap();
        let left_out = spool.torn().expect("a torn tail is told");
        assert_eq!(left_out.offset, whole.len() as u64);
        assert_eq!(Some(&*left_out.path), spool.imported());
        let last = spool.bounds().current_lsn;
        let before = records(&spool).len();
        for n in 1..=10 {
            let record = Record {
                term: spool.term(),
                lsn: last + n,
                timestamp_ms: 1,
                payload: b"after",
            };
            spool.append(&[record], PATIENCE).unwrap();
        }
        spool.close(PATIENCE).unwrap();
        let spool = open(&place, &small()).unwrap();
        assert_eq!(records(&spool).len(), before + 10, "{torn} bytes");
        assert!(spool.torn().is_none());
    }
}

#[test]
fn an_import_cut_short_at_any_operation_goes_on_and_loses_nothing() {
    let bytes = fs::read(golden().join("v2.rdb.logical.wal")).unwrap();
    let options = SpoolOptions {
        segment_size: 16 << 10,
        knobs: epochwal::coordinator::Knobs {
            spares_in_line: true,
            ..Default::default()
        },
        ..small()
    };
    let disk = SimStorage::new();
    put(&disk, OLD, &bytes);
    let place = Place::sim(&disk);
    let moments: Arc<Mutex<Vec<SimStorage>>> = Arc::default();
    let keep = moments.clone();
    disk.on_operation(move |snapshot, _| keep.lock().unwrap().push(snapshot));
    let spool = open(&place, &options).unwrap();
    let whole = records(&spool);
    disk.stop_observing();
    assert_eq!(whole.len(), 50);
    let moments = moments.lock().unwrap();
    assert!(moments.len() > 20, "{}", moments.len());
    for (at, snapshot) in moments.iter().enumerate() {
        for seed in 0..5 {
            let crashed = match seed {
                0 => snapshot.crash_nothing(),
                1 => snapshot.crash_everything(),
                seed => snapshot.crash_random(at as u64 * 100 + seed),
            };
            let spool = open(&Place::sim(&crashed), &options)
                .unwrap_or_else(|e| panic!("operation {at}, seed {seed}: {e}"));
            assert_eq!(records(&spool), whole, "operation {at}, seed {seed}");
            assert_eq!(get(&crashed, Path::new(OLD)), None);
        }
    }
}

/// A record of version 3.
fn encoded(term: u64, lsn: u64, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![3];
    for number in [term, lsn, 1_700_000_000_000 + lsn] {
        bytes.extend(number.to_le_bytes());
    }
    bytes.extend((payload.len() as u32).to_le_bytes());
    bytes.extend(payload);
    let crc = crc32fast::hash(&bytes);
    [b"RDLW", &bytes[..], &crc.to_le_bytes()].concat()
}

/// More records than are appended at once, two of them damaged where `damaged`.
fn long_file(damaged: bool) -> Vec<u8> {
    let mut file = Vec::new();
    for lsn in 1..=2600u64 {
        let payload = vec![lsn as u8; (lsn % 7) as usize];
        let mut record = encoded(1 + lsn / 900, 2 * lsn, &payload);
        if damaged && (lsn == 700 || lsn == 1900) {
            record[20] ^= 1;
        }
        file.extend(record);
    }
    file
}

/// All records, also those behind what is told as lost.
fn across(spool: &Spool) -> Vec<Got> {
    let mut got = records(spool);
    loop {
        let last = got.last().map_or(0, |r| r.1);
        match spool.read_since(last, all()) {
            Ok(rest) if rest.is_empty() => return got,
            Ok(_) => got.extend(records_above(spool, last)),
            Err(told) => {
                assert_eq!(told.kind(), ErrorKind::WalRemoved, "{told}");
                let first = told.lsn().unwrap();
                assert!(first > last);
                got.extend(records_above(spool, first - 1));
            }
        }
    }
}

/// A part of the file is in native segments then, and the next import, cut short
/// as well, finds it there.
#[test]
fn an_import_of_many_runs_is_cut_short_twice() {
    for damaged in [false, true] {
        let options = SpoolOptions {
            salvage: damaged,
            segment_size: 64 << 10,
            knobs: epochwal::coordinator::Knobs {
                spares_in_line: true,
                ..Default::default()
            },
            ..small()
        };
        let disk = SimStorage::new();
        put(&disk, OLD, &long_file(damaged));
        let import = |disk: &SimStorage| {
            let moments: Arc<Mutex<Vec<SimStorage>>> = Arc::default();
            let keep = moments.clone();
            disk.on_operation(move |snapshot, _| keep.lock().unwrap().push(snapshot));
            let spool = open(&Place::sim(disk), &options).unwrap();
            disk.stop_observing();
            let found = (across(&spool), spool.bounds(), spool.lost_through());
            (std::mem::take(&mut *moments.lock().unwrap()), found)
        };
        let (moments, whole) = import(&disk);
        assert_eq!(whole.0.len(), if damaged { 2598 } else { 2600 });
        let mut partly = 0;
        for (at, moment) in moments.iter().enumerate() {
            let crashed = match at % 3 {
                0 => moment.crash_nothing(),
                1 => moment.crash_everything(),
                _ => moment.crash_random(at as u64),
            };
            let (again, found) = import(&crashed);
            assert_eq!(found, whole, "operation {at}, damaged: {damaged}");
            assert_eq!(get(&crashed, Path::new(OLD)), None);
            for (second, moment) in again.iter().enumerate() {
                if (at + second) % 13 != 0 {
                    continue;
                }
                let crashed = moment.crash_random((at * second) as u64);
                let held = crashed.list(Path::new("/data")).unwrap();
                let is = |part: &str| held.iter().any(|n| n.to_string_lossy().ends_with(part));
                partly += u64::from(is(".logical.wal") && is("state"));
                let (_, found) = import(&crashed);
                assert_eq!(found, whole, "operations {at} and {second}");
            }
        }
        println!("{} operations, {partly} partly there", moments.len());
        assert!(moments.len() > 30 && partly > 50, "{partly}");
    }
}

#[test]
fn a_file_that_contradicts_the_spool_is_refused() {
    let bytes = fs::read(golden().join("v3.rdb.logical.wal")).unwrap();
    let disk = SimStorage::new();
    let place = Place::sim(&disk);
    let spool = open(&place, &small()).unwrap();
    let record = Record {
        term: 1,
        lsn: 3,
        timestamp_ms: 7,
        payload: b"another",
    };
    spool.append(&[record], PATIENCE).unwrap();
    spool.close(PATIENCE).unwrap();
    put(&disk, OLD, &bytes);
    let error = open(&place, &small()).unwrap_err();
    assert_eq!(
        (error.kind(), error.lsn()),
        (ErrorKind::Exists, Some(3)),
        "{error}"
    );
    assert_eq!(get(&disk, Path::new(OLD)), Some(bytes));
}

#[test]
fn an_older_slot_store_is_taken_in_once_and_a_damaged_one_stops_the_open() {
    let wal = fs::read(golden().join("v3.rdb.logical.wal")).unwrap();
    let json = fs::read(golden().join("slots-as-doubles.rdb.logical.slots.json")).unwrap();
    let disk = SimStorage::new();
    put(&disk, OLD, &wal);
    put(&disk, OLD_SLOTS, &json);
    let place = Place::sim(&disk);
    let options = PrimaryOptions {
        saver: false,
        ..PrimaryOptions::default()
    };
    let primary = || Primary::open_on(place.disk.clone(), &place.db, &small(), &options);
    let p = primary().unwrap();
    let slots = p.slots();
    assert_eq!(slots.len(), 5);
    let gone = p.slot("gone").unwrap();
    assert_eq!(
        gone.slot.invalidation.map(|i| i.cause),
        Some(Cause::Horizon)
    );
    assert_eq!(
        p.prune(None).unwrap(),
        5,
        "the lowest restart LSN of a valid one"
    );
    p.slot_drop("replica-0").unwrap();
    let exported: Value = serde_json::from_slice(&p.export_slots()).unwrap();
    assert_eq!(exported["slots"].as_array().unwrap().len(), 4);
    p.close().unwrap();
    // The file is still there, and is not asked again.
    assert_eq!(primary().unwrap().slots().len(), 4);

    let damaged = fs::read(golden().join("slots-damaged.rdb.logical.slots.json")).unwrap();
    let disk = SimStorage::new();
    put(&disk, OLD_SLOTS, &damaged);
    let place = Place::sim(&disk);
    let opened = Primary::open_on(place.disk.clone(), &place.db, &small(), &options);
    let error = opened.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert_eq!(error.path(), Some(Path::new(OLD_SLOTS)));
}

#[test]
fn an_older_slot_store_holds_records_back_before_a_primary_takes_it_in() {
    let wal = fs::read(golden().join("v3.rdb.logical.wal")).unwrap();
    let json = fs::read(golden().join("slots-as-doubles.rdb.logical.slots.json")).unwrap();
    let disk = SimStorage::new();
    put(&disk, OLD, &wal);
    put(&disk, OLD_SLOTS, &json);
    let place = Place::sim(&disk);
    let spool = open(&place, &small()).unwrap();
    let lowest = "the lowest restart LSN of a valid slot";
    assert_eq!(spool.prune_through(u64::MAX).unwrap(), 5, "{lowest}");
    spool.close(PATIENCE).unwrap();

    let damaged = fs::read(golden().join("slots-damaged.rdb.logical.slots.json")).unwrap();
    put(&disk, OLD_SLOTS, &damaged);
    let spool = open(&place, &small()).unwrap();
    let error = spool.prune_through(u64::MAX).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert_eq!(error.path(), Some(Path::new(OLD_SLOTS)));
    assert_eq!(spool.bounds().pruned_through, 5);
}
