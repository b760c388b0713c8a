//! Closing, beside those who stage, wait and ask to be called back.

use crate::commit::options;
use crate::harness::*;
use epochwal::coordinator::{EpochInterval, Overflow};
use epochwal::storage::sim::{Call, FaultPlan};
use epochwal::{ErrorKind, Options, Ticket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Every ticket handed out before the end is durable after it; every wait ends
/// and says so, or that the handle is closed.
pub fn close_among(count: u64, options: &Options) {
    let disk = Disk::new();
    let wal = disk.open(options);
    let closer = {
        let wal = wal.clone();
        shuttle::thread::spawn(move || wal.close(None).expect("close"))
    };
    let (ours, theirs) = (disk.clone(), wal.clone());
    let tickets: Vec<Option<(u64, Ticket)>> = threads(count, move |i| {
        let ticket = match submit(&theirs, i, 64) {
            Ok(ticket) => ticket,
            Err(e) if e.kind() == ErrorKind::Closed => return None,
            Err(e) => panic!("{e}"),
        };
        let result = theirs.wait(ticket.epoch, None);
        match kind(&result) {
            None => assert_durable(&ours, i, &ticket),
            Some(ErrorKind::Closed) => {}
            Some(_) => panic!("{result:?}"),
        }
        Some((i, ticket))
    });
    closer.join().expect("join");
    let found = recover(disk.sim.crash_nothing());
    for (txn, ticket) in tickets.iter().flatten() {
        assert!(
            holds(&found, *txn, ticket),
            "{txn}: {ticket:?} in {found:?}"
        );
    }
    assert_eq!(found.len(), tickets.iter().flatten().count());
}

#[test]
fn close_races_with_committers() {
    explore(800, || close_among(3, &options()));
}

#[test]
fn close_races_with_committers_and_the_ticker() {
    let ticking = Options {
        epoch_interval: EpochInterval::After(Duration::from_millis(1)),
        ..options()
    };
    explore(500, move || close_among(3, &ticking));
}

#[test]
fn close_wakes_many_waiters() {
    explore(200, || close_among(7, &options()));
}

/// On a full disk those who wait for room are woken by the end alone.
#[test]
fn close_on_a_full_disk_wakes_everyone() {
    explore(400, || {
        let disk = Disk::new();
        let wal = disk.open(&Options {
            slot_count: 1,
            buffer_capacity: 4096,
            overflow: Overflow::Block,
            ..options()
        });
        disk.sim
            .fail(FaultPlan::error(Call::Write, libc::ENOSPC).always());
        let closer = {
            let wal = wal.clone();
            shuttle::thread::spawn(move || wal.close(None))
        };
        let theirs = wal.clone();
        threads(3, move |i| {
            let result = submit(&theirs, i, 3000).and_then(|t| theirs.wait(t.epoch, None));
            let told = kind(&result).expect("nothing can be durable");
            assert!(
                matches!(told, ErrorKind::Closed | ErrorKind::NoSpace),
                "{result:?}"
            );
        });
        let _ = closer.join().expect("join");
    });
}

/// Of several who close, one does; the others are told.
#[test]
fn one_of_two_closes() {
    explore(600, || {
        let disk = Disk::new();
        let wal = disk.open(&options());
        submit(&wal, 1, 64).expect("submit");
        let theirs = wal.clone();
        let closed = threads(2, move |i| {
            let limit = (i == 1).then_some(Duration::from_secs(1));
            let result = theirs.close(limit);
            match kind(&result) {
                None => 1,
                Some(ErrorKind::Closed | ErrorKind::Timeout) => 0,
                Some(_) => panic!("{result:?}"),
            }
        });
        let ours = u32::from(wal.close(None).is_ok());
        assert_eq!(closed.iter().sum::<u32>() + ours, 1);
        assert_eq!(recover(disk.sim.crash_nothing()).len(), 1);
    });
}

/// A callback that was taken runs once, and before the close returns.
#[test]
fn callbacks_run_exactly_once_while_closing() {
    explore(800, || {
        let disk = Disk::new();
        let wal = disk.open(&options());
        let closer = {
            let wal = wal.clone();
            shuttle::thread::spawn(move || wal.close(None).expect("close"))
        };
        let runs: Arc<[AtomicU32; 3]> = Arc::default();
        let (ours, theirs, counts) = (disk.clone(), wal.clone(), runs.clone());
        let taken = threads(3, move |i| {
            let ticket = match submit(&theirs, i, 64) {
                Ok(ticket) => ticket,
                Err(e) if e.kind() == ErrorKind::Closed => return 0,
                Err(e) => panic!("{e}"),
            };
            let (ours, counts) = (ours.clone(), counts.clone());
            let callback = move |epoch, result: epochwal::Result<()>| {
                counts[i as usize - 1].fetch_add(1, Ordering::SeqCst);
                assert_eq!(epoch, ticket.epoch);
                match kind(&result) {
                    None => assert_durable(&ours, i, &ticket),
                    Some(ErrorKind::Closed) => {}
                    Some(_) => panic!("{result:?}"),
                }
            };
            let added = theirs.on_durable(ticket.epoch, Box::new(callback));
            match kind(&added) {
                None => 1,
                Some(ErrorKind::Closed) => 0,
                Some(_) => panic!("{added:?}"),
            }
        });
        closer.join().expect("join");
        let ran: Vec<u32> = runs.iter().map(|r| r.load(Ordering::SeqCst)).collect();
        assert_eq!(ran, taken);
    });
}

/// The last handle may be let go of by a thread that only just waited.
#[test]
fn dropping_closes() {
    explore(500, || {
        let disk = Disk::new();
        let wal = disk.open(&options());
        let ours = disk.clone();
        let shared = wal.clone();
        drop(wal);
        let theirs = std::sync::Mutex::new(Some(shared));
        let handles: Vec<_> = {
            let wal = theirs.lock().expect("lock").take().expect("handle");
            (1..=2)
                .map(|i| {
                    let (wal, ours) = (wal.clone(), ours.clone());
                    shuttle::thread::spawn(move || {
                        let ticket = commit(&wal, i).expect("commit");
                        assert_durable(&ours, i, &ticket);
                        submit(&wal, 10 * i, 64).expect("submit");
                    })
                })
                .collect()
        };
        for handle in handles {
            handle.join().expect("join");
        }
        assert_eq!(recover(disk.sim.crash_nothing()).len(), 4);
    });
}
