//! A reader that was there before a writer came, and still is when it has
//! gone. What it holds is never reused; what it has read may be old.

use super::common::{PATIENCE, Place, commit, small};
use super::log::commit_pages;
use epochwal::coordinator::SyncStyle;
use epochwal::recovery::RecoveryOptions;
use epochwal::storage::sim::{Call, SimStorage};
use epochwal::{Coordinator, Options, Recovery};
use std::sync::{Arc, Mutex};

/// Commits a batch of 300 kB: a few of them are more than is read ahead.
fn commit_large(wal: &Coordinator, txn: u64) {
    commit_pages(wal, txn, 5, 60_000);
}

/// The rest of a stream, which must be a prefix that goes on densely.
fn read_on(reader: &mut Recovery, mut last: u64) -> epochwal::Result<u64> {
    while let Some(batch) = reader.next_batch()? {
        assert_eq!(batch.txn_id, last + 1);
        last += 1;
    }
    Ok(last)
}

#[test]
fn a_reader_outlives_a_writer_that_came_and_went() {
    let place = Place::sim(&SimStorage::new());
    let options = Options {
        segment_size: 16 << 20,
        ..small()
    };
    let wal = place.open(&options).unwrap();
    (1..=4).for_each(|txn| commit_large(&wal, txn));
    wal.close(PATIENCE).unwrap();
    let whole = RecoveryOptions::default();
    let mut reader = Recovery::open_on(place.disk.clone(), &place.db, &whole).unwrap();
    for _ in 1..=4 {
        reader.next_batch().unwrap().unwrap();
    }
    let wal = place.open(&options).unwrap();
    (5..=9).for_each(|txn| commit_large(&wal, txn));
    wal.close(PATIENCE).unwrap();
    assert!((4..=9).contains(&read_on(&mut reader, 4).unwrap()));
}

/// What is written and not synced yet is in the cache for all to read, and
/// may be gone tomorrow.
#[test]
fn a_reader_gives_nothing_that_is_not_durable() {
    let disk = SimStorage::new();
    let place = Place::sim(&disk);
    let options = Options {
        sync_style: SyncStyle::Buffered,
        ..small()
    };
    let wal = place.open(&options).unwrap();
    commit(&wal, 1).unwrap();
    std::thread::scope(|scope| {
        // In here, so that a failing test opens it before it waits for threads.
        let gate = disk.block_on_path(Call::SyncAll, "-wal-seg-");
        let writer = scope.spawn(|| commit(&wal, 2));
        gate.wait_blocked();
        assert_eq!(place.recover_all().len(), 1, "not durable, and read");
        gate.open();
        writer.join().unwrap().unwrap();
    });
    assert_eq!(place.recover_all().len(), 2);
}

/// A segment that was named and never written is deleted by the next open.
#[test]
fn a_reader_outlives_an_open_that_removes_a_named_segment() {
    let disk = SimStorage::new();
    let options = Options {
        segment_size: 16 << 10,
        ..small()
    };
    let wal = Place::sim(&disk).open(&options).unwrap();
    let states = Arc::new(Mutex::new(Vec::new()));
    let seen = states.clone();
    disk.on_operation(move |state, _| seen.lock().unwrap().push(state));
    for txn in 1..=12 {
        commit(&wal, txn).unwrap();
    }
    disk.stop_observing();
    for killed in states.lock().unwrap().drain(..) {
        let place = Place::sim(&killed.snapshot());
        let whole = RecoveryOptions::default();
        let mut reader = Recovery::open_on(place.disk.clone(), &place.db, &whole).unwrap();
        let first = reader.next_batch().unwrap().map_or(0, |b| b.txn_id);
        drop(place.open(&options).unwrap());
        read_on(&mut reader, first).unwrap();
    }
}
