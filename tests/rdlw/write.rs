//! What the exporter and the appender promise on a good day, and what they
//! refuse.

use super::common::{Got, disk_with, encode, lsns, path, scan, scan_bytes};
use epochwal::ErrorKind;
use epochwal::coordinator::SyncPolicy;
use epochwal::format::rdlw::{self, Layout, MAX_PAYLOAD, Record};
use epochwal::spool::rdlw::{Appender, Exporter, MAX_RUN, Report, ScanOptions, Verdict};
use epochwal::storage::sim::{Call, SimStorage};
use epochwal::storage::{File, OpenMode, RealStorage, Storage, read_exact_at};
use std::path::Path;
use std::sync::Arc;

pub fn record(term: u64, lsn: u64, payload: &[u8]) -> Record<'_> {
    Record {
        term,
        lsn,
        timestamp: lsn ^ 0x5555,
        payload,
    }
}

pub fn encoded(records: &[Record<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    for record in records {
        rdlw::encode(record, &mut out).unwrap();
    }
    out
}

pub fn bytes_of(file: &dyn File) -> Vec<u8> {
    let mut bytes = vec![0; file.len().unwrap() as usize];
    read_exact_at(file, &mut bytes, 0).unwrap();
    bytes
}

pub fn scan_file(disk: &SimStorage, path: &Path) -> (Vec<Got>, Report) {
    scan(Arc::new(disk.clone()), path, ScanOptions::default())
}

pub fn open(disk: &SimStorage) -> Appender {
    let exists = disk.open(&path(), OpenMode::Read).is_ok();
    let report = match exists {
        true => scan_file(disk, &path()).1,
        false => Report::default(),
    };
    let shared: Arc<dyn Storage> = Arc::new(disk.clone());
    Appender::open(&shared, &path(), &report, SyncPolicy::Normal).unwrap()
}

fn names(disk: &SimStorage) -> Vec<String> {
    let names = disk.list(Path::new("/data")).unwrap();
    let mut names: Vec<String> = names
        .into_iter()
        .map(|n| n.into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn empty() -> SimStorage {
    let disk = SimStorage::new();
    disk.make_dirs(Path::new("/data"));
    disk
}

#[test]
fn what_is_exported_is_read_again() {
    let long = vec![7; 3 << 20];
    let records = [
        record(1, 1, b""),
        record(1, 1 << 53, b"payload"),
        record(2, (1 << 53) + 1, &long),
        record(u64::MAX, u64::MAX - 1, b"last"),
    ];
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("x.logical.wal");
    let disk: Arc<dyn Storage> = Arc::new(RealStorage);
    let mut exporter = Exporter::create(&disk, &target).unwrap();
    for record in &records {
        exporter.push(record).unwrap();
    }
    let exported = exporter.finish().unwrap();
    assert_eq!(exported.records, 4);
    let bytes = std::fs::read(&target).unwrap();
    assert_eq!(exported.bytes, bytes.len() as u64);
    assert!(bytes == encoded(&records));
    let (got, report) = scan(disk.clone(), &target, ScanOptions::default());
    assert_eq!(report.verdict, Verdict::Clean);
    let again: Vec<Record<'_>> = got.iter().map(Got::record).collect();
    assert!(again == records);
    assert!(got.iter().all(|r| r.layout == Layout::Three33));
    let names: Vec<_> = std::fs::read_dir(dir.path()).unwrap().collect();
    assert_eq!(names.len(), 1, "{names:?}");
}

#[test]
fn what_is_refused_leaves_no_byte() {
    let disk: Arc<dyn Storage> = Arc::new(empty());
    let mut exporter = Exporter::create(&disk, &path()).unwrap();
    exporter.push(&record(3, 10, b"ten")).unwrap();
    let long = vec![0; MAX_PAYLOAD as usize + 1];
    let refused = [
        (record(3, 10, b""), ErrorKind::Order),
        (record(3, 9, b""), ErrorKind::Order),
        (record(2, 11, b""), ErrorKind::Fenced),
        (record(3, 0, b""), ErrorKind::Invalid),
        (record(3, u64::MAX, b""), ErrorKind::Invalid),
        (record(3, 11, &long), ErrorKind::TooLarge),
    ];
    for (record, kind) in refused {
        assert_eq!(exporter.push(&record).unwrap_err().kind(), kind);
    }
    exporter.push(&record(3, 11, b"eleven")).unwrap();
    exporter.finish().unwrap();
    let (got, report) = scan(disk, &path(), ScanOptions::default());
    assert_eq!((lsns(&got), report.verdict), (vec![10, 11], Verdict::Clean));
}

#[test]
fn an_export_replaces_nothing_and_leaves_nothing_unfinished() {
    let sim = disk_with(b"something");
    let disk: Arc<dyn Storage> = Arc::new(sim.clone());
    let e = Exporter::create(&disk, &path()).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Exists, "{e}");
    assert_eq!(names(&sim), ["app.db.logical.wal"]);

    let sim = empty();
    let disk: Arc<dyn Storage> = Arc::new(sim.clone());
    let mut exporter = Exporter::create(&disk, &path()).unwrap();
    exporter.push(&record(1, 1, &[1; 2 << 20])).unwrap();
    assert_eq!(names(&sim), ["app.db.logical.wal-tmp-0000000000000000"]);
    let e = Exporter::create(&disk, &path()).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Locked, "{e}");
    drop(exporter);
    assert!(names(&sim).is_empty());
    let e = Exporter::create(&disk, Path::new("/none/x")).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::NotFound, "{e}");
}

