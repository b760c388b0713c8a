//! Staging, waiting, leading, and the ticker.

use crate::harness::*;
use epochwal::ErrorKind;
use epochwal::Options;
use epochwal::coordinator::{EpochInterval, SyncStyle};
use std::time::Duration;

/// Two lanes, small files, no ticker.
pub fn options() -> Options {
    Options {
        slot_count: 2,
        epoch_interval: EpochInterval::Off,
        segment_size: 16 << 10,
        max_memory: 64 << 10,
        buffer_capacity: 16 << 10,
        sync_style: SyncStyle::Buffered,
        block_timeout: FOR_EVER,
        ..Options::default()
    }
}

fn ticking() -> Options {
    Options {
        epoch_interval: EpochInterval::After(Duration::from_millis(1)),
        ..options()
    }
}

/// Nobody but the committers flushes: each is its own leader, or was led, or
/// is handed the lead. A hand-over that gets lost leaves all asleep.
fn committers(count: u64) {
    let disk = Disk::new();
    let wal = disk.open(&options());
    let (ours, theirs) = (disk.clone(), wal.clone());
    threads(count, move |i| {
        for round in 0..2 {
            let txn = 10 * i + round;
            let ticket = commit(&theirs, txn).expect("commit");
            assert_durable(&ours, txn, &ticket);
        }
    });
    wal.close(None).expect("close");
    assert_eq!(recover(disk.sim.crash_nothing()).len() as u64, 2 * count);
}

#[test]
fn two_committers_hand_over() {
    explore(1000, || committers(2));
}

#[test]
fn three_committers_hand_over() {
    explore(700, || committers(3));
}

#[test]
fn four_committers_hand_over() {
    explore(400, || committers(4));
}

/// Those who wait for different epochs than they would lead.
#[test]
fn batches_staged_ahead_are_all_waited_for() {
    explore(600, || {
        let disk = Disk::new();
        let wal = disk.open(&options());
        let (ours, theirs) = (disk.clone(), wal.clone());
        threads(3, move |i| {
            let tickets = [10 * i, 10 * i + 1].map(|txn| {
                let ticket = submit(&theirs, txn, 64).expect("submit");
                (txn, ticket)
            });
            for (txn, ticket) in tickets.iter().rev() {
                theirs.wait(ticket.epoch, None).expect("wait");
                assert_durable(&ours, *txn, ticket);
            }
        });
        wal.close(None).expect("close");
    });
}

/// One who gives up may have been woken to lead: another must be.
#[test]
fn a_waiter_that_gives_up_hands_the_lead_on() {
    // Short: left to the ticker's thread. Longer: leads itself, but where the
    // other one's limit runs out first, its own has too by the time it is up.
    for (limits, schedules) in [([20, 1000], 600), ([2000, 1000], 8000)] {
        waiters_with_limits(limits.map(Duration::from_millis), schedules);
    }
}

fn waiters_with_limits(limits: [Duration; 2], schedules: usize) {
    explore(schedules, move || {
        let disk = Disk::new();
        let wal = disk.open(&options());
        let (ours, theirs) = (disk.clone(), wal.clone());
        threads(4, move |i| {
            let ticket = submit(&theirs, i, 64).expect("submit");
            let limit = limits.get(i as usize - 1).copied();
            let result = theirs.wait(ticket.epoch, limit);
            match kind(&result) {
                None => assert_durable(&ours, i, &ticket),
                Some(ErrorKind::Timeout) if limit.is_some() => {}
                other => panic!("{other:?}"),
            }
        });
        wal.close(None).expect("close");
        assert_eq!(recover(disk.sim.crash_nothing()).len(), 4);
    });
}

