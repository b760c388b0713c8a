//! Every bit of small logs, flipped one at a time: segments, free blocks, both
//! copies of the state, the scratch block.
//!
//! Readers look at each. So does an open, which is refused where a reader is;
//! where it is not, an open costs ten times a reading, so that there it is
//! tried on one bit of each byte.

use super::common::{Got, PATIENCE, Place};
use super::image::{BLOCK, DIR, Ending, Log, closed, disk_of, killed, options, reused, tiny};
use super::image::{tiny_reused, tiny_version_one};
use super::judge::{Ruling, Telling, rule_on};
use epochwal::ErrorKind;
use epochwal::recovery::GroupInfo;
use epochwal::storage::sim::SimStorage;
use epochwal::storage::{OpenMode, Storage, write_all_at};
use std::path::Path;

/// Whether logs with pages are swept, too: minutes instead of seconds.
fn all() -> bool {
    std::env::var_os("EPOCHWAL_DAMAGE_ALL").is_some()
}

/// The machine with one byte of a file changed. Shares what did not change
/// with `base`, so that a hundred thousand of them cost little.
fn with_byte(base: &SimStorage, name: &str, at: usize, byte: u8) -> SimStorage {
    let disk = base.snapshot();
    let file = disk.open(&Path::new(DIR).join(name), OpenMode::Write);
    write_all_at(&*file.unwrap(), &[byte], at as u64, 1).unwrap();
    disk
}

/// Flips every bit of a file; `check` gets the disk, the byte and the bit.
fn flip_all(log: &Log, name: &str, check: impl Fn(&SimStorage, usize, usize)) {
    let base = disk_of(&log.files);
    for (at, byte) in log.files[name].iter().enumerate() {
        for bit in 0..8 {
            let _telling = Telling(|| format!("bit {bit} of byte {at} of {name} flipped"));
            check(&with_byte(&base, name, at, byte ^ 1 << bit), at, bit);
        }
    }
}

/// The group that a byte of a segment belongs to, and its number.
fn group_at<'a>(log: &'a Log, name: &str, at: usize) -> Option<(usize, &'a GroupInfo)> {
    let at = at as u64;
    let mut groups = log.groups.iter().enumerate();
    let (number, (_, info)) = groups.find(|(_, (segment, info))| {
        segment == name && (info.offset..info.offset + info.length).contains(&at)
    })?;
    Some((number, info))
}

/// An open is refused as corrupt, and writes nothing but the lock file.
fn refused(disk: &SimStorage) {
    let before = disk.operations();
    let error = Place::sim(disk).open(&options()).expect_err("a refusal");
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    let written = disk.operations() - before;
    assert_eq!(written, LOCKING, "a refused open wrote");
}

/// Operations of an open up to where it looks at the log: it makes the lock
/// file and clears what that says.
const LOCKING: u64 = 2;

/// An open goes on behind `last`.
fn opens(disk: &SimStorage, last: u64) {
    let wal = Place::sim(disk).open(&options()).expect("an open");
    assert_eq!(wal.durable_epoch().unwrap(), Some(last), "a wrong end");
    wal.close(PATIENCE).unwrap();
}

/// Flips every bit of the segments. Every group but `uncovered` of the last
/// ones is covered by a later watermark.
fn flip_segments(log: &Log, segments: &[String], uncovered: usize) {
    let last = log.truth.last().unwrap().epoch;
    let covered = log.groups.len() - uncovered;
    for name in segments {
        flip_all(log, name, |disk, at, bit| {
            let (ruling, got) = rule_on(disk, log);
            let group = group_at(log, name, at);
            let data = group.filter(|(_, info)| info.kind == "pages");
            let end = match data {
                // Nothing is lost: what stands here is no data, and of what a
                // mark says the state file has a copy.
                None => {
                    assert_eq!(got.len(), log.truth.len(), "silently absent");
                    assert!(group.is_some() || ruling == Ruling::Clean, "{ruling:?}");
                    last
                }
                Some((number, info)) => {
                    assert_eq!(got, log.through(info.previous_epoch));
                    let corrupt = ruling == Ruling::Corrupt;
                    assert_eq!(corrupt, number < covered, "{ruling:?}");
                    info.previous_epoch
                }
            };
            match ruling {
                Ruling::Corrupt => refused(disk),
                _ if all() || bit == at % 8 => opens(disk, end),
                _ => {}
            }
        });
    }
}

#[test]
fn every_bit_of_a_closed_log() {
    for log in logs(tiny(Ending::Closed), closed) {
        flip_segments(&log, &log.segments(), 0);
    }
}

