//! Durable means synced: what other sessions left unsynced, what failed half,
//! and whom it is told first.

use super::common::{Place, commit, small};
use super::log::{commit_numbered, recovered_after_crash, roomy};
use epochwal::coordinator::{SyncPolicy, SyncStyle};
use epochwal::storage::Storage;
use epochwal::storage::sim::{Call, FaultPlan, SimStorage};
use epochwal::{Batch, ErrorKind, Frame, Options};
use std::path::Path;

const STYLES: [SyncStyle; 2] = [SyncStyle::Direct, SyncStyle::Buffered];

/// A write through to the disk syncs neither the size of the file nor its
/// other blocks, so a file of a session without syncs is synced first.
#[test]
fn files_of_a_session_without_syncs_carry_acknowledged_commits() {
    for style in STYLES {
        let disk = SimStorage::new();
        let place = Place::sim(&disk);
        let unsynced = Options {
            sync_policy: SyncPolicy::Off,
            sync_style: style,
            ..small()
        };
        let wal = place.open(&unsynced).unwrap();
        for txn in 1..=9 {
            commit(&wal, txn).unwrap();
        }
        drop(wal);
        let names = disk.list(Path::new("/data")).unwrap();
        let spare = |n: &std::ffi::OsString| n.to_string_lossy().contains("-wal-spare-");
        assert!(names.iter().any(spare), "nothing to take over: {names:?}");
        let synced = Options {
            sync_policy: SyncPolicy::Normal,
            ..unsynced
        };
        let wal = place.open(&synced).unwrap();
        for txn in 10..=40 {
            commit(&wal, txn).unwrap();
            let got = recovered_after_crash(&disk).unwrap();
            assert_eq!(got, (1..=txn).collect::<Vec<_>>(), "{style:?}");
        }
    }
}

/// Out of memory, out of descriptors: elsewhere worth another try, but not
/// where a sync says it, which says it once.
#[test]
fn a_sync_that_fails_for_want_of_memory_is_final() {
    for errno in [libc::ENOMEM, libc::EAGAIN, libc::ENFILE] {
        for style in STYLES {
            let disk = SimStorage::new();
            let options = Options {
                sync_style: style,
                sync_policy: SyncPolicy::Normal,
                ..roomy()
            };
            let wal = Place::sim(&disk).open(&options).unwrap();
            commit(&wal, 1).unwrap();
            let call = match style {
                SyncStyle::Buffered => Call::SyncData,
                _ => Call::Write,
            };
            disk.fail(FaultPlan::error(call, errno).on("-wal-seg-"));
            let unknown = commit(&wal, 2).unwrap_err();
            assert_eq!(unknown.kind(), ErrorKind::OutcomeUnknown, "{unknown:?}");
            let failed = commit(&wal, 3).unwrap_err();
            assert_eq!(failed.kind(), ErrorKind::Failed, "{failed:?}");
        }
    }
}

/// The state file has two copies. A checkpoint that saved one of them must
/// not go on as if nothing had been said.
#[test]
fn a_checkpoint_without_space_loses_nothing_later() {
    for copy in 1..=2 {
        let disk = SimStorage::new();
        let wal = Place::sim(&disk).open(&roomy()).unwrap();
        for txn in 1..=3 {
            commit(&wal, txn).unwrap();
        }
        disk.fail(
            FaultPlan::error(Call::Write, libc::ENOSPC)
                .on("-wal-state")
                .nth(copy),
        );
        let checkpointed = wal.checkpoint(3).is_ok();
        commit(&wal, 4).expect("space is back");
        let kept = recovered_after_crash(&disk).unwrap();
        let want: &[u64] = if checkpointed { &[4] } else { &[1, 2, 3, 4] };
        assert_eq!(kept, want, "copy {copy}");
    }
}

/// A reader that starts after an acknowledgement must find what was
/// acknowledged: so it is told to readers first.
#[test]
fn readers_are_told_before_anyone_else() {
    let disk = SimStorage::new();
    let wal = Place::sim(&disk).open(&roomy()).unwrap();
    let first = commit(&wal, 1).unwrap().epoch;
    std::thread::scope(|scope| {
        // In here, so that a failing test opens it before it waits for threads.
        let gate = disk.block_on_path(Call::Write, "-wal-lock");
        let writer = scope.spawn(|| commit(&wal, 2));
        gate.wait_blocked();
        assert_eq!(wal.durable_epoch().unwrap(), Some(first));
        gate.open();
        writer.join().unwrap().unwrap();
    });
    assert_eq!(wal.durable_epoch().unwrap(), Some(first + 1));
}

/// As without space, so without memory, which is tried again, too.
#[test]
fn a_checkpoint_that_memory_cut_short_loses_nothing_later() {
    for errno in [libc::ENOMEM, libc::EAGAIN, libc::ENFILE] {
        for copy in 1..=2 {
            let disk = SimStorage::new();
            let wal = Place::sim(&disk).open(&roomy()).unwrap();
            for txn in 1..=3 {
                commit(&wal, txn).unwrap();
            }
            let plan = FaultPlan::error(Call::Write, errno);
            disk.fail(plan.on("-wal-state").nth(copy));
            let _ = wal.checkpoint(3);
            if commit(&wal, 4).is_ok() {
                let kept = recovered_after_crash(&disk).unwrap();
                assert_eq!(kept.last(), Some(&4), "errno {errno}, copy {copy}");
            }
        }
    }
}

/// A large batch writes what is pending first; that is no I/O of its own.
#[test]
fn a_failed_sync_under_a_large_batch_is_a_failure() {
    let disk = SimStorage::new();
    let options = Options {
        sync_style: SyncStyle::Buffered,
        buffer_capacity: 4096,
        ..roomy()
    };
    let wal = Place::sim(&disk).open(&options).unwrap();
    disk.fail(FaultPlan::error(Call::Write, libc::ENOSPC).on("-wal-seg-"));
    let pending = commit_numbered(&wal, 1, 1).unwrap_err();
    assert_eq!(pending.kind(), ErrorKind::NoSpace, "{pending:?}");
    disk.fail(FaultPlan::error(Call::SyncAll, libc::EIO).on("-wal-seg-"));
    let data = [7; 30_000];
    let frames = [Frame {
        page_number: 1,
        db_size_if_commit: 0,
        data: &data,
    }];
    let batch = Batch {
        txn_id: 2,
        txn_epoch: 0,
        commit_seq: 2,
        frames: &frames,
        metadata: &[],
    };
    let refused = wal.submit(&batch).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Failed, "{refused:?}");
}