/// Whoever waited for the lock of one that then finished does not touch it.
#[test]
fn who_comes_second_finds_the_file_and_leaves_it() {
    let sim = empty();
    let disk: Arc<dyn Storage> = Arc::new(sim.clone());
    let mut first = Exporter::create(&disk, &path()).unwrap();
    first.push(&record(1, 1, b"first")).unwrap();
    // Opened before the rename, locked after it.
    let gate = sim.block_on_path(Call::Lock, "-tmp-");
    std::thread::scope(|scope| {
        let second = scope.spawn(|| Exporter::create(&disk, &path()).map(|_| ()));
        gate.wait_blocked();
        first.finish().unwrap();
        gate.open();
        let e = second.join().unwrap().unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Exists, "{e}");
    });
    assert_eq!(lsns(&scan_file(&sim, &path()).0), [1]);
}

#[test]
fn a_run_is_one_write_and_one_sync() {
    let sim = empty();
    let mut appender = open(&sim);
    let run = encoded(&[
        record(1, 1, b"one"),
        record(1, 2, b""),
        record(1, 5, &[5; 9000]),
    ]);
    let before = [Call::Write, Call::SyncData].map(|call| sim.calls(call));
    assert_eq!(appender.append(&run).unwrap(), 0);
    let after = [Call::Write, Call::SyncData].map(|call| sim.calls(call));
    assert_eq!(after, before.map(|n| n + 1));
    let next = encoded(&[record(2, 6, b"six")]);
    assert_eq!(appender.append(&next).unwrap(), run.len() as u64);
    assert_eq!(appender.append(&[]).unwrap(), appender.end());
    let crashed = sim.crash_nothing();
    let (got, report) = scan_file(&crashed, &path());
    assert_eq!(
        (lsns(&got), report.verdict),
        (vec![1, 2, 5, 6], Verdict::Clean)
    );
    assert_eq!(bytes_of(&*appender.view().0), [run, next].concat());
}

#[test]
fn each_policy_syncs_as_it_says() {
    for (policy, all, data) in [
        (SyncPolicy::Full, 1, 0),
        (SyncPolicy::Normal, 0, 1),
        (SyncPolicy::Off, 0, 0),
    ] {
        let sim = empty();
        let disk: Arc<dyn Storage> = Arc::new(sim.clone());
        let mut appender = Appender::open(&disk, &path(), &Report::default(), policy).unwrap();
        let before = [Call::SyncAll, Call::SyncData].map(|call| sim.calls(call));
        appender.append(&encoded(&[record(1, 1, b"one")])).unwrap();
        let after = [Call::SyncAll, Call::SyncData].map(|call| sim.calls(call));
        assert_eq!(after, [before[0] + all, before[1] + data], "{policy:?}");
    }
}

#[test]
fn a_long_run_is_synced_in_parts_of_whole_records() {
    let sim = empty();
    let mut appender = open(&sim);
    let payload = vec![1; MAX_RUN / 3];
    let long = vec![2; MAX_RUN + 5];
    let records: Vec<Record<'_>> = [1, 2, 3, 4, 5]
        .map(|lsn| record(1, lsn, if lsn == 4 { &long } else { &payload }))
        .to_vec();
    let before = sim.calls(Call::SyncData);
    let parts = Arc::new(std::sync::Mutex::new(Vec::new()));
    let (seen, total) = (parts.clone(), encoded(&records).len() as u64);
    sim.on_operation(move |state, _| {
        let file = state.open(&path(), OpenMode::Read).unwrap();
        let mut seen = seen.lock().unwrap();
        seen.push(file.len().unwrap().min(total));
    });
    appender.append(&encoded(&records)).unwrap();
    sim.stop_observing();
    assert_eq!(sim.calls(Call::SyncData) - before, 4);
    let ends = [2, 3, 4, 5].map(|n| encoded(&records[..n]).len() as u64);
    for end in ends {
        assert!(parts.lock().unwrap().contains(&end), "{end}");
    }
    assert_eq!(lsns(&scan_file(&sim, &path()).0), [1, 2, 3, 4, 5]);
}

