//! Full lanes, and batches larger than a lane.

use crate::commit::options;
use crate::harness::*;
use epochwal::Options;
use epochwal::coordinator::{EpochInterval, Overflow, Sequencing};
use epochwal::storage::sim::{Call, FaultPlan};
use std::time::Duration;

/// A lane takes one of the batches: the second of an epoch blocks.
fn narrow() -> Options {
    Options {
        slot_count: 1,
        buffer_capacity: 4096,
        overflow: Overflow::Block,
        ..options()
    }
}

#[test]
fn blocked_submitters_are_woken_when_there_is_room() {
    explore(500, || {
        let disk = Disk::new();
        let wal = disk.open(&Options {
            epoch_interval: EpochInterval::After(Duration::from_millis(1)),
            ..narrow()
        });
        let theirs = wal.clone();
        threads(3, move |i| {
            for round in 0..2 {
                submit(&theirs, 10 * i + round, 3000).expect("room comes");
            }
        });
        wal.close(None).expect("close");
        assert_eq!(recover(disk.sim.crash_nothing()).len(), 6);
    });
}

/// Without a ticker room comes from those who commit.
#[test]
fn committers_make_room_for_each_other() {
    explore(500, || {
        let disk = Disk::new();
        let wal = disk.open(&narrow());
        let (ours, theirs) = (disk.clone(), wal.clone());
        threads(3, move |i| {
            for round in 0..2 {
                let txn = 10 * i + round;
                let ticket = submit(&theirs, txn, 3000).expect("room comes");
                theirs.wait(ticket.epoch, None).expect("wait");
                assert_durable(&ours, txn, &ticket);
            }
        });
        wal.close(None).expect("close");
    });
}

/// There is memory for one large batch, and lanes for all.
fn roomless() -> Options {
    Options {
        buffer_capacity: 48 << 10,
        overflow: Overflow::Block,
        ..options()
    }
}

/// What is in flight still counts: a seal alone makes no room.
#[test]
fn those_who_wait_for_memory_are_woken_after_the_flush() {
    explore(100, || {
        let disk = Disk::new();
        let wal = disk.open(&roomless());
        let (ours, theirs) = (disk.clone(), wal.clone());
        threads(3, move |i| {
            let ticket = submit(&theirs, i, 40_000).expect("room comes");
            theirs.wait(ticket.epoch, None).expect("wait");
            assert_durable(&ours, i, &ticket);
        });
        wal.close(None).expect("close");
    });
}

/// No room ever comes then.
#[test]
fn those_who_wait_for_memory_are_told_of_a_failure() {
    explore(100, || {
        let disk = Disk::new();
        let wal = disk.open(&roomless());
        let plan = FaultPlan::error(Call::SyncAll, libc::EIO);
        disk.sim.fail(plan.on("-wal-seg-"));
        let theirs = wal.clone();
        threads(3, move |i| {
            let told = submit(&theirs, i, 40_000).and_then(|t| theirs.wait(t.epoch, None));
            assert!(told.is_err(), "the only sync fails");
        });
        let _ = wal.close(None);
    });
}

/// The ordered path beside ordinary batches: sequences stay dense, epochs in
/// their order, and each batch where its ticket says.
#[test]
fn large_batches_keep_their_place() {
    explore(500, || {
        let disk = Disk::new();
        let wal = disk.open(&Options {
            buffer_capacity: 4096,
            sequencing: Sequencing::Coordinator,
            ..options()
        });
        let (ours, theirs) = (disk.clone(), wal.clone());
        let mut tickets = threads(3, move |i| {
            [(10 * i, 64), (10 * i + 1, if i < 3 { 6000 } else { 32 })].map(|(txn, len)| {
                let ticket = submit_unnumbered(&theirs, txn, len).expect("submit");
                if i != 2 {
                    theirs.wait(ticket.epoch, None).expect("wait");
                    assert_durable(&ours, txn, &ticket);
                }
                (ticket.commit_seq, ticket, txn)
            })
        })
        .concat();
        wal.close(None).expect("close");
        tickets.sort_unstable_by_key(|t| t.0);
        let seqs: Vec<u64> = tickets.iter().map(|t| t.0).collect();
        assert_eq!(seqs, (1..=6).collect::<Vec<u64>>());
        assert!(tickets.is_sorted_by_key(|t| t.1.epoch), "{tickets:?}");
        let found = recover(disk.sim.crash_nothing());
        for (_, ticket, txn) in &tickets {
            assert!(
                holds(&found, *txn, ticket),
                "{txn}: {ticket:?} in {found:?}"
            );
        }
    });
}

/// A large batch that nobody waits for is the ticker's.
#[test]
fn a_large_batch_alone_becomes_durable() {
    explore(400, || {
        let disk = Disk::new();
        let wal = disk.open(&Options {
            buffer_capacity: 4096,
            epoch_interval: EpochInterval::After(Duration::from_millis(1)),
            ..options()
        });
        let theirs = wal.clone();
        threads(2, move |i| {
            let len = if i == 1 { 6000 } else { 64 };
            let ticket = submit(&theirs, i, len).expect("submit");
            while theirs.durable_epoch().expect("durable") < Some(ticket.epoch) {
                shuttle::thread::yield_now();
            }
        });
        wal.close(None).expect("close");
    });
}

/// A batch of its own and those of the lanes share one budget, whoever comes
/// first.
#[test]
fn large_and_small_batches_share_the_memory() {
    explore(300, || {
        let disk = Disk::new();
        let wal = disk.open(&Options {
            buffer_capacity: 16 << 10,
            slot_count: 4,
            overflow: Overflow::Refuse,
            ..options()
        });
        let theirs = wal.clone();
        threads(4, move |i| {
            let len = if i == 1 { 40_000 } else { 12_000 };
            let _taken_or_refused = submit(&theirs, i, len);
        });
        let stats = wal.stats().expect("open");
        assert!(
            stats.memory_bytes <= stats.max_memory,
            "{} bytes are staged, {} may be",
            stats.memory_bytes,
            stats.max_memory
        );
        wal.close(None).expect("close");
    });
}
