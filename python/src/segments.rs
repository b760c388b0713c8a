//! The log's files, without a coordinator; and version 1 by itself.

use epochwal::format::v1::Record;
use epochwal::recovery::{self, SegmentInfo};
use epochwal::segment;
use pyo3::prelude::*;
use pyo3::types::{PyAny, PyBytes, PyList, PyTuple};
use std::ffi::OsString;
use std::path::PathBuf;

use crate::args::{self, unsigned, unsigned32};
use crate::buffer::Bytes;
use crate::errors::{detached, wrong_type};
use crate::shapes::{RECORD, SEGMENT};

/// The highest epoch that recovery would give back; None where there is none.
#[pyfunction]
pub(crate) fn max_durable_epoch(
    py: Python<'_>,
    #[pyo3(from_py_with = args::path)] path: PathBuf,
) -> PyResult<Option<u64>> {
    detached(py, || recovery::max_durable_epoch(&path))
}

/// The log's segment files, in the order of their epochs.
#[pyfunction]
pub(crate) fn list_segments(
    py: Python<'_>,
    #[pyo3(from_py_with = args::path)] path: PathBuf,
) -> PyResult<Bound<'_, PyList>> {
    let segments = detached(py, || recovery::list_segments(&path))?;
    let list = PyList::empty(py);
    for segment in &segments {
        list.append(describe(py, segment)?)?;
    }
    Ok(list)
}

fn describe<'py>(py: Python<'py>, segment: &SegmentInfo) -> PyResult<Bound<'py, PyAny>> {
    SEGMENT.make(
        py,
        (
            segment.path.as_os_str(),
            segment.first_epoch,
            segment.last_epoch,
            segment.bytes,
            segment.version,
            segment.checkpointed,
        ),
    )
}

/// Deletes every segment of the log, under the writer's lock, and returns how
/// many there were. For a caller who has recovered and synced by itself.
/// Raises LockedError while a writer lives.
#[pyfunction]
pub(crate) fn cleanup_segments(
    py: Python<'_>,
    #[pyo3(from_py_with = args::path)] path: PathBuf,
) -> PyResult<usize> {
    detached(py, || recovery::cleanup_segments(&path))
}

/// The path of the segment of an epoch: "<db>-wal-seg-<16 hex digits>".
/// Touches no disk.
#[pyfunction]
pub(crate) fn segment_path(
    #[pyo3(from_py_with = args::path)] path: PathBuf,
    #[pyo3(from_py_with = args::epoch)] epoch: u64,
) -> OsString {
    segment::segment_path(&path, epoch).into_os_string()
}

/// Reads the version 1 segment of an epoch: all its records in the file's
/// order, aborted writes (whose end_seq is None) among them.
///
/// Version 1 has no checksum over its records: only their structure is
/// checked. Raises NotFoundError, CorruptError, FormatError.
#[pyfunction]
pub(crate) fn segment_read<'py>(
    py: Python<'py>,
    #[pyo3(from_py_with = args::path)] path: PathBuf,
    #[pyo3(from_py_with = args::epoch)] epoch: u64,
) -> PyResult<Bound<'py, PyList>> {
    let found = detached(py, || segment::read_segment(&path, epoch))?;
    let list = PyList::empty(py);
    for record in found.records {
        list.append(RECORD.make(
            py,
            (
                record.txn_id,
                record.txn_epoch,
                record.epoch,
                record.page_number,
                record.begin_seq,
                record.end_seq,
                PyBytes::new(py, &record.before),
                PyBytes::new(py, &record.after),
            ),
        )?)?;
    }
    Ok(list)
}

/// Writes the version 1 segment of an epoch from an iterable of
/// SegmentRecord, sorted into replay order, and returns its path. It is there
/// whole and on stable storage, or not at all. One that exists is never
/// replaced (ExistsError).
#[pyfunction]
pub(crate) fn segment_write<'py>(
    py: Python<'py>,
    #[pyo3(from_py_with = args::path)] path: PathBuf,
    #[pyo3(from_py_with = args::epoch)] epoch: u64,
    records: &Bound<'py, PyAny>,
) -> PyResult<OsString> {
    let records = records
        .try_iter()
        .map_err(|_| wrong_type("records", "an iterable of records", records))?
        .enumerate()
        .map(|(index, record)| Held::of(index, &record?))
        .collect::<PyResult<Vec<_>>>()?;
    let written = detached(py, || {
        let records: Vec<Record<'_>> = records.iter().map(Held::record).collect();
        segment::write_segment(&path, epoch, &records)
    })?;
    Ok(written.into_os_string())
}

/// Deletes the version 1 segment of an epoch, for good once it returns.
/// Raises NotFoundError, and FormatError for a segment of version 2, whose
/// log it would break.
#[pyfunction]
pub(crate) fn segment_delete(
    py: Python<'_>,
    #[pyo3(from_py_with = args::path)] path: PathBuf,
    #[pyo3(from_py_with = args::epoch)] epoch: u64,
) -> PyResult<()> {
    detached(py, || segment::delete_segment(&path, epoch))
}

/// A record whose images lie in Python objects.
struct Held {
    txn_id: u64,
    txn_epoch: u32,
    epoch: u64,
    page_number: u32,
    begin_seq: u64,
    end_seq: Option<u64>,
    before: Bytes,
    after: Bytes,
}

impl Held {
    fn of(index: usize, given: &Bound<'_, PyAny>) -> PyResult<Self> {
        let tuple = match given.cast::<PyTuple>() {
            Ok(tuple) if tuple.len() == 8 => tuple,
            _ => {
                let what = format!("records[{index}]");
                return Err(wrong_type(&what, "a SegmentRecord", given));
            }
        };
        let name = |part: &str| format!("records[{index}].{part}");
        let long = |at, part| unsigned(&name(part), &tuple.get_item(at)?, u64::MAX);
        let short = |at, part| unsigned32(&name(part), &tuple.get_item(at)?);
        let image = |at, part| Bytes::of(&tuple.get_item(at)?, || name(part));
        Ok(Held {
            txn_id: long(0, "txn_id")?,
            txn_epoch: short(1, "txn_epoch")?,
            epoch: long(2, "epoch")?,
            page_number: short(3, "page_number")?,
            begin_seq: long(4, "begin_seq")?,
            end_seq: match tuple.get_item(5)?.is_none() {
                true => None,
                false => Some(long(5, "end_seq")?),
            },
            before: image(6, "before")?,
            after: image(7, "after")?,
        })
    }

    fn record(&self) -> Record<'_> {
        Record {
            txn_id: self.txn_id,
            txn_epoch: self.txn_epoch,
            epoch: self.epoch,
            page_number: self.page_number,
            begin_seq: self.begin_seq,
            end_seq: self.end_seq,
            before: self.before.as_slice(),
            after: self.after.as_slice(),
        }
    }
}
