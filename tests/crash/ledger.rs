//! What the callers know: which batches they handed in, what they were told
//! of them, and so what a recovery must give back.
#![allow(dead_code)] // each suite uses its part

use super::common::{Got, page};
use epochwal::Frame;
use std::collections::{BTreeMap, BTreeSet};

/// The result of a check: why it failed, as a text.
pub type Check<T = ()> = Result<T, String>;

/// Fails a check.
macro_rules! ensure {
    ($condition:expr, $($text:tt)*) => {
        if !$condition {
            return Err(format!($($text)*));
        }
    };
}
pub(crate) use ensure;

/// A batch as it was handed in. Its content follows from its transaction.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    pub big: bool,
    /// The format of the log that took it: version 1 keeps less.
    pub format: u32,
    pub seq: u64,
}

/// Frames as page number, `db_size_if_commit`, data.
pub type Pages = Vec<(u32, u32, Vec<u8>)>;

/// The pages of a transaction, in write order, which is not page order.
pub fn pages_of(txn: u64, big: bool) -> Pages {
    let count = if big { 3 } else { 1 + txn % 3 };
    let pages = (0..count).map(|i| {
        let number = 1 + ((txn * 7 + 31 * i) % 50) as u32;
        let len = match big {
            true => 4000 + txn * 131 % 1500,
            false => 1 + (txn * 131 + i * 977) % 1800,
        };
        let size = if i + 1 == count { txn as u32 + 100 } else { 0 };
        (number, size, page(txn, number, len as usize))
    });
    pages.collect()
}

pub fn frames_of(pages: &Pages) -> Vec<Frame<'_>> {
    let frames = pages.iter().map(|(number, size, data)| Frame {
        page_number: *number,
        db_size_if_commit: *size,
        data,
    });
    frames.collect()
}

pub fn txn_epoch(txn: u64) -> u32 {
    (txn % 5) as u32
}

pub fn metadata_of(txn: u64) -> Vec<u8> {
    txn.to_le_bytes()[..(txn % 9) as usize].to_vec()
}

/// How a machine stops: its processes are killed, and the page cache stays;
/// or its power fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    Kill,
    Power,
}

/// What was known at a moment.
#[derive(Clone, Debug, Default)]
pub struct Moment {
    /// The highest epoch that anyone was told is durable.
    pub acknowledged: Option<u64>,
    /// The same from sessions without syncs, which survives a kill only.
    pub written: Option<u64>,
    /// The highest epoch of any ticket.
    pub highest_ticket: u64,
    /// The highest checkpoint that returned.
    pub checkpointed: Option<u64>,
    /// The same from sessions without syncs.
    pub noted: Option<u64>,
    /// All checkpoints that were asked for.
    pub checkpoints: BTreeSet<u64>,
    /// A session without syncs has begun, and none with syncs has opened the
    /// log since.
    pub unsynced: bool,
}

impl Moment {
    /// The lowest epoch that the log may end with.
    pub fn least_epoch(&self, stop: Stop) -> Option<u64> {
        match stop {
            Stop::Kill => self.acknowledged.max(self.written),
            Stop::Power => self.acknowledged,
        }
    }

    /// The lowest checkpoint that it may have.
    pub fn least_checkpoint(&self, stop: Stop) -> Option<u64> {
        match stop {
            Stop::Kill => self.checkpointed.max(self.noted),
            Stop::Power => self.checkpointed,
        }
    }
}

/// All that happened, over crashes too.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    pub now: Moment,
    pub sent: BTreeMap<u64, Sent>,
    /// The transactions of each epoch, as the tickets say.
    pub epochs: BTreeMap<u64, BTreeSet<u64>>,
    pub last_txn: u64,
}

impl Ledger {
    /// Notes a batch before it is handed in; gives its transaction.
    pub fn sending(&mut self, big: bool, format: u32) -> u64 {
        self.last_txn += 1;
        let sent = Sent {
            big,
            format,
            seq: self.last_txn,
        };
        self.sent.insert(self.last_txn, sent);
        self.last_txn
    }

    pub fn ticket(&mut self, txn: u64, ticket: epochwal::Ticket) {
        self.sent.get_mut(&txn).expect("sent before").seq = ticket.commit_seq;
        self.epochs.entry(ticket.epoch).or_default().insert(txn);
        self.now.highest_ticket = self.now.highest_ticket.max(ticket.epoch);
    }

    /// Someone was told that the epoch is durable, or with syncing off, that
    /// it was written.
    pub fn acknowledged(&mut self, epoch: u64) {
        let now = &mut self.now;
        let told = match now.unsynced {
            false => &mut now.acknowledged,
            true => &mut now.written,
        };
        *told = (*told).max(Some(epoch));
    }

    pub fn checkpointed(&mut self, through: u64) {
        let now = &mut self.now;
        let told = match now.unsynced {
            false => &mut now.checkpointed,
            true => &mut now.noted,
        };
        *told = (*told).max(Some(through));
    }

    /// All that was handed in is durable, as a close says.
    pub fn all_acknowledged(&mut self) {
        let last = self.epochs.keys().next_back().copied();
        last.into_iter().for_each(|epoch| self.acknowledged(epoch));
    }

    /// What is left to be known after a kill at `moment`, which loses nothing
    /// that was written.
    pub fn after_kill(&self, moment: &Moment, kept: &Recovered) -> Ledger {
        let mut left = self.after_crash(moment, kept);
        left.now = moment.clone();
        left
    }

    /// What is left to be known after a crash at `moment` that `kept` these
    /// epochs: what it lost never comes back.
    pub fn after_crash(&self, moment: &Moment, kept: &Recovered) -> Ledger {
        let mut left = self.clone();
        left.now = moment.clone();
        if moment.unsynced {
            // What a crash took of it was never durable, and its numbers may
            // be given out again.
            let last = kept.last();
            left.now.written = left.now.written.min(last);
            left.now.noted = left.now.noted.min(kept.floor);
            left.now.acknowledged = left.now.acknowledged.min(last);
            left.now.checkpointed = left.now.checkpointed.min(kept.floor);
            left.now.highest_ticket = last.unwrap_or(0);
            // A salvage may have made it up.
            left.now.checkpoints.extend(kept.floor);
        }
        let floor = kept.floor;
        let lost = |e: u64| Some(e) > floor && !kept.epochs.contains(&e);
        left.epochs.retain(|e, _| !lost(*e));
        left
    }
}

/// What a recovery gave.
#[derive(Clone, Debug)]
pub struct Recovered {
    pub epochs: BTreeSet<u64>,
    pub floor: Option<u64>,
}

impl Recovered {
    /// The last epoch, or the checkpoint's.
    pub fn last(&self) -> Option<u64> {
        self.epochs.last().copied().max(self.floor)
    }
}

/// G4: the batch is what was handed in, whole.
pub fn check_whole(got: &Got, sent: &Sent) -> Check {
    let mut frames = pages_of(got.txn, sent.big);
    let mut metadata = metadata_of(got.txn);
    if sent.format == 1 {
        frames.sort_by_key(|frame| frame.0);
        frames.iter_mut().for_each(|frame| frame.1 = 0);
        metadata.clear();
    }
    let txn = got.txn;
    ensure!(got.seq == sent.seq, "sequence of transaction {txn}");
    ensure!(
        got.txn_epoch == txn_epoch(txn),
        "transaction epoch of {txn}"
    );
    ensure!(got.metadata == metadata, "metadata of transaction {txn}");
    ensure!(got.frames == frames, "frames of transaction {txn}");
    Ok(())
}
