//! What is done with a log as a whole, each of its calls failing in each way
//! it can: opening and closing, recovery, salvage, cleanup, the looks at it.
//!
//! Who only reads gives the right answer or an error, never another answer.
//! Who writes may fail, and then a crash may follow: doing it again gives what
//! it would have given, and nothing acknowledged is lost on the way.

use super::common::{Got, PATIENCE, Place, commit, database, page};
use super::ways::{Covered, Way, ways};
use super::workload::options;
use epochwal::coordinator::SyncStyle;
use epochwal::recovery::{
    RecoveryOptions, cleanup_segments_on, inspect_on, list_segments_on, max_durable_epoch_on,
    recover_into_file_on, recover_into_map_on,
};
use epochwal::storage::sim::{Call, SimStorage};
use epochwal::storage::{OpenMode, Storage};
use epochwal::{Batch, ErrorKind, Frame, Options, Result};

const BATCHES: u64 = 10;
const PAGE: u32 = 700;

/// A log of several segments and a checkpoint, not closed; of version 1 in its
/// second half, if asked for.
fn log(mixed: bool) -> SimStorage {
    let disk = SimStorage::new();
    let place = Place::sim(&disk);
    let mut wal = place.open(&options(SyncStyle::Buffered, 2)).unwrap();
    for txn in 1..=BATCHES {
        if mixed && txn == 7 {
            wal.close(PATIENCE).unwrap();
            wal = place.open(&options(SyncStyle::Buffered, 1)).unwrap();
        }
        let data = [page(txn, 1, PAGE as usize), page(txn, 2, PAGE as usize)];
        let frames = [1 + txn as u32 % 4, 6].map(|number| Frame {
            page_number: number,
            db_size_if_commit: u32::from(number == 6) * 8,
            data: &data[usize::from(number == 6)],
        });
        let ticket = wal.submit(&Batch {
            txn_id: txn,
            txn_epoch: 0,
            commit_seq: txn,
            frames: &frames,
            metadata: &[],
        });
        wal.wait(ticket.unwrap().epoch, PATIENCE).unwrap();
        if txn == 5 {
            wal.checkpoint(4).unwrap();
        }
    }
    let left = disk.snapshot();
    wal.close(PATIENCE).unwrap();
    left
}

/// The log with a group in its middle damaged.
fn damaged(mixed: bool) -> SimStorage {
    let disk = log(mixed);
    let place = Place::sim(&disk);
    let looked = inspect_on(place.disk.clone(), &place.db).unwrap();
    for segment in looked.segments {
        let group = segment.groups.iter().find(|g| g.epoch == 6);
        let Some(group) = group.filter(|g| g.kind == "pages") else {
            continue;
        };
        let file = disk.open(&segment.info.path, OpenMode::Write).unwrap();
        file.write_at(b"damage", group.offset + 300).unwrap();
        file.sync_all().unwrap();
        return disk;
    }
    panic!("no group of epoch 6");
}

fn txns(got: &[Got]) -> Vec<u64> {
    got.iter().map(|got| got.txn).collect()
}

/// Calls `each` with every failure of every call that `work` makes on a copy
/// of the disk: that copy after it, and what `work` said.
fn sweep<T>(
    what: &str,
    disk: &SimStorage,
    covered: &Covered,
    work: impl Fn(&Place) -> Result<T>,
    each: impl Fn(&str, &SimStorage, Result<T>),
) {
    for call in Call::ALL {
        for way in ways(call) {
            for n in 1.. {
                let copy = disk.snapshot();
                let place = Place::sim(&copy);
                let fault = way.lay(&copy, call, n);
                let said = work(&place);
                copy.clear_faults();
                if fault.hits() == 0 {
                    break;
                }
                covered.note(call, *way);
                let text = format!("{what}, {call:?} {n} {way:?}");
                if let Err(error) = &said {
                    check_error(&text, call, *way, error);
                }
                each(&text, &copy, said);
            }
        }
    }
}

