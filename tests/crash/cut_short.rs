//! What works on a log as a whole, cut short at each operation and begun
//! again: salvage, cleanup, recovery into a file. Also cut short twice.

use super::common::{Got, PATIENCE, Place, commit, database, page, small};
use epochwal::coordinator::SyncStyle;
use epochwal::recovery::{RecoveryOptions, cleanup_segments_on, inspect_on, recover_into_file_on};
use epochwal::storage::sim::{SimRng, SimStorage};
use epochwal::storage::{OpenMode, read_up_to};
use epochwal::{Batch, ErrorKind, Frame, Options};
use std::path::Path;
use std::sync::{Arc, Mutex};

/// Up to this many possible crashes of a state all are made.
const EXHAUSTIVE: usize = 64;
/// How many random ones else.
const SAMPLES: u64 = 8;
/// How many stops of the second run are looked at.
const SECOND: u64 = 3;

/// All states of the machine while `work` runs, and the last one.
fn states(disk: &SimStorage, work: impl FnOnce(&Place)) -> Vec<SimStorage> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let states = seen.clone();
    disk.on_operation(move |state, _| states.lock().unwrap().push(state));
    work(&Place::sim(disk));
    disk.stop_observing();
    let mut states = std::mem::take(&mut *seen.lock().unwrap());
    states.push(disk.snapshot());
    states
}

/// What a stop in this state may leave: of a few choices all, else some.
fn stops(state: &SimStorage, seed: u64) -> Vec<SimStorage> {
    let mut left = vec![state.snapshot()];
    if state.crashes().take(EXHAUSTIVE + 1).count() <= EXHAUSTIVE {
        left.extend(state.crashes());
    } else {
        left.extend([state.crash_nothing(), state.crash_everything()]);
        let mut rng = SimRng::new(seed);
        left.extend((0..SAMPLES).map(|_| state.crash_random(rng.next_u64())));
    }
    left
}

/// Runs `work` on a copy of the disk, stops it at each operation and has
/// `check` look at what is left; one time in some after `work` was begun again
/// and stopped again.
fn cut_short(disk: &SimStorage, work: impl Fn(&Place), check: impl Fn(&SimStorage)) -> usize {
    let mut count = 0;
    for (i, state) in states(&disk.snapshot(), &work).iter().enumerate() {
        for (n, left) in stops(state, i as u64).iter().enumerate() {
            count += 1;
            check(&left.snapshot());
            if n % 8 == i % 8 {
                let second = states(&left.snapshot(), &work);
                let mut rng = SimRng::new(i as u64);
                for _ in 0..SECOND {
                    let state = &second[rng.below(second.len() as u64) as usize];
                    count += 1;
                    check(&state.crash_random(rng.next_u64()));
                }
            }
        }
    }
    count
}

/// Format 0: native, and version 1 from the middle on.
fn options(style: SyncStyle, format: u32) -> Options {
    Options {
        sync_style: style,
        segment_format: if format == 0 { 2 } else { format },
        segment_size: 16 << 10,
        ..small()
    }
}

const BATCHES: u64 = 14;

/// A log of several segments that was checkpointed once, and not closed.
fn log(options: &Options, mixed: bool) -> SimStorage {
    let disk = SimStorage::new();
    let place = Place::sim(&disk);
    let mut wal = place.open(options).unwrap();
    for txn in 1..=BATCHES {
        if mixed && txn == 9 {
            wal.close(PATIENCE).unwrap();
            let one = Options {
                segment_format: 1,
                ..options.clone()
            };
            wal = place.open(&one).unwrap();
        }
        commit(&wal, txn).unwrap();
        if txn == 4 {
            wal.checkpoint(2).unwrap();
        }
    }
    let left = disk.snapshot();
    wal.close(PATIENCE).unwrap();
    left
}

fn txns(got: &[Got]) -> Vec<u64> {
    got.iter().map(|got| got.txn).collect()
}

/// Changes the bytes of a file, on the disk itself.
fn overwrite(disk: &SimStorage, path: &Path, offset: u64, bytes: &[u8]) {
    use epochwal::storage::Storage;
    let file = disk.open(path, OpenMode::Write).unwrap();
    file.write_at(bytes, offset).unwrap();
    file.sync_all().unwrap();
}

