//! Processes beside each other: readers while one writes, and second writers.

use super::child::{Part, argument, database, hear, say};
use super::common::{PATIENCE, Place, assert_whole, commit, small};
use epochwal::recovery::{RecoveryOptions, Verdict, cleanup_segments};
use epochwal::{Coordinator, ErrorKind, Options};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Reads the whole log each time it is told to, and says how far it went.
pub fn reader() {
    let place = Place::at(&database());
    while hear().is_some() {
        let (got, report) = place.recover(&RecoveryOptions::default()).unwrap();
        assert_ne!(report.verdict, Verdict::Corrupt);
        for (n, batch) in (1..).zip(&got) {
            assert_eq!(batch.seq, n, "none is skipped");
            assert_whole(batch);
        }
        say(&got.len().to_string());
    }
}

/// A pass sees all that was acknowledged before it began, and no pass sees
/// less than one before it.
#[test]
fn readers_see_a_prefix_that_only_grows() {
    let dir = tempfile::tempdir().unwrap();
    let db = dir.path().join("test.db");
    let wal = Coordinator::open(&db, &small()).unwrap();
    let (acknowledged, enough) = (AtomicU64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut txn = 0;
            while !enough.load(Ordering::Relaxed) {
                txn += 1;
                commit(&wal, txn).unwrap();
                acknowledged.store(txn, Ordering::SeqCst);
            }
        });
        let mut readers = [0, 1].map(|_| Part::start("reader", &db, 0));
        let mut seen = 0;
        for _ in 0..25 {
            for reader in &mut readers {
                let before = acknowledged.load(Ordering::SeqCst);
                reader.tell("read");
                let Some(said) = reader.next() else {
                    enough.store(true, Ordering::Relaxed);
                    panic!("the reader has failed");
                };
                let now = said.parse::<u64>().unwrap();
                let grown = now >= before.max(seen);
                if !grown {
                    enough.store(true, Ordering::Relaxed);
                }
                assert!(
                    grown,
                    "{now}, after {before} were told and {seen} were seen"
                );
                seen = now;
            }
        }
        enough.store(true, Ordering::Relaxed);
    });
    wal.close(PATIENCE).unwrap();
}

/// Tries every way in, and says what it was told.
pub fn second_writer() {
    let db = database();
    let salvage = Options {
        salvage: true,
        ..small()
    };
    let version_1 = Options {
        segment_format: 1,
        ..small()
    };
    let told = [
        Coordinator::open(&db, &small()).map(drop),
        Coordinator::open(&db, &salvage).map(drop),
        Coordinator::open(&db, &version_1).map(drop),
        Coordinator::for_path(&db, &small()).map(drop),
        cleanup_segments(&db).map(drop),
    ];
    let free = argument() == 1;
    for result in told {
        match result {
            Ok(()) => assert!(free, "it went in beside the writer"),
            Err(error) => {
                assert!(!free, "{error:?}");
                assert_eq!(error.kind(), ErrorKind::Locked, "{error:?}");
                assert!(error.to_string().contains("test.db-wal-lock"), "{error}");
            }
        }
    }
}

#[test]
fn a_second_writer_is_told_by_whatever_path_it_comes() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    for made in ["a", "b"] {
        std::fs::create_dir(at(made)).unwrap();
    }
    let db = at("a/test.db");
    std::fs::write(&db, "").unwrap();
    symlink(&db, at("b/file")).unwrap();
    symlink(Path::new("../a"), at("b/directory")).unwrap();
    symlink(at("b/file"), at("b/chain")).unwrap();
    let ways = [
        "a/test.db",
        "b/../a/test.db",
        "b/file",
        "b/directory/test.db",
        "b/chain",
    ];
    let wal = Coordinator::open(&at("b/chain"), &small()).unwrap();
    commit(&wal, 1).unwrap();
    for way in ways {
        Part::start("second writer", &at(way), 0).finish();
        let error = Coordinator::open(&at(way), &small()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Locked, "{way} in the same process");
    }
    commit(&wal, 2).unwrap();
    wal.close(PATIENCE).unwrap();
    for way in ways {
        Part::start("second writer", &at(way), 1).finish();
    }
}

/// A lock that died with its process is in nobody's way.
#[test]
fn a_killed_writer_leaves_no_lock() {
    let dir = tempfile::tempdir().unwrap();
    let db = dir.path().join("test.db");
    for _ in 0..5 {
        let mut writer = Part::start("writer", &db, 0);
        assert_eq!(writer.next().as_deref(), Some("opening"));
        assert!(writer.next().unwrap().starts_with("opened"));
        Part::start("second writer", &db, 0).finish();
        writer.kill();
        while writer.next().is_some() {}
        drop(writer);
        Part::start("second writer", &db, 1).finish();
        std::fs::remove_dir_all(dir.path()).unwrap();
        std::fs::create_dir(dir.path()).unwrap();
    }
}
