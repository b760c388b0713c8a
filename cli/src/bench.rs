//! `bench`: how many durable commits a second a disk gives, beside how many
//! times a second it can be synced at all.

use crate::args::BenchArgs;
use crate::exit::{Exit, Failure};
use crate::progress::Progress;
use crate::show;
use epochwal::coordinator::{Coordinator, Options};
use epochwal::storage::{OpenMode, RealStorage, Storage, write_all_at};
use epochwal::{Batch, Frame};
use hdrhistogram::Histogram;
use serde_json::{Value, json};
use signal_hook::consts::{SIGINT, SIGTERM};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Bytes of the file that is written and synced over and over.
const PLAIN_FILE: u64 = 16 << 20;
/// What is checkpointed, and shown, each time.
const TICK: Duration = Duration::from_millis(50);

pub fn run(args: &BenchArgs, out: &mut impl Write) -> Result<Exit, Failure> {
    let interrupted = Interrupted::listen().map_err(Failure::Output)?;
    let measured = measure(args, &interrupted);
    // By now the folder is gone, and the end is that which was asked for.
    interrupted.end();
    let (plain, runs, style) = measured?;
    if args.json {
        writeln!(out, "{:#}", to_json(args, &plain, &runs, &style))?;
    } else {
        write_text(args, &plain, &runs, &style, out)?;
    }
    Ok(Exit::Clean)
}

/// The signal that asks for an end, such as Ctrl-C's: the folder has to go first.
struct Interrupted(Arc<AtomicUsize>);

impl Interrupted {
    fn listen() -> io::Result<Interrupted> {
        let signal = Arc::new(AtomicUsize::new(0));
        for one in [SIGINT, SIGTERM] {
            signal_hook::flag::register_usize(one, signal.clone(), one as usize)?;
        }
        Ok(Interrupted(signal))
    }

    fn is(&self) -> bool {
        self.0.load(Ordering::Relaxed) != 0
    }

    /// Ends as the signal would have done.
    fn end(&self) {
        match self.0.load(Ordering::Relaxed) {
            0 => {}
            signal => {
                let _ = signal_hook::low_level::emulate_default_handler(signal as i32);
            }
        }
    }
}

/// What the disk gives, what it gives through a log with each number of threads,
/// and how that was written.
fn measure(args: &BenchArgs, until: &Interrupted) -> Result<(Run, Vec<Run>, String), Failure> {
    let folder = Folder::make(&args.dir)?;
    let time = Duration::from_secs_f64(args.seconds);
    let progress = Progress::steps(1 + args.threads.len() as u64);
    let plain = plain(&folder.0, args.size, time, until)?;
    progress.step();
    let mut runs = Vec::new();
    let mut style = String::new();
    for threads in &args.threads {
        let run = commits(&folder.0, *threads, args.size, time, until)?;
        style.clone_from(&run.style);
        runs.push(run);
        progress.step();
    }
    progress.done();
    Ok((plain, runs, style))
}

/// A folder of its own on the disk that is measured; gone in the end.
struct Folder(PathBuf);

impl Folder {
    fn make(dir: &Path) -> Result<Folder, Failure> {
        let path = dir.join(format!("epochwal-bench-{}", std::process::id()));
        match fs::create_dir(&path) {
            Ok(()) => Ok(Folder(path)),
            Err(error) => Err(Failure::File(path, error)),
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Durable writes or commits of some threads.
struct Run {
    threads: u32,
    elapsed: Duration,
    /// In nanoseconds.
    latency: Histogram<u64>,
    /// Commits that share a sync.
    per_group: Option<f64>,
    style: String,
}

impl Run {
    fn per_second(&self) -> f64 {
        self.latency.len() as f64 / self.elapsed.as_secs_f64()
    }
}

/// Nanoseconds up to an hour, to a thousandth.
fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 3_600_000_000_000, 3).expect("right bounds")
}

fn note(latency: &mut Histogram<u64>, begun: Instant) {
    let nanos = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
    latency.saturating_record(nanos.max(1));
}

/// What the disk gives a program that writes and syncs by itself: into a file
/// that has its blocks already.
fn plain(dir: &Path, size: u32, time: Duration, until: &Interrupted) -> Result<Run, Failure> {
    let path = dir.join("plain");
    let fail = |error| Failure::File(path.clone(), error);
    let file = RealStorage.open(&path, OpenMode::CreateNew).map_err(fail)?;
    write_all_at(&*file, &vec![0; PLAIN_FILE as usize], 0, 1).map_err(fail)?;
    file.sync_all().map_err(fail)?;
    let data = vec![0x5a; size as usize];
    let mut latency = histogram();
    let mut at = 0;
    let begun = Instant::now();
    while begun.elapsed() < time && !until.is() {
        let one = Instant::now();
        write_all_at(&*file, &data, at, 1).map_err(fail)?;
        file.sync_data().map_err(fail)?;
        note(&mut latency, one);
        at = (at + u64::from(size)) % (PLAIN_FILE - u64::from(size));
    }
    Ok(Run {
        threads: 1,
        elapsed: begun.elapsed(),
        latency,
        per_group: None,
        style: String::new(),
    })
}

/// Commits of one page each by some threads, each of which waits for its own.
fn commits(
    dir: &Path,
    threads: u32,
    size: u32,
    time: Duration,
    until: &Interrupted,
) -> Result<Run, Failure> {
    let wal = Coordinator::open(&dir.join(format!("{threads}.db")), &Options::default())?;
    let (next, over) = (AtomicU64::new(1), AtomicBool::new(false));
    let begun = Instant::now();
    let latencies: Vec<_> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|_| scope.spawn(|| commit_until(&wal, size, &next, &over)))
            .collect();
        let kept = keep_small(&wal, begun + time, until);
        over.store(true, Ordering::Relaxed);
        let results = workers.into_iter().map(|worker| match worker.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        kept.and_then(|()| results.collect::<epochwal::Result<_>>())
    })?;
    let elapsed = begun.elapsed();
    let stats = wal.stats()?;
    wal.close(None)?;
    let mut latency = histogram();
    for one in &latencies {
        latency.add(one).expect("histograms of one kind");
    }
    Ok(Run {
        threads,
        elapsed,
        latency,
        per_group: (stats.groups > 0).then(|| stats.batches as f64 / stats.groups as f64),
        style: format!("{:?}", stats.sync_style).to_lowercase(),
    })
}

