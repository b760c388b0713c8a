//! What those who follow the end cost those who append.

use super::{SMALL, open, record};
use crate::log::page as bytes;
use crate::sides::{Finding, Plan, side};
use epochwal::ErrorKind;
use epochwal::spool::{Cursor, ReadLimit, Spool, SpoolOptions};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};
use turns::{Goal, Spread, text};

/// Threads that append.
const APPENDERS: usize = 4;
const FOLLOWERS: [usize; 2] = [1, 10];

/// What a turn gave.
struct Turn {
    /// Appends per second.
    rate: f64,
    /// Bytes read from files for each one that was appended.
    reads: f64,
}

pub fn measure(plan: &Plan) -> Result<Vec<Finding>, String> {
    let dir = plan.scratch.subdir()?;
    let log = |name| open(&dir.path().join(name), &SpoolOptions::default());
    let (followed, alone) = (log("followed")?, log("alone")?);
    let mut found = Vec::new();
    for followers in FOLLOWERS {
        let mut reads = Vec::new();
        found.push(Finding::in_turns(
            plan,
            format!("appends of {APPENDERS} threads, {followers} following"),
            "appends/s",
            None,
            side("followed", || {
                let turn = turn(&followed, followers, plan.turn)?;
                reads.push(turn.reads);
                Ok(turn.rate)
            }),
            side("alone", || Ok(turn(&alone, 0, plan.turn)?.rate)),
        )?);
        found.push(Finding::alone(
            format!("{followers} following: bytes read from files"),
            "per byte",
            Some(Goal::AtMost(0.0)),
            ("reads", Spread::of(reads)),
        ));
    }
    Ok(found)
}

/// Appends for a time, followed by so many, each of whom gets every record.
fn turn(spool: &Spool, followers: usize, length: Duration) -> Result<Turn, String> {
    let first = spool.bounds().current_lsn;
    let cursors: Result<Vec<_>, _> = (0..followers).map(|_| spool.cursor(first)).collect();
    let (read, own) = read_bytes()?;
    let end = AtomicU64::new(u64::MAX);
    let next = Mutex::new(first + 1);
    let began = Instant::now();
    std::thread::scope(|scope| {
        let follow = |cursor| scope.spawn(|| follow_to(cursor, &end));
        let following: Vec<_> = cursors.map_err(text)?.into_iter().map(follow).collect();
        let append = |_| scope.spawn(|| append_for(spool, &next, length));
        let appending: Vec<_> = (0..APPENDERS).map(append).collect();
        let join = |h: std::thread::ScopedJoinHandle<'_, Result<(), String>>| {
            h.join().map_err(|_| "a thread panicked".to_owned())?
        };
        let appended: Result<(), String> = appending.into_iter().try_for_each(join);
        let took = began.elapsed();
        end.store(spool.bounds().current_lsn, SeqCst);
        let followed: Result<(), String> = following.into_iter().try_for_each(join);
        appended.and(followed)?;
        let appends = (spool.bounds().current_lsn - first) as f64;
        let turn = Turn {
            rate: appends / took.as_secs_f64(),
            reads: (read_bytes()?.0 - read - own) as f64 / (appends * SMALL as f64),
        };
        spool
            .prune_through(spool.bounds().current_lsn)
            .map_err(text)?;
        Ok(turn)
    })
}

fn append_for(spool: &Spool, next: &Mutex<u64>, length: Duration) -> Result<(), String> {
    let payload = bytes(1, SMALL);
    let began = Instant::now();
    while began.elapsed() < length {
        let ticket = {
            let mut next = next.lock().map_err(text)?;
            let ticket = spool.submit(&[record(*next, &payload)]).map_err(text)?;
            *next += 1;
            ticket
        };
        spool.wait(ticket, None).map_err(text)?;
    }
    Ok(())
}

fn follow_to(mut cursor: Cursor<'_>, end: &AtomicU64) -> Result<(), String> {
    let mut last = cursor.lsn();
    while last < end.load(SeqCst) {
        let batch = cursor.next_batch(ReadLimit::default(), Some(Duration::from_millis(20)));
        let records = match batch {
            // To see that all has come.
            Err(e) if e.kind() == ErrorKind::Timeout => continue,
            batch => batch.map_err(text)?,
        };
        for record in records {
            if record.lsn != last + 1 {
                return Err(format!("{} comes behind {last}", record.lsn));
            }
            last = record.lsn;
        }
    }
    Ok(())
}

/// Bytes that this process has read from files so far, and those of finding
/// out.
fn read_bytes() -> Result<(u64, u64), String> {
    let io = std::fs::read_to_string("/proc/self/io").map_err(text)?;
    let read = io.lines().find_map(|line| line.strip_prefix("rchar: "));
    let read = read.and_then(|n| n.parse().ok());
    let read = read.ok_or("the kernel counts no reads")?;
    Ok((read, io.len() as u64))
}
