//! Power failures at every step.
//!
//! A write-ahead log is used for the day on which everything else fails, so
//! its tests are about that day. Here callers commit on a simulated disk; at
//! each operation of that disk the state of the machine is kept, beside what
//! the callers had been told by then. From such a state a crash is made, with
//! any subset of what was not synced, sectors and names alike, and the log is
//! read and opened again. What comes back is held against the callers' ledger:
//! all that was acknowledged, nothing skipped, nothing torn, no number given
//! twice. Then the same again from there, with a crash during the opening.
//!
//! `EPOCHWAL_CRASH_STATES` says how many crashed disks to look at,
//! `EPOCHWAL_CRASH_SEED` runs one random workload again. (With more than one
//! thread, and where a spare segment is prepared ahead, the order of the
//! disk's operations is the scheduler's: run a seed several times.)

mod common;
#[path = "crash/ledger.rs"]
mod ledger;
#[path = "crash/session.rs"]
mod session;
#[path = "crash/verify.rs"]
mod verify;
#[path = "crash/wrong.rs"]
mod wrong;

use epochwal::coordinator::{Sequencing, SyncStyle};
use epochwal::storage::sim::{SimRng, SimStorage};
use ledger::{Check, Ledger};
use session::{Plan, State};
use verify::verify;

/// Crashed disks looked at, unless the environment says otherwise.
const STATES: u64 = 40_000;
/// Up to this many choices all crashes of a state are made: 2^4, or more
/// where a sector has several versions.
const EXHAUSTIVE: usize = 4;
/// How many random ones else.
const SAMPLES: u64 = 4;
/// A crash, one after it, and one after that.
const DEPTH: u32 = 3;

fn knob(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().expect("a number"))
}

/// Looks at crashes until the budget is spent.
struct Explorer {
    left: u64,
    plan: Plan,
    rng: SimRng,
}

impl Explorer {
    /// Runs the plan on the disk and crashes at its states. Each state gets
    /// its share of the budget, deeper levels only look at a few.
    fn explore(&mut self, disk: &SimStorage, ledger: Ledger, plan: &Plan, depth: u32) -> Check {
        let session = session::run(disk, ledger, plan, &mut self.rng)?;
        let states = session.states.len() as u64;
        let wanted = if depth == 0 { states } else { 3 };
        for (i, state) in session.states.iter().enumerate() {
            if !self.rng.chance(wanted.min(states), states) {
                continue;
            }
            let all = self.left;
            if depth == 0 {
                self.left = (all / (states - i as u64)).max(1).min(all);
            }
            let share = self.left;
            self.crash_at(state, &session.ledger, depth)
                .map_err(|why| {
                    let operation = state.operation;
                    format!("depth {depth}, state {i} of {states} (operation {operation}): {why}")
                })?;
            self.left = all - (share - self.left);
        }
        Ok(())
    }

    fn crash_at(&mut self, state: &State, ledger: &Ledger, depth: u32) -> Check {
        let pending = state.disk.pending_count();
        // A kill: all is in the page cache, and nothing of it need be durable.
        self.after(state.disk.snapshot(), state, ledger, depth)
            .map_err(|why| format!("killed: {why}"))?;
        if pending <= EXHAUSTIVE && depth == 0 {
            for (n, crashed) in state.disk.crashes().take(64).enumerate() {
                self.after(crashed, state, ledger, depth)
                    .map_err(|why| format!("crash {n} of {pending} choices: {why}"))?;
            }
            return Ok(());
        }
        for crashed in [state.disk.crash_nothing(), state.disk.crash_everything()] {
            self.after(crashed, state, ledger, depth)
                .map_err(|why| format!("all or nothing of {pending}: {why}"))?;
        }
        for _ in 0..SAMPLES >> depth {
            let seed = self.rng.next_u64();
            self.after(state.disk.crash_random(seed), state, ledger, depth)
                .map_err(|why| format!("crash seed {seed} of {pending} choices: {why}"))?;
        }
        Ok(())
    }

    /// Recovers a crashed disk; goes on from there, one time in some.
    fn after(&mut self, disk: SimStorage, state: &State, ledger: &Ledger, depth: u32) -> Check {
        if self.left == 0 {
            return Ok(());
        }
        self.left -= 1;
        let recovered = verify(&disk, ledger, &state.moment)?;
        if self.plan.sequencing == Sequencing::Coordinator {
            check_dense(&disk)?;
        }
        if depth + 1 < DEPTH && self.rng.chance(1, 3) {
            let left = ledger.after_crash(&state.moment, &recovered);
            let plan = self.plan.short();
            self.explore(&disk, left, &plan, depth + 1)?;
        }
        Ok(())
    }
}

/// Where the coordinator assigns them, the sequences of what is there are
/// dense: lost ones were given again.
fn check_dense(disk: &SimStorage) -> Check {
    let got = common::Place::sim(disk).recover_all();
    for pair in got.windows(2) {
        ledger::ensure!(
            pair[0].seq + 1 == pair[1].seq,
            "sequence {} follows {}",
            pair[1].seq,
            pair[0].seq
        );
    }
    Ok(())
}

fn explore(plan: Plan, seed: u64, states: u64) -> u64 {
    let mut explorer = Explorer {
        left: states,
        plan,
        rng: SimRng::new(seed),
    };
    let disk = SimStorage::new();
    if let Err(why) = explorer.explore(&disk, Ledger::default(), &plan, 0) {
        panic!("EPOCHWAL_CRASH_SEED={seed} {plan:?}: {why}");
    }
    states - explorer.left
}

/// A small workload of one thread, at each of its operations.
fn small(format: u32, style: SyncStyle) {
    let states = knob("EPOCHWAL_CRASH_STATES").unwrap_or(STATES) / 8;
    for sequencing in [Sequencing::Caller, Sequencing::Coordinator] {
        let plan = Plan {
            threads: 1,
            rounds: 2,
            steps: 12,
            style,
            format,
            sequencing,
            segment_size: 16 << 10,
        };
        explore(plan, 1, states);
    }
}

#[test]
fn every_operation_with_direct_writes() {
    small(2, SyncStyle::Direct);
}

#[test]
fn every_operation_with_buffered_writes() {
    small(2, SyncStyle::Buffered);
}

#[test]
fn every_operation_of_version_one() {
    small(1, SyncStyle::Buffered);
}

#[test]
fn every_operation_where_the_format_changes() {
    small(0, SyncStyle::Direct);
}

#[test]
fn random_workloads() {
    if let Some(seed) = knob("EPOCHWAL_CRASH_SEED") {
        let plan = Plan::random(&mut SimRng::new(seed));
        explore(plan, seed, 100_000);
        return;
    }
    let mut left = knob("EPOCHWAL_CRASH_STATES").unwrap_or(STATES);
    for seed in 1.. {
        let plan = Plan::random(&mut SimRng::new(seed));
        left -= explore(plan, seed, left.min(1000));
        if left == 0 {
            return;
        }
    }
}
