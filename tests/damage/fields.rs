//! Every field of every structure at 0, at its maximum, and one off: as it is,
//! with wrong checksums, and with all checksums made right again.

use super::common::{Got, PATIENCE, Place, commit};
use super::fix::{fix_prelude, fix_state, refit, spoiled};
use super::image::tiny_version_one;
use super::image::{BLOCK, Ending, Files, Log, disk_of, options, tiny, tiny_reused};
use super::judge::{Ruling, Telling, nothing_is_lost, outcome};
use super::structures::{
    CERTIFICATE_FIELDS, FRAME, HEADER, ITEM, LANE_ENTRY, PRELUDE, RECORD, STATE, Structure,
};
use epochwal::ErrorKind;
use std::ops::Range;

/// A structure in a group, and where in the group it stands.
type Spot = (Structure, usize);

fn u32_at(bytes: &[u8], at: usize) -> usize {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize
}

/// All structures of a group; each item and frame has its own.
fn spots(group: &[u8]) -> Vec<Spot> {
    let payload = 128 + u32_at(group, 88);
    let certificate = group.len() - 96;
    let mut spots = vec![(HEADER, 0), (CERTIFICATE_FIELDS, certificate)];
    let mut at = 128;
    while at < payload {
        spots.push((ITEM, at));
        let mut frame = at + 48 + u32_at(group, at + 36);
        for _ in 0..u32_at(group, at + 32) {
            spots.push((FRAME, frame));
            frame += 12 + u32_at(group, frame + 8);
        }
        at += u32_at(group, at + 4);
    }
    let entries = u32_at(group, certificate + 56);
    spots.extend((1..=entries).map(|n| (LANE_ENTRY, certificate - 8 * n)));
    spots
}

/// Calls `check` with each value that each field of a group is spoiled with.
fn spoil_groups(log: &Log, check: impl Fn(usize, Range<usize>, &[u8], &str)) {
    for (g, (name, info)) in log.groups.iter().enumerate() {
        let range = info.offset as usize..(info.offset + info.length) as usize;
        let group = &log.files[name][range];
        for (structure, at) in spots(group) {
            for (field, range) in structure.fields() {
                let range = at + range.start..at + range.end;
                for value in spoiled(&group[range.clone()]) {
                    let what = format!("group {g}, {} {field} = {value:?}", structure.name);
                    let _telling = Telling(|| what.clone());
                    check(g, range.clone(), &value, &what);
                }
            }
        }
    }
}

/// Every byte is under a checksum, so a field that is changed alone is damage.
#[test]
fn every_field_of_every_group_with_wrong_checksums() {
    for log in [tiny(Ending::Closed), tiny_reused()] {
        spoil_groups(&log, |g, range, value, what| {
            let files = log.with_group(g, |bytes| bytes[range].copy_from_slice(value));
            let ruling = nothing_is_lost(&files, &log, what);
            let data = log.groups[g].1.kind == "pages";
            assert!(ruling == Ruling::Corrupt || !data, "{ruling:?}");
        });
    }
}

/// Only the header's own checksums are right: the certificate speaks of
/// another header.
#[test]
fn every_field_of_every_header_with_right_checksums() {
    for log in [tiny(Ending::Closed), tiny_reused()] {
        spoil_groups(&log, |g, range, value, what| {
            if range.end <= 128 {
                let files = log.with_group(g, |bytes| {
                    bytes[range].copy_from_slice(value);
                    super::fix::fix_header(bytes);
                });
                nothing_is_lost(&files, &log, what);
            }
        });
    }
}

/// All checksums vouch for what the field says. Then it may be believed, where
/// nothing contradicts it: but no other group suffers, and nothing that was
/// acknowledged is absent without an error, but for the last group's, whose
/// header can say that it is no part of this log.
#[test]
fn every_field_of_every_group_with_right_checksums() {
    for log in [tiny(Ending::Closed), tiny_reused()] {
        spoil_groups(&log, |g, range, value, _| {
            let files = log.with_group(g, |bytes| {
                let payload = u32_at(bytes, 88);
                bytes[range].copy_from_slice(value);
                refit(bytes, payload);
            });
            let info = &log.groups[g].1;
            let own = |b: &&Got| b.epoch == info.epoch;
            let others: Vec<&Got> = log.truth.iter().filter(|b| !own(b)).collect();
            let (ruling, got) = outcome(&disk_of(&files));
            let found: Vec<&Got> = got.iter().filter(|b| !own(b)).collect();
            assert!(others.starts_with(&found), "another group changed");
            let believed = got.iter().filter(own).count();
            assert!(believed <= 1);
            match ruling {
                Ruling::Clean | Ruling::Torn => {
                    assert_eq!(got.len(), log.truth.len(), "silently absent");
                }
                Ruling::Corrupt | Ruling::Newer => {}
            }
            goes_on(&files, &got, ruling);
        });
    }
}

