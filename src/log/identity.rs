//! Whose log it is: the log's own identity, and the database's.

use super::files::LogFiles;
use crate::error::{Error, ErrorKind, Result};

/// An identity for a new log.
pub(super) fn random_id() -> Result<[u8; 16]> {
    let mut id = [0u8; 16];
    // SAFETY: the pointer and the length are those of `id`.
    let got = unsafe { libc::getrandom(id.as_mut_ptr().cast(), id.len(), 0) };
    if got != id.len() as isize {
        let e = std::io::Error::last_os_error();
        return Err(Error::new(ErrorKind::Io, format!("getrandom: {e}")));
    }
    Ok(id)
}

pub(crate) fn check_database_id(files: &LogFiles, wanted: Option<[u8; 16]>) -> Result<()> {
    let Some(wanted) = wanted else {
        return Ok(());
    };
    let (own, empty) = match &files.state {
        Some(state) => (state.database_id, files.segments.is_empty()),
        None => ([0; 16], files.segments.is_empty()),
    };
    let unmarked = own == [0; 16] && empty;
    if own == wanted || unmarked {
        return Ok(());
    }
    let why = if own == [0; 16] {
        "database_id: the log was made without one"
    } else {
        "database_id: the log belongs to another database"
    };
    Err(Error::new(ErrorKind::Format, why).in_file(&files.names.state()))
}
