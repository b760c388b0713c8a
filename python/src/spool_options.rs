//! The keywords of `Spool` as the core's options; rules as in `options`.

use epochwal::spool::SpoolOptions;
use pyo3::prelude::*;

use crate::args::unsigned;
use crate::errors::exception;
use crate::options::{Given, POLICIES, STYLES, choose, number, time};
use crate::rdlw::{FORMATS, Raised, term_of};

pub(crate) struct Keywords<'py> {
    pub(crate) max_payload: Given<'py>,
    pub(crate) ring_bytes: Given<'py>,
    pub(crate) ring_records: Given<'py>,
    pub(crate) dense: bool,
    pub(crate) flush_interval: Given<'py>,
    pub(crate) block_timeout: Given<'py>,
    pub(crate) max_memory: Given<'py>,
    pub(crate) max_log_bytes: Given<'py>,
    pub(crate) sync_policy: Given<'py>,
    pub(crate) sync_style: Given<'py>,
    pub(crate) segment_size: Given<'py>,
    pub(crate) salvage: bool,
    pub(crate) format: Given<'py>,
    pub(crate) term_of: Given<'py>,
}

impl Keywords<'_> {
    /// The options, and what a function among them may raise while they are used.
    pub(crate) fn options(self, py: Python<'_>) -> PyResult<(SpoolOptions, Raised)> {
        let mut options = SpoolOptions {
            dense: self.dense,
            salvage: self.salvage,
            ..SpoolOptions::default()
        };
        for (name, given, field) in [
            ("max_payload", self.max_payload, &mut options.max_payload),
            ("ring_records", self.ring_records, &mut options.ring_records),
            ("max_memory", self.max_memory, &mut options.max_memory),
            ("segment_size", self.segment_size, &mut options.segment_size),
        ] {
            if let Some(n) = number(name, given, u64::MAX)? {
                *field = n;
            }
        }
        // Here 0 says something: no ring.
        if let Some(given) = self.ring_bytes {
            options.ring_bytes = unsigned("ring_bytes", &given, u64::MAX)?;
        }
        options.max_log_bytes = number("max_log_bytes", self.max_log_bytes, u64::MAX)?;
        if let Some(interval) = time(py, "flush_interval", self.flush_interval)? {
            options.flush_interval = interval;
        }
        if let Some(limit) = time(py, "block_timeout", self.block_timeout)? {
            options.block_timeout = limit;
        }
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
        choose("format", self.format, FORMATS, &mut options.format)?;
        let (found, raised) = term_of(self.term_of)?;
        options.term_of = found;
        options
            .validate()
            .map_err(|error| exception(py, &error, None))?;
        Ok((options, raised))
    }
}
