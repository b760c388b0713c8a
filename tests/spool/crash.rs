//! Power failures and kills at the operations of a spool in use: what is found
//! afterwards is what was acknowledged, and nothing that was refused, pruned or
//! cut off. Then the same again from there, with a crash during the opening,
//! and once more.
//!
//! The knobs are those of the coordinator's crash tests (`tests/crash.rs`):
//! `EPOCHWAL_CRASH_STATES` crashed disks, `EPOCHWAL_CRASH_SEED` for one seed,
//! which leads to the same states each time.

use super::common::{PATIENCE, Place};
use super::coverage::Coverage;
use super::ledger::{Check, Found, Known, ensure};
use super::session::{self, Plan, State};
use super::tools::{append_all, open};
use epochwal::ErrorKind;
use epochwal::coordinator::{SyncPolicy, SyncStyle};
use epochwal::spool::{Format, Spool, SpoolOptions};
use epochwal::storage::sim::{SimRng, SimStorage};

/// Crashed disks looked at by all tests here, unless the environment says
/// otherwise.
const STATES: u64 = 24_000;
/// Of these by one seed.
const PER_SEED: u64 = 400;
/// Random crashes of a state, besides those that keep nothing and everything.
const SAMPLES: u64 = 5;
/// A crash, one after it, and one after that.
const DEPTH: u32 = 3;

fn knob(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().expect("a number"))
}

/// How a machine stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    /// The page cache stays, and is lost if the power fails next.
    Kill,
    Power,
}

struct Explorer<'a> {
    left: u64,
    plan: Plan,
    rng: SimRng,
    coverage: &'a Coverage,
}

impl Explorer<'_> {
    /// Runs the plan and crashes at some of its states.
    fn explore(&mut self, disk: &SimStorage, known: Known, plan: &Plan, depth: u32) -> Check {
        let states = session::run(disk, known, plan, &mut self.rng, self.coverage)?;
        let count = states.len() as u64;
        let mut chosen = match depth {
            0 => (self.left / (3 + SAMPLES)).clamp(1, count),
            _ => 3.min(count),
        };
        for (i, state) in states.iter().enumerate() {
            if !self.rng.chance(chosen, count - i as u64) {
                continue;
            }
            let share = if depth == 0 {
                self.left / chosen
            } else {
                self.left
            };
            chosen -= 1;
            let rest = self.left - share;
            self.left = share;
            let looked = self.crash_at(state, depth);
            self.left += rest;
            looked.map_err(|why| {
                let operation = state.operation;
                format!("depth {depth}, state {i} of {count} (operation {operation}): {why}")
            })?;
        }
        Ok(())
    }

    fn crash_at(&mut self, state: &State, depth: u32) -> Check {
        if let Some(stage) = state.stage {
            self.coverage.count(stage);
        }
        self.stopped(Stop::Kill, state.disk.snapshot(), state, depth)
            .map_err(|why| format!("killed: {why}"))?;
        for crashed in [state.disk.crash_nothing(), state.disk.crash_everything()] {
            self.stopped(Stop::Power, crashed, state, depth)
                .map_err(|why| format!("all or nothing lost: {why}"))?;
        }
        for _ in 0..SAMPLES {
            let seed = self.rng.next_u64();
            self.stopped(Stop::Power, state.disk.crash_random(seed), state, depth)
                .map_err(|why| format!("crash {seed:#x}: {why}"))?;
        }
        Ok(())
    }

    /// Opens a stopped machine's disk; goes on from there, one time in some.
    fn stopped(&mut self, stop: Stop, disk: SimStorage, state: &State, depth: u32) -> Check {
        if self.left == 0 {
            return Ok(());
        }
        self.left -= 1;
        let before = disk.snapshot();
        let known = &state.known;
        let loosely = known.unsynced && stop == Stop::Power;
        let options = SpoolOptions {
            sync_policy: SyncPolicy::Full,
            ..self.plan.options()
        };
        let spool = match open(&Place::sim(&disk), &options) {
            Ok(spool) => spool,
            Err(e) if loosely && e.kind() == ErrorKind::Corrupt => {
                self.coverage.count("log without syncs refused");
                return Ok(());
            }
            // The limit of the format: of a run that was never acknowledged later
            // records may be there, and earlier ones not.
            Err(e) if known.apart && stop == Stop::Power && e.kind() == ErrorKind::Corrupt => {
                ensure!(known.staged.iter().flatten().count() > 1, "refused: {e}");
                self.coverage.count("run with a hole refused");
                let salvage = SpoolOptions {
                    salvage: true,
                    ..options
                };
                let spool = open(&Place::sim(&disk), &salvage);
                let spool = spool.map_err(|e| format!("the salvage fails: {e}"))?;
                known.check_salvaged(&Found::around_losses(&spool)?)?;
                return spool.close(PATIENCE).map_err(|e| format!("close: {e}"));
            }
            Err(e) => return Err(format!("the open fails after a mere crash: {e}")),
        };
        let found = Found::of(&spool)?;
        match loosely {
            true => known.check_loosely(&found)?,
            false => known.check(&found)?,
        }
        self.note(known, &found, &spool);
        if depth + 1 < DEPTH && self.rng.chance(1, 6) {
            let mut left = known.clone();
            if stop == Stop::Power {
                // All that is left is on the disk.
                left.settle(&found);
            }
            let (plan, share) = (self.plan.short(), self.left / 2);
            let rest = self.left - share;
            self.left = share;
            drop(spool);
            let deeper = self.explore(&before, left, &plan, depth + 1);
            self.left += rest;
            return deeper;
        }
        goes_on(&spool, &found)
    }

    /// Counts what a crash has led to.
    fn note(&self, known: &Known, found: &Found, spool: &Spool) {
        let count = |event, happened: bool| self.coverage.add(event, u64::from(happened));
        count("torn tail dropped", spool.torn().is_some());
        count("prune under way, done", {
            known.pruning > known.pruned && found.bounds.pruned_through == known.pruning
        });
        count("prune under way, not done", {
            known.pruning > known.pruned && found.bounds.pruned_through == known.pruned
        });
        let cut = known.cutting.map(|(_, term)| term == found.term);
        count("cut under way, done", cut == Some(true));
        count("cut under way, not done", cut == Some(false));
        let last = known.staged.last().and_then(|run| run.last());
        let there = last.map(|last| found.records.last() == Some(last));
        count("staged, found", there == Some(true));
        count("staged, lost", there == Some(false));
        count("found empty", found.records.is_empty() && found.term > 0);
    }
}

