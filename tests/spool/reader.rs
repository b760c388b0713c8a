//! Reading from outside: beside a writer, after one, and where one comes.

use super::common::{PATIENCE, Place};
use super::tools::{append, append_all, checked, everywhere, open, payload, read_all, small};
use epochwal::recovery::Verdict;
use epochwal::spool::{Format, ReadLimit, Record, Spool, SpoolOptions, SpoolReader, SpoolReport};
use epochwal::storage::sim::SimStorage;
use epochwal::{ErrorKind, Result};
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

fn reader(place: &Place, since: Option<u64>) -> Result<SpoolReader> {
    SpoolReader::open_on(place.disk.clone(), &place.db, since)
}

/// The records of a stream as (term, LSN), their payloads checked.
fn drain(reader: &mut SpoolReader) -> (Vec<(u64, u64)>, Result<()>) {
    let mut given = Vec::new();
    loop {
        match reader.next_record() {
            Ok(Some(record)) => {
                assert_eq!(record.payload, payload(record.lsn), "LSN {}", record.lsn);
                given.push((record.term, record.lsn));
            }
            Ok(None) => return (given, Ok(())),
            Err(error) => return (given, Err(error)),
        }
    }
}

fn read(place: &Place, since: Option<u64>) -> Result<(Vec<u64>, SpoolReport)> {
    let mut reader = reader(place, since)?;
    let (given, done) = drain(&mut reader);
    done?;
    let lsns = given.into_iter().map(|(_, lsn)| lsn).collect();
    Ok((lsns, reader.report().clone()))
}

fn fill(spool: &Spool, term: u64, lsns: std::ops::RangeInclusive<u64>) {
    for lsn in lsns {
        append(spool, term, lsn).unwrap();
    }
}

/// The same records, however they are asked for, and no batch shorter or longer
/// than it must be.
#[test]
fn batches_give_what_records_give() {
    let rdlw = SpoolOptions {
        format: Format::Rdlw,
        ..small()
    };
    for options in [small(), rdlw] {
        everywhere(|place| {
            let spool = open(place, &options).unwrap();
            fill(&spool, 1, 1..=300);
            let all: Vec<_> = (21..=300).collect();
            let len = |lsn| payload(lsn).len();
            for (records, bytes) in [(1, 0), (7, usize::MAX), (usize::MAX, 500), (50, 2000)] {
                let limit = ReadLimit { records, bytes };
                let mut reader = reader(place, Some(20)).unwrap();
                let mut given = Vec::new();
                for round in 0.. {
                    let batch = reader.next_batch(limit).unwrap();
                    let Some(last) = batch.last() else { break };
                    given.extend(batch.iter().map(checked));
                    let size: usize = batch.iter().map(|r| r.payload.len()).sum();
                    assert!(batch.len() <= records && (size <= bytes || batch.len() == 1));
                    assert!(
                        batch.len() == records
                            || last.lsn == 300
                            || size + len(last.lsn + 1) > bytes
                    );
                    // What a batch was too small for is given by the other way, too.
                    if round % 3 == 0
                        && let Some(record) = reader.next_record().unwrap()
                    {
                        assert_eq!(record.payload, payload(record.lsn));
                        given.push(record.lsn);
                    }
                }
                assert_eq!(given, all, "{limit:?}");
                assert_eq!(reader.report().records, 280);
                let none = ReadLimit { records: 0, bytes };
                let refused = reader.next_batch(none).unwrap_err();
                assert_eq!(refused.kind(), ErrorKind::Invalid);
            }
        });
    }
}

