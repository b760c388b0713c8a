//! What a ratio is to reach.

use crate::Spread;
use std::fmt;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Goal {
    AtLeast(f64),
    Above(f64),
    AtMost(f64),
}

/// How a ratio stands to its goal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The median reaches it.
    Met,
    /// The median does not, but a round did: noise as large as the distance.
    Within,
    /// No round reached it.
    Missed,
}

impl Goal {
    fn reached(self, ratio: f64) -> bool {
        match self {
            Goal::AtLeast(goal) => ratio >= goal,
            Goal::Above(goal) => ratio > goal,
            Goal::AtMost(goal) => ratio <= goal,
        }
    }

    pub fn judge(self, ratio: Spread) -> Verdict {
        if self.reached(ratio.median) {
            Verdict::Met
        } else if self.reached(ratio.least) || self.reached(ratio.greatest) {
            Verdict::Within
        } else {
            Verdict::Missed
        }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&match self {
            Goal::AtLeast(goal) => format!(">= {goal}"),
            Goal::Above(goal) => format!("> {goal}"),
            Goal::AtMost(goal) => format!("<= {goal}"),
        })
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Verdict::Met => "met",
            Verdict::Within => "within the spread",
            Verdict::Missed => "MISSED",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_missed_only_where_no_round_reached_it() {
        let ratio = Spread::of([0.8, 0.85, 0.9]);
        assert_eq!(Goal::AtLeast(0.85).judge(ratio), Verdict::Met);
        assert_eq!(Goal::Above(0.85).judge(ratio), Verdict::Within);
        assert_eq!(Goal::AtLeast(0.95).judge(ratio), Verdict::Missed);
        assert_eq!(Goal::AtMost(0.8).judge(ratio), Verdict::Within);
        assert_eq!(Goal::AtMost(0.7).judge(ratio), Verdict::Missed);
    }
}
