//! One cell: the arms in turns, each turn timed commit by commit.

use crate::arms::{Arm, Entry, Kind};
use crate::shape::Shape;
use hdrhistogram::Histogram;
use std::path::Path;
use std::sync::Barrier;
use std::time::{Duration, Instant};
use turns::{Disk, cpu_time, latencies};

/// How long, and how often.
pub struct Plan {
    pub rounds: usize,
    pub turn: Duration,
    pub warm_up: Duration,
}

/// What one turn of one arm gave.
pub struct Turn {
    pub commits: u64,
    /// From the common start to the last commit's return.
    pub elapsed: Duration,
    /// Processor time of the whole process. Noise from elsewhere moves it less
    /// than anything else here.
    pub cpu: Duration,
    /// Groups that the arm wrote, where it counts them.
    pub groups: Option<u64>,
    /// Flushes that the device saw, from others too.
    pub flushes: Option<u64>,
    /// Nanoseconds from a commit's call to its return.
    latency: Histogram<u64>,
}

impl Turn {
    pub fn rate(&self) -> f64 {
        self.commits as f64 / self.elapsed.as_secs_f64()
    }

    pub fn p99(&self) -> f64 {
        self.latency.value_at_quantile(0.99) as f64
    }
}

/// An arm's turns of a cell.
pub struct ArmResult {
    pub name: &'static str,
    pub kind: Kind,
    pub turns: Vec<Turn>,
    /// All turns together.
    pub latency: Histogram<u64>,
}

/// Runs the arms in turns: A B C A B C, after a turn each that does not count.
/// A rival that does not open is left out, and said so.
pub fn measure(
    dir: &Path,
    arms: &[Entry],
    shape: Shape,
    threads: usize,
    plan: &Plan,
    disk: &Disk,
) -> Result<Vec<ArmResult>, String> {
    let mut open = Vec::new();
    let mut results = Vec::new();
    for entry in arms {
        let home = dir.join(entry.name);
        std::fs::create_dir(&home).map_err(|e| format!("{}: {e}", home.display()))?;
        let arm = match (entry.open)(&home, threads) {
            Ok(arm) => arm,
            Err(error) if entry.kind == Kind::Rival => {
                eprintln!("{} is left out here: {error}", entry.name);
                continue;
            }
            Err(error) => return Err(format!("{}: {error}", entry.name)),
        };
        open.push(arm);
        results.push(ArmResult {
            name: entry.name,
            kind: entry.kind,
            turns: Vec::new(),
            latency: latencies(),
        });
    }
    for round in 0..=plan.rounds {
        let warm_up = round == 0;
        let length = if warm_up { plan.warm_up } else { plan.turn };
        for (arm, result) in open.iter().zip(&mut results) {
            let turn = take_turn(&**arm, shape, threads, length, disk)
                .and_then(|turn| arm.settle().map(|()| turn))
                .map_err(|e| format!("{}: {e}", result.name))?;
            if !warm_up {
                result.latency += &turn.latency;
                result.turns.push(turn);
            }
        }
    }
    Ok(results)
}

fn take_turn(
    arm: &dyn Arm,
    shape: Shape,
    threads: usize,
    length: Duration,
    disk: &Disk,
) -> Result<Turn, String> {
    let (groups, flushes) = (arm.groups(), disk.flushes());
    let cpu = cpu_time();
    let (ready, go) = (Barrier::new(threads), Barrier::new(threads));
    let parts: Vec<Part> = std::thread::scope(|scope| {
        let start = |thread| {
            let (ready, go) = (&ready, &go);
            scope.spawn(move || commit_for(arm, shape, thread, length, ready, go))
        };
        let handles: Vec<_> = (0..threads).map(start).collect();
        handles
            .into_iter()
            .map(|h| h.join().map_err(|_| "a committer panicked".to_owned())?)
            .collect::<Result<_, String>>()
    })?;
    let cpu = cpu_time().saturating_sub(cpu);
    let began = parts.iter().map(|p| p.began).min();
    let ended = parts.iter().map(|p| p.ended).max();
    let mut latency = latencies();
    for part in &parts {
        latency += &part.latency;
    }
    let since = |now: Option<u64>, then: Option<u64>| Some(now? - then?);
    Ok(Turn {
        commits: latency.len(),
        elapsed: began
            .zip(ended)
            .map_or(Duration::ZERO, |(began, ended)| ended - began),
        cpu,
        groups: since(arm.groups(), groups),
        flushes: since(disk.flushes(), flushes),
        latency,
    })
}

/// One thread's share of a turn.
struct Part {
    began: Instant,
    ended: Instant,
    latency: Histogram<u64>,
}

fn commit_for(
    arm: &dyn Arm,
    shape: Shape,
    thread: usize,
    length: Duration,
    ready: &Barrier,
    go: &Barrier,
) -> Result<Part, String> {
    let frames = shape.frames_of(thread);
    let batch: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
    let mut latency = latencies();
    ready.wait();
    go.wait();
    let began = Instant::now();
    let mut last = began;
    while last - began < length {
        arm.commit(thread, &batch)?;
        let now = Instant::now();
        latency.saturating_record((now - last).as_nanos() as u64);
        last = now;
    }
    Ok(Part {
        began,
        ended: last,
        latency,
    })
}
