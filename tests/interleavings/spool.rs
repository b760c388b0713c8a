//! A spool's appends, prunes, cuts, reads and close, beside each other.

use crate::harness::*;
use epochwal::ErrorKind;
use epochwal::coordinator::{Knobs, SyncStyle};
use epochwal::spool::{ReadLimit, Record, Spool, SpoolOptions, SpoolRecord};
use epochwal::storage::Storage;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const ALL: ReadLimit = ReadLimit {
    records: usize::MAX,
    bytes: usize::MAX,
};
const POLL: Option<Duration> = Some(Duration::ZERO);

/// Term and LSN.
type Name = (u64, u64);

fn open(storage: Arc<dyn Storage>) -> Arc<Spool> {
    let options = SpoolOptions {
        flush_interval: FOR_EVER,
        segment_size: 16 << 10,
        sync_style: SyncStyle::Direct,
        dense: true,
        knobs: Knobs {
            spares_in_line: true,
            ..Knobs::default()
        },
        ..SpoolOptions::default()
    };
    Arc::new(Spool::open_on(storage, Path::new(DB), &options).expect("open"))
}

fn append(spool: &Spool, (term, lsn): Name) -> Option<ErrorKind> {
    let payload = [term.to_le_bytes(), lsn.to_le_bytes()].concat();
    let record = Record {
        term,
        lsn,
        timestamp_ms: 1,
        payload: &payload,
    };
    kind(&spool.append(&[record], None))
}

fn name(record: &SpoolRecord) -> Name {
    let name = (record.term, record.lsn);
    let payload = [name.0.to_le_bytes(), name.1.to_le_bytes()].concat();
    assert_eq!(*record.payload, payload[..], "a foreign record");
    name
}

/// LSNs without a gap behind `before`, terms that do not fall.
fn assert_follows(before: Name, records: &[SpoolRecord]) -> Name {
    records.iter().fold(before, |(term, lsn), record| {
        let next = name(record);
        assert!(next.1 == lsn + 1 && next.0 >= term, "{next:?} behind {lsn}");
        next
    })
}

fn is_end(kind: Option<ErrorKind>) -> bool {
    kind == Some(ErrorKind::Closed)
}

/// Threads that do not agree on the next LSN: each is taken once.
#[test]
fn appenders_that_do_not_agree_leave_one_order() {
    explore(300, || {
        let disk = Disk::new();
        let spool = open(Arc::new(disk.clone()));
        let theirs = spool.clone();
        let acked = threads(3, move |_| {
            let mut acked = Vec::new();
            for _ in 0..2 {
                let lsn = theirs.bounds().current_lsn + 1;
                match append(&theirs, (1, lsn)) {
                    None => acked.push(lsn),
                    Some(ErrorKind::Order) => {}
                    Some(other) => panic!("{other:?}"),
                }
            }
            acked
        });
        let mut acked: Vec<u64> = acked.into_iter().flatten().collect();
        acked.sort_unstable();
        let left = open(Arc::new(disk.sim.crash_nothing()));
        let records = left.read_since(0, ALL).expect("read");
        assert_follows((0, 0), &records);
        let there: Vec<u64> = records.iter().map(|r| r.lsn).collect();
        assert_eq!(there, acked);
    });
}

/// A follower that reads on and on, as a replica does; it goes back where it is
/// told to.
fn follow(spool: &Spool, rounds: u32) {
    let Ok(mut cursor) = spool.cursor(0) else {
        return;
    };
    let mut at = (0, 0);
    for _ in 0..rounds {
        let few = ReadLimit { records: 2, ..ALL };
        match cursor.next_batch(few, POLL) {
            Ok(records) => at = assert_follows(at, &records),
            Err(error) => match error.kind() {
                ErrorKind::Timeout => step(),
                ErrorKind::Closed => return,
                ErrorKind::WalRemoved => {
                    let first = error.lsn().expect("where it goes on");
                    assert!(first > at.1 + 1, "{first} is not removed, behind {at:?}");
                    at.1 = first - 1;
                }
                ErrorKind::Diverged | ErrorKind::Ahead => {
                    let common = error.lsn().expect("what is common");
                    assert!(common < at.1, "{common} at {at:?}");
                    at = (0, common);
                }
                other => panic!("{other:?}: {error}"),
            },
        }
        if cursor.lsn() != at.1 {
            cursor = match spool.cursor(at.1) {
                Ok(cursor) => cursor,
                Err(_) => return,
            };
        }
    }
}

