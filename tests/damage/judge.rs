//! What must hold of any damage, and what the verdict on it is.

use super::common::{Got, PATIENCE, Place, commit};
use super::image::{DIR, Files, Log, disk_of, files_of, options, read};
use super::memory::within;
use epochwal::recovery::{RecoveryOptions, Verdict};
use epochwal::storage::sim::SimStorage;
use epochwal::storage::{OpenMode, Storage};
use epochwal::{Error, ErrorKind, Options, RecoveryReport};
use std::ffi::OsStr;
use std::path::Path;

/// A new transaction, unlike those of the logs.
const NEW: u64 = 5000;

/// Tells what was done to the log when a check of it panics.
pub struct Telling<F: Fn() -> String>(pub F);

impl<F: Fn() -> String> Drop for Telling<F> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("with {}", (self.0)());
        }
    }
}

/// The verdict of a strict reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ruling {
    Clean,
    Torn,
    Corrupt,
    /// A newer format.
    Newer,
}

/// Reads damaged files; gives the ruling and the batches that came before it.
///
/// Whatever the damage: no panic, nothing comes out but a prefix of what was
/// written, reading changes nothing, and the durable prefix is the same.
pub fn rule(files: &Files, log: &Log) -> (Ruling, Vec<Got>) {
    rule_on(&disk_of(files), log)
}

/// As [`rule`], for files that lie on a disk already.
pub fn rule_on(disk: &SimStorage, log: &Log) -> (Ruling, Vec<Got>) {
    let (ruling, got) = outcome(disk);
    assert!(log.truth.starts_with(&got), "a wrong record came out");
    (ruling, got)
}

/// What reading gives, in whatever way: strictly, as the durable prefix, only
/// verifying. It writes nothing, and takes memory as the files are long,
/// whatever they say of themselves.
pub fn outcome(disk: &SimStorage) -> (Ruling, Vec<Got>) {
    let before = disk.operations();
    let (ruling, got) = within(READER + 8 * size_of(disk), || {
        let (got, end) = read(disk, &RecoveryOptions::default());
        let ruling = ruling_of(&end);
        check_prefix(disk, ruling, &got);
        check_verify(disk, &end, got.len());
        (ruling, got)
    });
    assert_eq!(disk.operations(), before, "reading wrote");
    (ruling, got)
}

/// What a reader of an empty log takes, at most.
const READER: usize = 32 << 10;

/// Bytes of all files.
fn size_of(disk: &SimStorage) -> usize {
    let names = disk.list(Path::new(DIR)).unwrap().into_iter();
    let files = names.map(|name| disk.open(&Path::new(DIR).join(name), OpenMode::Read));
    files
        .map(|file| file.unwrap().len().unwrap() as usize)
        .sum()
}

fn ruling_of(end: &Result<RecoveryReport, Error>) -> Ruling {
    let error = match end {
        Ok(report) => match report.verdict {
            Verdict::Clean => return Ruling::Clean,
            Verdict::Torn => return Ruling::Torn,
            Verdict::Corrupt => panic!("a strict reader calls corruption a success"),
        },
        Err(error) => error,
    };
    assert!(error.path().is_some(), "the file is named: {error}");
    match error.kind() {
        ErrorKind::Corrupt => Ruling::Corrupt,
        ErrorKind::Format => Ruling::Newer,
        kind => panic!("{kind:?}: {error}"),
    }
}

/// The durable prefix is what a strict reader gave before it failed, and every
/// segment from there on is listed.
fn check_prefix(disk: &SimStorage, ruling: Ruling, strict: &[Got]) {
    let prefix = RecoveryOptions {
        durable_prefix: true,
        ..RecoveryOptions::default()
    };
    let (got, end) = read(disk, &prefix);
    match end {
        Ok(report) => {
            assert_eq!(got, strict, "the durable prefix");
            assert_eq!(report.suspects.is_empty(), ruling == Ruling::Clean);
            if ruling == Ruling::Corrupt {
                check_suspects(disk, &report);
            }
        }
        // Without a state file there is no prefix that can be trusted.
        Err(error) => assert_ne!(ruling, Ruling::Clean, "{error}"),
    }
}

