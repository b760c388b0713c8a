//! The keywords of `Primary` that are not its spool's; rules as in `options`.

use epochwal::primary::PrimaryOptions;
use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::errors::{exception, invalid};
use crate::options::{Given, number, time};

pub(crate) struct Keywords<'py> {
    pub(crate) healthy_for: Given<'py>,
    pub(crate) horizon_lsns: Given<'py>,
    pub(crate) horizon_bytes: Given<'py>,
    pub(crate) idle_timeout: Given<'py>,
    pub(crate) max_slots: Given<'py>,
    pub(crate) save_interval: Given<'py>,
    pub(crate) trace_capacity: Given<'py>,
    pub(crate) salvage_slots: bool,
}

impl Keywords<'_> {
    pub(crate) fn options(self, py: Python<'_>) -> PyResult<PrimaryOptions> {
        let mut options = PrimaryOptions {
            salvage_slots: self.salvage_slots,
            ..PrimaryOptions::default()
        };
        if is_off("horizon_lsns", &self.horizon_lsns)? {
            options.horizon_lsns = None;
        } else if let Some(n) = number("horizon_lsns", self.horizon_lsns, u64::MAX)? {
            options.horizon_lsns = Some(n);
        }
        if !is_off("horizon_bytes", &self.horizon_bytes)? {
            options.horizon_bytes = number("horizon_bytes", self.horizon_bytes, u64::MAX)?;
        }
        if is_off("idle_timeout", &self.idle_timeout)? {
            options.idle_timeout = None;
        } else if let Some(limit) = time(py, "idle_timeout", self.idle_timeout)? {
            options.idle_timeout = Some(limit);
        }
        if let Some(limit) = time(py, "healthy_for", self.healthy_for)? {
            options.healthy_for = limit;
        }
        if let Some(interval) = time(py, "save_interval", self.save_interval)? {
            options.save_interval = interval;
        }
        for (name, given, field) in [
            ("max_slots", self.max_slots, &mut options.max_slots),
            (
                "trace_capacity",
                self.trace_capacity,
                &mut options.trace_capacity,
            ),
        ] {
            if let Some(n) = number(name, given, usize::MAX as u64)? {
                *field = n as usize;
            }
        }
        options
            .validate()
            .map_err(|error| exception(py, &error, None))?;
        Ok(options)
    }
}

/// Whether a limit is given as 'off'; another text is refused.
fn is_off(name: &str, given: &Given<'_>) -> PyResult<bool> {
    let Some(text) = given.as_ref().and_then(|g| g.cast::<PyString>().ok()) else {
        return Ok(false);
    };
    if text.to_cow()? == "off" {
        return Ok(true);
    }
    let why = format!("{name}: {} is neither a number nor 'off'", text.repr()?);
    Err(invalid(text.py(), why))
}
