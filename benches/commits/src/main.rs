//! Durable commits per second: epochwal beside its rivals and hand-written
//! limits.
//!
//! Within a cell (a shape and a number of threads) the arms take turns, round
//! after round, and what counts is the median of the rounds' ratios. The
//! device's own flush counter is read around each turn, so that an arm that
//! says "durable" without a flush shows.

mod arms;
mod cell;
mod goals;
mod plot;
mod report;
mod shape;
mod table;

use arms::Entry;
use clap::Parser;
use shape::Shape;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use turns::{Disk, Scratch};

/// Measures durable commits per second, arm against arm, in turns.
#[derive(Parser)]
#[command(args_override_self = true)]
struct Args {
    /// Numbers of committing threads, each with one commit under way at a time
    /// [default: 1,4,16,64]
    #[arg(long, value_delimiter = ',')]
    threads: Vec<usize>,
    /// a: 1 x 4096 bytes, b: 8 x 4096, c: 1 x 128 [default: a,b,c]
    #[arg(long, value_delimiter = ',')]
    shapes: Vec<char>,
    /// Arms to run, in the order of their turns [default: all that are there]
    #[arg(long, value_delimiter = ',')]
    arms: Vec<String>,
    /// The arm that ratios are taken to
    #[arg(long, default_value = "limit-dsync")]
    against: String,
    /// Turns per arm and cell [default: 7]
    #[arg(long)]
    rounds: Option<usize>,
    /// Length of a turn [default: 1]
    #[arg(long)]
    seconds: Option<f64>,
    /// Length of the turn before the first, which does not count [default: 0.5]
    #[arg(long)]
    warm_up: Option<f64>,
    /// Other defaults, for a look of about a minute: limit-dsync and epochwal,
    /// 1, 16 and 64 threads, 3 rounds of half a second
    #[arg(long)]
    quick: bool,
    /// Where the arms keep their files: up to 600 MiB, with rivals 8 GiB (a
    /// temporary directory beside the program, removed at the end)
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Writes all figures as JSON; "-" prints them instead of the tables
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Draws throughput and p99 over threads, a panel for each shape
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
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
    let (arms, missing) = arms_of(args)?;
    let (shapes, threads) = cells_of(args)?;
    let plan = plan_of(args)?;
    let scratch = Scratch::new("commits-", args.dir.as_deref())?;
    let disk = Disk::of(scratch.path())?;
    let quiet = args
        .json
        .as_ref()
        .is_some_and(|file| file.as_os_str() == "-");
    let mut report = report::Report::new(&args.against, disk.describe(), missing, quiet);
    for &shape in &shapes {
        for &threads in &threads {
            let dir = scratch.subdir()?;
            let results = cell::measure(dir.path(), &arms, shape, threads, &plan, &disk)?;
            report.add(shape, threads, &results);
        }
    }
    report.print_goals();
    if let Some(file) = &args.json {
        turns::write_json(file, &report.to_json())?;
    }
    if let Some(file) = &args.svg {
        plot::draw(file, &report.cells)?;
    }
    Ok(())
}

/// The arms, and what keeps the others from running.
fn arms_of(args: &Args) -> Result<(Vec<Entry>, Vec<String>), String> {
    if !args.arms.is_empty() {
        return Ok((arms::named(&args.arms)?, Vec::new()));
    }
    if args.quick {
        return Ok((
            arms::named(&["limit-dsync", "epochwal", "epochwal-spool"])?,
            Vec::new(),
        ));
    }
    let missing = arms::all()
        .filter_map(|e| Some(format!("{}: {}", e.name, (e.check)().err()?)))
        .collect();
    Ok((
        arms::all().filter(|e| (e.check)().is_ok()).collect(),
        missing,
    ))
}

fn cells_of(args: &Args) -> Result<(Vec<Shape>, Vec<usize>), String> {
    let chosen = |given: &[usize], default: &[usize]| match given {
        [] => default.to_vec(),
        given => given.to_vec(),
    };
    let usual: &[usize] = if args.quick {
        &[1, 16, 64]
    } else {
        &[1, 4, 16, 64]
    };
    let threads = chosen(&args.threads, usual);
    if threads.contains(&0) {
        return Err("--threads: counts from 1".into());
    }
    let names = match args.shapes.as_slice() {
        [] => &['a', 'b', 'c'],
        given => given,
    };
    let shapes = names.iter().map(|name| shape::named(*name));
    Ok((shapes.collect::<Result<_, _>>()?, threads))
}

fn plan_of(args: &Args) -> Result<cell::Plan, String> {
    let (rounds, turn, warm_up) = if args.quick {
        (3, 0.5, 0.2)
    } else {
        (7, 1.0, 0.5)
    };
    let seconds = |option: &str, value: f64| {
        Duration::try_from_secs_f64(value).map_err(|e| format!("{option}: {e}"))
    };
    let rounds = args.rounds.unwrap_or(rounds);
    if rounds == 0 {
        return Err("--rounds: counts from 1".into());
    }
    Ok(cell::Plan {
        rounds,
        turn: seconds("--seconds", args.seconds.unwrap_or(turn))?,
        warm_up: seconds("--warm-up", args.warm_up.unwrap_or(warm_up))?,
    })
}
