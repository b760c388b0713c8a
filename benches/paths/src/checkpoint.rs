//! What a checkpointer does to the commits beside it.

use crate::commits::{Commits, commit_for};
use crate::log::{checkpoint, options};
use crate::sides::{Finding, Plan, side};
use epochwal::Coordinator;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;
use turns::text;

const THREADS: u32 = 16;
/// Far more often than a database checkpoints: segments are used again all the
/// time.
const EVERY: Duration = Duration::from_millis(20);

type Figure = fn(&Commits) -> f64;

pub fn measure(plan: &Plan) -> Result<Vec<Finding>, String> {
    let dir = plan.scratch.subdir()?;
    let log = |name| Coordinator::open(&dir.path().join(name), &options()).map_err(text);
    let (with, without) = (log("with")?, log("without")?);
    let compare = |what: &str, unit, figure: Figure| {
        Finding::in_turns(
            plan,
            format!("{what}, checkpoints beside"),
            unit,
            None,
            side("with", || turn(&with, plan.turn).map(|c| figure(&c))),
            side("without", || {
                let commits = commit_for(&without, THREADS, plan.turn)?;
                checkpoint(&without)?;
                Ok(figure(&commits))
            }),
        )
    };
    Ok(vec![
        compare("p99 of 16 threads", "us", |c| {
            c.latency.value_at_quantile(0.99) as f64 / 1e3
        })?,
        compare("commits of 16 threads", "commits/s", |c| c.rate)?,
    ])
}

/// Commits, and checkpoints of what is durable beside them.
fn turn(log: &Coordinator, length: Duration) -> Result<Commits, String> {
    std::thread::scope(|scope| {
        let (stop, stopped) = channel::<()>();
        let checkpointer = scope.spawn(move || {
            while stopped.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
                checkpoint(log)?;
            }
            Ok(())
        });
        let commits = commit_for(log, THREADS, length);
        drop(stop);
        let ended: Result<(), String> = checkpointer
            .join()
            .map_err(|_| "the checkpointer panicked")?;
        ended.and(commits)
    })
}