fn check_suspects(disk: &SimStorage, report: &RecoveryReport) {
    let listed = |name: &OsStr| {
        report
            .suspects
            .iter()
            .any(|s| s.path.file_name() == Some(name))
    };
    let first = report.suspects[0].path.file_name().unwrap();
    for name in disk.list(Path::new(DIR)).unwrap() {
        let segment = name
            .as_encoded_bytes()
            .windows(9)
            .any(|w| w == b"-wal-seg-");
        if segment && name.as_os_str() >= first {
            assert!(listed(&name), "{name:?} is not listed");
        }
    }
}

/// Verifying says what reading says, and hands out nothing.
fn check_verify(disk: &SimStorage, strict: &Result<RecoveryReport, Error>, batches: usize) {
    let verify = RecoveryOptions {
        verify_only: true,
        ..RecoveryOptions::default()
    };
    let (none, end) = read(disk, &verify);
    assert!(none.is_empty(), "verifying handed out batches");
    match (strict, &end) {
        (Ok(read), Ok(verified)) => {
            assert_eq!(read, verified);
            assert_eq!(read.batches, batches as u64);
        }
        (Err(read), Err(verified)) => assert_eq!(read.kind(), verified.kind()),
        (read, verified) => panic!("{read:?}, but verifying: {verified:?}"),
    }
}

/// A corrupt log is left alone by an open, and does not open where the damage
/// is in what an open reads: the end of the log. A salvaging open keeps what
/// a reader gives, deletes nothing and goes on with higher epochs.
pub fn check_salvage(files: &Files, log: &Log, prefix: &[Got]) {
    let disk = disk_of(files);
    let place = Place::sim(&disk);
    let highest = log.truth.last().map_or(0, |b| b.epoch);
    match place.open(&options()) {
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
            assert_eq!(&files_of(&disk), files, "a refused open changed files");
        }
        Ok(wal) => {
            assert_eq!(wal.durable_epoch().unwrap(), Some(highest), "a wrong end");
            assert!(commit(&wal, NEW).unwrap().epoch > highest);
            wal.close(PATIENCE).unwrap();
            let (got, end) = read(&disk, &RecoveryOptions::default());
            assert_eq!(end.unwrap_err().kind(), ErrorKind::Corrupt, "it healed");
            assert_eq!(got, prefix);
        }
    }
    let disk = disk_of(files);
    let place = Place::sim(&disk);
    let salvage = Options {
        salvage: true,
        ..options()
    };
    let wal = match place.open(&salvage) {
        // A header said that all numbers had been given out.
        Err(error) if error.kind() == ErrorKind::TooLarge => return,
        opened => opened.expect("a salvaging open"),
    };
    let after = files_of(&disk);
    // Below the oldest they are retired, and go.
    let oldest = &log.segments()[0];
    let segments = files.iter().filter(|(n, _)| n.contains("-wal-seg-"));
    for (name, bytes) in segments.filter(|(n, _)| *n >= oldest) {
        let kept = after
            .iter()
            .any(|(n, b)| n.starts_with(name.as_str()) && b == bytes);
        assert!(kept, "the bytes of {name} are gone");
    }
    let ticket = commit(&wal, NEW).unwrap();
    assert!(ticket.epoch > highest, "{} again", ticket.epoch);
    wal.close(PATIENCE).unwrap();
    let (got, end) = read(&disk.crash_nothing(), &RecoveryOptions::default());
    let report = end.expect("a salvaged log is good");
    assert_eq!(report.verdict, Verdict::Clean, "{report:?}");
    let (new, old) = got.split_last().expect("the new batch");
    assert_eq!(new.txn, NEW);
    assert_eq!(old, prefix, "what a salvage keeps");
}

/// The ruling on a log whose groups are all covered: all of it is there, or
/// it is an error. Salvages where that is called for.
pub fn nothing_is_lost(files: &Files, log: &Log, what: &str) -> Ruling {
    let (ruling, got) = rule(files, log);
    match ruling {
        Ruling::Clean | Ruling::Torn => {
            assert_eq!(got.len(), log.truth.len(), "{what}: silently absent");
        }
        Ruling::Corrupt => check_salvage(files, log, &got),
        Ruling::Newer => {}
    }
    ruling
}

/// What a length claims is seen where it is believed.
#[test]
#[should_panic(expected = "bytes of memory")]
fn memory_is_counted() {
    within(READER, || vec![0_u8; READER + 1]);
}
