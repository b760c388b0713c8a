//! Crashes at every operation of the exporter and the appender.

use super::common::{Got, lsns, path, scan};
use super::write::{bytes_of, encoded, open, record, scan_file};
use epochwal::coordinator::SyncPolicy;
use epochwal::spool::rdlw::{Appender, Exporter, Report, ScanOptions, Verdict};
use epochwal::storage::sim::{Call, FaultPlan, SimStorage};
use epochwal::storage::{OpenMode, Storage};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// What must be on the disk, and what may be.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// Acknowledged, and not yet pruned for sure.
    pub kept: Vec<(u64, Vec<u8>)>,
    /// Behind it may stand a front of this: an append under way, or one that
    /// has failed, or what is being truncated.
    pub doubt: Vec<(u64, Vec<u8>)>,
    /// What a prune under way leaves instead of `kept`.
    pub pruned: Option<Vec<(u64, Vec<u8>)>>,
}

fn pairs(got: &[Got]) -> Vec<(u64, Vec<u8>)> {
    got.iter().map(|r| (r.lsn, r.payload.clone())).collect()
}

impl Ledger {
    /// Holds a disk against the ledger; gives what the file has.
    pub fn check(&self, disk: &SimStorage, what: &str) -> Vec<(u64, Vec<u8>)> {
        if disk.open(&path(), OpenMode::Read).is_err() {
            assert!(self.kept.is_empty(), "{what}: the file is gone");
            return Vec::new();
        }
        let (got, report) = scan_file(disk, &path());
        let got = pairs(&got);
        let fits = |kept: &[(u64, Vec<u8>)]| {
            got.starts_with(kept) && self.doubt.starts_with(&got[kept.len()..])
        };
        let bases = [Some(&self.kept), self.pruned.as_ref()];
        let base = bases.into_iter().flatten().find(|kept| fits(kept));
        let (saw, had): (Vec<u64>, Vec<u64>) = (
            got.iter().map(|r| r.0).collect(),
            self.kept.iter().map(|r| r.0).collect(),
        );
        let base = base.unwrap_or_else(|| panic!("{what}: {saw:?} of {had:?}, {report:?}"));
        if let Verdict::Corrupt { .. } = report.verdict {
            // The format's limit: of a run of several, later ones may be there
            // and earlier ones not.
            assert!(self.doubt.len() > 1, "{what}: {report:?}");
            let options = ScanOptions {
                salvage: true,
                term_of: None,
            };
            let (saved, _) = scan(Arc::new(disk.clone()), &path(), options);
            let saved = pairs(&saved);
            assert!(saved.starts_with(base), "{what}");
            assert!(
                saved[base.len()..].iter().all(|r| self.doubt.contains(r)),
                "{what}"
            );
            return base.clone();
        }
        got
    }
}

/// A few of the disks that a crash now may leave, and the killed one.
pub fn crashes(state: &SimStorage, seed: u64) -> Vec<SimStorage> {
    let mut disks = vec![
        state.snapshot(),
        state.crash_nothing(),
        state.crash_everything(),
    ];
    match state.pending_count() {
        0 => {}
        1..=6 => disks.extend(state.crashes().take(100)),
        _ => disks.extend((0..60).map(|n| state.crash_random(seed * 100 + n))),
    }
    disks
}

/// Goes on with what a crash left: what was read stays, and an append lasts
/// a second crash.
fn go_on(disk: &SimStorage, ledger: &Ledger, what: &str) {
    let mut read = ledger.check(disk, what);
    let exists = disk.open(&path(), OpenMode::Read).is_ok();
    let report = match exists {
        true => scan_file(disk, &path()).1,
        false => Report::default(),
    };
    if matches!(report.verdict, Verdict::Corrupt { .. }) {
        return;
    }
    let mut appender = open(disk);
    let again = Ledger {
        kept: read.clone(),
        ..Ledger::default()
    };
    for crashed in [disk.crash_nothing(), disk.crash_everything()] {
        assert_eq!(
            again.check(&crashed, what),
            read,
            "{what}: opened and crashed"
        );
    }
    let lsn = 1000;
    appender
        .append(&encoded(&[record(9, lsn, b"behind")]))
        .unwrap();
    read.push((lsn, b"behind".to_vec()));
    let (got, report) = scan_file(&disk.crash_nothing(), &path());
    assert_eq!(
        (pairs(&got), report.verdict),
        (read, Verdict::Clean),
        "{what}: gone on"
    );
}

/// Runs `work`; at each operation the disk crashes in several ways and is
/// held against the ledger. Gives how many disks were looked at.
fn crash_everywhere(disk: &SimStorage, ledger: &Arc<Mutex<Ledger>>, work: impl FnOnce()) -> u64 {
    let count = Arc::new(AtomicU64::new(0));
    let (seen, book) = (count.clone(), ledger.clone());
    disk.on_operation(move |state, operation| {
        let book = book.lock().unwrap().clone();
        for (n, crashed) in crashes(&state, operation).into_iter().enumerate() {
            go_on(
                &crashed,
                &book,
                &format!("operation {operation}, crash {n}"),
            );
            seen.fetch_add(1, Ordering::Relaxed);
        }
    });
    work();
    disk.stop_observing();
    count.load(Ordering::Relaxed)
}

/// The records of a run: several sizes, within a sector and over many.
fn run_of(first: u64, sizes: &[usize]) -> Vec<(u64, Vec<u8>)> {
    let records = sizes.iter().enumerate();
    records
        .map(|(i, len)| (first + i as u64, vec![first as u8 + i as u8; *len]))
        .collect()
}

