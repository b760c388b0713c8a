//! Python arguments as the core's types. Each refusal names its argument.

use epochwal::spool::ReadLimit;
use pyo3::exceptions::{PyOverflowError, PyTypeError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyAny, PyBytes, PyString};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use crate::buffer::Bytes;
use crate::errors::{invalid, wrong_type};
use crate::options::Given;
use crate::shapes;

static FSENCODE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// A path: `str`, `bytes` or anything with `__fspath__`.
pub(crate) fn path(given: &Bound<'_, PyAny>) -> PyResult<PathBuf> {
    let py = given.py();
    let encoded = FSENCODE.import(py, "os", "fsencode")?.call1((given,))?;
    let bytes = encoded.cast::<PyBytes>()?.as_bytes();
    if bytes.is_empty() {
        return Err(invalid(py, "path: empty"));
    }
    if bytes.contains(&0) {
        return Err(invalid(py, "path: holds a null byte"));
    }
    Ok(PathBuf::from(OsStr::from_bytes(bytes)))
}

/// A path; `None`: no files.
pub(crate) fn path_or_none(given: &Bound<'_, PyAny>) -> PyResult<Option<PathBuf>> {
    match given.is_none() {
        true => Ok(None),
        false => path(given).map(Some),
    }
}

/// The name of a replica and its slot.
pub(crate) fn id(given: &Bound<'_, PyAny>) -> PyResult<String> {
    text("id", given)
}

pub(crate) fn region(given: &Bound<'_, PyAny>) -> PyResult<Option<String>> {
    match given.is_none() {
        true => Ok(None),
        false => text("region", given).map(Some),
    }
}

fn text(what: &str, given: &Bound<'_, PyAny>) -> PyResult<String> {
    match given.cast::<PyString>() {
        Ok(text) => Ok(text.to_cow()?.into_owned()),
        Err(_) => Err(wrong_type(what, "a str", given)),
    }
}

/// An integer from 0 to `max`.
pub(crate) fn unsigned(what: &str, given: &Bound<'_, PyAny>, max: u64) -> PyResult<u64> {
    let py = given.py();
    let refuse = || match given.str() {
        Ok(text) => invalid(py, format!("{what}: {text} is not within 0 and {max}")),
        Err(error) => error,
    };
    match given.extract::<u64>() {
        Ok(value) if value <= max => Ok(value),
        Ok(_) => Err(refuse()),
        Err(error) if error.is_instance_of::<PyOverflowError>(py) => Err(refuse()),
        Err(error) if error.is_instance_of::<PyTypeError>(py) => {
            Err(wrong_type(what, "an int", given))
        }
        Err(error) => Err(error),
    }
}

/// As [`unsigned`], for 32 bits.
pub(crate) fn unsigned32(what: &str, given: &Bound<'_, PyAny>) -> PyResult<u32> {
    // The bound makes the conversion exact.
    unsigned(what, given, u64::from(u32::MAX)).map(|value| value as u32)
}

pub(crate) fn txn_id(given: &Bound<'_, PyAny>) -> PyResult<u64> {
    unsigned("txn_id", given, u64::MAX)
}

pub(crate) fn txn_epoch(given: &Bound<'_, PyAny>) -> PyResult<u32> {
    unsigned32("txn_epoch", given)
}

pub(crate) fn commit_seq(given: &Bound<'_, PyAny>) -> PyResult<u64> {
    unsigned("commit_seq", given, u64::MAX)
}

pub(crate) fn lsn(given: &Bound<'_, PyAny>) -> PyResult<u64> {
    unsigned("lsn", given, u64::MAX)
}

pub(crate) fn term(given: &Bound<'_, PyAny>) -> PyResult<u64> {
    unsigned("term", given, u64::MAX)
}

pub(crate) fn new_term(given: &Bound<'_, PyAny>) -> PyResult<u64> {
    unsigned("new_term", given, u64::MAX)
}

/// A time of a record; 0 and `None`: that of now.
pub(crate) fn timestamp_ms(given: &Bound<'_, PyAny>) -> PyResult<u64> {
    match given.is_none() {
        true => Ok(0),
        false => unsigned("timestamp_ms", given, u64::MAX),
    }
}

pub(crate) fn since_lsn(given: &Bound<'_, PyAny>) -> PyResult<u64> {
    unsigned("since_lsn", given, u64::MAX)
}