#[test]
fn an_interruptible_wait_ends_and_hurts_nobody() {
    explore(500, || {
        let disk = Disk::new();
        let wal = disk.open(&options());
        let theirs = wal.clone();
        threads(3, move |i| {
            let ticket = submit(&theirs, i, 64).expect("submit");
            let mut asked = 0;
            let mut ask = || {
                asked += 1;
                i == 1 && asked > 1
            };
            let result = match i {
                1 | 2 => theirs.wait_interruptible(ticket.epoch, None, &mut ask),
                _ => theirs.wait(ticket.epoch, None),
            };
            assert!(result.is_ok() || i == 1, "{result:?}");
        });
        wal.close(None).expect("close");
        assert_eq!(recover(disk.sim.crash_nothing()).len(), 3);
    });
}

/// The ticker falls asleep and is armed again, again and again; a submit that
/// slips between its look and its sleep would never become durable.
#[test]
fn the_ticker_hears_of_batches_that_nobody_waits_for() {
    explore(800, || {
        let disk = Disk::new();
        let wal = disk.open(&ticking());
        let (ours, theirs) = (disk.clone(), wal.clone());
        threads(2, move |i| {
            for round in 0..2 {
                let txn = 10 * i + round;
                let ticket = submit(&theirs, txn, 64).expect("submit");
                // Looks on without a wait, which would flush.
                while theirs.durable_epoch().expect("durable") < Some(ticket.epoch) {
                    shuttle::thread::yield_now();
                }
                assert_durable(&ours, txn, &ticket);
            }
        });
        wal.close(None).expect("close");
    });
}

#[test]
fn the_ticker_and_committers_share_the_flusher() {
    explore(500, || {
        let disk = Disk::new();
        let wal = disk.open(&ticking());
        let (ours, theirs) = (disk.clone(), wal.clone());
        threads(3, move |i| {
            let silent = submit(&theirs, 10 * i, 64).expect("submit");
            let ticket = commit(&theirs, 10 * i + 1).expect("commit");
            assert_durable(&ours, 10 * i, &silent);
            assert_durable(&ours, 10 * i + 1, &ticket);
        });
        wal.close(None).expect("close");
    });
}

#[test]
fn a_requested_flush_comes_without_a_waiter() {
    explore(600, || {
        let disk = Disk::new();
        let wal = disk.open(&options());
        let theirs = wal.clone();
        threads(2, move |i| {
            let ticket = submit(&theirs, i, 64).expect("submit");
            theirs.request_flush(ticket.epoch).expect("request");
            while theirs.durable_epoch().expect("durable") < Some(ticket.epoch) {
                shuttle::thread::yield_now();
            }
        });
        wal.close(None).expect("close");
    });
}

/// Segments roll and are reused beside the flushes.
#[test]
fn checkpoints_race_with_flushes() {
    explore(300, || {
        let disk = Disk::new();
        let wal = disk.open(&options());
        let (ours, committer) = (disk.clone(), wal.clone());
        let passed = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
        let seen = passed.clone();
        let order = std::sync::atomic::Ordering::SeqCst;
        let commits = shuttle::thread::spawn(move || {
            for txn in 1..=4 {
                let ticket = submit(&committer, txn, 5000).expect("submit");
                committer.wait(ticket.epoch, None).expect("wait");
                if ticket.epoch > seen.load(order) {
                    let found = recover(ours.sim.crash_nothing());
                    let gone = ticket.epoch <= seen.load(order);
                    assert!(gone || holds(&found, txn, &ticket), "{found:?}");
                }
            }
        });
        for _ in 0..3 {
            if let Some(epoch) = wal.durable_epoch().expect("durable") {
                passed.store(epoch, order);
                wal.checkpoint(epoch).expect("checkpoint");
            }
            shuttle::thread::yield_now();
        }
        commits.join().expect("join");
        wal.close(None).expect("close");
        let found = recover(disk.sim.crash_nothing());
        let floor = passed.load(order);
        for epoch in floor + 1..=wal_last(&found, floor) {
            assert!(found.iter().any(|f| f.epoch == epoch), "{epoch}: {found:?}");
        }
    });
}

fn wal_last(found: &[Found], floor: u64) -> u64 {
    found.iter().map(|f| f.epoch).max().unwrap_or(floor)
}
