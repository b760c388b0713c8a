//! What a spool knows of its past: its terms, and what salvages have lost.

use super::arg::{ListOut, Out};
use super::error::ewal_error;
use super::guard::Done;
use super::spool::{ewal_spool, with_spool};
use super::status::ewal_status;
use crate::spool::Spool;

/// A term, and where it began.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ewal_term_start {
    /// The term.
    pub term: u64,
    /// No record of it has a lower LSN.
    pub first_lsn: u64,
}

/// LSNs whose records a salvage could not keep.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ewal_lost_range {
    /// The LSN below the range.
    pub after: u64,
    /// The last LSN of the range.
    pub through: u64,
}

/// The durable history of terms, oldest first: up to cap of them are written to
/// out, and *out_n is how many there are. At most 240 are kept; the oldest are
/// forgotten once their records are pruned.
///
/// Ownership: out is the caller's; NULL with a cap of 0 measures.
/// Threads: any.
/// Blocking: never.
/// Errors: INVALID, CLOSED, FORKED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_spool_terms(
    spool: ewal_spool,
    out: *mut ewal_term_start,
    cap: usize,
    out_n: *mut usize,
    error: *mut ewal_error,
) -> ewal_status {
    // SAFETY: the caller keeps to the header, here and below.
    let (list, out_n) = unsafe { (ListOut::new(out, cap), Out::new(out_n)) };
    let body = |it: &Spool| {
        list.check("out")?;
        out_n.required("out_n")?;
        let terms = it.terms();
        out_n.set(
            list.write(terms.entries().iter().map(|start| ewal_term_start {
                term: start.term,
                first_lsn: start.first_lsn,
            })),
        );
        Ok(Done::Ok)
    };
    // SAFETY: as above.
    unsafe { with_spool(spool, error, body) }
}

/// What salvages have lost and pruning has not passed, ascending: up to cap ranges
/// are written to out, and *out_n is how many there are, at most 6: older ones are
/// put together. Who reads up to one gets EWAL_E_WAL_REMOVED there.
///
/// Ownership: out is the caller's; NULL with a cap of 0 measures.
/// Threads: any.
/// Blocking: never.
/// Errors: INVALID, CLOSED, FORKED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_spool_lost(
    spool: ewal_spool,
    out: *mut ewal_lost_range,
    cap: usize,
    out_n: *mut usize,
    error: *mut ewal_error,
) -> ewal_status {
    // SAFETY: the caller keeps to the header, here and below.
    let (list, out_n) = unsafe { (ListOut::new(out, cap), Out::new(out_n)) };
    let body = |it: &Spool| {
        list.check("out")?;
        out_n.required("out_n")?;
        out_n.set(list.write(it.lost().iter().map(|range| ewal_lost_range {
            after: range.after,
            through: range.through,
        })));
        Ok(Done::Ok)
    };
    // SAFETY: as above.
    unsafe { with_spool(spool, error, body) }
}
