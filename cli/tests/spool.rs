//! `epochwal spool` as a user meets it: the built binary, real spools, exit
//! codes.

use epochwal::primary::{Primary, PrimaryOptions};
use epochwal::spool::{Record, Spool, SpoolOptions};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Runs `epochwal spool`, and expects an exit code.
#[track_caller]
fn tool(code: i32, command: &str, db: &Path, options: &[&str]) -> Output {
    let output = Command::new(env!("CARGO_BIN_EXE_epochwal"))
        .args(["spool", command])
        .arg(db)
        .args(options)
        .output()
        .expect("the tool starts");
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{stdout}\n{stderr}");
    assert_eq!(stderr.is_empty(), code < 2, "{stderr}");
    output
}

#[track_caller]
fn json(code: i32, command: &str, db: &Path, options: &[&str]) -> Value {
    let options = [options, &["--json"]].concat();
    let output = tool(code, command, db, &options);
    serde_json::from_slice(&output.stdout).expect("one JSON document")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn options() -> SpoolOptions {
    SpoolOptions {
        segment_size: 16 << 10,
        ..SpoolOptions::default()
    }
}

fn append(spool: &Spool, term: u64, lsns: std::ops::RangeInclusive<u64>) {
    for lsn in lsns {
        let payload = format!("record {lsn}\n\u{1}");
        let record = Record {
            term,
            lsn,
            timestamp_ms: 1_000 + lsn,
            payload: payload.as_bytes(),
        };
        spool.append(&[record], None).expect("append");
    }
}

/// Terms 1 and 3, LSNs 6 to 20, a tail of term 1 cut off.
fn example(dir: &Path) -> PathBuf {
    let db = dir.join("app.db");
    let spool = Spool::open(&db, &options()).expect("open");
    append(&spool, 1, 1..=15);
    spool.truncate_after(12, 3).expect("truncate");
    append(&spool, 3, 13..=20);
    spool.prune_through(5).expect("prune");
    spool.close(None).expect("close");
    db
}

#[test]
fn an_export_is_read_back_by_the_open_that_finds_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let db = example(dir.path());
    let file = dir.path().join("copy.db.logical.wal");
    let name = file.to_str().expect("a name");
    let done = json(0, "export", &db, &[name]);
    assert_eq!(done["records"], 15);
    assert_eq!(
        (&done["first_lsn"], &done["last_lsn"]),
        (&6.into(), &20.into())
    );
    assert_eq!(done["bytes"], fs::metadata(&file).expect("length").len());
    tool(4, "export", &db, &[name]);
    let copy = dir.path().join("copy.db");
    Spool::open(&copy, &options())
        .expect("open")
        .close(None)
        .expect("close");
    let lines = |db: &Path| text(&tool(0, "cat", db, &[]).stdout);
    assert_eq!(lines(&copy), lines(&db));
    let part = dir.path().join("part");
    let part = part.to_str().expect("a name");
    assert_eq!(
        json(0, "export", &db, &[part, "--since", "18"])["records"],
        2
    );
    tool(4, "export", &db, &[name, "--since", "4"]);
    tool(4, "export", &dir.path().join("none.db"), &["none"]);
}

fn segments(db: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(db.parent().expect("a directory")).expect("list");
    let mut found: Vec<PathBuf> = entries
        .map(|entry| entry.expect("entry").path())
        .filter(|path| {
            let name = path.to_string_lossy();
            name.contains(".logical.wal-seg-") && !name.contains("salvaged")
        })
        .collect();
    found.sort();
    found
}

fn lsns(output: &Output) -> Vec<u64> {
    let lines = text(&output.stdout);
    // The last line says what is wrong, where anything is.
    lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("a JSON line"))
        .filter(|record| record["error"].is_null())
        .map(|record| record["lsn"].as_u64().expect("a number"))
        .collect()
}

