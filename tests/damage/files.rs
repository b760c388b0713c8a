//! Files as wholes: cut at every length, made longer, doubled, renamed,
//! swapped, or as they were before a reuse.

use super::common::{PATIENCE, Place, commit};
use super::image::{BLOCK, DIR, Ending, Log, closed, disk_of, files_of, options, reused};
use super::image::{tiny, tiny_reused, tiny_version_one};
use super::judge::{Ruling, nothing_is_lost, rule_on};
use epochwal::storage::sim::SimStorage;
use epochwal::storage::{OpenMode, Storage};
use std::path::Path;

/// A segment may be no shorter than it says. The state has its second copy,
/// as long as the first is whole; version 1 does without.
#[test]
fn every_file_cut_at_every_length() {
    for log in [tiny(Ending::Closed), tiny_reused(), tiny_version_one()] {
        let base = disk_of(&log.files);
        for name in log.files.keys().filter(|n| !n.contains("-wal-spare-")) {
            for len in 0..log.files[name].len() {
                let disk = base.snapshot();
                let file = disk.open(&Path::new(DIR).join(name), OpenMode::Write);
                file.unwrap().set_len(len as u64).unwrap();
                let (ruling, got) = rule_on(&disk, &log);
                let one = log.groups.is_empty();
                let whole = *name == log.state() && (one || len >= BLOCK);
                let expected = match whole {
                    true => Ruling::Clean,
                    false => Ruling::Corrupt,
                };
                assert_eq!(ruling, expected, "{name} cut to {len}");
                assert!(!whole || got.len() == log.truth.len(), "silently absent");
            }
        }
    }
}

/// What follows the last group of a segment means nothing; but a file of
/// whole blocks stays one, and version 1 has no room for more.
#[test]
fn every_file_made_longer() {
    for log in [tiny(Ending::Closed), tiny_reused(), tiny_version_one()] {
        let one = log.groups.is_empty();
        for name in log.segments() {
            for len in [1, 511, 512, 4095, 4096, 4097, 8192, 65_536, 1 << 20] {
                let own = log.files[&name].clone();
                for tail in [
                    vec![0; len],
                    vec![0xa5; len],
                    own.into_iter().cycle().take(len).collect(),
                ] {
                    let files = log.with(&name, |bytes| bytes.extend(tail));
                    let ruling = nothing_is_lost(&files, &log, &format!("{name} and {len} more"));
                    let fine = !one && len.is_multiple_of(BLOCK);
                    assert_eq!(
                        ruling == Ruling::Clean,
                        fine,
                        "{name} and {len} more: {ruling:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn segments_doubled_renamed_and_swapped() {
    for log in [closed(), reused()] {
        let names = log.segments();
        let prefix = names[0].rsplit_once('-').unwrap().0.to_owned();
        let last = log.truth.last().unwrap().epoch;
        for (i, name) in names.iter().enumerate() {
            for epoch in (0..last + 3).chain([u64::MAX]) {
                let other = format!("{prefix}-{epoch:016x}");
                if log.files.contains_key(&other) {
                    continue;
                }
                let mut doubled = log.files.clone();
                doubled.insert(other.clone(), log.files[name].clone());
                let ruling = nothing_is_lost(&doubled, &log, &format!("{name} also {other}"));
                // Below the oldest it is one that was retired, above the newest
                // one that was being made ready.
                let inside = names[0] < other && other < *names.last().unwrap();
                assert!(ruling == Ruling::Corrupt || !inside, "{other}");
                let mut renamed = doubled;
                renamed.remove(name);
                let what = format!("{name} became {other}");
                assert_eq!(nothing_is_lost(&renamed, &log, &what), Ruling::Corrupt);
            }
            for other in &names[..i] {
                let mut swapped = log.files.clone();
                swapped.insert(name.clone(), log.files[other].clone());
                swapped.insert(other.clone(), log.files[name].clone());
                let what = format!("{name} and {other} swapped");
                assert_eq!(nothing_is_lost(&swapped, &log, &what), Ruling::Corrupt);
            }
        }
    }
}

/// A file of the same log from before its reuse, under its name of today.
#[test]
fn segments_of_an_older_generation() {
    let disk = SimStorage::new();
    let place = Place::sim(&disk);
    let wal = place.open(&options()).unwrap();
    let mut older = Vec::new();
    for txn in 1..=24 {
        commit(&wal, txn).unwrap();
        if txn % 4 == 0 && txn <= 16 {
            let files = files_of(&disk.snapshot());
            older.extend(files.into_iter().filter(|(n, _)| n.contains("-wal-seg-")));
            wal.checkpoint(wal.durable_epoch().unwrap().unwrap())
                .unwrap();
        }
    }
    wal.close(PATIENCE).unwrap();
    let log = Log::of(&disk);
    assert!(older.len() >= 4);
    for name in log.segments() {
        for (was, bytes) in &older {
            let files = log.with(&name, |now| now.clone_from(bytes));
            let what = format!("{name} holds the older {was}");
            assert_eq!(nothing_is_lost(&files, &log, &what), Ruling::Corrupt);
        }
    }
    // The whole log of an older time under today's state file.
    let mut files = log.files.clone();
    files.retain(|name, _| !name.contains("-wal-seg-"));
    files.extend(older);
    assert_eq!(
        nothing_is_lost(&files, &log, "older segments"),
        Ruling::Corrupt
    );
}
