//! Recovery: a stream of batches, its report, and the two things most done
//! with it.

use super::arg::{self, ListOut, Out};
use super::batch::{ewal_frame, ewal_slice};
use super::error::ewal_error;
use super::guard::{self, Done};
use super::handle::Table;
use super::options::{identity, known_flags};
use super::status::ewal_status;
use super::struct_size::{self, Sized32, SizedOut};
use crate::batch::Frame;
use crate::error::{Error, ErrorKind, Result};
use crate::recovery::{self, Recovery, RecoveryOptions, RecoveryReport, Verdict};
use crate::sync::{Mutex, MutexGuard};
use std::ffi::{CString, c_char};
use std::os::unix::ffi::OsStrExt;

/// A stream of recovered batches. A value, 0 is null; see ewal_coordinator.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ewal_recovery {
    /// Opaque; 0 is null.
    pub id: u64,
}

/// flags: at the first corrupt place, end the stream with what lies before
/// it, instead of failing. The report lists every file from there on.
pub const EWAL_RECOVER_DURABLE_PREFIX: u32 = 1;
/// flags: read and check everything, hand out nothing.
pub const EWAL_RECOVER_VERIFY_ONLY: u32 = 2;
/// flags, ewal_recover_into_file only: delete the segments once the file is
/// synced.
pub const EWAL_RECOVER_DELETE_SEGMENTS: u32 = 4;

/// How recovery goes about it. Begin with EWAL_RECOVERY_OPTIONS_INIT.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ewal_recovery_options {
    /// sizeof(ewal_recovery_options).
    pub struct_size: u32,
    /// EWAL_RECOVER_* or 0.
    pub flags: u32,
    /// Identity of the database, checked against the log's. All zeros: not
    /// checked.
    pub database_id: [u8; 16],
}

/// One batch of the stream. All it points to is borrowed from the recovery
/// until its next call or its close.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ewal_recovered_batch {
    /// Its epoch.
    pub epoch: u64,
    /// Its commit sequence.
    pub commit_seq: u64,
    /// Transaction id.
    pub txn_id: u64,
    /// Transaction epoch.
    pub txn_epoch: u32,
    /// The frames in write order.
    pub frames: *const ewal_frame,
    /// How many there are.
    pub frame_count: usize,
    /// The caller's bytes; empty where none were given, and in version 1.
    pub metadata: ewal_slice,
}

/// Nothing is wrong.
pub const EWAL_VERDICT_CLEAN: u32 = 1;
/// What a crash leaves of groups that were never acknowledged; dropped.
pub const EWAL_VERDICT_TORN: u32 = 2;
/// Damage to something acknowledged.
pub const EWAL_VERDICT_CORRUPT: u32 = 3;

/// What recovery found. Begin with EWAL_RECOVERY_SUMMARY_INIT.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ewal_recovery_summary {
    /// sizeof(ewal_recovery_summary).
    pub struct_size: u32,
    /// EWAL_VERDICT_*; 0 only after a failure.
    pub verdict: u32,
    /// Segment files read to their end.
    pub segments: u64,
    /// Batches handed out (or checked, with EWAL_RECOVER_VERIFY_ONLY).
    pub batches: u64,
    /// Frames in them.
    pub records: u64,
    /// Bytes of segments read.
    pub bytes_read: u64,
    /// How many epochs were recovered.
    pub epoch_count: u64,
    /// The lowest of them; 0 where there is none.
    pub first_epoch: u64,
    /// The highest of them; 0 where there is none.
    pub last_epoch: u64,
    /// How many epochs of the tail are whole but not yet confirmed durable;
    /// the next ewal_coordinator_open confirms them.
    pub unconfirmed_count: u64,
    /// The lowest of them; 0 where there is none.
    pub unconfirmed_first: u64,
    /// The highest of them; 0 where there is none.
    pub unconfirmed_last: u64,
    /// The highest commit sequence seen; 0 where none was.
    pub highest_commit_seq: u64,
    /// Epochs at or below it are checkpointed and not handed out; see
    /// has_checkpoint.
    pub checkpoint_epoch: u64,
    /// Torn and corrupt places; see ewal_recovery_suspect.
    pub suspect_count: u64,
    /// Database size in pages from the last committing frame; 0 where none
    /// said.
    pub db_size: u32,
    /// Whether anything was ever checkpointed.
    pub has_checkpoint: bool,
    /// Zero.
    pub reserved: [u8; 3],
}

/// A place in a file in which something was found. The strings are borrowed
/// from the recovery until its next call or its close.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ewal_suspect {
    /// The file.
    pub path: *const c_char,
    /// What was wrong.
    pub reason: *const c_char,
    /// Where in the file, in bytes.
    pub offset: u64,
    /// EWAL_VERDICT_TORN or EWAL_VERDICT_CORRUPT.
    pub verdict: u32,
    /// Zero.
    pub reserved: u32,
}

