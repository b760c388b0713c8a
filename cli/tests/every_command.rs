//! Every command over every kind of log, as text and as JSON: the exit code, one
//! line on standard error that names what to do, JSON that parses and says the
//! same, and nothing changed by what only looks.

use epochwal::primary::{Primary, PrimaryOptions};
use epochwal::spool::{Record, SpoolOptions};
use epochwal::{Batch, Coordinator, Frame, Options};
use serde_json::Value;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::{Command, Output};
use tempfile::TempDir;

const PAGE: usize = 4096;

/// Words of a command; `DB` stands for the data file, `OUT` for a file to write.
/// What begins with `!` changes something.
const COMMANDS: [&str; 20] = [
    "inspect DB",
    "inspect DB --html OUT.html",
    "verify DB",
    "cat DB",
    "stats DB",
    "recover DB OUT --page-size 4096",
    "spool inspect DB",
    "spool inspect DB --html OUT.html",
    "spool verify DB",
    "spool cat DB",
    "spool export DB OUT",
    "slots list DB",
    "slots show DB one",
    "!recover DB OUT --page-size 4096 --delete-segments",
    "!salvage DB",
    "!spool prune DB 3",
    "!spool salvage DB",
    "!slots drop DB one",
    "!slots reset DB one end",
    "!slots salvage DB",
];

/// A folder with a data file's logs in it.
struct Logs {
    dir: TempDir,
    db: PathBuf,
}

impl Logs {
    fn none(name: &[u8]) -> Logs {
        let dir = tempfile::tempdir().expect("a folder");
        let db = dir.path().join(OsStr::from_bytes(name));
        Logs { dir, db }
    }

    /// Six batches in three segments, twenty records, two slots; all closed.
    fn named(name: &[u8]) -> Logs {
        let logs = Logs::none(name);
        logs.commit(&pages(), 6);
        logs.append(20);
        logs
    }

    fn whole() -> Logs {
        Logs::named(b"app.db")
    }

    fn commit(&self, options: &Options, count: u64) {
        let wal = Coordinator::open(&self.db, options).expect("open");
        for number in 1..=count {
            let data = [number as u8; PAGE];
            let frames = [1, 2].map(|page_number| Frame {
                page_number,
                db_size_if_commit: if page_number == 2 { 2 } else { 0 },
                data: &data,
            });
            let batch = Batch {
                txn_id: number,
                txn_epoch: 0,
                commit_seq: number,
                frames: &frames,
                metadata: b"",
            };
            wal.commit(&batch, None).expect("commit");
        }
        wal.close(None).expect("close");
    }

    fn append(&self, count: u64) {
        let primary = self.primary();
        let spool = primary.spool().expect("over a spool");
        for lsn in 1..=count {
            let record = Record {
                term: 1,
                lsn,
                timestamp_ms: 1000 + lsn,
                payload: b"payload",
            };
            spool.append(&[record], None).expect("append");
        }
        for (id, lsn) in [("one", 5), ("two", 10)].into_iter().filter(|_| count > 0) {
            primary.slot_create(id, Some(lsn), false).expect("slot");
        }
        primary.close().expect("close");
    }

    fn primary(&self) -> Primary {
        let options = SpoolOptions {
            segment_size: 32 << 10,
            ..SpoolOptions::default()
        };
        Primary::open(&self.db, &options, &PrimaryOptions::default()).expect("a primary")
    }

    /// The files whose names go on with this behind the data file's, in order.
    fn files(&self, part: &str) -> Vec<PathBuf> {
        let begin = [self.db.as_os_str().as_bytes(), part.as_bytes()].concat();
        let all = fs::read_dir(self.dir.path()).expect("list");
        let all = all.map(|entry| entry.expect("entry").path());
        let mut found: Vec<_> = all
            .filter(|path| path.as_os_str().as_bytes().starts_with(&begin))
            .collect();
        found.sort();
        assert!(!found.is_empty(), "{part}");
        found
    }

    /// Turns one bit of the first of these files.
    fn flip(self, part: &str, at: usize) -> Logs {
        let path = &self.files(part)[0];
        let mut bytes = fs::read(path).expect("read");
        bytes[at] ^= 0x40;
        fs::write(path, bytes).expect("write");
        self
    }

    fn remove(self, part: &str) -> Logs {
        fs::remove_file(&self.files(part)[0]).expect("remove");
        self
    }

    /// Another content for the first of these files.
    fn replace(self, part: &str, content: &[u8]) -> Logs {
        fs::write(&self.files(part)[0], content).expect("write");
        self
    }

    fn cut(self, part: &str, len: u64) -> Logs {
        let file = File::options().write(true).open(&self.files(part)[0]);
        file.and_then(|file| file.set_len(len)).expect("cut");
        self
    }

    /// A folder in the place of the first of these files.
    fn folder(self, part: &str) -> Logs {
        let path = &self.files(part)[0];
        fs::remove_file(path).expect("remove");
        fs::create_dir(path).expect("mkdir");
        self
    }