pub(crate) fn sent_lsn(given: &Bound<'_, PyAny>) -> PyResult<u64> {
    unsigned("sent_lsn", given, u64::MAX)
}

pub(crate) fn written(given: &Bound<'_, PyAny>) -> PyResult<u64> {
    unsigned("written", given, u64::MAX)
}

pub(crate) fn durable(given: &Bound<'_, PyAny>) -> PyResult<u64> {
    unsigned("durable", given, u64::MAX)
}

pub(crate) fn applied(given: &Bound<'_, PyAny>) -> PyResult<u64> {
    unsigned("applied", given, u64::MAX)
}

pub(crate) fn apply_errors(given: &Bound<'_, PyAny>) -> PyResult<u64> {
    unsigned("apply_errors", given, u64::MAX)
}

pub(crate) fn divergences(given: &Bound<'_, PyAny>) -> PyResult<u64> {
    unsigned("divergences", given, u64::MAX)
}

/// The session of a replica.
pub(crate) fn session(given: &Bound<'_, PyAny>) -> PyResult<u64> {
    unsigned("generation", given, u64::MAX)
}

/// The number of an event.
pub(crate) fn number(given: &Bound<'_, PyAny>) -> PyResult<u64> {
    unsigned("number", given, u64::MAX)
}

pub(crate) fn count(given: &Bound<'_, PyAny>) -> PyResult<usize> {
    Ok(unsigned("n", given, usize::MAX as u64)? as usize)
}

/// A time of now; 0 and `None`: the system's.
pub(crate) fn now_unix_ms(given: &Bound<'_, PyAny>) -> PyResult<u64> {
    match given.is_none() {
        true => Ok(0),
        false => unsigned("now_unix_ms", given, u64::MAX),
    }
}

/// How much a read may give; `None`: the core's default.
pub(crate) fn read_limit(records: Given<'_>, bytes: Given<'_>) -> PyResult<ReadLimit> {
    let mut limit = ReadLimit::default();
    if let Some(given) = records {
        limit.records = unsigned("max_records", &given, usize::MAX as u64)? as usize;
        if limit.records == 0 {
            return Err(invalid(given.py(), "max_records: 0"));
        }
    }
    if let Some(given) = bytes {
        limit.bytes = unsigned("max_bytes", &given, usize::MAX as u64)? as usize;
    }
    Ok(limit)
}

pub(crate) fn page_size(given: &Bound<'_, PyAny>) -> PyResult<u32> {
    unsigned32("page_size", given)
}

/// An epoch, or the ticket that names one.
pub(crate) fn epoch(given: &Bound<'_, PyAny>) -> PyResult<u64> {
    if given.is_instance(shapes::TICKET.class(given.py())?)? {
        return unsigned("ticket.epoch", &given.get_item(0)?, u64::MAX);
    }
    unsigned("epoch", given, u64::MAX)
}

/// Seconds; a negative or nameless number is refused, one that is too large
/// for a clock is for ever.
pub(crate) fn seconds(what: &str, given: &Bound<'_, PyAny>) -> PyResult<Option<Duration>> {
    let py = given.py();
    let value: f64 = given.extract().map_err(|error: PyErr| {
        if error.is_instance_of::<PyTypeError>(py) {
            wrong_type(what, "a number of seconds", given)
        } else {
            error
        }
    })?;
    if value.is_nan() || value < 0.0 {
        return Err(invalid(
            py,
            format!("{what}: {value} is not a time to wait"),
        ));
    }
    Ok(Duration::try_from_secs_f64(value).ok())
}

/// A timeout: `None` waits for ever, 0 polls.
pub(crate) fn timeout(given: &Bound<'_, PyAny>) -> PyResult<Option<Duration>> {
    if given.is_none() {
        return Ok(None);
    }
    seconds("timeout", given)
}

/// A database's identity: 16 bytes, or `None`. Zeros are none, as in C.
pub(crate) fn database_id(given: &Bound<'_, PyAny>) -> PyResult<Option<[u8; 16]>> {
    if given.is_none() {
        return Ok(None);
    }
    let bytes = Bytes::of(given, || "database_id".to_owned())?;
    let id: [u8; 16] = bytes.as_slice().try_into().map_err(|_| {
        let length = bytes.len();
        invalid(
            given.py(),
            format!("database_id: {length} bytes instead of 16"),
        )
    })?;
    Ok(Some(id).filter(|id| *id != [0; 16]))
}
