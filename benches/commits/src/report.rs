//! Tables for people, JSON for programs.

use crate::cell::ArmResult;
use crate::disk::Disk;
use crate::shape::Shape;
use serde_json::{Value, json};

/// Collects cells; tables are printed as they come.
pub struct Report {
    against: String,
    json: Option<Vec<Value>>,
    device: String,
}

/// The figures of an arm in a cell.
struct Row {
    arm: &'static str,
    /// Median of the rounds, commits per second.
    rate: f64,
    /// Of the rounds' ratios: median, least, greatest.
    ratio: Option<[f64; 3]>,
    p50_us: f64,
    p99_us: f64,
    /// Processor time per commit, of the whole process.
    cpu_us: f64,
    commits_per_group: Option<f64>,
    flushes_per_group: Option<f64>,
    flushes_per_commit: Option<f64>,
    unflushed: bool,
}

impl Report {
    pub fn new(against: &str, json: bool, disk: &Disk) -> Report {
        let device = disk.describe();
        if !json {
            println!("device: {device}");
            println!("ratio: to {against}, median of the rounds' ratios (least..greatest)");
        }
        Report {
            against: against.to_owned(),
            json: json.then(Vec::new),
            device,
        }
    }

    pub fn add(&mut self, shape: Shape, threads: usize, results: &[ArmResult]) {
        let base = results.iter().find(|r| r.name == self.against);
        let rows: Vec<Row> = results.iter().map(|r| row(r, base)).collect();
        match &mut self.json {
            Some(cells) => cells.push(json!({
                "shape": shape.name.to_string(),
                "frames": shape.frames,
                "frame_bytes": shape.bytes,
                "threads": threads,
                "arms": rows.iter().zip(results).map(to_json).collect::<Vec<_>>(),
            })),
            None => print_table(shape, threads, &rows),
        }
    }

    pub fn finish(self) {
        if let Some(cells) = self.json {
            let all = json!({
                "device": self.device,
                "against": self.against,
                "cells": cells,
            });
            println!("{all:#}");
        }
    }
}

fn row(result: &ArmResult, base: Option<&ArmResult>) -> Row {
    let turns = &result.turns;
    let ratios = base.map(|base| {
        let pairs = turns.iter().zip(&base.turns);
        pairs.map(|(t, b)| t.rate() / b.rate()).collect::<Vec<_>>()
    });
    let sum = |of: fn(&crate::cell::Turn) -> Option<u64>| {
        let all: Option<Vec<u64>> = turns.iter().map(of).collect();
        all.map(|all| all.iter().sum::<u64>() as f64)
    };
    let commits = turns.iter().map(|t| t.commits).sum::<u64>() as f64;
    let (groups, flushes) = (sum(|t| t.groups), sum(|t| t.flushes));
    let per_group = flushes.zip(groups).map(|(f, g)| f / g);
    // Whoever does not count groups has at most one per commit, and at least
    // one per round of all threads; a device that saw next to no flush decides.
    let per_commit = flushes.map(|f| f / commits);
    Row {
        arm: result.name,
        rate: spread(turns.iter().map(|t| t.rate()).collect())[0],
        ratio: ratios.map(spread),
        p50_us: result.latency.value_at_quantile(0.5) as f64 / 1e3,
        p99_us: result.latency.value_at_quantile(0.99) as f64 / 1e3,
        cpu_us: turns.iter().map(|t| t.cpu.as_secs_f64()).sum::<f64>() * 1e6 / commits,
        commits_per_group: groups.map(|g| commits / g),
        flushes_per_group: per_group,
        flushes_per_commit: per_commit,
        unflushed: per_group.or(per_commit).is_some_and(|n| n < 0.01)
            || per_group.is_some_and(|n| n < 0.5),
    }
}

/// Median, least and greatest.
fn spread(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    let median = if values.len() % 2 == 1 {
        values[middle]
    } else {
        (values[middle - 1] + values[middle]) / 2.0
    };
    [median, values[0], values[values.len() - 1]]
}

fn print_table(shape: Shape, threads: usize, rows: &[Row]) {
    println!(
        "\n{}: {} x {} bytes, {threads} thread{}",
        shape.name,
        shape.frames,
        shape.bytes,
        if threads == 1 { "" } else { "s" }
    );
    println!(
        "{:<14} {:>10} {:>22} {:>9} {:>9} {:>9} {:>13} {:>13}",
        "arm", "commits/s", "ratio", "p50 us", "p99 us", "cpu us", "commits/group", "flushes/group"
    );
    let optional = |value: Option<f64>| value.map_or("-".into(), |v| format!("{v:.2}"));
    for row in rows {
        let ratio = row.ratio.map_or("-".into(), |[median, least, greatest]| {
            format!("{median:.2} ({least:.2}..{greatest:.2})")
        });
        println!(
            "{:<14} {:>10.0} {:>22} {:>9.1} {:>9.1} {:>9.2} {:>13} {:>13}{}",
            row.arm,
            row.rate,
            ratio,
            row.p50_us,
            row.p99_us,
            row.cpu_us,
            optional(row.commits_per_group),
            optional(row.flushes_per_group),
            if row.unflushed { "  NOT FLUSHED" } else { "" }
        );
    }
}

fn to_json((row, result): (&Row, &ArmResult)) -> Value {
    json!({
        "arm": row.arm,
        "commits_per_second": row.rate,
        "rounds": result.turns.iter().map(|t| t.rate()).collect::<Vec<_>>(),
        "ratio": row.ratio.map(|[median, least, greatest]| json!({
            "median": median, "min": least, "max": greatest,
        })),
        "p50_us": row.p50_us,
        "p99_us": row.p99_us,
        "cpu_us_per_commit": row.cpu_us,
        "commits_per_group": row.commits_per_group,
        "flushes_per_group": row.flushes_per_group,
        "flushes_per_commit": row.flushes_per_commit,
        "unflushed": row.unflushed,
    })
}
