//! A log's figures as a dict.

use epochwal::Stats;
use epochwal::coordinator::Latency;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::options::style_name;

pub(crate) fn dict<'py>(py: Python<'py>, stats: &Stats) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    for (name, value) in stats.fields() {
        dict.set_item(name, value)?;
    }
    dict.set_item("durable_epoch", stats.durable_epoch)?;
    dict.set_item("checkpoint_epoch", stats.checkpoint_epoch)?;
    dict.set_item("sync_style", style_name(stats.sync_style))?;
    dict.set_item("backlog", &stats.backlog)?;
    dict.set_item("wait", latency(py, &stats.wait)?)?;
    dict.set_item("flush", latency(py, &stats.flush)?)?;
    Ok(dict)
}

fn latency<'py>(py: Python<'py>, latency: &Latency) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    for (name, value) in [
        ("count", latency.count),
        ("sum", latency.sum),
        ("p50", latency.p50),
        ("p90", latency.p90),
        ("p99", latency.p99),
        ("p999", latency.p999),
        ("max", latency.max),
    ] {
        dict.set_item(name, value)?;
    }
    Ok(dict)
}
