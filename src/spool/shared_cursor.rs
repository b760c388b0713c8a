//! A cursor for those who can't borrow their spool: other languages.

use super::Spool;
use super::cursor::CursorAt;
use super::records::{ReadLimit, SpoolRecord};
use crate::error::{Error, ErrorKind, Result};
use crate::sync::{AtomicBool, Mutex, Ordering};
use std::sync::Arc;
use std::time::Duration;

/// A [`Cursor`](super::Cursor) that keeps its spool alive, though not open, and
/// that any thread may close while another one waits with it.
pub struct SharedCursor {
    spool: Arc<Spool>,
    at: Mutex<CursorAt>,
    closed: AtomicBool,
}

impl std::fmt::Debug for SharedCursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharedCursor")
            .field("spool", &self.spool)
            .finish_non_exhaustive()
    }
}

impl SharedCursor {
    /// Behind `lsn`, as [`Spool::cursor`].
    pub fn new(spool: &Arc<Spool>, lsn: u64) -> Result<SharedCursor> {
        spool.cursor(lsn)?;
        Ok(SharedCursor {
            spool: spool.clone(),
            at: Mutex::new(CursorAt::new(lsn)),
            closed: AtomicBool::new(false),
        })
    }

    /// As [`Cursor::next_batch`](super::Cursor::next_batch). Where `interrupted`
    /// is given it is asked about every 50 ms; true ends the wait as a timeout
    /// does. [`ErrorKind::Busy`] while another thread is in it,
    /// [`ErrorKind::Closed`] once it or its spool is closed.
    pub fn next_batch(
        &self,
        limit: ReadLimit,
        timeout: Option<Duration>,
        interrupted: Option<&mut dyn FnMut() -> bool>,
    ) -> Result<Vec<SpoolRecord>> {
        // First: a lock that is a parent's is never given back.
        self.spool.live()?;
        let Some(mut at) = self.at.try_lock() else {
            return Err(Error::new(
                ErrorKind::Busy,
                "the cursor is in use by another thread",
            ));
        };
        at.next_batch(&self.spool, limit, timeout, interrupted, &|| {
            let closed = self.closed.load(Ordering::SeqCst);
            closed.then(|| Error::new(ErrorKind::Closed, "the cursor is closed"))
        })
    }

    /// The spool that it reads.
    pub fn spool(&self) -> &Arc<Spool> {
        &self.spool
    }

    /// Ends it, also for a thread that waits with it now.
    pub fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.spool.shared.view.arrivals.wake_all();
    }
}
