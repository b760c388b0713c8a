//! What Python says of RDLW files: the format of a spool, and where terms are.

use epochwal::spool::Format;
use epochwal::spool::rdlw::TermOf;
use epochwal::{Error, ErrorKind};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::sync::{Arc, Mutex};

use crate::args::unsigned;
use crate::errors::wrong_type;
use crate::options::Given;

pub(crate) const FORMATS: &[(&str, Format)] = &[("native", Format::Native), ("rdlw", Format::Rdlw)];

/// What a function of Python's has raised in the middle of a scan.
#[derive(Clone, Default)]
pub(crate) struct Raised(Arc<Mutex<Option<PyErr>>>);

/// The function as the core calls it, on the thread that scans.
pub(crate) fn term_of(given: Given<'_>) -> PyResult<(Option<TermOf>, Raised)> {
    let raised = Raised::default();
    let Some(function) = given else {
        return Ok((None, raised));
    };
    if !function.is_callable() {
        return Err(wrong_type("term_of", "a function or None", &function));
    }
    let (find, slot) = (function.unbind(), raised.clone());
    let found = TermOf::new(move |payload| {
        Python::attach(|py| {
            let term = find.bind(py).call1((PyBytes::new(py, payload),));
            term.and_then(|term| match term.is_none() {
                true => Ok(None),
                false => unsigned("term_of", &term, u64::MAX).map(Some),
            })
        })
        .map(|term| term.filter(|term| *term != 0))
        .map_err(|error| {
            *slot.0.lock().expect("nothing panics in it") = Some(error);
            Error::new(ErrorKind::Invalid, "term_of raised an exception")
        })
    });
    Ok((Some(found), raised))
}

impl Raised {
    /// What was raised comes before what became of it.
    pub(crate) fn first<T>(self, result: PyResult<T>) -> PyResult<T> {
        match self.0.lock().expect("nothing panics in it").take() {
            Some(error) => Err(error),
            None => result,
        }
    }
}
