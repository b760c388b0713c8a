//! epochwal as a caller uses it: `commit` in its default configuration, and a
//! thread of the caller's that checkpoints, because a log without checkpoints
//! grows for ever.

use super::Arm;
use epochwal::{Batch, BatchHead, Coordinator, Frame, FrameSource, Options};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use turns::text;

/// A roll is rare enough at this size not to be what is measured.
const SEGMENT: u64 = 128 << 20;
/// Bytes of log that are checkpointed: less than the segment in use and the one
/// before it hold.
const CHECKPOINT: u64 = SEGMENT;
/// Commits between two looks at the size of the log.
const LOOK_EVERY: u64 = 1024;

pub struct Epochwal {
    log: Arc<Coordinator>,
    sequence: AtomicU64,
    due: Option<SyncSender<()>>,
    keeper: Option<JoinHandle<()>>,
}

impl Epochwal {
    pub fn open(dir: &Path) -> Result<Epochwal, String> {
        let options = Options {
            segment_size: SEGMENT,
            ..Options::default()
        };
        let log = Arc::new(Coordinator::open(&dir.join("db"), &options).map_err(text)?);
        let sequence = grow(&log)?;
        let (due, looks) = sync_channel(1);
        let kept = log.clone();
        let keeper = std::thread::spawn(move || checkpoint_on(&looks, &kept));
        Ok(Epochwal {
            log,
            sequence: AtomicU64::new(sequence),
            due: Some(due),
            keeper: Some(keeper),
        })
    }
}

/// Segments start small and double, and their files are made as they are
/// needed: writes and checkpoints until the one in use has its full size and
/// another such file is ready. Gives the next sequence.
fn grow(log: &Coordinator) -> Result<u64, String> {
    static PAGE: [u8; 65_536] = [1; 65_536];
    // A batch of 2 MiB fits in a lane.
    let frame = |page_number| Frame {
        page_number,
        db_size_if_commit: 0,
        data: &PAGE,
    };
    let frames: Vec<Frame> = (1..=32).map(frame).collect();
    let mut sequence = 0;
    let mut written = 0;
    // Sizes below the last add up to less than one; then a full one, half of
    // which makes the next ready, and its successor.
    while written < 3 * SEGMENT || log.stats().map_err(text)?.segments_free == 0 {
        if written > 8 * SEGMENT {
            return Err("no file became ready for the next segment".into());
        }
        sequence += 1;
        let batch = Batch {
            txn_id: sequence,
            txn_epoch: 0,
            commit_seq: sequence,
            frames: &frames,
            metadata: &[],
        };
        let ticket = log.commit(&batch, None).map_err(text)?;
        written += (frames.len() * PAGE.len()) as u64;
        if log.stats().map_err(text)?.log_bytes >= CHECKPOINT {
            log.checkpoint(ticket.epoch - 1).map_err(text)?;
        }
    }
    Ok(sequence + 1)
}

/// Checkpoints as the log grows, as a database does that has written its pages.
fn checkpoint_on(looks: &Receiver<()>, log: &Coordinator) {
    for () in looks {
        let stats = log.stats().expect("the log is open");
        if stats.log_bytes >= CHECKPOINT
            && let Some(epoch) = stats.durable_epoch
        {
            log.checkpoint(epoch).expect("the epoch is durable");
        }
    }
}

/// The frames where they are, with page numbers of the thread's own.
struct Pages<'a> {
    batch: &'a [&'a [u8]],
    first: u32,
}

impl FrameSource for Pages<'_> {
    fn count(&self) -> usize {
        self.batch.len()
    }

    fn frame(&self, index: usize) -> Frame<'_> {
        Frame {
            page_number: self.first + index as u32,
            db_size_if_commit: 0,
            data: self.batch[index],
        }
    }
}

impl Arm for Epochwal {
    fn commit(&self, thread: usize, batch: &[&[u8]]) -> Result<(), String> {
        let sequence = self.sequence.fetch_add(1, Relaxed);
        let head = BatchHead {
            txn_id: sequence,
            txn_epoch: 0,
            commit_seq: sequence,
            metadata: &[],
        };
        let pages = Pages {
            batch,
            first: 1 + (thread * batch.len()) as u32,
        };
        self.log.commit_from(&head, &pages, None).map_err(text)?;
        if sequence.is_multiple_of(LOOK_EVERY)
            && let Some(due) = &self.due
        {
            // One look that is still to come covers this one too.
            let _ = due.try_send(());
        }
        Ok(())
    }

    fn groups(&self) -> Option<u64> {
        self.log.stats().ok().map(|s| s.groups)
    }
}

impl Drop for Epochwal {
    fn drop(&mut self) {
        self.due = None;
        if let Some(keeper) = self.keeper.take() {
            let _ = keeper.join();
        }
    }
}
