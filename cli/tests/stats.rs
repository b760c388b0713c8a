//! `epochwal stats`: figures that agree with what was written, and with what
//! `inspect` shows.

use epochwal::coordinator::EpochInterval;
use epochwal::spool::{Record, Spool, SpoolOptions};
use epochwal::{Batch, Coordinator, Frame, Options};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

#[track_caller]
fn tool(code: i32, args: &[&str], db: &Path) -> Output {
    let output = Command::new(env!("CARGO_BIN_EXE_epochwal"))
        .args(args)
        .arg(db)
        .output()
        .expect("the tool starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    output
}

#[track_caller]
fn json_of(args: &[&str], db: &Path) -> Value {
    serde_json::from_slice(&tool(0, args, db).stdout).expect("one JSON document")
}

/// Seven commits of one frame, the last of three; a group each.
fn pages(db: &Path) {
    let options = Options {
        epoch_interval: EpochInterval::Off,
        segment_size: 64 << 10,
        ..Options::default()
    };
    let wal = Coordinator::open(db, &options).expect("open");
    for commit_seq in 1..=7 {
        let frame = |page_number| Frame {
            page_number,
            db_size_if_commit: 3,
            data: &[7; 4096],
        };
        let frames = match commit_seq {
            7 => vec![frame(1), frame(2), frame(3)],
            _ => vec![frame(1)],
        };
        let batch = Batch {
            txn_id: commit_seq,
            txn_epoch: 0,
            commit_seq,
            frames: &frames,
            metadata: b"",
        };
        wal.commit(&batch, None).expect("commit");
    }
    wal.close(None).expect("close");
}

/// Ten records of 100 bytes as two runs, two cut off, three pruned.
fn records(db: &Path) {
    let options = SpoolOptions {
        segment_size: 64 << 10,
        ..SpoolOptions::default()
    };
    let spool = Spool::open(db, &options).expect("open");
    for lsns in [1..=4, 5..=10] {
        let run: Vec<_> = lsns
            .map(|lsn| Record {
                term: 1,
                lsn,
                timestamp_ms: 0,
                payload: &[1; 100],
            })
            .collect();
        spool.append(&run, None).expect("append");
    }
    spool.truncate_after(8, 2).expect("truncate");
    spool.prune_through(3).expect("prune");
    spool.close(None).expect("close");
}

fn segment(db: &Path, between: &str) -> PathBuf {
    let name = format!(
        "{}{between}",
        db.file_name().expect("name").to_string_lossy()
    );
    let entries = fs::read_dir(db.parent().expect("a directory")).expect("list");
    let mut found = entries.map(|entry| entry.expect("entry").path());
    let is = |path: &PathBuf| {
        let file = path.file_name().expect("name").to_string_lossy();
        file.starts_with(&name)
    };
    found.find(is).expect("a segment")
}

#[test]
fn a_page_log_adds_up_to_what_inspect_shows() {
    let dir = tempfile::tempdir().expect("tempdir");
    let db = dir.path().join("app.db");
    pages(&db);
    let found = json_of(&["stats", "--json"], &db);
    assert_eq!(found["spool"], Value::Null);
    let log = &found["pages"];
    let shown = json_of(&["inspect", "--json"], &db);
    let segments = shown["segments"].as_array().expect("a list");
    let groups = segments
        .iter()
        .flat_map(|s| s["groups"].as_array().expect("a list"));
    let lengths = |kind: &'static str| {
        let of_kind = groups.clone().filter(move |g| g["kind"] == kind);
        of_kind.map(|g| g["length"].as_u64().expect("a number"))
    };
    let total: u64 = lengths("pages").chain(lengths("mark")).sum();
    let mean = lengths("pages").sum::<u64>() as f64 / 7.0;
    for (member, value) in [
        ("verdict", json!("clean")),
        ("segments", json!(segments.len())),
        ("bytes_in_groups", json!(total)),
        ("groups", json!(7)),
        ("marks", json!(lengths("mark").count())),
        ("batches", json!(7)),
        ("frames", json!(9)),
        ("suspects", json!([])),
    ] {
        assert_eq!(log[member], value, "{member}");
    }
    assert_eq!(log["group_bytes"]["mean"], mean);
    assert_eq!(
        log["group_bytes"]["median"],
        lengths("pages").min().expect("one")
    );
    assert_eq!(
        log["group_bytes"]["max"],
        lengths("pages").max().expect("one")
    );
    assert_eq!(log["batches_per_group"]["max"], 1);
    assert_eq!(log["last_epoch"], shown["last_epoch"]);
}

#[test]
fn a_spool_says_what_is_readable_pruned_and_cut_off() {
    let dir = tempfile::tempdir().expect("tempdir");
    let db = dir.path().join("app.db");
    pages(&db);
    records(&db);
    let found = json_of(&["stats", "--json"], &db);
    assert_eq!(found["pages"]["batches"], 7);
    let spool = &found["spool"];
    for (member, value) in [
        ("verdict", json!("clean")),
        ("groups", json!(2)),
        ("records", json!(10)),
        ("readable_records", json!(5)),
        ("payload_bytes", json!(500)),
        ("mean_payload", json!(100.0)),
        ("first_lsn", json!(4)),
        ("last_lsn", json!(8)),
        ("pruned_through", json!(3)),
        ("cut_off_records", json!(2)),
        ("terms", json!(2)),
    ] {
        assert_eq!(spool[member], value, "{member}");
    }
    assert_eq!(spool["records_per_group"]["max"], 6);
    let text = String::from_utf8(tool(0, &["stats"], &db).stdout).expect("UTF-8");
    for line in [
        "app.db: page log, clean\n",
        "app.db: spool, clean\n",
        "  records           10\n",
        "  readable          5 records, LSN 4 to 8\n",
        "  cut off           2 records\n",
        "  frames            9\n",
    ] {
        assert!(text.contains(line), "{line} in\n{text}");
    }
}

#[test]
fn a_corrupt_log_is_counted_up_to_the_damage() {
    let dir = tempfile::tempdir().expect("tempdir");
    let db = dir.path().join("app.db");
    pages(&db);
    records(&db);
    for between in ["-wal-seg-", ".logical.wal-seg-"] {
        let path = segment(&db, between);
        let mut bytes = fs::read(&path).expect("read");
        // In an item of the first group.
        bytes[140] ^= 1;
        fs::write(&path, bytes).expect("write");
    }
    let found = json_of(&["stats", "--json"], &db);
    for log in ["pages", "spool"] {
        assert_eq!(found[log]["verdict"], "corrupt", "{log}");
        assert_eq!(found[log]["groups"], 0);
        assert_eq!(found[log]["group_bytes"], Value::Null);
        assert_eq!(found[log]["suspects"][0]["offset"], 0);
    }
}

#[test]
fn a_path_without_a_log_is_an_error_that_says_so() {
    let dir = tempfile::tempdir().expect("tempdir");
    let missing = tool(4, &["stats"], &dir.path().join("app.db"));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("path of the data file"));
    assert!(missing.stdout.is_empty());
}
