//! Each call of the writers fails once in each way that it can.

use super::common::{disk_with, lsns, path};
use super::crash::{Ledger, crashes};
use super::ways::{Covered, Way, ways};
use super::write::{encoded, open, record, scan_file};
use epochwal::coordinator::SyncPolicy;
use epochwal::spool::rdlw::{Appender, Exporter, Verdict};
use epochwal::storage::sim::{Call, SimStorage};
use epochwal::storage::{OpenMode, Storage};
use epochwal::{Error, ErrorKind};
use std::path::Path;
use std::sync::Arc;

/// Calls that the writers make.
const MADE: [Call; 9] = [
    Call::Open,
    Call::Rename,
    Call::SyncDir,
    Call::Read,
    Call::Write,
    Call::SyncData,
    Call::SyncAll,
    Call::SetLen,
    Call::Lock,
];

fn empty() -> SimStorage {
    let disk = SimStorage::new();
    disk.make_dirs(Path::new("/data"));
    disk
}

/// Lays each fault on each call in turn, until one is not met any more.
fn each_fault(covered: &Covered, mut case: impl FnMut(Call, Way, u64) -> bool) -> u64 {
    let mut cases = 0;
    for call in MADE {
        for way in ways(call) {
            let mut n = 1;
            while case(call, *way, n) {
                covered.note(call, *way);
                (n, cases) = (n + 1, cases + 1);
            }
        }
    }
    cases
}

/// An error of a write that went wrong is told as what it is.
fn assert_told(e: &Error, call: Call, way: Way, what: &str) {
    let sync = matches!(call, Call::SyncData | Call::SyncAll | Call::SyncDir);
    if way.is_no_space() && !sync {
        assert_eq!(e.kind(), ErrorKind::NoSpace, "{what}: {e}");
    } else {
        assert_ne!(e.kind(), ErrorKind::NoSpace, "{what}: {e}");
        assert_ne!(e.kind(), ErrorKind::Corrupt, "{what}: {e}");
    }
}

/// Appends, prunes and a truncation, a fault in one of their calls, and crashes
/// right behind it and at the end: what was acknowledged is there, what was
/// refused is not, and a writer that goes on goes on rightly.
#[test]
fn an_appender_with_a_failing_call() {
    let covered = Covered::default();
    let cases = each_fault(&covered, |call, way, n| {
        let disk = empty();
        let mut appender = open(&disk);
        let fault = way.lay(&disk, call, n);
        let what = format!("{call:?} {way:?} {n}");
        let mut ledger = Ledger::default();
        let mut ends = vec![0];
        let mut failed: Option<Error> = None;
        for turn in 0..9_u64 {
            let before = fault.hits();
            let result = match turn {
                3 => {
                    let left = ledger.kept.len().min(1);
                    ledger.pruned = Some(ledger.kept[left..].to_vec());
                    let result = appender.prune(ends[left]);
                    if result.is_ok() {
                        ends.drain(..left);
                        ledger.kept = ledger.pruned.take().unwrap();
                    }
                    result
                }
                6 if ledger.kept.len() > 1 => {
                    let at = ledger.kept.len() - 1;
                    ledger.doubt = ledger.kept.split_off(at);
                    let result = appender.truncate(ends[at]);
                    match &result {
                        Ok(()) => drop(ends.pop()),
                        // It is cut and perhaps not synced, or not even cut.
                        Err(_) if call == Call::SyncData => {}
                        Err(_) => ledger.kept.append(&mut ledger.doubt),
                    }
                    result
                }
                // The same LSN is tried again with another payload.
                _ => {
                    let lsn = ledger.kept.last().map_or(0, |r| r.0).max(turn / 2) + 1;
                    let payload = vec![turn as u8; 300 * turn as usize];
                    let run = encoded(&[record(1, lsn, &payload)]);
                    ledger.doubt = vec![(lsn, payload)];
                    let result = appender.append(&run).map(|_| ());
                    if result.is_ok() {
                        ledger.kept.append(&mut ledger.doubt);
                        ends.push(appender.end());
                    }
                    result
                }
            };
            let went_wrong = result.is_err();
            match result {
                Ok(()) => {
                    assert!(failed.is_none(), "{what}: goes on after failing");
                    (ledger.doubt, ledger.pruned) = (Vec::new(), None);
                }
                Err(e) if failed.is_some() => {
                    assert_eq!(e.kind(), ErrorKind::Failed, "{what}: {e}");
                    break;
                }
                Err(e) => {
                    assert!(fault.hits() > 0, "{what}: {e} from nowhere");
                    assert!(!way.is_absorbed(call), "{what}: {e}");
                    assert_told(&e, call, way, &what);
                    // Of the file itself. That of a file which has no name
                    // yet loses nothing.
                    let sync = matches!(call, Call::SyncData | Call::SyncDir);
                    if sync && !way.is_passing() {
                        failed = Some(e);
                    }
                }
            }
            // A failed sync of a directory leaves its names in doubt for ever.
            let now = went_wrong || fault.hits() > before || turn == 8;
            if now && !(call == Call::SyncDir && fault.hits() > 0) {
                for (i, crashed) in crashes(&disk, n * 10 + turn).iter().enumerate().take(6) {
                    ledger.check(crashed, &format!("{what}, turn {turn}, crash {i}"));
                }
            }
            if failed.is_none() && fault.hits() > 0 && ledger.doubt.len() == 1 {
                // It was refused, and must not come back.
                let told = format!("{what}, turn {turn}");
                if ledger.pruned.is_none() && call != Call::SetLen {
                    assert_eq!(ledger.check(&disk, &told), ledger.kept, "{told}");
                }
            }
        }
        fault.hits() > 0
    });
    println!("{cases} workloads with a failing call");
    covered.require_all_but(&[Call::Remove, Call::List, Call::Resolve, Call::Len]);
}