/// Epochs without a gap, both ends included.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ewal_epoch_range {
    /// The lowest.
    pub first: u64,
    /// The highest.
    pub last: u64,
}

// SAFETY: repr(C), plain data, the size first.
unsafe impl Sized32 for ewal_recovery_options {
    const NAME: &'static str = "options";
    const FIRST: usize = size_of::<ewal_recovery_options>();
}

// SAFETY: repr(C), plain data, the size first.
unsafe impl Sized32 for ewal_recovery_summary {
    const NAME: &'static str = "summary";
    const FIRST: usize = size_of::<ewal_recovery_summary>();
}

/// What a handle stands for: the stream, and what C has borrowed of it.
struct Stream {
    recovery: Recovery,
    frames: Vec<ewal_frame>,
    strings: Option<(CString, CString)>,
    /// A panic has left the stream somewhere unknown.
    failed: bool,
}

// SAFETY: `frames` points into what `recovery` owns, and nothing reads through
// it but the C caller; the mutex lets one thread at a time use the rest.
unsafe impl Send for Stream {}

static RECOVERIES: Table<Mutex<Stream>, 1> = Table::new(2, "recovery");

/// Opens the log beside the database at db_path for reading. Beside a live
/// writer the stream is a durable prefix, and the segments in it are not
/// reused until it is closed.
///
/// Ownership: the caller closes *out. NULL options are the defaults.
/// Threads: any.
/// Blocking: reads files.
/// Errors: CORRUPT or FORMAT, with file and offset; LOCKED where a writer takes
///   longer than 10 s to open or to retire files; IO, INVALID.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_recovery_open(
    db_path: *const c_char,
    options: *const ewal_recovery_options,
    out: *mut ewal_recovery,
    error: *mut ewal_error,
) -> ewal_status {
    // SAFETY: the caller keeps to the header, here and below.
    let out = unsafe { Out::new(out) };
    let body = || {
        out.required("out")?;
        // SAFETY: as above.
        let path = unsafe { arg::path(db_path, "db_path") }?;
        // SAFETY: as above.
        let options = unsafe { read_options(options) }?;
        if options.delete_segments {
            return Err(Error::invalid(
                "flags: EWAL_RECOVER_DELETE_SEGMENTS is for ewal_recover_into_file",
            ));
        }
        out.set(hand_out(Recovery::open(path, &options)?)?);
        Ok(Done::Ok)
    };
    // SAFETY: as above.
    unsafe { guard::enter(error, body) }
}

pub(super) fn hand_out(recovery: Recovery) -> Result<ewal_recovery> {
    let stream = Stream {
        recovery,
        frames: Vec::new(),
        strings: None,
        failed: false,
    };
    let id = RECOVERIES.insert(Mutex::new(stream))?;
    Ok(ewal_recovery { id })
}

/// The next batch in replay order: by epoch, commit sequence, transaction id.
/// EWAL_END after the last one, again and again.
///
/// Ownership: what *out points to is borrowed until the next call with
///   this recovery.
/// Threads: one at a time; BUSY while another thread uses it.
/// Blocking: reads files.
/// Errors: CORRUPT or FORMAT, with file and offset; IO, NO_MEMORY, CLOSED,
///   FORKED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_recovery_next(
    recovery: ewal_recovery,
    out: *mut ewal_recovered_batch,
    error: *mut ewal_error,
) -> ewal_status {
    // SAFETY: the caller keeps to the header, here and below.
    let out = unsafe { Out::new(out) };
    let body = |stream: &mut Stream| {
        out.required("out")?;
        stream.frames.clear();
        let Some(batch) = stream.recovery.next_batch()? else {
            return Ok(Done::End);
        };
        stream.frames.extend(batch.frames.iter().map(to_c));
        out.set(ewal_recovered_batch {
            epoch: batch.epoch,
            commit_seq: batch.commit_seq,
            txn_id: batch.txn_id,
            txn_epoch: batch.txn_epoch,
            frames: stream.frames.as_ptr(),
            frame_count: stream.frames.len(),
            metadata: ewal_slice::of(batch.metadata),
        });
        Ok(Done::Ok)
    };
    // SAFETY: as above.
    unsafe { with_stream(recovery, error, body) }
}

fn to_c(frame: &Frame<'_>) -> ewal_frame {
    ewal_frame {
        page_number: frame.page_number,
        db_size_if_commit: frame.db_size_if_commit,
        data: ewal_slice::of(frame.data),
    }
}