    /// The same in a folder of its own.
    fn copy(&self) -> Logs {
        let dir = tempfile::tempdir().expect("a folder");
        for entry in fs::read_dir(self.dir.path()).expect("list") {
            let entry = entry.expect("entry");
            let to = dir.path().join(entry.file_name());
            match entry.file_type().expect("type").is_dir() {
                true => fs::create_dir(to).expect("mkdir"),
                false => drop(fs::copy(entry.path(), to).expect("copy")),
            }
        }
        let db = dir.path().join(self.db.file_name().expect("a name"));
        Logs { dir, db }
    }

    /// Names and contents.
    fn bytes(&self) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
        let entries = fs::read_dir(self.dir.path()).expect("list");
        let entries = entries.map(|entry| entry.expect("entry").path());
        entries
            .map(|path| (path.clone(), fs::read(&path).ok()))
            .collect()
    }
}

/// Two batches a segment.
fn pages() -> Options {
    Options {
        segment_size: 32 << 10,
        ..Options::default()
    }
}

/// What is to be seen of one run.
fn run(logs: &Logs, command: &str, json: bool) -> Output {
    let out = tempfile::tempdir().expect("a folder");
    let mut tool = Command::new(env!("CARGO_BIN_EXE_epochwal"));
    for word in command.trim_start_matches('!').split(' ') {
        match word.strip_prefix("OUT") {
            Some(rest) => tool.arg(out.path().join(format!("out{rest}"))),
            None if word == "DB" => tool.arg(&logs.db),
            None => tool.arg(word),
        };
    }
    if json {
        tool.arg("--json");
    }
    tool.output().expect("the tool starts")
}

/// Runs a command, on a copy where it changes something, as text and as JSON,
/// and gives its exit code.
fn check(kind: &str, logs: &Logs, command: &str) -> i32 {
    let codes = [false, true].map(|json| {
        let what = format!("{kind}: {command}{}", if json { " --json" } else { "" });
        let copy = (command.starts_with('!') && kind != IN_USE).then(|| logs.copy());
        let logs = copy.as_ref().unwrap_or(logs);
        let output = run(logs, command, json);
        let code = output.status.code().expect("no signal");
        check_stderr(&what, code, &output.stderr);
        match json {
            true => check_json(&what, command, code, &output.stdout),
            false => assert!(std::str::from_utf8(&output.stdout).is_ok(), "{what}"),
        }
        if code == 0 && command.contains("salvage") {
            check_salvaged(&what, logs, command);
        }
        code
    });
    assert_eq!(codes[0], codes[1], "{kind}: {command}");
    codes[0]
}

/// One line that says what to do, and only where something went wrong.
fn check_stderr(what: &str, code: i32, stderr: &[u8]) {
    let stderr = std::str::from_utf8(stderr).expect("UTF-8");
    if code < 2 {
        assert!(stderr.is_empty(), "{what}: {stderr}");
        return;
    }
    assert_eq!(stderr.lines().count(), 1, "{what}: {stderr}");
    assert!(stderr.starts_with("epochwal: "), "{what}: {stderr}");
    assert!(
        !stderr.trim_end().chars().any(char::is_control),
        "{what}: {stderr:?}"
    );
}

fn check_json(what: &str, command: &str, code: i32, stdout: &[u8]) {
    let text = std::str::from_utf8(stdout).expect("UTF-8");
    let parse = |text: &str| -> Value {
        serde_json::from_str(text).unwrap_or_else(|e| panic!("{what}: {e}: {text}"))
    };
    let last = match command.contains("cat DB") {
        true => text.lines().map(parse).fold(Value::Null, |_, line| line),
        false => parse(text),
    };
    let error = &last["error"];
    assert_eq!(error.is_object(), code >= 2, "{what}: {text}");
    if error.is_object() {
        for member in ["kind", "message", "advice"] {
            assert!(error[member].is_string(), "{what}: {text}");
        }
    }
}

/// What was salvaged is whole.
fn check_salvaged(what: &str, logs: &Logs, command: &str) {
    let look = match command {
        "!salvage DB" => "verify DB",
        "!spool salvage DB" => "spool verify DB",
        _ => "slots list DB",
    };
    assert_eq!(run(logs, look, false).status.code(), Some(0), "{what}");
}

/// Holds the exit codes of all commands, in their order, against a row, and
/// what only looks against what it must not change.
#[track_caller]
fn expect(kind: &str, logs: &Logs, row: &str) {
    let before = logs.bytes();
    let codes: Vec<_> = COMMANDS
        .iter()
        .map(|command| check(kind, logs, command).to_string())
        .collect();
    assert_eq!(
        codes.join(" "),
        row.split_whitespace().collect::<Vec<_>>().join(" "),
        "{kind}"
    );
    assert!(logs.bytes() == before, "{kind}: something was changed");
}

const IN_USE: &str = "in use";
const HOSTILE: &[u8] = b"a 'b'\n\x1b[31m<script>\xff.db";

// The columns of the rows below are those of COMMANDS: the page log read, the
// spool and the slots read, then what changes the one and the others.