/// An export that fails leaves no file, and can be made again.
#[test]
fn an_export_with_a_failing_call() {
    let covered = Covered::default();
    let payload = vec![5; 2 << 20];
    let cases = each_fault(&covered, |call, way, n| {
        let disk = empty();
        let shared: Arc<dyn Storage> = Arc::new(disk.clone());
        let what = format!("{call:?} {way:?} {n}");
        let fault = way.lay(&disk, call, n);
        let export = || {
            let mut exporter = Exporter::create(&shared, &path())?;
            exporter.push(&record(1, 1, &payload))?;
            exporter.push(&record(1, 2, b"two"))?;
            exporter.finish()
        };
        let result = export();
        if let Err(e) = &result {
            assert!(!way.is_absorbed(call), "{what}: {e}");
            assert_told(e, call, way, &what);
            let there = disk.open(&path(), OpenMode::Read).is_ok();
            assert_eq!(there, e.kind() == ErrorKind::OutcomeUnknown, "{what}: {e}");
        }
        let met = fault.hits() > 0;
        disk.clear_faults();
        if disk.open(&path(), OpenMode::Read).is_err() {
            export().unwrap_or_else(|e| panic!("{what}, again: {e}"));
        }
        let (got, report) = scan_file(&disk, &path());
        assert_eq!((got.len(), report.verdict), (2, Verdict::Clean), "{what}");
        if result.is_ok() {
            let (got, _) = scan_file(&disk.crash_nothing(), &path());
            assert_eq!(got.len(), 2, "{what}");
        }
        met
    });
    println!("{cases} exports with a failing call");
}

/// A write finds no space in the middle of a run, with a whole record before
/// it, and then there is some.
#[test]
fn no_space_in_the_middle_of_a_record_heals() {
    let disk = empty();
    let mut appender = open(&disk);
    appender.append(&encoded(&[record(1, 1, b"one")])).unwrap();
    disk.set_capacity(Some(2048));
    let run = [record(1, 2, &[2; 600]), record(1, 3, &[3; 5000])];
    let e = appender.append(&encoded(&run)).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::NoSpace, "{e}");
    for crashed in crashes(&disk, 1) {
        let (got, report) = scan_file(&crashed, &path());
        assert_eq!((got.len(), report.verdict), (1, Verdict::Clean));
    }
    disk.set_capacity(None);
    appender
        .append(&encoded(&[record(1, 2, &[4; 5000])]))
        .unwrap();
    let (got, report) = scan_file(&disk.crash_nothing(), &path());
    assert_eq!(report.verdict, Verdict::Clean);
    assert_eq!(got[1].payload, [4; 5000]);
}

/// An open that fails, with a torn tail to cut, has lost nothing, and the next
/// one goes on.
#[test]
fn an_open_with_a_failing_call() {
    let covered = Covered::default();
    let good = encoded(&[record(1, 1, b"one"), record(1, 2, &[2; 2 << 20])]);
    let torn = [&good[..], b"RDLW\x03torn"].concat();
    let cases = each_fault(&covered, |call, way, n| {
        let what = format!("{call:?} {way:?} {n}");
        let disk = disk_with(&torn);
        let report = scan_file(&disk, &path()).1;
        let shared: Arc<dyn Storage> = Arc::new(disk.clone());
        let fault = way.lay(&disk, call, n);
        let result = Appender::open(&shared, &path(), &report, SyncPolicy::Normal);
        if let Err(e) = &result {
            assert!(!way.is_absorbed(call), "{what}: {e}");
            assert_told(e, call, way, &what);
        }
        disk.clear_faults();
        let met = fault.hits() > 0;
        for disk in crashes(&disk, n) {
            let (got, report) = scan_file(&disk, &path());
            assert_eq!(lsns(&got), [1, 2], "{what}: {report:?}");
            assert_eq!(
                report.verdict.error(&path()).map(|e| e.kind()),
                None,
                "{what}"
            );
            open(&disk)
                .append(&encoded(&[record(1, 3, b"three")]))
                .unwrap();
            let (got, _) = scan_file(&disk.crash_nothing(), &path());
            assert_eq!(lsns(&got), [1, 2, 3], "{what}");
        }
        met
    });
    println!("{cases} opens with a failing call");
    assert!(cases > 40, "{cases}");
}
