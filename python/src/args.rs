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

/// One function for each argument that is nothing more than its type, under the
/// argument's name.
macro_rules! named {
    ($($name:ident: $of:ident -> $type:ty;)*) => {$(
        pub(crate) fn $name(given: &Bound<'_, PyAny>) -> PyResult<$type> {
            $of(stringify!($name), given)
        }
    )*};
}

named! {
    path: file -> PathBuf;
    target: file -> PathBuf;

    epoch: epoch_of -> u64;
    ticket: epoch_of -> u64;
    through_epoch: epoch_of -> u64;
    txn_id: unsigned64 -> u64;
    txn_epoch: unsigned32 -> u32;
    commit_seq: unsigned64 -> u64;
    page_size: unsigned32 -> u32;

    lsn: unsigned64 -> u64;
    term: unsigned64 -> u64;
    new_term: unsigned64 -> u64;
    timestamp_ms: time_ms -> u64;
    since_lsn: unsigned64 -> u64;
    sent_lsn: unsigned64 -> u64;

    id: text -> String;
    region: text_or_none -> Option<String>;
    policy: text -> String;
    level: text -> String;
    generation: unsigned64 -> u64;
    written: unsigned64 -> u64;
    durable: unsigned64 -> u64;
    applied: unsigned64 -> u64;
    apply_errors: unsigned64 -> u64;
    divergences: unsigned64 -> u64;
    number: unsigned64 -> u64;
    now_unix_ms: time_ms -> u64;

    degrade: flag -> bool;
    delete_segments: flag -> bool;
    dense: flag -> bool;
    durable_prefix: flag -> bool;
    rebootstrapping: flag -> bool;
    salvage: flag -> bool;
    salvage_slots: flag -> bool;
    shared: flag -> bool;
    temporary: flag -> bool;
    verify_only: flag -> bool;
}

/// A path: `str`, `bytes` or anything with `__fspath__`.
fn file(what: &str, given: &Bound<'_, PyAny>) -> PyResult<PathBuf> {
    let py = given.py();
    let is_text = given.is_instance_of::<PyString>() || given.is_instance_of::<PyBytes>();
    if !is_text && !given.get_type().hasattr("__fspath__")? {
        let wanted = "a str, bytes or os.PathLike object";
        return Err(wrong_type(what, wanted, given));
    }
    let encoded = FSENCODE.import(py, "os", "fsencode")?.call1((given,))?;
    let bytes = encoded.cast::<PyBytes>()?.as_bytes();
    if bytes.is_empty() {
        return Err(invalid(py, format!("{what}: empty")));
    }
    if bytes.contains(&0) {
        return Err(invalid(py, format!("{what}: holds a null byte")));
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

fn text(what: &str, given: &Bound<'_, PyAny>) -> PyResult<String> {
    match given.cast::<PyString>() {
        Ok(text) => Ok(text.to_cow()?.into_owned()),
        Err(_) => Err(wrong_type(what, "a str", given)),
    }
}

fn text_or_none(what: &str, given: &Bound<'_, PyAny>) -> PyResult<Option<String>> {
    match given.is_none() {
        true => Ok(None),
        false => text(what, given).map(Some),
    }
}

/// `True` or `False`; what merely counts as one of them is more often a mistake.
fn flag(what: &str, given: &Bound<'_, PyAny>) -> PyResult<bool> {
    given
        .extract()
        .map_err(|_| wrong_type(what, "a bool", given))
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

fn unsigned64(what: &str, given: &Bound<'_, PyAny>) -> PyResult<u64> {
    unsigned(what, given, u64::MAX)
}

/// Milliseconds since 1970; 0 and `None`: the time of now.
fn time_ms(what: &str, given: &Bound<'_, PyAny>) -> PyResult<u64> {
    match given.is_none() {
        true => Ok(0),
        false => unsigned64(what, given),
    }
}

pub(crate) fn count(given: &Bound<'_, PyAny>) -> PyResult<usize> {
    Ok(unsigned("n", given, usize::MAX as u64)? as usize)
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

/// An epoch, or the ticket that names one.
fn epoch_of(what: &str, given: &Bound<'_, PyAny>) -> PyResult<u64> {
    if given.is_instance(shapes::TICKET.class(given.py())?)? {
        return unsigned64(&format!("{what}.epoch"), &given.get_item(0)?);
    }
    match unsigned64(what, given) {
        Err(error) if error.is_instance_of::<PyTypeError>(given.py()) => {
            Err(wrong_type(what, "a Ticket or an int", given))
        }
        result => result,
    }
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
