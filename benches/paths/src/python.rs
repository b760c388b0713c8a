//! Python's commits against Rust's. Python runs in a process of its own, which
//! waits between its turns.

use crate::commits::commit_for;
use crate::log::{checkpoint, options};
use crate::sides::{Finding, Plan, side};
use epochwal::Coordinator;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;
use turns::{Goal, text};

const PROGRAM: &str = include_str!("../commit.py");

/// Who commits in Python, how many of them, and the share of Rust's commits
/// that is to be reached.
const CASES: [(&str, u32, Option<f64>); 4] = [
    ("threads", 1, Some(0.8)),
    ("threads", 16, Some(0.4)),
    ("asyncio", 1, None),
    ("asyncio", 16, None),
];

pub fn measure(plan: &Plan) -> Result<Vec<Finding>, String> {
    let (Some(python), Some(path)) = (&plan.python, &plan.python_path) else {
        eprintln!("python is left out: --python and --python-path say where it is");
        return Ok(Vec::new());
    };
    let compare = |(who, count, goal): (&str, u32, Option<f64>)| {
        let dir = plan.scratch.subdir()?;
        let rust = Coordinator::open(&dir.path().join("rust"), &options()).map_err(text)?;
        let mut other = Python::start(python, path, &dir.path().join("python"), who, count)?;
        Finding::in_turns(
            plan,
            format!("commit, 1 x 4096 bytes, {count} {}", noun(who, count)),
            "commits/s",
            goal.map(Goal::AtLeast),
            side("Python", || other.turn(plan.turn)),
            side("Rust", || {
                let commits = commit_for(&rust, count, plan.turn)?;
                checkpoint(&rust)?;
                Ok(commits.rate)
            }),
        )
    };
    CASES.into_iter().map(compare).collect()
}

fn noun(who: &str, count: u32) -> &'static str {
    match (who, count) {
        ("asyncio", 1) => "task",
        ("asyncio", _) => "tasks",
        (_, 1) => "thread",
        (_, _) => "threads",
    }
}

/// The other process.
struct Python {
    process: Child,
    turns: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Python {
    fn start(
        python: &Path,
        path: &Path,
        database: &Path,
        who: &str,
        count: u32,
    ) -> Result<Python, String> {
        let mut process = Command::new(python)
            .args(["-c", PROGRAM])
            .env("PYTHONPATH", path)
            .arg(database)
            .args([who, &count.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| format!("{}: {e}", python.display()))?;
        let (turns, answers) = (process.stdin.take(), process.stdout.take());
        Ok(Python {
            process,
            turns,
            answers: BufReader::new(answers.ok_or("no standard output")?),
        })
    }

    /// Sends the length of a turn, and gets the commits per second.
    fn turn(&mut self, length: Duration) -> Result<f64, String> {
        let turns = self.turns.as_mut().ok_or("no standard input")?;
        writeln!(turns, "{}", length.as_secs_f64()).map_err(text)?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer).map_err(text)?;
        answer
            .trim()
            .parse()
            .map_err(|_| format!("Python answered {answer:?}"))
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        // The end of its input is the end of the program.
        self.turns = None;
        let _ = self.process.wait();
    }
}
