//! Acknowledgements of many replicas at once: what one costs, and what all of
//! them write.

use super::{SMALL, record};
use crate::log::page as bytes;
use crate::sides::{Finding, Plan};
use epochwal::primary::{Ack, Primary, PrimaryOptions, PrimaryStats, Registration};
use epochwal::spool::SpoolOptions;
use std::time::{Duration, Instant};
use turns::{Disk, Goal, Spread, text};

const SLOTS: u64 = 10_000;
const THREADS: [u64; 2] = [1, 4];
/// Saves are a second apart, so that a shorter turn says nothing of them.
const LEAST: Duration = Duration::from_secs(2);

/// What a turn gave.
#[derive(Clone, Copy)]
struct Turn {
    /// Nanoseconds of one thread.
    ack: f64,
    acks: f64,
    saves: f64,
    kib: f64,
    /// Everyone's.
    flushes: Option<f64>,
}

pub fn measure(plan: &Plan) -> Result<Vec<Finding>, String> {
    let slots = SLOTS / plan.share;
    let dir = plan.scratch.subdir()?;
    let database = dir.path().join("db");
    let options = PrimaryOptions {
        // The end is far ahead of all of them.
        horizon_lsns: None,
        ..PrimaryOptions::default()
    };
    let primary = Primary::open(&database, &SpoolOptions::default(), &options).map_err(text)?;
    let mut replicas = Vec::new();
    for number in 0..slots {
        let id = format!("replica-{number}");
        let registration = primary.register(&id, None).map_err(text)?;
        replicas.push((id, registration));
    }
    // Far enough that each acknowledgement raises its slot.
    let end = u64::from(u32::MAX);
    let spool = primary.spool().ok_or("it was opened over one")?;
    spool
        .append(&[record(end, &bytes(0, SMALL))], None)
        .map_err(text)?;
    let disk = Disk::of(dir.path())?;
    let length = plan.turn.max(LEAST);
    let mut lsn = 0;
    let mut found = Vec::new();
    for threads in THREADS {
        let mut turns = Vec::new();
        for round in 0..=plan.rounds {
            let turn = turn(&primary, &replicas, threads, &mut lsn, length, &disk)?;
            if round > 0 {
                turns.push(turn);
            }
        }
        found.extend(findings(&turns, slots, threads));
    }
    primary.close().map_err(text)?;
    Ok(found)
}

fn findings(turns: &[Turn], slots: u64, threads: u64) -> Vec<Finding> {
    let finding = |what: &str, unit, goal, of: fn(&Turn) -> f64| {
        let threads = match threads {
            1 => "1 thread".to_owned(),
            more => format!("{more} threads"),
        };
        let what = format!("{slots} slots, {threads}: {what}");
        Finding::alone(what, unit, goal, ("acks", Spread::of(turns.iter().map(of))))
    };
    // A turn may begin and end with a save.
    let mut found = vec![
        finding("an acknowledgement", "ns", None, |t| t.ack),
        finding("all together", "acks/s", None, |t| t.acks),
        finding("saves", "per s", Some(Goal::AtMost(2.0)), |t| t.saves),
        finding("saved", "KiB/s", None, |t| t.kib),
    ];
    if turns.iter().all(|t| t.flushes.is_some()) {
        found.push(finding("the device's flushes", "per s", None, |t| {
            t.flushes.unwrap_or(0.0)
        }));
    }
    found
}

/// Acknowledges for a time, each thread for slots of its own; `lsn` rises.
fn turn(
    primary: &Primary,
    replicas: &[(String, Registration)],
    threads: u64,
    lsn: &mut u64,
    length: Duration,
    disk: &Disk,
) -> Result<Turn, String> {
    let before = (primary.stats(), disk.flushes());
    let began = Instant::now();
    let first = *lsn + 1;
    let share = replicas.len().div_ceil(threads as usize);
    let rounds = std::thread::scope(|scope| {
        let storm = |own| scope.spawn(move || storm(primary, own, first, length));
        let handles: Vec<_> = replicas.chunks(share).map(storm).collect();
        handles
            .into_iter()
            .map(|h| h.join().map_err(|_| "a thread panicked".to_owned())?)
            .collect::<Result<Vec<u64>, String>>()
    })?;
    let seconds = began.elapsed().as_secs_f64();
    let after = (primary.stats(), disk.flushes());
    *lsn = first + rounds.into_iter().max().unwrap_or(0);
    let risen = |of: fn(&PrimaryStats) -> u64| (of(&after.0) - of(&before.0)) as f64;
    let acks = risen(|s| s.acks);
    Ok(Turn {
        ack: seconds * 1e9 * threads as f64 / acks,
        acks: acks / seconds,
        saves: risen(|s| s.saves) / seconds,
        kib: risen(|s| s.save_bytes) / 1024.0 / seconds,
        flushes: (after.1.zip(before.1)).map(|(now, then)| (now - then) as f64 / seconds),
    })
}

/// Replica after replica, round after round; says how many rounds.
fn storm(
    primary: &Primary,
    replicas: &[(String, Registration)],
    first: u64,
    length: Duration,
) -> Result<u64, String> {
    let began = Instant::now();
    let mut rounds = 0;
    while began.elapsed() < length {
        let lsn = first + rounds;
        let ack = Ack {
            written: lsn,
            durable: lsn,
            applied: lsn,
            ..Ack::default()
        };
        for (id, registration) in replicas {
            primary
                .ack(id, registration.generation, &ack)
                .map_err(text)?;
        }
        rounds += 1;
    }
    Ok(rounds)
}
