//! A logical record, both ways.

use super::batch::ewal_slice;
use crate::error::{Error, ErrorKind, Result};
use crate::spool::{Record, SpoolRecord};

/// A logical record: opaque bytes with their place in the order.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ewal_record {
    /// The reign of the primary that writes it; never below an earlier one.
    pub term: u64,
    /// Its position, from 1 to 2^64-2, above all earlier ones.
    pub lsn: u64,
    /// Milliseconds since the Unix epoch. In an append 0 is now.
    pub timestamp_ms: u64,
    /// What it says; may be empty. An append copies it before it returns.
    pub payload: ewal_slice,
}

impl ewal_record {
    pub(super) fn of(record: &SpoolRecord) -> Self {
        ewal_record {
            term: record.term,
            lsn: record.lsn,
            timestamp_ms: record.timestamp_ms,
            payload: ewal_slice::of(&record.payload),
        }
    }
}

/// More records than fit into any memory that a spool can be given: each takes
/// more than this many bytes there.
const MAX_RECORDS: usize = (1 << 30) / 32;

/// Runs `body` over the caller's records, their payloads borrowed.
///
/// # Safety
/// Where `base` is not NULL, `count` records are readable there, and each one's
/// payload, until this returns.
pub(super) unsafe fn with_records<T>(
    base: *const ewal_record,
    count: usize,
    body: impl FnOnce(&[Record<'_>]) -> Result<T>,
) -> Result<T> {
    if base.is_null() && count > 0 {
        return Err(Error::invalid(format!(
            "records: NULL with an n of {count}"
        )));
    }
    if count > MAX_RECORDS {
        return Err(Error::new(
            ErrorKind::TooLarge,
            format!("n: {count} records are above {MAX_RECORDS}"),
        ));
    }
    if count == 1 {
        // SAFETY: as promised by our caller.
        return body(&[unsafe { read(base, 0) }?]);
    }
    let mut records = Vec::new();
    records.try_reserve_exact(count).map_err(|_| {
        Error::new(
            ErrorKind::NoMemory,
            format!("n: no memory for {count} records"),
        )
    })?;
    for index in 0..count {
        // SAFETY: as promised by our caller.
        records.push(unsafe { read(base, index) }?);
    }
    body(&records)
}

/// # Safety
/// Record `index` is readable, and its payload for `'a`.
unsafe fn read<'a>(base: *const ewal_record, index: usize) -> Result<Record<'a>> {
    // SAFETY: as promised by our caller; it need not be aligned.
    let record = unsafe { base.add(index).read_unaligned() };
    // SAFETY: as promised by our caller.
    let payload = unsafe { record.payload.bytes("payload") };
    Ok(Record {
        term: record.term,
        lsn: record.lsn,
        timestamp_ms: record.timestamp_ms,
        payload: payload.map_err(|e| e.recast(ErrorKind::Invalid, &format!("records[{index}]")))?,
    })
}