/// Reads of all there is: one history at a time, without a gap.
fn look(spool: &Spool, rounds: u32) {
    for _ in 0..rounds {
        let bounds = spool.bounds();
        assert!(bounds.pruned_through <= bounds.current_lsn, "{bounds:?}");
        let within = bounds.pruned_through + 1..=bounds.current_lsn;
        let oldest = bounds.oldest_lsn;
        assert!(oldest == 0 || within.contains(&oldest), "{bounds:?}");
        match spool.read_since(bounds.pruned_through, ALL) {
            Ok(records) => _ = assert_follows((0, bounds.pruned_through), &records),
            Err(error) => match error.kind() {
                ErrorKind::WalRemoved => {}
                ErrorKind::Closed => return,
                other => panic!("{other:?}: {error}"),
            },
        }
    }
}

/// Everything beside everything: followers see one history without a gap, and
/// what was acknowledged and not cut or pruned survives the worst crash.
fn world(cuts: bool, prunes: bool, closes: bool) {
    let disk = Disk::new();
    let spool = open(Arc::new(disk.clone()));
    let acked: Arc<Mutex<Vec<Name>>> = Arc::default();
    let append_next = |spool: &Spool, acked: &Mutex<Vec<Name>>| {
        let next = (spool.term().max(1), spool.bounds().current_lsn + 1);
        let told = append(spool, next);
        match told {
            None => acked.lock().unwrap().push(next),
            Some(ErrorKind::Order | ErrorKind::Fenced | ErrorKind::Closed) => {}
            Some(other) => panic!("{other:?}"),
        }
        told
    };
    for _ in 0..5 {
        assert_eq!(append_next(&spool, &acked), None);
    }
    // What is cut: behind an LSN, under a term.
    let cut: Arc<Mutex<Vec<Name>>> = Arc::default();
    let mut running = Vec::new();
    {
        let (spool, acked) = (spool.clone(), acked.clone());
        running.push(shuttle::thread::spawn(move || {
            for _ in 0..4 {
                if is_end(append_next(&spool, &acked)) {
                    return;
                }
            }
        }));
    }
    if prunes {
        let spool = spool.clone();
        running.push(shuttle::thread::spawn(move || {
            for _ in 0..2 {
                let target = spool.bounds().current_lsn.saturating_sub(1);
                match kind(&spool.prune_through(target)) {
                    None => {}
                    end => return assert!(is_end(end), "{end:?}"),
                }
            }
        }));
    }
    if cuts {
        let (spool, cut) = (spool.clone(), cut.clone());
        running.push(shuttle::thread::spawn(move || {
            let lsn = spool.bounds().current_lsn - 1;
            let term = spool.term() + 1;
            match kind(&spool.truncate_after(lsn, term)) {
                None => cut.lock().unwrap().push((term, lsn)),
                Some(ErrorKind::WalRemoved | ErrorKind::Closed) => {}
                Some(other) => panic!("{other:?}"),
            }
        }));
    }
    for reader in [follow, look] {
        let spool = spool.clone();
        running.push(shuttle::thread::spawn(move || reader(&spool, 4)));
    }
    if closes {
        step();
        spool.close(None).expect("close");
    }
    for thread in running {
        thread.join().expect("join");
    }
    let left = open(Arc::new(disk.sim.crash_nothing()));
    let pruned = left.bounds().pruned_through;
    let records = left.read_since(pruned, ALL).expect("read");
    assert_follows((0, pruned), &records);
    let there: Vec<Name> = records.iter().map(name).collect();
    let cut = cut.lock().unwrap();
    let kept = |r: &&Name| r.1 > pruned && !cut.iter().any(|c| c.0 > r.0 && c.1 < r.1);
    for record in acked.lock().unwrap().iter().filter(kept) {
        assert!(
            there.contains(record),
            "{record:?} of {there:?}, cut {cut:?}"
        );
    }
}

#[test]
fn prunes_beside_appends_and_readers() {
    explore(600, || world(false, true, false));
}

#[test]
fn cuts_beside_appends_and_readers() {
    explore(600, || world(true, false, false));
}

#[test]
fn prunes_and_cuts_and_a_close_beside_appends_and_readers() {
    explore(600, || world(true, true, true));
}

/// Those who wait for records hear of each, and of the end.
#[test]
fn those_who_wait_for_records_hear_of_them_and_of_the_end() {
    explore(300, || {
        let spool = open(Arc::new(Disk::new()));
        let waiters: Vec<_> = (0..2)
            .map(|_| {
                let spool = spool.clone();
                shuttle::thread::spawn(move || {
                    let Ok(mut cursor) = spool.cursor(0) else {
                        return 0;
                    };
                    let mut at = (0, 0);
                    loop {
                        match cursor.next_batch(ALL, None) {
                            Ok(records) => at = assert_follows(at, &records),
                            Err(error) => {
                                assert_eq!(error.kind(), ErrorKind::Closed);
                                return at.1;
                            }
                        }
                    }
                })
            })
            .collect();
        for lsn in 1..=2 {
            assert_eq!(append(&spool, (1, lsn)), None);
        }
        spool.close(None).expect("close");
        for waiter in waiters {
            assert!(waiter.join().expect("join") <= 2);
        }
    });
}