#[test]
fn beside_a_writer_what_is_durable_is_read() {
    everywhere(|place| {
        let spool = open(place, &small()).unwrap();
        let (none, report) = read(place, None).unwrap();
        assert_eq!((none, report.current_lsn), (vec![], 0));
        fill(&spool, 3, 1..=200);
        let staged = payload(201);
        let ticket = spool
            .submit(&[Record {
                term: 3,
                lsn: 201,
                timestamp_ms: 5,
                payload: &staged,
            }])
            .unwrap();
        let (given, report) = read(place, None).unwrap();
        assert_eq!(given, (1..=200).collect::<Vec<_>>());
        assert!(report.exists && report.writer && !report.clean);
        assert_eq!((report.first_lsn, report.last_lsn), (1, 200));
        assert_eq!((report.current_lsn, report.durable_lsn), (200, 200));
        assert_eq!((report.records, report.verdict), (200, Verdict::Clean));
        assert!(report.segments.len() > 2, "it never rolled");
        spool.wait(ticket, PATIENCE).unwrap();
        assert_eq!(read(place, Some(199)).unwrap().0, [200, 201]);
        spool.close(PATIENCE).unwrap();
        let (given, report) = read(place, None).unwrap();
        assert_eq!(given.len(), 201);
        assert!(report.clean && !report.writer);
        assert_eq!((report.current_lsn, report.durable_lsn), (201, 201));
    });
}

#[test]
fn a_reader_begins_where_it_is_asked_to() {
    everywhere(|place| {
        let spool = open(place, &small()).unwrap();
        fill(&spool, 1, 1..=300);
        for closed in [false, true] {
            if closed {
                spool.close(PATIENCE).unwrap();
            }
            let whole = read(place, None).unwrap().1;
            for since in (0..=300).step_by(7).chain([299, 300]) {
                let (given, report) = read(place, Some(since)).unwrap();
                assert_eq!(given, (since + 1..=300).collect::<Vec<_>>());
                if since > 290 {
                    assert!(report.segments.len() <= 2 && whole.segments.len() > 4);
                    assert!(report.bytes_read < whole.bytes_read);
                }
            }
            for since in [301, u64::MAX] {
                let error = read(place, Some(since)).unwrap_err();
                assert_eq!((error.kind(), error.lsn()), (ErrorKind::Ahead, Some(300)));
            }
        }
    });
}

#[test]
fn records_that_were_cut_off_are_not_given() {
    everywhere(|place| {
        let spool = open(place, &small()).unwrap();
        fill(&spool, 1, 1..=150);
        append_all(&spool, 2, &(151..=170).collect::<Vec<_>>()).unwrap();
        spool.truncate_after(155, 3).unwrap();
        let (given, report) = read(place, None).unwrap();
        assert_eq!(given, (1..=155).collect::<Vec<_>>());
        assert_eq!((report.current_lsn, report.durable_lsn), (155, 155));
        spool.truncate_after(120, 5).unwrap();
        fill(&spool, 5, 121..=130);
        fill(&spool, 6, 131..=140);
        for closed in [false, true] {
            if closed {
                spool.close(PATIENCE).unwrap();
            }
            let mut reader = reader(place, None).unwrap();
            let (given, done) = drain(&mut reader);
            done.unwrap();
            let term = |lsn| match lsn {
                ..=120 => 1,
                121..=130 => 5,
                _ => 6,
            };
            let all: Vec<_> = (1..=140).map(|lsn| (term(lsn), lsn)).collect();
            assert_eq!(given, all);
            let report = reader.report();
            assert_eq!(report.segments.iter().map(|s| s.dead).sum::<u64>(), 50);
            assert_eq!(report.segments.iter().map(|s| s.records).sum::<u64>(), 140);
            assert_eq!(
                (report.current_lsn, report.terms.last().unwrap().term),
                (140, 6)
            );
            for since in 110..140 {
                assert_eq!(read(place, Some(since)).unwrap().0[0], since + 1);
            }
        }
    });
}