fn bytes_of_run(run: &[(u64, Vec<u8>)]) -> Vec<u8> {
    let records: Vec<_> = run
        .iter()
        .map(|(lsn, p)| record(*lsn / 4, *lsn, p))
        .collect();
    encoded(&records)
}

#[test]
fn an_appender_crashed_at_every_operation() {
    let disk = SimStorage::new();
    disk.make_dirs(Path::new("/data"));
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    let states = crash_everywhere(&disk, &ledger, || {
        let mut appender = open(&disk);
        let mut starts = Vec::new();
        let mut lsn = 1;
        let mut append = |appender: &mut Appender, sizes: &[usize]| {
            let run = run_of(lsn, sizes);
            lsn += sizes.len() as u64;
            ledger.lock().unwrap().doubt = run.clone();
            starts.push(appender.append(&bytes_of_run(&run)).unwrap());
            let mut ledger = ledger.lock().unwrap();
            ledger.doubt.clear();
            ledger.kept.extend(run);
            *starts.last().unwrap()
        };
        append(&mut appender, &[3]);
        append(&mut appender, &[0, 40, 900]);
        let third = append(&mut appender, &[3000]);
        append(&mut appender, &[10, 10]);
        prune(&ledger, 4, || appender.prune(third).unwrap());
        let fifth = append(&mut appender, &[700]);
        append(&mut appender, &[700]);
        truncate(&ledger, 4, || appender.truncate(fifth + 737).unwrap());
        append(&mut appender, &[5]);
        let end = appender.end();
        prune(&ledger, 5, || appender.prune(end).unwrap());
        append(&mut appender, &[100]);
        drop(appender);
        appender = open(&disk);
        append(&mut appender, &[600, 1]);
    });
    println!("{states} crashed disks");
    assert!(states > 500, "{states}");
}

/// `work` removes the first `count` records.
fn prune(ledger: &Mutex<Ledger>, count: usize, work: impl FnOnce()) {
    let left = ledger.lock().unwrap().kept[count..].to_vec();
    ledger.lock().unwrap().pruned = Some(left.clone());
    work();
    *ledger.lock().unwrap() = Ledger {
        kept: left,
        ..Ledger::default()
    };
}

/// `work` keeps the first `count` records.
fn truncate(ledger: &Mutex<Ledger>, count: usize, work: impl FnOnce()) {
    {
        let mut ledger = ledger.lock().unwrap();
        ledger.doubt = ledger.kept.split_off(count);
    }
    work();
    ledger.lock().unwrap().doubt.clear();
}

#[test]
fn an_export_is_there_whole_or_not_at_all() {
    let all = run_of(1, &[5, 3000, 0, 70_000]);
    for leftover in [false, true] {
        let disk = SimStorage::new();
        disk.make_dirs(Path::new("/data"));
        if leftover {
            let tmp = Path::new("/data/app.db.logical.wal-tmp-0000000000000000");
            let file = disk.open(tmp, OpenMode::CreateNew).unwrap();
            file.write_at(&[9; 200_000], 0).unwrap();
        }
        let count = Arc::new(AtomicU64::new(0));
        let (seen, expected) = (count.clone(), all.clone());
        disk.on_operation(move |state, operation| {
            for crashed in crashes(&state, operation) {
                if crashed.open(&path(), OpenMode::Read).is_ok() {
                    let (got, report) = scan_file(&crashed, &path());
                    assert_eq!(
                        (pairs(&got), report.verdict),
                        (expected.clone(), Verdict::Clean)
                    );
                }
                seen.fetch_add(1, Ordering::Relaxed);
            }
        });
        let shared: Arc<dyn Storage> = Arc::new(disk.clone());
        let mut exporter = Exporter::create(&shared, &path()).unwrap();
        for (lsn, payload) in &all {
            exporter.push(&record(1, *lsn, payload)).unwrap();
        }
        exporter.finish().unwrap();
        disk.stop_observing();
        let (got, _) = scan_file(&disk.crash_nothing(), &path());
        assert_eq!(pairs(&got), all);
        assert!(count.load(Ordering::Relaxed) > 30);
    }
}

/// A sync fails, the process ends, the machine stays up: what the next open
/// reads from the page cache it must write again before it counts on it.
#[test]
fn what_an_open_reads_lasts() {
    for policy in [SyncPolicy::Full, SyncPolicy::Normal] {
        let disk = SimStorage::new();
        disk.make_dirs(Path::new("/data"));
        let shared: Arc<dyn Storage> = Arc::new(disk.clone());
        let mut appender = Appender::open(&shared, &path(), &Report::default(), policy).unwrap();
        appender.append(&encoded(&[record(1, 1, b"one")])).unwrap();
        for call in [Call::SyncData, Call::SyncAll] {
            disk.fail(FaultPlan::error(call, libc::EIO));
        }
        let run = [record(1, 2, &[2; 5000]), record(1, 3, b"three")];
        let e = appender.append(&encoded(&run)).unwrap_err();
        assert_eq!(e.os_error(), Some(libc::EIO), "{e}");
        let e = appender
            .append(&encoded(&[record(1, 4, b"four")]))
            .unwrap_err();
        assert_eq!(e.kind(), epochwal::ErrorKind::Failed, "{e}");
        drop(appender);
        disk.clear_faults();
        let disk = disk.snapshot();
        assert_eq!(lsns(&scan_file(&disk, &path()).0), [1, 2, 3]);
        open(&disk);
        let (got, report) = scan_file(&disk.crash_nothing(), &path());
        assert_eq!(
            (lsns(&got), report.verdict),
            (vec![1, 2, 3], Verdict::Clean)
        );
        let file = disk.open(&path(), OpenMode::Read).unwrap();
        assert_eq!(bytes_of(&*file).len() as u64, report.end);
    }
}
