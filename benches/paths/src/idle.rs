//! What a coordinator costs on which nobody calls.

use crate::child::ask;
use crate::log::{batch, options, page};
use crate::sides::{Finding, Plan};
use epochwal::{Coordinator, Frame};
use std::time::Duration;
use turns::{Goal, cpu_time, text};

const SECONDS: u64 = 10;

pub fn measure(plan: &Plan) -> Result<Vec<Finding>, String> {
    let dir = plan.scratch.subdir()?;
    let seconds = (SECONDS / plan.share).max(1);
    let database = dir.path().join("db").to_string_lossy().into_owned();
    let figures = ask("idle", &[database, seconds.to_string()])?;
    let [cpu, switches] = figures[..] else {
        return Err(format!("the child said {figures:?}"));
    };
    let nothing = Goal::AtMost(0.0);
    let finding = |what: &str, unit, figure| {
        let what = format!("idle for {seconds} s: {what}");
        Finding::alone(what, unit, nothing, ("coordinator", figure))
    };
    Ok(vec![
        finding("processor time", "us", cpu),
        finding("wake-ups", "times", switches),
    ])
}

/// Prints microseconds of the processors and wake-ups, of all threads but the
/// one that sleeps here.
pub fn child(arguments: &[String]) -> Result<(), String> {
    let [database, seconds] = arguments else {
        return Err("idle wants a database and seconds".into());
    };
    let seconds = Duration::from_secs(seconds.parse().map_err(text)?);
    let log = Coordinator::open(database.as_ref(), &options()).map_err(text)?;
    let image = page(0, 4096);
    let frames = [Frame {
        page_number: 1,
        db_size_if_commit: 0,
        data: &image,
    }];
    // A batch on which nobody waits, so that the ticker has work, and a
    // while in which it does it.
    log.submit(&batch(&frames)).map_err(text)?;
    std::thread::sleep(Duration::from_millis(500));
    let (cpu, switches) = (cpu_of_others(), switches_of_others()?);
    std::thread::sleep(seconds);
    let cpu = cpu_of_others().saturating_sub(cpu);
    let switches = switches_of_others()? - switches;
    println!("{} {switches}", cpu.as_secs_f64() * 1e6);
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
