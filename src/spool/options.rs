//! The spool's configuration, its defaults and ranges.

use super::rdlw::TermOf;
use crate::error::{Error, Result};
use crate::format::record::MAX_PAYLOAD;
use crate::sequencer::{self, EpochInterval, Knobs, Sequencing, SyncPolicy, SyncStyle};
use std::time::Duration;

/// How a spool keeps its records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// In segments of groups.
    #[default]
    Native,
    /// In one file of the RDLW format, for consumers that read it: at
    /// `<data file name>.logical.wal`, version 3. Its limits are the format's: see
    /// `docs/spool.md`.
    Rdlw,
}

/// The configuration of a spool. `SpoolOptions::default()` is a good one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpoolOptions {
    /// See [`Format`]. A spool in one RDLW file that is opened as a native one is
    /// taken in; the other way is refused.
    pub format: Format,
    /// Finds the terms of records of RDLW versions 1 and 2 that the open takes in.
    pub term_of: Option<TermOf>,
    /// The largest payload that is taken, 1 byte to 256 MiB.
    pub max_payload: u64,
    /// Bytes of the newest records that are kept in memory for readers, up to
    /// 1 GiB; a spool in memory keeps no others, and wants 4 KiB or more.
    pub ring_bytes: u64,
    /// Records that a spool in memory keeps, 1 or more.
    pub ring_records: u64,
    /// Refuse gaps between LSNs.
    pub dense: bool,
    /// How long a submitted record on which nobody waits stays staged, 1 us
    /// to 1 hour.
    pub flush_interval: Duration,
    /// How long an append waits for room, up to 1 hour.
    pub block_timeout: Duration,
    /// Bytes staged and in flight, 64 KiB to 1 GiB. No append is larger.
    pub max_memory: u64,
    /// See [`SyncPolicy`].
    pub sync_policy: SyncPolicy,
    /// See [`SyncStyle`].
    pub sync_style: SyncStyle,
    /// The largest segment file, 16 KiB to 4 GiB, a multiple of 4096.
    pub segment_size: u64,
    /// Bytes of log past which an append answers "no space" until a prune, at
    /// least 64 KiB; none: no limit.
    pub max_log_bytes: Option<u64>,
    /// Move what is damaged and all beyond it aside, and open.
    pub salvage: bool,
    /// See [`Knobs`].
    #[doc(hidden)]
    pub knobs: Knobs,
}

impl Default for SpoolOptions {
    fn default() -> Self {
        SpoolOptions {
            format: Format::Native,
            term_of: None,
            max_payload: 64 << 20,
            ring_bytes: 16 << 20,
            ring_records: 1 << 20,
            dense: false,
            flush_interval: Duration::from_millis(10),
            block_timeout: Duration::from_secs(10),
            max_memory: 256 << 20,
            sync_policy: SyncPolicy::Full,
            sync_style: SyncStyle::Probe,
            segment_size: 64 << 20,
            max_log_bytes: None,
            salvage: false,
            knobs: Knobs::default(),
        }
    }
}

impl SpoolOptions {
    /// Checks every field; the error names the first one out of range.
    pub fn validate(&self) -> Result<()> {
        within("max_payload", self.max_payload, 1, MAX_PAYLOAD as u64)?;
        within("ring_bytes", self.ring_bytes, 0, 1 << 30)?;
        within("ring_records", self.ring_records, 1, u64::MAX)?;
        // Named as here; what is the sequencer's own keeps its name.
        const HOUR: Duration = Duration::from_secs(3600);
        const MICRO: Duration = Duration::from_micros(1);
        if !(MICRO..=HOUR).contains(&self.flush_interval) {
            return Err(Error::invalid(format!(
                "flush_interval: {:?} is not within {MICRO:?} and {HOUR:?}",
                self.flush_interval
            )));
        }
        self.sequencer().validate()
    }

    /// What the sequencer is told.
    pub(super) fn sequencer(&self) -> sequencer::Options {
        sequencer::Options {
            epoch_interval: EpochInterval::After(self.flush_interval),
            block_timeout: self.block_timeout,
            max_memory: self.max_memory,
            sync_policy: self.sync_policy,
            sync_style: self.sync_style,
            segment_size: self.segment_size,
            max_log_bytes: self.max_log_bytes,
            sequencing: Sequencing::Caller,
            salvage: self.salvage,
            knobs: self.knobs,
            ..sequencer::Options::default()
        }
    }
}

fn within(field: &str, value: u64, low: u64, high: u64) -> Result<()> {
    match (low..=high).contains(&value) {
        true => Ok(()),
        false => Err(Error::invalid(format!(
            "{field}: {value} is not within {low} and {high}"
        ))),
    }
}
