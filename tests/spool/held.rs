//! Reads that meet a prune or a cut half done: calls to the disk are held up at
//! the worst moment.

use super::common::{PATIENCE, Place};
use super::tools::{append, append_all, checked, open, payload, read_all, small};
use epochwal::ErrorKind;
use epochwal::spool::{ReadLimit, Record, Spool, SpoolOptions};
use epochwal::storage::sim::{Call, FaultPlan, SimStorage};
use epochwal::storage::{LockMode, OpenMode, Storage};
use std::path::Path;
use std::time::Duration;

pub const ALL: ReadLimit = ReadLimit {
    records: usize::MAX,
    bytes: usize::MAX,
};

/// A spool of several segments with the LSNs 1 to `last`, opened anew.
fn filled(disk: &SimStorage, last: u64) -> Spool {
    let place = Place::sim(disk);
    let spool = open(&place, &small()).unwrap();
    for first in (1..=last).step_by(5) {
        let run: Vec<u64> = (first..first + 5).collect();
        append_all(&spool, 1, &run).unwrap();
    }
    spool.close(PATIENCE).unwrap();
    open(&place, &small()).unwrap()
}

/// Reads from 0 on: all of it, or word that it is pruned.
fn read_or_told(spool: &Spool, last: u64, what: &str) {
    match spool.read_since(0, ALL) {
        Ok(records) => {
            let lsns: Vec<u64> = records.iter().map(checked).collect();
            let whole: Vec<u64> = (1..=lsns.len() as u64).collect();
            assert_eq!(lsns, whole, "{what}: a gap that nobody told of");
            assert!(lsns.len() as u64 <= last);
        }
        Err(error) => assert_eq!(error.kind(), ErrorKind::WalRemoved, "{what}: {error}"),
    }
}

#[test]
fn a_read_beside_a_prune_has_no_gap() {
    for (call, path) in [
        (Call::Write, ".wal-state"),
        (Call::SyncAll, ".wal-state"),
        (Call::Rename, ".wal-seg-"),
        (Call::Remove, ".wal-seg-"),
        (Call::SyncDir, "/data"),
        (Call::Lock, ".wal-lock"),
    ] {
        let disk = SimStorage::new();
        let spool = filled(&disk, 600);
        // Followed before, so that the read has no file to look for.
        spool.read_since(0, ALL).unwrap();
        let gate = disk.block_on_path(call, path);
        std::thread::scope(|scope| {
            // Opened by a panic, too.
            let gate = gate;
            let prune = scope.spawn(|| spool.prune_through(400).unwrap());
            gate.wait_blocked();
            read_or_told(&spool, 600, &format!("{call:?} of {path} under way"));
            gate.open();
            assert_eq!(prune.join().unwrap(), 400);
        });
        assert_eq!(read_all(&spool, 400, 7).unwrap().len(), 200);
    }
}

#[test]
fn a_segment_that_goes_before_it_is_opened_is_told_as_pruned() {
    let disk = SimStorage::new();
    // Its places are known, and no file is open.
    let spool = open(&Place::sim(&disk), &small()).unwrap();
    for lsn in 1..=600 {
        append(&spool, 1, lsn).unwrap();
    }
    let gate = disk.block_on_path(Call::Open, ".wal-seg-");
    std::thread::scope(|scope| {
        let gate = gate;
        let read = scope.spawn(|| read_or_told(&spool, 600, "the segment is gone"));
        gate.wait_blocked();
        // Needs no segment: nothing is left above it.
        assert_eq!(spool.prune_through(600).unwrap(), 600);
        gate.open();
        read.join().unwrap();
    });
    append(&spool, 1, 601).unwrap();
    assert_eq!(read_all(&spool, 600, 7).unwrap(), [601]);
}

