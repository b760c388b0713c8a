//! Colours: on a terminal or by demand, never against NO_COLOR, and never in
//! what is data. What a terminal shows is tested with one (`tests/cross`).

use epochwal::spool::{Record, Spool, SpoolOptions};
use std::path::{Path, PathBuf};
use std::process::Command;

const GREEN: &str = "\u{1b}[32m";
const RED: &str = "\u{1b}[31m";

/// A spool with one record, whose payload looks like a colour.
fn example(dir: &Path) -> PathBuf {
    let db = dir.join("app.db");
    let spool = Spool::open(&db, &SpoolOptions::default()).expect("open");
    let record = Record {
        term: 1,
        lsn: 1,
        timestamp_ms: 0,
        payload: b"\x1b[1mbold\x1b[0m",
    };
    spool.append(&[record], None).expect("append");
    spool.close(None).expect("close");
    db
}

fn run(args: &[&str], db: &Path, environment: &[(&str, &str)]) -> (Vec<u8>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_epochwal"))
        .args(args)
        .arg(db)
        .env_clear()
        .envs(environment.iter().copied())
        .output()
        .expect("the tool starts");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.stdout, stderr)
}

fn shown(environment: &[(&str, &str)], db: &Path) -> String {
    let (stdout, _) = run(&["spool", "verify"], db, environment);
    String::from_utf8(stdout).expect("UTF-8")
}

#[test]
fn a_pipe_gets_none_unless_it_is_asked_for_and_no_color_has_the_last_word() {
    let dir = tempfile::tempdir().expect("tempdir");
    let db = example(dir.path());
    let plain = format!("{}: clean\n", db.display());
    let painted = format!("{}: {GREEN}clean\u{1b}[0m\n", db.display());
    assert!(shown(&[("TERM", "xterm-256color")], &db).starts_with(&plain));
    let forced = ("CLICOLOR_FORCE", "1");
    assert!(shown(&[forced], &db).starts_with(&painted));
    assert!(shown(&[forced, ("NO_COLOR", "1")], &db).starts_with(&plain));
    // An empty one asks for nothing (no-color.org).
    assert!(shown(&[forced, ("NO_COLOR", "")], &db).starts_with(&painted));
    let (_, stderr) = run(&["spool", "verify"], Path::new("/nowhere/x"), &[forced]);
    assert!(stderr.contains(RED), "{stderr:?}");
    let quiet = [forced, ("NO_COLOR", "1")];
    let (_, stderr) = run(&["spool", "verify"], Path::new("/nowhere/x"), &quiet);
    assert!(stderr.starts_with("epochwal: "), "{stderr:?}");
}

#[test]
fn data_is_never_painted_nor_stripped() {
    let dir = tempfile::tempdir().expect("tempdir");
    let db = example(dir.path());
    for environment in [&[("CLICOLOR_FORCE", "1")][..], &[("NO_COLOR", "1")]] {
        let (raw, _) = run(&["spool", "cat", "--payload", "raw"], &db, environment);
        assert_eq!(raw, b"\x1b[1mbold\x1b[0m");
        let (document, _) = run(&["spool", "verify", "--json"], &db, environment);
        assert!(!document.contains(&0x1b));
    }
}
