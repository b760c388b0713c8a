//! The keywords of `Coordinator` as the core's options.
//!
//! `None` and, as in C, zero stand for a field's default; ranges are the
//! core's to check.

use epochwal::Options;
use epochwal::coordinator::{EpochInterval, Overflow, Sequencing, SyncPolicy, SyncStyle};
use pyo3::prelude::*;
use pyo3::types::{PyAny, PyString};
use std::time::Duration;

use crate::args::{seconds, unsigned};
use crate::errors::{exception, invalid, wrong_type};

pub(crate) type Given<'py> = Option<Bound<'py, PyAny>>;

/// The keywords as they were given.
pub(crate) struct Keywords<'py> {
    pub(crate) slot_count: Given<'py>,
    pub(crate) epoch_interval: Given<'py>,
    pub(crate) buffer_capacity: Given<'py>,
    pub(crate) overflow_policy: Given<'py>,
    pub(crate) block_timeout: Given<'py>,
    pub(crate) max_memory: Given<'py>,
    pub(crate) max_batch_bytes: Given<'py>,
    pub(crate) max_log_bytes: Given<'py>,
    pub(crate) sync_policy: Given<'py>,
    pub(crate) sync_style: Given<'py>,
    pub(crate) segment_size: Given<'py>,
    pub(crate) segment_format: Given<'py>,
    pub(crate) sequencing: Given<'py>,
    pub(crate) database_id: Option<[u8; 16]>,
    pub(crate) salvage: bool,
}

impl Keywords<'_> {
    pub(crate) fn options(self, py: Python<'_>) -> PyResult<Options> {
        let mut options = Options {
            database_id: self.database_id,
            salvage: self.salvage,
            ..Options::default()
        };
        let narrow = u64::from(u32::MAX);
        if let Some(n) = number("slot_count", self.slot_count, narrow)? {
            options.slot_count = n as u32;
        }
        if let Some(n) = number("segment_format", self.segment_format, narrow)? {
            options.segment_format = n as u32;
        }
        for (name, given, field) in [
            (
                "buffer_capacity",
                self.buffer_capacity,
                &mut options.buffer_capacity,
            ),
            ("max_memory", self.max_memory, &mut options.max_memory),
            (
                "max_batch_bytes",
                self.max_batch_bytes,
                &mut options.max_batch_bytes,
            ),
            ("segment_size", self.segment_size, &mut options.segment_size),
        ] {
            if let Some(n) = number(name, given, u64::MAX)? {
                *field = n;
            }
        }
        options.max_log_bytes = number("max_log_bytes", self.max_log_bytes, u64::MAX)?;
        if let Some(interval) = interval(py, self.epoch_interval)? {
            options.epoch_interval = interval;
        }
        if let Some(time) = time(py, "block_timeout", self.block_timeout)? {
            options.block_timeout = time;
        }
        choose(
            "overflow_policy",
            self.overflow_policy,
            OVERFLOWS,
            &mut options.overflow,
        )?;
        choose(
            "sync_policy",
            self.sync_policy,
            POLICIES,
            &mut options.sync_policy,
        )?;
        choose(
            "sync_style",
            self.sync_style,
            STYLES,
            &mut options.sync_style,
        )?;
        choose(
            "sequencing",
            self.sequencing,
            SEQUENCINGS,
            &mut options.sequencing,
        )?;
        options
            .validate()
            .map_err(|error| exception(py, &error, None))?;
        Ok(options)
    }
}

const OVERFLOWS: &[(&str, Overflow)] = &[
    ("spill", Overflow::Spill),
    ("block", Overflow::Block),
    ("refuse", Overflow::Refuse),
];
pub(crate) const POLICIES: &[(&str, SyncPolicy)] = &[
    ("full", SyncPolicy::Full),
    ("normal", SyncPolicy::Normal),
    ("off", SyncPolicy::Off),
];
pub(crate) const STYLES: &[(&str, SyncStyle)] = &[
    ("probe", SyncStyle::Probe),
    ("direct", SyncStyle::Direct),
    ("buffered", SyncStyle::Buffered),
];

/// The name of a style.
pub(crate) fn style_name(style: SyncStyle) -> &'static str {
    let named = STYLES.iter().find(|(_, known)| *known == style);
    named.map_or("probe", |(name, _)| name)
}

const SEQUENCINGS: &[(&str, Sequencing)] = &[
    ("caller", Sequencing::Caller),
    ("coordinator", Sequencing::Coordinator),
];

pub(crate) fn number(name: &str, given: Given<'_>, max: u64) -> PyResult<Option<u64>> {
    match given {
        None => Ok(None),
        Some(given) => Ok(Some(unsigned(name, &given, max)?).filter(|n| *n != 0)),
    }
}

/// A time that an option may be set to: the clock's limits are far beyond the
/// core's, which name theirs.
pub(crate) fn time(py: Python<'_>, name: &str, given: Given<'_>) -> PyResult<Option<Duration>> {
    let Some(given) = given else { return Ok(None) };
    match seconds(name, &given)? {
        Some(time) => Ok(Some(time).filter(|time| !time.is_zero())),
        None => Err(invalid(py, format!("{name}: {given} is not a time"))),
    }
}

fn interval(py: Python<'_>, given: Given<'_>) -> PyResult<Option<EpochInterval>> {
    if let Some(text) = given.as_ref().and_then(|g| g.cast::<PyString>().ok()) {
        return if text.to_cow()? == "off" {
            Ok(Some(EpochInterval::Off))
        } else {
            let text = text.repr()?;
            Err(invalid(
                py,
                format!("epoch_interval: {text} is neither a number of seconds nor 'off'"),
            ))
        };
    }
    Ok(time(py, "epoch_interval", given)?.map(EpochInterval::After))
}

pub(crate) fn choose<T: Copy>(
    name: &str,
    given: Given<'_>,
    choices: &[(&str, T)],
    field: &mut T,
) -> PyResult<()> {
    let Some(given) = given else { return Ok(()) };
    let Ok(text) = given.cast::<PyString>() else {
        return Err(wrong_type(name, "a str", &given));
    };
    let text = text.to_cow()?;
    let Some((_, value)) = choices.iter().find(|(word, _)| *word == text) else {
        let words: Vec<String> = choices
            .iter()
            .map(|(word, _)| format!("'{word}'"))
            .collect();
        return Err(invalid(
            given.py(),
            format!("{name}: '{text}' is none of {}", words.join(", ")),
        ));
    };
    *field = *value;
    Ok(())
}
