//! The tool as a user meets it: the built binary, real logs, exit codes.

use epochwal::coordinator::{EpochInterval, SyncPolicy};
use epochwal::{Batch, Coordinator, Frame, Options};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const PAGE: usize = 512;

fn tool(args: &[&dyn AsRef<std::ffi::OsStr>]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_epochwal"));
    for arg in args {
        command.arg(arg.as_ref());
    }
    command.output().expect("the tool starts")
}

#[track_caller]
fn expect_code(output: &Output, code: i32) {
    assert_eq!(
        output.status.code(),
        Some(code),
        "stdout: {}\nstderr: {}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// An error says what to do next.
#[track_caller]
fn expect_advice(output: &Output, advice: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains(advice), "{advice:?} in {stderr}");
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).expect("one JSON document")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("UTF-8 output")
}

fn options() -> Options {
    Options {
        epoch_interval: EpochInterval::Off,
        sync_policy: SyncPolicy::Normal,
        segment_size: 64 << 10,
        ..Options::default()
    }
}

/// The image that transaction `seq` gives to page `page`.
fn image(seq: u64, page: u32) -> Vec<u8> {
    (0..PAGE)
        .map(|i| (seq as usize * 31 + page as usize * 7 + i) as u8)
        .collect()
}

/// Commits `count` transactions of two pages each, an epoch each.
fn commit_some(wal: &Coordinator, count: u64) {
    for seq in 1..=count {
        let (one, two) = (image(seq, 1), image(seq, 2));
        let frames = [
            Frame {
                page_number: 1,
                db_size_if_commit: 0,
                data: &one,
            },
            Frame {
                page_number: 2,
                db_size_if_commit: 2,
                data: &two,
            },
        ];
        let batch = Batch {
            txn_id: 100 + seq,
            txn_epoch: 5,
            commit_seq: seq,
            frames: &frames,
            metadata: b"meta",
        };
        wal.commit(&batch, None).expect("commit");
    }
}

/// A cleanly closed log of five epochs.
fn clean_log(dir: &Path) -> PathBuf {
    let db = dir.join("app.db");
    let wal = Coordinator::open(&db, &options()).expect("open");
    commit_some(&wal, 5);
    wal.close(None).expect("close");
    db
}

/// A log as a crash leaves it: copied while its writer is still there.
fn crashed_log(dir: &Path) -> PathBuf {
    let live = dir.join("live");
    fs::create_dir(&live).expect("mkdir");
    let wal = Coordinator::open(&live.join("app.db"), &options()).expect("open");
    commit_some(&wal, 5);
    for entry in fs::read_dir(&live).expect("list") {
        let entry = entry.expect("entry");
        fs::copy(entry.path(), dir.join(entry.file_name())).expect("copy");
    }
    wal.close(None).expect("close");
    dir.join("app.db")
}

