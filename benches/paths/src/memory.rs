//! How much memory a busy coordinator takes, beside what it was allowed.

use crate::child::ask;
use crate::log::{PAGE, batch, checkpoint, options, page};
use crate::sides::{Finding, Plan};
use epochwal::{Coordinator, Frame, Options};
use std::path::Path;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;
use turns::{Goal, text};

const THREADS: u64 = 64;
const COMMITS: u64 = 1_000_000;
/// The default limit, in MiB.
const LIMIT: u64 = 256;
/// After how many submits a thread waits: each, and so that the threads
/// together want all that they may have.
const CASES: [(&str, u64); 2] = [("each waited for", 1), ("1024 in flight each", 1024)];

pub fn measure(plan: &Plan) -> Result<Vec<Finding>, String> {
    let commits = COMMITS / plan.share;
    let case = |(what, wait_every): (&str, u64)| {
        let dir = plan.scratch.subdir()?;
        let database = dir.path().join("db").to_string_lossy().into_owned();
        let numbers = [commits, LIMIT, wait_every].map(|n| n.to_string());
        let mut arguments = vec![database];
        arguments.extend(numbers);
        let figures = ask("memory", &arguments)?;
        let [grown] = figures[..] else {
            return Err(format!("the child said {figures:?}"));
        };
        Ok(Finding::beside_limit(
            format!("memory, {commits} commits, {what}"),
            "MiB",
            Goal::AtMost(1.1),
            ("growth", grown),
            ("max_memory", LIMIT as f64),
        ))
    };
    CASES.into_iter().map(case).collect()
}

/// Prints by how many MiB the process grew at its largest.
pub fn child(arguments: &[String]) -> Result<(), String> {
    let [database, commits, limit, wait_every] = arguments else {
        return Err("memory wants a database, commits, a limit and a distance".into());
    };
    let number = |text: &str| text.parse::<u64>().map_err(|e| format!("{text}: {e}"));
    let (each, wait_every) = (number(commits)? / THREADS, number(wait_every)?);
    let options = Options {
        max_memory: number(limit)? << 20,
        ..options()
    };
    let ready = Barrier::new(THREADS as usize + 1);
    let opened = Barrier::new(THREADS as usize + 1);
    let log = std::sync::OnceLock::new();
    std::thread::scope(|scope| {
        let committer = |thread| {
            let (ready, opened, log) = (&ready, &opened, &log);
            scope.spawn(move || {
                let image = page(thread, PAGE);
                ready.wait();
                opened.wait();
                match log.get() {
                    Some(log) => commit(log, thread, &image, each, wait_every),
                    None => Ok(()),
                }
            })
        };
        let handles: Vec<_> = (0..THREADS).map(committer).collect();
        // The threads and their pages are no part of it.
        ready.wait();
        let before = peak()?;
        let open = Coordinator::open(Path::new(database), &options).map_err(text);
        let open = open.map(|opened| log.get_or_init(|| opened));
        opened.wait();
        let open = open?;
        let done = keep_short(open, handles);
        println!("{}", (peak()? - before) / 1024.0);
        done
    })
}

fn commit(
    log: &Coordinator,
    thread: u64,
    image: &[u8],
    each: u64,
    wait_every: u64,
) -> Result<(), String> {
    let frames = [Frame {
        page_number: thread as u32 + 1,
        db_size_if_commit: 0,
        data: image,
    }];
    for count in 1..=each {
        let ticket = log.submit(&batch(&frames)).map_err(text)?;
        if count % wait_every == 0 {
            log.wait(ticket.epoch, None).map_err(text)?;
        }
    }
    log.flush(None).map(|_| ()).map_err(text)
}

/// Checkpoints until all have committed.
fn keep_short(
    log: &Coordinator,
    committers: Vec<std::thread::ScopedJoinHandle<Result<(), String>>>,
) -> Result<(), String> {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let keeper = scope.spawn(|| {
            while !over.load(Relaxed) {
                checkpoint(log)?;
                std::thread::sleep(Duration::from_millis(100));
            }
            Ok::<(), String>(())
        });
        let mut done = Ok(());
        for committer in committers {
            let one = committer.join().map_err(|_| "a committer panicked")?;
            done = done.and(one);
        }
        over.store(true, Relaxed);
        keeper.join().map_err(|_| "the keeper panicked")?.and(done)
    })
}

/// The most memory that the process has had, in KiB.
fn peak() -> Result<f64, String> {
    let status = std::fs::read_to_string("/proc/self/status").map_err(text)?;
    status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|value| value.trim().trim_end_matches(" kB").parse().ok())
        .ok_or("the kernel tells no peak of memory".into())
}