#[test]
fn a_segment_that_is_followed_while_others_go_is_no_damage() {
    for (call, path) in [(Call::Open, ".wal-seg-"), (Call::List, "/data")] {
        let one = ReadLimit { records: 1, ..ALL };
        let disk = SimStorage::new();
        let spool = filled(&disk, 600);
        // The prune below looks for what comes behind 200, and finds it open.
        spool.read_since(200, one).unwrap();
        let gate = disk.block_on_path(call, path);
        std::thread::scope(|scope| {
            let gate = gate;
            let read = scope.spawn(|| spool.read_since(400, one));
            if call == Call::Open {
                gate.wait_blocked();
            }
            assert_eq!(spool.prune_through(200).unwrap(), 200);
            gate.open();
            let got = read.join().unwrap().unwrap();
            assert_eq!(checked(&got[0]), 401);
        });
    }
}

#[test]
fn a_prune_that_fails_half_way_hides_what_it_has_let_go() {
    for (call, path, errno) in [
        (Call::SyncDir, "/data", libc::EMFILE),
        (Call::Write, ".wal-state", libc::ENOSPC),
        (Call::Rename, ".wal-seg-", libc::ENOMEM),
        (Call::Remove, ".wal-seg-", libc::EIO),
        (Call::SyncAll, ".wal-state", libc::EIO),
    ] {
        let disk = SimStorage::new();
        let spool = filled(&disk, 600);
        spool.read_since(0, ALL).unwrap();
        disk.fail(FaultPlan::error(call, errno).on(path));
        let error = spool.prune_through(400).unwrap_err();
        let what = format!("{call:?} of {path}: {error}");
        read_or_told(&spool, 600, &what);
        let bounds = spool.bounds();
        assert!([0, 400].contains(&bounds.pruned_through), "{what}");
        assert_eq!(bounds.oldest_lsn, bounds.pruned_through + 1, "{what}");
        if append(&spool, 1, 601).is_ok() {
            // Files that it has let go of are used again.
            for lsn in 602..=900 {
                append(&spool, 1, lsn).unwrap();
            }
            read_or_told(&spool, 900, &what);
            assert_eq!(spool.prune_through(401).unwrap(), 401);
            assert_eq!(read_all(&spool, 401, 50).unwrap().len(), 499, "{what}");
        } else {
            drop(spool);
            let spool = open(&Place::sim(&disk), &small()).unwrap();
            assert_eq!(read_all(&spool, 400, 50).unwrap().len(), 200, "{what}");
        }
    }
}

#[test]
fn a_segment_that_was_left_for_another_process_is_not_reused_under_a_cursor() {
    let disk = SimStorage::new();
    let spool = filled(&disk, 600);
    let mut cursor = spool.cursor(0).unwrap();
    let first = cursor
        .next_batch(ReadLimit { records: 3, ..ALL }, PATIENCE)
        .unwrap();
    assert_eq!(first.len(), 3);
    // As a reader in another process holds all segments.
    let lock = disk
        .open(Path::new("/data/test.db.logical.wal-lock"), OpenMode::Read)
        .unwrap();
    assert!(lock.try_lock(LockMode::Shared, 16, 0).unwrap());
    spool.prune_through(300).unwrap();
    lock.unlock(16, 0).unwrap();
    spool.prune_through(400).unwrap();
    for lsn in 601..=1000 {
        append(&spool, 1, lsn).unwrap();
    }
    let mut next = 4;
    let end = loop {
        match cursor.next_batch(ReadLimit { records: 2, ..ALL }, PATIENCE) {
            Ok(records) => records.iter().for_each(|record| {
                assert_eq!(checked(record), next);
                next += 1;
            }),
            Err(error) => break error,
        }
    };
    assert_eq!(end.kind(), ErrorKind::WalRemoved, "{end}");
    assert!(next > 10, "its segment held up to {next}");
}

