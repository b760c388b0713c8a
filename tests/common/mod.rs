//! What the coordinator's tests share: batches with a checkable content, and
//! the same test on the real disk and on the simulated one.
#![allow(dead_code)]

use epochwal::coordinator::{EpochInterval, SyncStyle};
use epochwal::recovery::{RecoveredBatch, RecoveryOptions};
use epochwal::storage::sim::SimStorage;
use epochwal::storage::{OpenMode, RealStorage, Storage, read_exact_at};
use epochwal::{Batch, Coordinator, Frame, Options, Recovery, RecoveryReport, Result, Ticket};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Long enough for any machine; a test never waits for it to pass.
pub const PATIENCE: Option<Duration> = Some(Duration::from_secs(60));

/// A disk, and a database path on it.
pub struct Place {
    pub disk: Arc<dyn Storage>,
    pub db: PathBuf,
    pub name: &'static str,
    _dir: Option<tempfile::TempDir>,
}

impl Place {
    pub fn real() -> Place {
        Place::real_in(&std::env::temp_dir(), "real")
    }

    /// In a directory of its own on the file system of `parent`.
    pub fn real_in(parent: &Path, name: &'static str) -> Place {
        let dir = tempfile::tempdir_in(parent).unwrap();
        Place {
            disk: Arc::new(RealStorage),
            db: dir.path().join("test.db"),
            name,
            _dir: Some(dir),
        }
    }

    /// On the real disk, in a directory that somebody else looks after.
    pub fn at(db: &Path) -> Place {
        Place {
            disk: Arc::new(RealStorage),
            db: db.to_path_buf(),
            name: "real",
            _dir: None,
        }
    }

    pub fn sim(disk: &SimStorage) -> Place {
        disk.make_dirs(Path::new("/data"));
        Place {
            disk: Arc::new(disk.clone()),
            db: PathBuf::from("/data/test.db"),
            name: "simulated",
            _dir: None,
        }
    }

    pub fn open(&self, options: &Options) -> Result<Coordinator> {
        Coordinator::open_on(self.disk.clone(), &self.db, options)
    }

    pub fn recover(&self, options: &RecoveryOptions) -> Result<(Vec<Got>, RecoveryReport)> {
        let mut stream = Recovery::open_on(self.disk.clone(), &self.db, options)?;
        let mut got = Vec::new();
        while let Some(batch) = stream.next_batch()? {
            got.push(Got::of(&batch));
        }
        Ok((got, stream.report().clone()))
    }

    pub fn recover_all(&self) -> Vec<Got> {
        self.recover(&RecoveryOptions::default()).unwrap().0
    }
}

/// Runs a test on the real disk in both sync styles and on the simulated one.
pub fn everywhere(test: impl Fn(&Place, &Options)) {
    for style in [SyncStyle::Probe, SyncStyle::Buffered] {
        let options = Options {
            sync_style: style,
            ..small()
        };
        test(&Place::real(), &options);
        test(&Place::sim(&SimStorage::new()), &options);
    }
}

/// Small limits, so that rolls and full lanes come early; no ticker.
pub fn small() -> Options {
    Options {
        slot_count: 4,
        epoch_interval: EpochInterval::Off,
        segment_size: 64 << 10,
        ..Options::default()
    }
}

/// The database file that a recovery made; empty where there is none.
pub fn database(disk: &SimStorage) -> Vec<u8> {
    let Ok(file) = disk.open(Path::new("/data/test.db"), OpenMode::Read) else {
        return Vec::new();
    };
    let mut bytes = vec![0; file.len().unwrap() as usize];
    read_exact_at(&*file, &mut bytes, 0).unwrap();
    bytes
}

/// A recovered batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Got {
    pub epoch: u64,
    pub seq: u64,
    pub txn: u64,
    pub txn_epoch: u32,
    pub frames: Vec<(u32, u32, Vec<u8>)>,
    pub metadata: Vec<u8>,
}

impl Got {
    pub fn of(batch: &RecoveredBatch<'_>) -> Got {
        let frames = batch.frames.iter();
        Got {
            epoch: batch.epoch,
            seq: batch.commit_seq,
            txn: batch.txn_id,
            txn_epoch: batch.txn_epoch,
            frames: frames
                .map(|f| (f.page_number, f.db_size_if_commit, f.data.to_vec()))
                .collect(),
            metadata: batch.metadata.to_vec(),
        }
    }
}

/// The content of a page is told by the transaction and the page number.
pub fn page(txn: u64, page_number: u32, len: usize) -> Vec<u8> {
    let mut x = txn.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ u64::from(page_number) << 1 | 1;
    (0..len)
        .map(|_| {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            x as u8
        })
        .collect()
}

/// The pages of transaction `txn`: a few, of odd lengths.
pub fn pages_of(txn: u64) -> Vec<(u32, Vec<u8>)> {
    let count = 1 + txn % 3;
    (0..count)
        .map(|i| {
            let number = 1 + ((txn * 7 + i * 3) % 50) as u32;
            let len = 1 + ((txn * 131 + i * 977) % 3000) as usize;
            (number, page(txn, number, len))
        })
        .collect()
}

/// Submits transaction `txn`, whose commit sequence is its number.
pub fn submit(wal: &Coordinator, txn: u64) -> Result<Ticket> {
    let pages = pages_of(txn);
    let frames = frames_of(&pages, txn);
    wal.submit(&Batch {
        txn_id: txn,
        txn_epoch: txn as u32 % 5,
        commit_seq: txn,
        frames: &frames,
        metadata: &txn.to_le_bytes()[..(txn % 9) as usize],
    })
}

pub fn commit(wal: &Coordinator, txn: u64) -> Result<Ticket> {
    let ticket = submit(wal, txn)?;
    wal.wait(ticket.epoch, PATIENCE)?;
    Ok(ticket)
}

pub fn frames_of(pages: &[(u32, Vec<u8>)], txn: u64) -> Vec<Frame<'_>> {
    let last = pages.len() - 1;
    pages
        .iter()
        .enumerate()
        .map(|(i, (page_number, data))| Frame {
            page_number: *page_number,
            db_size_if_commit: if i == last { txn as u32 + 100 } else { 0 },
            data,
        })
        .collect()
}

/// Whether a recovered batch is exactly what was submitted.
pub fn assert_whole(got: &Got) {
    let pages = pages_of(got.txn);
    let frames = frames_of(&pages, got.txn);
    let want: Vec<_> = frames
        .iter()
        .map(|f| (f.page_number, f.db_size_if_commit, f.data.to_vec()))
        .collect();
    assert_eq!(got.frames, want, "frames of transaction {}", got.txn);
    assert_eq!(got.seq, got.txn);
    assert_eq!(got.txn_epoch, got.txn as u32 % 5);
    assert_eq!(
        got.metadata,
        &got.txn.to_le_bytes()[..(got.txn % 9) as usize]
    );
}
