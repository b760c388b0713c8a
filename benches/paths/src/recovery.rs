//! Recovery against reading and copying: of a log in the page cache, in which
//! each page stands once.

use crate::log::{Order, PAGE, write};
use crate::sides::{Finding, Plan, side};
use epochwal::recovery::{list_segments, recover_into_file};
use epochwal::{Recovery, RecoveryOptions};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;
use turns::{Goal, text};

/// 1 GiB of pages.
pub const PAGES: u32 = 1 << 18;

pub fn measure(plan: &Plan) -> Result<Vec<Finding>, String> {
    let pages = PAGES / plan.share as u32;
    let dir = plan.scratch.subdir()?;
    let database = dir.path().join("db");
    write(&database, pages, Order::Ascending)?;
    let mut found = vec![stream(plan, &database, pages)?];
    found.push(into_file(
        plan,
        &database,
        "recover into a file, pages in order",
    )?);
    drop(dir);
    let dir = plan.scratch.subdir()?;
    let database = dir.path().join("db");
    write(&database, pages, Order::Scattered)?;
    found.push(into_file(
        plan,
        &database,
        "recover into a file, scattered",
    )?);
    Ok(found)
}

fn stream(plan: &Plan, database: &Path, pages: u32) -> Result<Finding, String> {
    let (frames, length) = recover(database)?;
    if frames != u64::from(pages) {
        return Err(format!("{frames} frames of {pages} came back"));
    }
    let files = segments(database)?;
    Finding::in_turns(
        plan,
        "streaming recovery",
        "MB/s",
        Some(Goal::AtLeast(0.7)),
        side("next_batch", || {
            let began = Instant::now();
            let (_, length) = recover(database)?;
            Ok(length as f64 / 1e6 / began.elapsed().as_secs_f64())
        }),
        side("read + crc32c", || {
            let began = Instant::now();
            let sum = |sum, bytes: &[u8]| crc32c::crc32c_append(sum, bytes);
            let (_, length) = read(&files, length, 0, sum)?;
            Ok(length as f64 / 1e6 / began.elapsed().as_secs_f64())
        }),
    )
}

/// Frames of the log, and bytes read.
fn recover(database: &Path) -> Result<(u64, u64), String> {
    let mut stream = Recovery::open(database, &RecoveryOptions::default()).map_err(text)?;
    let mut frames = 0;
    while let Some(batch) = stream.next_batch().map_err(text)? {
        frames += batch.frames.len() as u64;
    }
    let read = stream.report().bytes_read;
    Ok((frames, read))
}

/// The log's files, in their order.
pub fn segments(database: &Path) -> Result<Vec<PathBuf>, String> {
    let segments = list_segments(database).map_err(text)?;
    Ok(segments.into_iter().map(|s| s.path).collect())
}

/// Reads at most so many bytes of the files, and folds them.
pub fn read<T>(
    files: &[PathBuf],
    most: u64,
    mut value: T,
    fold: impl Fn(T, &[u8]) -> T,
) -> Result<(T, u64), String> {
    // As `cp` and `cat` read: what fits into a processor's cache is quickest.
    let mut buffer = vec![0; 128 << 10];
    let mut length = 0;
    for path in files {
        let mut file = File::open(path).map_err(text)?.take(most - length);
        loop {
            let count = file.read(&mut buffer).map_err(text)?;
            if count == 0 {
                break;
            }
            value = fold(value, &buffer[..count]);
            length += count as u64;
        }
    }
    Ok((value, length))
}

/// Against `cp` of the recovered file. Recovery syncs what it has written, so
/// the copy is synced too.
fn into_file(plan: &Plan, database: &Path, what: &str) -> Result<Finding, String> {
    let [recovered, target, copy] =
        ["recovered", "target", "copy"].map(|name| database.with_file_name(name));
    let recover = |target: &Path| {
        let options = RecoveryOptions::default();
        recover_into_file(database, target, PAGE as u32, &options).map_err(text)
    };
    recover(&recovered)?;
    let bytes = recovered.metadata().map_err(text)?.len() as f64;
    let rate = |began: Instant| bytes / 1e6 / began.elapsed().as_secs_f64();
    Finding::in_turns(
        plan,
        what,
        "MB/s",
        Some(Goal::AtLeast(0.5)),
        side("recover", || {
            let began = Instant::now();
            recover(&target)?;
            let rate = rate(began);
            std::fs::remove_file(&target).map_err(text)?;
            Ok(rate)
        }),
        side("cp + sync", || {
            let began = Instant::now();
            let done = Command::new("cp").arg(&recovered).arg(&copy).status();
            if !done.map_err(text)?.success() {
                return Err("cp failed".into());
            }
            File::open(&copy).and_then(|f| f.sync_all()).map_err(text)?;
            let rate = rate(began);
            std::fs::remove_file(&copy).map_err(text)?;
            Ok(rate)
        }),
    )
}
