//! Cursors that share their spool, and salvage as an act of its own.

use super::common::{PATIENCE, Place};
use super::tools::{append, open, read_all, small};
use epochwal::ErrorKind;
use epochwal::spool::{ReadLimit, SharedCursor, Spool, SpoolOptions};
use epochwal::storage::sim::SimStorage;
use std::sync::Arc;
use std::time::Duration;

fn limit(records: usize) -> ReadLimit {
    ReadLimit {
        records,
        bytes: usize::MAX,
    }
}

#[test]
fn a_shared_cursor_is_closed_by_any_thread() {
    let spool = Arc::new(Spool::in_memory(&SpoolOptions::default()).unwrap());
    let cursor = SharedCursor::new(&spool, 0).unwrap();
    let next = |timeout| {
        cursor
            .next_batch(limit(9), timeout, None)
            .map_err(|e| e.kind())
    };
    assert_eq!(next(Some(Duration::ZERO)), Err(ErrorKind::Timeout));
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            loop {
                match next(None) {
                    Err(ErrorKind::Busy) => {}
                    ended => return ended,
                }
            }
        });
        // It is in use as soon as the other one waits.
        while next(Some(Duration::ZERO)) != Err(ErrorKind::Busy) {
            std::thread::yield_now();
        }
        cursor.close();
        assert_eq!(waiter.join().unwrap(), Err(ErrorKind::Closed));
    });
    append(&spool, 1, 1).unwrap();
    assert_eq!(next(None), Err(ErrorKind::Closed));
    let cursor = SharedCursor::new(&spool, 0).unwrap();
    spool.close(PATIENCE).unwrap();
    let closed = cursor.next_batch(limit(9), None, None).unwrap_err();
    assert_eq!(closed.kind(), ErrorKind::Closed);
}

#[test]
fn salvage_makes_no_spool_and_leaves_a_whole_one_alone() {
    let disk = SimStorage::new();
    let place = Place::sim(&disk);
    let salvage = || Spool::salvage_on(place.disk.clone(), &place.db);
    let nothing = salvage().unwrap_err();
    assert_eq!(nothing.kind(), ErrorKind::NotFound, "{nothing}");
    let spool = open(&place, &small()).unwrap();
    for lsn in 1..=50 {
        append(&spool, 1, lsn).unwrap();
    }
    assert_eq!(salvage().unwrap_err().kind(), ErrorKind::Locked);
    spool.prune_through(20).unwrap();
    spool.close(PATIENCE).unwrap();
    let report = salvage().unwrap();
    assert_eq!((report.moved.len(), report.torn), (0, None));
    let bounds = report.bounds;
    assert_eq!((bounds.oldest_lsn, bounds.current_lsn), (21, 50));
    let spool = open(&place, &small()).unwrap();
    assert_eq!(read_all(&spool, 20, 100).unwrap().len(), 30);
}
