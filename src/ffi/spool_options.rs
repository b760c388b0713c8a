//! The configuration of a spool as C spells it.

use super::guard::CallbackMark;
use super::options::{
    EWAL_MAX_LOG_BYTES_OFF, EWAL_OPEN_SALVAGE, known_flags, no_choice, or, sync_policy, sync_style,
};
use super::struct_size::{self, Sized32};
use crate::error::{Error, Result};
use crate::spool::rdlw::TermOf;
use crate::spool::{Format, SpoolOptions};
use std::ffi::c_void;
use std::time::Duration;

/// flags: refuse gaps between LSNs.
pub const EWAL_SPOOL_DENSE: u32 = 2;

/// ring_bytes: no ring; each read goes to the files.
pub const EWAL_RING_BYTES_OFF: u64 = u64::MAX;

/// Records in segments. The default.
pub const EWAL_FORMAT_NATIVE: u32 = 1;
/// Records in one RDLW file at `<data file>.logical.wal`, for software that reads
/// those, with the limits of that format.
pub const EWAL_FORMAT_RDLW: u32 = 2;

/// ewal_term_fn: the term can't be told. The open fails with EWAL_E_INVALID, and
/// leaves the records where they are.
pub const EWAL_TERM_REFUSED: u64 = u64::MAX;

/// Finds the term of a record of RDLW version 1 or 2 in its payload; 0 where it
/// has none, which is term 1; or EWAL_TERM_REFUSED. Called by the call that was
/// given it, and on its thread. Must return without unwinding: no C++ exception,
/// no longjmp.
pub type ewal_term_fn =
    Option<unsafe extern "C" fn(user: *mut c_void, payload: *const c_void, len: usize) -> u64>;

/// The configuration of a spool. Begin with EWAL_SPOOL_OPTIONS_INIT; zero in a
/// field is its default. A value out of range is EWAL_E_INVALID, with the
/// field's name in the message.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ewal_spool_options {
    /// sizeof(ewal_spool_options).
    pub struct_size: u32,
    /// EWAL_OPEN_SALVAGE, EWAL_SPOOL_DENSE or 0.
    pub flags: u32,
    /// EWAL_SYNC_*.
    pub sync_policy: u32,
    /// EWAL_SYNC_STYLE_*.
    pub sync_style: u32,
    /// The largest payload that is taken, up to 256 MiB. Default 64 MiB.
    pub max_payload: u64,
    /// Bytes of the newest records that are kept in memory for readers, up to
    /// 1 GiB, or EWAL_RING_BYTES_OFF. Default 16 MiB.
    pub ring_bytes: u64,
    /// The longest that a record on which nobody waits stays staged: 1 us to
    /// 1 hour. Default 10 ms.
    pub flush_interval_ns: u64,
    /// How long an append waits for room, up to 1 hour. Default 10 s.
    pub block_timeout_ns: u64,
    /// Bytes staged and in flight, 64 KiB to 1 GiB; no append is larger.
    /// Default 256 MiB.
    pub max_memory: u64,
    /// Bytes of log past which an append is EWAL_E_NO_SPACE until a prune, at
    /// least 64 KiB, or EWAL_MAX_LOG_BYTES_OFF. Default off.
    pub max_log_bytes: u64,
    /// The largest segment file, 16 KiB to 4 GiB, a multiple of 4096. Default
    /// 64 MiB.
    pub segment_size: u64,
    /// Records that a spool in memory keeps. Default 1 Mi.
    pub ring_records: u64,
    /// EWAL_FORMAT_*.
    pub format: u32,
    /// Zero.
    pub reserved: u32,
    /// For records of RDLW versions 1 and 2 that the open takes in. NULL: their
    /// term is 1.
    pub term_of: ewal_term_fn,
    /// Handed to term_of.
    pub term_user: *mut c_void,
}

// SAFETY: repr(C), plain data, the size first.
unsafe impl Sized32 for ewal_spool_options {
    const NAME: &'static str = "options";
    const FIRST: usize = size_of::<ewal_spool_options>();
}

/// Reads the options; NULL is all defaults.
///
/// # Safety
/// `ptr` is NULL, or points to a u32 and to as many readable bytes as it says.
pub(super) unsafe fn read(ptr: *const ewal_spool_options) -> Result<SpoolOptions> {
    if ptr.is_null() {
        return Ok(SpoolOptions::default());
    }
    // SAFETY: as promised by our caller.
    let options = unsafe { struct_size::read(ptr) }?.to_rust()?;
    options.validate()?;
    Ok(options)
}

