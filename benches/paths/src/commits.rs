//! Threads that commit a page each, again and again.

use crate::log::{PAGE, batch, page};
use epochwal::{Coordinator, Frame};
use hdrhistogram::Histogram;
use std::sync::Barrier;
use std::time::{Duration, Instant};
use turns::{latencies, text};

/// What all threads together did.
pub struct Commits {
    /// Commits per second.
    pub rate: f64,
    /// Nanoseconds from a commit's call to its return.
    pub latency: Histogram<u64>,
}

/// Each thread commits one page after the other for so long.
pub fn commit_for(log: &Coordinator, threads: u32, turn: Duration) -> Result<Commits, String> {
    let start = Barrier::new(threads as usize);
    let parts = std::thread::scope(|scope| {
        let committer = |thread| {
            let start = &start;
            scope.spawn(move || one(log, thread, turn, start))
        };
        let handles: Vec<_> = (0..threads).map(committer).collect();
        handles
            .into_iter()
            .map(|h| h.join().map_err(|_| "a committer panicked".to_owned())?)
            .collect::<Result<Vec<_>, String>>()
    })?;
    let mut latency = latencies();
    let mut elapsed = Duration::ZERO;
    for (part, took) in &parts {
        latency += part;
        elapsed = elapsed.max(*took);
    }
    Ok(Commits {
        rate: latency.len() as f64 / elapsed.as_secs_f64(),
        latency,
    })
}

fn one(
    log: &Coordinator,
    thread: u32,
    turn: Duration,
    start: &Barrier,
) -> Result<(Histogram<u64>, Duration), String> {
    let image = page(u64::from(thread), PAGE);
    let frames = [Frame {
        page_number: thread + 1,
        db_size_if_commit: 0,
        data: &image,
    }];
    let mut latency = latencies();
    start.wait();
    let began = Instant::now();
    let mut last = began;
    while last - began < turn {
        log.commit(&batch(&frames), None).map_err(text)?;
        let now = Instant::now();
        latency.saturating_record((now - last).as_nanos() as u64);
        last = now;
    }
    Ok((latency, last - began))
}
