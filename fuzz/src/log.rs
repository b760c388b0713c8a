//! A whole log directory on the simulated disk: read in every way, opened,
//! salvaged. Whatever the bytes are, the ways agree with each other.

use super::image::{self, Files, database, disk_of, files_of};
use super::memory::within;
use epochwal::coordinator::{EpochInterval, Sequencing, SyncStyle};
use epochwal::recovery::{
    RecoveredBatch, RecoveryOptions, Verdict, inspect_on, list_segments_on, max_durable_epoch_on,
    recover_into_map_on,
};
use epochwal::storage::Storage;
use epochwal::storage::sim::SimStorage;
use epochwal::{
    Batch, Coordinator, Error, ErrorKind, Frame, Options, Recovery, RecoveryReport, Result,
};
use std::ffi::OsString;
use std::sync::Arc;

/// Mode: the log goes on in version 1.
pub const ONE: u8 = 8;
/// Mode: the coordinator assigns sequences.
pub const ASSIGN: u8 = 16;
/// Mode: the log is opened for direct I/O.
pub const DIRECT: u8 = 32;

/// Records and items in memory are larger than in the file.
const FACTOR: usize = 16;
/// The window that a reader sees the log through, twice.
const READER: usize = 2 << 20;
/// Lanes and a segment's worth of buffers.
const WRITER: usize = 8 << 20;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Got {
    key: (u64, u64, u64),
    txn_epoch: u32,
    frames: Vec<(u32, u32, Vec<u8>)>,
    metadata: Vec<u8>,
}

impl From<&RecoveredBatch<'_>> for Got {
    fn from(batch: &RecoveredBatch<'_>) -> Self {
        let frames = batch.frames.iter();
        Got {
            key: (batch.epoch, batch.commit_seq, batch.txn_id),
            txn_epoch: batch.txn_epoch,
            frames: frames
                .map(|f| (f.page_number, f.db_size_if_commit, f.data.to_vec()))
                .collect(),
            metadata: batch.metadata.to_vec(),
        }
    }
}

/// What came out of a log before its end, and how it ended.
type Outcome = (Vec<Got>, Result<RecoveryReport>);

/// What reading says of a log.
struct Reading {
    strict: Outcome,
    /// Whether there is a durable prefix: not without a state file.
    has_prefix: bool,
}

pub fn run(data: &[u8]) {
    let (mode, files) = image::unpack(data);
    let size: usize = files.values().map(Vec::len).sum();
    let disk = disk_of(&files);
    let before = disk.operations();
    let reading = within(FACTOR * size + READER, || read_all_ways(&disk));
    assert_eq!(disk.operations(), before, "reading wrote");
    let options = options(mode);
    within(FACTOR * size + WRITER, || {
        open(&files, &options, &reading.strict);
        salvage(&files, &options, &reading);
    });
}

fn options(mode: u8) -> Options {
    Options {
        slot_count: 2,
        epoch_interval: EpochInterval::Off,
        buffer_capacity: 4096,
        max_memory: 64 << 10,
        segment_size: 16 << 10,
        segment_format: if mode & ONE != 0 { 1 } else { 2 },
        sequencing: match mode & ASSIGN {
            0 => Sequencing::Caller,
            _ => Sequencing::Coordinator,
        },
        sync_style: match mode & DIRECT {
            0 => SyncStyle::Buffered,
            _ => SyncStyle::Direct,
        },
        ..Options::default()
    }
}

fn shared(disk: &SimStorage) -> Arc<dyn Storage> {
    Arc::new(disk.clone())
}

fn read(disk: &SimStorage, options: &RecoveryOptions) -> Outcome {
    let mut got = Vec::new();
    let mut end = || -> Result<RecoveryReport> {
        let mut stream = Recovery::open_on(shared(disk), &database(), options)?;
        while let Some(batch) = stream.next_batch()? {
            got.push(Got::from(&batch));
        }
        Ok(stream.report().clone())
    };
    let end = end();
    (got, end)
}

fn strictly(disk: &SimStorage) -> Outcome {
    read(disk, &RecoveryOptions::default())
}

/// The end of the log that a report tells of.
fn last(report: &RecoveryReport) -> Option<u64> {
    report.epochs.last().max(report.checkpoint_epoch)
}

fn read_all_ways(disk: &SimStorage) -> Reading {
    let (got, end) = strictly(disk);
    assert!(got.is_sorted_by_key(|b| b.key), "out of order");
    if let Err(error) = &end {
        assert_expected(error);
    }
    let prefix = RecoveryOptions {
        durable_prefix: true,
        ..RecoveryOptions::default()
    };
    let (some, prefix_end) = read(disk, &prefix);
    match (&end, &prefix_end) {
        (Ok(strict), Ok(prefix)) => {
            assert_eq!(strict, prefix);
            assert_eq!(some, got);
        }
        (Err(_), Ok(prefix)) => {
            assert_eq!(prefix.verdict, Verdict::Corrupt);
            assert_eq!(some, got, "the durable prefix");
        }
        (Err(_), Err(error)) => assert_expected(error),
        (Ok(_), Err(error)) => panic!("no durable prefix of a good log: {error}"),
    }
    let verify = RecoveryOptions {
        verify_only: true,
        ..RecoveryOptions::default()
    };
    let (none, verified) = read(disk, &verify);
    assert!(none.is_empty(), "verifying handed out batches");
    assert_same("verify", &end, &verified);
    if let (Ok(read), Ok(verified)) = (&end, &verified) {
        assert_eq!(read, verified);
        assert_eq!(read.batches, got.len() as u64);
    }
    let map = recover_into_map_on(shared(disk), &database(), &RecoveryOptions::default());
    assert_same("recover_into_map", &end, &map);
    let listed = list_segments_on(shared(disk), &database());
    let seen = inspect_on(shared(disk), &database());
    assert_same("inspect and list", &listed, &seen);
    let durable = max_durable_epoch_on(shared(disk), &database());
    if let Ok(report) = &end {
        assert_eq!(durable.expect("the end of a good log"), last(report));
        let seen = seen.expect("what is in a good log");
        assert_eq!(seen.last_epoch, last(report));
        assert_eq!(seen.verdict, report.verdict);
    }
    Reading {
        strict: (got, end),
        has_prefix: prefix_end.is_ok(),
    }
}

