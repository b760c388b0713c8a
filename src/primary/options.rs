//! A primary's configuration, its defaults and ranges.

use crate::error::{Error, Result};
use crate::format::slot_journal::SLOTS_MAX;
use std::time::Duration;

/// The configuration of a primary. `PrimaryOptions::default()` is a good one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrimaryOptions {
    /// A replica is healthy while it was seen within this time; 1 ms to 1 day.
    pub healthy_for: Duration,
    /// A slot that holds back more LSNs than this is invalidated; at least 1;
    /// none: never for that.
    pub horizon_lsns: Option<u64>,
    /// The same in bytes of log.
    pub horizon_bytes: Option<u64>,
    /// A slot that was not seen for this long is invalidated; 1 ms to 10
    /// years; none: never for that.
    pub idle_timeout: Option<Duration>,
    /// The most slots, 1 to 50,000.
    pub max_slots: usize,
    /// Acknowledgements are saved at the latest after this long, and not more
    /// often; 1 ms to 1 s.
    pub save_interval: Duration,
    /// Events that are kept for readers, 1 to 1,000,000.
    pub trace_capacity: usize,
    /// Take what can be read of a damaged slot store, which is kept aside, and
    /// none where it is lost.
    pub salvage_slots: bool,
    /// No thread saves acknowledgements: for tests that say when.
    #[doc(hidden)]
    pub saver: bool,
}

impl Default for PrimaryOptions {
    fn default() -> Self {
        PrimaryOptions {
            healthy_for: Duration::from_secs(30),
            horizon_lsns: Some(100_000),
            horizon_bytes: None,
            idle_timeout: Some(Duration::from_secs(24 * 3600)),
            max_slots: SLOTS_MAX,
            save_interval: Duration::from_secs(1),
            trace_capacity: 1024,
            salvage_slots: false,
            saver: true,
        }
    }
}

impl PrimaryOptions {
    /// Checks every field; the error names the first one out of range.
    pub fn validate(&self) -> Result<()> {
        const MILLI: Duration = Duration::from_millis(1);
        const DAY: Duration = Duration::from_secs(24 * 3600);
        let years = DAY * 3652;
        within("healthy_for", self.healthy_for, MILLI, DAY)?;
        for (field, horizon) in [
            ("horizon_lsns", self.horizon_lsns),
            ("horizon_bytes", self.horizon_bytes),
        ] {
            within(field, horizon.unwrap_or(1), 1, u64::MAX)?;
        }
        within(
            "idle_timeout",
            self.idle_timeout.unwrap_or(DAY),
            MILLI,
            years,
        )?;
        within("max_slots", self.max_slots, 1, SLOTS_MAX)?;
        within(
            "save_interval",
            self.save_interval,
            MILLI,
            Duration::from_secs(1),
        )?;
        within("trace_capacity", self.trace_capacity, 1, 1_000_000)
    }
}

fn within<T: PartialOrd + std::fmt::Debug>(field: &str, value: T, low: T, high: T) -> Result<()> {
    if low <= value && value <= high {
        Ok(())
    } else {
        Err(Error::invalid(format!(
            "{field}: {value:?} is not within {low:?} and {high:?}"
        )))
    }
}
