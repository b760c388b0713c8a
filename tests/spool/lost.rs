//! What a salvage could not keep. Those who read used to be led across it
//! without a word: the record behind the lost ones looked like the next one.

use super::common::{PATIENCE, Place};
use super::tools::{append, append_all, checked, open, read_all, small};
use epochwal::primary::{Ack, Cause, Primary, PrimaryOptions, RebootstrapCause, Resume};
use epochwal::spool::{LostRange, ReadLimit, Spool, SpoolOptions, SpoolReader};
use epochwal::storage::sim::SimStorage;
use epochwal::storage::{OpenMode, Storage, read_exact_at, write_all_at};
use epochwal::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};
use std::time::Duration;

const LAST: u64 = 300;

fn salvage() -> SpoolOptions {
    SpoolOptions {
        salvage: true,
        ..small()
    }
}

/// The segments, oldest first.
fn segments(disk: &SimStorage) -> Vec<PathBuf> {
    let dir = Path::new("/data");
    let names = disk.list(dir).unwrap().into_iter();
    let mut found: Vec<_> = names
        .filter(|n| n.to_string_lossy().contains(".wal-seg-"))
        .map(|n| dir.join(n))
        .collect();
    found.sort();
    found
}

/// Spoils a group in the middle of a segment.
fn spoil(disk: &SimStorage, segment: &Path) {
    let file = disk.open(segment, OpenMode::Write).unwrap();
    let mut byte = [0];
    let at = (file.len().unwrap() / 2) / 4096 * 4096 + 150;
    read_exact_at(&*file, &mut byte, at).unwrap();
    write_all_at(&*file, &[byte[0] ^ 0x10], at, 1).unwrap();
}

