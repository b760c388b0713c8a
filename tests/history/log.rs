//! Spoiling and asking a log on the simulated disk.

use super::common::{PATIENCE, Place, small};
use epochwal::recovery::{RecoveryOptions, inspect_on};
use epochwal::storage::OpenMode;
use epochwal::storage::sim::SimStorage;
use epochwal::{Batch, Coordinator, Frame, Options, Result, Ticket};
use std::path::{Path, PathBuf};

/// One segment for all that a test commits.
pub fn roomy() -> Options {
    Options {
        segment_size: 1 << 20,
        ..small()
    }
}

pub fn salvaging(options: &Options) -> Options {
    Options {
        salvage: true,
        ..options.clone()
    }
}

pub fn state_file(place: &Place) -> PathBuf {
    place.db.with_file_name("test.db-wal-state")
}

/// The segments, by their epochs.
pub fn segments(place: &Place) -> Vec<PathBuf> {
    let inspection = inspect_on(place.disk.clone(), &place.db).unwrap();
    inspection
        .segments
        .iter()
        .map(|s| s.info.path.clone())
        .collect()
}

/// Commits a batch of `count` pages of `len` bytes; gives its epoch.
pub fn commit_pages(wal: &Coordinator, txn: u64, count: usize, len: usize) -> u64 {
    let data = vec![txn as u8; len];
    let frames: Vec<Frame<'_>> = (1..=count as u32)
        .map(|page_number| Frame {
            page_number,
            db_size_if_commit: 0,
            data: &data,
        })
        .collect();
    let batch = Batch {
        txn_id: txn,
        txn_epoch: 0,
        commit_seq: txn,
        frames: &frames,
        metadata: &[],
    };
    wal.commit(&batch, PATIENCE).unwrap().epoch
}

/// Spoils one byte, durably.
pub fn flip(place: &Place, path: &Path, offset: u64) {
    let file = place.disk.open(path, OpenMode::Write).unwrap();
    let mut byte = [0];
    assert_eq!(file.read_at(&mut byte, offset).unwrap(), 1);
    byte[0] ^= 0xff;
    file.write_at(&byte, offset).unwrap();
    file.sync_all().unwrap();
}

/// Spoils the items of an epoch's group.
pub fn flip_epoch(place: &Place, epoch: u64) {
    let inspection = inspect_on(place.disk.clone(), &place.db).unwrap();
    for segment in &inspection.segments {
        if let Some(group) = segment.groups.iter().find(|g| g.epoch == epoch) {
            return flip(place, &segment.info.path, group.offset + 200);
        }
    }
    panic!("there is no group of epoch {epoch}");
}

/// Commits a page and leaves the sequence to the coordinator.
pub fn commit_unnumbered(wal: &Coordinator, txn_id: u64) -> Result<Ticket> {
    commit_numbered(wal, txn_id, 0)
}

pub fn commit_numbered(wal: &Coordinator, txn_id: u64, commit_seq: u64) -> Result<Ticket> {
    let frames = [Frame {
        page_number: 1,
        db_size_if_commit: 1,
        data: &[7; 100],
    }];
    let batch = Batch {
        txn_id,
        txn_epoch: 0,
        commit_seq,
        frames: &frames,
        metadata: &[],
    };
    wal.commit(&batch, PATIENCE)
}

/// The transactions that recovery gives, in their order.
pub fn recovered(place: &Place) -> Result<Vec<u64>> {
    let (got, _) = place.recover(&RecoveryOptions::default())?;
    Ok(got.iter().map(|batch| batch.txn).collect())
}

/// The same after a power failure that keeps only what was synced.
pub fn recovered_after_crash(disk: &SimStorage) -> Result<Vec<u64>> {
    recovered(&Place::sim(&disk.crash_nothing()))
}