/// A call that fails is told as what it is: never as corruption.
fn check_error(text: &str, call: Call, way: Way, error: &epochwal::Error) {
    let kind = error.kind();
    assert!(!way.is_absorbed(call), "{text}: {error:?}");
    let syncs = matches!(call, Call::SyncDir | Call::SyncAll | Call::SyncData);
    let allowed: &[ErrorKind] = match (way.is_no_space(), syncs) {
        (true, false) => &[ErrorKind::NoSpace],
        (true, true) => &[ErrorKind::NoSpace, ErrorKind::Io, ErrorKind::OutcomeUnknown],
        (false, true) => &[ErrorKind::Io, ErrorKind::OutcomeUnknown],
        (false, false) => &[ErrorKind::Io, ErrorKind::NoMemory],
    };
    assert!(allowed.contains(&kind), "{text}: {error:?}");
}

/// A look at a log: what it says, as text.
type Look = fn(&Place) -> Result<String>;

const LOOKS: [(&str, Look); 7] = [
    ("recovery", |p| {
        let (got, report) = p.recover(&RecoveryOptions::default())?;
        Ok(format!("{got:?} {:?} {:?}", report.epochs, report.verdict))
    }),
    ("verify", |p| {
        let verify = RecoveryOptions {
            verify_only: true,
            ..RecoveryOptions::default()
        };
        let (_, report) = p.recover(&verify)?;
        Ok(format!("{:?} {}", report.epochs, report.batches))
    }),
    ("durable prefix", |p| {
        let prefix = RecoveryOptions {
            durable_prefix: true,
            ..RecoveryOptions::default()
        };
        let (got, report) = p.recover(&prefix)?;
        Ok(format!("{got:?} {:?}", report.suspects))
    }),
    ("inspect", |p| {
        Ok(format!("{:?}", inspect_on(p.disk.clone(), &p.db)?))
    }),
    ("list", |p| {
        Ok(format!("{:?}", list_segments_on(p.disk.clone(), &p.db)?))
    }),
    ("durable epoch", |p| {
        Ok(format!(
            "{:?}",
            max_durable_epoch_on(p.disk.clone(), &p.db)?
        ))
    }),
    ("page map", |p| {
        let options = RecoveryOptions::default();
        let (map, _) = recover_into_map_on(p.disk.clone(), &p.db, &options)?;
        Ok(format!("{:?} {}", map.pages, map.db_size))
    }),
];

fn looks(covered: &Covered) {
    for mixed in [false, true] {
        let disk = log(mixed);
        for (what, look) in LOOKS {
            let right = look(&Place::sim(&disk)).unwrap();
            let before = disk.operations();
            sweep(what, &disk, covered, look, |text, _, said| {
                if let Ok(said) = said {
                    assert_eq!(said, right, "{text}");
                }
            });
            assert_eq!(disk.operations(), before, "{what} writes");
        }
    }
}

/// The machine itself and what crashes may leave of it. After a failed sync of
/// the directory the names are in doubt for ever: then only what keeps all.
fn crashed(text: &str, disk: &SimStorage) -> Vec<SimStorage> {
    let mut left = vec![disk.snapshot(), disk.crash_everything()];
    if !text.contains("SyncDir") {
        left.push(disk.crash_nothing());
        left.push(disk.crash_random(disk.operations()));
    }
    left
}

fn openings(covered: &Covered) {
    for (mixed, format) in [(false, 2), (true, 2), (false, 1)] {
        let disk = log(mixed);
        let all = txns(&Place::sim(&disk).recover_all());
        let options = options(SyncStyle::Buffered, format);
        let work = |place: &Place| {
            let wal = place.open(&options)?;
            let durable = wal.durable_epoch()?;
            wal.close(PATIENCE)?;
            Ok(durable)
        };
        let last = work(&Place::sim(&disk.snapshot())).unwrap();
        sweep(
            "open and close",
            &disk,
            covered,
            work,
            |text, disk, said| {
                if let Ok(durable) = said {
                    assert_eq!(durable, last, "{text}");
                }
                for left in crashed(text, disk) {
                    let place = Place::sim(&left);
                    assert_eq!(txns(&place.recover_all()), all, "{text}");
                    assert_eq!(work(&place).unwrap(), last, "{text}: once more");
                }
            },
        );
    }
}

