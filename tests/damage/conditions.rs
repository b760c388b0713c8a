//! The conditions of the decision table one at a time: logs on whose verdict
//! nothing decides but an epoch, a watermark or a flag, above what was read or
//! just not; and what the report says of each end.

use super::common::{PATIENCE, Place};
use super::fix::{fix_header, fix_prelude, refit};
use super::image::{BLOCK, Ending, Files, Log, commit_small, disk_of, killed, log};
use super::image::{options, read, unsynced};
use super::judge::{Ruling, rule};
use epochwal::Options;
use epochwal::recovery::{RecoveryOptions, SuspectFile};
use epochwal::storage::sim::SimStorage;

/// Where these fields of a group stand.
const EPOCH: usize = 8;
const WATERMARK: usize = 96;

/// A group in a segment of the middle, not the first there.
const MIDDLE: usize = 4;

fn put(bytes: &mut [u8], at: usize, value: u64) {
    bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
}

fn newer(bytes: &mut [u8]) {
    bytes[4] = 3;
    fix_prelude(bytes);
}

fn blank(bytes: &mut [u8]) {
    bytes[..BLOCK].fill(0);
}

/// Its certificate's checksum.
fn spoil_end(bytes: &mut [u8]) {
    *bytes.last_mut().unwrap() ^= 1;
}

/// The ruling, and how many batches came before it.
fn ruling(files: &Files, log: &Log) -> (Ruling, usize) {
    let (ruling, got) = rule(files, log);
    (ruling, got.len())
}

/// Eight groups, the last of them followed by the mark in the same segment.
fn closed_in_a_segment() -> Log {
    let log = log(&options(), 0, 8, Ending::Closed);
    let [.., last, mark] = &log.groups[..] else {
        panic!("too few groups")
    };
    assert_eq!((&last.0, mark.1.kind), (&mark.0, "mark"));
    log
}

/// Three groups and a mark of one segment, and an epoch of version 1.
fn mark_before_version_one() -> Log {
    let disk = SimStorage::new();
    for (segment_format, txns) in [(2, 1..=3), (1, 4..=4)] {
        let options = Options {
            segment_format,
            ..options()
        };
        let wal = Place::sim(&disk).open(&options).unwrap();
        txns.for_each(|txn| commit_small(&wal, txn));
        wal.close(PATIENCE).unwrap();
    }
    let log = Log::of(&disk.snapshot());
    assert_eq!((log.segments().len(), log.truth.len()), (2, 4));
    assert_eq!((log.groups.len(), log.groups[3].1.kind), (4, "mark"));
    log
}

/// Row 2: a file of version 1 does not say what it follows.
#[test]
fn the_log_goes_on_in_version_one_where_nothing_says_that_groups_are_missing() {
    let log = mark_before_version_one();
    let files = log.with_group(1, blank);
    assert_eq!(ruling(&files, &log), (Ruling::Corrupt, 1), "a group behind");
    let files = log.with_group(2, blank);
    assert_eq!(ruling(&files, &log), (Ruling::Corrupt, 2), "only the mark");
    // It covers no more than what was read.
    let files = log.with_group(3, spoil_end);
    assert_eq!(ruling(&files, &log), (Ruling::Clean, 4));
}

/// Rows 4, 6 and 10: a mark has no data, but it is a write cut short all the
/// same; one that says nothing new is as good as none.
#[test]
fn a_mark_can_be_torn() {
    let log = closed_in_a_segment();
    let (mark, all) = (log.groups.len() - 1, log.truth.len());
    let files = log.with_group(mark, spoil_end);
    assert_eq!(ruling(&files, &log), (Ruling::Torn, all), "row 4");
    let epoch = log.groups[mark].1.epoch;
    let files = log.with_group(mark, |bytes| {
        put(bytes, EPOCH, epoch + 1);
        refit(bytes, 0);
    });
    assert_eq!(ruling(&files, &log), (Ruling::Torn, all), "row 6");
    let files = log.with_group(mark, |bytes| {
        bytes[28] ^= 1;
        refit(bytes, 0);
    });
    assert_eq!(ruling(&files, &log), (Ruling::Clean, all), "row 10");
}

/// Row 8 from the beginning of the log on: a watermark of 0 covers nothing,
/// also where no epoch was read.
#[test]
fn a_log_that_claims_nothing_is_torn_wherever_a_group_is_gone() {
    let log = unsynced();
    for group in 0..log.last_data() {
        let files = log.with_group(group, blank);
        assert_eq!(ruling(&files, &log), (Ruling::Torn, group));
    }
}

