//! What a caller does beside its commits, because a log grows for ever
//! without it: a thread that lets go of what is not needed any more.

use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

/// A roll is rare enough at this size not to be what is measured.
pub const SEGMENT: u64 = 128 << 20;
/// Bytes of log that are let go: less than the segment in use and the one
/// before it hold.
pub const DUE: u64 = SEGMENT;
/// Commits between two looks at the size of the log.
const LOOK_EVERY: u64 = 1024;

/// The thread; it ends when this is dropped.
pub struct Keeper {
    due: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// `look`: at the log, and lets go of what is due.
    pub fn start(look: impl Fn() + Send + 'static) -> Keeper {
        let (due, looks) = sync_channel(1);
        let thread = std::thread::spawn(move || looks.iter().for_each(|()| look()));
        Keeper {
            due: Some(due),
            thread: Some(thread),
        }
    }

    /// After the commit of this number.
    pub fn committed(&self, number: u64) {
        if number.is_multiple_of(LOOK_EVERY)
            && let Some(due) = &self.due
        {
            // One look that is still to come covers this one too.
            let _ = due.try_send(());
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.due = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Bytes of an item that [`grow`] writes, and items of a commit: it fits in a
/// lane.
const ITEM: usize = 65_536;
const ITEMS: usize = 32;

/// Segments start small and double, and their files are made as they are
/// needed: commits of 2 MiB by `commit`, which lets go of what is due too and
/// says how many files are ready, until the one in use has its full size and
/// another such file is ready.
pub fn grow(mut commit: impl FnMut(&[&[u8]]) -> Result<u64, String>) -> Result<(), String> {
    static BYTES: [u8; ITEM] = [1; ITEM];
    let items = [&BYTES[..]; ITEMS];
    let mut written = 0;
    let mut free = 0;
    // Sizes below the last add up to less than one; then a full one, half of
    // which makes the next ready, and its successor.
    while written < 3 * SEGMENT || free == 0 {
        if written > 8 * SEGMENT {
            return Err("no file became ready for the next segment".into());
        }
        free = commit(&items)?;
        written += (ITEM * ITEMS) as u64;
    }
    Ok(())
}
