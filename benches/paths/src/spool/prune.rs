//! Letting half of a GiB go, against removing the same files by hand.

use super::{GROUP, open, write};
use crate::sides::{Finding, Plan, side};
use epochwal::spool::SpoolOptions;
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::time::Instant;
use tempfile::TempDir;
use turns::{Goal, text};

/// 1 GiB of records.
const PAYLOAD: usize = 4096;
const COUNT: u64 = 1 << 18;

pub fn measure(plan: &Plan) -> Result<Vec<Finding>, String> {
    // Its first half is pruned, and what is left by then removed by hand: half
    // as much again, in files of the same size.
    let spool: RefCell<Option<TempDir>> = RefCell::new(None);
    let count = COUNT / plan.share;
    let finding = Finding::in_turns(
        plan,
        format!("prune of half of {} MiB", (count * PAYLOAD as u64) >> 20),
        "ms for a GiB",
        Some(Goal::AtMost(3.0)),
        side("prune_through", || {
            let dir = plan.scratch.subdir()?;
            let figure = prune(&dir.path().join("db"), count)?;
            *spool.borrow_mut() = Some(dir);
            Ok(figure)
        }),
        side("unlink", || {
            let dir = spool.borrow_mut().take().ok_or("nothing was pruned")?;
            remove(dir.path())
        }),
    )?;
    Ok(vec![finding])
}

fn prune(database: &Path, count: u64) -> Result<f64, String> {
    write(database, count, PAYLOAD, GROUP)?;
    let dir = database.parent().unwrap_or(database);
    let before = segments(dir)?.1;
    let spool = open(database, &SpoolOptions::default())?;
    let began = Instant::now();
    spool.prune_through(count / 2).map_err(text)?;
    let took = began.elapsed().as_secs_f64();
    spool.close(None).map_err(text)?;
    per_gib(took, before - segments(dir)?.1)
}

fn remove(dir: &Path) -> Result<f64, String> {
    let (files, bytes) = segments(dir)?;
    let began = Instant::now();
    for file in &files {
        std::fs::remove_file(file).map_err(text)?;
    }
    per_gib(began.elapsed().as_secs_f64(), bytes)
}

/// The large files of a directory, and their bytes.
fn segments(dir: &Path) -> Result<(Vec<PathBuf>, u64), String> {
    let mut found = (Vec::new(), 0);
    for entry in std::fs::read_dir(dir).map_err(text)? {
        let entry = entry.map_err(text)?;
        let len = entry.metadata().map_err(text)?.len();
        if len >= 1 << 20 {
            found.0.push(entry.path());
            found.1 += len;
        }
    }
    Ok(found)
}

/// Milliseconds, as if it had been 1 GiB.
fn per_gib(seconds: f64, bytes: u64) -> Result<f64, String> {
    match bytes {
        0 => Err("no file went".into()),
        bytes => Ok(seconds * 1e3 * (1u64 << 30) as f64 / bytes as f64),
    }
}
