//! A reader of a spool from outside: a stream, and what it has found.

use super::arg::{self, Out};
use super::error::ewal_error;
use super::guard::{self, Done};
use super::handle::Table;
use super::records::{ewal_records, hand_out};
use super::recovery::verdict_to_c;
use super::status::ewal_status;
use super::struct_size::{Sized32, SizedOut};
use crate::error::{Error, ErrorKind, Result};
use crate::spool::{ReadLimit, SpoolReader, SpoolReport};
use crate::sync::Mutex;
use std::ffi::c_char;

/// A stream of a spool's records. A value, 0 is null; see ewal_coordinator.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ewal_spool_reader {
    /// Opaque; 0 is null.
    pub id: u64,
}

/// since_lsn of ewal_spool_reader_open: all records that there are.
pub const EWAL_SINCE_OLDEST: u64 = u64::MAX;

/// What a reader has found. Complete once it has said EWAL_END, or failed. Begin
/// with EWAL_SPOOL_SUMMARY_INIT.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ewal_spool_summary {
    /// sizeof(ewal_spool_summary).
    pub struct_size: u32,
    /// How the log ends: EWAL_VERDICT_*. Clean as long as nothing else is known.
    pub verdict: u32,
    /// Records read: those given, and the one that the next call begins with.
    pub records: u64,
    /// Bytes of their payloads.
    pub payload_bytes: u64,
    /// The LSN of the first of them; 0 where there is none.
    pub first_lsn: u64,
    /// The LSN of the last of them; 0 where there is none.
    pub last_lsn: u64,
    /// Records at or below it are pruned.
    pub pruned_through: u64,
    /// The highest LSN that there is or was, pruned ones included.
    pub current_lsn: u64,
    /// Records above it were found whole, but only the next open of the spool
    /// confirms that they are durable.
    pub durable_lsn: u64,
    /// The highest LSN that a commit wait called reached: nothing at or below it
    /// is ever cut off.
    pub quorum_lsn: u64,
    /// The last term; 0 where there is none.
    pub term: u64,
    /// The last range of LSNs that a salvage has lost: those above lost_after,
    /// through lost_through; both 0 where there is none.
    pub lost_after: u64,
    /// See lost_after.
    pub lost_through: u64,
    /// Bytes of files read.
    pub bytes_read: u64,
    /// Whether there is a spool at all.
    pub exists: bool,
    /// Whether a writer lives: what it has made durable is what is given.
    pub writer: bool,
    /// Whether the spool was closed, and not opened since.
    pub clean: bool,
    /// Zero.
    pub reserved: [u8; 5],
}

// SAFETY: repr(C), plain data, the size first.
unsafe impl Sized32 for ewal_spool_summary {
    const NAME: &'static str = "summary";
    const FIRST: usize = size_of::<ewal_spool_summary>();
}

/// What a handle stands for.
struct Stream {
    reader: SpoolReader,
    /// A panic has left the reader somewhere unknown.
    failed: bool,
}

static READERS: Table<Mutex<Stream>, 1> = Table::new(8, "spool reader");

/// Opens the spool of the data file at path for reading: records above
/// since_lsn, or all (EWAL_SINCE_OLDEST). Where there is no spool the stream is
/// empty, and nothing is made. A spool in one RDLW file is read too, also one of
/// other software.
///
/// Ownership: the caller closes *out. Nothing passed in is kept.
/// Threads: any.
/// Blocking: reads files.
/// Errors: WAL_REMOVED where records above since_lsn are pruned, or lost in a
///   salvage (error->lsn is the first behind them); LOCKED where a writer takes
///   longer than 10 s to open or to retire files; CORRUPT, FORMAT, IO, INVALID.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_spool_reader_open(
    path: *const c_char,
    since_lsn: u64,
    out: *mut ewal_spool_reader,
    error: *mut ewal_error,
) -> ewal_status {
    // SAFETY: the caller keeps to the header, here and below.
    let out = unsafe { Out::new(out) };
    let body = || {
        out.required("out")?;
        // SAFETY: as above.
        let path = unsafe { arg::path(path, "path") }?;
        let since = (since_lsn != EWAL_SINCE_OLDEST).then_some(since_lsn);
        let stream = Stream {
            reader: SpoolReader::open(path, since)?,
            failed: false,
        };
        out.set(ewal_spool_reader {
            id: READERS.insert(Mutex::new(stream))?,
        });
        Ok(Done::Ok)
    };
    // SAFETY: as above.
    unsafe { guard::enter(error, body) }
}

