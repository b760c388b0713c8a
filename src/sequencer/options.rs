//! The coordinator's configuration, its defaults and ranges.

use crate::error::{Error, Result};
use crate::log::LogOptions;
pub use crate::log::{Knobs, SyncPolicy, SyncStyle};
use std::time::Duration;

/// When a staged batch on which nobody waits is sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EpochInterval {
    /// At the latest after this long; 1 us to 1 hour.
    After(Duration),
    /// Never by itself: the caller flushes.
    Off,
}

/// What a submit does when its lane is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overflow {
    /// Take up to 8 MiB more, then block.
    Spill,
    /// Wait for room until the block timeout, then answer busy.
    Block,
    /// Answer busy at once.
    Refuse,
}

/// Who numbers the commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sequencing {
    /// Batches carry their commit sequence, 1 or above.
    Caller,
    /// The coordinator assigns dense sequences; a batch must carry 0.
    Coordinator,
}

/// Bytes that the spill policy takes beyond a full lane.
pub const SPILL_BYTES: u64 = 8 << 20;

/// The configuration of a coordinator. `Options::default()` is a good one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Lanes, 1 to 65535.
    pub slot_count: u32,
    /// See [`EpochInterval`].
    pub epoch_interval: EpochInterval,
    /// Staged bytes per lane and epoch, 4 KiB to 1 GiB.
    pub buffer_capacity: u64,
    /// See [`Overflow`].
    pub overflow: Overflow,
    /// How long a submit waits for room, up to 1 hour.
    pub block_timeout: Duration,
    /// Bytes staged and in flight over all lanes, 64 KiB to 1 GiB.
    pub max_memory: u64,
    /// The most page data of a batch, 4 KiB to 1 GiB.
    pub max_batch_bytes: u64,
    /// Bytes of log past which a submit answers "no space" until a
    /// checkpoint, at least 64 KiB; none: no limit.
    pub max_log_bytes: Option<u64>,
    /// See [`SyncPolicy`].
    pub sync_policy: SyncPolicy,
    /// See [`SyncStyle`].
    pub sync_style: SyncStyle,
    /// The largest native segment file, 16 KiB to 4 GiB, a multiple of 4096.
    pub segment_size: u64,
    /// 2: native. 1: one file per epoch, for readers of version 1.
    pub segment_format: u32,
    /// See [`Sequencing`].
    pub sequencing: Sequencing,
    /// Identity of the database, checked against the log's; all zeros is none.
    pub database_id: Option<[u8; 16]>,
    /// Move what is damaged and all beyond it aside, and open.
    pub salvage: bool,
    /// See [`Knobs`].
    #[doc(hidden)]
    pub knobs: Knobs,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            slot_count: 128,
            epoch_interval: EpochInterval::After(Duration::from_millis(10)),
            buffer_capacity: 4 << 20,
            overflow: Overflow::Spill,
            block_timeout: Duration::from_secs(10),
            max_memory: 256 << 20,
            max_batch_bytes: 64 << 20,
            max_log_bytes: None,
            sync_policy: SyncPolicy::Full,
            sync_style: SyncStyle::Probe,
            segment_size: 64 << 20,
            segment_format: 2,
            sequencing: Sequencing::Caller,
            database_id: None,
            salvage: false,
            knobs: Knobs::default(),
        }
    }
}

impl Options {
    /// What the log is told.
    pub(crate) fn log(&self) -> LogOptions {
        LogOptions {
            policy: self.sync_policy,
            style: self.sync_style,
            segment_size: self.segment_size,
            version_one: self.segment_format == 1,
            single_file: false,
            database_id: self.database_id,
            salvage: self.salvage,
            knobs: self.knobs,
        }
    }

    /// Checks every field; the error names the first one out of range.
    pub fn validate(&self) -> Result<()> {
        const HOUR: Duration = Duration::from_secs(3600);
        const MICRO: Duration = Duration::from_micros(1);
        within("slot_count", u64::from(self.slot_count), 1, 65_535)?;
        if let EpochInterval::After(d) = self.epoch_interval
            && !(MICRO..=HOUR).contains(&d)
        {
            return Err(Error::invalid(format!(
                "epoch_interval: {d:?} is not within {MICRO:?} and {HOUR:?}"
            )));
        }
        if self.block_timeout > HOUR {
            return Err(Error::invalid(format!(
                "block_timeout: {:?} is above {HOUR:?}",
                self.block_timeout
            )));
        }
        within("buffer_capacity", self.buffer_capacity, 4096, 1 << 30)?;
        within("max_memory", self.max_memory, 64 << 10, 1 << 30)?;
        within("max_batch_bytes", self.max_batch_bytes, 4096, 1 << 30)?;
        if let Some(limit) = self.max_log_bytes {
            within("max_log_bytes", limit, 64 << 10, u64::MAX)?;
        }
        within("segment_size", self.segment_size, 16 << 10, 4 << 30)?;
        if !self.segment_size.is_multiple_of(4096) {
            return Err(Error::invalid(format!(
                "segment_size: {} is not a multiple of 4096",
                self.segment_size
            )));
        }
        within("segment_format", u64::from(self.segment_format), 1, 2)?;
        if self.database_id == Some([0; 16]) {
            return Err(Error::invalid("database_id: all zeros means none"));
        }
        Ok(())
    }
}

fn within(field: &str, value: u64, low: u64, high: u64) -> Result<()> {
    if (low..=high).contains(&value) {
        Ok(())
    } else {
        Err(Error::invalid(format!(
            "{field}: {value} is not within {low} and {high}"
        )))
    }
}