fn only_segment(db: &Path) -> PathBuf {
    let dir = db.parent().expect("a directory");
    let mut found: Vec<PathBuf> = fs::read_dir(dir)
        .expect("list")
        .map(|entry| entry.expect("entry").path())
        .filter(|path| path.to_string_lossy().contains("-wal-seg-"))
        .collect();
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

fn flip(path: &Path, offset: usize) {
    let mut bytes = fs::read(path).expect("read");
    bytes[offset] ^= 0x40;
    fs::write(path, bytes).expect("write");
}

/// Offset of the header of `epoch`'s group, found by the header's layout alone.
fn group_offset(segment: &Path, epoch: u64) -> usize {
    let bytes = fs::read(segment).expect("read");
    (0..bytes.len())
        .step_by(4096)
        .find(|&at| {
            bytes[at..at + 4] == 0x5057_414c_u32.to_le_bytes()
                && bytes[at + 8..at + 16] == epoch.to_le_bytes()
        })
        .expect("a group of this epoch")
}

/// A version 1 prelude.
fn prelude(version: u16, epoch: u64, count: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(0x5057_414c_u32.to_le_bytes());
    bytes.extend(version.to_le_bytes());
    bytes.extend(0u16.to_le_bytes());
    bytes.extend(epoch.to_le_bytes());
    bytes.extend(count.to_le_bytes());
    let sum = crc32c::crc32c(&bytes);
    bytes.extend(sum.to_le_bytes());
    bytes
}

#[test]
fn wrong_command_lines_exit_64_and_say_why_on_stderr() {
    for args in [
        &[][..],
        &["verify"],
        &["frobnicate", "db"],
        &["recover", "db", "target"],
        &["recover", "db", "target", "--page-size", "0"],
        &["recover", "db", "target", "--page-size", "65537"],
        &[
            "recover",
            "db",
            "t",
            "--page-size",
            "512",
            "--prefix",
            "--delete-segments",
        ],
        &["cat", "db", "--json", "--raw"],
        &["cat", "db", "--epoch", "-1"],
        &["cat", "db", "--epoch", "18446744073709551616"],
    ] {
        let args: Vec<&dyn AsRef<std::ffi::OsStr>> = args.iter().map(|a| a as _).collect();
        let output = tool(&args);
        expect_code(&output, 64);
        assert!(output.stdout.is_empty());
        assert!(!output.stderr.is_empty());
    }
}

#[test]
fn help_and_version_exit_0_and_every_help_lists_the_exit_codes() {
    expect_code(&tool(&[&"--version"]), 0);
    for command in ["inspect", "verify", "recover", "cat", "stats", "bench"] {
        let output = tool(&[&command, &"--help"]);
        expect_code(&output, 0);
        assert!(text(&output.stdout).contains("Exit codes:"), "{command}");
    }
}

#[test]
fn a_clean_log_verifies_with_exit_0() {
    let dir = tempfile::tempdir().expect("tempdir");
    let db = clean_log(dir.path());
    let output = tool(&[&"verify", &db]);
    expect_code(&output, 0);
    assert!(text(&output.stdout).contains(": clean"));
    assert!(output.stderr.is_empty());

    let found = json(&tool(&[&"verify", &db, &"--json"]));
    assert_eq!(found["verdict"], "clean");
    assert_eq!(found["exit_code"], 0);
    assert_eq!(found["batches"], 5);
    assert_eq!(found["records"], 10);
    assert_eq!(found["highest_commit_seq"], 5);
    assert_eq!(found["db_size"], 2);
    assert_eq!(found["suspects"], Value::Array(vec![]));
    assert_eq!(found["error"], Value::Null);
}

#[test]
fn a_damaged_last_group_is_torn_and_exits_1() {
    let dir = tempfile::tempdir().expect("tempdir");
    let db = crashed_log(dir.path());
    let segment = only_segment(&db);
    let last = last_epoch(&db);
    let at = group_offset(&segment, last);
    flip(&segment, at + 128 + 60);
    let output = tool(&[&"verify", &db, &"--json"]);
    expect_code(&output, 1);
    let found = json(&output);
    assert_eq!(found["verdict"], "torn");
    assert_eq!(found["batches"], 4);
    let suspect = &found["suspects"][0];
    assert_eq!(suspect["verdict"], "torn");
    assert_eq!(suspect["file"], segment.to_string_lossy().as_ref());
    assert_eq!(suspect["offset"], at);
    // Recovery and cat take it in their stride.
    expect_code(&tool(&[&"cat", &db]), 0);
    let target = dir.path().join("out.db");
    expect_code(
        &tool(&[&"recover", &db, &target, &"--page-size", &"512"]),
        0,
    );
    assert_eq!(
        fs::read(&target).expect("target"),
        [image(4, 1), image(4, 2)].concat()
    );
}

/// The highest epoch that `cat` shows.
fn last_epoch(db: &Path) -> u64 {
    cat_json(db).last().expect("a batch")["epoch"]
        .as_u64()
        .expect("a number")
}

fn cat_json(db: &Path) -> Vec<Value> {
    let output = tool(&[&"cat", &db, &"--json"]);
    expect_code(&output, 0);
    text(&output.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).expect("a JSON line"))
        .collect()
}