/// What was taken before is refused, and the next is taken and stays.
fn goes_on(spool: &Spool, found: &Found) -> Check {
    let current = found.bounds.current_lsn;
    let told = |term, lsn| append_all(spool, term, &[lsn]).err().map(|e| e.kind());
    if current > 0 {
        let again = told(found.term, current);
        ensure!(
            again == Some(ErrorKind::Order),
            "LSN {current} again: {again:?}"
        );
    }
    if found.term > 1 {
        let fenced = told(found.term - 1, current + 1);
        ensure!(
            fenced == Some(ErrorKind::Fenced),
            "a lower term: {fenced:?}"
        );
    }
    let next = (found.term.max(1), current + 1);
    let taken = told(next.0, next.1);
    ensure!(taken.is_none(), "the next record: {taken:?}");
    let now = Found::of(spool)?;
    let mut whole = found.records.clone();
    whole.push(next);
    ensure!(now.records == whole, "after one more: {:?}", now.records);
    spool.close(PATIENCE).map_err(|e| format!("close: {e}"))
}

/// What every sweep does.
const ALWAYS: [&str; 21] = [
    "roll",
    "segment removed",
    "segment removed by an open",
    "segment retired to a spare",
    "segment reused",
    "spare prepared",
    "state saved",
    "tail written by an open",
    "crash as an open removes files",
    "crash as an open saves the state",
    "crash as an open writes the tail",
    "torn tail dropped",
    "prune under way, done",
    "prune under way, not done",
    "prune under a cursor",
    "prune under another process",
    "cut under way, done",
    "cut under way, not done",
    "staged, found",
    "staged, lost",
    "found empty",
];

