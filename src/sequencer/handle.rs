//! A caller's handle of a sequencer: open, closing, closed.

use super::core::{Sequencer, inside_callback};
use crate::error::{ErrorKind, Result};
use crate::sync::{AtomicU8, Ordering};
use std::sync::Arc;

const OPEN: u8 = 0;
const CLOSING: u8 = 1;
const CLOSED: u8 = 2;

/// One caller's handle.
pub(crate) struct Handle {
    core: Arc<Sequencer>,
    state: AtomicU8,
}

/// What is to be done with a handle that is dropped.
pub(crate) enum Dropped {
    /// Nothing: it is closed, or its threads and locks are a parent's.
    Nothing,
    /// It is closed here, for as long as that takes.
    Close,
    /// The thread that runs callbacks can't wait for itself: another one closes.
    CloseElsewhere,
}

impl Handle {
    pub(crate) fn new(core: Arc<Sequencer>) -> Handle {
        Handle {
            core,
            state: AtomicU8::new(OPEN),
        }
    }

    /// The sequencer, whatever became of the handle.
    pub(crate) fn core(&self) -> &Arc<Sequencer> {
        &self.core
    }

    /// The sequencer, unless the handle is closed or a parent's.
    pub(crate) fn live(&self) -> Result<&Arc<Sequencer>> {
        self.core.check_fork()?;
        if self.state.load(Ordering::Acquire) == CLOSED {
            return Err(self.core.closed());
        }
        Ok(&self.core)
    }

    /// Closes by `close`, once; a timeout leaves the handle open.
    pub(crate) fn close(&self, close: impl FnOnce(&Arc<Sequencer>) -> Result<()>) -> Result<()> {
        self.core.check_may_block()?;
        // Until it is closed others may go on: it may not be closed in time.
        self.state
            .compare_exchange(OPEN, CLOSING, Ordering::AcqRel, Ordering::Acquire)
            .map_err(|_| self.core.closed())?;
        let mut end = Ending {
            state: &self.state,
            then: OPEN,
        };
        let result = close(&self.core);
        if !matches!(&result, Err(e) if e.kind() == ErrorKind::Timeout) {
            end.then = CLOSED;
        }
        result
    }

    /// What dropping it asks for.
    pub(crate) fn dropped(&self) -> Dropped {
        if self.core.is_forked() {
            std::mem::forget(self.core.clone());
            return Dropped::Nothing;
        }
        match self.state.load(Ordering::Acquire) {
            CLOSED => Dropped::Nothing,
            _ if inside_callback() => Dropped::CloseElsewhere,
            _ => Dropped::Close,
        }
    }
}

/// A close under way: what the handle is after it, or after a panic in it,
/// which must leave it to be closed again, for there is a thread to end.
struct Ending<'a> {
    state: &'a AtomicU8,
    then: u8,
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.state.store(self.then, Ordering::Release);
    }
}
