//! Paging through a whole log, a thousand records at a time.

use super::{GROUP, PAGE, SMALL, open, write};
use crate::sides::{Finding, Plan, side};
use epochwal::spool::{Spool, SpoolOptions};
use std::time::Instant;
use turns::{Goal, text};

const FEW: u64 = 100_000;
const MANY: u64 = 1_000_000;

pub fn measure(plan: &Plan) -> Result<Vec<Finding>, String> {
    let dir = plan.scratch.subdir()?;
    let many = MANY / plan.share;
    let few = FEW / plan.share;
    let log = |name: &str, count| {
        let database = dir.path().join(name);
        write(&database, count, SMALL, GROUP)?;
        open(&database, &SpoolOptions::default())
    };
    let (long, short) = (log("long", many)?, log("short", few)?);
    let what = || format!("paging through {many} records");
    let linear = Finding::in_turns(
        plan,
        what(),
        "ns/record",
        Some(Goal::AtMost(1.25)),
        side("read_since", || page(&long, many)),
        side("through a tenth", || page(&short, few)),
    )?;
    let cursor = Finding::in_turns(
        plan,
        what(),
        "ns/record",
        None,
        side("cursor", || follow(&long, many)),
        side("read_since", || page(&long, many)),
    )?;
    Ok(vec![
        linear,
        cursor,
        #[cfg(feature = "rivals")]
        beside_raft(plan, what(), &long, many)?,
    ])
}

#[cfg(feature = "rivals")]
fn beside_raft(plan: &Plan, what: String, long: &Spool, many: u64) -> Result<Finding, String> {
    use super::raft::Raft;
    let dir = plan.scratch.subdir()?;
    Raft::write(dir.path(), many, SMALL)?;
    let raft = Raft::open(dir.path())?;
    let next = |at| Ok(at + raft.read_since(at, PAGE.records as u64)?);
    Finding::in_turns(
        plan,
        what,
        "ns/record",
        None,
        side("read_since", || page(long, many)),
        side("raft-engine", || page_with(many, next)),
    )
}

fn page(spool: &Spool, count: u64) -> Result<f64, String> {
    page_with(count, |at| {
        let records = spool.read_since(at, PAGE).map_err(text)?;
        Ok(records.last().map_or(at, |r| r.lsn))
    })
}

fn follow(spool: &Spool, count: u64) -> Result<f64, String> {
    let mut cursor = spool.cursor(0).map_err(text)?;
    page_with(count, |_| {
        cursor.next_batch(PAGE, None).map_err(text)?;
        Ok(cursor.lsn())
    })
}

/// Nanoseconds per record; `next` gives the last LSN behind the one it is given.
fn page_with(count: u64, mut next: impl FnMut(u64) -> Result<u64, String>) -> Result<f64, String> {
    let began = Instant::now();
    let mut at = 0;
    while at < count {
        let last = next(at)?;
        if last <= at {
            return Err(format!("nothing comes behind {at} of {count}"));
        }
        at = last;
    }
    Ok(began.elapsed().as_secs_f64() * 1e9 / count as f64)
}