#[test]
fn records_are_printed_in_each_form() {
    let dir = tempfile::tempdir().expect("tempdir");
    let db = example(dir.path());
    let whole = tool(0, "cat", &db, &[]);
    let first = text(&whole.stdout).lines().next().map(str::to_owned);
    assert_eq!(
        first.as_deref(),
        Some(r"lsn 6 term 1 time 1006 length 10 payload record 6\n\x01")
    );
    assert_eq!(text(&whole.stdout).lines().count(), 15);
    let hex = tool(0, "cat", &db, &["--limit", "1", "--payload", "hex"]);
    assert!(text(&hex.stdout).ends_with(" payload 7265636f726420360a01\n"));
    let some = ["--since", "12", "--limit", "2"];
    let raw = tool(0, "cat", &db, &[&some[..], &["--payload", "raw"]].concat());
    assert_eq!(raw.stdout, b"record 13\n\x01record 14\n\x01");
    let lines = tool(0, "cat", &db, &[&some[..], &["--json"]].concat());
    let line: Value = serde_json::from_slice(lines.stdout.split(|b| *b == b'\n').next().unwrap())
        .expect("a JSON line");
    assert_eq!(
        line,
        serde_json::json!({
            "lsn": 13, "term": 3, "timestamp_ms": 1013, "length": 11,
            "payload_hex": "7265636f72642031330a01",
        })
    );
    let escaped = tool(
        0,
        "cat",
        &db,
        &["--json", "--payload", "escaped", "--limit", "1"],
    );
    let line: Value = serde_json::from_slice(&escaped.stdout).expect("JSON");
    assert_eq!(line["payload_escaped"], r"record 6\n\x01");
    assert_eq!(tool(0, "cat", &db, &["--limit", "0"]).stdout, b"");
    assert_eq!(tool(0, "cat", &db, &["--since", "20"]).stdout, b"");
}

#[test]
fn wrong_command_lines_exit_64() {
    for options in [
        &["--since", "-1"][..],
        &["--since", "18446744073709551616"],
        &["--limit", "x"],
        &["--payload", "base64"],
        &["--json", "--payload", "raw"],
    ] {
        tool(64, "cat", Path::new("nowhere.db"), options);
    }
    tool(64, "prune", Path::new("nowhere.db"), &[]);
    tool(64, "frobnicate", Path::new("nowhere.db"), &[]);
    for command in ["inspect", "cat", "verify", "salvage", "prune"] {
        let help = tool(0, command, Path::new("--help"), &[]);
        assert!(text(&help.stdout).contains("Exit codes:"), "{command}");
    }
}

#[test]
fn a_path_without_a_spool_is_an_error_that_says_so_and_makes_none() {
    let dir = tempfile::tempdir().expect("tempdir");
    let db = dir.path().join("app.db");
    for (command, options) in [
        ("inspect", &[][..]),
        ("cat", &[]),
        ("verify", &[]),
        ("salvage", &[]),
        ("prune", &["5"]),
    ] {
        let output = tool(4, command, &db, options);
        assert!(text(&output.stderr).contains("path of the data file"));
    }
    assert_eq!(fs::read_dir(dir.path()).expect("list").count(), 0);
}

#[test]
fn positions_that_cannot_be_read_from_say_which_can() {
    let dir = tempfile::tempdir().expect("tempdir");
    let db = example(dir.path());
    let pruned = tool(4, "cat", &db, &["--since", "4"]);
    assert!(text(&pruned.stderr).contains("--since 5 gives all there is"));
    assert_eq!(
        lsns(&tool(0, "cat", &db, &["--since", "5", "--json"])).len(),
        15
    );
    let ahead = tool(4, "cat", &db, &["--since", "21"]);
    assert!(text(&ahead.stderr).contains("--since 20 is the highest"));
}

