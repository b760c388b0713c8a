//! Records: where Python keeps them on the way in, and as it gets them.

use epochwal::spool::{Payload, Record, SpoolRecord};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyAny, PyBytes, PyDict, PyList, PyString, PyTuple};

use crate::args::unsigned;
use crate::buffer::Bytes;
use crate::errors::wrong_type;
use crate::shapes;

/// Payload bytes above which a copy lets other threads run.
const LARGE: usize = 64 << 10;

/// A record whose payload lies in a Python object.
pub(crate) struct Given {
    term: u64,
    lsn: u64,
    timestamp_ms: u64,
    payload: Bytes,
}

impl Given {
    pub(crate) fn new(
        term: u64,
        lsn: u64,
        timestamp_ms: u64,
        payload: &Bound<'_, PyAny>,
    ) -> PyResult<Given> {
        Ok(Given {
            term,
            lsn,
            timestamp_ms,
            payload: Bytes::of(payload, || "payload".to_owned())?,
        })
    }

    /// As the core takes it.
    pub(crate) fn record(&self) -> Record<'_> {
        Record {
            term: self.term,
            lsn: self.lsn,
            timestamp_ms: self.timestamp_ms,
            payload: self.payload.as_slice(),
        }
    }

    /// Reads an iterable of `(term, lsn, payload[, timestamp_ms])`.
    pub(crate) fn several(given: &Bound<'_, PyAny>) -> PyResult<Vec<Given>> {
        let refuse = || wrong_type("records", "an iterable of records", given);
        // A dict or a string iterates, but never over records; and one record
        // is a tuple, that iterates over its parts.
        let single = given.is_instance(shapes::SPOOL_RECORD.class(given.py())?)?;
        if single || given.is_instance_of::<PyDict>() || given.is_instance_of::<PyString>() {
            return Err(refuse());
        }
        let mut records = Vec::new();
        for record in given.try_iter().map_err(|_| refuse())? {
            let record = item(records.len(), &record?)?;
            records.push(record);
        }
        Ok(records)
    }
}

fn item(index: usize, given: &Bound<'_, PyAny>) -> PyResult<Given> {
    let tuple = match given.cast::<PyTuple>() {
        Ok(tuple) => tuple.clone(),
        Err(_) => match given.cast::<PyList>() {
            Ok(list) => list.to_tuple(),
            Err(_) => {
                let name = format!("records[{index}]");
                let wanted = "a (term, lsn, payload[, timestamp_ms]) tuple";
                return Err(wrong_type(&name, wanted, given));
            }
        },
    };
    let parts = tuple.len();
    if !(3..=4).contains(&parts) {
        return Err(PyTypeError::new_err(format!(
            "records[{index}]: {parts} parts instead of (term, lsn, payload[, timestamp_ms])"
        )));
    }
    let number = |part: usize, name: &str| {
        let given = tuple.get_item(part)?;
        match given.extract::<u64>() {
            Ok(value) => Ok(value),
            Err(_) => unsigned(&format!("records[{index}].{name}"), &given, u64::MAX),
        }
    };
    let timestamp_ms = match parts == 4 && !tuple.get_item(3)?.is_none() {
        true => number(3, "timestamp_ms")?,
        false => 0,
    };
    Ok(Given {
        term: number(0, "term")?,
        lsn: number(1, "lsn")?,
        timestamp_ms,
        payload: Bytes::of(&tuple.get_item(2)?, || format!("records[{index}].payload"))?,
    })
}

/// A record as Python gets it.
pub(crate) fn record<'py>(py: Python<'py>, record: &SpoolRecord) -> PyResult<Bound<'py, PyAny>> {
    let payload = bytes(py, &record.payload)?;
    let fields = (record.term, record.lsn, payload, record.timestamp_ms);
    shapes::SPOOL_RECORD.make(py, fields)
}

/// Several of them.
pub(crate) fn list<'py, 'a>(
    py: Python<'py>,
    records: impl IntoIterator<Item = &'a SpoolRecord>,
) -> PyResult<Bound<'py, PyList>> {
    let list = PyList::empty(py);
    for found in records {
        list.append(record(py, found)?)?;
    }
    Ok(list)
}

fn bytes<'py>(py: Python<'py>, payload: &Payload) -> PyResult<Bound<'py, PyBytes>> {
    if payload.len() < LARGE {
        return Ok(PyBytes::new(py, payload));
    }
    // Nobody else knows the object yet.
    PyBytes::new_with(py, payload.len(), |to| {
        py.detach(|| to.copy_from_slice(payload));
        Ok(())
    })
}
