//! Two sides in turns, and what they gave.

use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Duration;
use turns::{Goal, Scratch, Spread, ratios};

/// How long, how often, how much, and with what.
pub struct Plan {
    pub rounds: usize,
    pub turn: Duration,
    /// Sizes and counts are divided by this.
    pub share: u64,
    pub scratch: Scratch,
    pub library: Option<PathBuf>,
    pub python: Option<PathBuf>,
    pub python_path: Option<PathBuf>,
}

/// One side: its name, and a turn that gives a figure.
pub struct Side<'a> {
    pub name: &'static str,
    pub turn: Box<dyn FnMut() -> Result<f64, String> + 'a>,
}

pub fn side<'a>(name: &'static str, turn: impl FnMut() -> Result<f64, String> + 'a) -> Side<'a> {
    Side {
        name,
        turn: Box::new(turn),
    }
}

/// What was compared, and how it came out.
pub struct Finding {
    pub what: String,
    pub unit: &'static str,
    subject: (&'static str, Spread),
    reference: Option<(&'static str, Spread)>,
    /// To the reference where there is one, else the figure itself.
    ratio: Spread,
    goal: Option<Goal>,
}

impl Finding {
    /// The sides take turns, after one each that does not count.
    pub fn in_turns(
        plan: &Plan,
        what: impl Into<String>,
        unit: &'static str,
        goal: Option<Goal>,
        mut subject: Side,
        mut reference: Side,
    ) -> Result<Finding, String> {
        let mut figures = (Vec::new(), Vec::new());
        for round in 0..=plan.rounds {
            let pair = ((subject.turn)()?, (reference.turn)()?);
            if round > 0 {
                figures.0.push(pair.0);
                figures.1.push(pair.1);
            }
        }
        let (subject, reference) = (subject.name, reference.name);
        let sides = ((subject, figures.0), (reference, figures.1));
        Ok(Finding::of(what, unit, goal, sides.0, sides.1))
    }

    /// Figures that both sides gave in the same rounds.
    pub fn of(
        what: impl Into<String>,
        unit: &'static str,
        goal: Option<Goal>,
        subject: (&'static str, Vec<f64>),
        reference: (&'static str, Vec<f64>),
    ) -> Finding {
        Finding {
            what: what.into(),
            unit,
            ratio: ratios(&subject.1, &reference.1),
            subject: (subject.0, Spread::of(subject.1)),
            reference: Some((reference.0, Spread::of(reference.1))),
            goal,
        }
    }

    /// One figure beside a limit that needs no measuring.
    pub fn beside_limit(
        what: impl Into<String>,
        unit: &'static str,
        goal: Goal,
        subject: (&'static str, f64),
        limit: (&'static str, f64),
    ) -> Finding {
        let one = |value| Spread::of([value]);
        Finding {
            what: what.into(),
            unit,
            subject: (subject.0, one(subject.1)),
            reference: Some((limit.0, one(limit.1))),
            ratio: one(subject.1 / limit.1),
            goal: Some(goal),
        }
    }

    /// Turns of one side, whose figure is itself what a goal speaks of.
    pub fn by_itself(
        plan: &Plan,
        what: impl Into<String>,
        unit: &'static str,
        goal: Option<Goal>,
        mut subject: Side,
    ) -> Result<Finding, String> {
        let mut figures = Vec::new();
        for round in 0..=plan.rounds {
            let figure = (subject.turn)()?;
            if round > 0 {
                figures.push(figure);
            }
        }
        let figures = Spread::of(figures);
        Ok(Finding::alone(what, unit, goal, (subject.name, figures)))
    }

    /// A figure that is itself what a goal speaks of.
    pub fn alone(
        what: impl Into<String>,
        unit: &'static str,
        goal: Option<Goal>,
        subject: (&'static str, Spread),
    ) -> Finding {
        Finding {
            what: what.into(),
            unit,
            ratio: subject.1,
            subject,
            reference: None,
            goal,
        }
    }

    pub fn print(&self) {
        let figure = |(name, spread): &(&str, Spread)| format!("{name} {}", short(spread.median));
        let ratio = match (&self.reference, self.goal) {
            (None, None) => "-".into(),
            _ => self.ratio.to_string(),
        };
        let goal = self.goal.map_or("-".into(), |goal| goal.to_string());
        let verdict = self
            .goal
            .map_or(String::new(), |g| g.judge(self.ratio).to_string());
        println!(
            "{:<46} {:<26} {:<30} {:<10} {:>18}  {goal:<8} {verdict}",
            self.what,
            figure(&self.subject),
            self.reference.as_ref().map_or("-".into(), figure),
            self.unit,
            ratio,
        );
    }

    pub fn to_json(&self, path: &str) -> Value {
        let named =
            |(name, spread): &(&str, Spread)| json!({ "name": name, "figure": spread.to_json() });
        json!({
            "path": path,
            "what": self.what,
            "unit": self.unit,
            "subject": named(&self.subject),
            "reference": self.reference.as_ref().map(named),
            "ratio": self.ratio.to_json(),
            "goal": self.goal.map(|goal| goal.to_string()),
            "verdict": self.goal.map(|goal| goal.judge(self.ratio).to_string()),
        })
    }
}

pub fn print_head() {
    println!(
        "{:<46} {:<26} {:<30} {:<10} {:>18}  {:<8} verdict",
        "what", "subject", "reference", "unit", "ratio", "goal"
    );
}

/// Three digits are enough, and large figures need no fraction.
fn short(value: f64) -> String {
    match value {
        v if v >= 100.0 => format!("{v:.0}"),
        v if v >= 1.0 => format!("{v:.2}"),
        v => format!("{v:.4}"),
    }
}