#[test]
fn inspect_and_verify_show_bounds_terms_and_segments() {
    let dir = tempfile::tempdir().expect("tempdir");
    let db = example(dir.path());
    for (command, found) in [
        ("inspect", json(0, "inspect", &db, &[])),
        ("verify", json(0, "verify", &db, &[])),
    ] {
        assert_eq!(found["verdict"], "clean", "{command}");
        assert_eq!(found["oldest_lsn"], 6);
        assert_eq!(found["current_lsn"], 20);
        assert_eq!(found["durable_lsn"], 20);
        assert_eq!(found["pruned_through"], 5);
        assert_eq!(found["records"], 15);
        assert_eq!(
            (&found["clean"], &found["writer"]),
            (&true.into(), &false.into())
        );
        let terms = serde_json::json!([
            {"term": 1, "first_lsn": 1}, {"term": 3, "first_lsn": 13},
        ]);
        assert_eq!(found["terms"], terms);
        let listed = found["segments"].as_array().expect("a list");
        assert_eq!(listed.len(), segments(&db).len());
        let cut: u64 = listed.iter().filter_map(|s| s["cut_off"].as_u64()).sum();
        assert_eq!(cut, 3);
        assert_eq!(found["suspects"], Value::Array(vec![]));
    }
    let shown = text(&tool(0, "inspect", &db, &[]).stdout);
    for line in [
        "app.db: clean",
        "oldest LSN          6",
        "pruned through      5",
        "term 3              from LSN 13",
    ] {
        assert!(shown.contains(line), "{line} in\n{shown}");
    }
}

#[test]
fn a_living_writer_is_no_obstacle_to_looking() {
    let dir = tempfile::tempdir().expect("tempdir");
    let db = example(dir.path());
    let spool = Spool::open(&db, &options()).expect("open");
    append(&spool, 3, 21..=22);
    assert_eq!(
        lsns(&tool(0, "cat", &db, &["--since", "19", "--json"])),
        [20, 21, 22]
    );
    let found = json(0, "verify", &db, &[]);
    assert_eq!(
        (&found["writer"], &found["current_lsn"]),
        (&true.into(), &22.into())
    );
    for (command, options) in [("prune", &["10"][..]), ("salvage", &[])] {
        let locked = tool(4, command, &db, options);
        assert!(text(&locked.stderr).contains("close the process that has it open"));
    }
    assert_eq!(spool.bounds().pruned_through, 5);
    spool.close(None).expect("close");
}

#[test]
fn a_prune_lets_records_go() {
    let dir = tempfile::tempdir().expect("tempdir");
    let db = example(dir.path());
    assert_eq!(lsns(&tool(0, "cat", &db, &["--json"]))[0], 6);
    let found = json(0, "prune", &db, &["10"]);
    let bounds = serde_json::json!({"oldest_lsn": 11, "current_lsn": 20, "pruned_through": 10});
    assert_eq!(found["bounds"], bounds);
    assert_eq!(found["held_by"], Value::Array(vec![]));
    assert_eq!(lsns(&tool(0, "cat", &db, &["--json"]))[0], 11);
    let all = tool(0, "prune", &db, &["18446744073709551615"]);
    assert!(text(&all.stdout).contains("oldest LSN none current LSN 20 pruned through 20"));
}

#[test]
fn a_prune_says_which_slots_held_it_back() {
    let dir = tempfile::tempdir().expect("tempdir");
    let db = example(dir.path());
    let primary = Primary::open(&db, &options(), &PrimaryOptions::default()).expect("open");
    for (id, lsn) in [("far", 18), ("near", 12), ("also", 12), ("fresh", 20)] {
        primary.slot_create(id, Some(lsn), false).expect("slot");
    }
    primary.close().expect("close");
    let found = json(0, "prune", &db, &["19"]);
    assert_eq!(found["bounds"]["pruned_through"], 12);
    let holders = serde_json::json!([
        {"id": "also", "restart_lsn": 12},
        {"id": "near", "restart_lsn": 12},
        {"id": "far", "restart_lsn": 18},
    ]);
    assert_eq!(found["held_by"], holders);
    let shown = text(&tool(0, "prune", &db, &["18446744073709551615"]).stdout);
    assert!(shown.contains("pruned through 12\nheld back by slot also, which has LSN 12\n"));
    // As far as it was asked to go.
    let reached = json(0, "prune", &db, &["12"]);
    assert_eq!(reached["held_by"], Value::Array(vec![]));

    let store = dir.path().join("app.db.logical.slots");
    let mut bytes = fs::read(&store).expect("read");
    bytes[100] ^= 1;
    fs::write(&store, &bytes).expect("write");
    let refused = text(&tool(2, "prune", &db, &["20"]).stderr);
    let place = format!("(file {}, offset 80)", store.display());
    assert!(refused.contains(&place), "{refused}");
    assert!(refused.contains("epochwal slots salvage"), "{refused}");
    assert_eq!(lsns(&tool(0, "cat", &db, &["--json"]))[0], 13);
}