fn salvages(covered: &Covered) {
    for mixed in [false, true] {
        let disk = damaged(mixed);
        let salvaging = Options {
            salvage: true,
            ..options(SyncStyle::Buffered, 2)
        };
        let work = |place: &Place| place.open(&salvaging).map(drop);
        let once = disk.snapshot();
        work(&Place::sim(&once)).unwrap();
        let kept = txns(&Place::sim(&once).recover_all());
        assert_eq!(kept, [5], "damaged is what comes after");
        sweep("salvage", &disk, covered, work, |text, disk, said| {
            for left in crashed(text, disk) {
                let place = Place::sim(&left);
                match place.recover(&RecoveryOptions::default()) {
                    Ok((got, _)) => assert_eq!(txns(&got), kept, "{text}"),
                    Err(e) => {
                        assert!(said.is_err(), "{text}: {e:?} after a salvage");
                        assert_eq!(e.kind(), ErrorKind::Corrupt, "{text}");
                    }
                }
                work(&place).unwrap();
                assert_eq!(txns(&place.recover_all()), kept, "{text}: once more");
                let wal = place.open(&options(SyncStyle::Buffered, 2)).unwrap();
                assert!(commit(&wal, 100).unwrap().epoch > BATCHES, "{text}");
            }
        });
    }
}

fn cleanups(covered: &Covered) {
    for mixed in [false, true] {
        let disk = log(mixed);
        let all = txns(&Place::sim(&disk).recover_all());
        let work = |place: &Place| cleanup_segments_on(place.disk.clone(), &place.db);
        sweep("cleanup", &disk, covered, work, |text, disk, said| {
            for left in crashed(text, disk) {
                let place = Place::sim(&left);
                let got = txns(&place.recover_all());
                assert!(
                    got.is_empty() || (said.is_err() && got == all),
                    "{text}: {got:?}"
                );
                work(&place).unwrap();
                assert_eq!(place.recover_all(), [], "{text}");
                let wal = place.open(&options(SyncStyle::Buffered, 2)).unwrap();
                assert!(commit(&wal, 100).unwrap().epoch > BATCHES, "{text}");
            }
        });
    }
}

fn recoveries_into_a_file(covered: &Covered) {
    for delete_segments in [false, true] {
        let disk = log(true);
        let how = RecoveryOptions {
            delete_segments,
            ..RecoveryOptions::default()
        };
        let work = |place: &Place| {
            recover_into_file_on(place.disk.clone(), &place.db, &place.db, PAGE, &how).map(drop)
        };
        let once = disk.snapshot();
        work(&Place::sim(&once)).unwrap();
        let right = database(&once);
        assert_eq!(right.len(), 8 * PAGE as usize);
        sweep(
            "recovery into a file",
            &disk,
            covered,
            work,
            |text, disk, said| {
                for left in crashed(text, disk) {
                    let place = Place::sim(&left);
                    if said.is_ok() || place.recover_all().is_empty() {
                        assert!(database(&left) == right, "{text}: the file is not whole");
                    }
                    work(&place).unwrap();
                    assert!(database(&left) == right, "{text}: once more");
                }
            },
        );
    }
}

#[test]
fn every_call_of_what_is_done_with_a_log_fails_in_every_way() {
    let covered = Covered::default();
    looks(&covered);
    openings(&covered);
    salvages(&covered);
    cleanups(&covered);
    recoveries_into_a_file(&covered);
    // Only the policy `normal` syncs data alone.
    covered.require_all_but(&[Call::SyncData]);
}
