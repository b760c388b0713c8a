//! The frames of a batch, where Python keeps them.

use epochwal::{Frame, FrameSource};
use pyo3::prelude::*;
use pyo3::types::{PyAny, PyDict, PyList, PyString, PyTuple};

use crate::args::unsigned32;
use crate::buffer::Bytes;
use crate::errors::wrong_type;

struct Item {
    page_number: u32,
    db_size_if_commit: u32,
    data: Bytes,
}

/// Frames whose bytes lie in Python objects; the core copies them from there
/// straight into a lane.
pub(crate) struct Frames {
    items: Vec<Item>,
    bytes: usize,
}

impl Frames {
    /// Reads an iterable of `(page, bytes-like[, db_size])`.
    pub(crate) fn of(given: &Bound<'_, PyAny>) -> PyResult<Self> {
        let mut frames = Frames {
            items: Vec::new(),
            bytes: 0,
        };
        // A dict or a string iterates, but never over frames.
        if given.is_instance_of::<PyDict>() || given.is_instance_of::<PyString>() {
            return Err(wrong_type("frames", "an iterable of frames", given));
        }
        let iterator = given
            .try_iter()
            .map_err(|_| wrong_type("frames", "an iterable of frames", given))?;
        for frame in iterator {
            let item = item(frames.items.len(), &frame?)?;
            frames.bytes += item.data.len();
            frames.items.push(item);
        }
        Ok(frames)
    }

    /// Bytes of the pages together.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

fn item(index: usize, given: &Bound<'_, PyAny>) -> PyResult<Item> {
    let shape = || {
        wrong_type(
            &format!("frames[{index}]"),
            "a (page, data[, db_size]) tuple",
            given,
        )
    };
    let tuple = match given.cast::<PyTuple>() {
        Ok(tuple) => tuple.clone(),
        Err(_) => given.cast::<PyList>().map_err(|_| shape())?.to_tuple(),
    };
    let parts = tuple.len();
    if !(2..=3).contains(&parts) {
        return Err(pyo3::exceptions::PyTypeError::new_err(format!(
            "frames[{index}]: {parts} parts instead of (page, data[, db_size])"
        )));
    }
    let page = tuple.get_borrowed_item(0)?;
    let data = tuple.get_borrowed_item(1)?;
    let db_size_if_commit = if parts == 3 {
        number(index, "db_size", &*tuple.get_borrowed_item(2)?)?
    } else {
        0
    };
    Ok(Item {
        page_number: number(index, "page", &page)?,
        db_size_if_commit,
        data: Bytes::of(&data, || format!("frames[{index}].data"))?,
    })
}

/// A number of a frame; its name is only spelled out for an error.
fn number(index: usize, part: &str, given: &Bound<'_, PyAny>) -> PyResult<u32> {
    match given.extract::<u32>() {
        Ok(value) => Ok(value),
        Err(_) => unsigned32(&format!("frames[{index}].{part}"), given),
    }
}

impl FrameSource for Frames {
    fn count(&self) -> usize {
        self.items.len()
    }

    fn frame(&self, index: usize) -> Frame<'_> {
        let item = &self.items[index];
        Frame {
            page_number: item.page_number,
            db_size_if_commit: item.db_size_if_commit,
            data: item.data.as_slice(),
        }
    }
}