#[test]
fn what_is_pruned_is_not_read() {
    everywhere(|place| {
        let spool = open(place, &small()).unwrap();
        fill(&spool, 1, 1..=200);
        spool.prune_through(133).unwrap();
        for closed in [false, true] {
            if closed {
                spool.close(PATIENCE).unwrap();
            }
            let (given, report) = read(place, None).unwrap();
            assert_eq!(given, (134..=200).collect::<Vec<_>>());
            assert_eq!(report.pruned_through, 133);
            assert_eq!(read(place, Some(133)).unwrap().0, given);
            let removed = read(place, Some(132)).unwrap_err();
            assert_eq!(
                (removed.kind(), removed.lsn()),
                (ErrorKind::WalRemoved, Some(134))
            );
        }
        let spool = open(place, &small()).unwrap();
        spool.prune_through(200).unwrap();
        let (given, report) = read(place, None).unwrap();
        assert_eq!((given, report.current_lsn), (vec![], 200));
        assert!(read(place, Some(200)).unwrap().0.is_empty());
    });
}

#[test]
fn a_prune_takes_nothing_from_a_reader() {
    everywhere(|place| {
        let spool = open(place, &small()).unwrap();
        fill(&spool, 1, 1..=200);
        let mut early = reader(place, None).unwrap();
        assert_eq!(early.next_record().unwrap().unwrap().lsn, 1);
        spool.prune_through(190).unwrap();
        fill(&spool, 1, 201..=400);
        let (given, done) = drain(&mut early);
        done.unwrap();
        assert_eq!(
            given.iter().map(|r| r.1).collect::<Vec<_>>(),
            (2..=200).collect::<Vec<_>>()
        );
    });
}

#[test]
fn a_reader_of_the_end_keeps_no_file_from_a_prune() {
    everywhere(|place| {
        let spool = open(place, &small()).unwrap();
        fill(&spool, 1, 1..=200);
        let count = || {
            let names = place.disk.list(place.db.parent().unwrap()).unwrap();
            let of_log = |name: &str| name.contains(".logical.wal-seg-");
            let segments = names.iter().filter(|n| of_log(&n.to_string_lossy()));
            segments.count()
        };
        let before = count();
        let mut whole = reader(place, None).unwrap();
        let mut end = reader(place, Some(195)).unwrap();
        spool.prune_through(190).unwrap();
        assert_eq!(count(), before, "one that reads all of it keeps all");
        drain(&mut whole).1.unwrap();
        drop(whole);
        spool.prune_through(191).unwrap();
        assert!(count() <= 2, "{} of {before} are left", count());
        let (given, done) = drain(&mut end);
        done.unwrap();
        assert_eq!(given.len(), 5);
    });
}

#[test]
fn where_there_is_no_spool_nothing_is_given_and_nothing_made() {
    let place = Place::real();
    let (given, report) = read(&place, None).unwrap();
    assert!(given.is_empty() && !report.exists);
    assert_eq!(read(&place, Some(1)).unwrap_err().kind(), ErrorKind::Ahead);
    assert_eq!(fs::read_dir(place.db.parent().unwrap()).unwrap().count(), 0);
}

#[test]
fn a_writer_that_comes_and_cuts_is_no_damage() {
    everywhere(|place| {
        // How many were given when the writer came.
        for before in [0, 1, 99, 100, 101, 150, 180] {
            let mut files = place.disk.list(place.db.parent().unwrap()).unwrap();
            for name in files.drain(..) {
                let path = place.db.parent().unwrap().join(name);
                place.disk.remove(&path).unwrap();
            }
            let spool = open(place, &small()).unwrap();
            fill(&spool, 1, 1..=180);
            spool.close(PATIENCE).unwrap();
            let mut reader = reader(place, None).unwrap();
            let mut last = 0;
            for _ in 0..before {
                last = reader.next_record().unwrap().unwrap().lsn;
            }
            let spool = open(place, &small()).unwrap();
            spool.truncate_after(100, 2).unwrap();
            fill(&spool, 2, 101..=120);
            let (given, done) = drain(&mut reader);
            let mut terms: Vec<u64> = given.iter().map(|r| r.0).collect();
            terms.dedup();
            let lsns: Vec<u64> = given.iter().map(|r| r.1).collect();
            assert_eq!(
                lsns,
                (last + 1..=last + lsns.len() as u64).collect::<Vec<_>>()
            );
            match done {
                // It ends with the old log, or goes over to the new one.
                Ok(()) => assert!(terms.len() <= 1 || last <= 100, "{before}: {terms:?}"),
                Err(error) => {
                    assert_eq!(
                        (error.kind(), error.lsn()),
                        (ErrorKind::Diverged, Some(100)),
                        "{before}: {error}"
                    );
                    assert!(last > 100 || lsns.len() as u64 + last > 100);
                }
            }
            spool.close(PATIENCE).unwrap();
        }
    });
}

