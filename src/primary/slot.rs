//! What a slot holds back, and how far it is from losing it.

use super::options::PrimaryOptions;
use super::wal::{Bounds, Wal};
pub use crate::format::slot_journal::{Cause, Invalidation, Origin, Slot};

/// How safe the records are that a slot needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WalStatus {
    /// They are there, and the slot is not half way to the horizon.
    Reserved,
    /// They are there, and the slot is beyond half of the horizon.
    Extended,
    /// They are there, and the slot is beyond the horizon: the next look at
    /// the limits invalidates it.
    Unreserved,
    /// They are gone, or nothing holds them any more.
    Lost,
}

impl WalStatus {
    /// As database people spell it.
    pub fn name(self) -> &'static str {
        match self {
            WalStatus::Reserved => "reserved",
            WalStatus::Extended => "extended",
            WalStatus::Unreserved => "unreserved",
            WalStatus::Lost => "lost",
        }
    }
}

/// A slot as it is seen from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotInfo {
    /// The slot.
    pub slot: Slot,
    /// The restart LSN that a crash would leave; 0 where that is none yet.
    pub saved_lsn: u64,
    /// See [`WalStatus`].
    pub wal_status: WalStatus,
    /// Bytes of log that can be written until the slot is invalidated; 0 where
    /// it is lost; none where no horizon is set. Where the horizon is one of
    /// LSNs it is estimated from the log's mean record.
    pub safe_wal_size: Option<u64>,
}

/// How much a slot holds back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lag {
    pub(super) lsns: u64,
    pub(super) bytes: u64,
}

/// Whether the records that a slot at `restart_lsn` needs are gone.
pub(super) fn needs_what_is_gone(restart_lsn: u64, bounds: &Bounds) -> bool {
    restart_lsn < bounds.pruned_through.max(bounds.lost_through)
}

pub(super) fn lag_of(restart_lsn: u64, bounds: &Bounds, wal: &dyn Wal, bytes: bool) -> Lag {
    Lag {
        lsns: bounds.current_lsn.saturating_sub(restart_lsn),
        bytes: if bytes {
            wal.bytes_above(restart_lsn)
        } else {
            0
        },
    }
}

/// Whether a lag is above the horizon, or above a part of it.
pub(super) fn is_beyond(lag: Lag, options: &PrimaryOptions, part: u64) -> bool {
    options.horizon_lsns.is_some_and(|h| lag.lsns > h / part)
        || options.horizon_bytes.is_some_and(|h| lag.bytes > h / part)
}

/// The status of a slot, and what it says in bytes.
pub(super) fn status(
    slot: &Slot,
    bounds: &Bounds,
    wal: &dyn Wal,
    options: &PrimaryOptions,
) -> (WalStatus, Option<u64>) {
    if !slot.is_valid() || needs_what_is_gone(slot.restart_lsn, bounds) {
        return (WalStatus::Lost, Some(0));
    }
    let lag = lag_of(slot.restart_lsn, bounds, wal, true);
    let status = if is_beyond(lag, options, 1) {
        WalStatus::Unreserved
    } else if is_beyond(lag, options, 2) {
        WalStatus::Extended
    } else {
        WalStatus::Reserved
    };
    let by_bytes = options.horizon_bytes.map(|h| h.saturating_sub(lag.bytes));
    let by_lsns = options.horizon_lsns.and_then(|h| {
        let mean = mean_record(bounds, wal)?;
        Some(h.saturating_sub(lag.lsns).saturating_mul(mean))
    });
    let safe = match (by_bytes, by_lsns) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    };
    (status, safe)
}

/// Bytes per LSN over the log as it is; none where it is empty.
fn mean_record(bounds: &Bounds, wal: &dyn Wal) -> Option<u64> {
    let before = bounds.oldest_lsn.checked_sub(1)?;
    let lsns = bounds.current_lsn.checked_sub(before).filter(|n| *n > 0)?;
    Some((wal.bytes_above(before) / lsns).max(1))
}
