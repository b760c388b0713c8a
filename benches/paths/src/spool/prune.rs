//! Letting half of a GiB go, against removing as much of the same files by
//! hand; and what either does to the appends beside it.

use super::{GROUP, SMALL, open, record, write};
use crate::log::page as bytes;
use crate::sides::{Finding, Plan};
use epochwal::spool::{Spool, SpoolOptions};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};
use turns::{Goal, text};

/// 1 GiB of records.
const PAYLOAD: usize = 4096;
const COUNT: u64 = 1 << 18;
/// Appends before it begins.
const WARM_UP: u64 = 100;

/// What letting go of files took.
struct Turn {
    /// Milliseconds, as if it had been 1 GiB.
    per_gib: f64,
    /// Milliseconds of the longest append meanwhile.
    longest: f64,
}

pub fn measure(plan: &Plan) -> Result<Vec<Finding>, String> {
    let count = COUNT / plan.share;
    let mut turns = (Vec::new(), Vec::new());
    for round in 0..=plan.rounds {
        // The first half goes by a prune, what is left by then by hand.
        let dir = plan.scratch.subdir()?;
        let database = dir.path().join("db");
        write(&database, count, PAYLOAD, GROUP)?;
        let pair = (prune(&database, count)?, remove(&database)?);
        if round > 0 {
            turns.0.push(pair.0);
            turns.1.push(pair.1);
        }
    }
    let half = format!("half of {} MiB", (count * PAYLOAD as u64) >> 20);
    let finding = |what: String, unit, goal, of: fn(&Turn) -> f64| {
        let side = |name, turns: &[Turn]| (name, turns.iter().map(of).collect());
        let (subject, reference) = (side("prune", &turns.0), side("unlink", &turns.1));
        Finding::of(what, unit, goal, subject, reference)
    };
    let goal = Some(Goal::AtMost(3.0));
    Ok(vec![
        finding(format!("prune of {half}"), "ms/GiB", goal, |t| t.per_gib),
        finding(
            format!("the longest append beside it, {half}"),
            "ms",
            None,
            |t| t.longest,
        ),
    ])
}

fn prune(database: &Path, count: u64) -> Result<Turn, String> {
    let before = segments(database)?.1;
    let spool = open(database, &SpoolOptions::default())?;
    let (took, longest) = beside_appends(&spool, || {
        spool.prune_through(count / 2).map(drop).map_err(text)
    })?;
    spool.close(None).map_err(text)?;
    turn(took, longest, before - segments(database)?.1)
}

fn remove(database: &Path) -> Result<Turn, String> {
    let (files, bytes) = segments(database)?;
    let other = database.with_file_name("other");
    let spool = open(&other, &SpoolOptions::default())?;
    let (took, longest) = beside_appends(&spool, || {
        files
            .iter()
            .try_for_each(|file| std::fs::remove_file(file).map_err(text))
    })?;
    spool.close(None).map_err(text)?;
    turn(took, longest, bytes)
}

/// The segments of a database, and their bytes.
fn segments(database: &Path) -> Result<(Vec<PathBuf>, u64), String> {
    let dir = database.parent().unwrap_or(database);
    let mut found = (Vec::new(), 0);
    for entry in std::fs::read_dir(dir).map_err(text)? {
        let entry = entry.map_err(text)?;
        if entry.file_name().to_string_lossy().contains(".wal-seg-") {
            found.0.push(entry.path());
            found.1 += entry.metadata().map_err(text)?.len();
        }
    }
    Ok(found)
}

/// Does it while a thread appends: how long it took, and the longest append.
fn beside_appends(
    spool: &Spool,
    work: impl FnOnce() -> Result<(), String>,
) -> Result<(Duration, Duration), String> {
    let (ready, done) = (AtomicBool::new(false), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let appending = scope.spawn(|| {
            let payload = bytes(1, SMALL);
            let mut longest = Duration::ZERO;
            let first = spool.bounds().current_lsn + 1;
            for lsn in first.. {
                let began = Instant::now();
                let appended = spool.append(&[record(lsn, &payload)], None);
                appended.map_err(text)?;
                // The first ones find a cold spool.
                if lsn - first > WARM_UP {
                    ready.store(true, SeqCst);
                    longest = longest.max(began.elapsed());
                }
                if done.load(SeqCst) {
                    break;
                }
            }
            Ok(longest)
        });
        while !ready.load(SeqCst) && !appending.is_finished() {
            std::thread::yield_now();
        }
        let began = Instant::now();
        let worked = work();
        let took = began.elapsed();
        done.store(true, SeqCst);
        let longest: Result<Duration, String> = appending.join().map_err(|_| "a panic")?;
        worked.and(longest.map(|longest| (took, longest)))
    })
}

fn turn(took: Duration, longest: Duration, bytes: u64) -> Result<Turn, String> {
    let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
    match bytes {
        0 => Err("no file went".into()),
        bytes => Ok(Turn {
            per_gib: milliseconds(took) * (1u64 << 30) as f64 / bytes as f64,
            longest: milliseconds(longest),
        }),
    }
}