impl ewal_spool_options {
    fn to_rust(self) -> Result<SpoolOptions> {
        known_flags(self.flags, EWAL_OPEN_SALVAGE | EWAL_SPOOL_DENSE)?;
        let default = SpoolOptions::default();
        let time = |ns: u64, default: Duration| match ns {
            0 => default,
            ns => Duration::from_nanos(ns),
        };
        Ok(SpoolOptions {
            max_payload: or(self.max_payload, default.max_payload),
            ring_bytes: match self.ring_bytes {
                EWAL_RING_BYTES_OFF => 0,
                bytes => or(bytes, default.ring_bytes),
            },
            ring_records: or(self.ring_records, default.ring_records),
            format: match self.format {
                0 => default.format,
                EWAL_FORMAT_NATIVE => Format::Native,
                EWAL_FORMAT_RDLW => Format::Rdlw,
                other => return Err(no_choice("format", other)),
            },
            term_of: term_of(self.term_of, self.term_user),
            dense: self.flags & EWAL_SPOOL_DENSE != 0,
            flush_interval: time(self.flush_interval_ns, default.flush_interval),
            block_timeout: time(self.block_timeout_ns, default.block_timeout),
            max_memory: or(self.max_memory, default.max_memory),
            sync_policy: sync_policy(self.sync_policy)?,
            sync_style: sync_style(self.sync_style)?,
            segment_size: or(self.segment_size, default.segment_size),
            max_log_bytes: match self.max_log_bytes {
                0 => default.max_log_bytes,
                EWAL_MAX_LOG_BYTES_OFF => None,
                bytes => Some(bytes),
            },
            salvage: self.flags & EWAL_OPEN_SALVAGE != 0,
            ..default
        })
    }
}

/// The caller's pointer on its way to the caller's function.
struct TermUser(*mut c_void);

// SAFETY: both are used on the thread of the call that was given them alone.
unsafe impl Send for TermUser {}
// SAFETY: as above.
unsafe impl Sync for TermUser {}

/// The caller's function as the core calls it.
pub(super) fn term_of(find: ewal_term_fn, user: *mut c_void) -> Option<TermOf> {
    let find = find?;
    let user = TermUser(user);
    Some(TermOf::new(move |payload| {
        // All of it, not the pointer alone.
        let TermUser(user) = &user;
        let _mark = CallbackMark::new();
        // SAFETY: the caller's function for the caller's pointer; the bytes live
        // through the call.
        match unsafe { find(*user, payload.as_ptr().cast(), payload.len()) } {
            0 => Ok(None),
            EWAL_TERM_REFUSED => Err(Error::invalid("term_of gave EWAL_TERM_REFUSED")),
            term => Ok(Some(term)),
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coordinator::{SyncPolicy, SyncStyle};

    fn zeroed() -> ewal_spool_options {
        // SAFETY: plain data.
        let mut options: ewal_spool_options = unsafe { std::mem::zeroed() };
        options.struct_size = size_of_val(&options) as u32;
        options
    }

    #[test]
    fn zeros_are_the_defaults() {
        assert_eq!(zeroed().to_rust().unwrap(), SpoolOptions::default());
    }

    #[test]
    fn each_field_reaches_its_own() {
        let c = ewal_spool_options {
            flags: EWAL_OPEN_SALVAGE | EWAL_SPOOL_DENSE,
            sync_policy: 2,
            sync_style: 3,
            max_payload: 1,
            ring_bytes: 2,
            flush_interval_ns: 3,
            block_timeout_ns: 4,
            max_memory: 5,
            max_log_bytes: 6,
            segment_size: 7,
            ring_records: 8,
            format: EWAL_FORMAT_RDLW,
            ..zeroed()
        };
        let want = SpoolOptions {
            max_payload: 1,
            ring_bytes: 2,
            dense: true,
            flush_interval: Duration::from_nanos(3),
            block_timeout: Duration::from_nanos(4),
            max_memory: 5,
            sync_policy: SyncPolicy::Normal,
            sync_style: SyncStyle::Buffered,
            segment_size: 7,
            ring_records: 8,
            format: Format::Rdlw,
            max_log_bytes: Some(6),
            salvage: true,
            ..SpoolOptions::default()
        };
        assert_eq!(c.to_rust().unwrap(), want);
    }

    #[test]
    fn off_is_not_the_default() {
        let mut c = zeroed();
        c.ring_bytes = EWAL_RING_BYTES_OFF;
        c.max_log_bytes = EWAL_MAX_LOG_BYTES_OFF;
        let options = c.to_rust().unwrap();
        assert_eq!((options.ring_bytes, options.max_log_bytes), (0, None));
    }

    #[test]
    fn what_is_unknown_is_refused_by_name() {
        for (name, change) in [
            ("flags", (|c| c.flags = 4) as fn(&mut ewal_spool_options)),
            ("sync_policy", |c| c.sync_policy = 4),
            ("sync_style", |c| c.sync_style = u32::MAX),
            ("format", |c| c.format = 3),
        ] {
            let mut c = zeroed();
            change(&mut c);
            let refused = c.to_rust().unwrap_err();
            assert!(refused.message().starts_with(name), "{refused}");
        }
    }
}
