//! The end of a log that is too long to be looked through: opens and readers
//! start near it, and go back where it does not begin there.

use super::common::{Place, commit};
use super::log::{commit_pages, flip_epoch, roomy};
use epochwal::recovery::max_durable_epoch_on;
use epochwal::storage::sim::{Call, SimStorage};
use epochwal::{Coordinator, Options};

/// More than an open looks through, so that it starts at the last segment.
const LONG: usize = 129 << 20;

fn options() -> Options {
    Options {
        max_batch_bytes: 1 << 30,
        max_memory: 1 << 30,
        ..roomy()
    }
}

/// Commits a batch that gets a segment of its own.
fn commit_long(wal: &Coordinator, txn: u64) -> u64 {
    commit_pages(wal, txn, LONG >> 16, 1 << 16)
}

/// A reader asks how far the writer is, and then lists the files: the last
/// one may begin above what it was told.
#[test]
fn the_durable_epoch_never_falls_while_the_writer_rolls() {
    let disk = SimStorage::new();
    let place = Place::sim(&disk);
    let wal = place.open(&options()).unwrap();
    for txn in 1..=3 {
        commit(&wal, txn).unwrap();
    }
    let before = wal.durable_epoch().unwrap();
    let told = std::thread::scope(|scope| {
        let gate = disk.block_on(Call::List);
        let reader = scope.spawn(|| max_durable_epoch_on(place.disk.clone(), &place.db));
        gate.wait_blocked();
        commit_long(&wal, 4);
        gate.open();
        reader.join().unwrap().unwrap()
    });
    assert!(told >= before, "durable {before:?}, told {told:?}");
}

/// The header of a torn group names a watermark like any other, but it is not
/// a place to start from.
#[test]
fn a_last_segment_that_begins_torn_is_dropped() {
    let disk = SimStorage::new();
    let place = Place::sim(&disk);
    let wal = place.open(&options()).unwrap();
    for txn in 1..=3 {
        commit(&wal, txn).unwrap();
    }
    let acknowledged = wal.durable_epoch().unwrap();
    let torn = commit_long(&wal, 4);
    let place = Place::sim(&disk.snapshot());
    drop(wal);
    // What a crash leaves of a group on its way to the disk.
    flip_epoch(&place, torn);
    let told = max_durable_epoch_on(place.disk.clone(), &place.db).unwrap();
    assert_eq!(told, acknowledged);
    let wal = place.open(&options()).unwrap();
    assert_eq!(wal.durable_epoch().unwrap(), acknowledged);
    assert!(commit(&wal, 5).unwrap().epoch > torn);
    let got: Vec<u64> = place.recover_all().iter().map(|b| b.txn).collect();
    assert_eq!(got, [1, 2, 3, 5]);
}
