//! What epochwal is to reach in a cell, and whether it did.

use crate::arms::Kind;
use crate::cell::{ArmResult, Turn};
use crate::report::Row;
use serde_json::{Value, json};
use turns::{Goal, Spread};

/// The arm that shows what the disk allows.
const LIMIT: &str = "limit-dsync";

/// The arm whose one thread has a goal of its own.
const COORDINATOR: &str = "epochwal";

/// A ratio beside its goal.
pub struct Judged {
    pub arm: &'static str,
    pub what: &'static str,
    pub against: &'static str,
    pub ratio: Spread,
    pub goal: Goal,
}

/// epochwal's arms against the limit, and against the best rival that flushed,
/// where these have run.
pub fn judge(rows: &[Row], results: &[ArmResult], threads: usize) -> Vec<Judged> {
    let own = results.iter().filter(|r| r.kind == Kind::Epochwal);
    own.flat_map(|arm| judge_arm(arm, rows, results, threads))
        .collect()
}

fn judge_arm(arm: &ArmResult, rows: &[Row], results: &[ArmResult], threads: usize) -> Vec<Judged> {
    let find = |name| results.iter().find(|r: &&ArmResult| r.name == name);
    let mut judged = Vec::new();
    let mut add = |what, base: &ArmResult, of: fn(&Turn) -> f64, goal| {
        judged.push(Judged {
            arm: arm.name,
            what,
            against: base.name,
            ratio: arm.ratio_to(base, of),
            goal,
        });
    };
    if let Some(limit) = find(LIMIT) {
        let rate = match (arm.name, threads) {
            (COORDINATOR, 1) => 0.95,
            _ => 0.90,
        };
        add("rate", limit, Turn::rate, Goal::AtLeast(rate));
        add("p99", limit, Turn::p99, Goal::AtMost(1.25));
    }
    let best = rows
        .iter()
        .filter(|row| row.kind == Kind::Rival && !row.unflushed)
        .max_by(|a, b| a.rate.median.total_cmp(&b.rate.median));
    if let Some(rival) = best.and_then(|row| find(row.arm)) {
        let rate = if threads >= 16 {
            Goal::AtLeast(1.5)
        } else {
            Goal::Above(1.0)
        };
        add("rate", rival, Turn::rate, rate);
    }
    judged
}

impl Judged {
    pub fn to_json(&self) -> Value {
        json!({
            "arm": self.arm,
            "what": self.what,
            "against": self.against,
            "ratio": self.ratio.to_json(),
            "goal": self.goal.to_string(),
            "verdict": self.goal.judge(self.ratio).to_string(),
        })
    }
}
