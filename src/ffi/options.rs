//! The configuration of a coordinator as C spells it.

use super::struct_size::{self, Sized32};
use crate::coordinator::{EpochInterval, Options, Overflow, Sequencing, SyncPolicy, SyncStyle};
use crate::error::{Error, Result};
use std::time::Duration;

/// Lane full: take up to 8 MiB more, then block. The default.
pub const EWAL_OVERFLOW_SPILL: u32 = 1;
/// Lane full: wait for room, up to block_timeout_ns, then EWAL_BUSY.
pub const EWAL_OVERFLOW_BLOCK: u32 = 2;
/// Lane full: EWAL_BUSY at once.
pub const EWAL_OVERFLOW_REFUSE: u32 = 3;

/// Sync data and metadata. The default.
pub const EWAL_SYNC_FULL: u32 = 1;
/// Sync data and what is needed to read it back (fdatasync).
pub const EWAL_SYNC_NORMAL: u32 = 2;
/// Sync nothing: "durable" means written, and a power cut may lose it.
pub const EWAL_SYNC_OFF: u32 = 3;

/// Direct where a probe at open shows that it works, else buffered. The default.
pub const EWAL_SYNC_STYLE_PROBE: u32 = 1;
/// O_DIRECT and O_DSYNC; opening fails where the file system refuses it.
pub const EWAL_SYNC_STYLE_DIRECT: u32 = 2;
/// Buffered writes and a sync call.
pub const EWAL_SYNC_STYLE_BUFFERED: u32 = 3;

/// Batches carry their commit sequence, 1 or above. The default.
pub const EWAL_SEQUENCING_CALLER: u32 = 1;
/// The coordinator assigns dense sequences; batches carry 0.
pub const EWAL_SEQUENCING_COORDINATOR: u32 = 2;

/// epoch_interval_ns: no ticker; what nobody waits for stays staged until a
/// flush.
pub const EWAL_EPOCH_INTERVAL_OFF: u64 = u64::MAX;
/// max_log_bytes: no limit. The default.
pub const EWAL_MAX_LOG_BYTES_OFF: u64 = u64::MAX;

/// flags: where the log is damaged, move the damaged file and all beyond it
/// aside and open with a higher epoch, instead of failing.
pub const EWAL_OPEN_SALVAGE: u32 = 1;

/// The configuration of a coordinator. Begin with
/// EWAL_COORDINATOR_OPTIONS_INIT; zero in a field is its default. A value out
/// of range is EWAL_E_INVALID, with the field's name in the message.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ewal_coordinator_options {
    /// sizeof(ewal_coordinator_options).
    pub struct_size: u32,
    /// EWAL_OPEN_* or 0.
    pub flags: u32,
    /// Lanes, 1 to 65535. Default 128.
    pub slot_count: u32,
    /// EWAL_OVERFLOW_*.
    pub overflow_policy: u32,
    /// EWAL_SYNC_*.
    pub sync_policy: u32,
    /// EWAL_SYNC_STYLE_*.
    pub sync_style: u32,
    /// 2: native. 1: one file per epoch, for readers of version 1. Default 2.
    pub segment_format: u32,
    /// EWAL_SEQUENCING_*.
    pub sequencing: u32,
    /// The longest that a batch on which nobody waits stays staged: 1 us to
    /// 1 hour, or EWAL_EPOCH_INTERVAL_OFF. Default 10 ms.
    pub epoch_interval_ns: u64,
    /// Staged bytes per lane and epoch, 4 KiB to 1 GiB. Default 4 MiB.
    pub buffer_capacity: u64,
    /// How long a submit waits for room, up to 1 hour. Default 10 s.
    pub block_timeout_ns: u64,
    /// Bytes staged and in flight over all lanes, 64 KiB to 1 GiB. Default
    /// 256 MiB.
    pub max_memory: u64,
    /// The largest batch, 4 KiB to 1 GiB. Default 64 MiB.
    pub max_batch_bytes: u64,
    /// Bytes of log past which a submit is EWAL_E_NO_SPACE until a
    /// checkpoint, at least 64 KiB, or EWAL_MAX_LOG_BYTES_OFF. Default off.
    pub max_log_bytes: u64,
    /// The largest segment file, 16 KiB to 4 GiB, a multiple of 4096. Default
    /// 64 MiB.
    pub segment_size: u64,
    /// Identity of the database, checked against the log's. All zeros: none.
    pub database_id: [u8; 16],
}

// SAFETY: repr(C), plain data, the size first.
unsafe impl Sized32 for ewal_coordinator_options {
    const NAME: &'static str = "options";
    const FIRST: usize = size_of::<ewal_coordinator_options>();
}

/// Reads the options; NULL is all defaults.
///
/// # Safety
/// `ptr` is NULL, or points to a u32 and to as many readable bytes as it says.
pub(super) unsafe fn read(ptr: *const ewal_coordinator_options) -> Result<Options> {
    if ptr.is_null() {
        return Ok(Options::default());
    }
    // SAFETY: as promised by our caller.
    let options = unsafe { struct_size::read(ptr) }?.to_rust()?;
    options.validate()?;
    Ok(options)
}