/// What was read so far; complete once ewal_recovery_next has said EWAL_END.
///
/// Ownership: *out is the caller's.
/// Threads: as ewal_recovery_next.
/// Blocking: never.
/// Errors: INVALID, BUSY, CLOSED, FORKED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_recovery_report(
    recovery: ewal_recovery,
    out: *mut ewal_recovery_summary,
    error: *mut ewal_error,
) -> ewal_status {
    // SAFETY: the caller keeps to the header, here and below.
    let out = unsafe { SizedOut::new(out) };
    let body = |stream: &mut Stream| {
        out.check()?;
        out.write(&summary(stream.recovery.report()));
        Ok(Done::Ok)
    };
    // SAFETY: as above.
    unsafe { with_stream(recovery, error, body) }
}

/// Torn or corrupt place `index` of the report, counted from 0.
///
/// Ownership: the strings in *out are borrowed until the next call with
///   this recovery.
/// Threads: as ewal_recovery_next.
/// Blocking: never.
/// Errors: NOT_FOUND beyond the last one; INVALID, BUSY, CLOSED, FORKED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_recovery_suspect(
    recovery: ewal_recovery,
    index: usize,
    out: *mut ewal_suspect,
    error: *mut ewal_error,
) -> ewal_status {
    // SAFETY: the caller keeps to the header, here and below.
    let out = unsafe { Out::new(out) };
    let body = |stream: &mut Stream| {
        out.required("out")?;
        let suspects = &stream.recovery.report().suspects;
        let suspect = suspects.get(index).ok_or_else(|| {
            Error::new(
                ErrorKind::NotFound,
                format!("index: {index}, but there are {} suspects", suspects.len()),
            )
        })?;
        let path = c_string(suspect.path.as_os_str().as_bytes());
        let reason = c_string(suspect.reason.as_bytes());
        let (offset, verdict) = (suspect.offset, verdict_to_c(suspect.verdict));
        let (path, reason) = &*stream.strings.insert((path, reason));
        out.set(ewal_suspect {
            path: path.as_ptr(),
            reason: reason.as_ptr(),
            offset,
            verdict,
            reserved: 0,
        });
        Ok(Done::Ok)
    };
    // SAFETY: as above.
    unsafe { with_stream(recovery, error, body) }
}

/// The recovered epochs as ranges, ascending: up to cap of them are written
/// to out, and *out_n is how many there are.
///
/// Ownership: out is the caller's; NULL with a cap of 0 measures.
/// Threads: as ewal_recovery_next.
/// Blocking: never.
/// Errors: INVALID, BUSY, CLOSED, FORKED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_recovery_epochs(
    recovery: ewal_recovery,
    out: *mut ewal_epoch_range,
    cap: usize,
    out_n: *mut usize,
    error: *mut ewal_error,
) -> ewal_status {
    // SAFETY: the caller keeps to the header, here and below.
    let (list, out_n) = unsafe { (ListOut::new(out, cap), Out::new(out_n)) };
    let body = |stream: &mut Stream| {
        list.check("out")?;
        out_n.required("out_n")?;
        let ranges = stream.recovery.report().epochs.ranges().iter();
        let ranges = ranges.map(|&(first, last)| ewal_epoch_range { first, last });
        out_n.set(list.write(ranges));
        Ok(Done::Ok)
    };
    // SAFETY: as above.
    unsafe { with_stream(recovery, error, body) }
}

/// Closes the stream and lets its segments go.
///
/// Ownership: ends the handle and all that was borrowed from it.
/// Threads: any; a call in another thread ends first, and must not use
///   what it got.
/// Blocking: never.
/// Errors: CLOSED, INVALID for a null handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_recovery_close(recovery: ewal_recovery) -> ewal_status {
    let body = || {
        let pin = RECOVERIES.pin(recovery.id)?;
        if !RECOVERIES.close(recovery.id) {
            return Err(Error::new(ErrorKind::Closed, "closed by another call"));
        }
        drop(pin);
        Ok(Done::Ok)
    };
    // SAFETY: NULL is allowed.
    unsafe { guard::enter(std::ptr::null_mut(), body) }
}

/// Runs a body over the stream of a handle, alone.
///
/// # Safety
/// As for [`guard::enter`].
unsafe fn with_stream(
    handle: ewal_recovery,
    error: *mut ewal_error,
    body: impl FnOnce(&mut Stream) -> Result<Done>,
) -> ewal_status {
    let body = || {
        let pin = RECOVERIES.pin(handle.id)?;
        let mut stream = lock(&pin)?;
        stream.recovery.check_fork()?;
        // Stays set where a panic unwinds from here.
        stream.failed = true;
        stream.strings = None;
        let outcome = body(&mut stream);
        stream.failed = false;
        outcome
    };
    // SAFETY: as promised by our caller.
    unsafe { guard::enter(error, body) }
}

