//! What is kept of a spool: prune, truncate, salvage, and its figures.

use super::arg::{self, Out, TextOut};
use super::error::ewal_error;
use super::guard::{self, Done};
use super::spool::{ewal_spool, with_spool};
use super::stats::{self, ewal_stats};
use super::status::ewal_status;
use super::struct_size::{Sized32, SizedOut};
use crate::error::{Error, ErrorKind};
use crate::spool::Spool;
use std::ffi::c_char;
use std::os::unix::ffi::OsStrExt;

/// What a salvage found and left. Begin with EWAL_SALVAGE_REPORT_INIT.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ewal_salvage_report {
    /// sizeof(ewal_salvage_report).
    pub struct_size: u32,
    /// Whether a torn tail, never acknowledged, was dropped beside.
    pub torn: bool,
    /// Zero.
    pub reserved: [u8; 3],
    /// Files moved or copied aside, under their name and ".salvaged-" with a
    /// number; 0 where nothing was damaged.
    pub files: u64,
    /// As ewal_spool_bounds gives it from here on.
    pub oldest_lsn: u64,
    /// As ewal_spool_bounds gives it from here on.
    pub current_lsn: u64,
    /// As ewal_spool_bounds gives it from here on.
    pub pruned_through: u64,
    /// The last range of LSNs that this salvage or an earlier one has lost: those
    /// above lost_after, through lost_through; both 0 where there is none. Who
    /// reads up to a lost range gets EWAL_E_WAL_REMOVED there. All of them:
    /// ewal_spool_lost.
    pub lost_after: u64,
    /// See lost_after.
    pub lost_through: u64,
}

// SAFETY: repr(C), plain data, the size first.
unsafe impl Sized32 for ewal_salvage_report {
    const NAME: &'static str = "report";
    const FIRST: usize = size_of::<ewal_salvage_report>();
}

/// Lets records at or below lsn go: they are not read any more, and files that
/// hold nothing else are used again or removed, but for those that a cursor is
/// in. Never goes beyond the end; *out_pruned says how far pruning has come.
///
/// Ownership: out_pruned may be NULL.
/// Threads: any, also while others append and read.
/// Blocking: syncs the state file; waits for a flush under way.
/// Errors: IO, NO_SPACE, FAILED, CLOSED, FORKED, DEADLOCK from inside a
///   callback.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_spool_prune_through(
    spool: ewal_spool,
    lsn: u64,
    out_pruned: *mut u64,
    error: *mut ewal_error,
) -> ewal_status {
    // SAFETY: the caller keeps to the header, here and below.
    let out = unsafe { Out::new(out_pruned) };
    let body = |it: &Spool| {
        guard::refuse_in_callback("ewal_spool_prune_through")?;
        out.set(it.prune_through(lsn)?);
        Ok(Done::Ok)
    };
    // SAFETY: as above.
    unsafe { with_spool(spool, error, body) }
}

/// Begins new_term behind lsn, for a primary that returns after another one has
/// reigned. Records above lsn are saved aside first, in a file of the RDLW
/// format beside the spool, and are no part of it any more: see
/// ewal_spool_saved_tail.
///
/// Ownership: nothing.
/// Threads: any; appends wait meanwhile.
/// Blocking: reads, writes and syncs.
/// Errors: FENCED for a term that is not above the last one, AHEAD beyond the
///   end, WAL_REMOVED below what is pruned, ORDER below what a quorum has
///   (error->lsn has the LSN that each is about); UNSUPPORTED in memory; IO,
///   NO_SPACE, FAILED, CLOSED, FORKED, DEADLOCK from inside a callback.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_spool_truncate_after(
    spool: ewal_spool,
    lsn: u64,
    new_term: u64,
    error: *mut ewal_error,
) -> ewal_status {
    let body = |it: &Spool| {
        guard::refuse_in_callback("ewal_spool_truncate_after")?;
        it.truncate_after(lsn, new_term)?;
        Ok(Done::Ok)
    };
    // SAFETY: the caller keeps to the header.
    unsafe { with_spool(spool, error, body) }
}

