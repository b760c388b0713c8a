//! Recovery over files that another implementation of version 1 wrote.

mod common;

use common::*;
use epochwal::ErrorKind;
use epochwal::recovery::{RecoveryOptions, Verdict, max_durable_epoch, recover_into_map};
use epochwal::{Coordinator, Recovery};
use std::fs;
use std::path::{Path, PathBuf};

fn golden(part: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden/pwal-v1")
        .join(part)
}

/// A copy of one database's files, to be written to.
fn copy(part: &str, database: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(golden(part)).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if name.starts_with(database) {
            fs::copy(entry.path(), dir.path().join(name)).unwrap();
        }
    }
    let path = dir.path().join(database);
    (dir, path)
}

fn read_all(db: &Path) -> (Vec<(u64, u64, u64)>, Recovery) {
    let mut stream = Recovery::open(db, &RecoveryOptions::default()).unwrap();
    let mut got = Vec::new();
    while let Some(batch) = stream.next_batch().unwrap() {
        got.push((batch.epoch, batch.txn_id, batch.commit_seq));
    }
    (got, stream)
}

#[test]
fn the_good_ones_are_recovered() {
    let (got, stream) = read_all(&golden("good").join("basic.db"));
    let report = stream.report();
    assert_eq!(
        got,
        [
            (1, 10, 100),
            (1, 11, 105),
            (2, 20, 200),
            (2, 21, 205),
            (3, 30, 300),
            (3, 31, 305)
        ]
    );
    assert_eq!(report.segments, 3);
    assert_eq!(report.records, 6);
    assert_eq!(report.highest_commit_seq, 305);
    assert_eq!(report.verdict, Verdict::Clean);
    let files = fs::read_dir(golden("good")).unwrap().count();
    assert_eq!(files, 7, "reading leaves no file behind");
}

#[test]
fn a_missing_epoch_is_one_without_records() {
    let (got, stream) = read_all(&golden("good").join("gap.db"));
    assert_eq!(stream.report().epochs.iter().collect::<Vec<_>>(), [0, 1, 3]);
    assert_eq!(got[0].0, 0);
    let db = golden("good").join("gap.db");
    assert_eq!(max_durable_epoch(&db).unwrap(), Some(3));
}

#[test]
fn a_coordinator_goes_on_behind_them_in_either_format() {
    for format in [1, 2] {
        let (_dir, db) = copy("good", "gap.db");
        let options = epochwal::Options {
            segment_format: format,
            ..small()
        };
        let wal = Coordinator::open(&db, &options).unwrap();
        assert_eq!(wal.durable_epoch().unwrap(), Some(3));
        wal.wait(0, None).expect("epoch 0 is durable");
        let ticket = commit(&wal, 1000).unwrap();
        assert_eq!(ticket.epoch, 4);
        wal.close(PATIENCE).unwrap();
        let (got, stream) = read_all(&db);
        assert_eq!(
            stream.report().epochs.iter().collect::<Vec<_>>(),
            [0, 1, 3, 4]
        );
        assert_eq!(got.last(), Some(&(4, 1000, 1000)));
        let (map, _) = recover_into_map(&db, &RecoveryOptions::default()).unwrap();
        assert!(map.pages.values().any(|(seq, _)| *seq == 1000));
    }
}

#[test]
fn the_damaged_ones_are_refused_with_file_and_reason() {
    let manifest = fs::read(golden("damaged/manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    let mut cases: Vec<(String, ErrorKind)> = manifest
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, case)| {
            let kind = match case["verdict"].as_str().unwrap() {
                "format" => ErrorKind::Format,
                _ => ErrorKind::Corrupt,
            };
            (name.clone(), kind)
        })
        .collect();
    cases.push(("renamed".into(), ErrorKind::Corrupt));
    assert_eq!(cases.len(), 9);
    for (name, kind) in cases {
        let (_dir, db) = copy("damaged", &format!("{name}.db"));
        let mut stream = Recovery::open(&db, &RecoveryOptions::default()).unwrap();
        let error = stream.next_batch().unwrap_err();
        assert_eq!(error.kind(), kind, "{name}: {error}");
        assert!(error.path().is_some(), "{name}: {error}");
        assert!(error.offset().is_some(), "{name}: {error}");
        drop(stream);
        let error = Coordinator::open(&db, &small()).unwrap_err();
        assert_eq!(error.kind(), kind, "{name}: {error}");
        let prefix = RecoveryOptions {
            durable_prefix: true,
            ..RecoveryOptions::default()
        };
        let mut stream = Recovery::open(&db, &prefix).unwrap();
        assert!(stream.next_batch().unwrap().is_none());
        assert_eq!(stream.report().verdict, Verdict::Corrupt, "{name}");
        assert_eq!(stream.report().suspects.len(), 1);
    }
}
