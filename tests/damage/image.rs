//! A log as bytes in memory, to be spoiled and put on a disk again.

use super::common::{Got, PATIENCE, Place, commit, page, small};
use epochwal::coordinator::{SyncPolicy, SyncStyle};
use epochwal::format::{prelude, v1};
use epochwal::recovery::{GroupInfo, Recovery, RecoveryOptions, inspect_on};
use epochwal::storage::sim::{Call, FaultPlan, SimStorage};
use epochwal::storage::{OpenMode, Storage, read_exact_at, write_all_at};
use epochwal::{Batch, Coordinator, Error, Frame, Options, RecoveryReport};
use std::collections::BTreeMap;
use std::path::Path;

pub const BLOCK: usize = 4096;
pub const DIR: &str = "/data";

/// Files by name; the lock file is left out, it has no lasting content.
pub type Files = BTreeMap<String, Vec<u8>>;

pub fn files_of(disk: &SimStorage) -> Files {
    let mut files = Files::new();
    for name in disk.list(Path::new(DIR)).unwrap() {
        let name = name.into_string().unwrap();
        if name.ends_with("-wal-lock") {
            continue;
        }
        let file = disk
            .open(&Path::new(DIR).join(&name), OpenMode::Read)
            .unwrap();
        let mut bytes = vec![0; file.len().unwrap() as usize];
        read_exact_at(&*file, &mut bytes, 0).unwrap();
        files.insert(name, bytes);
    }
    files
}

/// A machine whose disk holds these files.
pub fn disk_of(files: &Files) -> SimStorage {
    let disk = SimStorage::new();
    disk.make_dirs(Path::new(DIR));
    for (name, bytes) in files {
        let path = Path::new(DIR).join(name);
        let file = disk.open(&path, OpenMode::CreateNew).unwrap();
        write_all_at(&*file, bytes, 0, 1).unwrap();
        file.sync_all().unwrap();
    }
    disk.sync_dir(Path::new(DIR)).unwrap();
    disk
}

/// An undamaged log, and what is in it.
#[derive(Clone)]
pub struct Log {
    pub files: Files,
    pub truth: Vec<Got>,
    /// Groups with the file that each stands in, in order; marks too.
    pub groups: Vec<(String, GroupInfo)>,
}

impl Log {
    pub fn of(disk: &SimStorage) -> Log {
        let files = files_of(disk);
        let copy = disk_of(&files);
        let place = Place::sim(&copy);
        let seen = inspect_on(place.disk.clone(), &place.db).unwrap();
        let mut groups = Vec::new();
        for segment in seen.segments {
            let name = segment.info.path.file_name().unwrap().to_str().unwrap();
            let named = segment.groups.into_iter().map(|g| (name.to_owned(), g));
            groups.extend(named);
        }
        Log {
            truth: place.recover_all(),
            files,
            groups,
        }
    }

    pub fn segments(&self) -> Vec<String> {
        let names = self.files.keys().filter(|n| n.contains("-wal-seg-"));
        names.cloned().collect()
    }

    pub fn state(&self) -> String {
        let mut names = self.files.keys();
        names.find(|n| n.ends_with("-wal-state")).unwrap().clone()
    }

    /// The batches up to and including an epoch.
    pub fn through(&self, epoch: u64) -> &[Got] {
        let count = self.truth.iter().take_while(|b| b.epoch <= epoch).count();
        &self.truth[..count]
    }

    /// The files with a change to one of them.
    pub fn with(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) -> Files {
        let mut files = self.files.clone();
        change(files.get_mut(name).expect("a file of the log"));
        files
    }

    /// The files with a change to a group's bytes.
    pub fn with_group(&self, group: usize, change: impl FnOnce(&mut [u8])) -> Files {
        let (name, info) = &self.groups[group];
        let range = info.offset as usize..(info.offset + info.length) as usize;
        self.with(name, |bytes| change(&mut bytes[range]))
    }

    /// The last group that is not a mark.
    pub fn last_data(&self) -> usize {
        let last = self.groups.iter().rposition(|(_, g)| g.kind == "pages");
        last.unwrap()
    }
}

pub fn options() -> Options {
    Options {
        segment_size: 16 << 10,
        sync_style: SyncStyle::Buffered,
        ..small()
    }
}

/// What becomes of a log whose workload is done.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Closed: a mark and the state file cover all.
    Closed,
    /// Killed: nothing covers the last group.
    Killed,
}

/// Commits `txns`, after a checkpoint of everything where `first` says so.
pub fn log(options: &Options, old: u64, txns: u64, ending: Ending) -> Log {
    let disk = SimStorage::new();
    let wal = Place::sim(&disk).open(options).unwrap();
    for txn in 1..=old {
        commit(&wal, txn).unwrap();
        if txn % 4 == 0 {
            wal.checkpoint(wal.durable_epoch().unwrap().unwrap())
                .unwrap();
        }
    }
    for txn in old + 1..=old + txns {
        commit(&wal, txn).unwrap();
    }
    if ending == Ending::Closed {
        wal.close(PATIENCE).unwrap();
    }
    Log::of(&disk.snapshot())
}

pub fn closed() -> Log {
    log(&options(), 0, 9, Ending::Closed)
}

