//! What a primary gives: named tuples, and its figures as a dict.

use epochwal::primary::{
    AckResult, Event, EventKind, Origin, Outcome, PrimaryStats, Progress, Registration,
    ReplicaInfo, Resume, SlotInfo,
};
use pyo3::prelude::*;
use pyo3::types::{PyAny, PyDict, PyList, PyTuple};

use crate::shapes;

pub(crate) fn registration<'py>(
    py: Python<'py>,
    given: &Registration,
) -> PyResult<Bound<'py, PyAny>> {
    let fields = (given.restart_lsn, given.generation, given.created);
    shapes::REGISTRATION.make(py, fields)
}

pub(crate) fn plan(py: Python<'_>, resume: Resume) -> PyResult<Bound<'_, PyAny>> {
    let (kind, resume_lsn, cause, common_lsn) = match resume {
        Resume::Partial { resume_lsn } => ("partial", Some(resume_lsn), None, None),
        Resume::Rebootstrap { cause } => ("rebootstrap", None, Some(cause.name()), None),
        Resume::Diverged { common_lsn } => ("diverged", None, None, Some(common_lsn)),
    };
    shapes::RESUME_PLAN.make(py, (kind, resume_lsn, cause, common_lsn))
}

pub(crate) fn acks(py: Python<'_>, result: AckResult) -> PyResult<Bound<'_, PyAny>> {
    let outcome = match result.outcome {
        Outcome::Reached => "reached",
        Outcome::TimedOut => "timed-out",
        Outcome::Unmeetable => "unmeetable",
    };
    let fields = (outcome, result.degraded, result.observed, result.required);
    shapes::ACK_RESULT.make(py, fields)
}

pub(crate) fn slot<'py>(py: Python<'py>, info: &SlotInfo) -> PyResult<Bound<'py, PyAny>> {
    let slot = &info.slot;
    let origin = match slot.origin {
        Origin::Pinned => "pinned",
        Origin::Given => "given",
        Origin::Acknowledged => "acknowledged",
    };
    let gone = slot.invalidation;
    // Longer than the tuples that can be made from one of Rust.
    let fields: [Bound<'_, PyAny>; 15] = [
        (&slot.id).into_pyobject(py)?.into_any(),
        slot.region.as_ref().into_pyobject(py)?.into_any(),
        slot.restart_lsn.into_pyobject(py)?.into_any(),
        slot.confirmed_lsn.into_pyobject(py)?.into_any(),
        info.saved_lsn.into_pyobject(py)?.into_any(),
        slot.created_ms.into_pyobject(py)?.into_any(),
        slot.last_seen_ms.into_pyobject(py)?.into_any(),
        flag(py, slot.temporary),
        flag(py, slot.registered),
        flag(py, slot.rebootstrapping),
        origin.into_pyobject(py)?.into_any(),
        gone.map(|g| g.cause.name()).into_pyobject(py)?.into_any(),
        gone.map(|g| g.at_ms).into_pyobject(py)?.into_any(),
        info.wal_status.name().into_pyobject(py)?.into_any(),
        info.safe_wal_size.into_pyobject(py)?.into_any(),
    ];
    shapes::SLOT.make(py, PyTuple::new(py, fields)?)
}

pub(crate) fn slots<'py>(py: Python<'py>, all: &[SlotInfo]) -> PyResult<Bound<'py, PyList>> {
    let list = PyList::empty(py);
    for info in all {
        list.append(slot(py, info)?)?;
    }
    Ok(list)
}

pub(crate) fn replica<'py>(py: Python<'py>, info: &ReplicaInfo) -> PyResult<Bound<'py, PyAny>> {
    let fields: [Bound<'_, PyAny>; 14] = [
        (&info.id).into_pyobject(py)?.into_any(),
        info.region.as_ref().into_pyobject(py)?.into_any(),
        info.generation.into_pyobject(py)?.into_any(),
        info.connected_at_ms.into_pyobject(py)?.into_any(),
        info.last_seen_ms.into_pyobject(py)?.into_any(),
        flag(py, info.healthy),
        flag(py, info.rebootstrapping),
        flag(py, info.counts),
        info.sent_lsn.into_pyobject(py)?.into_any(),
        info.written_lsn.into_pyobject(py)?.into_any(),
        info.durable_lsn.into_pyobject(py)?.into_any(),
        info.applied_lsn.into_pyobject(py)?.into_any(),
        info.apply_errors.into_pyobject(py)?.into_any(),
        info.divergences.into_pyobject(py)?.into_any(),
    ];
    shapes::REPLICA.make(py, PyTuple::new(py, fields)?)
}

pub(crate) fn progress(py: Python<'_>, progress: Progress) -> PyResult<Bound<'_, PyAny>> {
    let fields = (
        progress.replicas,
        progress.highest_sent,
        progress.lowest_applied,
        progress.lag,
        progress.safe_replay_lsn,
        progress.retention_floor,
        progress.quorum_lsn,
    );
    shapes::PROGRESS.make(py, fields)
}

pub(crate) fn event<'py>(py: Python<'py>, event: &Event) -> PyResult<Bound<'py, PyAny>> {
    let details = PyDict::new(py);
    let kind = match &event.kind {
        EventKind::SlotInvalidated {
            id,
            cause,
            restart_lsn,
        } => {
            details.set_item("id", id)?;
            details.set_item("cause", cause.name())?;
            details.set_item("restart_lsn", restart_lsn)?;
            "slot-invalidated"
        }
        EventKind::CommitDegraded {
            lsn,
            observed,
            required,
        } => {
            details.set_item("lsn", lsn)?;
            details.set_item("observed", observed)?;
            details.set_item("required", required)?;
            "commit-degraded"
        }
        EventKind::StoreTornTail { bytes } => {
            details.set_item("bytes", bytes)?;
            "store-torn-tail"
        }
        EventKind::StoreSalvaged { slots } => {
            details.set_item("slots", slots)?;
            "store-salvaged"
        }
        EventKind::SlotsImported { slots } => {
            details.set_item("slots", slots)?;
            "slots-imported"
        }
        EventKind::StoreWithoutSpace => "store-without-space",
        EventKind::StoreFailed { message } => {
            details.set_item("message", message)?;
            "store-failed"
        }
    };
    shapes::EVENT.make(py, (event.number, event.at_ms, kind, details))
}

/// A dict of all fields: one that is forgotten here doesn't compile.
macro_rules! figures {
    ($py:expr, $stats:expr, $($name:ident)*) => {{
        let PrimaryStats { $($name),* } = $stats;
        let dict = PyDict::new($py);
        $(dict.set_item(stringify!($name), $name)?;)*
        Ok(dict)
    }};
}

pub(crate) fn figures(py: Python<'_>, stats: PrimaryStats) -> PyResult<Bound<'_, PyDict>> {
    figures!(py, stats,
        slots valid_slots replicas healthy_replicas registrations reconnects
        acks acks_unknown acks_fenced acks_ahead acks_invalid
        invalidated_wal_removed invalidated_horizon invalidated_idle
        resumes_partial resumes_diverged rebootstraps_unknown rebootstraps_wal_removed
        rebootstraps_horizon rebootstraps_idle
        waits_reached waits_timed_out waits_unmeetable waits_degraded waiting
        saves save_bytes compactions saves_without_space prunes)
}

pub(crate) fn flag(py: Python<'_>, value: bool) -> Bound<'_, PyAny> {
    value
        .into_pyobject(py)
        .expect("infallible")
        .to_owned()
        .into_any()
}
