//! Cursors: they keep their place, across appends and prunes.

use super::common::{PATIENCE, Place};
use super::tools::{append, checked, everywhere, open, small};
use epochwal::ErrorKind;
use epochwal::spool::{Cursor, ReadLimit, Spool, SpoolOptions};
use epochwal::storage::sim::SimStorage;
use std::time::Duration;

fn limit(records: usize) -> ReadLimit {
    ReadLimit {
        records,
        bytes: usize::MAX,
    }
}

#[test]
fn a_cursor_gives_each_record_once_and_waits_at_the_end() {
    everywhere(|place| {
        let spool = open(place, &small()).unwrap();
        let mut cursor = spool.cursor(0).unwrap();
        let nothing = cursor.next_batch(limit(10), Some(Duration::ZERO));
        assert_eq!(nothing.unwrap_err().kind(), ErrorKind::Timeout);
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                for lsn in 1..=300 {
                    append(&spool, 1, lsn).unwrap();
                }
            });
            let mut next = 1;
            while next <= 300 {
                for record in cursor.next_batch(limit(7), PATIENCE).unwrap() {
                    assert_eq!(checked(&record), next);
                    next += 1;
                }
            }
            writer.join().unwrap();
        });
        assert_eq!(cursor.lsn(), 300);
    });
}

/// A cut between two records, pruned: the log ends above the last record, and
/// who has read that is behind what can be read.
#[test]
fn a_cursor_behind_a_pruned_gap_is_told_so() {
    everywhere(|place| {
        let spool = open(place, &small()).unwrap();
        for lsn in [1, 2, 3, 9] {
            append(&spool, 1, lsn).unwrap();
        }
        spool.close(PATIENCE).unwrap();
        // From the file: there is a place to go on from.
        let spool = open(place, &small()).unwrap();
        let mut cursor = spool.cursor(0).unwrap();
        assert_eq!(cursor.next_batch(limit(3), PATIENCE).unwrap().len(), 3);
        spool.truncate_after(5, 2).unwrap();
        assert_eq!(spool.prune_through(5).unwrap(), 5);
        let removed = cursor.next_batch(limit(3), PATIENCE).unwrap_err();
        assert_eq!(removed.kind(), ErrorKind::WalRemoved, "{removed}");
        assert_eq!(removed.lsn(), Some(6));
        append(&spool, 2, 6).unwrap();
        let removed = cursor.next_batch(limit(3), PATIENCE).unwrap_err();
        assert_eq!(removed.lsn(), Some(6), "{removed}");
    });
}

#[test]
fn an_open_cursor_outlives_a_prune_until_it_leaves_its_segment() {
    everywhere(|place| {
        let spool = open(place, &small()).unwrap();
        for lsn in 1..=400 {
            append(&spool, 1, lsn).unwrap();
        }
        spool.close(PATIENCE).unwrap();
        let spool = open(place, &small()).unwrap();
        let mut cursor = spool.cursor(0).unwrap();
        let first = cursor.next_batch(limit(3), PATIENCE).unwrap();
        assert_eq!(first.len(), 3);
        spool.prune_through(395).unwrap();
        // What was let go of may be used again at once.
        for lsn in 401..=800 {
            append(&spool, 1, lsn).unwrap();
        }
        let mut next = 4;
        let error = loop {
            match cursor.next_batch(limit(10), PATIENCE) {
                Ok(records) => records.iter().for_each(|record| {
                    assert_eq!(checked(record), next);
                    next += 1;
                }),
                Err(error) => break error,
            }
        };
        assert!((5..395).contains(&next), "its segment held up to {next}");
        assert_eq!(
            (error.kind(), error.lsn()),
            (ErrorKind::WalRemoved, Some(396))
        );
        let mut cursor = spool.cursor(395).unwrap();
        let records = cursor.next_batch(limit(1000), PATIENCE).unwrap();
        assert_eq!(records.len(), 405);
    });
}

#[test]
fn ten_followers_of_the_tail_share_one_copy_and_read_no_disk() {
    let disk = SimStorage::new();
    let place = Place::sim(&disk);
    let spool = open(&place, &small()).unwrap();
    let mut cursors: Vec<_> = (0..10).map(|_| spool.cursor(0).unwrap()).collect();
    append(&spool, 1, 1).unwrap();
    let reads = disk.calls(epochwal::storage::sim::Call::Read);
    for lsn in 2..=100 {
        append(&spool, 1, lsn).unwrap();
        let mut addresses = Vec::new();
        for cursor in &mut cursors {
            let records = cursor.next_batch(limit(10), PATIENCE).unwrap();
            assert_eq!(records.last().map(checked), Some(lsn));
            addresses.push(records.last().unwrap().payload.as_ptr());
        }
        assert!(addresses.iter().all(|a| *a == addresses[0]));
    }
    assert_eq!(disk.calls(epochwal::storage::sim::Call::Read), reads);
}

#[test]
fn everyone_who_waits_hears_of_the_end() {
    let spools = [
        open(&Place::sim(&SimStorage::new()), &small()).unwrap(),
        Spool::in_memory(&SpoolOptions::default()).unwrap(),
    ];
    for spool in spools {
        let cursors: Vec<_> = (0..4).map(|_| spool.cursor(0).unwrap()).collect();
        std::thread::scope(|scope| {
            let wait = |mut cursor: Cursor<'_>| {
                let nothing = cursor.next_batch(limit(1), PATIENCE);
                nothing.unwrap_err().kind()
            };
            let waiters: Vec<_> = cursors
                .into_iter()
                .map(|cursor| scope.spawn(move || wait(cursor)))
                .collect();
            spool.close(PATIENCE).unwrap();
            for waiter in waiters {
                assert_eq!(waiter.join().unwrap(), ErrorKind::Closed);
            }
        });
    }
}
