//! The open of a log that was closed, against reading it: both from the page
//! cache.

use crate::log::{Order, options, write};
use crate::recovery::{PAGES, read, segments};
use crate::sides::{Finding, Plan, side};
use epochwal::Coordinator;
use std::time::Instant;
use turns::{Goal, text};

/// Its size is never divided: an open reads up to a fixed length of the log,
/// so that the share of a shorter one would be another.
pub fn measure(plan: &Plan) -> Result<Vec<Finding>, String> {
    let dir = plan.scratch.subdir()?;
    let database = dir.path().join("db");
    write(&database, PAGES, Order::Ascending)?;
    let files = segments(&database)?;
    let milliseconds = |began: Instant| began.elapsed().as_secs_f64() * 1e3;
    let finding = Finding::in_turns(
        plan,
        "open of a clean log of 1 GiB",
        "ms",
        Some(Goal::AtMost(0.2)),
        side("open", || {
            let began = Instant::now();
            let log = Coordinator::open(&database, &options()).map_err(text)?;
            let took = milliseconds(began);
            log.close(None).map_err(text)?;
            Ok(took)
        }),
        side("read", || {
            let began = Instant::now();
            read(&files, u64::MAX, (), |(), _| ())?;
            Ok(milliseconds(began))
        }),
    )?;
    Ok(vec![finding])
}
