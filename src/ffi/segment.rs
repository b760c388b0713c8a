//! Segments of format version 1 as files, for engines that use that format by
//! themselves.

use super::arg::{self, Out, TextOut};
use super::batch::ewal_slice;
use super::error::ewal_error;
use super::guard::{self, Done};
use super::status::ewal_status;
use crate::error::{Error, ErrorKind, Result};
use crate::format::v1::Record;
use crate::segment::{self, SegmentRecord};
use std::ffi::{c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;

/// A record of a version 1 segment: one page write of a transaction, with
/// the images before and after it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ewal_segment_record {
    /// Transaction id, not 0.
    pub txn_id: u64,
    /// Transaction epoch.
    pub txn_epoch: u32,
    /// The page's number, from 1.
    pub page_number: u32,
    /// The segment's epoch; in a record to be written, that or 0.
    pub epoch: u64,
    /// The commit sequence that the write began with.
    pub begin_seq: u64,
    /// The sequence that it ended with; see has_end_seq.
    pub end_seq: u64,
    /// False: an aborted write, which is kept and never replayed.
    pub has_end_seq: bool,
    /// Zero.
    pub reserved: [u8; 7],
    /// The page before, up to 65536 bytes; may be empty.
    pub before_image: ewal_slice,
    /// The page after, up to 65536 bytes; an empty one changes nothing.
    pub after_image: ewal_slice,
}

/// Called for each record of a segment; non-zero stops the reading. Must
/// return without unwinding: no C++ exception, no longjmp.
pub type ewal_segment_record_fn =
    Option<unsafe extern "C" fn(user: *mut c_void, record: *const ewal_segment_record) -> c_int>;

/// The path of the segment of an epoch, as snprintf writes it: cut to cap - 1
/// bytes and ended with NUL; *out_len is its whole length. Touches no disk.
///
/// Ownership: buf is the caller's; NULL with a cap of 0 measures. out_len
///   may be NULL.
/// Threads: any.
/// Blocking: never.
/// Errors: INVALID.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_segment_path(
    db_path: *const c_char,
    epoch: u64,
    buf: *mut c_char,
    cap: usize,
    out_len: *mut usize,
    error: *mut ewal_error,
) -> ewal_status {
    // SAFETY: the caller keeps to the header, here and below.
    let out_len = unsafe { Out::new(out_len) };
    // SAFETY: as above.
    let text = unsafe { TextOut::new(buf, cap) };
    let body = || {
        text.check("buf")?;
        // SAFETY: as above.
        let path = segment::segment_path(unsafe { arg::path(db_path, "db_path") }?, epoch);
        out_len.set(text.write(path.as_os_str().as_bytes()));
        Ok(Done::Ok)
    };
    // SAFETY: as above.
    unsafe { guard::enter(error, body) }
}

/// Reads the segment of an epoch, checks all of it, and then calls back for
/// each record in the file's order, aborted ones included. Version 1 has no
/// checksum over records: their structure is checked, their bytes cannot be.
///
/// Ownership: what the callback gets is borrowed for its time.
/// Threads: the callback runs on the calling thread and may call any
///   function.
/// Blocking: reads the file.
/// Errors: NOT_FOUND, CORRUPT, FORMAT for another version, IO, NO_MEMORY,
///   INVALID; a callback that stops the reading is none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_segment_read(
    db_path: *const c_char,
    epoch: u64,
    function: ewal_segment_record_fn,
    user: *mut c_void,
    error: *mut ewal_error,
) -> ewal_status {
    let body = || {
        let function = function.ok_or_else(|| Error::invalid("function is NULL"))?;
        // SAFETY: the caller keeps to the header.
        let path = unsafe { arg::path(db_path, "db_path") }?;
        for record in &segment::read_segment(path, epoch)?.records {
            let record = to_c(record);
            // SAFETY: the caller's function, with the caller's pointer.
            if unsafe { function(user, &record) } != 0 {
                break;
            }
        }
        Ok(Done::Ok)
    };
    // SAFETY: as above.
    unsafe { guard::enter(error, body) }
}