/// The newest segment of a spool on the real disk.
fn newest_segment(place: &Place) -> PathBuf {
    let dir = fs::read_dir(place.db.parent().unwrap()).unwrap();
    let segments = dir.map(|e| e.unwrap().path());
    let of_spool = |p: &PathBuf| p.to_string_lossy().contains(".logical.wal-seg-");
    segments.filter(of_spool).max().unwrap()
}

/// Changes a byte of a record's payload.
fn damage(place: &Place, lsn: u64) {
    let dir = fs::read_dir(place.db.parent().unwrap()).unwrap();
    let wanted = payload(lsn);
    for path in dir.map(|e| e.unwrap().path()) {
        let mut bytes = fs::read(&path).unwrap();
        let found = (0..bytes.len().saturating_sub(48)).step_by(8).find(|at| {
            let lsn_at = bytes[at + 24..at + 32] == lsn.to_le_bytes();
            lsn_at && bytes[*at + 8] == 2 && bytes[at + 48..].starts_with(&wanted)
        });
        if let Some(at) = found {
            bytes[at + 48] ^= 1;
            fs::write(&path, bytes).unwrap();
            return;
        }
    }
    panic!("LSN {lsn} is nowhere");
}

#[test]
fn damage_ends_the_stream_and_is_named() {
    let place = Place::real();
    let spool = open(&place, &small()).unwrap();
    fill(&spool, 1, 1..=200);
    spool.close(PATIENCE).unwrap();
    damage(&place, 77);
    let mut reader = reader(&place, None).unwrap();
    let (given, done) = drain(&mut reader);
    assert_eq!(done.unwrap_err().kind(), ErrorKind::Corrupt);
    assert_eq!(given.len(), 76);
    let report = reader.report().clone();
    assert_eq!(
        (report.verdict, report.suspects.len()),
        (Verdict::Corrupt, 1)
    );
    assert!(
        report.suspects[0].reason.contains("LSN 77 to 200"),
        "{:?}",
        report.suspects
    );
    assert!(reader.next_record().unwrap().is_none(), "it has ended");
    // All segments are listed, also those that could not be read.
    let listed = report.segments.last().unwrap();
    assert_eq!(listed.path, newest_segment(&place));
}

#[test]
fn a_torn_tail_is_left_out_and_said() {
    let place = Place::real();
    let copy = Place::real();
    let spool = open(&place, &small()).unwrap();
    fill(&spool, 1, 1..=100);
    // As a kill leaves it: the last group half written.
    for entry in fs::read_dir(place.db.parent().unwrap()).unwrap() {
        let entry = entry.unwrap();
        let to = copy.db.parent().unwrap().join(entry.file_name());
        fs::copy(entry.path(), to).unwrap();
    }
    spool.close(PATIENCE).unwrap();
    damage(&copy, 100);
    let mut reader = reader(&copy, None).unwrap();
    let (given, done) = drain(&mut reader);
    done.unwrap();
    assert_eq!(given.len(), 99);
    let report = reader.report();
    assert_eq!((report.verdict, report.suspects.len()), (Verdict::Torn, 1));
    assert!(report.durable_lsn < 100 && !report.writer && !report.clean);
}