/// The next records, ascending: at least one, also above max_bytes of payload, and
/// up to max_records. EWAL_END after the last one, again and again. It holds one
/// group of the log in memory beside what it gives.
///
/// Ownership: the caller releases *out, which needs the reader no more.
/// Threads: one at a time; BUSY while another thread is in it.
/// Blocking: reads files; never waits for a writer.
/// Errors, after which there is only EWAL_END: WAL_REMOVED where the next ones are
///   lost in a salvage (error->lsn is the first behind them; not where all were
///   asked for), AHEAD where since_lsn is beyond the end (error->lsn is the end),
///   DIVERGED where a writer came and cut off what was given (error->lsn is the
///   last that is left); CORRUPT or FORMAT, with file and offset; IO. And INVALID
///   for a max_records of 0; CLOSED, FORKED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_spool_reader_next(
    reader: ewal_spool_reader,
    max_records: usize,
    max_bytes: usize,
    out: *mut ewal_records,
    error: *mut ewal_error,
) -> ewal_status {
    // SAFETY: the caller keeps to the header, here and below.
    let out = unsafe { Out::new(out) };
    let limit = ReadLimit {
        records: max_records,
        bytes: max_bytes,
    };
    let body = |it: &mut SpoolReader| {
        out.required("out")?;
        let records = it.next_batch(limit)?;
        if records.is_empty() {
            return Ok(Done::End);
        }
        out.set(hand_out(records)?);
        Ok(Done::Ok)
    };
    // SAFETY: as above.
    unsafe { with_reader(reader, error, body) }
}

/// What was read so far.
///
/// Ownership: *out is the caller's.
/// Threads: as ewal_spool_reader_next.
/// Blocking: never.
/// Errors: INVALID, BUSY, CLOSED, FORKED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_spool_reader_report(
    reader: ewal_spool_reader,
    out: *mut ewal_spool_summary,
    error: *mut ewal_error,
) -> ewal_status {
    // SAFETY: the caller keeps to the header, here and below.
    let out = unsafe { SizedOut::new(out) };
    let body = |it: &mut SpoolReader| {
        out.check()?;
        out.write(&summary(it.report()));
        Ok(Done::Ok)
    };
    // SAFETY: as above.
    unsafe { with_reader(reader, error, body) }
}

/// Closes the stream and lets its files go.
///
/// Ownership: ends the handle. Records that it gave live on.
/// Threads: any; a call in another thread ends first.
/// Blocking: never.
/// Errors: CLOSED, INVALID for a null handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ewal_spool_reader_close(reader: ewal_spool_reader) -> ewal_status {
    let body = || {
        let _pin = READERS.pin(reader.id)?;
        if !READERS.close(reader.id) {
            return Err(Error::new(ErrorKind::Closed, "closed by another call"));
        }
        Ok(Done::Ok)
    };
    // SAFETY: NULL is allowed.
    unsafe { guard::enter(std::ptr::null_mut(), body) }
}

/// Runs a body over the reader of a handle, alone.
///
/// # Safety
/// As for [`guard::enter`].
unsafe fn with_reader(
    handle: ewal_spool_reader,
    error: *mut ewal_error,
    body: impl FnOnce(&mut SpoolReader) -> Result<Done>,
) -> ewal_status {
    let body = || {
        let pin = READERS.pin(handle.id)?;
        let mut stream = pin
            .try_lock()
            .ok_or_else(|| Error::new(ErrorKind::Busy, "the reader is in use by another thread"))?;
        stream.reader.check_fork()?;
        if stream.failed {
            let why = "an earlier call with this reader panicked";
            return Err(Error::new(ErrorKind::Failed, why));
        }
        // Stays set where a panic unwinds from here.
        stream.failed = true;
        let outcome = body(&mut stream.reader);
        stream.failed = false;
        outcome
    };
    // SAFETY: as promised by our caller.
    unsafe { guard::enter(error, body) }
}

fn summary(report: &SpoolReport) -> ewal_spool_summary {
    let lost = report.lost.ranges().last();
    ewal_spool_summary {
        struct_size: 0,
        verdict: verdict_to_c(report.verdict),
        records: report.records,
        payload_bytes: report.payload_bytes,
        first_lsn: report.first_lsn,
        last_lsn: report.last_lsn,
        pruned_through: report.pruned_through,
        current_lsn: report.current_lsn,
        durable_lsn: report.durable_lsn,
        quorum_lsn: report.quorum_lsn,
        term: report.terms.last().map_or(0, |t| t.term),
        lost_after: lost.map_or(0, |range| range.after),
        lost_through: lost.map_or(0, |range| range.through),
        bytes_read: report.bytes_read,
        exists: report.exists,
        writer: report.writer,
        clean: report.clean,
        reserved: [0; 5],
    }
}