/// Makes a damaged spool one that opens again: what is damaged, and all beyond
/// it, is moved or copied aside, and what lies before is kept. A spool without
/// damage is left as it is. To salvage and go on with one call, or with other
/// options than the defaults, open with EWAL_OPEN_SALVAGE.
///
/// Ownership: out may be NULL.
/// Threads: any; nobody may have the spool open.
/// Blocking: reads, writes and syncs.
/// Errors: NOT_FOUND where there is no spool; LOCKED while it is open or read;
///   FORMAT for a newer one; IO, NO_SPACE, INVALID, DEADLOCK from inside a
///   callback.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_spool_salvage(
    path: *const c_char,
    out: *mut ewal_salvage_report,
    error: *mut ewal_error,
) -> ewal_status {
    // SAFETY: the caller keeps to the header, here and below.
    let out = unsafe { SizedOut::new(out) };
    let body = || {
        out.check_optional()?;
        guard::refuse_in_callback("ewal_spool_salvage")?;
        // SAFETY: as above.
        let path = unsafe { arg::path(path, "path") }?;
        let report = Spool::salvage(path)?;
        let lost = report.lost.last().map_or((0, 0), |r| (r.after, r.through));
        out.write(&ewal_salvage_report {
            struct_size: 0,
            torn: report.torn.is_some(),
            reserved: [0; 3],
            files: report.moved.len() as u64,
            oldest_lsn: report.bounds.oldest_lsn,
            current_lsn: report.bounds.current_lsn,
            pruned_through: report.bounds.pruned_through,
            lost_after: lost.0,
            lost_through: lost.1,
        });
        Ok(Done::Ok)
    };
    // SAFETY: as above.
    unsafe { guard::enter(error, body) }
}

/// The path of file `index` that an open with EWAL_OPEN_SALVAGE moved or copied
/// aside, as ewal_coordinator_salvaged gives it.
///
/// Ownership: buf is the caller's; NULL with a cap of 0 measures. out_len
///   may be NULL.
/// Threads: any.
/// Blocking: never.
/// Errors: NOT_FOUND beyond the last one; INVALID, CLOSED, FORKED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_spool_salvaged(
    spool: ewal_spool,
    index: usize,
    buf: *mut c_char,
    cap: usize,
    out_len: *mut usize,
    error: *mut ewal_error,
) -> ewal_status {
    // SAFETY: the caller keeps to the header, here and below.
    let out_len = unsafe { Out::new(out_len) };
    // SAFETY: as above.
    let text = unsafe { TextOut::new(buf, cap) };
    let body = |it: &Spool| {
        text.check("buf")?;
        let files = it.salvaged();
        let path = files.get(index).ok_or_else(|| {
            Error::new(
                ErrorKind::NotFound,
                format!("index: {index}, but {} files were moved", files.len()),
            )
        })?;
        out_len.set(text.write(path.as_os_str().as_bytes()));
        Ok(Done::Ok)
    };
    // SAFETY: as above.
    unsafe { with_spool(spool, error, body) }
}

/// What the open dropped of records that were never acknowledged, or left out of
/// a single-file spool that it took in: *out_offset is where they began in the
/// file whose path is written as snprintf does, cut to cap - 1 bytes and ended
/// with NUL; *out_len is its whole length.
///
/// Ownership: buf is the caller's; NULL with a cap of 0 measures. out_len and
///   out_offset may be NULL.
/// Threads: any.
/// Blocking: never.
/// Errors: NOT_FOUND where the open found all whole; INVALID, CLOSED, FORKED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_spool_torn(
    spool: ewal_spool,
    buf: *mut c_char,
    cap: usize,
    out_len: *mut usize,
    out_offset: *mut u64,
    error: *mut ewal_error,
) -> ewal_status {
    // SAFETY: the caller keeps to the header, here and below.
    let out_len = unsafe { Out::new(out_len) };
    // SAFETY: as above.
    let out_offset = unsafe { Out::new(out_offset) };
    // SAFETY: as above.
    let text = unsafe { TextOut::new(buf, cap) };
    let body = |it: &Spool| {
        text.check("buf")?;
        let torn = it
            .torn()
            .ok_or_else(|| Error::new(ErrorKind::NotFound, "the open dropped nothing"))?;
        out_len.set(text.write(torn.path.as_os_str().as_bytes()));
        out_offset.set(torn.offset);
        Ok(Done::Ok)
    };
    // SAFETY: as above.
    unsafe { with_spool(spool, error, body) }
}

/// A snapshot of the figures of the log under the spool: batches are runs of
/// records submitted together, frames are records, bytes are their payloads,
/// and checkpoints are prunes.
///
/// Ownership: *out is the caller's.
/// Threads: any.
/// Blocking: never.
/// Errors: INVALID, CLOSED, FORKED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_spool_stats(
    spool: ewal_spool,
    out: *mut ewal_stats,
    error: *mut ewal_error,
) -> ewal_status {
    // SAFETY: the caller keeps to the header, here and below.
    let out = unsafe { SizedOut::new(out) };
    let body = |it: &Spool| {
        out.check()?;
        // None of a spool in memory: zeros.
        if let Some(figures) = it.stats()? {
            out.write(&stats::to_c(&figures));
        }
        Ok(Done::Ok)
    };
    // SAFETY: as above.
    unsafe { with_spool(spool, error, body) }
}
