//! The core's errors as Python exceptions.
//!
//! The classes are Python code (`epochwal._errors`), because they inherit
//! from two built-in ones; the one function here that makes them hands over
//! the kind's number and what is known of the place.

use epochwal::{Error, ErrorKind, Ticket};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyAny;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::shapes;

static FROM_CORE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// The exception for `error`; `staged` is the ticket of a batch that stays
/// staged although the call failed, where the error itself does not say.
pub(crate) fn exception(py: Python<'_>, error: &Error, staged: Option<Ticket>) -> PyErr {
    build(py, error, staged).unwrap_or_else(|failure| failure)
}

fn build(py: Python<'_>, error: &Error, staged: Option<Ticket>) -> PyResult<PyErr> {
    let ticket = match error.ticket().or(staged) {
        Some(ticket) => Some(shapes::ticket(py, ticket)?),
        None => None,
    };
    let value = FROM_CORE
        .import(py, "epochwal._errors", "from_core")?
        .call1((
            error.kind() as i32,
            error.to_string(),
            error.path().map(|path| path.as_os_str()),
            error.offset(),
            ticket,
            error.os_error(),
            error.lsn(),
        ))?;
    Ok(PyErr::from_value(value))
}

/// `InvalidError`: an argument of the right type with a wrong value.
pub(crate) fn invalid(py: Python<'_>, message: impl Into<String>) -> PyErr {
    exception(py, &Error::new(ErrorKind::Invalid, message), None)
}

/// `TypeError` that names what was given instead of what.
pub(crate) fn wrong_type(what: &str, wanted: &str, given: &Bound<'_, PyAny>) -> PyErr {
    match given.get_type().name() {
        Ok(name) => PyTypeError::new_err(format!("{what}: {wanted} is required, not '{name}'")),
        Err(error) => error,
    }
}

/// Runs a call into the core; a panic becomes an error of kind `Panic`
/// instead of unwinding into the interpreter.
pub(crate) fn catch<T>(call: impl FnOnce() -> epochwal::Result<T>) -> epochwal::Result<T> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|payload| {
        Err(Error::new(
            ErrorKind::Panic,
            format!("a panic was caught: {}", panic_text(&*payload)),
        ))
    })
}

fn panic_text(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

/// A call into the core that may block or touch a file, detached from the
/// interpreter.
pub(crate) fn detached<T: Send>(
    py: Python<'_>,
    call: impl FnOnce() -> epochwal::Result<T> + Send,
) -> PyResult<T> {
    py.detach(|| catch(call))
        .map_err(|error| exception(py, &error, None))
}