#[test]
fn damage_to_acknowledged_bytes_exits_2_and_names_file_and_offset() {
    let dir = tempfile::tempdir().expect("tempdir");
    let db = clean_log(dir.path());
    let segment = only_segment(&db);
    let second = cat_json(&db)[1]["epoch"].as_u64().expect("a number");
    let at = group_offset(&segment, second);
    flip(&segment, at + 128 + 60);

    let output = tool(&[&"verify", &db, &"--json"]);
    expect_code(&output, 2);
    let found = json(&output);
    assert_eq!(found["verdict"], "corrupt");
    let suspect = &found["suspects"][0];
    assert_eq!(suspect["file"], segment.to_string_lossy().as_ref());
    assert_eq!(suspect["offset"], at);
    assert!(text(&output.stderr).contains(&*segment.to_string_lossy()));

    let target = dir.path().join("out.db");
    let output = tool(&[&"recover", &db, &target, &"--page-size", &"512"]);
    expect_code(&output, 2);
    expect_advice(&output, "epochwal recover --prefix ");
    let output = tool(&[&"cat", &db]);
    expect_code(&output, 2);
    expect_advice(&output, "epochwal salvage ");
    // Asked for the prefix, both give what lies before the damage.
    let output = tool(&[
        &"recover",
        &db,
        &target,
        &"--page-size",
        &"512",
        &"--prefix",
        &"--json",
    ]);
    expect_code(&output, 0);
    assert_eq!(json(&output)["verdict"], "corrupt");
    assert_eq!(
        fs::read(&target).expect("target"),
        [image(1, 1), image(1, 2)].concat()
    );
    let output = tool(&[&"cat", &db, &"--prefix", &"--json"]);
    expect_code(&output, 0);
    assert_eq!(text(&output.stdout).lines().count(), 1);
    // Inspecting shows what there is, and the verdict.
    let output = tool(&[&"inspect", &db, &"--json"]);
    expect_code(&output, 0);
    assert_eq!(json(&output)["verdict"], "corrupt");
}

#[test]
fn a_newer_format_exits_3() {
    let dir = tempfile::tempdir().expect("tempdir");
    let db = dir.path().join("app.db");
    let segment = dir.path().join("app.db-wal-seg-0000000000000001");
    fs::write(&segment, prelude(9, 1, 0)).expect("write");
    let output = tool(&[&"verify", &db, &"--json"]);
    expect_code(&output, 3);
    assert_eq!(json(&output)["verdict"], "format");
    assert_eq!(json(&output)["error"]["kind"], "Format");
    expect_advice(&output, "the version that wrote it");
    expect_code(&tool(&[&"cat", &db]), 3);
}

#[test]
fn damaged_segments_of_version_1_get_the_code_of_their_verdict() {
    let damaged = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/pwal-v1/damaged");
    let manifest = fs::read(damaged.join("manifest.json")).expect("manifest");
    let manifest: Value = serde_json::from_slice(&manifest).expect("JSON");
    let cases = manifest.as_object().expect("an object");
    assert!(!cases.is_empty());
    for (name, expected) in cases {
        let code = match expected["verdict"].as_str() {
            Some("corrupt") => 2,
            Some("format") => 3,
            other => panic!("{name}: verdict {other:?}"),
        };
        let output = tool(&[&"verify", &damaged.join(format!("{name}.db")), &"--json"]);
        expect_code(&output, code);
        assert_eq!(json(&output)["verdict"], expected["verdict"], "{name}");
        assert!(json(&output)["error"]["offset"].is_u64(), "{name}");
    }
}

#[test]
fn a_database_without_a_log_is_clean_and_the_text_says_so() {
    let dir = tempfile::tempdir().expect("tempdir");
    let db = dir.path().join("app.db");
    // A path that is spelled wrong must not pass for such a database.
    let output = tool(&[&"verify", &db]);
    expect_code(&output, 4);
    expect_advice(&output, "give the path of the data file");
    fs::write(&db, "data").expect("write");
    let output = tool(&[&"verify", &db]);
    expect_code(&output, 0);
    assert!(text(&output.stdout).contains("no segments"));
    let target = dir.path().join("target");
    let output = tool(&[&"recover", &db, &target, &"--page-size", &"512"]);
    expect_code(&output, 0);
    assert!(text(&output.stdout).contains("nothing to apply"));
    assert!(!target.exists());
}

#[test]
fn a_missing_directory_exits_4_and_names_it() {
    for command in ["verify", "inspect", "cat", "stats"] {
        let output = tool(&[&command, &"/nonexistent-directory/app.db"]);
        expect_code(&output, 4);
        assert!(text(&output.stderr).contains("nonexistent-directory"));
        expect_advice(&output, "in a folder that is there");
    }
}

#[test]
fn verify_works_beside_a_writer_and_deleting_does_not() {
    let dir = tempfile::tempdir().expect("tempdir");
    let db = dir.path().join("app.db");
    let wal = Coordinator::open(&db, &options()).expect("open");
    commit_some(&wal, 3);
    expect_code(&tool(&[&"verify", &db]), 0);
    let target = dir.path().join("out.db");
    let output = tool(&[
        &"recover",
        &db,
        &target,
        &"--page-size",
        &"512",
        &"--delete-segments",
    ]);
    expect_code(&output, 4);
    expect_advice(&output, "close the process that has it open");
    wal.close(None).expect("close");
    // Nothing was lost, and now it may.
    let output = tool(&[
        &"recover",
        &db,
        &target,
        &"--page-size",
        &"512",
        &"--delete-segments",
    ]);
    expect_code(&output, 0);
    assert_eq!(
        fs::read(&target).expect("target"),
        [image(3, 1), image(3, 2)].concat()
    );
    assert!(cat_json(&db).is_empty());
}