/// A writer's open agrees with the reader, as far as it looks; and what it
/// takes, it goes on from.
fn goes_on(files: &Files, got: &[Got], ruling: Ruling) {
    let disk = disk_of(files);
    let place = Place::sim(&disk);
    let wal = match place.open(&options()) {
        Ok(wal) => wal,
        Err(error) => {
            let kinds = [ErrorKind::Corrupt, ErrorKind::Format, ErrorKind::TooLarge];
            assert!(kinds.contains(&error.kind()), "{error}");
            let fine = matches!(ruling, Ruling::Clean | Ruling::Torn);
            assert!(!fine || error.kind() == ErrorKind::TooLarge, "{error}");
            return;
        }
    };
    assert!(
        matches!(ruling, Ruling::Clean | Ruling::Torn),
        "{ruling:?}, but it opens"
    );
    let highest = got.iter().map(|b| b.epoch).max().unwrap_or(0);
    match commit(&wal, 5000) {
        Ok(ticket) => assert!(ticket.epoch > highest),
        Err(error) => assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}"),
    }
    wal.close(PATIENCE).unwrap();
    let (again, ruling) = (place.recover_all(), ruling);
    assert!(again.starts_with(got) || ruling == Ruling::Torn);
}

fn spoil_state(log: &Log, check: impl Fn(Range<usize>, &[u8])) {
    let state = &log.files[&log.state()];
    for (field, range) in STATE.fields() {
        for value in spoiled(&state[range.clone()]) {
            let _telling = Telling(|| format!("state {field} = {value:?}"));
            check(range.clone(), &value);
        }
    }
}

fn with_state(log: &Log, copies: Range<usize>, change: impl Fn(&mut [u8])) -> Files {
    log.with(&log.state(), |bytes| {
        for copy in bytes.chunks_mut(BLOCK).take(copies.end).skip(copies.start) {
            change(copy);
        }
    })
}

/// Where the update number stands.
const UPDATE: usize = 16;

#[test]
fn every_field_of_the_state_with_wrong_checksums() {
    for log in [tiny(Ending::Closed), tiny_reused(), tiny(Ending::Killed)] {
        spoil_state(&log, |range, value| {
            let change = |copy: &mut [u8]| copy[range.clone()].copy_from_slice(value);
            for copies in [0..1, 1..2] {
                let files = with_state(&log, copies, change);
                assert_eq!(nothing_is_lost(&files, &log, "one copy"), Ruling::Clean);
            }
            if range.start == UPDATE {
                // The copies differ in it: what is wrong for one is right for the other.
                return;
            }
            // Row 15.
            let (ruling, got) = outcome(&disk_of(&with_state(&log, 0..2, change)));
            assert_eq!((ruling, got.len()), (Ruling::Corrupt, 0));
        });
    }
}

/// What the state file says is believed where nothing contradicts it: but no
/// value makes a reader or an open panic, hang, or give a wrong record. Only
/// the floor and the epoch below which segments are retired say that there is
/// less to give.
#[test]
fn every_field_of_the_state_with_right_checksums() {
    for log in [tiny(Ending::Closed), tiny_reused(), tiny(Ending::Killed)] {
        spoil_state(&log, |range, value| {
            let change = |copy: &mut [u8]| {
                copy[range.clone()].copy_from_slice(value);
                fix_state(copy);
            };
            for copies in [0..1, 1..2, 0..2] {
                let files = with_state(&log, copies, change);
                let (ruling, got) = outcome(&disk_of(&files));
                assert!(got.iter().all(|b| log.truth.contains(b)), "a wrong record");
                let less = (12..16).contains(&range.start) || (64..88).contains(&range.start);
                if matches!(ruling, Ruling::Clean | Ruling::Torn) && !less {
                    assert_eq!(got.len(), log.truth.len(), "silently absent");
                }
                goes_on(&files, &got, ruling);
            }
        });
    }
}

/// A file of version 1, and where its structures stand.
fn spots_of_one(file: &[u8]) -> Vec<Spot> {
    let mut spots = vec![(PRELUDE, 0)];
    let mut at = 24;
    while at < file.len() {
        assert_eq!(u32_at(file, at + 45), 0, "no before-image");
        spots.push((RECORD, at));
        at += 4 + u32_at(file, at);
    }
    spots
}

/// No checksum covers a record: a field is believed, or does not parse; no
/// other record suffers.
#[test]
fn every_field_of_version_one() {
    let log = tiny_version_one();
    for (i, name) in log.segments().iter().enumerate() {
        for (structure, at) in spots_of_one(&log.files[name]) {
            for (field, range) in structure.fields() {
                let range = at + range.start..at + range.end;
                for value in spoiled(&log.files[name][range.clone()]) {
                    let _telling = Telling(|| format!("{name} at {at}: {field} = {value:?}"));
                    let wrong =
                        log.with(name, |bytes| bytes[range.clone()].copy_from_slice(&value));
                    let right = log.with(name, |bytes| {
                        bytes[range.clone()].copy_from_slice(&value);
                        fix_prelude(bytes);
                    });
                    for files in [wrong, right] {
                        check_one(&log, &files, i);
                    }
                }
            }
        }
    }
}

fn check_one(log: &Log, files: &Files, changed: usize) {
    let (ruling, got) = outcome(&disk_of(files));
    let frames = |batches: &[Got]| batches.iter().map(|b| b.frames.len()).sum::<usize>();
    assert_eq!(got[..changed], log.truth[..changed], "epochs before it");
    match ruling {
        Ruling::Clean => {
            assert_eq!(frames(&got), frames(&log.truth), "silently absent");
            let after = log.truth.len() - changed - 1;
            assert_eq!(got[got.len() - after..], log.truth[changed + 1..]);
        }
        Ruling::Corrupt | Ruling::Newer => assert_eq!(got.len(), changed),
        Ruling::Torn => panic!("version 1 is never torn"),
    }
}
