//! The Python module `epochwal._native`: a thin skin over the Rust core.
//!
//! What Python code can define as well as Rust (exceptions, named tuples, the
//! asyncio face) is defined there; this crate holds what has to touch bytes
//! or to wait. Three rules hold throughout: a call that may block or touch a
//! file runs detached from the interpreter; a panic becomes an exception; no
//! thread of the core ever calls into Python.

mod ack_watch;
mod alone;
mod args;
mod buffer;
mod coordinator;
mod cursor;
mod errors;
mod figures;
mod frames;
mod handle;
mod options;
mod primary;
mod primary_options;
mod primary_shapes;
mod rdlw;
mod records;
mod recovery;
mod segments;
mod shapes;
mod spool;
mod spool_options;
mod spool_reader;
mod spool_shapes;
mod waiting;

use pyo3::prelude::*;

// Nothing here relies on the interpreter's lock: each class is frozen, and what
// changes in it is behind a lock or an atomic of its own. A lock that is waited
// for while attached is held by nobody who runs Python meanwhile; the others
// (a cursor's, a recovery's) are only tried.
#[pymodule(gil_used = false)]
mod _native {
    #[pymodule_export]
    use super::ack_watch::AckWatch;
    #[pymodule_export]
    use super::coordinator::Coordinator;
    #[pymodule_export]
    use super::cursor::Cursor;
    #[pymodule_export]
    use super::primary::Primary;
    #[pymodule_export]
    use super::recovery::{Recovery, recover, recover_into_file, recover_pages, verify};
    #[pymodule_export]
    use super::segments::{
        cleanup_segments, list_segments, max_durable_epoch, segment_delete, segment_path,
        segment_read, segment_write,
    };
    #[pymodule_export]
    use super::spool::Spool;
    #[pymodule_export]
    use super::spool_reader::SpoolReader;
    #[pymodule_export]
    use super::spool_shapes::spool_salvage;

    #[pymodule_export]
    #[allow(non_upper_case_globals)]
    const __version__: &str = env!("CARGO_PKG_VERSION");
}
