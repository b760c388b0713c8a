//! What the report, the listing and the inspection say of a log.

use super::common::{PATIENCE, Place, commit, everywhere, small, submit};
use epochwal::recovery::{
    RecoveryOptions, SegmentInfo, Verdict, cleanup_segments, inspect, inspect_on, list_segments,
    list_segments_on, recover_into_file,
};
use epochwal::storage::sim::{Call, FaultPlan, SimStorage};
use epochwal::storage::{OpenMode, Storage};
use epochwal::{Batch, ErrorKind, Frame, Options, Recovery, RecoveryReport};
use std::path::{Path, PathBuf};

fn flip(disk: &dyn Storage, path: &Path, offset: u64) {
    let file = disk.open(path, OpenMode::Write).unwrap();
    let mut byte = [0];
    assert_eq!(file.read_at(&mut byte, offset).unwrap(), 1);
    file.write_at(&[byte[0] ^ 0xff], offset).unwrap();
}

/// The segments of a log of several, closed.
fn closed_log(place: &Place) -> Vec<SegmentInfo> {
    let wal = place.open(&small()).unwrap();
    for txn in 1..=60 {
        commit(&wal, txn).unwrap();
    }
    wal.close(PATIENCE).unwrap();
    list_segments_on(place.disk.clone(), &place.db).unwrap()
}

/// What a reader of the durable prefix is told.
fn report_of_the_prefix(place: &Place) -> RecoveryReport {
    let prefix = RecoveryOptions {
        durable_prefix: true,
        ..RecoveryOptions::default()
    };
    place.recover(&prefix).unwrap().1
}

fn paths(report: &RecoveryReport) -> Vec<&PathBuf> {
    report.suspects.iter().map(|s| &s.path).collect()
}

#[test]
fn the_functions_without_a_storage_go_to_the_real_disk() {
    let place = Place::real();
    let wal = place.open(&small()).unwrap();
    for txn in 1..=30 {
        commit(&wal, txn).unwrap();
    }
    wal.close(PATIENCE).unwrap();
    let listed = list_segments(&place.db).unwrap();
    assert!(listed.len() > 1);
    assert_eq!(
        listed,
        list_segments_on(place.disk.clone(), &place.db).unwrap()
    );
    let seen = inspect(&place.db).unwrap();
    assert_eq!(seen, inspect_on(place.disk.clone(), &place.db).unwrap());
    assert_eq!(seen.last_epoch, Some(30));
    let options = RecoveryOptions::default();
    let wrong = recover_into_file(&place.db, &place.db, 17, &options).unwrap_err();
    assert_eq!(wrong.kind(), ErrorKind::Invalid);
    assert_eq!(cleanup_segments(&place.db).unwrap(), listed.len());
    assert_eq!(list_segments(&place.db).unwrap(), []);
}

#[test]
fn the_listing_says_what_each_segment_holds() {
    everywhere(|place, options| {
        let wal = place.open(options).unwrap();
        for txn in 1..=60 {
            commit(&wal, txn).unwrap();
        }
        let listed = list_segments_on(place.disk.clone(), &place.db).unwrap();
        assert!(listed.len() > 2);
        assert_eq!(listed[0].first_epoch, 1);
        for pair in listed.windows(2) {
            assert_eq!(pair[0].last_epoch, Some(pair[1].first_epoch - 1));
        }
        assert_eq!(listed.last().unwrap().last_epoch, Some(60));
        for segment in &listed {
            let file = place.disk.open(&segment.path, OpenMode::Read).unwrap();
            assert_eq!(segment.bytes, file.len().unwrap());
            assert_eq!((segment.version, segment.checkpointed), (2, false));
        }
        // A reader keeps what the checkpoint has passed.
        let all = RecoveryOptions::default();
        let reader = Recovery::open_on(place.disk.clone(), &place.db, &all).unwrap();
        let middle = listed[1].last_epoch.unwrap();
        wal.checkpoint(middle).unwrap();
        let held = list_segments_on(place.disk.clone(), &place.db).unwrap();
        let passed: Vec<bool> = held.iter().map(|s| s.checkpointed).collect();
        assert_eq!(passed[..3], [true, true, false], "{held:?}");
        drop(reader);
    });
}

