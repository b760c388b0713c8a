//! RDLW: a spool's records to files of other software, and what came from one.

use super::arg::{self, Out, TextOut};
use super::error::ewal_error;
use super::guard::{self, Done};
use super::spool::{ewal_spool, with_spool};
use super::status::ewal_status;
use crate::error::{Error, ErrorKind, Result};
use crate::spool::Spool;
use std::ffi::c_char;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Writes the durable records, from the oldest to the last of now, to a new
/// RDLW file of version 3. On success it is on stable storage; after any error
/// but OUTCOME_UNKNOWN it is not there. *out_records says how many it holds.
///
/// Ownership: out_records may be NULL.
/// Threads: any, also while others append and read.
/// Blocking: reads, writes and syncs.
/// Errors: EXISTS where there is a file of this name, which is never replaced;
///   WAL_REMOVED and DIVERGED where a prune or a cut came meanwhile: export
///   again; LOCKED while someone else writes the same file; NOT_FOUND without
///   the directory; OUTCOME_UNKNOWN where only the last sync failed; CORRUPT, IO,
///   NO_SPACE, INVALID, CLOSED, FORKED, DEADLOCK from inside a callback.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_spool_export_rdlw(
    spool: ewal_spool,
    path: *const c_char,
    out_records: *mut u64,
    error: *mut ewal_error,
) -> ewal_status {
    // SAFETY: the caller keeps to the header, here and below.
    let out = unsafe { Out::new(out_records) };
    let body = |it: &Spool| {
        guard::refuse_in_callback("ewal_spool_export_rdlw")?;
        // SAFETY: as above.
        let path = unsafe { arg::path(path, "path") }?;
        out.set(it.export_rdlw(path)?.records);
        Ok(Done::Ok)
    };
    // SAFETY: as above.
    unsafe { with_spool(spool, error, body) }
}

/// Where the single-file spool of other software was moved that the open has
/// taken in: its path is written as ewal_spool_torn writes one.
///
/// Ownership: buf is the caller's; NULL with a cap of 0 measures. out_len
///   may be NULL.
/// Threads: any.
/// Blocking: never.
/// Errors: NOT_FOUND where the open found none; INVALID, CLOSED, FORKED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_spool_imported(
    spool: ewal_spool,
    buf: *mut c_char,
    cap: usize,
    out_len: *mut usize,
    error: *mut ewal_error,
) -> ewal_status {
    // SAFETY: the caller keeps to the header, here and below.
    let out_len = unsafe { Out::new(out_len) };
    // SAFETY: as above.
    let text = unsafe { TextOut::new(buf, cap) };
    let body = |it: &Spool| write_path(&text, &out_len, it.imported(), "the open imported nothing");
    // SAFETY: as above.
    unsafe { with_spool(spool, error, body) }
}

/// The RDLW file in which the last ewal_spool_truncate_after of this handle
/// has saved what it cut off: its path is written as ewal_spool_torn writes one.
///
/// Ownership: buf is the caller's; NULL with a cap of 0 measures. out_len
///   may be NULL.
/// Threads: any.
/// Blocking: never.
/// Errors: NOT_FOUND where it had nothing to cut off, or there was none;
///   INVALID, CLOSED, FORKED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_spool_saved_tail(
    spool: ewal_spool,
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
        let saved = it.saved_tail();
        write_path(&text, &out_len, saved.as_deref(), "nothing was cut off")
    };
    // SAFETY: as above.
    unsafe { with_spool(spool, error, body) }
}

fn write_path(
    text: &TextOut,
    out_len: &Out<usize>,
    path: Option<&Path>,
    none: &str,
) -> Result<Done> {
    text.check("buf")?;
    let path = path.ok_or_else(|| Error::new(ErrorKind::NotFound, none))?;
    out_len.set(text.write(path.as_os_str().as_bytes()));
    Ok(Done::Ok)
}
