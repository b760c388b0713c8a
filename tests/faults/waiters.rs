//! Who waits is answered: when the disk is slow, when it fails, at the end.

use super::common::{PATIENCE, Place, small, submit};
use epochwal::coordinator::SyncStyle;
use epochwal::storage::sim::{Call, FaultPlan, SimStorage};
use epochwal::{Coordinator, ErrorKind, Options};
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const CROWD: usize = 256;

fn buffered() -> Options {
    Options {
        sync_style: SyncStyle::Buffered,
        ..small()
    }
}

#[test]
fn a_slow_disk_times_waits_out_and_keeps_the_handle_open() {
    let disk = SimStorage::new();
    let wal = Place::sim(&disk).open(&buffered()).unwrap();
    let first = submit(&wal, 1).unwrap();
    wal.wait(first.epoch, PATIENCE).unwrap();
    let gate = disk.block_on_path(Call::SyncAll, "-wal-seg-");
    let slow = submit(&wal, 2).unwrap();
    std::thread::scope(|scope| {
        let leader = scope.spawn(|| wal.wait(slow.epoch, PATIENCE));
        gate.wait_blocked();
        let soon = Some(Duration::from_millis(5));
        let later = submit(&wal, 3).unwrap();
        for epoch in [slow.epoch, later.epoch] {
            for timeout in [Some(Duration::ZERO), soon] {
                let error = wal.wait(epoch, timeout).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Timeout, "{error:?}");
            }
        }
        assert_eq!(wal.flush(soon).unwrap_err().kind(), ErrorKind::Timeout);
        assert_eq!(wal.close(soon).unwrap_err().kind(), ErrorKind::Timeout);
        assert_eq!(wal.durable_epoch().unwrap(), Some(first.epoch));
        submit(&wal, 4).expect("still open");
        gate.open();
        leader.join().unwrap().expect("slow, and durable");
        wal.wait(later.epoch, PATIENCE).unwrap();
    });
    wal.close(PATIENCE).unwrap();
    let place = Place::sim(&disk.crash_nothing());
    assert_eq!(place.recover_all().len(), 4);
}

/// Whatever call of a commit is slow, others may stage, ask and give up; and
/// nothing is durable before its time.
#[test]
fn a_slow_call_of_any_kind_only_takes_its_time() {
    let calls = [
        (SyncStyle::Direct, Call::Write),
        (SyncStyle::Direct, Call::Open),
        (SyncStyle::Direct, Call::Rename),
        (SyncStyle::Direct, Call::SyncDir),
        (SyncStyle::Buffered, Call::Write),
        (SyncStyle::Buffered, Call::SyncAll),
    ];
    for (style, call) in calls {
        let disk = SimStorage::new();
        let place = Place::sim(&disk);
        let wal = place
            .open(&Options {
                sync_style: style,
                ..small()
            })
            .unwrap();
        // The first commit makes a segment, so it makes calls of every kind.
        let gate = disk.block_on_path(
            call,
            if call == Call::SyncDir {
                "data"
            } else {
                "-wal-s"
            },
        );
        let slow = submit(&wal, 1).unwrap();
        std::thread::scope(|scope| {
            let leader = scope.spawn(|| wal.wait(slow.epoch, PATIENCE));
            gate.wait_blocked();
            let later = submit(&wal, 2).expect("there is room");
            assert!(
                later.epoch > slow.epoch,
                "{call:?}: sealed before it is written"
            );
            for epoch in [slow.epoch, later.epoch] {
                let error = wal.wait(epoch, Some(Duration::ZERO)).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Timeout, "{call:?}: {error:?}");
            }
            assert_eq!(wal.durable_epoch().unwrap(), None, "{call:?}");
            let crashed = Place::sim(&disk.crash_nothing());
            assert_eq!(crashed.recover_all(), [], "{call:?}");
            gate.open();
            leader.join().unwrap().expect("slow, and durable");
            wal.wait(later.epoch, PATIENCE).unwrap();
        });
        let crashed = Place::sim(&disk.crash_nothing());
        assert_eq!(crashed.recover_all().len(), 2, "{call:?}");
    }
}

/// A crowd that has staged and waits while the first group is on its way:
/// what each is told once `then` was done. The batch before theirs is theirs
/// to lose, too.
fn crowd(
    disk: &SimStorage,
    wal: &Coordinator,
    then: impl FnOnce(),
) -> Vec<(u64, Result<(), ErrorKind>)> {
    let gate = disk.block_on_path(Call::SyncAll, "-wal-seg-");
    let next = AtomicU64::new(1);
    let staged = Barrier::new(CROWD + 1);
    std::thread::scope(|scope| {
        let ticket = submit(wal, 1_000_000).unwrap();
        let leader = scope.spawn(move || (ticket.epoch, wal.wait(ticket.epoch, None)));
        gate.wait_blocked();
        let mut threads = vec![leader];
        for _ in 0..CROWD {
            threads.push(scope.spawn(|| {
                let txn = next.fetch_add(1, Ordering::Relaxed);
                let ticket = submit(wal, txn).unwrap();
                staged.wait();
                (ticket.epoch, wal.wait(ticket.epoch, None))
            }));
        }
        staged.wait();
        let end = scope.spawn(|| gate.open());
        then();
        end.join().unwrap();
        let told = threads.into_iter().map(|t| t.join().unwrap());
        told.map(|(epoch, r)| (epoch, r.map_err(|e| e.kind())))
            .collect()
    })
}

