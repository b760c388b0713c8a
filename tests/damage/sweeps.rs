//! Damage by the thousand: every bit, every field, every file.

use super::fix::{fix_certificate, fix_header, fix_state, spoiled};
use super::image::{BLOCK, Log, closed, killed, options, reused};
use super::judge::{Ruling, nothing_is_lost, rule};
use std::ops::Range;

/// Fields of a group header.
const HEADER: [Range<usize>; 16] = [
    0..4,
    4..6,
    6..8,
    8..16,
    16..20,
    24..25,
    28..32,
    32..48,
    48..56,
    56..64,
    64..72,
    72..80,
    80..88,
    88..96,
    96..104,
    104..112,
];

/// Fields of a certificate.
const CERTIFICATE: [Range<usize>; 15] = [
    0..4,
    4..6,
    6..8,
    8..16,
    16..24,
    24..32,
    32..40,
    40..48,
    48..52,
    52..56,
    56..60,
    60..64,
    64..72,
    72..76,
    76..80,
];

/// Fields of a copy of the state.
const STATE: [Range<usize>; 13] = [
    8..12,
    12..16,
    16..24,
    24..40,
    40..56,
    56..64,
    64..72,
    72..80,
    80..88,
    88..96,
    96..104,
    104..112,
    112..120,
];

#[test]
fn every_field_of_every_header_with_right_checksums() {
    for log in [closed(), reused()] {
        for g in 0..log.groups.len() {
            for field in &HEADER {
                let (name, info) = &log.groups[g];
                let at = info.offset as usize;
                let now = &log.files[name][at + field.start..at + field.end];
                for value in spoiled(now) {
                    let what = format!("group {g}, header {field:?} = {value:?}");
                    let header = log.with_group(g, |bytes| {
                        bytes[field.clone()].copy_from_slice(&value);
                        fix_header(bytes);
                    });
                    nothing_is_lost(&header, &log, &what);
                    // The certificate vouches for it, too.
                    let payload_len = payload_len(&log, g);
                    let all = log.with_group(g, |bytes| {
                        bytes[field.clone()].copy_from_slice(&value);
                        fix_header(bytes);
                        fix_certificate(bytes, payload_len);
                    });
                    let data = info.kind == "pages";
                    let newest = g == log.last_data();
                    let (ruling, got) = rule(&all, &log);
                    let lost = got.len() < log.truth.len();
                    let silent = matches!(ruling, Ruling::Clean | Ruling::Torn);
                    assert!(!(lost && silent && data && !newest), "{what}: {ruling:?}");
                }
            }
        }
    }
}

fn payload_len(log: &Log, g: usize) -> usize {
    let (name, info) = &log.groups[g];
    let at = info.offset as usize + 88;
    let bytes = log.files[name][at..at + 8].try_into().unwrap();
    u64::from_le_bytes(bytes) as usize
}

#[test]
fn every_field_of_every_certificate_with_a_right_checksum() {
    let log = closed();
    for g in 0..log.groups.len() {
        let (name, info) = &log.groups[g];
        let certificate = (info.offset + info.length) as usize - 96;
        for field in &CERTIFICATE {
            let now = &log.files[name][certificate + field.start..certificate + field.end];
            for value in spoiled(now) {
                let what = format!("group {g}, certificate {field:?} = {value:?}");
                let payload_len = payload_len(&log, g);
                let files = log.with_group(g, |bytes| {
                    let at = bytes.len() - 96;
                    bytes[at + field.start..at + field.end].copy_from_slice(&value);
                    let end = bytes.len() - 4;
                    let crc = crc32c::crc32c(&bytes[128 + payload_len..end]);
                    bytes[end..].copy_from_slice(&crc.to_le_bytes());
                });
                nothing_is_lost(&files, &log, &what);
            }
        }
    }
}

/// What the state file says is believed where nothing contradicts it: but no
/// value makes a reader or an open panic, hang, or give a wrong record.
#[test]
fn every_field_of_the_state_with_right_checksums() {
    for log in [closed(), reused(), killed()] {
        let state = log.state();
        for field in &STATE {
            for value in spoiled(&log.files[&state][field.clone()]) {
                let files = log.with(&state, |bytes| {
                    for copy in bytes.chunks_mut(BLOCK).take(2) {
                        copy[field.clone()].copy_from_slice(&value);
                        fix_state(copy);
                    }
                });
                let disk = super::image::disk_of(&files);
                let (got, _) = super::image::read(&disk, &Default::default());
                for batch in &got {
                    assert!(log.truth.contains(batch), "{field:?} = {value:?}");
                }
                if let Ok(wal) = super::common::Place::sim(&disk).open(&options()) {
                    let _ = super::common::commit(&wal, 7000);
                    let _ = wal.close(super::common::PATIENCE);
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
    let disk = epochwal::storage::sim::SimStorage::new();
    let place = super::common::Place::sim(&disk);
    let wal = place.open(&options()).unwrap();
    let mut older = Vec::new();
    for txn in 1..=24 {
        super::common::commit(&wal, txn).unwrap();
        if txn % 4 == 0 && txn <= 16 {
            let files = super::image::files_of(&disk.snapshot());
            older.extend(files.into_iter().filter(|(n, _)| n.contains("-wal-seg-")));
            wal.checkpoint(wal.durable_epoch().unwrap().unwrap())
                .unwrap();
        }
    }
    wal.close(super::common::PATIENCE).unwrap();
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