/// The log, damaged: in a group of its middle and the last native one, in both
/// copies of the state, and without one of its segments.
fn damaged(options: &Options, mixed: bool) -> Vec<(&'static str, SimStorage)> {
    use epochwal::storage::Storage;
    let whole = log(options, mixed);
    let place = Place::sim(&whole);
    let looked = inspect_on(place.disk.clone(), &place.db).unwrap();
    let segment = &looked.segments[1];
    let path = &segment.info.path;
    let at = segment.groups.first().map_or(60, |g| g.offset + 200);
    let group = whole.snapshot();
    overwrite(&group, path, at, b"damage");
    let mut logs = vec![("a group", group)];
    // One that others stand before, so that its segment is cut, not moved;
    // what follows of the log knows of it.
    let inner = looked.segments.iter().flat_map(|s| {
        let groups = s
            .groups
            .iter()
            .filter(|g| g.offset > 0 && g.kind == "pages");
        groups.map(|g| (&s.info.path, g.offset))
    });
    let inner: Vec<_> = inner.collect();
    if let Some((path, offset)) = inner.last().filter(|_| mixed) {
        let group = whole.snapshot();
        overwrite(&group, path, offset + 200, b"damage");
        logs.push(("the last native group", group));
    }
    if options.segment_format == 2 {
        let state = whole.snapshot();
        let name = Path::new("/data/test.db-wal-state");
        overwrite(&state, name, 100, b"damage");
        overwrite(&state, name, 4096 + 100, b"damage");
        logs.push(("the state", state));
        let missing = whole.snapshot();
        missing.remove(path).unwrap();
        missing.sync_dir(Path::new("/data")).unwrap();
        logs.push(("a segment", missing));
    }
    logs
}

#[test]
fn a_salvage_cut_short_is_finished_by_the_next() {
    let mut count = 0;
    for (style, format) in [
        (SyncStyle::Direct, 2),
        (SyncStyle::Buffered, 2),
        (SyncStyle::Buffered, 1),
        (SyncStyle::Direct, 0),
    ] {
        let options = options(style, format);
        for (what, disk) in damaged(&options, format == 0) {
            count += salvage(
                &disk,
                &options,
                &format!("{what}, {style:?}, format {format}"),
            );
        }
    }
    println!("{count} salvages cut short");
    assert!(count > 5_000, "{count}");
}

fn salvage(disk: &SimStorage, options: &Options, what: &str) -> usize {
    let salvaging = Options {
        salvage: true,
        ..options.clone()
    };
    let error = Place::sim(disk).recover(&RecoveryOptions::default());
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Corrupt, "{what}");
    let once = disk.snapshot();
    let place = Place::sim(&once);
    drop(place.open(&salvaging).unwrap());
    let kept = txns(&place.recover_all());
    // A prefix; with the state the checkpoint is lost, too.
    let first = if what.starts_with("the state") { 1 } else { 3 };
    let prefix: Vec<u64> = (first..).take(kept.len()).collect();
    assert_eq!(kept, prefix, "{what}");
    cut_short(
        disk,
        |place| drop(place.open(&salvaging).unwrap()),
        |left| {
            let place = Place::sim(left);
            match place.recover(&RecoveryOptions::default()) {
                Ok((got, _)) => assert_eq!(txns(&got), kept, "{what}: before it is done"),
                Err(e) => assert_eq!(e.kind(), ErrorKind::Corrupt, "{what}: {e:?}"),
            }
            let wal = place
                .open(&salvaging)
                .unwrap_or_else(|e| panic!("{what}: {e:?}"));
            assert_eq!(txns(&place.recover_all()), kept, "{what}");
            let ticket = commit(&wal, 1000).unwrap();
            assert!(
                ticket.epoch > BATCHES,
                "{what}: epoch {} again",
                ticket.epoch
            );
            wal.close(PATIENCE).unwrap();
            let got = txns(&Place::sim(&left.crash_nothing()).recover_all());
            assert_eq!(got.len(), kept.len() + 1, "{what}");
        },
    )
}

#[test]
fn a_cleanup_cut_short_leaves_a_log_or_none() {
    let mut count = 0;
    for (style, format) in [
        (SyncStyle::Direct, 2),
        (SyncStyle::Buffered, 1),
        (SyncStyle::Direct, 0),
    ] {
        let options = options(style, format);
        let disk = log(&options, format == 0);
        let before = txns(&Place::sim(&disk).recover_all());
        let clean = |place: &Place| {
            cleanup_segments_on(place.disk.clone(), &place.db).unwrap();
        };
        count += cut_short(&disk, clean, |left| {
            let place = Place::sim(left);
            let got = txns(&place.recover_all());
            assert!(
                got == before || got.is_empty(),
                "{format}: {got:?} of {before:?}"
            );
            clean(&place);
            assert_eq!(place.recover_all(), []);
            let wal = place.open(&options).unwrap();
            let ticket = commit(&wal, 1000).unwrap();
            assert!(ticket.epoch > BATCHES, "epoch {} again", ticket.epoch);
            wal.close(PATIENCE).unwrap();
            assert_eq!(Place::sim(&left.crash_nothing()).recover_all().len(), 1);
        });
    }
    println!("{count} cleanups cut short");
    assert!(count > 500, "{count}");
}

