//! One coordinator per database and process, for callers that do not know of
//! each other.

use crate::error::{Error, ErrorKind, Result};
use crate::sequencer::{Limit, Options, Sequencer};
use crate::storage::fork_generation;
use crate::sync::{Mutex, Ordering};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicPtr;
use std::time::Duration;

struct Entry {
    core: Arc<Sequencer>,
    handles: usize,
}

struct Table {
    born: u32,
    entries: Mutex<HashMap<PathBuf, Entry>>,
}

static TABLE: AtomicPtr<Table> = AtomicPtr::new(std::ptr::null_mut());

/// The process's table. The child of a fork gets a new one: the old one's
/// lock may have been held by a thread that is not there any more.
fn table() -> &'static Table {
    let born = fork_generation();
    let current = TABLE.load(Ordering::SeqCst);
    // SAFETY: null, or a table that was leaked below and lives for ever.
    if let Some(table) = unsafe { current.as_ref() }
        && table.born == born
    {
        return table;
    }
    let fresh = Box::into_raw(Box::new(Table {
        born,
        entries: Mutex::new(HashMap::new()),
    }));
    match TABLE.compare_exchange(current, fresh, Ordering::SeqCst, Ordering::SeqCst) {
        // SAFETY: just made, never freed.
        Ok(_) => unsafe { &*fresh },
        Err(other) => {
            // SAFETY: nobody else has seen it; and the other is a leaked table.
            unsafe {
                drop(Box::from_raw(fresh));
                &*other
            }
        }
    }
}

/// The coordinator of the database at the resolved `path`: the one there is,
/// or the one that `open` gives.
pub(super) fn get_or_open(
    path: &Path,
    options: &Options,
    open: impl FnOnce() -> Result<Arc<Sequencer>>,
) -> Result<Arc<Sequencer>> {
    let mut entries = table().entries.lock();
    if let Some(entry) = entries.get_mut(path) {
        if entry.core.options != *options {
            return Err(Error::invalid(
                "options: this database is open in this process with others",
            )
            .in_file(path));
        }
        entry.handles += 1;
        return Ok(entry.core.clone());
    }
    let core = open()?;
    entries.insert(
        path.to_path_buf(),
        Entry {
            core: core.clone(),
            handles: 1,
        },
    );
    Ok(core)
}

/// Gives a handle back, with all that was staged made durable; the last one
/// closes. A close that times out keeps it.
pub(super) fn give_back(core: &Arc<Sequencer>, timeout: Option<Duration>) -> Result<()> {
    let limit = Limit::after(timeout);
    // Without the table's lock: it takes as long as the disk does. Another
    // failure than a timeout comes up again where it matters.
    if let Err(e) = core.flush(limit.left())
        && e.kind() == ErrorKind::Timeout
    {
        return Err(e);
    }
    let entries = match limit.left() {
        None => Some(table().entries.lock()),
        Some(left) => table().entries.try_lock_for(left),
    };
    let Some(mut entries) = entries else {
        return Err(Error::new(
            ErrorKind::Timeout,
            "another database is being opened or closed: still open",
        ));
    };
    let Some(entry) = entries
        .get_mut(&core.path)
        .filter(|e| Arc::ptr_eq(&e.core, core))
    else {
        return core.close(limit.left());
    };
    if entry.handles > 1 {
        entry.handles -= 1;
        return Ok(());
    }
    // The table stays locked, so that nobody opens what is being closed.
    let result = core.close(limit.left());
    let open = matches!(&result, Err(e) if e.kind() == ErrorKind::Timeout);
    if !open {
        entries.remove(&core.path);
    }
    result
}
