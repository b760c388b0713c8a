//! What everything beside a durable commit costs: epochwal against the least
//! work that it could be.
//!
//! The two sides of each comparison take turns (A B A B), and what counts is
//! the median of the rounds' ratios. Nothing is left out of a turn's clock but
//! what its file says.

mod capi;
mod checkpoint;
mod child;
mod commits;
mod idle;
mod log;
mod memory;
mod open;
mod python;
mod recovery;
mod sides;
mod spool;
mod submit;

use clap::Parser;
use sides::{Finding, Plan};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use turns::Scratch;

/// Measures paths through epochwal, each against the least work it could be.
#[derive(Parser)]
#[command(args_override_self = true)]
struct Args {
    /// Paths to measure, of submit, capi, python, recovery, open, checkpoint,
    /// idle, memory, and those of the spool: read, page, tail, prune,
    /// spool-open, acks [default: all]
    paths: Vec<String>,
    /// Turns of each side [default: 7]
    #[arg(long)]
    rounds: Option<usize>,
    /// Length of a turn, where a turn has a length [default: 1]
    #[arg(long)]
    seconds: Option<f64>,
    /// Other defaults, for a look of less than a minute: 3 rounds of 0.3
    /// seconds, and a sixteenth of the bytes, commits and idleness
    #[arg(long)]
    quick: bool,
    /// Where the files go: up to 4 GiB (a temporary directory beside the
    /// program, removed at the end)
    #[arg(long)]
    dir: Option<PathBuf>,
    /// The shared library, built for release, whose C ABI is measured
    #[arg(long, value_name = "FILE")]
    library: Option<PathBuf>,
    /// The Python to measure
    #[arg(long, value_name = "PROGRAM")]
    python: Option<PathBuf>,
    /// Where it finds the package, with a module that was built for release
    #[arg(long, value_name = "DIR")]
    python_path: Option<PathBuf>,
    /// Writes all figures as JSON; "-" prints them instead of the table
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// What a process started by this one does
    #[arg(long, hide = true, num_args = 1..)]
    child: Vec<String>,
}

/// A path by name.
type Path = (&'static str, fn(&Plan) -> Result<Vec<Finding>, String>);

const PATHS: [Path; 14] = [
    ("submit", submit::measure),
    ("capi", capi::measure),
    ("python", python::measure),
    ("recovery", recovery::measure),
    ("open", open::measure),
    ("checkpoint", checkpoint::measure),
    ("idle", idle::measure),
    ("memory", memory::measure),
    ("read", spool::read::measure),
    ("page", spool::page::measure),
    ("tail", spool::tail::measure),
    ("prune", spool::prune::measure),
    ("spool-open", spool::open::measure),
    ("acks", spool::acks::measure),
];

fn main() -> ExitCode {
    let args = Args::parse();
    let done = match args.child.as_slice() {
        [] => run(&args),
        [role, rest @ ..] => child::run(role, rest),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("paths: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), String> {
    let paths = paths(&args.paths)?;
    let (rounds, seconds) = if args.quick { (3, 0.3) } else { (7, 1.0) };
    let plan = Plan {
        rounds: args.rounds.unwrap_or(rounds),
        turn: Duration::try_from_secs_f64(args.seconds.unwrap_or(seconds))
            .map_err(|e| format!("--seconds: {e}"))?,
        share: if args.quick { 16 } else { 1 },
        scratch: Scratch::new("paths-", args.dir.as_deref())?,
        library: args.library.clone(),
        python: args.python.clone(),
        python_path: args.python_path.clone(),
    };
    if plan.rounds == 0 {
        return Err("--rounds: counts from 1".into());
    }
    let quiet = args.json.as_ref().is_some_and(|f| f.as_os_str() == "-");
    if !quiet {
        println!(
            "device: {}",
            turns::Disk::of(plan.scratch.path())?.describe()
        );
        sides::print_head();
    }
    let mut all = Vec::new();
    for (name, measure) in paths {
        let findings = measure(&plan).map_err(|e| format!("{name}: {e}"))?;
        if !quiet {
            findings.iter().for_each(Finding::print);
        }
        all.extend(findings.iter().map(|f| f.to_json(name)));
    }
    match &args.json {
        Some(file) => turns::write_json(file, &all.into()),
        None => Ok(()),
    }
}

/// The paths of these names in this order; all, where there are none.
fn paths(names: &[String]) -> Result<Vec<Path>, String> {
    if names.is_empty() {
        return Ok(PATHS.to_vec());
    }
    let one = |name: &String| {
        PATHS.into_iter().find(|(n, _)| n == name).ok_or_else(|| {
            let known = PATHS.map(|(name, _)| name).join(", ");
            format!("{name} is none of {known}")
        })
    };
    names.iter().map(one).collect()
}
