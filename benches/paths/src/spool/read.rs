//! A thousand records from the middle of a log, however long it is.

use super::{GROUP, PAGE, SMALL, open, write};
use crate::sides::{Finding, Plan, side};
use epochwal::spool::{Spool, SpoolOptions};
use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::time::Instant;
use turns::{Goal, text};

/// Records of the logs that are read from, the one that others are held
/// against first.
const COUNTS: [u64; 3] = [10_000, 100_000, 1_000_000];
/// Reads of a turn.
const READS: u32 = 50;

pub fn measure(plan: &Plan) -> Result<Vec<Finding>, String> {
    let dir = plan.scratch.subdir()?;
    let mut spools = Vec::new();
    for count in COUNTS {
        let database = dir.path().join(format!("of-{count}"));
        write(&database, count, SMALL, GROUP)?;
        // Opened anew, so that all of it is read from its files.
        spools.push((count, open(&database, &SpoolOptions::default())?));
    }
    let mut found = Vec::new();
    let (few, short) = &spools[0];
    for (count, spool) in &spools[1..] {
        found.push(Finding::in_turns(
            plan,
            format!("1000 records from the middle of {count}"),
            "us",
            Some(Goal::AtMost(1.25)),
            side("of it", || warm(spool, *count)),
            side("of 10000", || warm(short, *few)),
        )?);
        found.push(Finding::in_turns(
            plan,
            format!("the same, {count} records not in the page cache"),
            "us",
            None,
            side("of it", || cold(spool, dir.path(), *count)),
            side("of 10000", || cold(short, dir.path(), *few)),
        )?);
    }
    #[cfg(feature = "rivals")]
    found.push(beside_raft(plan, &spools[2])?);
    drop(spools);
    for count in COUNTS {
        let database = dir.path().join(format!("of-{count}"));
        found.push(Finding::by_itself(
            plan,
            format!("open, then 1000 records from the middle of {count}"),
            "us",
            None,
            side("first read", || first_read(&database, count)),
        )?);
    }
    Ok(found)
}

fn read(spool: &Spool, count: u64) -> Result<(), String> {
    let records = spool.read_since(count / 2, PAGE).map_err(text)?;
    match records.last().map(|r| r.lsn) {
        Some(last) if last == count / 2 + PAGE.records as u64 => Ok(()),
        last => Err(format!("the last record read is {last:?}")),
    }
}

fn warm(spool: &Spool, count: u64) -> Result<f64, String> {
    let began = Instant::now();
    for _ in 0..READS {
        read(spool, count)?;
    }
    Ok(began.elapsed().as_secs_f64() * 1e6 / f64::from(READS))
}

/// One read, whose records are where its marks say, and nowhere in memory.
fn cold(spool: &Spool, dir: &Path, count: u64) -> Result<f64, String> {
    for file in std::fs::read_dir(dir).map_err(text)? {
        let file = file.map_err(text)?;
        if file.file_type().map_err(text)?.is_file() {
            forget(&file.path())?;
        }
    }
    let began = Instant::now();
    read(spool, count)?;
    Ok(began.elapsed().as_secs_f64() * 1e6)
}

/// Takes a file out of the page cache.
fn forget(path: &Path) -> Result<(), String> {
    let file = File::open(path).map_err(text)?;
    file.sync_data().map_err(text)?;
    // SAFETY: the descriptor is open, and nothing is read or written.
    let failed = unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
    match failed {
        0 => Ok(()),
        e => Err(format!(
            "posix_fadvise: {}",
            std::io::Error::from_raw_os_error(e)
        )),
    }
}

/// What a segment of an earlier session costs its first reader: the page
/// cache has it, the spool knows nothing of it.
fn first_read(database: &Path, count: u64) -> Result<f64, String> {
    let spool = open(database, &SpoolOptions::default())?;
    let began = Instant::now();
    read(&spool, count)?;
    let took = began.elapsed();
    spool.close(None).map_err(text)?;
    Ok(took.as_secs_f64() * 1e6)
}

#[cfg(feature = "rivals")]
fn beside_raft(plan: &Plan, (count, spool): &(u64, Spool)) -> Result<Finding, String> {
    let dir = plan.scratch.subdir()?;
    super::raft::Raft::write(dir.path(), *count, SMALL)?;
    let raft = super::raft::Raft::open(dir.path())?;
    Finding::in_turns(
        plan,
        format!("1000 records from the middle of {count}"),
        "us",
        None,
        side("read_since", || warm(spool, *count)),
        side("raft-engine", || {
            let began = Instant::now();
            for _ in 0..READS {
                raft.read_since(count / 2, PAGE.records as u64)?;
            }
            Ok(began.elapsed().as_secs_f64() * 1e6 / f64::from(READS))
        }),
    )
}
