//! The Python classes that results are made of, each looked up once.

use epochwal::Ticket;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyAny, PyTuple, PyType};

/// A named tuple defined in `epochwal._types`.
pub(crate) struct Shape {
    name: &'static str,
    class: PyOnceLock<Py<PyType>>,
}

pub(crate) static TICKET: Shape = Shape::new("Ticket");
pub(crate) static FRAME: Shape = Shape::new("Frame");
pub(crate) static BATCH: Shape = Shape::new("Batch");
pub(crate) static PAGES: Shape = Shape::new("Pages");
pub(crate) static EPOCHS: Shape = Shape::new("Epochs");
pub(crate) static SUSPECT: Shape = Shape::new("Suspect");
pub(crate) static REPORT: Shape = Shape::new("Report");
pub(crate) static SEGMENT: Shape = Shape::new("Segment");
pub(crate) static RECORD: Shape = Shape::new("SegmentRecord");

pub(crate) static SPOOL_TICKET: Shape = Shape::new("SpoolTicket");
pub(crate) static SPOOL_RECORD: Shape = Shape::new("SpoolRecord");
pub(crate) static SPOOL_SALVAGE: Shape = Shape::new("SpoolSalvage");
pub(crate) static SPOOL_REPORT: Shape = Shape::new("SpoolReport");
pub(crate) static BOUNDS: Shape = Shape::new("Bounds");
pub(crate) static TERM_START: Shape = Shape::new("TermStart");

pub(crate) static REGISTRATION: Shape = Shape::new("Registration");
pub(crate) static RESUME_PLAN: Shape = Shape::new("ResumePlan");
pub(crate) static ACK_RESULT: Shape = Shape::new("AckResult");
pub(crate) static SLOT: Shape = Shape::new("Slot");
pub(crate) static REPLICA: Shape = Shape::new("Replica");
pub(crate) static PROGRESS: Shape = Shape::new("Progress");
pub(crate) static EVENT: Shape = Shape::new("Event");

static TUPLE_NEW: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

impl Shape {
    const fn new(name: &'static str) -> Self {
        Shape {
            name,
            class: PyOnceLock::new(),
        }
    }

    pub(crate) fn class<'py>(&self, py: Python<'py>) -> PyResult<&Bound<'py, PyType>> {
        self.class.import(py, "epochwal._types", self.name)
    }

    /// An instance with these fields, a tuple. Goes to `tuple.__new__` as
    /// `namedtuple._make` does: the class's own `__new__` is Python code, and
    /// recovery makes one of these for each frame.
    pub(crate) fn make<'py, A>(&self, py: Python<'py>, fields: A) -> PyResult<Bound<'py, PyAny>>
    where
        A: IntoPyObject<'py>,
    {
        let tuple_new = TUPLE_NEW.get_or_try_init(py, || {
            let tuple = py.get_type::<PyTuple>();
            PyResult::Ok(tuple.getattr("__new__")?.unbind())
        })?;
        tuple_new.bind(py).call1((self.class(py)?, fields))
    }
}

pub(crate) fn ticket(py: Python<'_>, ticket: Ticket) -> PyResult<Bound<'_, PyAny>> {
    TICKET.make(py, (ticket.epoch, ticket.commit_seq))
}