const PAGE: u32 = 512;

/// Commits transactions of whole pages, no two of them neighbours, so that each
/// is a write of its own; the database shrinks at the end.
fn pages(options: &Options) -> (SimStorage, Vec<u8>) {
    let disk = SimStorage::new();
    let wal = Place::sim(&disk).open(options).unwrap();
    let mut model = Vec::new();
    for txn in 1..=BATCHES {
        let pages: Vec<_> = (0..3u32)
            .map(|i| 1 + (txn as u32 * 5 + i * 7) % 24 * 2)
            .map(|number| (number, page(txn, number, PAGE as usize)))
            .collect();
        let size = if txn == BATCHES { 40 } else { 48 };
        let frames: Vec<_> = pages
            .iter()
            .enumerate()
            .map(|(i, (number, data))| Frame {
                page_number: *number,
                db_size_if_commit: if i == 2 { size } else { 0 },
                data,
            })
            .collect();
        let ticket = wal.submit(&Batch {
            txn_id: txn,
            txn_epoch: 0,
            commit_seq: txn,
            frames: &frames,
            metadata: &[],
        });
        wal.wait(ticket.unwrap().epoch, PATIENCE).unwrap();
        model.resize(size as usize * PAGE as usize, 0);
        for (number, data) in pages {
            let at = (number - 1) as usize * PAGE as usize;
            if at + data.len() <= model.len() {
                model[at..at + data.len()].copy_from_slice(&data);
            }
        }
    }
    let left = disk.snapshot();
    wal.close(PATIENCE).unwrap();
    (left, model)
}

#[test]
fn a_recovery_into_a_file_cut_short_is_done_again() {
    let mut count = 0;
    for delete_segments in [false, true] {
        let (disk, model) = pages(&options(SyncStyle::Buffered, 2));
        let how = RecoveryOptions {
            delete_segments,
            ..RecoveryOptions::default()
        };
        let recover = |place: &Place| {
            recover_into_file_on(place.disk.clone(), &place.db, &place.db, PAGE, &how).unwrap();
        };
        count += cut_short(&disk, recover, |left| {
            let place = Place::sim(left);
            // Either the log is there, or the file says all that it said.
            let gone = place.recover_all().is_empty();
            assert!(
                !gone || database(left) == model,
                "the log went before the file was whole"
            );
            recover(&place);
            assert!(
                database(&left.crash_nothing()) == model,
                "{delete_segments}"
            );
        });
    }
    println!("{count} recoveries into a file cut short");
    assert!(count > 1_000, "{count}");
}

/// The state of before a checkpoint beside the files of after it, as a power
/// failure without syncs may leave them: the salvage finds spares that hold
/// groups which are not retired as far as it knows.
#[test]
fn a_spare_of_a_checkpoint_that_was_lost_is_not_reused() {
    use epochwal::storage::Storage;
    let options = options(SyncStyle::Buffered, 2);
    let disk = SimStorage::new();
    let place = Place::sim(&disk);
    let state = Path::new("/data/test.db-wal-state");
    let wal = place.open(&options).unwrap();
    for txn in 1..=BATCHES {
        commit(&wal, txn).unwrap();
    }
    let file = disk.open(state, OpenMode::Read).unwrap();
    let mut before = vec![0; 2 * 4096];
    read_up_to(&*file, &mut before, 0).unwrap();
    let end = wal.durable_epoch().unwrap().unwrap();
    wal.checkpoint(end).unwrap();
    let after = disk.snapshot();
    overwrite(&after, state, 0, &before);
    let salvaging = Options {
        salvage: true,
        ..options
    };
    let states = states(&after, |place| {
        let wal = place.open(&salvaging).unwrap();
        for txn in 1..=BATCHES {
            commit(&wal, 100 + txn).unwrap();
        }
    });
    let mut whole = 0;
    for state in states {
        let place = Place::sim(&state);
        match place.recover(&RecoveryOptions::default()) {
            Ok((got, _)) => whole = whole.max(got.len()),
            // Before the salvage is done, not once anything was committed.
            Err(e) => assert_eq!((whole, e.kind()), (0, ErrorKind::Corrupt), "{e:?}"),
        }
    }
    assert_eq!(whole as u64, BATCHES);
}