#[test]
fn an_unreadable_header_has_no_version() {
    let place = Place::sim(&SimStorage::new());
    let before = closed_log(&place);
    flip(&*place.disk, &before[1].path, 9);
    let after = list_segments_on(place.disk.clone(), &place.db).unwrap();
    assert_eq!(after.len(), before.len());
    assert_eq!(after[0], before[0]);
    assert_eq!((after[1].version, after[1].last_epoch), (0, None));
    assert!(!after[1].checkpointed);
}

/// A file that has left the log and is still there: shown, or skipped where it
/// goes meanwhile, and an error where it can't be told.
#[test]
fn a_retired_file_that_stayed_is_listed_first() {
    let disk = SimStorage::new();
    let place = Place::sim(&disk);
    let wal = place.open(&small()).unwrap();
    for txn in 1..=60 {
        commit(&wal, txn).unwrap();
    }
    let before = list_segments_on(place.disk.clone(), &place.db).unwrap();
    disk.fail(FaultPlan::error(Call::Rename, libc::EIO).always());
    disk.fail(FaultPlan::error(Call::Remove, libc::EIO).always());
    wal.checkpoint(before[0].last_epoch.unwrap()).unwrap_err();
    drop(wal);
    disk.clear_faults();
    let list = || list_segments_on(place.disk.clone(), &place.db);
    let listed = list().unwrap();
    assert_eq!(listed.len(), before.len());
    assert_eq!(listed[0].path, before[0].path);
    assert_eq!((listed[0].first_epoch, listed[0].last_epoch), (1, None));
    assert_eq!((listed[0].bytes, listed[0].version), (before[0].bytes, 2));
    assert!(listed[0].checkpointed && !listed[1].checkpointed);
    let name = before[0].path.to_str().unwrap();
    disk.fail(FaultPlan::error(Call::Open, libc::EIO).on(name).always());
    assert_eq!(list().unwrap_err().kind(), ErrorKind::Io);
    disk.clear_faults();
    disk.fail(FaultPlan::error(Call::Open, libc::ENOENT).on(name).always());
    assert_eq!(list().unwrap(), listed[1..]);
}

#[test]
fn what_a_killed_writer_left_is_unconfirmed() {
    let disk = SimStorage::new();
    let place = Place::sim(&disk);
    let wal = place.open(&small()).unwrap();
    for txn in 1..=5 {
        commit(&wal, txn).unwrap();
    }
    // Beside the writer all that is shown is durable.
    let (got, report) = place.recover(&RecoveryOptions::default()).unwrap();
    assert_eq!((got.len(), report.unconfirmed.count()), (5, 0));
    let killed = Place::sim(&disk.crash_nothing());
    let (got, report) = killed.recover(&RecoveryOptions::default()).unwrap();
    assert_eq!(got.len(), 5);
    // Each group's watermark is what was durable before it.
    assert_eq!(report.unconfirmed.iter().collect::<Vec<_>>(), [5]);
    wal.close(PATIENCE).unwrap();
    let (_, report) = place.recover(&RecoveryOptions::default()).unwrap();
    assert_eq!(report.unconfirmed.count(), 0);
}