#[test]
fn readers_beside_a_busy_writer_see_a_prefix() {
    let place = Place::real();
    let spool = open(&place, &small()).unwrap();
    append(&spool, 1, 1).unwrap();
    // What a reader that opens now must see, and what it can't see any more.
    let acked = AtomicU64::new(1);
    let pruned = AtomicU64::new(0);
    let done = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while done.load(Ordering::SeqCst) == 0 {
                    let must = acked.load(Ordering::SeqCst);
                    let (lsns, report) = read(&place, None).unwrap();
                    let begun = lsns.first().copied().unwrap_or(report.pruned_through + 1);
                    assert_eq!(begun, report.pruned_through + 1);
                    assert!(lsns.windows(2).all(|w| w[1] == w[0] + 1));
                    let end = lsns.last().copied().unwrap_or(report.pruned_through);
                    assert!(end >= must, "{must} was acknowledged, {end} is the last");
                    assert!(begun <= pruned.load(Ordering::SeqCst) + 1);
                }
            });
        }
        for lsn in 2..=400 {
            append(&spool, 1, lsn).unwrap();
            acked.store(lsn, Ordering::SeqCst);
            if lsn % 40 == 0 {
                pruned.store(lsn - 30, Ordering::SeqCst);
                spool.prune_through(lsn - 30).unwrap();
            }
        }
        done.store(1, Ordering::SeqCst);
    });
}

/// Appends, rolls, prunes, cuts and reopens.
fn workload(place: &Place, options: &SpoolOptions) {
    let spool = open(place, options).unwrap();
    for first in (1..=60).step_by(3) {
        append_all(&spool, 1, &[first, first + 1, first + 2]).unwrap();
    }
    spool.prune_through(31).unwrap();
    spool.truncate_after(45, 2).unwrap();
    append_all(&spool, 2, &[46, 47]).unwrap();
    spool.close(PATIENCE).unwrap();
    let spool = open(place, options).unwrap();
    append_all(&spool, 2, &[50]).unwrap();
    spool.truncate_after(47, 5).unwrap();
    for lsn in 48..60 {
        append(&spool, 6, lsn).unwrap();
    }
    spool.prune_through(55).unwrap();
    spool.close(PATIENCE).unwrap();
}

#[test]
fn after_any_crash_a_reader_gives_what_the_next_open_keeps() {
    let options = SpoolOptions {
        segment_size: 16 << 10,
        ..small()
    };
    let disk = SimStorage::new();
    let snapshots: Arc<Mutex<Vec<(u64, SimStorage)>>> = Arc::default();
    let keep = snapshots.clone();
    disk.on_operation(move |snapshot, at| keep.lock().unwrap().push((at, snapshot)));
    workload(&Place::sim(&disk), &options);
    disk.stop_observing();
    let mut torn = 0;
    let mut states = 0;
    for (at, snapshot) in snapshots.lock().unwrap().drain(..) {
        let mut crashed = vec![snapshot.crash_nothing(), snapshot.crash_everything()];
        crashed.extend((0..3).map(|seed| snapshot.crash_random(at * 1000 + seed)));
        for (kept, disk) in crashed.into_iter().enumerate() {
            let place = Place::sim(&disk);
            let what = format!("operation {at}, state {kept}");
            let mut stream = reader(&place, None).unwrap();
            let (given, done) = drain(&mut stream);
            done.unwrap_or_else(|error| panic!("{what}: {error}"));
            let report = stream.report().clone();
            drop(stream);
            torn += u64::from(report.verdict == Verdict::Torn);
            let spool = open(&place, &options).unwrap();
            let bounds = spool.bounds();
            let lsns: Vec<u64> = given.iter().map(|r| r.1).collect();
            let kept = read_all(&spool, bounds.pruned_through, 7).unwrap();
            assert_eq!(lsns, kept, "{what}");
            let read = (report.first_lsn, report.current_lsn, report.pruned_through);
            let found = (bounds.oldest_lsn, bounds.current_lsn, bounds.pruned_through);
            assert_eq!(read, found, "{what}");
            assert!(report.durable_lsn <= report.current_lsn, "{what}");
            states += 1;
        }
    }
    assert!(torn > 0 && states > 500, "{torn} torn of {states} states");
}
