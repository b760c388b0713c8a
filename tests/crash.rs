//! Power failures at every step.
//!
//! A write-ahead log is used for the day on which everything else fails, so
//! its tests are about that day. Here callers commit on a simulated disk,
//! beside readers; at each operation of that disk the state of the machine is
//! kept, beside what the callers and readers had been told by then. From such
//! a state a crash is made, with any subset of what was not synced, sectors
//! and names alike, and the log is read and opened again. What comes back is
//! held against the callers' ledger: all that was acknowledged, nothing
//! skipped, nothing torn, no number given twice. Then the same again from
//! there, with a crash during the opening, and once more.
//!
//! `EPOCHWAL_CRASH_STATES` says how many crashed disks to look at,
//! `EPOCHWAL_CRASH_SEED` runs one seed of a test again, which leads to the
//! same states, unless its plan says that threads race: then the order of the
//! disk's operations is the scheduler's, and the seed is worth several runs.
//! `EPOCHWAL_CRASH_FIRST` is the first seed of the sweeps.

mod common;
#[path = "crash/coverage.rs"]
mod coverage;
#[path = "crash/cut_short.rs"]
mod cut_short;
#[path = "crash/explorer.rs"]
mod explorer;
#[path = "crash/ledger.rs"]
mod ledger;
#[path = "crash/plan.rs"]
mod plan;
#[path = "crash/reader.rs"]
mod reader;
#[path = "crash/session.rs"]
mod session;
#[path = "crash/turns.rs"]
mod turns;
#[path = "crash/verify.rs"]
mod verify;
#[path = "crash/wrong.rs"]
mod wrong;

use coverage::Coverage;
use epochwal::Options;
use epochwal::coordinator::{Knobs, Sequencing, SyncPolicy, SyncStyle};
use epochwal::recovery::RecoveryOptions;
use epochwal::storage::sim::{SimRng, SimStorage};
use explorer::explore;
use plan::Plan;

/// Crashed disks looked at by all tests here, unless the environment says
/// otherwise.
const STATES: u64 = 60_000;
/// Of these by one seed of a random workload.
const PER_SEED: u64 = 400;
/// The same where every operation is crashed at.
const PER_SMALL_SEED: u64 = 2_500;

fn knob(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().expect("a number"))
}

/// Looks at `twelfths` of the states, seed after seed; each seed at the same
/// number, so that it leads to the same ones wherever it is run. What must be
/// covered is given, and checked unless there are too few states for it.
fn sweep(
    test: &str,
    twelfths: u64,
    per_seed: u64,
    plan: impl Fn(&mut SimRng) -> Plan,
    covered: &[&str],
) {
    let coverage = Coverage::default();
    let one = |seed: u64| {
        let mut rng = SimRng::new(seed);
        let plan = plan(&mut rng);
        explore(plan, rng, per_seed, &coverage).unwrap_or_else(|why| {
            let again = match plan.race {
                true => "threads race, so try it several times",
                false => "leads to the same states",
            };
            panic!(
                "EPOCHWAL_CRASH_SEED={seed} cargo test --test crash {test} ({again})\n\
                 {plan:?}\n{why}"
            )
        })
    };
    if let Some(seed) = knob("EPOCHWAL_CRASH_SEED") {
        one(seed);
        return;
    }
    let all = knob("EPOCHWAL_CRASH_STATES").unwrap_or(STATES);
    let wanted = (all * twelfths).div_ceil(12);
    let first = knob("EPOCHWAL_CRASH_FIRST").unwrap_or(1);
    let (mut looked_at, mut seed) = (0, first);
    while looked_at < wanted {
        let states = one(seed);
        assert!(
            states > per_seed / 2,
            "seed {seed} leads to {states} states only"
        );
        looked_at += states;
        seed += 1;
    }
    println!(
        "{test}: {looked_at} states, seeds {first} to {}\n{coverage}",
        seed - 1
    );
    if all >= STATES {
        coverage.require(covered);
    }
}

/// What every sweep does.
const ALWAYS: [&str; 20] = [
    "batch in an epoch of its own",
    "checkpoint",
    "checkpoint under a reader",
    "crash as an open removes files",
    "crash as an open saves the state",
    "crash as an open writes the tail",
    "epoch of several batches",
    "open after a clean close",
    "open after an unclean end",
    "reader",
    "roll",
    "segment removed",
    "segment removed by an open",
    "segment retired to a spare",
    "segment reused",
    "spare prepared",
    "state saved",
    "state with all its crashes",
    "tail written by an open",
    "batch refused for want of room",
];