/// Looks at a part of the states, seed after seed; each seed at the same
/// number, so that it leads to the same ones wherever it is run.
fn sweep(
    test: &str,
    (part, per_seed): (u64, u64),
    plan: impl Fn(&mut SimRng) -> Plan,
    covered: &[&str],
) {
    let coverage = Coverage::default();
    let one = |seed: u64| {
        let mut rng = SimRng::new(seed);
        let plan = plan(&mut rng);
        let mut explorer = Explorer {
            left: per_seed,
            plan,
            rng,
            coverage: &coverage,
        };
        let explored = explorer.explore(&SimStorage::new(), Known::default(), &plan, 0);
        explored.unwrap_or_else(|why| {
            panic!("EPOCHWAL_CRASH_SEED={seed} cargo test --test spool {test}\n{plan:?}\n{why}")
        });
        per_seed - explorer.left
    };
    if let Some(seed) = knob("EPOCHWAL_CRASH_SEED") {
        one(seed);
        return;
    }
    let all = knob("EPOCHWAL_CRASH_STATES").unwrap_or(STATES);
    let wanted = (all * part).div_ceil(100);
    let (mut looked_at, mut seed) = (0, 1);
    while looked_at < wanted {
        let states = one(seed);
        assert!(
            states > per_seed / 2,
            "seed {seed} leads to {states} states only"
        );
        looked_at += states;
        seed += 1;
    }
    println!("{test}: {looked_at} states, {} seeds\n{coverage}", seed - 1);
    if all >= STATES {
        coverage.require(covered);
    }
}

#[test]
fn crashes_with_direct_writes() {
    let plan = |rng: &mut SimRng| Plan::random(SyncStyle::Direct, rng);
    sweep(
        "crash::crashes_with_direct_writes",
        (32, PER_SEED),
        plan,
        &ALWAYS,
    );
}

#[test]
fn crashes_with_buffered_writes() {
    let plan = |rng: &mut SimRng| Plan::random(SyncStyle::Buffered, rng);
    sweep(
        "crash::crashes_with_buffered_writes",
        (32, PER_SEED),
        plan,
        &ALWAYS,
    );
}

#[test]
fn crashes_without_syncs() {
    let plan = |rng: &mut SimRng| Plan {
        policy: SyncPolicy::Off,
        ..Plan::random(SyncStyle::Buffered, rng)
    };
    sweep(
        "crash::crashes_without_syncs",
        (13, PER_SEED),
        plan,
        &["log without syncs refused", "roll", "segment reused", "cut"],
    );
}

/// Two thirds of the seeds lead to the same states each time; threads that run
/// freely don't.
#[test]
fn crashes_beside_several_threads() {
    let plan = |rng: &mut SimRng| {
        let style = [SyncStyle::Direct, SyncStyle::Buffered][rng.below(2) as usize];
        Plan {
            steps: 3 + rng.below(6),
            threads: 2 + rng.below(3),
            race: rng.chance(1, 3),
            ..Plan::random(style, rng)
        }
    };
    sweep(
        "crash::crashes_beside_several_threads",
        (22, PER_SEED),
        plan,
        &[
            "cut among threads",
            "cut under way, done",
            "durable by another thread",
            "prune among threads",
            "prune under way, not done",
            "roll",
            "segment reused",
            "staged, found",
            "staged, lost",
        ],
    );
}

#[test]
fn crashes_around_runs_that_are_larger_than_a_lane() {
    let plan = |rng: &mut SimRng| Plan {
        rounds: 1,
        steps: 6,
        large: true,
        policy: SyncPolicy::Full,
        ..Plan::random(SyncStyle::Direct, rng)
    };
    sweep(
        "crash::crashes_around_runs_that_are_larger_than_a_lane",
        (1, 80),
        plan,
        &["run larger than a lane", "staged, found", "staged, lost"],
    );
}

#[test]
fn crashes_in_a_single_file() {
    let plan = |rng: &mut SimRng| Plan {
        format: Format::Rdlw,
        ..Plan::random(SyncStyle::Buffered, rng)
    };
    sweep(
        "crash::crashes_in_a_single_file",
        (15, PER_SEED),
        plan,
        &[
            "state saved",
            "single file replaced",
            "single file mended by an open",
            "torn tail dropped",
            "run with a hole refused",
            "several runs in a group",
            "prune under way, done",
            "prune under way, not done",
            "cut under way, done",
            "cut under way, not done",
            "cut below the quorum refused",
            "staged, found",
            "staged, lost",
            "found empty",
        ],
    );
}