impl ewal_coordinator_options {
    fn to_rust(self) -> Result<Options> {
        known_flags(self.flags, EWAL_OPEN_SALVAGE)?;
        let default = Options::default();
        Ok(Options {
            slot_count: or(self.slot_count, default.slot_count),
            epoch_interval: match self.epoch_interval_ns {
                0 => default.epoch_interval,
                EWAL_EPOCH_INTERVAL_OFF => EpochInterval::Off,
                ns => EpochInterval::After(Duration::from_nanos(ns)),
            },
            buffer_capacity: or(self.buffer_capacity, default.buffer_capacity),
            overflow: match self.overflow_policy {
                0 => default.overflow,
                EWAL_OVERFLOW_SPILL => Overflow::Spill,
                EWAL_OVERFLOW_BLOCK => Overflow::Block,
                EWAL_OVERFLOW_REFUSE => Overflow::Refuse,
                other => return Err(no_choice("overflow_policy", other)),
            },
            block_timeout: match self.block_timeout_ns {
                0 => default.block_timeout,
                ns => Duration::from_nanos(ns),
            },
            max_memory: or(self.max_memory, default.max_memory),
            max_batch_bytes: or(self.max_batch_bytes, default.max_batch_bytes),
            max_log_bytes: match self.max_log_bytes {
                0 => default.max_log_bytes,
                EWAL_MAX_LOG_BYTES_OFF => None,
                bytes => Some(bytes),
            },
            sync_policy: sync_policy(self.sync_policy)?,
            sync_style: sync_style(self.sync_style)?,
            segment_size: or(self.segment_size, default.segment_size),
            segment_format: or(self.segment_format, default.segment_format),
            sequencing: match self.sequencing {
                0 => default.sequencing,
                EWAL_SEQUENCING_CALLER => Sequencing::Caller,
                EWAL_SEQUENCING_COORDINATOR => Sequencing::Coordinator,
                other => return Err(no_choice("sequencing", other)),
            },
            database_id: identity(self.database_id),
            salvage: self.flags & EWAL_OPEN_SALVAGE != 0,
            knobs: default.knobs,
        })
    }
}

pub(super) fn sync_policy(value: u32) -> Result<SyncPolicy> {
    match value {
        0 => Ok(Options::default().sync_policy),
        EWAL_SYNC_FULL => Ok(SyncPolicy::Full),
        EWAL_SYNC_NORMAL => Ok(SyncPolicy::Normal),
        EWAL_SYNC_OFF => Ok(SyncPolicy::Off),
        other => Err(no_choice("sync_policy", other)),
    }
}

pub(super) fn sync_style(value: u32) -> Result<SyncStyle> {
    match value {
        0 => Ok(Options::default().sync_style),
        EWAL_SYNC_STYLE_PROBE => Ok(SyncStyle::Probe),
        EWAL_SYNC_STYLE_DIRECT => Ok(SyncStyle::Direct),
        EWAL_SYNC_STYLE_BUFFERED => Ok(SyncStyle::Buffered),
        other => Err(no_choice("sync_style", other)),
    }
}

/// Zero in a field is its default.
pub(super) fn or<T: Default + PartialEq>(value: T, default: T) -> T {
    if value == T::default() {
        default
    } else {
        value
    }
}

/// All zeros is none.
pub(super) fn identity(id: [u8; 16]) -> Option<[u8; 16]> {
    (id != [0; 16]).then_some(id)
}

/// Refuses flags that this library does not know: they may matter.
pub(super) fn known_flags(flags: u32, known: u32) -> Result<()> {
    match flags & !known {
        0 => Ok(()),
        unknown => Err(Error::invalid(format!("flags: {unknown:#x} is unknown"))),
    }
}

pub(super) fn no_choice(field: &str, value: u32) -> Error {
    Error::invalid(format!("{field}: {value} is none of its values"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zeroed() -> ewal_coordinator_options {
        // SAFETY: plain data.
        let mut options: ewal_coordinator_options = unsafe { std::mem::zeroed() };
        options.struct_size = size_of_val(&options) as u32;
        options
    }

    #[test]
    fn zeros_are_the_defaults() {
        assert_eq!(zeroed().to_rust().unwrap(), Options::default());
    }

    #[test]
    fn off_is_not_the_default() {
        let mut c = zeroed();
        c.epoch_interval_ns = EWAL_EPOCH_INTERVAL_OFF;
        assert_eq!(c.to_rust().unwrap().epoch_interval, EpochInterval::Off);
    }

    #[test]
    fn each_choice_refuses_what_it_does_not_know_by_name() {
        type Field = fn(&mut ewal_coordinator_options) -> &mut u32;
        let fields: [(&str, u32, Field); 4] = [
            ("overflow_policy", 3, |c| &mut c.overflow_policy),
            ("sync_policy", 3, |c| &mut c.sync_policy),
            ("sync_style", 3, |c| &mut c.sync_style),
            ("sequencing", 2, |c| &mut c.sequencing),
        ];
        for (name, last, field) in fields {
            for good in 0..=last {
                let mut c = zeroed();
                *field(&mut c) = good;
                assert!(c.to_rust().is_ok(), "{name} {good}");
            }
            for bad in [last + 1, u32::MAX] {
                let mut c = zeroed();
                *field(&mut c) = bad;
                let refused = c.to_rust().unwrap_err();
                assert!(refused.message().starts_with(name), "{refused}");
            }
        }
    }

    #[test]
    fn unknown_flags_are_refused() {
        let mut c = zeroed();
        c.flags = 0x8000_0001;
        let refused = c.to_rust().unwrap_err();
        assert_eq!(refused.message(), "flags: 0x80000000 is unknown");
    }
}
