//! The end of a handle, in places where it can't simply wait.

use super::common::{PATIENCE, Place, commit, small, submit};
use super::log::roomy;
use epochwal::coordinator::{EpochInterval, SyncStyle};
use epochwal::storage::sim::{Call, SimStorage};
use epochwal::{Coordinator, ErrorKind, Options};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

fn ticking() -> Options {
    Options {
        epoch_interval: EpochInterval::After(Duration::from_millis(1)),
        ..small()
    }
}

/// A callback's captures are dropped on the thread that a close waits for.
#[test]
fn the_last_handle_dropped_in_a_callback_gives_the_database_free() {
    let place = Place::sim(&SimStorage::new());
    let wal = Arc::new(place.open(&ticking()).unwrap());
    let epoch = submit(&wal, 1).unwrap().epoch;
    let (go, wait) = mpsc::channel::<()>();
    let last = wal.clone();
    wal.on_durable(
        epoch,
        Box::new(move |_, _| {
            wait.recv().unwrap();
            drop(last);
        }),
    )
    .unwrap();
    drop(wal);
    assert_eq!(
        place.open(&small()).unwrap_err().kind(),
        ErrorKind::Locked,
        "the callback still has it"
    );
    go.send(()).unwrap();
    let begun = Instant::now();
    let wal = loop {
        match place.open(&small()) {
            Ok(wal) => break wal,
            Err(error) => assert_eq!(error.kind(), ErrorKind::Locked, "{error:?}"),
        }
        assert!(begun.elapsed() < PATIENCE.unwrap(), "locked for ever");
        std::thread::yield_now();
    };
    assert_eq!(wal.durable_epoch().unwrap(), Some(epoch));
}

/// It would wait for a table that a close holds, which waits for the callback.
#[test]
fn a_callback_may_not_open_a_shared_coordinator() {
    let place = Place::real();
    let other = place.db.with_file_name("other.db");
    let wal = Coordinator::for_path(&place.db, &ticking()).unwrap();
    let epoch = submit(&wal, 1).unwrap().epoch;
    let (send, receive) = mpsc::channel();
    wal.on_durable(
        epoch,
        Box::new(move |_, _| {
            let refused = Coordinator::for_path(&other, &ticking()).map(drop);
            send.send(refused).unwrap();
        }),
    )
    .unwrap();
    let refused = receive.recv_timeout(PATIENCE.unwrap()).unwrap();
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Deadlock);
    wal.close(PATIENCE).unwrap();
}

/// A close that does not get to its end in time was none, all the time.
#[test]
fn submits_go_on_while_a_close_fails_to_come_in_time() {
    let disk = SimStorage::new();
    let options = Options {
        sync_style: SyncStyle::Buffered,
        ..roomy()
    };
    let wal = Place::sim(&disk).open(&options).unwrap();
    commit(&wal, 1).unwrap();
    let attempts = AtomicU64::new(0);
    let last = std::thread::scope(|scope| {
        // In here, so that a failing test opens it before it waits for threads.
        let gate = disk.block_on_path(Call::SyncAll, "-wal-seg-");
        let writer = scope.spawn(|| commit(&wal, 2));
        gate.wait_blocked();
        let closer = scope.spawn(|| {
            while attempts.fetch_add(1, Ordering::SeqCst) < 20 {
                let late = wal.close(Some(Duration::from_millis(5))).unwrap_err();
                assert_eq!(late.kind(), ErrorKind::Timeout, "{late:?}");
            }
        });
        let mut txn = 2;
        while !closer.is_finished() {
            // Spread over the attempts: the gate holds up what is staged.
            if txn < 2 + 20 * attempts.load(Ordering::SeqCst) {
                txn += 1;
                submit(&wal, txn).expect("no close came to its end");
            }
            std::thread::yield_now();
        }
        closer.join().unwrap();
        gate.open();
        writer.join().unwrap().unwrap();
        txn
    });
    wal.close(PATIENCE).unwrap();
    let place = Place::sim(&disk.crash_nothing());
    assert_eq!(place.recover_all().len() as u64, last);
}

/// Shared handles that come and go on many threads: the last one closes while
/// the next one opens. Nobody finds the database locked, or a batch of another's
/// closed with it.
#[test]
fn shared_handles_are_opened_while_the_last_is_closed() {
    let place = Place::real();
    let next = AtomicU64::new(1);
    let sent: Vec<u64> = std::thread::scope(|scope| {
        let life = || {
            let mut sent = Vec::new();
            for round in 0..40 {
                let wal = Coordinator::for_path(&place.db, &ticking()).expect("never locked");
                let txn = next.fetch_add(1, Ordering::SeqCst);
                let ticket = submit(&wal, txn).expect("this handle is open");
                if round % 2 == 0 {
                    wal.wait(ticket.epoch, PATIENCE).unwrap();
                }
                match round % 3 {
                    0 => drop(wal),
                    _ => wal.close(PATIENCE).unwrap(),
                }
                sent.push(txn);
            }
            sent
        };
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(life)).collect();
        threads
            .into_iter()
            .flat_map(|t| t.join().unwrap())
            .collect()
    });
    let mut got: Vec<u64> = place.recover_all().iter().map(|g| g.txn).collect();
    got.sort_unstable();
    assert_eq!(got, (1..=160).collect::<Vec<_>>());
    assert_eq!(sent.len(), got.len());
    assert!(place.open(&small()).is_ok(), "the last one closed it");
}
