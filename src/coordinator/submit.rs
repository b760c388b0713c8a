//! A batch on its way into an epoch: checked, and encoded where it is staged.

use crate::batch::{BatchHead, FrameSource};
use crate::error::{Error, Result, Ticket};
use crate::format::item::{Plan, encode};
use crate::sequencer::{Ask, Entry, Sequencer};

/// A checked batch.
struct PageBatch<'a, F: ?Sized> {
    head: &'a BatchHead<'a>,
    frames: &'a F,
    plan: Plan,
}

impl<F: FrameSource + ?Sized> Entry for PageBatch<'_, F> {
    fn len(&self) -> usize {
        self.plan.len
    }

    fn frames(&self) -> u32 {
        self.plan.frames
    }

    fn bytes(&self) -> u64 {
        self.plan.bytes
    }

    fn sequence(&self) -> u64 {
        self.head.commit_seq
    }

    fn encode(&self, out: &mut [u8], lane: u16, sequence: u64) -> bool {
        encode(out, &self.plan, lane, sequence, self.head, self.frames)
    }
}

/// Stages a batch. `arm`: nobody is going to wait at once.
pub(crate) fn submit(
    sequencer: &Sequencer,
    head: &BatchHead<'_>,
    frames: &(impl FrameSource + ?Sized),
    arm: bool,
    interrupted: Option<Ask<'_>>,
) -> Result<Ticket> {
    sequencer.check_fork()?;
    check_sequence(sequencer, head)?;
    let plan = Plan::of(head, frames, sequencer.options.max_batch_bytes)?;
    sequencer.submit(&PageBatch { head, frames, plan }, arm, interrupted)
}

fn check_sequence(sequencer: &Sequencer, head: &BatchHead<'_>) -> Result<()> {
    match (sequencer.assigns(), head.commit_seq) {
        (true, 1..) => Err(Error::invalid(
            "commit_seq: the coordinator assigns it, so it must be 0",
        )),
        (false, 0) => Err(Error::invalid(
            "commit_seq: 0, where the caller gives the sequences (see sequencing)",
        )),
        _ => Ok(()),
    }
}
