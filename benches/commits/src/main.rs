//! Durable commits per second: epochwal beside hand-written limits.
//!
//! The machines that this runs on are shared and noisy, so nothing is measured
//! alone: within a cell (a shape and a number of threads) the arms take turns,
//! round after round, and what counts is the median of the rounds' ratios to
//! one arm. The device's own flush counter is read around each turn, so that
//! an arm that says "durable" without a flush shows.

mod arms;
mod cell;
mod disk;
mod report;
mod shape;

use clap::Parser;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// Measures durable commits per second, arm against arm, in turns.
#[derive(Parser)]
struct Args {
    /// Numbers of committing threads, each with one commit under way at a time
    #[arg(long, value_delimiter = ',', default_values_t = [1, 4, 16, 64])]
    threads: Vec<usize>,
    /// a: 1 x 4096 bytes, b: 8 x 4096, c: 1 x 128
    #[arg(long, value_delimiter = ',', default_values_t = ['a', 'b', 'c'])]
    shapes: Vec<char>,
    /// Arms to run, in the order of their turns (all, where none is named)
    #[arg(long, value_delimiter = ',')]
    arms: Vec<String>,
    /// The arm that ratios are taken to
    #[arg(long, default_value = "limit-dsync")]
    against: String,
    /// Turns per arm and cell
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Length of a turn
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Length of the turn before the first, which does not count
    #[arg(long, default_value_t = 0.5)]
    warm_up: f64,
    /// Where the arms keep their files, up to 600 MiB (a temporary directory
    /// beside the program, removed at the end)
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Prints JSON instead of tables
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("commits: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), String> {
    let arms = arms::named(&args.arms)?;
    let shapes: Vec<_> = args
        .shapes
        .iter()
        .map(|name| shape::named(*name))
        .collect::<Result<_, _>>()?;
    if args.rounds == 0 || args.threads.contains(&0) {
        return Err("--rounds and --threads count from 1".into());
    }
    let plan = cell::Plan {
        rounds: args.rounds,
        turn: seconds("--seconds", args.seconds)?,
        warm_up: seconds("--warm-up", args.warm_up)?,
    };
    let root = root(args.dir.as_deref())?;
    let disk = disk::Disk::of(root.path())?;
    let mut report = report::Report::new(&args.against, args.json, &disk);
    for shape in &shapes {
        for &threads in &args.threads {
            let dir = subdir(root.path())?;
            let results = cell::measure(dir.path(), &arms, *shape, threads, &plan, &disk)?;
            report.add(*shape, threads, &results);
        }
    }
    report.finish();
    Ok(())
}

fn seconds(option: &str, value: f64) -> Result<Duration, String> {
    Duration::try_from_secs_f64(value).map_err(|e| format!("{option}: {e}"))
}

/// Where the files go. By default on the disk that the program was built on,
/// because a system's temporary directory may be memory.
fn root(chosen: Option<&Path>) -> Result<tempfile::TempDir, String> {
    let program = std::env::current_exe().map_err(|e| format!("find the program: {e}"))?;
    let parent = chosen.or(program.parent()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(parent).map_err(|e| format!("{}: {e}", parent.display()))?;
    tempfile::Builder::new()
        .prefix("commits-")
        .tempdir_in(parent)
        .map_err(|e| format!("{}: {e}", parent.display()))
}

fn subdir(root: &Path) -> Result<tempfile::TempDir, String> {
    tempfile::tempdir_in(root).map_err(|e| format!("{}: {e}", root.display()))
}
