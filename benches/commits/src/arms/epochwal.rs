//! epochwal as a caller uses it: `commit` in its default configuration, and a
//! thread of the caller's that checkpoints.

use super::Arm;
use super::keeper::{DUE, Keeper, SEGMENT, grow};
use epochwal::{Batch, BatchHead, Coordinator, Frame, FrameSource, Options};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use turns::text;

pub struct Epochwal {
    log: Arc<Coordinator>,
    sequence: AtomicU64,
    keeper: Keeper,
}

impl Epochwal {
    pub fn open(dir: &Path) -> Result<Epochwal, String> {
        let options = Options {
            segment_size: SEGMENT,
            ..Options::default()
        };
        let log = Arc::new(Coordinator::open(&dir.join("db"), &options).map_err(text)?);
        let sequence = fill(&log)?;
        let kept = log.clone();
        Ok(Epochwal {
            log,
            sequence: AtomicU64::new(sequence),
            keeper: Keeper::start(move || checkpoint(&kept)),
        })
    }
}

/// Brings the log to where it is measured. Gives the next sequence.
fn fill(log: &Coordinator) -> Result<u64, String> {
    let mut sequence = 0;
    grow(|items| {
        sequence += 1;
        let frames = items.iter().zip(1..).map(|(data, page_number)| Frame {
            page_number,
            db_size_if_commit: 0,
            data,
        });
        let frames: Vec<Frame> = frames.collect();
        let batch = Batch {
            txn_id: sequence,
            txn_epoch: 0,
            commit_seq: sequence,
            frames: &frames,
            metadata: &[],
        };
        let ticket = log.commit(&batch, None).map_err(text)?;
        let stats = log.stats().map_err(text)?;
        if stats.log_bytes >= DUE {
            log.checkpoint(ticket.epoch - 1).map_err(text)?;
        }
        Ok(stats.segments_free)
    })?;
    Ok(sequence + 1)
}

/// Checkpoints as the log grows, as a database does that has written its pages.
fn checkpoint(log: &Coordinator) {
    let stats = log.stats().expect("the log is open");
    if stats.log_bytes >= DUE
        && let Some(epoch) = stats.durable_epoch
    {
        log.checkpoint(epoch).expect("the epoch is durable");
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
        self.keeper.committed(sequence);
        Ok(())
    }

    fn groups(&self) -> Option<u64> {
        self.log.stats().ok().map(|s| s.groups)
    }
}