#[test]
fn all_that_lies_beyond_damage_is_suspect() {
    everywhere(|place, options| {
        let wal = place.open(options).unwrap();
        for txn in 1..=60 {
            commit(&wal, txn).unwrap();
        }
        wal.close(PATIENCE).unwrap();
        let segments = list_segments_on(place.disk.clone(), &place.db).unwrap();
        assert!(segments.len() > 3);
        flip(&*place.disk, &segments[1].path, 300);
        let mut stream =
            Recovery::open_on(place.disk.clone(), &place.db, &RecoveryOptions::default()).unwrap();
        let mut given = 0;
        let error = loop {
            match stream.next_batch() {
                Ok(Some(_)) => given += 1,
                Ok(None) => panic!("the end of a damaged log"),
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert_eq!(Some(given), segments[0].last_epoch);
        assert!(stream.next_batch().unwrap().is_none(), "it has ended");
        let prefix = RecoveryOptions {
            durable_prefix: true,
            ..RecoveryOptions::default()
        };
        let (got, report) = place.recover(&prefix).unwrap();
        assert_eq!(got.len() as u64, given);
        assert_eq!((report.verdict, report.segments), (Verdict::Corrupt, 1));
        let suspects: Vec<_> = report
            .suspects
            .iter()
            .map(|s| (&s.path, s.offset))
            .collect();
        let expected: Vec<_> = segments[1..].iter().map(|s| (&s.path, 0)).collect();
        assert_eq!(suspects, expected);
        let seen = inspect_on(place.disk.clone(), &place.db).unwrap();
        assert_eq!(seen.verdict, Verdict::Corrupt);
        assert_eq!(seen.suspects, report.suspects[..1]);
    });
}

/// The damage that counts is further on than the place where reading ended.
#[test]
fn a_later_file_that_cannot_be_there_is_named_in_its_place() {
    let place = Place::sim(&SimStorage::new());
    let segments = closed_log(&place);
    flip(&*place.disk, &segments[1].path, 300);
    let cut = place.disk.open(&segments[3].path, OpenMode::Write).unwrap();
    cut.set_len(5000).unwrap();
    let report = report_of_the_prefix(&place);
    let expected: Vec<_> = segments[1..].iter().map(|s| &s.path).collect();
    assert_eq!(paths(&report), expected);
    let error = place.recover(&RecoveryOptions::default()).unwrap_err();
    assert_eq!(error.path(), Some(&*segments[3].path));
    assert!(error.message().contains("5000"), "{error}");
    assert_eq!(report.suspects[2].reason, error.message());
}

/// A file that was read to its end is no suspect, though the one behind it is.
#[test]
fn what_was_read_to_its_end_is_no_suspect() {
    let place = Place::sim(&SimStorage::new());
    let segments = closed_log(&place);
    let cut = place.disk.open(&segments[2].path, OpenMode::Write).unwrap();
    cut.set_len(5000).unwrap();
    let report = report_of_the_prefix(&place);
    let expected: Vec<_> = segments[2..].iter().map(|s| &s.path).collect();
    assert_eq!(paths(&report), expected);
}

/// As above, with a file between them that says nothing of itself.
#[test]
fn what_was_read_to_its_end_is_no_suspect_whatever_comes_later() {
    let place = Place::sim(&SimStorage::new());
    let segments = closed_log(&place);
    flip(&*place.disk, &segments[2].path, 0);
    let cut = place.disk.open(&segments[3].path, OpenMode::Write).unwrap();
    cut.set_len(5000).unwrap();
    let report = report_of_the_prefix(&place);
    let expected: Vec<_> = segments[2..].iter().map(|s| &s.path).collect();
    assert_eq!(paths(&report), expected);
}

/// Where reading ended something of this log stands, though the damage that
/// counts is further on: a group whose header is broken, or a mark's body.
#[test]
fn the_file_where_reading_ended_is_suspect_from_there_on() {
    for (wanted, byte) in [("pages", 20), ("mark", 4095)] {
        let place = Place::sim(&SimStorage::new());
        for sessions in 1..=40 {
            let wal = place.open(&small()).unwrap();
            commit(&wal, 2 * sessions).unwrap();
            commit(&wal, 2 * sessions + 1).unwrap();
            wal.close(PATIENCE).unwrap();
        }
        let seen = inspect_on(place.disk.clone(), &place.db).unwrap();
        // The last group of a segment, and two segments behind it.
        let mut candidates = seen.segments[1..].windows(3);
        let found = candidates.find(|s| s[0].groups.last().unwrap().kind == wanted);
        let segments = found.expect("a segment that ends with such a group");
        let last = segments[0].groups.last().unwrap();
        flip(&*place.disk, &segments[0].info.path, last.offset + byte);
        let later = &segments[1].info.path;
        let cut = place.disk.open(later, OpenMode::Write).unwrap();
        cut.set_len(5000).unwrap();
        let report = report_of_the_prefix(&place);
        let suspects = report.suspects.iter();
        let found: Vec<_> = suspects.map(|s| (&s.path, s.offset)).collect();
        let mut expected = vec![(&segments[0].info.path, last.offset)];
        let after = seen.segments.iter().filter(|s| s.info.path >= *later);
        expected.extend(after.map(|s| (&s.info.path, 0)));
        assert_eq!(found, expected);
        assert_eq!(report.suspects[0].reason, "what stands here was not read");
        assert_eq!(report.suspects[2].reason, "beyond a corrupt place");
    }
}

/// Replay order within an epoch: sequence, transaction, first page.
#[test]
fn batches_of_one_epoch_come_in_replay_order() {
    everywhere(|place, options| {
        let options = Options {
            slot_count: 1,
            ..options.clone()
        };
        let wal = place.open(&options).unwrap();
        let order = [(2, 1, 9), (1, 2, 5), (1, 1, 7), (1, 1, 3), (1, 1, 300)];
        let mut epoch = 0;
        for (seq, txn_id, page_number) in order {
            let frames = [Frame {
                page_number,
                db_size_if_commit: 0,
                data: b"data",
            }];
            let batch = Batch {
                txn_id,
                txn_epoch: 0,
                commit_seq: seq,
                frames: &frames,
                metadata: b"tag",
            };
            epoch = wal.submit(&batch).unwrap().epoch;
        }
        wal.wait(epoch, PATIENCE).unwrap();
        wal.close(PATIENCE).unwrap();
        let got: Vec<_> = place
            .recover_all()
            .iter()
            .map(|b| (b.seq, b.txn, b.frames[0].0))
            .collect();
        assert_eq!(
            got,
            [(1, 1, 3), (1, 1, 7), (1, 1, 300), (1, 2, 5), (2, 1, 9)]
        );
    });
}

#[test]
fn an_inspection_shows_state_and_groups() {
    let place = Place::sim(&SimStorage::new());
    let options = Options {
        database_id: Some([9; 16]),
        ..small()
    };
    let wal = place.open(&options).unwrap();
    submit(&wal, 1).unwrap();
    commit(&wal, 2).unwrap();
    commit(&wal, 3).unwrap();
    wal.close(PATIENCE).unwrap();
    let seen = inspect_on(place.disk.clone(), &place.db).unwrap();
    let state = seen.state.unwrap();
    assert_eq!(state.database_id, Some([9; 16]));
    assert_eq!((state.watermark, state.highest_commit_seq), (2, 3));
    assert!(state.clean);
    assert_eq!(seen.segments.len(), 1);
    let groups = &seen.segments[0].groups;
    let shape: Vec<_> = groups.iter().map(|g| (g.kind, g.epoch, g.items)).collect();
    assert_eq!(shape, [("pages", 1, 2), ("pages", 2, 1), ("mark", 2, 0)]);
    assert_eq!(
        (groups[0].commit_seq_low, groups[0].commit_seq_high),
        (1, 2)
    );
    assert_eq!((groups[0].offset, groups[1].offset), (0, groups[0].length));
    let bare = Place::sim(&SimStorage::new());
    bare.open(&small()).unwrap().close(PATIENCE).unwrap();
    let seen = inspect_on(bare.disk.clone(), &bare.db).unwrap();
    assert_eq!(seen.state.unwrap().database_id, None);
}