fn assert_same<A, B>(what: &str, one: &Result<A>, other: &Result<B>) {
    let kind = |e: &Error| e.kind();
    let (one, other) = (one.as_ref().err(), other.as_ref().err());
    assert_eq!(one.map(kind), other.map(kind), "{what}: {one:?}, {other:?}");
}

/// Bad bytes are corrupt or of another format, and the file is named.
fn assert_expected(error: &Error) {
    let kind = error.kind();
    assert!(
        matches!(kind, ErrorKind::Corrupt | ErrorKind::Format),
        "{error:?}"
    );
    assert!(error.path().is_some(), "no file is named: {error}");
}

/// Only what reads well opens, and an open keeps it.
fn open(files: &Files, options: &Options, strict: &Outcome) {
    let disk = disk_of(files);
    let wal = match Coordinator::open_on(shared(&disk), &database(), options) {
        Ok(wal) => wal,
        Err(error) => {
            assert_refusal(&error);
            if error.kind() == ErrorKind::Corrupt {
                assert!(strict.1.is_err(), "a reader finds nothing: {error}");
                let now = files_of(&disk);
                let changed = changed(files, &now);
                assert!(
                    changed.is_empty(),
                    "refused: {error}; yet {changed:?} changed"
                );
            }
            return;
        }
    };
    let (got, end) = strict;
    let report = match end {
        Ok(report) => report,
        Err(error) => panic!("it opens, but does not read: {error}"),
    };
    assert_eq!(wal.durable_epoch().unwrap(), last(report));
    go_on(&disk, &wal, Some(got), options);
}

/// The files that differ, were added or are gone; the lock file has no content.
fn changed<'a>(before: &'a Files, after: &'a Files) -> Vec<&'a OsString> {
    let differs = |name: &&OsString| before.get(*name) != after.get(*name);
    let names = before.keys().chain(after.keys());
    names
        .filter(differs)
        .filter(|name| !name.as_encoded_bytes().ends_with(b"-wal-lock"))
        .collect()
}

/// What reads well up to some place is kept up to there; without a state file
/// nothing reads, and a salvage may find more than nothing.
fn salvage(files: &Files, options: &Options, reading: &Reading) {
    let disk = disk_of(files);
    let options = Options {
        salvage: true,
        ..options.clone()
    };
    match Coordinator::open_on(shared(&disk), &database(), &options) {
        Ok(wal) => {
            let old = reading.has_prefix.then_some(&reading.strict.0[..]);
            go_on(&disk, &wal, old, &options);
        }
        Err(error) => {
            assert_refusal(&error);
            assert_ne!(error.kind(), ErrorKind::Corrupt, "salvage: {error}");
        }
    }
}

/// Why an open may be refused: the numbers are used up, for one.
fn assert_refusal(error: &Error) {
    let kind = error.kind();
    let allowed = matches!(
        kind,
        ErrorKind::Corrupt | ErrorKind::Format | ErrorKind::TooLarge
    );
    assert!(allowed, "{error:?}");
}

/// A commit, a close, and all is there.
fn go_on(disk: &SimStorage, wal: &Coordinator, old: Option<&[Got]>, options: &Options) {
    let highest = old.and_then(|old| old.iter().map(|b| b.key.1).max());
    let batch = Batch {
        txn_id: 7,
        txn_epoch: 8,
        commit_seq: match options.sequencing {
            Sequencing::Caller => highest.unwrap_or(0).saturating_add(1),
            Sequencing::Coordinator => 0,
        },
        frames: &[Frame {
            page_number: 9,
            db_size_if_commit: 0,
            data: b"page",
        }],
        metadata: b"",
    };
    let before = wal.durable_epoch().unwrap();
    let mut new = Vec::new();
    match wal.commit(&batch, None) {
        Ok(ticket) => {
            assert!(Some(ticket.epoch) > before, "an epoch is given twice");
            new.push(Got {
                key: (ticket.epoch, ticket.commit_seq, 7),
                txn_epoch: 8,
                frames: vec![(9, 0, b"page".to_vec())],
                metadata: Vec::new(),
            });
        }
        Err(error) => assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}"),
    }
    wal.close(None).expect("a close");
    let (got, end) = strictly(&disk.crash_nothing());
    let report = end.expect("a log that was closed");
    assert_eq!(report.verdict, Verdict::Clean, "{report:?}");
    let kept = got.len().checked_sub(new.len()).expect("the new batch");
    assert_eq!(got[kept..], new, "the new batch");
    if let Some(old) = old {
        assert_eq!(got[..kept], *old, "the old batches");
    }
}
