//! The decision table of `docs/format.md`, a test for each row.

use super::common::{PATIENCE, Place};
use super::fix::{fix_header, fix_prelude, fix_state, refit};
use super::image::{BLOCK, Ending, Files, Log, closed, disk_of, files_of, killed, log, options};
use super::image::{read, reused, tiny_version_one, unsynced};
use super::judge::{Ruling, check_salvage, rule};
use epochwal::coordinator::Sequencing;
use epochwal::format::prelude;
use epochwal::recovery::{RecoveryOptions, cleanup_segments_on};
use epochwal::storage::sim::{Call, FaultPlan, SimStorage};
use epochwal::{Batch, ErrorKind, Frame, Options};
use std::collections::BTreeSet;

/// The ruling, and up to which epoch the log was read.
fn ruling(files: &Files, log: &Log) -> (Ruling, u64) {
    let (ruling, got) = rule(files, log);
    if ruling == Ruling::Corrupt {
        check_salvage(files, log, &got);
    }
    (ruling, got.last().map_or(0, |b| b.epoch))
}

/// A group in the middle of a segment in the middle of the log.
const MIDDLE: usize = 3;

fn before(log: &Log, group: usize) -> u64 {
    log.groups[group].1.previous_epoch
}

fn flip_body(bytes: &mut [u8]) {
    bytes[200] ^= 1;
}

/// Only its own checksum: what it says of the group is still right.
fn flip_certificate(bytes: &mut [u8]) {
    bytes[bytes.len() - 1] ^= 1;
}

fn unlink(bytes: &mut [u8]) {
    bytes[28] ^= 1;
    fix_header(bytes);
}

fn blank(bytes: &mut [u8]) {
    bytes[..BLOCK].fill(0);
}

fn spoil_checksum(bytes: &mut [u8]) {
    bytes[124] ^= 1;
}

#[test]
fn row_01_a_group_that_is_right() {
    for log in [closed(), killed(), reused(), unsynced()] {
        let last = log.truth.last().unwrap().epoch;
        assert_eq!(ruling(&log.files, &log), (Ruling::Clean, last));
    }
}

#[test]
fn row_02_the_log_goes_on_in_the_next_segment() {
    let log = killed();
    assert!(log.segments().len() >= 3);
    // What stands behind the last group of a segment does not matter.
    let first = &log.segments()[0];
    let end = log.groups.iter().filter(|(name, _)| name == first);
    let end = end.map(|(_, g)| g.offset + g.length).max().unwrap() as usize;
    let files = log.with(first, |bytes| bytes[end..].fill(0xa5));
    let last = log.truth.last().unwrap().epoch;
    assert_eq!(ruling(&files, &log), (Ruling::Clean, last));
}

#[test]
fn row_03_a_wrong_body_that_a_watermark_covers() {
    let log = killed();
    let files = log.with_group(MIDDLE, flip_body);
    assert_eq!(
        ruling(&files, &log),
        (Ruling::Corrupt, before(&log, MIDDLE))
    );
    // The newest one, which only the group behind it covers.
    let newest = log.last_data() - 1;
    let files = log.with_group(newest, flip_body);
    assert_eq!(
        ruling(&files, &log),
        (Ruling::Corrupt, before(&log, newest))
    );
    let log = closed();
    let last = log.last_data();
    let files = log.with_group(last, flip_body);
    assert_eq!(ruling(&files, &log), (Ruling::Corrupt, before(&log, last)));
}

#[test]
fn row_04_a_wrong_body_that_none_covers() {
    let log = killed();
    let last = log.last_data();
    for spoil in [flip_body, flip_certificate] {
        let files = log.with_group(last, spoil);
        assert_eq!(ruling(&files, &log), (Ruling::Torn, before(&log, last)));
    }
}

#[test]
fn row_05_a_header_of_another_place_in_the_log_that_is_covered() {
    let log = killed();
    let files = log.with_group(MIDDLE, unlink);
    assert_eq!(
        ruling(&files, &log),
        (Ruling::Corrupt, before(&log, MIDDLE))
    );
}

#[test]
fn row_06_a_header_of_another_place_in_the_log_that_is_not() {
    let log = killed();
    let last = log.last_data();
    let files = log.with_group(last, unlink);
    assert_eq!(ruling(&files, &log), (Ruling::Torn, before(&log, last)));
}