#[test]
fn inspect_shows_groups_certificates_and_state() {
    let dir = tempfile::tempdir().expect("tempdir");
    let db = clean_log(dir.path());
    let output = tool(&[&"inspect", &db, &"--json"]);
    expect_code(&output, 0);
    let log = json(&output);
    assert_eq!(log["verdict"], "clean");
    assert_eq!(log["state"]["highest_commit_seq"], 5);
    let groups = log["segments"][0]["groups"].as_array().expect("groups");
    let pages: Vec<&Value> = groups.iter().filter(|g| g["kind"] == "pages").collect();
    assert_eq!(pages.len(), 5);
    for (index, group) in pages.iter().enumerate() {
        let seq = index as u64 + 1;
        let certificate = &group["certificate"];
        assert_eq!(certificate["commit_seq_low"], seq);
        assert_eq!(certificate["commit_seq_high"], seq);
        assert_eq!(certificate["pages"], 2);
        assert_eq!(certificate["db_size"], 2);
        assert_eq!(certificate["lanes"][0]["items"], 1);
        assert!(certificate["checksum"].is_u64());
    }
    // A clean close ends the log with a mark.
    assert_eq!(groups.last().expect("a group")["kind"], "mark");
    let output = tool(&[&"inspect", &db]);
    expect_code(&output, 0);
    assert!(text(&output.stdout).contains("certificate "));
}

#[test]
fn cat_prints_batches_in_replay_order_in_three_forms() {
    let dir = tempfile::tempdir().expect("tempdir");
    let db = clean_log(dir.path());
    let lines = cat_json(&db);
    assert_eq!(lines.len(), 5);
    for (index, line) in lines.iter().enumerate() {
        let seq = index as u64 + 1;
        assert_eq!(line["commit_seq"], seq);
        assert_eq!(line["txn_id"], 100 + seq);
        assert_eq!(line["txn_epoch"], 5);
        assert_eq!(line["metadata"], "6d657461");
        assert_eq!(line["frames"][1]["page_number"], 2);
        assert_eq!(line["frames"][1]["db_size_if_commit"], 2);
        assert_eq!(line["frames"][1]["length"], PAGE);
        assert_eq!(line["frames"][1]["crc32c"], crc32c::crc32c(&image(seq, 2)));
    }
    let output = tool(&[&"cat", &db]);
    expect_code(&output, 0);
    assert_eq!(text(&output.stdout).lines().count(), 15);

    let mut expected = Vec::new();
    for seq in 1..=5 {
        expected.extend(2u32.to_le_bytes());
        for (page, size) in [(1u32, 0u32), (2, 2)] {
            expected.extend(page.to_le_bytes());
            expected.extend(size.to_le_bytes());
            expected.extend((PAGE as u32).to_le_bytes());
            expected.extend(image(seq, page));
        }
    }
    let output = tool(&[&"cat", &db, &"--raw"]);
    expect_code(&output, 0);
    assert_eq!(output.stdout, expected);
}

#[test]
fn cat_of_one_epoch_shows_that_one_or_says_that_there_is_none() {
    let dir = tempfile::tempdir().expect("tempdir");
    let db = clean_log(dir.path());
    let epoch = cat_json(&db)[2]["epoch"]
        .as_u64()
        .expect("a number")
        .to_string();
    let output = tool(&[&"cat", &db, &"--json", &"--epoch", &epoch]);
    expect_code(&output, 0);
    assert_eq!(json(&output)["commit_seq"], 3);
    let output = tool(&[&"cat", &db, &"--epoch", &"999999"]);
    expect_code(&output, 4);
    assert!(text(&output.stderr).contains("999999"));
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let dir = tempfile::tempdir().expect("tempdir");
    let db = clean_log(dir.path());
    let mut child = Command::new(env!("CARGO_BIN_EXE_epochwal"))
        .args(["cat".as_ref(), db.as_os_str(), "--raw".as_ref()])
        .stdout(closed_pipe())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the tool starts");
    assert_eq!(child.wait().expect("wait").code(), Some(0));
    let output = child.wait_with_output().expect("output");
    assert_eq!(text(&output.stderr), "");
}