#[test]
fn nothing_wrong() {
    expect(
        "whole",
        &Logs::whole(),
        "0 0 0 0 0 0  0 0 0 0 0 0 0  0 0 0 0 0 0 0",
    );
    let hostile = Logs::named(HOSTILE);
    expect(
        "hostile name",
        &hostile,
        "0 0 0 0 0 0  0 0 0 0 0 0 0  0 0 0 0 0 0 0",
    );
    let empty = Logs::none(b"app.db");
    empty.commit(&pages(), 0);
    empty.append(0);
    expect("empty", &empty, "0 0 0 0 0 0  0 0 0 0 0 0 4  0 0 0 0 4 4 0");
    let old = Logs::none(b"app.db");
    let options = Options {
        segment_format: 1,
        ..Options::default()
    };
    old.commit(&options, 3);
    expect(
        "version 1",
        &old,
        "0 0 0 0 0 0  4 4 4 4 4 4 4  0 0 4 4 4 4 4",
    );
    let logs = Logs::whole();
    let wal = Coordinator::open(&logs.db, &pages()).expect("open");
    let primary = logs.primary();
    expect(IN_USE, &logs, "0 0 0 0 0 0  0 0 0 0 0 0 0  4 0 4 4 4 4 4");
    wal.close(None).expect("close");
    primary.close().expect("close");
}

#[test]
fn no_log() {
    let nothing = Logs::none(b"app.db");
    expect(
        "nothing",
        &nothing,
        "4 4 4 4 4 4  4 4 4 4 4 4 4  4 4 4 4 4 4 4",
    );
    let mut nowhere = Logs::none(b"app.db");
    nowhere.db = nowhere.dir.path().join("no/such/app.db");
    expect(
        "no folder",
        &nowhere,
        "4 4 4 4 4 4  4 4 4 4 4 4 4  4 4 4 4 4 4 4",
    );
    let folder = Logs::none(b"app.db");
    fs::create_dir(&folder.db).expect("mkdir");
    expect(
        "a folder",
        &folder,
        "4 4 4 4 4 4  4 4 4 4 4 4 4  4 4 4 4 4 4 4",
    );
    let alone = Logs::none(b"app.db");
    fs::write(&alone.db, "data").expect("write");
    expect(
        "only data",
        &alone,
        "0 0 0 0 4 0  4 4 4 4 4 4 4  0 0 4 4 4 4 4",
    );
}

#[test]
fn a_damaged_page_log() {
    let whole = Logs::whole();
    let segment = "-wal-seg-";
    for (kind, logs) in [
        ("header", whole.copy().flip(segment, 20)),
        ("group", whole.copy().flip(segment, PAGE + 10)),
        ("payload", whole.copy().flip(segment, PAGE + 1000)),
        ("cut", whole.copy().cut(segment, 20_000)),
        ("missing", whole.copy().remove(segment)),
        (
            "foreign",
            whole.copy().replace(segment, &b"no log\n".repeat(1000)),
        ),
    ] {
        expect(kind, &logs, "0 0 2 2 0 2  0 0 0 0 0 0 0  2 0 0 0 0 0 0");
    }
    let hostile = Logs::named(HOSTILE).flip(segment, 20);
    expect(
        "hostile",
        &hostile,
        "0 0 2 2 0 2  0 0 0 0 0 0 0  2 0 0 0 0 0 0",
    );
    let folder = whole.copy().folder(segment);
    expect(
        "folder",
        &folder,
        "4 4 4 4 4 4  0 0 0 0 0 0 0  4 4 0 0 0 0 0",
    );
    for (kind, logs) in [
        (
            "state",
            whole.copy().replace("-wal-state", &[0x5a; 2 * PAGE]),
        ),
        ("no state", whole.copy().remove("-wal-state")),
    ] {
        expect(kind, &logs, "2 2 2 2 2 2  0 0 0 0 0 0 0  2 0 0 0 0 0 0");
    }
}

#[test]
fn a_damaged_spool() {
    let whole = Logs::whole();
    let segment = ".logical.wal-seg-";
    for (kind, logs) in [
        ("group", whole.copy().flip(segment, 2 * PAGE + 10)),
        ("payload", whole.copy().flip(segment, 2 * PAGE + 200)),
        ("cut", whole.copy().cut(segment, 20_000)),
        ("missing", whole.copy().remove(segment)),
        (
            "foreign",
            whole.copy().replace(segment, &b"no log\n".repeat(1000)),
        ),
    ] {
        expect(kind, &logs, "0 0 0 0 0 0  0 0 2 2 2 0 0  0 0 2 0 2 2 0");
    }
    let state = whole.copy().remove(".logical.wal-state");
    expect(
        "no state",
        &state,
        "0 0 0 0 2 0  2 2 2 2 2 2 2  0 0 2 0 2 2 2",
    );
    for (kind, logs) in [
        ("slots", whole.copy().flip(".logical.slots", 100)),
        ("no slots", whole.copy().remove(".logical.slots")),
    ] {
        expect(kind, &logs, "0 0 0 0 0 0  0 0 0 0 0 2 2  0 0 2 0 2 2 0");
    }
}