#[test]
fn row_07_nothing_where_a_covered_group_should_stand() {
    let log = killed();
    let files = log.with_group(MIDDLE, blank);
    assert_eq!(
        ruling(&files, &log),
        (Ruling::Corrupt, before(&log, MIDDLE))
    );
    let log = closed();
    let last = log.last_data();
    let files = log.with_group(last, blank);
    assert_eq!(ruling(&files, &log), (Ruling::Corrupt, before(&log, last)));
}

#[test]
fn row_08_nothing_before_groups_that_were_never_called_durable() {
    let log = unsynced();
    let files = log.with_group(MIDDLE, blank);
    assert_eq!(ruling(&files, &log), (Ruling::Torn, before(&log, MIDDLE)));
}

#[test]
fn row_09_a_broken_header_in_files_never_reused() {
    let log = killed();
    let last = log.last_data();
    let files = log.with_group(last, spoil_checksum);
    assert_eq!(ruling(&files, &log), (Ruling::Torn, before(&log, last)));
}

#[test]
fn row_10_the_end_of_the_log() {
    let log = killed();
    let last = log.last_data();
    let files = log.with_group(last, blank);
    assert_eq!(ruling(&files, &log), (Ruling::Clean, before(&log, last)));
    // In a reused file a broken header may be a stale one.
    let log = super::image::log(&options(), 16, 8, Ending::Killed);
    let last = log.last_data();
    let files = log.with_group(last, spoil_checksum);
    assert_eq!(ruling(&files, &log), (Ruling::Clean, before(&log, last)));
}

#[test]
fn row_11_a_newer_format() {
    let log = killed();
    let last = log.last_data();
    for (at, value) in [(4, 3), (5, 1), (6, 1), (7, 0x80)] {
        let files = log.with_group(last, |bytes| {
            bytes[at] = value;
            fix_prelude(bytes);
        });
        assert_eq!(ruling(&files, &log), (Ruling::Newer, before(&log, last)));
    }
    // With groups of ours behind it, it is damage.
    let files = log.with_group(MIDDLE, |bytes| {
        bytes[4] = 3;
        fix_prelude(bytes);
    });
    assert_eq!(ruling(&files, &log).0, Ruling::Corrupt);
}

/// Neither the bytes nor the length of such a file are ours to judge, and
/// nothing that is before it is ours to cut.
#[test]
fn row_11_a_segment_of_a_newer_format() {
    for (at, value, len) in [(4, 3, prelude::LEN), (4, 3, 5000), (6, 1, 4 * BLOCK)] {
        for (log, torn) in [(unsynced(), Ruling::Newer), (closed(), Ruling::Corrupt)] {
            let name = log.segments().pop().unwrap();
            let first = log.groups.iter().position(|(segment, _)| *segment == name);
            let first = first.unwrap();
            let files = log.with(&name, |bytes| {
                bytes.resize(len, 0);
                bytes[at] = value;
                fix_prelude(bytes);
                bytes[prelude::LEN..].fill(0xa5);
            });
            assert_eq!(ruling(&files, &log), (Ruling::Newer, before(&log, first)));
            left_alone(&files);
            // Of what is behind a wrong body only the state file can speak.
            let log = Log { files, ..log };
            let files = log.with_group(first - 1, flip_body);
            assert_eq!(ruling(&files, &log), (torn, before(&log, first - 1)));
        }
    }
}

/// Whoever wants to write is told of the newer format, and writes nothing.
fn left_alone(files: &Files) {
    let disk = disk_of(files);
    let place = Place::sim(&disk);
    for salvage in [false, true] {
        let options = Options {
            salvage,
            ..options()
        };
        let error = place.open(&options).expect_err("a refusal");
        assert_eq!(error.kind(), ErrorKind::Format, "{error}");
    }
    let error = cleanup_segments_on(place.disk.clone(), &place.db).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Format, "{error}");
    assert_eq!(&files_of(&disk), files);
}

