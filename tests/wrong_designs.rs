//! The wrong designs of `src/wrong.rs` and the tables of the tests that catch
//! them, `tests/*/wrong.rs`, held against each other.

#[path = "common/wrong.rs"]
mod runner;

use epochwal::wrong::Wrong;
use epochwal::{Coordinator, Options};
use std::path::Path;

/// Every row of a table, as its design.
fn rows() -> Vec<String> {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut rows = Vec::new();
    for entry in std::fs::read_dir(tests).unwrap() {
        let Ok(table) = std::fs::read_to_string(entry.unwrap().path().join("wrong.rs")) else {
            continue;
        };
        let Some((_, table)) = table.split_once("caught! {\n") else {
            continue;
        };
        let designs = table.lines().filter_map(|l| l.split_once(": \""));
        rows.extend(designs.map(|(design, _)| design.trim().to_owned()));
    }
    rows
}

#[test]
fn every_design_is_caught_by_a_test() {
    let rows = rows();
    for design in Wrong::ALL {
        let name = format!("{design:?}");
        assert!(rows.contains(&name), "no test catches {name}");
    }
}

/// Opens a log, which asks for the design.
#[test]
fn a_log_opens() {
    let dir = tempfile::tempdir().unwrap();
    let wal = Coordinator::open(&dir.path().join("db"), &Options::default()).unwrap();
    wal.close(None).unwrap();
}

#[test]
fn a_name_that_is_no_design_is_refused() {
    let output = runner::run("NoSuchDesign", "a_log_opens");
    assert!(output.contains("0 passed; 1 failed;"), "{output}");
    assert!(output.contains("there is no such design"), "{output}");
}

#[test]
#[should_panic = "a_log_opens does not catch NoWatermark"]
fn a_test_that_passes_catches_nothing() {
    runner::assert_caught(Wrong::NoWatermark, "a_log_opens", "");
}

#[test]
#[should_panic = "nothing_here does not catch StartsAtTheFirstEpoch"]
fn a_test_that_is_not_there_catches_nothing() {
    runner::assert_caught(Wrong::StartsAtTheFirstEpoch, "nothing_here", "");
}
