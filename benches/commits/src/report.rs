//! What the cells gave, in figures: ratios, goals, and JSON for programs.

use crate::arms::Kind;
use crate::cell::{ArmResult, Turn};
use crate::goals::{Judged, judge};
use crate::shape::Shape;
use crate::table;
use serde_json::{Value, json};
use turns::{Spread, ratios};

/// A cell's figures.
pub struct Cell {
    pub shape: Shape,
    pub threads: usize,
    pub rows: Vec<Row>,
    pub goals: Vec<Judged>,
}

/// The figures of an arm in a cell.
pub struct Row {
    pub arm: &'static str,
    pub kind: Kind,
    /// Of the rounds, commits per second.
    pub rate: Spread,
    /// Of the rounds' ratios.
    pub ratio: Option<Spread>,
    /// Of the rounds' 99th percentiles, the same.
    pub p99_ratio: Option<Spread>,
    pub p50_us: f64,
    pub p99_us: f64,
    /// Processor time per commit, of the whole process.
    pub cpu_us: f64,
    pub commits_per_group: Option<f64>,
    pub flushes_per_group: Option<f64>,
    pub flushes_per_commit: Option<f64>,
    pub unflushed: bool,
    rounds: Vec<f64>,
}

/// Collects cells; tables are printed as they come.
pub struct Report {
    against: String,
    device: String,
    missing: Vec<String>,
    quiet: bool,
    pub cells: Vec<Cell>,
}

impl Report {
    /// `quiet` where nothing but JSON is to be printed.
    pub fn new(against: &str, device: String, missing: Vec<String>, quiet: bool) -> Report {
        if !quiet {
            table::print_head(&device, against, &missing);
        }
        Report {
            against: against.to_owned(),
            device,
            missing,
            quiet,
            cells: Vec::new(),
        }
    }

    pub fn add(&mut self, shape: Shape, threads: usize, results: &[ArmResult]) {
        let base = results.iter().find(|r| r.name == self.against);
        let rows: Vec<Row> = results.iter().map(|r| row(r, base, threads)).collect();
        let goals = judge(&rows, results, threads);
        let cell = Cell {
            shape,
            threads,
            rows,
            goals,
        };
        if !self.quiet {
            table::print_cell(&cell);
        }
        self.cells.push(cell);
    }

    pub fn print_goals(&self) {
        if !self.quiet {
            table::print_goals(&self.cells);
        }
    }

    pub fn to_json(&self) -> Value {
        json!({
            "device": self.device,
            "against": self.against,
            "missing": self.missing,
            "cells": self.cells.iter().map(Cell::to_json).collect::<Vec<_>>(),
        })
    }
}

fn row(result: &ArmResult, base: Option<&ArmResult>, threads: usize) -> Row {
    let turns = &result.turns;
    let to_base = |of: fn(&Turn) -> f64| base.map(|base| result.ratio_to(base, of));
    let sum = |of: fn(&Turn) -> Option<u64>| {
        let all: Option<Vec<u64>> = turns.iter().map(of).collect();
        all.map(|all| all.iter().sum::<u64>() as f64)
    };
    let commits = turns.iter().map(|t| t.commits).sum::<u64>() as f64;
    let (groups, flushes) = (sum(|t| t.groups), sum(|t| t.flushes));
    // With one commit under way per thread, a sync covers at most one of each.
    let least = groups.unwrap_or(commits / threads as f64);
    Row {
        arm: result.name,
        kind: result.kind,
        rate: Spread::of(turns.iter().map(Turn::rate)),
        ratio: to_base(Turn::rate),
        p99_ratio: to_base(Turn::p99),
        p50_us: result.latency.value_at_quantile(0.5) as f64 / 1e3,
        p99_us: result.latency.value_at_quantile(0.99) as f64 / 1e3,
        cpu_us: turns.iter().map(|t| t.cpu.as_secs_f64()).sum::<f64>() * 1e6 / commits,
        commits_per_group: groups.map(|g| commits / g),
        flushes_per_group: flushes.zip(groups).map(|(f, g)| f / g),
        flushes_per_commit: flushes.map(|f| f / commits),
        unflushed: flushes.is_some_and(|flushes| flushes < least / 2.0),
        rounds: turns.iter().map(Turn::rate).collect(),
    }
}

impl ArmResult {
    /// The rounds' ratios to another arm, of one figure of a turn.
    pub fn ratio_to(&self, base: &ArmResult, of: fn(&Turn) -> f64) -> Spread {
        let figures = |result: &ArmResult| result.turns.iter().map(of).collect::<Vec<_>>();
        ratios(&figures(self), &figures(base))
    }
}

impl Cell {
    fn to_json(&self) -> Value {
        json!({
            "shape": self.shape.name.to_string(),
            "frames": self.shape.frames,
            "frame_bytes": self.shape.bytes,
            "threads": self.threads,
            "arms": self.rows.iter().map(Row::to_json).collect::<Vec<_>>(),
            "goals": self.goals.iter().map(Judged::to_json).collect::<Vec<_>>(),
        })
    }
}

impl Row {
    fn to_json(&self) -> Value {
        json!({
            "arm": self.arm,
            "commits_per_second": self.rate.median,
            "rounds": self.rounds,
            "ratio": self.ratio.map(Spread::to_json),
            "p50_us": self.p50_us,
            "p99_us": self.p99_us,
            "p99_ratio": self.p99_ratio.map(Spread::to_json),
            "cpu_us_per_commit": self.cpu_us,
            "commits_per_group": self.commits_per_group,
            "flushes_per_group": self.flushes_per_group,
            "flushes_per_commit": self.flushes_per_commit,
            "unflushed": self.unflushed,
        })
    }
}