#[test]
fn row_12_a_file_that_is_cut() {
    for log in [killed(), closed(), reused()] {
        for name in log.segments() {
            let whole = log.files[&name].len();
            let blocks = (0..whole).step_by(BLOCK);
            let odd = [1, 23, 127, BLOCK - 1, BLOCK + 1, whole - 512, whole - 1];
            for len in blocks.chain(odd) {
                let files = log.with(&name, |bytes| bytes.truncate(len));
                let (ruling, _) = ruling(&files, &log);
                assert_eq!(ruling, Ruling::Corrupt, "{name} cut to {len}");
            }
        }
    }
}

#[test]
fn row_13_a_segment_of_another_place() {
    let log = reused();
    let other = log_of_another_database();
    let (mine, theirs) = (log.segments(), other.segments());
    for name in &mine {
        for from in &theirs {
            let files = log.with(name, |bytes| bytes.clone_from(&other.files[from]));
            let (ruling, _) = ruling(&files, &log);
            assert_eq!(ruling, Ruling::Corrupt, "{name} is another's {from}");
        }
        for from in mine.iter().filter(|from| *from != name) {
            let files = log.with(name, |bytes| bytes.clone_from(&log.files[from]));
            let (ruling, _) = ruling(&files, &log);
            assert_eq!(ruling, Ruling::Corrupt, "{name} is {from}");
        }
    }
}

fn log_of_another_database() -> Log {
    log(&options(), 16, 9, Ending::Closed)
}

#[test]
fn row_14_a_segment_is_missing() {
    for log in [closed(), reused(), killed()] {
        for name in log.segments() {
            let mut files = log.files.clone();
            files.remove(&name);
            assert_eq!(ruling(&files, &log).0, Ruling::Corrupt, "without {name}");
        }
        let mut files = log.files.clone();
        files.retain(|name, _| !name.contains("-wal-seg-"));
        assert_eq!(ruling(&files, &log).0, Ruling::Corrupt, "without any");
    }
}

#[test]
fn row_15_no_state_file() {
    let log = closed();
    let state = log.state();
    let mut without = log.files.clone();
    without.remove(&state);
    let blank = log.with(&state, |bytes| bytes.fill(0));
    let empty = log.with(&state, Vec::clear);
    let damaged = log.with(&state, |bytes| {
        bytes[20] ^= 1;
        bytes[BLOCK + 20] ^= 1;
    });
    for (files, what) in [
        (without, "missing"),
        (blank, "blank"),
        (empty, "empty"),
        (damaged, "damaged"),
    ] {
        let (ruling, got) = rule(&files, &log);
        assert_eq!((ruling, got.len()), (Ruling::Corrupt, 0), "{what}");
        // The segments say enough to keep all that they hold.
        check_salvage(&files, &log, &log.truth);
    }
    // One copy is enough.
    for copy in [0, BLOCK] {
        let files = log.with(&state, |bytes| bytes[copy + 20] ^= 1);
        let last = log.truth.last().unwrap().epoch;
        assert_eq!(ruling(&files, &log), (Ruling::Clean, last));
    }
}

#[test]
fn row_16_a_read_that_fails_gives_no_verdict() {
    let log = closed();
    for name in log.segments().iter().chain([&log.state()]) {
        for nth in 1.. {
            let disk = disk_of(&log.files);
            let plan = FaultPlan::error(Call::Read, libc::EIO).on(name).nth(nth);
            let fault = disk.fail(plan);
            let (got, end) = read(&disk, &RecoveryOptions::default());
            if fault.hits() == 0 {
                assert!(nth > 1, "{name} is not read");
                break;
            }
            assert!(log.truth.starts_with(&got));
            let error = end.expect_err("an I/O error");
            assert_eq!(error.kind(), ErrorKind::Io, "{name}, read {nth}: {error}");
            assert_eq!(error.os_error(), Some(libc::EIO));
        }
    }
}

#[test]
fn row_17_a_segment_of_version_one_that_does_not_parse() {
    let one = Options {
        segment_format: 1,
        ..options()
    };
    let log = log(&one, 0, 5, Ending::Closed);
    let segments = log.segments();
    assert_eq!(segments.len(), 5);
    for (i, name) in segments.iter().enumerate() {
        let cut = log.with(name, |bytes| bytes.truncate(bytes.len() - 1));
        let longer = log.with(name, |bytes| bytes.push(0));
        for files in [cut, longer] {
            assert_eq!(ruling(&files, &log), (Ruling::Corrupt, i as u64));
        }
        let mut newer = log.with(name, |bytes| {
            bytes[4] = 3;
            fix_prelude(bytes);
        });
        newer.remove(&log.state());
        let last = i + 1 == segments.len();
        let (found, _) = rule(&newer, &log);
        assert_eq!(found == Ruling::Newer, last, "{name}: {found:?}");
    }
}