#[test]
fn a_torn_tail_is_cut_by_an_open_and_damage_is_not() {
    let good = encoded(&[record(1, 1, b"one"), record(1, 2, b"two")]);
    let torn = [&good[..], b"RDLW\x03torn"].concat();
    for bytes in [&good, &torn] {
        let sim = disk_with(bytes);
        let mut appender = open(&sim);
        assert_eq!(appender.end(), good.len() as u64);
        appender
            .append(&encoded(&[record(1, 3, b"three")]))
            .unwrap();
        let (got, report) = scan_file(&sim, &path());
        assert_eq!(
            (lsns(&got), report.verdict),
            (vec![1, 2, 3], Verdict::Clean)
        );
    }
    let mut damaged = good.clone();
    damaged[30] ^= 1;
    let sim = disk_with(&damaged);
    let report = scan_file(&sim, &path()).1;
    let disk: Arc<dyn Storage> = Arc::new(sim.clone());
    let e = Appender::open(&disk, &path(), &report, SyncPolicy::Full).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Corrupt, "{e}");
    assert_eq!(
        bytes_of(&*sim.open(&path(), OpenMode::Read).unwrap()),
        damaged
    );
}

/// A report of another file, of the same file earlier, or of half a scan.
#[test]
fn a_report_that_does_not_fit_cuts_nothing() {
    let good = encoded(&[record(1, 1, b"one"), record(1, 2, b"two")]);
    let sim = disk_with(&good);
    let disk: Arc<dyn Storage> = Arc::new(sim.clone());
    let torn = scan_bytes(&good[..good.len() - 1], false).1;
    let clean = scan_bytes(&good[..good.len() / 2], false).1;
    let mut scanner =
        epochwal::spool::rdlw::Scanner::open(&disk, &path(), ScanOptions::default()).unwrap();
    scanner.next_record().unwrap().unwrap();
    for report in [Report::default(), torn, clean, scanner.report().clone()] {
        let e = Appender::open(&disk, &path(), &report, SyncPolicy::Full).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Invalid, "{report:?}");
    }
    assert_eq!(bytes_of(&*sim.open(&path(), OpenMode::Read).unwrap()), good);
}

/// The tail of a log torn in its first bytes, ten appends, a reopen.
#[test]
fn ten_appends_behind_a_torn_tail() {
    for cut in 1..5 {
        let one = encoded(&[record(1, 1, b"one")]);
        let sim = disk_with(&[&one[..], &b"RDLW"[..cut]].concat());
        let mut appender = open(&sim);
        for lsn in 2..12 {
            appender
                .append(&encoded(&[record(1, lsn, b"more")]))
                .unwrap();
        }
        drop(appender);
        open(&sim);
        let (got, report) = scan_file(&sim.crash_nothing(), &path());
        assert_eq!(lsns(&got), (1..12).collect::<Vec<_>>());
        assert_eq!(report.verdict, Verdict::Clean);
    }
}

#[test]
fn a_prune_keeps_positions_and_readers() {
    let sim = empty();
    let mut appender = open(&sim);
    let runs: Vec<Vec<u8>> = (1..=5)
        .map(|lsn| encoded(&[record(1, lsn, &[lsn as u8; 700])]))
        .collect();
    let starts: Vec<u64> = runs
        .iter()
        .map(|run| appender.append(run).unwrap())
        .collect();
    let (old, removed) = appender.view();
    assert_eq!(removed, 0);
    appender.prune(starts[2]).unwrap();
    assert_eq!(lsns(&scan_file(&sim.crash_nothing(), &path()).0), [3, 4, 5]);
    // Who still reads the old file may go on.
    assert_eq!(bytes_of(&*old), runs.concat());
    let end = appender.end();
    let next = appender.append(&encoded(&[record(1, 6, b"six")])).unwrap();
    assert_eq!(next, end);
    let (file, removed) = appender.view();
    assert_eq!(removed, starts[2]);
    let mut read = vec![0; runs[4].len()];
    read_exact_at(&*file, &mut read, starts[4] - removed).unwrap();
    assert_eq!(read, runs[4]);
    for wrong in [starts[1], appender.end() + 1] {
        assert_eq!(
            appender.prune(wrong).unwrap_err().kind(),
            ErrorKind::Invalid
        );
        assert_eq!(
            appender.truncate(wrong).unwrap_err().kind(),
            ErrorKind::Invalid
        );
    }
    appender.truncate(starts[4]).unwrap();
    assert_eq!(lsns(&scan_file(&sim.crash_nothing(), &path()).0), [3, 4]);
    appender.prune(appender.end()).unwrap();
    let (got, report) = scan_file(&sim.crash_nothing(), &path());
    assert_eq!(
        (got.len(), report.file_len, report.verdict),
        (0, 0, Verdict::Clean)
    );
    appender
        .append(&encoded(&[record(1, 7, b"seven")]))
        .unwrap();
    assert_eq!(lsns(&scan_file(&sim.crash_nothing(), &path()).0), [7]);
    assert_eq!(names(&sim), ["app.db.logical.wal"]);
}

/// Files of older layouts are gone on with, record by record in version 3.
#[test]
fn an_older_file_is_gone_on_with() {
    let old = [
        encode(Layout::One, 1, 1, 0, b"one"),
        encode(Layout::Two, 1, 2, 5, b"two"),
        encode(Layout::Three41, 1, 3, 5, b"three"),
    ];
    let sim = disk_with(&old.concat());
    open(&sim)
        .append(&encoded(&[record(1, 4, b"four")]))
        .unwrap();
    assert_eq!(lsns(&scan_file(&sim, &path()).0), [1, 2, 3, 4]);
}
