//! Checkpoint, and what can be done with the log's files without a
//! coordinator.

use super::arg::{self, Out};
use super::coordinator::ewal_coordinator;
use super::error::ewal_error;
use super::guard::{self, Done};
use super::recovery::c_string;
use super::status::ewal_status;
use crate::coordinator::Coordinator;
use crate::error::Error;
use crate::recovery;
use std::ffi::{c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;

/// A segment file as a listing shows it. Filled by the library; a later one
/// may have more fields, see struct_size.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ewal_segment_info {
    /// Bytes that the library filled.
    pub struct_size: u32,
    /// 1 or 2; 0 where the header cannot be read.
    pub version: u32,
    /// The file; borrowed for the time of the callback.
    pub path: *const c_char,
    /// The first epoch, from its name.
    pub first_epoch: u64,
    /// The last epoch in it that can be read; see has_last_epoch.
    pub last_epoch: u64,
    /// Its length in bytes.
    pub bytes: u64,
    /// Whether any epoch in it can be read.
    pub has_last_epoch: bool,
    /// Whether the checkpoint has passed it: its epochs are not recovered.
    pub checkpointed: bool,
    /// Zero.
    pub reserved: [u8; 6],
}

/// Called for each segment; non-zero stops the listing. Must return without
/// unwinding: no C++ exception, no longjmp.
pub type ewal_segment_fn =
    Option<unsafe extern "C" fn(user: *mut c_void, segment: *const ewal_segment_info) -> c_int>;

/// The caller's word that all pages through an epoch are safe in the database
/// file: segments wholly at or below it are reused or removed, once no reader
/// holds them. Below the last checkpoint it does nothing.
///
/// Ownership: nothing.
/// Threads: any.
/// Blocking: syncs the state file.
/// Errors: INVALID for an epoch above the durable one; IO, NO_SPACE,
///   FAILED, CLOSED, FORKED, DEADLOCK from inside a callback.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_checkpoint(
    coordinator: ewal_coordinator,
    through_epoch: u64,
    error: *mut ewal_error,
) -> ewal_status {
    let body = |it: &Coordinator| {
        guard::refuse_in_callback("ewal_checkpoint")?;
        it.checkpoint(through_epoch)?;
        Ok(Done::Ok)
    };
    // SAFETY: the caller keeps to the header.
    unsafe { guard::with_coordinator(coordinator, error, body) }
}

/// The highest durable epoch, and whether there is any: the last on the disk,
/// or that of the last checkpoint where nothing above it is there.
///
/// Ownership: out_any may be NULL.
/// Threads: any, also beside a live writer.
/// Blocking: reads files.
/// Errors: CORRUPT, FORMAT, IO, INVALID; LOCKED as ewal_recovery_open.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_max_durable_epoch(
    db_path: *const c_char,
    out: *mut u64,
    out_any: *mut bool,
    error: *mut ewal_error,
) -> ewal_status {
    // SAFETY: the caller keeps to the header, here and below.
    let out = unsafe { Out::new(out) };
    // SAFETY: as above.
    let any = unsafe { Out::new(out_any) };
    let body = || {
        out.required("out")?;
        // SAFETY: as above.
        let path = unsafe { arg::path(db_path, "db_path") }?;
        let epoch = recovery::max_durable_epoch(path)?;
        out.set(epoch.unwrap_or(0));
        any.set(epoch.is_some());
        Ok(Done::Ok)
    };
    // SAFETY: as above.
    unsafe { guard::enter(error, body) }
}

/// Calls back for each segment file, in the order of their epochs.
///
/// Ownership: what the callback gets is borrowed for its time.
/// Threads: the callback runs on the calling thread and may call any
///   function.
/// Blocking: reads files.
/// Errors: IO, INVALID; a callback that stops the listing is none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_list_segments(
    db_path: *const c_char,
    function: ewal_segment_fn,
    user: *mut c_void,
    error: *mut ewal_error,
) -> ewal_status {
    let body = || {
        let function = function.ok_or_else(|| Error::invalid("function is NULL"))?;
        // SAFETY: the caller keeps to the header.
        let path = unsafe { arg::path(db_path, "db_path") }?;
        for segment in recovery::list_segments(path)? {
            let path = c_string(segment.path.as_os_str().as_bytes());
            let info = ewal_segment_info {
                struct_size: size_of::<ewal_segment_info>() as u32,
                version: segment.version,
                path: path.as_ptr(),
                first_epoch: segment.first_epoch,
                last_epoch: segment.last_epoch.unwrap_or(0),
                bytes: segment.bytes,
                has_last_epoch: segment.last_epoch.is_some(),
                checkpointed: segment.checkpointed,
                reserved: [0; 6],
            };
            // SAFETY: the caller's function, with the caller's pointer.
            if unsafe { function(user, &info) } != 0 {
                break;
            }
        }
        Ok(Done::Ok)
    };
    // SAFETY: as above.
    unsafe { guard::enter(error, body) }
}

/// Deletes all segments and spare files. Whatever is not in the database file
/// by then is gone: recover and sync first. Epoch numbers go on.
///
/// Ownership: out_removed may be NULL; it counts segments.
/// Threads: any.
/// Blocking: takes the writer's lock without waiting for it, syncs.
/// Errors: LOCKED while a writer is open; IO, INVALID.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_cleanup_segments(
    db_path: *const c_char,
    out_removed: *mut usize,
    error: *mut ewal_error,
) -> ewal_status {
    // SAFETY: the caller keeps to the header, here and below.
    let out = unsafe { Out::new(out_removed) };
    let body = || {
        // SAFETY: as above.
        let path = unsafe { arg::path(db_path, "db_path") }?;
        out.set(recovery::cleanup_segments(path)?);
        Ok(Done::Ok)
    };
    // SAFETY: as above.
    unsafe { guard::enter(error, body) }
}
