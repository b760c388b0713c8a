//! A group follows the one before it, whatever came between.

use super::common::{PATIENCE, Place, commit, small};
use super::log::{flip_epoch, recovered, recovered_after_crash, roomy, salvaging};
use epochwal::storage::sim::SimStorage;
use epochwal::{ErrorKind, Options};

/// Version 1 files link to nothing, so what stands before them must be
/// vouched for to its last group, also where it was left by a kill.
#[test]
fn version_one_files_hide_no_damage_before_them() {
    let disk = SimStorage::new();
    let wal = Place::sim(&disk).open(&roomy()).unwrap();
    for txn in 1..=6 {
        commit(&wal, txn).unwrap();
    }
    let killed = disk.snapshot();
    let version_one = Options {
        segment_format: 1,
        ..small()
    };
    let wal = Place::sim(&killed).open(&version_one).unwrap();
    for txn in 7..=9 {
        commit(&wal, txn).unwrap();
    }
    wal.close(PATIENCE).unwrap();
    assert_eq!(
        recovered(&Place::sim(&killed)).unwrap(),
        (1..=9).collect::<Vec<_>>()
    );
    for damaged in 1..=6 {
        let place = Place::sim(&killed.snapshot());
        flip_epoch(&place, damaged);
        let error = recovered(&place).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "epoch {damaged}");
    }
}

/// Damage to what is checkpointed leaves a log that ends below its floor.
#[test]
fn what_follows_a_salvage_below_the_checkpoint_is_read() {
    for epoch in 1..=8 {
        let disk = SimStorage::new();
        let place = Place::sim(&disk);
        let wal = place.open(&roomy()).unwrap();
        for txn in 1..=10 {
            commit(&wal, txn).unwrap();
        }
        wal.checkpoint(8).unwrap();
        wal.close(PATIENCE).unwrap();
        flip_epoch(&place, epoch);
        let wal = place.open(&salvaging(&roomy())).unwrap();
        for txn in 21..=23 {
            commit(&wal, txn).unwrap();
            let acknowledged = (21..=txn).collect::<Vec<_>>();
            assert_eq!(recovered_after_crash(&disk).unwrap(), acknowledged);
        }
        wal.close(PATIENCE).unwrap();
        assert_eq!(recovered(&place).unwrap(), [21, 22, 23], "epoch {epoch}");
    }
}
