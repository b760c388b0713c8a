//! The configuration of a primary as C spells it.

use super::options::known_flags;
use super::spool_options::{self, ewal_spool_options};
use super::struct_size::{self, Sized32};
use crate::error::{Error, Result};
use crate::primary::PrimaryOptions;
use crate::spool::SpoolOptions;
use std::time::Duration;

/// flags: where the slot store is damaged, keep it aside and take what can be
/// read of it; where it is gone, begin without slots. See
/// ewal_primary_salvaged.
pub const EWAL_SALVAGE_SLOTS: u32 = 4;

/// horizon_lsns, horizon_bytes: no slot is given up for what it holds back.
pub const EWAL_HORIZON_OFF: u64 = u64::MAX;
/// idle_timeout_ns: no slot is given up because it was not seen.
pub const EWAL_IDLE_TIMEOUT_OFF: u64 = u64::MAX;

/// The configuration of a primary. Begin with EWAL_PRIMARY_OPTIONS_INIT; zero
/// in a field is its default. A value out of range is EWAL_E_INVALID, with the
/// field's name in the message.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ewal_primary_options {
    /// sizeof(ewal_primary_options).
    pub struct_size: u32,
    /// EWAL_SALVAGE_SLOTS or 0.
    pub flags: u32,
    /// A replica is healthy while it was seen within this time: 1 ms to 1 day.
    /// Default 30 s.
    pub healthy_for_ns: u64,
    /// A slot that holds back more LSNs than this is given up, or
    /// EWAL_HORIZON_OFF. Default 100,000.
    pub horizon_lsns: u64,
    /// The same in bytes of log. Default off.
    pub horizon_bytes: u64,
    /// A slot that was not seen for this long is given up: 1 ms to 10 years, or
    /// EWAL_IDLE_TIMEOUT_OFF. Default 24 hours.
    pub idle_timeout_ns: u64,
    /// Acknowledgements are saved at the latest after this long, and not more
    /// often: 1 ms to 1 s. Default 1 s.
    pub save_interval_ns: u64,
    /// The most slots, 1 to 50,000. Default 50,000.
    pub max_slots: u32,
    /// Events that are kept for readers, 1 to 1,000,000. Default 1024.
    pub trace_capacity: u32,
    /// The spool's; NULL: its defaults. Read during the call.
    pub spool: *const ewal_spool_options,
}

// SAFETY: repr(C), plain data, the size first.
unsafe impl Sized32 for ewal_primary_options {
    const NAME: &'static str = "options";
    const FIRST: usize = size_of::<ewal_primary_options>();
}

/// Reads the options; NULL is all defaults.
///
/// # Safety
/// `ptr` is NULL, or points to a u32 and to as many readable bytes as it says,
/// and so does its `spool`.
pub(super) unsafe fn read(
    ptr: *const ewal_primary_options,
) -> Result<(SpoolOptions, PrimaryOptions)> {
    if ptr.is_null() {
        return Ok(Default::default());
    }
    // SAFETY: as promised by our caller, here and below.
    let options = unsafe { struct_size::read(ptr) }?;
    let primary = options.to_rust()?;
    primary.validate()?;
    // SAFETY: as above.
    let spool = unsafe { spool_options::read(options.spool) };
    let spool = spool.map_err(|e: Error| e.recast(e.kind(), "spool"))?;
    Ok((spool, primary))
}

impl ewal_primary_options {
    fn to_rust(self) -> Result<PrimaryOptions> {
        known_flags(self.flags, EWAL_SALVAGE_SLOTS)?;
        let default = PrimaryOptions::default();
        let time = |ns: u64, default: Duration| match ns {
            0 => default,
            ns => Duration::from_nanos(ns),
        };
        let horizon = |given: u64, default: Option<u64>| match given {
            0 => default,
            EWAL_HORIZON_OFF => None,
            horizon => Some(horizon),
        };
        let count = |given: u32, default: usize| match given {
            0 => default,
            count => count as usize,
        };
        Ok(PrimaryOptions {
            healthy_for: time(self.healthy_for_ns, default.healthy_for),
            horizon_lsns: horizon(self.horizon_lsns, default.horizon_lsns),
            horizon_bytes: horizon(self.horizon_bytes, default.horizon_bytes),
            idle_timeout: match self.idle_timeout_ns {
                0 => default.idle_timeout,
                EWAL_IDLE_TIMEOUT_OFF => None,
                ns => Some(Duration::from_nanos(ns)),
            },
            max_slots: count(self.max_slots, default.max_slots),
            save_interval: time(self.save_interval_ns, default.save_interval),
            trace_capacity: count(self.trace_capacity, default.trace_capacity),
            salvage_slots: self.flags & EWAL_SALVAGE_SLOTS != 0,
            ..default
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zeroed() -> ewal_primary_options {
        // SAFETY: plain data.
        let mut options: ewal_primary_options = unsafe { std::mem::zeroed() };
        options.struct_size = size_of_val(&options) as u32;
        options
    }

    #[test]
    fn zeros_are_the_defaults() {
        assert_eq!(zeroed().to_rust().unwrap(), PrimaryOptions::default());
    }

    #[test]
    fn each_field_reaches_its_own() {
        let c = ewal_primary_options {
            flags: EWAL_SALVAGE_SLOTS,
            healthy_for_ns: 1,
            horizon_lsns: 2,
            horizon_bytes: 3,
            idle_timeout_ns: 4,
            save_interval_ns: 5,
            max_slots: 6,
            trace_capacity: 7,
            ..zeroed()
        };
        let want = PrimaryOptions {
            healthy_for: Duration::from_nanos(1),
            horizon_lsns: Some(2),
            horizon_bytes: Some(3),
            idle_timeout: Some(Duration::from_nanos(4)),
            save_interval: Duration::from_nanos(5),
            max_slots: 6,
            trace_capacity: 7,
            salvage_slots: true,
            ..PrimaryOptions::default()
        };
        assert_eq!(c.to_rust().unwrap(), want);
    }

    #[test]
    fn off_is_not_the_default() {
        let c = ewal_primary_options {
            horizon_lsns: EWAL_HORIZON_OFF,
            horizon_bytes: EWAL_HORIZON_OFF,
            idle_timeout_ns: EWAL_IDLE_TIMEOUT_OFF,
            ..zeroed()
        };
        let options = c.to_rust().unwrap();
        assert_eq!(options.horizon_lsns.or(options.horizon_bytes), None);
        assert_eq!(options.idle_timeout, None);
    }

    #[test]
    fn the_spools_options_are_read_and_their_faults_are_named() {
        let read_with = |change: fn(&mut ewal_spool_options)| {
            // SAFETY: plain data.
            let mut spool: ewal_spool_options = unsafe { std::mem::zeroed() };
            spool.struct_size = size_of_val(&spool) as u32;
            change(&mut spool);
            let c = ewal_primary_options {
                spool: &spool,
                ..zeroed()
            };
            // SAFETY: both structs are of this version.
            unsafe { read(&c) }
        };
        let (spool, _) = read_with(|c| c.max_payload = 5).unwrap();
        assert_eq!(spool.max_payload, 5);
        let refused = read_with(|c| c.flags = 1 << 31).unwrap_err();
        assert!(refused.message().starts_with("spool: flags"), "{refused}");
    }
}
