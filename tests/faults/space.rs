//! A full disk: callers are told, nothing is lost, and it heals.

use super::common::{PATIENCE, Place, assert_whole, commit, small, submit};
use epochwal::coordinator::{EpochInterval, SyncStyle};
use epochwal::recovery::{RecoveryOptions, inspect_on, list_segments_on, max_durable_epoch_on};
use epochwal::storage::sim::SimStorage;
use epochwal::{ErrorKind, Options};
use std::sync::Barrier;
use std::time::Duration;

fn options(style: SyncStyle) -> Options {
    Options {
        sync_style: style,
        segment_size: 16 << 10,
        slot_count: 16,
        ..small()
    }
}

/// Commits until the disk is full; gives the next transaction, which is
/// staged with the epoch returned.
fn fill(wal: &epochwal::Coordinator) -> (u64, u64) {
    for txn in 1.. {
        let ticket = submit(wal, txn).expect("staged");
        match wal.wait(ticket.epoch, PATIENCE) {
            Ok(()) => {}
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::NoSpace, "{error:?}");
                return (txn + 1, ticket.epoch);
            }
        }
    }
    unreachable!("the disk has a limit")
}

#[test]
fn no_space_is_told_to_all_who_wait_and_heals() {
    for style in [SyncStyle::Direct, SyncStyle::Buffered] {
        let disk = SimStorage::new();
        let place = Place::sim(&disk);
        let wal = place.open(&options(style)).unwrap();
        disk.set_capacity(Some(100 << 10));
        let (next, epoch) = fill(&wal);
        let durable = wal.durable_epoch().unwrap();
        assert!(durable < Some(epoch));
        let start = Barrier::new(16);
        std::thread::scope(|scope| {
            for i in 0..16 {
                let (wal, start) = (&wal, &start);
                scope.spawn(move || {
                    let ticket = submit(wal, next + i).expect("there is room in memory");
                    start.wait();
                    let error = wal.wait(ticket.epoch, PATIENCE).unwrap_err();
                    assert_eq!(error.kind(), ErrorKind::NoSpace, "{error:?}");
                });
            }
        });
        assert_eq!(wal.durable_epoch().unwrap(), durable);
        let full = Place::sim(&disk.crash_nothing());
        assert!(full.recover_all().iter().map(|b| b.epoch).max() >= durable);
        disk.set_capacity(None);
        wal.wait(epoch, PATIENCE).expect("space returned");
        wal.flush(PATIENCE).unwrap();
        let got = Place::sim(&disk.crash_nothing()).recover_all();
        assert_eq!(got.len() as u64, next + 15, "{style:?}");
        got.iter().for_each(assert_whole);
        wal.close(PATIENCE).unwrap();
    }
}

#[test]
fn a_ticker_goes_on_by_itself_when_space_returns() {
    let disk = SimStorage::new();
    let place = Place::sim(&disk);
    let wal = place
        .open(&Options {
            epoch_interval: EpochInterval::After(Duration::from_millis(1)),
            ..options(SyncStyle::Direct)
        })
        .unwrap();
    disk.set_capacity(Some(60 << 10));
    let (_, epoch) = fill(&wal);
    let (send, receive) = std::sync::mpsc::channel();
    wal.on_durable(
        epoch,
        Box::new(move |_, outcome| send.send(outcome.is_ok()).unwrap()),
    )
    .unwrap();
    disk.set_capacity(None);
    let durable = receive.recv_timeout(PATIENCE.unwrap()).unwrap();
    assert!(durable, "nobody waits, and it becomes durable");
}

#[test]
fn recovery_needs_no_space() {
    for style in [SyncStyle::Direct, SyncStyle::Buffered] {
        let disk = SimStorage::new();
        let place = Place::sim(&disk);
        let wal = place.open(&options(style)).unwrap();
        disk.set_capacity(Some(100 << 10));
        let (next, _) = fill(&wal);
        let durable = wal.durable_epoch().unwrap().unwrap();
        for crashed in [disk.crash_nothing(), disk.crash_everything()] {
            crashed.set_capacity(Some(0));
            let place = Place::sim(&crashed);
            let (got, _) = place.recover(&RecoveryOptions::default()).unwrap();
            assert!(got.len() as u64 >= next - 2, "{} of {next}", got.len());
            match place.open(&options(style)) {
                Ok(wal) => assert!(wal.durable_epoch().unwrap() >= Some(durable)),
                Err(error) => assert_eq!(error.kind(), ErrorKind::NoSpace, "{error:?}"),
            }
            crashed.set_capacity(None);
            let wal = place.open(&options(style)).expect("goes on with space");
            assert!(wal.durable_epoch().unwrap() >= Some(durable));
            commit(&wal, 1000).unwrap();
            wal.close(PATIENCE).unwrap();
            assert_eq!(place.recover_all().len(), got.len() + 1);
        }
        drop(wal);
    }
}

#[test]
fn recovery_needs_no_writing() {
    for style in [SyncStyle::Direct, SyncStyle::Buffered] {
        let disk = SimStorage::new();
        let place = Place::sim(&disk);
        let wal = place.open(&options(style)).unwrap();
        for txn in 1..=10 {
            commit(&wal, txn).unwrap();
        }
        // A file system that an error has made read-only.
        disk.set_read_only(true);
        let error = commit(&wal, 11).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OutcomeUnknown, "{error:?}");
        assert_eq!(error.os_error(), Some(libc::EROFS), "{error:?}");
        drop(wal);
        for stopped in [disk.snapshot(), disk.crash_nothing()] {
            stopped.set_read_only(true);
            let place = Place::sim(&stopped);
            assert_eq!(place.recover_all().len(), 10);
            let durable = max_durable_epoch_on(place.disk.clone(), &place.db).unwrap();
            assert!(durable.is_some());
            list_segments_on(place.disk.clone(), &place.db).unwrap();
            inspect_on(place.disk.clone(), &place.db).unwrap();
            let error = place.open(&options(style)).unwrap_err();
            assert_eq!(error.os_error(), Some(libc::EROFS), "{error:?}");
            stopped.set_read_only(false);
            let wal = place.open(&options(style)).unwrap();
            assert_eq!(wal.durable_epoch().unwrap(), durable);
            commit(&wal, 12).unwrap();
            assert_eq!(place.recover_all().len(), 11);
        }
    }
}

#[test]
fn a_log_at_its_limit_refuses_until_a_checkpoint() {
    let place = Place::sim(&SimStorage::new());
    let wal = place
        .open(&Options {
            max_log_bytes: Some(64 << 10),
            ..options(SyncStyle::Direct)
        })
        .unwrap();
    let mut txn = 0;
    let error = loop {
        txn += 1;
        if let Err(error) = commit(&wal, txn) {
            break error;
        }
        let bytes = wal.stats().unwrap().log_bytes;
        assert!(bytes <= 80 << 10, "{bytes} bytes of log");
    };
    assert_eq!(error.kind(), ErrorKind::NoSpace, "{error:?}");
    assert!(error.ticket().is_none(), "nothing was kept");
    wal.checkpoint(wal.durable_epoch().unwrap().unwrap())
        .unwrap();
    commit(&wal, txn).expect("a checkpoint makes room");
}
