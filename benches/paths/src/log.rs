//! Logs to measure with, and pages to put into them.

use epochwal::coordinator::{EpochInterval, Sequencing};
use epochwal::{Batch, Coordinator, Frame, Options};
use std::path::Path;
use turns::text;

pub const PAGE: usize = 4096;

/// Bytes that do not compress, other ones for each seed.
pub fn page(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15 ^ (seed + 1);
    let mut byte = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..bytes).map(|_| byte()).collect()
}

/// The defaults, with sequences assigned.
pub fn options() -> Options {
    Options {
        sequencing: Sequencing::Coordinator,
        ..Options::default()
    }
}

/// Nothing is flushed but on request, so that staging can be measured alone.
pub fn options_without_ticker() -> Options {
    Options {
        epoch_interval: EpochInterval::Off,
        ..options()
    }
}

pub fn batch<'a>(frames: &'a [Frame<'a>]) -> Batch<'a> {
    Batch {
        txn_id: 1,
        txn_epoch: 0,
        commit_seq: 0,
        frames,
        metadata: &[],
    }
}

/// Frames of these images, numbered from 1.
pub fn frames<'a>(images: &'a [Vec<u8>]) -> Vec<Frame<'a>> {
    let frame = |(index, data): (usize, &'a Vec<u8>)| Frame {
        page_number: index as u32 + 1,
        db_size_if_commit: 0,
        data,
    };
    images.iter().enumerate().map(frame).collect()
}

/// In which order a log's transactions come by the pages.
#[derive(Clone, Copy)]
pub enum Order {
    Ascending,
    /// Eight neighbours, and eight others somewhere else.
    Scattered,
}

/// Pages of a transaction, and transactions of a group, of a log to recover.
const BATCH: u32 = 8;
const GROUP: u32 = 16;

/// Writes a log in which each of `pages` pages, a power of two, stands once,
/// and closes it.
pub fn write(database: &Path, pages: u32, order: Order) -> Result<(), String> {
    assert!(pages.is_power_of_two(), "the scattering counts on it");
    let log = Coordinator::open(database, &options_without_ticker()).map_err(text)?;
    let images: Vec<_> = (0..BATCH).map(|i| page(u64::from(i), PAGE)).collect();
    let batches = pages / BATCH;
    for index in 0..batches {
        let place = match order {
            Order::Ascending => index,
            // An odd factor meets every place once.
            Order::Scattered => index.wrapping_mul(0x9E37_79B1) % batches,
        };
        let mut frames = frames(&images);
        for frame in &mut frames {
            frame.page_number += place * BATCH;
        }
        log.submit(&batch(&frames)).map_err(text)?;
        if (index + 1) % GROUP == 0 {
            log.flush(None).map_err(text)?;
        }
    }
    log.close(None).map_err(text)
}

/// Lets go of all that is durable, so that the log stays short.
pub fn checkpoint(log: &Coordinator) -> Result<(), String> {
    match log.durable_epoch().map_err(text)? {
        Some(epoch) => log.checkpoint(epoch).map_err(text),
        None => Ok(()),
    }
}
