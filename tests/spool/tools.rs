//! Records with a content that can be checked, and a spool on either disk.

use super::common::{PATIENCE, Place};
use epochwal::Result;
use epochwal::spool::{ReadLimit, Record, Spool, SpoolOptions, SpoolRecord};
use epochwal::storage::sim::SimStorage;
use std::time::Duration;

/// Small limits, so that rolls come early.
pub fn small() -> SpoolOptions {
    SpoolOptions {
        segment_size: 32 << 10,
        flush_interval: Duration::from_secs(3600),
        ..SpoolOptions::default()
    }
}

pub fn open(place: &Place, options: &SpoolOptions) -> Result<Spool> {
    Spool::open_on(place.disk.clone(), &place.db, options)
}

/// On the real disk and on the simulated one.
pub fn everywhere(test: impl Fn(&Place)) {
    test(&Place::real());
    test(&Place::sim(&SimStorage::new()));
}

/// What the record of an LSN says: its length and bytes follow from it.
pub fn payload(lsn: u64) -> Vec<u8> {
    let len = 1 + (lsn % 97) as usize * 3;
    (0..len)
        .map(|i| (lsn as u8).wrapping_mul(31).wrapping_add(i as u8))
        .collect()
}

/// Appends one record, durable on return.
pub fn append(spool: &Spool, term: u64, lsn: u64) -> Result<()> {
    append_all(spool, term, &[lsn])
}

/// Appends records as one run.
pub fn append_all(spool: &Spool, term: u64, lsns: &[u64]) -> Result<()> {
    let payloads: Vec<_> = lsns.iter().map(|l| payload(*l)).collect();
    let records: Vec<_> = lsns
        .iter()
        .zip(&payloads)
        .map(|(lsn, payload)| Record {
            term,
            lsn: *lsn,
            timestamp_ms: 1_700_000_000_000 + lsn % 1000,
            payload,
        })
        .collect();
    spool.append(&records, PATIENCE).map(drop)
}

/// A read without a limit.
pub fn all() -> ReadLimit {
    ReadLimit {
        records: usize::MAX,
        bytes: usize::MAX,
    }
}

/// Everything above an LSN, in pages of `page` records, each checked.
pub fn read_all(spool: &Spool, lsn: u64, page: usize) -> Result<Vec<u64>> {
    let limit = ReadLimit {
        records: page,
        bytes: usize::MAX,
    };
    let mut lsns = Vec::new();
    let mut at = lsn;
    loop {
        let records = spool.read_since(at, limit)?;
        let Some(last) = records.last() else {
            return Ok(lsns);
        };
        assert!(records.len() <= page);
        at = last.lsn;
        lsns.extend(records.iter().map(checked));
    }
}

/// The LSN of a record whose content is right.
pub fn checked(record: &SpoolRecord) -> u64 {
    assert_eq!(&*record.payload, payload(record.lsn), "LSN {}", record.lsn);
    assert_eq!(record.timestamp_ms, 1_700_000_000_000 + record.lsn % 1000);
    record.lsn
}
