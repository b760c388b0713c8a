//! What a read of the spool gives: records that C borrows until it releases
//! them.

use super::arg::Out;
use super::error::ewal_error;
use super::guard::{self, Done};
use super::handle::Table;
use super::record::ewal_record;
use super::spool::{ewal_spool, with_spool};
use super::status::ewal_status;
use crate::error::{Error, ErrorKind, Result};
use crate::spool::{ReadLimit, Spool, SpoolRecord};

/// Records that were read. A value, 0 is null; see ewal_coordinator.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ewal_records {
    /// Opaque; 0 is null.
    pub id: u64,
}

/// What a handle stands for. It needs neither the spool nor its files.
struct Batch {
    /// Point into `_records`.
    views: Vec<ewal_record>,
    _records: Vec<SpoolRecord>,
}

// SAFETY: `views` points into what `_records` owns; both are never changed.
unsafe impl Send for Batch {}
// SAFETY: as above.
unsafe impl Sync for Batch {}

static RECORDS: Table<Batch, 1> = Table::new(4, "record batch");

/// Takes records in for C.
pub(super) fn hand_out(records: Vec<SpoolRecord>) -> Result<ewal_records> {
    let batch = Batch {
        views: records.iter().map(ewal_record::of).collect(),
        _records: records,
    };
    let id = RECORDS.insert(batch)?;
    Ok(ewal_records { id })
}

/// Durable records above lsn, ascending, without a gap: at least one where
/// there is one, also above max_bytes of payload, and up to max_records. None
/// at the end, which is OK too. What it costs depends on what it gives.
///
/// Ownership: the caller releases *out, empty or not.
/// Threads: any.
/// Blocking: reads files where the records are not in memory; never waits for
///   a writer.
/// Errors: WAL_REMOVED where records above lsn are pruned, or lost in a salvage
///   (error->lsn is the first behind them), AHEAD where lsn is beyond the end
///   (error->lsn is the end), DIVERGED where a cut came meanwhile: read again;
///   CORRUPT, IO; INVALID for a max_records of 0; CLOSED, FORKED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_spool_read_since(
    spool: ewal_spool,
    lsn: u64,
    max_records: usize,
    max_bytes: usize,
    out: *mut ewal_records,
    error: *mut ewal_error,
) -> ewal_status {
    // SAFETY: the caller keeps to the header, here and below.
    let out = unsafe { Out::new(out) };
    let body = |it: &Spool| {
        out.required("out")?;
        let limit = ReadLimit {
            records: max_records,
            bytes: max_bytes,
        };
        out.set(hand_out(it.read_since(lsn, limit)?)?);
        Ok(Done::Ok)
    };
    // SAFETY: as above.
    unsafe { with_spool(spool, error, body) }
}

/// The records as an array, in the order of their LSNs: *out_n of them from
/// *out on.
///
/// Ownership: the array and all payloads are valid until the records are
///   released, whatever becomes of their spool.
/// Threads: any number at once.
/// Blocking: never.
/// Errors: CLOSED once they are released; INVALID.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_records_get(
    records: ewal_records,
    out: *mut *const ewal_record,
    out_n: *mut usize,
) -> ewal_status {
    // SAFETY: the caller keeps to the header, here and below.
    let out = unsafe { Out::new(out) };
    // SAFETY: as above.
    let out_n = unsafe { Out::new(out_n) };
    let body = || {
        let pin = RECORDS.pin(records.id)?;
        out.required("out")?;
        out_n.required("out_n")?;
        if !pin.views.is_empty() {
            out.set(pin.views.as_ptr());
            out_n.set(pin.views.len());
        }
        Ok(Done::Ok)
    };
    // SAFETY: NULL is allowed.
    unsafe { guard::enter(std::ptr::null_mut(), body) }
}

/// Lets records go.
///
/// Ownership: ends the handle and all that was borrowed from it.
/// Threads: any; no other thread may use what it got from them any more.
/// Blocking: never.
/// Errors: CLOSED where they were released, INVALID for a null handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_records_release(records: ewal_records) -> ewal_status {
    let body = || {
        let _pin = RECORDS.pin(records.id)?;
        if !RECORDS.close(records.id) {
            return Err(Error::new(ErrorKind::Closed, "released by another call"));
        }
        Ok(Done::Ok)
    };
    // SAFETY: NULL is allowed.
    unsafe { guard::enter(std::ptr::null_mut(), body) }
}
