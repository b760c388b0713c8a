//! What else a log's files may hold: groups that are whole, every checksum
//! right, and not of this place; and what was dropped once.

use super::common::{PATIENCE, Place};
use super::fix::{fix_prelude, refit};
use super::image::{
    BLOCK, Files, Log, closed, disk_of, files_of, killed, options, read, tiny_reused, unsynced,
};
use super::judge::{Ruling, rule};
use epochwal::recovery::{RecoveryOptions, Verdict};

/// A log's last group with a change to its header, all checksums made right.
fn forged(log: &Log, change: impl FnOnce(&mut [u8])) -> Files {
    log.with_group(log.last_data(), |bytes| {
        let payload_len = u64::from_le_bytes(bytes[88..96].try_into().unwrap());
        change(bytes);
        refit(bytes, payload_len as usize);
    })
}

/// A file keeps what its former uses wrote, and a disk may put a write in
/// another place: checksums say nothing of that, the names in a header do.
#[test]
fn a_whole_group_that_names_another_place_is_not_taken() {
    let log = killed();
    let before = log.truth.len() - 1;
    for (field, at) in [
        ("link", 28),
        ("log id", 32),
        ("generation", 48),
        ("position", 73),
        ("previous epoch", 104),
    ] {
        let (ruling, got) = rule(&forged(&log, |bytes| bytes[at] ^= 0x10), &log);
        assert_eq!(got.len(), before, "another {field} is taken");
        assert_ne!(ruling, Ruling::Corrupt, "{field}: it was not acknowledged");
    }
    let (_, got) = rule(&forged(&log, |_| ()), &log);
    assert_eq!(got.len(), before + 1, "its own is");
}

/// Its groups have the same names and numbers, and link to each other.
#[test]
fn the_segments_of_a_log_of_the_same_shape_are_another_logs() {
    let log = closed();
    let other = closed();
    let mut files = other.files.clone();
    files.insert(log.state(), log.files[&log.state()].clone());
    assert_eq!(
        files.keys().collect::<Vec<_>>(),
        log.files.keys().collect::<Vec<_>>()
    );
    let (ruling, got) = rule(&files, &log);
    assert_eq!((ruling, got.len()), (Ruling::Corrupt, 0));
}

/// What an open drops is gone: it is not found again behind a later end.
#[test]
fn a_torn_tail_is_reported_once() {
    let log = unsynced();
    for group in 1..=log.last_data() {
        let files = log.with_group(group, |bytes| bytes[..BLOCK].fill(0));
        let disk = disk_of(&files);
        let wal = Place::sim(&disk).open(&options()).unwrap();
        let last = log.groups[group].1.previous_epoch;
        let durable = wal.durable_epoch().unwrap();
        assert_eq!(durable, Some(last), "what can be read is durable");
        wal.close(PATIENCE).unwrap();
        let (got, report) = read(&disk, &RecoveryOptions::default());
        assert_eq!(got, log.through(last));
        assert_eq!(
            report.unwrap().verdict,
            Verdict::Clean,
            "without group {group}"
        );
    }
}

/// Under a segment's name again it would be taken for what is newer, until its
/// first group is written.
#[test]
fn a_spare_of_a_newer_format_is_not_used_again() {
    let log = tiny_reused();
    let spare = log.files.keys().find(|n| n.contains("-wal-spare-"));
    for (at, value) in [(4, 3), (6, 1)] {
        let files = log.with(spare.unwrap(), |bytes| {
            bytes[at] = value;
            fix_prelude(bytes);
        });
        let disk = disk_of(&files);
        let wal = Place::sim(&disk).open(&options()).unwrap();
        let newer = &files[spare.unwrap()];
        assert!(files_of(&disk).values().all(|bytes| bytes != newer));
        wal.close(PATIENCE).unwrap();
    }
}