/// Row 10: what stands there is ours, and no later than what was read.
#[test]
fn a_group_with_an_epoch_that_was_read_is_none_that_was_lost() {
    let log = killed();
    let last = log.last_data();
    let before = log.groups[last].1.previous_epoch;
    for (epoch, expected) in [
        (before - 1, Ruling::Clean),
        (before, Ruling::Clean),
        (before + 5, Ruling::Torn),
    ] {
        let files = log.with_group(last, |bytes| {
            put(bytes, EPOCH, epoch);
            bytes[28] ^= 1;
            fix_header(bytes);
        });
        assert_eq!(ruling(&files, &log), (expected, last), "epoch {epoch}");
    }
}

/// Row 11 yields to groups behind it that nothing claims; but the beginning of
/// a later segment is its writer's word for all that is before it.
#[test]
fn in_front_of_groups_that_are_ours_a_newer_one_is_torn() {
    let log = unsynced();
    for group in 0..log.last_data() {
        let later_segment = group > 0 && log.groups[group].1.offset == 0;
        let expected = if later_segment {
            Ruling::Newer
        } else {
            Ruling::Torn
        };
        let files = log.with_group(group, newer);
        assert_eq!(ruling(&files, &log), (expected, group));
    }
}

/// Row 11: the state file may be a newer one, too; a header of ours is not.
#[test]
fn what_contradicts_a_newer_format_is_a_header_and_not_the_state() {
    let log = closed_in_a_segment();
    let last = log.last_data();
    let log = Log {
        files: log.with_group(last, newer),
        ..log
    };
    assert_eq!(ruling(&log.files, &log), (Ruling::Corrupt, last));
    let files = log.with_group(last + 1, blank);
    assert_eq!(ruling(&files, &log), (Ruling::Newer, last));
    // A mark that covers no more than what was read.
    let before = log.groups[last].1.previous_epoch;
    let files = log.with_group(last + 1, |bytes| {
        put(bytes, EPOCH, before);
        put(bytes, WATERMARK, before);
        fix_header(bytes);
    });
    assert_eq!(ruling(&files, &log), (Ruling::Newer, last));
}

/// Row 17: a flag makes version 1 a newer format, like another number.
#[test]
fn a_flag_makes_the_last_file_of_version_one_newer() {
    let log = mark_before_version_one();
    let files = log.with(&log.segments()[1], |bytes| {
        bytes[6] = 1;
        fix_prelude(bytes);
    });
    assert_eq!(ruling(&files, &log), (Ruling::Newer, 3));
}

/// The one file that is suspect.
fn suspect(files: &Files) -> SuspectFile {
    let prefix = RecoveryOptions {
        durable_prefix: true,
        ..RecoveryOptions::default()
    };
    let (_, end) = read(&disk_of(files), &prefix);
    let mut suspects = end.unwrap().suspects;
    assert_eq!(suspects.len(), 1, "{suspects:?}");
    suspects.remove(0)
}

/// An end that is not clean says where it is and what stands there.
#[test]
fn the_reason_is_what_stands_at_the_end() {
    type Spoil = fn(&mut [u8]);
    let (killed, unsynced) = (killed(), unsynced());
    let last = killed.last_data();
    let cases: [(&Log, usize, Spoil, &str); 8] = [
        (&killed, last, spoil_end, "certificate: checksum"),
        (&killed, last, |b| b[124] ^= 1, "header: checksum"),
        (&killed, last, newer, "header: version 3 is newer"),
        (
            &killed,
            last,
            |b| {
                b[28] ^= 1;
                fix_header(b);
            },
            "header: links to another group",
        ),
        (&unsynced, MIDDLE, blank, "header: none"),
        (&unsynced, MIDDLE, newer, "header: unknown version"),
        (
            &unsynced,
            MIDDLE,
            |b| {
                b[4] = 1;
                fix_prelude(b);
            },
            "header: unknown version",
        ),
        (
            &unsynced,
            MIDDLE,
            |b| {
                b[6] = 1;
                fix_prelude(b);
            },
            "header: unknown flags",
        ),
    ];
    for (log, group, spoil, reason) in cases {
        let found = suspect(&log.with_group(group, spoil));
        let (name, info) = &log.groups[group];
        assert!(found.path.ends_with(name), "{found:?}");
        assert_eq!(found.offset, info.offset, "{found:?}");
        assert!(
            found.reason.starts_with(reason),
            "{found:?}, not {reason:?}"
        );
    }
}
