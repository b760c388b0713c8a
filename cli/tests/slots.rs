//! `epochwal slots` as an operator meets it: the built binary, slots that a
//! primary made, exit codes.

use epochwal::primary::{Ack, Primary, PrimaryOptions};
use epochwal::spool::{Record, SpoolOptions};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const CORRUPT: i32 = 2;
const FAILED: i32 = 4;
const USAGE: i32 = 64;

/// Runs `epochwal slots`, and expects an exit code.
#[track_caller]
fn slots(code: i32, command: &str, db: &Path, rest: &[&str]) -> Output {
    let output = Command::new(env!("CARGO_BIN_EXE_epochwal"))
        .args(["slots", command])
        .arg(db)
        .args(rest)
        .output()
        .expect("the tool starts");
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{stdout}\n{stderr}");
    assert_eq!(stderr.is_empty(), code == 0, "{stderr}");
    output
}

#[track_caller]
fn json_of(code: i32, command: &str, db: &Path, rest: &[&str]) -> Value {
    let output = slots(code, command, db, &[rest, &["--json"]].concat());
    serde_json::from_slice(&output.stdout).expect("one JSON document")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn open(db: &Path) -> Primary {
    let horizon = PrimaryOptions {
        horizon_lsns: Some(50),
        ..PrimaryOptions::default()
    };
    Primary::open(db, &SpoolOptions::default(), &horizon).expect("open")
}

fn append(primary: &Primary, lsns: std::ops::RangeInclusive<u64>) {
    let records: Vec<_> = lsns
        .map(|lsn| Record {
            term: 1,
            lsn,
            timestamp_ms: 0,
            payload: b"payload",
        })
        .collect();
    let spool = primary.spool().expect("over a spool");
    spool.append(&records, None).expect("append");
}

/// Records 1 to 100; slots `far` at 90, acknowledged, `late` at 60, and `old`,
/// which was given up at 40.
fn filled(db: &Path) -> Primary {
    let primary = open(db);
    append(&primary, 1..=100);
    primary.slot_create("old", Some(40), false).expect("slot");
    primary.slot_create("late", Some(60), false).expect("slot");
    primary.enforce_limits(0).expect("limits");
    primary.slot_create("far", Some(80), false).expect("slot");
    let generation = primary.register("far", Some("eu")).expect("register");
    let ack = Ack {
        durable: 90,
        applied: 85,
        ..Ack::default()
    };
    primary
        .ack("far", generation.generation, &ack)
        .expect("ack");
    primary.save().expect("save");
    primary
}

/// The same, closed.
fn example(dir: &Path) -> PathBuf {
    let db = dir.join("app.db");
    filled(&db).close().expect("close");
    db
}

fn beside(db: &Path, end: &str) -> PathBuf {
    let mut name = db.as_os_str().to_owned();
    name.push(end);
    name.into()
}

fn ids(document: &Value) -> Vec<&str> {
    let list = document["slots"].as_array().expect("a list");
    list.iter().map(|s| s["id"].as_str().expect("id")).collect()
}

#[test]
fn slots_are_listed_with_what_they_hold_back() {
    let dir = tempfile::tempdir().expect("tempdir");
    let db = example(dir.path());
    let found = json_of(0, "list", &db, &[]);
    for (member, value) in [
        ("verdict", json!("clean")),
        ("format", json!("native")),
        ("writer", json!(false)),
        ("confirmed", json!(true)),
        ("floor", json!(60)),
        ("current_lsn", json!(100)),
        ("error", json!(null)),
        ("suspects", json!([])),
    ] {
        assert_eq!(found[member], value, "{member}");
    }
    assert_eq!(ids(&found), ["far", "late", "old"]);
    let far = &found["slots"][0];
    for (member, value) in [
        ("state", json!("valid")),
        ("restart_lsn", json!(90)),
        ("confirmed_lsn", json!(85)),
        ("behind_lsns", json!(10)),
        ("origin", json!("acknowledged")),
        ("region", json!("eu")),
        ("registered", json!(true)),
        ("invalidated_at_ms", json!(null)),
    ] {
        assert_eq!(far[member], value, "{member}");
    }
    assert_eq!(found["slots"][2]["state"], "horizon");
    assert!(found["slots"][2]["invalidated_at_ms"].as_u64() > Some(0));
    let listed = text(&slots(0, "list", &db, &[]).stdout);
    for part in ["app.db: clean, 3 slots\n", "no prune goes beyond LSN 60\n"] {
        assert!(listed.contains(part), "{part} in\n{listed}");
    }
    let line = |id: &str| {
        let line = listed.lines().find(|line| line.starts_with(id));
        line.map(|l| l.split_whitespace().collect::<Vec<_>>())
    };
    let far = line("far").expect("a line");
    assert_eq!(
        (far[1], far[2], far[3], far[5]),
        ("valid", "90", "10", "eu")
    );
    assert_eq!(line("old").expect("a line")[1], "horizon");
}

#[test]
fn one_slot_is_shown_and_one_that_is_not_there_is_an_error_that_says_which_are() {
    let dir = tempfile::tempdir().expect("tempdir");
    let db = example(dir.path());
    let late = json_of(0, "show", &db, &["late"]);
    assert_eq!(
        (&late["id"], &late["restart_lsn"]),
        (&"late".into(), &60.into())
    );
    assert_eq!(late["origin"], "given");
    let shown = text(&slots(0, "show", &db, &["far"]).stdout);
    for line in [
        "restart LSN      90",
        "LSNs behind      10",
        "region           eu",
    ] {
        assert!(shown.contains(line), "{line} in\n{shown}");
    }
    for command in ["show", "drop"] {
        let missing = slots(FAILED, command, &db, &["nobody"]);
        let stderr = text(&missing.stderr);
        assert!(stderr.contains(r#"no slot "nobody"; there are 3: far, late, old"#));
    }
}

#[test]
fn a_living_primary_is_looked_at_but_not_changed() {
    let dir = tempfile::tempdir().expect("tempdir");
    let db = dir.path().join("app.db");
    let primary = filled(&db);
    let store = beside(&db, ".logical.slots");
    let before = fs::read(&store).expect("read");
    let found = json_of(0, "list", &db, &[]);
    assert_eq!(
        (&found["writer"], &found["floor"]),
        (&true.into(), &60.into())
    );
    assert!(text(&slots(0, "list", &db, &[]).stdout).contains("a writer has it open"));
    slots(0, "show", &db, &["late"]);
    slots(0, "export", &db, &[]);
    for (command, rest) in [
        ("drop", &["late"][..]),
        ("reset", &["old", "100"]),
        ("salvage", &[]),
    ] {
        let locked = slots(FAILED, command, &db, rest);
        assert!(text(&locked.stderr).contains("close the process that has it open"));
    }
    assert!(before == fs::read(&store).expect("read"), "changed");
    assert_eq!(primary.slots().len(), 3);
    assert_eq!(primary.prune(None).expect("prune"), 60);
    primary.close().expect("close");
}

#[test]
fn a_dropped_slot_is_gone_and_holds_nothing_back() {
    let dir = tempfile::tempdir().expect("tempdir");
    let db = example(dir.path());
    let dropped = json_of(0, "drop", &db, &["late"]);
    assert_eq!(
        (&dropped["dropped"], &dropped["floor"]),
        (&"late".into(), &90.into())
    );
    assert_eq!(ids(&json_of(0, "list", &db, &[])), ["far", "old"]);
    let last = text(&slots(0, "drop", &db, &["far"]).stdout);
    assert!(last.contains("dropped slot far") && last.contains("no slot holds a prune back"));
    assert_eq!(open(&db).slots().len(), 1);
}

#[test]
fn a_slot_is_reset_to_where_its_replica_was_loaded() {
    let dir = tempfile::tempdir().expect("tempdir");
    let db = example(dir.path());
    let primary = open(&db);
    assert_eq!(primary.prune(None).expect("prune"), 60);
    primary.close().expect("close");
    for lsn in ["59", "101", "18446744073709551615"] {
        let refused = slots(FAILED, "reset", &db, &["old", lsn]);
        assert!(text(&refused.stderr).contains("it can be reset to LSN 60 up to 100"));
    }
    let back = slots(FAILED, "reset", &db, &["far", "70"]);
    assert!(text(&back.stderr).contains("epochwal slots drop"));
    let reset = json_of(0, "reset", &db, &["old", "95"]);
    for (member, value) in [
        ("state", json!("valid")),
        ("restart_lsn", json!(95)),
        ("behind_lsns", json!(5)),
    ] {
        assert_eq!(reset[member], value, "{member}");
    }
    assert!(open(&db).slot("old").expect("slot").slot.is_valid());
    let reset = json_of(0, "reset", &db, &["old", "end"]);
    assert_eq!(reset["restart_lsn"], 100);
}

#[test]
fn an_export_is_the_older_store() {
    let dir = tempfile::tempdir().expect("tempdir");
    let db = example(dir.path());
    let exported = slots(0, "export", &db, &[]).stdout;
    assert_eq!(exported, slots(0, "export", &db, &["--json"]).stdout);
    assert_eq!(exported, open(&db).export_slots());
    // Beside another data file it is what is listed.
    let other = dir.path().join("other.db");
    fs::write(beside(&other, ".logical.slots.json"), &exported).expect("write");
    let listed = json_of(0, "list", &other, &[]);
    assert_eq!(
        (&listed["format"], &listed["floor"]),
        (&"json".into(), &60.into())
    );
    assert_eq!(ids(&listed), ["far", "late", "old"]);
    assert_eq!(slots(0, "export", &other, &[]).stdout, exported);
    let refused = slots(FAILED, "drop", &other, &["far"]);
    assert!(text(&refused.stderr).contains("until a primary takes it in"));
}

#[test]
fn lsns_are_exact_to_the_last() {
    let dir = tempfile::tempdir().expect("tempdir");
    let db = dir.path().join("app.db");
    let store = json!({ "slots": [{
        "id": "top",
        "restart_lsn": u64::MAX,
        "confirmed_lsn": (1u64 << 53) + 1,
        "last_seen_at_unix_ms": u64::MAX,
    }]});
    fs::write(beside(&db, ".logical.slots.json"), store.to_string()).expect("write");
    let listed = text(&slots(0, "list", &db, &["--json"]).stdout);
    for number in [
        r#""floor": 18446744073709551615"#,
        r#""restart_lsn": 18446744073709551615"#,
        r#""confirmed_lsn": 9007199254740993"#,
    ] {
        assert!(listed.contains(number), "{number} in\n{listed}");
    }
    slots(USAGE, "reset", &db, &["top", "18446744073709551616"]);
}

#[test]
fn what_is_not_there_is_not_made() {
    let dir = tempfile::tempdir().expect("tempdir");
    let db = dir.path().join("app.db");
    for (command, rest) in [
        ("list", &[][..]),
        ("show", &["a"]),
        ("drop", &["a"]),
        ("reset", &["a", "1"]),
        ("export", &[]),
        ("salvage", &[]),
    ] {
        let missing = slots(FAILED, command, &db, rest);
        assert!(text(&missing.stderr).contains("give the path of the data file"));
        let help = slots(0, command, Path::new("--help"), &[]);
        assert!(text(&help.stdout).contains("Exit codes:"), "{command}");
    }
    assert_eq!(fs::read_dir(dir.path()).expect("list").count(), 0);
    // A spool that no primary was ever opened over.
    let spool = epochwal::spool::Spool::open(&db, &SpoolOptions::default()).expect("open");
    spool.close(None).expect("close");
    assert_eq!(ids(&json_of(0, "list", &db, &[])), Vec::<&str>::new());
    let none = slots(FAILED, "drop", &db, &["a"]);
    assert!(text(&none.stderr).contains("no primary was ever opened"));
    assert!(!beside(&db, ".logical.slots").exists());
}

/// Where the frames of a store begin: lengths are at byte 8 of each.
fn frames(bytes: &[u8]) -> Vec<usize> {
    let mut starts = vec![];
    let mut at = 0;
    while bytes[at..].starts_with(b"EWSL") {
        starts.push(at);
        at += u32::from_le_bytes(bytes[at + 8..at + 12].try_into().expect("4")) as usize;
    }
    starts
}

#[test]
fn a_torn_tail_is_named_and_changes_nothing() {
    let dir = tempfile::tempdir().expect("tempdir");
    let db = example(dir.path());
    let store = beside(&db, ".logical.slots");
    let mut bytes = fs::read(&store).expect("read");
    let mark = *frames(&bytes).last().expect("a mark");
    bytes[mark + 20] ^= 1;
    fs::write(&store, &bytes).expect("write");
    let found = json_of(0, "list", &db, &[]);
    assert_eq!(
        (&found["verdict"], &found["confirmed"]),
        (&"torn".into(), &false.into())
    );
    assert_eq!(found["suspects"][0]["offset"], mark);
    assert_eq!(
        found["suspects"][0]["file"],
        store.to_string_lossy().as_ref()
    );
    assert_eq!(ids(&found), ["far", "late", "old"]);
    let torn = format!("torn: {} at offset {mark}", store.display());
    assert!(text(&slots(0, "list", &db, &[]).stdout).contains(&torn));
    assert!(text(&slots(0, "show", &db, &["far"]).stdout).contains(&torn));
    // An export's stdout is the file, so it is said elsewhere.
    let exported = Command::new(env!("CARGO_BIN_EXE_epochwal"))
        .args(["slots", "export"])
        .arg(&db)
        .output()
        .expect("the tool starts");
    assert_eq!(exported.status.code(), Some(0));
    assert!(text(&exported.stderr).contains(&torn));
    serde_json::from_slice::<Value>(&exported.stdout).expect("JSON");
    assert_eq!(fs::read(&store).expect("read"), bytes);
}

#[test]
fn damage_names_file_and_offset_and_salvage_goes_on_with_what_is_left() {
    let dir = tempfile::tempdir().expect("tempdir");
    let db = example(dir.path());
    assert_eq!(json_of(0, "salvage", &db, &[])["damaged"], false);
    let store = beside(&db, ".logical.slots");
    let mut bytes = fs::read(&store).expect("read");
    // The frame that made `far`: a later one is right.
    let starts = frames(&bytes);
    let far = bytes.windows(3).position(|w| w == b"far").expect("far");
    let frame = *starts.iter().rfind(|at| **at < far).expect("a frame");
    bytes[far] ^= 1;
    fs::write(&store, &bytes).expect("write");
    let place = format!("(file {}, offset {frame})", store.display());
    for (command, rest) in [
        ("list", &[][..]),
        ("show", &["far"]),
        ("drop", &["late"]),
        ("reset", &["old", "100"]),
        ("export", &[]),
    ] {
        let stderr = text(&slots(CORRUPT, command, &db, rest).stderr);
        assert!(stderr.contains(&place), "{command}: {stderr}");
        let next = format!("epochwal slots salvage {}", db.display());
        assert!(stderr.contains(&next), "{command}: {stderr}");
    }
    assert!(slots(CORRUPT, "export", &db, &[]).stdout.is_empty());
    let found = json_of(CORRUPT, "list", &db, &[]);
    assert_eq!(
        (&found["verdict"], &found["error"]["offset"]),
        (&"corrupt".into(), &frame.into())
    );
    assert_eq!(ids(&found), ["late", "old"]);
    assert_eq!(
        fs::read(&store).expect("read"),
        bytes,
        "nothing was repaired"
    );
    let salvaged = json_of(0, "salvage", &db, &[]);
    assert_eq!(salvaged["slots"], json!(["late", "old"]));
    assert_eq!(salvaged["floor"], 60);
    let aside = salvaged["kept_aside"].as_str().expect("a path");
    assert_eq!(fs::read(aside).expect("read"), bytes);
    assert_eq!(ids(&json_of(0, "list", &db, &[])), ["late", "old"]);
}

#[test]
fn a_store_that_is_gone_is_damage_and_salvage_goes_on_without_it() {
    let dir = tempfile::tempdir().expect("tempdir");
    let db = example(dir.path());
    let store = beside(&db, ".logical.slots");
    fs::remove_file(&store).expect("remove");
    let gone = text(&slots(CORRUPT, "list", &db, &[]).stderr);
    assert!(gone.contains("missing, but the log had one"), "{gone}");
    assert!(gone.contains("epochwal slots salvage"), "{gone}");
    let salvaged = text(&slots(0, "salvage", &db, &[]).stdout);
    assert!(salvaged.contains("salvaged, 0 slots"), "{salvaged}");
    assert_eq!(ids(&json_of(0, "list", &db, &[])), Vec::<&str>::new());
}

#[test]
fn a_damaged_older_store_says_where_and_is_left_alone() {
    let dir = tempfile::tempdir().expect("tempdir");
    let db = dir.path().join("app.db");
    let store = beside(&db, ".logical.slots.json");
    let damaged = r#"{"slots": [{"id": "a", "restart_lsn": 1.5}]}"#;
    fs::write(&store, damaged).expect("write");
    for (command, rest) in [
        ("list", &[][..]),
        ("show", &["a"]),
        ("drop", &["a"]),
        ("export", &[]),
    ] {
        let refused = slots(CORRUPT, command, &db, rest);
        let stderr = text(&refused.stderr);
        assert!(refused.stdout.is_empty());
        assert!(stderr.contains("restart_lsn is 1.5"), "{command}: {stderr}");
        assert!(stderr.contains(&*store.to_string_lossy()), "{stderr}");
        assert!(
            stderr.contains("mend the file, or move it away"),
            "{stderr}"
        );
    }
    assert_eq!(fs::read_to_string(&store).expect("read"), damaged);
}
