//! Bytes-like objects, borrowed without a copy.

use pyo3::exceptions::{PyBufferError, PyTypeError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyAny, PyBytes};
use std::mem::MaybeUninit;

use crate::errors::{invalid, wrong_type};

/// The contiguous bytes of a Python object, held in place.
///
/// They may be read while the interpreter runs other threads. Of `bytes`
/// nothing can change; of a writable object (`bytearray`, `mmap`, an array)
/// another thread may change the contents meanwhile, but neither free nor
/// move nor resize them: what is read is then some mixture of old and new,
/// as with every function of Python's own library that reads a buffer with
/// the lock released.
pub(crate) struct Bytes {
    start: *const u8,
    len: usize,
    // Never read: what keeps the memory where it is.
    _hold: Hold,
}

#[expect(dead_code, reason = "held for their destructors")]
enum Hold {
    Object(Py<PyBytes>),
    Buffer(Export),
}

// SAFETY: the memory is pinned by `_hold`, whatever thread looks at it, and
// both variants of `Hold` are `Send` and `Sync` by themselves.
unsafe impl Send for Bytes {}
// SAFETY: as above; shared access only reads.
unsafe impl Sync for Bytes {}

impl Bytes {
    /// Borrows the bytes of `object`; `what` names it for an error.
    pub(crate) fn of(object: &Bound<'_, PyAny>, what: impl Fn() -> String) -> PyResult<Self> {
        if let Ok(bytes) = object.cast::<PyBytes>() {
            let slice = bytes.as_bytes();
            return Ok(Bytes {
                start: slice.as_ptr(),
                len: slice.len(),
                _hold: Hold::Object(bytes.clone().unbind()),
            });
        }
        let export = Export::of(object).map_err(|error| explain(error, object, &what()))?;
        let (start, len) = export.extent();
        Ok(Bytes {
            start,
            len,
            _hold: Hold::Buffer(export),
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        if self.len == 0 {
            return &[];
        }
        // SAFETY: `start` points to `len` bytes that `_hold` keeps allocated
        // and in place; see the type for what another thread may do to them.
        unsafe { std::slice::from_raw_parts(self.start, self.len) }
    }
}

/// What `PyObject_GetBuffer` raised, in words that name the argument.
fn explain(error: PyErr, object: &Bound<'_, PyAny>, what: &str) -> PyErr {
    let py = object.py();
    if error.is_instance_of::<PyTypeError>(py) {
        wrong_type(what, "a bytes-like object", object)
    } else if error.is_instance_of::<PyBufferError>(py) {
        invalid(
            py,
            format!("{what}: not contiguous in memory ({})", error.value(py)),
        )
    } else if error.is_instance_of::<PyValueError>(py) {
        // What numpy says of an array that is not contiguous, and memoryview of
        // one that was released.
        invalid(py, format!("{what}: {}", error.value(py)))
    } else {
        error
    }
}

/// A `Py_buffer`, released when dropped. Boxed, because an exporter may fill
/// it with pointers into itself.
struct Export(Box<ffi::Py_buffer>);

// SAFETY: the struct is only read between its making and its release, and
// `Drop` attaches to the interpreter before it releases.
unsafe impl Send for Export {}
// SAFETY: as above.
unsafe impl Sync for Export {}

impl Export {
    /// Asks for a simple buffer: the exporter refuses where its memory is not
    /// contiguous.
    fn of(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        let mut view = Box::new(MaybeUninit::<ffi::Py_buffer>::zeroed());
        // SAFETY: the object is alive and the interpreter attached, and the
        // view is writable memory of the right size.
        let status = unsafe {
            ffi::PyObject_GetBuffer(object.as_ptr(), view.as_mut_ptr(), ffi::PyBUF_SIMPLE)
        };
        if status != 0 {
            return Err(PyErr::fetch(object.py()));
        }
        // SAFETY: it was zeroed, which is a valid `Py_buffer`, then filled.
        Ok(Export(unsafe { view.assume_init() }))
    }

    fn extent(&self) -> (*const u8, usize) {
        // A simple buffer's length is never negative.
        (self.0.buf.cast_const().cast(), self.0.len.max(0) as usize)
    }
}

impl Drop for Export {
    fn drop(&mut self) {
        // Where the interpreter is gone, so is what the buffer belonged to.
        Python::try_attach(|_| {
            // SAFETY: filled by `PyObject_GetBuffer`, released once, attached.
            unsafe { ffi::PyBuffer_Release(&mut *self.0) }
        });
    }
}
