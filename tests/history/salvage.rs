//! After a salvage the log goes on: with new epochs, with sequences that
//! touch, and with nothing called durable that is not.

use super::common::{PATIENCE, Place, commit};
use super::log::{
    commit_unnumbered, flip, flip_epoch, recovered, recovered_after_crash, roomy, salvaging,
    segments, state_file,
};
use epochwal::coordinator::{Sequencing, SyncStyle};
use epochwal::storage::sim::{Call, FaultPlan, SimStorage};
use epochwal::{ErrorKind, Options};
use std::sync::{Arc, Mutex};

#[test]
fn assigned_sequences_go_on_where_the_log_was_cut() {
    let place = Place::sim(&SimStorage::new());
    let options = Options {
        sequencing: Sequencing::Coordinator,
        ..roomy()
    };
    let wal = place.open(&options).unwrap();
    for txn in 1..=10 {
        commit_unnumbered(&wal, txn).unwrap();
    }
    wal.close(PATIENCE).unwrap();
    flip_epoch(&place, 5);
    let wal = place.open(&salvaging(&options)).unwrap();
    assert_eq!(commit_unnumbered(&wal, 21).unwrap().commit_seq, 5);
    wal.close(PATIENCE).unwrap();
    assert_eq!(recovered(&place).unwrap(), [1, 2, 3, 4, 21]);
    place.open(&options).unwrap();
}

/// The epochs of the files that are moved aside are in their names only.
#[test]
fn no_epoch_of_a_version_one_file_is_given_again() {
    let place = Place::sim(&SimStorage::new());
    let options = Options {
        segment_format: 1,
        ..roomy()
    };
    let wal = place.open(&options).unwrap();
    for txn in 1..=30 {
        commit(&wal, txn).unwrap();
    }
    let last = wal.durable_epoch().unwrap().unwrap();
    wal.close(PATIENCE).unwrap();
    // As where another implementation made the files.
    place.disk.remove(&state_file(&place)).unwrap();
    flip(&place, &segments(&place)[1], 24);
    let wal = place.open(&salvaging(&options)).unwrap();
    assert_eq!(wal.salvaged().len(), 29);
    assert!(commit(&wal, 100).unwrap().epoch > last);
}

/// What was in a file that is gone, no name tells.
#[test]
fn no_epoch_of_a_lost_segment_is_given_again() {
    let disk = SimStorage::new();
    let wal = Place::sim(&disk).open(&roomy()).unwrap();
    for txn in 1..=100 {
        commit(&wal, txn).unwrap();
    }
    let last = wal.durable_epoch().unwrap().unwrap();
    let place = Place::sim(&disk.crash_nothing());
    for path in segments(&place) {
        place.disk.remove(&path).unwrap();
    }
    let wal = place.open(&salvaging(&roomy())).unwrap();
    assert!(commit(&wal, 1000).unwrap().epoch > last);
}

/// A salvage reads from the page cache, which proves nothing after a failed
/// sync: the open that it is a part of must still make the tail durable.
#[test]
fn a_salvaged_tail_is_synced_before_it_is_called_durable() {
    for style in [SyncStyle::Buffered, SyncStyle::Direct] {
        let disk = SimStorage::new();
        let place = Place::sim(&disk);
        let options = Options {
            sync_style: style,
            ..roomy()
        };
        let wal = place.open(&options).unwrap();
        for txn in 1..=3 {
            commit(&wal, txn).unwrap();
        }
        let failing = match style {
            SyncStyle::Buffered => Call::SyncAll,
            _ => Call::Write,
        };
        disk.fail(FaultPlan::error(failing, libc::EIO).on("-wal-seg-"));
        commit(&wal, 4).unwrap_err();
        drop(wal);
        for copy in [0, 4096] {
            flip(&place, &state_file(&place), copy + 10);
        }
        let wal = place.open(&salvaging(&options)).unwrap();
        let told = wal.durable_epoch().unwrap().unwrap();
        assert!(told >= 3);
        let got = recovered_after_crash(&disk).unwrap();
        assert_eq!(got, (1..=told).collect::<Vec<_>>(), "{style:?}");
    }
}

/// Moving files aside and saying so takes several steps.
#[test]
fn a_salvage_cut_short_gives_no_epoch_twice() {
    for segment_format in [1, 2] {
        let options = Options {
            segment_format,
            segment_size: 16 << 10,
            ..roomy()
        };
        let disk = SimStorage::new();
        let wal = Place::sim(&disk).open(&options).unwrap();
        for txn in 1..=12 {
            commit(&wal, txn).unwrap();
        }
        let last = wal.durable_epoch().unwrap().unwrap();
        let disk = disk.crash_nothing();
        let place = Place::sim(&disk);
        flip(&place, &segments(&place)[0], 0);
        place.disk.remove(&state_file(&place)).unwrap();
        let states = Arc::new(Mutex::new(Vec::new()));
        let seen = states.clone();
        disk.on_operation(move |state, _| seen.lock().unwrap().push(state));
        place.open(&salvaging(&options)).unwrap();
        disk.stop_observing();
        for state in states.lock().unwrap().drain(..) {
            for cut in [
                state.snapshot(),
                state.crash_nothing(),
                state.crash_everything(),
            ] {
                let place = Place::sim(&cut);
                let opened = place.open(&options);
                if let Err(error) = &opened {
                    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error:?}");
                }
                let wal = opened
                    .or_else(|_| place.open(&salvaging(&options)))
                    .unwrap();
                assert!(commit(&wal, 100).unwrap().epoch > last);
            }
        }
    }
}
