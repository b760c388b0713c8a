//! Flushes that fail, leaders that panic, disks that fill up.

use crate::commit::options;
use crate::harness::*;
use epochwal::coordinator::EpochInterval;
use epochwal::storage::sim::{Call, FaultPlan};
use epochwal::{Coordinator, ErrorKind, Options};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

fn ticking() -> Options {
    Options {
        epoch_interval: EpochInterval::After(Duration::from_millis(1)),
        ..options()
    }
}

/// Stages a batch and waits; whatever comes is what the table of `wait` says.
fn stage_and_wait(disk: &Disk, wal: &Coordinator, txn: u64) {
    let ticket = match submit(wal, txn, 64) {
        Ok(ticket) => ticket,
        Err(e) => {
            assert_eq!(e.kind(), ErrorKind::Failed, "{e}");
            return assert_never_durable(disk, txn);
        }
    };
    let result = wal.wait(ticket.epoch, None);
    match kind(&result) {
        None => assert_durable(disk, txn, &ticket),
        Some(ErrorKind::OutcomeUnknown) => {}
        Some(ErrorKind::Failed) => assert_never_durable(disk, txn),
        Some(_) => panic!("{result:?}"),
    }
    let again = wal.wait(ticket.epoch, None);
    assert_eq!(
        kind(&again),
        kind(&result),
        "an answer is for good: {result:?}, then {again:?}"
    );
}

#[test]
fn a_sync_that_fails_is_told_to_everyone() {
    for nth in 1..=4 {
        let met = Arc::new(AtomicU32::new(0));
        let counted = met.clone();
        explore(250, move || {
            let disk = Disk::new();
            let wal = disk.open(&options());
            let plan = FaultPlan::error(Call::SyncAll, libc::EIO);
            let fault = disk.sim.fail(plan.on("-wal-seg-").nth(nth));
            let (ours, theirs) = (disk.clone(), wal.clone());
            threads(3, move |i| {
                stage_and_wait(&ours, &theirs, 10 * i);
                stage_and_wait(&ours, &theirs, 10 * i + 1);
            });
            let _ = wal.close(None);
            counted.fetch_add(fault.hits() as u32, Ordering::Relaxed);
        });
        let met = met.load(Ordering::Relaxed);
        assert!(met > 0, "there was no sync {nth} to fail");
    }
}

#[test]
fn a_write_that_fails_is_told_to_everyone() {
    for nth in 1..=2 {
        explore(250, move || {
            let disk = Disk::new();
            let wal = disk.open(&ticking());
            disk.sim
                .fail(FaultPlan::error(Call::Write, libc::EIO).nth(nth));
            let (ours, theirs) = (disk.clone(), wal.clone());
            threads(3, move |i| stage_and_wait(&ours, &theirs, i));
            let _ = wal.close(None);
        });
    }
}

/// Out of space is no end: it is said, and healed once there is some.
#[test]
fn a_full_disk_is_waited_out() {
    explore(400, || {
        let disk = Disk::new();
        let wal = disk.open(&options());
        disk.sim.fail(FaultPlan::error(Call::Write, libc::ENOSPC));
        let (ours, theirs) = (disk.clone(), wal.clone());
        threads(3, move |i| {
            let ticket = submit(&theirs, i, 64).expect("submit");
            loop {
                let result = theirs.wait(ticket.epoch, None);
                match kind(&result) {
                    None => break assert_durable(&ours, i, &ticket),
                    Some(ErrorKind::NoSpace) => {}
                    Some(_) => panic!("{result:?}"),
                }
            }
        });
        wal.close(None).expect("close");
    });
}

/// Each write and sync of a flush panics once, whoever flushes.
#[test]
fn a_leader_that_panics_fails_the_coordinator_and_hangs_nobody() {
    for call in 0..16 {
        explore(60, move || {
            let disk = Disk::new();
            let wal = disk.open(&options());
            disk.panic_after(call);
            let (ours, theirs) = (disk.clone(), wal.clone());
            threads(3, move |i| {
                for txn in [10 * i, 10 * i + 1] {
                    let led = || stage_and_wait(&ours, &theirs, txn);
                    if let Err(panic) = catch_unwind(AssertUnwindSafe(led)) {
                        expected(panic);
                    }
                }
            });
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| wal.close(None))) {
                expected(panic);
            }
        });
    }
}

/// Only the panic of the disk is.
fn expected(panic: Box<dyn std::any::Any + Send>) {
    if panic.downcast_ref::<&str>() != Some(&"the disk panics") {
        std::panic::resume_unwind(panic);
    }
}

/// The library's own thread survives what a flush of its own runs into: it
/// owes callbacks.
#[test]
fn the_ticker_outlives_a_panic() {
    for call in 0..12 {
        explore(60, move || {
            let disk = Disk::new();
            let wal = disk.open(&ticking());
            disk.panic_after(call);
            let runs = Arc::new(AtomicU32::new(0));
            let (theirs, counts) = (wal.clone(), runs.clone());
            let taken: u32 = threads(2, move |i| {
                let Ok(ticket) = submit(&theirs, i, 64) else {
                    return 0;
                };
                let counts = counts.clone();
                let callback = move |_, _| {
                    counts.fetch_add(1, Ordering::SeqCst);
                };
                u32::from(theirs.on_durable(ticket.epoch, Box::new(callback)).is_ok())
            })
            .iter()
            .sum();
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| wal.close(None))) {
                expected(panic);
                let _ = wal.close(None);
            }
            assert_eq!(runs.load(Ordering::SeqCst), taken);
        });
    }
}

/// Transactions are committed by destructors too, while a panic of the
/// caller's own unwinds: that is no panic of the flush.
#[test]
fn a_commit_while_unwinding_is_a_commit() {
    struct AtTheEnd(Arc<Coordinator>, Disk);
    impl Drop for AtTheEnd {
        fn drop(&mut self) {
            let ticket = commit(&self.0, 1).expect("commit");
            assert_durable(&self.1, 1, &ticket);
        }
    }
    explore(200, || {
        let disk = Disk::new();
        let wal = disk.open(&options());
        let (ours, theirs) = (disk.clone(), wal.clone());
        let other = shuttle::thread::spawn(move || commit(&theirs, 2).expect("commit"));
        let at_the_end = AtTheEnd(wal.clone(), ours);
        let panic = catch_unwind(AssertUnwindSafe(move || {
            let _commits = at_the_end;
            std::panic::resume_unwind(Box::new("the caller panics"))
        }));
        assert!(panic.is_err());
        other.join().expect("join");
        wal.close(None).expect("close");
    });
}
