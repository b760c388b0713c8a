//! Readers that meet a writer at a bad moment.

use super::common::{Place, commit, small};
use epochwal::Options;
use epochwal::recovery::max_durable_epoch_on;
use epochwal::storage::sim::{Call, SimStorage};

/// A reader asks how far the writer is, and then lists the files: what is
/// listed may begin above what it asked for.
#[test]
fn the_durable_epoch_never_falls_while_the_writer_rolls() {
    let disk = SimStorage::new();
    let place = Place::sim(&disk);
    let options = Options {
        segment_size: 16 << 10,
        ..small()
    };
    let wal = place.open(&options).unwrap();
    for txn in 1..=5 {
        commit(&wal, txn).unwrap();
    }
    let before = wal.durable_epoch().unwrap();
    let gate = disk.block_on(Call::List);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| max_durable_epoch_on(place.disk.clone(), &place.db));
        gate.wait_blocked();
        for txn in 6..=15 {
            commit(&wal, txn).unwrap();
        }
        gate.open();
        let told = reader.join().unwrap().unwrap();
        assert!(told >= before, "durable {before:?}, told {told:?}");
    });
}
