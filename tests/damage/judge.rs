//! What must hold of any damage, and what the verdict on it is.

use super::common::{Got, PATIENCE, Place, commit};
use super::image::{Files, Log, disk_of, files_of, options, read};
use epochwal::recovery::{RecoveryOptions, Verdict};
use epochwal::{ErrorKind, Options};

/// A new transaction, unlike those of the logs.
const NEW: u64 = 5000;

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
    let disk = disk_of(files);
    let before = disk.operations();
    let (got, end) = read(&disk, &RecoveryOptions::default());
    assert!(log.truth.starts_with(&got), "a wrong record came out");
    let ruling = match &end {
        Ok(report) => match report.verdict {
            Verdict::Clean => Ruling::Clean,
            Verdict::Torn => Ruling::Torn,
            Verdict::Corrupt => panic!("a strict reader calls corruption a success"),
        },
        Err(error) => match error.kind() {
            ErrorKind::Corrupt => Ruling::Corrupt,
            ErrorKind::Format => Ruling::Newer,
            kind => panic!("{kind:?}: {error}"),
        },
    };
    if let Err(error) = &end {
        assert!(error.path().is_some(), "the file is named: {error}");
    }
    check_prefix(files, ruling, &got);
    assert_eq!(disk.operations(), before, "reading wrote");
    (ruling, got)
}

/// The durable prefix is what a strict reader gave before it failed; every
/// segment from there on is listed, and nothing on the disk is touched.
fn check_prefix(files: &Files, ruling: Ruling, strict: &[Got]) {
    let disk = disk_of(files);
    let before = disk.operations();
    let prefix = RecoveryOptions {
        durable_prefix: true,
        ..RecoveryOptions::default()
    };
    let (got, end) = read(&disk, &prefix);
    assert_eq!(disk.operations(), before, "a durable prefix wrote");
    assert_eq!(&files_of(&disk), files);
    match end {
        Ok(report) => {
            assert_eq!(got, strict, "the durable prefix");
            assert_eq!(report.suspects.is_empty(), ruling == Ruling::Clean);
            if let Some(first) = report.suspects.first()
                && ruling == Ruling::Corrupt
            {
                let names = files.keys().filter(|n| n.contains("-wal-seg-"));
                let first = first.path.file_name().unwrap().to_str().unwrap();
                let from = names.filter(|n| n.as_str() >= first);
                let listed: Vec<&str> = report
                    .suspects
                    .iter()
                    .map(|s| s.path.file_name().unwrap().to_str().unwrap())
                    .collect();
                for name in from {
                    assert!(listed.contains(&name.as_str()), "{name} is not listed");
                }
            }
        }
        // Without a state file there is no prefix that can be trusted.
        Err(error) => assert_ne!(ruling, Ruling::Clean, "{error}"),
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
