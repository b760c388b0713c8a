//! The open of a spool that was closed, with its files in the page cache.

use super::{GROUP, SMALL, open, write};
use crate::recovery::read;
use crate::sides::{Finding, Plan, side};
use epochwal::spool::SpoolOptions;
use std::path::{Path, PathBuf};
use std::time::Instant;
use turns::{Goal, text};

/// Small records, as many as a log of another engine was measured with.
const COUNT: u64 = 200_000;
/// 1 GiB of larger ones.
const LARGE: usize = 4096;
const LARGE_COUNT: u64 = 1 << 18;

/// The sizes are never divided: an open reads up to a fixed length of the log.
pub fn measure(plan: &Plan) -> Result<Vec<Finding>, String> {
    let dir = plan.scratch.subdir()?;
    let [small, large] = ["small", "large"].map(|name| dir.path().join(name).join("db"));
    for (database, count, payload) in [(&small, COUNT, SMALL), (&large, LARGE_COUNT, LARGE)] {
        std::fs::create_dir(database.parent().unwrap_or(dir.path())).map_err(text)?;
        write(database, count, payload, GROUP)?;
    }
    let files = files_beside(&large)?;
    let mut found = vec![Finding::in_turns(
        plan,
        "open of a clean spool of 1 GiB",
        "ms",
        Some(Goal::AtMost(0.2)),
        side("open", || time_to_open(&large)),
        side("read", || {
            let began = Instant::now();
            read(&files, u64::MAX, (), |(), _| ())?;
            Ok(milliseconds(began))
        }),
    )?];
    let cases = [
        ("1 GiB".to_owned(), &large, LARGE_COUNT, LARGE),
        (format!("{COUNT} records"), &small, COUNT, SMALL),
    ];
    for (what, database, count, payload) in cases {
        found.push(beside_raft(plan, &what, database, (count, payload))?);
    }
    Ok(found)
}

/// The files of the spool, which has the directory to itself.
fn files_beside(database: &Path) -> Result<Vec<PathBuf>, String> {
    let dir = database.parent().unwrap_or(database);
    let entries = std::fs::read_dir(dir).map_err(text)?;
    let paths = entries.map(|e| e.map(|e| e.path()).map_err(text));
    paths.collect()
}

fn milliseconds(began: Instant) -> f64 {
    began.elapsed().as_secs_f64() * 1e3
}

fn time_to_open(database: &Path) -> Result<f64, String> {
    let began = Instant::now();
    let spool = open(database, &SpoolOptions::default())?;
    let took = milliseconds(began);
    spool.close(None).map_err(text)?;
    Ok(took)
}

#[cfg(feature = "rivals")]
fn beside_raft(
    plan: &Plan,
    what: &str,
    database: &Path,
    (count, payload): (u64, usize),
) -> Result<Finding, String> {
    use super::raft::Raft;
    let dir = plan.scratch.subdir()?;
    Raft::write(dir.path(), count, payload)?;
    Finding::in_turns(
        plan,
        format!("open of a clean spool of {what}"),
        "ms",
        None,
        side("open", || time_to_open(database)),
        side("raft-engine", || {
            let began = Instant::now();
            let raft = Raft::open(dir.path())?;
            let took = milliseconds(began);
            drop(raft);
            Ok(took)
        }),
    )
}

#[cfg(not(feature = "rivals"))]
fn beside_raft(
    plan: &Plan,
    what: &str,
    database: &Path,
    _: (u64, usize),
) -> Result<Finding, String> {
    Finding::by_itself(
        plan,
        format!("open of a clean spool of {what}"),
        "ms",
        None,
        side("open", || time_to_open(database)),
    )
}