#[test]
fn a_failure_answers_everyone() {
    let disk = SimStorage::new();
    let wal = Place::sim(&disk).open(&buffered()).unwrap();
    let fault = FaultPlan::error(Call::SyncAll, libc::EIO).on("-wal-seg-");
    // The call at the gate asks for its fault after it.
    disk.fail(fault);
    let told = crowd(&disk, &wal, || {});
    assert_eq!(told.len(), CROWD + 1);
    let first = told.iter().map(|(epoch, _)| *epoch).min().unwrap();
    for (epoch, told) in told {
        let expected = if epoch == first {
            ErrorKind::OutcomeUnknown
        } else {
            ErrorKind::Failed
        };
        assert_eq!(told, Err(expected), "epoch {epoch}");
    }
    let error = wal.close(PATIENCE).unwrap_err();
    assert_ne!(error.kind(), ErrorKind::Timeout, "{error:?}");
    let got = Place::sim(&disk.crash_everything()).recover_all();
    assert!(got.len() <= 1, "what was never written is not there");
}

#[test]
fn a_close_makes_durable_what_a_crowd_waits_for() {
    let disk = SimStorage::new();
    let wal = Place::sim(&disk).open(&buffered()).unwrap();
    let told = crowd(&disk, &wal, || wal.close(None).unwrap());
    for (epoch, told) in told {
        // Who had not begun to wait finds a closed handle, which says nothing.
        assert!(
            matches!(told, Ok(()) | Err(ErrorKind::Closed)),
            "{epoch}: {told:?}"
        );
    }
    let got = Place::sim(&disk.crash_nothing()).recover_all();
    assert_eq!(got.len(), CROWD + 1);
}

#[test]
fn a_close_on_a_disk_that_fails_answers_everyone() {
    let disk = SimStorage::new();
    let wal = Place::sim(&disk).open(&buffered()).unwrap();
    let plan = FaultPlan::error(Call::SyncAll, libc::EIO).on("-wal-seg-");
    disk.fail(plan.nth(2));
    let told = crowd(&disk, &wal, || {
        let error = wal.close(None).unwrap_err();
        assert_ne!(error.kind(), ErrorKind::Timeout, "{error:?}");
    });
    assert_eq!(told.len(), CROWD + 1);
    let durable = told.iter().filter(|(_, r)| r.is_ok()).count();
    assert_eq!(durable, 1, "the group before the failure");
    let got = Place::sim(&disk.crash_nothing()).recover_all();
    assert_eq!(got.len(), 1);
}

#[test]
fn a_failed_sync_is_not_healed_by_one_that_succeeds() {
    let disk = SimStorage::new();
    let place = Place::sim(&disk);
    let wal = place.open(&buffered()).unwrap();
    let first = submit(&wal, 1).unwrap();
    wal.wait(first.epoch, PATIENCE).unwrap();
    disk.fail(FaultPlan::error(Call::SyncAll, libc::EIO).on("-wal-seg-"));
    let lost = submit(&wal, 2).unwrap();
    let error = wal.wait(lost.epoch, PATIENCE).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutcomeUnknown);
    assert_eq!(error.os_error(), Some(libc::EIO), "the first cause");
    drop(wal);
    assert_eq!(
        place.recover_all().len(),
        2,
        "the cache has it, called clean"
    );
    assert_eq!(Place::sim(&disk.crash_nothing()).recover_all().len(), 1);
    let wal = place.open(&buffered()).unwrap();
    assert_eq!(wal.durable_epoch().unwrap(), Some(lost.epoch));
    let after = Place::sim(&disk.crash_nothing()).recover_all();
    assert_eq!(after.len(), 2, "the open wrote it again");
}

/// What a sync left undone for want of space it never does; only a file that
/// nothing relies on yet may be thrown away and made again.
#[test]
fn no_space_in_a_sync_is_final() {
    let disk = SimStorage::new();
    let place = Place::sim(&disk);
    let wal = place.open(&buffered()).unwrap();
    let first = submit(&wal, 1).unwrap();
    wal.wait(first.epoch, PATIENCE).unwrap();
    disk.fail(FaultPlan::error(Call::SyncAll, libc::ENOSPC).on("-wal-seg-"));
    let lost = submit(&wal, 2).unwrap();
    for _ in 0..2 {
        let error = wal.wait(lost.epoch, PATIENCE).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OutcomeUnknown, "{error:?}");
    }
    let error = submit(&wal, 3).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Failed, "{error:?}");
}