/// As small as the format permits: a segment of three groups, then two of one
/// group each and the block that is kept free.
pub fn tiny(ending: Ending) -> Log {
    let disk = SimStorage::new();
    let wal = commit_in_short_segments(&disk);
    if ending == Ending::Closed {
        wal.close(PATIENCE).unwrap();
    }
    Log::of(&disk.snapshot())
}

/// Five commits. The short segments are what a roll makes on a disk that has
/// no room for more.
fn commit_in_short_segments(disk: &SimStorage) -> Coordinator {
    let wal = Place::sim(disk).open(&options()).unwrap();
    for txn in 1..=5 {
        let full = FaultPlan::error(Call::Write, libc::ENOSPC).on("-wal-tmp-");
        match txn {
            // What is prepared ahead, and the first try of the roll.
            3 => drop(disk.fail(full.times(2))),
            5 => drop(disk.fail(full)),
            _ => {}
        }
        commit_small(&wal, txn);
    }
    wal
}

/// A short segment, and the first one's file again, with old groups behind the
/// new one; the second's file is a spare.
pub fn tiny_reused() -> Log {
    let disk = SimStorage::new();
    let wal = commit_in_short_segments(&disk);
    let epoch = wal.durable_epoch().unwrap().unwrap();
    wal.checkpoint(epoch - 1).unwrap();
    commit_small(&wal, 6);
    wal.close(PATIENCE).unwrap();
    let log = Log::of(&disk.snapshot());
    let sizes: Vec<usize> = log.files.values().map(Vec::len).collect();
    assert_eq!(sizes, [2, 4, 2, 3].map(|blocks| blocks * BLOCK));
    log
}

/// A few epochs of version 1; the file of the second is a whole block, as
/// those of version 2 are.
pub fn tiny_version_one() -> Log {
    let disk = SimStorage::new();
    let options = Options {
        segment_format: 1,
        ..options()
    };
    let wal = Place::sim(&disk).open(&options).unwrap();
    commit_small(&wal, 1);
    let head = v1::MIN_RECORD_BYTES + 12;
    let data = page(2, 1, BLOCK - prelude::LEN - head);
    let frames = [Frame {
        page_number: 1,
        db_size_if_commit: 0,
        data: &data,
    }];
    let batch = Batch {
        txn_id: 2,
        txn_epoch: 7,
        commit_seq: 2,
        frames: &frames,
        metadata: b"",
    };
    wal.commit(&batch, PATIENCE).unwrap();
    commit_small(&wal, 3);
    wal.close(PATIENCE).unwrap();
    let log = Log::of(&disk.snapshot());
    assert_eq!(log.files[&log.segments()[1]].len(), BLOCK);
    log
}

/// Commits until the spare is a segment; then all that was committed is there.
pub fn fill_spare(disk: &SimStorage, spare: &str, log: &Log) {
    let place = Place::sim(disk);
    let wal = place.open(&options()).unwrap();
    disk.fail(
        FaultPlan::error(Call::Write, libc::ENOSPC)
            .on("-wal-tmp-")
            .always(),
    );
    let first = log.truth.last().unwrap().seq + 1;
    let mut next = first;
    while files_of(disk).contains_key(spare) {
        commit_small(&wal, next);
        next += 1;
    }
    wal.close(PATIENCE).unwrap();
    let got = place.recover_all();
    let (old, new) = got.split_at(log.truth.len());
    assert_eq!(old, log.truth);
    assert!(new.iter().map(|b| b.seq).eq(first..next), "{new:?}");
}

/// A batch of two frames of a few bytes.
pub fn commit_small(wal: &Coordinator, txn: u64) {
    let data = page(txn, 1, 11);
    let frames = [1, 2].map(|page_number| Frame {
        page_number,
        db_size_if_commit: 9 * (page_number - 1),
        data: &data[page_number as usize..],
    });
    let batch = Batch {
        txn_id: txn,
        txn_epoch: 7,
        commit_seq: txn,
        frames: &frames,
        metadata: &data[..3],
    };
    wal.commit(&batch, PATIENCE).unwrap();
}

pub fn killed() -> Log {
    log(&options(), 0, 8, Ending::Killed)
}

/// Its segments were segments before.
pub fn reused() -> Log {
    log(&options(), 16, 9, Ending::Closed)
}

/// Claims nothing: no group says that another is durable.
pub fn unsynced() -> Log {
    let options = Options {
        sync_policy: SyncPolicy::Off,
        ..options()
    };
    log(&options, 0, 8, Ending::Killed)
}

/// What a stream gave before it ended, and how it ended.
pub fn read(
    disk: &SimStorage,
    options: &RecoveryOptions,
) -> (Vec<Got>, Result<RecoveryReport, Error>) {
    let place = Place::sim(disk);
    let mut got = Vec::new();
    let mut stream = match Recovery::open_on(place.disk.clone(), &place.db, options) {
        Ok(stream) => stream,
        Err(error) => return (got, Err(error)),
    };
    loop {
        match stream.next_batch() {
            Ok(Some(batch)) => got.push(Got::of(&batch)),
            Ok(None) => return (got, Ok(stream.report().clone())),
            Err(error) => return (got, Err(error)),
        }
    }
}