#[test]
fn a_segment_that_was_left_for_another_process_may_go_after_a_reopen() {
    // One of these is the end of a segment.
    for through in (300..350).step_by(5) {
        let disk = SimStorage::new();
        let spool = filled(&disk, 600);
        let lock = Path::new("/data/test.db.logical.wal-lock");
        let lock = disk.open(lock, OpenMode::Read).unwrap();
        assert!(lock.try_lock(LockMode::Shared, 16, 0).unwrap());
        spool.prune_through(through).unwrap();
        spool.close(PATIENCE).unwrap();
        let spool = open(&Place::sim(&disk), &small()).unwrap();
        lock.unlock(16, 0).unwrap();
        let segments = || spool.stats().unwrap().unwrap().segments_in_use;
        // A roll lets it go, in the middle of all that is known of it.
        let (before, mut lsn) = (segments(), 600);
        while segments() >= before {
            lsn += 1;
            append(&spool, 1, lsn).unwrap();
        }
        spool.truncate_after(through, 2).unwrap().unwrap();
        append(&spool, 2, through + 1).unwrap();
        assert_eq!(read_all(&spool, through, 10).unwrap(), [through + 1]);
    }
}

#[test]
fn a_cut_between_two_records_is_an_end_as_any_other() {
    let disk = SimStorage::new();
    let place = Place::sim(&disk);
    let spool = open(&place, &small()).unwrap();
    for lsn in [10, 20, 30] {
        append(&spool, 1, lsn).unwrap();
    }
    let poll = Some(Duration::ZERO);
    let check = |spool: &Spool| {
        assert_eq!(spool.bounds().current_lsn, 25);
        assert_eq!(read_all(spool, 0, 10).unwrap(), [10, 20]);
        assert_eq!(read_all(spool, 0, 1).unwrap(), [10, 20]);
        for lsn in [20, 22, 25] {
            assert!(read_all(spool, lsn, 10).unwrap().is_empty());
            let none = spool.wait_after(lsn, poll).unwrap_err();
            assert_eq!(none.kind(), ErrorKind::Timeout);
            let mut cursor = spool.cursor(lsn).unwrap();
            let none = cursor.next_batch(ALL, poll).unwrap_err();
            assert_eq!(none.kind(), ErrorKind::Timeout);
        }
        spool.wait_after(19, poll).unwrap();
        let ahead = spool.read_since(26, ALL).unwrap_err();
        assert_eq!(ahead.kind(), ErrorKind::Ahead);
    };
    spool.truncate_after(25, 2).unwrap().unwrap();
    check(&spool);
    spool.close(PATIENCE).unwrap();
    let spool = open(&place, &small()).unwrap();
    check(&spool);
    spool.prune_through(20).unwrap();
    assert!(read_all(&spool, 20, 10).unwrap().is_empty());
    spool.close(PATIENCE).unwrap();
    let spool = open(&place, &small()).unwrap();
    assert_eq!(spool.bounds().oldest_lsn, 0);
    assert_eq!(append(&spool, 2, 25).unwrap_err().kind(), ErrorKind::Order);
    // Between the two there is nothing to be saved aside.
    assert_eq!(spool.truncate_after(22, 3).unwrap(), None);
    append(&spool, 3, 26).unwrap();
    assert_eq!(read_all(&spool, 20, 10).unwrap(), [26]);
    // Pruned up to such an end: who waits from below it is told by a read.
    spool.truncate_after(25, 4).unwrap().unwrap();
    assert_eq!(spool.prune_through(25).unwrap(), 25);
    spool.wait_after(22, poll).unwrap();
    assert_eq!(
        read_all(&spool, 22, 1).unwrap_err().kind(),
        ErrorKind::WalRemoved
    );
    assert_eq!(
        spool.wait_after(25, poll).unwrap_err().kind(),
        ErrorKind::Timeout
    );
}

#[test]
fn a_cut_takes_all_that_was_staged_before_it() {
    // The ticker, which tries again too, comes first only now and then.
    for _ in 0..20 {
        cut_behind_what_has_no_space();
    }
}

