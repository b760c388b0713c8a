//! Runs a workload, crashes it at its states, and goes on from what is left.

use super::common::Place;
use super::coverage::Coverage;
use super::ledger::{Check, Ledger, Moment, Recovered, Stop, ensure};
use super::plan::Plan;
use super::session::{self, State};
use super::verify::{Found, after};
use epochwal::coordinator::{Sequencing, SyncPolicy};
use epochwal::storage::sim::{SimRng, SimStorage};

/// Up to this many possible crashes of a state all are made.
const EXHAUSTIVE: u64 = 64;
/// How many random ones else.
const SAMPLES: u64 = 8;
/// The fewest crashes worth looking at a state for.
const WORTH: u64 = 8;
/// A crash, one after it, and one after that.
const DEPTH: u32 = 3;

/// Looks at crashes until the budget is spent.
pub struct Explorer {
    left: u64,
    plan: Plan,
    rng: SimRng,
    coverage: Coverage,
}

/// Runs the plan and looks at up to `states` crashed disks; gives how many.
pub fn explore(plan: Plan, rng: SimRng, states: u64, coverage: &Coverage) -> Check<u64> {
    let mut explorer = Explorer {
        left: states,
        plan,
        rng,
        coverage: coverage.clone(),
    };
    explorer.explore(&SimStorage::new(), Ledger::default(), &plan, 0)?;
    Ok(states - explorer.left)
}

/// How many crashes a state has.
fn possible(disk: &SimStorage) -> u64 {
    let mut count = 1u64;
    disk.crash(&mut |choices| {
        count = count.saturating_mul(choices as u64);
        0
    });
    count
}

impl Explorer {
    /// Runs the plan on the disk and crashes at its states: at all of them if
    /// the budget is large enough. Deeper levels only look at a few.
    fn explore(&mut self, disk: &SimStorage, ledger: Ledger, plan: &Plan, depth: u32) -> Check {
        let session = session::run(disk, ledger, plan, &mut self.rng, &self.coverage)?;
        let states = session.states.len() as u64;
        let wanted = match depth {
            0 => (self.left / WORTH).clamp(1, states),
            _ => 3.min(states),
        };
        let mut chosen = wanted;
        for (i, state) in session.states.iter().enumerate() {
            // Of those that are left, so many at random.
            if !self.rng.chance(chosen, states - i as u64) {
                continue;
            }
            let share = match depth {
                0 => self.left / chosen,
                _ => self.left,
            };
            chosen -= 1;
            self.with(share, |explorer| {
                explorer.crash_at(state, &session.ledger, depth)
            })
            .map_err(|why| {
                let operation = state.operation;
                format!("depth {depth}, state {i} of {states} (operation {operation}): {why}")
            })?;
        }
        Ok(())
    }

    /// Spends no more than a share of the budget.
    fn with(&mut self, share: u64, look: impl FnOnce(&mut Self) -> Check) -> Check {
        let share = share.min(self.left);
        let rest = self.left - share;
        self.left = share;
        let looked = look(self);
        self.left += rest;
        looked
    }

    fn crash_at(&mut self, state: &State, ledger: &Ledger, depth: u32) -> Check {
        if let Some(stage) = state.stage {
            self.coverage.count(stage);
        }
        // A kill: all is in the page cache, and nothing of it need be durable.
        self.stopped(Stop::Kill, state.disk.snapshot(), state, ledger, depth)
            .map_err(|why| format!("killed: {why}"))?;
        let possible = possible(&state.disk);
        if possible <= EXHAUSTIVE && depth == 0 {
            self.coverage.count("state with all its crashes");
            for (n, crashed) in state.disk.crashes().enumerate() {
                self.stopped(Stop::Power, crashed, state, ledger, depth)
                    .map_err(|why| format!("crash {n} of {possible}: {why}"))?;
            }
            return Ok(());
        }
        for crashed in [state.disk.crash_nothing(), state.disk.crash_everything()] {
            self.stopped(Stop::Power, crashed, state, ledger, depth)
                .map_err(|why| format!("all or nothing of {possible} crashes: {why}"))?;
        }
        for _ in 0..SAMPLES >> depth {
            let seed = self.rng.next_u64();
            self.stopped(
                Stop::Power,
                state.disk.crash_random(seed),
                state,
                ledger,
                depth,
            )
            .map_err(|why| format!("crash {seed:#x} of {possible}: {why}"))?;
        }
        Ok(())
    }

    /// Recovers a stopped machine's disk; goes on from there, one time in some.
    fn stopped(
        &mut self,
        stop: Stop,
        disk: SimStorage,
        state: &State,
        ledger: &Ledger,
        depth: u32,
    ) -> Check {
        if self.left == 0 {
            return Ok(());
        }
        self.left -= 1;
        let go_on = depth + 1 < DEPTH && self.rng.chance(1, 3);
        let found = after(stop, &disk, ledger, &state.moment)?;
        let recovered = match found {
            Found::Log(recovered) => recovered,
            Found::Refused if go_on => {
                self.coverage.count("log without syncs salvaged");
                salvage(&disk, ledger, &state.moment)?
            }
            Found::Refused => {
                self.coverage.count("log without syncs refused");
                return Ok(());
            }
        };
        // As in `verify::lenient`.
        let holes =
            self.plan.format != 2 && matches!(self.plan.policy, None | Some(SyncPolicy::Off));
        if self.plan.sequencing == Sequencing::Coordinator && !holes {
            check_dense(&disk)?;
        }
        if go_on {
            let left = match stop {
                Stop::Kill => ledger.after_kill(&state.moment, &recovered),
                Stop::Power => ledger.after_crash(&state.moment, &recovered),
            };
            let plan = self.plan.short();
            // Not so much that the state's other crashes are not looked at.
            let share = self.left / 2;
            self.with(share, |explorer| {
                explorer.explore(&disk, left, &plan, depth + 1)
            })?;
        }
        Ok(())
    }
}

/// A log that lost what was never synced and is refused opens with a salvage,
/// and is then one that recovers.
fn salvage(disk: &SimStorage, ledger: &Ledger, moment: &Moment) -> Check<Recovered> {
    let place = Place::sim(disk);
    let wal = place
        .open(&epochwal::Options {
            salvage: true,
            ..super::common::small()
        })
        .map_err(|e| format!("salvage: {e:?}"))?;
    wal.close(super::common::PATIENCE)
        .map_err(|e| format!("after a salvage: {e:?}"))?;
    // Where the state was lost, the floor is what the first segment links to.
    let nothing = Moment {
        checkpoints: (0..=moment.highest_ticket).collect(),
        unsynced: true,
        ..Moment::default()
    };
    match after(Stop::Power, disk, ledger, &nothing) {
        Ok(Found::Log(recovered)) => Ok(recovered),
        Ok(Found::Refused) => Err("still corrupt after a salvage".into()),
        Err(why) => Err(format!("after a salvage: {why}")),
    }
}

/// Where the coordinator assigns them, the sequences of what is there are
/// dense: lost ones were given again.
fn check_dense(disk: &SimStorage) -> Check {
    let got = Place::sim(disk).recover_all();
    for pair in got.windows(2) {
        ensure!(
            pair[0].seq + 1 == pair[1].seq,
            "sequence {} follows {}",
            pair[1].seq,
            pair[0].seq
        );
    }
    Ok(())
}
