//! What a spool takes and gives but for records, and its salvage.

use epochwal::spool::{Bounds, LostRange, Spool, SpoolTicket, Terms, TornTail};
use pyo3::prelude::*;
use pyo3::types::{PyAny, PyList};
use std::path::PathBuf;

use crate::args;
use crate::errors::{detached, wrong_type};
use crate::shapes;

pub(crate) fn ticket_shape(py: Python<'_>, ticket: SpoolTicket) -> PyResult<Bound<'_, PyAny>> {
    shapes::SPOOL_TICKET.make(py, (ticket.epoch, ticket.first_lsn, ticket.last_lsn))
}

pub(crate) fn ticket_of(given: &Bound<'_, PyAny>) -> PyResult<SpoolTicket> {
    if !given.is_instance(shapes::SPOOL_TICKET.class(given.py())?)? {
        return Err(wrong_type("ticket", "a SpoolTicket", given));
    }
    let part = |index: usize, name| args::unsigned(name, &given.get_item(index)?, u64::MAX);
    Ok(SpoolTicket {
        epoch: part(0, "ticket.epoch")?,
        first_lsn: part(1, "ticket.first_lsn")?,
        last_lsn: part(2, "ticket.last_lsn")?,
    })
}

pub(crate) fn bounds_of<'py>(py: Python<'py>, bounds: Bounds) -> PyResult<Bound<'py, PyAny>> {
    shapes::BOUNDS.make(
        py,
        (bounds.oldest_lsn, bounds.current_lsn, bounds.pruned_through),
    )
}

pub(crate) fn torn_of<'py>(py: Python<'py>, torn: &TornTail) -> PyResult<Bound<'py, PyAny>> {
    shapes::SUSPECT.make(
        py,
        (torn.path.as_os_str(), torn.offset, "torn", &torn.reason),
    )
}

pub(crate) fn terms_of<'py>(py: Python<'py>, terms: &Terms) -> PyResult<Bound<'py, PyList>> {
    let list = PyList::empty(py);
    for start in terms.entries() {
        list.append(shapes::TERM_START.make(py, (start.term, start.first_lsn))?)?;
    }
    Ok(list)
}

/// Pairs of the LSN below and the last of a range.
pub(crate) fn lost_of<'py>(py: Python<'py>, lost: &[LostRange]) -> PyResult<Bound<'py, PyList>> {
    PyList::new(py, lost.iter().map(|range| (range.after, range.through)))
}

/// Moves what is damaged in a spool, and all beyond it, aside, so that it opens
/// with what lies before; one without damage is left as it is. Returns
/// SpoolSalvage(moved, torn, bounds, lost). Raises NotFoundError where there is no
/// spool, LockedError while a writer or a reader lives.
#[pyfunction]
pub(crate) fn spool_salvage<'py>(
    py: Python<'py>,
    #[pyo3(from_py_with = args::path)] path: PathBuf,
) -> PyResult<Bound<'py, PyAny>> {
    let report = detached(py, || Spool::salvage(&path))?;
    let moved = PyList::empty(py);
    for path in &report.moved {
        moved.append(path.as_os_str())?;
    }
    let torn = report.torn.as_ref().map(|t| torn_of(py, t)).transpose()?;
    let lost = lost_of(py, &report.lost)?;
    shapes::SPOOL_SALVAGE.make(py, (moved, torn, bounds_of(py, report.bounds)?, lost))
}