fn cut_behind_what_has_no_space() {
    let disk = SimStorage::new();
    let place = Place::sim(&disk);
    let spool = open(&place, &small()).unwrap();
    append(&spool, 1, 1).unwrap();
    disk.set_capacity(Some(0));
    let mut lsn = 1;
    let pending = loop {
        lsn += 1;
        if let Err(error) = append(&spool, 1, lsn) {
            break error.ticket().expect("it stays staged").epoch;
        }
    };
    // Behind an epoch that is sealed and not written.
    let bytes = payload(lsn + 1);
    let record = Record {
        term: 1,
        lsn: lsn + 1,
        timestamp_ms: 1,
        payload: &bytes,
    };
    let behind = spool.submit(&[record]).unwrap();
    assert!(behind.epoch > pending);
    disk.set_capacity(None);
    spool.truncate_after(1, 2).unwrap().unwrap();
    spool.wait(behind, PATIENCE).unwrap();
    append(&spool, 2, 2).unwrap();
    let terms = |spool: &Spool| -> Vec<(u64, u64)> {
        let records = spool.read_since(0, ALL).unwrap();
        records.iter().map(|r| (r.term, r.lsn)).collect()
    };
    assert_eq!(terms(&spool), [(1, 1), (2, 2)]);
    spool.close(PATIENCE).unwrap();
    assert_eq!(terms(&open(&place, &small()).unwrap()), [(1, 1), (2, 2)]);
}

#[test]
fn a_cursor_that_met_an_error_skips_nothing() {
    let disk = SimStorage::new();
    let place = Place::sim(&disk);
    let options = SpoolOptions {
        segment_size: 1 << 20,
        ..small()
    };
    let spool = open(&place, &options).unwrap();
    // Groups that are longer than what is read at once.
    for first in [1, 401, 801] {
        let run: Vec<u64> = (first..first + 400).collect();
        append_all(&spool, 1, &run).unwrap();
    }
    spool.close(PATIENCE).unwrap();
    for nth in 1..12 {
        let spool = open(&place, &options).unwrap();
        let mut cursor = spool.cursor(0).unwrap();
        let few = ReadLimit { records: 10, ..ALL };
        let mut got: Vec<u64> = Vec::new();
        got.extend(
            cursor
                .next_batch(few, PATIENCE)
                .unwrap()
                .iter()
                .map(checked),
        );
        let fault = disk.fail(
            FaultPlan::error(Call::Read, libc::EIO)
                .on(".wal-seg-")
                .nth(nth),
        );
        let most = ReadLimit {
            records: 1000,
            ..ALL
        };
        while got.len() < 1200 {
            match cursor.next_batch(most, Some(Duration::ZERO)) {
                Ok(records) => got.extend(records.iter().map(checked)),
                Err(error) => assert_eq!(error.kind(), ErrorKind::Io, "{error}"),
            }
        }
        let all: Vec<u64> = (1..=1200).collect();
        assert!(got == all, "read {nth} failed: {got:?}");
        fault.lift();
    }
}

#[test]
fn a_cursor_on_a_tail_that_is_cut_off_is_told() {
    for reopened in [false, true] {
        let disk = SimStorage::new();
        let mut spool = filled(&disk, 600);
        if !reopened {
            for lsn in 601..=650 {
                append(&spool, 1, lsn).unwrap();
            }
        }
        let mut cursor = spool.cursor(500).unwrap();
        let got = cursor.next_batch(ReadLimit { records: 70, ..ALL }, PATIENCE);
        assert_eq!(got.unwrap().len(), 70);
        assert_eq!(cursor.lsn(), 570);
        spool.truncate_after(550, 2).unwrap();
        let ahead = cursor.next_batch(ALL, Some(Duration::ZERO)).unwrap_err();
        assert_eq!(
            (ahead.kind(), ahead.lsn()),
            (ErrorKind::Diverged, Some(550))
        );
        for lsn in 551..=600 {
            append(&spool, 2, lsn).unwrap();
        }
        let told = cursor.next_batch(ALL, PATIENCE).unwrap_err();
        assert_eq!((told.kind(), told.lsn()), (ErrorKind::Diverged, Some(550)));
        let mut cursor = spool.cursor(550).unwrap();
        assert_eq!(cursor.next_batch(ALL, PATIENCE).unwrap().len(), 50);
        drop(cursor);
        spool.close(PATIENCE).unwrap();
        spool = open(&Place::sim(&disk), &small()).unwrap();
        assert_eq!(read_all(&spool, 0, 50).unwrap().len(), 600);
    }
}