/// Also where nothing covers the group: no crash makes checksums right.
#[test]
fn row_18_assigned_sequences_that_do_not_touch() {
    let assigned = Options {
        sequencing: Sequencing::Coordinator,
        ..options()
    };
    let disk = SimStorage::new();
    let wal = Place::sim(&disk).open(&assigned).unwrap();
    for page_number in 1..=5 {
        let frame = Frame {
            page_number,
            db_size_if_commit: 5,
            data: b"page",
        };
        let batch = Batch {
            txn_id: 1,
            txn_epoch: 0,
            commit_seq: 0,
            frames: &[frame],
            metadata: b"",
        };
        wal.commit(&batch, PATIENCE).unwrap();
    }
    let log = Log::of(&disk.snapshot());
    let last = log.last_data();
    for by in [1, 255] {
        let files = log.with_group(last, |bytes| {
            // Of the one item, and of the certificate, lowest and highest.
            let end = bytes.len();
            for at in [128 + 24, end - 80, end - 72] {
                bytes[at] = bytes[at].wrapping_add(by);
            }
            let payload = u64::from_le_bytes(bytes[88..96].try_into().unwrap());
            refit(bytes, payload as usize);
        });
        let (ruling, got) = rule(&files, &log);
        assert_eq!((ruling, got.len()), (Ruling::Corrupt, 4));
    }
}

/// In front of a file of version 1 anything that does not begin with a group
/// is damage: no segment without one is ever in the middle of a log.
#[test]
fn row_02_not_from_the_beginning_of_a_segment_to_version_one() {
    let log = tiny_version_one();
    for name in &log.segments()[..2] {
        for fill in [0, 0xa5] {
            let files = log.with(name, |bytes| {
                bytes.resize(2 * BLOCK, 0);
                bytes.fill(fill);
            });
            let (ruling, _) = ruling(&files, &log);
            assert_eq!(ruling, Ruling::Corrupt, "{name} filled with {fill}");
        }
    }
}

/// A group of records in a log of pages is body wrong, rows 3 and 4; a state
/// file of such a log is none of this one's, row 15.
#[test]
fn row_15_and_rows_03_and_04_records_in_a_log_of_pages() {
    let log = killed();
    let last = log.last_data();
    for (group, expected) in [(MIDDLE, Ruling::Corrupt), (last, Ruling::Torn)] {
        let files = log.with_group(group, |bytes| {
            let payload = u64::from_le_bytes(bytes[88..96].try_into().unwrap());
            bytes[24] = 2;
            refit(bytes, payload as usize);
        });
        assert_eq!(ruling(&files, &log), (expected, before(&log, group)));
    }
    let files = log.with(&log.state(), |bytes| {
        for copy in bytes.chunks_mut(BLOCK).take(2) {
            copy[120] = 2;
            fix_state(copy);
        }
    });
    assert_eq!(rule(&files, &log), (Ruling::Corrupt, vec![]));
    check_salvage(&files, &log, &log.truth);
}

/// The rows of the document's table and the tests named after them agree.
#[test]
fn every_row_has_its_test() {
    let table = include_str!("../../docs/format.md");
    let (_, table) = table
        .split_once("| # | at P | further on | verdict |")
        .unwrap();
    let rows = table.lines().skip(2).take_while(|l| l.starts_with("| "));
    let number = |text: &str| {
        text.split([' ', '_', '|'])
            .find_map(|w| w.parse::<u32>().ok())
    };
    let documented: BTreeSet<u32> = rows.map(|l| number(l).expect("a number")).collect();
    assert_eq!(documented, (1..=18).collect());
    let own = include_str!("rows.rs");
    let names = own.split("#[test]\nfn row_").skip(1);
    let tested: BTreeSet<u32> = names.map(|name| number(name).expect("a row")).collect();
    assert_eq!(tested, documented);
}