/// Commits until it is over; gives how long each took.
fn commit_until(
    wal: &Coordinator,
    size: u32,
    next: &AtomicU64,
    over: &AtomicBool,
) -> epochwal::Result<Histogram<u64>> {
    let data = vec![0xa5; size as usize];
    let mut latency = histogram();
    while !over.load(Ordering::Relaxed) {
        let commit_seq = next.fetch_add(1, Ordering::Relaxed);
        let frames = [Frame {
            page_number: 1 + (commit_seq % 1000) as u32,
            db_size_if_commit: 1000,
            data: &data,
        }];
        let batch = Batch {
            txn_id: commit_seq,
            txn_epoch: 0,
            commit_seq,
            frames: &frames,
            metadata: b"",
        };
        let one = Instant::now();
        wal.commit(&batch, None)?;
        note(&mut latency, one);
    }
    Ok(latency)
}

/// Checkpoints as a database does, so that segments are used again.
fn keep_small(wal: &Coordinator, end: Instant, until: &Interrupted) -> epochwal::Result<()> {
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() || until.is() {
            return Ok(());
        }
        thread::sleep(left.min(TICK));
        if let Some(epoch) = wal.durable_epoch()? {
            wal.checkpoint(epoch)?;
        }
    }
}

const PARTS: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p999", 0.999)];

fn micros(nanos: u64) -> f64 {
    nanos as f64 / 1000.0
}

fn write_text(
    args: &BenchArgs,
    plain: &Run,
    runs: &[Run],
    style: &str,
    out: &mut impl Write,
) -> io::Result<()> {
    writeln!(
        out,
        "{}: {} bytes each, {} s each, sync style {style}",
        show::path(&args.dir),
        args.size,
        args.seconds
    )?;
    let titles = [
        "",
        "threads",
        "per s",
        "of disk",
        "per group",
        "p50 us",
        "p90 us",
        "p99 us",
        "p99.9 us",
        "max us",
    ];
    let mut rows = vec![titles.map(str::to_owned).to_vec()];
    let named = std::iter::once(("write and sync", plain));
    for (name, run) in named.chain(runs.iter().map(|run| ("commit", run))) {
        let mut row = vec![
            name.to_owned(),
            run.threads.to_string(),
            format!("{:.0}", run.per_second()),
            format!("{:.2}", run.per_second() / plain.per_second()),
            run.per_group
                .map_or_else(|| "1".into(), |n| format!("{n:.1}")),
        ];
        let parts = PARTS.map(|(_, part)| run.latency.value_at_quantile(part));
        let all = parts.into_iter().chain([run.latency.max()]);
        row.extend(all.map(|nanos| format!("{:.0}", micros(nanos))));
        rows.push(row);
    }
    let style = |row, _| match row {
        0 => crate::paint::TITLE,
        _ => anstyle::Style::new(),
    };
    show::write_table(&rows, style, out)
}

fn to_json(args: &BenchArgs, plain: &Run, runs: &[Run], style: &str) -> Value {
    let latency = |run: &Run| {
        let mut members: serde_json::Map<_, _> = PARTS
            .iter()
            .map(|(name, part)| {
                let nanos = run.latency.value_at_quantile(*part);
                ((*name).to_owned(), micros(nanos).into())
            })
            .collect();
        members.insert("max".into(), micros(run.latency.max()).into());
        members.insert("mean".into(), (run.latency.mean() / 1000.0).into());
        Value::from(members)
    };
    json!({
        "directory": show::path_text(&args.dir),
        "size": args.size,
        "seconds": args.seconds,
        "sync_style": style,
        "disk": {
            "writes": plain.latency.len(),
            "writes_per_second": plain.per_second(),
            "latency_us": latency(plain),
        },
        "commits": runs.iter().map(|run| json!({
            "threads": run.threads,
            "commits": run.latency.len(),
            "commits_per_second": run.per_second(),
            "ratio_to_disk": run.per_second() / plain.per_second(),
            "commits_per_group": run.per_group,
            "latency_us": latency(run),
        })).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::{PARTS, histogram, micros};

    #[test]
    fn percentiles_are_right_to_a_thousandth() {
        let mut latency = histogram();
        for micro in 1..=1000 {
            latency.saturating_record(micro * 1000);
        }
        let parts = PARTS.map(|(_, part)| micros(latency.value_at_quantile(part)));
        for (found, exact) in parts.into_iter().zip([500.0, 900.0, 990.0, 999.0]) {
            assert!((found - exact).abs() <= exact / 1000.0, "{found} {exact}");
        }
        // What is longer counts as the longest.
        latency.saturating_record(u64::MAX);
        assert!(latency.max() >= 3_600_000_000_000);
    }
}
