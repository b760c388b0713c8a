//! What epochwal is to reach in a cell, and whether it did.

use crate::arms::Kind;
use crate::cell::{ArmResult, Turn};
use crate::report::Row;
use serde_json::{Value, json};
use turns::{Goal, Spread};

/// The arm that shows what the disk allows.
const LIMIT: &str = "limit-dsync";

/// A ratio beside its goal.
pub struct Judged {
    pub what: &'static str,
    pub against: &'static str,
    pub ratio: Spread,
    pub goal: Goal,
}

/// epochwal against the limit, and against the best rival that flushed, where
/// these have run.
pub fn judge(rows: &[Row], results: &[ArmResult], threads: usize) -> Vec<Judged> {
    let find = |name| results.iter().find(|r: &&ArmResult| r.name == name);
    let Some(epochwal) = results.iter().find(|r| r.kind == Kind::Epochwal) else {
        return Vec::new();
    };
    let mut judged = Vec::new();
    let mut add = |what, base: &ArmResult, of: fn(&Turn) -> f64, goal| {
        judged.push(Judged {
            what,
            against: base.name,
            ratio: epochwal.ratio_to(base, of),
            goal,
        });
    };
    if let Some(limit) = find(LIMIT) {
        let rate = if threads == 1 { 0.95 } else { 0.90 };
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
            "what": self.what,
            "against": self.against,
            "ratio": self.ratio.to_json(),
            "goal": self.goal.to_string(),
            "verdict": self.goal.judge(self.ratio).to_string(),
        })
    }
}
