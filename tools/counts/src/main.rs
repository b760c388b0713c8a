//! Instructions per submit, per lone commit, per read and per recovered MiB.
//!
//! Times on a shared machine say little, but the number of instructions that
//! one thread runs in user space is the same each time, to a percent or so. So
//! it is what a baseline can hold: `baseline.txt` beside this crate, for
//! release builds on x86-64. `--check` ends with 1 where a figure has grown
//! beyond the margin, `--write` makes the figures of now the baseline.
//!
//! Counting needs the processor's counters (perf_event_open(2), which
//! containers often refuse); where there are none, that is said, and nothing
//! counts as checked.

mod capi;
mod counter;
mod work;

use counter::Counter;
use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;
use work::Figure;

/// How much more than the baseline is too much. Another compiler or C library
/// moves a figure by a few percent; a copy or an allocation too many by more.
const MARGIN: f64 = 0.15;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let done = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => run(compare),
        ["--check"] => run(check),
        ["--write"] => run(write),
        _ => Err("usage: counts [--check | --write]".into()),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("counts: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(then: fn(&[Figure], &Path) -> Result<ExitCode, String>) -> Result<ExitCode, String> {
    let Some(mut counter) = Counter::new()? else {
        println!("counts: missing: a processor whose instructions can be counted");
        return Ok(ExitCode::SUCCESS);
    };
    let figures = work::measure(&mut counter)?;
    let baseline = Path::new(env!("CARGO_MANIFEST_DIR")).join("baseline.txt");
    then(&figures, &baseline).map_err(|e| format!("{}: {e}", baseline.display()))
}

/// The figures beside the baseline's, as ratios.
fn ratios<'a>(
    figures: &'a [Figure],
    baseline: &Path,
) -> Result<Vec<(&'a Figure, u64, f64)>, String> {
    let text = std::fs::read_to_string(baseline).map_err(|e| e.to_string())?;
    let known: Vec<(&str, u64)> = text
        .lines()
        .map(|line| {
            let (name, count) = line.rsplit_once(": ")?;
            Some((name, count.parse().ok()?))
        })
        .collect::<Option<_>>()
        .ok_or("not all lines are \"name: count\"")?;
    let beside = |figure: &'a Figure| {
        let (_, before) = known.iter().find(|(name, _)| *name == figure.name)?;
        Some((figure, *before, figure.instructions as f64 / *before as f64))
    };
    let missing = |figure: &Figure| format!("has no \"{}\"", figure.name);
    figures
        .iter()
        .map(|f| beside(f).ok_or_else(|| missing(f)))
        .collect()
}

fn show(figure: &Figure, before: u64, ratio: f64) {
    let Figure { name, instructions } = figure;
    println!("{name:<22}{instructions:>9} instructions, baseline {before} ({ratio:.2})");
}

fn compare(figures: &[Figure], baseline: &Path) -> Result<ExitCode, String> {
    for (figure, before, ratio) in ratios(figures, baseline)? {
        show(figure, before, ratio);
    }
    Ok(ExitCode::SUCCESS)
}

fn check(figures: &[Figure], baseline: &Path) -> Result<ExitCode, String> {
    let mut all = ratios(figures, baseline)?;
    let checked = all.len();
    all.retain(|(_, _, ratio)| *ratio > 1.0 + MARGIN);
    for (figure, before, ratio) in &all {
        show(figure, *before, *ratio);
    }
    println!("{} passed, {} failed", checked - all.len(), all.len());
    if all.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("counts: too many instructions; where that is meant: make counts-write");
    Ok(ExitCode::FAILURE)
}

fn write(figures: &[Figure], baseline: &Path) -> Result<ExitCode, String> {
    let mut text = String::new();
    for Figure { name, instructions } in figures {
        let _ = writeln!(text, "{name}: {instructions}");
    }
    std::fs::write(baseline, text).map_err(|e| e.to_string())?;
    Ok(ExitCode::SUCCESS)
}
