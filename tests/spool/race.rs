//! Appends beside prunes, reads and resume points: nothing that was
//! acknowledged is lost, no reader sees a gap.

use super::common::{PATIENCE, Place};
use super::tools::{append, checked, everywhere, open, payload, read_all, small};
use epochwal::ErrorKind;
use epochwal::spool::{ReadLimit, Record, Spool};
use epochwal::storage::sim::SimStorage;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Appends records with the LSNs of a shared counter until `through`; the
/// counter's lock makes the order, and is let go of before the wait.
fn append_many(spool: &Spool, next: &Mutex<u64>, through: u64, acked: &AtomicU64) {
    loop {
        let ticket = {
            let mut next = next.lock().unwrap();
            if *next > through {
                return;
            }
            let lsn = *next;
            *next += 1;
            let payload = payload(lsn);
            let record = Record {
                term: 1,
                lsn,
                timestamp_ms: 1_700_000_000_000 + lsn % 1000,
                payload: &payload,
            };
            spool.submit(&[record]).unwrap()
        };
        spool.wait(ticket, PATIENCE).unwrap();
        acked.fetch_max(ticket.last_lsn, Ordering::SeqCst);
    }
}

#[test]
fn prunes_beside_eight_appenders_lose_nothing_above_them() {
    everywhere(|place| {
        let spool = open(place, &small()).unwrap();
        let (next, acked) = (Mutex::new(1), AtomicU64::new(0));
        let pruned = std::thread::scope(|scope| {
            let writers: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| append_many(&spool, &next, 3000, &acked)))
                .collect();
            let mut pruned = 0;
            while writers.iter().any(|w| !w.is_finished()) {
                let target = acked.load(Ordering::SeqCst).saturating_sub(100);
                pruned = spool.prune_through(target).unwrap();
                assert!(pruned >= target);
            }
            writers.into_iter().for_each(|w| w.join().unwrap());
            pruned
        });
        let all: Vec<u64> = (pruned + 1..=3000).collect();
        assert_eq!(read_all(&spool, pruned, 100).unwrap(), all);
        spool.close(PATIENCE).unwrap();
        let spool = open(place, &small()).unwrap();
        assert_eq!(spool.bounds().pruned_through, pruned);
        assert_eq!(read_all(&spool, pruned, 100).unwrap(), all);
    });
}

#[test]
fn the_oldest_lsn_is_read_beside_appends_and_cuts_nothing() {
    everywhere(|place| {
        let spool = open(place, &small()).unwrap();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for lsn in 1..=1000 {
                    append(&spool, 1, lsn).unwrap();
                }
                done.store(true, Ordering::SeqCst);
            });
            while !done.load(Ordering::SeqCst) {
                let bounds = spool.bounds();
                assert!(bounds.oldest_lsn <= 1, "{bounds:?}");
            }
        });
        assert_eq!(read_all(&spool, 0, 100).unwrap().len(), 1000);
    });
}

#[test]
fn a_reader_at_any_point_sees_the_next_record_and_no_gap() {
    everywhere(|place| {
        let spool = open(place, &small()).unwrap();
        let (next, acked) = (Mutex::new(1), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| append_many(&spool, &next, 2000, &acked));
            }
            for start in 0..3 {
                let (spool, acked) = (&spool, &acked);
                scope.spawn(move || {
                    let mut seen: u64 = 0;
                    while seen < 2000 {
                        let known = acked.load(Ordering::SeqCst);
                        // From a place of its own, as a replica that reconnects.
                        let from = seen.saturating_sub(start * 50);
                        let limit = ReadLimit {
                            records: 200,
                            bytes: usize::MAX,
                        };
                        let records = spool.read_since(from, limit).unwrap();
                        let lsns: Vec<u64> = records.iter().map(checked).collect();
                        let until = from + lsns.len() as u64;
                        assert_eq!(lsns, (from + 1..=until).collect::<Vec<_>>());
                        assert!(until >= known.min(from + 200), "{known} was acknowledged");
                        seen = seen.max(until);
                    }
                });
            }
        });
    });
}

#[test]
fn readers_beside_prunes_get_records_or_are_told() {
    let disk = SimStorage::new();
    let place = Place::sim(&disk);
    let spool = open(&place, &small()).unwrap();
    let (next, acked) = (Mutex::new(1), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| append_many(&spool, &next, 2000, &acked));
        for _ in 0..2 {
            scope.spawn(|| {
                let mut at = 0;
                while at < 2000 {
                    match spool.read_since(at, ReadLimit::default()) {
                        Ok(records) => {
                            for record in records {
                                assert_eq!(checked(&record), at + 1);
                                at += 1;
                            }
                        }
                        Err(error) => {
                            assert_eq!(error.kind(), ErrorKind::WalRemoved, "{error}");
                            at = error.lsn().unwrap() - 1;
                        }
                    }
                }
            });
        }
        while !writer.is_finished() {
            spool
                .prune_through(acked.load(Ordering::SeqCst).saturating_sub(20))
                .unwrap();
        }
    });
}
