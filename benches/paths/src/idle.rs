//! What a coordinator costs on which nobody calls, and a primary over its spool.

use crate::child::ask;
use crate::log::{batch, options, page};
use crate::sides::{Finding, Plan};
use epochwal::primary::{Ack, Primary, PrimaryOptions};
use epochwal::spool::{Record, SpoolOptions};
use epochwal::{Coordinator, Frame};
use std::path::Path;
use std::time::Duration;
use turns::{Goal, Spread, cpu_time, text};

const SECONDS: u64 = 10;
/// In which what is left to do is done: by the ticker at once, by the saver of
/// slots within a second.
const SETTLING: Duration = Duration::from_millis(1500);

pub fn measure(plan: &Plan) -> Result<Vec<Finding>, String> {
    let seconds = (SECONDS / plan.share).max(1);
    let mut found = Vec::new();
    for what in ["coordinator", "primary"] {
        let dir = plan.scratch.subdir()?;
        let database = dir.path().join("db").to_string_lossy().into_owned();
        let figures = ask("idle", &[what.to_owned(), database, seconds.to_string()])?;
        let [cpu, switches] = figures[..] else {
            return Err(format!("the child said {figures:?}"));
        };
        let finding = |figure_of: &str, unit, figure| {
            let title = format!("idle for {seconds} s: {figure_of}");
            let nothing = Some(Goal::AtMost(0.0));
            Finding::alone(title, unit, nothing, (what, Spread::of([figure])))
        };
        found.push(finding("processor time", "us", cpu));
        found.push(finding("wake-ups", "times", switches));
    }
    Ok(found)
}

/// Prints microseconds of the processors and wake-ups, of all threads but the
/// one that sleeps here.
pub fn child(arguments: &[String]) -> Result<(), String> {
    let [what, database, seconds] = arguments else {
        return Err("idle wants what, a database and seconds".into());
    };
    let seconds = Duration::from_secs(seconds.parse().map_err(text)?);
    match what.as_str() {
        "coordinator" => coordinator(database.as_ref(), seconds),
        _ => primary(database.as_ref(), seconds),
    }
}

/// With a batch on which nobody waits, so that the ticker has work.
fn coordinator(database: &Path, seconds: Duration) -> Result<(), String> {
    let log = Coordinator::open(database, &options()).map_err(text)?;
    let image = page(0, 4096);
    let frames = [Frame {
        page_number: 1,
        db_size_if_commit: 0,
        data: &image,
    }];
    log.submit(&batch(&frames)).map_err(text)?;
    watch(seconds)
}

/// With an acknowledgement that is to be saved, and a replica that waits for
/// records.
fn primary(database: &Path, seconds: Duration) -> Result<(), String> {
    let options = (SpoolOptions::default(), PrimaryOptions::default());
    let primary = Primary::open(database, &options.0, &options.1).map_err(text)?;
    let spool = primary.spool().ok_or("it was opened over one")?;
    let replica = primary.register("replica", None).map_err(text)?;
    let record = Record {
        term: 1,
        lsn: 1,
        timestamp_ms: 0,
        payload: b"a change",
    };
    spool.append(&[record], None).map_err(text)?;
    let ack = Ack {
        written: 1,
        durable: 1,
        applied: 1,
        ..Ack::default()
    };
    primary
        .ack("replica", replica.generation, &ack)
        .map_err(text)?;
    std::thread::scope(|scope| {
        scope.spawn(|| spool.wait_after(1, None));
        let watched = watch(seconds);
        let closed = primary.close().map_err(text);
        watched.and(closed)
    })
}

fn watch(seconds: Duration) -> Result<(), String> {
    std::thread::sleep(SETTLING);
    let (cpu, switches) = (cpu_of_others(), switches_of_others()?);
    std::thread::sleep(seconds);
    let cpu = cpu_of_others().saturating_sub(cpu);
    let switches = switches_of_others()? - switches;
    // In whole microseconds: looking at two clocks takes a part of one.
    println!("{} {switches}", cpu.as_micros());
    Ok(())
}

fn cpu_of_others() -> Duration {
    let mut mine = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the clock is every thread's own, and `mine` is there to write.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut mine) };
    cpu_time().saturating_sub(Duration::new(mine.tv_sec as u64, mine.tv_nsec as u32))
}

/// How often a thread other than this one has slept so far.
fn switches_of_others() -> Result<u64, String> {
    // SAFETY: a question without arguments.
    let me = unsafe { libc::gettid() }.to_string();
    let mut sum = 0;
    for task in std::fs::read_dir("/proc/self/task").map_err(text)? {
        let task = task.map_err(text)?;
        if task.file_name() == me.as_str() {
            continue;
        }
        let status = std::fs::read_to_string(task.path().join("status")).map_err(text)?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        sum += line
            .and_then(|count| count.trim().parse::<u64>().ok())
            .ok_or("the kernel counts no switches")?;
    }
    Ok(sum)
}
