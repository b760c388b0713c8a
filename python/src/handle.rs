//! What an object that owns a log does at its end.

use pyo3::exceptions::{PyResourceWarning, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyAny;

/// A handle that nobody closed: says so, as a file does.
pub(crate) fn warn_unclosed(py: Python<'_>, name: &str) {
    // An exception may be on its way while the object goes.
    let pending = PyErr::take(py);
    let warning = py.get_type::<PyResourceWarning>();
    let warned = std::ffi::CString::new(format!("unclosed {name}"))
        .map_err(|_| PyValueError::new_err("null byte"))
        .and_then(|text| PyErr::warn(py, &warning, &text, 1));
    if let Err(error) = warned {
        error.write_unraisable(py, None);
    }
    if let Some(error) = pending {
        error.restore(py);
    }
}

/// What `__exit__` answers: the body's exception goes on, and carries a note of
/// the close's.
pub(crate) fn leave(
    py: Python<'_>,
    what: &str,
    closed: PyResult<()>,
    body: Option<&Bound<'_, PyAny>>,
) -> PyResult<()> {
    match (closed, body) {
        (Err(error), Some(body)) if is_ours(py, &error)? => {
            let note = format!("closing the {what} failed too: {}", error.value(py));
            body.call_method1("add_note", (note,))?;
            Ok(())
        }
        (closed, _) => closed,
    }
}

/// The exception of a wait for an epoch, which says for which.
pub(crate) fn waited_for(py: Python<'_>, epoch: u64, error: PyErr) -> PyErr {
    match is_ours(py, &error).and_then(|ours| match ours {
        true => error.value(py).setattr("epoch", epoch),
        false => Ok(()),
    }) {
        Ok(()) => error,
        Err(failure) => failure,
    }
}

fn is_ours(py: Python<'_>, error: &PyErr) -> PyResult<bool> {
    let class = py.import("epochwal._errors")?.getattr("Error")?;
    error.value(py).is_instance(&class)
}

/// The answer of `__reduce__`.
pub(crate) fn no_pickle(what: &str) -> PyErr {
    PyTypeError::new_err(format!(
        "{what} cannot be pickled or copied: it belongs to its process"
    ))
}