/// The writing end of a pipe whose reading end is closed.
fn closed_pipe() -> Stdio {
    let (reader, writer) = std::io::pipe().expect("pipe");
    drop(reader);
    writer.into()
}

#[test]
fn a_full_output_is_an_error() {
    let dir = tempfile::tempdir().expect("tempdir");
    let db = clean_log(dir.path());
    let full = fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .expect("/dev/full");
    let output = Command::new(env!("CARGO_BIN_EXE_epochwal"))
        .args(["cat".as_ref(), db.as_os_str()])
        .stdout(full)
        .output()
        .expect("the tool starts");
    expect_code(&output, 4);
    assert!(text(&output.stderr).contains("writing the output"));
}

#[test]
fn a_path_that_is_not_utf8_works() {
    use std::os::unix::ffi::OsStringExt;
    let dir = tempfile::tempdir().expect("tempdir");
    let odd = dir
        .path()
        .join(std::ffi::OsString::from_vec(b"a\xff b".to_vec()));
    fs::create_dir(&odd).expect("mkdir");
    let db = clean_log(&odd);
    let output = tool(&[&"verify", &db, &"--json"]);
    expect_code(&output, 0);
    assert_eq!(json(&output)["batches"], 5);
}

#[test]
fn salvage_moves_what_is_damaged_aside_and_the_log_goes_on() {
    let dir = tempfile::tempdir().expect("tempdir");
    let db = clean_log(dir.path());
    let whole = json(&tool(&[&"salvage", &db, &"--json"]));
    assert_eq!(whole["moved"], Value::Array(vec![]));
    assert_eq!(whole["durable_epoch"], 5);
    let segment = only_segment(&db);
    flip(&segment, group_offset(&segment, 4) + 128 + 60);

    let output = tool(&[&"salvage", &db, &"--json"]);
    expect_code(&output, 0);
    let found = json(&output);
    assert_eq!(found["durable_epoch"], 3);
    assert_eq!(
        found["suspects"][0]["offset"],
        group_offset(&segment, 3) + 4096
    );
    let moved = found["moved"][0].as_str().expect("a file");
    assert!(moved.ends_with(".salvaged-1") && Path::new(moved).exists());
    expect_code(&tool(&[&"verify", &db]), 0);
    assert_eq!(cat_json(&db).len(), 3);
    // Epoch numbers go on above all that was ever given out.
    let wal = Coordinator::open(&db, &options()).expect("open");
    assert!(wal.current_epoch().expect("an epoch") > 5);
    // In its owner's place, not beside it.
    flip(&segment, group_offset(&segment, 2) + 128 + 60);
    let output = tool(&[&"salvage", &db]);
    expect_code(&output, 4);
    expect_advice(&output, "close the process");
}

/// `epochwal verify db | true`, in a shell that asks for the code of each.
#[test]
fn the_exit_code_is_the_verdict_also_where_nobody_reads() {
    let dir = tempfile::tempdir().expect("tempdir");
    let db = crashed_log(dir.path());
    let code = |args: &[&str]| {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let mut command = Command::new(env!("CARGO_BIN_EXE_epochwal"));
        let output = command.args(args).arg(&db).stdout(writer).output();
        output.expect("the tool starts").status.code()
    };
    let expect = |verdict| {
        assert_eq!(code(&["verify"]), Some(verdict));
        assert_eq!(code(&["verify", "--json"]), Some(verdict));
    };
    expect(0);
    assert_eq!(code(&["cat"]), Some(0));
    let segment = only_segment(&db);
    flip(&segment, group_offset(&segment, last_epoch(&db)) + 188);
    expect(1);
    flip(&segment, group_offset(&segment, 2) + 188);
    expect(2);
}

#[test]
fn an_argument_that_does_not_fit_the_log_is_answered_with_one_that_does() {
    let dir = tempfile::tempdir().expect("tempdir");
    let db = clean_log(dir.path());
    let target = dir.path().join("out.db");
    let output = tool(&[&"recover", &db, &target, &"--page-size", &"4096"]);
    expect_code(&output, 4);
    expect_advice(&output, "give --page-size 512");
    assert!(!target.exists());
    let output = tool(&[&"recover", &db, &dir.path(), &"--page-size", &"512"]);
    expect_code(&output, 4);
    expect_advice(&output, "give a place that");
    let own = only_segment(&db);
    let output = tool(&[&"recover", &db, &own, &"--page-size", &"512"]);
    expect_code(&output, 4);
    expect_advice(&output, "give another target");
    expect_code(&tool(&[&"verify", &db]), 0);
}