/// But for its last group a killed log is like a closed one.
#[test]
fn every_bit_of_a_killed_log() {
    for log in logs(tiny(Ending::Killed), killed) {
        let segments = log.segments();
        flip_segments(&log, &segments[1..], 1);
    }
}

#[test]
fn every_bit_of_a_reused_log() {
    for log in logs(tiny_reused(), reused) {
        flip_segments(&log, &log.segments(), 0);
    }
}

/// The log, and a larger one where that is asked for.
fn logs(tiny: Log, large: fn() -> Log) -> Vec<Log> {
    let mut logs = vec![tiny];
    logs.extend(all().then(large));
    logs
}

#[test]
fn every_bit_of_the_state_file_has_a_second_copy() {
    let log = tiny(Ending::Closed);
    let last = log.truth.last().unwrap().epoch;
    flip_all(&log, &log.state(), |disk, at, bit| {
        let (ruling, got) = rule_on(disk, &log);
        assert_eq!(ruling, Ruling::Clean);
        assert_eq!(got.len(), log.truth.len(), "silently absent");
        let fields = at % BLOCK < 128 || at % BLOCK >= BLOCK - 4;
        if all() || (fields && bit == at % 8) {
            opens(disk, last);
        }
    });
}

/// No checksum covers the records of version 1, only their structure is
/// checked: a flipped bit is corruption, or it changes that one record, but
/// no other is lost or changed.
#[test]
fn every_bit_of_a_log_of_version_one() {
    let log = tiny_version_one();
    let base = disk_of(&log.files);
    for name in log.segments() {
        let before = log.segments().iter().take_while(|n| **n < name).count();
        for (at, byte) in log.files[&name].iter().enumerate() {
            for bit in 0..8 {
                let _telling = Telling(|| format!("bit {bit} of byte {at} of {name} flipped"));
                let disk = with_byte(&base, &name, at, byte ^ 1 << bit);
                let (got, end) = super::image::read(&disk, &Default::default());
                assert_eq!(got[..before], log.truth[..before], "records before it");
                match end {
                    Ok(_) => {
                        assert!(at >= 24, "the prelude has a checksum");
                        let (now, written) = (records(&got), records(&log.truth));
                        assert_eq!(now.len(), written.len(), "silently absent");
                        let same = now.iter().filter(|r| written.contains(r)).count();
                        assert!(same + 1 >= written.len(), "another record changed");
                    }
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
                        assert_eq!(got.len(), before);
                        refused(&disk);
                    }
                }
            }
        }
    }
}

/// Frames with all that a record of version 1 says of them.
fn records(batches: &[Got]) -> Vec<impl PartialEq> {
    let frames = batches
        .iter()
        .flat_map(|b| b.frames.iter().map(move |f| (b, f)));
    frames
        .map(|(b, (page, _, data))| (b.epoch, b.seq, b.txn, b.txn_epoch, *page, &data[..]))
        .collect()
}

/// What stands in a spare means nothing, whatever it is: it becomes a segment,
/// and what is committed to it comes back.
#[test]
fn every_byte_of_a_spare() {
    let log = tiny_reused();
    let spare = log.files.keys().find(|n| n.contains("-wal-spare-"));
    let spare = spare.expect("a retired segment").clone();
    let base = disk_of(&log.files);
    let bytes = &log.files[&spare];
    assert!(bytes.starts_with(b"LAWP"), "an old group");
    let structure = |at: &usize| at % BLOCK < 240 || at % BLOCK >= BLOCK - 96;
    for at in (0..bytes.len()).filter(structure) {
        let _telling = Telling(|| format!("byte {at} of {spare} flipped"));
        let disk = with_byte(&base, &spare, at, bytes[at] ^ 1 << (at % 8));
        let (ruling, got) = rule_on(&disk, &log);
        assert_eq!((ruling, got.len()), (Ruling::Clean, log.truth.len()));
        if all() || at % 8 == 0 {
            super::image::fill_spare(&disk, &spare, &log);
        }
    }
}

/// The lock file has no content that lasts: whatever stands in it, nobody
/// holds its locks.
#[test]
fn any_lock_file() {
    let log = tiny(Ending::Closed);
    let name = log.state().replace("-wal-state", "-wal-lock");
    for bytes in [
        vec![],
        vec![0; 8],
        vec![0xff; 8],
        vec![1; 7],
        vec![0x80; 5000],
    ] {
        let mut files = log.files.clone();
        files.insert(name.clone(), bytes);
        let disk = disk_of(&files);
        let (ruling, got) = rule_on(&disk, &log);
        assert_eq!((ruling, got.len()), (Ruling::Clean, log.truth.len()));
        opens(&disk, log.truth.last().unwrap().epoch);
    }
}
