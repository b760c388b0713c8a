//! Salvages that a power failure cuts short, at each of their operations: the
//! spool says that it is damaged, or has what a whole salvage leaves; a salvage
//! after that ends where one that was not cut short does.

use super::common::{PATIENCE, Place};
use super::damage::{ALL_AT_OPEN, BLOCK, Image, Telling, bytes_of, options, read};
use super::ledger::Name;
use super::tools::{append_all, open};
use epochwal::ErrorKind;
use epochwal::spool::{Spool, SpoolOptions};
use epochwal::storage::sim::SimStorage;
use epochwal::storage::{OpenMode, Storage, write_all_at};
use std::path::Path;
use std::sync::{Arc, Mutex};

/// What a spool gives: its records, the LSN that it goes on behind, its term,
/// and through where it tells that records are lost.
type Has = (Vec<Name>, u64, u64, u64);

fn salvaging() -> SpoolOptions {
    SpoolOptions {
        salvage: true,
        ..options(ALL_AT_OPEN)
    }
}

fn has(spool: &Spool) -> Has {
    let bounds = spool.bounds();
    let (records, whole) = read(spool, bounds.pruned_through);
    assert!(!whole, "nothing tells of what is lost");
    let lost = spool.lost_through();
    (records, bounds.current_lsn, spool.term(), lost)
}

/// The damaged disk at each operation of an open that salvages, and what that
/// gives.
fn salvage(damaged: &SimStorage) -> (Vec<SimStorage>, Has) {
    let disk = damaged.snapshot();
    let moments: Arc<Mutex<Vec<SimStorage>>> = Arc::default();
    let keep = moments.clone();
    disk.on_operation(move |disk, _| keep.lock().unwrap().push(disk));
    let spool = open(&Place::sim(&disk), &salvaging()).unwrap();
    disk.stop_observing();
    let whole = has(&spool);
    drop(spool);
    let moments = std::mem::take(&mut *moments.lock().unwrap());
    (moments, whole)
}

/// Bytes of all files of the log that were there before, wherever they are now:
/// a salvage deletes nothing.
fn nothing_is_deleted(before: &SimStorage, after: &SimStorage) {
    let dir = Path::new("/data");
    let segments = |disk: &SimStorage| {
        let names = disk.list(dir).unwrap().into_iter();
        let names = names.filter(|n| n.to_string_lossy().contains(".wal-seg-"));
        let bytes = names.map(|n| bytes_of(disk, &dir.join(n)));
        bytes.collect::<Vec<_>>()
    };
    let now = segments(after);
    for old in segments(before) {
        assert!(
            now.contains(&old),
            "a segment of {} bytes is gone",
            old.len()
        );
    }
}

/// Crashes at one operation of a salvage; true where the log was still damaged.
fn after(crashed: &SimStorage, whole: &Has) -> bool {
    let place = Place::sim(crashed);
    let damaged = match open(&place, &options(ALL_AT_OPEN)) {
        Ok(spool) => {
            assert_eq!(&has(&spool), whole, "opened after the crash");
            spool.close(PATIENCE).unwrap();
            false
        }
        Err(e) => {
            assert_eq!(e.kind(), ErrorKind::Corrupt, "{e}");
            true
        }
    };
    let spool = open(&place, &salvaging()).unwrap();
    assert_eq!(&has(&spool), whole, "salvaged again");
    // No number is given again.
    let next = whole.1 + 1;
    append_all(&spool, whole.2, &[next]).unwrap();
    drop(spool);
    let spool = open(&Place::sim(&crashed.crash_nothing()), &options(ALL_AT_OPEN)).unwrap();
    assert_eq!(spool.bounds().current_lsn, next);
    damaged
}

#[test]
fn a_salvage_of_a_closed_spool() {
    cut_short(&Image::make(true, 0));
}

/// Its state file does not say how far the LSNs went.
#[test]
fn a_salvage_of_a_killed_spool() {
    cut_short(&Image::make(false, 0));
}

fn cut_short(image: &Image) {
    let (mut states, mut damaged, mut twice) = (0, 0, 0);
    for path in image.files() {
        for block in 0..bytes_of(&image.disk, &path).len() / BLOCK {
            let at = [40, 190][block % 2];
            let disk = image.disk.snapshot();
            let file = disk.open(&path, OpenMode::Write).unwrap();
            write_all_at(&*file, &[0xa5; 3], (block * BLOCK + at) as u64, 1).unwrap();
            file.sync_all().unwrap();
            let place = Place::sim(&disk.snapshot());
            if open(&place, &options(ALL_AT_OPEN)).is_ok() {
                continue;
            }
            let (moments, whole) = salvage(&disk);
            assert!(image.truth.starts_with(&whole.0), "{whole:?}");
            for (n, moment) in moments.iter().enumerate() {
                let random = moment.crash_random(n as u64);
                let crashes = [moment.crash_nothing(), moment.crash_everything(), random];
                for (way, crashed) in crashes.into_iter().enumerate() {
                    let _telling = Telling(|| {
                        format!(
                            "{at} of block {block} of {}, operation {n} of {}, way {way}",
                            path.display(),
                            moments.len()
                        )
                    });
                    // Some are cut short in the second salvage, too.
                    if (n + way) % 5 == 0
                        && open(&Place::sim(&crashed.snapshot()), &options(ALL_AT_OPEN)).is_err()
                    {
                        let (again, same) = salvage(&crashed);
                        assert_eq!(same, whole);
                        for moment in again.iter().step_by(3) {
                            after(&moment.crash_nothing(), &whole);
                            twice += 1;
                        }
                    }
                    nothing_is_deleted(&disk, &crashed);
                    damaged += u64::from(after(&crashed, &whole));
                    states += 1;
                }
            }
        }
    }
    println!("{states} states, {damaged} still damaged, {twice} cut short twice");
    assert!(states > 300 && damaged > 100 && twice > 100);
}
