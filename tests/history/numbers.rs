//! Epochs and sequences at the end of their range: an error in time, never a
//! number that wraps.

use super::common::{PATIENCE, Place, commit, small};
use super::log::{commit_numbered, recovered};
use epochwal::coordinator::Sequencing;
use epochwal::format::v1::Record;
use epochwal::segment::write_segment_on;
use epochwal::storage::sim::SimStorage;
use epochwal::{ErrorKind, Options};

#[test]
fn a_log_at_the_last_epoch_is_read_and_not_opened() {
    for epoch in [u64::MAX, u64::MAX - 1] {
        let disk = SimStorage::new();
        let place = Place::sim(&disk);
        let record = Record {
            txn_id: 1,
            txn_epoch: 1,
            epoch,
            page_number: 1,
            begin_seq: 1,
            end_seq: Some(1),
            before: &[],
            after: &[7; 10],
        };
        write_segment_on(&disk, &place.db, epoch, &[record]).unwrap();
        let error = place.open(&small()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge, "{error:?}");
        assert!(error.message().contains("used up"), "{error:?}");
        assert_eq!(recovered(&place).unwrap(), [1]);
    }
}

/// A caller may use the last sequence; nothing can be assigned after it.
#[test]
fn a_log_at_the_last_sequence_assigns_none() {
    let place = Place::sim(&SimStorage::new());
    let wal = place.open(&small()).unwrap();
    commit_numbered(&wal, 1, u64::MAX).unwrap();
    wal.close(PATIENCE).unwrap();
    let assigning = Options {
        sequencing: Sequencing::Coordinator,
        ..small()
    };
    let error = place.open(&assigning).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge, "{error:?}");
    let wal = place.open(&small()).unwrap();
    commit(&wal, 2).unwrap();
    assert_eq!(recovered(&place).unwrap(), [1, 2]);
}
