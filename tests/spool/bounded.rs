//! Memory that reading takes: of what it gives, not of what there is.

use super::common::{PATIENCE, Place};
use super::memory::within;
use super::tools::{open, small};
use epochwal::spool::{ReadLimit, Record, Spool, SpoolOptions, SpoolReader};
use epochwal::storage::sim::SimStorage;

const MEBI: usize = 1 << 20;
const HUGE: usize = 4 * MEBI;
const COUNT: usize = 6;

fn limit(bytes: usize) -> ReadLimit {
    ReadLimit {
        records: usize::MAX,
        bytes,
    }
}

/// One group of a few huge records, and one of many small ones.
fn fill(spool: &Spool) {
    let huge: Vec<_> = (1..=COUNT).map(|n| vec![n as u8; HUGE]).collect();
    let small: Vec<_> = (0..4000).map(|n| vec![n as u8; 1000]).collect();
    for (payloads, first) in [(&huge, 1), (&small, 1 + COUNT)] {
        let record = |(at, payload)| Record {
            term: 1,
            lsn: (first + at) as u64,
            timestamp_ms: 1,
            payload,
        };
        let payloads = payloads.iter().map(|p| &p[..]);
        let records: Vec<_> = payloads.enumerate().map(record).collect();
        spool.append(&records, PATIENCE).unwrap();
    }
}

#[test]
fn a_read_takes_little_more_than_it_gives() {
    let disk = SimStorage::new();
    let place = Place::sim(&disk);
    let options = SpoolOptions {
        ring_bytes: 0,
        ..small()
    };
    let spool = open(&place, &options).unwrap();
    fill(&spool);
    for round in 0..2 {
        for (lsn, bytes, given) in [
            (0, 0, HUGE),
            (0, HUGE, HUGE),
            (2, 2 * HUGE, 2 * HUGE),
            (COUNT as u64, 0, 1000),
            (COUNT as u64 + 100, 100_000, 100_000),
        ] {
            let most = 3 * given + MEBI;
            let records = within(most, || spool.read_since(lsn, limit(bytes)).unwrap());
            let got: usize = records.iter().map(|r| r.payload.len()).sum();
            assert_eq!(got, given, "round {round}, above {lsn}");
            let mut cursor = spool.cursor(lsn).unwrap();
            within(most, || cursor.next_batch(limit(bytes), PATIENCE).unwrap());
        }
    }
    spool.close(PATIENCE).unwrap();
    // A reader holds a group, and so does an open that follows the log.
    let group = COUNT * HUGE + MEBI;
    within(2 * group, || {
        let mut reader = SpoolReader::open_on(place.disk.clone(), &place.db, None).unwrap();
        reader.read_to_end().unwrap();
    });
    let spool = within(2 * group, || open(&place, &options).unwrap());
    within(4 * HUGE, || spool.read_since(0, limit(0)).unwrap());
}

/// Ten followers of the end share one copy.
#[test]
fn what_is_read_from_the_ring_is_not_copied() {
    let options = SpoolOptions {
        ring_bytes: 64 << 20,
        ..small()
    };
    let spool = open(&Place::sim(&SimStorage::new()), &options).unwrap();
    // From here on groups are kept.
    let mut cursors: Vec<_> = (0..10).map(|_| spool.cursor(0).unwrap()).collect();
    fill(&spool);
    within(4 * MEBI, || {
        let mut held = Vec::new();
        for cursor in &mut cursors {
            held.push(cursor.next_batch(limit(usize::MAX), PATIENCE).unwrap());
        }
        assert!(held.iter().all(|records| records.len() == COUNT + 4000));
    });
}