/// Writes the segment of an epoch, with its records sorted into replay order:
/// under a temporary name, synced, renamed, directory synced. It is there
/// whole or not at all.
///
/// Ownership: nothing passed in is kept.
/// Threads: any; the caller is the only writer of this database and has no
///   coordinator open on it.
/// Blocking: writes and syncs.
/// Errors: EXISTS, LOCKED while another writes it, INVALID and TOO_LARGE
///   for records out of range (none at all included), IO, NO_SPACE;
///   OUTCOME_UNKNOWN where it is there but may be gone after a power cut.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_segment_write(
    db_path: *const c_char,
    epoch: u64,
    records: *const ewal_segment_record,
    count: usize,
    error: *mut ewal_error,
) -> ewal_status {
    let body = || {
        // SAFETY: the caller keeps to the header, here and below.
        let path = unsafe { arg::path(db_path, "db_path") }?;
        // SAFETY: as above.
        let records = unsafe { from_c(records, count, epoch) }?;
        segment::write_segment(path, epoch, &records)?;
        Ok(Done::Ok)
    };
    // SAFETY: as above.
    unsafe { guard::enter(error, body) }
}

/// Deletes the segment of an epoch, damaged or not, and syncs the directory.
///
/// Ownership: nothing.
/// Threads: as ewal_segment_write.
/// Blocking: syncs.
/// Errors: NOT_FOUND; FORMAT for a segment of another version; IO,
///   INVALID; OUTCOME_UNKNOWN where it may be back after a power cut.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_segment_delete(
    db_path: *const c_char,
    epoch: u64,
    error: *mut ewal_error,
) -> ewal_status {
    let body = || {
        // SAFETY: the caller keeps to the header.
        segment::delete_segment(unsafe { arg::path(db_path, "db_path") }?, epoch)?;
        Ok(Done::Ok)
    };
    // SAFETY: as above.
    unsafe { guard::enter(error, body) }
}

fn to_c(record: &SegmentRecord) -> ewal_segment_record {
    ewal_segment_record {
        txn_id: record.txn_id,
        txn_epoch: record.txn_epoch,
        page_number: record.page_number,
        epoch: record.epoch,
        begin_seq: record.begin_seq,
        end_seq: record.end_seq.unwrap_or(0),
        has_end_seq: record.end_seq.is_some(),
        reserved: [0; 7],
        before_image: ewal_slice::of(&record.before),
        after_image: ewal_slice::of(&record.after),
    }
}

/// The caller's records, their images borrowed.
///
/// # Safety
/// Where `base` is not NULL, `count` records are readable there, and each
/// one's slices, for `'a`.
unsafe fn from_c<'a>(
    base: *const ewal_segment_record,
    count: usize,
    epoch: u64,
) -> Result<Vec<Record<'a>>> {
    if base.is_null() && count > 0 {
        return Err(Error::invalid(format!(
            "records: NULL with a count of {count}"
        )));
    }
    // The format counts records in 32 bits; more could not be an array of
    // these structs in any memory there is.
    if u32::try_from(count).is_err() {
        return Err(Error::new(
            ErrorKind::TooLarge,
            format!("count: {count} is above {}", u32::MAX),
        ));
    }
    let mut records = Vec::new();
    for index in 0..count {
        // SAFETY: within the array that the caller vouches for. Read as bytes
        // first: a C `bool` may hold anything.
        let record = unsafe { read_record(base.add(index)) };
        // SAFETY: as promised by our caller.
        let before = unsafe {
            record
                .before_image
                .bytes(&format!("records[{index}].before_image"))
        };
        // SAFETY: as promised by our caller.
        let after = unsafe {
            record
                .after_image
                .bytes(&format!("records[{index}].after_image"))
        };
        records.push(Record {
            txn_id: record.txn_id,
            txn_epoch: record.txn_epoch,
            epoch: if record.epoch == 0 {
                epoch
            } else {
                record.epoch
            },
            page_number: record.page_number,
            begin_seq: record.begin_seq,
            end_seq: record.has_end_seq.then_some(record.end_seq),
            before: before?,
            after: after?,
        });
    }
    Ok(records)
}

/// # Safety
/// `ptr` is readable for one record.
unsafe fn read_record(ptr: *const ewal_segment_record) -> ewal_segment_record {
    let mut copy = std::mem::MaybeUninit::<ewal_segment_record>::uninit();
    // SAFETY: the caller vouches for the source; every field but the flag is
    // valid with any bytes, and the flag is made 0 or 1 before it is read.
    unsafe {
        copy.as_mut_ptr()
            .cast::<u8>()
            .copy_from_nonoverlapping(ptr.cast(), size_of::<ewal_segment_record>());
        let flag = (&raw mut (*copy.as_mut_ptr()).has_end_seq).cast::<u8>();
        flag.write(u8::from(flag.read() != 0));
        copy.assume_init()
    }
}