/// A spool of 300 records, closed, of which some in the middle are damaged.
fn damaged(place: &Place, disk: &SimStorage) {
    let spool = open(place, &small()).unwrap();
    for lsn in 1..=LAST {
        append(&spool, 1, lsn).unwrap();
    }
    spool.close(PATIENCE).unwrap();
    let segments = segments(disk);
    assert!(segments.len() > 4);
    spoil(disk, &segments[segments.len() / 2]);
    let error = open(place, &small()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
}

fn told(result: Result<impl std::fmt::Debug>) -> (ErrorKind, Option<u64>) {
    let error: Error = result.unwrap_err();
    (error.kind(), error.lsn())
}

/// Pages through a spool until an error tells where it ends.
fn page(spool: &Spool, lsn: u64) -> (Vec<u64>, (ErrorKind, Option<u64>)) {
    let mut got = Vec::new();
    loop {
        let at = got.last().copied().unwrap_or(lsn);
        match read_all(spool, at, 7) {
            Ok(all) if all.is_empty() => panic!("nothing told of the end at {at}"),
            Ok(all) => got.extend(all),
            // The pages before it are not given by `read_all`.
            Err(error) => {
                let one = ReadLimit {
                    records: 1,
                    bytes: 0,
                };
                match spool.read_since(at, one) {
                    Ok(records) => got.push(records[0].lsn),
                    Err(_) => return (got, (error.kind(), error.lsn())),
                }
            }
        }
    }
}

fn outside(place: &Place, since: Option<u64>) -> Result<(Vec<u64>, Result<()>)> {
    let mut reader = SpoolReader::open_on(place.disk.clone(), &place.db, since)?;
    let mut got = Vec::new();
    loop {
        match reader.next_record() {
            Ok(Some(record)) => got.push(record.lsn),
            Ok(None) => return Ok((got, Ok(()))),
            Err(error) => return Ok((got, Err(error))),
        }
    }
}

#[test]
fn nobody_reads_across_what_a_salvage_has_lost() {
    let disk = SimStorage::new();
    let place = Place::sim(&disk);
    damaged(&place, &disk);
    let report = Spool::salvage_on(place.disk.clone(), &place.db).unwrap();
    let &[LostRange { after, through }] = &report.lost[..] else {
        panic!("{report:?}")
    };
    assert!(after > 20 && through == LAST, "{after} to {through}");
    let gone = (ErrorKind::WalRemoved, Some(LAST + 1));
    let kept: Vec<_> = (1..=after).collect();
    // The same before anything follows, behind an append, and after a reopen.
    for round in 0..3 {
        let spool = open(&place, &small()).unwrap();
        let end = LAST + round;
        assert_eq!(spool.bounds().current_lsn, end);
        assert_eq!(spool.lost(), report.lost);
        for _ in 0..2 {
            assert_eq!(page(&spool, 0), (kept.clone(), gone));
            for lsn in [after, after + 1, LAST - 1] {
                assert_eq!(told(spool.read_since(lsn, ReadLimit::default())), gone);
                // Who waits is not left to wait for what never comes.
                spool.wait_after(lsn, None).unwrap();
                let mut cursor = spool.cursor(lsn).unwrap();
                assert_eq!(told(cursor.next_batch(ReadLimit::default(), None)), gone);
            }
        }
        // Whoever has all of it goes on.
        let behind: Vec<_> = (LAST + 1..=end).collect();
        assert_eq!(read_all(&spool, LAST, 9).unwrap(), behind);
        let mut cursor = spool.cursor(after - 1).unwrap();
        let mut next = || cursor.next_batch(ReadLimit::default(), PATIENCE);
        assert_eq!(next().unwrap().len(), 1);
        assert_eq!(told(next()), gone);
        assert_eq!(told(outside(&place, Some(after))), gone);
        let (got, done) = outside(&place, Some(after - 3)).unwrap();
        assert_eq!(got, [after - 2, after - 1, after]);
        match round {
            0 => done.unwrap(),
            _ => assert_eq!(told(done), gone),
        }
        if round > 0 {
            // A batch ends before it, and what it is comes with the next one.
            let mut reader =
                SpoolReader::open_on(place.disk.clone(), &place.db, Some(after - 3)).unwrap();
            let batch = reader.next_batch(ReadLimit::default()).unwrap();
            assert_eq!(batch.iter().map(checked).collect::<Vec<_>>(), got);
            assert_eq!(told(reader.next_batch(ReadLimit::default())), gone);
            assert_eq!(reader.next_batch(ReadLimit::default()).unwrap(), []);
        }
        // Who asks for all there is gets it.
        let (got, done) = outside(&place, None).unwrap();
        done.unwrap();
        assert_eq!(got, [&kept[..], &behind[..]].concat());
        append(&spool, 1, end + 1).unwrap();
        assert_eq!(page(&spool, 0), (kept.clone(), gone));
        spool.close(PATIENCE).unwrap();
    }
}

#[test]
fn pruning_passes_it_and_forgets_it() {
    let disk = SimStorage::new();
    let place = Place::sim(&disk);
    damaged(&place, &disk);
    let spool = open(&place, &salvage()).unwrap();
    append_all(&spool, 2, &[LAST + 1, LAST + 2]).unwrap();
    let after = page(&spool, 0).0.len() as u64;
    let mut cursor = spool.cursor(after - 2).unwrap();
    let one = ReadLimit {
        records: 1,
        bytes: 0,
    };
    let mut next = || cursor.next_batch(one, Some(Duration::ZERO));
    assert_eq!(next().unwrap()[0].lsn, after - 1);
    // In the middle of it: what comes next is what lies behind it.
    spool.prune_through(after + 3).unwrap();
    assert_eq!(spool.bounds().oldest_lsn, LAST + 1);
    assert_eq!(spool.lost().len(), 1);
    let gone = (ErrorKind::WalRemoved, Some(LAST + 1));
    assert_eq!(told(spool.read_since(after, one)), gone);
    assert_eq!(told(spool.read_since(after + 5, one)), gone);
    // The cursor keeps its segment, and is told where that ends.
    assert_eq!(next().unwrap()[0].lsn, after);
    assert_eq!(told(next()), gone);
    spool.prune_through(LAST).unwrap();
    assert_eq!(spool.lost(), []);
    assert_eq!(told(next()), gone);
    assert_eq!(read_all(&spool, LAST, 9).unwrap(), [LAST + 1, LAST + 2]);
    spool.close(PATIENCE).unwrap();
    let report = Spool::salvage_on(place.disk.clone(), &place.db).unwrap();
    assert_eq!(report.lost, []);
}

/// Each salvage leaves its own range, and a cut behind one takes it away.
#[test]
fn ranges_add_up_and_a_cut_ends_them() {
    let disk = SimStorage::new();
    let place = Place::sim(&disk);
    damaged(&place, &disk);
    let spool = open(&place, &salvage()).unwrap();
    for lsn in LAST + 1..=2 * LAST {
        append(&spool, 1, lsn).unwrap();
    }
    spool.close(PATIENCE).unwrap();
    let files = segments(&disk);
    spoil(&disk, &files[files.len() - 2]);
    let report = Spool::salvage_on(place.disk.clone(), &place.db).unwrap();
    let &[first, second] = &report.lost[..] else {
        panic!("{report:?}")
    };
    assert_eq!((first.through, second.through), (LAST, 2 * LAST));
    let spool = open(&place, &small()).unwrap();
    let (got, end) = page(&spool, LAST);
    assert_eq!(got, (LAST + 1..=second.after).collect::<Vec<_>>());
    assert_eq!(end, (ErrorKind::WalRemoved, Some(2 * LAST + 1)));
    // The tail that is saved aside has what is left of it.
    append(&spool, 1, 2 * LAST + 1).unwrap();
    assert!(spool.truncate_after(second.after - 2, 7).unwrap().is_some());
    append(&spool, 7, second.after - 1).unwrap();
    let all: Vec<_> = (LAST + 1..=second.after - 1).collect();
    assert_eq!(read_all(&spool, LAST, 9).unwrap(), all);
    spool.close(PATIENCE).unwrap();
    let report = Spool::salvage_on(place.disk.clone(), &place.db).unwrap();
    assert_eq!(report.lost, [first]);
}

#[test]
fn a_replica_that_needs_it_is_told_to_rebootstrap() {
    let disk = SimStorage::new();
    let place = Place::sim(&disk);
    let options = PrimaryOptions {
        saver: false,
        ..PrimaryOptions::default()
    };
    let primary = |spool: &SpoolOptions| {
        Primary::open_on(place.disk.clone(), &place.db, spool, &options).unwrap()
    };
    let p = primary(&small());
    for lsn in 1..=LAST {
        append(p.spool().unwrap(), 1, lsn).unwrap();
        if [10, LAST].contains(&lsn) {
            let id = format!("at {lsn}");
            let generation = p.register(&id, None).unwrap().generation;
            let ack = Ack {
                written: lsn,
                durable: lsn,
                applied: lsn,
                apply_errors: 0,
                divergences: 0,
            };
            p.ack(&id, generation, &ack).unwrap();
        }
    }
    p.close().unwrap();
    let files = segments(&disk);
    spoil(&disk, &files[files.len() / 2]);
    let p = primary(&salvage());
    let cause = |id: &str| p.slot(id).unwrap().slot.invalidation.map(|i| i.cause);
    assert_eq!(cause("at 10"), Some(Cause::WalRemoved));
    assert_eq!(cause(&format!("at {LAST}")), None);
    assert_eq!(
        p.plan_resume("at 10", 10, 1).unwrap(),
        Resume::Rebootstrap {
            cause: RebootstrapCause::WalRemoved
        }
    );
    let whole = p.plan_resume(&format!("at {LAST}"), LAST, 1).unwrap();
    assert_eq!(whole, Resume::Partial { resume_lsn: LAST });
    assert_eq!(
        p.slot_create("new", Some(LAST - 1), false)
            .map_err(|e| e.kind())
            .map(drop),
        Err(ErrorKind::WalRemoved)
    );
}

/// A run of which a cut has left the first records: they lie before the damage,
/// and are kept.
#[test]
fn what_a_cut_left_of_a_run_is_not_lost_with_what_follows() {
    let disk = SimStorage::new();
    let place = Place::sim(&disk);
    let spool = open(&place, &small()).unwrap();
    append_all(&spool, 1, &[1, 2, 3, 4, 5]).unwrap();
    spool.truncate_after(3, 2).unwrap();
    for lsn in 4..=300 {
        append(&spool, 2, lsn).unwrap();
    }
    spool.close(PATIENCE).unwrap();
    let file = disk.open(&segments(&disk)[0], OpenMode::Write).unwrap();
    // The group behind the run.
    write_all_at(&*file, &[0xa5; 64], 4096 + 130, 1).unwrap();
    let report = Spool::salvage_on(place.disk.clone(), &place.db).unwrap();
    let (after, through) = (3, 300);
    assert_eq!(report.lost, [LostRange { after, through }]);
    let spool = open(&place, &small()).unwrap();
    let (got, end) = page(&spool, 0);
    assert_eq!(got, [1, 2, 3]);
    assert_eq!(end, (ErrorKind::WalRemoved, Some(301)));
}