#[test]
fn damage_exits_2_and_salvage_keeps_what_lies_before_it() {
    let dir = tempfile::tempdir().expect("tempdir");
    let db = example(dir.path());
    let whole = json(0, "salvage", &db, &[]);
    assert_eq!(whole["moved"], Value::Array(vec![]));
    // In the middle of the log, one byte of a record that was acknowledged.
    let victim = segments(&db)[1].clone();
    let mut bytes = fs::read(&victim).expect("read");
    bytes[4096 + 128 + 50] ^= 1;
    fs::write(&victim, bytes).expect("write");
    let found = json(2, "verify", &db, &[]);
    assert_eq!(
        (&found["verdict"], &found["exit_code"]),
        (&"corrupt".into(), &2.into())
    );
    let suspect = &found["suspects"][0];
    assert_eq!(suspect["file"], victim.to_string_lossy().as_ref());
    assert_eq!(suspect["offset"], 4096);
    assert_eq!(found["error"]["kind"], "Corrupt");
    assert_eq!(json(0, "inspect", &db, &[])["verdict"], "corrupt");
    let readable = tool(2, "cat", &db, &["--json"]);
    assert!(text(&readable.stderr).contains("epochwal spool salvage"));
    let before = lsns(&readable);
    assert!(!before.is_empty() && before.len() < 15);
    let salvaged = json(0, "salvage", &db, &[]);
    assert!(!salvaged["moved"].as_array().expect("a list").is_empty());
    assert_eq!(salvaged["suspects"][0]["offset"], 4096);
    assert_eq!(lsns(&tool(0, "cat", &db, &["--json"])), before);
    // No LSN that was acknowledged is given again.
    assert_eq!(json(0, "verify", &db, &[])["current_lsn"], 20);
}

#[test]
fn a_torn_tail_exits_1() {
    let dir = tempfile::tempdir().expect("tempdir");
    let live = dir.path().join("live");
    fs::create_dir(&live).expect("mkdir");
    let spool = Spool::open(&live.join("app.db"), &SpoolOptions::default()).expect("open");
    append(&spool, 1, 1..=5);
    // As a crash leaves it.
    for entry in fs::read_dir(&live).expect("list") {
        let entry = entry.expect("entry");
        fs::copy(entry.path(), dir.path().join(entry.file_name())).expect("copy");
    }
    spool.close(None).expect("close");
    let db = dir.path().join("app.db");
    let segment = segments(&db).remove(0);
    let mut bytes = fs::read(&segment).expect("read");
    let newest = json(0, "inspect", &db, &[]);
    assert_eq!(
        (&newest["current_lsn"], &newest["clean"]),
        (&5.into(), &false.into())
    );
    assert!(newest["durable_lsn"].as_u64() < Some(5));
    let last = bytes
        .windows(9)
        .rposition(|w| w == b"record 5\n")
        .expect("the last record");
    bytes[last] ^= 1;
    fs::write(&segment, bytes).expect("write");
    let found = json(1, "verify", &db, &[]);
    assert_eq!(
        (&found["verdict"], &found["records"]),
        (&"torn".into(), &4.into())
    );
    assert_eq!(lsns(&tool(0, "cat", &db, &["--json"])), [1, 2, 3, 4]);
}