fn lock(stream: &Mutex<Stream>) -> Result<MutexGuard<'_, Stream>> {
    let stream = stream
        .try_lock()
        .ok_or_else(|| Error::new(ErrorKind::Busy, "the recovery is in use by another thread"))?;
    if stream.failed {
        return Err(Error::new(
            ErrorKind::Failed,
            "an earlier call with this recovery panicked",
        ));
    }
    Ok(stream)
}

/// Recovers into a database file: page n at offset (n - 1) x page_size, the
/// size set from the last db_size_if_commit, synced. A target that is missing
/// is made, unless the log has no pages: then nothing is touched. With
/// EWAL_RECOVER_VERIFY_ONLY the file is left alone.
///
/// Ownership: out may be NULL. NULL options are the defaults.
/// Threads: any; nobody else may write the target.
/// Blocking: reads the log, writes and syncs the file.
/// Errors: as ewal_recovery_next, and then the target may hold a part of
///   the pages; INVALID for a page_size that does not fit the frames;
///   LOCKED where segments are to be deleted under a live writer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_recover_into_file(
    db_path: *const c_char,
    target: *const c_char,
    page_size: u32,
    options: *const ewal_recovery_options,
    out: *mut ewal_recovery_summary,
    error: *mut ewal_error,
) -> ewal_status {
    // SAFETY: the caller keeps to the header, here and below.
    let out = unsafe { SizedOut::new(out) };
    let body = || {
        out.check_optional()?;
        // SAFETY: as above.
        let path = unsafe { arg::path(db_path, "db_path") }?;
        // SAFETY: as above.
        let target = unsafe { arg::path(target, "target") }?;
        // SAFETY: as above.
        let options = unsafe { read_options(options) }?;
        let report = recovery::recover_into_file(path, target, page_size, &options)?;
        out.write(&summary(&report));
        Ok(Done::Ok)
    };
    // SAFETY: as above.
    unsafe { guard::enter(error, body) }
}

/// # Safety
/// `ptr` is NULL, or points to a u32 and to as many readable bytes as it says.
unsafe fn read_options(ptr: *const ewal_recovery_options) -> Result<RecoveryOptions> {
    if ptr.is_null() {
        return Ok(RecoveryOptions::default());
    }
    // SAFETY: as promised by our caller.
    let options = unsafe { struct_size::read(ptr) }?;
    let known =
        EWAL_RECOVER_DURABLE_PREFIX | EWAL_RECOVER_VERIFY_ONLY | EWAL_RECOVER_DELETE_SEGMENTS;
    known_flags(options.flags, known)?;
    Ok(RecoveryOptions {
        durable_prefix: options.flags & EWAL_RECOVER_DURABLE_PREFIX != 0,
        verify_only: options.flags & EWAL_RECOVER_VERIFY_ONLY != 0,
        delete_segments: options.flags & EWAL_RECOVER_DELETE_SEGMENTS != 0,
        database_id: identity(options.database_id),
    })
}

pub(super) fn verdict_to_c(verdict: Verdict) -> u32 {
    match verdict {
        Verdict::Clean => EWAL_VERDICT_CLEAN,
        Verdict::Torn => EWAL_VERDICT_TORN,
        Verdict::Corrupt => EWAL_VERDICT_CORRUPT,
    }
}

fn summary(report: &RecoveryReport) -> ewal_recovery_summary {
    ewal_recovery_summary {
        struct_size: 0,
        verdict: verdict_to_c(report.verdict),
        segments: report.segments,
        batches: report.batches,
        records: report.records,
        bytes_read: report.bytes_read,
        epoch_count: report.epochs.count(),
        first_epoch: report.epochs.first().unwrap_or(0),
        last_epoch: report.epochs.last().unwrap_or(0),
        unconfirmed_count: report.unconfirmed.count(),
        unconfirmed_first: report.unconfirmed.first().unwrap_or(0),
        unconfirmed_last: report.unconfirmed.last().unwrap_or(0),
        highest_commit_seq: report.highest_commit_seq,
        checkpoint_epoch: report.checkpoint_epoch.unwrap_or(0),
        suspect_count: report.suspects.len() as u64,
        db_size: report.db_size,
        has_checkpoint: report.checkpoint_epoch.is_some(),
        reserved: [0; 3],
    }
}

/// A C string of bytes that hold no NUL but for a defect; cut there.
pub(super) fn c_string(bytes: &[u8]) -> CString {
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    CString::new(&bytes[..end]).unwrap_or_default()
}