#[test]
fn every_operation_with_direct_writes() {
    small(
        "every_operation_with_direct_writes",
        2,
        SyncStyle::Direct,
        &[],
    );
}

#[test]
fn every_operation_with_buffered_writes() {
    small(
        "every_operation_with_buffered_writes",
        2,
        SyncStyle::Buffered,
        &[],
    );
}

#[test]
fn every_operation_of_version_one() {
    let events = ["version 1 segment"];
    small(
        "every_operation_of_version_one",
        1,
        SyncStyle::Buffered,
        &events,
    );
}

#[test]
fn every_operation_where_the_format_changes() {
    let events = ["version 1 segment", "roll"];
    small(
        "every_operation_where_the_format_changes",
        0,
        SyncStyle::Direct,
        &events,
    );
}

/// A small workload of one thread, at each of its operations.
fn small(test: &str, format: u32, style: SyncStyle, events: &[&str]) {
    let plan = |rng: &mut SimRng| {
        let sequencing = [Sequencing::Caller, Sequencing::Coordinator][rng.below(2) as usize];
        Plan::small(format, style, sequencing, rng)
    };
    sweep(test, 1, PER_SMALL_SEED, plan, events);
}

#[test]
fn random_workloads() {
    let events: Vec<_> = ALWAYS.into_iter().chain(["version 1 segment"]).collect();
    sweep("random_workloads", 6, PER_SEED, Plan::random, &events);
}

/// With syncing off a batch survives the process, not the machine. After a
/// power failure the log is a prefix, or it is called corrupt and salvaged:
/// never a wrong record, never a gap. What an opening with syncs finds, and
/// what it adds, holds as ever.
#[test]
fn random_workloads_without_syncs() {
    let events = ["log without syncs refused", "log without syncs salvaged"];
    let events: Vec<_> = ALWAYS.into_iter().chain(events).collect();
    sweep(
        "random_workloads_without_syncs",
        2,
        PER_SEED,
        Plan::without_syncs,
        &events,
    );
}

/// An open with syncs vouches for what sessions without left in the page
/// cache, wherever it stands and however little of the log is checked.
#[test]
fn an_open_with_syncs_makes_durable_what_none_synced() {
    for formats in [[2, 2], [2, 1], [1, 2], [1, 1]] {
        for style in [SyncStyle::Buffered, SyncStyle::Direct] {
            let disk = SimStorage::new();
            let place = common::Place::sim(&disk);
            let options = |format: u32, sync_policy: SyncPolicy| Options {
                sync_policy,
                sync_style: style,
                segment_format: format,
                segment_size: 16 << 10,
                knobs: Knobs {
                    checked_at_open: 0,
                    ..Knobs::default()
                },
                ..common::small()
            };
            for (i, format) in formats.into_iter().enumerate() {
                let wal = place.open(&options(format, SyncPolicy::Off)).unwrap();
                for txn in 1..=5 {
                    common::commit(&wal, txn + 5 * i as u64).unwrap();
                }
                wal.close(common::PATIENCE).unwrap();
            }
            let wal = place.open(&options(2, SyncPolicy::Full)).unwrap();
            assert!(wal.durable_epoch().unwrap() >= Some(10));
            let crashed = common::Place::sim(&disk.crash_nothing());
            let got = crashed.recover(&RecoveryOptions::default());
            let (got, _) = got.unwrap_or_else(|e| panic!("{formats:?} {style:?}: {e:?}"));
            assert_eq!(got.len(), 10, "{formats:?} {style:?}");
        }
    }
}

/// A plan without races leads to the same states each time: that is what the
/// seed in a failure's message is for.
#[test]
fn a_seed_leads_to_the_same_states() {
    let trace = |seed: u64| {
        let mut rng = SimRng::new(seed);
        let plan = Plan {
            race: false,
            threads: 1 + seed % 4,
            ..Plan::random(&mut rng)
        };
        let disk = SimStorage::new();
        let session = session::run(
            &disk,
            ledger::Ledger::default(),
            &plan,
            &mut rng,
            &Coverage::default(),
        );
        let states = session.expect("nothing fails").states;
        let facts = states.iter().map(|s| (s.disk.pending_count(), s.stage));
        facts.collect::<Vec<_>>()
    };
    for seed in 1..=12 {
        assert!(trace(seed) == trace(seed), "seed {seed}");
    }
}
